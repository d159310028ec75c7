// What every program promises, whatever the model's shape: the forms that are known to stay on the
// Neural Engine and to compute right there. The reasons stand in src/compile where the choices are
// made (graph.h, attention.c, plan.c); here they are held, op by op, over random shapes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/half.h"
#include "base/reader.h"
#include "base/size.h"
#include "compile/compile.h"
#include "compile/shape.h"

enum { N_SHAPES = 120, SCORES = 1 << 20, WRONG_FIRST = 501, WRONG_LAST = 512, LONGEST = 65536 };

typedef struct {
    uint32_t n_functions, n_split, n_near_wrong; // seen, so that the test is not empty
    const Shape *shape;
    const CompiledShard *shard;
    const MilFunction *f;
} Seen;

static bool is_computed(const MilValue *v) {
    return !v->is_constant && !v->type.is_state;
}

// ---- one function

// Activations are fp16 of rank 4. Integers are the write position and what is made of it.
static void check_values(const Seen *s) {
    for (uint32_t i = 0; i < s->f->n_values; i++) {
        const MilValue *v = &s->f->values[i];
        assert_true(v->type.rank <= 4);
        if (!is_computed(v)) continue;
        if (v->type.dtype == MIL_I32) {
            assert_int_equal(v->type.rank, 1);
            assert_true(v->op == MIL_NO_OP || s->f->ops[v->op].info->opcode == MIL_OP_concat);
        } else {
            assert_int_equal(v->type.dtype, MIL_F16);
            assert_int_equal(v->type.rank, 4);
        }
        for (int d = 0; d < v->type.rank; d++) {
            assert_true(v->type.dims[d] > 0);
            // An axis of more elements is refused on every chip (plan.c cuts the head for it).
            assert_true(v->type.dims[d] <= LONGEST);
        }
    }
}

// Where integers go: into each other and into the bounds of a state's update.
static void check_integer_uses(const Seen *s) {
    for (uint32_t i = 0; i < s->f->n_ops; i++) {
        const MilOp *op = &s->f->ops[i];
        for (uint32_t p = 0; p < op->info->n_params; p++)
            for (uint32_t k = 0; k < op->args[p].count; k++) {
                const MilValue *v = mil_value(s->f, s->f->operands[op->args[p].first + k]);
                if (!is_computed(v) || v->type.dtype != MIL_I32) continue;
                const char *param = op->info->params[p].name;
                bool is_bound = op->info->opcode == MIL_OP_slice_update &&
                                (strcmp(param, "begin") == 0 || strcmp(param, "end") == 0);
                assert_true(is_bound || op->info->opcode == MIL_OP_concat);
            }
    }
}

// What lathe emits, all of it among the ops that were seen on the Neural Engine with static shapes
// (and the states' own). A new op is a decision: it gets its line here.
static void check_ops(const Seen *s) {
    static const MilOpcode emitted[] = {
        MIL_OP_const,
        MIL_OP_constexpr_blockwise_shift_scale,
        MIL_OP_conv,
        MIL_OP_matmul,
        MIL_OP_softmax,
        MIL_OP_add,
        MIL_OP_sub,
        MIL_OP_mul,
        MIL_OP_real_div,
        MIL_OP_maximum,
        MIL_OP_abs,
        MIL_OP_rsqrt,
        MIL_OP_l2_norm,
        MIL_OP_tanh,
        MIL_OP_silu,
        MIL_OP_gelu,
        MIL_OP_reduce_max,
        MIL_OP_reduce_sum,
        MIL_OP_reshape,
        MIL_OP_transpose,
        MIL_OP_concat,
        MIL_OP_read_state,
        MIL_OP_slice_by_index,
        MIL_OP_write_state,
        MIL_OP_slice_update,
    };
    for (uint32_t i = 0; i < s->f->n_ops; i++) {
        bool is_known = false;
        for (size_t k = 0; k < COUNT_OF(emitted); k++)
            is_known = is_known || s->f->ops[i].info->opcode == emitted[k];
        if (!is_known) fail_msg("%s is new", s->f->ops[i].info->name);
    }
}

static const MilType *operand_type(const Seen *s, const MilOp *op, const char *param) {
    return &mil_value(s->f, mil_operand(s->f, op, mil_param(op->info, param)))->type;
}

static bool is_wrong_axis(int64_t n) {
    return n >= WRONG_FIRST && n <= WRONG_LAST;
}

