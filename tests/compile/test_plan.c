// Shards in bytes: which layers go into which package, and what is said when one does not fit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "compile/compile.h"
#include "compile/shape.h"
#include "mlpackage/model.h"
#include "placement/placement.h"

// What plan.c sets aside for programs; the sizes it plans include them.
enum { PROGRAM_BYTES = 64 << 10, PROGRAM_BYTES_PER_LAYER = 128 << 10 };

typedef struct {
    Arena arena;
    Model *model;
    ShardPlan plan;
    Err err;
} Planned;

static Planned plan_of(const Shape *shape, const CompileOptions *options) {
    Planned p = {0};
    p.model = shape_model(shape, &p.arena);
    if (!plan_shards(&p.plan, p.model, options, &p.arena, &p.err)) p.plan.n_shards = 0;
    return p;
}

static CompileOptions options_for(const Target *target) {
    return (CompileOptions){.context = 64, .prefill_rows = 64, .target = target};
}

// One blob of the weight file: its record, and data to the next multiple of 64.
static uint64_t blob(uint64_t n_bytes) {
    return 64 + (n_bytes + 63) / 64 * 64;
}

// Counted by hand from the shape: the four matrices of a layer and its two norms.
static uint64_t layer_bytes(const Shape *s, PackFormat form) {
    const uint64_t matrices[4][2] = {
        {(uint64_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim, s->d_model},
        {s->d_model, (uint64_t)s->n_heads * s->head_dim},
        {2 * (uint64_t)s->d_ff, s->d_model},
        {s->d_model, s->d_ff},
    };
    // Pieces of Phi-4-mini, which streams gate and up at half speed, and down as fp16; the other
    // shapes here are too small for it.
    static const uint64_t phi_pieces[2][4] = {{1, 1, 2, 1}, {1, 1, 4, 2}};
    bool is_phi = s->d_model == shape_phi4_mini.d_model && s->d_ff == shape_phi4_mini.d_ff;
    uint64_t n = PROGRAM_BYTES_PER_LAYER + 2 * blob(2 * (uint64_t)s->d_model);
    for (size_t i = 0; i < 4; i++) {
        uint64_t n_pieces = is_phi ? phi_pieces[form == WEIGHTS_F16][i] : 1;
        uint64_t rows = matrices[i][0] / n_pieces, cols = matrices[i][1], piece = 0;
        if (form == WEIGHTS_F16) piece = blob(2 * rows * cols);
        if (form == WEIGHTS_INT8_CHANNEL) piece = blob(rows * cols) + blob(2 * rows);
        if (form == WEIGHTS_INT8_TENSOR) piece = blob(rows * cols) + blob(2);
        n += n_pieces * piece;
    }
    return n;
}

static uint64_t slice_rows(const Shape *s, PackFormat form) {
    bool is_plain = s->final_softcap == 0 && (s->logit_scale == 0 || s->logit_scale == 1);
    return head_slice_rows(s->n_vocab, (uint64_t)s->d_model * (form == WEIGHTS_F16 ? 2 : 1),
                           is_plain ? 32768 : 16384, true);
}

// `n_rows` of the head in slices, each with codes and scales, and the final norm.
static uint64_t head_bytes(const Shape *s, PackFormat form, uint64_t n_rows) {
    uint64_t n = blob(2 * (uint64_t)s->d_model), rows = slice_rows(s, form);
    for (; n_rows; n_rows -= rows) {
        rows = min_size(rows, n_rows);
        if (form == WEIGHTS_F16) n += blob(2 * rows * s->d_model);
        if (form != WEIGHTS_F16) n += blob(rows * s->d_model);
        if (form == WEIGHTS_INT8_CHANNEL) n += blob(2 * rows);
        if (form == WEIGHTS_INT8_TENSOR) n += blob(2);
    }
    return n;
}

// ---- what is published

static void test_phi4_mini_int8_is_four_packages(void **state) {
    (void)state;
    CompileOptions options = options_for(target_named("macos27"));
    Planned p = plan_of(&shape_phi4_mini, &options);
    static const uint32_t ends[] = {10, 20, 28, 32};
    assert_int_equal(p.plan.n_shards, COUNT_OF(ends));
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        assert_int_equal(p.plan.shards[i].end_layer, ends[i]);
    assert_int_equal(p.plan.shards[3].first_layer, 28);
    assert_int_equal(p.plan.shards[3].first_logit, 0);
    assert_int_equal(p.plan.shards[3].end_logit, 200064);
    assert_int_equal(p.plan.shards[2].end_logit, 0);
    assert_int_equal(p.plan.shards[0].n_bytes,
                     PROGRAM_BYTES + 10 * layer_bytes(&shape_phi4_mini, WEIGHTS_INT8_CHANNEL));
    arena_free(&p.arena);
}

static void test_targets(void **state) {
    (void)state;
    assert_true(target_named("macos27")->package_limit == UINT64_C(1) << 30);
    assert_true(target_named("macos26")->package_limit == UINT64_C(2) << 30);
    assert_null(target_named("macos2"));
    size_t n = 0;
    while (target_at(n)) n++;
    for (size_t i = 0; i < n; i++) assert_ptr_equal(target_named(target_at(i)->name), target_at(i));
    CompileOptions options = options_for(target_named("macos26"));
    Planned p = plan_of(&shape_phi4_mini, &options);
    assert_int_equal(p.plan.n_shards, 2);
    arena_free(&p.arena);
}

static void test_layers_per_shard_bounds_every_package(void **state) {
    (void)state;
    CompileOptions options = options_for(target_named("macos27"));
    options.layers_per_shard = 3;
    Planned p = plan_of(&shape_phi4_mini, &options);
    // 29 layers in packages of three, and three beside the head.
    assert_int_equal(p.plan.n_shards, 11);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(p.plan.shards[i].end_layer - p.plan.shards[i].first_layer, 3);
    assert_int_equal(p.plan.shards[9].end_layer - p.plan.shards[9].first_layer, 2);
    assert_int_equal(p.plan.shards[10].end_layer - p.plan.shards[10].first_layer, 3);
    // More than fit is no wish that is granted.
    options.layers_per_shard = 1000;
    Planned wide = plan_of(&shape_phi4_mini, &options);
    assert_int_equal(wide.plan.n_shards, 4);
    arena_free(&p.arena);
    arena_free(&wide.arena);
}

// ---- any shape

static void assert_covers(const Planned *p) {
    uint32_t layer = 0, logit = 0;
    for (size_t i = 0; i < p->plan.n_shards; i++) {
        const ShardRange *r = &p->plan.shards[i];
        bool has_layers = r->end_layer > r->first_layer, has_head = r->end_logit > r->first_logit;
        assert_true(has_layers || has_head);
        if (has_layers) assert_int_equal(r->first_layer, layer);
        if (has_head) assert_int_equal(r->first_logit, logit);
        // The head comes last: no layer after it.
        if (has_layers) assert_int_equal(logit, 0);
        if (has_layers) layer = r->end_layer;
        if (has_head) logit = r->end_logit;
    }
    assert_int_equal(layer, p->model->contract.n_layers);
    assert_int_equal(logit, p->model->contract.n_vocab);
}

// No layer would have found place in the package before its own, no slice of the head in the one
// before. The package with the head is filled first, from the back, so the one before it has what
// is left over.
static void assert_filled(const Planned *p, const Shape *s, uint64_t limit) {
    PackFormat form = p->plan.options.weights;
    uint32_t most = p->plan.options.layers_per_shard;
    for (size_t i = 0; i + 1 < p->plan.n_shards; i++) {
        const ShardRange *r = &p->plan.shards[i], *next = r + 1;
        uint32_t n_layers = r->end_layer - r->first_layer;
        if (n_layers && next->first_logit == next->end_logit)
            assert_true(r->n_bytes + layer_bytes(s, form) >= limit || n_layers == most);
        if (r->first_logit == r->end_logit) continue;
        uint64_t rows = r->end_logit - r->first_logit +
                        min_size(slice_rows(s, form), s->n_vocab - r->end_logit);
        assert_true(PROGRAM_BYTES + head_bytes(s, form, rows) >= limit);
    }
    const ShardRange *last = &p->plan.shards[p->plan.n_shards - 1];
    uint32_t beside = last->end_layer - last->first_layer;
    if (beside < s->n_layers && beside != most && last->first_logit == 0)
        assert_true(last->n_bytes + layer_bytes(s, form) >= limit);
}

// Limits at any place, and at the very byte where one more layer would fit, with and without the
// head beside it.
static uint64_t random_limit(const Shape *s, PackFormat form, uint32_t *seed) {
    uint64_t layer = layer_bytes(s, form), head = head_bytes(s, form, s->n_vocab);
    uint64_t n = 1 + random_below(seed, 4), edge = random_below(seed, 2);
    switch (random_below(seed, 4)) {
    case 0: return layer / 2 + random_below(seed, (uint32_t)(6 * layer));
    case 1: return PROGRAM_BYTES + layer + head / n;
    case 2: return PROGRAM_BYTES + n * layer + edge;
    default: return PROGRAM_BYTES + head + n * layer + edge;
    }
}

static void test_random_shapes_are_covered_once_and_fit(void **state) {
    (void)state;
    uint32_t seed = 7, n_refused = 0, n_head_alone = 0, n_head_split = 0;
    for (int round = 0; round < 2000; round++) {
        Shape s = shape_random(&seed);
        s.n_layers = 1 + random_below(&seed, 40);
        Target target = {"test", 0, ""};
        CompileOptions options = options_for(&target);
        options.weights = (PackFormat)random_below(&seed, 3);
        options.layers_per_shard = random_below(&seed, 5);
        s.has_biases = false; // not in layer_bytes()
        target.package_limit = random_limit(&s, options.weights, &seed);
        Planned p = plan_of(&s, &options);
        if (p.plan.n_shards == 0) {
            assert_int_equal(p.err.kind, ERR_FORMAT);
            n_refused++;
        } else {
            assert_covers(&p);
            assert_filled(&p, &s, target.package_limit);
            const ShardRange *last = &p.plan.shards[p.plan.n_shards - 1];
            n_head_alone += last->end_layer == last->first_layer;
            n_head_split += last->first_logit > 0;
        }
        for (size_t i = 0; i < p.plan.n_shards; i++)
            assert_true(p.plan.shards[i].n_bytes < target.package_limit);
        arena_free(&p.arena);
    }
    assert_true(n_refused > 100 && n_head_alone > 100 && n_head_split > 30);
}

// What comes out is what was planned, or less: weight file, program and room to spare.
static void test_planned_bytes_are_an_upper_bound(void **state) {
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 40; round++) {
        Shape s = shape_random(&seed);
        CompileOptions options = options_for(target_named("macos27"));
        options.kv = (KvForm)random_below(&seed, KV_FORM_COUNT);
        options.weights = (PackFormat)random_below(&seed, 3);
        options.context = s.context;
        options.layers_per_shard = 1 + random_below(&seed, 3);
        Planned p = plan_of(&s, &options);
        assert_true(p.plan.n_shards > 0);
        for (size_t i = 0; i < p.plan.n_shards; i++) {
            CompiledShard shard;
            if (!compile_shard(&shard, p.model, &p.plan, &p.plan.shards[i], &p.arena, &p.err))
                fail_msg("%s", p.err.text);
            StrBuf model = {0};
            PackageSource source = {.program = shard.program};
            model_encode(&source, &model);
            enum { MANIFEST_AND_NOTES = 4096 };
            assert_true(shard.blobs.n_bytes + model.len + MANIFEST_AND_NOTES <
                        p.plan.shards[i].n_bytes);
            strbuf_free(&model);
        }
        arena_free(&p.arena);
    }
}

