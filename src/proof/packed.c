// packed.c — reads a bundle's weights as the reference asks for them: row by row, in the source's
// order, decoded from weight.bin by the table in chain.json.
//
// The compiler has its own code for how weights are stored in a package (pack.c); the two are
// independent.
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/reader.h"
#include "contract/fields.h"
#include "proof/packed.h"
#include "proof/proof.h"

typedef struct Place Place;
struct Place {
    const ChainTensor *tensor;
    const ChainPart *part;
    const int8_t *codes;   // int8 forms: [n_rows, n_cols]
    const uint8_t *halves; // fp16 form
    const uint8_t *scales; // binary16, one a row or one for all
    Place *next;           // the rows after these, of the same matrix; NULL: none
};

struct PackedWeights {
    const Contract *contract;
    Place **places; // [n_layers][WEIGHT_COUNT]: the first rows of each matrix
    Place *head, *head_bias, *output_norm, *output_norm_bias;
};

static const MilValue *find_named(const MilFunction *f, Str name) {
    for (uint32_t i = 0; i < f->n_values; i++)
        if (str_eq(f->values[i].name, name)) return &f->values[i];
    return NULL;
}

static bool wrong(const ChainTensor *t, const char *what, Err *err) {
    return err_set(err, ERR_GATE, "weight '%.*s': %s", STR_ARG(t->name), what);
}

// Where a tensor's data lies in its package: the named value must be a constant, or unpacked from
// one by constexpr_blockwise_shift_scale.
static bool locate(Place *place, const Package *package, const ChainTensor *t, Err *err) {
    const MilFunction *f = NULL;
    const MilValue *v = NULL;
    for (uint32_t i = 0; i < package->program->n_functions && !v; i++) {
        f = package->program->functions[i];
        v = find_named(f, t->name);
    }
    if (!v) return wrong(t, "chain.json lists it, but no function of its package contains it", err);
    size_t count, n_bytes;
    if (!mil_type_count(&v->type, &count) || count != (size_t)t->n_rows * t->n_cols)
        return wrong(t, "its shape is not the one chain.json states", err);
    place->tensor = t;
    if (v->data) {
        if (v->type.dtype != MIL_F16) return wrong(t, "a constant that is not fp16", err);
        place->halves = package_data(package, v, &n_bytes);
        return true;
    }
    const MilOp *op = v->op == MIL_NO_OP ? NULL : &f->ops[v->op];
    if (!op || op->info->opcode != MIL_OP_constexpr_blockwise_shift_scale)
        return wrong(t, "neither a constant nor computed from packed codes", err);
    const MilValue *data = mil_value(f, mil_operand(f, op, mil_param(op->info, "data")));
    const MilValue *scale = mil_value(f, mil_operand(f, op, mil_param(op->info, "scale")));
    if (!data->data || !scale->data || data->type.dtype != MIL_I8 || scale->type.dtype != MIL_F16)
        return wrong(t, "not int8 codes with fp16 scales", err);
    size_t n_scales, wanted = str_is(t->form, "int8-tensor") ? 1 : t->n_rows;
    if (!mil_type_count(&scale->type, &n_scales) || n_scales != wanted ||
        scale->type.dims[0] != (int64_t)wanted)
        return wrong(t, "its scales are neither one per row nor one for all rows", err);
    place->codes = package_data(package, data, &n_bytes);
    place->scales = package_data(package, scale, &n_bytes);
    return true;
}

// A matrix may be cut by rows: its pieces are listed in the order of rows.
static bool add_rows(Place **first, Place *rows, Err *err) {
    const ChainPart *before = NULL;
    for (; *first; first = &(*first)->next) before = (*first)->part;
    if (before && (!str_eq(rows->part->source, before->source) ||
                   rows->part->source_first_row != before->source_first_row + before->n_rows))
        return wrong(rows->tensor, "its rows do not follow those of the piece before it", err);
    *first = rows;
    return true;
}

