#include "runtime/shards.h"

#include <stdlib.h>

#include "base/size.h"
#include "decoder/ports.h"

// ---- functions and their ports

typedef struct {
    const char *name;
    uint32_t at;
    size_t count; // numbers that the contract asks for
    bool is_float;
} PortCheck;

static bool check_ports(const Runner *r, const PortCheck *wanted, size_t n, Err *err) {
    for (size_t i = 0; i < n; i++) {
        const PortCheck *w = &wanted[i];
        const RunnerPort *p = w->at == RUNNER_NO_PORT ? NULL : &r->inputs[w->at];
        if (p && p->count == w->count && p->is_float == w->is_float) continue;
        const char *unit = w->is_float ? "numbers" : "integers";
        if (!p)
            return err_set(err, ERR_FORMAT, "no input '%s', the contract asks for %zu %s", w->name,
                           w->count, unit);
        return err_set(err, ERR_FORMAT, "input '%s': %zu %s, the contract asks for %zu %s", w->name,
                       p->count, p->is_float ? "numbers" : "integers", w->count, unit);
    }
    return true;
}

static void find_ports(ShardFunction *f) {
    const Runner *r = f->runner;
    f->x = runner_find_input(r, INPUT_X);
    Arena names = {0};
    for (uint32_t kind = 0; kind < CONTRACT_MAX_KINDS; kind++) {
        f->kinds[kind].cosines = runner_find_input(r, port_of_kind(&names, INPUT_COS, kind));
        f->kinds[kind].sines = runner_find_input(r, port_of_kind(&names, INPUT_SIN, kind));
        f->kinds[kind].mask = runner_find_input(r, port_of_kind(&names, INPUT_MASK, kind));
    }
    arena_free(&names);
    f->hidden = runner_find_output(r, OUTPUT_HIDDEN);
}

// Whether a function of layers has the tables of `kind`, in the sizes that the contract says.
static bool tables_fit(const ShardFunction *f, const Host *h, uint32_t kind, size_t n_rows,
                       Err *err) {
    size_t n_rope = n_rows * (h->contract->kinds[kind].rope_dim / 2);
    Arena names = {0};
    const PortCheck mask = {port_of_kind(&names, INPUT_MASK, kind), f->kinds[kind].mask,
                            n_rows * host_n_columns(h, kind, (uint32_t)n_rows), true};
    const PortCheck rotary[] = {
        {port_of_kind(&names, INPUT_COS, kind), f->kinds[kind].cosines, n_rope, true},
        {port_of_kind(&names, INPUT_SIN, kind), f->kinds[kind].sines, n_rope, true},
    };
    bool ok = check_ports(f->runner, &mask, 1, err) &&
              (n_rope == 0 || check_ports(f->runner, rotary, COUNT_OF(rotary), err));
    arena_free(&names);
    return ok;
}

static bool every_table_fits(const ShardFunction *f, const ChainShard *s, const Host *h,
                             size_t n_rows, Err *err) {
    bool is_used[CONTRACT_MAX_KINDS] = {false};
    for (uint32_t layer = s->first_layer; layer < s->end_layer; layer++)
        is_used[contract_kind_of(h->contract, layer)] = true;
    for (uint32_t kind = 0; kind < h->n_kinds; kind++)
        if (is_used[kind] && !tables_fit(f, h, kind, n_rows, err)) return false;
    return true;
}

// Whether a function of layers has the ports that a step is written to.
static bool layers_fit(ShardFunction *f, const Chain *c, const ChainShard *s, const Host *h,
                       Err *err) {
    size_t T = f->n_rows, width = h->contract->d_model;
    const PortCheck x[] = {{INPUT_X, f->x, T * width, true}};
    if (!check_ports(f->runner, x, COUNT_OF(x), err) || !every_table_fits(f, s, h, T, err) ||
        !kv_ports_find(&f->kv, f->runner, c, s, f->n_rows, err))
        return false;
    const RunnerPort *hidden = f->hidden == RUNNER_NO_PORT ? NULL : &f->runner->outputs[f->hidden];
    if (hidden && hidden->is_float && hidden->count == T * width) return true;
    return err_set(err, ERR_FORMAT,
                   "output '" OUTPUT_HIDDEN "': %zu numbers, the contract asks for %zu",
                   hidden ? hidden->count : 0, T * width);
}

