# Depthwise convolution of pictures whose rows fill half a vector: two channels at a time, with alternate lanes.
#
#     lanes   a[0], b[0], a[1], b[1], ...     of channels a and b
#
# Their pictures are read where they are, and zipped on the way; weights are pairs. The sum goes column by column of the
# kernel, and leaves out the rows of the padding. Even rows and odd ones have sums of their own, or each multiply-add
# would wait for the one before.

from depthwise_window cimport LOW, TALL, DepthChannel, Window, open_window
from geometry cimport ceil_div, smaller
from plan cimport MAX_DEPTH
from shuffles cimport evens, odds, splat_pair, zip_evens, zip_halves
from vector cimport LANES, here, keep, likely, real, splat, store_lanes, vec


cdef inline void pair_weights(DepthChannel* c, const real* a, const real* b) noexcept nogil:
    # c.weights, from the kernels of two channels; the last half a vector moves left.
    cdef Py_ssize_t count = c.taps * c.taps, half = LANES // 2, i = 0
    while i < count:
        i = smaller(i, count - half)
        (<vec*> (c.weights + 2 * i))[0] = zip_halves(a + i, b + i)
        i += half


cdef inline const real* add_pairs(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, Py_ssize_t first, Py_ssize_t last,
                                  const Window* w, const vec* weights, const real* line, const real* top,
                                  const real* mask, vec (*acc)[2]) noexcept nogil:
    # What a column of the kernels makes of source rows first .. last, from `line` on; returns the line after them.
    # top: the line of the first row of the picture
    cdef vec column
    cdef size_t bytes = w.height * w.pitch * sizeof(real)
    cdef Py_ssize_t j, r
    for j in range(last - first):
        if likely(<size_t> line - <size_t> top < bytes):
            if S == 1:
                column = zip_halves(line, line + w.next)
            else:
                column = zip_evens((<const vec*> line)[0], (<const vec*> (line + w.next))[0])
            column = keep(column, (<const vec*> mask)[0])
            for r in range(R):
                if 0 <= first + j - r * S < K:
                    acc[r][(first + j) % 2] = acc[r][(first + j) % 2] + weights[first + j - r * S] * column
        line = here(line + w.pitch)
    return line


cdef inline void narrow_tile(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, const DepthChannel* c, const Window* w,
                             real* y) noexcept nogil:
    # R rows.  K, the stride S and R are literals. (The loop over columns is not to be unrolled, rows are, in two loops:
    # one of more than 16 would not be.)
    cdef vec acc[TALL][2]
    cdef vec sums
    cdef vec weights[MAX_DEPTH]
    cdef Py_ssize_t step = -2 if c.flipped else 2
    cdef const real* of_column = c.weights + (2 * K * K - 2 if c.flipped else 0)
    cdef const real* line
    cdef const real* top
    cdef Py_ssize_t rows = (R - 1) * S + K, columns = c.columns, next_y = c.next_y, r, j, q
    for r in range(R):
        acc[r][0], acc[r][1] = splat_pair(c.biases), splat(0)
    for q in range(c.taps):
        for j in range(K):
            weights[j] = splat_pair(of_column + (j * K + q) * step)
        top = w.x - w.top * w.pitch + q
        line = add_pairs(K, S, R, 0, R, w, weights, w.x + q, top, w.masks + q * LANES, acc)
        add_pairs(K, S, R, R, rows, w, weights, line, top, w.masks + q * LANES, acc)
    for r in range(R):
        sums = acc[r][0] + acc[r][1]
        store_lanes(y + r * columns, evens(sums, sums), columns)
        store_lanes(y + next_y + r * columns, odds(sums, sums), columns)


cdef inline void narrow_tiles(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, const DepthChannel* c) noexcept nogil:
    # Tiles of R rows, the last one moved up.
    cdef Py_ssize_t row = 0
    cdef Window w
    w.masks = c.scratch.masks
    while row < c.rows:
        row = smaller(row, c.rows - R)
        open_window(&w, c, (R - 1) * S + K, c.top + row * S, c.left)
        narrow_tile(K, S, R, c, &w, c.y + row * c.columns)
        row += R


cdef inline void narrow_channels(Py_ssize_t K, Py_ssize_t S, const DepthChannel* c) noexcept nogil:
    # In tiles that compute few rows again.  K and S are literals
    if c.rows >= TALL and ceil_div(c.rows, TALL) * TALL <= ceil_div(c.rows, LOW) * LOW:
        narrow_tiles(K, S, TALL, c)
    elif c.rows >= LOW:
        narrow_tiles(K, S, LOW, c)
    else:
        narrow_tiles(K, S, 1, c)


cdef inline void narrow_3(const DepthChannel* c) noexcept nogil:
    narrow_channels(3, 1, c)


cdef inline void narrow_5(const DepthChannel* c) noexcept nogil:
    narrow_channels(5, 1, c)


cdef inline void narrow_3_2(const DepthChannel* c) noexcept nogil:
    narrow_channels(3, 2, c)


cdef inline void narrow_5_2(const DepthChannel* c) noexcept nogil:
    narrow_channels(5, 2, c)


cdef inline void narrow_7(const DepthChannel* c) noexcept nogil:
    narrow_channels(7, 1, c)


cdef inline void narrow_7_2(const DepthChannel* c) noexcept nogil:
    narrow_channels(7, 2, c)
