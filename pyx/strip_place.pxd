# Where a strip of pixels is (strips.pxd), and its copy in a panel if it has to be put together from pieces.
#
# The pixels of a block follow each other row after row and image after image. A strip that lies in a single row of a
# single image, whose pixels are neighbours in the source, is read there; others are copied, up to a vector at a time.
# The first strip and the second one may have some pixels in common. Two strips of two vectors end a block that would
# end in a single one: its tile would wait for its loads, and for its own sums.

from block cimport Block
from geometry cimport ceil_div, larger, smaller
from plan cimport Sum
from shuffles cimport evens
from vector cimport LANES, MAX_LANES, PANEL, real, splat, vec

cdef enum:
    MAX_PIECES = 3 * MAX_LANES

cdef struct Rows:
    # The pixels of a block.
    Py_ssize_t columns, area                # of a row, of an image
    Py_ssize_t positions                    # of all images
    Py_ssize_t lead                         # by which strips start before a multiple of their width
    Py_ssize_t shared                       # the strip that takes a vector of the one before; none if 0
    Py_ssize_t first                        # offset of the first pixel in the source
    Py_ssize_t image, row, column           # distances in the source

cdef struct Place:
    Py_ssize_t at, pixels, V
    bint packed                             # not read where it is
    bint split                              # not written where it is: its pixels do not fill whole vectors of one image
    Py_ssize_t source, target               # offsets of its first pixel


cdef inline Py_ssize_t line_lead(const Sum* s, const Block* k, const real* target) noexcept nogil:
    # Of strips whose vectors are aligned in the target, in all channels, whatever memory it got: stores across two
    # cache lines, where neither is near, cost up to a third of a tile.
    # target: as pixel_pass()
    if k.images > 1 or s.v.target * s.h.target % LANES:
        return 0
    return <Py_ssize_t> (<size_t> target // sizeof(real) % <size_t> LANES)


cdef inline Rows rows_of(const Sum* s, const Block* k, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t lead,
                         Py_ssize_t shift) noexcept nogil:
    # The block starts `shift` pixels earlier.
    cdef Rows r
    cdef Py_ssize_t vectors
    r.columns, r.area, r.positions, r.lead = columns, rows * columns, k.images * rows * columns, lead
    r.image, r.row, r.column = s.planes.image, s.v.pace * s.planes.columns, s.h.pace
    r.first = -shift * r.column
    vectors = ceil_div(r.positions + lead, LANES)
    r.shared = vectors // PANEL if vectors % PANEL == 1 else 0
    return r


cdef inline Py_ssize_t pixel_source(const Rows* r, Py_ssize_t pixel) noexcept nogil:
    cdef Py_ssize_t inside = pixel % r.area
    return r.first + pixel // r.area * r.image + inside // r.columns * r.row + inside % r.columns * r.column


cdef inline Py_ssize_t strip_start(const Rows* r, Py_ssize_t strip) noexcept nogil:
    cdef Py_ssize_t vectors = strip * PANEL - 1 if strip and strip == r.shared else strip * PANEL
    return larger(vectors * LANES - r.lead, 0)


cdef inline Place strip_place(const Sum* s, const Rows* r, Py_ssize_t strip) noexcept nogil:
    cdef Place p
    cdef Py_ssize_t width = (PANEL - 1 if strip + 1 == r.shared else PANEL) * LANES, pixel, vectors
    p.at = strip_start(r, strip)
    p.pixels = smaller(r.positions - p.at, width)
    p.V = ceil_div(p.pixels, LANES)
    pixel, vectors = p.at % r.area, p.V * LANES
    p.split = pixel + p.pixels > r.area
    if not p.split and p.pixels < vectors:
        # Its last vector is not full: the strip moves left, if its image has as many pixels.
        p.split = pixel + p.pixels < vectors
        if not p.split:
            p.at -= vectors - p.pixels
            pixel -= vectors - p.pixels
            p.pixels = vectors
    p.packed = p.split or r.column > 1 or pixel % r.columns + p.pixels > r.columns
    p.source, p.target = pixel_source(r, p.at), p.at // r.area * s.target_image + pixel
    return p


cdef inline void pack_row(real* to, const real* row, const Py_ssize_t* start, const Py_ssize_t* of, Py_ssize_t pieces,
                          Py_ssize_t step) noexcept nogil:
    # Piece i to to[start[i]], whole vectors: each piece overwrites what is too much of the one before.
    cdef Py_ssize_t i
    for i in range(pieces):
        if step == 1:
            (<vec*> (to + start[i]))[0] = (<const vec*> (row + of[i]))[0]
        else:
            (<vec*> (to + start[i]))[0] = evens((<const vec*> (row + of[i]))[0],
                                                (<const vec*> (row + of[i] + LANES))[0])


cdef inline void pack_strip(const Sum* s, const Block* k, const Rows* r, const Place* p, Py_ssize_t start,
                            Py_ssize_t summands, real* panel) noexcept nogil:
    # To a panel, of which up to a vector behind the strip is overwritten. What its last vector lacks is 0, or some
    # pixel.
    cdef Py_ssize_t to[MAX_PIECES + 1]
    cdef Py_ssize_t of[MAX_PIECES]
    cdef Py_ssize_t pieces = 0, done = 0, width = p.V * LANES, i, j, q
    cdef const real* row
    while done < p.pixels:
        to[pieces], of[pieces] = done, pixel_source(r, p.at + done)
        done += smaller(smaller(r.columns - (p.at + done) % r.columns, p.pixels - done), LANES)
        pieces += 1
    to[pieces] = done
    for i in range(summands):
        row = k.planes + s.source_at[start + i]
        if done < width:
            (<vec*> (panel + width - LANES))[0] = splat(0)
        if r.column <= 2 and row + of[pieces - 1] + r.column * LANES <= k.end:
            if r.column == 1:
                pack_row(panel, row, to, of, pieces, 1)
            else:
                pack_row(panel, row, to, of, pieces, 2)
        else:
            for q in range(pieces):
                for j in range(to[q + 1] - to[q]):
                    panel[to[q] + j] = row[of[q] + j * r.column]
        panel += width
