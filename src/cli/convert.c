// convert.c — `lathe convert MODEL.gguf -o OUT.lathe`.
#include <inttypes.h>
#include <stdio.h>

#include "bundle/convert.h"
#include "cli/commands.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "contract/contract.h"

typedef struct {
    const char *model, *out, *kv, *weights, *target, *functions;
    uint32_t context, layers_per_shard, threads;
    bool replaces;
} Arguments;

// Contexts beyond this cost time on every token (the whole state is read), so it is the default
// cut.
enum { DEFAULT_CONTEXT = 4096, PREFILL_ROWS = 64 };

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Err *err) {
    const Option options[] = {
        {"-o", OPTION_TEXT, &a->out, "OUT.lathe", "the bundle to write"},
        {"--force", OPTION_FLAG, &a->replaces, NULL, "replace a bundle of that name"},
        {"--context", OPTION_COUNT, &a->context, "N",
         "positions to hold (default: the model's, at most 4096)"},
        {"--weights", OPTION_TEXT, &a->weights, "FORM",
         "int8 (one scale an output channel, default), int8-tensor, fp16"},
        {"--kv", OPTION_TEXT, &a->kv, "FORM",
         "slice (default) or overwrite: how states are written"},
        {"--functions", OPTION_TEXT, &a->functions, "LIST", "decode,prefill (default) or decode"},
        {"--target", OPTION_TEXT, &a->target, "OS",
         "macos27 (default: packages below 1 GiB) or macos26 (2 GiB)"},
        {"--layers-per-shard", OPTION_COUNT, &a->layers_per_shard, "N",
         "at most N layers a package (default: as the target allows)"},
        {"--threads", OPTION_COUNT, &a->threads, "N", "threads (default: one a processor)"},
    };
    CommandLine line = {
        .usage = "lathe convert MODEL.gguf -o OUT.lathe [OPTIONS]",
        .doc =
            "Turns a GGUF model into Core ML packages for the Apple Neural Engine. The result is "
            "not\nused before it is proved: lathe verify OUT.lathe.",
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .positional = {&a->model},
        .n_positional = 1,
        .n_required = 1,
    };
    return options_read(&line, argc, argv, is_done, err);
}

// The model's own context decides the default, so the contract is read once before the job.
static bool default_context(const char *path, uint32_t *context, Err *err) {
    Arena arena = {0};
    Gguf g = {0};
    Model m;
    bool ok = gguf_open(&g, &arena, path, err) &&
              (model_read(&m, &g, &arena, err) || err_prefix(err, "%s", path));
    if (ok) *context = m.contract.context < DEFAULT_CONTEXT ? m.contract.context : DEFAULT_CONTEXT;
    gguf_close(&g);
    arena_free(&arena);
    return ok;
}

static bool read_options(const Arguments *a, CompileOptions *o, Err *err) {
    *o = (CompileOptions){.context = a->context, .layers_per_shard = a->layers_per_shard};
    Str functions = str_of(a->functions);
    if (str_is(functions, "decode,prefill"))
        o->prefill_rows = PREFILL_ROWS;
    else if (!str_is(functions, "decode"))
        return err_set(err, ERR_USAGE, "--functions %s: expected decode,prefill or decode",
                       a->functions);
    if (!kv_form_named(a->kv, &o->kv))
        return err_set(err, ERR_USAGE, "--kv %s: expected slice or overwrite", a->kv);
    if (!weight_form_named(a->weights, &o->weights))
        return err_set(err, ERR_USAGE, "--weights %s: expected int8, int8-tensor or fp16",
                       a->weights);
    o->target = target_named(a->target);
    if (!o->target)
        return err_set(err, ERR_USAGE, "--target %s: expected macos27 or macos26", a->target);
    if (!a->out) return err_set(err, ERR_USAGE, "where to? Give -o OUT.lathe");
    return o->context || default_context(a->model, &o->context, err);
}

static void print_result(const Chain *chain, const char *out) {
    uint64_t total = chain->host.n_bytes;
    for (size_t i = 0; i < chain->n_shards; i++) {
        const ChainShard *s = &chain->shards[i];
        printf("%-40.*s %9.1f MiB  %zu functions\n", STR_ARG(s->package),
               (double)s->n_bytes / (1 << 20), s->n_functions);
        total += s->n_bytes;
    }
    printf("%s: %.1f MiB, contract %.12s…, context %u, %.*s weights\n", out,
           (double)total / (1 << 20), chain->contract_digest.at, chain->context,
           STR_ARG(chain->weights));
    printf("prove it with: lathe verify %s\n", out);
}

bool command_convert(int argc, char **argv, Err *err) {
    Arguments a = {
        .kv = "slice", .weights = "int8", .target = "macos27", .functions = "decode,prefill"};
    bool is_done;
    CompileOptions options;
    if (!read_arguments(&a, argc, argv, &is_done, err) || is_done) return is_done;
    if (!read_options(&a, &options, err)) return false;

    Pool *pool = pool_open(a.threads, err);
    if (!pool) return false;
    Meter meter;
    meter_start(&meter);
    Progress progress = meter_progress(&meter);
    Arena arena = {0};
    Chain chain;
    ConvertJob job = {
        .model_path = a.model,
        .out_path = a.out,
        .options = options,
        .replaces = a.replaces,
        .tool_version = "lathe " LATHE_VERSION,
        .pool = pool,
        .progress = &progress,
    };
    bool ok = bundle_convert(&chain, &arena, &job, err);
    meter_stop(&meter);
    if (ok) {
        print_result(&chain, a.out);
        fflush(stdout);
        meter_finish(&meter, "converted");
    }
    arena_free(&arena);
    pool_close(pool);
    return ok;
}
