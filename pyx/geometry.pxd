# The shape of a convolution, and how one axis of it is walked.
#
# Forward, input gradient and transposed convolution are the same sum,
#
#     target[m, q] = bias[m] + sum over channels c and taps t of weight[m, c, t] * source[c, place(q) + reach(t)]
#
# and only differ in how target positions are paired with source positions along each axis. An `Axis` holds that pairing
# in one form for all of them:
#
#   forward          one pass over all outputs q; tap r reads source  q * stride + r * dilation - pad. Where
#                    neighbouring q must be neighbours in memory, the source is split into residues modulo the stride:
#                    tap r reads index q + shift[r] of residue plane residue[r]. Elsewhere it stays whole, and tap r
#                    reads index q * pace + shift[r].
#   input gradient   target i = a + stride * q belongs to pass a (there are `stride` of them). Tap r reaches only the
#                    pass a = (r * dilation - pad) mod stride, and reads source q + shift[r]: each pass is a small dense
#                    convolution of stride 1, with no multiplication by zero and no overlapping additions.
#       merged       the same where the stride divides the kernel: all passes read the same places, source q - t for
#                    target a + stride * q - offset and tap t * stride + a. They make one pass, of which each position
#                    serves `stride` targets, as channels of their own.
#       paired       the same with a stride of two and an odd kernel, where one tap serves a single phase (pairs.pxd).
#
# In both, the source coordinate of index j in residue plane f is  origin + (j * step) + value[f].
# Taps that only ever read padding are left out.

cdef struct Geometry:
    # Size letters: pyx/README.md. Filled from the intp array that pyconv._geometry.pack makes: same order there.
    Py_ssize_t n, ic, ih, iw, oc, oh, ow, kh, kw
    Py_ssize_t stride_h, stride_w, dilation_h, dilation_w
    Py_ssize_t pad_top, pad_bottom, pad_left, pad_right, groups


cdef inline Geometry simplified(const Geometry* given) noexcept nogil:
    # The same convolution of the same arrays with fewer axes to walk, where there is one.
    cdef Geometry g = given[0]
    if g.pad_top or g.pad_bottom or g.pad_left or g.pad_right:
        return g
    if g.kh == g.ih and g.kw == g.iw:
        # The kernel covers the picture: one output pixel, each input pixel a channel.
        g.ic *= g.kh * g.kw
        g.ih = g.iw = g.kh = g.kw = 1
    if g.kh == g.kw == g.stride_h == g.stride_w == 1 and g.iw == g.ow:
        # Pixel by pixel: the picture is one row. (Output padding may add a column that nothing reads.)
        g.iw, g.ow = g.ih * g.iw, g.oh * g.ow
        g.ih = g.oh = 1
    return g


cdef struct Tap:
    Py_ssize_t kernel       # index along the kernel axis
    Py_ssize_t residue      # residue plane that it reads
    Py_ssize_t shift        # index in that plane that target position 0 reads


cdef struct Axis:
    Py_ssize_t source       # length of the source
    Py_ssize_t target       # length of the target
    Py_ssize_t spacing      # distance in the target between neighbours of one pass
    Py_ssize_t passes       # passes that have at least one target position
    Py_ssize_t phases       # neighbouring targets that a position serves: 1 unless merged
    Py_ssize_t offset       # targets that the first position serves before the target begins
    Py_ssize_t step         # distance in the source between neighbours of one residue plane
    Py_ssize_t pace         # distance in the plane between neighbouring targets of a pass
    Py_ssize_t origin       # source coordinate of index 0 of a residue plane of value 0
    Py_ssize_t residues     # residue planes that some tap reads
    Py_ssize_t reach        # largest shift
    Py_ssize_t taps         # taps kept, sorted by pass, then by kernel index
    Py_ssize_t whole        # paired: taps that serve both phases, before any that serves ...
    Py_ssize_t alone        # ... this one alone
    Tap* tap                # [k]
    Py_ssize_t* first       # [passes + 1]: taps first[a] .. first[a + 1] belong to pass a
    Py_ssize_t* value       # [residues]: source coordinate modulo step


