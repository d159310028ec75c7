// The pass blend_rows: what it takes for a blend, and that it changes no bit of what a program gives
// and of what its state holds.
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

enum { HEADS = 2, SLOTS = 40, DIM = 8, MOST_ROWS = 3 };

typedef struct {
    Arena arena;
    Package package;
    Pool *pool;
    Engine *engine;
    EngineState *state;
} Fixture;

// `placing`: how mask and rows become `placed`; `rest`: the ops after it.
static void open_body(Fixture *t, uint32_t n_rows, const char *body, const char *outputs,
                      Arithmetic arithmetic, unsigned plan) {
    Err err = {0};
    *t = (Fixture){0};
    Str text = arena_printf(&t->arena,
                            "program 9 default main\n"
                            "func main(rows: fp16[1, 2, %u, 8], mask: fp16[1, 1, 40, %u],\n"
                            "          keep: fp16[1, 1, 40, 1], s: state<fp16[1, 2, 40, 8]>) {\n"
                            "%s} -> (%s)\n",
                            n_rows, n_rows, body, outputs);
    t->package.program = mil_parse(&t->arena, text, &err);
    if (!t->package.program) fail_msg("%s\n%s", err.text, text.at);
    t->pool = pool_open(2, &err);
    t->engine = engine_open_planned(&t->package, STR("main"), arithmetic, t->pool, plan, &err);
    if (!t->engine) fail_msg("%s\n%s", err.text, text.at);
    t->state = engine_state_open(&t->package, &err);
    assert_non_null(t->state);
}

static void close_fixture(Fixture *t) {
    engine_close(t->engine);
    engine_state_close(t->state);
    pool_close(t->pool);
    arena_free(&t->arena);
}

#define BEFORE "  before: fp16[1, 2, 40, 8] = read_state(input = s)\n"
#define KEPT   "  kept = mul(x = before, y = keep)\n"
#define PLACED "  placed = matmul(x = mask, y = rows)\n"
#define ONE    "  placed = mul(x = mask, y = rows)\n"
#define AFTER  "  after = add(x = kept, y = placed)\n"
#define WRITE  "  write_state(input = s, data = after) name \"write\"\n"
#define NOW    "  now: fp16[1, 2, 40, 8] = read_state(input = s)\n"
#define BLEND  BEFORE KEPT PLACED AFTER WRITE NOW

// ---- which nodes

static bool is_spanned(uint32_t n_rows, const char *body, const char *outputs) {
    Fixture t;
    open_body(&t, n_rows, body, outputs, ARITHMETIC_FP16, PLAN_WHOLE);
    StrBuf got = {0};
    nodes_print(t.engine, &got);
    bool is_found = strstr(got.at, "now = blend_rows(before, kept, placed, after, write)") != NULL;
    strbuf_free(&got);
    close_fixture(&t);
    return is_found;
}

static void test_what_is_a_blend(void **state) {
    (void)state;
    assert_true(is_spanned(3, BLEND, "now"));
    assert_true(is_spanned(1, BLEND, "now"));
    assert_true(is_spanned(1, BEFORE KEPT ONE AFTER WRITE NOW, "now"));
    assert_true(is_spanned(3,
                           BEFORE "  kept = mul(x = keep, y = before)\n" PLACED
                                  "  after = add(x = placed, y = kept)\n" WRITE NOW,
                           "now"));
}

// Each differs from a blend in one point.
static void test_what_is_none(void **state) {
    (void)state;
    // a value inside is looked at by others
    assert_false(is_spanned(3, BLEND, "now, before"));
    assert_false(is_spanned(3, BLEND, "now, kept"));
    assert_false(is_spanned(3, BLEND, "now, placed"));
    assert_false(is_spanned(3, BLEND, "now, after"));
    // other ops
    assert_false(
        is_spanned(3, BEFORE "  kept = sub(x = before, y = keep)\n" PLACED AFTER WRITE NOW, "now"));
    assert_false(
        is_spanned(3, BEFORE KEPT PLACED "  after = sub(x = kept, y = placed)\n" WRITE NOW, "now"));
    assert_false(is_spanned(3,
                            BEFORE KEPT
                            "  placed = matmul(x = rows, y = rows, transpose_x = bool(true))\n"
                            "  sum = reduce_sum(x = placed, axes = int32[1]([2]), keep_dims = "
                            "bool(true))\n"
                            "  after = add(x = kept, y = sum)\n" WRITE NOW,
                            "now"));
    // what is written is not the sum; it is not read again
    assert_false(is_spanned(
        3, BEFORE KEPT PLACED AFTER "  write_state(input = s, data = kept) name \"write\"\n" NOW,
        "now, after"));
    assert_false(is_spanned(3, BEFORE KEPT PLACED AFTER WRITE "  now = exp(x = keep)\n", "now"));
}

// ---- the same bits

