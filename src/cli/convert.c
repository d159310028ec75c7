// convert.c — `lathe convert MODEL.gguf -o OUT.lathe`.
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "bundle/advice.h"
#include "bundle/costs.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/interrupt.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/package_sizes.h"
#include "cli/settings.h"
#include "cli/text_input.h"
#include "cli/wrap.h"
#include "contract/contract.h"
#include "convert/convert.h"
#include "convert/setting_file.h"
#include "placement/placement.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    const char *model, *out, *settings_from, *kv, *windows, *weights, *norm, *target, *sizes,
        *functions, *range, *calibration;
    const char *chosen[USE_COUNT];
    uint32_t layers_per_shard, prefill_rows, head_slice_rows, weight_files, threads;
    ConfigFiles second;
    SettingOptions settings;
    bool replaces, is_offline, as_json;
} Arguments;

// Rows of a prefill call, in steps of half of what the last axis of an activation is padded to.
enum { LEAST_PREFILL_ROWS = 16, MOST_PREFILL_ROWS = 256 };

// Rows of a head slice, in steps of the 16 cores that share its channels: up to what an axis may have on
// M4 and later, down to where a large vocabulary comes to a thousand convolutions.
enum { HEAD_SLICE_STEP = 16, LEAST_HEAD_SLICE_ROWS = 256, MOST_HEAD_SLICE_ROWS = 65536 };

// Ranges are measured in the fp32 reference, over some 1500 tokens: twenty seconds of one core for
// 135 million weights, so about ten minutes for 3.8 billion. What must be proved anyhow can wait
// that long, but a conversion of gigabytes that streams in seconds should not do so unasked.
#define MOST_WEIGHTS_UNASKED UINT64_C(1000000000)

