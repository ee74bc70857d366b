# The tasks of a call of convolution.pyx: some of them, on one thread's scratch, in the room for what lies in the lanes.

from block cimport Block, carve_block, locate
from correlation cimport run_task
from depthwise cimport run_depth_tasks
from depthwise_walk cimport DepthWalk, carve_depth_walk, run_depth_walk
from depthwise_task cimport carve_depth
from depthwise_window cimport DepthScratch
from dot_walk cimport DotPlan, DotScratch, carve_dots, run_dots
from groups cimport GroupScratch, carve_groups, run_group_task
from groups_walk cimport run_group_walk
from plan cimport Sum
from spread cimport run_spread_tasks
from tile cimport GROUPS, PIXELS
from vector cimport real
from walk_plan cimport WalkPlan
from weight_gradient cimport Walk, carve_walk, run_walk
from workspace cimport Carver


cdef bint serve(const Sum* s, Carver* carver, Py_ssize_t first, Py_ssize_t last, const real* x, const real* weight,
                const real* bias, real* y) noexcept nogil:
    # Tasks first .. last on one thread's scratch; none of them, and no base, to learn its size. Returns whether all
    # that was scaled is finite.
    cdef Block block
    cdef DepthScratch depth
    cdef GroupScratch groups
    cdef Py_ssize_t task
    if s.lanes == GROUPS:
        carve_groups(&groups, s, carver)
        for task in range(first, last):
            run_group_task(s, &groups, task, x, weight, bias, y)
    elif s.depthwise:
        carve_depth(&depth, s, carver)
        if s.paired:
            return run_spread_tasks(s, &depth, first, last, x, weight, bias, y)
        return run_depth_tasks(s, &depth, first, last, x, weight, bias, y)
    else:
        carve_block(&block, s, carver)
        for task in range(first, last):
            locate(&block, s, task)
            run_task(s, &block, x, weight, bias, y)
    return True


cdef bint serve_run(const Sum* s, char* base, Py_ssize_t run, Py_ssize_t runs, const real* x, const real* weight,
                    const real* bias, real* y) noexcept nogil:
    cdef Carver carver
    carver.base, carver.used = base, 0
    return serve(s, &carver, run * s.tasks // runs, (run + 1) * s.tasks // runs, x, weight, bias, y)


cdef bint walk(const WalkPlan* w, const DotPlan* d, const Sum* s, Carver* carver, Py_ssize_t first, Py_ssize_t last,
               const real* x, const real* dy, real* dw) noexcept nogil:
    # As serve().
    cdef Walk k
    cdef GroupScratch groups
    cdef DepthWalk depth
    cdef DotScratch dots
    cdef Py_ssize_t task
    cdef bint finite = True
    if s.lanes == GROUPS:
        carve_groups(&groups, s, carver)
        for task in range(first, last):
            run_group_walk(s, &groups, task, x, dy, dw)
    elif s.depthwise:
        carve_depth_walk(&depth, s, carver)
        for task in range(first, last):
            finite = run_depth_walk(s, &depth, task, x, dy, dw) and finite
    elif s.lanes == PIXELS:
        carve_dots(&dots, d, s, carver)
        for task in range(first, last):
            run_dots(d, s, &dots, task, x, dy, dw)
    else:
        carve_walk(&k, w, s, carver)
        for task in range(first, last):
            run_walk(w, s, &k, task, x, dy, dw)
    return finite


cdef bint walk_run(const WalkPlan* w, const DotPlan* d, const Sum* s, char* base, Py_ssize_t run, Py_ssize_t runs,
                   const real* x, const real* dy, real* dw) noexcept nogil:
    cdef Carver carver
    carver.base, carver.used = base, 0
    return walk(w, d, s, &carver, run * s.tasks // runs, (run + 1) * s.tasks // runs, x, dy, dw)
