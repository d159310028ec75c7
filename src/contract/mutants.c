#include "contract/mutants.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/size.h"
#include "contract/weights.h"

// ---- what the rows of the table are made of

static F32List resized(F32List list, size_t count, Arena *arena) {
    if (list.count == 0 || list.count == count) return list;
    float *items = arena_array(arena, count, float);
    // A list that is too short goes on with its last factor: the one of the slowest pair.
    for (size_t i = 0; i < count; i++) items[i] = list.at[min_size(i, list.count - 1)];
    return (F32List){items, count};
}

static F32List all_ones(size_t count, Arena *arena) {
    float *items = arena_array(arena, count, float);
    for (size_t i = 0; i < count; i++) items[i] = 1;
    return (F32List){items, count};
}

static bool is_ones(F32List list) {
    for (size_t i = 0; i < list.count; i++)
        if (list.at[i] != 1) return false;
    return true;
}

static F32List inverse(F32List list, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = 1 / list.at[i];
    return (F32List){items, list.count};
}

static F32List scaled(F32List list, float by, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = by * list.at[i];
    return (F32List){items, list.count};
}

static F32List reversed(F32List list, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = list.at[list.count - 1 - i];
    return (F32List){items, list.count};
}

// list + by · other, number by number.
static F32List plus(F32List list, float by, F32List other, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = list.at[i] + by * other.at[i];
    return (F32List){items, list.count};
}

static F32List before_softplus(F32List list, Arena *arena) {
    float *items = arena_array(arena, list.count, float);
    for (size_t i = 0; i < list.count; i++) items[i] = logf(expm1f(list.at[i]));
    return (F32List){items, list.count};
}

// The numbers of xIELU as they are stored: the negative side's without the line's.
static F32List bend_alone(const Contract *c, Arena *arena) {
    return plus(c->xielu_alpha_n, -1, c->xielu_beta, arena);
}

static void set_rope_dim(LayerKind *n, uint32_t rope_dim, Arena *arena) {
    F32List *lists[] = {&n->rope_factors_short, &n->rope_factors_long, &n->rope_freq_factors};
    n->rope_dim = rope_dim;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        *lists[i] = resized(*lists[i], rope_dim / 2, arena);
}

// Whether from `least` to `most` dims of a head rotate in every layer.
static bool rotates(const Contract *c, uint32_t least, uint32_t most) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].rope_dim < least || c->kinds[i].rope_dim > most) return false;
    return true;
}

static void halve_rope_dims(Contract *m, Arena *arena) {
    for (uint32_t i = 0; i < contract_n_kinds(m); i++)
        set_rope_dim(&m->kinds[i], m->kinds[i].rope_dim / 4 * 2, arena);
}

static void double_rope_dims(Contract *m, Arena *arena) {
    for (uint32_t i = 0; i < contract_n_kinds(m); i++)
        set_rope_dim(&m->kinds[i], m->kinds[i].rope_dim * 2, arena);
}

static bool can_rotate(const Contract *c, const LayerKind *k, uint32_t quarters) {
    return c->head_dim % 8 == 0 && k->rope_dim && k->rope_dim != c->head_dim / 4 * quarters;
}

static void rotate_quarters(const Contract *m, LayerKind *n, uint32_t quarters, Arena *arena) {
    set_rope_dim(n, m->head_dim / 4 * quarters, arena);
}

static float root_scale(uint32_t dim) {
    return (float)(1.0 / sqrt((double)dim));
}

static bool is_other_scale(const Contract *c, uint32_t dim) {
    return c->attn_scale != root_scale(dim);
}

static void set_scale(Contract *m, uint32_t dim) {
    m->attn_scale = root_scale(dim);
}

// A score scale that follows from head_dim follows the new one.
static void change_heads(Reading *r, uint32_t times, uint32_t over) {
    Contract *m = &r->model.contract;
    bool is_derived = !is_other_scale(m, m->head_dim);
    m->n_heads = m->n_heads * times / over;
    m->n_kv_heads = m->n_kv_heads * times / over;
    m->head_dim = m->head_dim * over / times;
    m->head_dim_v = m->head_dim_v * over / times;
    if (is_derived) set_scale(m, m->head_dim);
}

// A norm of single heads has as many weights as a head has dims: heads cannot be taken for others.
static bool has_head_norm(const Contract *c) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].qk_norm == QK_NORM_HEAD || c->kinds[i].qk_norm == QK_NORM_HEAD_ROTATED)
            return true;
    return false;
}

static bool can_double_heads(const Contract *c) {
    return c->head_dim % 4 == 0 && c->head_dim_v % 2 == 0 && !has_head_norm(c);
}

