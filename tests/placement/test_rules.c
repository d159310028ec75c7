// Every rule of placement.def speaks where it should and is silent one step before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/build.h"
#include "placement/placement.h"

// clang-format off
#define MAIN(inputs, body, outputs) "program 9\nfunc main(" inputs ") {\n" body "\n} -> (" outputs ")\n"
#define X "x: fp16[1, 64, 1, 64]"
#define BLOB "(blob(\"@model_path/weights/weight.bin\", 64))"
#define CODES(type, shape) #type "[" shape "]" BLOB
#define CONV(form) MAIN(X, "w: fp16[32, 64, 1, 1] = " form "\ny = conv(x = x, weight = w)", "y")
#define SCALED(type, scales) CONV("constexpr_blockwise_shift_scale(data = " CODES(type, "32, 64, 1, 1") ", scale = " CODES(fp16, scales) ")")
#define PALETTE(bits, lut) CONV("constexpr_lut_to_dense(indices = " CODES(uint##bits, "32, 64, 1, 1") ", lut = " CODES(fp16, lut) ")")
#define KERNEL(h, w) MAIN("x: fp16[1, 8, 64, 64]", "k: fp16[8, 8, " #h ", " #w "] = const(val = blob(\"@model_path/weights/weight.bin\", 64))\ny = conv(x = x, weight = k)", "y")
#define WIDE(d, rest) MAIN("x: fp16[1, " #d ", 1, 1]", rest "\ny = conv(x = x, weight = w)", "y")
#define WEIGHTS(n, d) WIDE(d, "w: fp16[" #n ", " #d ", 1, 1] = const(val = blob(\"@model_path/weights/weight.bin\", 64))")
#define CODED(n, d) WIDE(d, "w: fp16[" #n ", " #d ", 1, 1] = constexpr_blockwise_shift_scale(data = " CODES(int8, #n ", " #d ", 1, 1") ", scale = " CODES(fp16, #n ", 1, 1, 1") ")")
#define SDPA_IN "q: fp16[1, 2, 4, 64], k: fp16[1, 2, 32, 64], v: fp16[1, 2, 32, 64]"
#define WIDE_SDPA "q: fp16[1, 2, 4, 512], k: fp16[1, 2, 32, 512], v: fp16[1, 2, 32, 512]"
#define SDPA_TWICE "y = scaled_dot_product_attention(query = q, key = k, value = v)\nz = scaled_dot_product_attention(query = y, key = k, value = v)"
#define WHOLE_WRITE "r = read_state(input = s1)\nu = add(x = r, y = x)\nwrite_state(input = s1, data = u) name \"put\"\nagain = read_state(input = s1)\ny = relu(x = again)"
#define POOL(w) MAIN("x: fp16[1, 8, 64, 64]", "y = max_pool(x = x, kernel_sizes = int32[2]([1, " #w "]), pad_type = string(\"valid\"))", "y")
#define RELU(shape) MAIN("x: fp16[" shape "]", "y = relu(x = x)", "y")
#define SCORES(rows, keys) MAIN("q: fp16[1, 2, " #rows ", 64], k: fp16[1, 2, " #keys ", 64]", "s = matmul(x = q, y = k, transpose_y = bool(true))", "s")
#define STATE(width) MAIN("s: state<fp16[1, 8, 64, " #width "]>", "r = read_state(input = s)\ny = relu(x = r)", "y")
#define PUT(n) \
    "r" #n " = read_state(input = s" #n ")\n" \
    "u" #n " = slice_update(x = r" #n ", update = new, begin = at, end = to)\n" \
    "write_state(input = s" #n ", data = u" #n ") name \"put" #n "\"\n"
#define PUT_INPUTS "new: fp16[1, 8, 1, 64], at: int32[4], to: int32[4]"
#define CACHE(n) ", s" #n ": state<fp16[1, 8, 64, 64]>"

