# The transforms of Winograd's algorithm on their way from and to the arrays: source to V, weights to U, M to target.
#
# Channels are in the lanes. A piece of the source is transposed on its way in (panel.pxd), and a row of outputs on its
# way out; between the two every transform is plain arithmetic on whole vectors, whatever the size of the picture, and
# tiles need no more padding than that of their last row and column. (With tiles in the lanes nothing is transposed, but
# rows are split into four phases, small pictures leave lanes empty, and 36 sums of one tile lie far apart.)

from libc.string cimport memset

from geometry cimport larger, smaller
from panel cimport pack_panel, transpose
from vector cimport LANES, LARGEST, MAX_LANES, PANEL, real, splat, store_lanes, vec
from winograd_matrices cimport OUTPUTS, POINTS, SPAN, put, transform_data, transform_output, transform_weight
from winograd_plan cimport Winograd, panel_start
from workspace cimport Carver, carve

cdef enum:
    WEIGHTS = 16        # channels c whose weights are transposed at a time: they stay in L1

cdef struct Window:
    # The part of the source that a block of tiles reads, and where its rows and columns of tiles are.
    Py_ssize_t row, rows            # of tiles, through all images
    Py_ssize_t column, columns      # of tiles
    Py_ssize_t tiles
    Py_ssize_t first, inside        # source columns
    Py_ssize_t before               # columns of padding left of them
    Py_ssize_t width                # with padding

cdef struct Loom:
    # Scratch memory of a thread.
    real* plane         # [rows of an image][width][LANES] what a window sees, transposed and padded
    real* taps          # [WEIGHTS][9][LANES], or of a whole panel
    Py_ssize_t* tap_at  # [WEIGHTS * 9]


cdef inline void carve_loom(Loom* k, const Winograd* w, Carver* carver) noexcept nogil:
    cdef Py_ssize_t rows = OUTPUTS * smaller(w.rows, w.down) + 2, columns = OUTPUTS * w.columns + 2
    k.plane = <real*> carve(carver, rows * columns * LANES, sizeof(real))
    k.taps = <real*> carve(carver, WEIGHTS * 9 * PANEL * LANES, sizeof(real))
    k.tap_at = <Py_ssize_t*> carve(carver, WEIGHTS * 9, sizeof(Py_ssize_t))


cdef inline void look(Window* b, Py_ssize_t start, Py_ssize_t width, Py_ssize_t source_w) noexcept nogil:
    # At `width` columns from source column `start` on, some of which may not exist.
    b.width = width
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
    look(&b, b.column * OUTPUTS - w.left, b.columns * OUTPUTS + 2, w.source_w)
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


cdef inline void open_rows(real* plane, const Window* b, const real* source, Py_ssize_t source_h, Py_ssize_t source_w,
                           Py_ssize_t channels, Py_ssize_t y, Py_ssize_t end) noexcept nogil:
    # plane[i] = what the window sees of source row y + i, with zeros where there is no such row or column.
    cdef Py_ssize_t row = b.width * LANES, area = source_h * source_w, inside, i
    while y < end and (y < 0 or y >= source_h or b.inside == 0):
        memset(plane, 0, row * sizeof(real))
        plane += row
        y += 1
    inside = smaller(end, source_h)
    for i in range(inside - y):
        memset(plane + i * row, 0, b.before * LANES * sizeof(real))
        memset(plane + i * row + (b.before + b.inside) * LANES, 0,
               (b.width - b.before - b.inside) * LANES * sizeof(real))
    plane += b.before * LANES
    if b.inside == source_w and y < inside:
        transpose_run(plane, 0, b, source + y * source_w, area, channels, (inside - y) * source_w)
        plane += (inside - y) * row
        y = inside
    while y < inside:
        transpose_run(plane, 0, b, source + y * source_w + b.first, area, channels, b.inside)
        plane += row
        y += 1
    if y < end:
        memset(plane - b.before * LANES, 0, (end - y) * row * sizeof(real))