static void test_states_are_as_long_as_the_ane_takes(void **state) {
    (void)state;
    static const uint32_t cases[][2] = {{1, 32},    {32, 32},   {33, 64},     {480, 480},
                                        {481, 544}, {500, 544}, {501, 544},   {512, 544},
                                        {513, 544}, {545, 576}, {4096, 4096}, {4097, 4128}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CompileOptions options = {.context = cases[i][0], .target = target_named("macos27")};
        Shape s = shape_phi4_mini;
        s.n_layers = 1;
        Planned p = plan_of(&s, &options);
        assert_int_equal(p.plan.state_rows, cases[i][1]);
        arena_free(&p.arena);
    }
}

// The longest window whose ring is shorter than the context decides; others find room in it, or have none.
static void test_rings_are_window_and_call(void **state) {
    (void)state;
    static const struct {
        uint32_t window, other, context, prefill_rows;
        KvForm kv;
        uint32_t slots, rows;
        bool has_ring, has_other;
    } cases[] = {
        {33, 0, 256, 64, KV_OVERWRITE, 128, 128, true, false},
        {33, 0, 256, 64, KV_SLICE, 128, 192, true, false},
        {33, 0, 192, 64, KV_SLICE, 0, 0, false, false}, // no shorter than the context
        {33, 0, 224, 64, KV_ROWS, 128, 192, true, false},
        {33, 0, 256, 0, KV_SLICE, 64, 96, true, false},
        {33, 20, 256, 64, KV_OVERWRITE, 128, 128, true, true},
        {33, 400, 256, 64, KV_OVERWRITE, 128, 128, true, false},
        {2047, 262144, 4096, 64, KV_OVERWRITE, 2112, 2112, true, false},
        {2047, 0, 2048, 64, KV_OVERWRITE, 0, 0, false, false},
        {448, 0, 2048, 64, KV_OVERWRITE, 544, 544, true, false}, // 512 is a wrong axis
        {384, 0, 2048, 64, KV_ROWS, 448, 544, true, false},      // and the slots need not avoid it
        {33, 0, 96, 64, KV_OVERWRITE, 0, 0, false, false},       // 97 rows take 128
    };
    static const uint32_t kinds[] = {0, 1};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Shape s = shape_phi4_mini;
        s.n_layers = 2;
        Arena arena = {0};
        Err err = {0};
        Model *model = shape_model(&s, &arena);
        model->contract.kind_of_layer = (U32List){kinds, 2};
        model->contract.kinds[0].attn_window = cases[i].window;
        model->contract.kinds[1] = model->contract.kinds[0];
        model->contract.kinds[1].attn_window = cases[i].other;
        CompileOptions options = {.context = cases[i].context,
                                  .prefill_rows = cases[i].prefill_rows,
                                  .kv = cases[i].kv,
                                  .target = target_named("macos27")};
        ShardPlan plan;
        if (!plan_shards(&plan, model, &options, &arena, &err)) fail_msg("%s", err.text);
        if (plan.ring_slots != cases[i].slots || plan.ring_rows != cases[i].rows)
            fail_msg("case %zu: %u slots of %u rows", i, plan.ring_slots, plan.ring_rows);
        assert_int_equal(plan_has_ring(&plan, &model->contract.kinds[0]), cases[i].has_ring);
        assert_int_equal(plan_has_ring(&plan, &model->contract.kinds[1]), cases[i].has_other);
        options.keeps_windows_whole = true;
        if (!plan_shards(&plan, model, &options, &arena, &err)) fail_msg("%s", err.text);
        assert_int_equal(plan.ring_slots, 0);
        assert_int_equal(plan.ring_rows, 0);
        arena_free(&arena);
    }
}