// The head: one row in, the logits that chain.json states out.
static bool head_fits(const Shard *shard, uint32_t d_model, Err *err) {
    const ShardFunction *f = &shard->head;
    const RunnerPort *x = f->x == RUNNER_NO_PORT ? NULL : &f->runner->inputs[f->x];
    size_t n_logits = 0, wanted = shard->chain->end_logit - shard->chain->first_logit;
    for (uint32_t k = 0; k < f->runner->n_outputs; k++)
        n_logits += f->runner->outputs[k].is_float ? f->runner->outputs[k].count : 0;
    if (x && x->is_float && x->count == d_model && n_logits == wanted) return true;
    return err_set(err, ERR_FORMAT,
                   "the head takes %zu numbers and gives %zu logits, expected %u and %zu",
                   x ? x->count : 0, n_logits, d_model, wanted);
}

static bool shard_fits(Shard *shard, const Chain *c, const Host *host, Err *err) {
    return (!shard->decode.runner || layers_fit(&shard->decode, c, shard->chain, host, err)) &&
           (!shard->prefill.runner || layers_fit(&shard->prefill, c, shard->chain, host, err)) &&
           (!shard->head.runner || head_fits(shard, host->contract->d_model, err));
}

static bool open_function(ShardFunction *out, const Package *p, const ChainShard *chain,
                          const char *role, const Execution *how, Err *err) {
    const ChainFunction *f = chain_function(chain, role);
    if (!f) return true;
    out->runner = how->engine->runner->open(
        p, f->name, &(RunnerOpening){how->arithmetic, how->pool, how->progress}, err);
    if (!out->runner) return err_prefix(err, "%s", p->path);
    out->n_rows = f->n_rows;
    find_ports(out);
    return true;
}

static bool open_shard(Shard *shard, const Package *p, const ChainShard *chain,
                       const Execution *how, Err *err) {
    shard->chain = chain;
    if (!open_function(&shard->decode, p, chain, FUNCTION_DECODE, how, err) ||
        !open_function(&shard->prefill, p, chain, FUNCTION_PREFILL, how, err) ||
        !open_function(&shard->head, p, chain, FUNCTION_HEAD, how, err))
        return false;
    Runner *r = shard->decode.runner;
    if (!r) return true;
    shard->state = r->ops->state_open(r, err);
    return shard->state != NULL;
}

size_t shard_roles(const Shard *shard, ShardRole out[SHARD_MAX_ROLES]) {
    const ShardRole all[SHARD_MAX_ROLES] = {{FUNCTION_DECODE, shard->decode.runner},
                                            {FUNCTION_PREFILL, shard->prefill.runner},
                                            {FUNCTION_HEAD, shard->head.runner}};
    size_t n = 0;
    for (size_t i = 0; i < SHARD_MAX_ROLES; i++)
        if (all[i].runner) out[n++] = all[i];
    return n;
}

// ---- all packages

static size_t longest_slice(const Runner *head) {
    size_t most = 0;
    for (uint32_t k = 0; head && k < head->n_outputs; k++)
        most = max_size(most, head->outputs[k].count);
    return most;
}

static bool open_host(Shards *s, Err *err) {
    const Chain *c = &s->bundle->chain;
    HostShape shape = {.context = c->context,
                       .state_rows = c->state_rows,
                       .ring_slots = c->ring_slots,
                       .ring_rows = c->ring_rows,
                       .most_rows = chain_most_rows(c),
                       .rope_factors = c->use.rope_factors,
                       .has_write_mask = str_is(c->kv, kv_form_name(KV_OVERWRITE)),
                       .masks_new_rows = str_is(c->kv, kv_form_name(KV_ROWS))};
    if (!shape.has_write_mask) shape.least_rows = chain_decode_rows(c);
    size_t n_slice = 1;
    for (size_t i = 0; i < c->n_shards; i++) {
        const Shard *shard = &s->shards[i];
        n_slice = max_size(n_slice, longest_slice(shard->head.runner));
    }
    size_t n_scaled = (size_t)shape.most_rows * c->contract.d_model;
    s->scaled = big_alloc(n_scaled * sizeof *s->scaled, "activations", err);
    s->slice = big_alloc(n_slice * sizeof *s->slice, "logits", err);
    uint32_t decode_rows = chain_decode_rows(c);
    return s->scaled && s->slice &&
           host_open(&s->host, s->how.host, &c->contract, s->bundle->embedding, &shape, err) &&
           (decode_rows == 1 || wide_step_open(&s->wide, &s->host, decode_rows, err));
}

