#include "reference/multiply.h"

#include <stdbool.h>
#include <string.h>

#include "base/every_cpu.h"
#include "base/size.h"

// A tile is MULTIPLY_ROWS rows and TILE_TOKENS tokens. It is computed in pieces of DEPTH elements:
// that much of the rows (16 KB) and of four tokens (8 KB) stays in a first-level cache of 32 KB,
// whereas whole rows would have to be loaded again for every token.
enum { LANES = 16, TOKENS_AT_ONCE = 4, TILE_TOKENS = 64, DEPTH = 512 };

#define INLINE static inline __attribute__((always_inline))

typedef float Sums[LANES];

// sums = a · b over `n` elements, a multiple of LANES; or, on top of what they are, +=.
INLINE void add_token(const float *a, const float *b, size_t n, bool is_on_top, float *sums) {
    Sums s = {0};
    if (is_on_top) memcpy(s, sums, sizeof s);
    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) s[k] += a[i + k] * b[i + k];
    memcpy(sums, s, sizeof s);
}

// The same for TOKENS_AT_ONCE rows of b, reading `a` once.
INLINE void add_tokens(const float *a, const float *b, size_t b_stride, size_t n, bool is_on_top,
                       Sums *sums) {
    Sums s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    if (is_on_top) {
        memcpy(s0, sums[0], sizeof s0);
        memcpy(s1, sums[1], sizeof s1);
        memcpy(s2, sums[2], sizeof s2);
        memcpy(s3, sums[3], sizeof s3);
    }
    const float *b1 = b + b_stride, *b2 = b1 + b_stride, *b3 = b2 + b_stride;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            s0[k] += a[i + k] * b[i + k];
            s1[k] += a[i + k] * b1[i + k];
            s2[k] += a[i + k] * b2[i + k];
            s3[k] += a[i + k] * b3[i + k];
        }
    memcpy(sums[0], s0, sizeof s0);
    memcpy(sums[1], s1, sizeof s1);
    memcpy(sums[2], s2, sizeof s2);
    memcpy(sums[3], s3, sizeof s3);
}

INLINE float finish(const float *sums, const float *a, const float *b, size_t from, size_t n) {
    double total = 0;
    for (size_t k = 0; k < LANES; k++) total += (double)sums[k];
    for (size_t i = from; i < n; i++) total += (double)(a[i] * b[i]);
    return (float)total;
}

EVERY_CPU float reference_dot(const float *a, const float *b, size_t n) {
    Sums sums;
    size_t whole = n / LANES * LANES;
    add_token(a, b, whole, false, sums);
    return finish(sums, a, b, whole, n);
}

EVERY_CPU void reference_add_scaled(float *y, float share, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += share * x[i];
}

// Rows [first, first + n_rows), given in `rows`, times tokens [t, t + n).
EVERY_CPU static void multiply_tile(const Multiply *p, const float *rows, size_t first,
                                    size_t n_rows, size_t t, size_t n) {
    Sums sums[MULTIPLY_ROWS][TILE_TOKENS];
    const float *x = p->x + t * p->x_stride;
    size_t whole = p->n_in / LANES * LANES, at = 0;
    do {
        size_t depth = min_size(DEPTH, whole - at), i = 0;
        for (; i + TOKENS_AT_ONCE <= n; i += TOKENS_AT_ONCE)
            for (size_t r = 0; r < n_rows; r++)
                add_tokens(rows + r * p->n_in + at, x + i * p->x_stride + at, p->x_stride, depth,
                           at > 0, &sums[r][i]);
        for (; i < n; i++)
            for (size_t r = 0; r < n_rows; r++)
                add_token(rows + r * p->n_in + at, x + i * p->x_stride + at, depth, at > 0,
                          sums[r][i]);
        at += depth;
    } while (at < whole);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < n_rows; r++)
            p->y[(t + i) * p->y_stride + first + r] =
                finish(sums[r][i], rows + r * p->n_in, x + i * p->x_stride, whole, p->n_in);
}

static void multiply_rows(void *context, size_t first, size_t end, unsigned worker) {
    const Multiply *p = context;
    float *rows = p->scratch + worker * MULTIPLY_ROWS * p->n_in;
    for (; first < end; first += MULTIPLY_ROWS) {
        size_t n_rows = min_size(MULTIPLY_ROWS, end - first);
        for (size_t r = 0; r < n_rows; r++) p->row(p->context, first + r, rows + r * p->n_in);
        for (size_t t = 0; t < p->n_tokens; t += TILE_TOKENS)
            multiply_tile(p, rows, first, n_rows, t, min_size(TILE_TOKENS, p->n_tokens - t));
    }
}

void reference_multiply(Pool *pool, const Multiply *p) {
    pool_run(pool, p->n_rows, MULTIPLY_ROWS, multiply_rows, (void *)(uintptr_t)p);
}
