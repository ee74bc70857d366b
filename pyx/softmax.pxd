# Cross-entropy with classes as the target: the loss of one sample, and its gradient.
#
#     loss = log(sum over c of exp(x[c])) - x[class]      dx[c] = (softmax(x)[c] - (1 if c is the class)) * weight

from libc.math cimport exp, expf, log, logf

from vector cimport real


cdef inline real exponential(real x) noexcept nogil:
    return expf(<float> x) if sizeof(real) == sizeof(float) else <real> exp(x)


cdef inline real logarithm(real x) noexcept nogil:
    return logf(<float> x) if sizeof(real) == sizeof(float) else <real> log(x)


cdef inline real sample(const real* x, Py_ssize_t c, Py_ssize_t step, Py_ssize_t right, real weight,
                        real* dx) noexcept nogil:
    # Its loss; numbers of one sample are `step` apart.
    cdef Py_ssize_t k
    cdef real largest = x[0], sum = 0, value, loss
    for k in range(1, c):
        value = x[k * step]
        if value > largest:
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