bool shards_open(Shards *s, const Bundle *bundle, const Execution *how, Err *err) {
    const Chain *c = &bundle->chain;
    *s = (Shards){.bundle = bundle, .how = *how};
    if (!how->engine) s->how.engine = &engines[ENGINE_cpu];
    if (!how->host) s->how.host = &host_ops;
    s->shards = calloc(c->n_shards, sizeof *s->shards);
    if (!s->shards) die_out_of_memory(c->n_shards * sizeof *s->shards);
    const RunnerOps *ops = s->how.engine->runner;
    bool ok = !ops->prepare || ops->prepare(bundle, how->progress, err);
    for (size_t i = 0; ok && i < c->n_shards; i++)
        ok = open_shard(&s->shards[i], &bundle->packages[i], &c->shards[i], &s->how, err);
    ok = ok && open_host(s, err);
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        Err why = {0};
        ok = shard_fits(&s->shards[i], c, &s->host, &why) ||
             err_prefix(&why, "%s", bundle->packages[i].path) ||
             chain_refuse(c, bundle->dir, &why, err);
    }
    if (!ok) shards_close(s);
    return ok;
}

void shards_close(Shards *s) {
    for (size_t i = 0; s->shards && i < s->bundle->chain.n_shards; i++) {
        Shard *shard = &s->shards[i];
        runner_state_close(shard->state);
        ShardFunction *functions[] = {&shard->decode, &shard->prefill, &shard->head};
        for (size_t f = 0; f < COUNT_OF(functions); f++) {
            kv_ports_free(&functions[f]->kv);
            runner_close(functions[f]->runner);
        }
    }
    free(s->shards);
    free(s->scaled);
    free(s->slice);
    wide_step_close(&s->wide);
    host_close(&s->host);
    *s = (Shards){0};
}

void shards_reset(Shards *s) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++) {
        RunnerState *state = s->shards[i].state;
        if (state) state->ops->state_reset(state);
    }
}

void shards_follow_length(Shards *s, size_t length) {
    host_take_factors(&s->host, s->host.ops->is_long(&s->host, length));
}

// What each slot of a cache of `slots` takes: the row of the last position below `until` that goes
// there. Returns how many slots take one.
static uint32_t repeated_slots(uint32_t *from, uint32_t slots, uint32_t n_fed, uint32_t until) {
    uint32_t n = (uint32_t)min_size(slots, until);
    for (uint32_t slot = 0; slot < n; slot++)
        from[slot] = (slot + (until - 1 - slot) / slots * slots) % n_fed;
    return n;
}

void shards_repeat_states(Shards *s, uint32_t n_fed, uint32_t until) {
    const Chain *c = &s->bundle->chain;
    bool has_rings = c->ring_slots && n_fed <= c->ring_slots;
    uint32_t *whole = calloc((size_t)c->state_rows + c->ring_slots + 1, sizeof *whole);
    if (!whole) die_out_of_memory(c->state_rows * sizeof *whole);
    uint32_t *ring = whole + c->state_rows, n_ring = 0;
    uint32_t n = repeated_slots(whole, c->state_rows, n_fed, until);
    if (has_rings) n_ring = repeated_slots(ring, c->ring_slots, n_fed, until);
    for (size_t i = 0; i < c->n_shards; i++) {
        RunnerState *state = s->shards[i].state;
        if (!state) continue;
        state->ops->state_gather(state, c->state_rows, whole, n);
        if (has_rings) state->ops->state_gather(state, c->ring_rows, ring, n_ring);
    }
    free(whole);
}

uint32_t shards_step_rows(const Shards *s, uint32_t position, size_t n_left) {
    uint32_t rows = s->bundle->chain.prefill_rows;
    return rows && rows <= n_left && rows <= host_room(&s->host, position) ? rows : 1;
}