// One matmul stays below 2^20 scores, query heads that share a key head counted as rows, and no
// axis of it or of its softmax has 501 to 512 elements.
static void check_matmul(Seen *s, const MilOp *op) {
    const MilType *x = operand_type(s, op, "x"), *out = &s->f->values[op->first_output].type;
    int64_t rows = out->dims[2], cols = out->dims[3], inner = x->dims[3];
    assert_int_equal(rows, x->dims[2]);
    if (rows * cols >= SCORES || rows * inner >= SCORES)
        fail_msg("%s %ld %ld %ld G%u ctx %u", op->name.at, (long)rows, (long)cols, (long)inner,
                 s->shape->n_heads / s->shape->n_kv_heads, s->shape->context);
    assert_true(rows * cols < SCORES && rows * inner < SCORES);
    assert_false(is_wrong_axis(rows) || is_wrong_axis(cols) || is_wrong_axis(inner));
    s->n_near_wrong += rows > WRONG_LAST || cols > WRONG_LAST;
}

// A reshape gives another shape, and a transpose another order of numbers.
static void check_movement(const Seen *s, const MilOp *op) {
    const MilType *x = operand_type(s, op, "x"), *out = &s->f->values[op->first_output].type;
    int64_t before[4], after[4];
    size_t n[2] = {0};
    for (int d = 0; d < 4; d++) {
        if (x->dims[d] > 1) before[n[0]++] = x->dims[d];
        if (out->dims[d] > 1) after[n[1]++] = out->dims[d];
    }
    bool is_same = n[0] == n[1] && memcmp(before, after, n[0] * sizeof *before) == 0;
    if (op->info->opcode == MIL_OP_reshape && mil_type_eq(x, out))
        fail_msg("%.*s: %.*s changes nothing", STR_ARG(s->f->name), STR_ARG(op->name));
    // Axes of one length may well change places.
    if (op->info->opcode == MIL_OP_transpose && is_same && x->dims[2] != x->dims[3])
        fail_msg("%.*s: %.*s moves nothing", STR_ARG(s->f->name), STR_ARG(op->name));
}

static void check_constant(const Seen *s, const MilValue *v) {
    size_t count = 0;
    if (v->data->is_blob || v->type.dtype != MIL_F16) return;
    mil_type_count(&v->type, &count);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(f32_from_half((uint16_t)load_le((const uint8_t *)v->data->bytes + 2 * i, 2))))
            fail_msg("%.*s: '%.*s' is not finite", STR_ARG(s->f->name), STR_ARG(v->name));
}

static uint32_t count_ops(const MilFunction *f, MilOpcode opcode) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_ops; i++) n += f->ops[i].info->opcode == opcode;
    return n;
}

static void check_function(Seen *s) {
    check_values(s);
    check_integer_uses(s);
    check_ops(s);
    for (uint32_t i = 0; i < s->f->n_ops; i++) {
        const MilOp *op = &s->f->ops[i];
        if (op->info->opcode == MIL_OP_matmul) check_matmul(s, op);
        if (op->info->opcode == MIL_OP_reshape || op->info->opcode == MIL_OP_transpose)
            check_movement(s, op);
        if (op->info->opcode == MIL_OP_softmax)
            for (int d = 0; d < 4; d++)
                assert_false(is_wrong_axis(operand_type(s, op, "x")->dims[d]));
    }
    for (uint32_t i = 0; i < s->f->n_values; i++)
        if (s->f->values[i].data) check_constant(s, &s->f->values[i]);
    uint32_t n_layers = s->shard->range.end_layer - s->shard->range.first_layer;
    s->n_split += count_ops(s->f, MIL_OP_softmax) > n_layers;
    s->n_functions++;
}

// ---- one package

static bool has_layers(const MilFunction *f) {
    for (uint32_t i = 0; i < f->n_inputs; i++)
        if (str_is(mil_value(f, f->inputs[i])->name, "mask")) return true;
    return false;
}

