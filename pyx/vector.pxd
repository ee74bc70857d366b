# One number type and one vector of it: the only file that knows how wide a register is.
#
# Every module is compiled once per instruction set and per dtype. `real` is the dtype of the build (PYCONV_REAL, set by
# setup.py); `vec` is as many of them as one register of the level holds. Cython is told that a `vec` is a `real`: it
# only passes the arithmetic through, and the C compiler does it on all lanes. A scalar times a vector broadcasts.
# Wider vectors than the level has are never used (they compile to long emulations), nor are single lanes addressed:
# shuffles.pxd moves numbers between lanes.

cdef extern from *:
    """
    typedef PYCONV_REAL real;
    #if defined(__AVX512F__)
      #define PYCONV_VECTOR_BYTES 64
      #define ROWS 8
      #define ROWS_X2 8
      #define ROWS_X1 8
      #define TABLE_ROWS 8
      #define PANEL 3
      #define WIDE 6
    #elif defined(__AVX2__)
      #define PYCONV_VECTOR_BYTES 32
      #define ROWS 4
      #define ROWS_X2 6
      #define ROWS_X1 8
      #define TABLE_ROWS 24
      #define PANEL 3
      #define WIDE 3
    #else /* without fused multiply-add a product needs a register too */
      #define PYCONV_VECTOR_BYTES 16
      #define ROWS 6
      #define ROWS_X2 6
      #define ROWS_X1 6
      #define TABLE_ROWS 6
      #define PANEL 2
      #define WIDE 3
    #endif
    /* PYCONV_BITS is 32 or 64, with PYCONV_REAL. */
    #if PYCONV_BITS == 32
      #define PYCONV_INTEGER int
      #define LARGEST __FLT_MAX__
      #define FRACTION 23
      #define BIAS 127
    #else
      #define PYCONV_INTEGER long long
      #define LARGEST __DBL_MAX__
      #define FRACTION 52
      #define BIAS 1023
    #endif
    #if PYCONV_VECTOR_BYTES * 8 / PYCONV_BITS == 16
      #define PYCONV_LANES 16
    #elif PYCONV_VECTOR_BYTES * 8 / PYCONV_BITS == 8
      #define PYCONV_LANES 8
    #elif PYCONV_VECTOR_BYTES * 8 / PYCONV_BITS == 4
      #define PYCONV_LANES 4
    #else
      #define PYCONV_LANES 2
    #endif
    #define LANES ((Py_ssize_t)PYCONV_LANES)
    #define MAX_LANES 16
    #define MAX_ROWS 8
    #define STRIP 6
    typedef real vec __attribute__((vector_size(PYCONV_VECTOR_BYTES), aligned(sizeof(real)), may_alias));
    #if defined(__AVX512F__)
      #include <immintrin.h>
      #if PYCONV_BITS == 32
        #define PYCONV_STORE_MASKED(p, mask, a) _mm512_mask_storeu_ps(p, (__mmask16)(mask), (__m512)(a))
      #else
        #define PYCONV_STORE_MASKED(p, mask, a) _mm512_mask_storeu_pd(p, (__mmask8)(mask), (__m512d)(a))
      #endif
    #else
      #include <string.h>
    #endif
    static inline void store_between(real *p, vec a, Py_ssize_t first, Py_ssize_t last) {
    #if defined(__AVX512F__)
      PYCONV_STORE_MASKED(p, (1u << last) - (1u << first), a);
    #else
      if (last - first == PYCONV_LANES)
        *(vec *)p = a;
      else
        memcpy(p + first, (const real *)&a + first, (last - first) * sizeof(real));
    #endif
    }
    static inline void store_lanes(real *p, vec a, Py_ssize_t count) { store_between(p, a, 0, count); }
    static inline vec splat(real a) { return a - (vec){0}; }
    #define fetch(p) __builtin_prefetch(p)
    #define fetch_far(p) __builtin_prefetch(p, 0, 2)
    #define fetch_own(p) __builtin_prefetch(p, 1)

    /* Without it gcc keeps all addresses of a loop that it unrolls, each in a register, until there are none left. */
    static inline const real* here(const real* p) { __asm__("" : "+r"(p)); return p; }
    /* Without it gcc loads a vector again for each of its uses in a shuffle. */
    #if defined(__AVX512F__)
      static inline vec held(vec a) { __asm__("" : "+v"(a)); return a; }
    #elif defined(__SSE2__)
      static inline vec held(vec a) { __asm__("" : "+x"(a)); return a; }
    #else
      static inline vec held(vec a) { return a; }
    #endif

    typedef PYCONV_INTEGER integer;
    typedef integer bits __attribute__((vector_size(PYCONV_VECTOR_BYTES), aligned(sizeof(real)), may_alias));
    typedef signed char bytes __attribute__((vector_size(PYCONV_LANES), aligned(1), may_alias));
    static inline bits every(integer a) { return a - (bits){0}; }
    static inline bits greater(vec a, vec b) { return (bits)((a > b) | (a != a)); }
    static inline bits passes(vec a) { return ~(bits)(a <= (vec){0}); }
    static inline bits same(bits a, bits b) { return (bits)(a == b); }
    static inline bits above(bits a, bits b) { return (bits)(a > b); }
    static inline bits choose(bits which, bits a, bits b) { return (which & a) | (~which & b); }
    /* Single lanes here are for the compiler alone: it knows these loops as one instruction. */
    static inline bits upper(bits a, bits b) {
        for (int i = 0; i < PYCONV_LANES; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
        return a;
    }
    static inline bits lower(bits a, bits b) {
        for (int i = 0; i < PYCONV_LANES; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
        return a;
    }
    static inline bits as_bits(vec a) { return (bits)a; }
    static inline vec as_vec(bits a) { return (vec)a; }
    static inline vec keep(vec a, vec mask) { return (vec)((bits)a & (bits)mask); }
    static inline integer small_integer(Py_ssize_t a) { return a < 0 ? 0 : a < 1 << 20 ? a : 1 << 20; }
    static inline vec lanes_inside(Py_ssize_t first, Py_ssize_t step, Py_ssize_t size) {
        static const integer lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        bits at = *(const bits*)lane * (integer)step;
        return (vec)((at >= small_integer(-first)) & (at < small_integer(size - first)));
    }
    static inline bits load_bytes(const signed char* a) { return __builtin_convertvector(*(const bytes*)a, bits); }
    static inline void store_bytes(signed char* to, bits a) { *(bytes*)to = __builtin_convertvector(a, bytes); }
    """
    ctypedef double real
    ctypedef real vec
    const real LARGEST              # the largest finite number
    const Py_ssize_t FRACTION       # bits of a number's fraction: sign, exponent + BIAS, fraction
    const Py_ssize_t BIAS
    const Py_ssize_t LANES          # numbers in a vector
    const Py_ssize_t ROWS           # rows of the register tile: its ROWS * PANEL accumulators just fit the registers
    const Py_ssize_t ROWS_X2        # ... of a tile two vectors wide, which has to have sums enough to keep busy ...
    const Py_ssize_t ROWS_X1        # ... and of one
    const Py_ssize_t TABLE_ROWS     # a multiple of these three
    const Py_ssize_t PANEL          # vectors across the register tile
    const Py_ssize_t WIDE           # vectors across the tiles of 3 and of 4 leftover rows
    enum:
        MAX_ROWS                    # the largest ROWS of any level
        MAX_LANES                   # the largest LANES of any level
        STRIP                       # vectors across the flatter tiles that leftover rows use
    vec splat(real a) noexcept nogil
    void fetch(const real* p) noexcept nogil            # its cache line, wherever p points: it will be read soon
    void fetch_far(const real* p) noexcept nogil        # the same, no nearer than the L2
    void fetch_own(const real* p) noexcept nogil        # the same, to be written
    void store_between(real* p, vec a, Py_ssize_t first, Py_ssize_t last) noexcept nogil    # p[i] = a[i], first < last
    void store_lanes(real* p, vec a, Py_ssize_t count) noexcept nogil       # the first `count` numbers, 1 to LANES
    const real* here(const real* p) noexcept nogil      # p, computed where it stands
    bint likely(bint a) noexcept nogil                  # a; what depends on it needs no jump
    vec held(vec a) noexcept nogil                      # a, in a register
    vec keep(vec a, vec mask) noexcept nogil            # a where the mask is set, else 0, whatever a was
    # the mask of the lanes i with 0 <= first + i * step < size
    vec lanes_inside(Py_ssize_t first, Py_ssize_t step, Py_ssize_t size) noexcept nogil

    # Masks and indices: as many integers, each as wide as a real. A mask holds -1 for yes, 0 for no.
    ctypedef long long integer
    ctypedef integer bits
    bits every(integer a) noexcept nogil
    bits greater(vec a, vec b) noexcept nogil           # a > b, or a is NaN
    bits passes(vec a) noexcept nogil                   # a > 0, or a is NaN
    bits same(bits a, bits b) noexcept nogil            # a == b
    bits above(bits a, bits b) noexcept nogil           # a > b
    bits choose(bits which, bits a, bits b) noexcept nogil      # a where `which` says yes, else b
    bits upper(bits a, bits b) noexcept nogil           # the larger of the two, each
    bits lower(bits a, bits b) noexcept nogil           # the smaller one
    bits as_bits(vec a) noexcept nogil                  # nothing is converted
    vec as_vec(bits a) noexcept nogil
    bits load_bytes(const signed char* a) noexcept nogil        # a byte for each integer
    void store_bytes(signed char* to, bits a) noexcept nogil    # the lowest byte of each integer
