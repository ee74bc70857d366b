# The transforms of Winograd's algorithm on their way from and to the arrays: source to V, weights to U, M to target.
#
# Channels are in the lanes. A piece of the source is transposed on its way in (panel.pxd), and a row of outputs on its
# way out; between the two every transform is plain arithmetic on whole vectors, whatever the size of the picture, and
# tiles need no more padding than that of their last row and column. (With tiles in the lanes nothing is transposed, but
# rows are split into four phases, small pictures leave lanes empty, and 36 sums of one tile lie far apart.)

from libc.string cimport memset

from geometry cimport larger, smaller
from panel cimport pack_panel, transpose, transpose_square
from vector cimport LANES, MAX_LANES, PANEL, ROWS, real, splat, store_lanes, vec
from winograd_matrices cimport (OUTPUTS, SPAN, at, line_of_data, line_of_output, line_of_weight, put,
                                weight_lines)
from winograd_plan cimport V_VECTOR, Winograd, panel_start
from workspace cimport Carver, carve

cdef enum:
    RUN = 8             # tiles whose lines are transformed downwards, then across: they stay in L1
    WEIGHTS = 16        # channels c whose weights are transposed at a time

cdef struct Window:
    # The part of the source that a block of tiles reads, and where its rows and columns of tiles are.
    Py_ssize_t row, rows            # of tiles, through all images
    Py_ssize_t column, columns      # of tiles
    Py_ssize_t first, width         # source columns
    Py_ssize_t before               # columns of padding left of them
    Py_ssize_t tiles

cdef struct Loom:
    # Scratch memory of a thread.
    real* plane         # [source rows of an image][width][LANES] the source of a block, transposed
    real* lines         # [SPAN][OUTPUTS * RUN + 2][LANES]
    real* taps          # [vectors of a panel][c][9][LANES]
    Py_ssize_t* tap_at  # [WEIGHTS * 9]


cdef inline void carve_loom(Loom* k, const Winograd* w, Carver* carver) noexcept nogil:
    cdef Py_ssize_t rows = OUTPUTS * smaller(w.rows, w.down) + 2, columns = OUTPUTS * w.columns + 2
    k.plane = <real*> carve(carver, rows * smaller(columns, larger(w.source_w, w.target_w)) * LANES, sizeof(real))
    k.lines = <real*> carve(carver, SPAN * (OUTPUTS * RUN + 2) * LANES, sizeof(real))
    k.taps = <real*> carve(carver, larger(w.c, LANES) * 9 * PANEL * LANES, sizeof(real))
    k.tap_at = <Py_ssize_t*> carve(carver, WEIGHTS * 9, sizeof(Py_ssize_t))


cdef inline Window window_of(const Winograd* w, Py_ssize_t block) noexcept nogil:
    cdef Window b
    cdef Py_ssize_t start, end
    b.row, b.column = block // w.column_bands * w.rows, block % w.column_bands * w.columns
    b.rows, b.columns = smaller(w.rows, w.n * w.down - b.row), smaller(w.columns, w.across - b.column)
    b.tiles = b.rows * b.columns
    start = b.column * OUTPUTS - w.left
    end = start + b.columns * OUTPUTS + 2
    b.first = smaller(larger(start, 0), w.source_w)
    b.width = larger(smaller(end, w.source_w) - b.first, 0)
    b.before = b.first - start
    return b


cdef inline void transpose_run(real* to, const real* source, Py_ssize_t channel, Py_ssize_t channels,
                               Py_ssize_t count) noexcept nogil:
    # to[i, lane] = source[lane, i], channels `channel` apart; lanes beyond `channels` hold some number of the last one.
    cdef Py_ssize_t i = 0, lane
    if count < LANES:
        for i in range(count):
            for lane in range(LANES):
                to[i * LANES + lane] = source[smaller(lane, channels - 1) * channel + i]
        return
    while i < count:
        i = smaller(i, count - LANES)
        transpose_square(source + i, channel, channels, to + i * LANES, LANES, LANES)
        i += LANES


cdef inline void open_rows(real* plane, const Window* b, const real* source, Py_ssize_t source_h, Py_ssize_t source_w,
                           Py_ssize_t channels, Py_ssize_t y, Py_ssize_t end) noexcept nogil:
    # plane[i] = the b.width numbers of source row y + i that the window sees; zeros where there is no such row.
    cdef Py_ssize_t row = b.width * LANES, area = source_h * source_w, inside
    while y < end and y < 0:
        memset(plane, 0, row * sizeof(real))
        plane += row
        y += 1
    inside = smaller(end, source_h)
    if b.width == source_w and y < inside:
        transpose_run(plane, source + y * source_w, area, channels, (inside - y) * source_w)
        plane += (inside - y) * row
        y = inside
    while y < inside:
        transpose_run(plane, source + y * source_w + b.first, area, channels, b.width)
        plane += row
        y += 1
    if y < end:
        memset(plane, 0, (end - y) * row * sizeof(real))


