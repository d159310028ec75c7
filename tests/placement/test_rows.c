// What others measured on devices, one row a graph: the rules must say of the rebuilt program what
// the device said.
//
// Sources: J = videlalvaro/ane-book, book/journal (Phi-4-mini on an M4 Max, macOS 15 and 26; int8,
// 2048 slots); X = its book/experiments; E = eeANE 2.1.0 of PyPI (an M2, macOS 26 and 27).
//
// clang-format off
// Rows a program cannot show, and that no rule claims:
//   J050  layers 24 to 31 in one shard: resident, output NaN. The gates that run the program judge it.
//   J029 to J102: sets of shards (8+8+8+6+2, 12+12+6+2, 16+8+6+2, 20+4+6+2, 20+5+5+2): packages are judged one by one.
//   J095  the count of the four-row form, 138 a layer and 8: its ops are not published; ours has 152 a layer and 4.
//   X26   enumerated shapes with a state: a bad cast when run. Two sets of shards in one process: -14. Times of loading.
//   E     XLM-R above the limit on macOS 27 gives NaN on the CPU: numbers again. Of seven like it one is rebuilt.
//   E     parts as one Core ML pipeline: the later ones ran on the CPU. A pipeline is no ML Program, and no package of ours.
//   E     Gemma 3 and EmbeddingGemma 2 at 2048 tokens: nothing on the ANE, cause unknown.
//   J, E  times, tokens a second, cosines.
//   J055  how far between 2.0 and 2.25 GiB macOS 26 goes on other chips.
// clang-format on
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "placement/graphs.h"
#include "placement/placement.h"

typedef struct {
    const char *what, *source;
    const char *target;
    uint32_t n_layers;
    uint32_t conv_ane, conv_total, compute_ane, compute_total;
    const char *evicted_by; // rule; NULL: stays
} SeedRow;

// 149 ops a layer and 3 a shard, of which 4 convolutions a layer.
static const SeedRow seed_rows[] = {
    {"1 layer", "J003, J102", "macos26", 1, 4, 4, 152, 152, NULL},
    {"2 layers", "J029, J102", "macos26", 2, 8, 8, 301, 301, NULL},
    {"3 layers", "J031", "macos26", 3, 12, 12, 450, 450, NULL},
    {"4 layers", "J038, J102", "macos26", 4, 16, 16, 599, 599, NULL},
    {"5 layers", "J047", "macos26", 5, 20, 20, 748, 748, NULL},
    {"6 layers", "J047, J102", "macos26", 6, 24, 24, 897, 897, NULL},
    {"8 layers", "J050", "macos26", 8, 32, 32, 1195, 1195, NULL},
    {"12 layers", "J055", "macos26", 12, 48, 48, 1791, 1791, NULL},
    {"16 layers", "J055", "macos15", 16, 64, 64, 2387, 2387, NULL},
    {"20 layers", "J055, J102", "macos26", 20, 80, 80, 2983, 2983, NULL},
    {"20 layers, as first measured", "J055", "macos15", 20, 80, 80, 2983, 2983, NULL},
    {"24 layers", "J053, J055: 0 of 96", "macos26", 24, 0, 96, 0, 3579, "D26"},
    // Between what was measured: layers of 96.05 MiB against the limit of 2 GiB.
    {"21 layers", "the limit", "macos26", 21, 84, 84, 3132, 3132, NULL},
    {"22 layers", "the limit", "macos26", 22, 0, 88, 0, 3281, "D26"},
    // What the limit of macOS 27 makes of them: arithmetic, not measured.
    {"10 layers", "the limit", "macos27", 10, 40, 40, 1493, 1493, NULL},
    {"11 layers", "the limit", "macos27", 11, 0, 44, 0, 1642, "D27"},
};

static bool has_open_input(const MilProgram *p) {
    const MilFunction *f = p->functions[0];
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilType *t = &mil_value(f, f->inputs[i])->type;
        for (int k = 0; k < t->rank; k++)
            if (t->dims[k] == MIL_UNKNOWN_DIM) return true;
    }
    return false;
}

static void judge(Placement *out, Draft *d, MilProgram *p, const char *target) {
    if (!builder_ok(&d->b)) print_message("builder: %s\n", d->err.text);
    assert_true(builder_ok(&d->b));
    Err err = {0};
    // Of a program with open rows the engine can run nothing, which is all that validation minds.
    if (!has_open_input(p) && !mil_validate(p, "draft", &err)) print_message("%s\n", err.text);
    assert_int_equal(err.kind, ERR_NONE);
    PlacementTarget t;
    assert_true(placement_target_read(str_of(target), &t));
    placement_judge(out, d->arena, p, draft_bytes(d), &t);
    assert_int_equal(out->n_functions, 1);
}

