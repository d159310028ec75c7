// Passes: which nodes they leave, as text, and that they change no bit of what a program gives.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "engine/pass.h"

enum { HEADS = 2, ROWS = 3, SLOTS = 200, DIM = 8 };

// Attention of three rows over a cache of 200 slots; the part between scores and mixed varies.
static const char head[] =
    "program 9 default main\n"
    "func main(q: fp16[1, 2, 3, 8], rows: fp16[2, 2, 1, 8], mask: fp16[1, 1, 3, 200],\n"
    "          begin: int32[4], end: int32[4], kv: state<fp16[4, 2, 200, 8]>) {\n"
    "  before: fp16[4, 2, 200, 8] = read_state(input = kv)\n"
    "  after: fp16[4, 2, 200, 8] = slice_update(x = before, update = rows, begin = begin, end = "
    "end)\n"
    "  write_state(input = kv, data = after) name \"write\"\n"
    "  now: fp16[4, 2, 200, 8] = read_state(input = kv)\n"
    "  keys: fp16[1, 2, 200, 8] = slice_by_index(x = now, begin = int32[4]([2, 0, 0, 0]),\n"
    "      end = int32[4]([3, 2, 200, 8]))\n"
    "  values: fp16[1, 2, 200, 8] = slice_by_index(x = now, begin = int32[4]([3, 0, 0, 0]),\n"
    "      end = int32[4]([4, 2, 200, 8]))\n";
#define SCORES "  scores = matmul(x = q, y = keys, transpose_y = bool(true))\n"
#define MASKED "  masked = add(x = scores, y = mask)\n"
#define PROBS  "  probs = softmax(x = masked, axis = int32(-1))\n"
#define MIXED  "  mixed = matmul(x = probs, y = values)\n"

typedef struct {
    Arena arena;
    Package package;
    Pool *pool;
    Engine *engine;
    EngineState *state;
} Fixture;

static void open_text(Fixture *t, const char *text, Arithmetic arithmetic, unsigned plan) {
    Err err = {0};
    *t = (Fixture){0};
    t->package.program = mil_parse(&t->arena, str_of(text), &err);
    if (!t->package.program) fail_msg("%s\n%s", err.text, text);
    t->pool = pool_open(2, &err);
    assert_non_null(t->pool);
    t->engine = engine_open_planned(&t->package, STR("main"), arithmetic, t->pool, plan, &err);
    if (!t->engine) fail_msg("%s\n%s", err.text, text);
    t->state = engine_state_open(&t->package, &err);
    assert_non_null(t->state);
}

static void open_body(Fixture *t, const char *body, const char *outputs, Arithmetic arithmetic,
                      unsigned plan) {
    StrBuf text = {0};
    strbuf_printf(&text, "%s%s} -> (%s)\n", head, body, outputs);
    open_text(t, text.at, arithmetic, plan);
    strbuf_free(&text);
}

static void close_fixture(Fixture *t) {
    engine_close(t->engine);
    engine_state_close(t->state);
    pool_close(t->pool);
    arena_free(&t->arena);
}

// ---- which nodes

static void check_nodes(const char *body, const char *outputs, const char *want) {
    Fixture t;
    open_body(&t, body, outputs, ARITHMETIC_FP16, PLAN_WHOLE);
    StrBuf got = {0};
    nodes_print(t.engine, &got);
    static const char start[] = "after = slice_update\nwrite = write_state\n";
    assert_memory_equal(got.at, "before = read_state\n", 20);
    const char *rest = strstr(got.at, start);
    assert_non_null(rest);
    rest = strstr(rest, "now = read_state\n") + strlen("now = read_state\n");
    if (strcmp(rest, want) != 0) fail_msg("of\n%sgot\n%swanted\n%s", body, rest, want);
    strbuf_free(&got);
    close_fixture(&t);
}

#define PLAIN "scores = matmul\nmasked = add\nprobs = softmax\nmixed = matmul\n"

