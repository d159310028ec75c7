// safetensors.c — writes the weights of a checkpoint.
//
//     u64 bytes of the header   JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …}, spaces
//     the tensors' bytes, without gaps; offsets count from here
//
// Source: huggingface/safetensors, README.md ("Format"). Numbers are little-endian.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "huggingface/impl.h"
#include "quant/quant.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are little-endian");

static const struct {
    const char *option, *dtype, *tensor_dtype;
    size_t n_bytes;
} floats[] = {
    [HF_F16] = {"f16", "float16", "F16", 2},
    [HF_BF16] = {"bf16", "bfloat16", "BF16", 2},
    [HF_F32] = {"f32", "float32", "F32", 4},
};

bool hf_float_named(const char *name, HfFloat *number) {
    for (size_t i = 0; i < COUNT_OF(floats); i++)
        if (strcmp(floats[i].option, name) == 0) {
            *number = (HfFloat)i;
            return true;
        }
    return false;
}

size_t hf_float_bytes(HfFloat number) {
    return floats[number].n_bytes;
}

const char *hf_float_dtype(HfFloat number) {
    return floats[number].dtype;
}

static size_t n_weights(const HfTensor *t) {
    return t->n_rows * max_size(t->n_cols, 1);
}

// Gives each tensor its file and its place there.
static void place(HfTensors *tensors, HfFloat number, uint64_t shard_bytes) {
    uint64_t at = 0;
    tensors->n_files = 1;
    for (size_t i = 0; i < tensors->count; i++) {
        HfTensor *t = &tensors->at[i];
        uint64_t n_bytes = n_weights(t) * hf_float_bytes(number);
        if (at && at + n_bytes > shard_bytes) {
            tensors->n_files++;
            at = 0;
        }
        t->file = tensors->n_files - 1;
        t->offset = at;
        at += n_bytes;
        tensors->n_bytes += n_bytes;
    }
}

static const char *file_name(const HfTensors *tensors, size_t file, Arena *arena) {
    if (tensors->n_files == 1) return "model.safetensors";
    return arena_printf(arena, "model-%05zu-of-%05zu.safetensors", file + 1, tensors->n_files).at;
}

// The header's text with its length before it; free() what out->at holds.
static void header_of(const HfTensors *tensors, size_t file, HfFloat number, StrBuf *out) {
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    for (size_t i = 0; i < tensors->count; i++) {
        const HfTensor *t = &tensors->at[i];
        if (t->file != file) continue;
        json_t *shape = json_pack("[I]", (json_int_t)t->n_rows);
        if (t->n_cols) json_array_append_new(shape, json_integer((json_int_t)t->n_cols));
        uint64_t end = t->offset + n_weights(t) * hf_float_bytes(number);
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", floats[number].tensor_dtype,
                                      "shape", shape, "data_offsets", (json_int_t)t->offset,
                                      (json_int_t)end));
    }
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text) die_out_of_memory(0);
    uint64_t n = round_up(strlen(text), 8); // so that the tensors are aligned
    strbuf_add(out, (Str){(const char *)&n, sizeof n});
    strbuf_add(out, str_of(text));
    while ((out->len - sizeof n) % 8) strbuf_add_char(out, ' ');
    free(text);
    json_decref(header);
}

// The row of the part's tensor that row `row` of the checkpoint's tensor is: dims i and i + width / 2
// of a head lie side by side in the file where its pairs are neighbours.
static size_t source_row(const HfTensor *t, size_t part, size_t row) {
    if (!t->n_heads[part]) return row;
    size_t width = t->parts[part].n_rows / t->n_heads[part], half = width / 2;
    size_t head = row / width, dim = row % width;
    return head * width + (dim < half ? 2 * dim : 2 * (dim - half) + 1);
}

static uint16_t bf16_from_f32(float x) {
    uint32_t bits = f32_bits(x);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16); // to nearest, ties to even
}

static bool is_finite_as(HfFloat number, float x) {
    return isfinite(x) && (number != HF_F16 || fabsf(x) < 65520.0f);
}

static void encode(HfFloat number, const float *x, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t half = number == HF_F16 ? half_from_f32(x[i]) : bf16_from_f32(x[i]);
        if (number == HF_F32)
            memcpy(out + 4 * i, &x[i], sizeof x[i]);
        else
            memcpy(out + 2 * i, &half, sizeof half);
    }
}

typedef struct {
    int fd;
    const char *path;
    uint64_t at; // of the next bytes in the file
    HfFloat number;
    float *row;     // room for a row, or for a whole vector of the file
    uint8_t *bytes; // the same, encoded
} WeightWriter;

