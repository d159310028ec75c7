// size.h — arithmetic on sizes that may come from a file. Each function reports overflow instead of
// wrapping.
#ifndef LATHE_BASE_SIZE_H
#define LATHE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline bool mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

static inline bool add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

// The next multiple of `unit` (a power of two) at or above `n`; `n` must leave room for it.
static inline uint64_t round_up(uint64_t n, uint64_t unit) {
    return (n + unit - 1) & ~(unit - 1);
}

static inline size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

#endif
