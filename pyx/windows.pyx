# What is done window by window in each plane: im2col and col2im; maximum and average pooling, forward and backward.
#
#     im2col      x (n, ic, ih, iw)  cols (n, ic * kh * kw, oh * ow)
#     pooling     x (n, c, ih, iw)   y (n, c, oh, ow)      geometry: ic = oc = groups = c
#
# The entry points that Python calls; what happens to a plane is in columns.pxd, max_pool.pxd and average_pool.pxd. All
# are parallel over planes: windows may overlap, but never leave their plane.

from cython.parallel cimport prange
from libc.stdint cimport int64_t
cimport numpy as cnp

from average_pool cimport average_plane, average_plane_backward
from columns cimport gather_plane, scatter_plane
from geometry cimport Geometry
from max_pool cimport halving_backward, is_halving, max_plane, max_plane_backward, run_t, runs_of
from vector cimport real

cnp.import_array()

cdef enum:
    # what one thread has finished before a second one has woken up:
    SERIAL_COPIES = 100_000     # numbers of windows that are copied or added
    SERIAL_WORK = 50_000        # window elements that are compared or averaged


cdef inline const Geometry* unpack(geometry):
    return <const Geometry*> cnp.PyArray_DATA(<cnp.ndarray> geometry)


cdef inline real* numbers(array):
    return <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline int useful_threads(const Geometry* g, int threads) noexcept nogil:
    return threads if g.n * g.ic * g.oh * g.ow * g.kh * g.kw >= SERIAL_WORK else 1


def im2col(geometry, x, cols, int threads):
    """cols = windows of x.  x (n, ic, ih, iw)  cols (n, ic * kh * kw, oh * ow), overwritten"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* px = numbers(x)
    cdef real* pcols = numbers(cols)
    cdef Py_ssize_t i, rows = g.kh * g.kw * g.oh * g.ow
    if g.n * g.ic * rows < SERIAL_COPIES:
        threads = 1
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        gather_plane(g, px + i * g.ih * g.iw, pcols + i * rows)


def col2im(geometry, cols, x, int threads):
    """x = sum of columns over the places that they came from.  cols (n, ic * kh * kw, oh * ow)  x (n, ic, ih, iw)"""
    cdef const Geometry* g = unpack(geometry)
    cdef const real* pcols = numbers(cols)
    cdef real* px = numbers(x)
    cdef Py_ssize_t i, rows = g.kh * g.kw * g.oh * g.ow
    if g.n * g.ic * rows < SERIAL_COPIES:
        threads = 1
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        scatter_plane(g, pcols + i * rows, px + i * g.ih * g.iw)


# Padding takes no part in a maximum, and in an average only if it is counted. A window may hang over the far edge
# (ceil_mode); what hangs over is never counted.

def max_forward(geometry, x, y, where, int threads):
    """Maxima, and where they are: the flat positions h * iw + w (int64), or the numbers r * kw + s of taps (int8).

    x (n, c, ih, iw)  y, where (n, c, oh, ow), overwritten; taps take kernels of up to 256 pixels
    """
    cdef const Geometry* g = unpack(geometry)
    cdef const real* px = numbers(x)
    cdef real* py = numbers(y)
    cdef const real* end = px + g.n * g.ic * g.ih * g.iw
    cdef bint bytes_wide = cnp.PyArray_ITEMSIZE(<cnp.ndarray> where) == 1
    cdef void* at = cnp.PyArray_DATA(<cnp.ndarray> where)
    cdef run_t run = runs_of(g)
    cdef signed char* taps
    cdef int64_t* indices
    cdef Py_ssize_t i, area = g.oh * g.ow
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        taps = <signed char*> at + i * area if bytes_wide else NULL
        indices = NULL if bytes_wide else <int64_t*> at + i * area
        max_plane(g, run, px + i * g.ih * g.iw, end, py + i * area, taps, indices)


def max_backward(geometry, dy, where, dx, int threads):
    """Each dy goes where its maximum was found.

    dy, where (n, c, oh, ow), as max_forward() returned it  dx (n, c, ih, iw), overwritten
    """
    cdef const Geometry* g = unpack(geometry)
    cdef const real* pdy = numbers(dy)
    cdef real* pdx = numbers(dx)
    cdef const real* end = pdy + g.n * g.ic * g.oh * g.ow
    cdef bint bytes_wide = cnp.PyArray_ITEMSIZE(<cnp.ndarray> where) == 1, halving = is_halving(g)
    cdef const void* at = cnp.PyArray_DATA(<cnp.ndarray> where)
    cdef Py_ssize_t i, area = g.oh * g.ow
    threads = useful_threads(g, threads)
    for i in prange(g.n * g.ic, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        if not bytes_wide:
            max_plane_backward(g, pdy + i * area, NULL, <const int64_t*> at + i * area, pdx + i * g.ih * g.iw)
        elif halving:
            halving_backward(g, pdy + i * area, end, <const signed char*> at + i * area, pdx + i * g.ih * g.iw)
        else:
            max_plane_backward(g, pdy + i * area, <const signed char*> at + i * area, NULL, pdx + i * g.ih * g.iw)


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
