#include "gates/layer_probe.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "proof/packed.h"
#include "proof/trace.h"

size_t landmark_width(const Contract *c, LandmarkPlace place) {
    switch (place) {
    case LANDMARK_q:
    case LANDMARK_q_rotated: return (size_t)c->n_heads * c->head_dim;
    case LANDMARK_k:
    case LANDMARK_k_rotated: return (size_t)c->n_kv_heads * c->head_dim;
    case LANDMARK_v: return (size_t)c->n_kv_heads * c->head_dim_v;
    case LANDMARK_attn_context: return (size_t)c->n_heads * c->head_dim_v;
    case LANDMARK_gate:
    case LANDMARK_up:
    case LANDMARK_gated: return c->d_ff;
    default: return c->d_model;
    }
}

static void watched_init(Watched *w, Arena *arena, const Proof *p, size_t i, uint32_t places,
                         size_t n_tokens) {
    const ChainShard *s = &p->bundle.chain.shards[i];
    *w = (Watched){.shard = s, .contract = &p->bundle.chain.contract, .n_tokens = n_tokens};
    // One more, of places that a layer has not: no rows.
    w->rows = arena_array(arena, s->n_landmarks + 1, float *);
    w->n_seen = arena_array(arena, s->n_landmarks, size_t);
    for (size_t m = 0; m < s->n_landmarks; m++)
        if (places >> s->landmarks[m].place & 1)
            w->rows[m] = arena_array(
                arena, n_tokens * landmark_width(w->contract, s->landmarks[m].place), float);
}

// The landmark's number; n_landmarks where the layer has none.
static size_t mark_at(const Watched *w, uint32_t layer, LandmarkPlace place) {
    const ChainShard *s = w->shard;
    size_t m = 0;
    while (m < s->n_landmarks && (s->landmarks[m].layer != layer || s->landmarks[m].place != place))
        m++;
    return m;
}

float *watched_rows(const Watched *w, uint32_t layer, LandmarkPlace place) {
    return w->rows[mark_at(w, layer, place)];
}

// ---- the engine

// Which landmarks a function's ops give: by op, the first landmark of its result, plus one.
typedef struct {
    Watched *watched;
    const MilFunction *f;
    uint32_t *first_mark;  // [n_ops]
    bool is_deinterleaved; // rotated pairs lie apart
    const Shards *shards;  // that run: how many columns count
} Tap;

static bool is_deinterleaved(const ChainShard *s) {
    for (size_t i = 0; i < s->n_tensors; i++)
        for (size_t k = 0; k < s->tensors[i].n_parts; k++)
            if (str_is(s->tensors[i].parts[k].role, "q"))
                return s->tensors[i].parts[k].is_deinterleaved;
    return false;
}

// Where dim `i` of the model's row lies in the package's.
static size_t packed_dim(const Tap *tap, const ChainLandmark *mark, size_t i) {
    const Contract *c = tap->watched->contract;
    LandmarkPlace place = mark->place;
    bool is_qk = place == LANDMARK_q || place == LANDMARK_k || place == LANDMARK_q_rotated ||
                 place == LANDMARK_k_rotated;
    size_t dim = i % c->head_dim, rope_dim = contract_layer(c, mark->layer)->rope_dim;
    if (!tap->is_deinterleaved || !is_qk || dim >= rope_dim) return i;
    return i - dim + (dim % 2 ? rope_dim / 2 : 0) + dim / 2;
}

static void keep(const Tap *tap, size_t m, const EngineTensor *t) {
    Watched *w = tap->watched;
    if (!w->rows[m]) return;
    const ChainLandmark *mark = &w->shard->landmarks[m];
    size_t width = landmark_width(w->contract, mark->place);
    size_t n_columns = (size_t)t->type.dims[t->type.rank - 1], n = tap->shards->n_rows;
    assert(n <= n_columns && w->n_seen[m] + n <= w->n_tokens);
    float *to = w->rows[m] + w->n_seen[m] * width;
    for (size_t i = 0; i < width; i++) {
        const float *from = t->f32 + (mark->first_channel + packed_dim(tap, mark, i)) * n_columns;
        for (size_t k = 0; k < n; k++) to[k * width + i] = from[k] * mark->factor;
    }
    w->n_seen[m] += n;
}