cdef inline Py_ssize_t smaller(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline Py_ssize_t larger(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a > b else b


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    # For a >= 0, b > 0.
    return (a + b - 1) // b


cdef inline void inside(Py_ssize_t* first, Py_ssize_t* last, Py_ssize_t start, Py_ssize_t stride, Py_ssize_t size,
                        Py_ssize_t count) noexcept nogil:
    # The q of 0 .. count with 0 <= start + q * stride < size, as first .. last.
    first[0] = 0 if start >= 0 else smaller((-start + stride - 1) // stride, count)
    last[0] = 0 if start >= size else smaller((size - start + stride - 1) // stride, count)
    last[0] = larger(first[0], last[0])


cdef inline Py_ssize_t positions(const Axis* axis, Py_ssize_t a) noexcept nogil:
    # Target positions of pass a: a, a + spacing, a + 2 * spacing, ...
    return ceil_div(larger(axis.target + axis.offset - a, 0), axis.spacing)


cdef inline Py_ssize_t taps_of_pass(const Axis* axis, Py_ssize_t a) noexcept nogil:
    return axis.first[a + 1] - axis.first[a]


cdef inline Py_ssize_t span(const Axis* axis, Py_ssize_t count) noexcept nogil:
    # Plane positions that `count` neighbouring targets of a pass read.
    return (larger(count, 1) - 1) * axis.pace + 1 + axis.reach


cdef inline bint within_source(const Axis* axis) noexcept nogil:
    # Whether the plane is just a piece of the source: in order, and without padding.
    return (axis.step == 1 and axis.residues == 1 and axis.origin >= 0
            and axis.origin + span(axis, positions(axis, 0)) <= axis.source)


cdef inline bint reads_source(const Axis* axis, Py_ssize_t count, Py_ssize_t start) noexcept nogil:
    # Whether any of the source coordinates that a tap reads, `start` and on, lies inside the source.
    cdef Py_ssize_t stride = axis.step * axis.pace
    cdef Py_ssize_t q = 0 if start >= 0 else ceil_div(-start, stride)
    return q < count and start + q * stride < axis.source


cdef inline void normalise(Axis* axis) noexcept nogil:
    # Shifts count from 0; the origin moves instead.
    cdef Py_ssize_t i, lowest = 0
    if axis.taps:
        lowest = axis.tap[0].shift
    for i in range(axis.taps):
        lowest = smaller(lowest, axis.tap[i].shift)
    axis.origin += lowest * axis.step
    axis.reach = 0
    for i in range(axis.taps):
        axis.tap[i].shift -= lowest
        axis.reach = larger(axis.reach, axis.tap[i].shift)


cdef inline void forward_axis(Axis* axis, Py_ssize_t source, Py_ssize_t target, Py_ssize_t kernel,
                              Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t pad, bint split) noexcept nogil:
    # See the head of this file. axis.tap, first and value point to room for kernel, 2 and kernel entries.
    cdef Py_ssize_t r, f, at
    axis.source, axis.target, axis.spacing, axis.passes = source, target, 1, 1
    axis.phases, axis.offset = 1, 0
    axis.step, axis.pace = stride if split else 1, 1 if split else stride
    axis.origin, axis.residues, axis.taps = -pad, 0, 0
    for r in range(kernel):
        at = r * dilation
        if not reads_source(axis, target, at - pad):
            continue
        f = 0
        while f < axis.residues and axis.value[f] != at % axis.step:
            f += 1
        if f == axis.residues:
            axis.value[f] = at % axis.step
            axis.residues += 1
        axis.tap[axis.taps].kernel, axis.tap[axis.taps].residue = r, f
        axis.tap[axis.taps].shift = at // axis.step
        axis.taps += 1
    axis.first[0], axis.first[1] = 0, axis.taps
    normalise(axis)


cdef inline Py_ssize_t pass_of(const Axis* axis, Py_ssize_t at) noexcept nogil:
    # The pass that the tap at kernel coordinate `at` (dilated, padding subtracted) reaches, or -1 where it meets
    # padding only.
    cdef Py_ssize_t a = at % axis.spacing
    if a < 0:
        a += axis.spacing
    if a < axis.passes and reads_source(axis, positions(axis, a), (a - at) // axis.spacing):
        return a
    return -1


cdef inline void input_axis(Axis* axis, Py_ssize_t source, Py_ssize_t target, Py_ssize_t kernel,
                            Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t pad) noexcept nogil:
    # See the head of this file. axis.tap, first and value point to room for kernel, min(stride, target) + 1 and 1
    # entries. `source` is the length of the output gradient, `target` that of the input gradient.
    cdef Py_ssize_t r, a, i
    axis.source, axis.target, axis.spacing, axis.passes = source, target, stride, smaller(stride, target)
    axis.step, axis.pace, axis.origin, axis.residues = 1, 1, 0, 1
    axis.phases, axis.offset = 1, 0
    axis.value[0] = 0
    # A counting sort by pass: count, sum up, place (which moves each start to its end), move back.
    for a in range(axis.passes + 1):
        axis.first[a] = 0
    for r in range(kernel):
        a = pass_of(axis, r * dilation - pad)
        if a >= 0:
            axis.first[a + 1] += 1
    for a in range(axis.passes):
        axis.first[a + 1] += axis.first[a]
    axis.taps = axis.first[axis.passes]
    for r in range(kernel):
        a = pass_of(axis, r * dilation - pad)
        if a >= 0:
            i = axis.first[a]
            axis.tap[i].kernel, axis.tap[i].residue = r, 0
            axis.tap[i].shift = (a + pad - r * dilation) // stride
            axis.first[a] = i + 1
    for a in range(axis.passes, 0, -1):
        axis.first[a] = axis.first[a - 1]
    axis.first[0] = 0
    normalise(axis)


cdef inline bint merges(Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation) noexcept nogil:
    return stride > 1 and kernel % stride == 0 and dilation == 1


cdef inline void merged_axis(Axis* axis, Py_ssize_t source, Py_ssize_t target, Py_ssize_t kernel, Py_ssize_t stride,
                             Py_ssize_t pad) noexcept nogil:
    # See the head of this file, and input_axis().
    cdef Py_ssize_t t, before = pad // stride
    axis.source, axis.target, axis.spacing, axis.passes = source, target, stride, 1
    axis.step, axis.pace, axis.origin, axis.residues = 1, 1, 0, 1
    axis.phases, axis.offset, axis.taps = stride, pad - before * stride, 0
    axis.value[0] = 0
    for t in range(kernel // stride):
        if reads_source(axis, positions(axis, 0), before - t):
            axis.tap[axis.taps].kernel, axis.tap[axis.taps].residue = t * stride, 0
            axis.tap[axis.taps].shift = before - t
            axis.taps += 1
    axis.first[0], axis.first[1] = 0, axis.taps
    normalise(axis)


cdef inline bint pairs(Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation) noexcept nogil:
    return stride == 2 and kernel > 1 and kernel % 2 and dilation == 1


cdef inline void paired_axis(Axis* axis, Py_ssize_t source, Py_ssize_t target, Py_ssize_t kernel,
                             Py_ssize_t pad) noexcept nogil:
    # See the head of pairs.pxd, and input_axis(). Tap.kernel is the place that serves phase 0, even where it lies
    # before the kernel.
    cdef Py_ssize_t t, r, shift
    axis.source, axis.target, axis.spacing, axis.passes = source, target, 2, 1
    axis.step, axis.pace, axis.origin, axis.residues = 1, 1, 0, 1
    axis.phases, axis.offset, axis.taps, axis.whole, axis.alone = 1, 0, 0, 0, pad % 2
    axis.value[0] = 0
    for t in range(kernel // 2 + 1):
        r = 2 * t + axis.alone if t < kernel // 2 else -1 if axis.alone else kernel - 1
        shift = (pad - r) // 2
        if reads_source(axis, positions(axis, 0), shift):
            axis.tap[axis.taps].kernel, axis.tap[axis.taps].residue, axis.tap[axis.taps].shift = r, 0, shift
            axis.taps += 1
            axis.whole += t < kernel // 2
    axis.first[0], axis.first[1] = 0, axis.taps
    normalise(axis)
