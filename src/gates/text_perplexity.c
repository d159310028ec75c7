#include "gates/text_perplexity.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "proof/eval.h"
#include "proof/packed.h"
#include "proof/trace.h"
#include "vote/vote.h"

enum { CHUNK = 128, BUNDLE = 0, PACKED = 1, SOURCE = 2 };

// The weights' form against the source is a matter of quality, which is shown: 0.0008 to 0.0044 for
// int8 per channel, 0.073 for SmolLM2 with one scale a tensor. Half a nat is another model.
#define MOST_FORM_MEAN 0.5

static double square(double x) {
    return x * x;
}

static bool is_within(const EvalPair *pair, double most_mean, double most_max) {
    return !pair->logits.has_bad && pair->kl_mean <= most_mean && pair->kl_max <= most_max;
}

static void say_pair(Proof *p, const char *scope, const EvalPair *pair, bool has_passed) {
    const double rms = metrics_rmse(&pair->logits);
    json_t *figures =
        json_pack("{s:o, s:o, s:o, s:f, s:f, s:o}", "kl_mean", json_of_real(pair->kl_mean), "kl_99",
                  json_of_real(pair->kl_99), "kl_max", json_of_real(pair->kl_max), "top1",
                  pair->top1, "top5", pair->top5, "rmse", json_of_real(rms));
    proof_result(p, "text", has_passed, figures, scope,
                 "kl mean=%.3g p99=%.3g max=%.3g top-1 %.1f%% top-5 %.1f%% rmse=%.3g%s",
                 pair->kl_mean, pair->kl_99, pair->kl_max, 100 * pair->top1, 100 * pair->top5, rms,
                 pair->logits.has_bad ? " NOT FINITE" : "");
}

// ---- the texts, in the order they are tried

// Conversations as the bundle's own template and vocabulary make them, one after the other.
static bool chat_ids(Proof *p, TokenList *ids, Err *err) {
    VoteTexts texts;
    if (!vote_texts_open(&texts, NULL, &p->bundle.host, &p->model.contract, &p->use, p->arena, err))
        return false;
    for (size_t i = 0; i < texts.count && ids->count < CHUNK; i++)
        for (size_t k = 0; strcmp(texts.at[i].kind, "chat") == 0 && k < texts.at[i].n; k++)
            token_list_add(ids, texts.at[i].ids[k]);
    return true;
}

static bool prose_ids(Proof *p, TokenList *ids, Err *err) {
    return tokenizer_encode(p->tokenizer, proof_text(), TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS, ids,
                            err);
}

typedef bool HeldIds(Proof *p, TokenList *ids, Err *err);
static const struct {
    const char *name;
    HeldIds *make;
} texts[] = {{"prose", prose_ids}, {"conversations", chat_ids}};

// A blind guess has a perplexity of the vocabulary's size. Where the source does worse than its
// root, half the nats of a guess (as the vote counts it), equal figures prove little.
static bool is_known(const Proof *p, const Eval *e) {
    return e->scores[SOURCE].nll <= VOTE_KNOWN * log((double)p->model.contract.n_vocab);
}

bool text_held_check(Proof *p, Session *bundle, Session *source, double *noise, Err *err) {
    const Chain *c = &p->bundle.chain;
    ReferenceOptions options = {
        .rope_factors = c->use.rope_factors,
        .n_positions = (uint32_t)min_size(CHUNK, c->context),
        .weights = packed_weight_row,
        .weights_context = packed_weights_open(p, err),
    };
    if (!options.weights_context) return false;
    Session *packed =
        session_open(model_runner_open_reference(&p->model, &options, p->job->pool, err), err);
    Eval e;
    const char *name = NULL;
    bool ok = packed != NULL, is_known_text = false;
    for (size_t i = 0; ok && i < COUNT_OF(texts) && !is_known_text; i++) {
        TokenList ids = {0};
        ok = texts[i].make(p, &ids, err);
        if (ok && ids.count < options.n_positions) { // a template that makes little of a chat
            token_list_free(&ids);
            continue;
        }
        EvalJob job = {
            .models = {[BUNDLE] = bundle, [PACKED] = packed, [SOURCE] = source},
            .n_models = 3,
            .tokenizer = p->tokenizer,
            .ids = ids.at,
            .n_ids = ids.count,
            .chunk = options.n_positions,
            .most_chunks = 1,
            .progress = p->job->progress,
        };
        ok = ok && eval_text(&e, &job, err);
        token_list_free(&ids);
        name = texts[i].name;
        is_known_text = ok && is_known(p, &e);
    }
    session_close(packed);
    if (!ok || !name) return ok;
    const EvalPair *fp16 = &e.pairs[BUNDLE][PACKED], *form = &e.pairs[PACKED][SOURCE],
                   *both = &e.pairs[BUNDLE][SOURCE];
    double source_ppl = e.scores[SOURCE].perplexity, packed_ppl = e.scores[PACKED].perplexity,
           bundle_ppl = e.scores[BUNDLE].perplexity;
    if (is_known_text)
        proof_result(p, "text", e.scores[BUNDLE].nll <= e.scores[SOURCE].nll + MOST_FORM_MEAN,
                     json_pack("{s:o, s:o, s:o}", "source", json_of_real(source_ppl), "packed",
                               json_of_real(packed_ppl), "bundle", json_of_real(bundle_ppl)),
                     "perplexity",
                     "over %s: source %.4f, source with packed weights %.4f, bundle %.4f", name,
                     source_ppl, packed_ppl, bundle_ppl);
    else
        proof_unproved(p, "text",
                       "whether the answers make sense: the model knows no built-in text "
                       "(perplexity of the source %.4g, of a blind guess %u); template, factors or "
                       "vocabulary may be wrong in both bundle and source",
                       source_ppl, p->model.contract.n_vocab);
    say_pair(p, "fp16", fp16, is_within(fp16, TEXT_MOST_FP16_MEAN_KL, TEXT_MOST_FP16_KL));
    say_pair(p, "weights' form", form, is_within(form, MOST_FORM_MEAN, INFINITY));
    say_pair(p, "against the source", both, is_within(both, MOST_FORM_MEAN, INFINITY));
    *noise = sqrt(square(metrics_rmse(&fp16->logits)) + square(metrics_rmse(&form->logits)));
    return true;
}
