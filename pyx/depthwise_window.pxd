# What the tiles of depthwise convolution read: rows of a picture where they are, and zeros for those of the padding.
#
# Nothing is copied: with only the taps to sum over, a padded copy would cost half as much as the sum. Rows beyond the
# picture are one row of zeros; columns beyond it are numbers of the neighbouring rows, cleared by a mask. Only where a
# tile would read outside the whole array are its rows copied first.

from libc.string cimport memcpy, memset

from geometry cimport larger, smaller
from plan cimport MAX_DEPTH
from scaling cimport scale_t
from shuffles cimport evens, odds
from vector cimport LANES, fetch, held, real, vec
from workspace cimport LINE

cdef enum:
    TALLEST = 14            # rows of a tile, where there are registers for them ...
    TALL = 7                # ... about as many sums as keep the multipliers busy ...
    LOW = 4                 # ... and fewer
    KERNEL = MAX_DEPTH * MAX_DEPTH

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
    # A band of rows of one channel; of narrow pictures, two channels.
    Py_ssize_t plane, group, second     # image * groups + group; the group of the second channel
    Py_ssize_t row, last_row        # first position of the band, and end of those of a picture
    bint pairable                   # whether two channels go together
    const real* x
    const real* ahead       # from here on a tile fetches the rows that follow its own
    Py_ssize_t height, width, taps      # taps: along an axis; as a variable, lest loops that end there be unrolled
    Py_ssize_t before, behind       # numbers of the array before x, and from x on
    Py_ssize_t top, left            # source position of the first target
    bint far                        # whether pictures come from beyond the third level
    bint flipped                    # whether the source is in the opposite order of the kernel
    real weights[2 * KERNEL]        # in the order of the source; or of two channels, pairs in that of the kernel
    real biases[2]
    real* y
    Py_ssize_t next_x, next_y       # from the first channel to the second, or 0
    Py_ssize_t rows, columns
    Py_ssize_t target_rows          # of y: as many, or twice as many where phases are paired
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


cdef inline const real* window_row(const Window* w, const DepthScratch* k, Py_ssize_t j) noexcept nogil:
    # Row j of the window.
    return w.x + j * w.pitch if is_row(w, j) else k.zeros


cdef inline vec tap_vector(Py_ssize_t S, Py_ssize_t q, bint hold, const real* line, vec* pair) noexcept nogil:
    # What tap q of a row reads: LANES numbers, S apart. With a stride of two every load serves two taps, the even one
    # first, by way of `pair`.  S, q and hold are literals. (Unless told to hold it, gcc may load a vector again for
    # each multiply-add: a fifth slower where there are registers left, a little faster where weights fill them.)
    if S == 1:
        return held((<const vec*> (line + q))[0]) if hold else (<const vec*> (line + q))[0]
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