// ---- refusals

static void assert_says(Planned *p, ErrKind kind, const char *text) {
    assert_int_equal(p->plan.n_shards, 0);
    assert_int_equal(p->err.kind, kind);
    assert_string_equal(p->err.text, text);
    arena_free(&p->arena);
}

static void test_a_layer_that_does_not_fit_is_counted(void **state) {
    (void)state;
    Target target = {"test", 100 << 20, ""};
    CompileOptions options = options_for(&target);
    options.weights = WEIGHTS_F16;
    Planned p = plan_of(&shape_phi4_mini, &options);
    // (5120 + 3072 + 16384) · 3072 + 3072 · 8192 weights of two bytes, and the norms and records
    assert_int_equal(layer_bytes(&shape_phi4_mini, WEIGHTS_F16),
                     201326592 + 131072 + 2 * 6144 + (2 + 8) * 64);
    assert_says(&p, ERR_FORMAT,
                "one layer takes 201536128 bytes as fp16 (192.2 MiB, 192 KiB of program included), "
                "but a package for test must stay below 104857600 (100 MiB); choose a smaller "
                "weight form or another target");
}

// The limit is exclusive, and the program of the package itself takes 64 KiB of it.
static void test_the_limit_is_exclusive(void **state) {
    (void)state;
    Shape s = shape_phi4_mini;
    s.n_vocab = 64;
    uint64_t layer = layer_bytes(&s, WEIGHTS_INT8_CHANNEL);
    Target target = {"test", PROGRAM_BYTES + layer, ""};
    CompileOptions options = options_for(&target);
    Planned p = plan_of(&s, &options);
    assert_int_equal(p.plan.n_shards, 0);
    assert_non_null(strstr(p.err.text, "one layer takes"));
    arena_free(&p.arena);
    target.package_limit++;
    p = plan_of(&s, &options);
    assert_int_equal(p.plan.n_shards, 32 + 1); // a layer each, and the head alone
    arena_free(&p.arena);
}

