// wire.c — varints, tags and length-delimited records of protobuf, without their meaning.
#include "mlpackage/wire.h"

#include <string.h>

void wire_put_varint(StrBuf *out, uint64_t value) {
    for (; value >= 128; value >>= 7) strbuf_add_char(out, (char)(value | 128));
    strbuf_add_char(out, (char)value);
}

void wire_put_tag(StrBuf *out, uint32_t field, WireType type) {
    wire_put_varint(out, (uint64_t)field << 3 | type);
}

void wire_put_int(StrBuf *out, uint32_t field, int64_t value) {
    wire_put_tag(out, field, WIRE_VARINT);
    wire_put_varint(out, (uint64_t)value);
}

void wire_put_bytes(StrBuf *out, uint32_t field, Str bytes) {
    wire_put_tag(out, field, WIRE_BYTES);
    wire_put_varint(out, bytes.len);
    strbuf_add(out, bytes);
}

enum { RESERVED_BYTES = 5 };

size_t wire_begin(StrBuf *out, uint32_t field) {
    wire_put_tag(out, field, WIRE_BYTES);
    size_t mark = out->len;
    strbuf_extend(out, RESERVED_BYTES);
    return mark;
}

void wire_end(StrBuf *out, size_t mark) {
    size_t start = mark + RESERVED_BYTES, length = out->len - start, n = 0;
    for (size_t left = length; n == 0 || left; left >>= 7, n++) {
        char byte = (char)(left & 127);
        out->at[mark + n] = left >= 128 ? (char)(byte | (char)128) : byte;
    }
    memmove(out->at + mark + n, out->at + start, length);
    out->len = mark + n + length;
    out->at[out->len] = 0;
}

uint64_t wire_get_varint(Reader *r) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(r);
        if (r->short_read) return 0;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    r->short_read = true; // an eleventh byte
    return 0;
}

bool wire_next(Reader *r, WireField *field) {
    if (reader_left(r) == 0) return false;
    uint64_t tag = wire_get_varint(r);
    *field = (WireField){.field = (uint32_t)(tag >> 3), .type = (WireType)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 32) r->short_read = true;
    switch (field->type) {
    case WIRE_VARINT: field->value = wire_get_varint(r); break;
    case WIRE_64: field->value = read_u64(r); break;
    case WIRE_32: field->value = read_u32(r); break;
    case WIRE_BYTES: {
        uint64_t n = wire_get_varint(r);
        Str bytes = read_str(r, n);
        field->bytes = reader_over(bytes.at, bytes.len);
        break;
    }
    default: r->short_read = true; // groups: in no message of ours
    }
    return !r->short_read;
}

bool wire_entry(Reader r, Str *key, Reader *value) {
    enum { KEY = 1, VALUE = 2 };
    WireField f;
    *key = (Str){"", 0};
    *value = (Reader){0};
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) return false;
        if (f.field == KEY) *key = wire_str(&f);
        if (f.field == VALUE) *value = f.bytes;
    }
    return !r.short_read;
}
