# Lanes = output channels: the tile has pixels in its rows and a packed panel of weights in its vectors.
#
#     packed (group, pass, block, depth of the pass, width of the block)
#     sums   (pixel, width)       transposed into the target at the end
#
# The pixels of a block are cut into patches of the same taps (runs.pxd): one patch, if padding is read as zeros. For
# each block of channels m, chunks of the sum small enough for their weights to stay near meet all pixels.

from libc.string cimport memcpy

from block cimport Block, Patch, Phase
from geometry cimport ceil_div, larger, positions, smaller, span, taps_of_pass
from panel cimport lanes_to_square, pack_panel, rows_into_lanes, unpack_panel, zip_rows
from plan cimport (CHUNK, MOST_TAPS, SOURCE_BYTES, Sum, block_start, is_merged, packed_blocks, packs_kernels,
                   pass_start, pass_taps, phase_run)
from runs cimport MAX_RUNS, Run, list_runs
from tile cimport CHANNELS, Term, channel_rows
from vector cimport LANES, MAX_LANES, TABLE_ROWS, fetch, fetch_far, real, store_lanes, vec
from workspace cimport LINE

cdef enum:
    PANEL_LANES = 48        # the most of any level
    BURST = 16              # cache lines that are fetched at once

cdef struct Ahead:
    # Which pixels are to be fetched of those that the next chunk of the sum reads.
    Py_ssize_t channels     # of so many channels, the last one first ...
    Py_ssize_t line, lines  # ... the next line, of so many


cdef inline void pack_weights(const Sum* s, const real* weight, Py_ssize_t task) noexcept nogil:
    # Block `task` of the packed weights.
    cdef Py_ssize_t blocks = packed_blocks(s), group = task // blocks, m = 0, width = s.packed_m, a, b, start
    if s.lanes == CHANNELS:
        m = block_start(s, task % blocks)
        width = block_start(s, task % blocks + 1) - m
    cdef real* packed = s.packed + group * s.packed_group
    if packs_kernels(s):
        pack_kernels(s, packed, weight + group * s.weight_group, m, width, 0, s.c)
        return
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            start = pass_start(s, a, b)
            pack_block(s, packed + s.packed_m * start + m * s.c * pass_taps(s, a, b), width,
                       weight + group * s.weight_group, m, start, pass_taps(s, a, b), 0, s.c,
                       weight + s.groups * s.weight_group)


cdef inline void pack_block(const Sum* s, real* panel, Py_ssize_t width, const real* weight, Py_ssize_t m,
                            Py_ssize_t start, Py_ssize_t taps, Py_ssize_t first, Py_ssize_t last,
                            const real* end) noexcept nogil:
    # Channels first <= c < last of a pass, for a block of channels from m on.  weight (of the group), until `end`
    cdef Py_ssize_t lanes = smaller(width, s.m - m)
    if is_merged(s):
        pack_merged(s, panel, width, weight, m, lanes, first, last, end)
    else:
        pack_panel(panel, width, weight + m * s.weight_m, s.weight_m, lanes, s.weight_at + start + first * taps,
                   (last - first) * taps, end)