static void test_a_head_slice_that_does_not_fit_is_counted(void **state) {
    (void)state;
    Shape s = {1, 4096, 1, 1, 32, 32, 32, 131072, 32, 64, .residual_scale = 1};
    Target target = {"test", 64 << 20, ""};
    CompileOptions options = options_for(&target);
    Planned p = plan_of(&s, &options);
    // Five slices: a quarter would be 8 MiB a core.
    assert_int_equal(head_bytes(&s, WEIGHTS_INT8_CHANNEL, 26224),
                     107413504 + 52480 + 8192 + 3 * 64);
    assert_says(&p, ERR_FORMAT,
                "a head slice of 26224 rows takes 107539904 bytes as int8 (102.6 MiB, 64 KiB of "
                "program included), but a package for test must stay below 67108864 (64 MiB); "
                "choose a smaller weight form or another target");
}

static void test_contexts_the_model_was_not_made_for(void **state) {
    (void)state;
    Shape s = shape_phi4_mini;
    s.context = 4096;
    CompileOptions options = options_for(target_named("macos27"));
    options.context = 4097;
    Planned p = plan_of(&s, &options);
    assert_says(&p, ERR_USAGE, "context of 4097 positions: the model was made for 1 to 4096");
    options.context = 0;
    p = plan_of(&s, &options);
    assert_says(&p, ERR_USAGE, "context of 0 positions: the model was made for 1 to 4096");
    options.context = 63;
    p = plan_of(&s, &options);
    assert_says(&p, ERR_USAGE, "context of 63 positions: shorter than one prefill call of 64");
}

