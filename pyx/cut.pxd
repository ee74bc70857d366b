# How a sum is cut into tasks: blocks of images, rows and columns whose source stays in a second-level cache, and parts
# of the output channels, enough of them for all threads.

from geometry cimport ceil_div, larger, positions, smaller, span
from pieces cimport cut_evenly, divide, even_length, shared_pieces
from plan cimport (COPY_BYTES, LARGE_BYTES, MAX_PIXELS, PLANE_BYTES, SEVERAL, SOURCE_BYTES, STRIP_CHUNK, STRIP_PIXELS,
                   STRIP_SUMS, Sum, is_far, is_merged, sums_by_chunks)
from plane cimport needs_copy, read_source, shape_planes
from tile cimport CHANNELS, PIXELS
from vector cimport LANES, PANEL, ROWS, STRIP, real
from workspace cimport LINE


cdef inline bint may_overrun(const Sum* s) noexcept nogil:
    # Whether strips of pixels read beyond the last place of their planes: not if every band holds at least a vector, so
    # that its last strip can move left. (The last band may be a single row, and the last pass has the shortest ones.)
    # Pieces of rows are copied all the same where many outputs read them: they lie closer together then.
    cdef Py_ssize_t last = positions(&s.h, s.h.passes - 1) - (s.column_bands - 1) * s.band_columns
    return (s.lanes == PIXELS and not s.depthwise and (last < LANES or (s.column_bands > 1 and s.m >= 4 * ROWS)))


cdef inline Py_ssize_t taps_together(const Sum* s) noexcept nogil:
    # Taps of a pass, about.
    return s.v.taps * s.h.taps // larger(s.v.passes * s.h.passes, 1)


cdef inline Py_ssize_t readers(const Sum* s) noexcept nogil:
    # CHANNELS: how many of them read a number of the source, about.
    return ceil_div(taps_together(s), larger(s.v.pace * s.h.pace, 1))


cdef inline bint takes_long(const Sum* s) noexcept nogil:
    # CHANNELS: whether a block of weights takes so long that pixels may come from the third level every time: they
    # serve several taps, or the weights do so too, and had better meet as many pixels as a task can have. (Of a large
    # picture they come from memory, which takes longer.)
    return (readers(s) >= SEVERAL or taps_together(s) >= SEVERAL and is_far(s)
            and s.source_image * <Py_ssize_t> sizeof(real) <= LARGE_BYTES)


cdef inline bint gathers_source(const Sum* s) noexcept nogil:
    # CHANNELS: whether a tile reads from more pages than a first-level TLB holds, often enough (for each block of
    # channels in each pass) to pay for a copy that lies closer together. A chunk of several taps reads fewer channels.
    return (s.lanes == CHANNELS and not takes_long(s) and s.c >= 64
            and s.v.source * s.h.source * <Py_ssize_t> sizeof(real) > 2 * 4096
            and s.v.passes * s.h.passes * s.vectors >= 8)


cdef inline Py_ssize_t source_budget(const Sum* s) noexcept nogil:
    # CHANNELS: positions of all channels in a task. They should stay in a second-level cache between two blocks of
    # weights, unless these take long.
    cdef Py_ssize_t bytes = <Py_ssize_t> sizeof(real) * larger(s.c, 1)
    if gathers_source(s) or needs_copy(&s.v, &s.h, s.skip_v == 1, s.skip_h == 1):
        return (COPY_BYTES if takes_long(s) else PLANE_BYTES) // bytes
    if takes_long(s):
        return MAX_PIXELS * span(&s.v, s.v.source) * span(&s.h, s.h.source)
    return SOURCE_BYTES * larger(readers(s), 1) // bytes


cdef inline Py_ssize_t most_pixels(const Sum* s) noexcept nogil:
    # CHANNELS: of a pass in a task.
    return MAX_PIXELS // 2 if s.zipped else MAX_PIXELS


cdef inline Py_ssize_t strip_pixels(const Sum* s) noexcept nogil:
    # Of a task, in whole strips, wherever they start.
    cdef Py_ssize_t width = PANEL * LANES
    return ceil_div(s.images * s.band_rows * s.band_columns + LANES - 1, width) * width


cdef inline Py_ssize_t strip_numbers(const Sum* s) noexcept nogil:
    # Of the sums of a task: a tile of channels at least.
    return larger(STRIP_SUMS, ROWS * strip_pixels(s)) if s.chunked else 0


