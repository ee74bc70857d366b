# Lanes = output channels: the tile has pixels in its rows and a packed panel of weights in its vectors.
#
#     packed (group, pass, block, depth of the pass, width of the block)
#     sums   (pixel, width)       transposed into the target at the end
#
# The pixels of a block are cut into patches of the same taps (runs.pxd): one patch, if padding is read as zeros. For
# each block of channels m, chunks of the sum small enough for their weights to stay near meet all pixels.

from block cimport Block, Patch, Phase
from channels_pack cimport pack_block, pack_kernels
from channels_unpack cimport list_targets, unpack_sums
from geometry cimport ceil_div, larger, positions, smaller, span, taps_of_pass
from pieces cimport even_length
from plan cimport CHUNK, SOURCE_BYTES, Sum, block_start, is_merged, packs_kernels, pass_start, pass_taps
from runs cimport MAX_RUNS, Run, list_runs
from tile cimport Operands, Term
from tiles cimport channel_rows, patch_rows
from vector cimport LANES, MAX_LANES, PANEL, TABLE_ROWS, fetch_far, real, vec
from workspace cimport LINE

cdef enum:
    BURST = 16              # cache lines that are fetched at once

cdef struct Ahead:
    # Which pixels are to be fetched of those that the next chunk of the sum reads.
    const real* planes      # from here on, ...
    Py_ssize_t channel      # ... so far apart,
    Py_ssize_t channels     # of so many channels, the last one first, ...
    Py_ssize_t line, lines  # ... the next line, of so many


