# What is done number by number, in one pass over memory: ReLU, forward and backward, and the update of SGD.
#
# The arrays of a call are C-contiguous and have equally many numbers. A target may be one of the sources.

from cython.parallel cimport prange
cimport numpy as cnp

from geometry cimport smaller
from vector cimport (LANES, as_bits, as_vec, bits, load_bytes, passes, real, store_bytes, vec)

cnp.import_array()

cdef enum:
    BLOCK = 16 * 1024           # numbers per task
    SERIAL_WORK = 128 * 1024    # numbers that one thread has passed over before a second one has woken up


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline Py_ssize_t blocks_of(Py_ssize_t count) noexcept nogil:
    return (count + BLOCK - 1) // BLOCK


cdef inline int useful_threads(Py_ssize_t count, int threads) noexcept nogil:
    return threads if count >= SERIAL_WORK else 1


# The loops go over whole vectors, then over what is left, one by one. All are parallel over blocks: every number of the
# target depends on numbers at the same place only.

cdef void rectify_block(const real* x, real* y, signed char* passed, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t i = first
    cdef bits mask
    cdef vec value
    while i + LANES <= last:
        value = (<const vec*> (x + i))[0]
        mask = passes(value)
        (<vec*> (y + i))[0] = as_vec(as_bits(value) & mask)
        if passed != NULL:
            store_bytes(passed + i, mask)
        i += LANES
    while i < last:
        if passed != NULL:
            passed[i] = 0 if x[i] <= 0 else -1
        y[i] = 0 if x[i] <= 0 else x[i]
        i += 1


def rectify(x, y, passed, int threads):
    """y = 0 where x <= 0, else x; passed (int8, or None) = 0 where x <= 0, else -1."""
    cdef const real* px = numbers(x)
    cdef real* py = numbers(y)
    cdef signed char* mask = NULL if passed is None else <signed char*> cnp.PyArray_DATA(<cnp.ndarray> passed)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> y)
    threads = useful_threads(count, threads)
    for i in prange(blocks_of(count), nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        rectify_block(px, py, mask, i * BLOCK, smaller((i + 1) * BLOCK, count))


cdef void pass_block(const real* dy, const real* x, const signed char* passed, real* dx, Py_ssize_t first,
                     Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t i = first
    cdef bits mask
    while i + LANES <= last:
        mask = passes((<const vec*> (x + i))[0]) if passed == NULL else load_bytes(passed + i)
        (<vec*> (dx + i))[0] = as_vec(as_bits((<const vec*> (dy + i))[0]) & mask)
        i += LANES
    while i < last:
        if passed == NULL:
            dx[i] = 0 if x[i] <= 0 else dy[i]
        else:
            dx[i] = dy[i] if passed[i] else 0
        i += 1


def rectify_backward(dy, x, passed, dx, int threads):
    """dx = dy where `passed` says so, else 0; with None, where not x <= 0."""
    cdef const real* pdy = numbers(dy)
    cdef const real* px = NULL if x is None else numbers(x)
    cdef const signed char* mask = NULL if passed is None else <signed char*> cnp.PyArray_DATA(<cnp.ndarray> passed)
    cdef real* pdx = numbers(dx)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> dx)
    threads = useful_threads(count, threads)
    for i in prange(blocks_of(count), nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        pass_block(pdy, px, mask, pdx, i * BLOCK, smaller((i + 1) * BLOCK, count))


cdef struct Descent:
    # The settings of SGD. `fresh`: the momentum buffer is not filled yet.
    real lr, momentum, dampening, decay
    bint nesterov, maximize, fresh


cdef void descend_block(const Descent* d, real* p, const real* grad, real* buffer, Py_ssize_t first,
                        Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t i
    cdef real g
    for i in range(first, last):
        g = -grad[i] if d.maximize else grad[i]
        if d.decay != 0:
            g = g + d.decay * p[i]
        if buffer != NULL:
            buffer[i] = g if d.fresh else d.momentum * buffer[i] + (1 - d.dampening) * g
            g = g + d.momentum * buffer[i] if d.nesterov else buffer[i]
        p[i] = p[i] - d.lr * g


def descend(p, grad, buffer, bint fresh, real lr, real momentum, real dampening, real decay, bint nesterov,
            bint maximize, int threads):
    """One step of SGD, see pyconv/optim.py.  p, grad, buffer, or None without momentum; p and buffer are updated"""
    cdef Descent d
    cdef real* pp = numbers(p)
    cdef const real* pg = numbers(grad)
    cdef real* pb = NULL if buffer is None else numbers(buffer)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> p)
    d.lr, d.momentum, d.dampening, d.decay = lr, momentum, dampening, decay
    d.nesterov, d.maximize, d.fresh = nesterov, maximize, fresh
    threads = useful_threads(count, threads)
    for i in prange(blocks_of(count), nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        descend_block(&d, pp, pg, pb, i * BLOCK, smaller((i + 1) * BLOCK, count))
