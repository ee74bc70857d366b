# Planes: a zero-padded, residue-split copy of the part of the source that a task reads.
#
#     planes (image, channel, residue_v, residue_h, row, column)      see geometry.pxd for residues
#
# Once it is made, every tap of every pass is a constant offset from a target position, for any stride, dilation,
# padding and kernel size; nothing downstream tests a bound. Rows and columns beyond the source hold zeros.

from libc.string cimport memset

from geometry cimport Axis, larger, smaller
from vector cimport LANES, STRIP, real

cdef struct Planes:
    Py_ssize_t rows, columns            # positions per plane: the band's targets plus the reach
    Py_ssize_t plane, channel, image    # distances in numbers


cdef inline void shape_planes(Planes* planes, const Axis* v, const Axis* h, Py_ssize_t channels,
                              Py_ssize_t band_rows, Py_ssize_t band_columns) noexcept nogil:
    planes.rows, planes.columns = band_rows + v.reach, band_columns + h.reach
    planes.plane = planes.rows * planes.columns
    # Channels a multiple of a large power of two apart would fight for the same cache sets.
    if (planes.plane * v.residues * h.residues * <Py_ssize_t> sizeof(real)) % 1024 == 0:
        planes.plane += 64 // <Py_ssize_t> sizeof(real)
    planes.channel = planes.plane * larger(v.residues * h.residues, 1)
    planes.image = planes.channel * channels


cdef inline size_t planes_size(const Planes* planes, Py_ssize_t images) noexcept nogil:
    # A strip that starts on the last position reads up to a strip beyond it.
    return <size_t> (planes.image * images + STRIP * LANES)


cdef inline void copy_row(real* to, const real* row, const Axis* h, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    # to[j] = row[start + j * step], zero outside the source.
    cdef Py_ssize_t j, before, inside
    before = 0 if start >= 0 else smaller((-start + h.step - 1) // h.step, count)
    inside = 0 if start >= h.source else (h.source - start + h.step - 1) // h.step
    inside = larger(smaller(inside, count), before)
    for j in range(before):
        to[j] = 0
    row += start
    if h.step == 1:
        for j in range(before, inside):
            to[j] = row[j]
    else:
        for j in range(before, inside):
            to[j] = row[j * h.step]
    for j in range(inside, count):
        to[j] = 0


cdef inline void fill_planes(real* to, const Planes* planes, const Axis* v, const Axis* h, const real* source,
                             Py_ssize_t channels, Py_ssize_t first_row, Py_ssize_t first_column) noexcept nogil:
    # The planes of one image, from target position (first_row, first_column).  source (channels, v.source, h.source)
    cdef Py_ssize_t c, fv, fh, i, y
    cdef real* row
    for c in range(channels):
        for fv in range(v.residues):
            for fh in range(h.residues):
                row = to + c * planes.channel + (fv * h.residues + fh) * planes.plane
                for i in range(planes.rows):
                    y = v.origin + v.value[fv] + (first_row + i) * v.step
                    if 0 <= y < v.source:
                        copy_row(row, source + (c * v.source + y) * h.source, h,
                                 h.origin + h.value[fh] + first_column * h.step, planes.columns)
                    else:
                        memset(row, 0, planes.columns * sizeof(real))
                    row += planes.columns


cdef inline void clear_overrun(real* to, const Planes* planes, Py_ssize_t images) noexcept nogil:
    memset(to + images * planes.image, 0, STRIP * LANES * sizeof(real))
