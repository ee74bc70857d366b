# Lanes = pixels, where each picture is a single row that is read in place: sums are cut into chunks.
#
# The pixels of all images of a block follow each other in strips of up to PANEL vectors. The chunk of a strip,
# STRIP_CHUNK summands of its pixels, is copied into a panel that stays in the first-level cache while it meets tiles of
# output channels one after the other. Sums wait in the second-level cache until their last chunk is added, which puts
# them into the target.

from libc.string cimport memcpy

from block cimport Block
from cut cimport gathered_tile, scatters_rows, strip_tiles
from geometry cimport ceil_div, larger, smaller
from plan cimport STRIP_CHUNK, Sum
from strip_tile cimport Strip
from vector cimport LANES, MAX_LANES, MAX_ROWS, PANEL, ROWS, real, splat, store_lanes, vec

cdef struct Place:
    # Where a strip is. Its pixels are neighbours in one image, or else `broken`, and copied one piece after the other.
    Py_ssize_t at, pixels, V
    bint broken
    Py_ssize_t source, target       # offsets of its first pixel


cdef inline Place strip_place(const Sum* s, Py_ssize_t strip, Py_ssize_t positions, Py_ssize_t columns) noexcept nogil:
    cdef Place p
    cdef Py_ssize_t width = PANEL * LANES, image, column
    p.at = strip * width
    p.pixels = smaller(positions - p.at, width)
    p.V = ceil_div(p.pixels, LANES)
    image, column = p.at // columns, p.at % columns
    p.broken = column + p.pixels > columns
    if not p.broken and p.pixels < p.V * LANES:
        # Its last vector is not full: the strip moves left, if its image has as many pixels.
        p.broken = column + p.pixels < p.V * LANES
        if not p.broken:
            column -= p.V * LANES - p.pixels
            p.pixels = p.V * LANES
    p.source, p.target = image * s.planes.image + column, image * s.target_image + column
    return p


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


cdef inline void pack_strip(const Sum* s, const Block* k, const Place* p, Py_ssize_t columns, Py_ssize_t start,
                            Py_ssize_t summands) noexcept nogil:
    # A broken strip, to the panel. What its last vector lacks is 0.
    cdef Py_ssize_t done = 0, count, i, j, width = p.V * LANES
    cdef const real* planes
    while done < p.pixels:
        count = smaller(columns - (p.at + done) % columns, p.pixels - done)
        planes = k.planes + (p.at + done) // columns * s.planes.image + (p.at + done) % columns
        for i in range(summands):
            copy_pixels(k.panel + i * width + done, planes + s.source_at[start + i], count)
        done += count
    for i in range(summands):
        for j in range(p.pixels, width):
            k.panel[i * width + j] = 0


cdef inline void write_sums(const Sum* s, const real* sums, const Place* p, Py_ssize_t columns,
                            real* target) noexcept nogil:
    # One channel of a strip.  target: of the first image
    cdef Py_ssize_t done = 0, count, j
    cdef real* to
    if not p.broken:
        for j in range(p.V):
            (<vec*> (target + p.target + j * LANES))[0] = (<const vec*> (sums + j * LANES))[0]
        return
    while done < p.pixels:
        count = smaller(columns - (p.at + done) % columns, p.pixels - done)
        to = target + (p.at + done) // columns * s.target_image + (p.at + done) % columns
        j = 0
        while j < count:
            store_lanes(to + j, (<const vec*> (sums + done + j))[0], smaller(count - j, LANES))
            j += LANES
        done += count


cdef inline void gather_rows(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t tiles, Py_ssize_t start,
                             Py_ssize_t summands, const real* weights) noexcept nogil:
    # The weights of a chunk, for tiles of channels from m on, where they are neighbours: k.rows (tiles, summands, ROWS)
    cdef Py_ssize_t i, j
    cdef const real* row
    for i in range(summands):
        k.row_at[i] = i * ROWS
        row = weights + s.weight_at[start + i]
        for j in range(tiles):
            memcpy(k.rows + j * gathered_tile() + i * ROWS, row + smaller(m + j * ROWS, s.m - ROWS),
                   ROWS * sizeof(real))


