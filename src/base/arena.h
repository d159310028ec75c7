// arena.h — memory with one lifetime.
//
// Small allocations come from an arena named for how long they live and are freed together. When
// the system is out of memory, the arena stops the program with a message: no caller could recover.
// Buffers whose size comes from a file are bounded by the file's length before they are allocated;
// large ones (caches, workspaces) come from big_alloc, which reports failure.
#ifndef LATHE_BASE_ARENA_H
#define LATHE_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/memory.h"
#include "base/str.h"

typedef struct ArenaBlock ArenaBlock;

// A zeroed Arena is ready to use.
typedef struct {
    ArenaBlock *last;
    size_t n_bytes; // allocated so far
} Arena;

// Zeroed memory for `count` items of `size` bytes, aligned to 16; good until arena_free().
void *arena_alloc(Arena *a, size_t count, size_t size);
#define arena_array(arena, count, Type) ((Type *)arena_alloc((arena), (count), sizeof(Type)))
#define arena_new(arena, Type)          arena_array(arena, 1, Type)

// Room for one more item after the `n` in `items`, an array with room for `*cap` items of `size` bytes:
// `items` itself, or a copy of twice the size. The old array stays in the arena.
void *arena_grow(Arena *a, void *items, size_t n, size_t *cap, size_t size);
// Copies that live as long as the arena.
Str arena_str(Arena *a, Str s);
char *arena_cstr(Arena *a, Str s); // NUL-terminated, for the operating system
Str arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The same for functions that take a format themselves.
Str arena_vprintf(Arena *a, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

void arena_free(Arena *a);

// `n_bytes` of zeroed memory, aligned to 64, for `what` ("KV cache"). NULL and `err` when there is
// not enough. free() it.
void *big_alloc(size_t n_bytes, const char *what, Err *err);

#endif