// ---- a step

static void write_port(const ShardFunction *f, uint32_t port, const void *values) {
    if (port != RUNNER_NO_PORT) f->runner->ops->write(f->runner, port, values);
}

static void write_step(const ShardFunction *f, const Contract *c, const HostStep *step) {
    for (uint32_t kind = 0; kind < CONTRACT_MAX_KINDS; kind++) {
        write_port(f, f->kinds[kind].cosines, step->kinds[kind].cosines);
        write_port(f, f->kinds[kind].sines, step->kinds[kind].sines);
        write_port(f, f->kinds[kind].mask, step->kinds[kind].mask);
    }
    kv_ports_write(&f->kv, f->runner, c, step);
}

// Rows x [d_model, n_rows] for a function, whose columns after those repeat the last one.
static bool run_function(Shards *s, const Shard *shard, const ShardFunction *f, const float *x,
                         uint32_t n_rows, RunnerState *state, Err *err) {
    float factor = 1 / shard->chain->residual_factor, *to = s->scaled;
    for (size_t i = 0; i < s->bundle->chain.contract.d_model; i++, x += n_rows)
        for (uint32_t t = 0; t < f->n_rows; t++) *to++ = x[t < n_rows ? t : n_rows - 1] * factor;
    write_port(f, f->x, s->scaled);
    return f->runner->ops->run(f->runner, state, err) ||
           err_prefix(err, "%.*s", STR_ARG(shard->chain->package));
}

// What a function of f->n_rows rows gave, the first n_rows of them.
static void read_hidden(Shards *s, const Shard *shard, const ShardFunction *f, uint32_t n_rows,
                        float *out) {
    const float *from = s->scaled;
    f->runner->ops->read(f->runner, f->hidden, s->scaled);
    for (size_t i = 0; i < s->bundle->chain.contract.d_model; i++, from += f->n_rows)
        for (uint32_t t = 0; t < n_rows; t++) *out++ = from[t] * shard->chain->residual_factor;
}

// The tables of a step, as wide as the function that it runs through.
static const HostStep *fill_step(Shards *s, uint32_t position, uint32_t n_rows) {
    const HostStep *step = host_fill(&s->host, position, n_rows);
    s->n_rows = n_rows;
    return n_rows < s->wide.n_rows ? wide_step_fill(&s->wide, &s->host, step) : step;
}

static bool run_step(Shards *s, size_t i, const HostStep *step, const float *x, float *out,
                     Err *err) {
    const Shard *shard = &s->shards[i];
    bool is_decode = step->n_rows == shard->decode.n_rows;
    const ShardFunction *f = is_decode ? &shard->decode : &shard->prefill;
    write_step(f, &s->bundle->chain.contract, step);
    if (!run_function(s, shard, f, x, s->n_rows, shard->state, err) ||
        !kv_ports_place(&f->kv, f->runner, shard->state, step, err))
        return false;
    read_hidden(s, shard, f, s->n_rows, out);
    return true;
}

bool shard_run(Shards *s, size_t i, const float *x, float *out, uint32_t position, uint32_t n_rows,
               Err *err) {
    return run_step(s, i, fill_step(s, position, n_rows), x, out, err);
}

bool shards_run_layers(Shards *s, float *x, uint32_t position, uint32_t n_rows, Err *err) {
    const HostStep *step = fill_step(s, position, n_rows);
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++)
        if (s->shards[i].decode.runner && !run_step(s, i, step, x, x, err)) return false;
    return true;
}

bool shards_run_head(Shards *s, const float *row, float *logits, Err *err) {
    for (size_t i = 0; i < s->bundle->chain.n_shards; i++) {
        const Shard *shard = &s->shards[i];
        const Runner *r = shard->head.runner;
        if (!r) continue;
        if (!run_function(s, shard, &shard->head, row, 1, NULL, err)) return false;
        size_t at = shard->chain->first_logit;
        for (uint32_t k = 0; k < r->n_outputs; k++) {
            r->ops->read(r, k, s->slice);
            s->host.ops->put_logits(&s->host, logits, at, s->slice, r->outputs[k].count);
            at += r->outputs[k].count;
        }
    }
    return true;
}