static void print_row(const char *what, const char *source, const FunctionPlacement *f) {
    print_message("%-34s conv_ane=%u/%u compute_ane=%u/%u%s%s  (%s)\n", what, f->conv_ane,
                  f->conv_total, f->compute_ane, f->compute_total, f->evicted_by ? " " : "",
                  f->evicted_by ? f->evicted_by->id : "", source);
}

static void assert_evicted_by(const FunctionPlacement *f, const char *rule) {
    assert_int_equal(f->evicted_by != NULL, rule != NULL);
    if (rule) assert_string_equal(f->evicted_by->id, rule);
}

static void test_shards_of_the_seed(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(seed_rows); i++) {
        const SeedRow *row = &seed_rows[i];
        Arena arena = {0};
        Draft d = {.arena = &arena};
        SeedShape shape = phi_shape;
        shape.n_layers = row->n_layers;
        Placement placement;
        judge(&placement, &d, draft_seed(&d, &shape), row->target);
        const FunctionPlacement *f = &placement.functions[0];
        print_row(row->what, row->source, f);
        assert_int_equal(f->conv_ane, row->conv_ane);
        assert_int_equal(f->conv_total, row->conv_total);
        assert_int_equal(f->compute_ane, row->compute_ane);
        assert_int_equal(f->compute_total, row->compute_total);
        assert_evicted_by(f, row->evicted_by);
        // Its states are written and not read again: a fault from macOS 27 on, which nobody tried.
        bool is_fault = placement.target.os == 27;
        assert_int_equal(f->n_faults, is_fault); // one finding of all states
        assert_int_equal(placement_is_resident(&placement), row->evicted_by == NULL && !is_fault);
        // The estimate must not contradict a measurement.
        assert_int_not_equal(f->estimate.verdict, row->evicted_by ? PLACE_ANE : PLACE_NOT);
        arena_free(&arena);
    }
}

// The same before the partial rotation was read: 145 ops a layer (J003 to J047).
static void test_shards_of_the_seed_with_whole_heads_turned(void **state) {
    (void)state;
    for (uint32_t n = 1; n <= 6; n++) {
        Arena arena = {0};
        Draft d = {.arena = &arena};
        SeedShape shape = phi_shape;
        shape.n_layers = n;
        shape.rope_dim = shape.head_dim;
        Placement placement;
        judge(&placement, &d, draft_seed(&d, &shape), "macos26");
        assert_int_equal(placement.functions[0].compute_total, 145 * n + 3);
        assert_true(placement_is_resident(&placement));
        arena_free(&arena);
    }
}

static void test_heads_of_the_seed(void **state) {
    (void)state;
    static const struct {
        const char *what, *source;
        uint32_t n_rows;
        bool has_top1;
        uint32_t compute_ane, compute_total;
    } rows[] = {
        {"a quarter of the head", "J021, J048", 50016, false, 8, 8},
        {"a third of the head", "J048", 66688, false, 8, 8},
        {"an eighth of the head", "J073", 25008, false, 8, 8},
        {"a quarter with the best token", "J079: topk and its cast", 50016, true, 9, 11},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Arena arena = {0};
        Draft d = {.arena = &arena};
        Placement placement;
        judge(&placement, &d, draft_seed_head(&d, rows[i].n_rows, rows[i].has_top1), "macos26");
        const FunctionPlacement *f = &placement.functions[0];
        print_row(rows[i].what, rows[i].source, f);
        assert_int_equal(f->conv_ane, 1);
        assert_int_equal(f->compute_ane, rows[i].compute_ane);
        assert_int_equal(f->compute_total, rows[i].compute_total);
        assert_int_equal(placement_is_resident(&placement), !rows[i].has_top1);
        arena_free(&arena);
    }
}

