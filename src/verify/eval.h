// eval.h — how well a model predicts a text, and how far another one is from it.
//
// Perplexity is llama.cpp's chunked one (tools/perplexity/perplexity.cpp, perplexity()): the text
// is cut into chunks of the context's length, each is fed from an empty cache, with bos in place of
// its first token where that is the model's policy, and the tokens of its second half are scored,
// so that each has half a context before it. What is left over at the end is not scored.
#ifndef LATHE_VERIFY_EVAL_H
#define LATHE_VERIFY_EVAL_H

#include "runtime/session.h"
#include "text/tokenizer.h"

typedef struct {
    double perplexity, error; // error: one standard error of it, scores taken as independent
    double nll;               // mean, in nats a token
} EvalScore;

typedef struct {
    size_t n_tokens, n_chunks, n_scored;
    EvalScore model, source; // of `source` and below only when there is one
    double kl_mean, kl_99, kl_max;
    double top1; // share of tokens where both find the same one likeliest
    double top5; // where the source's likeliest is among the model's five
} Eval;

// Encodes `text` as llama.cpp does for this: special tokens parsed, bos (and eos) by policy.
// `chunk`: tokens of one, at least 4. Fails when the text does not fill one chunk.
// `source` may be NULL; both sessions must hold `chunk` positions, share a vocabulary, and are left
// with a chunk in their caches.
bool eval_text(Eval *e, Session *model, Session *source, const Tokenizer *tokenizer, Str text,
               uint32_t chunk, const Progress *progress, Err *err);

#endif
