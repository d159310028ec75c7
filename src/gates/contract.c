// contract.c — the bundle was made of this source, under this contract.
#include <string.h>

#include "base/json.h"
#include "contract/evidence.h"
#include "gates/contract_checks.h"
#include "gates/gates.h"
#include "proof/proof.h"

static bool same_key(const GgufKey *a, const GgufKey *b) {
    return b && a->type == b->type && str_eq(a->encoded, b->encoded);
}

// host.gguf must say what the source says: tokenizer and template are read from it.
static const char *find_host_difference(const Proof *p, Str *name) {
    for (size_t i = 0; i < p->source.n_keys; i++) {
        const GgufKey *k = &p->source.keys[i];
        *name = k->name;
        if (!str_starts(k->name, STR("split.")) &&
            !same_key(k, gguf_find_key(&p->bundle.host, k->name)))
            return "key";
    }
    for (size_t i = 0; i < p->bundle.host.n_keys; i++) {
        *name = p->bundle.host.keys[i].name;
        if (!gguf_find_key(&p->source, *name)) return "key";
    }
    for (size_t i = 0; i < p->bundle.host.n_tensors; i++) {
        const TensorInfo *t = &p->bundle.host.tensors[i];
        const TensorInfo *source = gguf_find_tensor(&p->source, t->name);
        *name = t->name;
        if (!source || source->n_bytes != t->n_bytes || source->type != t->type ||
            memcmp(source->data, t->data, t->n_bytes) != 0)
            return "tensor";
    }
    return NULL;
}

// A file alone: model_read() has gone through all of it, or the gates would not run.
static void report_model(Proof *p) {
    Sha256 contract = contract_digest(&p->model.contract);
    proof_verdict(p, "contract", PROOF_NOTE, json_pack("{s:s}", "sha256", contract.hex), "digest",
                  "sha256=%.16s…; every key and tensor was read or is known to be harmless (%zu)",
                  contract.hex, p->model.n_harmless);
}

enum { MOST_OF_VALUE = 60 }; // bytes of one in a line

// One line for each contradiction, with both sources, and one for the whole. `advice`: what to do
// about a contradiction.
static void report_agreement(Proof *p, const Agreement *a, const char *scope, Str of,
                             const char *advice) {
    for (size_t i = 0; i < a->n_rows; i++) {
        const AgreementRow *row = &a->rows[i];
        if (row->verdict == VERDICT_CONTRADICT)
            proof_result(p, "contract", false, NULL, row->what, "%.*s (%.*s), but %.*s (%.*s)%s%s",
                         STR_ARG(str_cut(row->ours, MOST_OF_VALUE)), STR_ARG(row->our_source),
                         STR_ARG(str_cut(row->theirs, MOST_OF_VALUE)), STR_ARG(row->their_source),
                         row->note ? ": " : "", row->note ? row->note : "");
    }
    // A second source that says nothing of the model, an empty file say, has confirmed nothing.
    bool is_silent = a->n_agree + a->n_contradict == 0;
    const char *hint = is_silent         ? "; the files state no field that can be compared"
                       : a->n_contradict ? advice
                                         : "";
    proof_result(p, "contract", a->n_contradict == 0 && !is_silent,
                 json_pack("{s:I, s:I}", "agree", (json_int_t)a->n_agree, "contradict",
                           (json_int_t)a->n_contradict),
                 scope, "%.*s: %zu fields agree, %zu contradict%s", STR_ARG(of), a->n_agree,
                 a->n_contradict, hint);
}

// The publisher's files give the very template of the GGUF.
static bool has_same_template(const Agreement *a) {
    for (size_t i = 0; i < a->n_rows; i++)
        if (strcmp(a->rows[i].what, field_name(FIELD_template_digest)) == 0 &&
            a->rows[i].theirs.len)
            return a->rows[i].verdict == VERDICT_AGREE;
    return false;
}

// ---- what the user said of the file

static bool states_same(const Agreement *a, FieldId field) {
    for (size_t i = 0; i < a->n_rows; i++)
        if (strcmp(a->rows[i].what, field_name(field)) == 0)
            return a->rows[i].verdict == VERDICT_AGREE;
    return false;
}

// Whether the publisher states the same for the field that `setting` gives its value to.
static bool is_vouched(const Model *m, const Evidence *e, Str setting) {
    for (int f = 0; f < FIELD_COUNT; f++)
        if (m->sources[f].kind == SOURCE_SET && str_eq(m->sources[f].text, setting))
            return (e->has_files && states_same(&e->files, (FieldId)f)) ||
                   (e->known.len && states_same(&e->published, (FieldId)f));
    return false;
}

