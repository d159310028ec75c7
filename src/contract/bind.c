// bind.c — tensor names become typed places, once; after this no code looks at a name.
//
// Which tensors there are, of what shapes, is weights.def. A weight has a tensor of its own or is
// some rows of a stack, where converters put weights that read the same input into one tensor.
#include <string.h>

#include "base/size.h"
#include "contract/read.h"
#include "contract/weights.h"

typedef struct {
    ContractReader *r;
    uint32_t layer;
    const LayerKind *kind;
    LayerWeights *weights;
} Layer;

static const char *layer_name(ContractReader *r, uint32_t layer, const char *what) {
    return arena_printf(r->arena, "blk.%u.%s", layer, what).at;
}

static const TensorInfo *find_layer_tensor(const Layer *l, const char *what) {
    return gguf_find_tensor(l->r->g, str_of(layer_name(l->r, l->layer, what)));
}

typedef enum { NEVER, IF_THERE, ALWAYS } Presence;

// Of layers of kind `k`. What never is there is left unread, and so refused where a file has it.
static Presence presence_of(const ContractReader *r, int role, const LayerKind *k) {
    const WeightInfo *info = &weight_infos[role];
    if (!weight_is_in((WeightRole)role, k)) return NEVER;
    if (info->presence == FIELD_COUNT) return ALWAYS;
    uint64_t bit = UINT64_C(1) << info->presence;
    return r->arch->must_have & bit ? ALWAYS : r->arch->may_have & bit ? IF_THERE : NEVER;
}

static void put_rows(void *all, const WeightInfo *info, Rows rows) {
    memcpy((char *)all + info->at, &rows, sizeof rows);
}

// One past the last weight that shares a stack with `first`; first + 1 where it has none.
static int end_of_stack(int first) {
    const char *stack = weight_infos[first].stack;
    int end = first + 1;
    while (*stack && end < WEIGHT_COUNT && strcmp(weight_infos[end].stack, stack) == 0) end++;
    return end;
}

// Whether the file has the weights [first, end) of a layer in one tensor: it has that one, and not
// the first weight's own.
static bool is_stacked(const Layer *l, int first, int end) {
    const char *stack = weight_infos[first].stack;
    if (presence_of(l->r, first, l->kind) == NEVER) return false;
    if (!*stack || !find_layer_tensor(l, stack)) return false;
    if (find_layer_tensor(l, weight_infos[first].tensor)) return false;
    for (int i = first; i < end; i++)
        if (strcmp(weight_infos[i].tensor, stack) == 0) return l->r->arch->may_stack_gate_up;
    return true;
}

static void bind_stack(const Layer *l, int first, int end) {
    const Contract *c = &l->r->model->contract;
    size_t n_rows = 0, n_cols = weight_dim(c, weight_infos[first].n_cols);
    for (int i = first; i < end; i++) n_rows += weight_dim(c, weight_infos[i].n_rows);
    const char *name = layer_name(l->r, l->layer, weight_infos[first].stack);
    const TensorInfo *t =
        n_cols ? need_tensor(l->r, name, n_cols, n_rows) : need_tensor(l->r, name, n_rows, 0);
    n_rows = 0;
    for (int i = first; i < end; i++) {
        size_t n = weight_dim(c, weight_infos[i].n_rows);
        put_rows(l->weights, &weight_infos[i], (Rows){t, n_rows, n});
        n_rows += n;
    }
}

// A tensor with the shape of the weight's row, or nothing where it may be missing and is.
static Rows bind_own(ContractReader *r, int role, const LayerKind *k, const char *name) {
    const Contract *c = &r->model->contract;
    const WeightInfo *info = &weight_infos[role];
    size_t n_rows = weight_dim(c, info->n_rows), n_cols = weight_dim(c, info->n_cols);
    Presence presence = presence_of(r, role, k);
    if (presence == NEVER) return (Rows){0};
    if (presence == IF_THERE && !gguf_find_tensor(r->g, str_of(name))) return (Rows){0};
    const TensorInfo *t =
        n_cols ? need_tensor(r, name, n_cols, n_rows) : need_tensor(r, name, n_rows, 0);
    return (Rows){t, 0, n_rows};
}

// The tensor that holds nothing but the weight.
static const char *own_tensor(const ContractReader *r, int role) {
    return weight_tensor(r->model->contract.architecture, (WeightRole)role);
}