cdef inline Py_ssize_t chunk_channels(const Sum* s, Py_ssize_t taps) noexcept nogil:
    return smaller(larger(CHUNK // larger(taps, 1), 1), s.c)


cdef inline Py_ssize_t* list_patch(Patch* p, const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, const Run* v,
                                   const Run* h, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t* room) noexcept nogil:
    # The tables of a patch, put into `room`; returns what is left of it. The last pixel is repeated to fill the last
    # tile, of any width, with a spare row of sums to go to.  rows, columns: of the block
    cdef Py_ssize_t image, row, column, c, i, j, count = 0, taps = pass_taps(s, a, b), h_taps = taps_of_pass(&s.h, b)
    cdef Py_ssize_t pixels = k.images * (v.end - v.start) * (h.end - h.start), channels = chunk_channels(s, taps)
    cdef Py_ssize_t filled = ceil_div(pixels, TABLE_ROWS) * TABLE_ROWS
    p.pixels, p.taps = pixels, (v.last - v.first) * (h.last - h.first)
    p.pixel_at = room
    p.sum_at = p.pixel_at + filled
    p.terms = <Term*> (p.sum_at + filled)
    for image in range(k.images):
        for row in range(v.start - k.row, v.end - k.row):
            for column in range(h.start - k.column, h.end - k.column):
                p.pixel_at[count] = image * s.planes.image + row * s.v.pace * s.planes.columns + column * s.h.pace
                p.sum_at[count] = (image * rows + row) * columns + column
                count += 1
    for i in range(count, filled):
        p.pixel_at[i], p.sum_at[i] = p.pixel_at[count - 1], k.images * rows * columns
    count = 0
    for c in range(channels):
        for i in range(v.first, v.last):
            for j in range(h.first, h.last):
                p.terms[count].place = (c * s.planes.channel + s.v.tap[i].shift * s.planes.columns
                                        + s.h.tap[j].shift)
                p.terms[count].row = c * taps + (i - s.v.first[a]) * h_taps + j - s.h.first[b]
                count += 1
    return <Py_ssize_t*> (p.terms + count)


cdef inline void open_phase(Phase* f, const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b,
                            Py_ssize_t rows) noexcept nogil:
    # Lists all patches of the block that read anything in pass (a, b).
    cdef Run v_runs[MAX_RUNS]
    cdef Run h_runs[MAX_RUNS]
    cdef Py_ssize_t v_count, h_count, i, j
    cdef Py_ssize_t* room = f.tables
    f.start, f.taps, f.count, f.rows = pass_start(s, a, b), pass_taps(s, a, b), 0, rows
    f.columns = larger(smaller(positions(&s.h, b) - k.column, s.band_columns), 0)
    v_count = list_runs(v_runs, &s.v, a, k.row, k.row + rows, s.skip_v)
    h_count = list_runs(h_runs, &s.h, b, k.column, k.column + f.columns, s.skip_h)
    for i in range(v_count):
        for j in range(h_count):
            if v_runs[i].first < v_runs[i].last and h_runs[j].first < h_runs[j].last and f.columns:
                room = list_patch(f.patches + f.count, s, k, a, b, v_runs + i, h_runs + j, rows, f.columns, room)
                f.count += 1


cdef inline void look_ahead(Ahead* ahead) noexcept nogil:
    # Fetches the next few cache lines.
    cdef Py_ssize_t _
    for _ in range(BURST):
        if ahead.channels > 0:
            fetch_far(ahead.planes + (ahead.channels - 1) * ahead.channel + ahead.line * LINE)
            ahead.line += 1
            if ahead.line == ahead.lines:
                ahead.line, ahead.channels = 0, ahead.channels - 1


cdef inline void add_patch(const Sum* s, const Patch* p, Operands* o, Py_ssize_t vectors, Py_ssize_t step,
                           Py_ssize_t following, Ahead* ahead) noexcept nogil:
    # o.depth summands of all pixels, by tiles of so many vectors, `step` of them at a time.  following: how far behind
    # the weights those are that come next, of which the first tiles fetch a line of each row; or 0
    cdef Py_ssize_t lines = ceil_div(vectors * LANES, LINE), high = patch_rows(vectors, p.pixels), j = 0
    cdef Py_ssize_t tiles = ceil_div(p.pixels, high)
    while j < tiles:
        o.count, o.ahead = smaller(step, tiles - j), 0
        if following and j < lines:
            o.count, o.ahead = 1, following + j * LINE
        o.row_at, o.out_at = p.pixel_at + j * high, p.sum_at + j * high
        s.tiles.channels[vectors][high](o)
        if ahead.channels > 0:
            look_ahead(ahead)
        j += o.count


cdef inline void sum_phase(const Sum* s, const Block* k, const Phase* f, Py_ssize_t m, Py_ssize_t width,
                           const real* weight, const real* end, const real* bias, Py_ssize_t pixels) noexcept nogil:
    # The sums of a block of channels from m on.  weight (of the group), until `end`  bias (m,)
    cdef Py_ssize_t lanes = smaller(width, s.m - m), c = 0, channels, next, step = pixels, j, r, i
    cdef Py_ssize_t vectors = width // LANES, summands, depth, following
    cdef real first[PANEL * MAX_LANES]
    cdef const real* panel
    cdef const Patch* p
    cdef Ahead ahead
    cdef Operands o
    # Pixels that come from further away than L2 every time are fetched while the chunk before is summed. (Of many small
    # images they lie in too many pages for that.)
    cdef bint far = k.images == 1 and s.c * s.planes.channel * <Py_ssize_t> sizeof(real) > SOURCE_BYTES
    ahead.planes, ahead.channel, ahead.channels = k.planes, s.planes.channel, 0
    ahead.lines = smaller(s.planes.channel, span(&s.v, f.rows) * s.planes.columns) // LINE + 1
    for r in range(width):
        first[r] = bias[m + r] if r < lanes else 0
    for j in range(pixels):
        for r in range(vectors):
            (<vec*> (f.sums + j * width + r * LANES))[0] = (<const vec*> (first + r * LANES))[0]
    while c < s.c and f.count:
        channels = smaller(chunk_channels(s, f.taps), s.c - c)
        next = c + channels if c + channels < s.c else 0
        panel = k.panel
        if s.packed == NULL and packs_kernels(s):
            pack_kernels(s, k.panel - (m * s.c + c * width) * f.taps, weight, m, width, c, c + channels)
        elif s.packed == NULL:
            pack_block(s, k.panel, width, weight, m, f.start, f.taps, c, c + channels, end)
        else:
            panel = s.packed + k.group * s.packed_group + s.packed_m * f.start + (m * s.c + c * width) * f.taps
        if far:
            ahead.planes, ahead.line = k.planes + next * s.planes.channel, 0
            ahead.channels = smaller(channels, s.c - next)
            step = larger(pixels // channel_rows(vectors) * BURST // (ahead.channels * ahead.lines), 1)
        o.a, o.b, o.c = k.planes + c * s.planes.channel, panel, f.sums
        for i in range(f.count):
            # A channel of very many taps is summed piece by piece.
            p, j = f.patches + i, 0
            summands = channels * p.taps
            depth = even_length(summands, CHUNK * PANEL // vectors)
            while j < summands:
                o.depth, o.terms, following = smaller(depth, summands - j), p.terms + j, 0
                if s.packed != NULL:
                    following = (channels * f.taps - summands + o.depth) * width
                add_patch(s, p, &o, vectors, step, following, &ahead)
                j += depth
        c += channels


cdef inline void channel_pass(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, const real* weight, const real* end,
                              const real* bias, real* target, Py_ssize_t rows) noexcept nogil:
    # Pass (a, b), with the one after it where outputs of both are stored together.
    # weight (of the group), until `end`  bias (m,)  target: channel 0 of the group in the block's first image
    cdef Py_ssize_t phases = 2 if s.zipped else 1, block, m, width, i
    for i in range(phases):
        open_phase(&k.phases[i], s, k, a, b + i, rows)
    if not s.zipped and not is_merged(s):
        list_targets(s, k, a, b, rows, k.phases[0].columns)
    for block in range(k.first_block, k.last_block):
        m = block_start(s, block)
        width = block_start(s, block + 1) - m
        for i in range(phases):
            sum_phase(s, k, &k.phases[i], m, width, weight, end, bias, k.images * rows * k.phases[i].columns)
        unpack_sums(s, k, a, m, width, rows, target)