static bool write_row(WeightWriter *w, const HfTensor *t, const float *x, size_t n, Err *err) {
    for (size_t i = 0; i < n; i++)
        if (!is_finite_as(w->number, x[i]))
            return err_set(err, ERR_FORMAT, "tensor '%s': weight %g is no finite %s%s", t->name,
                           (double)x[i], floats[w->number].option,
                           isfinite(x[i]) ? "; ask for --dtype bf16 or f32" : "");
    encode(w->number, x, n, w->bytes);
    bool ok = file_write_at(w->fd, w->at, w->bytes, n * hf_float_bytes(w->number), w->path, err);
    w->at += n * hf_float_bytes(w->number);
    return ok;
}

static bool write_part(WeightWriter *w, const HfTensor *t, size_t part, Err *err) {
    Rows rows = t->parts[part];
    size_t n_cols = max_size(t->n_cols, 1);
    if (!t->n_cols && rows.tensor) decode_row(rows.tensor, 0, w->row);
    for (size_t r = 0; r < rows.n_rows; r++) {
        size_t row = rows.first_row + source_row(t, part, r);
        if (!rows.tensor)
            memset(w->row, 0, n_cols * sizeof *w->row);
        else if (t->n_cols)
            decode_row(rows.tensor, row, w->row);
        if (!write_row(w, t, t->n_cols || !rows.tensor ? w->row : w->row + row, n_cols, err))
            return false;
    }
    return true;
}

static size_t longest_row(const HfTensors *tensors) {
    size_t most = 1;
    for (size_t i = 0; i < tensors->count; i++)
        for (size_t p = 0; p < tensors->at[i].n_parts; p++)
            if (tensors->at[i].parts[p].tensor)
                most = max_size(most, tensors->at[i].parts[p].tensor->dims[0]);
    return most;
}

static bool write_tensors(WeightWriter *w, const HfTensors *tensors, size_t file,
                          const Progress *progress, uint64_t *done, Err *err) {
    for (size_t i = 0; i < tensors->count; i++) {
        const HfTensor *t = &tensors->at[i];
        if (t->file != file) continue;
        for (size_t part = 0; part < t->n_parts; part++)
            if (!write_part(w, t, part, err)) return false;
        *done += n_weights(t) * hf_float_bytes(w->number);
        if (!progress_step(progress, "weights", *done, tensors->n_bytes, err)) return false;
    }
    return true;
}

static bool write_file(const char *path, const HfTensors *tensors, size_t file, HfFloat number,
                       const Progress *progress, uint64_t *done, Err *err) {
    size_t most = longest_row(tensors);
    WeightWriter w = {.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666),
                      .path = path,
                      .number = number,
                      .row = malloc(most * sizeof(float)),
                      .bytes = malloc(most * sizeof(float))};
    if (!w.row || !w.bytes) die_out_of_memory(most * sizeof(float));
    StrBuf header = {0};
    header_of(tensors, file, number, &header);
    bool ok = w.fd >= 0 || err_set(err, ERR_SYSTEM, "%s: %s", path, strerror(errno));
    ok = ok && file_write_at(w.fd, 0, header.at, header.len, path, err);
    w.at = header.len;
    ok = ok && write_tensors(&w, tensors, file, progress, done, err);
    ok = ok && (fsync(w.fd) == 0 || err_set(err, ERR_SYSTEM, "%s: %s", path, strerror(errno)));
    if (w.fd >= 0 && close(w.fd) != 0 && ok)
        ok = err_set(err, ERR_SYSTEM, "%s: %s", path, strerror(errno));
    strbuf_free(&header);
    free(w.row);
    free(w.bytes);
    return ok;
}

static bool write_index(const char *dir, const HfTensors *tensors, Arena *arena, Err *err) {
    json_t *map = json_object();
    for (size_t i = 0; i < tensors->count; i++)
        json_object_set_new(map, tensors->at[i].name,
                            json_string(file_name(tensors, tensors->at[i].file, arena)));
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                              (json_int_t)tensors->n_bytes, "weight_map", map);
    bool ok = json_write_file(index, path_join(arena, dir, "model.safetensors.index.json"), err);
    json_decref(index);
    return ok;
}

bool hf_write_weights(const char *dir, HfTensors *tensors, HfFloat number, uint64_t shard_bytes,
                      const Progress *progress, Arena *arena, Err *err) {
    place(tensors, number, shard_bytes);
    uint64_t done = 0;
    for (size_t file = 0; file < tensors->n_files; file++) {
        const char *path = path_join(arena, dir, file_name(tensors, file, arena));
        if (!write_file(path, tensors, file, number, progress, &done, err)) return false;
    }
    return tensors->n_files == 1 || write_index(dir, tensors, arena, err);
}
