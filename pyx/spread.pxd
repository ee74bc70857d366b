# Depthwise input gradient with a stride of two and a 3x3 or 5x5 kernel, lanes = pixels: each pixel of the output
# gradient is spread over the four phases of its neighbours.
#
# As depthwise.pxd reads pictures where they are, and as in pairs.pxd most shifts serve both phases of an axis, and one
# at an end serves phase `alone`. Shifts count from that one on: to the left, or up, where it is the last.

from depthwise_task cimport close_target, close_task, open_channels, open_target, open_task, scale_rows
from depthwise_window cimport DepthChannel, DepthScratch, Window, open_window, reach
from geometry cimport larger, smaller
from plan cimport MAX_DEPTH, Sum, is_narrow
from shuffles cimport splat_pair, zip_evens, zip_halves, zip_high, zip_low, zip_odds
from vector cimport LANES, MAX_LANES, fetch, keep, real, splat, store_lanes, vec

cdef enum:
    ROW_PAIRS = 2           # rows of the output gradient of a tile, which fill twice as many

cdef struct Spread:
    # One channel of a task.
    DepthChannel c              # weights [phase v][phase h][shift v][shift h], of phases that count from `alone` too
    Py_ssize_t width            # of the target
    Py_ssize_t alone_v, alone_h
    Py_ssize_t down, right      # from shift to shift: 1 or -1

ctypedef void (*spread_t)(const Spread* k) noexcept nogil


cdef inline void store_pair(real* to, vec even, vec odd, Py_ssize_t count) noexcept nogil:
    # Alternating, the first `count` numbers.
    if count >= 2 * LANES:
        (<vec*> to)[0], (<vec*> (to + LANES))[0] = zip_low(even, odd), zip_high(even, odd)
        return
    store_lanes(to, zip_low(even, odd), smaller(count, LANES))
    if count > LANES:
        store_lanes(to + LANES, zip_high(even, odd), count - LANES)


cdef inline vec weighted(const Spread* k, bint narrow, Py_ssize_t i, vec place) noexcept nogil:
    if narrow:
        return splat_pair(k.c.weights + 2 * i) * place
    return k.c.weights[i] * place


cdef inline void spread_tile(Py_ssize_t K, bint narrow, const Spread* k, const Window* window, Py_ssize_t row,
                             Py_ssize_t column) noexcept nogil:
    # Positions (row .. row + ROW_PAIRS, column .. column + LANES); narrow, of two channels in alternate lanes. The
    # window begins with the row and column of the first shifts, wherever that is.  K, the number of shifts, and narrow
    # are literals
    cdef vec acc[4][ROW_PAIRS]
    cdef vec place, even, odd
    cdef const real* line
    cdef const real* other
    cdef real* to = k.c.y + 2 * column
    cdef Py_ssize_t width = k.width, height = k.c.target_rows, down = k.down, alone_v = k.alone_v, alone_h = k.alone_h
    cdef Py_ssize_t next_y = k.c.next_y, count = width - 2 * column, j, q, r, f, y, i
    for f in range(4):
        for r in range(ROW_PAIRS):
            acc[f][r] = splat_pair(k.c.biases) if narrow else splat(k.c.biases[0])
    for j in range(ROW_PAIRS + K - 1):
        line = other = k.c.scratch.zeros + K
        if <size_t> (window.top + j * down) < <size_t> window.height:
            line = window.x + j * window.pitch
            other = line + window.next
        for q in range(K):
            if narrow:
                place = zip_halves(line + q * k.right, other + q * k.right)
            else:
                place = (<const vec*> (line + q * k.right))[0]
            place = keep(place, (<const vec*> (window.masks + q * LANES))[0])
            for r in range(ROW_PAIRS):
                if 0 <= j - r < K:
                    i = (j - r) * K + q
                    acc[0][r] = acc[0][r] + weighted(k, narrow, i, place)
                    if q:
                        acc[1][r] = acc[1][r] + weighted(k, narrow, i + K * K, place)
                    if j - r:
                        acc[2][r] = acc[2][r] + weighted(k, narrow, i + 2 * K * K, place)
                    if q and j - r:
                        acc[3][r] = acc[3][r] + weighted(k, narrow, i + 3 * K * K, place)
    for r in range(ROW_PAIRS):
        for f in range(2):
            y = 2 * (row + (r if down > 0 else ROW_PAIRS - 1 - r)) + (f ^ alone_v)
            if y >= height:
                continue
            even, odd = acc[2 * f][r], acc[2 * f + 1][r]
            if alone_h:
                even, odd = odd, even
            if narrow:
                store_lanes(to + y * width, zip_evens(even, odd), count)
                store_lanes(to + next_y + y * width, zip_odds(even, odd), count)
            else:
                fetch(to + (y + 2 * ROW_PAIRS) * width)
                fetch(to + (y + 2 * ROW_PAIRS) * width + LANES)
                store_pair(to + y * width, even, odd, count)


