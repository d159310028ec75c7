// Matrices that would stream at half speed are cut by rows: which, into what, and docs/notch.md.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/size.h"
#include "compile/compile.h"
#include "compile/shape.h"

// Of contracts/*.json. One layer is compiled.
static const struct {
    const char *name;
    uint32_t n_layers;
    Shape shape;
} models[] = {
    {"Phi-4-mini", 32, {1, 3072, 24, 8, 128, 128, 8192, 200064, 96, 4096}},
    {"Llama-3.2-1B", 16, {1, 2048, 32, 8, 64, 64, 8192, 128256, 64, 4096}},
    {"Llama-3.2-3B", 28, {1, 3072, 24, 8, 128, 128, 8192, 128256, 128, 4096}},
    {"Llama-3.1-8B",
     32,
     {1, 4096, 32, 8, 128, 128, 14336, 128256, 128, 4096, .is_interleaved = true}},
    {"Mistral-7B", 32, {1, 4096, 32, 8, 128, 128, 14336, 32768, 128, 4096, .is_interleaved = true}},
    {"SmolLM2-1.7B", 24, {1, 2048, 32, 32, 64, 64, 8192, 49152, 64, 4096}},
};

static CompileOptions options_of(PackFormat form, ChipId chip) {
    return (CompileOptions){.context = 64,
                            .prefill_rows = 64,
                            .weights = form,
                            .target = target_named("macos26"),
                            .chip = chip};
}

static bool is_hit(uint32_t rows, uint32_t cols, unsigned bytes) {
    return notch_is_hit(notch_share(rows, (uint64_t)cols * bytes));
}

typedef struct {
    StrBuf *out;
    const char *model, *form;
    unsigned bytes;            // of a weight
    double times;              // layers that have the row's convolution
    double all, before, after; // bytes a token
} Table;

static double mib(uint32_t rows, uint32_t cols, unsigned bytes) {
    return (double)notch_share(rows, (uint64_t)cols * bytes) / (1 << 20);
}

// A row of the table: `whole` rows a convolution as they were before there were pieces, then the
// pieces.
static void add_row(Table *t, const char *what, uint32_t n_rows, uint32_t n_cols, uint32_t whole,
                    const PackedPiece *pieces, size_t n) {
    uint32_t most = 0, last = n_rows % whole;
    for (size_t i = 0; i < n; i++) {
        most = pieces[i].n_rows > most ? pieces[i].n_rows : most;
        if (is_hit(pieces[i].n_rows, n_cols, t->bytes))
            t->after += t->times * pieces[i].n_rows * n_cols * t->bytes;
    }
    double weight = t->times * n_cols * t->bytes;
    bool was_hit = is_hit(whole, n_cols, t->bytes);
    t->all += n_rows * weight;
    t->before += was_hit ? (n_rows - last) * weight : 0;
    t->before += last && is_hit(last, n_cols, t->bytes) ? last * weight : 0;
    strbuf_printf(t->out, "| %s | %s | %s | %u x %u | %.3f%s | %zu x %u: %.3f%s |\n", t->model,
                  t->form, what, n_rows, n_cols, mib(whole, n_cols, t->bytes),
                  was_hit ? " **half speed**" : "", n, most, mib(most, n_cols, t->bytes),
                  is_hit(most, n_cols, t->bytes) ? " **half speed**" : "");
}