static const struct {
    const char *rule, *target;
    uint64_t n_bytes;
    const char *fires, *silent; // silent NULL: see elsewhere
    const char *silent_target;  // NULL: the same
} cases[] = {
    {"A01", "macos27", 0, RELU("2, 3, 4, 5, 6"), RELU("2, 3, 4, 5"), NULL},
    {"A01", "macos27", 0, MAIN("x: fp16[2, 3, 4, 5]", "y = reshape(x = x, shape = int32[5]([2, 3, 2, 2, 5]))", "y"),
     MAIN("x: fp16[1, 3, 4, 5]", "y = reshape(x = x, shape = int32[5]([1, 3, 2, 2, 5]))", "y"), NULL},
    {"A01b", "macos27", 0, MAIN("x: fp16[1, 2, 1, 4, 8]", "y = tile(x = x, reps = int32[5]([1, 1, 3, 1, 1]))", "y"),
     MAIN("x: fp16[2, 1, 4, 8]", "y = tile(x = x, reps = int32[4]([1, 3, 1, 1]))", "y"), NULL},
    {"A01b", "macos27", 0, MAIN("x: fp16[2, 4, 3, 2, 8]", "a, b, c = split(x = x, num_splits = int32(3), axis = int32(2))", "a, b, c"),
     MAIN("x: fp16[1, 4, 3, 2, 8]", "a, b, c = split(x = x, num_splits = int32(3), axis = int32(2))", "a, b, c"), NULL},
    {"A02", "macos27", 0, MAIN("x: fp32[1, 4, 1, 64]", "y = relu(x = x)", "y"),
     MAIN("x: fp32[1, 4, 1, 64]", "h = cast(x = x, dtype = string(\"fp16\"))\ny = relu(x = h)", "y"), NULL},
    {"A03", "macos27", 0, MAIN("x: int32[1, 4]", "y = add(x = x, y = x)", "y"), MAIN("x: fp16[1, 4]", "y = add(x = x, y = x)", "y"), NULL},
    {"A03", "macos27", 0, MAIN("x: int32[1, 4], z: int32[1, 4], v: fp16[1, 4]", "b = less(x = x, y = z)\ny = select(cond = b, a = v, b = v)", "y"),
     MAIN("x: fp16[1, 4], v: fp16[1, 4]", "b = less(x = x, y = v)\ny = select(cond = b, a = v, b = v)", "y"), NULL},
    {"A03", "macos27", 0, MAIN("x: int32[1, 4]", "y = cast(x = x, dtype = string(\"fp16\"))", "y"),
     MAIN("x: fp16[1, 4]", "c = concat(values = (x, x), axis = int32(0))\ny = relu(x = c)", "y"), NULL},
    {"A03b", "macos27", 0,
     MAIN("t: fp16[100, 64], i: int32[4]", "n = cast(x = i, dtype = string(\"uint16\"))\ny = gather(x = t, indices = n)", "y"),
     MAIN("t: fp16[100, 64], i: int32[4]", "y = gather(x = t, indices = i)", "y"), NULL},
    {"A05", "macos27", 0, RELU("1, 64, 1, 31"), RELU("1, 64, 1, 32"), NULL},
    {"A07", "macos27", 0, STATE(270), STATE(256), NULL},
    {"A08", "macos27", 0, RELU("1, 65537"), RELU("1, 65536"), NULL},
    {"A09", "macos27", 0, RELU("1, 1, 16385"), RELU("1, 1, 16384"), NULL},
    {"A10", "macos27", 0, MAIN("x: fp16[1, 4, 32769], y: fp16[1, 32769, 4]", "z = matmul(x = x, y = y)", "z"),
     MAIN("x: fp16[1, 4, 32768], y: fp16[1, 32768, 4]", "z = matmul(x = x, y = y)", "z"), NULL},
    {"A12", "macos27", 0, MAIN(X, "w: fp16[66688, 64, 1, 1] = const(val = blob(\"@model_path/weights/weight.bin\", 64))\ny = conv(x = x, weight = w)", "y"),
     MAIN(X, "w: fp16[16384, 64, 1, 1] = const(val = blob(\"@model_path/weights/weight.bin\", 64))\ny = conv(x = x, weight = w)", "y"), NULL},
    {"A14", "macos27", 0, MAIN(X, "y = transpose(x = x, perm = int32[4]([0, 1, 3, 2]))", "y"),
     MAIN(X, "y = transpose(x = x, perm = int32[4]([0, 2, 1, 3]))", "y"), NULL},
    {"A14", "macos27", 0, MAIN(X, "y = reshape(x = x, shape = int32[4]([1, 64, 64, 1]))", "y"),
     MAIN(X, "y = reshape(x = x, shape = int32[4]([1, 1, 64, 64]))", "y"), NULL},
    {"A15", "macos27", 0, RELU("1, 1024, 16, 65"), RELU("1, 1024, 16, 64"), NULL},
    {"B01", "macos27", 0, MAIN(X, "y = einsum(values = (x, x), equation = string(\"nchw,nwhu->nchu\"))", "y"), RELU("1, 64, 1, 64"), NULL},
    {"B02", "macos27", 0, MAIN(X, "y = cumsum(x = x, axis = int32(1))", "y"), MAIN(X, "y = reduce_sum(x = x, axes = int32[1]([1]))", "y"), NULL},
    {"B02", "macos27", 0, MAIN("t: fp16[100, 64], i: int32[4]", "y = gather(x = t, indices = i)", "y"),
     MAIN("t: fp16[100, 64]", "y = gather(x = t, indices = int32[2]([3, 5]))", "y"), NULL},
    {"B02", "macos27", 0, MAIN(X ", i: int32[4]", "y = slice_by_size(x = x, begin = i, size = int32[4]([1, 8, 1, 64]))", "y"),
     MAIN(X, "y = slice_by_size(x = x, begin = int32[4]([0, 8, 0, 0]), size = int32[4]([1, 8, 1, 64]))", "y"), NULL},
    {"B02b", "macos27", 0, MAIN(X ", i: int32[4], j: int32[4]", "y = slice_by_index(x = x, begin = i, end = j)", "y"),
     MAIN(X, "y = slice_by_index(x = x, begin = int32[4]([0, 8, 0, 0]), end = int32[4]([1, 16, 1, 64]))", "y"), NULL},
    {"B03", "macos27", 0, MAIN("x: fp16[4, 64]", "w: fp16[32, 64] = const(val = blob(\"@model_path/weights/weight.bin\", 64))\ny = linear(x = x, weight = w)", "y"),
     SCORES(4, 64), NULL},
    {"B03", "macos27", 0, MAIN("x: fp16[4, 64]", "w: fp16[64, 32] = const(val = blob(\"@model_path/weights/weight.bin\", 64))\ny = matmul(x = x, y = w)", "y"),
     SCALED(int8, "32, 1, 1, 1"), NULL},
    {"B09", "macos27", 0, MAIN(SDPA_IN ", m: fp16[4, 32]", "y = scaled_dot_product_attention(query = q, key = k, value = v, attn_mask = m)", "y"),
     MAIN(SDPA_IN, "y = scaled_dot_product_attention(query = q, key = k, value = v)", "y"), NULL},
    {"B09b", "macos27", 0, MAIN(SDPA_IN, "y = scaled_dot_product_attention(query = q, key = k, value = v)", "y"), SCORES(4, 32), NULL},
    {"B09c", "macos27", 0, MAIN(WIDE_SDPA, SDPA_TWICE, "z"), MAIN(SDPA_IN, SDPA_TWICE, "z"), NULL}, // 512 dims, 64
    {"B24", "macos27", 0, MAIN("x: fp16[1, 1, 3072]", "y = slice_by_index(x = x, begin = int32[3]([0, 0, 0]), end = int32[3]([1, 1, 128]))", "y"),
     MAIN("x: fp16[1, 1, 24, 128]", "y = slice_by_index(x = x, begin = int32[4]([0, 0, 0, 0]), end = int32[4]([1, 1, 24, 96]))", "y"), NULL},
    {"B24", "macos27", 0, MAIN("x: fp16[1, 1, 3072]", "y = slice_by_index(x = x, begin = int32[3]([0, 0, 0]), end = int32[3]([1, 1, 128]))", "y"),
     MAIN("x: fp16[1, 1, 3072]", "y = slice_by_index(x = x, begin = int32[3]([0, 0, 0]), end = int32[3]([1, 1, 128]))", "y"), "macos26"},
    {"A09b", "macos27:m2", 0, RELU("1, 1, 16385"), RELU("1, 1, 16385"), "macos27:m4"},
    {"B11", "macos26", 0, MAIN(X, "y, i = topk(x = x, k = int32(1), axis = int32(1))", "y"), NULL, NULL},
    {"B12", "macos27", 0, MAIN(X, "y, i = topk(x = x, k = int32(1), axis = int32(1))", "y"), NULL, NULL},
    {"B15", "macos27", 0, MAIN(X, "y = tile(x = x, reps = int32[4]([1, 1, 3, 1]))", "y"), MAIN(X, "y = concat(values = (x, x, x), axis = int32(2))", "y"), NULL},
    {"B20", "macos27", 0, MAIN(X, "y = slice_by_index(x = x, begin = int32[4]([0, 0, 0, 32]), end = int32[4]([1, 64, 1, 64]))", "y"),
     MAIN(X, "y = slice_by_index(x = x, begin = int32[4]([0, 0, 0, 0]), end = int32[4]([1, 64, 1, 32]))", "y"), NULL},
    {"B21", "macos27", 0, KERNEL(1, 16), KERNEL(1, 15), NULL},
    {"B21", "macos27", 0, KERNEL(32, 1), KERNEL(31, 1), NULL},
    {"B21", "macos27", 0, KERNEL(17, 17), KERNEL(16, 16), NULL},
    {"B21b", "macos27", 0, POOL(9), POOL(8), NULL},
    {"B22", "macos27", 0, MAIN(X ", w: fp16[8, 64, 1, 1]", "y = conv(x = x, weight = w)", "y"), KERNEL(1, 1), NULL},
    {"C01", "macos27", 0, RELU("1, 64, 1, 64"), NULL, NULL},
    {"D00", "any", 1035993088, RELU("1, 64, 1, 64"), RELU("1, 64, 1, 64"), "macos27"},
    {"D26", "macos26", UINT64_C(2147483648), RELU("1, 64, 1, 64"), RELU("1, 64, 1, 64"), "macos27"},
    {"D27", "macos27", 1073741824, RELU("1, 64, 1, 64"), RELU("1, 64, 1, 64"), "macos26"},
    {"E00", "macos27", 0, SCALED(int8, "16, 1, 1, 1"), SCALED(int8, "32, 1, 1, 1"), NULL},
    {"E00", "macos27", 0, CONV("constexpr_sparse_to_dense(nonzero_data = " CODES(fp16, "100") ", mask = " CODES(uint1, "32, 64, 1, 1") ")"),
     PALETTE(4, "1, 1, 1, 1, 16, 1"), NULL},
    {"E01", "macos27", 0, SCALED(int8, "1, 1, 1, 1"), SCALED(int8, "32, 1, 1, 1"), NULL},
    {"E04", "macos27", 0, SCALED(int8, "32, 2, 1, 1"), SCALED(int8, "32, 1, 1, 1"), NULL},
    {"E04", "macos27", 0, SCALED(int4, "1, 2, 1, 1"), SCALED(int4, "32, 1, 1, 1"), NULL},
    {"E04b", "macos26", 0, SCALED(int4, "32, 1, 1, 1"), SCALED(int4, "32, 1, 1, 1"), "macos27"},
    {"E06", "macos27", 0, PALETTE(4, "16, 1, 1, 1, 16, 1"), PALETTE(4, "8, 1, 1, 1, 16, 1"), NULL},
    {"E08", "macos27", 0, CONV("constexpr_blockwise_shift_scale(data = entries, scale = " CODES(fp16, "32, 1, 1, 1") ")"), PALETTE(4, "8, 1, 1, 1, 16, 1"), NULL},
    {"E09", "macos27", 0, PALETTE(4, "4, 4, 1, 1, 16, 1"), PALETTE(4, "4, 1, 1, 1, 16, 1"), NULL},
    {"E11", "macos27", 0, PALETTE(3, "1, 1, 1, 1, 8, 1"), PALETTE(4, "1, 1, 1, 1, 16, 1"), NULL},
    {"F04", "macos27", 0, MAIN(PUT_INPUTS CACHE(1) CACHE(2) CACHE(3), PUT(1) PUT(2) PUT(3), "new"),
     MAIN(PUT_INPUTS CACHE(1) CACHE(2), PUT(1) PUT(2), "new"), NULL},
    {"F06", "macos27", 0, MAIN("x: fp16[1, 8, 64, 64], " PUT_INPUTS, "y = slice_update(x = x, update = new, begin = at, end = to)", "y"),
     MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), NULL},
    // used for attention directly: off the ANE in 0seba/coremlmodels
    {"F06", "macos27", 0, MAIN(PUT_INPUTS CACHE(1), PUT(1) "y = relu(x = u1)", "y"),
     MAIN(PUT_INPUTS CACHE(1), PUT(1) "again = read_state(input = s1)\ny = relu(x = again)", "y"), NULL},
    {"F06", "macos27", 0, MAIN(PUT_INPUTS CACHE(1) CACHE(2),
        "r = read_state(input = s1)\nu = slice_update(x = r, update = new, begin = at, end = to)\nwrite_state(input = s2, data = u) name \"other\"", "new"),
     MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), NULL},
    {"F08", "macos27", 0, STATE(64), RELU("1, 64, 1, 64"), NULL},
    // KG: a write that nobody reads, and its cure
    {"F11", "macos27", 0, MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), MAIN(PUT_INPUTS CACHE(1), PUT(1) "again = read_state(input = s1)\ny = relu(x = again)", "y"), NULL},
    {"F11", "macos27", 0, MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), "macos26"},
    {"F12", "macos26", 0, MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), "macos27"},
    {"F12", "macos26", 0, MAIN(PUT_INPUTS CACHE(1), PUT(1), "new"), MAIN("x: fp16[1, 8, 64, 64]" CACHE(1), WHOLE_WRITE, "y"), NULL},
    {"F13", "macos27:m5max", 0, STATE(64), STATE(64), "macos27"},
    {"F13", "macos27:m5", 0, STATE(64), STATE(64), "macos27:m4"},
    {"G02b", "macos27", 0, MAIN("x: fp16[1, 64, 1, ?]" CACHE(1), "y = relu(x = x)", "y"), MAIN("x: fp16[1, 64, 1, ?]" CACHE(1), "y = relu(x = x)", "y"), "macos26"},
    {"G06", "macos27", 0, MAIN("s: state<fp16[1, 8, 16416, 64]>", "r = read_state(input = s)\ny = relu(x = r)", "y"),
     MAIN("s: state<fp16[1, 8, 16384, 64]>", "r = read_state(input = s)\ny = relu(x = r)", "y"), NULL},
    {"G07", "macos27", 0, MAIN("q: fp16[1, 50, 4096, 64], k: fp16[1, 50, 4096, 64]", "s = matmul(x = q, y = k, transpose_y = bool(true))", "s"),
     MAIN("q: fp16[1, 47, 4096, 64], k: fp16[1, 47, 4096, 64]", "s = matmul(x = q, y = k, transpose_y = bool(true))", "s"), NULL},
    {"G07", "macos27", 0, MAIN("q: fp16[1, 25, 4096, 64], p: fp16[1, 25, 4096, 64], k: fp16[1, 25, 4096, 64]", "s = matmul(x = q, y = k, transpose_y = bool(true))\nt = matmul(x = p, y = k, transpose_y = bool(true))", "s, t"),
     MAIN("q: fp16[1, 25, 4096, 64], k: fp16[1, 25, 4096, 64], l: fp16[1, 25, 4096, 64]", "s = matmul(x = q, y = k, transpose_y = bool(true))\nt = matmul(x = q, y = l, transpose_y = bool(true))", "s, t"), NULL},
    {"H07", "macos27", 0, MAIN("x: fp16[1, 16416, 1, 1]", "y = tanh(x = x)", "y"), MAIN("x: fp16[1, 16384, 1, 1]", "y = tanh(x = x)", "y"), NULL},
    {"H07", "macos27", 0, MAIN("x: fp16[1, 28672, 1, 1]", "y = mul(x = x, y = fp16(2))", "y"), MAIN("x: fp16[1, 28672, 1, 1]", "y = mul(x = x, y = x)", "y"), NULL},
    {"G01", "macos27", 0, RELU("1, 64, 1, ?"), RELU("1, 64, 1, 64"), NULL},
    {"G02", "macos26", 0, MAIN("x: fp16[1, 64, 1, ?]" CACHE(1), "y = relu(x = x)", "y"), RELU("1, 64, 1, ?"), NULL},
    {"G05", "macos27", 0, "program 9 default a\nfunc a(" X ") {\n y = relu(x = x)\n} -> (y)\nfunc b(" X ") {\n y = relu(x = x)\n} -> (y)\n", RELU("1, 64, 1, 64"), NULL},
    {"H06", "macos27", 0, MAIN(X, "w: fp16[20000, 64, 1, 1] = constexpr_blockwise_shift_scale(data = " CODES(int4, "20000, 64, 1, 1") ", scale = " CODES(fp16, "20000, 1, 1, 1") ")\ny = conv(x = x, weight = w)", "y"),
     SCALED(int4, "32, 1, 1, 1"), NULL},
    {"N1", "macos27", 0, SCORES(1024, 1024), SCORES(1023, 1023), NULL},
    {"N1", "macos27", 0, SCORES(256, 4096), SCORES(255, 4096), NULL},
    {"N2", "macos27", 0, SCORES(4, 512), SCORES(4, 513), NULL},
    {"N2", "macos27", 0, SCORES(501, 64), SCORES(500, 64), NULL},
    {"X01", "macos27", 0, WEIGHTS(16384, 512), WEIGHTS(16384, 480), NULL},          // 1 MiB a core, 64 KiB less
    {"X01", "macos27:m3", 0, CODED(16384, 1024), CODED(16384, 960), NULL},          // packed bytes count
    {"X01", "macos27:m4", 0, CODED(16384, 3072), CODED(8192, 3072), NULL},          // Phi-4-mini's gate and up, and apart
    {"X01", "macos26:m4pro", 0, CODED(32768, 1536), CODED(32768, 1536), "macos26:m5max"}, // 3 MiB, measured
};
// clang-format on