static const Option option_rows[] = {
    {"-o", OPTION_TEXT, offsetof(Arguments, out), "OUT.lathe", "the bundle to write"},
    {"--force", OPTION_FLAG, offsetof(Arguments, replaces), NULL, "replace a bundle of that name"},
    {"--config", OPTION_TEXT, offsetof(Arguments, second.config), "config.json",
     "the publisher's file; if it contradicts the model file, nothing is converted"},
    {"--generation-config", OPTION_TEXT, offsetof(Arguments, second.generation), "FILE",
     "likewise, generation_config.json"},
    {"--tokenizer-config", OPTION_TEXT, offsetof(Arguments, second.tokenizer), "FILE",
     "likewise, tokenizer_config.json"},
    {"--chat-template", OPTION_TEXT, offsetof(Arguments, second.chat_template), "FILE.jinja",
     "likewise, chat_template.jinja"},
#define USE(name, type, option, argument, doc)                                                     \
    {option, OPTION_TEXT, offsetof(Arguments, chosen[USE_##name]), argument, doc},
#include "contract/use.def"
#undef USE
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
    {"--settings", OPTION_TEXT, offsetof(Arguments, settings_from), "NAME|FILE",
     "use the options that lathe settle --tune kept; options on the command line replace them"},
    {"--weights", OPTION_TEXT, offsetof(Arguments, weights), "FORM",
     "int8 (default: one scale per output channel), int8-tensor (one scale per matrix) or fp16"},
    {"--kv", OPTION_TEXT, offsetof(Arguments, kv), "FORM",
     "how new rows get into the KV caches: overwrite (default: the whole cache is stored), slice "
     "(only the new rows are stored) or rows (no states: caches are inputs, and the host stores "
     "the rows)"},
    {"--windows", OPTION_TEXT, offsetof(Arguments, windows), "FORM",
     "what the KV caches of layers with a window hold: ring (default: the window and the rows of "
     "one "
     "call) or whole (the context, as those of other layers)"},
    {"--norm", OPTION_TEXT, offsetof(Arguments, norm), "FORM",
     "how norms are computed: max (default: safe for any row) or l2 (in decode and head two ops "
     "instead of fourteen; the Neural Engine is reported to ignore the eps of l2_norm)"},
    {"--functions", OPTION_TEXT, offsetof(Arguments, functions), "LIST",
     "functions of each package with layers: decode,prefill (default), decode (a prompt is read "
     "position by position) or one (a function of --prefill-rows rows does both)"},
    {"--prefill-rows", OPTION_COUNT, offsetof(Arguments, prefill_rows), "N",
     "positions per call of prefill: 16, 32, … 256 (default 64)"},
    {"--head-slice-rows", OPTION_COUNT, offsetof(Arguments, head_slice_rows), "N",
     "at most N vocabulary rows per convolution of the head, in equal slices (default: 32768, or "
     "16384 where logits are scaled or capped)"},
    {"--weight-files", OPTION_COUNT, offsetof(Arguments, weight_files), "N",
     "N weight files of about equal size per package (default: one; with --sizes newest another "
     "before one reaches 2 GB)"},
    {"--target", OPTION_TEXT, offsetof(Arguments, target), "OS[:CHIP]",
     "macos27 (default: packages below 1 GiB) or macos26 (below 2 GiB); with a CHIP (m1, m4pro, "
     "...) the sizes of convolutions suit that chip alone"},
    {"--sizes", OPTION_TEXT, offsetof(Arguments, sizes), "COUNT",
     "what the target's limit counts: cautious (default: a package) or newest (as reported last: "
     "from macOS 27 on the bytes that a function reaches, before it those of a weight file)"},
    {"--layers-per-shard", OPTION_COUNT, offsetof(Arguments, layers_per_shard), "N",
     "at most N layers per package (default: as many as the target allows)"},
    {"--range", OPTION_TEXT, offsetof(Arguments, range), "MODE",
     "auto: measure activations in the reference, and scale by powers of two what fp16 cannot "
     "hold; off: do neither (default: auto up to a billion weights)"},
    {"--calibration", OPTION_TEXT, offsetof(Arguments, calibration), "FILE",
     "text to measure activations over (default: a built-in one)"},
    OFFLINE_OPTION(Arguments, is_offline),
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print what was written as JSON, for programs"},
    THREADS_OPTION(Arguments, threads),
};

const CommandLine convert_line = {
    .usage = "lathe convert MODEL.gguf -o OUT.lathe [OPTIONS]",
    .doc = "Converts a GGUF model to Core ML packages for the Apple Neural Engine. lathe chat uses "
           "the result\nonly after lathe verify OUT.lathe has proved it.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf", offsetof(Arguments, model)}},
    .n_positional = 1,
    .n_required = 1,
};

// Options of a setting come first on the command line, so that those given there replace them.
static bool read_with_settings(Arguments *a, int argc, char **argv, Arena *arena, Err *err) {
    SettingWords words;
    if (!setting_file_read(&words, a->settings_from, arena, err)) return false;
    char **all = arena_array(arena, words.n_words + (size_t)argc + 1, char *);
    all[0] = argv[0];
    for (size_t i = 0; i < words.n_words; i++) all[1 + i] = (char *)(uintptr_t)words.words[i];
    memcpy(all + 1 + words.n_words, argv + 1, ((size_t)argc - 1) * sizeof *all);
    if (words.is_stand_in)
        fprintf(stderr,
                "%s was measured with a stand-in for Core ML: none of its figures is a device's\n",
                words.path);
    bool is_done;
    return options_read(&convert_line, a, argc + (int)words.n_words, all, &is_done, err) ||
           err_prefix(err, "--settings %s", a->settings_from);
}

// `arena` keeps the words of a setting.
static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Arena *arena,
                           Err *err) {
    Arguments defaults = *a;
    if (!options_read(&convert_line, a, argc, argv, is_done, err)) return false;
    if (*is_done || !a->settings_from) return true;
    const char *from = a->settings_from;
    *a = defaults;
    a->settings_from = from;
    return read_with_settings(a, argc, argv, arena, err);
}

