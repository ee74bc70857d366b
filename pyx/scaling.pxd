# Numbers too small to be normal: how to notice them, and how to multiply by powers of two without meeting them.
#
# Many processors leave the fast path for a product with a subnormal number, and take a hundred times as long. So arrays
# that hold such numbers are multiplied by a power of two before they meet a kernel, and its result is divided by one
# (pyconv/_scaling.py). Here that is done on the bits of the numbers. Of arithmetic, subnormal numbers only meet
# additions, which are fast.
#
#     normal       sign | exponent + BIAS | fraction          exponent + BIAS > 0
#     subnormal    sign | 0 | how many times the smallest number it is

from libc.string cimport memcpy

from geometry cimport larger, smaller
from vector cimport (BIAS, FRACTION, LANES, MAX_LANES, above, as_bits, as_vec, bits, choose, every, integer,
                     lower, real, splat, store_lanes, upper, vec)

cdef enum:
    SAFE = 24       # products of the largest numbers are to be so many powers of two above the smallest normal one

cdef struct Sizes:
    # Of some numbers.
    bint subnormal              # whether one of them is
    Py_ssize_t exponent         # of the largest finite one; BIAS + 1 if all are zero: nothing comes of these


cdef inline integer power(Py_ssize_t exponent) noexcept nogil:
    # Added to the bits of a number, it multiplies by 2^exponent.
    return <integer> exponent * (<integer> 1 << FRACTION)


cdef inline bits size_of(bits a) noexcept nogil:
    # Without the sign.
    return a & every(power(2 * BIAS + 1) | (power(1) - 1))


cdef inline bits sign_of(bits a) noexcept nogil:
    return a & ~every(power(2 * BIAS + 1) | (power(1) - 1))


cdef inline bits enlarged(bits size, Py_ssize_t shift) noexcept nogil:
    # size * 2^shift, for shift >= FRACTION, if that is finite.
    # A count, in the fraction of 2^shift times the smallest normal number, less that; of a normal number that is more
    # than it should be, as size * 2^shift is of a subnormal one.
    cdef bits counted = as_bits(as_vec(size + every(power(shift + 1))) - as_vec(every(power(shift + 1))))
    return lower(counted, size + every(power(shift)))


cdef inline bits reduced(bits size, Py_ssize_t shift) noexcept nogil:
    # size / 2^shift, rounded once, for FRACTION <= shift < 2 * BIAS, if size is finite.
    # Counted in smallest numbers and added to 2^FRACTION, it is rounded to a whole count of them, in the fraction; of
    # what stays normal that is less than it should be.
    cdef integer counted = power(BIAS + FRACTION - 1 - shift)
    cdef bits unit = every(power(BIAS + FRACTION))
    cdef bits small = as_bits(as_vec(upper(size, every(power(1) - counted)) + every(counted)) + as_vec(unit)) - unit
    return upper(small, size - every(power(shift)))


cdef inline vec load_lanes(const real* a, Py_ssize_t count) noexcept nogil:
    # The first `count` lanes from a, zeros behind them.
    cdef real room[MAX_LANES]
    (<vec*> room)[0] = splat(0)
    memcpy(room, a, count * sizeof(real))
    return (<vec*> room)[0]


cdef inline bits scaled(bits number, Py_ssize_t shift, bits* sizes) noexcept nogil:
    # number * 2^shift. The sign of `sizes` is set where it, or the result, is not finite.
    cdef bits size = size_of(number)
    sizes[0] = sizes[0] | (size + every(power((shift if shift > 0 else 0) + 1)))
    return sign_of(number) | (enlarged(size, shift) if shift > 0 else reduced(size, -shift))


cdef inline bint scale_block(const real* a, real* to, Py_ssize_t first, Py_ssize_t last,
                             Py_ssize_t shift) noexcept nogil:
    # to = a * 2^shift, numbers first .. last; down if shift < 0. Returns whether all of a and of the result is finite.
    cdef Py_ssize_t i = first
    cdef bits sizes = every(0)
    cdef integer room[MAX_LANES]
    cdef integer either = 0
    if shift > 0:
        while i + LANES <= last:
            (<bits*> (to + i))[0] = scaled((<const bits*> (a + i))[0], shift, &sizes)
            i += LANES
    else:
        while i + LANES <= last:
            (<bits*> (to + i))[0] = scaled((<const bits*> (a + i))[0], shift, &sizes)
            i += LANES
    if i < last:
        store_lanes(to + i, as_vec(scaled(as_bits(load_lanes(a + i, last - i)), shift, &sizes)), last - i)
    (<bits*> room)[0] = sizes
    for i in range(LANES):
        either |= room[i]
    return either >= 0


ctypedef bint (*scale_t)(const real* a, real* to, Py_ssize_t first, Py_ssize_t last, Py_ssize_t shift) noexcept nogil


cdef inline Sizes survey(const real* a, Py_ssize_t size, Py_ssize_t vectors) noexcept nogil:
    # Of about so many vectors at most, evenly spread over a[size], and of its end.
    cdef Py_ssize_t whole = size // LANES, count = smaller(whole, vectors), i
    cdef double step = <double> whole / larger(count, 1)
    cdef bits number, subnormal = every(0), largest = every(0)
    cdef bits normal = every(power(1))
    cdef integer met = 0, most = 0
    cdef integer room[2 * MAX_LANES]
    cdef Sizes s
    for i in range(count + (size % LANES > 0)):
        if i < count:
            number = size_of((<const bits*> (a + <Py_ssize_t> (i * step) * LANES))[0])
        else:
            number = size_of(as_bits(load_lanes(a + whole * LANES, size % LANES)))
        subnormal = subnormal | (above(normal, number) & number)
        largest = choose(above(number, largest) & above(every(power(2 * BIAS + 1)), number), number, largest)
    (<bits*> room)[0] = subnormal
    (<bits*> (room + MAX_LANES))[0] = largest
    for i in range(LANES):
        met |= room[i]
        most = room[MAX_LANES + i] if room[MAX_LANES + i] > most else most
    s.subnormal = met != 0
    s.exponent = <Py_ssize_t> (most >> FRACTION) - BIAS if most else BIAS + 1
    return s


cdef inline bint are_faint(const Sizes* a, const Sizes* b) noexcept nogil:
    # Whether products of two arrays may well meet numbers below the normal range.
    return a.subnormal or b.subnormal or a.exponent + b.exponent < SAFE - BIAS
