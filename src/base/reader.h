// reader.h — little-endian reading of untrusted bytes.
//
// The first short read sticks: later reads give zero and move nothing, so a record is read whole
// and checked once.
#ifndef LATHE_BASE_READER_H
#define LATHE_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

typedef struct {
    const uint8_t *at, *end;
    bool short_read;
} Reader;

static inline Reader reader_over(const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    return (Reader){at, n ? at + n : at, false};
}

static inline size_t reader_left(const Reader *r) {
    return r->short_read ? 0 : (size_t)(r->end - r->at);
}

// A view of the next `n` bytes, or NULL (and short_read is set) when fewer are left.
static inline const uint8_t *read_bytes(Reader *r, size_t n) {
    if (r->short_read || n > (size_t)(r->end - r->at)) {
        r->short_read = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    if (n) r->at += n;
    return bytes;
}

static inline uint64_t load_le(const uint8_t *bytes, unsigned n) {
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline uint64_t read_le(Reader *r, unsigned n) {
    const uint8_t *bytes = read_bytes(r, n);
    return bytes ? load_le(bytes, n) : 0;
}

static inline uint8_t read_u8(Reader *r) {
    return (uint8_t)read_le(r, 1);
}
static inline uint16_t read_u16(Reader *r) {
    return (uint16_t)read_le(r, 2);
}
static inline uint32_t read_u32(Reader *r) {
    return (uint32_t)read_le(r, 4);
}
static inline uint64_t read_u64(Reader *r) {
    return read_le(r, 8);
}

// A view of a string of `n` bytes; empty when fewer are left.
static inline Str read_str(Reader *r, uint64_t n) {
    if (n > reader_left(r)) {
        r->short_read = true;
        return (Str){"", 0};
    }
    const uint8_t *bytes = read_bytes(r, (size_t)n);
    return (Str){(const char *)bytes, (size_t)n};
}

#endif
