# Numbers on their way between lanes: shuffles of two vectors, and loads in pieces.
#
# The lists that say which number goes where are given for each count of lanes, which vector.pxd knows.

from vector cimport real, vec

cdef extern from *:
    """
    #define PYCONV_LOW_2 0, 2
    #define PYCONV_HIGH_2 1, 3
    #define PYCONV_LOW_4 0, 4, 1, 5
    #define PYCONV_HIGH_4 2, 6, 3, 7
    #define PYCONV_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
    #define PYCONV_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
    #define PYCONV_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
    #define PYCONV_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
    #define PYCONV_EVEN_2 0, 2
    #define PYCONV_EVEN_4 0, 2, 4, 6
    #define PYCONV_EVEN_8 0, 2, 4, 6, 8, 10, 12, 14
    #define PYCONV_EVEN_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
    #define PYCONV_ODD_2 1, 3
    #define PYCONV_ODD_4 1, 3, 5, 7
    #define PYCONV_ODD_8 1, 3, 5, 7, 9, 11, 13, 15
    #define PYCONV_ODD_16 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
    #define PYCONV_ZIP_2 0, 1
    #define PYCONV_ZIP_4 0, 2, 1, 3
    #define PYCONV_ZIP_8 0, 4, 1, 5, 2, 6, 3, 7
    #define PYCONV_ZIP_16 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15
    #define PYCONV_ZIP_EVEN_2 0, 2
    #define PYCONV_ZIP_EVEN_4 0, 4, 2, 6
    #define PYCONV_ZIP_EVEN_8 0, 8, 2, 10, 4, 12, 6, 14
    #define PYCONV_ZIP_EVEN_16 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
    #define PYCONV_ZIP_ODD_2 1, 3
    #define PYCONV_ZIP_ODD_4 1, 5, 3, 7
    #define PYCONV_ZIP_ODD_8 1, 9, 3, 11, 5, 13, 7, 15
    #define PYCONV_ZIP_ODD_16 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
    #define PYCONV_PASTE(a, b) a##b
    #define PYCONV_LIST(name, lanes) PYCONV_PASTE(name, lanes)
    #if defined(__clang__)
      #define PYCONV_SHUFFLE(a, b, list) __builtin_shufflevector(a, b, list)
    #else
      typedef PYCONV_INTEGER index_vec __attribute__((vector_size(PYCONV_VECTOR_BYTES)));
      #define PYCONV_SHUFFLE(a, b, list) __builtin_shuffle(a, b, (index_vec){list})
    #endif
    static inline vec zip_low(vec a, vec b) { return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_LOW_, PYCONV_LANES)); }
    static inline vec zip_high(vec a, vec b) { return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_HIGH_, PYCONV_LANES)); }
    static inline vec evens(vec a, vec b) { return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_EVEN_, PYCONV_LANES)); }
    static inline vec odds(vec a, vec b) { return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_ODD_, PYCONV_LANES)); }
    static inline vec zip_evens(vec a, vec b) {
        return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_ZIP_EVEN_, PYCONV_LANES));
    }
    static inline vec zip_odds(vec a, vec b) {
        return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_ZIP_ODD_, PYCONV_LANES));
    }
    typedef real half __attribute__((vector_size(PYCONV_VECTOR_BYTES / 2), aligned(sizeof(real)), may_alias));
    static inline vec zip_halves(const real* a, const real* b) {
        return __builtin_shufflevector(*(const half*)a, *(const half*)b, PYCONV_LIST(PYCONV_ZIP_, PYCONV_LANES));
    }
    static inline vec splat_pair(const real* a) {
      #if PYCONV_BITS == 32
        typedef long long pair __attribute__((may_alias, aligned(sizeof(real))));
        typedef long long pairs __attribute__((vector_size(PYCONV_VECTOR_BYTES)));
        return (vec)(*(const pair*)a - (pairs){0});
      #else
        return zip_low(splat(a[0]), splat(a[1]));
      #endif
    }

    /* A piece is 16 bytes of a vector: loads put pieces in place, and shuffles within pieces are the cheapest ones. */
    #define PIECE ((Py_ssize_t)(128 / PYCONV_BITS))
    typedef real piece __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));
    #if PYCONV_BITS == 32
      #define PYCONV_FIRST_2 0, 1, 2, 3, 4, 5, 6, 7
      #define PYCONV_FIRST_4 PYCONV_FIRST_2, 8, 9, 10, 11, 12, 13, 14, 15
      #define PYCONV_PIECE_LOW_4 PYCONV_LOW_4
      #define PYCONV_PIECE_HIGH_4 PYCONV_HIGH_4
      #define PYCONV_PIECE_LOW_8 0, 8, 1, 9, 4, 12, 5, 13
      #define PYCONV_PIECE_HIGH_8 2, 10, 3, 11, 6, 14, 7, 15
      #define PYCONV_PIECE_LOW_16 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
      #define PYCONV_PIECE_HIGH_16 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
    #else
      #define PYCONV_FIRST_2 0, 1, 2, 3
      #define PYCONV_FIRST_4 PYCONV_FIRST_2, 4, 5, 6, 7
      #define PYCONV_PIECE_LOW_2 PYCONV_LOW_2
      #define PYCONV_PIECE_HIGH_2 PYCONV_HIGH_2
      #define PYCONV_PIECE_LOW_4 0, 4, 2, 6
      #define PYCONV_PIECE_HIGH_4 1, 5, 3, 7
      #define PYCONV_PIECE_LOW_8 0, 8, 2, 10, 4, 12, 6, 14
      #define PYCONV_PIECE_HIGH_8 1, 9, 3, 11, 5, 13, 7, 15
    #endif
    static inline vec zip_low_pieces(vec a, vec b) {
        return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_PIECE_LOW_, PYCONV_LANES));
    }
    static inline vec zip_high_pieces(vec a, vec b) {
        return PYCONV_SHUFFLE(a, b, PYCONV_LIST(PYCONV_PIECE_HIGH_, PYCONV_LANES));
    }
    static inline vec stack_pieces(const real* p, const Py_ssize_t* at) {
      #define PYCONV_AT(i) (*(const piece*)(p + at[(i) * PIECE]))
      #define PYCONV_PAIR(i) __builtin_shufflevector(PYCONV_AT(i), PYCONV_AT(i + 1), PYCONV_FIRST_2)
      #if PYCONV_VECTOR_BYTES == 64
        return __builtin_shufflevector(PYCONV_PAIR(0), PYCONV_PAIR(2), PYCONV_FIRST_4);
      #elif PYCONV_VECTOR_BYTES == 32
        return PYCONV_PAIR(0);
      #else
        return PYCONV_AT(0);
      #endif
    }
    """
    vec zip_low(vec a, vec b) noexcept nogil            # a[0], b[0], a[1], b[1], ... from the lower halves
    vec zip_high(vec a, vec b) noexcept nogil           # the same from the upper halves
    vec evens(vec a, vec b) noexcept nogil              # a[0], a[2], ..., b[0], b[2], ...
    vec odds(vec a, vec b) noexcept nogil
    vec zip_evens(vec a, vec b) noexcept nogil          # a[0], b[0], a[2], b[2], ...
    vec zip_odds(vec a, vec b) noexcept nogil
    vec zip_halves(const real* a, const real* b) noexcept nogil     # a[0], b[0], a[1], ... half a vector of each
    vec splat_pair(const real* a) noexcept nogil        # a[0], a[1], a[0], a[1], ...
    const Py_ssize_t PIECE          # numbers in a piece
    vec zip_low_pieces(vec a, vec b) noexcept nogil     # zip_low, piece by piece
    vec zip_high_pieces(vec a, vec b) noexcept nogil
    vec stack_pieces(const real* p, const Py_ssize_t* at) noexcept nogil    # pieces at p + at[0], p + at[PIECE], ...