cdef inline void transform_row(real* v, const Winograd* w, const Window* b, Py_ssize_t tile,
                               const real* plane) noexcept nogil:
    # One row of tiles, from number `tile` of the block on.  plane (6, b.width, LANES)
    for _ in range(b.columns):
        transform_data(v + tile // w.group * w.v_rows + tile % w.group * LANES, w.v_point, plane, b.width * LANES)
        plane += OUTPUTS * LANES
        tile += 1


cdef inline void transform_source(real* v, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t block,
                                  Py_ssize_t c_block, const real* source) noexcept nogil:
    # V of a block, for one vector of channels c.  source (n, groups * c, source_h, source_w)
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t row = b.row, last = b.row + b.rows, image, y, opened, tile = 0, i
    cdef Py_ssize_t c = c_block * LANES, channels = smaller(LANES, w.c - c)
    cdef const real* first
    v += c_block * w.v_vector
    while row < last:
        image = row // w.down
        first = source + ((image * w.groups + group) * w.c + c) * w.source_h * w.source_w
        y = row % w.down * OUTPUTS - w.top
        opened = 0
        while row < last and row // w.down == image:
            i = OUTPUTS * (row % w.down) - w.top - y
            open_rows(k.plane + opened * b.width * LANES, &b, first, w.source_h, w.source_w, channels, y + opened,
                      y + i + SPAN)
            opened = i + SPAN
            transform_row(v, w, &b, tile, k.plane + i * b.width * LANES)
            tile += b.columns
            row += 1


cdef inline void clear_tiles(real* to, const Winograd* w, Py_ssize_t tile, Py_ssize_t last, Py_ssize_t rows,
                             Py_ssize_t width) noexcept nogil:
    # Those from `tile` on, of a vector of V or D.  rows: numbers per group of tiles
    cdef Py_ssize_t i
    while tile < last:
        for i in range(POINTS):
            put(to + tile // w.group * rows + tile % w.group * width, w.group * width, i, splat(0))
        tile += 1


cdef inline void transpose_weights(real* taps, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t vector,
                                   Py_ssize_t first, Py_ssize_t count, const real* weight) noexcept nogil:
    # taps (count, 9, LANES) of a vector of channels m and `count` channels c from `first` on.  weight: of all groups
    cdef Py_ssize_t m = vector * LANES, i
    for i in range(WEIGHTS * 9):
        k.tap_at[i] = i // 9 * w.weight_c + i % 9
    while count > 0:
        pack_panel(taps, LANES, weight + group * w.weight_group + m * w.weight_m + first * w.weight_c, w.weight_m,
                   smaller(LANES, w.m - m), k.tap_at, smaller(WEIGHTS, count) * 9, weight + w.groups * w.weight_group)
        taps += WEIGHTS * 9 * LANES
        first += WEIGHTS
        count -= WEIGHTS


cdef inline void transform_weights(real* u, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t panel,
                                   Py_ssize_t first, Py_ssize_t count, const real* weight,
                                   const real* transposed) noexcept nogil:
    # U of a panel and `count` channels c from `first` on, from the array of all groups, or from its transposed weights.
    cdef Py_ssize_t start = panel_start(w, panel) // LANES, vectors = panel_start(w, panel + 1) // LANES - start
    cdef Py_ssize_t step = -LANES if w.flipped else LANES, vector, c, i
    cdef const real* g
    for vector in range(vectors):
        c = 0
        while c < count:
            if weight != NULL:
                transpose_weights(k.taps, w, k, group, start + vector, first + c, smaller(WEIGHTS, count - c), weight)
                g = k.taps
            else:
                g = transposed + ((group * w.vectors + start + vector) * w.c + first + c) * 9 * LANES
            if w.flipped:
                g += 8 * LANES
            for i in range(smaller(WEIGHTS, count - c)):
                transform_weight(u + ((c + i) * vectors + vector) * LANES, w.u_point, g + i * 9 * LANES, step)
            c += WEIGHTS


cdef inline void store_pixels(real* target, Py_ssize_t channel, Py_ssize_t channels, const real* pixels,
                              Py_ssize_t count) noexcept nogil:
    # target[lane, i] = pixels[i, lane]
    cdef vec a[MAX_LANES]
    cdef Py_ssize_t i
    for i in range(LANES):
        a[i] = (<const vec*> (pixels + i * LANES))[0]
    transpose(a)
    if count == LANES and channels == LANES:
        for i in range(LANES):
            (<vec*> (target + i * channel))[0] = a[i]
        return
    for i in range(LANES):
        if i < channels:
            store_lanes(target + i * channel, a[i], count)


cdef inline bint transform_products(real* target, const Winograd* w, Py_ssize_t group, Py_ssize_t block,
                                    Py_ssize_t panel, const real* m, const real* bias) noexcept nogil:
    # M of a block and a panel to the target (n, groups * m, target_h, target_w); bias padded to whole vectors.
    # Returns whether any number is in doubt: not finite, or so large that its square is not.
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t first = panel_start(w, panel), width = panel_start(w, panel + 1) - first
    cdef Py_ssize_t area = w.target_h * w.target_w, group_of_tiles = larger(LANES // OUTPUTS, 1)
    cdef Py_ssize_t pitch = group_of_tiles * OUTPUTS
    cdef Py_ssize_t r, x, lane, i, j, y, column, tile, channels
    cdef real pixels[OUTPUTS * MAX_LANES * MAX_LANES]
    cdef real sums[OUTPUTS * MAX_LANES]
    cdef vec doubt[OUTPUTS]
    cdef real total = 0
    cdef real* to
    for i in range(OUTPUTS):
        doubt[i] = splat(0)
    for r in range(b.rows):
        y = (b.row + r) % w.down * OUTPUTS
        x = 0
        while x < b.columns:
            tile = r * b.columns + x
            column = (b.column + x) * OUTPUTS
            lane = 0
            while lane < width:
                channels = smaller(LANES, w.m - first - lane)
                for i in range(smaller(group_of_tiles, b.columns - x)):
                    transform_output(pixels + i * OUTPUTS * LANES, pitch * LANES, m + (tile + i) * width + lane,
                                     w.m_point, (<const vec*> (bias + first + lane))[0], doubt)
                to = target + ((((b.row + r) // w.down * w.groups + group) * w.m + first + lane) * area
                               + y * w.target_w + column)
                for i in range(smaller(OUTPUTS, w.target_h - y)):
                    j = 0
                    while j < pitch and column + j < w.target_w:
                        store_pixels(to + i * w.target_w + j, area, channels, pixels + (i * pitch + j) * LANES,
                                     smaller(LANES, w.target_w - column - j))
                        j += LANES
                lane += LANES
            x += group_of_tiles
    for i in range(OUTPUTS):
        (<vec*> (sums + i * LANES))[0] = doubt[i]
    for i in range(OUTPUTS * LANES):
        total += sums[i]
    return not total <= LARGEST