static void see_op(void *context, const MilOp *op, const EngineTensor *output) {
    const Tap *tap = context;
    uint32_t first = tap->first_mark[op - tap->f->ops];
    // Queries, keys and values are channels of one value, one landmark after the other.
    for (size_t m = first; m && m <= tap->watched->shard->n_landmarks; m++) {
        if (!str_eq(tap->watched->shard->landmarks[m - 1].value, output->name)) break;
        keep(tap, m - 1, output);
    }
}

const MilOp *watch_op(const MilFunction *f, const ChainLandmark *mark) {
    ValueId v = mil_find_value(f, mark->value);
    if (value_is_none(v) || mil_value(f, v)->op == MIL_NO_OP) return NULL;
    return &f->ops[mil_value(f, v)->op];
}

static bool check_mark(const Watched *w, const MilFunction *f, const ChainLandmark *mark,
                       Err *err) {
    const MilOp *op = watch_op(f, mark);
    const MilValue *v = op ? &f->values[op->first_output] : NULL;
    size_t count = 0, end = mark->first_channel + landmark_width(w->contract, mark->place);
    if (v && !v->data && v->type.dtype == MIL_F16 && v->type.rank == 4 &&
        mil_type_count(&v->type, &count) && end <= count / (size_t)v->type.dims[3])
        return true;
    return err_set(err, ERR_GATE,
                   "landmark '%s' of layer %u: function '%.*s' has no fp16 value '%.*s' of %zu "
                   "channels, which chain.json states",
                   landmark_names[mark->place], mark->layer, STR_ARG(f->name), STR_ARG(mark->value),
                   end);
}

static bool set_tap(Tap *tap, Watched *w, Arena *arena, const Package *package, const char *role,
                    const Shards *shards, Runner *runner, Err *err) {
    Engine *e = runner_tapped(runner);
    if (!e) return true;
    const ChainFunction *chain = chain_function(w->shard, role);
    const MilFunction *f = mil_find_function(package->program, chain->name);
    *tap = (Tap){w, f, arena_array(arena, f->n_ops, uint32_t), is_deinterleaved(w->shard), shards};
    for (size_t m = w->shard->n_landmarks; m-- > 0;) {
        const ChainLandmark *mark = &w->shard->landmarks[m];
        if (!check_mark(w, f, mark, err)) return false;
        tap->first_mark[watch_op(f, mark) - f->ops] = (uint32_t)m + 1;
    }
    engine_set_tap(e, see_op, tap);
    return true;
}

bool watch_engine(Watched *w, Arena *arena, Proof *p, Shards *shards, size_t i, uint32_t places,
                  const float *rows, size_t n_tokens, Err *err) {
    watched_init(w, arena, p, i, places, n_tokens);
    Shard *shard = &shards->shards[i];
    const Package *package = &p->bundle.packages[i];
    Tap decode, prefill;
    float *out = arena_array(arena, n_tokens * w->contract->d_model, float);
    bool ok =
        set_tap(&decode, w, arena, package, FUNCTION_DECODE, shards, shard->decode.runner, err) &&
        set_tap(&prefill, w, arena, package, FUNCTION_PREFILL, shards, shard->prefill.runner,
                err) &&
        proof_run_shard(p, shards, i, rows, n_tokens, out, err);
    engine_set_tap(runner_tapped(shard->decode.runner), NULL, NULL);
    if (shard->prefill.runner) engine_set_tap(runner_tapped(shard->prefill.runner), NULL, NULL);
    // What leaves the shard is what its port gives, whatever the landmark says.
    float *last = watched_rows(w, w->shard->end_layer - 1, LANDMARK_stream);
    if (ok && last) memcpy(last, out, n_tokens * w->contract->d_model * sizeof *out);
    return ok;
}