cdef inline Py_ssize_t strip_tiles(const Sum* s) noexcept nogil:
    # Tiles of channels whose sums wait together, at most.
    return larger(STRIP_SUMS // (strip_pixels(s) * ROWS), 1)


cdef inline bint scatters_rows(const Sum* s) noexcept nogil:
    # Strips: whether the weights of a tile's summands lie far apart, in few sets of the first-level cache.
    return s.weight_m == 1 < s.weight_c


cdef inline Py_ssize_t gathered_tile() noexcept nogil:
    # Distance of the weights of two tiles, where they are gathered: a line more than the 4 KiB that a tile has, which
    # would put all tiles' weights of a summand into the same set of the first-level cache.
    return STRIP_CHUNK * ROWS + LINE


cdef inline Py_ssize_t strip_weights(const Sum* s) noexcept nogil:
    # Of a chunk of those tiles.
    return smaller(strip_tiles(s), s.m_blocks) * gathered_tile() if s.chunked and scatters_rows(s) else 0


cdef inline Py_ssize_t strip_biases(const Sum* s) noexcept nogil:
    # Of those tiles.
    return smaller(strip_tiles(s), s.m_blocks) * ROWS * LANES if s.chunked else 0


cdef inline bint keeps_panels(const Sum* s) noexcept nogil:
    # Strips: whether panels are put together from pieces, for more than one set of tiles. Later sets find them then.
    cdef Py_ssize_t bytes = s.depth * strip_pixels(s) * <Py_ssize_t> sizeof(real)
    return (s.chunked and ceil_div(s.m_blocks, s.m_parts) > strip_tiles(s) and bytes <= COPY_BYTES
            and (s.images > 1 or s.band_rows > 1 or s.h.step * s.h.pace > 1))


cdef inline Py_ssize_t panel_rows(const Sum* s) noexcept nogil:
    # Of the panels that are kept.
    return s.depth * (strip_pixels(s) // (PANEL * LANES)) if keeps_panels(s) else 0


cdef inline Py_ssize_t count_blocks(const Sum* s) noexcept nogil:
    # Blocks of pixels, of all groups.
    return ceil_div(s.n, s.images) * s.groups * s.row_bands * s.column_bands


cdef inline void cut_into_strips(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Pieces of a picture, or several pictures; threads share out the output channels if these are few and don't come
    # out even.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), width = PANEL * LANES, blocks
    cut_evenly(&s.band_rows, &s.row_bands, rows, larger(STRIP_PIXELS // columns, 1))
    s.band_columns = even_length(columns, STRIP_PIXELS)
    if s.band_columns < columns:
        s.band_columns = ceil_div(s.band_columns, width) * width
    s.column_bands = ceil_div(columns, s.band_columns)
    s.images = even_length(s.n, larger(STRIP_PIXELS // (rows * columns), 1))
    blocks = count_blocks(s)
    s.m_blocks = ceil_div(s.m, ROWS)
    s.m_parts = 1
    if blocks < 4 * threads and (blocks % threads or s.n % s.images or rows % s.band_rows or columns % s.band_columns):
        s.m_parts = smaller(threads, s.m_blocks)
    s.packed_m = 0


cdef inline void cut_for_pixels(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Bands that fit PLANE_BYTES; with few of them for all threads, thinner bands, then parts of the output channels.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), room, blocks = s.n * s.groups
    cdef Py_ssize_t channel_planes = larger(s.c * s.v.residues * s.h.residues, 1)
    cdef Py_ssize_t budget = PLANE_BYTES // <Py_ssize_t> sizeof(real) // channel_planes
    s.images, s.m_parts = 1, 1
    room = larger((budget // span(&s.v, 1) - s.h.reach) // s.h.pace, STRIP * LANES)
    cut_evenly(&s.band_columns, &s.column_bands, columns, larger(columns, 1) if s.depthwise else room)
    room = larger((budget // span(&s.h, s.band_columns) - s.v.reach) // s.v.pace, 1)
    cut_evenly(&s.band_rows, &s.row_bands, rows, room)
    s.m_blocks = ceil_div(larger(s.m, 1), ROWS)
    if 0 < blocks * s.column_bands * s.row_bands < 4 * threads and not (rows == 1 and s.depthwise):
        if rows > 1:
            divide(&s.band_rows, &s.row_bands, rows,
                   shared_pieces(s.row_bands, rows // 4 + 1, blocks * s.column_bands, threads))
        elif s.m_blocks < threads:
            # (Two threads do not write pieces of the same rows if they need not: what one has fetched beyond the end of
            # its piece takes the other long to get back.)
            divide(&s.band_columns, &s.column_bands, columns,
                   shared_pieces(s.column_bands, columns // (STRIP * LANES), blocks, threads))
    blocks *= s.row_bands * s.column_bands
    if 0 < blocks < 2 * threads:
        s.m_parts = smaller(ceil_div(threads, blocks), s.m_blocks)
        s.m_parts = shared_pieces(s.m_parts, smaller(2 * s.m_parts, s.m_blocks), blocks, threads)
    s.packed_m = ceil_div(s.m, LANES) * LANES if is_merged(s) else 0


cdef inline void cut_for_channels(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Blocks of at most most_pixels(): bands, or several small images, whose source fits source_budget(). Threads share
    # out the output channels where all have full tiles of them, since the weights are most of what is read then; else
    # thinner blocks, and where these are too few, tiles that are not full; in the end, short pieces of a row.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), room, blocks
    cdef Py_ssize_t budget, most
    s.vectors = larger(ceil_div(s.m, LANES), 1)
    # An even number of blocks, so that two parts are equal; packed weights serve any number of threads.
    s.m_blocks = ceil_div(s.vectors, PANEL)
    if s.m_blocks > 1:
        s.m_blocks += s.m_blocks % 2
    s.packed_m = s.vectors * LANES
    s.zipped = s.h.spacing == s.h.passes == 2
    budget, most = source_budget(s), most_pixels(s)
    room = smaller(most, (budget // span(&s.v, 1) - s.h.reach) // s.h.pace)
    cut_evenly(&s.band_columns, &s.column_bands, columns, larger(room, STRIP * LANES))
    room = smaller(most // s.band_columns, (budget // span(&s.h, s.band_columns) - s.v.reach) // s.v.pace)
    cut_evenly(&s.band_rows, &s.row_bands, rows, larger(room, 1))
    s.images = 1
    if s.row_bands * s.column_bands == 1:
        room = smaller(most // larger(rows * columns, 1), budget // (span(&s.v, rows) * span(&s.h, columns)))
        s.images = even_length(s.n, larger(room, 1))
    blocks = count_blocks(s)
    s.m_parts = 1
    while blocks * s.m_parts < 4 * threads and blocks * s.m_parts % threads and (s.m_parts + 1) * PANEL <= s.vectors:
        s.m_parts += 1
    if blocks * s.m_parts == 0 or blocks * s.m_parts >= 4 * threads or blocks * s.m_parts % threads == 0:
        return
    s.m_parts = 1
    if s.images > 1:
        s.images = even_length(s.n, larger(smaller(s.images, s.n * s.groups // threads), 1))
    elif rows > 1:
        divide(&s.band_rows, &s.row_bands, rows,
               shared_pieces(s.row_bands, rows // 2 + 1, blocks // s.row_bands, threads))
    else:
        divide(&s.band_columns, &s.column_bands, columns,
               shared_pieces(s.column_bands, columns // (STRIP * LANES), blocks // s.column_bands, threads))
    if count_blocks(s) < threads:
        s.m_parts = smaller(ceil_div(threads, count_blocks(s)), s.m_blocks)
    blocks = count_blocks(s) * s.m_parts
    if blocks < threads and rows == 1:
        divide(&s.band_columns, &s.column_bands, columns,
               shared_pieces(s.column_bands, columns // (2 * ROWS), blocks // s.column_bands, threads))


cdef inline void cut_into_tasks(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Every output is one sum in a fixed order, so the cut may depend on the thread count.
    if s.lanes != CHANNELS:
        s.zipped = False
        s.skip_v = s.skip_h = 0
    s.chunked = s.lanes == PIXELS and sums_by_chunks(s)
    if s.lanes == CHANNELS:
        cut_for_channels(s, threads)
    elif s.chunked:
        cut_into_strips(s, threads)
    else:
        cut_for_pixels(s, threads)
    s.image_blocks = ceil_div(s.n, s.images)
    s.tasks = count_blocks(s) * s.m_parts if s.m else 0
    if s.chunked:
        read_source(&s.planes, &s.v, &s.h, s.source_image)
    else:
        shape_planes(&s.planes, &s.v, &s.h, s.c, s.images, s.source_image, s.band_rows, s.band_columns,
                     may_overrun(s) or gathers_source(s), s.skip_v == 1, s.skip_h == 1)
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = s.packed_m * s.depth
    s.packed_numbers = s.groups * s.packed_group
