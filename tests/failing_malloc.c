/* A malloc that fails on request, for test_memory.py: LD_PRELOAD puts it before glibc's.
 *
 * Only calls from the watched libraries count: watch(name, least) says which, and from how many bytes on; arm(n) lets
 * the n-th such call from now fail; outstanding() says how many of their blocks have not been freed. Everybody else,
 * the interpreter and OpenMP included, gets memory as always.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

enum { RANGES = 256, SLOTS = 1 << 16 };

static struct { uintptr_t start, end; size_t least; } ranges[RANGES];
static int watched;
static size_t least_bytes;
static atomic_long countdown = -1;
static atomic_long failures;
static atomic_flag lock = ATOMIC_FLAG_INIT;
static void* slots[SLOTS];
static long used;

static void enter(void) { while (atomic_flag_test_and_set(&lock)) ; }
static void leave(void) { atomic_flag_clear(&lock); }

static int add_object(struct dl_phdr_info* info, size_t size, void* name) {
    (void)size;
    if (!info->dlpi_name || !strstr(info->dlpi_name, (const char*)name)) return 0;
    for (int i = 0; i < info->dlpi_phnum && watched < RANGES; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        ranges[watched].start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        ranges[watched].least = least_bytes;
        ranges[watched].end = ranges[watched].start + info->dlpi_phdr[i].p_memsz;
        watched++;
    }
    return 0;
}

int watch(const char* name, long least) {
    least_bytes = least;
    dl_iterate_phdr(add_object, (void*)name);
    return watched;
}

void arm(long n) { atomic_store(&failures, 0); atomic_store(&countdown, n); }
long failed(void) { return atomic_load(&failures); }
long outstanding(void) { return used; }

static int is_watched(void* caller, size_t size) {
    for (int i = 0; i < watched; i++)
        if ((uintptr_t)caller >= ranges[i].start && (uintptr_t)caller < ranges[i].end)
            return size >= ranges[i].least;
    return 0;
}

static int fails(void* caller, size_t size) {
    if (!is_watched(caller, size)) return 0;
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0) return 0;
    atomic_fetch_add(&failures, 1);
    return 1;
}

static size_t slot_of(void* p) { return ((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15u >> 48; }

static void* keep(void* p, size_t size, void* caller) {
    if (p && is_watched(caller, size)) {
        enter();
        size_t i = slot_of(p);
        while (slots[i] && slots[i] != slots) i = (i + 1) % SLOTS;
        slots[i] = p;
        used++;
        leave();
    }
    return p;
}

static void forget(void* p) {
    if (!p || !watched) return;
    enter();
    for (size_t i = slot_of(p); slots[i]; i = (i + 1) % SLOTS)
        if (slots[i] == p) {
            slots[i] = slots; /* a place that was used, and may be again */
            used--;
            break;
        }
    leave();
}

#define CALLER __builtin_return_address(0)

void* malloc(size_t size) {
    if (fails(CALLER, size)) { errno = ENOMEM; return NULL; }
    return keep(__libc_malloc(size), size, CALLER);
}

void* calloc(size_t count, size_t size) {
    if (fails(CALLER, count * size)) { errno = ENOMEM; return NULL; }
    return keep(__libc_calloc(count, size), count * size, CALLER);
}

void* realloc(void* p, size_t size) {
    if (fails(CALLER, size)) { errno = ENOMEM; return NULL; }
    forget(p);
    return keep(__libc_realloc(p, size), size, CALLER);
}

int posix_memalign(void** p, size_t alignment, size_t size) {
    if (fails(CALLER, size)) return ENOMEM;
    void* got = __libc_memalign(alignment, size);
    if (!got) return ENOMEM;
    *p = keep(got, size, CALLER);
    return 0;
}

void* aligned_alloc(size_t alignment, size_t size) {
    if (fails(CALLER, size)) { errno = ENOMEM; return NULL; }
    return keep(__libc_memalign(alignment, size), size, CALLER);
}

void free(void* p) {
    forget(p);
    __libc_free(p);
}