// Norms hold eps as sqrt(d_model · eps). Published models have 1e-5 or 1e-6 at widths of 64 and
// more.
static void test_eps_that_vanishes_in_fp16_is_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t d_model;
        float eps;
        bool fits;
    } cases[] = {
        {3072, 1e-5f, true},   {4096, 1e-6f, true},   {576, 1e-5f, true},   {128, 1e-6f, true},
        {64, 0x1p-34f, true}, // 2^-14, the least normal number
        {64, 0x1p-36f, false}, {3072, 1e-12f, false}, {128, 1e-12f, false}, {128, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Shape s = shape_phi4_mini;
        s.n_layers = 1;
        s.d_model = cases[i].d_model;
        Arena arena = {0};
        Model *m = shape_model(&s, &arena);
        m->contract.norm_eps = cases[i].eps;
        CompileOptions options = options_for(target_named("macos27"));
        ShardPlan plan;
        Err err = {0};
        assert_int_equal(plan_shards(&plan, m, &options, &arena, &err) &&
                             plan_keeps_eps(&plan, &m->contract, &err),
                         cases[i].fits);
        if (!cases[i].fits) {
            assert_int_equal(err.kind, ERR_FORMAT);
            assert_non_null(strstr(err.text, "norm_eps"));
            assert_true((strstr(err.text, "--range auto") != NULL) == (cases[i].eps > 0));
        }
        arena_free(&arena);
    }
}