// Weights of one stack are there together or not at all.
static void check_stack(const Layer *l, int first, int end) {
    StrBuf names = {0};
    int n_there = 0;
    for (int i = first; i < end; i++) {
        const char *separator = i == first ? "" : i + 1 == end ? " and " : ", ";
        n_there += find_layer_tensor(l, weight_infos[i].tensor) != NULL;
        strbuf_printf(&names, "%s%s", separator, weight_infos[i].tensor);
    }
    if (n_there != 0 && n_there != end - first)
        reader_fail(l->r, "layer %u: some of %.*s are missing", l->layer,
                    STR_ARG(strbuf_str(&names)));
    strbuf_free(&names);
}

static void bind_layer(const Layer *l) {
    for (int first = 0, end; first < WEIGHT_COUNT && !l->r->failed; first = end) {
        const WeightInfo *info = &weight_infos[first];
        end = end_of_stack(first);
        if (!info->is_layer) continue;
        if (is_stacked(l, first, end)) {
            bind_stack(l, first, end);
            continue;
        }
        for (int i = first; i < end; i++)
            put_rows(l->weights, &weight_infos[i],
                     bind_own(l->r, i, l->kind, layer_name(l->r, l->layer, own_tensor(l->r, i))));
        if (info->presence != FIELD_COUNT) check_stack(l, first, end);
    }
}

// Of a weight that is no layer's: a field of the model, or one that layers have already given.
static void read_model_presence(ContractReader *r, WeightRole role) {
    FieldId field = weight_infos[role].presence;
    const TensorInfo *t = weight_rows(&r->model->weights, role, 0).tensor;
    bool *has = field_place(&r->model->contract, field);
    if (!field_rows[field].is_layer) {
        *has = t != NULL;
        reader_source(r, field, SOURCE_TENSOR, t ? t->name : STR("no such tensor"));
    } else if (*has != (t != NULL)) {
        reader_fail(r, "tensor '%s' is %s, but norms of layers have %s bias",
                    weight_infos[role].tensor, t ? "there" : "missing", *has ? "a" : "no");
    }
}

// Layers of a kind have the same weights; whether they have one that may be missing is a field of
// the kind, by its first layer.
static void read_presence(ContractReader *r, WeightRole role) {
    const WeightInfo *info = &weight_infos[role];
    Contract *c = &r->model->contract;
    if (!info->is_layer) {
        read_model_presence(r, role);
        return;
    }
    uint32_t first[CONTRACT_MAX_KINDS];
    for (uint32_t i = 0; i < contract_n_kinds(c); i++) first[i] = c->n_layers; // none yet
    for (uint32_t i = 0; i < c->n_layers; i++) {
        uint32_t kind = contract_kind_of(c, i);
        if (!weight_is_in(role, &c->kinds[kind])) continue;
        const TensorInfo *t = weight_rows(&r->model->weights, role, i).tensor;
        bool *has = (bool *)field_place_of_kind(c, info->presence, kind);
        if (first[kind] == c->n_layers) {
            first[kind] = i;
            *has = t != NULL;
            reader_source(r, info->presence, SOURCE_TENSOR, t ? t->name : STR("no such tensor"));
        } else if (*has != (t != NULL)) {
            reader_fail(r, "layers %u and %u differ in which projections have a bias", first[kind],
                        i);
        }
    }
}

// Those of the model; the head's matrix is the embedding's where the file has none.
static void bind_model(ContractReader *r) {
    ModelWeights *w = &r->model->weights;
    Contract *c = &r->model->contract;
    const char *head = weight_infos[WEIGHT_head].tensor;
    c->is_head_tied = !gguf_find_tensor(r->g, str_of(head));
    reader_source(r, FIELD_is_head_tied, SOURCE_TENSOR,
                  c->is_head_tied ? arena_printf(r->arena, "no %s", head) : str_of(head));
    for (int role = 0; role < WEIGHT_COUNT; role++) {
        if (weight_infos[role].is_layer || (role == WEIGHT_head && c->is_head_tied)) continue;
        put_rows(w, &weight_infos[role],
                 bind_own(r, role, &c->kinds[0], weight_infos[role].tensor));
    }
    if (c->is_head_tied) w->head = w->embedding;
}

void bind_weights(ContractReader *r) {
    ModelWeights *w = &r->model->weights;
    Contract *c = &r->model->contract;
    bind_model(r);
    w->layers = arena_array(r->arena, c->n_layers, LayerWeights);
    for (uint32_t i = 0; i < c->n_layers && !r->failed; i++)
        bind_layer(&(Layer){r, i, contract_layer(c, i), &w->layers[i]});
    // Fields of layers first, by which the model's norm is judged.
    for (int is_layer = 1; is_layer >= 0; is_layer--)
        for (int role = 0; role < WEIGHT_COUNT && !r->failed; role = end_of_stack(role))
            if (weight_infos[role].presence != FIELD_COUNT &&
                weight_infos[role].is_layer == (bool)is_layer)
                read_presence(r, (WeightRole)role);
}