static void test_attend_written_spans_an_attention(void **state) {
    (void)state;
    check_nodes(SCORES MASKED PROBS MIXED, "mixed",
                "mixed = attend_written(scores, masked, probs)\n");
    // the mask first, products with numbers and a soft cap
    check_nodes(SCORES "  inner = mul(x = scores, y = fp16(0.1))\n"
                       "  curved = tanh(x = inner)\n"
                       "  capped = mul(x = fp16(-10), y = curved)\n"
                       "  masked = add(x = mask, y = capped)\n" PROBS
                       "  raised = mul(x = probs, y = fp16(16))\n"
                       "  mixed = matmul(x = raised, y = values)\n"
                       "  heads = mul(x = mixed, y = fp16(0.0625))\n",
                "heads",
                "mixed = attend_written(scores, inner, curved, capped, masked, probs, raised)\n"
                "heads = mul\n");
    // what does no work may stand between
    check_nodes(SCORES "  same = identity(x = q)\n" MASKED PROBS MIXED, "mixed, same",
                "mixed = attend_written(scores, masked, probs)\n");
}

// Each differs from an attention in one point, and none may be taken for one.
static void test_attend_written_leaves_alone_what_differs(void **state) {
    (void)state;
    // a value inside is looked at by others, or is an output
    check_nodes(SCORES MASKED PROBS MIXED "  twice = add(x = probs, y = probs)\n", "mixed, twice",
                PLAIN "twice = add\n");
    check_nodes(SCORES MASKED PROBS MIXED, "mixed, masked", PLAIN);
    // another op works between
    check_nodes(SCORES "  other = add(x = q, y = q)\n" MASKED PROBS MIXED, "mixed, other",
                "scores = matmul\nother = add\nmasked = add\nprobs = softmax\nmixed = matmul\n");
    // no mask: zeros are not hidden
    check_nodes(SCORES "  masked = mul(x = scores, y = fp16(2))\n" PROBS MIXED, "mixed",
                "scores = matmul\nmasked = mul\nprobs = softmax\nmixed = matmul\n");
    // a mask of one column
    check_nodes(SCORES "  masked = add(x = scores, y = fp16(-3))\n" PROBS MIXED, "mixed", PLAIN);
    // an op that gives 1 for 0
    check_nodes(SCORES "  e = exp(x = scores)\n  masked = add(x = e, y = mask)\n" PROBS MIXED,
                "mixed",
                "scores = matmul\ne = exp\nmasked = add\nprobs = softmax\nmixed = matmul\n");
    // probabilities times a number below zero: zeros become -0
    check_nodes(SCORES MASKED PROBS "  raised = mul(x = probs, y = fp16(-1))\n"
                                    "  mixed = matmul(x = raised, y = values)\n",
                "mixed",
                "scores = matmul\nmasked = add\nprobs = softmax\nraised = mul\nmixed = matmul\n");
    // softmax over rows
    check_nodes(SCORES MASKED "  probs = softmax(x = masked, axis = int32(-2))\n" MIXED, "mixed",
                PLAIN);
    // keys on the left
    check_nodes("  scores = matmul(x = keys, y = q, transpose_y = bool(true))\n"
                "  turned = transpose(x = scores, perm = int32[4]([0, 1, 3, 2]))\n"
                "  masked = add(x = turned, y = mask)\n" PROBS MIXED,
                "mixed",
                "scores = matmul\nturned = transpose\nmasked = add\nprobs = softmax\n"
                "mixed = matmul\n");
}

static void test_no_span_in_ane_and_when_switched_off(void **state) {
    (void)state;
    static const struct {
        Arithmetic arithmetic;
        unsigned plan;
        const char *passes;
        bool is_spanned;
    } cases[] = {
        {ARITHMETIC_FP16, PLAN_WHOLE, NULL, true},
        {ARITHMETIC_FP32, PLAN_WHOLE, NULL, true},
        {ARITHMETIC_ANE, PLAN_WHOLE, NULL, false},
        {ARITHMETIC_FP16, PLAN_REUSES_BUFFERS, NULL, false},
        {ARITHMETIC_FP16, PLAN_WHOLE, "", true},
        {ARITHMETIC_FP16, PLAN_WHOLE, "none", false},
        {ARITHMETIC_FP16, PLAN_WHOLE, "attend_written", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Fixture t;
        if (cases[i].passes) setenv("LATHE_PASSES", cases[i].passes, 1);
        open_body(&t, SCORES MASKED PROBS MIXED, "mixed", cases[i].arithmetic, cases[i].plan);
        unsetenv("LATHE_PASSES");
        StrBuf got = {0};
        nodes_print(t.engine, &got);
        assert_int_equal(strstr(got.at, "attend_written") != NULL, cases[i].is_spanned);
        strbuf_free(&got);
        close_fixture(&t);
    }
}

static void test_a_pass_there_is_not(void **state) {
    (void)state;
    static const char *const lists[] = {"fuse", "attend_written,fuse", "attend_written,", "none,"};
    Fixture t;
    open_body(&t, SCORES MASKED PROBS MIXED, "mixed", ARITHMETIC_FP16, PLAN_WHOLE);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        Err err = {0};
        setenv("LATHE_PASSES", lists[i], 1);
        assert_null(engine_open(&t.package, STR("main"), ARITHMETIC_FP16, NULL, &err));
        assert_int_equal(err.kind, ERR_USAGE);
        assert_non_null(strstr(err.text, "LATHE_PASSES: unknown pass '"));
        assert_non_null(strstr(err.text, "expected none, attend_written"));
    }
    unsetenv("LATHE_PASSES");
    close_fixture(&t);
}

