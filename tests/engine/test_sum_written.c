// Products with a cache that the caller keeps: over the rows that were written, and the bits of the whole.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "engine/engine.h"
#include "engine/pass.h"
#include "kernels/kernels.h"

enum { HEADS = 2, ROWS = 3, SLOTS = 200, DIM = 8 };

static const char text[] =
    "program 9\n"
    "func main(q: fp16[1, 2, 3, 8], p: fp16[1, 2, 3, 200], rows: fp16[1, 2, 1, 8],\n"
    "          keys: fp16[1, 2, 200, 8], values: fp16[1, 2, 200, 8]) {\n"
    "  scores = matmul(x = q, y = keys, transpose_y = bool(true))\n"
    "  mixed = matmul(x = p, y = values)\n"
    "  other = matmul(x = p, y = scores, transpose_y = bool(true))\n"
    "} -> (scores, mixed, other)\n";

typedef struct {
    Arena arena;
    Package package;
    Pool *pool;
    Engine *engine;
    EngineState *state;
} Fixture;

static bool is_cache(Str name) {
    return str_is(name, "keys") || str_is(name, "values");
}

static void open_with(Fixture *t, const char *passes, Arithmetic arithmetic) {
    Err err = {0};
    *t = (Fixture){0};
    t->package.program = mil_parse(&t->arena, str_of(text), &err);
    if (!t->package.program) fail_msg("%s", err.text);
    t->pool = pool_open(2, &err);
    setenv("LATHE_PASSES", passes, 1);
    t->engine = engine_open_holding(&t->package, STR("main"), arithmetic, t->pool, is_cache, &err);
    unsetenv("LATHE_PASSES");
    if (!t->engine) fail_msg("%s", err.text);
    t->state = engine_state_open_holding(&t->package, is_cache, &err);
    assert_non_null(t->state);
}

static void close_fixture(Fixture *t) {
    engine_close(t->engine);
    engine_state_close(t->state);
    pool_close(t->pool);
    arena_free(&t->arena);
}

// Where numbers are odd: in q, or in p at columns that nobody wrote.
typedef enum {
    PLAIN,
    NAN_IN_Q,
    INFINITE_Q,
    NAN_IN_P,
    INFINITE_P,
    NEGATIVE_P,
    MINUS_ZERO_P,
    TINY
} Odd;
static const struct {
    uint32_t slot; // written before the run
    Odd odd;
    bool is_reset;
} steps[] = {
    {0, PLAIN, false},    {1, PLAIN, false},         {1, NAN_IN_Q, false}, {2, INFINITE_Q, false},
    {3, NAN_IN_P, false}, {4, INFINITE_P, false},    {63, PLAIN, false},   {64, NEGATIVE_P, false},
    {65, TINY, false},    {66, MINUS_ZERO_P, false}, {199, PLAIN, false},  {199, NAN_IN_P, false},
    {5, TINY, true},      {6, NEGATIVE_P, false},
};

static float number(uint32_t *x) {
    *x ^= *x << 13, *x ^= *x >> 17, *x ^= *x << 5; // xorshift32
    return (float)(*x >> 8) / (float)(1 << 23) - 1;
}

static void fill(EngineTensor *t, uint32_t *random, float size, bool is_positive) {
    for (size_t i = 0; i < t->count; i++) {
        float x = size * number(random);
        t->f32[i] = is_positive ? fabsf(x) : x;
    }
}

static void run_step(Fixture *t, size_t i) {
    Engine *e = t->engine;
    Err err = {0};
    uint32_t random = 88172645u + (uint32_t)i;
    Odd odd = steps[i].odd;
    EngineTensor *q = engine_input(e, STR("q")), *p = engine_input(e, STR("p")),
                 *rows = engine_input(e, STR("rows"));
    if (steps[i].is_reset) engine_state_reset(t->state);
    fill(q, &random, 3, false);
    // Sums of the like of 1e-30 · 1e-30 are -0, and +0 once a +0 is added.
    fill(p, &random, odd == TINY ? 1e-30f : 1, odd != NEGATIVE_P && odd != TINY);
    // A product of zero with a number below zero is -0: only where all are is a sum of them.
    for (size_t n = 0; odd == TINY && n < p->count; n++) p->f32[n] = -fabsf(p->f32[n]);
    fill(rows, &random, odd == TINY ? 1e-30f : 3, false);
    if (odd == NAN_IN_Q) q->f32[9] = NAN;
    if (odd == INFINITE_Q) q->f32[30] = -INFINITY;
    float strange = odd == NAN_IN_P ? NAN : odd == INFINITE_P ? INFINITY : -0.0f;
    if (odd >= NAN_IN_P && odd <= MINUS_ZERO_P && odd != NEGATIVE_P) p->f32[SLOTS + 190] = strange;
    if (!engine_state_put_rows(t->state, STR("keys"), rows, steps[i].slot, &err) ||
        !engine_state_put_rows(t->state, STR("values"), rows, steps[i].slot, &err) ||
        !engine_run(e, t->state, &err))
        fail_msg("%s", err.text);
}

// All bits of what is a number; NaNs only as such.
static bool same_numbers(const EngineTensor *a, const EngineTensor *b) {
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(&a->f32[i], &b->f32[i], sizeof(float)) != 0 &&
            !(isnan(a->f32[i]) && isnan(b->f32[i])))
            return false;
    return true;
}

static void test_the_bits_are_those_of_the_whole(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (int a = ARITHMETIC_FP32; a <= ARITHMETIC_FP16; a++) {
            Fixture whole, part;
            setenv("LATHE_KERNELS", k->name, 1);
            open_with(&whole, "none", (Arithmetic)a);
            open_with(&part, "sum_written", (Arithmetic)a);
            for (size_t i = 0; i < COUNT_OF(steps); i++) {
                run_step(&whole, i);
                run_step(&part, i);
                for (uint32_t o = 0; o < 3; o++)
                    if (!same_numbers(engine_output_at(part.engine, o),
                                      engine_output_at(whole.engine, o)))
                        fail_msg("%s, arithmetic %d, step %zu, output %u", k->name, a, i, o);
            }
            close_fixture(&whole);
            close_fixture(&part);
        }
    unsetenv("LATHE_KERNELS");
}

// A product with a cache, and no other.
static void test_it_takes_products_with_caches(void **state) {
    (void)state;
    Fixture t;
    StrBuf got = {0};
    open_with(&t, "sum_written", ARITHMETIC_FP16);
    nodes_print(t.engine, &got);
    assert_string_equal(got.at, "scores = sum_written()\nmixed = sum_written()\n"
                                "other = matmul\n");
    strbuf_free(&got);
    close_fixture(&t);
    open_with(&t, "none", ARITHMETIC_FP16);
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bits_are_those_of_the_whole),
        cmocka_unit_test(test_it_takes_products_with_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