// Stands for the palette of int8 entries that E08 scales.
#define ENTRIES                                                                                    \
    "entries: int8[32, 64, 1, 1] = constexpr_lut_to_dense(indices = uint4[32, 64, 1, 1]" BLOB      \
    ", lut = int8[1, 1, 1, 1, 16, 1]" BLOB ")\n"

static const PlacementFinding *find(const Placement *p, const char *rule) {
    for (size_t i = 0; i < p->n_functions; i++)
        for (size_t k = 0; k < p->functions[i].n_findings; k++)
            if (strcmp(p->functions[i].findings[k].rule->id, rule) == 0)
                return &p->functions[i].findings[k];
    return NULL;
}

static void judge_text(Placement *out, Arena *arena, const char *text, uint64_t n_bytes,
                       const char *target) {
    const char *use = strstr(text, "data = entries");
    const char *line = use ? strstr(text, "w: fp16") : NULL;
    if (line) text = arena_printf(arena, "%.*s%s%s", (int)(line - text), text, ENTRIES, line).at;
    Err err = {0};
    MilProgram *p = mil_parse(arena, str_of(text), &err);
    // lathe runs no program with open shapes, so the validator refuses them; rules speak of them
    // all the same.
    if (!p || (!strchr(text, '?') && !mil_validate(p, "case", &err)))
        print_message("%s\n%s\n", err.text, text);
    assert_int_equal(err.kind, ERR_NONE);
    PlacementTarget t;
    assert_true(placement_target_read(str_of(target), &t));
    placement_judge(out, arena, p, n_bytes, &t);
}