// ---- the same bits

static uint32_t next_random(uint32_t *x) {
    *x ^= *x << 13, *x ^= *x >> 17, *x ^= *x << 5; // xorshift32
    return *x;
}

static void fill(EngineTensor *t, uint32_t *random, float size) {
    for (size_t i = 0; i < t->count; i++)
        t->f32[i] = size * ((float)(next_random(random) >> 8) / (float)(1 << 23) - 1);
}

// What a step feeds besides random numbers.
typedef struct {
    uint32_t slot;    // written
    float hidden;     // the mask past `visible`
    uint32_t visible; // slots that rows see
    int odd;          // one of the below
} Step;
enum { PLAIN_STEP, BLIND_ROW, NAN_IN_Q, INFINITE_Q, HUGE_Q, NAN_IN_MASK, RESET, COPIED, TINY };

static const Step steps[] = {
    {0, -1e4f, 1, PLAIN_STEP},
    {1, -1e4f, 2, PLAIN_STEP},
    {63, -1e4f, 64, PLAIN_STEP},
    {64, -1e4f, 65, PLAIN_STEP}, // one more than a round number of columns
    {65, -INFINITY, 66, PLAIN_STEP},
    {66, -1e4f, 20, PLAIN_STEP}, // slots written and not seen
    {67, -30, 68, PLAIN_STEP},   // a mask that does not hide
    {68, -104, 69, PLAIN_STEP},  // … nor this one, quite
    {69, -200, 70, PLAIN_STEP},
    {70, 0, 71, PLAIN_STEP},    // no mask at all
    {71, -1e4f, 72, BLIND_ROW}, // a row that sees nothing: all slots alike
    {72, -1e4f, 73, HUGE_Q},    // scores that overflow fp16
    {73, -1e4f, 74, TINY},      // sums that underflow
    {74, -1e4f, 75, NAN_IN_MASK},
    {75, -1e4f, 76, NAN_IN_Q},
    {76, -1e4f, 77, INFINITE_Q},
    {5, -1e4f, 6, RESET}, // and again from the start
    {6, -1e4f, 7, PLAIN_STEP},
    {7, -1e4f, 191, COPIED}, // a slot is written from outside, and seen
    {199, -1e4f, 200, PLAIN_STEP},
    {3, -1e4f, 4, RESET},
    {128, -1e4f, 129, PLAIN_STEP},
};

static void set_slots(Fixture *t, uint32_t first, uint32_t end_slot) {
    int32_t begin[4] = {2, 0, (int32_t)first, 0}, end[4] = {4, HEADS, (int32_t)end_slot, DIM};
    memcpy(engine_input(t->engine, STR("begin"))->i32, begin, sizeof begin);
    memcpy(engine_input(t->engine, STR("end"))->i32, end, sizeof end);
}

