// convert.c — conversion and proof, for callers: options with defaults, callbacks.
#include <stdio.h>

#include "api/api.h"
#include "convert/convert.h"
#include "verify/verify.h"

static const char *or_default(const char *given, const char *otherwise) {
    return given ? given : otherwise;
}

static bool compile_options(CompileOptions *out, const LatheConvertOptions *o, Err *err) {
    const char *kv = or_default(o->kv, kv_form_name(0)), *weights = or_default(o->weights, "int8");
    const char *target = or_default(o->target, "macos27");
    *out = (CompileOptions){.layers_per_shard = o->layers_per_shard,
                            .prefill_rows = o->has_no_prefill ? 0 : DEFAULT_PREFILL_ROWS};
    if (!kv_form_named(str_of(kv), &out->kv, err)) return false;
    if (!weight_form_named(weights, &out->weights))
        return err_set(err, ERR_USAGE, "weights '%s': expected int8, int8-tensor or fp16", weights);
    const char *norm = or_default(o->norm, "max");
    if (!norm_form_named(str_of(norm), &out->norm, err)) return err_prefix(err, "norm '%s'", norm);
    return target_read(str_of(target), &out->target, &out->chip, err) ||
           err_prefix(err, "target '%s'", target);
}

bool lathe_convert(const char *model, const char *out, const LatheConvertOptions *given,
                   const LatheProgress *progress, LatheError *error) {
    LatheConvertOptions o = given ? *given : (LatheConvertOptions){0};
    Err err = {0};
    Arena arena = {0};
    Chain chain;
    ProgressAdapter adapter;
    char context[16];
    snprintf(context, sizeof context, "%u", o.context);
    ConvertJob job = {
        .model_path = model,
        .out_path = out,
        .measures_ranges = !o.skips_ranges,
        .second = {o.config, o.generation_config, o.tokenizer_config, o.chat_template},
        .settings = {o.set, o.n_set, o.ignored_keys, o.n_ignored_keys},
        .replaces = o.replaces,
        .tool_version = "lathe " LATHE_VERSION,
        .progress = api_progress(&adapter, progress)};
    if (o.context) job.chosen[USE_context] = context;
    bool ok = compile_options(&job.options, &o, &err);
    ok = ok && (job.pool = pool_open(o.n_threads, &err));
    ok = ok && bundle_convert(&chain, &arena, &job, &err);
    pool_close(job.pool);
    arena_free(&arena);
    return ok || api_fail(error, &err);
}

// ---- proof

static void give_result(void *context, const char *gate, const char *scope, const char *figures,
                        ProofVerdict verdict) {
    static const LatheVerdict verdicts[PROOF_VERDICT_COUNT] = {
        [PROOF_PASSED] = LATHE_PASSED,
        [PROOF_FAILED] = LATHE_FAILED,
        [PROOF_UNPROVED] = LATHE_UNPROVED,
        [PROOF_NOTE] = LATHE_NOTE,
    };
    const LatheVerifyOptions *o = context;
    o->result(o->context, gate, scope, figures, verdicts[verdict]);
}

bool lathe_verify(const char *bundle, const LatheVerifyOptions *given,
                  const LatheProgress *progress, bool *is_sealed, LatheError *error) {
    LatheVerifyOptions o = given ? *given : (LatheVerifyOptions){0};
    Err err = {0};
    ProgressAdapter adapter;
    bool has_seal = false;
    VerifyJob job = {.bundle_dir = bundle,
                     .model_path = o.model,
                     .gates = o.gates,
                     .resumes = o.resumes,
                     .tool_version = "lathe " LATHE_VERSION,
                     .progress = api_progress(&adapter, progress),
                     .line = o.result ? give_result : NULL,
                     .line_context = &o,
                     .is_sealed = &has_seal};
    bool ok = (job.pool = pool_open(o.n_threads, &err)) && verify_bundle(&job, &err);
    pool_close(job.pool);
    if (is_sealed) *is_sealed = has_seal;
    return ok || api_fail(error, &err);
}