static void test_rules_speak_and_are_silent(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Placement p;
        judge_text(&p, &arena, cases[i].fires, cases[i].n_bytes, cases[i].target);
        const PlacementFinding *found = find(&p, cases[i].rule);
        if (!found)
            print_message("case %zu: %s is silent about\n%s", i, cases[i].rule, cases[i].fires);
        assert_non_null(found);
        const FunctionPlacement *f = &p.functions[p.n_functions - 1];
        switch (found->rule->effect) {
        case RULE_NOTE: break;
        case RULE_DOUBT: assert_true(f->n_unknown > 0 || f->compute_ane < f->compute_total); break;
        case RULE_ISLAND: assert_true(f->compute_ane < f->compute_total); break;
        case RULE_FAULT: assert_true(f->n_faults > 0); break;
        case RULE_WHOLE: assert_non_null(f->evicted_by); assert_int_equal(f->compute_ane, 0);
        }
        // Nothing but a note leaves a package resident.
        if (found->rule->effect != RULE_NOTE && strcmp(cases[i].rule, "A03") != 0)
            assert_false(placement_is_resident(&p));
        if (cases[i].silent) {
            const char *target = cases[i].silent_target ? cases[i].silent_target : cases[i].target;
            judge_text(&p, &arena, cases[i].silent, cases[i].n_bytes, target);
            if (find(&p, cases[i].rule))
                print_message("case %zu: %s speaks of\n%s", i, cases[i].rule, cases[i].silent);
            assert_null(find(&p, cases[i].rule));
        }
        arena_free(&arena);
    }
}

