// host_data.h — for host.c: binary16 numbers, and the embedding table of a bundle's host.gguf. An app in
// Swift has Float16 of its own; one that keeps embeddings in another form needs no GGUF.
#ifndef HOST_DATA_H
#define HOST_DATA_H

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Noreturn static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("host: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    exit(1);
}

static void *memory(size_t n) {
    void *at = calloc(n ? n : 1, 1);
    if (!at) fail("no memory for %zu bytes", n);
    return at;
}

// ---- binary16: what packages take and give

static uint16_t half_of(float f) {
    uint32_t bits;
    float size = fabsf(f);
    memcpy(&bits, &size, sizeof bits);
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    if (!(size < 65520)) return (uint16_t)(sign | (isnan(f) ? 0x7E00 : 0x7C00));
    if (size < 0x1p-14f) return (uint16_t)(sign | (unsigned)lrintf(size * 0x1p24f));
    bits += 0xFFF + (bits >> 13 & 1); // to nearest, ties to even
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
}

static float float_of(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                 : exponent == 0 ? ldexpf((float)mantissa, -24)
                                 : ldexpf((float)(mantissa + 1024), exponent - 25);
    return h & 0x8000 ? -size : size;
}

// ---- the embedding table, in host.gguf (the format: ggml's gguf.h)

typedef struct {
    const uint8_t *rows; // as the GGUF file has them, mapped for good
    uint32_t type;       // ggml's number: 0 f32, 1 f16, 8 q8_0
} Embedding;

static uint64_t take(const uint8_t **at, size_t n_bytes) { // little-endian
    uint64_t value = 0;
    memcpy(&value, *at, n_bytes);
    *at += n_bytes;
    return value;
}

static void skip_value(const uint8_t **at, uint32_t type) {
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) { // a string
        uint64_t n = take(at, 8);
        *at += n;
    } else if (type == 9) { // an array
        uint32_t of = (uint32_t)take(at, 4);
        for (uint64_t n = take(at, 8); n; n--) skip_value(at, of);
    } else {
        *at += sizes[type];
    }
}

static Embedding embedding_open(const char *path) {
    Embedding table = {.type = UINT32_MAX};
    struct stat info;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &info) != 0) fail("%s cannot be opened", path);
    const uint8_t *start = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (start == MAP_FAILED) fail("%s cannot be mapped", path);
    const uint8_t *at = start + 8; // "GGUF", version
    uint64_t n_tensors = take(&at, 8), n_keys = take(&at, 8), offset = 0, alignment = 32;
    for (; n_keys; n_keys--) {
        const char *key = (const char *)at + 8;
        bool is_alignment = take(&at, 8) == 17 && memcmp(key, "general.alignment", 17) == 0;
        at = (const uint8_t *)key + (((const uint64_t *)(const void *)key)[-1]);
        uint32_t type = (uint32_t)take(&at, 4);
        if (is_alignment) memcpy(&alignment, at, 4);
        skip_value(&at, type);
    }
    for (; n_tensors; n_tensors--) {
        uint64_t n_name = take(&at, 8);
        bool is_it = n_name == 17 && memcmp(at, "token_embd.weight", 17) == 0;
        at += n_name;
        uint32_t n_dims = (uint32_t)take(&at, 4);
        at += 8 * (size_t)n_dims;
        uint32_t type = (uint32_t)take(&at, 4);
        uint64_t place = take(&at, 8);
        if (is_it) table.type = type, offset = place;
    }
    size_t data = ((size_t)(at - start) + alignment - 1) / alignment * alignment;
    table.rows = start + data + offset;
    if (table.type != 0 && table.type != 1 && table.type != 8)
        fail("%s: this example reads embeddings as f32, f16 or q8_0", path);
    return table;
}

// Weight `at` of the table.
static float embedding_at(const Embedding *e, size_t at) {
    const uint8_t *block = e->rows + at / 32 * 34; // q8_0: a scale, 32 codes
    uint16_t half;
    float value;
    if (e->type == 0) {
        memcpy(&value, e->rows + 4 * at, 4);
        return value;
    }
    memcpy(&half, e->type == 1 ? e->rows + 2 * at : block, 2);
    return e->type == 1 ? float_of(half) : float_of(half) * (int8_t)block[2 + at % 32];
}

#endif
