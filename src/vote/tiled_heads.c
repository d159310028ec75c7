// tiled_heads.c — query heads in another order. The reference's head p uses kv head p / (n_heads /
// n_kv_heads); it gets the file's head that uses the same kv head when heads are tiled. Sums over
// heads are then in another order, which changes the last bits.
#include "vote/tiled_heads.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "quant/quant.h"

static size_t file_head(const Contract *c, size_t head) {
    size_t n_sharing = c->n_heads / c->n_kv_heads;
    return head % n_sharing * c->n_kv_heads + head / n_sharing;
}

// The numbers [first, first + n) of row `row`, in blocks of `width` a head, by the reference's
// order.
static void reorder(const Contract *c, const TensorInfo *t, size_t row, size_t first, size_t width,
                    float *out) {
    float *whole = malloc(t->dims[0] * sizeof *whole);
    if (!whole) die_out_of_memory(t->dims[0] * sizeof *whole);
    decode_row(t, row, whole);
    for (size_t p = 0; p < c->n_heads; p++)
        memcpy(out + p * width, whole + first + file_head(c, p) * width, width * sizeof *out);
    free(whole);
}

bool tiled_heads_row(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                     size_t n) {
    const Model *m = context;
    const Contract *c = &m->contract;
    (void)n;
    if (role != WEIGHT_q && role != WEIGHT_q_bias && role != WEIGHT_attn_out) return false;
    const LayerWeights *w = &m->weights.layers[layer];
    if (role == WEIGHT_q) {
        size_t in_file = file_head(c, row / c->head_dim) * c->head_dim + row % c->head_dim;
        decode_row(w->q.tensor, w->q.first_row + in_file, out);
    } else if (role == WEIGHT_q_bias) {
        reorder(c, w->q_bias.tensor, 0, w->q_bias.first_row, c->head_dim, out);
    } else {
        reorder(c, w->attn_out.tensor, w->attn_out.first_row + row, 0, c->head_dim_v, out);
    }
    return true;
}