// Layers need not be alike: each counts for itself, so no package is planned below its size.
static void test_layers_of_different_sizes(void **state) {
    (void)state;
    Arena arena = {0};
    Err err = {0};
    Shape shape = {.n_layers = 4,
                   .d_model = 256,
                   .n_heads = 4,
                   .n_kv_heads = 2,
                   .head_dim = 64,
                   .head_dim_v = 64,
                   .d_ff = 512,
                   .n_vocab = 100,
                   .rope_dim = 64,
                   .context = 64};
    Model *model = shape_model(&shape, &arena);
    model->weights.layers[2].up.n_rows = 2048; // 0.4 MB more
    uint64_t small = layer_bytes(&shape, WEIGHTS_INT8_CHANNEL);
    uint64_t large = small + 256 * (2048 - 512) + 2 * (2048 - 512); // all multiples of 64
    Target target = {"test", PROGRAM_BYTES + 2 * small + large,
                     ""}; // three layers are one too many
    CompileOptions options = options_for(&target);
    ShardPlan plan;
    if (!plan_shards(&plan, model, &options, &arena, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < plan.n_shards; i++) {
        const ShardRange *s = &plan.shards[i];
        uint64_t n_bytes = PROGRAM_BYTES;
        for (uint32_t l = s->first_layer; l < s->end_layer; l++) n_bytes += l == 2 ? large : small;
        if (s->end_logit > s->first_logit) {
            assert_true(s->n_bytes > n_bytes);
            continue;
        }
        assert_int_equal(s->n_bytes, n_bytes);
        assert_true(s->n_bytes < target.package_limit);
    }
    assert_int_equal(plan.shards[0].end_layer, 2);
    arena_free(&arena);
}

// What a function reaches is counted: the head, one of its own, stands beside as many layers as fit
// without it. Where weight files are counted, packages go on in another file.
static void test_the_newest_count_is_of_functions(void **state) {
    (void)state;
    static const Shape llama = {16, 2048, 32, 8, 64, 64, 8192, 128256, 64, 4096};
    static const Shape phi = {32, 3072, 24, 8, 128, 128, 8192, 200064, 96, 4096};
    static const struct {
        const Shape *shape;
        const char *target;
        size_t cautious, newest;
    } rows[] = {{&llama, "macos27", 2, 1}, {&phi, "macos27", 4, 4}, {&phi, "macos26", 2, 1}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CompileOptions options = options_for(target_named(rows[i].target));
        Planned p = plan_of(rows[i].shape, &options);
        assert_int_equal(p.plan.n_shards, rows[i].cautious);
        arena_free(&p.arena);
        options.sizes = COUNT_NEWEST;
        p = plan_of(rows[i].shape, &options);
        assert_int_equal(p.plan.n_shards, rows[i].newest);
        assert_covers(&p);
        for (size_t k = 0; k < p.plan.n_shards; k++) {
            const ShardRange *s = &p.plan.shards[k];
            uint64_t layers =
                (s->end_layer - s->first_layer) * layer_bytes(rows[i].shape, WEIGHTS_INT8_CHANNEL);
            if (i < 2) assert_true(layers < options.target->package_limit);
            assert_true(s->n_bytes < plan_package_limit(&options));
        }
        const ShardRange *last = &p.plan.shards[p.plan.n_shards - 1];
        if (i < 2) assert_true(last->n_bytes > options.target->package_limit);
        arena_free(&p.arena);
    }
}

typedef struct {
    uint64_t n_bytes[BLOB_MAX_FILES]; // of each weight file
    uint32_t n_files;
} Files;

// The weight files of a compiled package: every piece in one of them with its scales, in order.
static Files files_of(const CompiledShard *shard) {
    Files found = {.n_files = blob_plan_files(&shard->blobs)};
    MilPlace last = {0};
    for (size_t i = 0; i < shard->n_tensors; i++)
        for (size_t k = 0; k < shard->tensors[i].n_pieces; k++) {
            const PackedTensor *t = &shard->tensors[i];
            const PackedPiece *piece = &t->pieces[k];
            if (packed_scales(t, piece))
                assert_int_equal(piece->scale_at.file, piece->data_at.file);
            assert_true(piece->data_at.file == last.file || piece->data_at.file == last.file + 1);
            if (piece->data_at.file == last.file) assert_true(piece->data_at.offset > last.offset);
            last = piece->data_at;
        }
    for (uint32_t f = 0; f < found.n_files; f++)
        found.n_bytes[f] = blob_plan_file_bytes(&shard->blobs, f);
    return found;
}

static bool is_evicted(const CompiledShard *shard, const char *target, SizeRule rule) {
    Arena arena = {0};
    Placement placement;
    PlacementTarget t;
    assert_true(placement_target_read(str_of(target), &t));
    t.size_rule = rule;
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < shard->n_tensors; i++) n_bytes += packed_bytes(&shard->tensors[i]);
    placement_judge(&placement, &arena, shard->program, n_bytes, &t);
    bool is_any = false;
    for (size_t i = 0; i < placement.n_functions; i++)
        is_any = is_any || placement.functions[i].evicted_by;
    arena_free(&arena);
    return is_any;
}

