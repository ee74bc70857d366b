# Batch normalization: statistics of each channel, the normalized batch, and its gradients.
#
#     x, y, dy, dx (n, c, area)    mean, var, scale, ... (c,)
#
# All are parallel over channels: whatever is summed belongs to one channel, and is summed in one order.

from cython.parallel cimport prange
cimport numpy as cnp

from vector cimport LANES, MAX_LANES, real, splat, vec

cnp.import_array()

cdef enum:
    FLUSH = 4096                # numbers that are summed in their own precision before they go into a double
    SERIAL_WORK = 64 * 1024     # numbers that one thread has passed over before a second one has woken up

cdef enum Kind:
    SUM                         # of x
    SQUARES                     # of x - mean
    PRODUCTS                    # of dy, and of dy with x - mean


cdef struct Batch:
    Py_ssize_t n, c, area


cdef inline real* numbers(array):
    return NULL if array is None else <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef Batch batch_of(x):
    cdef Batch b
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(<cnp.ndarray> x)
    cdef Py_ssize_t axis
    b.n, b.c, b.area = shape[0], shape[1], 1
    for axis in range(2, cnp.PyArray_NDIM(<cnp.ndarray> x)):
        b.area *= shape[axis]
    return b


cdef inline int useful_threads(const Batch* b, int threads) noexcept nogil:
    return threads if b.n * b.c * b.area >= SERIAL_WORK else 1


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


cdef void describe(const Batch* b, Py_ssize_t k, const real* x, real* mean, real* var) noexcept nogil:
    cdef double sum, none
    add_up(SUM, b, k, x, NULL, 0, &sum, &none)
    mean[k] = <real> (sum / (b.n * b.area))
    add_up(SQUARES, b, k, x, NULL, mean[k], &sum, &none)
    var[k] = <real> (sum / (b.n * b.area))


def statistics(x, mean, var, int threads):
    """Mean and variance of each channel, which must not be empty."""
    cdef Batch b = batch_of(x)
    cdef const real* px = numbers(x)
    cdef real* pmean = numbers(mean)
    cdef real* pvar = numbers(var)
    cdef Py_ssize_t k
    threads = useful_threads(&b, threads)
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        describe(&b, k, px, pmean, pvar)


cdef void normalize_channel(const Batch* b, Py_ssize_t k, const real* x, real mean, real factor, real summand,
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


def normalize(x, mean, factor, summand, y, int threads):
    """y = (x - mean) * factor + summand; summand may be None"""
    cdef Batch b = batch_of(x)
    cdef const real* px = numbers(x)
    cdef const real* pmean = numbers(mean)
    cdef const real* pfactor = numbers(factor)
    cdef const real* psummand = numbers(summand)
    cdef real* py = numbers(y)
    cdef Py_ssize_t k
    threads = useful_threads(&b, threads)
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        normalize_channel(&b, k, px, pmean[k], pfactor[k], 0 if psummand == NULL else psummand[k], py)


cdef void differentiate(const Batch* b, Py_ssize_t k, const real* dy, const real* x, real mean, real scale, real factor,
                        bint of_batch, real* dx, real* dw, real* db) noexcept nogil:
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


def normalize_backward(dy, x, mean, scale, factor, bint of_batch, dx, dw, db, int threads):
    """dw = sum of dy * (x - mean) * scale, db = sum of dy, and unless it is None

    dx = factor * dy, and of_batch less what comes through mean and scale.
    """
    cdef Batch b = batch_of(x)
    cdef const real* pdy = numbers(dy)
    cdef const real* px = numbers(x)
    cdef const real* pmean = numbers(mean)
    cdef const real* pscale = numbers(scale)
    cdef const real* pfactor = numbers(factor)
    cdef real* pdx = numbers(dx)
    cdef real* pdw = numbers(dw)
    cdef real* pdb = numbers(db)
    cdef Py_ssize_t k
    threads = useful_threads(&b, threads)
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        differentiate(&b, k, pdy, px, pmean[k], pscale[k], pfactor[k], of_batch, pdx, pdw, pdb)
