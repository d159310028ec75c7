#include "runtime/fake_bundle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "gguf/blocks.h"

static FakeBundle *the_bundle;

enum { X, COS, SIN, MASK, BEGIN, END, N_INPUTS };

typedef struct {
    Runner runner;
    int package;
    char function[16];
    uint32_t n_rows;
    RunnerPort inputs[N_INPUTS], outputs[2];
    float x[FAKE_WIDTH * FAKE_ROWS], mask[FAKE_ROWS * FAKE_SLOTS];
    int32_t begin, end;
} FakeRunner;

static const RunnerOps ops, device_ops;

static RunnerPort port(const char *name, size_t count, bool is_float) {
    bool is_missing = the_bundle->lacks && strcmp(the_bundle->lacks, name) == 0;
    return (RunnerPort){is_missing ? STR("other") : str_of(name), count, is_float};
}

static Runner *open_function(const Package *package, Str function, const RunnerOpening *how,
                             Err *err) {
    (void)how, (void)err;
    FakeRunner *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->package = (int)(package - the_bundle->packages);
    snprintf(f->function, sizeof f->function, "%.*s", STR_ARG(function));
    bool is_head = str_is(function, FUNCTION_HEAD);
    bool is_wide = str_is(function, FUNCTION_PREFILL) || (the_bundle->is_one && !is_head);
    f->n_rows = is_wide ? FAKE_ROWS : 1;
    size_t T = f->n_rows;
    f->inputs[X] = port(INPUT_X, T * FAKE_WIDTH, true);
    bool is_second = the_bundle->names_kinds && f->package == 1;
    f->inputs[COS] = port(is_second ? INPUT_COS "_1" : INPUT_COS, T, true);
    f->inputs[SIN] = port(is_second ? INPUT_SIN "_1" : INPUT_SIN, T, true);
    f->inputs[MASK] = port(is_second ? INPUT_MASK "_1" : INPUT_MASK, T * FAKE_SLOTS, true);
    f->inputs[BEGIN] = port(INPUT_KV_BEGIN "_00", 4, false);
    f->inputs[END] = port(INPUT_KV_END "_00", 4, false);
    f->outputs[0] = is_head ? port("logits_0", 3, true) : port(OUTPUT_HIDDEN, T * FAKE_WIDTH, true);
    f->outputs[1] = port("logits_1", FAKE_VOCAB - 3, true);
    f->runner = (Runner){.ops = &ops,
                         .inputs = f->inputs,
                         .outputs = f->outputs,
                         .n_inputs = is_head ? 1 : N_INPUTS,
                         .n_outputs = is_head ? 2 : 1};
    the_bundle->n_opened++;
    return &f->runner;
}

static void close_function(Runner *r) {
    the_bundle->n_closed++;
    free(r);
}

static void write_input(Runner *r, uint32_t input, const void *values) {
    FakeRunner *f = (FakeRunner *)r;
    assert_true(input < r->n_inputs);
    if (input == X) memcpy(f->x, values, r->inputs[X].count * sizeof(float));
    if (input == MASK) memcpy(f->mask, values, r->inputs[MASK].count * sizeof(float));
    if (input == BEGIN) f->begin = ((const int32_t *)values)[2];
    if (input == END) f->end = ((const int32_t *)values)[2];
}

static void read_output(const Runner *r, uint32_t output, float *values) {
    const FakeRunner *f = (const FakeRunner *)r;
    size_t n = r->outputs[output].count;
    bool is_head = strcmp(f->function, FUNCTION_HEAD) == 0;
    for (size_t i = 0; i < n; i++)
        values[i] = is_head ? f->x[0] + f->x[1] + (float)(3 * output + i) : f->x[i] + 1;
}

static void write_slots(FakeBundle *b, const FakeRunner *f) {
    float *slots = b->slots[f->package];
    if (b->ignores_slots_of == f->package) return;
    if (b->loses_slots_of == f->package) memset(slots, 0, sizeof b->slots[0]);
    for (int32_t at = f->begin; at < f->end; at++) slots[at] = f->x[at - f->begin] + 2;
}

