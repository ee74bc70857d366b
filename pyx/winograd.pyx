# Convolution by Winograd's F(4x4, 3x3): forward, input gradient (= transposed convolution), weight gradient.
#
# The entry points that Python calls, for kernels of 3x3 without stride or dilation; arguments as in convolution.pyx. A
# call transforms weights and source (winograd_transform.pxd), multiplies (winograd_product.pxd) and transforms back.
# Two schedules (winograd_plan.pxd) make the same sums in the same order:
#
#   by blocks    U of all weights once; then each thread takes blocks of tiles, from source to target
#   staged       V of as many blocks as the L3 holds; then each thread takes panels of output channels through them, and
#                makes their U on the way if it was not packed before. For large weights, and for few blocks.
#
# Where a result is not finite, or might not be, the direct kernels compute that image again.

from importlib import import_module

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset
cimport numpy as cnp

from geometry cimport Geometry, ceil_div, larger, smaller
from vector cimport LANES, ROWS, real
from winograd_matrices cimport POINTS
from winograd_plan cimport Winograd, carve_offsets, cut, describe, panel_start
from winograd_product cimport product_of
from winograd_transform cimport Loom, carve_loom, transform_products, transform_source, transform_weights
from workspace cimport Carver, carve

include "scratch.pxi"

cnp.import_array()

cdef struct Hand:
    # What one thread works with.
    Loom loom
    real* v             # of a block: its own, or one of the stage
    real* u             # of a panel, where those are made on the way
    real* m

cdef struct Call:
    # What all threads share.
    Winograd w
    const real* source
    const real* weight
    const real* bias    # [groups][vectors * LANES]
    real* target
    real* v             # of a stage
    real* u             # [groups][panels], or NULL
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
    h.u = <real*> carve(carver, w.u_panel if w.staged and call.u == NULL else 0, sizeof(real))
    h.m = <real*> carve(carver, POINTS * w.m_point, sizeof(real))


cdef inline Hand hand_of(const Call* call, Py_ssize_t thread) noexcept nogil:
    cdef Hand h
    cdef Carver carver
    carver.base, carver.used = call.base + thread * call.own, 0
    carve_hand(&h, call, &carver)
    return h


