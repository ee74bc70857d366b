# Convolution by Winograd's F(4x4, 3x3) or F(4, 3): forward, input gradient (= transposed convolution), weight gradient.
#
# The entry points that Python calls: for 3x3 kernels, and larger ones, without stride or dilation; for rows of three or
# more taps with any dilation, and columns without; and, by F(4, 2), for 3x3 and 4x4 kernels with a stride of two.
# Arguments as in convolution.pyx. A call transforms weights and source (winograd_transform.pxd), multiplies
# (winograd_product.pxd) and transforms back; in which order is in winograd_schedules.pxi and winograd_walks.pxi.
#
# Loops are divided statically: what another core has written last, in this call or the one before, takes twice as long
# to read or to write as what lies in a thread's own cache.
#
# With `tile=2`, forward and input gradient go by F(2x2, 3x3), for at most small_tiles() tiles (winograd_small.pxd), or
# by F(2x2, 5x5) (winograd_fives.pxd).
#
# Where a result is not finite, or might not be, the direct kernels compute that image again.

import importlib

from libc.string cimport memcpy, memset
cimport numpy as cnp

from geometry cimport Geometry
from vector cimport LANES, real
from winograd_few cimport FEW_TILES
from winograd_lines cimport OUTPUTS
from winograd_plan cimport OWN_BYTES, carve_offsets, cut, keeps_weights, panels_for, u_bytes
from winograd_small cimport ROWS_SMALL
from winograd_sum cimport Winograd, describe
from winograd_weight_gradient cimport Walk, carve_walk, cut_walk
from workspace cimport Carver, carve

include "scratch.pxi"
include "winograd_schedules.pxi"
include "winograd_walks.pxi"
include "winograd_inspect.pxi"

cnp.import_array()

cdef enum:
    SERIAL_WORK = 1_000_000     # direct multiply-adds whose time here is that of waking another thread ...
    MEETING_WORK = 4_000_000    # ... or of waking it, and then of reading what it wrote: U, or V and D


cdef inline int threads_for(const Winograd* w, int threads, bint meet) noexcept nogil:
    return 1 if w.work < (MEETING_WORK if meet else SERIAL_WORK) else threads


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


def clear_workspace():
    """Free the scratch memory that is kept between calls."""
    idle.clear()


cdef class Packed:
    """The weights of a convolution for calls that are given them again: U; or only transposed, where they are large."""

    cdef Scratch memory
    cdef Py_ssize_t panels      # of U; 0 if transposed


cdef object correlate(geometry, bint input_gradient, source, weight, bias, target, int threads, packed, int tile):
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef Scratch scratch = borrow()
    cdef Call call
    cdef Winograd* w = &call.w
    cdef Py_ssize_t group, width, image = 0, first
    cdef const real* b = NULL if bias is None else numbers(bias)
    cdef Carver carver, own
    cdef Hand hand
    cdef real* biases
    describe(w, g, input_gradient, tile)
    threads = threads_for(w, threads, packed is None)
    cut(w, 0 if packed is None else (<Packed> packed).panels, threads)
    call.panel_by_panel = w.staged and (packed is None or not (<Packed> packed).panels)
    call.own_weights = packed is None and not w.staged and w.groups == w.phases and u_bytes(w) <= OWN_BYTES
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
                memcpy(biases + group * width, b + group // w.phases * w.m, w.m * sizeof(real))
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


cdef object pack(geometry, bint input_gradient, weight, int threads, int tile):
    cdef Packed packed = Packed()
    cdef Call call
    cdef Winograd* w = &call.w
    cdef Scratch scratch = borrow()
    cdef Carver own
    cdef Hand hand
    cdef Py_ssize_t numbers_kept
    describe(w, <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry), input_gradient, tile)
    packed.memory, packed.panels = Scratch(), panels_for(w, threads) if keeps_weights(w) else 0
    cut(w, packed.panels, threads)
    if packed.panels:
        numbers_kept = w.groups * w.panels * w.u_panel
    else:
        numbers_kept = w.groups // w.phases * w.vectors * w.c * w.taps * LANES
    call.u = call.transposed = <real*> packed.memory.reserve(numbers_kept * sizeof(real))
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


def pack_forward(geometry, weight, int threads, int tile=OUTPUTS):
    """The weights as forward() of this geometry uses them, to be handed to it as `packed`."""
    return pack(geometry, False, weight, threads, tile)


def pack_input_gradient(geometry, weight, int threads, int tile=OUTPUTS):
    """The weights as input_gradient() of this geometry uses them, to be handed to it as `packed`."""
    return pack(geometry, True, weight, threads, tile)


def forward(geometry, x, weight, bias, y, int threads, packed=None, int tile=OUTPUTS):
    """y = conv(x, weight) + bias.  x (n, ic, ih, iw)  weight (oc, ic / groups, kh, 3)  bias (oc,)  y (n, oc, oh, ow)"""
    correlate(geometry, False, x, weight, bias, y, threads, packed, tile)


def input_gradient(geometry, dy, weight, bias, dx, int threads, packed=None, int tile=OUTPUTS):
    """dx = the transposed convolution of dy, plus bias.  dy (n, oc, oh, ow)  bias (ic,) or None  dx (n, ic, ih, iw)"""
    correlate(geometry, True, dy, weight, bias, dx, threads, packed, tile)


def weight_gradient(geometry, x, dy, dw, int threads):
    """dw = dy correlated with x.  x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, 3), overwritten"""
    cdef Scratch scratch = borrow()
    cdef WalkCall call
    cdef Walk* k = &call.k
    cdef Winograd* w = &k.w
    cdef Carver carver, own
    cdef WalkHand hand
    cdef Py_ssize_t staged
    describe(w, <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry), False, OUTPUTS)
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


def tasks(geometry, int which, int threads, int tile=OUTPUTS):
    """As `tasks` of convolution.pyx: those that multiply, of a stage if there are several."""
    cdef Walk k
    describe(&k.w, <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry), which == 1, tile)
    if which == 2:
        cut_walk(&k, threads)
    else:
        cut(&k.w, 0, threads)
    return k.w.tasks


def lanes():
    """How many numbers a vector of this build holds: what an estimate of time depends on."""
    return LANES


def small_tiles():
    """How many tiles of 2x2 targets, at most, this build serves with `tile=2`: 0 where that has no use."""
    return ROWS_SMALL if FEW_TILES > 0 else 0
