# Convolution: forward, input gradient (= transposed convolution), weight gradient, bias gradient.
#
# The entry points that Python calls. Each one plans the call (plans.pxi), carves its scratch memory, and runs one
# prange over runs of tasks that write disjoint outputs (tasks.pxi); the multiplications are in tile.pxd. Arguments were
# checked above: arrays are C-contiguous, of this module's dtype, and fit the geometry.

from cython.parallel cimport prange, threadid
from libc.string cimport memset
cimport numpy as cnp

from bias_gradient cimport sum_channels
from channels_pack cimport pack_weights
from depthwise_task cimport cut_scaled
from dot_walk cimport DotPlan
from geometry cimport Geometry, ceil_div, larger, smaller
from groups cimport pack_groups
from pixel_parts cimport add_parts
from plan cimport Sum, is_merged, packed_blocks, packs_chunks
from tile cimport CHANNELS, GROUPS, PIXELS
from vector cimport LANES, real
from walk_plan cimport WalkPlan
from workspace cimport CACHE_LINE, Carver, carve

include "scratch.pxi"
include "plans.pxi"
include "tasks.pxi"

cnp.import_array()

cdef enum:
    RUNS_PER_THREAD = 32        # tasks go to threads in so many runs: even load, few hand-overs


def clear_workspace():
    """Free the scratch memory and the plans that are kept between calls."""
    idle.clear()
    plans.clear()


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef class Packed:
    """Weights packed once for many calls of one geometry, with the plans that read them."""

    cdef Scratch weights            # in a layout that depends on the geometry only
    cdef dict plans                 # by the number of threads


