#include "runtime/shards.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/ports.h"

static bool open_function(Engine **out, const Package *p, const ChainShard *chain, const char *role,
                          Arithmetic arithmetic, Pool *pool, Err *err) {
    const ChainFunction *f = chain_function(chain, role);
    if (!f) return true;
    *out = engine_open(p, f->name, arithmetic, pool, err);
    return *out != NULL || err_prefix(err, "%s", p->path);
}

// The head: one row in, the logits that chain.json states out.
static bool head_fits(const Shard *shard, uint32_t d_model, Err *err) {
    const ChainFunction *f = chain_function(shard->chain, FUNCTION_HEAD);
    const EngineTensor *x = engine_input(shard->head, STR(INPUT_X));
    size_t n_logits = 0, wanted = shard->chain->end_logit - shard->chain->first_logit;
    for (uint32_t k = 0; k < f->n_outputs; k++) {
        const EngineTensor *slice = engine_output_at(shard->head, k);
        n_logits += slice->f32 ? slice->count : 0;
    }
    if (x && x->f32 && x->count == d_model && n_logits == wanted) return true;
    return err_set(err, ERR_FORMAT,
                   "the head takes %zu numbers and gives %zu logits, expected %u and %zu",
                   x ? x->count : 0, n_logits, d_model, wanted);
}

static bool shard_fits(const Shard *shard, const Host *host, uint32_t prefill_rows, Err *err) {
    return (!shard->decode || host_fits(host, shard->decode, 1, err)) &&
           (!shard->prefill || host_fits(host, shard->prefill, prefill_rows, err)) &&
           (!shard->head || head_fits(shard, host->contract->d_model, err));
}

static bool open_shard(Shard *shard, const Package *p, const ChainShard *chain,
                       Arithmetic arithmetic, Pool *pool, Err *err) {
    shard->chain = chain;
    if (!open_function(&shard->decode, p, chain, FUNCTION_DECODE, arithmetic, pool, err) ||
        !open_function(&shard->prefill, p, chain, FUNCTION_PREFILL, arithmetic, pool, err) ||
        !open_function(&shard->head, p, chain, FUNCTION_HEAD, arithmetic, pool, err))
        return false;
    if (!shard->decode) return true;
    shard->state = engine_state_open(p, err);
    return shard->state != NULL;
}

bool shards_open(Shards *s, const Bundle *bundle, Arithmetic arithmetic, Pool *pool, Err *err) {
    const Chain *c = &bundle->chain;
    *s = (Shards){.bundle = bundle};
    s->shards = calloc(c->n_shards, sizeof *s->shards);
    if (!s->shards) die_out_of_memory(c->n_shards * sizeof *s->shards);
    bool ok = host_open(&s->host, &c->contract, bundle->embedding, c->context, c->state_rows,
                        c->use.rope_factors, bundle->faults, err);
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        const Package *p = &bundle->packages[i];
        Err why = {0};
        ok = open_shard(&s->shards[i], p, &c->shards[i], arithmetic, pool, err) &&
             (shard_fits(&s->shards[i], &s->host, c->prefill_rows, &why) ||
              err_prefix(&why, "%s", p->path) || chain_refuse(c, bundle->dir, &why, err));
    }
    if (!ok) shards_close(s);
    return ok;
}

void shards_close(Shards *s) {
    for (size_t i = 0; s->shards && i < s->bundle->chain.n_shards; i++) {
        engine_close(s->shards[i].decode);
        engine_close(s->shards[i].prefill);
        engine_close(s->shards[i].head);
        engine_state_close(s->shards[i].state);
    }
    free(s->shards);
    host_close(&s->host);
    *s = (Shards){0};
}

void shards_reset(Shards *s) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++)
        if (s->shards[i].state) engine_state_reset(s->shards[i].state);
}

void shards_follow_length(Shards *s, size_t length) {
    host_take_factors(&s->host, host_is_long(&s->host, length));
}

// A KV state is [.., state_rows, dims]: slots are the last axis but one.
static void repeat_rows(EngineTensor *t, uint32_t n_fed, uint32_t until) {
    size_t dims = (size_t)t->type.dims[t->type.rank - 1];
    size_t cache = (size_t)t->type.dims[t->type.rank - 2] * dims;
    for (size_t at = 0; at < t->count; at += cache)
        for (size_t slot = n_fed; slot < until; slot++)
            memcpy(t->f32 + at + slot * dims, t->f32 + at + (slot - n_fed) * dims,
                   dims * sizeof(float));
}

void shards_repeat_states(Shards *s, uint32_t n_fed, uint32_t until) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++) {
        if (!s->shards[i].state) continue;
        const ChainFunction *f = chain_function(s->shards[i].chain, FUNCTION_DECODE);
        for (size_t k = 0; k < f->n_states; k++)
            repeat_rows(engine_state_find(s->shards[i].state, f->states[k].name), n_fed, until);
    }
}

static void hand_over(float *out, const float *in, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) out[i] = in[i] * factor;
}

bool shard_run(Shards *s, size_t i, const float *x, float *out, uint32_t position, uint32_t n_rows,
               Err *err) {
    Shard *shard = &s->shards[i];
    Engine *e = n_rows == 1 ? shard->decode : shard->prefill;
    size_t n = (size_t)s->bundle->chain.contract.d_model * n_rows;
    float factor = shard->chain->residual_factor;
    host_fill(&s->host, e, position, n_rows);
    hand_over(engine_input(e, STR(INPUT_X))->f32, x, n, 1 / factor);
    if (!engine_run(e, shard->state, err))
        return err_prefix(err, "%.*s", STR_ARG(shard->chain->package));
    hand_over(out, engine_output(e, STR(OUTPUT_HIDDEN))->f32, n, factor);
    return true;
}

bool shards_run_layers(Shards *s, float *x, uint32_t position, uint32_t n_rows, Err *err) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++)
        if (s->shards[i].decode && !shard_run(s, i, x, x, position, n_rows, err)) return false;
    return true;
}

bool shards_run_head(Shards *s, const float *row, float *logits, Err *err) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++) {
        const Shard *shard = &s->shards[i];
        if (!shard->head) continue;
        hand_over(engine_input(shard->head, STR(INPUT_X))->f32, row,
                  s->bundle->chain.contract.d_model, 1 / shard->chain->residual_factor);
        if (!engine_run(shard->head, NULL, err))
            return err_prefix(err, "%.*s", STR_ARG(shard->chain->package));
        const ChainFunction *f = chain_function(shard->chain, FUNCTION_HEAD);
        float *at = logits + shard->chain->first_logit;
        for (uint32_t k = 0; k < f->n_outputs; k++) {
            const EngineTensor *slice = engine_output_at(shard->head, k);
            memcpy(at, slice->f32, slice->count * sizeof(float));
            at += slice->count;
        }
    }
    if (s->host.faults.lowers_one_logit) logits[host_fault_token(s->host.contract)] -= 1;
    return true;
}
