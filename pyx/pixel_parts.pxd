# Parts of the pixels of a weight gradient: where dw has too few numbers for all threads, they share the pixels instead.
# Each part has sums of its own, and these are added at the end. How many there are follows from the geometry alone, and
# so does the order of every sum.

from geometry cimport ceil_div, larger, smaller
from plan cimport Sum
from vector cimport LANES, real, vec

cdef enum:
    FEW_PIECES = 8      # pieces of dw of one chunk after the other: of fewer, the chunks are shared ...
    PART_CHUNKS = 4     # ... in parts of at least so many, ...
    LEAST_PARTS = 4     # ... at least so many of them ...
    MOST_PARTS = 16     # ... and at most
    TASKS = 8           # tasks of one band after the other: of fewer, the bands are shared; ...
    NEAR = 128 * 1024   # ... and so that numbers of dy are found near, about so many of them, ...
    MOST_SUMS = 64 * 1024       # ... if all sums are no more than that


cdef inline Py_ssize_t parts_of_chunks(Py_ssize_t pieces, Py_ssize_t chunks) noexcept nogil:
    cdef Py_ssize_t parts = LEAST_PARTS
    if pieces >= FEW_PIECES or chunks < LEAST_PARTS * PART_CHUNKS:
        return 1
    while parts < MOST_PARTS and 2 * parts * PART_CHUNKS <= chunks:
        parts *= 2
    return parts


cdef inline Py_ssize_t parts_of_bands(Py_ssize_t pieces, Py_ssize_t bands, Py_ssize_t shared,
                                      Py_ssize_t sums) noexcept nogil:
    # shared: numbers of dy that all pieces read; those of a part should stay in a second-level cache meanwhile.
    cdef Py_ssize_t parts = ceil_div(TASKS, larger(pieces, 1))
    parts = larger(parts, smaller(shared // NEAR, MOST_SUMS // larger(sums, 1)))
    return larger(smaller(bands, parts), 1)


cdef inline void add_parts(const Sum* s, const real* parts, real* dw) noexcept nogil:
    # parts (pixel_parts, groups * m, c, kh, kw)  dw (groups * m, c, kh, kw)
    cdef Py_ssize_t size = s.groups * s.weight_group, i = 0, part
    cdef vec sum
    while i + LANES <= size:
        sum = (<const vec*> (parts + i))[0]
        for part in range(1, s.pixel_parts):
            sum = sum + (<const vec*> (parts + part * size + i))[0]
        (<vec*> (dw + i))[0] = sum
        i += LANES
    while i < size:
        dw[i] = parts[i]
        for part in range(1, s.pixel_parts):
            dw[i] += parts[part * size + i]
        i += 1
