# The register tile on packed operands: the 36 sums of products of Winograd's algorithm.
#
#     c[r, :] = sum over i of a[r, i] * b[i, :]          R rows by V vectors, as in tile.pxd
#
# The rows of `a`, whose numbers are broadcast, are at a fixed distance, and `b` is a panel. A call makes `count` tiles,
# one below the other.
#
#   PRODUCT      rows are tiles of the picture, LANES numbers apart, i is the channel; b is one piece
#   FIRST_SUM    rows are channels, neighbours, i is the tile; b has an offset table
#
# Both operands come in pieces too short for a prefetcher to learn, so each fetches its next ones; the offset tables of
# FIRST_SUM go on for AHEAD more.
#
# NEXT_PRODUCT and SUM are the same, added to c: a long sum is one of shorter ones, which rounds less.
#
# Why the functions are named, and reached through a pointer: see tile.pxd. The sum runs in the order of i, one fused
# multiply-add at a time, whichever tile computes it.

from vector cimport LANES, ROWS, fetch, real, splat, vec

cdef extern from *:
    """
    /* of the sums: they divide LANES */
    #define SUM_ROWS (PYCONV_LANES < ROWS ? PYCONV_LANES : ROWS)
    """
    const Py_ssize_t SUM_ROWS

cdef enum:
    MOST_ROWS = 8
    MOST_VECTORS = 3
    AHEAD = 8               # summands
    CHANNELS_AHEAD = 16     # the same of products: whole vectors, and a hundred cycles or more

cdef enum Kind:
    PRODUCT
    NEXT_PRODUCT
    FIRST_SUM
    SUM

ctypedef void (*product_t)(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a, Py_ssize_t a_count,
                           const real* b, real* c) noexcept nogil
ctypedef void (*sum_t)(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a, Py_ssize_t a_count,
                       const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil


cdef inline void product(Kind kind, Py_ssize_t R, Py_ssize_t V, Py_ssize_t count, Py_ssize_t depth,
                         const Py_ssize_t* at, const real* a, Py_ssize_t a_count,
                         const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    # a: tile n at n * a_count  b: row i at b_at[i], or one after the other  c (count * R, V * LANES)
    cdef vec acc[MOST_ROWS][MOST_VECTORS]
    cdef vec column[MOST_VECTORS]
    cdef vec* out
    cdef const real* place
    cdef const real* row
    cdef real factor
    cdef Py_ssize_t _, i, r, v
    for _ in range(count):
        for r in range(R):
            for v in range(V):
                acc[r][v] = splat(0)
        place = b
        for i in range(depth):
            row = a + at[i]
            if kind == PRODUCT or kind == NEXT_PRODUCT:
                # Of a vector of channels to come, whose numbers for this point lie together.
                fetch(a + at[i + CHANNELS_AHEAD] + i % LANES * (ROWS - 1))
            if kind == FIRST_SUM or kind == SUM:
                place = b + b_at[i]
                fetch(a + at[i + AHEAD])
                for v in range(V):
                    fetch(b + b_at[i + AHEAD] + v * LANES)
            for v in range(V):
                column[v] = (<const vec*> (place + v * LANES))[0]
            place += V * LANES
            for r in range(R):
                factor = row[r] if kind == FIRST_SUM or kind == SUM else row[r * LANES]
                for v in range(V):
                    acc[r][v] = acc[r][v] + factor * column[v]
        for r in range(R):
            for v in range(V):
                out = <vec*> (c + (r * V + v) * LANES)
                out[0] = out[0] + acc[r][v] if kind == SUM or kind == NEXT_PRODUCT else acc[r][v]
        a += a_count
        c += R * V * LANES


cdef inline void product_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                            Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS, 3, count, depth, at, a, a_count, NULL, b, c)


cdef inline void product_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                            Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS, 2, count, depth, at, a, a_count, NULL, b, c)


cdef inline void product_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                            Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS, 1, count, depth, at, a, a_count, NULL, b, c)


cdef inline void half_product_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS // 2, 3, count, depth, at, a, a_count, NULL, b, c)


cdef inline void half_product_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS // 2, 2, count, depth, at, a, a_count, NULL, b, c)


cdef inline void half_product_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(PRODUCT, ROWS // 2, 1, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_product_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS, 3, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_product_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS, 2, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_product_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                 Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS, 1, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_half_product_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                      Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS // 2, 3, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_half_product_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                      Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS // 2, 2, count, depth, at, a, a_count, NULL, b, c)


cdef inline void next_half_product_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                      Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(NEXT_PRODUCT, ROWS // 2, 1, count, depth, at, a, a_count, NULL, b, c)


cdef inline void first_sum_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(FIRST_SUM, SUM_ROWS, 3, count, depth, at, a, a_count, b_at, b, c)


cdef inline void first_sum_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(FIRST_SUM, SUM_ROWS, 2, count, depth, at, a, a_count, b_at, b, c)


cdef inline void first_sum_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(FIRST_SUM, SUM_ROWS, 1, count, depth, at, a, a_count, b_at, b, c)


cdef inline void sum_x3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(SUM, SUM_ROWS, 3, count, depth, at, a, a_count, b_at, b, c)


cdef inline void sum_x2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(SUM, SUM_ROWS, 2, count, depth, at, a, a_count, b_at, b, c)


cdef inline void sum_x1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                        Py_ssize_t a_count, const Py_ssize_t* b_at, const real* b, real* c) noexcept nogil:
    product(SUM, SUM_ROWS, 1, count, depth, at, a, a_count, b_at, b, c)


cdef inline product_t product_of(Py_ssize_t vectors, bint first) noexcept nogil:
    if first:
        return product_x3 if vectors == 3 else product_x2 if vectors == 2 else product_x1
    return next_product_x3 if vectors == 3 else next_product_x2 if vectors == 2 else next_product_x1


cdef inline product_t half_product_of(Py_ssize_t vectors, bint first) noexcept nogil:
    if first:
        return half_product_x3 if vectors == 3 else half_product_x2 if vectors == 2 else half_product_x1
    return next_half_product_x3 if vectors == 3 else next_half_product_x2 if vectors == 2 else next_half_product_x1


cdef inline sum_t sum_tile_of(Py_ssize_t vectors, bint first) noexcept nogil:
    if first:
        return first_sum_x3 if vectors == 3 else first_sum_x2 if vectors == 2 else first_sum_x1
    return sum_x3 if vectors == 3 else sum_x2 if vectors == 2 else sum_x1
