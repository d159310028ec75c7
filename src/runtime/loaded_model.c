#include "runtime/loaded_model.h"

#include "base/file.h"
#include "base/size.h"
#include "bundle/advice.h"
#include "bundle/seal.h"
#include "bundle/source.h"
#include "huggingface/folder.h"
#include "runtime/engines.h"

static bool check_seal(LoadedModel *o, const LoadOptions *options, const Progress *progress,
                       Err *err) {
    if (seal_check(options->path, &o->except, progress, &o->unproved)) return true;
    if (options->is_unsealed) return true;
    *err = o->unproved;
    return false;
}

// What a replaced source leaves to do: it is converted, or it is not this bundle's.
static bool refuse_source(const LoadOptions *options, const Chain *chain, const char *path,
                          const char *why, Arena *scratch, Err *err) {
    return err_set(
        err, ERR_GATE,
        "%s; convert again: %s && lathe verify %s --model %s; or move that file away, or "
        "name the bundle's own source with --model",
        why, convert_command(scratch, options->path, chain, path),
        shell_word(scratch, options->path), shell_word(scratch, path));
}

// The source, where it can be found, must still be the file that the bundle was made of, and mean
// the same: it may have been replaced, and this lathe may read it otherwise than the one that
// converted it.
static bool check_source(LoadedModel *o, const LoadOptions *options, const Progress *progress,
                         Err *err) {
    Arena scratch = {0};
    Gguf source = {0};
    Model model;
    Err why = {0};
    const Chain *chain = &o->bundle.chain;
    const char *path = source_find(options->path, chain, options->model, &scratch);
    bool ok = true;
    if (path && (!model_open(&source, &scratch, path, &why) ||
                 !gguf_apply_settings(&source, &scratch, &chain->settings, &why) ||
                 !model_read(&model, &source, &scratch, &why)))
        ok = err_set(err, ERR_GATE,
                     "%s cannot be checked against its source (%s: %s); name the source with "
                     "--model, or convert another file: lathe convert MODEL.gguf -o %s --force",
                     options->path, path, why.text, shell_word(&scratch, options->path));
    else if (path && !str_is(chain->contract_digest, contract_digest(&model.contract).hex))
        ok = refuse_source(
            options, chain, path,
            arena_printf(&scratch,
                         "%s was converted with another contract than lathe reads from %s now",
                         options->path, path)
                .at,
            &scratch, err);
    else if (path && !source_check(options->path, chain, &source, progress, &why))
        ok = refuse_source(options, chain, path, why.text, &scratch, err);
    gguf_close(&source);
    arena_free(&scratch);
    return ok;
}

static bool open_reference(LoadedModel *o, const LoadOptions *options, const char *path, Err *err) {
    if (!model_open(&o->source, &o->arena, path, err)) return false;
    const GgufSettings *settings = o->has_bundle ? &o->bundle.chain.settings : &options->settings;
    if (!gguf_apply_settings(&o->source, &o->arena, settings, err) ||
        !model_read(&o->model, &o->source, &o->arena, err))
        return err_prefix(err, "%s", path);
    if (o->has_bundle) {
        Sha256 digest = contract_digest(&o->model.contract);
        if (!str_is(o->bundle.chain.contract_digest, digest.hex))
            return err_set(err, ERR_FORMAT,
                           "%s has another contract than the bundle; name the file that the bundle "
                           "was converted from",
                           path);
    }
    o->use = o->bundle.chain.use;
    ConfigFiles files = {.generation = options->generation};
    hf_companions(&files, path, &o->arena);
    if (!o->has_bundle &&
        !use_of_model(&o->use, &o->model, &o->source, files.generation, &o->arena, err))
        return false;
    if (!use_choose_all(&o->use, options->use, &o->model.contract, &o->arena, err)) return false;
    o->contract = &o->model.contract;
    o->tokenizer_file = &o->source;
    ReferenceOptions as_used = {.n_positions = o->use.context, .rope_factors = o->use.rope_factors};
    o->session = session_open(model_runner_open_reference(&o->model, &as_used, o->pool, err), err);
    return o->session != NULL;
}