static void add_model(StrBuf *out, StrBuf *sums, size_t i, PackFormat form) {
    Arena arena = {0};
    Err err = {0};
    Model *model = shape_model(&models[i].shape, &arena);
    CompileOptions options = options_of(form, CHIP_ANY);
    ShardPlan plan;
    CompiledShard shard;
    ShardRange all = {.end_layer = 1, .end_logit = models[i].shape.n_vocab};
    if (!plan_shards(&plan, model, &options, &arena, &err) ||
        !compile_shard(&shard, model, &plan, &all, &arena, &err))
        fail_msg("%s", err.text);
    const PackedTensor *t = shard.tensors;
    Table table = {out, models[i].name, weight_form_name(form), form == WEIGHTS_F16 ? 2 : 1,
                   models[i].n_layers};
    static const struct {
        const char *what;
        PackedSlot slot;
    } rows[] = {{"q, k and v", PACKED_QKV},
                {"attention output", PACKED_ATTN_OUT},
                {"gate and up", PACKED_GATE_UP},
                {"down", PACKED_DOWN}};
    for (size_t k = 0; k < COUNT_OF(rows); k++) {
        const PackedTensor *m = &t[rows[k].slot];
        add_row(&table, rows[k].what, m->n_rows, m->n_cols, m->n_rows, m->pieces, m->n_pieces);
    }
    PackedPiece slices[16] = {0};
    // After the layer: the final norm and its bias, then each slice and its bias.
    size_t n_slices = (shard.n_tensors - PACKED_PER_LAYER) / 2 - 1;
    assert_true(n_slices <= COUNT_OF(slices));
    for (size_t k = 0; k < n_slices; k++) slices[k] = t[PACKED_PER_LAYER + 2 + 2 * k].pieces[0];
    uint32_t n_vocab = models[i].shape.n_vocab;
    table.times = 1;
    add_row(&table, "head", n_vocab, models[i].shape.d_model, n_vocab < 65536 ? n_vocab : 65536,
            slices, n_slices);
    assert_true(table.after == 0); // nothing that was published of these models stays
    strbuf_printf(sums, "| %s | %s | %.0f %% | %.0f %% |\n", models[i].name, table.form,
                  100 * table.before / table.all, 100 * table.after / table.all);
    arena_free(&arena);
}

// Each line of `lines` stands in the document.
static bool has_lines(const char *document, const StrBuf *lines) {
    bool has_all = true;
    for (const char *at = lines->at, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        const char *line = strndup(at, (size_t)(end - at) + 1);
        if (!strstr(document, line)) print_message("not in docs/notch.md: %s", line);
        has_all = has_all && strstr(document, line);
        free((char *)line);
    }
    return has_all;
}

static void test_the_document_is_what_the_planner_does(void **state) {
    (void)state;
    StrBuf rows = {0}, sums = {0}, text = {0};
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        add_model(&rows, &sums, i, WEIGHTS_INT8_CHANNEL);
        add_model(&rows, &sums, i, WEIGHTS_F16);
    }
    FileMap map;
    Err err = {0};
    if (!map_file(&map, LATHE_MODELS "/../docs/notch.md", &err)) fail_msg("%s", err.text);
    strbuf_add(&text, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    bool has_rows = has_lines(text.at, &rows), has_sums = has_lines(text.at, &sums);
    assert_true(has_rows && has_sums);
    strbuf_free(&text);
    strbuf_free(&rows);
    strbuf_free(&sums);
}

// ---- the choices, one by one

static void test_the_fewest_pieces_that_are_clear(void **state) {
    (void)state;
    static const struct {
        uint32_t n_rows;
        uint64_t row_bytes;
        uint32_t unit, rows;
    } cases[] = {
        {3072, 3072, 16, 3072},  // 0.563 MiB: whole
        {4096, 4096, 16, 2048},  // 1.000: halves, 0.500
        {8192, 2048, 16, 4096},  // Llama 3.2 1B, gate
        {8192, 4096, 16, 2736},  // 2.000: halves are 1.000, thirds 0.668 and 0.664
        {2048, 16384, 16, 688},  // its down in fp16: thirds again
        {8192, 28672, 16, 2736}, // Llama 70B down, 14 MiB: halves are 7
        {5120, 3072, 16, 5120},  // exactly 64 KiB below
        {5120, 3328, 128, 2560}, // q, k, v of whole heads: 1.016
        {20, 838861, 16, 20},    // one core has two rows, 1.6 MiB: clear
        {16, 1 << 20, 16, 16},   // a row of 1 MiB a core: nothing helps
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        PieceRows rule = {cases[i].unit, true};
        assert_int_equal(piece_rows(cases[i].n_rows, cases[i].row_bytes, rule), cases[i].rows);
        rule.is_asked = false;
        assert_int_equal(piece_rows(cases[i].n_rows, cases[i].row_bytes, rule), cases[i].n_rows);
    }
}

