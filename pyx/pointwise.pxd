# What is done number by number, in one pass over memory: ReLU, forward and backward, and the update of SGD.
#
# first .. last are numbers of arrays that lie side by side; a target may be one of the sources. The loops go over whole
# vectors, then over what is left, one by one.

from vector cimport LANES, as_bits, as_vec, bits, load_bytes, passes, real, store_bytes, vec


cdef inline void rectify_block(const real* x, real* y, signed char* passed, Py_ssize_t first,
                               Py_ssize_t last) noexcept nogil:
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


cdef inline void pass_block(const real* dy, const real* x, const signed char* passed, real* dx, Py_ssize_t first,
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


cdef struct Descent:
    # The settings of SGD. `fresh`: the momentum buffer is not filled yet.
    real lr, momentum, dampening, decay
    bint nesterov, maximize, fresh


cdef inline void descend_block(const Descent* d, real* p, const real* grad, real* buffer, Py_ssize_t first,
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