cdef inline void spread_channel(Py_ssize_t K, bint narrow, const Spread* k) noexcept nogil:
    # Tiles side by side, the last ones moved left or up.
    cdef const DepthChannel* c = &k.c
    cdef Py_ssize_t row = 0, at, column, left, rows = ROW_PAIRS + K - 1
    cdef const real* masks
    cdef Window w
    cdef bint inside
    while row < c.rows:
        row = larger(smaller(row, c.rows - ROW_PAIRS), 0)
        at, masks = 0, c.scratch.masks
        while at < c.columns:
            column = larger(smaller(at, c.columns - LANES), 0)
            left = c.left + column
            open_window(&w, c, rows, c.top + row, left)
            if k.down < 0:
                w.x, w.pitch, w.top = w.x + (rows - 1) * w.pitch, -w.pitch, w.top + rows - 1
            if k.right < 0:
                w.x += K - 1
            inside = left >= 0 and left + reach(K, 1) <= c.width
            w.masks = c.scratch.all if inside else masks
            spread_tile(K, narrow, k, &w, row, column)
            masks += 0 if inside else K * LANES
            at += LANES
        row += ROW_PAIRS


cdef inline void spread_3(const Spread* k) noexcept nogil:
    spread_channel(2, False, k)


cdef inline void spread_5(const Spread* k) noexcept nogil:
    spread_channel(3, False, k)


cdef inline void narrow_3(const Spread* k) noexcept nogil:
    spread_channel(2, True, k)


cdef inline spread_t choose_spread(Py_ssize_t K, bint narrow) noexcept nogil:
    if narrow and LANES == MAX_LANES:
        return narrow_3
    return spread_3 if K == 2 else spread_5


cdef inline void list_taps(const Spread* k, const Sum* s, Py_ssize_t* tap, Py_ssize_t* place) noexcept nogil:
    # Which weight of a kernel goes where.
    cdef Py_ssize_t K = s.h.taps, i, j, f, shift_v, shift_h, count = 0
    for i in range(K):
        for j in range(K):
            shift_v = (s.v.tap[i].shift - s.v.tap[K - 1].shift) * k.down
            shift_h = (s.h.tap[j].shift - s.h.tap[K - 1].shift) * k.right
            for f in range(4):
                if (f < 2 or i < s.v.whole) and (f % 2 == 0 or j < s.h.whole):
                    tap[count] = ((s.v.tap[i].kernel + (f // 2 ^ k.alone_v)) * s.kernel_w
                                  + s.h.tap[j].kernel + (f % 2 ^ k.alone_h))
                    place[count] = (f * K + shift_v) * K + shift_h
                    count += 1


cdef inline bint run_spread_tasks(const Sum* s, DepthScratch* scratch, Py_ssize_t first, Py_ssize_t last,
                                  const real* source, const real* weight, const real* bias,
                                  real* target) noexcept nogil:
    # As run_depth_tasks().
    cdef Spread k
    cdef DepthChannel* c = &k.c
    cdef Py_ssize_t tap[MAX_DEPTH * MAX_DEPTH]
    cdef Py_ssize_t place[MAX_DEPTH * MAX_DEPTH]
    cdef Py_ssize_t task = first, taken, m, i
    cdef bint finite = True, narrow = is_narrow(s)
    cdef const real* w
    cdef const real* other
    cdef spread_t serve = choose_spread(s.h.taps, narrow)
    k.alone_v, k.alone_h, k.width = s.v.alone, s.h.alone, s.h.target
    k.down, k.right = 1 - 2 * s.v.alone, 1 - 2 * s.h.alone
    list_taps(&k, s, tap, place)
    open_channels(c, s, scratch, first)
    while task < last:
        taken = open_task(c, s, source, last - task)
        if s.source_shift:
            finite = scale_rows(s, c) and finite
        for m in range(s.m):
            w = weight + c.group * s.weight_group + m * s.weight_m
            other = weight + c.second * s.weight_group + m * s.weight_m
            for i in range(s.weight_m):
                if narrow:
                    c.weights[2 * place[i]], c.weights[2 * place[i] + 1] = w[tap[i]], other[tap[i]]
                else:
                    c.weights[place[i]] = w[tap[i]]
            open_target(c, s, m, bias, target)
            serve(&k)
            finite = close_target(c, s) and finite
        close_task(c, s, taken)
        task += taken
    return finite