static void test_slices_of_the_head_are_equal_and_clear(void **state) {
    (void)state;
    static const struct {
        uint32_t n_vocab;
        uint64_t row_bytes;
        uint32_t rows;
    } cases[] = {
        {200064, 3072, 28592}, // 7 slices of 5.235 MiB
        {128256, 2048, 32064}, // 4 of 3.914 MiB
        {32768, 4096, 10928},  // one would be 8 MiB, two 4 MiB: thirds of 2.668
        {40, 64, 40},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t rows =
            head_slice_rows(cases[i].n_vocab, cases[i].row_bytes, HEAD_SLICE_MOST_ROWS, true);
        assert_int_equal(rows, cases[i].rows);
        assert_true(rows <= 32768);
        assert_false(notch_is_hit(notch_share(rows, cases[i].row_bytes)));
        uint32_t last = cases[i].n_vocab % rows;
        assert_false(last && notch_is_hit(notch_share(last, cases[i].row_bytes)));
    }
    assert_int_equal(head_slice_rows(32768, 4096, HEAD_SLICE_MOST_ROWS, false), 32768);
    assert_int_equal(head_slice_rows(32768, 4096, HEAD_SLICE_MOST_OP_ROWS, false), 16384);
}

// --head-slice-rows: at most as many as were asked for, in equal slices, none of them slow.
static void test_head_slices_of_at_most_as_many_rows_as_asked(void **state) {
    (void)state;
    static const uint32_t asked[] = {256, 16384, 32768, 65536};
    for (size_t i = 0; i < COUNT_OF(models); i++)
        for (size_t k = 0; k < COUNT_OF(asked); k++) {
            Arena arena = {0};
            ShardPlan plan;
            Err err = {0};
            CompileOptions o = options_of(WEIGHTS_INT8_CHANNEL, CHIP_ANY);
            o.head_slice_rows = asked[k];
            Model *model = shape_model(&models[i].shape, &arena);
            if (!plan_shards(&plan, model, &o, &arena, &err)) fail_msg("%s", err.text);
            uint32_t n = models[i].shape.n_vocab, rows = plan.slice_rows, last = n % rows;
            assert_true(rows <= asked[k] && rows >= (n < asked[k] ? n : asked[k]) / 4);
            assert_true(rows - (last ? last : rows) <= PIECE_UNIT * (n / rows + 1)); // equal
            assert_false(is_hit(rows, model->contract.d_model, 1));
            assert_false(last && is_hit(last, model->contract.d_model, 1));
            arena_free(&arena);
        }
}

static const MilOp *made_by(const MilFunction *f, const char *name) {
    ValueId v = mil_find_value(f, str_of(name));
    return value_is_none(v) ? NULL : &f->ops[mil_value(f, v)->op];
}

typedef struct {
    Arena arena;
    CompiledShard shard;
    const MilFunction *f;
} Compiled;

static void compile_layer(Compiled *c, const Shape *shape, ChipId chip) {
    Err err = {0};
    *c = (Compiled){0};
    Model *model = shape_model(shape, &c->arena);
    CompileOptions options = options_of(WEIGHTS_INT8_CHANNEL, chip);
    ShardPlan plan;
    ShardRange range = {.end_layer = 1};
    if (!plan_shards(&plan, model, &options, &c->arena, &err) ||
        !compile_shard(&c->shard, model, &plan, &range, &c->arena, &err))
        fail_msg("%s", err.text);
    c->f = mil_find_function(c->shard.program, STR("decode"));
}

