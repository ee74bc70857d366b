# Sums of the output gradient over images and pixels, a channel at a time or, where pictures are single pixels, a vector
# of channels. Their order depends on the geometry alone.

from geometry cimport Geometry, smaller
from vector cimport LANES, MAX_LANES, real, splat, vec


cdef inline real sum_channel(const Geometry* g, const real* dy, Py_ssize_t k) noexcept nogil:
    # Over all images in four vector accumulators, then their lanes in order: the same order for any thread count.
    cdef vec acc[4]
    cdef real lanes[MAX_LANES]
    cdef real total = 0
    cdef Py_ssize_t i, j, p, area = g.oh * g.ow
    cdef const real* plane
    for j in range(4):
        acc[j] = splat(0)
    for i in range(g.n):
        plane, p = dy + (i * g.oc + k) * area, 0
        while p + 4 * LANES <= area:
            for j in range(4):
                acc[j] = acc[j] + (<const vec*> (plane + p + j * LANES))[0]
            p += 4 * LANES
        while p + LANES <= area:
            acc[0] = acc[0] + (<const vec*> (plane + p))[0]
            p += LANES
        while p < area:
            total += plane[p]
            p += 1
    (<vec*> lanes)[0] = (acc[0] + acc[1]) + (acc[2] + acc[3])
    for j in range(LANES):
        total += lanes[j]
    return total


cdef inline void sum_rows(const real* dy, Py_ssize_t n, Py_ssize_t row, Py_ssize_t k, real* db) noexcept nogil:
    # Channels k .. k + LANES of pictures of one pixel.  dy (n, row)
    cdef vec acc[2]
    cdef Py_ssize_t i
    acc[0], acc[1] = splat(0), splat(0)
    for i in range(n // 2):
        acc[0] = acc[0] + (<const vec*> (dy + 2 * i * row + k))[0]
        acc[1] = acc[1] + (<const vec*> (dy + (2 * i + 1) * row + k))[0]
    if n % 2:
        acc[0] = acc[0] + (<const vec*> (dy + (n - 1) * row + k))[0]
    (<vec*> (db + k))[0] = acc[0] + acc[1]


cdef inline void sum_channels(const Geometry* g, const real* dy, Py_ssize_t k, Py_ssize_t count,
                              real* db) noexcept nogil:
    # Channels k .. k + count, as many of them as there are.
    if count == LANES and k + LANES <= g.oc:
        sum_rows(dy, g.n, g.oc, k, db)
        return
    for k in range(k, smaller(k + count, g.oc)):
        db[k] = sum_channel(g, dy, k)