// decode and prefill work on one cache: the same states by name and type.
static void check_states(const Seen *s, const ShardPlan *plan) {
    uint32_t n_layers = s->shard->range.end_layer - s->shard->range.first_layer;
    const MilProgram *p = s->shard->program;
    for (uint32_t i = 0; i < p->n_functions; i++) {
        const MilFunction *f = p->functions[i];
        uint32_t n = 0;
        for (uint32_t k = 0; k < f->n_inputs; k++) {
            const MilValue *v = mil_value(f, f->inputs[k]);
            if (!v->type.is_state) continue;
            n++;
            assert_int_equal(v->type.dims[2], plan->state_rows);
            const MilFunction *first = p->functions[0];
            ValueId same = mil_find_value(first, v->name);
            assert_false(value_is_none(same));
            assert_true(mil_type_eq(&v->type, &mil_value(first, same)->type));
        }
        // Three and more states written in place fail at run time, so that form packs them in one.
        const uint32_t by_form[KV_FORM_COUNT] = {
            [KV_OVERWRITE] = 2 * n_layers, [KV_SLICE] = 1, [KV_ROWS] = 0};
        uint32_t wanted = by_form[plan->options.kv];
        assert_int_equal(n, has_layers(f) ? wanted : 0);
    }
}

// Two functions, one weight file: prefill reads the very records that decode reads.
static void check_shared_weights(const Seen *s) {
    const MilProgram *p = s->shard->program;
    const MilFunction *a = mil_find_function(p, STR("decode"));
    const MilFunction *b = mil_find_function(p, STR("prefill"));
    if (!a || !b) return;
    size_t n[2] = {0};
    uint64_t sum[2] = {0};
    const MilFunction *both[2] = {a, b};
    for (int i = 0; i < 2; i++)
        for (uint32_t k = 0; k < both[i]->n_values; k++) {
            const MilData *data = both[i]->values[k].data;
            if (!data || !data->is_blob) continue;
            n[i]++;
            sum[i] += data->offset;
        }
    assert_true(n[0] > 0 && n[0] == n[1] && sum[0] == sum[1]);
}

static void check_model(Seen *s, uint32_t *seed) {
    Arena arena = {0};
    Err err = {0};
    Shape shape = shape_random(seed);
    s->shape = &shape;
    Model *model = shape_model(&shape, &arena);
    CompileOptions options = {
        .context = shape.context,
        .prefill_rows = random_below(seed, 4) ? 64 : 0,
        .kv = (KvForm)random_below(seed, KV_FORM_COUNT),
        .weights = (PackFormat)random_below(seed, 3),
        .norm = (NormForm)random_below(seed, 2),
        .target = target_named("macos27"),
        .layers_per_shard = 1 + random_below(seed, 3),
    };
    options.is_one_function = options.prefill_rows && s->n_functions % 2;
    ShardPlan plan;
    if (!plan_shards(&plan, model, &options, &arena, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < plan.n_shards; i++) {
        CompiledShard shard;
        if (!compile_shard(&shard, model, &plan, &plan.shards[i], &arena, &err))
            fail_msg("%s", err.text);
        s->shard = &shard;
        for (uint32_t f = 0; f < shard.program->n_functions; f++) {
            s->f = shard.program->functions[f];
            check_function(s);
        }
        check_states(s, &plan);
        check_shared_weights(s);
    }
    arena_free(&arena);
}

static void test_promises_hold_for_random_shapes(void **state) {
    (void)state;
    Seen seen = {0};
    uint32_t seed = 11;
    for (int i = 0; i < N_SHAPES; i++) check_model(&seen, &seed);
    assert_true(seen.n_functions > 200 && seen.n_split > 20 && seen.n_near_wrong > 20);
}

// ---- splitting, at the edges

// The rows each matmul of the scores has, in order.
static size_t score_rows(uint32_t context, uint32_t n_heads, uint32_t n_kv_heads, uint32_t prefill,
                         int64_t *rows, size_t cap) {
    Arena arena = {0};
    Err err = {0};
    Shape s = {.n_layers = 1,
               .d_model = 32,
               .n_heads = n_heads,
               .n_kv_heads = n_kv_heads,
               .head_dim = 32,
               .head_dim_v = 32,
               .d_ff = 32,
               .n_vocab = 40,
               .rope_dim = 32,
               .context = context};
    Model *model = shape_model(&s, &arena);
    CompileOptions options = {
        .context = context, .prefill_rows = prefill, .target = target_named("macos27")};
    ShardPlan plan;
    CompiledShard shard;
    if (!plan_shards(&plan, model, &options, &arena, &err) ||
        !compile_shard(&shard, model, &plan, &plan.shards[0], &arena, &err))
        fail_msg("%s", err.text);
    const MilFunction *f = mil_find_function(shard.program, STR("prefill"));
    size_t n = 0;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        if (f->ops[i].info->opcode != MIL_OP_softmax) continue;
        assert_true(n < cap);
        rows[n++] = f->values[f->ops[i].first_output].type.dims[2];
    }
    arena_free(&arena);
    return n;
}

