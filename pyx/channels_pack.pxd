# Lanes = output channels: the weights on their way into packed panels.
#
#     packed (group, pass, block, depth of the pass, width of the block)
#
# A whole call's (pack_weights), before it or many times before, or a chunk's at a time, just before it is summed.

from libc.string cimport memcpy

from geometry cimport larger, smaller
from panel cimport pack_panel, rows_into_lanes
from plan cimport (MOST_TAPS, Sum, block_start, is_merged, packed_blocks, packs_kernels, pass_start, pass_taps,
                   phase_run)
from tile cimport CHANNELS
from vector cimport LANES, MAX_LANES, fetch, real, store_lanes, vec
from workspace cimport LINE

cdef enum:
    PANEL_LANES = 48        # the most of any level


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
    cdef Py_ssize_t lane_at[PANEL_LANES]
    cdef Py_ssize_t slot[MOST_TAPS]         # of each tap, for channel c = 0
    cdef Py_ssize_t step[MOST_TAPS]         # ... and from channel to channel
    cdef Py_ssize_t tap[MOST_TAPS]          # its place in the kernel
    cdef Py_ssize_t v, c, r, i, j, k, a, b, count = 0
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            k = 0
            for i in range(s.v.first[a], s.v.first[a + 1]):
                for j in range(s.h.first[b], s.h.first[b + 1]):
                    slot[count] = s.packed_m * pass_start(s, a, b) + m * s.c * pass_taps(s, a, b) + k * width
                    step[count] = pass_taps(s, a, b) * width
                    tap[count] = s.v.tap[i].kernel * s.kernel_w + s.h.tap[j].kernel
                    count, k = count + 1, k + 1
    for r in range(width):
        lane_at[r] = smaller(m + r, s.m - 1) * s.weight_m
    for c in range(first, last):
        # No prefetcher follows kernels that are so far apart.
        k = lane_at[0]
        while k < lane_at[width - 1] + s.weight_m:
            fetch(weight + (c + 2) * s.weight_c + k)
            k += LINE
        v = 0
        while v < width:
            rows_into_lanes(kernels, weight + c * s.weight_c, lane_at + v, s.weight_m)
            for k in range(count):
                (<vec*> (packed + slot[k] + c * step[k] + v))[0] = (<const vec*> (kernels + tap[k] * LANES))[0]
            v += LANES
