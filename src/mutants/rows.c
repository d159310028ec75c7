// rows.c — makes the tensors of a shard from wrong rows, after the right ones were recorded for
// chain.json.
#include <stddef.h>
#include <string.h>

#include "base/size.h"
#include "contract/weights.h"
#include "mutants/bundle_mutants.h"

static PackedTensor *layer_tensor(CompiledShard *shard, uint32_t layer, PackedSlot slot) {
    const ShardRange *r = &shard->range;
    if (layer < r->first_layer || layer >= r->end_layer) return NULL;
    return &shard->tensors[(layer - r->first_layer) * PACKED_PER_LAYER + slot];
}

// The tensors after those of the layers: the final norm and its bias, then slices of the head, each
// with its bias.
static PackedTensor *head_tensors(CompiledShard *shard, size_t *n) {
    size_t first = (size_t)(shard->range.end_layer - shard->range.first_layer) * PACKED_PER_LAYER;
    *n = shard->n_tensors - first;
    return shard->tensors + first;
}

// The rows of `layer` that play the part's role.
static Rows rows_of(const Model *model, uint32_t layer, const char *role) {
    for (int i = 0; i < WEIGHT_COUNT; i++)
        if (weight_infos[i].is_layer && strcmp(weight_infos[i].name, role) == 0)
            return weight_rows(&model->weights, (WeightRole)i, layer);
    return (Rows){0};
}

static bool take_from(PackedTensor *t, const Model *model, uint32_t layer) {
    if (!t) return false;
    for (size_t i = 0; i < t->n_parts; i++)
        t->parts[i].rows = rows_of(model, layer, t->parts[i].role);
    return true;
}

static uint32_t next_layer(const Model *model) {
    return MUTANT_LAYER + 1 < model->contract.n_layers ? MUTANT_LAYER + 1 : MUTANT_LAYER - 1;
}

bool edit_layers_exchanged(CompiledShard *shard, const Model *model) {
    bool is_put = false;
    if (MUTANT_LAYER >= model->contract.n_layers) return false;
    for (int slot = 0; slot < PACKED_PER_LAYER; slot++) {
        is_put |=
            take_from(layer_tensor(shard, MUTANT_LAYER, (PackedSlot)slot), model, MUTANT_LAYER - 1);
        is_put |=
            take_from(layer_tensor(shard, MUTANT_LAYER - 1, (PackedSlot)slot), model, MUTANT_LAYER);
    }
    return is_put;
}

bool edit_down_of_the_next_layer(CompiledShard *shard, const Model *model) {
    return take_from(layer_tensor(shard, MUTANT_LAYER, PACKED_DOWN), model, next_layer(model));
}

bool edit_attn_out_of_the_next_layer(CompiledShard *shard, const Model *model) {
    return take_from(layer_tensor(shard, MUTANT_LAYER, PACKED_ATTN_OUT), model, next_layer(model));
}

bool edit_norm_plus_1(CompiledShard *shard, const Model *model) {
    (void)model;
    PackedTensor *t = layer_tensor(shard, MUTANT_LAYER, PACKED_ATTN_NORM);
    if (t && t->n_parts == 0) t = layer_tensor(shard, MUTANT_LAYER, PACKED_ATTN_POST_NORM);
    if (t) t->offset += 1;
    return t != NULL;
}

bool edit_output_norm_lacks_1(CompiledShard *shard, const Model *model) {
    (void)model;
    size_t n;
    PackedTensor *t = head_tensors(shard, &n);
    if (n) t->offset -= 1;
    return n != 0;
}

bool edit_output_norm_of_a_layer(CompiledShard *shard, const Model *model) {
    size_t n;
    PackedTensor *t = head_tensors(shard, &n);
    const LayerWeights *last = &model->weights.layers[model->contract.n_layers - 1];
    const Rows *norms[] = {&last->ffn_norm, &last->attn_norm, &last->ffn_post_norm};
    size_t i = 0;
    while (!norms[i]->tensor) i++; // every layer has one of them
    if (n) t->parts[0].rows = *norms[i];
    return n != 0;
}

bool edit_head_rows_shifted(CompiledShard *shard, const Model *model) {
    size_t n;
    PackedTensor *t = head_tensors(shard, &n);
    for (size_t i = 2; i < n; i += 2) {
        PackedPart *part = &t[i].parts[0], last = *part;
        size_t end = part->rows.first_row + part->rows.n_rows;
        const Rows *head = &model->weights.head;
        last.rows.first_row = end < head->first_row + head->n_rows ? end : head->first_row;
        last.rows.n_rows = 1;
        last.first_row = (uint32_t)part->rows.n_rows - 1;
        part->rows.first_row++;
        part->rows.n_rows--;
        t[i].parts[t[i].n_parts++] = last;
    }
    return n > 2;
}

bool edit_q_unrolled_wrongly(CompiledShard *shard, const Model *model) {
    (void)model;
    PackedTensor *t = layer_tensor(shard, MUTANT_LAYER, PACKED_QKV);
    if (t) t->parts[0].is_deinterleaved = !t->parts[0].is_deinterleaved;
    return t != NULL;
}

bool edit_up_rows_doubled(CompiledShard *shard, const Model *model) {
    (void)model;
    PackedTensor *t = layer_tensor(shard, MUTANT_LAYER, PACKED_GATE_UP);
    if (t) t->parts[t->n_parts - 1].factor *= 2;
    return t != NULL;
}
