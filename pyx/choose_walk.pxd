# What lies in the lanes of the weight gradient: estimates of what each of the ways costs, in cycles per pixel of a
# group, a multiply-add of vectors being one.

from depthwise_walk cimport suits_depth_walk
from dot_walk cimport suits_product
from geometry cimport Geometry, ceil_div, larger, smaller, span
from plan cimport PLANE_BYTES, Sum
from tile cimport CHANNELS, GROUPS, PIXELS, Lanes
from vector cimport LANES, ROWS, real


cdef inline bint is_matrix_product(const Geometry* g) noexcept nogil:
    # (Output padding may add rows and columns that nothing reads.)
    return (g.kh == g.kw == g.stride_h == g.stride_w == 1 and g.ih == g.oh and g.iw == g.ow
            and g.pad_top == g.pad_bottom == g.pad_left == g.pad_right == 0)


cdef inline double product_cost(Py_ssize_t lanes, Py_ssize_t rows) noexcept nogil:
    # Cycles per pixel: multiply-adds of vectors, and what lies in the lanes is transposed first.
    return ceil_div(lanes, LANES) * (<double> ceil_div(rows, ROWS) * ROWS + 0.5 * LANES)


cdef inline bint exchange(Geometry* g) noexcept nogil:
    # A kernel of one tap makes dw the product of two matrices, and x and dy may trade places: input channels then lie
    # in the lanes, as they do in dw, and dw need not be transposed at the end.
    cdef Py_ssize_t ic = g.ic // g.groups, oc = g.oc // g.groups
    if (not is_matrix_product(g) or smaller(g.groups, LANES) > smaller(ic, LANES) or oc < LANES
            or product_cost(ic, oc) > product_cost(oc, ic) + 0.5 * ic * oc / larger(g.n * g.oh * g.ow, 1)):
        return False
    g.ic, g.oc = g.oc, g.ic
    return True


cdef inline double channels_cost(const Sum* s) noexcept nogil:
    # Output channels are transposed first, and summed by ROWS taps.
    return ceil_div(s.m, LANES) * (<double> ceil_div(s.c * s.v.taps * s.h.taps, ROWS) * ROWS + LANES)


cdef inline double pixels_cost(const Sum* s) noexcept nogil:
    # Tiles reach a share of the speed of multiply-adds. A last vector that is masked takes longer than others, and so
    # does the way to the next row; planes are copied, piece by piece, and split by the stride.
    cdef Py_ssize_t columns = larger(s.h.target, 1), whole = columns // LANES, stride = s.h.step * s.h.pace
    cdef Py_ssize_t pieces = smaller(s.v.step * s.v.pace, s.v.taps) * smaller(stride, s.h.taps)
    cdef double vectors = whole + (1.6 if whole * LANES < columns else 0.0) + 0.2
    cdef double copy = 0.15 if stride == 1 else 0.4 if stride == 2 else 1.2
    return (s.m * s.c * s.v.taps * s.h.taps * vectors / ((0.85 if ROWS == 8 else 0.5) * columns)
            + s.c * pieces * (copy + 30.0 / columns))


cdef inline double groups_cost(const Sum* s) noexcept nogil:
    # x and dy are transposed, and no two taps share a load.
    cdef Py_ssize_t sources = s.c * s.v.step * s.v.pace * s.h.step * s.h.pace
    return ((2.0 * s.m * s.c * s.v.taps * s.h.taps + 0.7 * LANES * (sources + s.m))
            * ceil_div(s.groups, LANES) / s.groups)


cdef inline bint suits_groups(const Sum* s) noexcept nogil:
    # Whether a row of their planes fits, output channels would leave more lanes empty, and pixels take longer, which
    # are multiplied by four channels at a time.
    cdef Py_ssize_t row = s.c * span(&s.h, s.h.target) * span(&s.v, 1) * LANES * <Py_ssize_t> sizeof(real)
    if row > PLANE_BYTES or smaller(s.groups, LANES) <= smaller(s.m, LANES):
        return False
    return s.m < 4 or groups_cost(s) < pixels_cost(s)


cdef inline Lanes choose_walk_lanes(Sum* s, const Geometry* g) noexcept nogil:
    # What lies in the lanes, the first that suits:
    #   PIXELS    depthwise 3x3 kernels, strip by strip (depthwise_walk.pxd)
    #   GROUPS    many groups of few channels (groups_walk.pxd)
    #   PIXELS    few channels, or a product of matrices of which one has few rows (dot_walk.pxd)
    #   CHANNELS  all others (weight_gradient.pxd), after an exchange() of x and dy where that takes less
    s.depthwise = suits_depth_walk(s)
    if s.depthwise:
        return PIXELS
    if suits_groups(s):
        return GROUPS
    if suits_product(s) if is_matrix_product(g) else s.v.taps * s.h.taps > 1 and pixels_cost(s) < channels_cost(s):
        return PIXELS
    return CHANNELS
