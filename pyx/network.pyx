# What a network has besides convolution and pooling: ReLU, batch normalization, cross-entropy and the update of SGD;
# and powers of two, by which numbers too small for the other kernels are multiplied.
#
# The entry points that Python calls; what each task does is in pointwise.pxd, normalization.pxd, softmax.pxd and
# scaling.pxd. Arguments were checked above: arrays are C-contiguous, of this module's dtype, and their sizes agree.

from cython.parallel cimport prange
cimport numpy as cnp

from geometry cimport ceil_div, larger, smaller
from normalization cimport Batch, describe, differentiate, normalize_channel
from pointwise cimport Descent, descend_block, pass_block, rectify_block
from scaling cimport Sizes, are_faint, scale_block, survey
from softmax cimport sample
from vector cimport real

cnp.import_array()

cdef enum:
    BLOCK = 16 * 1024               # numbers per task, of those that are worked off one by one
    # what one thread has finished before a second one has woken up:
    SERIAL_POINTS = 128 * 1024      # numbers that are passed over once
    SERIAL_STATISTICS = 64 * 1024   # numbers that are summed
    SERIAL_EXPONENTIALS = 10_000


cdef inline real* numbers(array):
    return NULL if array is None else <real*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef inline signed char* bytes_of(array):
    return NULL if array is None else <signed char*> cnp.PyArray_DATA(<cnp.ndarray> array)


cdef Batch batch_of(x):
    cdef Batch b
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(<cnp.ndarray> x)
    cdef Py_ssize_t axis
    b.n, b.c, b.area = shape[0], shape[1], 1
    for axis in range(2, cnp.PyArray_NDIM(<cnp.ndarray> x)):
        b.area *= shape[axis]
    return b


# Of the next four the tasks are blocks: every number of a target depends on numbers at the same place only.