typedef enum {
    PLAIN,
    NO_SLOT,      // a column of zeros, and keep says nothing of it
    TWO_SLOTS,    // a column with two ones
    ONE_SLOT,     // two columns of one slot
    HALF,         // a mask of 0.5
    KEEP_TOO_FEW, // keep 0 where no row goes
    KEEP_HALF,
    NAN_ROW,
    INFINITE_ROW,
    NEGATIVE_ZEROS, // rows of -0
    RESET,
    COPIED, // a slot is written from outside
    ODD_COUNT
} Odd;

static uint32_t next_random(uint32_t *x) {
    *x ^= *x << 13, *x ^= *x >> 17, *x ^= *x << 5; // xorshift32
    return *x;
}

static void set_mask(EngineTensor *mask, EngineTensor *keep, uint32_t n_rows, uint32_t slot,
                     Odd odd) {
    memset(mask->f32, 0, mask->count * sizeof(float));
    for (uint32_t s = 0; s < SLOTS; s++) keep->f32[s] = 1;
    for (uint32_t t = 0; t < n_rows; t++) {
        uint32_t to = odd == ONE_SLOT ? slot : slot + t;
        if (odd == NO_SLOT && t == 0) continue;
        mask->f32[to * n_rows + t] = odd == HALF ? 0.5F : 1;
        keep->f32[to] = odd == KEEP_HALF ? 0.5F : 0;
    }
    if (odd == TWO_SLOTS) mask->f32[(slot + 10) % SLOTS * n_rows] = 1;
    if (odd == KEEP_TOO_FEW) keep->f32[(slot + 11) % SLOTS] = 0;
}

static void run_step(Fixture *t, uint32_t n_rows, uint32_t slot, Odd odd, uint32_t seed) {
    if (odd == RESET) engine_state_reset(t->state);
    if (odd == COPIED) {
        uint32_t from[39];
        for (uint32_t i = 0; i < 39; i++) from[i] = i < 37 ? i : i - 35;
        engine_state_gather_rows(t->state, SLOTS, from, 39);
    }
    EngineTensor *rows = engine_input(t->engine, STR("rows"));
    uint32_t random = 2463534242u + seed;
    for (size_t i = 0; i < rows->count; i++)
        rows->f32[i] = odd == NEGATIVE_ZEROS
                           ? -0.0F
                           : (float)(next_random(&random) >> 8) / (float)(1 << 22) - 2;
    if (odd == NAN_ROW) rows->f32[3] = NAN;
    if (odd == INFINITE_ROW) rows->f32[5] = -INFINITY;
    set_mask(engine_input(t->engine, STR("mask")), engine_input(t->engine, STR("keep")), n_rows,
             slot, odd);
    Err err = {0};
    if (!engine_run(t->engine, t->state, &err)) fail_msg("%s", err.text);
}

static bool same_numbers(const EngineTensor *a, const EngineTensor *b) {
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(&a->f32[i], &b->f32[i], sizeof(float)) != 0 &&
            !(isnan(a->f32[i]) && isnan(b->f32[i])))
            return false;
    return true;
}

// Plain steps, an odd one, plain ones after it over old slots and new ones, a reset and plain ones.
static void check_sequence(const char *body, uint32_t n_rows, Arithmetic arithmetic, Odd odd) {
    Fixture single, spans;
    open_body(&single, n_rows, body, "now", arithmetic, PLAN_AS_WRITTEN);
    open_body(&spans, n_rows, body, "now", arithmetic, PLAN_WHOLE);
    static const uint32_t slots[] = {0, 3, 6, 2, 30, 2, 0, 5};
    for (uint32_t i = 0; i < 3 * COUNT_OF(slots); i++) {
        Odd now = i == COUNT_OF(slots) ? odd : i == 2 * COUNT_OF(slots) ? RESET : PLAIN;
        uint32_t slot = slots[i % COUNT_OF(slots)];
        run_step(&single, n_rows, slot, now, i);
        run_step(&spans, n_rows, slot, now, i);
        const EngineTensor *want = engine_state_find(single.state, STR("s"));
        if (!same_numbers(engine_output_at(spans.engine, 0), engine_output_at(single.engine, 0)) ||
            !same_numbers(engine_state_find(spans.state, STR("s")), want))
            fail_msg("%u rows, arithmetic %d, odd %d, step %u:\n%s", n_rows, arithmetic, odd, i,
                     body);
    }
    close_fixture(&single);
    close_fixture(&spans);
}

static void test_the_bits_are_those_of_single_ops(void **state) {
    (void)state;
    for (int odd = 0; odd < ODD_COUNT; odd++)
        for (int a = ARITHMETIC_FP32; a <= ARITHMETIC_FP16; a++) {
            check_sequence(BLEND, 3, (Arithmetic)a, (Odd)odd);
            check_sequence(BLEND, 1, (Arithmetic)a, (Odd)odd);
            check_sequence(BEFORE KEPT ONE AFTER WRITE NOW, 1, (Arithmetic)a, (Odd)odd);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_blend),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_the_bits_are_those_of_single_ops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