// A row of convolutions, 386 of which pass (B23).
static void test_number_of_convolutions(void **state) {
    (void)state;
    for (uint32_t n = 386; n <= 387; n++) {
        Arena arena = {0};
        Err err = {0};
        MilProgram *p = mil_program_new(&arena, 9);
        Builder b = builder_begin(p, "main", &err);
        ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, 8, 1, 64));
        ValueId w = build_const_blob(&b, "w", MIL_TENSOR(MIL_F16, 8, 8, 1, 1), (MilPlace){0, 64});
        for (uint32_t i = 0; i < n; i++)
            x = build_conv1x1(&b, arena_printf(&arena, "y%u", i).at, x, w, MIL_NO_VALUE);
        build_output(&b, x);
        assert_true(builder_ok(&b));
        Placement placement;
        PlacementTarget t;
        assert_true(placement_target_read(STR("macos27"), &t));
        placement_judge(&placement, &arena, p, 0, &t);
        assert_int_equal(find(&placement, "B23") != NULL, n > 386);
        assert_int_equal(placement_is_resident(&placement), n <= 386);
        arena_free(&arena);
    }
}

// A program whose weights are in 16 files, which passes, and in 17 (D28).
static void test_number_of_weight_files(void **state) {
    (void)state;
    for (uint32_t n = 16; n <= 17; n++) {
        Arena arena = {0};
        Err err = {0};
        MilProgram *p = mil_program_new(&arena, 9);
        for (uint32_t first = 0; first < n; first += 9) { // two functions
            Builder b = builder_begin(p, first ? "second" : "first", &err);
            ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, 8, 1, 64));
            for (uint32_t i = first; i < n && i < first + 9; i++) {
                ValueId w = build_const_blob(&b, arena_printf(&arena, "w%u", i).at,
                                             MIL_TENSOR(MIL_F16, 8, 8, 1, 1), (MilPlace){i, 64});
                x = build_conv1x1(&b, arena_printf(&arena, "y%u", i).at, x, w, MIL_NO_VALUE);
            }
            build_output(&b, x);
            assert_true(builder_ok(&b));
        }
        Placement placement;
        PlacementTarget t;
        assert_true(placement_target_read(STR("macos26"), &t));
        placement_judge(&placement, &arena, p, 0, &t);
        assert_int_equal(placement.n_files, n);
        assert_int_equal(find(&placement, "D28") != NULL, n > 16);
        assert_int_equal(placement_fits_newest(&placement), n <= 16);
        arena_free(&arena);
    }
}

