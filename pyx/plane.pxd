# Planes: a zero-padded copy of the part of the source that a task reads, split into residues where an axis asks for it.
#
#     planes (image, channel, residue_v, residue_h, row, column)      see geometry.pxd for residues
#
# Once it is made, every tap of every pass is a constant offset from a target position, for any stride, dilation,
# padding and kernel size; nothing downstream tests a bound. Rows and columns beyond the source hold zeros. Where no
# padding is read and no overrun can happen, the planes are the source itself and nothing is copied.

from libc.string cimport memcpy, memset

from geometry cimport Axis, larger, smaller, span, within_source
from shuffles cimport evens
from vector cimport LANES, STRIP, held, keep, lanes_inside, real, splat, vec
from workspace cimport LINE

cdef struct Planes:
    bint copied
    Py_ssize_t rows, columns            # positions per plane
    Py_ssize_t place                    # numbers per position: 1, or a vector of groups (groups.pxd)
    Py_ssize_t plane, channel, image    # distances in numbers


cdef inline bint thrashes(Py_ssize_t distance) noexcept nogil:
    # Whether numbers so far apart fall into the same set of a 4 KiB way: a tile reads several such at once.
    return distance > 0 and distance * <Py_ssize_t> sizeof(real) % 4096 == 0


cdef inline bint needs_copy(const Axis* v, const Axis* h, bint skip_v, bint skip_h) noexcept nogil:
    # Whether the source itself cannot serve. skip_v, skip_h: no tap is read where it would meet padding (runs.pxd).
    return (v.step > 1 or h.step > 1 or not ((skip_v or within_source(v)) and (skip_h or within_source(h)))
            or thrashes(v.source * h.source))


cdef inline void read_source(Planes* planes, const Axis* v, const Axis* h, Py_ssize_t source_image) noexcept nogil:
    # The source itself serves.
    planes.copied, planes.place = False, 1
    planes.rows, planes.columns = v.source, h.source
    planes.plane = planes.channel = v.source * h.source
    planes.image = source_image


cdef inline void shape_planes(Planes* planes, const Axis* v, const Axis* h, Py_ssize_t channels,
                              Py_ssize_t images, Py_ssize_t source_image, Py_ssize_t band_rows, Py_ssize_t band_columns,
                              bint copied, bint skip_v, bint skip_h) noexcept nogil:
    if not (copied or needs_copy(v, h, skip_v, skip_h)):
        read_source(planes, v, h, source_image)
        return
    planes.copied, planes.place = True, 1
    planes.rows, planes.columns = span(v, band_rows), span(h, band_columns)
    planes.plane = planes.rows * planes.columns
    planes.channel = planes.plane * larger(v.residues * h.residues, 1)
    if thrashes(planes.channel):
        planes.channel += LINE
    planes.image = planes.channel * channels
    if thrashes(planes.image):
        planes.image += LINE


cdef inline size_t planes_size(const Planes* planes, Py_ssize_t images) noexcept nogil:
    # A strip that starts on the last position reads up to a strip beyond it.
    return <size_t> (planes.image * images + STRIP * LANES) if planes.copied else 0


cdef inline void copy_row(real* to, const real* row, Py_ssize_t step, Py_ssize_t before, Py_ssize_t inside,
                          Py_ssize_t count, Py_ssize_t room) noexcept nogil:
    # to[j] = row[j * step] for before <= j < inside, 0 for the others of `count`; up to a vector behind them is
    # overwritten. Of the row, nothing is read from `room` on.
    cdef vec zero = held(splat(0))      # (a zero that gcc knows would be stored by calls of memset)
    cdef const real* four
    cdef Py_ssize_t j = 0
    while j < before:
        (<vec*> (to + j))[0] = zero
        j += LANES
    j = before
    if step == 1:
        while j < inside and j + LANES <= room:
            (<vec*> (to + j))[0] = (<const vec*> (row + j))[0]
            j += LANES
    elif step == 2:
        while j < inside and 2 * (j + LANES) <= room:
            (<vec*> (to + j))[0] = evens((<const vec*> (row + 2 * j))[0], (<const vec*> (row + 2 * j + LANES))[0])
            j += LANES
    elif step == 4:
        while j < inside and 4 * (j + LANES) <= room:
            four = row + 4 * j
            (<vec*> (to + j))[0] = evens(evens((<const vec*> four)[0], (<const vec*> (four + LANES))[0]),
                                         evens((<const vec*> (four + 2 * LANES))[0],
                                               (<const vec*> (four + 3 * LANES))[0]))
            j += LANES
    while j < inside:
        to[j] = row[j * step]
        j += 1
    j = inside
    while j < count:
        (<vec*> (to + j))[0] = zero
        j += LANES


cdef inline void fill_channel(real* to, const Planes* planes, const Axis* v, const Axis* h, const real* source,
                              Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    # All residue planes of one channel, in the order of their places, since each row overwrites some of the next.
    # source (v.source, h.source)
    cdef Py_ssize_t fv, fh, i, y, x, before, inside, at, end, count = planes.columns, size = v.source * h.source
    cdef bint narrow = h.step == 1 and count <= LANES
    cdef vec mask
    for fv in range(v.residues):
        for fh in range(h.residues):
            x = h.origin + column * h.pace * h.step + h.value[fh]
            before = 0 if x >= 0 else smaller((-x + h.step - 1) // h.step, count)
            inside = 0 if x >= h.source else larger(smaller((h.source - x + h.step - 1) // h.step, count), before)
            before = smaller(before, inside)
            mask = lanes_inside(x, 1, h.source)
            for i in range(planes.rows):
                y = v.origin + v.value[fv] + (row * v.pace + i) * v.step
                at, end = y * h.source + x, inside if 0 <= y < v.source else 0
                if narrow and end and 0 <= at <= size - LANES:      # a vector that may hold some of other rows
                    (<vec*> to)[0] = keep((<const vec*> (source + at))[0], mask)
                else:
                    copy_row(to, source + at, h.step, smaller(before, end), end, count, size - at)
                to += count


cdef inline const real* open_planes(real* scratch, const Planes* planes, const Axis* v, const Axis* h,
                                    const real* source, Py_ssize_t source_image, Py_ssize_t images,
                                    Py_ssize_t channels, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    # The planes from target position (row, column) on.  source (images, source_image apart: channels, ...)
    cdef Py_ssize_t image, c, y = v.origin + row * v.pace * v.step
    cdef bint whole
    cdef bint whole_rows = v.step == h.step == 1 and h.origin == column == 0 and planes.columns == h.source
    if not planes.copied:
        return source + y * h.source + h.origin + column * h.pace
    whole = whole_rows and y == 0 and planes.rows == v.source and planes.channel == v.source * h.source
    for image in range(images):
        if whole:
            memcpy(scratch + image * planes.image, source + image * source_image,
                   channels * planes.channel * sizeof(real))
            continue
        for c in range(channels):
            if whole_rows and y >= 0 and y + planes.rows <= v.source:
                memcpy(scratch + image * planes.image + c * planes.channel,
                       source + image * source_image + (c * v.source + y) * h.source,
                       planes.rows * planes.columns * sizeof(real))
            else:
                fill_channel(scratch + image * planes.image + c * planes.channel, planes, v, h,
                             source + image * source_image + c * v.source * h.source, row, column)
    memset(scratch + images * planes.image, 0, STRIP * LANES * sizeof(real))
    return scratch
