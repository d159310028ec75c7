// open.c — opens bundle and source for a run of gates, and checks that they belong together.
#include "verify/open.h"

#include "base/file.h"
#include "bundle/advice.h"
#include "bundle/source.h"
#include "huggingface/folder.h"
#include "kernels/kernels.h"
#include "verify/verify.h"

const char *verify_find_source(const char *dir, const Chain *chain, const char *given, Arena *arena,
                               Err *err) {
    const char *path = source_find(dir, chain, given, arena);
    if (!path)
        err_set(err, ERR_USAGE,
                "the source model %.*s was not found in the bundle's folder, in the current one, "
                "or where it was last; name it with --model %s",
                STR_ARG(chain->source_name),
                shell_word(arena, arena_cstr(arena, chain->source_name)));
    return path;
}

static bool open_all(Proof *p, Err *err) {
    const Kernels *kernels = kernels_choose(err);
    if (!kernels) return false;
    p->kernels = kernels->name;
    if (!bundle_open(&p->bundle, p->arena, p->job->bundle_dir, err)) return false;
    const char *model =
        verify_find_source(p->bundle.dir, &p->bundle.chain, p->job->model_path, p->arena, err);
    if (!model || !model_open(&p->source, p->arena, model, err)) return false;
    if (!gguf_apply_settings(&p->source, p->arena, &p->bundle.chain.settings, err) ||
        !model_read(&p->model, &p->source, p->arena, err))
        return err_prefix(err, "%s", model);
    p->use = p->bundle.chain.use;
    p->tokenizer = tokenizer_open(&p->bundle.host, err);
    return p->tokenizer != NULL;
}

void proof_close(Proof *p) {
    tokenizer_close(p->tokenizer);
    gguf_close(&p->source);
    bundle_close(&p->bundle);
    json_decref(p->gates);
    json_decref(p->sections);
    json_decref(p->section_gates);
    json_decref(p->seconds);
}

// A model of another shape than the bundle's would be compared out of bounds; with another contract
// of the same shape the gates themselves speak.
static bool same_shapes(const Proof *p, Err *err) {
    FieldId field;
    if (contract_has_shape_of(&p->bundle.chain.contract, &p->model.contract, &field)) return true;
    return err_set(err, ERR_GATE,
                   "the source model differs in %s from the one that the bundle was converted from",
                   field_name(field));
}

// Another model would be compared gate by gate, and nothing would be learned of this bundle.
static bool check_source(Proof *p, Err *err) {
    const Chain *c = &p->bundle.chain;
    Sha256 found = proof_source_sha256(p);
    if (str_is(c->source_sha256, found.hex)) return true;
    const char *path = p->source.path;
    return err_set(err, ERR_GATE,
                   "%s is another file than %s was converted from: sha256=%.16s…, expected %.16s…; "
                   "no gate has run, and the bundle did not change. Name the right file with "
                   "--model, or convert this one: %s",
                   path, p->bundle.dir, found.hex, c->source_sha256.at,
                   convert_command(p->arena, p->bundle.dir, c, path));
}

bool proof_open(Proof *p, Err *err) {
    return open_all(p, err) && same_shapes(p, err) && check_source(p, err);
}

bool proof_lock_bundle(DirLock *lock, const VerifyJob *job, Err *err) {
    Err why = {0};
    if (!path_is_dir(job->bundle_dir))
        return err_set(err, ERR_SYSTEM, "%s: No such directory", job->bundle_dir);
    if (!dir_lock(lock, job->bundle_dir, &why))
        return err_set(err, why.kind,
                       "%s (lathe verify or convert); wait for it or stop it, then verify again",
                       why.text);
    if (lock->is_weak && job->note)
        job->note(job->line_context, "this file system has no locks: do not let another program "
                                     "write to the bundle until verify has ended");
    return true;
}