// Integers made before the graph cut nothing; between two ops of the ANE they are an island.
static void test_integers_before_the_graph_are_no_island(void **state) {
    (void)state;
    static const char before[] =
        MAIN(X ", n: int32[1]",
             "at = concat(values = (n, n, n, n), axis = int32(0))\ny = relu(x = x)", "y");
    static const char between[] =
        MAIN(X ", n: int32[1]",
             "y = relu(x = x)\nat = concat(values = (n, n, n, n), axis = int32(0))", "y");
    Arena arena = {0};
    Placement p;
    judge_text(&p, &arena, before, 0, "macos27");
    assert_true(placement_is_resident(&p));
    assert_int_equal(p.functions[0].n_index, 1);
    assert_int_equal(p.functions[0].compute_ane, 1);
    judge_text(&p, &arena, between, 0, "macos27");
    assert_false(placement_is_resident(&p));
    assert_int_equal(p.functions[0].n_index, 0);
    arena_free(&arena);
}

// Constants, constexpr ops and what is made of constants alone are no work of the run.
static void test_what_is_counted(void **state) {
    (void)state;
    Arena arena = {0};
    Placement p;
    judge_text(&p, &arena,
               MAIN(X,
                    "c: fp16 = const(val = 2)\nd = add(x = c, y = c)\n"
                    "w: fp16[32, 64, 1, 1] = constexpr_blockwise_shift_scale(data = "
                    "int8[32, 64, 1, 1]" BLOB ", scale = fp16[32, 1, 1, 1]" BLOB ")\n"
                    "y = conv(x = x, weight = w)\nz = mul(x = y, y = d)",
                    "z"),
               0, "macos27");
    assert_int_equal(p.functions[0].conv_total, 1);
    assert_int_equal(p.functions[0].compute_total, 2);
    arena_free(&arena);
}

static void test_every_rule_has_a_case_and_a_source(void **state) {
    (void)state;
    for (int r = 0; r < RULE_COUNT; r++) {
        const PlacementRule *rule = &placement_rules[r];
        bool has_case = strcmp(rule->id, "B23") == 0 || // test_number_of_convolutions
                        strcmp(rule->id, "D28") == 0;   // test_number_of_weight_files
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            has_case = has_case || strcmp(cases[i].rule, rule->id) == 0;
        if (!has_case) print_message("no case for %s\n", rule->id);
        assert_true(has_case);
        assert_true(rule->text[0] && rule->seen[0] && rule->source[0]);
        assert_true(rule->first_os <= rule->last_os);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_speak_and_are_silent),
        cmocka_unit_test(test_number_of_convolutions),
        cmocka_unit_test(test_number_of_weight_files),
        cmocka_unit_test(test_integers_before_the_graph_are_no_island),
        cmocka_unit_test(test_what_is_counted),
        cmocka_unit_test(test_every_rule_has_a_case_and_a_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