static bool run(Runner *r, RunnerState *state, Err *err) {
    FakeRunner *f = (FakeRunner *)r;
    FakeBundle *b = the_bundle;
    assert_true(b->n_calls < FAKE_MOST_CALLS);
    assert_true((state != NULL) == (strcmp(f->function, FUNCTION_HEAD) != 0));
    FakeCall *call = &b->calls[b->n_calls++];
    *call = (FakeCall){f->package, "", f->n_rows, f->begin, f->end, f->mask[0]};
    snprintf(call->function, sizeof call->function, "%s", f->function);
    if (state) write_slots(b, f);
    if (b->spoils) f->x[0] = NAN;
    b->spoils = false;
    if (!b->fails) return true;
    b->fails = false;
    return err_set(err, ERR_SYSTEM, "the device is gone");
}

static RunnerState *open_state(Runner *r, Err *err) {
    (void)r, (void)err;
    static RunnerState state = {.ops = &ops};
    the_bundle->n_states++;
    return &state;
}

static void close_state(RunnerState *s) {
    (void)s;
    the_bundle->n_states--;
}

static void reset_state(RunnerState *s) {
    (void)s;
    the_bundle->n_resets++;
}

static void copy_state(RunnerState *to, const RunnerState *from) {
    (void)to, (void)from;
}

static void gather_slots(RunnerState *s, uint32_t n_slots, const uint32_t *from, uint32_t n) {
    (void)s;
    assert_true(n <= n_slots && n_slots == FAKE_SLOTS);
    for (uint32_t i = 0; i < n; i++) the_bundle->n_copied_slots += from[i] != i;
}

typedef struct {
    RunnerState state;
    int package;
} FakeDeviceState;

static Runner *open_device_function(const Package *package, Str function, const RunnerOpening *how,
                                    Err *err) {
    Runner *r = open_function(package, function, how, err);
    r->ops = &device_ops;
    return r;
}

static RunnerState *open_device_state(Runner *r, Err *err) {
    (void)err;
    static FakeDeviceState states[FAKE_PACKAGES];
    int package = ((FakeRunner *)r)->package;
    states[package] = (FakeDeviceState){{&device_ops}, package};
    the_bundle->n_states++;
    return &states[package].state;
}

static RunnerPort state_at(const RunnerState *s, uint32_t i) {
    (void)s;
    return i ? (RunnerPort){.count = 0} : (RunnerPort){STR("kv"), 1, true};
}

static bool read_state(const RunnerState *s, uint32_t i, uint32_t n, float *values, Err *err) {
    (void)err;
    assert_true(i == 0 && n <= FAKE_SLOTS);
    memcpy(values, the_bundle->slots[((const FakeDeviceState *)s)->package], n * sizeof *values);
    return true;
}

static bool plan(Runner *r, RunnerPlanTaker *take, void *context, Err *err) {
    if (the_bundle->has_no_plan && ((FakeRunner *)r)->package == 1)
        return err_set(err, ERR_SYSTEM, "no plan today");
    take(context, &(RunnerPlannedOp){"ios18.conv", "layer_00_q", the_bundle->conv_device});
    take(context,
         &(RunnerPlannedOp){"ios18.matmul", "layer_00_scores", the_bundle->product_device});
    return true;
}

static void describe_machine(RunnerMachine *m) {
    *m = (RunnerMachine){.has_ane = !the_bundle->lacks_ane};
}

static const RunnerOps ops = {
    .open = open_function,
    .close = close_function,
    .write = write_input,
    .read = read_output,
    .run = run,
    .state_open = open_state,
    .state_close = close_state,
    .state_reset = reset_state,
    .state_copy = copy_state,
    .state_gather = gather_slots,
};

static const RunnerOps device_ops = {
    .open = open_device_function,
    .close = close_function,
    .write = write_input,
    .read = read_output,
    .run = run,
    .state_open = open_device_state,
    .state_close = close_state,
    .state_reset = reset_state,
    .state_copy = copy_state,
    .state_gather = gather_slots,
    .may_lose_states = true,
    .state_at = state_at,
    .state_read = read_state,
    .plan = plan,
    .machine = describe_machine,
};

