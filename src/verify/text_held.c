#include "verify/text_held.h"

#include <math.h>

#include "base/json.h"
#include "base/size.h"
#include "verify/eval.h"

enum { CHUNK = 128, BUNDLE = 0, PACKED = 1, SOURCE = 2 };

// The bundle against its own weights in fp32: rounding and nothing else. Measured 1.6e-5 to 3.3e-5
// on average and 4.4e-4 at most (hello-phi3 in three forms, hello-natural, SmolLM2 in two); a slot,
// a mask or a row that is wrong costs hundredths and more.
#define MOST_FP16_MEAN 1e-3
#define MOST_FP16_MAX  0.02
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

bool text_held_check(Proof *p, Session *bundle, Session *source, double *noise, Err *err) {
    const Chain *c = &p->bundle.chain;
    ReferenceOptions options = {
        .rope_factors = c->use.rope_factors,
        .n_positions = (uint32_t)min_size(CHUNK, c->context),
        .weights = packed_weight_row,
        .weights_context = packed_weights_open(p, err),
    };
    if (!options.weights_context) return false;
    Session *packed = session_open_reference(&p->model, &options, p->job->pool, err);
    Eval e;
    EvalJob job = {
        .models = {[BUNDLE] = bundle, [PACKED] = packed, [SOURCE] = source},
        .n_models = 3,
        .tokenizer = p->tokenizer,
        .text = proof_text(),
        .chunk = options.n_positions,
        .most_chunks = 1,
        .progress = p->job->progress,
    };
    bool ok = packed && eval_text(&e, &job, err);
    session_close(packed);
    if (!ok) return false;
    const EvalPair *fp16 = &e.pairs[BUNDLE][PACKED], *form = &e.pairs[PACKED][SOURCE],
                   *both = &e.pairs[BUNDLE][SOURCE];
    double source_ppl = e.scores[SOURCE].perplexity, packed_ppl = e.scores[PACKED].perplexity,
           bundle_ppl = e.scores[BUNDLE].perplexity;
    bool is_finite = isfinite(source_ppl) && isfinite(packed_ppl) && isfinite(bundle_ppl);
    proof_result(p, "text", is_finite,
                 json_pack("{s:o, s:o, s:o}", "source", json_of_real(source_ppl), "packed",
                           json_of_real(packed_ppl), "bundle", json_of_real(bundle_ppl)),
                 "perplexity", "source %.4f, its weights as packed %.4f, bundle %.4f%s", source_ppl,
                 packed_ppl, bundle_ppl, is_finite ? "" : " NOT FINITE");
    say_pair(p, "fp16", fp16, is_within(fp16, MOST_FP16_MEAN, MOST_FP16_MAX));
    say_pair(p, "weights' form", form, is_within(form, MOST_FORM_MEAN, INFINITY));
    say_pair(p, "against the source", both, is_within(both, MOST_FORM_MEAN, INFINITY));
    *noise = sqrt(square(metrics_rmse(&fp16->logits)) + square(metrics_rmse(&form->logits)));
    return true;
}