// J093: the synthetic verifier of four rows. All of a toy went to the CPU though every op of it is
// supported; the same ops at real widths stayed. Only the segment costs can tell them apart. The
// account gives d and T; heads and slots of the toy are ours, and the verdict does not hang on
// them.
static void test_small_graphs_stay_on_the_cpu(void **state) {
    (void)state;
    static const struct {
        const char *what;
        SeedShape shape;
        PlacementVerdict allowed[2];
    } rows[] = {
        {"d = 64, T = 4", {1, 64, 2, 1, 32, 24, 192, 4, 64}, {PLACE_NOT, PLACE_NOT}},
        {"d = 64, T = 4, 2048 slots", {1, 64, 2, 1, 32, 24, 192, 4, 2048}, {PLACE_NOT, PLACE_NOT}},
        // Within a factor of two of the price, which is what the estimate is good for.
        {"d = 1024, T = 4", {1, 1024, 8, 8, 128, 96, 2752, 4, 2048}, {PLACE_ANE, PLACE_UNKNOWN}},
        {"d = 3072, T = 4", {1, 3072, 24, 8, 128, 96, 8192, 4, 2048}, {PLACE_ANE, PLACE_ANE}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Arena arena = {0};
        Draft d = {.arena = &arena};
        Placement placement;
        judge(&placement, &d, draft_seed(&d, &rows[i].shape), "macos26");
        const FunctionPlacement *f = &placement.functions[0];
        print_message("%-34s %.3f ms, %.3f on the CPU, price %.3f\n", rows[i].what,
                      f->estimate.ane_ms, f->estimate.cpu_ms, f->estimate.price_ms);
        assert_true(placement_is_resident(&placement)); // every op is supported
        assert_true(f->estimate.verdict == rows[i].allowed[0] ||
                    f->estimate.verdict == rows[i].allowed[1]);
        arena_free(&arena);
    }
}

// J095, J097: four rows a call; J104, J105: any number of rows from 1 to 4, in the four packages
// that were shipped, of the bytes they had. All of it on the ANE.
static void test_several_rows_a_call(void **state) {
    (void)state;
    static const struct {
        const char *what, *source;
        uint32_t n_rows, n_layers;
        double megabytes; // as stated; 0: not stated
    } rows[] = {
        {"T = 4, 1 layer", "J095: 146 of 146", 4, 1, 0},
        {"T = 4, 20 layers", "J097: 2768 of 2768", 4, 20, 0},
        {"T open, 20 layers", "J104", OPEN_ROWS, 20, 2015.8},
        {"T open, 4 layers", "J104", OPEN_ROWS, 4, 403.2},
        {"T open, 6 layers", "J104", OPEN_ROWS, 6, 604.7},
        {"T open, 2 layers", "J104", OPEN_ROWS, 2, 201.6},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Arena arena = {0};
        Draft d = {.arena = &arena};
        SeedShape shape = phi_shape;
        shape.n_layers = rows[i].n_layers;
        shape.n_rows = rows[i].n_rows;
        Placement placement;
        judge(&placement, &d, draft_seed(&d, &shape), "macos26");
        const FunctionPlacement *f = &placement.functions[0];
        print_row(rows[i].what, rows[i].source, f);
        assert_int_equal(f->conv_ane, 4 * rows[i].n_layers);
        assert_int_equal(f->conv_total, 4 * rows[i].n_layers);
        assert_int_equal(f->compute_ane, f->compute_total);
        assert_true(f->compute_total >
                    138 * rows[i].n_layers); // of real layers, whatever their form
        assert_true(placement_is_resident(&placement));
        // The account's converter is not ours: names and descriptions differ, weights do not.
        double stated = rows[i].megabytes, found = (double)placement.n_bytes / 1e6;
        assert_true(stated == 0 || (found > 0.99 * stated && found < 1.01 * stated));
        arena_free(&arena);
    }
}

// What the limits make of Phi-4-mini's head: arithmetic upon the measured limits, not measured.
static void test_a_whole_head_of_the_seed(void **state) {
    (void)state;
    static const struct {
        const char *what, *target;
        uint32_t n_layers, conv_total, compute_total;
        double mib;
        const char *evicted_by;
    } rows[] = {
        {"the whole head", "macos26", 0, 1, 8, 586.2, NULL},
        {"the whole head", "macos27", 0, 1, 8, 586.2, NULL},
        {"4 layers and the head", "macos27", 4, 17, 607, 970.7, NULL},
        {"5 layers and the head", "macos27", 5, 21, 756, 1066.7, "D27"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum { N_VOCAB = 200064 };
        Arena arena = {0};
        Draft d = {.arena = &arena};
        SeedShape shape = phi_shape;
        shape.n_layers = rows[i].n_layers;
        shape.n_logits = N_VOCAB;
        MilProgram *p =
            rows[i].n_layers ? draft_seed(&d, &shape) : draft_seed_head(&d, N_VOCAB, false);
        Placement placement;
        judge(&placement, &d, p, rows[i].target);
        const FunctionPlacement *f = &placement.functions[0];
        print_row(rows[i].what, "the limit", f);
        assert_int_equal(f->conv_total, rows[i].conv_total);
        assert_int_equal(f->compute_total, rows[i].compute_total);
        assert_evicted_by(f, rows[i].evicted_by);
        assert_int_equal(f->compute_ane, rows[i].evicted_by ? 0 : rows[i].compute_total);
        // The program of ours takes half a MiB; scales one a channel would add 0.4 MiB to the head.
        double mib = (double)placement.n_bytes / (1 << 20);
        if (!(mib > rows[i].mib - 1.5 && mib < rows[i].mib + 1.5)) print_message("%.1f MiB\n", mib);
        assert_true(mib > rows[i].mib - 1.5 && mib < rows[i].mib + 1.5);
        arena_free(&arena);
    }
}

// ---- sizes, as others counted them

enum { WEIGHT_MIB = 16 };

// A function that reaches `mib` of weights: matrices of 16 MiB, a new weight file each `per_file` MiB.
static void add_function(MilProgram *p, Arena *arena, const char *name, uint32_t mib,
                         uint32_t per_file, uint32_t *at) {
    Err err = {0};
    Builder b = builder_begin(p, name, &err);
    ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, 2048, 1, 1));
    ValueId y = x;
    for (uint32_t n = 0; n < mib / WEIGHT_MIB; n++, *at += WEIGHT_MIB) {
        uint64_t offset =
            ((uint64_t)(*at % per_file) << 20) + 64 * (*at % per_file / WEIGHT_MIB + 1);
        ValueId w = build_const_blob(&b, arena_printf(arena, "w%u", n).at,
                                     MIL_TENSOR(MIL_F16, 4096, 2048, 1, 1),
                                     (MilPlace){*at / per_file, offset});
        y = build_conv1x1(&b, arena_printf(arena, "y%u", n).at, x, w, MIL_NO_VALUE);
    }
    build_output(&b, y);
    if (!builder_ok(&b)) fail_msg("%s", err.text);
}

