# Convolution by Winograd's F(4x4, 3x3) or F(4, 3): forward, input gradient (= transposed convolution), weight gradient.
#
# The entry points that Python calls, for kernels of 3x3 without stride or dilation, or 1x3 without stride; arguments as
# in convolution.pyx. A call transforms weights and source (winograd_transform.pxd), multiplies (winograd_product.pxd)
# and transforms back.
# Two schedules (winograd_plan.pxd) make the same sums in the same order:
#
#   by blocks    U of all weights once, or once for each thread; then each takes blocks of tiles, from source to target
#   staged       V of as many blocks as the L3 holds; then each thread takes panels of output channels through them, and
#                makes their U on the way, some channels at a time. For large weights, and for few blocks.
#
# Loops are divided statically: what another core has written last, in this call or the one before, takes twice as long
# to read or to write as what lies in a thread's own cache.
#
# Where a result is not finite, or might not be, the direct kernels compute that image again.

import importlib

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset
cimport numpy as cnp

from geometry cimport Geometry, ceil_div, smaller
from vector cimport LANES, MAX_LANES, ROWS, real, splat, vec
from winograd_few cimport products_of
from winograd_matrices cimport (SPAN, line_of_data, line_of_gradient, line_of_output, line_of_weight,
                                line_of_weight_gradient)
from winograd_plan cimport (CHAIN, OWN_BYTES, Winograd, carve_offsets, cut, describe, is_few, keeps_weights,
                            panel_start, panels_for, u_bytes)
from winograd_product cimport half_product_of, product_of
from winograd_transform cimport (Loom, Window, carve_loom, clear_tiles, transform_products, transform_source,
                                 transform_weights, transpose_weights, window_of)
from winograd_weight_gradient cimport (S_VECTORS, Walk, add_products, add_shares, carve_walk, cut_walk, fill_up,
                                       store_taps, transform_dy, transform_sums)
from workspace cimport Carver, carve

include "scratch.pxi"

cnp.import_array()

cdef enum:
    SERIAL_WORK = 1_000_000     # direct multiply-adds whose time here is that of waking another thread ...
    MEETING_WORK = 4_000_000    # ... or of waking it, and then of reading what it wrote: U, or V and D


cdef inline int threads_for(const Winograd* w, int threads, bint meet) noexcept nogil:
    cdef Py_ssize_t work = w.taps * w.n * w.groups * w.m * w.c * w.target_h * w.target_w
    return 1 if work < (MEETING_WORK if meet else SERIAL_WORK) else threads


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


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


def clear_workspace():
    """Free the scratch memory that is kept between calls."""
    idle.clear()


