# Scratch memory: one aligned block per call, carved up front to back.
#
# A driver walks its plan twice with the same code: once with a null base, which only adds up the bytes, and once with
# the block that many bytes asked for. Pieces start on cache-line boundaries.

from vector cimport real

cdef enum:
    CACHE_LINE = 64
    LINE = CACHE_LINE // sizeof(real)       # numbers of one

cdef struct Carver:
    char* base
    size_t used


cdef inline void* carve(Carver* carver, size_t count, size_t itemsize) noexcept nogil:
    # Room for `count` items, or a null pointer while only counting.
    cdef size_t at = carver.used
    carver.used = (at + count * itemsize + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
    if carver.base == NULL:
        return NULL
    return carver.base + at
