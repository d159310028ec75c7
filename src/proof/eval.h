// eval.h — how well models predict a text, and how far each is from the others.
//
// Perplexity is llama.cpp's chunked one (tools/perplexity/perplexity.cpp, perplexity()): the text
// is cut into chunks of the context's length, each is fed from an empty cache, with bos in place of
// its first token where that is the model's policy, and the tokens of its second half are scored,
// so that each has half a context before it. What is left over at the end is not scored.
#ifndef LATHE_PROOF_EVAL_H
#define LATHE_PROOF_EVAL_H

#include "proof/metrics.h"
#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

enum { EVAL_MAX_MODELS = 3 };

typedef struct {
    Session *models[EVAL_MAX_MODELS]; // they share a vocabulary; left with a chunk in their caches
    size_t n_models;
    const Tokenizer *tokenizer;
    // The text, encoded as llama.cpp's perplexity does: bos and eos by policy, control tokens that
    // it spells out are text (common_tokenize with parse_special false) unless asked for.
    Str text;
    bool parses_control;
    const uint32_t *ids; // in place of a text, [n_ids]; NULL: the text counts
    size_t n_ids;
    uint32_t chunk;           // tokens of one: at least 4, and every model must hold them
    size_t most_chunks;       // 0: all that the text fills
    const Progress *progress; // may be NULL
} EvalJob;

typedef struct {
    double perplexity, error; // error: one standard error of it, scores taken as independent
    double nll;               // mean, in nats a token
} EvalScore;

// One model ("found") against a later one in the list ("wanted"), over the scored tokens.
typedef struct {
    double kl_mean, kl_99, kl_max; // nats; the 99th of a hundred
    double top1;                   // share of tokens where both find the same one likeliest
    double top5;                   // where the wanted likeliest is among the five found
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
