# One number type and one vector of it: the only file that knows how wide a register is.
#
# Every module is compiled once per instruction set and per dtype. `real` is the dtype of the build (PYCONV_REAL, set by
# setup.py); `vec` is as many of them as one register of the level holds. Cython is told that a `vec` is a `real`: it
# only passes the arithmetic through, and the C compiler does it on all lanes. A scalar times a vector broadcasts.
# Wider vectors than the level has are never used (they compile to long emulations), nor are single lanes addressed.

cdef extern from *:
    """
    typedef PYCONV_REAL real;
    #if defined(__AVX512F__)
      #define PYCONV_VECTOR_BYTES 64
      #define ROWS 8
    #elif defined(__AVX2__)
      #define PYCONV_VECTOR_BYTES 32
      #define ROWS 4
    #else
      #define PYCONV_VECTOR_BYTES 16
      #define ROWS 4
    #endif
    #define LANES ((Py_ssize_t)(PYCONV_VECTOR_BYTES / sizeof(real)))
    #define MAX_ROWS 8
    #define PANEL 3
    #define STRIP 6
    typedef real vec __attribute__((vector_size(PYCONV_VECTOR_BYTES), aligned(sizeof(real)), may_alias));
    static inline vec splat(real a) { return a - (vec){0}; }
    """
    ctypedef double real
    ctypedef real vec
    const Py_ssize_t LANES          # numbers in a vector
    const Py_ssize_t ROWS           # rows of the register tile: its ROWS * PANEL accumulators just fit the register file
    const Py_ssize_t PANEL          # vectors across the register tile
    enum:
        MAX_ROWS                    # the largest ROWS of any level
        STRIP                       # vectors across the flatter tiles that leftover rows use
    vec splat(real a) noexcept nogil
