// type.c — types of values: element types, shapes, sizes, and their text.
#include "base/size.h"
#include "mil/mil.h"

const MilDtypeInfo mil_dtypes[MIL_DTYPE_COUNT] = {
#define ROW(name, text, proto, blob, bits) [MIL_##name] = {text, proto, blob, bits},
    MIL_DTYPES(ROW)
#undef ROW
};

bool mil_type_count(const MilType *t, size_t *count) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0 || !mul_size(n, (size_t)t->dims[i], &n)) return false;
    }
    *count = n;
    return true;
}

bool mil_type_bytes(const MilType *t, size_t *n_bytes) {
    size_t count, n_bits;
    if (t->dtype == MIL_STRING || !mil_type_count(t, &count)) return false;
    if (!mul_size(count, mil_dtypes[t->dtype].bits, &n_bits) || n_bits > SIZE_MAX - 7) return false;
    *n_bytes = (n_bits + 7) / 8;
    return true;
}

bool mil_type_eq(const MilType *a, const MilType *b) {
    if (a->dtype != b->dtype || a->is_state != b->is_state || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

void mil_type_print(const MilType *t, StrBuf *out) {
    strbuf_printf(out, "%s%s", t->is_state ? "state<" : "", mil_dtypes[t->dtype].name);
    for (int i = 0; i < t->rank; i++) {
        strbuf_add(out, i ? STR(", ") : STR("["));
        if (t->dims[i] == MIL_UNKNOWN_DIM) {
            strbuf_add_char(out, '?');
        } else {
            strbuf_printf(out, "%lld", (long long)t->dims[i]);
        }
    }
    if (t->rank) strbuf_add_char(out, ']');
    if (t->is_state) strbuf_add_char(out, '>');
}
