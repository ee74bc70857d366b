# Batch normalization of one channel: its statistics, the normalized numbers, and their gradients.
#
#     x, y, dy, dx (n, c, area)    mean, var, scale, ... (c,)
#
# Whatever is summed belongs to one channel, and is summed in one order.

from vector cimport LANES, MAX_LANES, real, splat, vec

cdef enum:
    FLUSH = 4096                # numbers that are summed in their own precision before they go into a double

cdef enum Kind:
    SUM                         # of x
    SQUARES                     # of x - mean
    PRODUCTS                    # of dy, and of dy with x - mean


cdef struct Batch:
    Py_ssize_t n, c, area


cdef inline double total(const vec* acc) noexcept nogil:
    cdef real lanes[MAX_LANES]
    cdef double sum = 0
    cdef Py_ssize_t j
    (<vec*> lanes)[0] = (acc[0] + acc[1]) + (acc[2] + acc[3])
    for j in range(LANES):
        sum += lanes[j]
    return sum


cdef inline void add_up(Kind kind, const Batch* b, Py_ssize_t k, const real* x, const real* dy, real mean,
                        double* first, double* second) noexcept nogil:
    # The sums over channel k that `kind`, a literal, names.
    cdef vec a[4]
    cdef vec d[4]
    cdef vec value
    cdef real tail = 0, tail_d = 0
    cdef Py_ssize_t i, p, j, since = 0, at
    first[0], second[0] = 0, 0
    for j in range(4):
        a[j], d[j] = splat(0), splat(0)
    for i in range(b.n):
        at, p = (i * b.c + k) * b.area, 0
        while p + 4 * LANES <= b.area:
            for j in range(4):
                value = (<const vec*> (x + at + p + j * LANES))[0]
                if kind == SUM:
                    a[j] = a[j] + value
                elif kind == SQUARES:
                    a[j] = a[j] + (value - splat(mean)) * (value - splat(mean))
                else:
                    a[j] = a[j] + (<const vec*> (dy + at + p + j * LANES))[0]
                    d[j] = d[j] + (<const vec*> (dy + at + p + j * LANES))[0] * (value - splat(mean))
            p += 4 * LANES
        while p < b.area:
            if kind == SUM:
                tail += x[at + p]
            elif kind == SQUARES:
                tail += (x[at + p] - mean) * (x[at + p] - mean)
            else:
                tail += dy[at + p]
                tail_d += dy[at + p] * (x[at + p] - mean)
            p += 1
        since += b.area
        if since >= FLUSH or i == b.n - 1:
            first[0] += total(a) + tail
            second[0] += total(d) + tail_d
            tail, tail_d, since = 0, 0, 0
            for j in range(4):
                a[j], d[j] = splat(0), splat(0)


cdef inline void describe(const Batch* b, Py_ssize_t k, const real* x, real* mean, real* var) noexcept nogil:
    cdef double sum, none
    add_up(SUM, b, k, x, NULL, 0, &sum, &none)
    mean[k] = <real> (sum / (b.n * b.area))
    add_up(SQUARES, b, k, x, NULL, mean[k], &sum, &none)
    var[k] = <real> (sum / (b.n * b.area))


cdef inline void normalize_channel(const Batch* b, Py_ssize_t k, const real* x, real mean, real factor, real summand,
                                   real* y) noexcept nogil:
    cdef Py_ssize_t i, p, at
    for i in range(b.n):
        at, p = (i * b.c + k) * b.area, 0
        while p + LANES <= b.area:
            (<vec*> (y + at + p))[0] = ((<const vec*> (x + at + p))[0] - splat(mean)) * splat(factor) + splat(summand)
            p += LANES
        while p < b.area:
            y[at + p] = (x[at + p] - mean) * factor + summand
            p += 1


cdef inline void differentiate(const Batch* b, Py_ssize_t k, const real* dy, const real* x, real mean, real scale,
                               real factor, bint of_batch, real* dx, real* dw, real* db) noexcept nogil:
    # `of_batch`: mean and scale follow x, and pass gradients on.
    cdef double sum, products
    cdef real share = 0, slope = 0
    cdef Py_ssize_t i, p, at
    add_up(PRODUCTS, b, k, x, dy, mean, &sum, &products)
    dw[k], db[k] = <real> (products * scale), <real> sum
    if dx == NULL:
        return
    if of_batch:
        share = <real> (sum / (b.n * b.area))
        slope = <real> (products * scale * scale / (b.n * b.area))
    for i in range(b.n):
        at, p = (i * b.c + k) * b.area, 0
        while p + LANES <= b.area:
            (<vec*> (dx + at + p))[0] = ((<const vec*> (dy + at + p))[0] - splat(share) - splat(slope)
                                         * ((<const vec*> (x + at + p))[0] - splat(mean))) * splat(factor)
            p += LANES
        while p < b.area:
            dx[at + p] = (dy[at + p] - share - slope * (x[at + p] - mean)) * factor
            p += 1