static bool read_options(const Arguments *a, CompileOptions *o, Err *err) {
    *o = (CompileOptions){.layers_per_shard = a->layers_per_shard,
                          .head_slice_rows = a->head_slice_rows,
                          .weight_files = a->weight_files};
    Str functions = str_of(a->functions);
    o->is_one_function = str_is(functions, "one");
    if (o->is_one_function || str_is(functions, "decode,prefill"))
        o->prefill_rows = a->prefill_rows;
    else if (!str_is(functions, "decode"))
        return err_set(err, ERR_USAGE, "--functions %s: expected decode,prefill, decode or one",
                       a->functions);
    else if (a->prefill_rows != DEFAULT_PREFILL_ROWS)
        return err_set(
            err, ERR_USAGE,
            "--prefill-rows %u: --functions decode makes no prefill; leave one of the two out",
            a->prefill_rows);
    if (a->prefill_rows > MOST_PREFILL_ROWS || a->prefill_rows % LEAST_PREFILL_ROWS)
        return err_set(err, ERR_USAGE, "--prefill-rows %u: expected a multiple of %d up to %d",
                       a->prefill_rows, LEAST_PREFILL_ROWS, MOST_PREFILL_ROWS);
    uint32_t slice = a->head_slice_rows;
    if (slice &&
        (slice < LEAST_HEAD_SLICE_ROWS || slice > MOST_HEAD_SLICE_ROWS || slice % HEAD_SLICE_STEP))
        return err_set(err, ERR_USAGE,
                       "--head-slice-rows %u: expected a multiple of %d from %d to %d", slice,
                       HEAD_SLICE_STEP, LEAST_HEAD_SLICE_ROWS, MOST_HEAD_SLICE_ROWS);
    if (a->weight_files > BLOB_MAX_FILES)
        return err_set(err, ERR_USAGE, "--weight-files %u: expected 1 to %d", a->weight_files,
                       BLOB_MAX_FILES);
    if (!kv_form_named(str_of(a->kv), &o->kv, err)) return err_prefix(err, "--kv");
    o->keeps_windows_whole = str_is(str_of(a->windows), "whole");
    if (!o->keeps_windows_whole && !str_is(str_of(a->windows), "ring"))
        return err_set(err, ERR_USAGE, "--windows %s: expected ring or whole", a->windows);
    if (!weight_form_named(a->weights, &o->weights))
        return err_set(err, ERR_USAGE, "--weights %s: expected int8, int8-tensor or fp16",
                       a->weights);
    if (!norm_form_named(str_of(a->norm), &o->norm, err))
        return err_prefix(err, "--norm %s", a->norm);
    if (!target_read(str_of(a->target), &o->target, &o->chip, err))
        return err_prefix(err, "--target %s", a->target);
    if (!size_count_named(str_of(a->sizes), &o->sizes, err))
        return err_prefix(err, "--sizes %s", a->sizes);
    if (!a->out || !*a->out) return err_set(err, ERR_USAGE, "missing -o OUT.lathe");
    return true;
}

// Whether ranges are measured; where nothing is said, the size of the model decides.
static bool read_range_mode(const Arguments *a, ConvertJob *job, Err *err) {
    bool is_auto = str_is(str_of(a->range), "auto"), is_off = str_is(str_of(a->range), "off");
    if (a->range[0] && !is_auto && !is_off)
        return err_set(err, ERR_USAGE, "--range %s: expected auto or off", a->range);
    if (a->calibration && is_off)
        return err_set(err, ERR_USAGE,
                       "--calibration with --range off: nothing is measured, so the text is not "
                       "read; leave one of the two out");
    job->measures_ranges = !is_off;
    job->most_weights_measured = is_auto || a->calibration ? 0 : MOST_WEIGHTS_UNASKED;
    return true;
}

static bool read_calibration(const char *path, TextInput *input, Str *text, Err *err) {
    if (!path) return true;
    if (!text_input_open(input, path, TOKENIZER_MAX_TEXT, err)) return false;
    *text = input->text;
    if (text->len > 0 && text->len <= TOKENIZER_MAX_TEXT) return true;
    return text->len ? err_set(err, ERR_FORMAT, "%s: longer than %zu bytes", path,
                               (size_t)TOKENIZER_MAX_TEXT)
                     : err_set(err, ERR_FORMAT,
                               "%s is empty, expected a text to measure activations over", path);
}

