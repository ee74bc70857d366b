# What a block of tiles sees of the source: where that is, and its way into lanes of channels, with zeros around it.

from libc.string cimport memset

from geometry cimport larger, smaller
from panel cimport transpose
from vector cimport LANES, MAX_LANES, real, vec
from winograd_lines cimport put
from winograd_sum cimport Winograd

cdef struct Window:
    # The part of the source that a block of tiles reads, and where its rows and columns of tiles are.
    Py_ssize_t row, rows            # of tiles, through all images
    Py_ssize_t column, columns      # of tiles
    Py_ssize_t tiles
    Py_ssize_t height, across       # of a picture of the source
    Py_ssize_t first, inside        # source columns
    Py_ssize_t before               # columns of padding left of them
    Py_ssize_t width                # with padding


cdef inline void look(Window* b, Py_ssize_t start, Py_ssize_t width, Py_ssize_t source_h,
                      Py_ssize_t source_w) noexcept nogil:
    # At `width` columns from source column `start` on, some of which may not exist.
    b.height, b.across, b.width = source_h, source_w, width
    b.first = smaller(larger(start, 0), source_w)
    b.inside = larger(smaller(start + width, source_w) - b.first, 0)
    b.before = smaller(b.first - start, width)


cdef inline Py_ssize_t first_row(const Winograd* w, Py_ssize_t band) noexcept nogil:
    # Of tiles, through all images.
    cdef Py_ssize_t rows = w.n * w.down
    return band * rows // w.row_bands if w.even else smaller(band * w.rows, rows)


cdef inline Window window_of(const Winograd* w, Py_ssize_t block) noexcept nogil:
    cdef Window b
    cdef Py_ssize_t band = block // w.column_bands
    b.row, b.column = first_row(w, band), block % w.column_bands * w.columns
    b.rows, b.columns = first_row(w, band + 1) - b.row, smaller(w.columns, w.across - b.column)
    b.tiles = b.rows * b.columns
    look(&b, b.column * w.step_across - w.left, b.columns * w.step_across + w.overlap_across * w.apart,
         w.source_h, w.source_w)
    return b


cdef inline void transpose_run(real* to, Py_ssize_t x, const Window* b, const real* source, Py_ssize_t channel,
                               Py_ssize_t channels, Py_ssize_t count) noexcept nogil:
    # The next `count` numbers of the source, from column x of the window on, go from row to row of the plane, past the
    # padding: to[i, lane] = source[lane, i], channels `channel` apart. Lanes beyond `channels` hold some number of the
    # last one.
    cdef vec a[MAX_LANES]
    cdef Py_ssize_t i, lane, gap = (b.width - b.inside) * LANES
    while count >= LANES:
        for lane in range(LANES):
            a[lane] = (<const vec*> (source + smaller(lane, channels - 1) * channel))[0]
        transpose(a)
        if x + LANES <= b.inside:
            for i in range(LANES):
                put(to, LANES, i, a[i])
            to += LANES * LANES
            x += LANES
        else:
            for i in range(LANES):
                if x == b.inside:
                    to += gap
                    x = 0
                put(to, LANES, 0, a[i])
                to += LANES
                x += 1
        source += LANES
        count -= LANES
    for i in range(count):
        if x == b.inside:
            to += gap
            x = 0
        for lane in range(LANES):
            to[lane] = source[smaller(lane, channels - 1) * channel + i]
        to += LANES
        x += 1


cdef inline void open_neighbours(real* plane, const Window* b, const real* source, Py_ssize_t channels, Py_ssize_t y,
                                 Py_ssize_t end) noexcept nogil:
    # plane[i] = what the window sees of source row y + i, with zeros where there is no such row or column.
    cdef Py_ssize_t row = b.width * LANES, area = b.height * b.across, inside, i
    while y < end and (y < 0 or y >= b.height or b.inside == 0):
        memset(plane, 0, row * sizeof(real))
        plane += row
        y += 1
    inside = smaller(end, b.height)
    for i in range(inside - y):
        memset(plane + i * row, 0, b.before * LANES * sizeof(real))
        memset(plane + i * row + (b.before + b.inside) * LANES, 0,
               (b.width - b.before - b.inside) * LANES * sizeof(real))
    plane += b.before * LANES
    if b.inside == b.across and y < inside:
        transpose_run(plane, 0, b, source + y * b.across, area, channels, (inside - y) * b.across)
        plane += (inside - y) * row
        y = inside
    while y < inside:
        transpose_run(plane, 0, b, source + y * b.across + b.first, area, channels, b.inside)
        plane += row
        y += 1
    if y < end:
        memset(plane - b.before * LANES, 0, (end - y) * row * sizeof(real))


cdef inline void open_rows(real* plane, const Window* b, const real* source, Py_ssize_t channels, Py_ssize_t y,
                           Py_ssize_t apart, Py_ssize_t count) noexcept nogil:
    # The same of `count` rows from y on, `apart` from each other.
    cdef Py_ssize_t together = count if apart == 1 else 1, i = 0
    while i < count:
        open_neighbours(plane + i * b.width * LANES, b, source, channels, y + i * apart, y + i * apart + together)
        i += together
