# The two schedules of forward and input gradient by Winograd's algorithm; a part of winograd.pyx.
#
#   by blocks    U of all weights once, or once for each thread; then each takes blocks of tiles, from source to target
#   staged       V of as many blocks as the L3 holds; then each thread takes panels of output channels through them, and
#                makes their U on the way, some channels at a time. For large weights, and for few blocks.
#
# They make the same sums in the same order. Long functions that both use are not inlined, so that there is one of each.

from cython.parallel cimport prange, threadid

from geometry cimport ceil_div, smaller
from vector cimport LANES, ROWS, real
from winograd_few cimport products_of
from winograd_matrices cimport SPAN
from winograd_output cimport transform_products
from winograd_plan cimport panel_start
from winograd_product cimport half_product_of, product_of
from winograd_small cimport multiply_small
from winograd_sum cimport CHAIN, Winograd, is_few, is_small, weight_of_point
from winograd_transform cimport (Loom, carve_loom, clear_tiles, transform_source, transform_weights,
                                 transpose_weights)
from winograd_window cimport Window, window_of
from workspace cimport Carver, carve

cdef struct Hand:
    # What one thread works with.
    Loom loom
    real* v             # of a block: its own, or one of the stage
    real* u             # of a panel, where those are made on the way; or of all of them
    real* m

cdef struct Call:
    # What all threads share.
    Winograd w
    const real* source
    const real* weight
    const real* bias    # [groups][vectors * LANES]
    real* target
    real* v             # of a stage
    bint panel_by_panel     # whether each task makes the U that it needs
    bint own_weights        # whether each thread makes its own U of all panels, when ...
    char* made          # [threads] ... it takes its first block
    real* u             # otherwise: [groups][panels]
    real* transposed    # [groups][vectors][c][taps][LANES] what U is made from, if not from `weight`
    char* doubted       # [n] whether an image must be computed again
    char* base          # scratch of the threads
    size_t own          # ... and its size


cdef void carve_hand(Hand* h, const Call* call, Carver* carver) noexcept nogil:
    cdef const Winograd* w = &call.w
    carve_loom(&h.loom, w, carver)
    h.v = call.v if w.staged else <real*> carve(carver, w.v_block, sizeof(real))
    h.u = <real*> carve(carver, w.u_panel * (w.groups * w.panels if call.own_weights
                                             else 1 if call.panel_by_panel else 0), sizeof(real))
    h.m = <real*> carve(carver, w.m_block * w.together, sizeof(real))


cdef inline Hand hand_of(const Call* call, Py_ssize_t thread) noexcept nogil:
    cdef Hand h
    cdef Carver carver
    carver.base, carver.used = call.base + thread * call.own, 0
    carve_hand(&h, call, &carver)
    return h