// What a bundle's packages and proof rest on cannot be chosen again.
static bool check_fixed(const LoadOptions *options, Err *err) {
    static const UseId fixed[] = {USE_context, USE_rope_factors};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        if (options->use[fixed[i]])
            return err_set(
                err, ERR_USAGE,
                "convert fixed %s, and the proof is for that value; leave it out, or convert again "
                "with another %s",
                use_rows[fixed[i]].option, use_rows[fixed[i]].option);
    if (has_settings(&options->settings))
        return err_set(err, ERR_USAGE,
                       "--set and --ignore-key apply to a model file; a bundle keeps those that it "
                       "was converted with (chain.json, settings)");
    if (options->generation)
        return err_set(
            err, ERR_USAGE,
            "--generation-config: a bundle keeps the one given to convert; convert again with it");
    return true;
}

static void read_device_proof(LoadedModel *o) {
    if (!o->engine->runner || !o->engine->runner->machine) return;
    RunnerMachine machine;
    o->engine->runner->machine(&machine);
    o->device_proof = device_proof_read(&o->bundle, &machine, &o->arena);
}

static bool is_strictly_good(const LoadedModel *o, Err *err) {
    if (!device_plan_is_whole(&o->plan, err)) return false;
    if (!o->device_proof.has_failed) return true;
    return err_set(err, ERR_GATE, "--strict: a gate failed on this machine: %.*s",
                   STR_ARG(o->device_proof.text));
}

static bool open_bundle(LoadedModel *o, const LoadOptions *options, const Progress *progress,
                        Err *err) {
    if (!check_seal(o, options, progress, err) ||
        !bundle_open(&o->bundle, &o->arena, options->path, err))
        return false;
    if (!options->is_unsealed && !check_source(o, options, progress, err)) return false;
    if (!(o->engine->capabilities & ENGINE_RUNS_BUNDLES)) {
        if (options->model) return open_reference(o, options, options->model, err);
        return err_set(err, ERR_USAGE, "--engine %s for a bundle needs --model", o->engine->name);
    }
    if (!check_fixed(options, err)) return false;
    o->contract = &o->bundle.chain.contract;
    o->use = o->bundle.chain.use;
    if (!use_choose_all(&o->use, options->use, o->contract, &o->arena, err)) return false;
    o->tokenizer_file = &o->bundle.host;
    Arithmetic arithmetic = ARITHMETIC_FP16;
    if (options->arithmetic && !arithmetic_named(options->arithmetic, &arithmetic, err))
        return false;
    Execution how = {.engine = o->engine,
                     .arithmetic = arithmetic,
                     .pool = o->pool,
                     .progress = progress,
                     .plan = &o->plan};
    o->session = session_open(model_runner_open_bundle(&o->bundle, &how, err), err);
    if (!o->session) return false;
    read_device_proof(o);
    return !options->is_strict || is_strictly_good(o, err);
}

static bool choose_engine(LoadedModel *o, const LoadOptions *options, Err *err) {
    unsigned needs = o->has_bundle ? ENGINE_RUNS_BUNDLES : ENGINE_RUNS_MODELS;
    if (!engine_choose(&o->engine, options->engine, needs, err)) return false;
    unsigned has = o->engine->capabilities;
    if (options->arithmetic && (!o->has_bundle || !(has & ENGINE_HAS_ARITHMETICS)))
        return err_set(err, ERR_USAGE,
                       "--arithmetic chooses how the CPU engine rounds a bundle's numbers; the "
                       "reference always computes in fp32");
    // An engine of model files can stand in for a bundle's: it runs the model that --model names.
    if (o->has_bundle || (has & ENGINE_RUNS_MODELS)) return true;
    return err_set(err, ERR_USAGE, "--engine %s runs bundles; %s is a model file", o->engine->name,
                   options->path);
}

bool loaded_model_open(LoadedModel *o, const LoadOptions *options, const Progress *progress,
                       Err *err) {
    *o = (LoadedModel){.has_bundle = path_is_bundle(options->path), .plan.arena = &o->arena};
    if (!choose_engine(o, options, err)) return false;
    if (options->is_strict && !(o->has_bundle && o->engine->runner && o->engine->runner->plan))
        return device_plan_is_whole(&o->plan, err); // said before a model is read
    o->pool = pool_open(options->threads, err);
    if (!o->pool) return false;
    return o->has_bundle ? open_bundle(o, options, progress, err)
                         : open_reference(o, options, options->path, err);
}

void loaded_model_close(LoadedModel *o) {
    session_close(o->session);
    if (o->has_bundle) bundle_close(&o->bundle);
    gguf_close(&o->source);
    pool_close(o->pool);
    strbuf_free(&o->except);
    arena_free(&o->arena);
}
