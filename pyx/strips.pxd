# Lanes = pixels, where the source is read in place, by one tap or in pictures of one row: sums are cut into chunks.
#
# The pixels of all images of a block follow each other in strips of up to PANEL vectors (strip_place.pxd). The chunk of
# a strip, STRIP_CHUNK summands of its pixels, is copied into a panel that stays in the first-level cache while it meets
# tiles of output channels one after the other. Sums wait in the second-level cache until their last chunk is added,
# which puts them into the target.

from libc.string cimport memcpy

from block cimport Block
from cut cimport gathered_tile, keeps_panels, scatters_rows, strip_tiles
from geometry cimport ceil_div, positions, smaller
from pieces cimport even_length
from plan cimport STRIP_CHUNK, Sum
from strip_place cimport Place, Rows, line_lead, pack_strip, pixel_source, rows_of, strip_place, strip_start
from strip_tile cimport Strip
from vector cimport LANES, PANEL, ROWS, fetch, real, splat, store_lanes, vec
from workspace cimport LINE


cdef struct Chunk:
    # A chunk of the sums of a task, for the tiles of channels that wait together.
    const real* weights         # NULL where they are gathered
    bint begins, ends           # whether it is the first one, the last one
    Py_ssize_t row              # distance of the sums of two channels, k.sums [channels][pixels of all strips]
    Py_ssize_t end              # of the output channels
    Py_ssize_t area             # pixels of an image in the block
    real* target


cdef inline void write_sums(const Sum* s, const real* sums, const Place* p, Py_ssize_t area,
                            real* target) noexcept nogil:
    # One channel of a strip.  target: of the first image
    cdef Py_ssize_t done = 0, count, j
    cdef real* to
    if not p.split:
        for j in range(p.V):
            (<vec*> (target + p.target + j * LANES))[0] = (<const vec*> (sums + j * LANES))[0]
        return
    while done < p.pixels:
        count = smaller(area - (p.at + done) % area, p.pixels - done)
        to = target + (p.at + done) // area * s.target_image + (p.at + done) % area
        j = 0
        while j < count:
            store_lanes(to + j, (<const vec*> (sums + done + j))[0], smaller(count - j, LANES))
            j += LANES
        done += count


cdef inline void gather_rows(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t tiles, Py_ssize_t start,
                             Py_ssize_t summands, const real* weights) noexcept nogil:
    # The weights of a chunk, for tiles of channels from m on, where they are neighbours.
    # k.rows (tiles, summands, ROWS), tiles gathered_tile() apart
    cdef Py_ssize_t i, j
    cdef const real* row
    for i in range(summands):
        k.row_at[i] = i * ROWS
        row = weights + s.weight_at[start + i]
        j = 0
        while j < tiles:
            fetch(weights + s.weight_at[start + smaller(i + 6, summands - 1)] + smaller(m + j * ROWS, s.m - ROWS))
            j += 2
        for j in range(tiles):
            memcpy(k.rows + j * gathered_tile() + i * ROWS, row + smaller(m + j * ROWS, s.m - ROWS),
                   ROWS * sizeof(real))


cdef inline Py_ssize_t set_next(Strip* t, const Sum* s, const Block* k, const Rows* r, Py_ssize_t strip,
                                Py_ssize_t strips, Py_ssize_t tiles, Py_ssize_t start, Py_ssize_t i,
                                Py_ssize_t depth) noexcept nogil:
    # What comes after chunk i of a strip: the next strip, or the first one of the next chunk. (A shorter chunk is
    # fetched with some summands before it.) Returns how many tiles it takes, as far as its image goes.
    cdef Py_ssize_t next = strip + 1 if strip + 1 < strips else 0, width = PANEL * LANES
    cdef Py_ssize_t first = strip_start(r, next), image = first // r.area, source = pixel_source(r, first)
    cdef Py_ssize_t last = smaller(smaller(first + width, r.positions), (image + 1) * r.area) - 1
    cdef Py_ssize_t lines = (pixel_source(r, last) - source) // LINE + 2
    t.lines = 2 if tiles <= lines else 1
    t.next, t.next_step = k.planes + source, t.lines * LINE
    t.next_at = s.source_at + start + (i if next else smaller(i + t.depth, depth - t.depth))
    return ceil_div(lines, t.lines)


cdef inline Py_ssize_t set_next_panel(Strip* t, const Block* k) noexcept nogil:
    # The same where panels were kept, one behind the other.
    t.lines, t.next, t.next_at, t.next_step = 1, t.panel + t.depth * (PANEL * LANES), k.line_at, t.depth * LINE
    return ceil_div(PANEL * LANES, LINE)


cdef inline void list_lines(const Sum* s, const Block* k) noexcept nogil:
    # Lines that tiles fetch, as many as one has summands: those of a panel, in k.line_at, and unless weights are
    # gathered those of the next two tiles' weights, in k.row_at.
    cdef Py_ssize_t i
    for i in range(STRIP_CHUNK):
        k.line_at[i] = i * LINE
        if not scatters_rows(s):
            k.row_at[i] = i % (2 * ROWS) * s.weight_m + i // (2 * ROWS) * LINE


cdef inline void spread_biases(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t tiles,
                               const real* bias) noexcept nogil:
    # Those of a set of tiles from m on, a vector each: k.biases
    cdef Py_ssize_t r
    for r in range(smaller(tiles * ROWS, s.m - m)):
        (<vec*> (k.biases + r * LANES))[0] = splat(bias[m + r])