cdef inline void set_next(Strip* t, const Sum* s, const Block* k, Py_ssize_t strip, Py_ssize_t strips, Py_ssize_t start,
                          Py_ssize_t i, Py_ssize_t depth, Py_ssize_t positions, Py_ssize_t columns) noexcept nogil:
    # What comes after chunk i of a strip: the next strip, or the first one of the next chunk. (A shorter chunk is
    # fetched with some summands before it.)
    cdef Py_ssize_t next = strip + 1 if strip + 1 < strips else 0
    t.next = k.planes + strip_place(s, next, positions, columns).source
    t.next_at = s.source_at + start + (i if next else smaller(i + t.depth, depth - t.depth))


cdef inline void add_tile(Strip* t, const Sum* s, const Place* p, Py_ssize_t m, bint begins, bint ends, bint filled,
                          const real* bias, real* sums, Py_ssize_t row, Py_ssize_t end, Py_ssize_t columns,
                          real* target) noexcept nogil:
    # A chunk of a tile of channels, from m on or some before it, and a strip.
    # begins, ends: whether it is their first chunk, their last  filled: whether the panel is
    # sums [ROWS][V vectors], row apart, which only a chunk between them needs
    cdef real biases[MAX_ROWS * MAX_LANES]
    cdef Py_ssize_t first = smaller(m, s.m - ROWS), target_m = s.v.target * s.h.target, r
    cdef bint direct = ends and not p.broken and first == m
    if begins:
        for r in range(ROWS):
            (<vec*> (biases + r * LANES))[0] = splat(bias[first + r])
        t.start, t.start_row, t.start_vector = biases, LANES, 0
    else:
        t.start, t.start_row, t.start_vector = sums, row, LANES
    t.c, t.c_row = sums, row
    if direct:
        t.c, t.c_row = target + m * target_m + p.target, target_m
    if filled:
        s.strip_tiles.later[p.V](t)
    else:
        s.strip_tiles.first[p.V](t)
    if ends and not direct:
        for r in range(m - first, smaller(ROWS, end - first)):
            write_sums(s, sums + r * row, p, columns, target + (first + r) * target_m)


cdef inline void add_strips(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t end, Py_ssize_t start,
                            Py_ssize_t depth, const real* weights, const real* bias, real* target,
                            Py_ssize_t columns) noexcept nogil:
    # Output channels m .. end, where m starts a tile; a last tile moves up, and does some channels for nothing.
    # weights, bias, target: as pixel_pass()
    cdef Py_ssize_t width = PANEL * LANES, positions = k.images * columns, strips = ceil_div(positions, width)
    cdef Py_ssize_t tiles = strip_tiles(s), row = strips * width
    cdef Py_ssize_t line = 64 // <Py_ssize_t> sizeof(real), first = m, count, i, j, strip
    cdef Place p
    cdef Strip t
    cdef bint gathered = scatters_rows(s)
    t.weight_m, t.panel = s.weight_m, k.panel
    while first < end:
        count = smaller(tiles, ceil_div(end - first, ROWS))
        i = 0
        while i < depth:
            t.depth = smaller(STRIP_CHUNK, depth - i)
            t.weight_at, t.source_at = s.weight_at + start + i, s.source_at + start + i
            if gathered:
                gather_rows(s, k, first, count, start + i, t.depth, weights)
                t.weight_at = k.row_at
            for strip in range(strips):
                p = strip_place(s, strip, positions, columns)
                t.planes = k.planes + p.source
                set_next(&t, s, k, strip, strips, start, i, depth, positions, columns)
                if p.broken:
                    pack_strip(s, k, &p, columns, start + i, t.depth)
                for j in range(count):
                    if gathered:
                        t.weights = k.rows + j * gathered_tile()
                    else:
                        t.weights = weights + smaller(first + j * ROWS, s.m - ROWS) * s.weight_m
                    add_tile(&t, s, &p, first + j * ROWS, i == 0, i + t.depth == depth, j > 0 or p.broken, bias,
                             k.sums + j * ROWS * row + strip * width, row, end, columns, target)
                    if 0 < j <= PANEL:
                        t.next += line
            i += t.depth
        first += count * ROWS
