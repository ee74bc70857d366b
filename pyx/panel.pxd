# Panels: the packed operand of a tile, and the way back.
#
#     panel (depth, width)     panel[i, r] = source[r * stride + at[i]]     lane r of row i
#
# `at` is an increasing offset table, as the tile's own. The same two functions pack weights, transpose an output
# gradient, and write accumulators that hold channels in lanes back to channel-major arrays.

from geometry cimport larger, smaller
from shuffles cimport PIECE, stack_pieces, zip_high, zip_high_pieces, zip_low, zip_low_pieces
from vector cimport LANES, MAX_LANES, fetch, real, store_between, store_lanes, vec


cdef inline void transpose(vec* a) noexcept nogil:
    # Of LANES x LANES numbers. Zipping row i with row i + LANES / 2 is a perfect shuffle of the rows; done log2(LANES)
    # times it has exchanged all bits of the row index with those of the lane index.
    cdef vec b[MAX_LANES]
    cdef Py_ssize_t i, half = LANES // 2, turn
    for turn in range(4):
        if (1 << turn) < LANES:
            for i in range(half):
                b[2 * i], b[2 * i + 1] = zip_low(a[i], a[i + half]), zip_high(a[i], a[i + half])
            for i in range(LANES):
                a[i] = b[i]


cdef inline void transpose_square(const real* source, Py_ssize_t source_row, Py_ssize_t source_rows, real* target,
                                  Py_ssize_t target_row, Py_ssize_t target_rows,
                                  Py_ssize_t target_columns) noexcept nogil:
    # A block of LANES x LANES numbers, of which `source_rows` rows may be read (the last stands for the missing ones)
    # and `target_rows` rows are written, `target_columns` numbers of each.
    cdef vec a[MAX_LANES]
    cdef Py_ssize_t i
    for i in range(LANES):
        a[i] = (<const vec*> (source + smaller(i, source_rows - 1) * source_row))[0]
    transpose(a)
    for i in range(LANES):
        if i < target_rows and target_columns == LANES:
            (<vec*> (target + i * target_row))[0] = a[i]
        elif i < target_rows:
            store_lanes(target + i * target_row, a[i], target_columns)


cdef inline void transpose_pieces(const real* source, const Py_ssize_t* row_at, real* target, Py_ssize_t target_row,
                                  Py_ssize_t target_rows) noexcept nogil:
    # PIECE columns of the LANES rows source + row_at[r] become rows, of which `target_rows` are written. Loads of
    # pieces bring each number into the piece of its lane; the rest is a small transpose within pieces: zipping row i
    # with row i + PIECE / 2 is a perfect shuffle of the rows, and done log2(PIECE) times it has exchanged all bits of
    # the row index with those of the index within the piece.
    cdef vec a[4]
    cdef vec b[4]
    cdef Py_ssize_t i, half = PIECE // 2, turn
    for i in range(PIECE):
        a[i] = stack_pieces(source, row_at + i)
    for turn in range(2):
        if (1 << turn) < PIECE:
            for i in range(half):
                b[2 * i], b[2 * i + 1] = zip_low_pieces(a[i], a[i + half]), zip_high_pieces(a[i], a[i + half])
            for i in range(PIECE):
                a[i] = b[i]
    for i in range(PIECE):
        if i < target_rows:
            (<vec*> (target + i * target_row))[0] = a[i]


cdef inline void rows_into_lanes(real* to, const real* source, const Py_ssize_t* row_at,
                                 Py_ssize_t count) noexcept nogil:
    # to (count, LANES)     to[j, r] = source[row_at[r] + j]
    cdef Py_ssize_t j = 0, r
    while j + PIECE <= count:
        transpose_pieces(source + j, row_at, to + j * LANES, LANES, PIECE)
        j += PIECE
    if j < count and count >= PIECE:
        # A last piece that moves left does some numbers once more.
        transpose_pieces(source + count - PIECE, row_at, to + (count - PIECE) * LANES, LANES, PIECE)
        return
    while j < count:
        for r in range(LANES):
            to[j * LANES + r] = source[row_at[r] + j]
        j += 1


