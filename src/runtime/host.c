#include "runtime/host.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "quant/quant.h"

// ---- rotary tables. The reference computes its own; verify compares what comes of both.

// YaRN (arXiv 2309.00071, section 3.2): pairs that turn often over the original context keep their
// frequency, slow ones are stretched by `factor`, between them a linear ramp by pair number.
static double yarn_turn(const Contract *c, uint32_t pair, double turn) {
    const double full_turn = 6.283185307179586;
    double log_base = log((double)c->rope_base), dims = c->rope_dim;
    double fast = dims * log(c->original_context / ((double)c->yarn_beta_fast * full_turn));
    double slow = dims * log(c->original_context / ((double)c->yarn_beta_slow * full_turn));
    double first = floor(fast / (2 * log_base)), last = ceil(slow / (2 * log_base));
    if (first < 0) first = 0;
    if (last > dims - 1) last = dims - 1;
    double width = last - first > 0.001 ? last - first : 0.001;
    double stretched = (pair - first) / width;
    if (stretched < 0) stretched = 0;
    if (stretched > 1) stretched = 1;
    double kept = (1 - stretched) * (double)c->yarn_ext_factor;
    return turn * (kept + (1 - kept) / (double)c->rope_factor);
}

void host_rope_frequencies(const Contract *c, bool is_long, double *turns) {
    const F32List *divisors = NULL;
    if (c->rope_scaling == ROPE_SCALING_LLAMA3) divisors = &c->rope_freq_factors;
    if (c->rope_scaling == ROPE_SCALING_LONGROPE)
        divisors = is_long ? &c->rope_factors_long : &c->rope_factors_short;
    for (uint32_t pair = 0; pair < c->rope_dim / 2; pair++) {
        double turn = exp(-log((double)c->rope_base) * (2.0 * pair / c->rope_dim));
        if (divisors) turn /= (double)divisors->at[pair];
        if (c->rope_scaling == ROPE_SCALING_LINEAR) turn /= (double)c->rope_factor;
        if (c->rope_scaling == ROPE_SCALING_YARN) turn = yarn_turn(c, pair, turn);
        turns[pair] = turn;
    }
}

bool host_is_long(const Host *h, size_t length) {
    const Contract *c = h->contract;
    if (c->rope_scaling != ROPE_SCALING_LONGROPE) return false;
    if (h->rope_factors == ROPE_FACTORS_SHORT) return false;
    if (h->rope_factors == ROPE_FACTORS_LONG) return true;
    if (h->faults.factors_by_context) length = h->context;
    return (int64_t)length > (int64_t)c->original_context + h->faults.crossing_shift;
}

void host_take_factors(Host *h, bool is_long) {
    h->is_long = is_long;
}

static double turned_position(const HostFaults *f, uint32_t position, uint32_t t, uint32_t n_rows) {
    double at = (double)position + t;
    if (f->rounds_position) at = (double)round_to_half((float)at);
    if (position + t >= FAULT_FAR) at += f->rope_shift_far;
    if (n_rows == 1) return at + f->rope_shift_decode;
    return at + f->rope_shift_prefill + (position ? f->rope_shift_later : 0);
}

static void fill_rope(const Host *h, float *cosines, float *sines, uint32_t position,
                      uint32_t n_rows) {
    double gain = (double)h->contract->attn_factor * (1 + h->faults.rope_gain_off);
    double sine_gain = h->faults.scales_cos_only ? 1 : gain;
    const double *turns = h->turns[h->is_long != h->faults.takes_other_factors];
    if (h->faults.swaps_cos_sin) {
        float *swapped = cosines;
        cosines = sines;
        sines = swapped;
    }
    for (uint32_t pair = 0; pair < h->contract->rope_dim / 2; pair++)
        for (uint32_t t = 0; t < n_rows; t++) {
            double angle = turns[pair] * (1 + h->faults.rope_speed_off) *
                           turned_position(&h->faults, position, t, n_rows);
            cosines[(size_t)pair * n_rows + t] = (float)(cos(angle) * gain);
            sines[(size_t)pair * n_rows + t] = (float)(sin(angle) * sine_gain);
        }
}

// ---- mask and place

// Row t stands at position + t and sees slots up to itself, within the model's window.
static void fill_mask(const Host *h, float *mask, uint32_t position, uint32_t n_rows) {
    uint32_t window = h->contract->attn_window, hidden = h->faults.hides_from;
    if (window) window = h->faults.ignores_window ? 0 : window + (uint32_t)h->faults.window_shift;
    float off = h->faults.mask_off != 0 ? h->faults.mask_off : MASK_OFF;
    for (uint32_t t = 0; t < n_rows; t++, mask += h->state_rows) {
        uint32_t self = position + t, from = window && self + 1 > window ? self + 1 - window : 0;
        int64_t last = (int64_t)self + h->faults.sees_shift;
        from += h->faults.n_missed;
        for (uint32_t s = 0; s < h->state_rows; s++)
            mask[s] = s >= from && (int64_t)s <= last && (!hidden || s < hidden || s == self) ? 0.0f
                                                                                              : off;
    }
}