static void run_step(Fixture *t, const Step *step, uint32_t seed) {
    Engine *e = t->engine;
    uint32_t random = 2463534242u + seed;
    if (step->odd == RESET) engine_state_reset(t->state);
    if (step->odd == COPIED) {
        uint32_t from[191];
        for (uint32_t i = 0; i < 191; i++) from[i] = i == 190 ? 6 : i;
        engine_state_gather_rows(t->state, SLOTS, from, 191);
    }
    EngineTensor *q = engine_input(e, STR("q")), *mask = engine_input(e, STR("mask"));
    EngineTensor *rows = engine_input(e, STR("rows"));
    fill(q, &random, step->odd == HUGE_Q ? 60000 : 3);
    fill(rows, &random, step->odd == TINY ? 1e-4f : 3);
    if (step->odd == NAN_IN_Q) q->f32[9] = NAN;
    if (step->odd == INFINITE_Q) q->f32[30] = -INFINITY;
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t s = 0; s < SLOTS; s++)
            mask->f32[r * SLOTS + s] =
                s < step->visible && !(step->odd == BLIND_ROW && r == 1) ? 0 : step->hidden;
    if (step->odd == NAN_IN_MASK) mask->f32[SLOTS + 150] = NAN;
    set_slots(t, step->slot, step->slot + 1);
    Err err = {0};
    if (!engine_run(e, t->state, &err)) fail_msg("%s", err.text);
}

// All bits of what is a number; NaNs only as such.
static bool same_numbers(const EngineTensor *a, const EngineTensor *b) {
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(&a->f32[i], &b->f32[i], sizeof(float)) != 0 &&
            !(isnan(a->f32[i]) && isnan(b->f32[i])))
            return false;
    return true;
}

static const char *const bodies[] = {
    SCORES MASKED PROBS MIXED,
    SCORES "  inner = mul(x = scores, y = fp16(0.1))\n"
           "  curved = tanh(x = inner)\n"
           "  capped = mul(x = fp16(-10), y = curved)\n"
           "  masked = add(x = mask, y = capped)\n" PROBS
           "  raised = mul(x = probs, y = fp16(16))\n"
           "  mixed = matmul(x = raised, y = values)\n",
    // the mask as large as the scores, so that the sum may lie over it; keys broadcast to heads
    "  whole: fp16[1, 2, 3, 200] = tile(x = mask, reps = int32[4]([1, 2, 1, 1]))\n" SCORES
    "  masked = add(x = whole, y = scores)\n" PROBS MIXED,
};

static void test_the_bits_are_those_of_single_ops(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (int a = ARITHMETIC_FP32; a <= ARITHMETIC_FP16; a++)
            for (size_t b = 0; b < COUNT_OF(bodies); b++) {
                setenv("LATHE_KERNELS", k->name, 1);
                Fixture single, spans;
                open_body(&single, bodies[b], "mixed", (Arithmetic)a, PLAN_REUSES_BUFFERS);
                open_body(&spans, bodies[b], "mixed", (Arithmetic)a, PLAN_WHOLE);
                for (uint32_t s = 0; s < COUNT_OF(steps); s++) {
                    run_step(&single, &steps[s], s);
                    run_step(&spans, &steps[s], s);
                    if (!same_numbers(engine_output_at(spans.engine, 0),
                                      engine_output_at(single.engine, 0)))
                        fail_msg("%s, arithmetic %d, body %zu, step %u", k->name, a, b, s);
                    assert_true(same_numbers(engine_state_find(spans.state, STR("kv")),
                                             engine_state_find(single.state, STR("kv"))));
                }
                close_fixture(&single);
                close_fixture(&spans);
            }
    unsetenv("LATHE_KERNELS");
}

static void check_same(Fixture *single, Fixture *spans) {
    Err err = {0};
    if (!engine_run(single->engine, single->state, &err)) fail_msg("%s", err.text);
    if (!engine_run(spans->engine, spans->state, &err)) fail_msg("%s", err.text);
    assert_true(
        same_numbers(engine_output_at(spans->engine, 0), engine_output_at(single->engine, 0)));
}

// Keys above zero and -infinity in q: scores of -infinity wherever a slot was written, of NaN where
// none was. Nothing that is computed shows it when all of its slots were.
static void test_scores_that_are_nan_only_where_nothing_was_written(void **state) {
    (void)state;
    Fixture t[2];
    for (int i = 0; i < 2; i++)
        open_body(&t[i], bodies[0], "mixed", ARITHMETIC_FP16, i ? PLAN_WHOLE : PLAN_REUSES_BUFFERS);
    for (uint32_t slot = 0; slot < 64; slot++) {
        for (int i = 0; i < 2; i++) {
            EngineTensor *rows = engine_input(t[i].engine, STR("rows"));
            EngineTensor *mask = engine_input(t[i].engine, STR("mask"));
            EngineTensor *q = engine_input(t[i].engine, STR("q"));
            for (size_t v = 0; v < rows->count; v++) rows->f32[v] = 0.5f + (float)slot;
            for (size_t v = 0; v < q->count; v++) q->f32[v] = slot == 63 && v == 5 ? -INFINITY : 1;
            for (uint32_t s = 0; s < ROWS * SLOTS; s++)
                mask->f32[s] = s % SLOTS <= slot ? 0 : -1e4f;
            set_slots(&t[i], slot, slot + 1);
        }
        check_same(&t[0], &t[1]);
    }
    assert_true(isnan(engine_output_at(t[0].engine, 0)->f32[0]));
    close_fixture(&t[0]);
    close_fixture(&t[1]);
}