static void report_settings(Proof *p, const Evidence *e) {
    for (size_t i = 0; i < p->source.n_keys; i++) {
        const GgufKey *k = &p->source.keys[i];
        StrBuf text = {0};
        gguf_print_setting(k, &text);
        bool is_sure = k->is_set && is_vouched(&p->model, e, strbuf_str(&text));
        if (text.len)
            proof_verdict(p, "contract", is_sure ? PROOF_PASSED : PROOF_UNPROVED,
                          json_pack("{s:o}", "setting", json_of_str(strbuf_str(&text))),
                          is_sure ? "settings" : "-", "%s: %s", text.at,
                          is_sure ? "the model's publisher states the same"
                          : k->is_ignored
                              ? "no publisher's file confirms that this key changes nothing"
                              : "no publisher's file confirms this value");
        strbuf_free(&text);
    }
}

static bool compare_second(Proof *p, TemplateWaivers *waivers, Err *err) {
    Evidence e;
    uint32_t context = p->has_bundle ? p->bundle.chain.context : 0;
    if (!evidence_gather(&e, &p->job->second, &p->model, &p->source, context, p->arena, err))
        return false;
    report_settings(p, &e);
    json_t *section = json_object();
    if (e.has_files) {
        waivers->is_published = has_same_template(&e.files);
        report_agreement(p, &e.files, "publisher", STR("files given"), "");
        json_object_set_new(section, "files given", agreement_to_json(&e.files));
    }
    if (e.known.len) {
        Str of = arena_printf(p->arena, "%.*s (%.*s)", STR_ARG(e.known), STR_ARG(e.known_source));
        report_agreement(p, &e.published, "published contract", of, "; " EVIDENCE_ADVICE);
        json_object_set_new(section, arena_printf(p->arena, "published: %.*s", STR_ARG(e.known)).at,
                            agreement_to_json(&e.published));
    }
    proof_section(p, "agreement", section);
    if (!e.has_files && !e.known.len)
        proof_note(p, "contract", "second source",
                   "skipped: no publisher's file was given (--config config.json), and contracts/ "
                   "has no model of the names in the model file");
    return true;
}

// Which choices stand between a user's words and the logits, and which of them no publisher made.
static void report_use(Proof *p) {
    StrBuf text = {0};
    use_print_deviations(&p->use, &text);
    proof_section(p, "use", use_to_json(&p->use));
    if (text.len)
        proof_verdict(p, "contract", PROOF_UNPROVED, NULL, "use",
                      "choices other than the publisher's: %s", text.at);
    else
        proof_result(p, "contract", true, NULL, "use",
                     "context %u; all other choices are the publisher's", p->use.context);
    strbuf_free(&text);
}

bool gate_contract(Proof *p, Err *err) {
    TemplateWaivers waivers = {
        .accepts_template = p->job->accepts_template,
        // A file without one is used so anyhow; only a choice says that it is meant.
        .goes_without_template = p->use.chat_template == CHAT_TEMPLATE_NONE &&
                                 str_starts(p->use.from[USE_chat_template].source, STR("option")),
    };
    report_use(p);
    if (p->job->accepts_template)
        proof_unproved(p, "contract",
                       "the chat template: what gate contract finds wrong with it was accepted "
                       "(--accept-template)");
    if (!compare_second(p, &waivers, err) || !check_vocabulary(p, &waivers, err)) return false;
    if (!p->has_bundle) {
        report_model(p);
        return true;
    }
    const Chain *c = &p->bundle.chain;
    Sha256 contract = contract_digest(&p->model.contract);
    bool same = str_is(c->contract_digest, contract.hex);
    proof_result(p, "contract", same, json_pack("{s:s}", "sha256", contract.hex), "digest",
                 same ? "source and bundle have the same contract, sha256=%.16s…"
                      : "the source's contract has sha256 %.16s…, expected the bundle's",
                 contract.hex);
    Sha256 source = proof_source_sha256(p);
    same = str_is(c->source_sha256, source.hex);
    proof_result(
        p, "contract", same, json_pack("{s:s}", "sha256", source.hex), "source",
        same ? "the source is the file that the bundle was converted from, sha256=%.16s…"
             : "the source has sha256 %.16s…, expected the file that the bundle was converted from",
        source.hex);
    Str name;
    const char *what = find_host_difference(p, &name);
    if (what)
        proof_result(p, "contract", false, NULL, "host.gguf", "%s '%.*s' differs from the source's",
                     what, STR_ARG(name));
    else
        proof_result(p, "contract", true, NULL, "host.gguf",
                     "metadata and tensors equal the source's");
    return true;
}
