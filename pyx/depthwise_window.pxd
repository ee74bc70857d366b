# What the tiles of depthwise convolution read: rows of a picture where they are, and zeros for those of the padding.
#
# Nothing is copied: with only the taps to sum over, a padded copy would cost half as much as the sum. Rows beyond the
# picture are one row of zeros; columns beyond it are numbers of the neighbouring rows, cleared by a mask. Only where a
# tile would read outside the whole array are its rows copied first.
#
# Numbers below the normal range are scaled (scaling.pxd) on the way, in bands of rows that the first-level cache holds:
# what a band reads is multiplied into the thread's memory, and what it wrote, where it is. Two more passes over the
# arrays would take longer than the sum.

from libc.string cimport memcpy, memset

from geometry cimport ceil_div, larger, positions, smaller
from plan cimport MAX_DEPTH, Sum, is_narrow
from scaling cimport scale_block, scale_t
from vector cimport LANES, evens, fetch, held, lanes_inside, odds, real, vec, zip_low
from workspace cimport LINE, Carver, carve

cdef enum:
    TALLEST = 14            # rows of a tile, where there are registers for them ...
    TALL = 7                # ... about as many sums as keep the multipliers busy ...
    LOW = 4                 # ... and fewer
    KERNEL = MAX_DEPTH * MAX_DEPTH
    BEFORE = 32             # numbers before those that are scaled, where a tile may read: whole lines
    SCALED_BYTES = 32 * 1024        # of the rows that a band reads and writes, if they are scaled ...
    SCALED_ROWS = 28        # ... and so many times a number of rows: whole tiles

cdef struct DepthChannel

ctypedef void (*copy_t)(const DepthChannel* c, const real* x, Py_ssize_t rows, Py_ssize_t top, Py_ssize_t left,
                        real* to) noexcept nogil

cdef struct DepthScratch:
    real* zeros             # a row of the padding
    real* masks             # [strips at an edge][K][LANES]
    real* all               # [K][LANES] the mask of no edge
    real* windows           # [2][rows of a tile][window] copies of what lies at the ends of the array
    scale_t scale           # functions of their own, see tile.pxd
    copy_t copy             # fills windows
    real* scaled            # [BEFORE + rows of a band + window] rows of the source

cdef struct DepthChannel:
    # One channel of a task; of narrow pictures, two.
    const real* x
    const real* ahead       # from here on a tile fetches the rows that follow its own
    Py_ssize_t height, width, taps      # taps: along an axis; as a variable, lest loops that end there be unrolled
    Py_ssize_t before, behind       # numbers of the array before x, and from x on
    Py_ssize_t top, left            # source position of the first target
    bint far                        # whether pictures come from beyond the third level
    bint flipped                    # whether the source is in the opposite order of the kernel
    real weights[KERNEL]
    real bias
    real pairs[2 * KERNEL]          # weights of two channels, in the order of the kernel, and their biases
    real biases[2]
    real* y
    Py_ssize_t next_x, next_y       # from the first channel to the second, or 0
    Py_ssize_t rows, columns
    DepthScratch* scratch

cdef struct Window:
    # Of a tile.
    const real* x           # where row `top` of a picture of `height` rows is read first
    Py_ssize_t next         # from there to the same place in the second picture
    Py_ssize_t pitch, top, height
    const real* masks


cdef inline Py_ssize_t window() noexcept nogil:
    # Numbers that a tile may load from a row.
    return 2 * LANES + MAX_DEPTH


cdef inline Py_ssize_t reach(Py_ssize_t K, Py_ssize_t S) noexcept nogil:
    # How many numbers of a row the taps of a strip span.
    return (LANES - 1) * S + K


cdef inline void copy_window(const DepthChannel* c, const real* x, Py_ssize_t rows, Py_ssize_t top, Py_ssize_t left,
                             real* to) noexcept nogil:
    cdef Py_ssize_t first = smaller(larger(-left, 0), window()), last = larger(smaller(c.width - left, window()), first)
    cdef Py_ssize_t y
    memset(to, 0, rows * window() * sizeof(real))
    for y in range(top, top + rows):
        if 0 <= y < c.height:
            memcpy(to + first, x + y * c.width + left + first, (last - first) * sizeof(real))
        to += window()


cdef inline void open_window(Window* w, const DepthChannel* c, Py_ssize_t rows, Py_ssize_t top,
                             Py_ssize_t left) noexcept nogil:
    # Of `rows` rows of the source from `top` on, which a tile reads from column `left` on.
    cdef Py_ssize_t first = larger(top, 0), last = smaller(top + rows, c.height) - 1
    cdef real* windows = c.scratch.windows
    w.x, w.next, w.pitch, w.top, w.height = c.x + top * c.width + left, c.next_x, c.width, top, c.height
    if first * c.width + left < -c.before or c.next_x + last * c.width + left + window() > c.behind:
        c.scratch.copy(c, c.x, rows, top, left, windows)
        w.x, w.next, w.pitch, w.top, w.height = windows, 0, window(), 0, rows
        if c.next_x:
            w.next = rows * window()
            c.scratch.copy(c, c.x + c.next_x, rows, top, left, windows + w.next)


