# How the weight gradient goes about it with output channels in the lanes: its cut into tasks, chunks of pixels and
# slabs of input channels for weight_gradient.pxd.
#
# Chunks are cut by the geometry alone, since they are summed one after the other, and so are the parts whose sums are
# added at the end; tasks also by the number of threads.

from geometry cimport Axis, ceil_div, larger, smaller, span
from pieces cimport cut_evenly, divide, even_length, is_shared_better
from pixel_parts cimport parts_of_chunks
from plan cimport PLANE_BYTES, SOURCE_BYTES, Sum
from plane cimport shape_planes
from runs cimport is_inside, worth_skipping
from tile cimport Term
from vector cimport LANES, PANEL, ROWS, real

cdef enum:
    SUM_BYTES = 768 * 1024      # sums of a task that wait for the next chunk: a good part of a second-level cache
    PANEL_BYTES = 384 * 1024    # what a task holds of dy
    TASK_ROWS = 1024            # (channel, tap) of such a task, unless a channel alone has more
    SLAB_ROWS = 96              # ... that are summed at a time where nothing waits: a good part of a first-level cache
    FEW_ROWS = 32               # the same where each is a row of dw
    TABLE_BYTES = 512 * 1024    # lists of pixels
    PIXEL_CHUNK = 256           # pixels of dy that are transposed at a time ...
    SPARSE_CHUNK = 160          # ... where a stride spreads what they read

cdef struct WalkPlan:
    Py_ssize_t blocks, block_parts          # blocks of output channels per task, and into how many parts they fall
    Py_ssize_t channels, channel_parts      # the same of input channels
    Py_ssize_t slab                         # of which so many are summed at a time ...
    bint slab_by_slab                       # ... with all blocks, before the next slab
    Py_ssize_t chunks, patches              # patches: at most so many in a chunk

cdef struct Stretch:
    # Neighbouring taps of an axis that read the source from the same positions of a band.
    Py_ssize_t first, last      # taps
    Py_ssize_t start, end       # positions


cdef inline Py_ssize_t next_stretch(Stretch* t, const Axis* axis, Py_ssize_t tap, Py_ssize_t begin, Py_ssize_t end,
                                    bint skip) noexcept nogil:
    # The stretch that begins with `tap`, among positions begin .. end; returns the tap after it. Without `skip` all
    # taps are one stretch.
    t.first, t.last, t.start, t.end = tap, axis.taps, begin, end
    if not skip:
        return t.last
    while t.start < end and not is_inside(axis, t.start, tap):
        t.start += 1
    t.end = t.start
    while t.end < end and is_inside(axis, t.end, tap):
        t.end += 1
    t.last = tap + 1
    while t.last < axis.taps and same_stretch(t, axis, t.last, begin, end):
        t.last += 1
    return t.last


cdef inline bint same_stretch(const Stretch* t, const Axis* axis, Py_ssize_t tap, Py_ssize_t begin,
                              Py_ssize_t end) noexcept nogil:
    # Whether a tap reads the source from exactly the positions of a stretch that is not empty.
    return (t.start < t.end and is_inside(axis, t.start, tap) and is_inside(axis, t.end - 1, tap)
            and not (t.start > begin and is_inside(axis, t.start - 1, tap))
            and not (t.end < end and is_inside(axis, t.end, tap)))


cdef inline double walk_work(const Sum* s, bint skip_v, bint skip_h) noexcept nogil:
    # Rows times pixels per image, in tiles of ROWS.
    cdef Stretch v, h
    cdef Py_ssize_t i = 0, j
    cdef double work = 0
    while i < s.v.taps:
        i = next_stretch(&v, &s.v, i, 0, s.v.target, skip_v)
        j = 0
        while j < s.h.taps:
            j = next_stretch(&h, &s.h, j, 0, s.h.target, skip_h)
            work += (<double> ceil_div(s.c * (v.last - v.first) * (h.last - h.first), ROWS) * ROWS
                     * (v.end - v.start) * (h.end - h.start))
    return work


cdef inline Py_ssize_t count_stretches(const Axis* axis, bint skip) noexcept nogil:
    # At most so many in a chunk.
    return larger(axis.taps, 1) if skip else 1


cdef inline void choose_walk_skips(Sum* s) noexcept nogil:
    # As choose_skips() of choose.pxd.
    cdef bint v = worth_skipping(&s.v), h = worth_skipping(&s.h), skip_v, skip_h
    cdef double bar = 0.98 * walk_work(s, False, False), work
    cdef Py_ssize_t most = TABLE_BYTES // (PIXEL_CHUNK * <Py_ssize_t> sizeof(Term))
    s.skip_v = s.skip_h = 0
    for skip_v in range(2):
        for skip_h in range(2):
            if (skip_v and not v) or (skip_h and not h) or not (skip_v or skip_h):
                continue
            work = walk_work(s, skip_v, skip_h)
            if work < bar and count_stretches(&s.v, skip_v) * count_stretches(&s.h, skip_h) <= most:
                s.skip_v, s.skip_h, bar = skip_v, skip_h, work


