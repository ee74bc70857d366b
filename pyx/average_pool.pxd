# Average pooling over the windows of one plane, forward and backward.

from libc.string cimport memset

from geometry cimport Geometry, smaller
from vector cimport real


cdef struct Window:
    Py_ssize_t top, bottom, left, right     # rows top .. bottom and columns left .. right inside the input


cdef inline Py_ssize_t first_inside(Py_ssize_t start, Py_ssize_t dilation) noexcept nogil:
    # The first of start, start + dilation, ... that is not negative.
    return start if start >= 0 else start + (-start + dilation - 1) // dilation * dilation


cdef inline Window window_at(const Geometry* g, Py_ssize_t p, Py_ssize_t q) noexcept nogil:
    cdef Window w
    cdef Py_ssize_t y = p * g.stride_h - g.pad_top, x = q * g.stride_w - g.pad_left
    w.top, w.left = first_inside(y, g.dilation_h), first_inside(x, g.dilation_w)
    w.bottom = smaller(y + (g.kh - 1) * g.dilation_h + 1, g.ih)
    w.right = smaller(x + (g.kw - 1) * g.dilation_w + 1, g.iw)
    return w


cdef inline Py_ssize_t count_of(const Geometry* g, const Window* w, Py_ssize_t p, Py_ssize_t q,
                                bint count_include_pad, Py_ssize_t divisor) noexcept nogil:
    # What the sum of window (p, q) is divided by.
    cdef Py_ssize_t y = p * g.stride_h - g.pad_top, x = q * g.stride_w - g.pad_left
    if divisor:
        return divisor
    if count_include_pad:
        return (smaller(y + g.kh, g.ih + g.pad_bottom) - y) * (smaller(x + g.kw, g.iw + g.pad_right) - x)
    return (w.bottom - w.top) * (w.right - w.left)


cdef inline void average_plane(const Geometry* g, const real* x, real* y, bint count_include_pad,
                               Py_ssize_t divisor) noexcept nogil:
    cdef Py_ssize_t p, q, i, j
    cdef real total
    cdef Window w
    for p in range(g.oh):
        for q in range(g.ow):
            w = window_at(g, p, q)
            total = 0
            for i in range(w.top, w.bottom):
                for j in range(w.left, w.right):
                    total += x[i * g.iw + j]
            y[p * g.ow + q] = total / count_of(g, &w, p, q, count_include_pad, divisor)


cdef inline void average_plane_backward(const Geometry* g, const real* dy, real* dx, bint count_include_pad,
                                        Py_ssize_t divisor) noexcept nogil:
    cdef Py_ssize_t p, q, i, j
    cdef real part
    cdef Window w
    memset(dx, 0, g.ih * g.iw * sizeof(real))
    for p in range(g.oh):
        for q in range(g.ow):
            w = window_at(g, p, q)
            part = dy[p * g.ow + q] / count_of(g, &w, p, q, count_include_pad, divisor)
            for i in range(w.top, w.bottom):
                for j in range(w.left, w.right):
                    dx[i * g.iw + j] += part
