#include "compile/plan.h"

#include <inttypes.h>
#include <string.h>

#include "base/size.h"
#include "compile/compile.h"
#include "decoder/rings.h"

// Limits of one compiled model by operating system: eeANE 2.1.0 (PyPI), `ne_limits.py`, measured on
// an M2; Apple documents nothing. A message of Core ML's compiler names 2 GiB.
static const Target targets[] = {
    {"macos27", UINT64_C(1) << 30, "macOS 27 and later: packages below 1 GiB", true},
    {"macos26", UINT64_C(2) << 30, "macOS 15 to 26: packages below 2 GiB", false},
};

// Up to macOS 26 everything ran on the CPU once a weight file had 2^31 bytes, however many there
// were; files of 1.07 GB passed (kasper0406/gemma-coreml-chat: radar 1).
#define WEIGHT_FILE_BYTES UINT64_C(2000000000)

// What a package holds besides weights: program, manifest, description. Generous on purpose (the
// largest seen is 60 KB a layer for both functions); the size that came out is checked again.
enum { PROGRAM_BYTES_PER_LAYER = 128 << 10, PROGRAM_BYTES = 64 << 10 };

const Target *target_at(size_t i) {
    return i < COUNT_OF(targets) ? &targets[i] : NULL;
}

const Target *target_named(const char *name) {
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (strcmp(targets[i].name, name) == 0) return &targets[i];
    return NULL;
}

static bool refuse_target(Err *err) {
    StrBuf list = {0};
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        strbuf_printf(&list, "%s%s", i ? " or " : "expected ", targets[i].name);
    strbuf_printf(&list, ", and after a colon a chip if you like:");
    for (int i = 0; i < CHIP_COUNT; i++) strbuf_printf(&list, " %s", chips[i].name);
    err_set(err, ERR_USAGE, "%.*s", STR_ARG(strbuf_str(&list)));
    strbuf_free(&list);
    return false;
}

bool target_read(Str text, const Target **target, ChipId *chip, Err *err) {
    Str system;
    if (!target_split(text, &system, chip)) return refuse_target(err);
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (str_is(system, targets[i].name)) {
            *target = &targets[i];
            return true;
        }
    return refuse_target(err);
}

Str target_text(const Target *target, ChipId chip, Arena *arena) {
    return chip == CHIP_ANY ? str_of(target->name)
                            : arena_printf(arena, "%s:%s", target->name, chips[chip].name);
}

static const char *const weight_forms[] = {
    [WEIGHTS_INT8_CHANNEL] = "int8",
    [WEIGHTS_INT8_TENSOR] = "int8-tensor",
    [WEIGHTS_F16] = "fp16",
};

const char *weight_form_name(PackFormat form) {
    return weight_forms[form];
}

static int name_at(const char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -1;
}

bool weight_form_named(const char *name, PackFormat *form) {
    int at = name_at(weight_forms, COUNT_OF(weight_forms), name);
    if (at >= 0) *form = (PackFormat)at;
    return at >= 0;
}

static const char *const norm_forms[] = {[NORM_MAX] = "max", [NORM_L2] = "l2"};

const char *norm_form_name(NormForm form) {
    return norm_forms[form];
}

bool norm_form_named(Str name, NormForm *form, Err *err) {
    for (size_t i = 0; i < COUNT_OF(norm_forms); i++)
        if (str_is(name, norm_forms[i])) {
            *form = (NormForm)i;
            return true;
        }
    return err_set(err, ERR_USAGE, "expected max or l2");
}

static const char *const size_counts[] = {[COUNT_CAUTIOUS] = "cautious", [COUNT_NEWEST] = "newest"};

const char *size_count_name(SizeCount count) {
    return size_counts[count];
}

bool size_count_named(Str name, SizeCount *count, Err *err) {
    for (size_t i = 0; i < COUNT_OF(size_counts); i++)
        if (str_is(name, size_counts[i])) {
            *count = (SizeCount)i;
            return true;
        }
    return err_set(err, ERR_USAGE, "expected cautious or newest");
}

