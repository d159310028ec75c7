// folder_tensors.c — tensors of a checkpoint as those of a GGUF file of the architecture (forms.def, names.def).
#include <stdlib.h>

#include "base/size.h"
#include "contract/contract_keys.h"
#include "huggingface/folder_impl.h"
#include "huggingface/impl.h"
#include "quant/quant.h"

typedef struct {
    const Contract *c;
    const HfForm *form;
    Arena *arena;
    TensorInfo *out;
    size_t count;
    Err *err;
} Mapper;

static bool fail(const Mapper *m, const TensorInfo *t, const char *what) {
    return err_set(m->err, ERR_FORMAT, "tensor '%.*s': %s", STR_ARG(t->name), what);
}

// "model.layers.N.": N, and what follows. False for another name, or a number that is none.
static bool layer_of(Str name, uint32_t *layer, Str *rest) {
    Str head = STR("model.layers.");
    if (!str_starts(name, head)) return false;
    size_t at = head.len, first = at;
    uint64_t n = 0;
    while (at < name.len && name.at[at] >= '0' && name.at[at] <= '9' && at - first < 6)
        n = 10 * n + (uint64_t)(name.at[at++] - '0');
    if (at == first || at == name.len || name.at[at] != '.') return false;
    *layer = (uint32_t)n;
    *rest = (Str){name.at + at + 1, name.len - at - 1};
    return true;
}

static uint32_t heads_of(const Mapper *m, WeightRole role) {
    bool is_q = role == WEIGHT_q || role == WEIGHT_q_bias;
    bool is_k = role == WEIGHT_k || role == WEIGHT_k_bias;
    return is_q ? m->c->n_heads : is_k ? m->c->n_kv_heads : 0;
}

// Dims i and i + width / 2 of each head become neighbours.
static void permute(const Mapper *m, TensorInfo *t, uint32_t n_heads) {
    size_t n_rows = t->n_dims == 1 ? t->dims[0] : t->dims[1], width = n_rows / n_heads;
    if (n_rows % n_heads || width % 2) return; // the reader refuses the shape
    size_t n_bytes = t->n_bytes / n_rows;
    uint8_t *rows = arena_array(m->arena, t->n_bytes, uint8_t);
    for (size_t row = 0; row < n_rows; row++) {
        size_t dim = row % width, from = row - dim + dim / 2 + (dim % 2 ? width / 2 : 0);
        memcpy(rows + row * n_bytes, t->data + from * n_bytes, n_bytes);
    }
    t->data = rows;
}

static void add_one(const Mapper *m, TensorInfo *t) {
    float *values = arena_array(m->arena, t->dims[0], float);
    decode_row(t, 0, values);
    for (size_t i = 0; i < t->dims[0]; i++) values[i] += 1;
    t->type = block_type_named("F32");
    t->n_bytes = t->n_weights * sizeof *values;
    t->data = (const uint8_t *)values;
}

// Where the file leaves a tensor between two of its numbers.
static void align(const Mapper *m, TensorInfo *t) {
    if ((uintptr_t)t->data % t->type->n_bytes == 0) return;
    uint8_t *copy = arena_array(m->arena, t->n_bytes, uint8_t);
    memcpy(copy, t->data, t->n_bytes);
    t->data = copy;
}

static void put(Mapper *m, const TensorInfo *from, Str name, WeightRole role) {
    TensorInfo *t = &m->out[m->count++];
    *t = *from;
    t->name = name;
    align(m, t);
    if (m->form->permutes_pairs && heads_of(m, role)) permute(m, t, heads_of(m, role));
    if (m->form->norms_lack_one && weight_infos[role].kind == WEIGHT_IS_NORM && t->n_dims == 1)
        add_one(m, t);
}

static const TensorInfo *find(const Checkpoint *files, size_t n_files, const char *name) {
    for (size_t f = 0; f < n_files; f++)
        for (size_t i = 0; i < files[f].count; i++)
            if (str_is(files[f].at[i].name, name)) return &files[f].at[i];
    return NULL;
}

// transformers does not look at the head of a tied model. A file may hold it once more, but not another one.
static bool check_tied_head(const Mapper *m, const TensorInfo *head, const TensorInfo *table) {
    bool is_same = table && head->n_bytes == table->n_bytes &&
                   memcmp(head->data, table->data, head->n_bytes) == 0;
    return is_same ||
           fail(
               m, head,
               "differs from the embedding table, but config.json ties both (tie_word_embeddings); "
               "transformers computes with the table: take one of the two out");
}

static bool map_tensor(Mapper *m, const TensorInfo *t, const TensorInfo *table) {
    static const Str rotary = {".rotary_emb.inv_freq", sizeof ".rotary_emb.inv_freq" - 1};
    uint32_t layer = 0;
    Str rest = t->name;
    bool is_layer = layer_of(t->name, &layer, &rest), is_stack;
    Architecture a = m->c->architecture;
    if (is_layer && str_ends(rest, rotary)) return true; // angles follow from the contract
    WeightRole role = hf_weight_named(a, is_layer, rest, &is_stack);
    if (role == WEIGHT_COUNT)
        return fail(m, t, "lathe knows no such weight of this class of transformers");
    if (is_layer && layer >= m->c->n_layers)
        return fail(m, t, "config.json (num_hidden_layers) has fewer layers");
    if (role == WEIGHT_head && m->c->is_head_tied) return check_tied_head(m, t, table);
    const char *name = is_stack ? weight_infos[role].stack : weight_tensor(a, role);
    put(m, t, is_layer ? arena_printf(m->arena, "blk.%u.%s", layer, name) : str_of(name), role);
    return true;
}

bool folder_put_tensors(Gguf *g, Arena *arena, const Stated *stated, const Checkpoint *files,
                        size_t n_files, Err *err) {
    size_t room = CONTRACT_MAX_FACTORS;
    for (size_t f = 0; f < n_files; f++) room += files[f].count;
    Mapper m = {.c = &stated->values,
                .form = hf_form(stated->values.architecture),
                .arena = arena,
                .out = arena_array(arena, room, TensorInfo),
                .err = err};
    if (!m.form)
        return err_set(
            err, ERR_FORMAT,
            "lathe does not know how folders hold the weights of %.*s; use a GGUF file of "
            "the model",
            STR_ARG(stated->model_type));
    const char *table = hf_weight_name(m.c->architecture, WEIGHT_embedding);
    const TensorInfo *embedding = find(files, n_files, table);
    for (size_t f = 0; f < n_files; f++)
        for (size_t i = 0; i < files[f].count; i++)
            if (!map_tensor(&m, &files[f].at[i], embedding)) return false;
    m.count += contract_factor_tensors(stated, m.out + m.count);
    return gguf_put_tensors(g, arena, m.out, m.count, err);
}