static uint64_t bundle_bytes(const Chain *chain) {
    uint64_t total = chain->host.n_bytes;
    for (size_t i = 0; i < chain->n_shards; i++) total += chain->shards[i].n_bytes;
    return total;
}

// The command that proves the bundle, by the publisher's files as well where they are known.
static void print_next(const Chain *chain, const char *out, const ConfigFiles *files) {
    Arena scratch = {0};
    printf("prove it with: %s%s\n", verify_command(&scratch, out, chain),
           publisher_options(&scratch, files));
    arena_free(&scratch);
}

static double mb(uint64_t n_bytes) {
    return (double)n_bytes / 1e6;
}

// Predicted from sizes: what a token moves, and what stays in memory.
static void print_costs(const Chain *chain) {
    BundleCosts costs;
    bundle_costs(&costs, chain);
    print_line(
        stdout, 2,
        "a token reads %.1f MB of weights and moves %.3g MB to store its rows in KV caches "
        "of %.1f MB (--kv %.*s)%s",
        mb(costs.weight_bytes), mb(costs.kv_token_bytes), mb(costs.kv_bytes), STR_ARG(chain->kv),
        costs.kv_token_bytes > costs.kv_bytes && !costs.n_rings ? "; half the --context halves both"
                                                                : "");
    StrBuf rings = {0};
    bundle_costs_print_rings(&costs, chain, &rings);
    if (rings.len) print_line(stdout, 2, "%s (--windows whole: none)", rings.at);
    strbuf_free(&rings);
    print_line(stdout, 2,
               "memory wired on a device, where each function keeps its own weights: %.1f MB "
               "(predicted; --functions decode,prefill %.1f MB, decode or one %.1f MB)",
               mb(costs.wired_bytes), mb(costs.wired_bytes_two), mb(costs.wired_bytes_one));
    uint32_t n_rows = chain_decode_rows(chain);
    if (n_rows > 1)
        print_line(stdout, 2,
                   "a token is computed as %u rows (--functions one): all attention and "
                   "elementwise work of a call of prefill",
                   n_rows);
}

static bool print_result(const Chain *chain, const char *out, const ConfigFiles *files, Err *err) {
    for (size_t i = 0; i < chain->n_shards; i++)
        if (!print_written_sizes(&chain->shards[i], chain, out, err)) return false;
    print_line(stdout, 2, "%s: %.1f MiB, contract %.12s…, context %u, %.*s weights", out,
               (double)bundle_bytes(chain) / (1 << 20), chain->contract_digest.at, chain->context,
               STR_ARG(chain->weights));
    StrBuf deviations = {0};
    use_print_deviations(&chain->use, &deviations);
    if (deviations.len)
        print_line(stdout, 2, "choices other than the publisher's: %s", deviations.at);
    strbuf_free(&deviations);
    if (chain->ranges) {
        float most = 1;
        for (size_t i = 0; i < chain->n_shards; i++)
            if (chain->shards[i].residual_factor > most) most = chain->shards[i].residual_factor;
        printf("activations measured over %u tokens", chain->ranges->n_tokens);
        if (most > 1) printf("; scaled down up to %gx to fit fp16", (double)most);
        printf("\n");
    }
    print_costs(chain);
    print_next(chain, out, files);
    return true;
}