cdef inline void cut_chunks(WalkPlan* w, Sum* s, Py_ssize_t most) noexcept nogil:
    # Of at most so many pixels: whole small images, or a band of rows, or a piece of a very long row. From the geometry
    # alone.
    cdef Py_ssize_t area = s.h.target * s.v.target
    s.images, s.band_columns = 1, even_length(s.h.target, most)
    if s.band_columns < s.h.target:
        s.band_columns = ceil_div(s.band_columns, LANES) * LANES
    s.band_rows = even_length(s.v.target, larger(most // s.band_columns, 1))
    if 0 < area * 2 <= most:
        s.images = even_length(s.n, most // area)
    s.column_bands = ceil_div(larger(s.h.target, 1), s.band_columns)
    s.row_bands = ceil_div(larger(s.v.target, 1), s.band_rows)
    s.image_blocks = ceil_div(s.n, s.images)
    w.chunks = s.image_blocks * s.row_bands * s.column_bands
    w.patches = count_stretches(&s.v, s.skip_v) * count_stretches(&s.h, s.skip_h)


cdef inline Py_ssize_t chunk_pixels(const Sum* s) noexcept nogil:
    return s.images * s.band_rows * s.band_columns


cdef inline bint is_even(Py_ssize_t tasks, Py_ssize_t threads) noexcept nogil:
    return tasks % threads == 0 or tasks >= 4 * threads


cdef inline void share_out(WalkPlan* w, const Sum* s, Py_ssize_t threads) noexcept nogil:
    # Tasks for every thread: fewer blocks of output channels in each, where these come out even, else fewer input
    # channels, which costs another transposition of dy.
    cdef Py_ssize_t taps = larger(s.v.taps * s.h.taps, 1), others = s.pixel_parts * s.groups * w.channel_parts
    cdef Py_ssize_t parts = w.block_parts
    while not is_even(others * w.block_parts, threads) and parts < s.m_blocks:
        parts += 1
        if ((s.m_blocks % parts == 0 or s.m_blocks >= 8 * parts)
                and is_shared_better(others * parts, others * w.block_parts, threads)):
            divide(&w.blocks, &w.block_parts, s.m_blocks, parts)
    others, parts = s.pixel_parts * s.groups * w.block_parts, w.channel_parts
    while not is_even(others * w.channel_parts, threads) and parts < s.c and (parts + 1) * ROWS <= s.c * taps:
        parts += 1
        if is_shared_better(others * parts, others * w.channel_parts, threads):
            divide(&w.channels, &w.channel_parts, s.c, parts)


cdef inline Py_ssize_t fitting_channels(Sum* s) noexcept nogil:
    # As many input channels as the second-level cache holds of a chunk.
    cdef Py_ssize_t room
    shape_planes(&s.planes, &s.v, &s.h, 1, s.images, s.source_image, s.band_rows, s.band_columns, False,
                 s.skip_v, s.skip_h)
    room = PLANE_BYTES if s.planes.copied else SOURCE_BYTES
    return room // (<Py_ssize_t> sizeof(real) * larger(span(&s.v, s.band_rows) * span(&s.h, s.band_columns)
                                                       * s.v.residues * s.h.residues * s.images, 1))


cdef inline void cut_walk(WalkPlan* w, Sum* s, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t taps = larger(s.v.taps * s.h.taps, 1), room, most
    s.vectors = larger(ceil_div(s.m, LANES), 1)
    s.m_blocks = ceil_div(s.vectors, PANEL)
    choose_walk_skips(s)
    cut_chunks(w, s, PIXEL_CHUNK)
    room = fitting_channels(s)
    if room < smaller(s.c, TASK_ROWS // taps) and w.chunks > 1 and s.v.pace * s.h.pace > 1:
        # Sparse pixels take a lot of cache.
        cut_chunks(w, s, SPARSE_CHUNK)
        room = fitting_channels(s)
    w.slab_by_slab = s.weight_m == 1 or room < s.c
    if w.chunks > 1:
        room = smaller(room, TASK_ROWS // taps)
    elif not s.planes.copied:
        room = s.c
    cut_evenly(&w.channels, &w.channel_parts, s.c, larger(room, 1))
    most = PANEL_BYTES // (chunk_pixels(s) * PANEL * LANES * <Py_ssize_t> sizeof(real))
    if w.chunks > 1:
        most = smaller(most, SUM_BYTES // (w.channels * taps * PANEL * LANES * <Py_ssize_t> sizeof(real)))
    cut_evenly(&w.blocks, &w.block_parts, s.m_blocks, larger(most, 1))
    s.pixel_parts = parts_of_chunks(s.groups * s.m_blocks * s.c, w.chunks)
    share_out(w, s, threads)
    w.slab = w.channels
    if w.chunks == 1:
        w.slab = FEW_ROWS if s.weight_m == 1 else ceil_div(larger(SLAB_ROWS // taps, 1), ROWS) * ROWS
        w.slab = smaller(w.slab, w.channels)
    s.tasks = s.pixel_parts * s.groups * w.block_parts * w.channel_parts
    shape_planes(&s.planes, &s.v, &s.h, w.channels, s.images, s.source_image, s.band_rows, s.band_columns, False,
                 s.skip_v, s.skip_h)
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = 0
