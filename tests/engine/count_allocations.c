#include "count_allocations.h"

#include <stdatomic.h>

static atomic_size_t count;

size_t allocations_so_far(void) {
    return atomic_load(&count);
}

#if LATHE_WRAPS_MALLOC

bool can_count_allocations(void) {
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **at, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **at, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    atomic_fetch_add(&count, 1);
    return __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
    atomic_fetch_add(&count, 1);
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size) {
    atomic_fetch_add(&count, 1);
    return __real_realloc(p, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&count, 1);
    return __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void **at, size_t alignment, size_t size) {
    atomic_fetch_add(&count, 1);
    return __real_posix_memalign(at, alignment, size);
}

#else

bool can_count_allocations(void) {
    return false;
}

#endif