cdef void pack_all(const Sum* s, const real* weight, int threads) noexcept nogil:
    cdef Py_ssize_t task, tasks = s.m_blocks if s.lanes == GROUPS else s.groups * packed_blocks(s)
    # Parallel over blocks of packed groups or channels.
    for task in prange(tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        if s.lanes == GROUPS:
            pack_groups(s, s.packed + task * s.packed_group, weight, task)
        else:
            pack_weights(s, weight, task)


cdef inline bint packs_first(const Sum* s) noexcept nogil:
    # Whether a call packs all weights before its first task. With groups in the lanes tasks could pack their own; where
    # every block of groups has but one task they do, which saves the threads from meeting twice.
    if s.lanes == GROUPS:
        return s.tasks > s.m_blocks
    return s.tasks > 0 and (not packs_chunks(s) if s.lanes == CHANNELS else is_merged(s))


cdef Packed pack(geometry, int which, weight, int threads):
    cdef Packed packed = Packed()
    cdef Plan plan = make_plan(geometry, which, threads, True)
    cdef Sum s = plan.sum
    cdef int count = plan.threads
    cdef const real* w = numbers(weight)
    packed.plans, packed.weights = {threads: plan}, Scratch()
    if s.packed_numbers == 0 or s.tasks == 0:
        return None
    s.packed = <real*> packed.weights.reserve(s.packed_numbers * sizeof(real))
    with nogil:
        pack_all(&s, w, count)
    return packed


cdef Plan plan_of(Packed packed, geometry, int which, int threads):
    if packed is None:
        return planned(geometry, which, threads)
    plan = packed.plans.get(threads)
    if plan is None:
        plan = packed.plans[threads] = make_plan(geometry, which, threads, True)
    return <Plan> plan


cdef object correlate(Plan plan, source, weight, bias, target, Packed packed, tuple shifts):
    cdef const real* x = numbers(source)
    cdef const real* w = numbers(weight)
    cdef const real* b = NULL if bias is None else numbers(bias)
    cdef real* y = numbers(target)
    cdef Scratch scratch = borrow()
    cdef Sum s = plan.sum
    cdef int threads = plan.threads
    cdef size_t own = plan.own
    cdef Py_ssize_t run, runs, outputs = s.groups * s.m, room, i, infinite = 0
    # Outputs that share a bias: all pixels of a channel, where simplified() made channels of them, or merged phases.
    cdef Py_ssize_t sharing = 1 if bias is None else outputs // larger(cnp.PyArray_SIZE(<cnp.ndarray> bias), 1)
    cdef Carver carver
    cdef real* own_bias
    cdef char* base
    cdef bint packing = packed is None and packs_first(&s)
    if shifts is not None:
        if not s.depthwise:
            return None
        s.source_shift, s.target_shift = shifts
        cut_scaled(&s)
    room = s.packed_numbers if packing else 0
    base = scratch.reserve((room + outputs) * sizeof(real) + 2 * CACHE_LINE + own * threads)
    carver.base, carver.used = base, 0
    if packing:
        s.packed = <real*> carve(&carver, room, sizeof(real))
    elif packed is not None:
        s.packed = <real*> packed.weights.memory
    own_bias = <real*> carve(&carver, outputs, sizeof(real))
    base += carver.used
    with nogil:
        if b == NULL:
            memset(own_bias, 0, outputs * sizeof(real))
            b = own_bias
        elif sharing > 1:
            for i in range(outputs):
                own_bias[i] = b[i // sharing]
            b = own_bias
        if packing:
            pack_all(&s, w, threads)
        if threads == 1:
            # Even a parallel region of one thread would cost a small call a tenth of its time.
            infinite = not serve_run(&s, base, 0, 1, x, w, b, y)
        elif plan.settled:
            # Parallel as below.
            for run in prange(threads, num_threads=threads, schedule="static", chunksize=1):
                infinite += not serve_run(&s, base + own * threadid(), run, threads, x, w, b, y)
        else:
            # Parallel over blocks of the target: disjoint outputs, planes private to the thread.
            runs = smaller(s.tasks, threads * RUNS_PER_THREAD)
            for run in prange(runs, num_threads=threads, schedule="dynamic", chunksize=1):
                infinite += not serve_run(&s, base + own * threadid(), run, runs, x, w, b, y)
    give_back(scratch)
    return infinite == 0 if shifts is not None else None


def pack_forward(geometry, weight, int threads):
    """What `forward` takes as `packed` for this geometry; None where it reads the weight as it is."""
    return pack(geometry, FORWARD, weight, threads)


def forward(geometry, x, weight, bias, y, int threads, packed=None, tuple shifts=None):
    """y = convolution of x with weight, plus bias.

    x (n, ic, ih, iw)  weight (oc, ic / groups, kh, kw)  bias (oc,) or None  y (n, oc, oh, ow), overwritten

    x and y are multiplied by 2^shifts[0] and 2^shifts[1] on the way, each 0 or as scale() of network.pyx wants it.
    Returns whether all of that was finite; None without shifts, or if this sum has no such way: then y is left alone.
    """
    return correlate(plan_of(packed, geometry, FORWARD, threads), x, weight, bias, y, packed, shifts)


def pack_input_gradient(geometry, weight, int threads):
    """What `input_gradient` takes as `packed` for this geometry; None where it reads the weight as it is."""
    return pack(geometry, INPUT_GRADIENT, weight, threads)


def input_gradient(geometry, dy, weight, bias, dx, int threads, packed=None, tuple shifts=None):
    """dx = transposed convolution of dy with weight, plus bias.

    dy (n, oc, oh, ow)  weight (oc, ic / groups, kh, kw)  bias (ic,) or None  dx (n, ic, ih, iw), overwritten
    shifts: of dy and dx, as of forward
    """
    return correlate(plan_of(packed, geometry, INPUT_GRADIENT, threads), dy, weight, bias, dx, packed, shifts)


def weight_gradient(geometry, x, dy, dw, int threads, tuple shifts=None):
    """dw = derivative of sum(dy * convolution(x, w)) by w.

    x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, kw), overwritten

    shifts: of x and dy, as of forward; dw is what comes of that.
    """
    cdef Plan plan = planned(geometry, WEIGHT_GRADIENT, threads)
    cdef const real* px = numbers(x)
    cdef const real* pdy = numbers(dy)
    cdef real* pdw = numbers(dw)
    cdef real* whole = pdw
    if plan.exchanged:
        px, pdy = pdy, px
    cdef Scratch scratch
    cdef Py_ssize_t run, runs, infinite = 0
    cdef size_t sums
    cdef char* base
    cdef bint empty = plan.sum.depth == 0 or plan.sum.m == 0 or plan.sum.target_image == 0 or plan.sum.n == 0
    cdef bint scaling = shifts is not None
    if scaling and not plan.sum.depthwise:
        return None
    cdef size_t size = plan.sum.groups * plan.sum.weight_group * sizeof(real)
    if empty:
        memset(pdw, 0, size)
        return True if scaling else None
    scratch = borrow()
    # Sums over parts of the pixels lie behind the scratch of the threads, and are added up at the end.
    sums = size * plan.sum.pixel_parts if plan.sum.pixel_parts > 1 else 0
    base = scratch.reserve(plan.own * plan.threads + sums)
    if sums:
        pdw = <real*> (base + plan.own * plan.threads)
    if plan.sum.v.taps * plan.sum.h.taps < plan.g.kh * plan.g.kw:
        # Taps that only ever read padding have no place in the tables, and keep these zeros.
        memset(pdw, 0, larger(sums, size))
    cdef Sum s = plan.sum
    cdef const WalkPlan* w = &plan.walk
    cdef const DotPlan* d = &plan.dots
    cdef int count = plan.threads
    cdef size_t own = plan.own
    if scaling:
        s.source_shift, s.target_shift = shifts
        cut_scaled(&s)
    with nogil:
        if count == 1:
            infinite = not walk_run(w, d, &s, base, 0, 1, px, pdy, pdw)
        elif plan.settled:
            # Parallel as below.
            for run in prange(count, num_threads=count, schedule="static", chunksize=1):
                infinite += not walk_run(w, d, &s, base + own * threadid(), run, count, px, pdy, pdw)
        else:
            # Parallel over blocks of dw, and parts of the batch where these are few: what each of them sums over
            # follows from the geometry alone.
            runs = smaller(s.tasks, count * RUNS_PER_THREAD)
            for run in prange(runs, num_threads=count, schedule="dynamic", chunksize=1):
                infinite += not walk_run(w, d, &s, base + own * threadid(), run, runs, px, pdy, pdw)
        if sums:
            add_parts(&s, pdw, whole)
    give_back(scratch)
    return infinite == 0 if scaling else None


def tasks(geometry, int which, int threads):
    """Into how many tasks a pass is cut for so many threads: 0 forward, 1 input gradient, 2 weight gradient."""
    return planned(geometry, which, threads).sum.tasks


def sums_by_pixels(geometry):
    """Whether the weight gradient has pixels in its lanes: each of them sums a part, which rounds less."""
    return planned(geometry, WEIGHT_GRADIENT, 1).sum.lanes == PIXELS


def bias_gradient(geometry, dy, db, int threads):
    """db = dy summed over images and pixels.  dy (n, oc, oh, ow)  db (oc,), overwritten"""
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef const real* pdy = numbers(dy)
    cdef real* pdb = numbers(db)
    cdef Py_ssize_t task, channels = LANES if g.oh * g.ow == 1 else 1
    if g.n * g.oc * g.oh * g.ow < SERIAL_WORK:
        threads = 1
    # Parallel over channels: each sum belongs to one thread.
    for task in prange(ceil_div(g.oc, channels), nogil=True, num_threads=threads, schedule="static",
                       use_threads_if=threads > 1):
        sum_channels(g, pdy, task * channels, channels, pdb)
