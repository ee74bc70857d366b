# Scratch memory that is kept between calls, for the modules that include this file: each has a pool of its own.

from libc.stdlib cimport free

from workspace cimport CACHE_LINE

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void** memory, size_t alignment, size_t size)

cdef enum:
    IDLE_BLOCKS = 8             # scratch blocks kept for the next call: one for each caller at a time


cdef class Scratch:
    """One aligned block of memory that grows to the largest call it has served."""

    cdef void* memory
    cdef size_t size

    def __dealloc__(self):
        free(self.memory)

    cdef char* reserve(self, size_t size) except NULL:
        if size > self.size or self.memory == NULL:
            free(self.memory)
            self.memory, self.size = NULL, 0
            if posix_memalign(&self.memory, CACHE_LINE, size if size > CACHE_LINE else CACHE_LINE):
                self.memory = NULL
                raise MemoryError(f"no memory for {size} bytes of scratch space")
            self.size = size
        return <char*> self.memory


cdef list idle = []


cdef Scratch borrow():
    if not idle:
        return Scratch()
    try:
        return idle.pop()
    except IndexError:          # without the GIL another thread may have been quicker
        return Scratch()


cdef void give_back(Scratch scratch):
    if len(idle) < IDLE_BLOCKS:
        idle.append(scratch)
