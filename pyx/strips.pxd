# Lanes = pixels, for a band that is one row: long sums are cut into chunks.
#
# The chunk of a strip, STRIP_CHUNK summands of up to PANEL vectors of pixels, is copied from its planes into a panel
# that stays in the first-level cache while it meets tiles of output channels one after the other. The sums wait in the
# target: those of as many channels as fit the second-level cache, with the weights of a chunk, are finished before the
# next ones start.

from block cimport Block
from geometry cimport ceil_div, larger, smaller
from plan cimport STRIP_CHUNK, Sum
from tile cimport pixel_tile_t
from vector cimport LANES, PANEL, ROWS, STRIP, real, vec

cdef enum:
    SUM_BYTES = 384 * 1024


cdef inline void pack_strip(const Sum* s, const Block* k, Py_ssize_t V, const real* planes, Py_ssize_t start,
                            Py_ssize_t summands) noexcept nogil:
    # V vectors of pixels from `planes` on.
    cdef Py_ssize_t i, v
    cdef const vec* pixels
    for i in range(summands):
        k.panel_at[i] = i * V * LANES
        pixels = <const vec*> (planes + s.source_at[start + i])
        for v in range(V):
            (<vec*> (k.panel + k.panel_at[i]))[v] = pixels[v]


cdef inline void add_chunk(const Sum* s, const Block* k, Py_ssize_t V, const real* weights, Py_ssize_t start,
                           Py_ssize_t summands, const real* bias, real* target, Py_ssize_t pixels) noexcept nogil:
    # ROWS output channels at `pixels` of target, which are the last ones in the panel. Without `bias` the sums go on.
    cdef Py_ssize_t target_m = s.v.target * s.h.target, skip = V * LANES - pixels, r, j
    cdef real* c = target
    cdef pixel_tile_t tile = s.tiles.more[V] if bias == NULL else s.tiles.pixels[ROWS][V]
    cdef Py_ssize_t c_row = target_m
    if skip:
        c, c_row = k.strip, STRIP * LANES
        if bias == NULL:
            for r in range(ROWS):
                for j in range(pixels):
                    c[r * c_row + skip + j] = target[r * target_m + j]
    tile(1, summands, weights, s.weight_m, s.weight_at + start, k.panel, k.panel_at, bias, c, c_row)
    if skip:
        for r in range(ROWS):
            for j in range(pixels):
                target[r * target_m + j] = c[r * c_row + skip + j]


cdef inline Py_ssize_t chunked_strips(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t end, Py_ssize_t start,
                                      Py_ssize_t depth, const real* weights, const real* bias, real* target,
                                      Py_ssize_t columns) noexcept nogil:
    # The full tiles of output channels m .. end at `columns` pixels, at least a vector of them; returns the first
    # channel that is left over. A last strip moves left.  weights, bias, target: as pixel_pass()
    cdef Py_ssize_t target_m = s.v.target * s.h.target, first = m, last, channel, summands, i, at, pixels, V
    cdef Py_ssize_t near = larger(SUM_BYTES // <Py_ssize_t> sizeof(real) // columns // ROWS, 8) * ROWS
    end = m + (end - m) // ROWS * ROWS
    while first < end:
        last = smaller(first + near, end)
        i = 0
        while i < depth:
            summands = smaller(STRIP_CHUNK, depth - i)
            at = 0
            while at < columns:
                V = smaller(smaller(ceil_div(columns - at, LANES), columns // LANES), PANEL)
                pixels = smaller(columns - at, V * LANES)
                pack_strip(s, k, V, k.planes + at + pixels - V * LANES, start + i, summands)
                channel = first
                while channel < last:
                    add_chunk(s, k, V, weights + channel * s.weight_m, start + i, summands,
                              bias + channel if i == 0 else NULL, target + channel * target_m + at, pixels)
                    channel += ROWS
                at += pixels
            i += summands
        first = last
    return end
