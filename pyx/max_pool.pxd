# Max pooling over the windows of one plane, forward and backward.
#
# A maximum is noted down beside its value: by the number of its tap, or by its place in the plane. Along a row of
# windows several are in the lanes, where all their columns lie inside.

from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memset

from geometry cimport Geometry, inside, larger, smaller
from shuffles cimport evens, zip_high, zip_low
from vector cimport (LANES, MAX_LANES, as_bits, as_vec, bits, choose, every, greater, integer, load_bytes, real, same,
                     splat, store_bytes, vec)

cdef enum:
    LARGEST_LABEL = 1 << 30     # what a lane can hold, and some to spare
    MAX_TAPS = 256              # of a kernel whose taps are numbered in bytes


cdef struct Labels:
    # What is noted down of a maximum: so much for each row and each column of the window before it.
    Py_ssize_t down, right


cdef inline real window_maximum(const Geometry* g, const real* x, Py_ssize_t p, Py_ssize_t q, Labels labels,
                                Py_ssize_t* label) noexcept nogil:
    # The first maximum in row order wins; a NaN wins over everything, the last one over all.  x (ih, iw)
    cdef Py_ssize_t y = p * g.stride_h - g.pad_top, z = q * g.stride_w - g.pad_left, r, s, top, bottom, left, right
    cdef Py_ssize_t found
    cdef real best = -INFINITY, value
    cdef bint better
    inside(&top, &bottom, y, g.dilation_h, g.ih, g.kh)
    inside(&left, &right, z, g.dilation_w, g.iw, g.kw)
    found = top * labels.down + left * labels.right
    for r in range(top, bottom):
        for s in range(left, right):
            value = x[(y + r * g.dilation_h) * g.iw + z + s * g.dilation_w]
            better = (value > best) | (value != value)
            best = value if better else best
            found = r * labels.down + s * labels.right if better else found
    label[0] = found
    return best


cdef struct Row:
    # A row of windows: the rows first .. last of each window lie inside, and x is where the first of them starts. What
    # comes of it goes to y, and to taps or indices; the other one is NULL.
    Py_ssize_t first, last
    const real* x
    const real* end             # of what may be read
    real* y
    signed char* taps
    int64_t* indices
    Py_ssize_t index            # of the pixel at which the first window starts, which may be above the plane
    Py_ssize_t room             # numbers from y to the end of the plane


ctypedef Py_ssize_t (*run_t)(const Geometry* g, const Row* row, Labels labels, Py_ssize_t count) noexcept nogil


cdef inline Py_ssize_t vector_run(Py_ssize_t STEP, Py_ssize_t width, const Geometry* g, const Row* row, Labels labels,
                                  Py_ssize_t count) noexcept nogil:
    # As window_maximum() for `count` windows next to each other, of which all columns lie inside; returns how many of
    # them it served before it would have read beyond the end.
    # STEP: their distance if that is 1 or 2, else 0; a literal, and `width`, which is g.kw, may be one
    cdef Py_ssize_t done = 0, r, s, j, reach = (row.last - 1 - row.first) * g.dilation_h * g.iw
    cdef const real* x = row.x
    cdef const real* line
    cdef const real* at
    cdef vec value, best
    cdef bits better, found
    cdef real lanes[MAX_LANES]
    cdef integer where[MAX_LANES]
    reach += (width - 1) * g.dilation_w + larger(g.stride_w, 2) * LANES
    while done < count and x + reach <= row.end:
        best, found = splat(-INFINITY), every(<integer> (row.first * labels.down))
        line = x
        for r in range(row.first, row.last):
            for s in range(width):
                at = line + s * g.dilation_w
                if STEP == 1:
                    value = (<const vec*> at)[0]
                elif STEP == 2:
                    value = evens((<const vec*> at)[0], (<const vec*> (at + LANES))[0])
                else:
                    for j in range(LANES):
                        lanes[j] = at[j * g.stride_w]
                    value = (<const vec*> lanes)[0]
                better = greater(value, best)
                best = as_vec(choose(better, as_bits(value), as_bits(best)))
                found = choose(better, every(<integer> (r * labels.down + s * labels.right)), found)
            line += g.dilation_h * g.iw
        if done + LANES <= row.room:
            # What is too much for the row belongs to the next one, which is written later.
            (<vec*> (row.y + done))[0] = best
            if row.taps != NULL:
                store_bytes(row.taps + done, found)
        else:
            (<vec*> lanes)[0], (<bits*> where)[0] = best, found
            for j in range(smaller(count - done, LANES)):
                row.y[done + j] = lanes[j]
                if row.taps != NULL:
                    row.taps[done + j] = <signed char> where[j]
        if row.indices != NULL:
            (<bits*> where)[0] = found
            for j in range(smaller(count - done, LANES)):
                row.indices[done + j] = row.index + (done + j) * g.stride_w + where[j]
        x += LANES * g.stride_w
        done += LANES
    return smaller(done, count)


# Each of them a loop of its own: inlined side by side they would cost each other registers.

cdef inline Py_ssize_t run_1_apart(const Geometry* g, const Row* row, Labels labels, Py_ssize_t count) noexcept nogil:
    return vector_run(1, g.kw, g, row, labels, count)


cdef inline Py_ssize_t run_2_apart(const Geometry* g, const Row* row, Labels labels, Py_ssize_t count) noexcept nogil:
    return vector_run(2, g.kw, g, row, labels, count)


cdef inline Py_ssize_t run_2_wide(const Geometry* g, const Row* row, Labels labels, Py_ssize_t count) noexcept nogil:
    return vector_run(2, 2, g, row, labels, count)


