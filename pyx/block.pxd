# What one task of forward and input gradient works on and where it writes, and the scratch memory of its thread.
#
# A task is (image block, group, row band, column band, part of the output channels). Tasks write disjoint parts of the
# target.

from geometry cimport larger, smaller
from cut cimport most_pixels, panel_rows, strip_biases, strip_numbers, strip_weights
from plan cimport CHUNK, STRIP_CHUNK, Sum, is_merged
from plane cimport planes_size
from runs cimport MAX_RUNS
from tile cimport CHANNELS, Term
from vector cimport LANES, MAX_ROWS, PANEL, ROWS, STRIP, TABLE_ROWS, real
from workspace cimport Carver, carve

cdef struct Patch:
    # Pixels of a block that read the same taps, and the tables that a tile wants of them (channels.pxd).
    Py_ssize_t pixels, taps
    Py_ssize_t* pixel_at        # [pixels, up to whole tiles] offset in the planes
    Py_ssize_t* sum_at          # [pixels, up to whole tiles] row of the sums
    Term* terms                 # [channels of a chunk, taps] offset in the planes, row of the panel

cdef struct Phase:
    # A pass of a task with channels in the lanes.
    Py_ssize_t start, taps      # of its tables and weights
    Py_ssize_t rows, columns    # pixels of the block
    Py_ssize_t count            # patches
    Patch* patches
    Py_ssize_t* tables          # room for those of all patches
    real* sums                  # [pixels + LANES][vectors of a block] accumulators

cdef struct Block:
    Py_ssize_t image, images, group, row, column, first_block, last_block
    real* scratch           # room for planes
    const real* planes
    const real* end         # of the source
    real* strip             # PIXELS: [MAX_ROWS][STRIP * LANES] outputs on their way to a broken or spaced row, a spare
    Phase phases[2]         # CHANNELS: passes whose outputs are stored together ...
    real* squares           # ... [2][vectors of a block] squares of their sums, transposed
    real** to               # ... [channels of a block] rows of the target
    real* sums              # PIXELS, chunked: see strips.pxd
    real* panel             # CHANNELS: [summands of a chunk][vectors of a block] weights, if no others are packed
                            # PIXELS, chunked: [summands of a chunk][vectors of a strip] pixels, a spare; or
                            # all of a task, chunk by chunk and strip by strip, if they are kept
    real* rows              # PIXELS, chunked: [tiles][summands of a chunk][ROWS] weights, if they are scattered ...
    Py_ssize_t* row_at      # ... and the offset of each summand
    Py_ssize_t* line_at     # PIXELS, chunked: [summands of a chunk] offset of a cache line
    real* biases            # PIXELS, chunked: [tiles][ROWS] biases, a vector each
    Py_ssize_t* target_at   # CHANNELS: [pixels] offset in the target


cdef inline void carve_block(Block* b, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t pixels = 0, patches = 0, terms = STRIP_CHUNK, f
    if s.lanes == CHANNELS:
        pixels, terms = most_pixels(s), larger(CHUNK, s.v.taps * s.h.taps)
        patches = (MAX_RUNS if s.skip_v else 1) * (MAX_RUNS if s.skip_h else 1)
    b.scratch = <real*> carve(carver, planes_size(&s.planes, s.images), sizeof(real))
    b.strip = <real*> carve(carver, (MAX_ROWS * STRIP + 1) * LANES, sizeof(real))
    b.sums = <real*> carve(carver, strip_numbers(s), sizeof(real))
    b.panel = <real*> carve(carver, (larger(terms, panel_rows(s)) * PANEL + 1) * LANES, sizeof(real))
    b.rows = <real*> carve(carver, strip_weights(s), sizeof(real))
    b.biases = <real*> carve(carver, strip_biases(s), sizeof(real))
    b.row_at = <Py_ssize_t*> carve(carver, terms, sizeof(Py_ssize_t))
    b.line_at = <Py_ssize_t*> carve(carver, terms, sizeof(Py_ssize_t))
    b.target_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))
    b.squares = <real*> carve(carver, 2 * PANEL * LANES * LANES, sizeof(real))
    b.to = <real**> carve(carver, PANEL * LANES, sizeof(real*))
    for f in range(2 if s.zipped else 1):
        b.phases[f].patches = <Patch*> carve(carver, patches, sizeof(Patch))
        b.phases[f].tables = <Py_ssize_t*> carve(carver, 2 * (pixels + patches * (TABLE_ROWS + terms)),
                                                 sizeof(Py_ssize_t))
        b.phases[f].sums = <real*> carve(carver, (pixels + LANES) * PANEL * LANES, sizeof(real))


cdef inline void locate(Block* b, const Sum* s, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t part = task % s.m_parts
    task //= s.m_parts
    b.column = task % s.column_bands * s.band_columns
    task //= s.column_bands
    b.row = task % s.row_bands * s.band_rows
    task //= s.row_bands
    b.group = task % s.groups
    b.image = task // s.groups * s.images
    b.images = smaller(s.images, s.n - b.image)
    b.first_block = part * s.m_blocks // s.m_parts
    b.last_block = (part + 1) * s.m_blocks // s.m_parts


cdef inline Py_ssize_t target_place(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t image,
                                    Py_ssize_t row) noexcept nogil:
    # Of the first pixel in a row of the block.
    return (image * s.target_image + (a + (k.row + row) * s.v.spacing) * s.h.target + b + k.column * s.h.spacing)


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