cdef inline real* packed_panel(const Call* call, Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    return call.u + (group * call.w.panels + panel) * call.w.u_panel


cdef void multiply(const Call* call, Hand* h, Py_ssize_t group, Py_ssize_t block, Py_ssize_t panel, const real* v,
                   const real* u) noexcept nogil:
    # From V and U of a block and a panel to its targets.
    cdef const Winograd* w = &call.w
    cdef Py_ssize_t m = panel_start(w, panel), width = panel_start(w, panel + 1) - m, point, image, row
    cdef Py_ssize_t tiles
    row = block // w.column_bands * w.rows
    tiles = smaller(w.rows, w.n * w.down - row) * smaller(w.columns, w.across - block % w.column_bands * w.columns)
    for point in range(POINTS):
        product_of(width // LANES)(ceil_div(tiles, ROWS), w.c, w.at, v + point * w.v_point,
                                   w.c_blocks * ROWS * LANES, u + point * w.u_point, h.m + point * w.m_point)
    if transform_products(call.target, w, group, block, panel, h.m, call.bias + group * w.vectors * LANES):
        for image in range(row // w.down, ceil_div(smaller(row + w.rows, w.n * w.down), w.down)):
            call.doubted[image] = 1


cdef void make_panel(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t group = task // call.w.panels, panel = task % call.w.panels
    transform_weights(packed_panel(call, group, panel), &call.w, &h.loom, group, panel, call.weight)


cdef void run_block(const Call* call, Py_ssize_t task, Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t group = task // call.w.blocks, block = task % call.w.blocks, i
    for i in range(call.w.c_blocks):
        transform_source(h.v, &call.w, &h.loom, group, block, i, call.source)
    for i in range(call.w.panels):
        multiply(call, &h, group, block, i, h.v, packed_panel(call, group, i))


cdef void stage_source(const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t task,
                       Py_ssize_t thread) noexcept nogil:
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t i = task // call.w.c_blocks
    transform_source(call.v + i * call.w.v_block, &call.w, &h.loom, group, first + i, task % call.w.c_blocks, call.source)


cdef void run_panel(const Call* call, Py_ssize_t group, Py_ssize_t first, Py_ssize_t count, Py_ssize_t task,
                    Py_ssize_t thread) noexcept nogil:
    # Part task % parts of the stage's `count` blocks from `first` on.
    cdef Hand h = hand_of(call, thread)
    cdef Py_ssize_t panel = task // call.w.parts, part = task % call.w.parts, i
    cdef const real* u
    if call.u == NULL:
        transform_weights(h.u, &call.w, &h.loom, group, panel, call.weight)
        u = h.u
    else:
        u = packed_panel(call, group, panel)
    for i in range(part * count // call.w.parts, (part + 1) * count // call.w.parts):
        multiply(call, &h, group, first + i, panel, call.v + i * call.w.v_block, u)


cdef void run(Call* call, int threads) noexcept nogil:
    cdef Py_ssize_t task, group, first, count
    cdef const Winograd* w = &call.w
    if not w.staged:
        # Parallel over panels of the weights, then over blocks of the target.
        for task in prange(0 if call.weight == NULL else w.groups * w.panels, num_threads=threads,
                           schedule="dynamic", chunksize=1, use_threads_if=threads > 1):
            make_panel(call, task, threadid())
        for task in prange(w.groups * w.blocks, num_threads=threads, schedule="dynamic", chunksize=1,
                           use_threads_if=threads > 1):
            run_block(call, task, threadid())
        return
    for group in range(w.groups):
        first = 0
        while first < w.blocks:
            count = smaller(w.stage, w.blocks - first)
            # Parallel over pieces of V, then over channels of the target (and parts of the stage).
            for task in prange(count * w.c_blocks, num_threads=threads, schedule="dynamic", chunksize=1,
                               use_threads_if=threads > 1):
                stage_source(call, group, first, task, threadid())
            for task in prange(w.panels * w.parts, num_threads=threads, schedule="dynamic", chunksize=1,
                               use_threads_if=threads > 1):
                run_panel(call, group, first, count, task, threadid())
            first = first + count


cdef object correlate(geometry, bint input_gradient, source, weight, bias, target, int threads, packed):
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef Scratch scratch = borrow()
    cdef Call call
    cdef Winograd* w = &call.w
    cdef Py_ssize_t group, width, image
    cdef const real* b = NULL if bias is None else numbers(bias)
    cdef Carver carver
    cdef real* biases
    describe(w, g, input_gradient)
    cut(w, 0, threads)
    call.source, call.weight, call.target = numbers(source), numbers(weight), numbers(target)
    width = w.vectors * LANES
    carver.base, carver.used = NULL, 0
    for _ in range(2):
        carve_offsets(w, &carver)
        biases = <real*> carve(&carver, w.groups * width, sizeof(real))
        call.doubted = <char*> carve(&carver, w.n, 1)
        call.v = <real*> carve(&carver, w.stage * w.v_block if w.staged else 0, sizeof(real))
        call.u = <real*> carve(&carver, 0 if w.staged else w.groups * w.panels * w.u_panel, sizeof(real))
        if w.staged:
            call.u = NULL
        if carver.base == NULL:
            call.base = NULL
            call.own = 0
            call.own = bytes_of_hand(&call)
            carver.base, carver.used = scratch.reserve(carver.used + call.own * threads), 0
    call.base = carver.base + carver.used
    call.bias = biases
    with nogil:
        memset(biases, 0, w.groups * width * sizeof(real))
        if b != NULL:
            for group in range(w.groups):
                memcpy(biases + group * width, b + group * w.m, w.m * sizeof(real))
        memset(call.doubted, 0, w.n)
        run(&call, threads)
    for image in range(w.n):
        if call.doubted[image]:
            compute_again(geometry, input_gradient, image, source, weight, bias, target, threads)
    give_back(scratch)


cdef size_t bytes_of_hand(const Call* call) noexcept nogil:
    cdef Hand h
    cdef Carver carver
    carver.base, carver.used = NULL, 0
    carve_hand(&h, call, &carver)
    return carver.used


cdef object compute_again(geometry, bint input_gradient, Py_ssize_t image, source, weight, bias, target, int threads):
    # By the direct kernels of the same build.
    direct = import_module(__name__.replace("winograd_", "convolution_"))
    one = geometry.copy()
    one[0] = 1
    kernel = direct.input_gradient if input_gradient else direct.forward
    kernel(one, source[image:image + 1], weight, bias, target[image:image + 1], threads)


def forward(geometry, x, weight, bias, y, int threads, packed=None):
    """y = conv(x, weight) + bias.  x (n, ic, ih, iw)  weight (oc, ic / groups, 3, 3)  bias (oc,) or None  y (n, oc, oh, ow)"""
    correlate(geometry, False, x, weight, bias, y, threads, packed)


def input_gradient(geometry, dy, weight, bias, dx, int threads, packed=None):
    """dx = the transposed convolution of dy, plus bias.  dy (n, oc, oh, ow)  bias (ic,) or None  dx (n, ic, ih, iw)"""
    correlate(geometry, True, dy, weight, bias, dx, threads, packed)