// States that are made by copying go on as those they were copied from.
static void test_a_copied_state(void **state) {
    (void)state;
    Fixture t;
    Err err = {0};
    open_body(&t, bodies[0], "mixed", ARITHMETIC_FP16, PLAN_WHOLE);
    EngineState *copy = engine_state_open(&t.package, &err);
    assert_non_null(copy);
    for (uint32_t slot = 100; slot < 103; slot++)
        run_step(&t, &(Step){slot, -1e4f, slot + 1, PLAIN_STEP}, slot);
    engine_state_copy(copy, t.state, true);
    const EngineTensor *mixed = engine_output_at(t.engine, 0);
    float want[HEADS * ROWS * DIM];
    const Step last = {5, -1e4f, 103, PLAIN_STEP};
    run_step(&t, &last, 1);
    memcpy(want, mixed->f32, sizeof want);
    EngineState *first = t.state;
    t.state = copy;
    run_step(&t, &last, 1);
    assert_memory_equal(mixed->f32, want, sizeof want);
    engine_state_close(first);
    close_fixture(&t);
}

// A state that is stored whole, by a copy, is written whole.
static void test_a_state_stored_whole(void **state) {
    (void)state;
    static const char text[] =
        "program 9 default main\n"
        "func main(q: fp16[1, 2, 3, 8], all: fp16[1, 2, 200, 8], mask: fp16[1, 1, 3, 200],\n"
        "          kv: state<fp16[1, 2, 200, 8]>) {\n"
        "  before: fp16[1, 2, 200, 8] = read_state(input = kv)\n"
        "  after = add(x = before, y = all)\n"
        "  write_state(input = kv, data = after) name \"write\"\n"
        "  keys: fp16[1, 2, 200, 8] = read_state(input = kv)\n"
        "  values: fp16[1, 2, 200, 8] = read_state(input = kv)\n" SCORES MASKED PROBS MIXED
        "} -> (mixed)\n";
    Fixture t[2];
    for (int i = 0; i < 2; i++) {
        uint32_t random = 7;
        open_text(&t[i], text, ARITHMETIC_FP16, i ? PLAN_WHOLE : PLAN_REUSES_BUFFERS);
        fill(engine_input(t[i].engine, STR("q")), &random, 2);
        fill(engine_input(t[i].engine, STR("all")), &random, 2);
        EngineTensor *mask = engine_input(t[i].engine, STR("mask"));
        for (uint32_t s = 0; s < ROWS * SLOTS; s++) mask->f32[s] = s % SLOTS < 150 ? 0 : -1e4f;
    }
    for (int step = 0; step < 3; step++) check_same(&t[0], &t[1]);
    close_fixture(&t[0]);
    close_fixture(&t[1]);
}

// In float, e^-100 times the least binary16 number below zero is too small: a sum that ends there, with
// the last slot that is computed, is -0. The products of +0 that are left out would have made it +0.
static void test_a_sum_that_underflows_at_the_last_column(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        setenv("LATHE_KERNELS", k->name, 1);
        Fixture t[2];
        for (int i = 0; i < 2; i++) {
            open_body(&t[i], bodies[0], "mixed", ARITHMETIC_FP32,
                      i ? PLAN_WHOLE : PLAN_REUSES_BUFFERS);
            Engine *e = t[i].engine;
            EngineTensor *rows = engine_input(e, STR("rows")), *mask = engine_input(e, STR("mask"));
            for (size_t v = rows->count / 2; v < rows->count; v++) rows->f32[v] = -0x1p-24f;
            for (uint32_t s = 0; s < ROWS * SLOTS; s++)
                mask->f32[s] = s % SLOTS == 0 ? 0 : s % SLOTS == 63 ? -100 : -1e4f;
            set_slots(&t[i], 63, 64);
        }
        check_same(&t[0], &t[1]);
        const EngineTensor *want = engine_output_at(t[0].engine, 0);
        for (size_t i = 0; i < want->count; i++)
            assert_true(want->f32[i] == 0 && !signbit(want->f32[i]));
        close_fixture(&t[0]);
        close_fixture(&t[1]);
    }
    unsetenv("LATHE_KERNELS");
}