static bool can_halve_heads(const Contract *c) {
    return c->n_heads % 2 == 0 && c->n_kv_heads % 2 == 0 && !has_head_norm(c);
}

// The layers of a reading are its own copy.
static void swap_rows(Reading *r, size_t a, size_t b) {
    for (uint32_t l = 0; l < r->model.contract.n_layers; l++) {
        char *layer = (char *)&r->model.weights.layers[l];
        Rows rows;
        memcpy(&rows, layer + a, sizeof rows);
        memcpy(layer + a, layer + b, sizeof rows);
        memcpy(layer + b, &rows, sizeof rows);
    }
}

// The weight at `at` in LayerWeights, of layers of kind `kind`: its first rows only, none, or another
// weight's.
static void keep_first_rows(Reading *r, uint32_t kind, size_t at, size_t n_rows) {
    const Contract *c = &r->model.contract;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        if (contract_kind_of(c, l) != kind) continue;
        Rows rows;
        char *place = (char *)&r->model.weights.layers[l] + at;
        memcpy(&rows, place, sizeof rows);
        rows.n_rows = n_rows;
        memcpy(place, n_rows ? &rows : &(Rows){0}, sizeof rows);
    }
}

static void drop_rows(Reading *r, uint32_t kind, size_t at) {
    keep_first_rows(r, kind, at, 0);
}

static void move_rows(Reading *r, uint32_t kind, size_t from, size_t to) {
    const Contract *c = &r->model.contract;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        char *layer = (char *)&r->model.weights.layers[l];
        if (contract_kind_of(c, l) == kind) memcpy(layer + to, layer + from, sizeof(Rows));
    }
    drop_rows(r, kind, from);
}

static void exchange_kinds(Contract *m) {
    LayerKind first = m->kinds[0];
    m->kinds[0] = m->kinds[1];
    m->kinds[1] = first;
}

static uint32_t most_window(const Contract *c) {
    uint32_t a = c->kinds[0].attn_window, b = c->kinds[1].attn_window;
    return a > b ? a : b;
}

static void rotate_everywhere(Contract *m) {
    int from = m->kinds[0].rope_dim == 0;
    LayerKind still = m->kinds[!from];
    uint32_t window = still.attn_window;
    m->kinds[!from] = m->kinds[from];
    m->kinds[!from].attn_window = window;
}

// Whether some layers are scaled as a row for a linear factor scales the others.
static bool is_linear_row(const Contract *c) {
    const LayerKind *k = &c->kinds[c->kinds[0].rope_scaling == ROPE_SCALING_NONE];
    float factor = k->rope_factor;
    return k->rope_scaling == ROPE_SCALING_LINEAR && (factor == 2 || factor == 4 || factor == 8);
}

// A kind that is not scaled gets scaling and factors of the other one, and keeps its base.
static void scale_everywhere(Contract *m) {
    int from = m->kinds[0].rope_scaling == ROPE_SCALING_NONE;
    LayerKind *to = &m->kinds[!from];
    const LayerKind *k = &m->kinds[from];
    to->rope_scaling = k->rope_scaling;
    to->rope_factor = k->rope_factor;
    to->rope_freq_factors = k->rope_freq_factors;
    to->attn_factor = k->attn_factor;
    to->yarn_ext_factor = k->yarn_ext_factor;
    to->yarn_beta_fast = k->yarn_beta_fast;
    to->yarn_beta_slow = k->yarn_beta_slow;
}

static bool is_qkv_stacked(const Reading *r) {
    const LayerWeights *w = &r->model.weights.layers[0];
    return w->q.tensor == w->k.tensor;
}

static void put_k_first(Reading *r) {
    for (uint32_t l = 0; l < r->model.contract.n_layers; l++) {
        LayerWeights *w = &r->model.weights.layers[l];
        w->k.first_row = w->k_bias.first_row = 0;
        w->q.first_row = w->q_bias.first_row = w->k.n_rows;
    }
}

// Bases that the rows for a tenth and for ten times give already, and the base itself.
static bool is_tenfold(float stated, float base) {
    return base == stated || base == stated / 10 || base == stated * 10;
}

static bool is_stretched(const LayerKind *k) {
    return k->rope_scaling == ROPE_SCALING_LINEAR || k->rope_scaling == ROPE_SCALING_YARN;
}

static void scale_linearly(LayerKind *n, float factor) {
    n->rope_scaling = ROPE_SCALING_LINEAR;
    n->rope_factor = factor;
}