static void fill_place(const Host *h, Engine *e, uint32_t position, uint32_t n_rows) {
    int64_t shifted = (int64_t)position + h->faults.slot_shift;
    if (shifted >= 0 && shifted + n_rows <= h->state_rows) position = (uint32_t)shifted;
    EngineTensor *begin = engine_input(e, STR(INPUT_KV_BEGIN));
    if (begin) {
        begin->i32[0] = (int32_t)position;
        engine_input(e, STR(INPUT_KV_END))->i32[0] = (int32_t)(position + n_rows);
        return;
    }
    EngineTensor *writes = engine_input(e, STR(INPUT_WRITE_MASK));
    memset(writes->f32, 0, (size_t)h->state_rows * n_rows * sizeof(float));
    for (uint32_t t = 0; t < n_rows; t++) writes->f32[(size_t)(position + t) * n_rows + t] = 1.0f;
}

void host_fill(const Host *h, Engine *e, uint32_t position, uint32_t n_rows) {
    assert(n_rows <= h->state_rows && position <= h->state_rows - n_rows);
    fill_rope(h, engine_input(e, STR(INPUT_COS))->f32, engine_input(e, STR(INPUT_SIN))->f32,
              position, n_rows);
    fill_mask(h, engine_input(e, STR(INPUT_MASK))->f32, position, n_rows);
    fill_place(h, e, position, n_rows);
}

bool host_fits(const Host *h, Engine *e, uint32_t n_rows, Err *err) {
    const Contract *c = h->contract;
    size_t T = n_rows, S = h->state_rows;
    bool is_slice = engine_input(e, STR(INPUT_KV_BEGIN)) != NULL;
    const struct {
        const char *name;
        size_t count;
    } wanted[] = {
        {INPUT_X, T * c->d_model},
        {INPUT_COS, T * (c->rope_dim / 2)},
        {INPUT_SIN, T * (c->rope_dim / 2)},
        {INPUT_MASK, T * S},
        {is_slice ? INPUT_KV_BEGIN : INPUT_WRITE_MASK, is_slice ? 1 : T * S},
        {is_slice ? INPUT_KV_END : INPUT_WRITE_MASK, is_slice ? 1 : T * S},
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const EngineTensor *t = engine_input(e, str_of(wanted[i].name));
        bool is_float = t && t->f32;
        bool is_place = is_slice && i >= 4;
        if (!t || t->count != wanted[i].count || is_float == is_place)
            return err_set(err, ERR_FORMAT, "input '%s': %zu %s, the contract asks for %zu %s",
                           wanted[i].name, t ? t->count : 0, is_float ? "numbers" : "integers",
                           wanted[i].count, is_place ? "integers" : "numbers");
    }
    const EngineTensor *hidden = engine_output(e, STR(OUTPUT_HIDDEN));
    if (hidden && hidden->f32 && hidden->count == T * c->d_model) return true;
    return err_set(err, ERR_FORMAT,
                   "output '" OUTPUT_HIDDEN "': %zu numbers, the contract asks for %zu",
                   hidden ? hidden->count : 0, T * c->d_model);
}

// ---- embedding

uint32_t host_fault_token(const Contract *c) {
    return c->n_vocab / 3 * 2;
}

void host_embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows) {
    const Contract *c = h->contract;
    float scale = c->embedding_scale * (1 + h->faults.embedding_off);
    for (size_t t = 0; t < n_rows; t++) {
        if (t < n)
            decode_row(h->embedding, (tokens[t] + h->faults.token_shift) % c->n_vocab, h->row);
        if (t < n && h->faults.zeroes_one_embedding && tokens[t] == host_fault_token(c))
            memset(h->row, 0, c->d_model * sizeof *h->row);
        for (uint32_t i = 0; i < c->d_model; i++) x[(size_t)i * n_rows + t] = h->row[i] * scale;
    }
}

bool host_open(Host *h, const Contract *contract, const TensorInfo *embedding, uint32_t context,
               uint32_t state_rows, RopeFactors rope_factors, const HostFaults *faults, Err *err) {
    if (faults && faults->contract) contract = faults->contract;
    *h = (Host){.contract = contract,
                .faults = faults ? *faults : (HostFaults){0},
                .embedding = embedding,
                .context = context,
                .state_rows = state_rows,
                .rope_factors = rope_factors};
    for (int i = 0; i < 2; i++)
        h->turns[i] = big_alloc((contract->rope_dim / 2 + 1) * sizeof(double), "rotary table", err);
    h->row = big_alloc(contract->d_model * sizeof *h->row, "an embedding row", err);
    if (!h->turns[0] || !h->turns[1] || !h->row) {
        host_close(h);
        return false;
    }
    host_rope_frequencies(contract, false, h->turns[0]);
    host_rope_frequencies(contract, true, h->turns[1]);
    host_take_factors(h, host_is_long(h, 0));
    return true;
}

void host_close(Host *h) {
    free(h->turns[0]);
    free(h->turns[1]);
    free(h->row);
    *h = (Host){0};
}
