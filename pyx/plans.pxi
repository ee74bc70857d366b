# A planned call: the sum, what lies in the lanes, the cut into tasks, the tables; a part of convolution.pyx.

from choose cimport choose_lanes
from choose_walk cimport choose_walk_lanes, exchange, is_matrix_product
from cut cimport cut_into_tasks
from depthwise_walk cimport cut_depth_walk
from dot_walk cimport DotPlan, cut_dots
from geometry cimport Geometry, larger, simplified, smaller
from groups cimport cut_into_groups
from groups_walk cimport cut_group_walk
from pairs cimport PAIRS, fill_pairs
from plan cimport (Sum, can_merge, can_pair, carve_tables, describe_forward, describe_input_gradient, fill_tables,
                   is_depthwise, is_spread, sums_by_chunks)
from strip_tile cimport list_strip_tiles
from tile cimport CHANNELS, GROUPS, PIXELS
from tiles cimport list_tiles
from vector cimport real
from walk_plan cimport WalkPlan, cut_walk
from workspace cimport Carver

cdef enum:
    SERIAL_WORK = 250_000       # multiply-adds that one thread finishes before a second one has woken up
    OWN_BYTES = 1280 * 1024     # of arrays that a thread finds in its cache again, if a call gives it the same tasks
    GROUP_BYTES = 256 * 1024    # planes and outputs of a task with groups in the lanes
    PLANS = 64                  # plans kept
    PLAN_BYTES = 32 * 1024      # ... if no larger than this

cdef enum Pass:
    FORWARD
    INPUT_GRADIENT
    WEIGHT_GRADIENT


cdef class Plan:
    """A planned call. Calls only read it, so any number of them may share it."""

    cdef object geometry
    cdef Geometry g
    cdef Sum sum
    cdef WalkPlan walk
    cdef DotPlan dots
    cdef Scratch memory             # of the axes and tables
    cdef size_t own                 # scratch bytes of a thread
    cdef int threads                # that have a task
    cdef bint settled               # each thread always gets the same tasks
    cdef bint exchanged             # weight gradient: x and dy trade places


cdef dict plans = {}                # (id of a geometry, pass, threads) -> Plan, which keeps the geometry alive


cdef Plan planned(geometry, int which, int threads):
    # A small call takes less time than its plan, so small plans are kept.
    key = (<size_t> <void*> geometry, which, threads)
    plan = plans.get(key)
    if plan is None:
        plan = make_plan(geometry, which, threads, False)
        if (<Plan> plan).memory.size <= PLAN_BYTES:
            if len(plans) >= PLANS:
                plans.clear()
            plans[key] = plan
    return <Plan> plan


cdef int describe(Plan plan, int which, bint together) except -1:
    # The axes of the sum, and room for its tables.
    cdef Carver carver
    carver.base, carver.used = NULL, 0
    carve_tables(&plan.sum, &plan.g, which == INPUT_GRADIENT, &carver)
    carver.base, carver.used = plan.memory.reserve(carver.used), 0
    carve_tables(&plan.sum, &plan.g, which == INPUT_GRADIENT, &carver)
    if which == INPUT_GRADIENT:
        describe_input_gradient(&plan.sum, &plan.g, together)
    else:
        describe_forward(&plan.sum, &plan.g, which == FORWARD)
    return 0


cdef double choose(Plan plan, int which, bint together, bint prepacked) except -1:
    # What lies in the lanes, and what that is expected to cost.
    describe(plan, which, together)
    plan.sum.lanes = choose_lanes(&plan.sum, prepacked)
    return plan.sum.cost


cdef Plan make_plan(geometry, int which, int threads, bint prepacked):
    cdef Plan plan = Plan()
    cdef Geometry* g = &plan.g
    cdef Sum* s = &plan.sum
    cdef Carver carver
    cdef Py_ssize_t work, arrays
    cdef double cost
    plan.geometry, plan.memory = geometry, Scratch()
    g[0] = simplified(<const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry))
    if which == WEIGHT_GRADIENT:
        describe(plan, which, False)
        s.lanes = choose_walk_lanes(s, g)
        if s.lanes == PIXELS and not s.depthwise:
            describe_forward(s, g, True)
        elif s.lanes == CHANNELS and exchange(g):
            plan.exchanged = True
            describe(plan, which, False)
            s.weight_m, s.weight_c = 1, s.m
    else:
        cost = choose(plan, which, False, prepacked)
        if (which == INPUT_GRADIENT and (can_merge(g) or can_pair(g))
                and choose(plan, which, True, prepacked) >= cost):
            choose(plan, which, False, prepacked)
        s.depthwise = s.lanes == PIXELS and (is_depthwise(s) or is_spread(s))
        if which == FORWARD and (s.lanes != PIXELS or s.depthwise or sums_by_chunks(s)):
            describe_forward(s, g, s.lanes == CHANNELS and s.v.taps * s.h.taps == 1)
    work = s.n * s.groups * s.m * s.c * s.v.taps * s.h.taps * s.v.target * s.h.target // (s.v.spacing * s.h.spacing)
    if s.m == s.c == 1:
        work *= 2               # of which a processor does half as many in the same time
    if work < (SERIAL_WORK // PAIRS if s.paired else SERIAL_WORK):
        threads = 1
    if s.lanes == GROUPS:
        cut_into_groups(s, GROUP_BYTES // sizeof(real))
        if which == WEIGHT_GRADIENT:
            cut_group_walk(s, threads)
    elif which == WEIGHT_GRADIENT and s.depthwise:
        cut_depth_walk(s)
    elif which == WEIGHT_GRADIENT and s.lanes == PIXELS:
        cut_dots(&plan.dots, s, is_matrix_product(g))
    elif which == WEIGHT_GRADIENT:
        cut_walk(&plan.walk, s, threads)
    else:
        cut_into_tasks(s, threads)
    if s.paired:
        fill_pairs(s)
    else:
        fill_tables(s)
    list_tiles(&s.tiles)
    list_strip_tiles(&s.strip_tiles)
    carver.base, carver.used = NULL, 0
    if which == WEIGHT_GRADIENT:
        walk(&plan.walk, &plan.dots, s, &carver, 0, 0, NULL, NULL, NULL)
    else:
        serve(s, &carver, 0, 0, NULL, NULL, NULL, NULL)
    plan.own = carver.used
    plan.threads = larger(smaller(threads, s.tasks), 1)
    # What another thread has written last comes from its cache, at half the speed: where all fits the caches of the
    # threads, the same tasks should stay with the same thread, if their shares are equal.
    arrays = s.n * (s.source_image + s.target_image) * <Py_ssize_t> sizeof(real)
    plan.settled = s.tasks % plan.threads == 0 and arrays <= plan.threads * OWN_BYTES
    return plan