// What a program needs to go on; the whole is in chain.json.
static void print_json(const Chain *chain, const char *out) {
    json_t *packages = json_array();
    for (size_t i = 0; i < chain->n_shards; i++) {
        const ChainShard *s = &chain->shards[i];
        json_array_append_new(
            packages,
            json_pack("{s:s%, s:I, s:I, s:[I,I], s:[I,I]}", "path", s->package.at, s->package.len,
                      "bytes", (json_int_t)s->n_bytes, "functions", (json_int_t)s->n_functions,
                      "layers", (json_int_t)s->first_layer, (json_int_t)s->end_layer, "logits",
                      (json_int_t)s->first_logit, (json_int_t)s->end_logit));
    }
    BundleCosts costs;
    bundle_costs(&costs, chain);
    json_t *all = json_pack(
        "{s:s, s:I, s:s%, s:s%, s:I, s:s%, s:s%, s:b, s:s%, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:o}",
        "bundle", out, "bytes", (json_int_t)bundle_bytes(chain), "contract_sha256",
        chain->contract_digest.at, chain->contract_digest.len, "source_sha256",
        chain->source_sha256.at, chain->source_sha256.len, "context", (json_int_t)chain->context,
        "weights", chain->weights.at, chain->weights.len, "target", chain->target.at,
        chain->target.len, "ranges_measured", chain->ranges != NULL, "kv", chain->kv.at,
        chain->kv.len, "kv_bytes", (json_int_t)costs.kv_bytes, "kv_bytes_a_token",
        (json_int_t)costs.kv_token_bytes, "kv_bytes_saved", (json_int_t)costs.kv_saved_bytes,
        "weight_bytes_a_token", (json_int_t)costs.weight_bytes, "wired_bytes",
        (json_int_t)costs.wired_bytes, "wired_bytes_two_functions",
        (json_int_t)costs.wired_bytes_two, "wired_bytes_one_function",
        (json_int_t)costs.wired_bytes_one, "packages", packages);
    if (!all) die_out_of_memory(0);
    output_json(all, JSON_INDENT(1));
}

// Until Ctrl-C.
static bool is_wanted(void *context) {
    (void)context;
    return !interrupt_is_noted();
}

static bool convert(const Arguments *a, Arena *words, Err *err) {
    CompileOptions options;
    if (!read_options(a, &options, err)) return false;
    ConvertJob job = {
        .model_path = a->model,
        .out_path = a->out,
        .options = options,
        .second = a->second,
        .settings = settings_given(&a->settings),
        .replaces = a->replaces,
        .tool_version = "lathe " LATHE_VERSION,
    };
    memcpy(job.chosen, a->chosen, sizeof job.chosen);
    hub_model_files(&job.second, job.model_path, words);
    TextInput calibration = {0};
    if (!read_range_mode(a, &job, err) ||
        !read_calibration(a->calibration, &calibration, &job.calibration_text, err))
        return false;
    Pool *pool = pool_open(a->threads, err);
    if (!pool) {
        text_input_close(&calibration);
        return false;
    }
    Meter meter;
    meter_start(&meter);
    Progress progress = meter_progress(&meter);
    progress.goes_on = is_wanted;
    interrupt_catch();
    Arena arena = {0};
    Chain chain;
    job.pool = pool;
    job.progress = &progress;
    bool ok = bundle_convert(&chain, &arena, &job, err);
    meter_stop(&meter);
    if (ok) {
        if (a->as_json)
            print_json(&chain, a->out);
        else
            ok = print_result(&chain, a->out, &a->second, err);
        fflush(stdout);
        ok = ok && warn_of_context(&chain, a->out, err);
        if (job.measures_ranges && !chain.ranges)
            fprintf(stderr,
                    "activations were not measured, because that takes minutes for a model of this "
                    "size: --range auto measures them, --range off hides this line\n");
        meter_finish(&meter, "converted");
    }
    arena_free(&arena);
    pool_close(pool);
    text_input_close(&calibration);
    return ok;
}

bool command_convert(int argc, char **argv, Err *err) {
    Arguments a = {.kv = kv_form_name(0),
                   .windows = "ring",
                   .weights = "int8",
                   .norm = "max",
                   .target = "macos27",
                   .sizes = "cautious",
                   .functions = "decode,prefill",
                   .prefill_rows = DEFAULT_PREFILL_ROWS,
                   .range = ""};
    Arena words = {0};
    bool is_done = false;
    bool ok = read_arguments(&a, argc, argv, &is_done, &words, err) &&
              (is_done ||
               (hub_model_path(&a.model, a.is_offline, &words, err) && convert(&a, &words, err)));
    arena_free(&words);
    return ok;
}
