// arena.c — blocks that double in size up to 1 MiB; a larger allocation gets a block of its own.
#include "base/arena.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/size.h"

enum { ALIGN = 16, FIRST_BLOCK = 4096, LARGEST_STEP = 1 << 20 };

struct ArenaBlock {
    ArenaBlock *before;
    size_t used, cap; // bytes of data[]
    _Alignas(ALIGN) unsigned char data[];
};

void *arena_alloc(Arena *a, size_t count, size_t size) {
    size_t n;
    if (!mul_size(count, size, &n) || n > SIZE_MAX / 2) die_out_of_memory(SIZE_MAX);
    n = (size_t)round_up(n, ALIGN);
    ArenaBlock *b = a->last;
    if (!b || n > b->cap - b->used) {
        size_t cap = b ? min_size(b->cap * 2, LARGEST_STEP) : FIRST_BLOCK;
        cap = max_size(cap, n);
        b = malloc(sizeof *b + cap);
        if (!b) die_out_of_memory(cap);
        *b = (ArenaBlock){.before = a->last, .cap = cap};
        a->last = b;
    }
    void *at = b->data + b->used;
    b->used += n;
    a->n_bytes += n;
    memset(at, 0, n);
    return at;
}

Str arena_str(Arena *a, Str s) {
    if (s.len == 0) return (Str){"", 0};
    char *copy = arena_alloc(a, s.len, 1);
    memcpy(copy, s.at, s.len);
    return (Str){copy, s.len};
}

char *arena_cstr(Arena *a, Str s) {
    char *copy = arena_alloc(a, s.len + 1, 1);
    if (s.len) memcpy(copy, s.at, s.len);
    return copy;
}

void *arena_grow(Arena *a, void *items, size_t n, size_t *cap, size_t size) {
    enum { FIRST = 16 };
    if (n < *cap) return items;
    *cap = *cap ? 2 * *cap : FIRST;
    void *more = arena_alloc(a, *cap, size);
    if (n) memcpy(more, items, n * size);
    return more;
}

Str arena_vprintf(Arena *a, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0) n = 0;
    char *text = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return (Str){text, (size_t)n};
}

Str arena_printf(Arena *a, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    Str text = arena_vprintf(a, fmt, args);
    va_end(args);
    return text;
}

void arena_free(Arena *a) {
    for (ArenaBlock *b = a->last; b;) {
        ArenaBlock *before = b->before;
        free(b);
        b = before;
    }
    *a = (Arena){0};
}

void *big_alloc(size_t n_bytes, const char *what, Err *err) {
    void *at = NULL;
    size_t n = n_bytes ? n_bytes : 1;
    if (n > SIZE_MAX / 2 || posix_memalign(&at, 64, n) != 0) {
        err_set(err, ERR_SYSTEM, "%s: no memory for %zu bytes", what, n_bytes);
        return NULL;
    }
    memset(at, 0, n);
    return at;
}