// ---- what is left out

static const EngineTensor *value_named(const Engine *e, const char *name) {
    for (uint32_t v = 0; v < e->f->n_values; v++)
        if (str_is(e->f->values[v].name, name)) return &e->tensors[v];
    fail_msg("no value '%s'", name);
    return NULL;
}

// Columns of the probabilities that a step writes, from a workspace of NaNs.
static size_t columns_written(Fixture *t, const Step *step) {
    memset(t->engine->workspace, 0xFF, t->engine->workspace_bytes);
    run_step(t, step, 1);
    const float *probs = value_named(t->engine, "probs")->f32;
    size_t n = SLOTS;
    while (n > 0 && isnan(probs[n - 1])) n--;
    return n;
}

static void test_slots_never_written_are_not_read(void **state) {
    (void)state;
    static const struct {
        Step step;
        size_t columns;
    } cases[] = {
        {{9, -1e4f, 10, PLAIN_STEP}, 64},
        {{63, -1e4f, 64, PLAIN_STEP}, 64},
        {{64, -1e4f, 65, PLAIN_STEP}, 128},
        {{10, -1e4f, 11, PLAIN_STEP}, 128}, // since the reset
        {{10, -1e4f, 11, RESET}, 64},
        {{11, -30, 12, PLAIN_STEP}, SLOTS},
        {{12, -1e4f, 13, BLIND_ROW}, SLOTS},
        {{13, -1e4f, 14, PLAIN_STEP}, 64},
        {{14, -1e4f, 15, COPIED}, 192},
        {{15, -1e4f, 16, PLAIN_STEP}, 192},
        {{16, -1e4f, 17, RESET}, 64},
        {{191, -1e4f, 192, PLAIN_STEP}, 192},
        {{192, -1e4f, 193, PLAIN_STEP}, SLOTS},
    };
    Fixture t;
    open_body(&t, SCORES MASKED PROBS MIXED, "mixed", ARITHMETIC_FP16, PLAN_WHOLE);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (columns_written(&t, &cases[i].step) != cases[i].columns)
            fail_msg("case %zu: %zu columns, expected %zu", i, columns_written(&t, &cases[i].step),
                     cases[i].columns);
    close_fixture(&t);
}

// A tap sees what single ops give, all of it.
static void add_numbers(void *context, const MilOp *op, const EngineTensor *output) {
    StrBuf *seen = context;
    if (op->info->opcode == MIL_OP_read_state || !output->f32) return;
    strbuf_add(seen, (Str){(const char *)output->f32, output->count * sizeof(float)});
}

static void test_a_tap_sees_every_value(void **state) {
    (void)state;
    StrBuf seen[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        Fixture t;
        open_body(&t, bodies[1], "mixed", ARITHMETIC_FP16, i ? PLAN_WHOLE : PLAN_REUSES_BUFFERS);
        engine_set_tap(t.engine, add_numbers, &seen[i]);
        for (uint32_t s = 0; s < 4; s++) run_step(&t, &steps[s], s);
        close_fixture(&t);
    }
    assert_int_equal(seen[0].len, seen[1].len);
    assert_memory_equal(seen[0].at, seen[1].at, seen[0].len);
    strbuf_free(&seen[0]);
    strbuf_free(&seen[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attend_written_spans_an_attention),
        cmocka_unit_test(test_attend_written_leaves_alone_what_differs),
        cmocka_unit_test(test_no_span_in_ane_and_when_switched_off),
        cmocka_unit_test(test_a_pass_there_is_not),
        cmocka_unit_test(test_the_bits_are_those_of_single_ops),
        cmocka_unit_test(test_scores_that_are_nan_only_where_nothing_was_written),
        cmocka_unit_test(test_a_copied_state),
        cmocka_unit_test(test_a_state_stored_whole),
        cmocka_unit_test(test_a_sum_that_underflows_at_the_last_column),
        cmocka_unit_test(test_slots_never_written_are_not_read),
        cmocka_unit_test(test_a_tap_sees_every_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
