# The machine's peak: multiply-adds on registers alone, the yardstick of every speed in bench/.

from cython.parallel cimport prange

from vector cimport LANES, real, splat, vec

cdef enum:
    CHAINS = 12             # independent accumulators: more than any core has multiply-adds in flight, all in registers
    TURNS = 20_000


cdef real spin(Py_ssize_t turns, real factor) noexcept nogil:
    # acc = acc * factor + 1 in CHAINS vectors at once. All start from `factor`, which the compiler must not know: it
    # would leave out a chain that stands still.
    cdef vec acc[CHAINS]
    cdef vec scale = splat(factor)
    cdef vec one = splat(1)
    cdef vec total
    cdef real lanes[64]
    cdef Py_ssize_t _, j
    for j in range(CHAINS):
        acc[j] = splat(<real> j * factor)
    for _ in range(turns):
        for j in range(CHAINS):
            acc[j] = acc[j] * scale + one
    total = acc[0]
    for j in range(1, CHAINS):
        total = total + acc[j]
    (<vec*> lanes)[0] = total
    return lanes[0]


def multiply_adds(int threads, real factor=0.75):
    """Run multiply-adds on `threads` threads at once; the number of vectors multiplied, and what came of it."""
    cdef real result = 0
    cdef int _
    for _ in prange(threads, nogil=True, num_threads=threads, schedule="static"):
        result += spin(TURNS, factor)
    return threads * <Py_ssize_t> TURNS * CHAINS, result


def lanes():
    """Numbers in a vector."""
    return LANES
