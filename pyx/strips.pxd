# Lanes = pixels, where each picture is a single row that is read in place: long sums are cut into chunks.
#
# The pixels of all images of a block follow each other in strips of up to PANEL vectors. The chunk of a strip,
# STRIP_CHUNK summands of its pixels, is copied into a panel that stays in the first-level cache while it meets tiles of
# output channels one after the other. The sums of as many channels as fit the second-level cache wait there until all
# chunks are added, and are then copied to the target.

from block cimport Block
from geometry cimport ceil_div, larger, smaller
from plan cimport STRIP_CHUNK, STRIP_SUMS, Sum
from tile cimport pixel_tile_t
from vector cimport LANES, PANEL, ROWS, real, store_lanes, vec


cdef inline void copy_pixels(real* to, const real* from_, Py_ssize_t count) noexcept nogil:
    # Whole vectors, the last one of which moves left.
    cdef Py_ssize_t j = 0
    if count < LANES:
        for j in range(count):
            to[j] = from_[j]
        return
    while j < count:
        j = smaller(j, count - LANES)
        (<vec*> (to + j))[0] = (<const vec*> (from_ + j))[0]
        j += LANES


cdef inline void pack_strip(const Sum* s, const Block* k, Py_ssize_t at, Py_ssize_t pixels, Py_ssize_t width,
                            Py_ssize_t columns, Py_ssize_t start, Py_ssize_t summands) noexcept nogil:
    # Pixels at .. at + pixels of the block, to rows of `width` numbers, the last of which may be missing.
    cdef Py_ssize_t done = 0, count, i, j
    cdef const real* planes
    while done < pixels:
        count = smaller(columns - (at + done) % columns, pixels - done)
        planes = k.planes + (at + done) // columns * s.planes.image + (at + done) % columns
        for i in range(summands):
            copy_pixels(k.panel + i * width + done, planes + s.source_at[start + i], count)
        done += count
    for i in range(summands):
        k.panel_at[i] = i * width
        for j in range(pixels, width):
            k.panel[i * width + j] = 0


cdef inline void write_sums(const Sum* s, const real* sums, Py_ssize_t at, Py_ssize_t pixels, Py_ssize_t columns,
                            real* target) noexcept nogil:
    # One channel of a strip.  target: of the first image
    cdef Py_ssize_t done = 0, count, j
    cdef real* to
    while done < pixels:
        count = smaller(columns - (at + done) % columns, pixels - done)
        to = target + (at + done) // columns * s.target_image + (at + done) % columns
        j = 0
        while j < count:
            store_lanes(to + j, (<const vec*> (sums + done + j))[0], smaller(count - j, LANES))
            j += LANES
        done += count


cdef inline void add_strips(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t end, Py_ssize_t start,
                            Py_ssize_t depth, const real* weights, const real* bias, real* target,
                            Py_ssize_t columns) noexcept nogil:
    # Output channels m .. end, where m starts a tile; a last tile moves up, and does some channels for nothing.
    # weights, bias, target: as pixel_pass()
    cdef Py_ssize_t width = PANEL * LANES, positions = k.images * columns, strips = ceil_div(positions, width)
    cdef Py_ssize_t tiles = larger(STRIP_SUMS // (strips * width * ROWS), 1), row = strips * width
    cdef Py_ssize_t first = m, count, channel, summands, i, j, strip, pixels, V
    cdef pixel_tile_t tile
    while first < end:
        count = smaller(tiles, ceil_div(end - first, ROWS))
        i = 0
        while i < depth:
            summands = smaller(STRIP_CHUNK, depth - i)
            for strip in range(strips):
                pixels = smaller(positions - strip * width, width)
                V = ceil_div(pixels, LANES)
                tile = s.tiles.pixels[ROWS][V] if i == 0 else s.tiles.more[V]
                pack_strip(s, k, strip * width, pixels, V * LANES, columns, start + i, summands)
                for j in range(count):
                    channel = smaller(first + j * ROWS, s.m - ROWS)
                    tile(1, summands, weights + channel * s.weight_m, s.weight_m, s.weight_at + start + i, k.panel,
                         k.panel_at, bias + channel, k.sums + j * ROWS * row + strip * width, row)
            i += summands
        for channel in range(first, smaller(first + count * ROWS, end)):
            j = (channel - first) // ROWS * ROWS
            j += channel - smaller(first + j, s.m - ROWS)
            for strip in range(strips):
                write_sums(s, k.sums + j * row + strip * width, strip * width,
                           smaller(positions - strip * width, width), columns,
                           target + channel * s.v.target * s.h.target)
        first += count * ROWS
