# Pooling over windows of each plane: maximum and average, forward and backward.
#
#     x (n, c, ih, iw)  y (n, c, oh, ow)      geometry: ic = oc = groups = c
#
# Padding takes no part in a maximum, and in an average only if it is counted. A window may hang over the far edge
# (ceil_mode); what hangs over is never counted.

from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memset
cimport numpy as cnp

from geometry cimport Geometry, inside, smaller
from vector cimport real

cnp.import_array()

cdef enum:
    SERIAL_WORK = 50_000        # window elements that one thread visits before a second one has woken up


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


cdef inline void keep_larger(Py_ssize_t step, const real* x, Py_ssize_t at, real* y, int64_t* indices,
                             Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    # One element of the windows first .. last of a row: x[q * step] is at position at + q * step.
    cdef Py_ssize_t q
    cdef real value
    cdef bint better
    for q in range(first, last):
        value = x[q * step]
        better = (value > y[q]) | (value != value)
        y[q] = value if better else y[q]
        indices[q] = at + q * step if better else indices[q]


cdef void max_plane(const Geometry* g, const real* x, real* y, int64_t* indices) noexcept nogil:
    # The first maximum in row order wins; a NaN wins over everything. A row of windows at a time, so that the compiler
    # can put neighbouring windows into lanes: for each element of the window, what it changes in all of them.
    cdef Py_ssize_t p, q, r, s, i, j, first, last
    for p in range(g.oh):
        i = first_inside(p * g.stride_h - g.pad_top, g.dilation_h)
        for q in range(g.ow):
            y[q] = -INFINITY
            indices[q] = i * g.iw + first_inside(q * g.stride_w - g.pad_left, g.dilation_w)
        for r in range(g.kh):
            i = p * g.stride_h - g.pad_top + r * g.dilation_h
            if not 0 <= i < g.ih:
                continue
            for s in range(g.kw):
                j = s * g.dilation_w - g.pad_left
                inside(&first, &last, j, g.stride_w, g.iw, g.ow)
                if g.stride_w == 1:
                    keep_larger(1, x + i * g.iw + j, i * g.iw + j, y, indices, first, last)
                elif g.stride_w == 2:
                    keep_larger(2, x + i * g.iw + j, i * g.iw + j, y, indices, first, last)
                else:
                    keep_larger(g.stride_w, x + i * g.iw + j, i * g.iw + j, y, indices, first, last)
        y += g.ow
        indices += g.ow


cdef void max_plane_backward(const Geometry* g, const real* dy, const int64_t* indices, real* dx) noexcept nogil:
    cdef Py_ssize_t i
    memset(dx, 0, g.ih * g.iw * sizeof(real))
    for i in range(g.oh * g.ow):
        dx[indices[i]] += dy[i]


cdef inline Py_ssize_t count_of(const Geometry* g, const Window* w, Py_ssize_t p, Py_ssize_t q,
                                bint count_include_pad, Py_ssize_t divisor) noexcept nogil:
    # What the sum of window (p, q) is divided by.
    cdef Py_ssize_t y = p * g.stride_h - g.pad_top, x = q * g.stride_w - g.pad_left
    if divisor:
        return divisor
    if count_include_pad:
        return (smaller(y + g.kh, g.ih + g.pad_bottom) - y) * (smaller(x + g.kw, g.iw + g.pad_right) - x)
    return (w.bottom - w.top) * (w.right - w.left)


cdef void average_plane(const Geometry* g, const real* x, real* y, bint count_include_pad,
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


cdef void average_plane_backward(const Geometry* g, const real* dy, real* dx, bint count_include_pad,
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


cdef inline const Geometry* unpack(geometry):
    return <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline int useful_threads(const Geometry* g, int threads) noexcept nogil:
    return threads if g.n * g.ic * g.oh * g.ow * g.kh * g.kw >= SERIAL_WORK else 1


# All four are parallel over planes: windows may overlap, but never leave their plane.

def max_forward(geometry, x, y, indices, int threads):
    """Maxima and their flat positions h * iw + w.  x (n, c, ih, iw)  y, indices (n, c, oh, ow), overwritten"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* px = numbers(x)
    cdef real* py = numbers(y)
    cdef int64_t* at = <int64_t*> cnp.PyArray_DATA(<cnp.ndarray> indices)
    cdef Py_ssize_t i
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        max_plane(g, px + i * g.ih * g.iw, py + i * g.oh * g.ow, at + i * g.oh * g.ow)


def max_backward(geometry, dy, indices, dx, int threads):
    """Each dy goes where its maximum was found.  dy, indices (n, c, oh, ow)  dx (n, c, ih, iw), overwritten"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* pdy = numbers(dy)
    cdef real* pdx = numbers(dx)
    cdef const int64_t* at = <const int64_t*> cnp.PyArray_DATA(<cnp.ndarray> indices)
    cdef Py_ssize_t i
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        max_plane_backward(g, pdy + i * g.oh * g.ow, at + i * g.oh * g.ow, pdx + i * g.ih * g.iw)


def average_forward(geometry, x, y, bint count_include_pad, Py_ssize_t divisor, int threads):
    """Window sums over their counts (or over `divisor`, if not 0).  x (n, c, ih, iw)  y (n, c, oh, ow), overwritten"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* px = numbers(x)
    cdef real* py = numbers(y)
    cdef Py_ssize_t i
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        average_plane(g, px + i * g.ih * g.iw, py + i * g.oh * g.ow, count_include_pad, divisor)


def average_backward(geometry, dy, dx, bint count_include_pad, Py_ssize_t divisor, int threads):
    """Each dy in equal parts to its window.  dy (n, c, oh, ow)  dx (n, c, ih, iw), overwritten"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* pdy = numbers(dy)
    cdef real* pdx = numbers(dx)
    cdef Py_ssize_t i
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        average_plane_backward(g, pdy + i * g.oh * g.ow, pdx + i * g.ih * g.iw, count_include_pad, divisor)