// kasper0406/gemma-coreml-chat: radar 1 (M4 Pro, macOS 26, compute plan of an int4 model) and README
// (macOS 27). The newer count says what the device said; the cautious one, which is asked by
// default, says no more than that something of it stays off.
static void test_sizes_as_newer_measurements_count_them(void **state) {
    (void)state;
    static const struct {
        const char *what, *target;
        uint32_t functions[2], per_file; // MiB
        bool is_ane, is_ane_cautiously;
    } rows[] = {
        {"0.54 GB in one file", "macos26", {512}, 8192, true, true},
        {"1.61 GB in one file", "macos26", {1536}, 8192, true, true},
        {"2.15 GB in one file", "macos26", {2048}, 8192, false, false},
        {"3.22 GB in one file", "macos26", {3072}, 8192, false, false},
        {"3.22 GB in four files", "macos26", {3072}, 768, true, false},
        {"1.25 GiB as functions of 0.876 and 0.375", "macos27", {896, 384}, 8192, true, false},
        {"1.25 GiB reached by one function", "macos27", {1280}, 8192, false, false},
        {"the same in four files", "macos27", {1280}, 320, false, false},
        {"0.965 GiB of one function (eeANE)", "macos27", {976}, 8192, true, true},
        {"1.04 GiB of one function (eeANE)", "macos27", {1072}, 8192, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int rule = SIZES_CAUTIOUS; rule <= SIZES_NEWEST; rule++) {
            Arena arena = {0};
            MilProgram *p = mil_program_new(&arena, 9);
            uint32_t mib = 0;
            add_function(p, &arena, "decode", rows[i].functions[0], rows[i].per_file, &mib);
            if (rows[i].functions[1])
                add_function(p, &arena, "head", rows[i].functions[1], rows[i].per_file, &mib);
            PlacementTarget t;
            assert_true(placement_target_read(str_of(rows[i].target), &t));
            t.size_rule = (SizeRule)rule;
            Placement placement;
            placement_judge(&placement, &arena, p, (uint64_t)mib << 20, &t);
            bool is_ane = true;
            for (size_t k = 0; k < placement.n_functions; k++)
                is_ane = is_ane && !placement.functions[k].evicted_by;
            bool wanted = rule == SIZES_NEWEST ? rows[i].is_ane : rows[i].is_ane_cautiously;
            if (is_ane != wanted) print_message("%s, rule %d\n", rows[i].what, rule);
            assert_int_equal(is_ane, wanted);
            assert_int_equal(placement_fits_newest(&placement), rows[i].is_ane);
            arena_free(&arena);
        }
}

typedef MilProgram *Drafting(Draft *d, uint32_t first, uint32_t end);

static MilProgram *qwen3(Draft *d, uint32_t first, uint32_t end) {
    return draft_qwen3(d, first, end, false);
}
static MilProgram *qwen3_int8_table(Draft *d, uint32_t first, uint32_t end) {
    return draft_qwen3(d, first, end, true);
}

typedef struct {
    const char *what, *source;
    Drafting *draft;
    uint32_t n_layers, cut; // in two packages at layer `cut`; 0: in one
    const char *target;
    double least, most; // share of ops on the ANE, percent, parts summed
    double gib[2];      // of the packages as stated; 0: not stated
} ShareRow;

// Lookups by run-time indices at both ends are off the ANE and evict nothing: what the account
// gives as 99.4 and 97 per cent. Where it gives none it says "on the ANE".
static const ShareRow share_rows[] = {
    {"Qwen3 0.6B fp16",
     "E: 99.3 to 99.4 %",
     qwen3,
     QWEN3_LAYERS,
     0,
     "macos26",
     99.25,
     99.45,
     {1.111, 0}},
    {"Qwen3 0.6B fp16", "E: 0 %, CPU", qwen3, QWEN3_LAYERS, 0, "macos27", 0, 0, {1.111, 0}},
    {"Qwen3 0.6B, int8 table",
     "E 1.6.1: ANE",
     qwen3_int8_table,
     QWEN3_LAYERS,
     0,
     "macos27",
     99.25,
     99.45,
     {0.965, 0}},
    {"Qwen3 0.6B in two",
     "E: 99.4 %",
     qwen3,
     QWEN3_LAYERS,
     9,
     "macos27",
     99.25,
     99.45,
     {0.553, 0.557}},
    {"XLM-R large",
     "E: 96.7 to 97.8 %",
     draft_xlm_roberta,
     XLM_ROBERTA_LAYERS,
     0,
     "macos26",
     96.7,
     97.8,
     {1.04, 0}},
    {"XLM-R large",
     "E: 0 %, CPU",
     draft_xlm_roberta,
     XLM_ROBERTA_LAYERS,
     0,
     "macos27",
     0,
     0,
     {1.04, 0}},
    {"XLM-R large in two",
     "E: ANE when halved",
     draft_xlm_roberta,
     XLM_ROBERTA_LAYERS,
     2,
     "macos27",
     96.7,
     97.8,
     {0, 0}},
};

static void test_embedding_models(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(share_rows); i++) {
        const ShareRow *row = &share_rows[i];
        const uint32_t ends[3] = {0, row->cut ? row->cut : row->n_layers, row->n_layers};
        uint32_t ane = 0, total = 0;
        Arena arena = {0};
        for (int part = 0; part < (row->cut ? 2 : 1); part++) {
            Draft d = {.arena = &arena};
            Placement placement;
            judge(&placement, &d, row->draft(&d, ends[part], ends[part + 1]), row->target);
            const FunctionPlacement *f = &placement.functions[0];
            ane += f->compute_ane;
            total += f->compute_total;
            assert_evicted_by(f, row->most == 0 ? "D27" : NULL);
            assert_int_equal(f->n_unknown + f->n_faults, 0);
            // Sizes are given to three digits, and the cut is ours.
            double gib = (double)placement.n_bytes / (1 << 30), stated = row->gib[part];
            assert_true(stated == 0 || (gib > stated - 0.002 && gib < stated + 0.002));
        }
        double share = 100.0 * ane / total;
        print_message("%-34s %s %6.2f %% of %u  (%s)\n", row->what, row->target, share, total,
                      row->source);
        assert_true(share >= row->least && share <= row->most);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_of_the_seed),
        cmocka_unit_test(test_shards_of_the_seed_with_whole_heads_turned),
        cmocka_unit_test(test_heads_of_the_seed),
        cmocka_unit_test(test_small_graphs_stay_on_the_cpu),
        cmocka_unit_test(test_several_rows_a_call),
        cmocka_unit_test(test_a_whole_head_of_the_seed),
        cmocka_unit_test(test_sizes_as_newer_measurements_count_them),
        cmocka_unit_test(test_embedding_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
