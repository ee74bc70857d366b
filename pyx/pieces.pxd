# How a count is cut into pieces: equal ones, and as many as threads can share.

from geometry cimport ceil_div, larger


cdef inline Py_ssize_t even_length(Py_ssize_t count, Py_ssize_t most) noexcept nogil:
    # Of as few pieces of `count` as are at most so long.
    return ceil_div(larger(count, 1), ceil_div(larger(count, 1), most))


cdef inline void cut_evenly(Py_ssize_t* length, Py_ssize_t* pieces, Py_ssize_t count, Py_ssize_t most) noexcept nogil:
    # `count` into these. (Of nothing there is one piece, of length 1.)
    length[0] = even_length(count, most)
    pieces[0] = ceil_div(larger(count, 1), length[0])


cdef inline void divide(Py_ssize_t* length, Py_ssize_t* pieces, Py_ssize_t count, Py_ssize_t wanted) noexcept nogil:
    # `count` into about `wanted` pieces of equal length.
    length[0] = ceil_div(larger(count, 1), wanted)
    pieces[0] = ceil_div(larger(count, 1), length[0])


cdef inline bint is_shared_better(Py_ssize_t tasks, Py_ssize_t others, Py_ssize_t threads) noexcept nogil:
    # Whether threads that take `tasks` of equal length are idle for a smaller part of the time than with `others`.
    return tasks * ceil_div(others, threads) > others * ceil_div(tasks, threads)


cdef inline Py_ssize_t shared_pieces(Py_ssize_t pieces, Py_ssize_t most, Py_ssize_t others,
                                     Py_ssize_t threads) noexcept nogil:
    # How many pieces, from `pieces` to `most`, threads share best, if there are `others` of each: the fewest of these.
    cdef Py_ssize_t best = pieces, i
    for i in range(pieces + 1, most + 1):
        if best * others % threads == 0:
            break
        if is_shared_better(i * others, best * others, threads):
            best = i
    return best