static bool counts_functions(const CompileOptions *o) {
    return o->sizes == COUNT_NEWEST && o->target->newest_counts_functions;
}

static bool counts_files(const CompileOptions *o) {
    return o->sizes == COUNT_NEWEST && !o->target->newest_counts_functions;
}

uint64_t plan_file_limit(const CompileOptions *o) {
    return o->sizes == COUNT_NEWEST ? WEIGHT_FILE_BYTES : 0;
}

uint64_t plan_package_limit(const CompileOptions *o) {
    if (counts_files(o)) return WEIGHT_FILE_BYTES * BLOB_MAX_FILES / 2;
    return o->target->package_limit * (counts_functions(o) ? 2 : 1);
}

// What a function and the program around it may take: of a target that counts functions its limit.
static uint64_t plan_limit(const CompileOptions *o) {
    return (counts_files(o) ? plan_package_limit(o) : o->target->package_limit) - PROGRAM_BYTES;
}

// The last axis of a state must be a multiple of 32 or loading fails on the ANE (apple/coremltools
// issue #2631); here that axis is head_dim, but rows are rounded too, since they become the last
// axis of the scores. 501 to 512 gave wrong results on macOS 27 (eeANE 2.1.0): 544 is the next.
static bool is_wrong_axis(uint32_t n) {
    return n > 500 && n <= 512;
}

// In the rows form scores have a column more for each new row. A function that takes several rows for
// one stores all of them, in forms that cannot leave some out: there is room for them behind the last.
static uint32_t rounded_rows(const CompileOptions *o, uint64_t n) {
    uint32_t rows = (uint32_t)round_up(n, 32);
    bool adds = o->kv == KV_ROWS;
    while (is_wrong_axis(rows) ||
           (adds && (is_wrong_axis(rows + 1) || is_wrong_axis(rows + o->prefill_rows))))
        rows += 32;
    return rows;
}

static uint32_t state_rows(const CompileOptions *o) {
    bool stores_padding = o->is_one_function && o->kv != KV_OVERWRITE;
    return rounded_rows(o, (uint64_t)o->context + (stores_padding ? o->prefill_rows : 0));
}

uint32_t plan_most_rows(const CompileOptions *o) {
    return (uint32_t)max_size(1, o->prefill_rows);
}

// One ring for all windows: for the longest with which it is still shorter than the whole.
static void plan_ring(ShardPlan *plan, const Contract *c) {
    const CompileOptions *o = &plan->options;
    uint32_t most_rows = plan_most_rows(o), longest = 0;
    for (uint32_t i = 0; i < contract_n_kinds(c) && !o->keeps_windows_whole; i++) {
        uint64_t window = c->kinds[i].attn_window, n = round_up(window + most_rows, 32);
        if (window <= longest || n >= plan->state_rows) continue;
        bool is_blended = o->kv == KV_OVERWRITE;
        uint32_t rows = rounded_rows(o, n + (is_blended ? 0 : most_rows));
        uint32_t slots = is_blended ? rows : (uint32_t)n;
        if (rows >= plan->state_rows) continue;
        longest = (uint32_t)window;
        plan->ring_slots = slots;
        plan->ring_rows = rows;
    }
}

bool plan_has_ring(const ShardPlan *plan, const LayerKind *k) {
    return ring_holds(plan->ring_slots, k->attn_window, plan_most_rows(&plan->options));
}

uint32_t plan_cache_rows(const ShardPlan *plan, const LayerKind *k) {
    return plan_has_ring(plan, k) ? plan->ring_rows : plan->state_rows;
}

static uint64_t layer_bytes(const Model *model, const CompileOptions *options, uint32_t layer,
                            Arena *arena) {
    PackedTensor tensors[PACKED_PER_LAYER];
    packed_layer(tensors, model, options, layer, &(LayerScaling){0}, arena);
    uint64_t n_bytes = PROGRAM_BYTES_PER_LAYER;
    for (int i = 0; i < PACKED_PER_LAYER; i++) n_bytes += packed_bytes(&tensors[i]);
    return n_bytes;
}

