# The two schedules of the weight gradient by Winograd's algorithm; a part of winograd.pyx.
#
#   by shares    each thread takes shares of the tiles, from x and dy to taps of its own, which are then added in order
#   staged       V and D of as many blocks as the L3 holds; then each thread takes its pieces of S through them
#
# Which one it is depends on the geometry, so the order of every sum does too.

from cython.parallel cimport prange, threadid

from geometry cimport smaller
from vector cimport LANES, real
from winograd_plan cimport panel_start
from winograd_sum cimport Winograd
from winograd_transform cimport Loom, carve_loom
from winograd_window cimport window_of
from winograd_taps cimport add_shares, place_taps, store_taps, transform_sums
from winograd_weight_gradient cimport S_VECTORS, Walk, add_products, fill_up, transform_dy
from workspace cimport Carver, carve

cdef struct WalkCall:
    # What all threads share.
    Walk k
    const real* x
    const real* dy
    real* dw
    real* v             # of a stage
    real* d
    real* s             # of all panels, if they meet more than one stage
    real* taps          # [groups][shares]
    char* doubted       # one
    char* base
    size_t own

cdef struct WalkHand:
    # What one thread works with.
    Loom loom
    real* v             # of a block: its own, or the call's
    real* d
    real* s             # of all panels, or of S_VECTORS vectors of channels c