cdef inline real* packed_panel(const Call* call, Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    return call.u + (group * call.w.panels + panel) * call.w.u_panel


cdef void multiply(const Winograd* w, Py_ssize_t block, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t depth,
                   const real* v, const real* u, real* m) noexcept nogil:
    # From V of a block and U of a panel, `depth` summands of them from `first` on, to M. Products for the same number
    # of M follow each other chain by chain, whatever the depth.
    cdef Py_ssize_t width = panel_start(w, panel + 1) - panel_start(w, panel), tiles = window_of(w, block).tiles
    cdef Py_ssize_t full = tiles // ROWS, left = tiles % ROWS, i, c, point, count
    cdef bint new
    cdef const real* a
    cdef const real* b
    if 2 * left > ROWS:
        full, left = full + 1, 0
    for i in range(w.sums):
        c = 0
        while c < depth:
            count = smaller(w.chain, depth - c)
            point = i
            while point < w.points:
                new = first + c == 0 and point == i
                a, b = v + point * w.v_point, u + weight_of_point(w, point) * w.u_point + c * width
                product_of(width // LANES, new)(full, count, w.at + first + c, a, w.v_rows, b, m)
                if left:
                    half_product_of(width // LANES, new)(1, count, w.at + first + c, a + full * w.v_rows, 0, b,
                                                         m + full * ROWS * width)
                point += w.sums
            c += w.chain
        m += w.m_point


cdef void finish(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t block, Py_ssize_t panel,
                 const real* m) noexcept nogil:
    # From M to the target.
    cdef const Winograd* w = &call.w
    cdef Py_ssize_t image
    cdef Window b = window_of(w, block)
    if transform_products(call.target, w, &h.loom, group, block, panel, m, call.bias + group * w.vectors * LANES):
        for image in range(b.row // w.down, ceil_div(b.row + b.rows, w.down)):
            call.doubted[image] = 1


cdef void make_taps(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t vector, Py_ssize_t first, Py_ssize_t depth,
                    real* taps) noexcept nogil:
    # The one copy of a long function, as others below.
    transpose_weights(taps, &call.w, &h.loom, group, vector, first, depth, call.weight)


cdef inline const real* taps_of(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t vector, Py_ssize_t first,
                                Py_ssize_t depth, real* taps) noexcept nogil:
    # Those of `depth` channels c from `first` on: put in order before, or now, where `taps` points.
    group //= call.w.phases
    if call.weight == NULL:
        return call.transposed + ((group * call.w.vectors + vector) * call.w.c + first) * call.w.taps * LANES
    make_taps(call, h, group, vector, first, depth, taps)
    return taps


cdef void make_weights(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first,
                       Py_ssize_t depth, real* u) noexcept nogil:
    # U of a panel and `depth` channels c from `first` on.
    cdef const Winograd* w = &call.w
    cdef Py_ssize_t start = panel_start(w, panel) // LANES, width = panel_start(w, panel + 1) - start * LANES
    cdef Py_ssize_t vector, c, count
    for vector in range(width // LANES):
        c = 0
        while c < depth:
            count = smaller(w.kernels, depth - c)
            transform_weights(u + c * w.cuts * width + vector * LANES, w, group % w.phases, width,
                              taps_of(call, h, group, start + vector, first + c, count, h.loom.taps), count)
            c += w.kernels


cdef void make_source(const Winograd* w, Loom* loom, Py_ssize_t group, Py_ssize_t block, Py_ssize_t c_block,
                      const real* source, real* v) noexcept nogil:
    # With zeros for the rows of the last product that are no tiles: what lies there may be slow to multiply.
    cdef Py_ssize_t tiles = window_of(w, block).tiles, half = w.group if is_small(w) else ROWS // 2
    transform_source(v, w, loom, group, block, c_block, source)
    clear_tiles(v + c_block * w.cuts * w.v_vector, w, tiles, smaller(ceil_div(tiles, half) * half, w.tiles), w.v_rows,
                LANES, w.cuts * w.points)


cdef void make_panel(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t group = task // call.w.panels, panel = task % call.w.panels
    make_weights(call, &h, group, panel, 0, call.w.c, packed_panel(call, group, panel))


cdef void transpose_vector(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef const Winograd* w = &call.w
    make_taps(call, &h, task // w.vectors, task % w.vectors, 0, w.c, call.transposed + task * w.c * w.taps * LANES)


cdef inline const real* weights_of(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t thread) noexcept nogil:
    # U of all panels of a group.
    cdef Py_ssize_t panels = call.w.panels, i
    if not call.own_weights:
        return packed_panel(call, group, 0)
    if not call.made[thread]:
        for i in range(call.w.groups * panels):
            make_weights(call, h, i // panels, i % panels, 0, call.w.c, h.u + i * call.w.u_panel)
        call.made[thread] = 1
    return h.u + group * panels * call.w.u_panel


cdef void run_block(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    # Phases of rows one after the other: they write to the same cache lines.
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t block = task % call.w.blocks, first = task // call.w.blocks * call.w.phases, group, i
    cdef const real* u
    for group in range(first, first + call.w.phases):
        u = weights_of(call, &h, group, thread)
        for i in range(call.w.c_blocks):
            make_source(&call.w, &h.loom, group, block, i, call.source, h.v)
        for i in range(call.w.panels):
            multiply(&call.w, block, i, 0, call.w.summands, h.v, u + i * call.w.u_panel, h.m)
            finish(call, &h, group, block, i, h.m)


cdef void stage_source(const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t task,
                       Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t i = task // call.w.c_blocks
    make_source(&call.w, &h.loom, group, first + i, task % call.w.c_blocks, call.source, call.v + i * call.w.v_block)


cdef void multiply_few(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    # The only block and a panel, without U.
    cdef const Winograd* w = &call.w
    cdef Py_ssize_t first = panel_start(w, panel) // LANES, vectors = panel_start(w, panel + 1) // LANES - first
    cdef Py_ssize_t step = -LANES if w.flipped else LANES, vector, c = 0, depth, line
    cdef const real* g
    cdef const real* next
    while c < w.c:
        depth = smaller(CHAIN, w.c - c)
        for vector in range(vectors):
            g = next = taps_of(call, h, group, first + vector, c, depth, h.u)
            if call.weight == NULL:
                next += 9 * LANES * (w.c if vector + 1 < vectors else CHAIN - (vectors - 1) * w.c)
            if is_small(w):
                multiply_small(depth, w.at + c, h.v, g, next, c == 0, h.m + vector * LANES, w.m_point, vectors * LANES)
                continue
            if w.flipped:
                g += 8 * LANES
            for line in range(SPAN):
                products_of(line)(depth, w.at + c, h.v + line * SPAN * w.v_point, g, step,
                                  next + line * CHAIN // 2 * 3 * LANES, c == 0,
                                  h.m + line * SPAN * w.m_point + vector * LANES, w.m_point, vectors * LANES)
        c += CHAIN


cdef void run_panel(const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t count, Py_ssize_t task,
                    Py_ssize_t thread) noexcept nogil:
    # Part task % parts of the stage's `count` blocks from `first` on.
    cdef Hand h = hand_of(call, thread)
    cdef const Winograd* w = &call.w
    cdef Py_ssize_t panel = task // w.parts, part = task % w.parts, c, depth, next, i
    cdef Py_ssize_t start = part * count // w.parts, end = (part + 1) * count // w.parts
    cdef const real* u = h.u if call.panel_by_panel else packed_panel(call, group, panel)
    if call.panel_by_panel and is_few(w):
        multiply_few(call, &h, group, panel)
        finish(call, &h, group, 0, panel, h.m)
        return
    while start < end:
        next = smaller(start + w.together, end)
        c = 0
        while c < w.c:
            depth = smaller(w.depth, w.c - c)
            if call.panel_by_panel:
                make_weights(call, &h, group, panel, c, depth, h.u)
            for i in range(start, next):
                multiply(w, first + i, panel, c * w.cuts, depth * w.cuts, call.v + i * w.v_block, u,
                         h.m + (i - start) * w.m_block)
            c += depth
        for i in range(start, next):
            finish(call, &h, group, first + i, panel, h.m + (i - start) * w.m_block)
        start = next


cdef void make_panels(const Call* call, int threads) noexcept nogil:
    cdef Py_ssize_t task
    # Parallel over panels of U.
    for task in prange(call.w.groups * call.w.panels, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        make_panel(call, task, threadid())


cdef void run(const Call* call, int threads) noexcept nogil:
    cdef Py_ssize_t task, group, first, count
    cdef const Winograd* w = &call.w
    if not w.staged:
        if call.weight != NULL and not call.own_weights:
            make_panels(call, threads)
        # Parallel over blocks of the target: disjoint outputs, V and M private to the thread.
        for task in prange(w.tasks, num_threads=threads, schedule="static",
                           use_threads_if=threads > 1):
            run_block(call, task, threadid())
        return
    for group in range(w.groups):
        first = 0
        while first < w.blocks:
            count = smaller(w.stage, w.blocks - first)
            # Parallel over pieces of V, then over channels of the target (and parts of the stage).
            for task in prange(count * w.c_blocks, num_threads=threads, schedule="static",
                               use_threads_if=threads > 1):
                stage_source(call, group, first, task, threadid())
            for task in prange(w.tasks, num_threads=threads, schedule="static",
                               use_threads_if=threads > 1):
                run_panel(call, group, first, count, task, threadid())
            first = first + count


cdef void transpose_all(const Call* call, int threads) noexcept nogil:
    cdef Py_ssize_t task
    # Parallel over vectors of channels m.
    for task in prange(call.w.groups // call.w.phases * call.w.vectors, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        transpose_vector(call, task, threadid())