// 3.7 GB of int8 in one package for macOS 26: no file reaches the cliff at 2^31 bytes, and the table
// of what was measured agrees. Counted cautiously, two packages with a file each.
static void test_weights_go_on_in_another_file_before_the_limit(void **state) {
    (void)state;
    CompileOptions options = options_for(target_named("macos26"));
    for (int sizes = COUNT_CAUTIOUS; sizes <= COUNT_NEWEST; sizes++) {
        options.sizes = (SizeCount)sizes;
        Planned p = plan_of(&shape_phi4_mini, &options);
        assert_int_equal(p.plan.n_shards, sizes == COUNT_NEWEST ? 1 : 2);
        CompiledShard shard;
        assert_true(compile_shard(&shard, p.model, &p.plan, &p.plan.shards[0], &p.arena, &p.err));
        Files found = files_of(&shard);
        assert_int_equal(found.n_files, sizes == COUNT_NEWEST ? 2 : 1);
        for (uint32_t f = 0; f < found.n_files; f++) {
            assert_true(found.n_bytes[f] <= 2000000000 || sizes == COUNT_CAUTIOUS);
            assert_true(found.n_bytes[f] < UINT64_C(1) << 31);
        }
        assert_false(is_evicted(&shard, "macos26", (SizeRule)sizes));
        if (sizes == COUNT_NEWEST) assert_true(is_evicted(&shard, "macos26", SIZES_CAUTIOUS));
        if (sizes == COUNT_NEWEST) assert_true(is_evicted(&shard, "macos27", SIZES_NEWEST));
        arena_free(&p.arena);
    }
}

static void test_as_many_weight_files_as_asked(void **state) {
    (void)state;
    CompileOptions options = options_for(target_named("macos27"));
    for (uint32_t asked = 1; asked <= BLOB_MAX_FILES; asked++) {
        options.weight_files = asked;
        Planned p = plan_of(&shape_phi4_mini, &options);
        assert_int_equal(p.plan.n_shards, 4); // what fits is another question
        CompiledShard shard;
        assert_true(compile_shard(&shard, p.model, &p.plan, &p.plan.shards[0], &p.arena, &p.err));
        Files found = files_of(&shard);
        assert_int_equal(found.n_files, asked);
        // Ten layers of 96 MiB in pieces of 25 at most: shares differ by a piece.
        uint64_t share = (UINT64_C(960) << 20) / asked, piece = UINT64_C(26) << 20;
        for (uint32_t f = 0; f < found.n_files; f++)
            assert_true(found.n_bytes[f] < share + piece && found.n_bytes[f] + piece > share);
        arena_free(&p.arena);
    }
}

// More files than a package may have are not written.
static void test_too_many_weight_files_are_refused(void **state) {
    (void)state;
    CompileOptions options = options_for(target_named("macos26"));
    options.weight_files = 40; // convert asks for 16 at most
    Planned p = plan_of(&shape_phi4_mini, &options);
    CompiledShard shard;
    assert_false(compile_shard(&shard, p.model, &p.plan, &p.plan.shards[0], &p.arena, &p.err));
    assert_non_null(strstr(p.err.text, "would take 40 weight files, and 16 is the most"));
    arena_free(&p.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phi4_mini_int8_is_four_packages),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_the_newest_count_is_of_functions),
        cmocka_unit_test(test_weights_go_on_in_another_file_before_the_limit),
        cmocka_unit_test(test_as_many_weight_files_as_asked),
        cmocka_unit_test(test_too_many_weight_files_are_refused),
        cmocka_unit_test(test_layers_per_shard_bounds_every_package),
        cmocka_unit_test(test_random_shapes_are_covered_once_and_fit),
        cmocka_unit_test(test_planned_bytes_are_an_upper_bound),
        cmocka_unit_test(test_states_are_as_long_as_the_ane_takes),
        cmocka_unit_test(test_rings_are_window_and_call),
        cmocka_unit_test(test_a_layer_that_does_not_fit_is_counted),
        cmocka_unit_test(test_the_limit_is_exclusive),
        cmocka_unit_test(test_a_head_slice_that_does_not_fit_is_counted),
        cmocka_unit_test(test_contexts_the_model_was_not_made_for),
        cmocka_unit_test(test_eps_that_vanishes_in_fp16_is_refused),
        cmocka_unit_test(test_layers_of_different_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
