# Cross-entropy with classes as the target: the loss of each sample, and its gradient.
#
#     x, dx (outer, c, inner)    classes, losses (outer, inner)
#
#     loss = log(sum over c of exp(x[c])) - x[class]      dx[c] = (softmax(x)[c] - (1 if c is the class)) * weight

from cython.parallel cimport prange
from libc.math cimport exp, expf, log, logf
cimport numpy as cnp

from vector cimport real

cnp.import_array()

cdef enum:
    SERIAL_WORK = 10_000        # exponentials that one thread has taken before a second one has woken up


cdef inline real exponential(real x) noexcept nogil:
    return expf(<float> x) if sizeof(real) == sizeof(float) else <real> exp(x)


cdef inline real logarithm(real x) noexcept nogil:
    return logf(<float> x) if sizeof(real) == sizeof(float) else <real> log(x)


cdef real sample(const real* x, Py_ssize_t c, Py_ssize_t step, Py_ssize_t right, real weight, real* dx) noexcept nogil:
    # Its loss; numbers of one sample are `step` apart.
    cdef Py_ssize_t k
    cdef real largest = x[0], sum = 0, value, loss
    for k in range(1, c):
        value = x[k * step]
        if value > largest or value != value:
            largest = value
    for k in range(c):
        value = exponential(x[k * step] - largest)
        sum += value
        if dx != NULL:
            dx[k * step] = value
    loss = logarithm(sum) - (x[right * step] - largest)
    if dx != NULL:
        for k in range(c):
            dx[k * step] = (dx[k * step] / sum - (1 if k == right else 0)) * weight
    return loss


def cross_entropy(x, classes, losses, dx, real weight, int threads):
    """losses and dx, which may be None.  x, dx: flat, (outer, c, inner) in order  classes (outer, inner), of intp"""
    cdef const real* px = <const real*> cnp.PyArray_DATA(<cnp.ndarray> x)
    cdef const Py_ssize_t* right = <const Py_ssize_t*> cnp.PyArray_DATA(<cnp.ndarray> classes)
    cdef real* loss = <real*> cnp.PyArray_DATA(<cnp.ndarray> losses)
    cdef real* pdx = NULL if dx is None else <real*> cnp.PyArray_DATA(<cnp.ndarray> dx)
    cdef real* to
    cdef Py_ssize_t outer = cnp.PyArray_DIMS(<cnp.ndarray> classes)[0], i, at
    cdef Py_ssize_t inner = cnp.PyArray_DIMS(<cnp.ndarray> classes)[1]
    cdef Py_ssize_t c = cnp.PyArray_SIZE(<cnp.ndarray> x) // (outer * inner) if outer * inner else 0
    if outer * inner * c < SERIAL_WORK:
        threads = 1
    # Parallel over samples.
    for i in prange(outer * inner, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        at = i // inner * c * inner + i % inner
        to = NULL if pdx == NULL else pdx + at
        loss[i] = sample(px + at, c, inner, right[i], weight, to)