cdef inline void pack_merged(const Sum* s, real* panel, Py_ssize_t width, const real* weight, Py_ssize_t m,
                             Py_ssize_t lanes, Py_ssize_t first, Py_ssize_t last, const real* end) noexcept nogil:
    # The same where channels are phases too: in runs of neighbours, all of a channel c before those of the next.
    cdef Py_ssize_t place[PANEL_LANES]      # of each run, in the weight
    cdef Py_ssize_t start[PANEL_LANES + 1]  # ... and in the panel
    cdef Py_ssize_t run = phase_run(s), horizontal = s.h.phases, phases = s.v.phases * horizontal, runs = 0, r = 0
    cdef Py_ssize_t channel, phase, c, i, j, k, count
    cdef const real* tap
    cdef const real* of
    while r < width:
        channel, phase = smaller(m + r, s.m - 1) // phases, smaller(m + r, s.m - 1) % phases
        place[runs] = channel * s.weight_m + phase % horizontal + phase // horizontal * s.kernel_w
        start[runs] = r
        r += smaller(smaller(LANES, run - (m + r) % run), larger(lanes - r, 1))
        runs += 1
    start[runs] = width
    for c in range(first, last):
        for i in range(s.v.taps):
            for j in range(s.h.taps):
                tap = weight + c * s.weight_c + s.v.tap[i].kernel * s.kernel_w + s.h.tap[j].kernel
                for k in range(runs):
                    of, count = tap + place[k], start[k + 1] - start[k]
                    fetch(of + 6 * s.weight_c)
                    if of + LANES <= end:
                        store_lanes(panel + start[k], (<const vec*> of)[0], count)
                    else:
                        memcpy(panel + start[k], of, count * sizeof(real))
                panel += width


