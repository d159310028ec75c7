// fuzz_gguf — any bytes as a GGUF file: opening, every key by every getter, lookup of every name
// and the first row of every tensor.
#include <stdio.h>
#include <stdlib.h>

#include "gguf/gguf.h"
#include "quant/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void expect(bool is_so, const char *what) {
    if (is_so) return;
    fprintf(stderr, "fuzz_gguf: not so: %s\n", what);
    abort();
}

// Every byte of `s`, so that a view out of bounds is seen.
static unsigned sum_of(Str s) {
    unsigned sum = 0;
    for (size_t i = 0; i < s.len; i++) sum += (unsigned char)s.at[i];
    return sum;
}

static unsigned read_key(const Gguf *g, const GgufKey *k) {
    expect(gguf_find_key(g, k->name) == k, "a key is found by its name");
    unsigned sum = sum_of(k->encoded);
    for (size_t i = 0; i < k->n_items; i++) {
        uint64_t u64;
        int64_t i64;
        double f64;
        bool flag;
        Str str;
        bool is_u64 = gguf_u64(k, i, &u64), is_i64 = gguf_i64(k, i, &i64);
        if (is_u64 && is_i64) expect(u64 == (uint64_t)i64, "both integers are the same");
        if (gguf_f64(k, i, &f64)) sum += f64 > 0;
        if (gguf_bool(k, i, &flag)) sum += flag;
        if (gguf_str(k, i, &str)) sum += sum_of(str);
    }
    return sum;
}

static unsigned read_tensor(const Gguf *g, const TensorInfo *t) {
    expect(gguf_find_tensor(g, t->name) == t, "a tensor is found by its name");
    expect(t->n_weights / t->type->n_weights * t->type->n_bytes == t->n_bytes, "sizes agree");
    unsigned sum = sum_of((Str){(const char *)t->data, t->n_bytes});
    if (!t->type->is_decodable) return sum;
    float *row = malloc(t->dims[0] * sizeof *row);
    if (!row) return sum;
    decode_row(t, 0, row);
    decode_row(t, t->n_weights / t->dims[0] - 1, row);
    sum += row[0] > 0;
    free(row);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    Arena arena = {0};
    Gguf g;
    Err err = {0};
    unsigned sum = 0;
    if (gguf_open_bytes(&g, &arena, bytes, n, "fuzz", &err)) {
        for (size_t i = 0; i < g.n_keys; i++) sum += read_key(&g, &g.keys[i]);
        for (size_t i = 0; i < g.n_tensors; i++) sum += read_tensor(&g, &g.tensors[i]);
    } else {
        expect(err.kind == ERR_FORMAT && err.text[0], "a refusal says why");
    }
    volatile unsigned keep = sum; // or the reads above could be left out
    (void)keep;
    gguf_close(&g);
    arena_free(&arena);
    return 0;
}