cdef inline Py_ssize_t run_apart(const Geometry* g, const Row* row, Labels labels, Py_ssize_t count) noexcept nogil:
    return vector_run(0, g.kw, g, row, labels, count)


cdef inline run_t runs_of(const Geometry* g) noexcept nogil:
    if g.stride_w == 2:
        return run_2_wide if g.kw == 2 else run_2_apart
    return run_1_apart if g.stride_w == 1 else run_apart


cdef inline void max_plane(const Geometry* g, run_t run, const real* x, const real* end, real* y, signed char* taps,
                           int64_t* indices) noexcept nogil:
    # Of each window the maximum, and either which tap it is or its index in the plane; the other array is NULL.
    # x (ih, iw), which may be read up to `end`  y, taps, indices (oh, ow)
    cdef Labels labels
    cdef Row row
    cdef Py_ssize_t p, q, i, j, inner, outer, label = 0
    cdef bint fits = g.kh * g.dilation_h * g.iw < LARGEST_LABEL
    if indices == NULL:
        labels.down, labels.right = g.kw, 1
    else:
        labels.down, labels.right = g.dilation_h * g.iw, g.dilation_w
    # Windows inner .. outer of a row lie inside from left to right.
    inside(&inner, &outer, -g.pad_left, g.stride_w, g.iw - (g.kw - 1) * g.dilation_w, g.ow)
    row.end = end
    for p in range(g.oh):
        i = p * g.stride_h - g.pad_top
        inside(&row.first, &row.last, i, g.dilation_h, g.ih, g.kh)
        q = 0
        while q < g.ow:
            j = q * g.stride_w - g.pad_left
            if fits and inner <= q < outer and row.first < row.last:
                row.x = x + (i + row.first * g.dilation_h) * g.iw + j
                row.y, row.room, row.index = y + p * g.ow + q, (g.oh - p) * g.ow - q, i * g.iw + j
                row.taps = NULL if taps == NULL else taps + p * g.ow + q
                row.indices = NULL if indices == NULL else indices + p * g.ow + q
                q += run(g, &row, labels, outer - q)
                if q == outer:
                    continue
                j = q * g.stride_w - g.pad_left
            y[p * g.ow + q] = window_maximum(g, x, p, q, labels, &label)
            if indices == NULL:
                taps[p * g.ow + q] = <signed char> label
            else:
                indices[p * g.ow + q] = i * g.iw + j + label
            q += 1


cdef inline void max_plane_backward(const Geometry* g, const real* dy, const signed char* taps, const int64_t* indices,
                                    real* dx) noexcept nogil:
    cdef Py_ssize_t place[MAX_TAPS]
    cdef Py_ssize_t i, p, q
    memset(dx, 0, g.ih * g.iw * sizeof(real))
    if indices != NULL:
        for i in range(g.oh * g.ow):
            dx[indices[i]] += dy[i]
        return
    for i in range(g.kh * g.kw):
        place[i] = i // g.kw * g.dilation_h * g.iw + i % g.kw * g.dilation_w - g.pad_left - g.pad_top * g.iw
    for p in range(g.oh):
        for q in range(g.ow):
            dx[p * g.stride_h * g.iw + q * g.stride_w + place[<unsigned char> taps[q]]] += dy[q]
        dy += g.ow
        taps += g.ow


cdef inline bint is_halving(const Geometry* g) noexcept nogil:
    # Whether windows of 2x2 pixels lie side by side.
    return (g.kh == 2 and g.kw == 2 and g.stride_h == 2 and g.stride_w == 2 and g.dilation_h == 1 and g.dilation_w == 1
            and g.pad_top == 0 and g.pad_left == 0 and g.oh == g.ih // 2 and g.ow == g.iw // 2)


cdef inline void halving_backward(const Geometry* g, const real* dy, const real* end, const signed char* taps,
                                  real* dx) noexcept nogil:
    # max_plane_backward() of windows of 2x2 pixels side by side: every dx is written once.  dy may be read up to `end`
    cdef Py_ssize_t p, q, r, j, left
    cdef vec value, even, odd
    cdef bits tap
    cdef real near[2 * MAX_LANES]
    cdef real* row
    for p in range(g.oh):
        for r in range(2):
            row = dx + (2 * p + r) * g.iw
            q = 0
            while q < g.ow:
                left = (g.ih - 2 * p - r) * g.iw - 2 * q
                if dy + q + LANES <= end:
                    value, tap = (<const vec*> (dy + q))[0], load_bytes(taps + q)
                    even = as_vec(as_bits(value) & same(tap, every(<integer> (2 * r))))
                    odd = as_vec(as_bits(value) & same(tap, every(<integer> (2 * r + 1))))
                    even, odd = zip_low(even, odd), zip_high(even, odd)
                    if left >= 2 * LANES:
                        # What is too much for the row belongs to the next one, which is written later.
                        (<vec*> (row + 2 * q))[0], (<vec*> (row + 2 * q + LANES))[0] = even, odd
                    else:
                        (<vec*> near)[0], (<vec*> (near + LANES))[0] = even, odd
                        for j in range(smaller(2 * (g.ow - q), 2 * LANES)):
                            row[2 * q + j] = near[j]
                    q += LANES
                else:
                    row[2 * q] = dy[q] if taps[q] == 2 * r else 0
                    row[2 * q + 1] = dy[q] if taps[q] == 2 * r + 1 else 0
                    q += 1
            if g.iw % 2:
                row[g.iw - 1] = 0
        dy += g.ow
        taps += g.ow
    if g.ih % 2:
        memset(dx + (g.ih - 1) * g.iw, 0, g.iw * sizeof(real))
