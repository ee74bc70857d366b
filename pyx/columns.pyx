# im2col and col2im: patches as the columns of a matrix, and its adjoint, the overlapping sum of columns.
#
#     cols (n, ic * kh * kw, oh * ow)     cols[n, (c, r, s), (p, q)] = x[n, c, p * stride - pad + r * dilation, ...]
#
# Rows run over channel, then kernel row, then kernel column; columns over output pixels in row order.

from cython.parallel cimport prange
from libc.string cimport memset
cimport numpy as cnp

from geometry cimport Geometry, inside
from vector cimport real

cnp.import_array()

cdef enum:
    SERIAL_WORK = 100_000       # numbers that one thread copies before a second one has woken up


cdef void gather_plane(const Geometry* g, const real* x, real* cols) noexcept nogil:
    # x (ih, iw)  cols (kh, kw, oh, ow)
    cdef Py_ssize_t r, s, p, q, y, start, first, last
    for r in range(g.kh):
        for s in range(g.kw):
            start = s * g.dilation_w - g.pad_left
            inside(&first, &last, start, g.stride_w, g.iw, g.ow)
            for p in range(g.oh):
                y = p * g.stride_h + r * g.dilation_h - g.pad_top
                if 0 <= y < g.ih:
                    for q in range(first):
                        cols[q] = 0
                    for q in range(first, last):
                        cols[q] = x[y * g.iw + start + q * g.stride_w]
                    for q in range(last, g.ow):
                        cols[q] = 0
                else:
                    memset(cols, 0, g.ow * sizeof(real))
                cols += g.ow


cdef void scatter_plane(const Geometry* g, const real* cols, real* x) noexcept nogil:
    # cols (kh, kw, oh, ow)  x (ih, iw), overwritten
    cdef Py_ssize_t r, s, p, q, y, start, first, last
    memset(x, 0, g.ih * g.iw * sizeof(real))
    for r in range(g.kh):
        for s in range(g.kw):
            start = s * g.dilation_w - g.pad_left
            inside(&first, &last, start, g.stride_w, g.iw, g.ow)
            for p in range(g.oh):
                y = p * g.stride_h + r * g.dilation_h - g.pad_top
                if 0 <= y < g.ih:
                    for q in range(first, last):
                        x[y * g.iw + start + q * g.stride_w] += cols[q]
                cols += g.ow


def im2col(geometry, x, cols, int threads):
    """cols = patches of x.  x (n, ic, ih, iw)  cols (n, ic * kh * kw, oh * ow), overwritten"""
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef const real* px = <const real*> cnp.PyArray_DATA(<cnp.ndarray> x)
    cdef real* pcols = <real*> cnp.PyArray_DATA(<cnp.ndarray> cols)
    cdef Py_ssize_t i, rows = g.kh * g.kw * g.oh * g.ow
    if g.n * g.ic * rows < SERIAL_WORK:
        threads = 1
    # Parallel over planes: each fills its own kh * kw rows.
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        gather_plane(g, px + i * g.ih * g.iw, pcols + i * rows)


def col2im(geometry, cols, x, int threads):
    """x = sum of columns over the places that they came from.  cols (n, ic * kh * kw, oh * ow)  x (n, ic, ih, iw)"""
    cdef const Geometry* g = <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)
    cdef const real* pcols = <const real*> cnp.PyArray_DATA(<cnp.ndarray> cols)
    cdef real* px = <real*> cnp.PyArray_DATA(<cnp.ndarray> x)
    cdef Py_ssize_t i, rows = g.kh * g.kw * g.oh * g.ow
    if g.n * g.ic * rows < SERIAL_WORK:
        threads = 1
    # Parallel over planes: the overlapping additions stay inside one.
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        scatter_plane(g, pcols + i * rows, px + i * g.ih * g.iw)