cdef inline bint is_row(const Window* w, Py_ssize_t j) noexcept nogil:
    # Whether row j of the window is one of the picture.
    return <size_t> (w.top + j) < <size_t> w.height


cdef inline bint pairs_up(const Sum* s, bint narrow, Py_ssize_t task, Py_ssize_t last) noexcept nogil:
    # Whether the pictures of a task and of the next one go together. One that is left over goes with itself.
    return narrow and s.row_bands == 1 and task + 1 < last and not (s.source_shift or s.target_shift)


cdef inline const real* window_row(const Window* w, const DepthScratch* k, Py_ssize_t j) noexcept nogil:
    # Row j of the window.
    return w.x + j * w.pitch if is_row(w, j) else k.zeros


cdef inline vec tap_vector(Py_ssize_t S, Py_ssize_t q, const real* line, vec* pair) noexcept nogil:
    # What tap q of a row reads: LANES numbers, S apart. S and q are literals; with a stride of two every load serves
    # two taps, the even one first, by way of `pair`.
    if S == 1:
        return held((<const vec*> (line + q))[0])
    if q % 2:
        return odds(pair[0], pair[1])
    pair[0], pair[1] = held((<const vec*> (line + q))[0]), held((<const vec*> (line + q + LANES))[0])
    return evens(pair[0], pair[1])


cdef inline void fetch_rows(const real* first, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t S) noexcept nogil:
    # What a strip of the next tile reads (S is a literal), or whatever lies there: no prefetcher follows so many rows
    # from memory. (Where a vector is a cache line; it was not measured elsewhere.)
    cdef Py_ssize_t _, q
    if LANES < LINE:
        return
    for _ in range(rows):
        for q in range(S):
            fetch(first + q * LANES)
        first += pitch


cdef inline Py_ssize_t scaled_rows(const Sum* s) noexcept nogil:
    # Of a band at most, if it is scaled.
    cdef Py_ssize_t numbers = s.v.pace * s.h.source + (2 if s.paired else 1) * s.h.target
    cdef Py_ssize_t bytes = SCALED_ROWS * larger(numbers, 1) * <Py_ssize_t> sizeof(real)
    return smaller(s.band_rows, larger(SCALED_BYTES // bytes, 1) * SCALED_ROWS)


cdef inline void cut_scaled(Sum* s) noexcept nogil:
    s.band_rows = scaled_rows(s)
    s.row_bands = ceil_div(positions(&s.v, 0), s.band_rows)
    s.tasks = s.n * s.groups * s.row_bands


cdef inline Py_ssize_t source_rows(const Sum* s, Py_ssize_t rows) noexcept nogil:
    # Rows of the source that so many rows of a band read; a tile of spread.pxd has two at least.
    return (larger(rows, 2) - 1) * s.v.pace + s.v.taps


cdef inline bint scale_rows(const Sum* s, DepthChannel* c) noexcept nogil:
    # Let a channel read a multiplied copy of the rows that it needs. Returns whether all of it is finite.
    cdef Py_ssize_t first = larger(c.top, 0), last = smaller(c.top + source_rows(s, c.rows), c.height)
    cdef Py_ssize_t start = first * c.width, count = larger(last - first, 0) * c.width
    cdef bint finite = c.scratch.scale(c.x + start, c.scratch.scaled + BEFORE, 0, count, s.source_shift)
    c.ahead = c.x + (c.rows - LOW) * s.v.pace * c.width         # those of the next band
    c.x = c.scratch.scaled + BEFORE - start
    c.before, c.behind = BEFORE - start, start + count + window()
    return finite


cdef inline void carve_depth(DepthScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t K = s.h.taps, S = s.h.pace, edges = 0, at = 0, column, left, q, columns = positions(&s.h, 0)
    cdef bint backwards = s.paired and s.h.alone
    cdef vec* mask
    k.zeros = <real*> carve(carver, window(), sizeof(real))
    k.windows = <real*> carve(carver, 2 * (TALLEST + MAX_DEPTH) * window(), sizeof(real))
    k.scaled = <real*> carve(carver, BEFORE + source_rows(s, scaled_rows(s)) * s.h.source + window(), sizeof(real))
    # At most so many strips reach beyond one end or the other.
    k.masks = <real*> carve(carver, 2 * (MAX_DEPTH // LANES + 2) * K * LANES, sizeof(real))
    k.all = <real*> carve(carver, K * LANES, sizeof(real))
    k.scale, k.copy = scale_block, copy_window
    if carver.base == NULL:
        return
    for q in range(window()):
        k.zeros[q] = 0
    for q in range(K):
        (<vec*> (k.all + q * LANES))[0] = lanes_inside(0, 1, LANES)
    while at < columns:
        column = larger(smaller(at, columns - LANES), 0)
        left = column * S + s.h.origin
        if left < 0 or left + reach(K, S) > s.h.source:
            for q in range(K):
                mask = <vec*> (k.masks + (edges * K + q) * LANES)
                mask[0] = lanes_inside(left + (K - 1 - q if backwards else q), S, s.h.source)
                if is_narrow(s):
                    mask[0] = zip_low(mask[0], mask[0])
            edges += 1
        at += LANES