cdef void carve_walk_hand(WalkHand* h, const WalkCall* call, Carver* carver) noexcept nogil:
    cdef const Walk* k = &call.k
    carve_loom(&h.loom, &k.w, carver)
    h.v, h.d, h.s = call.v, call.d, call.s
    if k.shares:
        h.v = <real*> carve(carver, k.tiles // k.w.group * k.w.v_rows, sizeof(real))
        h.d = <real*> carve(carver, k.tiles // k.w.group * k.d_rows, sizeof(real))
        h.s = <real*> carve(carver, k.w.panels * k.s_panel, sizeof(real))
    elif k.stages == 1:
        h.s = <real*> carve(carver, S_VECTORS * k.s_vector, sizeof(real))


cdef inline WalkHand walk_hand_of(const WalkCall* call, Py_ssize_t thread) noexcept nogil:
    cdef WalkHand h
    cdef Carver carver
    carver.base, carver.used = call.base + thread * call.own, 0
    carve_walk_hand(&h, call, &carver)
    place_taps(h.loom.tap_at, &call.k.w, 0)
    return h


cdef inline real* share_of(const WalkCall* call, Py_ssize_t group, Py_ssize_t share) noexcept nogil:
    return call.taps + (group * call.k.shares + share) * call.k.taps_share


cdef void make_gradient(const Walk* k, Loom* loom, Py_ssize_t group, Py_ssize_t block, Py_ssize_t vector, bint filled,
                        const real* dy, real* d) noexcept nogil:
    transform_dy(d, k, loom, group, block, vector, filled, dy)


cdef void add_vectors(const Walk* k, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, bint start,
                      Py_ssize_t tiles, const real* v, const real* d, real* s) noexcept nogil:
    add_products(k, panel, first, last, start, tiles, v, d, s)


cdef void finish_sums(const Walk* k, Py_ssize_t panel, Py_ssize_t vector, const real* s, real* taps) noexcept nogil:
    transform_sums(taps, &k.w, panel, vector % k.w.cuts, s)


cdef bint finish_taps(const Walk* k, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t vector, Py_ssize_t* tap_at,
                      const real* taps, real* dw) noexcept nogil:
    return store_taps(dw, &k.w, group, panel, vector, tap_at, taps)


cdef void run_share(const WalkCall* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    # From x and dy to the taps of a share, or of some of its panels.
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t part = task % k.panel_parts, share = task // k.panel_parts % k.shares, block, i, panel
    cdef Py_ssize_t group = task // k.panel_parts // k.shares
    cdef Py_ssize_t first = share * w.blocks // k.shares, last = (share + 1) * w.blocks // k.shares
    cdef Py_ssize_t first_panel = part * w.panels // k.panel_parts
    cdef Py_ssize_t last_panel = (part + 1) * w.panels // k.panel_parts
    cdef real* taps = share_of(call, group, share)
    for block in range(first, last):
        for i in range(w.c_blocks):
            make_source(w, &h.loom, group, block, i, call.x, h.v)
        for i in range(panel_start(w, first_panel) // LANES, panel_start(w, last_panel) // LANES):
            make_gradient(k, &h.loom, group, block, i, False, call.dy, h.d)
        for panel in range(first_panel, last_panel):
            add_vectors(k, panel, 0, w.v_vectors, block == first, window_of(w, block).tiles, h.v, h.d,
                        h.s + panel * k.s_panel)
    for panel in range(first_panel, last_panel):
        for i in range(w.v_vectors):
            finish_sums(k, panel, i, h.s + panel * k.s_panel + i * k.s_vector,
                        taps + panel * k.taps_panel + i * k.taps_vector)


cdef void join_shares(const WalkCall* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    # Of a panel and a vector of channels c.
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef Py_ssize_t i = task % k.w.v_vectors, panel = task // k.w.v_vectors % k.w.panels
    cdef Py_ssize_t group = task // k.w.v_vectors // k.w.panels
    cdef real* taps = share_of(call, group, 0) + panel * k.taps_panel + i * k.taps_vector
    add_shares(taps, k.taps_vector, k.shares, k.taps_share)
    if finish_taps(k, group, panel, i, h.loom.tap_at, taps, call.dw):
        call.doubted[0] = 1


cdef void stage_pictures(const WalkCall* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t task,
                         Py_ssize_t thread) noexcept nogil:
    # One vector of channels of one block: of x, or of dy.
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t both = w.c_blocks + w.vectors, block = task // both, i = task % both
    cdef real* v = h.v + block * w.v_block
    if i < w.c_blocks:
        make_source(w, &h.loom, group, first + block, i, call.x, v)
        fill_up(v + i * w.cuts * w.v_vector, w, first + block, w.v_rows, LANES, w.cuts * w.points)
    else:
        make_gradient(k, &h.loom, group, first + block, i - w.c_blocks, True, call.dy,
                      h.d + block * w.tiles // w.group * k.d_rows)


cdef void add_stage(const WalkCall* call, Py_ssize_t group, Py_ssize_t stage, Py_ssize_t task,
                    Py_ssize_t thread) noexcept nogil:
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t panel = task % w.panels, part = task // w.panels, i, next
    cdef Py_ssize_t first = part * w.v_vectors // k.c_parts, last = (part + 1) * w.v_vectors // k.c_parts
    cdef Py_ssize_t end = smaller((stage + 1) * w.stage, w.blocks) - 1
    cdef Py_ssize_t tiles = (end - stage * w.stage) * w.tiles + window_of(w, end).tiles
    cdef real* s = h.s
    if end + 1 < w.blocks:
        tiles = (end + 1 - stage * w.stage) * w.tiles
    while first < last:
        next = smaller(first + S_VECTORS, last)
        if k.stages > 1:
            s = h.s + panel * k.s_panel + first * k.s_vector
        add_vectors(k, panel, first, next, stage == 0, tiles, h.v, h.d, s)
        if stage == k.stages - 1:
            for i in range(first, next):
                finish_sums(k, panel, i, s + (i - first) * k.s_vector, h.loom.taps)
                if finish_taps(k, group, panel, i, h.loom.tap_at, h.loom.taps, call.dw):
                    call.doubted[0] = 1
        first = next


cdef void walk_shares(const WalkCall* call, int threads) noexcept nogil:
    cdef Py_ssize_t task
    cdef const Winograd* w = &call.k.w
    # Parallel over shares of the tiles, each with sums of its own, then over pieces of dw.
    for task in prange(w.tasks, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        run_share(call, task, threadid())
    for task in prange(w.groups * w.panels * w.v_vectors, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        join_shares(call, task, threadid())


cdef void walk_stages(const WalkCall* call, int threads) noexcept nogil:
    cdef Py_ssize_t group, stage, task
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    for group in range(w.groups):
        for stage in range(k.stages):
            # Parallel over pieces of V and D, then over pieces of S: a sum belongs to one thread.
            for task in prange(smaller(w.stage, w.blocks - stage * w.stage) * (w.c_blocks + w.vectors),
                               num_threads=threads, schedule="static", use_threads_if=threads > 1):
                stage_pictures(call, group, stage * w.stage, task, threadid())
            for task in prange(w.tasks, num_threads=threads, schedule="static",
                               use_threads_if=threads > 1):
                add_stage(call, group, stage, task, threadid())
