// seed_package DIR — small valid packages for fuzz_package to start from.
#include <stdio.h>

#include "base/file.h"
#include "mlpackage/model.h"
#include "mlpackage/sheet.h"

static void put_length(StrBuf *out, size_t n) {
    for (unsigned i = 0; i < 4; i++) strbuf_add_char(out, (char)(n >> (8 * i)));
}

static bool write_seed(const char *dir, const char *name, Str model, bool has_weights, Err *err) {
    unsigned char weights[SHEET_EXAMPLE_WEIGHT_BYTES];
    sheet_example_weights(weights);
    Arena arena = {0};
    StrBuf out = {0};
    put_length(&out, model.len);
    strbuf_add(&out, model);
    if (has_weights) strbuf_add(&out, (Str){(const char *)weights, sizeof weights});
    bool ok = file_write(path_join(&arena, dir, name), out.at, out.len, err);
    strbuf_free(&out);
    arena_free(&arena);
    return ok;
}

static bool write_sheet(const char *dir, const char *name, const char *sheet, Err *err) {
    StrBuf model = {0};
    sheet_encode(sheet, &model);
    bool ok = write_seed(dir, name, strbuf_str(&model), true, err);
    strbuf_free(&model);
    return ok;
}

// One program a family of ops, so that the fuzzer has their parameters to turn.
static const char *const programs[][2] = {
    {"elementwise",
     "program 9 func main(x: fp16[1, 4, 1, 8], y: fp16[1, 4, 1, 8]) {"
     " a: fp16[1, 4, 1, 8] = add(x = x, y = y) b: fp16[1, 4, 1, 8] = rsqrt(x = a, epsilon = "
     "fp16(1)) c: bool[1, 4, 1, 8] = greater(x = a, y = b) d: fp16[1, 4, 1, 8] = select(cond = c, "
     "a = a, b = b) e: fp16[1, 4, 1, 8] = clip(x = d, alpha = fp16(0), beta = fp16(6)) } -> (e)"},
    {"shapes",
     "program 9 func main(x: fp16[2, 3, 4, 5]) {"
     " t: fp16[2, 3, 5, 4] = transpose(x = x, perm = int32[4]([0, 1, 3, 2]))"
     " r: fp16[6, 20] = reshape(x = t, shape = int32[2]([6, 20]))"
     " s: fp16[2, 7] = slice_by_index(x = r, begin = int32[2]([1, 3]), end = int32[2]([5, 17]), "
     "stride = int32[2]([2, 2]))"
     " p: fp16[4, 9] = pad(x = s, pad = int32[4]([1, 1, 2, 0]))"
     " c: fp16[8, 9] = concat(values = (p, p), axis = int32(0), interleave = bool(false))"
     " m: fp16[16, 9] = tile(x = c, reps = int32[2]([2, 1])) } -> (m)"},
    {"products",
     "program 9 func main(x: fp16[1, 2, 3, 4], y: fp16[1, 2, 3, 4]) {"
     " m: fp16[1, 2, 3, 3] = matmul(x = x, y = y, transpose_y = bool(true))"
     " s: fp16[1, 2, 3, 3] = softmax(x = m, axis = int32(-1))"
     " n: fp16[1, 2, 1, 1] = reduce_sum(x = s, axes = int32[2]([2, 3]), keep_dims = bool(true))"
     " w: fp16[2, 2, 1, 3] = const(val = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])"
     " k: fp16[1, 2, 3, 3] = conv(x = s, weight = w, strides = int32[2]([1, 1]), pad_type = "
     "string(\"custom\"), pad = int32[4]([0, 0, 1, 1]), dilations = int32[2]([1, 1]), groups = "
     "int32(1)) } -> (n, k)"},
    {"indices",
     "program 9 func main(x: fp32[4, 6], i: int32[2]) {"
     " g: fp32[2, 6] = gather(x = x, indices = i, axis = int32(0), batch_dims = int32(0), "
     "validate_indices = bool(false))"
     " u: fp32[4, 6] = slice_update(x = x, update = g, begin = int32[2]([1, 0]), end = "
     "int32[2]([3, 6])) } -> (u)"},
};

static bool write_program(const char *dir, const char *name, const char *text, Err *err) {
    Arena arena = {0};
    StrBuf model = {0};
    PackageSource source = {.program = mil_parse(&arena, str_of(text), err)};
    bool ok = source.program && mil_validate(source.program, name, err);
    if (ok) {
        model_encode(&source, &model);
        ok = write_seed(dir, name, strbuf_str(&model), false, err);
    }
    strbuf_free(&model);
    arena_free(&arena);
    return ok;
}

int main(int argc, char **argv) {
    Err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: seed_package DIR\n");
        return 2;
    }
    bool ok = dir_make(argv[1], &err) && write_sheet(argv[1], "example", sheet_example, &err) &&
              write_sheet(argv[1], "states", sheet_states, &err);
    for (size_t i = 0; ok && i < sizeof programs / sizeof programs[0]; i++)
        ok = write_program(argv[1], programs[i][0], programs[i][1], &err);
    if (!ok) fprintf(stderr, "seed_package: %s\n", err.text);
    return ok ? 0 : 1;
}
