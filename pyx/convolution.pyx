# Convolution: forward, input gradient (= transposed convolution), weight gradient, bias gradient.
#
# The entry points that Python calls. Each one plans the call (plan.pxd), carves its scratch memory, and runs one
# prange over tasks that write disjoint outputs (correlation.pxd, weight_gradient.pxd); the multiplications are in
# tile.pxd. Arguments were checked above: arrays are C-contiguous, of this module's dtype, and fit the geometry.

from cython.parallel cimport prange, threadid
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
cimport numpy as cnp

from correlation cimport Block, carve_block, locate, pack_weights, run_task
from geometry cimport Geometry, larger, simplified, smaller
from groups cimport GroupScratch, carve_groups, cut_into_groups, run_group_task, run_group_walk
from plan cimport (Sum, carve_axis, carve_tables, choose_lanes, cut_into_tasks, describe_forward,
                   describe_input_gradient, fill_tables, is_depthwise)
from tile cimport CHANNELS, GROUPS, PIXELS, list_tiles
from vector cimport LANES, real, splat, vec
from weight_gradient cimport Walk, WalkPlan, carve_walk, choose_walk_lanes, cut_walk, run_walk
from workspace cimport CACHE_LINE, Carver, carve

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void** memory, size_t alignment, size_t size)

cnp.import_array()

cdef enum:
    SERIAL_WORK = 250_000       # multiply-adds that one thread finishes before a second one has woken up
    RUNS_PER_THREAD = 16        # tasks go to threads in so many runs: even load, few hand-overs
    GROUP_BYTES = 256 * 1024    # planes and outputs of a task with groups in the lanes
    IDLE_BLOCKS = 8             # scratch blocks kept for the next call: one for each caller at a time


cdef class Scratch:
    """One aligned block of memory that grows to the largest call it has served."""

    cdef void* memory
    cdef size_t size

    def __dealloc__(self):
        free(self.memory)

    cdef char* reserve(self, size_t size) except NULL:
        if size > self.size or self.memory == NULL:
            free(self.memory)
            self.memory, self.size = NULL, 0
            if posix_memalign(&self.memory, CACHE_LINE, larger(size, CACHE_LINE)):
                self.memory = NULL
                raise MemoryError(f"no memory for {size} bytes of scratch space")
            self.size = size
        return <char*> self.memory


cdef list idle = []


cdef Scratch borrow():
    return idle.pop() if idle else Scratch()


cdef void give_back(Scratch scratch):
    if len(idle) < IDLE_BLOCKS:
        idle.append(scratch)


def clear_workspace():
    """Free the scratch memory that is kept between calls."""
    idle.clear()


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline Geometry unpack(geometry):
    return simplified(<const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry))


