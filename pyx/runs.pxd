# Runs: neighbouring positions along an axis from which the same taps read the source, and the other taps padding.
#
# The taps of a pass read places in ascending or descending order, so those that lie inside the source are neighbours
# too. Where padding is a good part of what a picture's pixels read (7x7 pixels and a padded 3x3 kernel: 18 % along each
# axis), the pixels of a pair of runs, one per axis, are worked off with their own taps. No padding is then read at all.
# Where a kernel is about as large as the picture, each position has taps of its own: runs are then LONG_RUN positions
# long or longer, and have all taps that any of these reads. Some padding is read, but far less than without.

from geometry cimport Axis, Tap, larger, positions, smaller, within_source

cdef enum:
    MAX_RUNS = 8            # more of them along an axis are not worth their tables
    MAX_SKIPPED = 64        # nor are longer axes, of which padding is a small part
    LONG_RUN = 8            # which makes at most MAX_RUNS of them

cdef struct Run:
    Py_ssize_t start, end       # positions of a pass
    Py_ssize_t first, last      # taps of the axis


cdef inline bint worth_skipping(const Axis* axis) noexcept nogil:
    return not within_source(axis) and positions(axis, 0) <= MAX_SKIPPED


cdef inline bint is_inside(const Axis* axis, Py_ssize_t q, Py_ssize_t tap) noexcept nogil:
    cdef const Tap* t = axis.tap + tap
    cdef Py_ssize_t at = axis.origin + (q * axis.pace + t.shift) * axis.step + axis.value[t.residue]
    return 0 <= at < axis.source


cdef inline void find_taps(Run* run, const Axis* axis, Py_ssize_t a, Py_ssize_t q) noexcept nogil:
    # The taps of pass a that read the source from position q, given those of the position before.
    cdef Py_ssize_t begin = axis.first[a], end = axis.first[a + 1]
    while run.last < end and is_inside(axis, q, run.last):
        run.last += 1
    while run.first > begin and is_inside(axis, q, run.first - 1):
        run.first -= 1
    while run.first < run.last and not is_inside(axis, q, run.first):
        run.first += 1
    while run.last > run.first and not is_inside(axis, q, run.last - 1):
        run.last -= 1
    if run.first == run.last:
        run.first = begin
        while run.first < end and not is_inside(axis, q, run.first):
            run.first += 1
        run.last = run.first
        while run.last < end and is_inside(axis, q, run.last):
            run.last += 1


cdef inline void widen(Run* run, const Run* here) noexcept nogil:
    # By a position with the taps of `here`.
    run.end += 1
    if run.first == run.last:
        run.first, run.last = here.first, here.last
    elif here.first < here.last:
        run.first, run.last = smaller(run.first, here.first), larger(run.last, here.last)


cdef inline Py_ssize_t list_runs(Run* runs, const Axis* axis, Py_ssize_t a, Py_ssize_t start, Py_ssize_t end,
                                 Py_ssize_t least) noexcept nogil:
    # The runs of positions start .. end of pass a, and their number. A run is at least `least` long, if there are more
    # positions; 0 is for one run that has all taps. MAX_RUNS + 1 of them stand for more than MAX_RUNS.
    cdef Run here, before
    cdef Py_ssize_t q, count = 0
    here.first, here.last = axis.first[a], axis.first[a + 1]
    if not least:
        here.start, here.end = start, end
        runs[0] = here
        return 1
    for q in range(start, end):
        before = here
        find_taps(&here, axis, a, q)
        if count and ((before.first == here.first and before.last == here.last)
                      or q - runs[count - 1].start < least):
            widen(runs + count - 1, &here)
            continue
        if count == MAX_RUNS:
            return MAX_RUNS + 1
        here.start, here.end = q, q + 1
        runs[count] = here
        count += 1
    return count