cdef inline void transform_row(real* v, const Winograd* w, const Window* b, Py_ssize_t tile, const real* plane,
                               real* lines) noexcept nogil:
    # One row of tiles, from number `tile` of the block on.  plane (6, b.width, LANES)
    cdef Py_ssize_t start, x, count, i, j, line = (OUTPUTS * RUN + 2) * LANES
    cdef real* to
    start = 0
    while start < b.columns:
        count = smaller(RUN, b.columns - start)
        for j in range(OUTPUTS * count + 2):
            x = OUTPUTS * start + j - b.before
            if 0 <= x < b.width:
                line_of_data(lines + j * LANES, line, plane + x * LANES, b.width * LANES)
            else:
                for i in range(SPAN):
                    put(lines + j * LANES, line, i, splat(0))
        for j in range(count):
            to = v + tile // ROWS * w.v_rows + tile % ROWS * LANES
            for i in range(SPAN):
                line_of_data(to + i * SPAN * ROWS * LANES, ROWS * LANES, lines + i * line + j * OUTPUTS * LANES, LANES)
            tile += 1
        start += RUN


cdef inline void transform_source(real* v, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t block,
                                  Py_ssize_t c_block, const real* source) noexcept nogil:
    # V of a block, for one vector of channels c.  source (n, groups * c, source_h, source_w)
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t row = b.row, last = b.row + b.rows, image, y, opened, tile = 0, i
    cdef Py_ssize_t c = c_block * LANES, channels = smaller(LANES, w.c - c)
    cdef const real* first
    v += c_block * V_VECTOR
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
            transform_row(v, w, &b, tile, k.plane + i * b.width * LANES, k.lines)
            tile += b.columns
            row += 1


cdef inline void transpose_weights(const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t panel,
                                   const real* weight) noexcept nogil:
    # The taps of a panel, a vector of channels m at a time: more rows than that no prefetcher follows.
    # weight: the array of all groups
    cdef Py_ssize_t m = panel_start(w, panel), end_m = smaller(panel_start(w, panel + 1), w.m), c, i
    cdef const real* end = weight + w.groups * w.weight_group
    cdef real* taps = k.taps
    for i in range(WEIGHTS * 9):
        k.tap_at[i] = i // 9 * w.weight_c + i % 9
    while m < end_m:
        c = 0
        while c < w.c:
            pack_panel(taps + c * 9 * LANES, LANES, weight + group * w.weight_group + m * w.weight_m + c * w.weight_c,
                       w.weight_m, smaller(LANES, end_m - m), k.tap_at, smaller(WEIGHTS, w.c - c) * 9, end)
            c += WEIGHTS
        taps += w.c * 9 * LANES
        m += LANES


cdef inline void transform_weights(real* u, const Winograd* w, const Loom* k, Py_ssize_t panel, Py_ssize_t first,
                                   Py_ssize_t lines) noexcept nogil:
    # From the taps to `lines` lines of U, from line `first` on.
    cdef Py_ssize_t width = panel_start(w, panel + 1) - panel_start(w, panel), _, lane, i
    cdef Py_ssize_t step = -LANES if w.flipped else LANES
    cdef const real* g
    cdef real* to
    cdef real a, b, d
    for i in range(first, first + lines):
        a, b, d = weight_lines[i][0], weight_lines[i][1], weight_lines[i][2]
        g = k.taps + (8 * LANES if w.flipped else 0)
        for lane in range(width // LANES):
            to = u + (i - first) * SPAN * w.u_point + lane * LANES
            for _ in range(w.c):
                line_of_weight(to, w.u_point,
                               a * at(g, step, 0) + b * at(g, step, 3) + d * at(g, step, 6),
                               a * at(g, step, 1) + b * at(g, step, 4) + d * at(g, step, 7),
                               a * at(g, step, 2) + b * at(g, step, 5) + d * at(g, step, 8))
                g += 9 * LANES
                to += width


cdef inline void transform_tile(real* pixels, Py_ssize_t row, const real* m, Py_ssize_t m_point, vec bias,
                                vec* doubt) noexcept nogil:
    # pixels[i * row + j, lane] = one tile of outputs. `doubt` becomes NaN where a number is not finite, or nearly not.
    cdef real between[OUTPUTS * SPAN * MAX_LANES]
    cdef vec y[OUTPUTS]
    cdef Py_ssize_t i, j
    for j in range(SPAN):
        line_of_output(y, m + j * m_point, SPAN * m_point)
        for i in range(OUTPUTS):
            put(between + j * LANES, SPAN * LANES, i, y[i])
    for i in range(OUTPUTS):
        line_of_output(y, between + i * SPAN * LANES, LANES)
        for j in range(OUTPUTS):
            put(pixels + i * row * LANES, LANES, j, y[j] + bias)
            doubt[j] = doubt[j] + splat(0) * (y[j] * 1024)


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
    # Returns whether any number is in doubt.
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
                    transform_tile(pixels + i * OUTPUTS * LANES, pitch, m + (tile + i) * width + lane, w.m_point,
                                   (<const vec*> (bias + first + lane))[0], doubt)
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
    return total != 0