cdef object correlate(geometry, source, weight, bias, target, int threads, bint forward):
    cdef Geometry g = unpack(geometry)
    cdef real* x = numbers(source)
    cdef real* w = numbers(weight)
    cdef real* y = numbers(target)
    cdef real* given = NULL if bias is None else numbers(bias)
    cdef Scratch axes = borrow(), scratch = borrow()
    cdef Carver carver
    cdef Sum s
    cdef Py_ssize_t task, run, runs, outputs, work, pack_tasks
    cdef size_t shared, own
    cdef char* base
    cdef real* b
    carver.base, carver.used = NULL, 0
    plan_axes(&s, &g, forward, &carver)
    carver.base, carver.used = axes.reserve(carver.used), 0
    plan_axes(&s, &g, forward, &carver)
    if forward:
        describe_forward(&s, &g, True)
    else:
        describe_input_gradient(&s, &g)
    s.lanes = choose_lanes(&s)
    s.depthwise = s.lanes == PIXELS and is_depthwise(&s)
    if forward and s.lanes != PIXELS:
        describe_forward(&s, &g, False)
    work = s.n * s.groups * s.m * s.c * s.v.taps * s.h.taps * s.v.target * s.h.target // (s.v.spacing * s.h.spacing)
    if work < SERIAL_WORK:
        threads = 1
    if s.lanes == GROUPS:
        cut_into_groups(&s, GROUP_BYTES // sizeof(real))
    else:
        cut_into_tasks(&s, threads)
    threads = larger(smaller(threads, s.tasks), 1)      # each has scratch of its own
    outputs = s.groups * s.m
    carver.base, carver.used = NULL, 0
    carve_tables(&s, &carver)
    carve(&carver, outputs, sizeof(real))
    shared, carver.used = carver.used, 0
    serve(&s, &carver, 0, 0, NULL, NULL, NULL, NULL)
    own = carver.used
    base = scratch.reserve(shared + own * threads)
    carver.base, carver.used = base, 0
    carve_tables(&s, &carver)
    b = <real*> carve(&carver, outputs, sizeof(real))
    with nogil:
        fill_tables(&s)
        list_tiles(&s.tiles)
        if given == NULL:
            memset(b, 0, outputs * sizeof(real))
        else:
            memcpy(b, given, outputs * sizeof(real))
        pack_tasks = s.groups * s.m_blocks if s.lanes == CHANNELS and s.tasks else 0
        for task in prange(pack_tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            pack_weights(&s, w, task)
        # Parallel over blocks of the target: disjoint outputs, planes private to the thread.
        runs = smaller(s.tasks, threads * RUNS_PER_THREAD)
        for run in prange(runs, num_threads=threads, schedule="dynamic", chunksize=1, use_threads_if=threads > 1):
            serve_run(&s, base + shared + own * threadid(), run, runs, x, w, b, y)
    give_back(scratch)
    give_back(axes)


cdef void plan_axes(Sum* s, const Geometry* g, bint forward, Carver* carver) noexcept nogil:
    carve_axis(&s.v, carver, g.kh, 1 if forward else smaller(g.stride_h, g.ih))
    carve_axis(&s.h, carver, g.kw, 1 if forward else smaller(g.stride_w, g.iw))


cdef void serve(const Sum* s, Carver* carver, Py_ssize_t first, Py_ssize_t last, const real* x, const real* weight,
                const real* bias, real* y) noexcept nogil:
    # Tasks first .. last on one thread's scratch; none of them, and no base, to learn its size.
    cdef Block block
    cdef GroupScratch groups
    cdef Py_ssize_t task
    if s.lanes == GROUPS:
        carve_groups(&groups, s, carver)
        for task in range(first, last):
            run_group_task(s, &groups, task, x, weight, bias, y)
    else:
        carve_block(&block, s, carver)
        for task in range(first, last):
            locate(&block, s, task)
            run_task(s, &block, x, weight, bias, y)


cdef void serve_run(const Sum* s, char* base, Py_ssize_t run, Py_ssize_t runs, const real* x, const real* weight,
                    const real* bias, real* y) noexcept nogil:
    cdef Carver carver
    carver.base, carver.used = base, 0
    serve(s, &carver, run * s.tasks // runs, (run + 1) * s.tasks // runs, x, weight, bias, y)


cdef void walk(const WalkPlan* w, const Sum* s, Carver* carver, Py_ssize_t first, Py_ssize_t last, const Geometry* g,
               const real* x, const real* dy, real* dw) noexcept nogil:
    # As serve().
    cdef Walk k
    cdef GroupScratch groups
    cdef Py_ssize_t task
    if s.lanes == GROUPS:
        carve_groups(&groups, s, carver)
        for task in range(first, last):
            run_group_walk(s, &groups, task, x, dy, dw)
    else:
        carve_walk(&k, w, s, carver)
        for task in range(first, last):
            run_walk(w, s, &k, task, g, x, dy, dw)


cdef void walk_task(const WalkPlan* w, const Sum* s, char* base, Py_ssize_t task, const Geometry* g,
                    const real* x, const real* dy, real* dw) noexcept nogil:
    cdef Carver carver
    carver.base, carver.used = base, 0
    walk(w, s, &carver, task, task + 1, g, x, dy, dw)


def forward(geometry, x, weight, bias, y, int threads):
    """y = convolution of x with weight, plus bias.

    x (n, ic, ih, iw)  weight (oc, ic / groups, kh, kw)  bias (oc,) or None  y (n, oc, oh, ow), overwritten
    """
    correlate(geometry, x, weight, bias, y, threads, True)


def input_gradient(geometry, dy, weight, bias, dx, int threads):
    """dx = transposed convolution of dy with weight, plus bias.

    dy (n, oc, oh, ow)  weight (oc, ic / groups, kh, kw)  bias (ic,) or None  dx (n, ic, ih, iw), overwritten
    """
    correlate(geometry, dy, weight, bias, dx, threads, False)


def weight_gradient(geometry, x, dy, dw, int threads):
    """dw = derivative of sum(dy * convolution(x, w)) by w.

    x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, kw), overwritten
    """
    cdef Geometry g = unpack(geometry)
    cdef real* px = numbers(x)
    cdef real* pdy = numbers(dy)
    cdef real* pdw = numbers(dw)
    cdef Scratch axes = borrow(), scratch = borrow()
    cdef Carver carver
    cdef Sum s
    cdef WalkPlan w
    cdef Py_ssize_t task
    cdef size_t shared, own
    cdef char* base
    memset(pdw, 0, g.oc * (g.ic // g.groups) * g.kh * g.kw * sizeof(real))
    carver.base, carver.used = NULL, 0
    plan_axes(&s, &g, True, &carver)
    carver.base, carver.used = axes.reserve(carver.used), 0
    plan_axes(&s, &g, True, &carver)
    describe_forward(&s, &g, False)
    if g.n * g.oc * (g.ic // g.groups) * s.v.taps * s.h.taps * g.oh * g.ow < SERIAL_WORK:
        threads = 1
    s.lanes = choose_walk_lanes(&s)
    if s.lanes == GROUPS:
        cut_into_groups(&s, GROUP_BYTES // sizeof(real))
        w.tasks = s.m_blocks
    else:
        cut_walk(&w, &s, threads)
    threads = larger(smaller(threads, w.tasks), 1)      # each has scratch of its own
    carver.base, carver.used = NULL, 0
    carve_tables(&s, &carver)
    shared, carver.used = carver.used, 0
    walk(&w, &s, &carver, 0, 0, &g, NULL, NULL, NULL)
    own = carver.used
    if s.depth == 0 or s.m == 0 or g.n == 0 or g.oh == 0 or g.ow == 0:
        give_back(axes)
        give_back(scratch)
        return
    base = scratch.reserve(shared + own * threads)
    carver.base, carver.used = base, 0
    carve_tables(&s, &carver)
    with nogil:
        fill_tables(&s)
        list_tiles(&s.tiles)
        # Parallel over blocks of dw: a task sums over the whole batch, so nothing is added twice or in another order.
        for task in prange(w.tasks, num_threads=threads, schedule="dynamic", chunksize=1, use_threads_if=threads > 1):
            walk_task(&w, &s, base + shared + own * threadid(), task, &g, px, pdy, pdw)
    give_back(axes)
    give_back(scratch)


cdef real sum_plane(const real* y, Py_ssize_t count) noexcept nogil:
    # Four vector accumulators, then lanes in order: the same order for any thread count.
    cdef vec acc[4]
    cdef real lanes[64]
    cdef real total = 0
    cdef Py_ssize_t i = 0, j
    for j in range(4):
        acc[j] = splat(0)
    while i + 4 * LANES <= count:
        for j in range(4):
            acc[j] = acc[j] + (<const vec*> (y + i + j * LANES))[0]
        i += 4 * LANES
    for j in range(4):
        (<vec*> (lanes + j * LANES))[0] = acc[j]
    for j in range(4 * LANES):
        total += lanes[j]
    while i < count:
        total += y[i]
        i += 1
    return total


def bias_gradient(geometry, dy, db, int threads):
    """db = dy summed over images and pixels.  dy (n, oc, oh, ow)  db (oc,), overwritten"""
    cdef Geometry g = unpack(geometry)
    cdef const real* pdy = numbers(dy)
    cdef real* pdb = numbers(db)
    cdef Py_ssize_t k, i, area = g.oh * g.ow
    cdef real total
    if g.n * g.oc * area < SERIAL_WORK:
        threads = 1
    # Parallel over channels: each sum belongs to one thread.
    for k in prange(g.oc, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        total = 0
        for i in range(g.n):
            total = total + sum_plane(pdy + (i * g.oc + k) * area, area)
        pdb[k] = total