// The norm and rows [first, end) of the head, in slices.
static uint64_t head_bytes(const ShardPlan *plan, const Model *model, uint32_t first, uint32_t end,
                           Arena *arena) {
    PackedTensor norm = packed_output_norm(model, &plan->options);
    PackedTensor norm_bias = packed_output_norm_bias(model);
    uint64_t sum = packed_bytes(&norm) + packed_bytes(&norm_bias);
    for (uint32_t at = first; at < end; at += plan->slice_rows) {
        uint32_t to = (uint32_t)min_size(end, (size_t)at + plan->slice_rows);
        PackedTensor slice = packed_head(model, plan->options.weights, at, to, arena);
        PackedTensor bias = packed_head_bias(model, at, to, arena);
        sum += packed_bytes(&slice) + packed_bytes(&bias);
    }
    return sum;
}

static void add_shard(ShardPlan *plan, ShardRange range) {
    plan->shards[plan->n_shards++] = range;
}

// What a package of its own would take: `n_bytes` of weights and the program.
static bool refuse_size(const ShardPlan *plan, const char *what, uint64_t n_bytes,
                        uint64_t program_bytes, Err *err) {
    const Target *target = plan->options.target;
    uint64_t limit = plan_limit(&plan->options) + PROGRAM_BYTES;
    return err_set(err, ERR_FORMAT,
                   "%s takes %" PRIu64 " bytes as %s (%.1f MiB, %" PRIu64
                   " KiB of program included), but a package for %s must stay below %" PRIu64
                   " (%.0f MiB); choose a smaller weight form or another target",
                   what, n_bytes + program_bytes, weight_form_name(plan->options.weights),
                   (double)(n_bytes + program_bytes) / (1 << 20), program_bytes >> 10, target->name,
                   limit, (double)limit / (1 << 20));
}

// Head shards of whole slices, for a head that does not fit beside one layer.
static bool plan_head_alone(ShardPlan *plan, const Model *model, Arena *arena, Err *err) {
    uint32_t n_vocab = model->contract.n_vocab, n_layers = model->contract.n_layers;
    uint64_t limit = plan_limit(&plan->options);
    for (uint32_t first = 0; first < n_vocab;) {
        uint32_t end = first, next = first;
        uint64_t n_bytes = 0;
        while (end < n_vocab) {
            next = (uint32_t)min_size(n_vocab, (size_t)end + plan->slice_rows);
            if (head_bytes(plan, model, first, next, arena) >= limit) break;
            end = next;
            n_bytes = head_bytes(plan, model, first, end, arena);
        }
        if (end == first)
            return refuse_size(plan,
                               arena_printf(arena, "a head slice of %u rows", next - first).at,
                               head_bytes(plan, model, first, next, arena), PROGRAM_BYTES, err);
        add_shard(plan, (ShardRange){n_layers, n_layers, first, end, PROGRAM_BYTES + n_bytes});
        first = end;
    }
    return true;
}

static bool plan_conditions(ShardPlan *plan, const Model *model, Arena *arena, Err *err) {
    const Ranges *ranges = plan->options.ranges;
    plan->layers = arena_array(arena, model->contract.n_layers, LayerScaling);
    for (size_t i = 0; ranges && i < plan->n_shards; i++) {
        ShardRange *s = &plan->shards[i];
        if (!condition_stream(&s->residual_exp2, &model->contract, ranges, s->first_layer,
                              s->end_layer, err))
            return false;
        for (uint32_t l = s->first_layer; l < s->end_layer; l++)
            plan->layers[l] = condition_layer(contract_layer(&model->contract, l),
                                              &ranges->layers[l], s->residual_exp2);
    }
    return true;
}