// ---- the reference

static void keep_rows(Watched *w, uint32_t layer, LandmarkPlace place, const float *rows,
                      size_t stride, size_t n) {
    size_t m = mark_at(w, layer, place), width = landmark_width(w->contract, place);
    if (!w->rows[m]) return;
    for (size_t t = 0; t < n; t++)
        memcpy(w->rows[m] + (w->n_seen[m] + t) * width, rows + t * stride, width * sizeof *rows);
    w->n_seen[m] += n;
}

static void see_place(void *context, TapPlace place, uint32_t layer, const float *rows,
                      size_t width, size_t n) {
    Watched *w = context;
    size_t q = landmark_width(w->contract, LANDMARK_q), k = landmark_width(w->contract, LANDMARK_k);
    switch (place) {
    case TAP_STREAM:
        if (layer > w->shard->first_layer) keep_rows(w, layer - 1, LANDMARK_stream, rows, width, n);
        break;
    case TAP_QKV:
        keep_rows(w, layer, LANDMARK_q, rows, width, n);
        keep_rows(w, layer, LANDMARK_k, rows + q, width, n);
        keep_rows(w, layer, LANDMARK_v, rows + q + k, width, n);
        break;
    case TAP_ROTATED:
        keep_rows(w, layer, LANDMARK_q_rotated, rows, width, n);
        keep_rows(w, layer, LANDMARK_k_rotated, rows + q, width, n);
        break;
    case TAP_ATTN_NORMED: keep_rows(w, layer, LANDMARK_attn_normed, rows, width, n); break;
    case TAP_ATTN_CONTEXT: keep_rows(w, layer, LANDMARK_attn_context, rows, width, n); break;
    case TAP_ATTN_OUT: keep_rows(w, layer, LANDMARK_attn_out, rows, width, n); break;
    case TAP_ATTN_OUT_NORMED: keep_rows(w, layer, LANDMARK_attn_out_normed, rows, width, n); break;
    case TAP_FFN_OUT_NORMED: keep_rows(w, layer, LANDMARK_ffn_out_normed, rows, width, n); break;
    case TAP_POST_ATTN_RESIDUAL:
        keep_rows(w, layer, LANDMARK_post_attn_residual, rows, width, n);
        break;
    case TAP_FFN_NORMED: keep_rows(w, layer, LANDMARK_ffn_normed, rows, width, n); break;
    case TAP_GATE: keep_rows(w, layer, LANDMARK_gate, rows, width, n); break;
    case TAP_UP: keep_rows(w, layer, LANDMARK_up, rows, width, n); break;
    case TAP_GATED: keep_rows(w, layer, LANDMARK_gated, rows, width, n); break;
    case TAP_FFN_OUT: keep_rows(w, layer, LANDMARK_ffn_out, rows, width, n); break;
    }
}

bool watch_reference(Watched *w, Arena *arena, Proof *p, bool packed, size_t i, uint32_t places,
                     const float *rows, size_t n_tokens, Err *err) {
    watched_init(w, arena, p, i, places, n_tokens);
    ReferenceOptions options = {.rope_factors = p->bundle.chain.use.rope_factors,
                                .n_positions = (uint32_t)n_tokens,
                                .tap = see_place,
                                .tap_context = w};
    if (packed) {
        options.weights = packed_weight_row;
        options.weights_context = packed_weights_open(p, err);
        if (!options.weights_context) return false;
    }
    Reference *r = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    size_t n_bytes = n_tokens * w->contract->d_model * sizeof(float);
    float *stream = arena_alloc(arena, 1, n_bytes);
    memcpy(stream, rows, n_bytes);
    const ChainShard *s = w->shard;
    bool ok = r && reference_run_layers(r, s->first_layer, s->end_layer, stream, n_tokens, err);
    float *last = watched_rows(w, s->end_layer - 1, LANDMARK_stream);
    if (ok && last) memcpy(last, stream, n_bytes);
    reference_close(r);
    return ok;
}