cdef void carve_hand(Hand* h, const Call* call, Carver* carver) noexcept nogil:
    cdef const Winograd* w = &call.w
    carve_loom(&h.loom, w, carver)
    h.v = call.v if w.staged else <real*> carve(carver, w.v_block, sizeof(real))
    h.u = <real*> carve(carver, w.u_panel * (w.panels if call.own_weights else 1 if call.panel_by_panel else 0),
                        sizeof(real))
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
    # From V of a block and U of a panel, `depth` channels c of them from `first` on, to M.
    cdef Py_ssize_t width = panel_start(w, panel + 1) - panel_start(w, panel), tiles = window_of(w, block).tiles
    cdef Py_ssize_t full = tiles // ROWS, left = tiles % ROWS, c, count
    cdef const Py_ssize_t* at = w.at + first
    if 2 * left > ROWS:
        full, left = full + 1, 0
    for _ in range(w.points):
        c = 0
        while c < depth:
            count = smaller(CHAIN, depth - c)
            product_of(width // LANES, first + c == 0)(full, count, at + c, v, w.v_rows, u + c * width, m)
            if left:
                half_product_of(width // LANES, first + c == 0)(1, count, at + c, v + full * w.v_rows, 0,
                                                                u + c * width, m + full * ROWS * width)
            c += CHAIN
        v += w.v_point
        u += w.u_point
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


cdef void make_weights(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first,
                       Py_ssize_t depth, real* u) noexcept nogil:
    # The one copy of a long function, as others below.
    transform_weights(u, &call.w, &h.loom, group, panel, first, depth, call.weight, call.transposed)


cdef void make_source(const Winograd* w, Loom* loom, Py_ssize_t group, Py_ssize_t block, Py_ssize_t c_block,
                      const real* source, real* v) noexcept nogil:
    # With zeros for the rows of the last product that are no tiles: what lies there may be slow to multiply.
    cdef Py_ssize_t tiles = window_of(w, block).tiles, half = ROWS // 2
    transform_source(v, w, loom, group, block, c_block, source)
    clear_tiles(v + c_block * w.v_vector, w, tiles, ceil_div(tiles, half) * half, w.v_rows, LANES)


cdef void make_panel(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t group = task // call.w.panels, panel = task % call.w.panels
    make_weights(call, &h, group, panel, 0, call.w.c, packed_panel(call, group, panel))


cdef void transpose_vector(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef const Winograd* w = &call.w
    transpose_weights(call.transposed + task * w.c * w.taps * LANES, w, &h.loom, task // w.vectors, task % w.vectors, 0,
                      w.c, call.weight)


cdef inline const real* weights_of(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t thread) noexcept nogil:
    # U of all panels of a group.
    cdef Py_ssize_t i
    if not call.own_weights:
        return packed_panel(call, group, 0)
    if not call.made[thread]:
        for i in range(call.w.panels):
            make_weights(call, h, group, i, 0, call.w.c, h.u + i * call.w.u_panel)
        call.made[thread] = 1
    return h.u


cdef void run_block(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t group = task // call.w.blocks, block = task % call.w.blocks, i
    cdef const real* u = weights_of(call, &h, group, thread)
    for i in range(call.w.c_blocks):
        make_source(&call.w, &h.loom, group, block, i, call.source, h.v)
    for i in range(call.w.panels):
        multiply(&call.w, block, i, 0, call.w.c, h.v, u + i * call.w.u_panel, h.m)
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
    cdef Py_ssize_t step = -LANES if w.flipped else LANES, vector, c, depth, line
    cdef const real* g
    cdef const real* next
    for vector in range(vectors):
        c = 0
        while c < w.c:
            depth = smaller(CHAIN, w.c - c)
            if call.weight != NULL:
                transpose_weights(h.u, w, &h.loom, group, first + vector, c, depth, call.weight)
                g = next = h.u
            else:
                g = call.transposed + ((group * w.vectors + first + vector) * w.c + c) * 9 * LANES
                next = g + CHAIN * 9 * LANES
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
                multiply(w, first + i, panel, c, depth, call.v + i * w.v_block, u, h.m + (i - start) * w.m_block)
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
        for task in prange(w.groups * w.blocks, num_threads=threads, schedule="static",
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
            for task in prange(w.panels * w.parts, num_threads=threads, schedule="static",
                               use_threads_if=threads > 1):
                run_panel(call, group, first, count, task, threadid())
            first = first + count


cdef void transpose_all(const Call* call, int threads) noexcept nogil:
    cdef Py_ssize_t task
    # Parallel over vectors of channels m.
    for task in prange(call.w.groups * call.w.vectors, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        transpose_vector(call, task, threadid())


cdef class Packed:
    """The weights of a convolution for calls that are given them again: U; or only transposed, where they are large."""

    cdef Scratch memory
    cdef Py_ssize_t panels      # of U; 0 if transposed


cdef object correlate(geometry, bint input_gradient, source, weight, bias, target, int threads, packed):
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef Scratch scratch = borrow()
    cdef Call call
    cdef Winograd* w = &call.w
    cdef Py_ssize_t group, width, image = 0, first
    cdef const real* b = NULL if bias is None else numbers(bias)
    cdef Carver carver, own
    cdef Hand hand
    cdef real* biases
    describe(w, g, input_gradient)
    threads = threads_for(w, threads, packed is None)
    cut(w, 0 if packed is None else (<Packed> packed).panels, threads)
    call.panel_by_panel = w.staged and (packed is None or not (<Packed> packed).panels)
    call.own_weights = packed is None and not w.staged and w.groups == 1 and u_bytes(w) <= OWN_BYTES
    call.source, call.target = numbers(source), numbers(target)
    call.weight = numbers(weight) if packed is None else NULL
    width = w.vectors * LANES
    carver.base, carver.used = NULL, 0
    own.base, own.used = NULL, 0
    for _ in range(2):
        carve_offsets(w, &carver)
        biases = <real*> carve(&carver, w.groups * width, sizeof(real))
        call.doubted = <char*> carve(&carver, w.n, 1)
        call.made = <char*> carve(&carver, threads, 1)
        call.v = <real*> carve(&carver, w.stage * w.v_block if w.staged else 0, sizeof(real))
        if packed is not None:
            call.u = call.transposed = <real*> (<Packed> packed).memory.memory
        elif not call.panel_by_panel and not call.own_weights:
            call.u = <real*> carve(&carver, w.groups * w.panels * w.u_panel, sizeof(real))
        if carver.base == NULL:
            # Once around to learn the size, again to divide it.
            carve_hand(&hand, &call, &own)
            carver.base, carver.used = scratch.reserve(carver.used + own.used * threads), 0
    call.base, call.own = carver.base + carver.used, own.used
    call.bias = biases
    with nogil:
        memset(biases, 0, w.groups * width * sizeof(real))
        if b != NULL:
            for group in range(w.groups):
                memcpy(biases + group * width, b + group * w.m, w.m * sizeof(real))
        memset(call.doubted, 0, w.n)
        memset(call.made, 0, threads)
        run(&call, threads)
    while image < w.n:
        first = image
        while image < w.n and call.doubted[image]:
            image += 1
        if image > first:
            compute_again(geometry, input_gradient, first, image, source, weight, bias, target, threads)
        image += 1
    give_back(scratch)


cdef object compute_again(geometry, bint input_gradient, Py_ssize_t first, Py_ssize_t last, source, weight, bias,
                          target, int threads):
    # Images first .. last, by the direct kernels of the same build.
    direct = importlib.import_module(__name__.replace("winograd_", "convolution_"))
    some = geometry.copy()
    some[0] = last - first
    kernel = direct.input_gradient if input_gradient else direct.forward
    kernel(some, source[first:last], weight, bias, target[first:last], threads)


cdef object pack(geometry, bint input_gradient, weight, int threads):
    cdef Packed packed = Packed()
    cdef Call call
    cdef Winograd* w = &call.w
    cdef Scratch scratch = borrow()
    cdef Carver own
    cdef Hand hand
    cdef Py_ssize_t numbers_kept
    describe(w, <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry), input_gradient)
    packed.memory, packed.panels = Scratch(), panels_for(w, threads) if keeps_weights(w) else 0
    cut(w, packed.panels, threads)
    numbers_kept = w.panels * w.u_panel if packed.panels else w.vectors * w.c * w.taps * LANES
    call.u = call.transposed = <real*> packed.memory.reserve(w.groups * numbers_kept * sizeof(real))
    call.weight, call.panel_by_panel, call.own_weights, call.v = numbers(weight), False, False, NULL
    own.base, own.used = NULL, 0
    carve_hand(&hand, &call, &own)
    call.own = own.used
    call.base = scratch.reserve(own.used * threads)
    with nogil:
        if packed.panels:
            make_panels(&call, threads)
        else:
            transpose_all(&call, threads)
    give_back(scratch)
    return packed


def pack_forward(geometry, weight, int threads):
    """The weights as forward() of this geometry uses them, to be handed to it as `packed`."""
    return pack(geometry, False, weight, threads)


def pack_input_gradient(geometry, weight, int threads):
    """The weights as input_gradient() of this geometry uses them, to be handed to it as `packed`."""
    return pack(geometry, True, weight, threads)


def forward(geometry, x, weight, bias, y, int threads, packed=None):
    """y = conv(x, weight) + bias.  x (n, ic, ih, iw)  weight (oc, ic / groups, kh, 3)  bias (oc,)  y (n, oc, oh, ow)"""
    correlate(geometry, False, x, weight, bias, y, threads, packed)


def input_gradient(geometry, dy, weight, bias, dx, int threads, packed=None):
    """dx = the transposed convolution of dy, plus bias.  dy (n, oc, oh, ow)  bias (ic,) or None  dx (n, ic, ih, iw)"""
    correlate(geometry, True, dy, weight, bias, dx, threads, packed)


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
    cdef Py_ssize_t i
    carver.base, carver.used = call.base + thread * call.own, 0
    carve_walk_hand(&h, call, &carver)
    for i in range(call.k.w.taps * LANES):
        h.loom.tap_at[i] = i
    return h


cdef inline real* share_of(const WalkCall* call, Py_ssize_t group, Py_ssize_t share) noexcept nogil:
    return call.taps + (group * call.k.shares + share) * call.k.taps_share


cdef void make_gradient(const Walk* k, Loom* loom, Py_ssize_t group, Py_ssize_t block, Py_ssize_t vector, bint filled,
                        const real* dy, real* d) noexcept nogil:
    transform_dy(d, k, loom, group, block, vector, filled, dy)


cdef void add_vectors(const Walk* k, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, bint start,
                      Py_ssize_t tiles, const real* v, const real* d, real* s) noexcept nogil:
    add_products(k, panel, first, last, start, tiles, v, d, s)


cdef void finish_sums(const Walk* k, Py_ssize_t panel, const real* s, real* taps) noexcept nogil:
    transform_sums(taps, k, panel, s)


cdef bint finish_taps(const Walk* k, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t c_block, Py_ssize_t* tap_at,
                      const real* taps, real* dw) noexcept nogil:
    return store_taps(dw, k, group, panel, c_block, tap_at, taps)


cdef void run_share(const WalkCall* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    # From x and dy to the taps of a share.
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t group = task // k.shares, share = task % k.shares, block, i, panel
    cdef Py_ssize_t first = share * w.blocks // k.shares, last = (share + 1) * w.blocks // k.shares
    cdef real* taps = share_of(call, group, share)
    for block in range(first, last):
        for i in range(w.c_blocks):
            make_source(w, &h.loom, group, block, i, call.x, h.v)
        for i in range(w.vectors):
            make_gradient(k, &h.loom, group, block, i, False, call.dy, h.d)
        for panel in range(w.panels):
            add_vectors(k, panel, 0, w.c_blocks, block == first, window_of(w, block).tiles, h.v, h.d,
                        h.s + panel * k.s_panel)
    for panel in range(w.panels):
        for i in range(w.c_blocks):
            finish_sums(k, panel, h.s + panel * k.s_panel + i * k.s_vector,
                        taps + panel * k.taps_panel + i * k.taps_vector)


cdef void join_shares(const WalkCall* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    # Of a panel and a vector of channels c.
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef Py_ssize_t i = task % k.w.c_blocks, panel = task // k.w.c_blocks % k.w.panels
    cdef Py_ssize_t group = task // k.w.c_blocks // k.w.panels
    cdef real* taps = share_of(call, group, 0) + panel * k.taps_panel + i * k.taps_vector
    add_shares(taps, k)
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
        fill_up(v + i * w.v_vector, w, first + block, w.v_rows, LANES)
    else:
        make_gradient(k, &h.loom, group, first + block, i - w.c_blocks, True, call.dy,
                      h.d + block * w.tiles // w.group * k.d_rows)


cdef void add_stage(const WalkCall* call, Py_ssize_t group, Py_ssize_t stage, Py_ssize_t task,
                    Py_ssize_t thread) noexcept nogil:
    cdef WalkHand h = walk_hand_of(call, thread)
    cdef const Walk* k = &call.k
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t panel = task % w.panels, part = task // w.panels, i, next
    cdef Py_ssize_t first = part * w.c_blocks // k.c_parts, last = (part + 1) * w.c_blocks // k.c_parts
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
                finish_sums(k, panel, s + (i - first) * k.s_vector, h.loom.taps)
                if finish_taps(k, group, panel, i, h.loom.tap_at, h.loom.taps, call.dw):
                    call.doubted[0] = 1
        first = next


cdef void walk_shares(const WalkCall* call, int threads) noexcept nogil:
    cdef Py_ssize_t task
    cdef const Winograd* w = &call.k.w
    # Parallel over shares of the tiles, each with sums of its own, then over pieces of dw.
    for task in prange(w.groups * call.k.shares, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        run_share(call, task, threadid())
    for task in prange(w.groups * w.panels * w.c_blocks, num_threads=threads, schedule="static",
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
            for task in prange(w.panels * k.c_parts, num_threads=threads, schedule="static",
                               use_threads_if=threads > 1):
                add_stage(call, group, stage, task, threadid())


def weight_gradient(geometry, x, dy, dw, int threads):
    """dw = dy correlated with x.  x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, 3), overwritten"""
    cdef Scratch scratch = borrow()
    cdef WalkCall call
    cdef Walk* k = &call.k
    cdef Winograd* w = &k.w
    cdef Carver carver, own
    cdef WalkHand hand
    cdef Py_ssize_t staged
    describe(w, <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry), False)
    cut_walk(k, threads)
    threads = threads_for(w, threads, k.shares == 0)
    staged = 0 if k.shares else k.tiles // w.group
    call.x, call.dy, call.dw = numbers(x), numbers(dy), numbers(dw)
    carver.base, carver.used = NULL, 0
    own.base, own.used = NULL, 0
    for _ in range(2):
        carve_walk(k, &carver)
        call.doubted = <char*> carve(&carver, 1, 1)
        call.taps = <real*> carve(&carver, w.groups * k.shares * k.taps_share, sizeof(real))
        call.v = <real*> carve(&carver, staged * w.v_rows, sizeof(real))
        call.d = <real*> carve(&carver, staged * k.d_rows, sizeof(real))
        call.s = <real*> carve(&carver, w.panels * k.s_panel if k.stages > 1 else 0, sizeof(real))
        if carver.base == NULL:
            carve_walk_hand(&hand, &call, &own)
            carver.base, carver.used = scratch.reserve(carver.used + own.used * threads), 0
    call.base, call.own = carver.base + carver.used, own.used
    call.doubted[0] = 0
    with nogil:
        if k.shares:
            walk_shares(&call, threads)
        else:
            walk_stages(&call, threads)
    give_back(scratch)
    if call.doubted[0]:
        direct = importlib.import_module(__name__.replace("winograd_", "convolution_"))
        direct.weight_gradient(geometry, x, dy, dw, threads)


def lanes():
    """How many numbers a vector of this build holds: what an estimate of time depends on."""
    return LANES


cdef enum Line:
    DATA
    WEIGHT
    OUTPUT
    GRADIENT
    WEIGHT_GRADIENT


cdef object matrix(Line line, Py_ssize_t rows, Py_ssize_t columns):
    # What a line of winograd_matrices.pxd multiplies by, column by column.
    cdef vec unit[6]
    cdef vec doubt[4]
    cdef real result[6 * MAX_LANES]
    cdef Py_ssize_t i, j
    answer = []
    for j in range(columns):
        for i in range(6):
            unit[i] = splat(i == j)
        if line == DATA:
            line_of_data(result, LANES, unit[0], unit[1], unit[2], unit[3], unit[4], unit[5])
        elif line == WEIGHT:
            line_of_weight(result, LANES, unit[0], unit[1], unit[2])
        elif line == OUTPUT:
            line_of_output(result, LANES, unit[0], unit[1], unit[2], unit[3], unit[4], unit[5], splat(0), doubt)
        elif line == GRADIENT:
            line_of_gradient(result, LANES, unit[0], unit[1], unit[2], unit[3])
        else:
            line_of_weight_gradient(result, LANES, <const real*> unit, LANES)
        answer.append([result[i * LANES] for i in range(rows)])
    return [list(row) for row in zip(*answer)]


def matrices():
    """B', G, A', A and G', as lists of rows: found out by transforming unit vectors."""
    return (matrix(DATA, 6, 6), matrix(WEIGHT, 6, 3), matrix(OUTPUT, 4, 6), matrix(GRADIENT, 6, 4),
            matrix(WEIGHT_GRADIENT, 3, 6))