static void test_scores_are_split_below_the_limits(void **state) {
    (void)state;
    static const struct {
        uint32_t context, group, prefill;
        size_t n_pieces;
        int64_t rows; // of the first piece
    } cases[] = {
        {4096, 3, 64, 1, 192},  // 192 · 4096 = 0.75 · 2^20
        {4096, 4, 64, 2, 128},  // 256 · 4096 is 2^20 itself
        {4064, 4, 64, 1, 256},  // one state row less
        {8192, 3, 64, 2, 96},   // Phi-4-mini's group
        {32768, 3, 64, 8, 24},  // 48 rows would be 1.5 · 2^20
        {131072, 3, 64, 32, 6}, // and its full context
        {1024, 8, 64, 2, 256},  // 512 rows: not by their scores, but by their number
        {1024, 9, 64, 1, 576},  {512, 1, 64, 1, 64}, // 544 keys
        {96, 1, 96, 1, 96},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t rows[64] = {0}, sum = 0;
        size_t n = score_rows(cases[i].context, 2 * cases[i].group, 2, cases[i].prefill, rows, 64);
        assert_int_equal(n, cases[i].n_pieces);
        assert_int_equal(rows[0], cases[i].rows);
        for (size_t k = 0; k < n; k++) sum += rows[k];
        assert_int_equal(sum, cases[i].group * cases[i].prefill);
    }
}

// ---- what cannot be compiled

static void test_what_is_not_built_is_refused(void **state) {
    (void)state;
    Arena arena = {0};
    Err err = {0};
    Shape s = {.n_layers = 1,
               .d_model = 32,
               .n_heads = 2,
               .n_kv_heads = 1,
               .head_dim = 32,
               .head_dim_v = 64,
               .d_ff = 32,
               .n_vocab = 40,
               .rope_dim = 32,
               .context = 64};
    Model *model = shape_model(&s, &arena);
    CompileOptions options = {.context = 64, .kv = KV_SLICE, .target = target_named("macos27")};
    ShardPlan plan;
    CompiledShard shard;
    assert_true(plan_shards(&plan, model, &options, &arena, &err));
    assert_false(compile_shard(&shard, model, &plan, &plan.shards[0], &arena, &err));
    assert_string_equal(err.text, "head_dim 32 and head_dim_v 64 differ: one packed state cannot "
                                  "hold both; use --kv overwrite");
    assert_int_equal(err.kind, ERR_FORMAT);
    plan.options.kv = KV_OVERWRITE;
    if (!compile_shard(&shard, model, &plan, &plan.shards[0], &arena, &err))
        fail_msg("%s", err.text);
    arena_free(&arena);
}

// A layer takes the rotary tables and the mask of its kind; a kind of which the shard has no layer
// brings no inputs.
static void test_inputs_are_those_of_the_kinds_of_layers(void **state) {
    (void)state;
    static const uint32_t kinds[] = {0, 1, 1};
    Arena arena = {0};
    Err err = {0};
    Shape s = {.n_layers = 3,
               .d_model = 32,
               .n_heads = 2,
               .n_kv_heads = 1,
               .head_dim = 32,
               .head_dim_v = 32,
               .d_ff = 32,
               .n_vocab = 40,
               .rope_dim = 32,
               .context = 64};
    Model *model = shape_model(&s, &arena);
    model->contract.kind_of_layer = (U32List){kinds, 3};
    model->contract.kinds[1] = model->contract.kinds[0];
    model->contract.kinds[1].rope_dim = 16;
    CompileOptions options = {
        .context = 64, .target = target_named("macos27"), .layers_per_shard = 2};
    ShardPlan plan;
    CompiledShard both, second;
    if (!plan_shards(&plan, model, &options, &arena, &err) ||
        !compile_shard(&both, model, &plan, &(ShardRange){.end_layer = 2}, &arena, &err) ||
        !compile_shard(&second, model, &plan, &(ShardRange){.first_layer = 1, .end_layer = 3},
                       &arena, &err))
        fail_msg("%s", err.text);
    const MilFunction *f = mil_find_function(both.program, STR("main"));
    const char *const inputs[] = {"x",      "cos",        "sin",  "mask", "cos_1", "sin_1",
                                  "mask_1", "write_mask", "k_00", "v_00", "k_01",  "v_01"};
    assert_int_equal(f->n_inputs, COUNT_OF(inputs));
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        assert_true(str_is(mil_value(f, f->inputs[i])->name, inputs[i]));
    assert_int_equal(mil_value(f, f->inputs[1])->type.dims[2], 16);
    assert_int_equal(mil_value(f, f->inputs[4])->type.dims[2], 8);
    f = mil_find_function(second.program, STR("main"));
    assert_true(str_is(mil_value(f, f->inputs[1])->name, "cos_1"));
    assert_int_equal(f->n_inputs, 9);
    arena_free(&arena);
}