bool plan_take_ranges(ShardPlan *plan, const Model *model, const Ranges *ranges, Arena *arena,
                      Err *err) {
    plan->options.ranges = ranges;
    return plan_conditions(plan, model, arena, err);
}

bool plan_shards(ShardPlan *plan, const Model *model, const CompileOptions *options, Arena *arena,
                 Err *err) {
    const Contract *c = &model->contract;
    *plan = (ShardPlan){.options = *options, .state_rows = state_rows(options)};
    if (options->context == 0 || options->context > c->context)
        return err_set(err, ERR_USAGE, "context of %u positions: the model was made for 1 to %u",
                       options->context, c->context);
    if (options->prefill_rows > options->context)
        return err_set(err, ERR_USAGE,
                       "context of %u positions: shorter than one prefill call of %u",
                       options->context, options->prefill_rows);

    plan_ring(plan, c);
    uint64_t limit = plan_limit(options);
    uint64_t row_bytes = (uint64_t)c->d_model * (options->weights == WEIGHTS_F16 ? 2 : 1);
    bool is_plain = c->logit_scale == 1 && c->final_softcap == 0; // shard.c build_head
    uint32_t most_rows = is_plain ? HEAD_SLICE_MOST_ROWS : HEAD_SLICE_MOST_OP_ROWS;
    if (options->head_slice_rows) most_rows = options->head_slice_rows;
    plan->slice_rows =
        head_slice_rows(c->n_vocab, row_bytes, most_rows, chip_may_have_notch(options->chip));
    uint64_t head = head_bytes(plan, model, 0, c->n_vocab, arena);
    uint64_t *layers = arena_array(arena, c->n_layers, uint64_t); // they may differ, by their kinds
    for (uint32_t i = 0; i < c->n_layers; i++) {
        layers[i] = layer_bytes(model, options, i, arena);
        if (layers[i] >= limit)
            return refuse_size(plan, "one layer", layers[i] - PROGRAM_BYTES_PER_LAYER,
                               PROGRAM_BYTES + PROGRAM_BYTES_PER_LAYER, err);
    }

    // From the back: the package with the head takes what still fits, the others fill up from the
    // first layer on.
    uint32_t most = options->layers_per_shard ? options->layers_per_shard : c->n_layers;
    uint32_t before_head = c->n_layers;
    bool is_apart =
        counts_functions(options); // the head, a function of its own, takes no layer's place
    uint64_t last = is_apart && head < limit ? 0 : head;
    while (before_head > 0 && c->n_layers - before_head < most &&
           last + layers[before_head - 1] < limit)
        last += layers[--before_head];

    plan->shards =
        arena_array(arena, (size_t)c->n_layers + c->n_vocab / plan->slice_rows + 2, ShardRange);
    for (uint32_t first = 0, end; first < before_head; first = end) {
        uint64_t n_bytes = 0;
        for (end = first; end < before_head && end - first < most; end++) {
            if (n_bytes + layers[end] >= limit) break;
            n_bytes += layers[end];
        }
        add_shard(plan, (ShardRange){first, end, 0, 0, PROGRAM_BYTES + n_bytes});
    }
    if (before_head < c->n_layers)
        add_shard(plan, (ShardRange){before_head, c->n_layers, 0, c->n_vocab,
                                     PROGRAM_BYTES + last + (is_apart ? head : 0)});
    else if (!plan_head_alone(plan, model, arena, err))
        return false;
    return plan_conditions(plan, model, arena, err);
}

bool plan_keeps_eps(const ShardPlan *plan, const Contract *c, Err *err) {
    if (plan->options.norm == NORM_L2 && plan->options.ranges &&
        !condition_rows_need_no_eps(c, plan->options.ranges, err))
        return false;
    for (size_t i = 0; i < plan->n_shards; i++)
        if (!condition_keeps_eps(c, plan->shards[i].residual_exp2, err) ||
            (plan->options.norm == NORM_L2 &&
             !condition_keeps_l2_eps(c, plan->shards[i].residual_exp2, err)))
            return false;
    return true;
}