def rectify(x, y, passed, int threads):
    """y = 0 where x <= 0, else x; passed (int8, or None) = 0 where x <= 0, else -1."""
    cdef const real* px = numbers(x)
    cdef real* py = numbers(y)
    cdef signed char* mask = bytes_of(passed)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> y), blocks = ceil_div(count, BLOCK)
    if count < SERIAL_POINTS:
        threads = 1
    for i in prange(blocks, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        rectify_block(px, py, mask, i * BLOCK, smaller((i + 1) * BLOCK, count))


def rectify_backward(dy, x, passed, dx, int threads):
    """dx = dy where `passed` says so, else 0; with None, where not x <= 0."""
    cdef const real* pdy = numbers(dy)
    cdef const real* px = numbers(x)
    cdef const signed char* mask = bytes_of(passed)
    cdef real* pdx = numbers(dx)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> dx), blocks = ceil_div(count, BLOCK)
    if count < SERIAL_POINTS:
        threads = 1
    for i in prange(blocks, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        pass_block(pdy, px, mask, pdx, i * BLOCK, smaller((i + 1) * BLOCK, count))


def descend(p, grad, buffer, bint fresh, real lr, real momentum, real dampening, real decay, bint nesterov,
            bint maximize, int threads):
    """One step of SGD, see pyconv/optim.py.  p, grad, buffer, or None without momentum; p and buffer are updated"""
    cdef Descent d
    cdef real* pp = numbers(p)
    cdef const real* pg = numbers(grad)
    cdef real* pb = numbers(buffer)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(<cnp.ndarray> p), blocks = ceil_div(count, BLOCK)
    d.lr, d.momentum, d.dampening, d.decay = lr, momentum, dampening, decay
    d.nesterov, d.maximize, d.fresh = nesterov, maximize, fresh
    if count < SERIAL_POINTS:
        threads = 1
    for i in prange(blocks, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        descend_block(&d, pp, pg, pb, i * BLOCK, smaller((i + 1) * BLOCK, count))


def scale(a, to, Py_ssize_t shift, int threads):
    """to = a * 2^shift, rounded once, for arrays of which each part [i] is contiguous.

    The absolute value of shift is no less than the number of bits of a fraction, and less than the exponent of
    infinity. Returns whether all is finite, a and the result; where it is not, the result is of no use.
    """
    cdef const char* pa = <const char*> numbers(a)
    cdef char* pto = <char*> numbers(to)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray> a), parts = cnp.PyArray_DIM(<cnp.ndarray> a, 0), blocks, i
    cdef Py_ssize_t a_part = cnp.PyArray_STRIDE(<cnp.ndarray> a, 0), to_part = cnp.PyArray_STRIDE(<cnp.ndarray> to, 0)
    cdef Py_ssize_t infinite = 0
    if size < SERIAL_POINTS:
        threads = 1
    if a_part == to_part == size // larger(parts, 1) * <Py_ssize_t> sizeof(real):
        parts = 1
    size //= larger(parts, 1)
    blocks = ceil_div(size, BLOCK)
    for i in prange(parts * blocks, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        infinite += not scale_block(<const real*> (pa + i // blocks * a_part), <real*> (pto + i // blocks * to_part),
                                    i % blocks * BLOCK, smaller((i % blocks + 1) * BLOCK, size), shift)
    return infinite == 0


def sizes(a, Py_ssize_t vectors):
    """(whether one is subnormal, the exponent of the largest) of some numbers of `a`: about so many vectors of them"""
    cdef Sizes s = survey(numbers(a), cnp.PyArray_SIZE(<cnp.ndarray> a), vectors)
    return s.subnormal, s.exponent


def faint(a, Py_ssize_t parts, Py_ssize_t vectors, other):
    """Whether products with something of the sizes `other` may well be subnormal, for any of the equal parts of `a`."""
    cdef const real* pa = numbers(a)
    cdef Py_ssize_t i, size = cnp.PyArray_SIZE(<cnp.ndarray> a) // parts if parts else 0
    cdef Sizes s, o
    o.subnormal, o.exponent = other
    for i in range(parts):
        s = survey(pa + i * size, size, vectors)
        if are_faint(&s, &o):
            return True
    return False


# Of the next three the tasks are channels.

def statistics(x, mean, var, int threads):
    """Mean and variance of each channel, which must not be empty."""
    cdef Batch b = batch_of(x)
    cdef const real* px = numbers(x)
    cdef real* pmean = numbers(mean)
    cdef real* pvar = numbers(var)
    cdef Py_ssize_t k
    if b.n * b.c * b.area < SERIAL_STATISTICS:
        threads = 1
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        describe(&b, k, px, pmean, pvar)


def normalize(x, mean, factor, summand, y, int threads):
    """y = (x - mean) * factor + summand; summand may be None"""
    cdef Batch b = batch_of(x)
    cdef const real* px = numbers(x)
    cdef const real* pmean = numbers(mean)
    cdef const real* pfactor = numbers(factor)
    cdef const real* psummand = numbers(summand)
    cdef real* py = numbers(y)
    cdef Py_ssize_t k
    if b.n * b.c * b.area < SERIAL_STATISTICS:
        threads = 1
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        normalize_channel(&b, k, px, pmean[k], pfactor[k], 0 if psummand == NULL else psummand[k], py)


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
    if b.n * b.c * b.area < SERIAL_STATISTICS:
        threads = 1
    for k in prange(b.c, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        differentiate(&b, k, pdy, px, pmean[k], pscale[k], pfactor[k], of_batch, pdx, pdw, pdb)


def cross_entropy(x, classes, losses, dx, real weight, int threads):
    """losses and dx, which may be None.  x, dx: flat, (outer, c, inner) in order  classes (outer, inner), of intp"""
    cdef const real* px = numbers(x)
    cdef const Py_ssize_t* right = <const Py_ssize_t*> cnp.PyArray_DATA(<cnp.ndarray> classes)
    cdef real* loss = numbers(losses)
    cdef real* pdx = numbers(dx)
    cdef real* to
    cdef Py_ssize_t outer = cnp.PyArray_DIMS(<cnp.ndarray> classes)[0], i, at
    cdef Py_ssize_t inner = cnp.PyArray_DIMS(<cnp.ndarray> classes)[1]
    cdef Py_ssize_t c = cnp.PyArray_SIZE(<cnp.ndarray> x) // (outer * inner) if outer * inner else 0
    if outer * inner * c < SERIAL_EXPONENTIALS:
        threads = 1
    # Parallel over samples.
    for i in prange(outer * inner, nogil=True, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        at = i // inner * c * inner + i % inner
        to = NULL if pdx == NULL else pdx + at
        loss[i] = sample(px + at, c, inner, right[i], weight, to)
