# The register tile of strips.pxd: as the one of pixels in tile.pxd, but what it multiplies is a panel in the L1.
#
#     c[r, :] = from[r, :] + sum over i of weights[r, weight_at[i]] * panel[i, :]
#
# The first tile of a panel fills it: it reads the pixels where they are in the planes, and stores them on its way. The
# others fetch what comes next, a cache line for each summand, which costs nothing beside the multiply-adds: pixels of
# the next panel (no prefetcher follows rows that are a picture apart), or weights of the next tiles. Two lines cost a
# little, and serve where tiles are few. All of them fetch the lines that are written at their end, a row after the
# other: stores wait for lines one by one.

from vector cimport LANES, MAX_ROWS, PANEL, ROWS, fetch_far, fetch_own, real, vec
from workspace cimport LINE

cdef struct Strip:
    # The operands of `count` tiles of ROWS channels by V vectors, from one channel to the next.
    Py_ssize_t count, depth
    const real* weights
    Py_ssize_t weight_m, weight_step        # between channels, and between tiles
    const Py_ssize_t* weight_at     # [depth]
    const real* planes
    const Py_ssize_t* source_at     # [depth] offset in the planes of the first tile
    real* panel                     # [depth][V vectors]
    const real* next
    Py_ssize_t next_step            # between tiles
    Py_ssize_t lines                # that a tile fetches there for each summand: 1, or for PANEL vectors 2
    const Py_ssize_t* next_at       # [depth] offset from `next` of what to fetch
    const real* start               # [count * ROWS][V vectors], start_row and start_vector apart
    Py_ssize_t start_row, start_vector
    real* c                         # [count * ROWS][V vectors], c_row apart
    Py_ssize_t c_row
    const real* written             # rows that are written soon, c_row apart

ctypedef void (*strip_tile_t)(const Strip* s) noexcept nogil

cdef struct StripTiles:
    strip_tile_t tile[3][4]         # [lines, 0 for the first of a panel][V]


cdef inline void strip_tile(Py_ssize_t lines, Py_ssize_t V, const Strip* s) noexcept nogil:
    cdef bint first = lines == 0
    cdef vec acc[MAX_ROWS][3]
    cdef vec column[3]
    cdef const real* place
    cdef const real* weights = s.weights
    cdef const real* rows
    cdef real* panel = s.panel
    cdef const real* planes = s.planes
    cdef const real* next = s.next
    cdef const real* start = s.start
    cdef real* c = s.c
    cdef const Py_ssize_t* weight_at = s.weight_at
    cdef const Py_ssize_t* source_at = s.source_at if first else s.next_at
    cdef Py_ssize_t _, i, r, v, depth = s.depth, weight_m = s.weight_m, three = 3 * weight_m
    cdef Py_ssize_t c_row = s.c_row
    cdef const real* written = s.written
    cdef real factor
    for _ in range(s.count):
        for r in range(ROWS):
            for v in range(V):
                acc[r][v] = (<const vec*> (start + r * s.start_row + v * s.start_vector))[0]
        for i in range(depth):
            place = planes + source_at[i] if first else panel + i * (V * LANES)
            for v in range(V):
                column[v] = (<const vec*> (place + v * LANES))[0]
                if first:
                    (<vec*> (panel + i * (V * LANES) + v * LANES))[0] = column[v]
            for v in range(lines):
                fetch_far(next + source_at[i] + v * LINE)
            fetch_own(written + i % ROWS * c_row + i // ROWS % (V + 1) * LANES)
            rows = weights + weight_at[i]
            for r in range(ROWS):
                if r == 4:
                    rows += 4 * weight_m
                factor = rows[three if r % 4 == 3 else r % 4 * weight_m]
                for v in range(V):
                    acc[r][v] = acc[r][v] + factor * column[v]
        for r in range(ROWS):
            for v in range(V):
                (<vec*> (c + r * s.c_row + v * LANES))[0] = acc[r][v]
        written += ROWS * c_row
        weights, next = weights + s.weight_step, next + s.next_step
        start, c = start + ROWS * s.start_row, c + ROWS * s.c_row


cdef inline void first_rowsx3(const Strip* s) noexcept nogil:
    strip_tile(0, 3, s)


cdef inline void first_rowsx2(const Strip* s) noexcept nogil:
    strip_tile(0, 2, s)


cdef inline void first_rowsx1(const Strip* s) noexcept nogil:
    strip_tile(0, 1, s)


cdef inline void later_rowsx3(const Strip* s) noexcept nogil:
    strip_tile(1, 3, s)


cdef inline void later_rowsx2(const Strip* s) noexcept nogil:
    strip_tile(1, 2, s)


cdef inline void later_rowsx1(const Strip* s) noexcept nogil:
    strip_tile(1, 1, s)


cdef inline void eager_rows(const Strip* s) noexcept nogil:
    strip_tile(2, PANEL, s)


cdef inline void list_strip_tiles(StripTiles* t) noexcept nogil:
    t.tile[0][3], t.tile[0][2], t.tile[0][1] = first_rowsx3, first_rowsx2, first_rowsx1
    t.tile[1][3], t.tile[1][2], t.tile[1][1] = later_rowsx3, later_rowsx2, later_rowsx1
    t.tile[2][PANEL] = eager_rows