// Layers of kind 1 have a window, and caches of its length beside those of the context.
static void test_caches_of_windows_are_rings(void **state) {
    (void)state;
    static const uint32_t kinds[] = {0, 1, 1};
    static const struct {
        KvForm kv;
        const char *inputs[14];
        int64_t rows[14]; // of caches; of masks and write masks the axis of slots; 0: not looked at
    } cases[] = {
        {KV_OVERWRITE,
         {"x", "cos", "sin", "mask", "cos_1", "sin_1", "mask_1", "write_mask", "write_mask_ring",
          "k_00", "v_00", "k_01", "v_01", "k_02"},
         {0, 0, 0, 256, 0, 0, 64, 256, 64, 256, 256, 64, 64, 64}},
        {KV_SLICE,
         {"x", "cos", "sin", "mask", "cos_1", "sin_1", "mask_1", "kv_begin_00", "kv_end_00",
          "kv_begin_01", "kv_end_01", "kv_begin_02", "kv_end_02", "kv"},
         {0, 0, 0, 256, 0, 0, 96, 0, 0, 0, 0, 0, 0, 256}},
        {KV_ROWS,
         {"x", "cos", "sin", "mask", "cos_1", "sin_1", "mask_1", "k_00", "v_00", "k_01", "v_01",
          "k_02", "v_02"},
         {0, 0, 0, 256 + 16, 0, 0, 96 + 16, 256, 256, 96, 96, 96, 96}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Err err = {0};
        Shape s = {.n_layers = 3,
                   .d_model = 32,
                   .n_heads = 1,
                   .n_kv_heads = 1,
                   .head_dim = 32,
                   .head_dim_v = 32,
                   .d_ff = 32,
                   .n_vocab = 40,
                   .rope_dim = 32,
                   .context = 256};
        Model *model = shape_model(&s, &arena);
        model->contract.kind_of_layer = (U32List){kinds, 3};
        model->contract.kinds[1] = model->contract.kinds[0];
        model->contract.kinds[1].attn_window = 40;
        CompileOptions options = {.context = 256,
                                  .prefill_rows = 16,
                                  .kv = cases[i].kv,
                                  .target = target_named("macos27")};
        ShardPlan plan;
        CompiledShard shard;
        if (!plan_shards(&plan, model, &options, &arena, &err) ||
            !compile_shard(&shard, model, &plan, &(ShardRange){.end_layer = 3}, &arena, &err))
            fail_msg("%s", err.text);
        const MilFunction *f = mil_find_function(shard.program, STR("prefill"));
        for (size_t k = 0; k < 14 && cases[i].inputs[k]; k++) {
            const MilValue *v = mil_value(f, f->inputs[k]);
            if (!str_is(v->name, cases[i].inputs[k]))
                fail_msg("case %zu: input %zu is %.*s", i, k, STR_ARG(v->name));
            int axis = strncmp(cases[i].inputs[k], "mask", 4) == 0 ? 3 : 2;
            if (cases[i].rows[k]) assert_int_equal(v->type.dims[axis], cases[i].rows[k]);
        }
        if (cases[i].kv ==
            KV_SLICE) { // layers 1 and 2 are the first and second of the rings' state
            const MilValue *ring = mil_value(f, f->inputs[14]);
            assert_true(str_is(ring->name, "kv_ring"));
            assert_int_equal(ring->type.dims[0], 4);
            assert_int_equal(ring->type.dims[2], 96);
            assert_int_equal(mil_value(f, f->inputs[13])->type.dims[0], 2);
        }
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises_hold_for_random_shapes),
        cmocka_unit_test(test_scores_are_split_below_the_limits),
        cmocka_unit_test(test_what_is_not_built_is_refused),
        cmocka_unit_test(test_inputs_are_those_of_the_kinds_of_layers),
        cmocka_unit_test(test_caches_of_windows_are_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