cdef inline void add_tiles(Strip* t, const Sum* s, const Chunk* c, const Place* p, Py_ssize_t m, bint filled,
                           const real* biases, real* sums) noexcept nogil:
    # t.count tiles of channels, from m on or some before it, and a strip: one tile if sums don't go where they belong.
    # filled: whether the panel is  biases: of the first tile
    # sums [ROWS][V vectors], c.row apart, which only a chunk between the first and the last needs
    cdef Py_ssize_t first = smaller(m, s.m - ROWS), target_m = s.v.target * s.h.target, r
    cdef bint direct = c.ends and not p.split and first == m
    t.start, t.start_row, t.start_vector = sums, c.row, LANES
    if c.begins:
        t.start, t.start_row, t.start_vector = biases, LANES, 0
    t.c, t.c_row, t.written = sums, c.row, sums + ROWS * c.row
    if direct:
        t.c, t.c_row = c.target + m * target_m + p.target, target_m
        t.written = t.c
    s.strip_tiles.tile[0 if not filled else t.lines if p.V == PANEL else 1][p.V](t)
    if c.ends and not direct:
        for r in range(m - first, smaller(ROWS, c.end - first)):
            write_sums(s, sums + r * c.row, p, c.area, c.target + (first + r) * target_m)


cdef inline void add_strip(Strip* t, const Sum* s, const Block* k, const Chunk* c, const Place* p, Py_ssize_t m,
                           Py_ssize_t count, Py_ssize_t ahead, bint filled, bint fresh, real* sums) noexcept nogil:
    # `count` tiles, from m on, and a strip; tiles that differ in nothing but their places run together. The first
    # `ahead` of them fetch pixels, later ones, if their own weights are fresh, those of the tiles to come.
    cdef Py_ssize_t whole = smaller(count, (s.m - m) // ROWS), base = smaller(m, s.m - ROWS), j = 0
    while j < count:
        t.weights = k.rows + j * gathered_tile()
        if c.weights != NULL:
            t.weights = c.weights + smaller(m + j * ROWS, s.m - ROWS) * s.weight_m
        if ahead == 0:
            t.lines, t.next_step = 1, 0
            if fresh and c.weights != NULL:
                t.next, t.next_step = t.weights + t.weight_step + t.weight_at[0], t.weight_step
                t.next_at = k.row_at
        t.count = 1
        if filled and j < whole and not (c.ends and p.split):
            t.count = smaller(whole - j, ahead) if ahead else whole - j
        add_tiles(t, s, c, p, m + j * ROWS, filled, k.biases + (smaller(m + j * ROWS, s.m - ROWS) - base) * LANES,
                  sums + j * ROWS * c.row)
        j += t.count
        if filled:
            t.next += t.count * t.next_step
            ahead -= smaller(t.count, ahead)
        filled = True


cdef inline void add_strips(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t end, Py_ssize_t start,
                            Py_ssize_t depth, const real* weights, const real* bias, real* target, Py_ssize_t rows,
                            Py_ssize_t columns) noexcept nogil:
    # Output channels m .. end, where m starts a tile; a last tile moves up, and does some channels for nothing.
    # weights, bias, target: as pixel_pass()
    cdef Py_ssize_t lead = line_lead(s, k, target), shift = lead if k.column else 0, width = PANEL * LANES
    cdef Py_ssize_t later = lead if k.column + columns < positions(&s.h, 0) else 0      # pixels left to the next block
    cdef Rows r = rows_of(s, k, rows, columns + shift - later, 0 if k.column else lead, shift)
    cdef Py_ssize_t strips = ceil_div(r.positions + r.lead, width)
    cdef Py_ssize_t tiles = even_length(ceil_div(end - m, ROWS), strip_tiles(s)), first = m, count, i, strip, ahead
    cdef Place p
    cdef Strip t
    cdef Chunk c
    cdef bint gathered = scatters_rows(s), kept = keeps_panels(s), found
    c.weights, c.target = NULL if gathered else weights, target - shift
    c.row, c.end, c.area = strips * width, end, r.area
    t.weight_m, t.weight_step, t.panel = s.weight_m, gathered_tile() if gathered else ROWS * s.weight_m, k.panel
    list_lines(s, k)
    while first < end:
        count = smaller(tiles, ceil_div(end - first, ROWS))
        found = kept and first > m      # the panels, as the first channels left them
        spread_biases(s, k, smaller(first, s.m - ROWS), count, bias)
        i = 0
        while i < depth:
            t.depth = smaller(STRIP_CHUNK, depth - i)
            c.begins, c.ends = i == 0, i + t.depth == depth
            t.weight_at, t.source_at = s.weight_at + start + i, s.source_at + start + i
            if gathered:
                gather_rows(s, k, first, count, start + i, t.depth, weights)
                t.weight_at = k.row_at
            for strip in range(strips):
                p = strip_place(s, &r, strip)
                t.planes = k.planes + p.source
                if kept:
                    t.panel = k.panel + (i * strips + strip * t.depth) * width
                if found:
                    ahead = set_next_panel(&t, k)
                else:
                    ahead = set_next(&t, s, k, &r, strip, strips, count, start, i, depth)
                    if p.packed:
                        pack_strip(s, k, &r, &p, start + i, t.depth, t.panel)
                add_strip(&t, s, k, &c, &p, first, count, ahead, p.packed or found, strip == 0, k.sums + strip * width)
            i += t.depth
        first += count * ROWS
