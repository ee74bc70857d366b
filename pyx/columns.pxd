# What happens to a plane in im2col and col2im: windows as the columns of a matrix, and the adjoint, the overlapping sum
# of columns.
#
#     cols (n, ic * kh * kw, oh * ow)     cols[n, (c, r, s), (p, q)] = x[n, c, p * stride - pad + r * dilation, ...]
#
# Rows run over channel, then kernel row, then kernel column; columns over output pixels in row order.

from libc.string cimport memset

from geometry cimport Geometry, inside
from vector cimport real


cdef inline void gather_plane(const Geometry* g, const real* x, real* cols) noexcept nogil:
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


cdef inline void scatter_plane(const Geometry* g, const real* cols, real* x) noexcept nogil:
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