// Hugging Face transformers, modeling_rope_utils.py, _compute_llama3_parameters, with the numbers
// of Llama 3.1: factor 8, low 1, high 4, original context 8192.
static void scale_like_llama3(LayerKind *n, Arena *arena) {
    float *factors = arena_array(arena, n->rope_dim / 2, float);
    for (uint32_t i = 0; i < n->rope_dim / 2; i++) {
        double turn = pow((double)n->rope_base, -2.0 * i / n->rope_dim);
        double turns = 8192 * turn / 6.283185307179586; // over the original context
        double smooth = fmin(1, fmax(0, (turns - 1) / (4 - 1)));
        factors[i] = (float)(1 / ((1 - smooth) / 8 + smooth));
    }
    n->rope_scaling = ROPE_SCALING_LLAMA3;
    n->rope_freq_factors = (F32List){factors, n->rope_dim / 2};
}

// LongRoPE's rule (transformers, modeling_rope_utils.py, _compute_longrope_parameters) with the log
// taken `times`; what is stated when the rule gives none.
static float longrope_factor(const Contract *c, const LayerKind *k, double times) {
    double stretch = (double)c->context / c->original_context;
    if (k->rope_scaling != ROPE_SCALING_LONGROPE || stretch <= 1) return k->attn_factor;
    return (float)sqrt(1 + times * log(stretch) / log((double)c->original_context));
}

// The first pair that is scaled at all and the first that is scaled in full (arXiv 2309.00071, section
// 3.2): within one pair of each other betas mean the same.
static double yarn_pair(const Contract *c, const LayerKind *k, float turns) {
    double over = c->original_context / ((double)turns * 6.283185307179586);
    return k->rope_dim * log(over) / (2 * log((double)k->rope_base));
}

static double yarn_first(const Contract *c, const LayerKind *k, float beta_fast) {
    return fmax(0, floor(yarn_pair(c, k, beta_fast)));
}

static double yarn_last(const Contract *c, const LayerKind *k, float beta_slow) {
    return fmin(k->rope_dim - 1.0, ceil(yarn_pair(c, k, beta_slow)));
}

// YaRN's (arXiv 2309.00071, equation 22).
static float yarn_factor(const LayerKind *k) {
    return (float)(1 + 0.1 * log((double)k->rope_factor));
}

static bool has_window(const Contract *c, const LayerKind *k) {
    return k->attn_window > 0 && k->attn_window < c->context;
}

static bool has_yarn(const Contract *c) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].rope_scaling == ROPE_SCALING_YARN) return true;
    return false;
}

// ---- the table

typedef bool Apply(Reading *r, const Contract *c, Arena *arena);

// One function a row: `when` guards `change`.
#define MUTANT(name, field, sight, when, change, doc)                                              \
    static bool apply_##name(Reading *r, const Contract *c, Arena *arena) {                        \
        Contract *m = &r->model.contract;                                                          \
        (void)m, (void)c, (void)arena;                                                             \
        if (!(when)) return false;                                                                 \
        change;                                                                                    \
        return true;                                                                               \
    }
#define LAYER_MUTANT(name, field, sight, when, change, doc)                                        \
    static bool apply_##name(Reading *r, const Contract *c, Arena *arena) {                        \
        Contract *m = &r->model.contract;                                                          \
        bool is_other = false;                                                                     \
        (void)arena;                                                                               \
        for (uint32_t i = 0; i < contract_n_kinds(c); i++) {                                       \
            const LayerKind *k = &c->kinds[i];                                                     \
            LayerKind *n = &m->kinds[i];                                                           \
            if (!(when)) continue;                                                                 \
            change;                                                                                \
            is_other = true;                                                                       \
        }                                                                                          \
        return is_other;                                                                           \
    }
#include "contract/mutants.def"
#undef LAYER_MUTANT
#undef MUTANT

typedef struct {
    ContractMutant mutant;
    Apply *apply;
} MutantRow;

static const MutantRow rows[] = {
#define MUTANT(name, field, sight, when, change, doc)                                              \
    {{#name, FIELD_##field, sight, doc}, apply_##name},
#define LAYER_MUTANT MUTANT
#include "contract/mutants.def"
#undef LAYER_MUTANT
#undef MUTANT
};

const ContractMutant *contract_mutant_at(size_t i) {
    return i < COUNT_OF(rows) ? &rows[i].mutant : NULL;
}

const ContractMutant *contract_mutant_named(Str name) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_is(name, rows[i].mutant.name)) return &rows[i].mutant;
    return NULL;
}

bool contract_mutant_apply(const ContractMutant *mutant, const Model *truth, Reading *out,
                           Arena *arena) {
    *out = (Reading){.model = *truth};
    size_t n_layers = truth->contract.n_layers;
    out->model.weights.layers = arena_array(arena, n_layers, LayerWeights);
    memcpy(out->model.weights.layers, truth->weights.layers, n_layers * sizeof(LayerWeights));
    const MutantRow *row = (const MutantRow *)mutant; // the mutant is its row's first member
    return row->apply(out, &truth->contract, arena);
}