// Phi-4-mini: gate and up apart, nothing else. Llama 3.2 1B: gate, up and down in halves.
static void test_graphs_of_published_shapes(void **state) {
    (void)state;
    Compiled c;
    compile_layer(&c, &models[0].shape, CHIP_ANY);
    assert_null(made_by(c.f, "layer_00_gate_up_y"));
    assert_int_equal(made_by(c.f, "layer_00_gate")->info->opcode, MIL_OP_conv);
    assert_int_equal(made_by(c.f, "layer_00_up")->info->opcode, MIL_OP_conv);
    assert_int_equal(made_by(c.f, "layer_00_down_y")->info->opcode, MIL_OP_conv);
    arena_free(&c.arena);
    compile_layer(&c, &models[1].shape, CHIP_m4);
    static const char *const joined[] = {"layer_00_gate", "layer_00_up", "layer_00_down_y"};
    for (size_t i = 0; i < COUNT_OF(joined); i++) {
        const MilOp *op = made_by(c.f, joined[i]);
        assert_int_equal(op->info->opcode, MIL_OP_concat);
        assert_int_equal(op->args[mil_param(op->info, "values")].count, 2);
    }
    assert_int_equal(made_by(c.f, "layer_00_attn_out_y")->info->opcode, MIL_OP_conv);
    arena_free(&c.arena);
    // A chip without the notch gains nothing by it.
    compile_layer(&c, &models[1].shape, CHIP_m1);
    assert_int_equal(made_by(c.f, "layer_00_gate_up_y")->info->opcode, MIL_OP_conv);
    assert_int_equal(made_by(c.f, "layer_00_down_y")->info->opcode, MIL_OP_conv);
    arena_free(&c.arena);
}

// Every row is in one piece, in order, whatever the shape and the form.
static void test_pieces_cover_a_matrix_once(void **state) {
    (void)state;
    uint32_t seed = 5, n_cut = 0;
    for (int round = 0; round < 300; round++) {
        Arena arena = {0};
        Shape s = shape_random(&seed);
        s.n_layers = 1;
        s.d_model = 1024 * (1 + random_below(&seed, 8));
        s.d_ff = 1024 * (1 + random_below(&seed, 20));
        Model *model = shape_model(&s, &arena);
        CompileOptions options = options_of((PackFormat)random_below(&seed, 3), CHIP_ANY);
        PackedTensor t[PACKED_PER_LAYER];
        packed_layer(t, model, &options, 0, &(LayerScaling){0}, &arena);
        for (int slot = 0; slot < PACKED_PER_LAYER; slot++) {
            uint32_t row = 0;
            n_cut += t[slot].n_pieces > 1;
            assert_int_equal(t[slot].n_pieces > 0, t[slot].n_parts > 0);
            for (size_t i = 0; i < t[slot].n_pieces; i++) {
                const PackedPiece *p = &t[slot].pieces[i];
                assert_int_equal(p->first_row, row);
                row += p->n_rows;
                if (t[slot].n_pieces == 1) continue;
                assert_false(
                    is_hit(p->n_rows, t[slot].n_cols, options.weights == WEIGHTS_F16 ? 2 : 1));
                // Queries and keys turn by whole heads.
                if (slot == PACKED_QKV) assert_int_equal(p->first_row % s.head_dim, 0);
            }
            assert_int_equal(row, t[slot].n_rows);
        }
        arena_free(&arena);
    }
    assert_true(n_cut > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_document_is_what_the_planner_does),
        cmocka_unit_test(test_the_fewest_pieces_that_are_clear),
        cmocka_unit_test(test_slices_of_the_head_are_equal_and_clear),
        cmocka_unit_test(test_head_slices_of_at_most_as_many_rows_as_asked),
        cmocka_unit_test(test_graphs_of_published_shapes),
        cmocka_unit_test(test_pieces_cover_a_matrix_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