static bool place_part(PackedWeights *w, const Place *place, const ChainPart *part, Arena *arena,
                       Err *err) {
    const ChainTensor *t = place->tensor;
    Place *here = arena_new(arena, Place);
    *here = *place;
    here->part = part;
    for (int role = 0; role < WEIGHT_COUNT; role++) {
        // The host's table is the source's (packed_weight_row).
        if (role == WEIGHT_embedding || !str_is(part->role, weight_infos[role].name)) continue;
        if (role == WEIGHT_output_norm) return add_rows(&w->output_norm, here, err);
        if (role == WEIGHT_output_norm_bias) return add_rows(&w->output_norm_bias, here, err);
        if (role == WEIGHT_head_bias) return add_rows(&w->head_bias, here, err);
        if (role == WEIGHT_head) return add_rows(&w->head, here, err);
        if (t->layer >= w->contract->n_layers)
            return wrong(t, "of a layer that the model does not have", err);
        return add_rows(&w->places[(size_t)t->layer * WEIGHT_COUNT + (size_t)role], here, err);
    }
    return wrong(t, "a part of unknown role", err);
}

static size_t count_rows(const Place *first) {
    size_t n = 0;
    for (; first; first = first->next) n += first->part->n_rows;
    return n;
}

// Whether layers of `kind` have the weight; of the model's own weights the first kind says it.
static bool is_in(const Contract *c, WeightRole role, uint32_t kind) {
    FieldId presence = weight_infos[role].presence;
    bool is_claimed = weight_is_in(role, &c->kinds[kind]);
    return is_claimed &&
           (presence == FIELD_COUNT || *(const bool *)field_at_kind(c, presence, kind));
}

static bool check_bias(const Contract *c, WeightRole role, const Place *place, Err *err) {
    size_t found = count_rows(place);
    size_t wanted = is_in(c, role, 0) ? weight_dim(c, weight_infos[role].n_rows) : 0;
    if (found == wanted) return true;
    return err_set(err, ERR_GATE, "the bundle's '%s' has %zu rows, expected %zu",
                   weight_infos[role].name, found, wanted);
}

// The rows the reference will ask for: a part of fewer would be read beyond its end.
static bool check_complete(PackedWeights *w, Err *err) {
    const Contract *c = w->contract;
    for (uint32_t layer = 0; layer < c->n_layers; layer++)
        for (int role = 0; role < WEIGHT_COUNT; role++) {
            const WeightInfo *info = &weight_infos[role];
            const Place *place = w->places[(size_t)layer * WEIGHT_COUNT + (size_t)role];
            uint32_t kind = contract_kind_of(c, layer);
            if (!info->is_layer || !is_in(c, (WeightRole)role, kind)) continue;
            if (count_rows(place) != weight_dim(c, info->n_rows))
                return err_set(err, ERR_GATE,
                               "layer %u: the bundle's '%s' is missing or incomplete", layer,
                               info->name);
        }
    size_t rows = count_rows(w->head);
    if (rows != c->n_vocab || !w->output_norm)
        return err_set(err, ERR_GATE, "the bundle's head has %zu rows, expected %u", rows,
                       c->n_vocab);
    return check_bias(c, WEIGHT_head_bias, w->head_bias, err) &&
           check_bias(c, WEIGHT_output_norm_bias, w->output_norm_bias, err);
}

PackedWeights *packed_weights_open(Proof *p, Err *err) {
    PackedWeights *w = arena_new(p->arena, PackedWeights);
    w->contract = &p->bundle.chain.contract;
    w->places = arena_array(p->arena, (size_t)w->contract->n_layers * WEIGHT_COUNT, Place *);
    for (size_t s = 0; s < p->bundle.chain.n_shards; s++) {
        const ChainShard *shard = &p->bundle.chain.shards[s];
        for (size_t i = 0; i < shard->n_tensors; i++) {
            Place place = {0};
            if (!locate(&place, &p->bundle.packages[s], &shard->tensors[i], err)) return NULL;
            for (size_t k = 0; k < shard->tensors[i].n_parts; k++)
                if (!place_part(w, &place, &shard->tensors[i].parts[k], p->arena, err)) return NULL;
        }
    }
    return check_complete(w, err) ? w : NULL;
}

