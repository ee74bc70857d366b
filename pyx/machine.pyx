# Facts about this machine and this build that Python cannot ask for itself: instruction sets, OpenMP, cores.
#
# Compiled once, for the baseline, because it runs before any other level may be loaded.

cdef extern from *:
    """
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    /* These ask the operating system too (whether it saves the wide registers). */
    static int runs_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
            && __builtin_cpu_supports("bmi2");
    }
    static int runs_avx512(void) {
        return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int runs_avx2(void) { return 0; }
    static int runs_avx512(void) { return 0; }
    #endif
    #ifdef _OPENMP
    #include <omp.h>
    enum { HAS_OPENMP = 1 };
    #else
    enum { HAS_OPENMP = 0 };
    static int omp_get_max_threads(void) { return 1; }
    #endif
    #ifdef PYCONV_OPENMP_PAUSE
    static int pause_threads(void) { return omp_pause_resource_all(omp_pause_hard); }
    #else
    static int pause_threads(void) { return 0; }
    #endif
    """
    bint runs_avx2()
    bint runs_avx512()
    const bint HAS_OPENMP
    int omp_get_max_threads()
    int pause_threads()

openmp = bool(HAS_OPENMP)


def supports(str isa):
    """Whether this CPU, under this operating system, runs code built for `isa`."""
    return {"baseline": True, "avx2": runs_avx2(), "avx512": runs_avx512()}[isa]


def max_threads():
    """Threads that OpenMP would use now: what OMP_NUM_THREADS or a library that limits thread pools has set."""
    return omp_get_max_threads()


def release_threads():
    """End OpenMP's idle threads. They do not exist in a forked child, which would wait for them for ever."""
    pause_threads()