cdef inline void pack_kernels(const Sum* s, real* packed, const real* weight, Py_ssize_t m, Py_ssize_t width,
                              Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    # A block of channels from m on, and first <= c < last, where kernels of channels m follow each other: these are
    # transposed whole, whatever passes their taps belong to.  packed, weight: of the group
    cdef real kernels[MOST_TAPS * MAX_LANES]
    cdef Py_ssize_t lane_at[MAX_LANES]
    cdef Py_ssize_t slot[MOST_TAPS]         # of each tap, for channel c = 0
    cdef Py_ssize_t step[MOST_TAPS]         # ... and from channel to channel
    cdef Py_ssize_t tap[MOST_TAPS]          # its place in the kernel
    cdef Py_ssize_t v = 0, c, r, i, j, k, a, b, count = 0
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            k = 0
            for i in range(s.v.first[a], s.v.first[a + 1]):
                for j in range(s.h.first[b], s.h.first[b + 1]):
                    slot[count] = s.packed_m * pass_start(s, a, b) + m * s.c * pass_taps(s, a, b) + k * width
                    step[count] = pass_taps(s, a, b) * width
                    tap[count] = s.v.tap[i].kernel * s.kernel_w + s.h.tap[j].kernel
                    count, k = count + 1, k + 1
    while v < width:
        for r in range(LANES):
            lane_at[r] = smaller(m + v + r, s.m - 1) * s.weight_m
        for c in range(first, last):
            # No prefetcher follows kernels that are so far apart.
            k = lane_at[0]
            while k < lane_at[LANES - 1] + s.weight_m:
                fetch(weight + (c + 4) * s.weight_c + k)
                k += LINE
            rows_into_lanes(kernels, weight + c * s.weight_c, lane_at, s.weight_m)
            for k in range(count):
                (<vec*> (packed + slot[k] + c * step[k] + v))[0] = (<const vec*> (kernels + tap[k] * LANES))[0]
        v += LANES


cdef inline Py_ssize_t chunk_channels(const Sum* s, Py_ssize_t taps) noexcept nogil:
    return smaller(larger(CHUNK // larger(taps, 1), 1), s.c)


cdef inline void list_targets(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t rows,
                              Py_ssize_t columns) noexcept nogil:
    # Where the sums of all pixels go, image after image.
    cdef Py_ssize_t image, row, column, count = 0
    for image in range(k.images):
        for row in range(rows):
            for column in range(columns):
                k.target_at[count] = target_place(s, k, a, b, image, row) + column * s.h.spacing
                count += 1


cdef inline Py_ssize_t target_place(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t image,
                                    Py_ssize_t row) noexcept nogil:
    # Of the first pixel in a row of the block.
    return (image * s.target_image + (a + (k.row + row) * s.v.spacing) * s.h.target + b + k.column * s.h.spacing)


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


cdef inline void look_ahead(Ahead* ahead, const real* planes, Py_ssize_t channel) noexcept nogil:
    # Fetches the next few cache lines.  planes, `channel` apart: of the first channel to come
    cdef Py_ssize_t _
    for _ in range(BURST):
        if ahead.channels > 0:
            fetch_far(planes + (ahead.channels - 1) * channel + ahead.line * LINE)
            ahead.line += 1
            if ahead.line == ahead.lines:
                ahead.line, ahead.channels = 0, ahead.channels - 1


cdef inline void sum_phase(const Sum* s, const Block* k, const Phase* f, Py_ssize_t m, Py_ssize_t width,
                           const real* weight, const real* end, const real* bias, Py_ssize_t pixels) noexcept nogil:
    # The sums of a block of channels from m on.  weight (of the group), until `end`  bias (m,)
    cdef Py_ssize_t lanes = smaller(width, s.m - m), c = 0, channels, next, step = pixels, j, r, i
    cdef Py_ssize_t high = channel_rows(width // LANES), lines = ceil_div(width, LINE), tiles, taken, fetched
    cdef const real* panel
    cdef const Patch* p
    cdef Ahead ahead
    # Pixels that come from further away than L2 every time are fetched while the chunk before is summed. (Of many small
    # images they lie in too many pages for that.)
    cdef bint far = k.images == 1 and s.c * s.planes.channel * <Py_ssize_t> sizeof(real) > SOURCE_BYTES
    for j in range(pixels):
        for r in range(width):
            f.sums[j * width + r] = bias[m + r] if r < lanes else 0
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
            ahead.channels, ahead.line = smaller(channels, s.c - next), 0
            ahead.lines = smaller(s.planes.channel, span(&s.v, f.rows) * s.planes.columns) // LINE + 1
            step = larger(pixels // high * BURST // (ahead.channels * ahead.lines), 1)
        for i in range(f.count):
            p, j, tiles = f.patches + i, 0, ceil_div(f.patches[i].pixels, high)
            while j < tiles:
                taken, fetched = smaller(step, tiles - j), 0
                if s.packed != NULL and j < lines:
                    # The weights of the next chunk, or block, follow: the first tiles fetch a line of each row.
                    taken, fetched = 1, channels * f.taps * width + j * LINE
                s.tiles.channels[width // LANES](taken, channels * p.taps, k.planes + c * s.planes.channel,
                                                 p.pixel_at + j * high, p.terms, panel, f.sums, p.sum_at + j * high,
                                                 fetched)
                if far:
                    look_ahead(&ahead, k.planes + next * s.planes.channel, s.planes.channel)
                j += taken
        c += channels


cdef inline real* target_row(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t m, Py_ssize_t image,
                             Py_ssize_t row, real* target) noexcept nogil:
    # The row of the target that channel m of pass a writes from a row of the block, or NULL.
    # target: channel 0 of the group in the block's first image
    cdef Py_ssize_t channel = m, y = (k.row + row) * s.v.spacing + a - s.v.offset
    if is_merged(s):
        channel = m // (s.v.phases * s.h.phases)
        y += m // s.h.phases - channel * s.v.phases
    if not 0 <= y < s.v.target:
        return NULL
    return target + image * s.target_image + (channel * s.v.target + y) * s.h.target


cdef inline void zip_row(const Sum* s, const Block* k, Py_ssize_t width, Py_ssize_t line,
                         Py_ssize_t count, Py_ssize_t end) noexcept nogil:
    # Row `line` of the sums, into the rows k.to[0 .. count] of the target.
    cdef const Phase* f = &k.phases[0]
    cdef const Phase* other = &k.phases[1]
    cdef const real* even
    cdef Py_ssize_t step = 1 if s.zipped else 2, apart = (width if s.zipped else 1) * LANES, column = 0, r, i
    while column < f.columns:
        r = 0
        while r < width:
            lanes_to_square(f.sums + (line * f.columns + column) * width + r, width, k.squares + r * LANES)
            if s.zipped:
                lanes_to_square(other.sums + (line * other.columns + column) * width + r, width,
                                k.squares + (width + r) * LANES)
            r += LANES
        for i in range(count):
            if k.to[i] != NULL:
                even = k.squares + i * step * LANES
                zip_rows(even, even + apart, k.to[i], 2 * (k.column + column) - s.h.offset, LANES, end)
        column += LANES


cdef inline void unpack_zipped(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t m, Py_ssize_t width,
                               Py_ssize_t lanes, Py_ssize_t rows, real* target) noexcept nogil:
    # The sums of channels m .. m + lanes, row after row. Two horizontal phases, which are two passes of a channel or,
    # merged, two channels, alternate in the target.
    cdef Py_ssize_t step = 1 if s.zipped else 2, image, row, i, end = 2 * k.column - s.h.offset
    end += k.phases[0].columns + k.phases[1 if s.zipped else 0].columns
    for image in range(k.images):
        for row in range(rows):
            for i in range(lanes // step):
                k.to[i] = target_row(s, k, a, m + i * step, image, row, target)
            zip_row(s, k, width, image * rows + row, lanes // step, smaller(end, s.h.target))


cdef inline void store_pieces(const Sum* s, const real* sums, Py_ssize_t width, Py_ssize_t columns, Py_ssize_t count,
                              real* target, Py_ssize_t x) noexcept nogil:
    # `count` horizontal phases of each pixel of a row, the first to target[x].
    cdef Py_ssize_t _, j, last
    for _ in range(columns):
        j, last = larger(-x, 0), smaller(count, s.h.target - x)
        while j < last:
            store_lanes(target + x + j, (<const vec*> (sums + j))[0], smaller(LANES, last - j))
            j += LANES
        sums += width
        x += s.h.spacing


cdef inline void unpack_pieces(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t width, Py_ssize_t lanes,
                               Py_ssize_t rows, real* target) noexcept nogil:
    # The same where the merged phases are another number.
    cdef const Phase* f = &k.phases[0]
    cdef Py_ssize_t r = 0, phase, count, image, row
    cdef real* to
    while r < lanes:
        phase = (m + r) % s.h.phases
        count = smaller(s.h.phases - phase, lanes - r)
        for image in range(k.images):
            for row in range(rows):
                to = target_row(s, k, 0, m + r, image, row, target)
                if to != NULL:
                    store_pieces(s, f.sums + (image * rows + row) * f.columns * width + r, width, f.columns, count, to,
                                 k.column * s.h.spacing + phase - s.h.offset)
        r += count


cdef inline void channel_pass(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, const real* weight, const real* end,
                              const real* bias, real* target, Py_ssize_t rows) noexcept nogil:
    # Pass (a, b), with the one after it where outputs of both are stored together.
    # weight (of the group), until `end`  bias (m,)  target: channel 0 of the group in the block's first image
    cdef Py_ssize_t phases = 2 if s.zipped else 1, area = s.v.target * s.h.target, block, m, width, lanes, i
    for i in range(phases):
        open_phase(&k.phases[i], s, k, a, b + i, rows)
    if not s.zipped and not is_merged(s):
        list_targets(s, k, a, b, rows, k.phases[0].columns)
    for block in range(k.first_block, k.last_block):
        m = block_start(s, block)
        width = block_start(s, block + 1) - m
        lanes = smaller(width, s.m - m)
        for i in range(phases):
            sum_phase(s, k, &k.phases[i], m, width, weight, end, bias, k.images * rows * k.phases[i].columns)
        if s.zipped or (is_merged(s) and s.h.phases == 2):
            unpack_zipped(s, k, a, m, width, lanes, rows, target)
        elif is_merged(s):
            unpack_pieces(s, k, m, width, lanes, rows, target)
        else:
            unpack_panel(k.phases[0].sums, width, target + m * area, area, lanes, k.target_at,
                         k.images * rows * k.phases[0].columns)