// Where row `row` of the source lies in a part whose rotated pairs were pulled apart.
static size_t packed_row(const Contract *c, const Place *place, size_t row) {
    const ChainPart *part = place->part;
    if (!part->is_deinterleaved) return part->first_row + row;
    size_t head = row / c->head_dim, dim = row % c->head_dim;
    size_t rope_dim = contract_layer(c, place->tensor->layer)->rope_dim;
    if (dim < rope_dim) dim = dim % 2 ? rope_dim / 2 + dim / 2 : dim / 2;
    return part->first_row + head * c->head_dim + dim;
}

static float weight_at(const Place *place, size_t row, size_t col) {
    size_t at = row * place->tensor->n_cols + col;
    if (place->halves) return f32_from_half((uint16_t)load_le(place->halves + 2 * at, 2));
    size_t scale = str_is(place->tensor->form, "int8-tensor") ? 0 : row;
    return (float)place->codes[at] * f32_from_half((uint16_t)load_le(place->scales + 2 * scale, 2));
}

// Where a matrix or vector lies; `row` becomes the one within its part.
static const Place *find_place(const PackedWeights *w, WeightRole role, uint32_t layer,
                               size_t *row) {
    if (role == WEIGHT_output_norm) return w->output_norm;
    if (role == WEIGHT_output_norm_bias) return w->output_norm_bias;
    const Place *place = role == WEIGHT_head ? w->head
                         : role == WEIGHT_head_bias
                             ? w->head_bias
                             : w->places[(size_t)layer * WEIGHT_COUNT + (size_t)role];
    for (; place && *row >= place->part->n_rows && place->next; place = place->next)
        *row -= place->part->n_rows;
    return place;
}

bool packed_weight_is_there(const PackedWeights *w, WeightRole role, uint32_t layer) {
    size_t row = 0;
    return find_place(w, role, layer, &row) != NULL;
}

PackedPlace packed_weight_place(const PackedWeights *w, WeightRole role, uint32_t layer,
                                size_t row) {
    const Place *place = find_place(w, role, layer, &row);
    return (PackedPlace){place->tensor, place->part};
}

double packed_weight_slack(const PackedWeights *w, WeightRole role, uint32_t layer, size_t row,
                           float value) {
    const Place *place = find_place(w, role, layer, &row);
    double factor = (double)place->part->factor;
    if (place->codes) {
        size_t at =
            str_is(place->tensor->form, "int8-tensor") ? 0 : packed_row(w->contract, place, row);
        return 0.5 * (double)f32_from_half((uint16_t)load_le(place->scales + 2 * at, 2)) / factor;
    }
    // Half a unit of a binary16's last place; of a subnormal, 2^-25.
    double stored = fabs((double)value + (double)place->tensor->offset) * factor;
    return fmax(ldexp(stored, -11), 0x1p-25) / factor;
}

bool packed_weight_row(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                       size_t n) {
    const PackedWeights *w = context;
    if (role == WEIGHT_embedding) return false; // the host's table is the source's
    const Place *place = find_place(w, role, layer, &row);
    if (!place) return false;
    // Factors are powers of two, so taking them out again loses nothing.
    float factor = place->part->factor;
    if (place->tensor->n_cols == 1) { // a vector: its weights are rows
        for (size_t i = 0; i < n; i++)
            out[i] = weight_at(place, packed_row(w->contract, place, i), 0) / factor -
                     place->tensor->offset;
        return true;
    }
    size_t at = packed_row(w->contract, place, row);
    for (size_t i = 0; i < n; i++) out[i] = weight_at(place, at, i) / factor;
    return true;
}
