// wire.h — protobuf's wire format: tags, varints, length-delimited records. Internal to mlpackage/.
//
// Source: protobuf.dev, "Encoding". Writing needs the length of a record before its bytes, so a
// record is written after five reserved bytes and moved back when its length is known; records
// here are small (weights live elsewhere), and the result is the canonical shortest form.
#ifndef LATHE_MLPACKAGE_WIRE_H
#define LATHE_MLPACKAGE_WIRE_H

#include "base/reader.h"
#include "base/str.h"

typedef enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } WireType;

// ---- writing. Callers leave out fields at their default (0, empty).
void wire_put_varint(StrBuf *out, uint64_t value);
void wire_put_tag(StrBuf *out, uint32_t field, WireType type);
void wire_put_int(StrBuf *out, uint32_t field, int64_t value); // negative: ten bytes
void wire_put_bytes(StrBuf *out, uint32_t field, Str bytes);
// Opens a record; everything appended until wire_end() is its content.
size_t wire_begin(StrBuf *out, uint32_t field);
void wire_end(StrBuf *out, size_t mark);

// ---- reading
typedef struct {
    uint32_t field;
    WireType type;
    uint64_t value; // WIRE_VARINT, WIRE_64, WIRE_32
    Reader bytes;   // WIRE_BYTES
} WireField;

// Reads the next field of the record. False at its end, and when it is malformed: then
// r->short_read is set.
bool wire_next(Reader *r, WireField *field);
uint64_t wire_get_varint(Reader *r); // 0 and short_read when malformed
static inline Str wire_str(const WireField *f) {
    return (Str){(const char *)f->bytes.at, reader_left(&f->bytes)};
}

// The key and value of a map's entry (fields 1 and 2, both records); false when it is malformed.
bool wire_entry(Reader r, Str *key, Reader *value);

#endif