const EngineInfo fake_engine = {
    .name = "fake",
    .capabilities = ENGINE_RUNS_BUNDLES,
    .runner = &ops,
};

const EngineInfo fake_device = {
    .name = "fake device",
    .capabilities = ENGINE_RUNS_BUNDLES,
    .runner = &device_ops,
};

// ---- the bundle

static ChainFunction function(const char *role, uint32_t n_rows) {
    return (ChainFunction){.role = str_of(role), .name = str_of(role), .n_rows = n_rows};
}

FakeBundle *fake_bundle_open(void) {
    FakeBundle *b = the_bundle = calloc(1, sizeof *b);
    assert_non_null(b);
    float *table = arena_array(&b->arena, FAKE_WIDTH * FAKE_VOCAB, float);
    for (size_t t = 0; t < FAKE_VOCAB; t++) {
        table[2 * t] = (float)t;
        table[2 * t + 1] = (float)t + 0.5f;
    }
    TensorInfo *embedding = arena_new(&b->arena, TensorInfo);
    *embedding = (TensorInfo){.n_dims = 2,
                              .dims = {FAKE_WIDTH, FAKE_VOCAB, 1, 1},
                              .type = block_type_named("F32"),
                              .n_weights = FAKE_WIDTH * FAKE_VOCAB,
                              .n_bytes = FAKE_WIDTH * FAKE_VOCAB * sizeof(float),
                              .data = (const uint8_t *)table};
    Chain *c = &b->bundle.chain;
    *c = (Chain){
        .contract =
            {.d_model = FAKE_WIDTH,
             .kinds = {{.rope_dim = 2, .rope_base = 10000, .rope_factor = 1, .attn_factor = 1}},
             .embedding_scale = 1,
             .original_context = FAKE_CONTEXT,
             .n_vocab = FAKE_VOCAB},
        .context = FAKE_CONTEXT,
        .state_rows = FAKE_SLOTS,
        .prefill_rows = FAKE_ROWS,
        .n_shards = FAKE_PACKAGES};
    c->shards = arena_array(&b->arena, FAKE_PACKAGES, ChainShard);
    for (uint32_t i = 0; i < FAKE_PACKAGES; i++) {
        ChainShard *s = &c->shards[i];
        bool has_head = i + 1 == FAKE_PACKAGES;
        s->package = arena_printf(&b->arena, "package %u", i);
        s->first_layer = i;
        s->end_layer = i + 1;
        s->end_logit = has_head ? FAKE_VOCAB : 0;
        s->residual_factor = i ? 4 : 2;
        s->functions = arena_array(&b->arena, 3, ChainFunction);
        s->functions[0] = function(FUNCTION_DECODE, 1);
        s->functions[1] = function(FUNCTION_PREFILL, FAKE_ROWS);
        s->functions[2] = function(FUNCTION_HEAD, 1);
        s->n_functions = has_head ? 3 : 2;
        b->packages[i].path = arena_cstr(&b->arena, s->package);
    }
    b->loses_slots_of = b->ignores_slots_of = -1;
    b->conv_device = b->product_device = RUNNER_ON_ANE;
    c->kv = STR("slice");
    b->bundle.dir = "fake.lathe";
    b->bundle.embedding = embedding;
    b->bundle.packages = b->packages;
    return b;
}

void fake_bundle_make_one(FakeBundle *b) {
    b->is_one = true;
    for (size_t i = 0; i < FAKE_PACKAGES; i++) {
        ChainShard *s = &b->bundle.chain.shards[i];
        s->functions[0].n_rows = FAKE_ROWS;
        s->functions[1] = s->functions[s->n_functions - 1]; // the head, or none
        s->n_functions--;
    }
}

void fake_bundle_close(FakeBundle *b) {
    assert_int_equal(b->n_opened, b->n_closed);
    assert_int_equal(b->n_states, 0);
    arena_free(&b->arena);
    free(b);
}
