// eval.h — how well models predict a text, and how much their predictions differ.
//
// Perplexity is llama.cpp's chunked one (tools/perplexity/perplexity.cpp, perplexity()): the text
// is cut into chunks of the context's length, each is fed from an empty cache, with bos in place of
// its first token where that is the model's policy, and the tokens of its second half are scored,
// so that each has half a context before it. Tokens after the last full chunk are not scored.
#ifndef LATHE_PROOF_EVAL_H
#define LATHE_PROOF_EVAL_H

#include "proof/metrics.h"
#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

enum { EVAL_MAX_MODELS = 3 };

typedef struct {
    // with the same vocabulary; afterwards their caches hold a chunk
    Session *models[EVAL_MAX_MODELS];
    size_t n_models;
    const Tokenizer *tokenizer;
    // The text, encoded as llama.cpp's perplexity does: bos and eos by policy, control tokens spelt
    // out in it are text (common_tokenize with parse_special false) unless asked for.
    Str text;
    bool parses_control;
    const uint32_t *ids; // [n_ids] in place of the text; NULL: the text is used
    size_t n_ids;
    // tokens per chunk: at least 4, and no more than the context of any model
    uint32_t chunk;
    size_t most_chunks;       // 0: as many as the text fills
    const Progress *progress; // may be NULL
} EvalJob;

typedef struct {
    double perplexity, error; // error: its standard error, with scores taken as independent
    double nll;               // mean, in nats a token
} EvalScore;

// One model ("found") against a later one in the list ("wanted"), over the scored tokens.
typedef struct {
    double kl_mean, kl_99, kl_max; // nats; kl_99 is the 99th percentile
    double top1;                   // share of tokens where both have the same most likely token
    // share where the most likely token of "wanted" is among the five most likely of "found"
    double top5;
    Metrics logits;
} EvalPair;

typedef struct {
    size_t n_tokens, n_chunks, n_scored;
    EvalScore scores[EVAL_MAX_MODELS];
    EvalPair pairs[EVAL_MAX_MODELS][EVAL_MAX_MODELS]; // [found][wanted], found < wanted
} Eval;

// Fails when the text does not fill one chunk.
bool eval_text(Eval *e, const EvalJob *job, Err *err);

#endif