cdef inline void lanes_into_rows(real* target, Py_ssize_t stride, Py_ssize_t lanes, const real* panel,
                                 Py_ssize_t count) noexcept nogil:
    # panel (count, LANES), and LANES more vectors that may be read     target[r * stride + j] = panel[j, r]
    cdef real square[MAX_LANES * MAX_LANES]
    cdef Py_ssize_t row_at[MAX_LANES]
    cdef Py_ssize_t j = 0, r, k
    for r in range(LANES):
        row_at[r] = r * LANES
    if count < LANES:
        for k in range(LANES // PIECE):
            transpose_pieces(panel + k * PIECE, row_at, square + k * PIECE * LANES, LANES, PIECE)
        for r in range(lanes):
            store_lanes(target + r * stride, (<const vec*> (square + r * LANES))[0], count)
        return
    while j < count:
        # The last square moves left.
        j = smaller(j, count - LANES)
        for k in range(LANES // PIECE):
            transpose_pieces(panel + j * LANES + k * PIECE, row_at, target + k * PIECE * stride + j, stride,
                             lanes - k * PIECE)
        j += LANES


cdef inline Py_ssize_t run_length(const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    # How many of the next offsets, up to a vector of them, are neighbours of the first.
    cdef Py_ssize_t i = 1
    depth = smaller(depth, LANES)
    if at[depth - 1] - at[0] == depth - 1:
        return depth
    while i < depth and at[i] - at[0] == i:
        i += 1
    return i


cdef inline void pack_panel(real* panel, Py_ssize_t width, const real* source, Py_ssize_t stride, Py_ssize_t lanes,
                            const Py_ssize_t* at, Py_ssize_t depth, const real* end) noexcept nogil:
    # `width` is `lanes` rounded up to whole vectors; what the lanes beyond hold is some number of the last row.
    # Numbers from `end` on are not read.
    cdef Py_ssize_t i = 0, r, j, run
    if stride == 1:
        # The lanes are neighbours already; the rows lie too far apart for a prefetcher.
        for i in range(depth):
            r = 0
            while r < width:
                fetch(source + at[smaller(i + 8, depth - 1)] + r)
                r += LANES
            r = 0
            while r < width and source + at[i] + r + LANES <= end:
                (<vec*> (panel + i * width + r))[0] = (<const vec*> (source + at[i] + r))[0]
                r += LANES
            while r < width:
                panel[i * width + r] = source[at[i] + smaller(r, lanes - 1)]
                r += 1
        return
    while i < depth:
        run = run_length(at + i, depth - i)
        if stride % LANES == 0:
            # Squares end where lines of the cache do. Rows often are a multiple of 4 KiB apart, which is the same set
            # for all of them: half a line that is left for the next square would be gone by then.
            run = smaller(run, LANES - <Py_ssize_t> (<size_t> (source + at[i]) // sizeof(real) % <size_t> LANES))
        r = 0
        if 4 * run >= LANES:
            # A run shorter than a vector is read with what follows it, where that exists.
            while r < lanes and source + smaller(r + LANES, lanes) * stride - stride + at[i] + LANES <= end:
                transpose_square(source + r * stride + at[i], stride, smaller(lanes - r, LANES),
                                 panel + i * width + r, width, run, LANES)
                r += LANES
        while r < width:
            for j in range(i, i + run):
                panel[j * width + r] = source[smaller(r, lanes - 1) * stride + at[j]]
            r += 1
        i += run


cdef inline void pack_rows(real* panel, Py_ssize_t width, const real* source, Py_ssize_t stride, Py_ssize_t lanes,
                           Py_ssize_t count) noexcept nogil:
    # As pack_panel() where at[i] = i: `count` neighbours of each row. Along a vector of rows at a time: the hardware
    # foresees so many streams, and not those of all lanes.
    cdef vec a[MAX_LANES]
    cdef const real* row
    cdef Py_ssize_t r = 0, i, j
    while r < width:
        i = 0
        while i < count:
            if count >= LANES:
                # The last square moves left.
                i = smaller(i, count - LANES)
                row = source + r * stride + i
                for j in range(LANES):
                    a[j] = (<const vec*> row)[0]
                    row += stride if r + j < lanes - 1 else 0
                transpose(a)
                for j in range(LANES):
                    (<vec*> (panel + (i + j) * width + r))[0] = a[j]
                i += LANES
            else:
                for j in range(LANES):
                    panel[i * width + r + j] = source[smaller(r + j, lanes - 1) * stride + i]
                i += 1
        r += LANES


cdef inline void unpack_panel(const real* panel, Py_ssize_t width, real* target, Py_ssize_t stride, Py_ssize_t lanes,
                              const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    cdef Py_ssize_t i = 0, r, j, run
    if stride == 1:
        # The lanes stay neighbours.
        for i in range(depth):
            r = 0
            while r + LANES <= lanes:
                (<vec*> (target + at[i] + r))[0] = (<const vec*> (panel + i * width + r))[0]
                r += LANES
            if r < lanes:
                store_lanes(target + at[i] + r, (<const vec*> (panel + i * width + r))[0], lanes - r)
        return
    while i < depth:
        run = run_length(at + i, depth - i)
        r = 0
        if 4 * run >= LANES:
            while r < lanes:
                transpose_square(panel + i * width + r, width, run, target + r * stride + at[i], stride,
                                 smaller(lanes - r, LANES), run)
                r += LANES
        while r < lanes:
            for j in range(i, i + run):
                target[r * stride + at[j]] = panel[j * width + r]
            r += 1
        i += run


cdef inline void lanes_to_square(const real* panel, Py_ssize_t width, real* square) noexcept nogil:
    # square (LANES, LANES)     square[r, j] = panel[j, r]
    cdef Py_ssize_t row_at[MAX_LANES]
    cdef Py_ssize_t j, k
    for j in range(LANES):
        row_at[j] = j * width
    for k in range(LANES // PIECE):
        transpose_pieces(panel + k * PIECE, row_at, square + k * PIECE * LANES, LANES, PIECE)


cdef inline void store_inside(real* target, Py_ssize_t at, vec a, Py_ssize_t size) noexcept nogil:
    # target[at + i] = a[i] for those of 0 .. size.
    cdef Py_ssize_t first = larger(-at, 0), last = smaller(LANES, size - at)
    if first < last:
        store_between(target + at, a, first, last)


cdef inline void zip_rows(const real* even, const real* odd, real* target, Py_ssize_t at, Py_ssize_t count,
                          Py_ssize_t size) noexcept nogil:
    # target[at + 2 * j] = even[j], target[at + 2 * j + 1] = odd[j] for j < count and those of 0 .. size.
    # even and odd may be read up to the end of a vector
    cdef vec low, high
    cdef real* to
    cdef Py_ssize_t j = 0
    size = smaller(size, at + 2 * count)
    while j < count:
        low, high = (<const vec*> (even + j))[0], (<const vec*> (odd + j))[0]
        to = target + at + 2 * j
        if at + 2 * j >= 0 and at + 2 * (j + LANES) <= size:
            (<vec*> to)[0], (<vec*> (to + LANES))[0] = zip_low(low, high), zip_high(low, high)
        else:
            store_inside(target, at + 2 * j, zip_low(low, high), size)
            store_inside(target, at + 2 * j + LANES, zip_high(low, high), size)
        j += LANES
