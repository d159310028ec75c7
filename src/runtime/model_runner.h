// model_runner.h — a whole model on some engine: tokens in, logits out. Used by Session.
//
// Implementations: the reference over a GGUF file (model_runner_reference.c) and a bundle's
// packages over any engine that runs them (model_runner_bundle.c). Each keeps its own KV states and
// knows where the sequence is; the tokens themselves are the session's.
//
// Ownership: a session closes the runner it was opened with. Threads: one at a time.
#ifndef LATHE_RUNTIME_MODEL_RUNNER_H
#define LATHE_RUNTIME_MODEL_RUNNER_H

#include <stddef.h>

#include "reference/reference.h"
#include "runtime/shards.h"

typedef struct ModelRunnerOps ModelRunnerOps;

// An implementation's own struct begins with this one.
typedef struct {
    const ModelRunnerOps *ops;
    char label[48];   // for people: "reference (fp32)", "cpu (fp16)"
    uint32_t context; // positions that it holds
    uint32_t n_vocab;
    uint32_t widest;           // tokens that one feed() takes at most
    uint32_t original_context; // where LongRoPE's factor set may change
} ModelRunner;

struct ModelRunnerOps {
    void (*close)(ModelRunner *m);
    // How many of `n_left` tokens, 1 at least, the next feed() should take.
    uint32_t (*chunk)(const ModelRunner *m, size_t n_left);
    // Feeds `n` tokens (chunk() many, checked) at the next positions. `logits` takes those of tokens
    // [from, n), [n - from, n_vocab]; from == n: none. After a failure the states are undefined.
    bool (*feed)(ModelRunner *m, const uint32_t *tokens, uint32_t n, uint32_t from, float *logits,
                 Err *err);
    uint32_t (*position)(const ModelRunner *m); // tokens fed
    // Whether LongRoPE's long factors rotate a sequence of `length` tokens.
    bool (*is_long)(const ModelRunner *m, size_t length);
    // How many of the tokens fed have to be fed again before a sequence of `length` tokens goes on:
    // they lie in the states under another factor set, or a rewind went further than rings remember.
    uint32_t (*n_stale)(const ModelRunner *m, size_t length);
    // Feeds until the next rewind are parts of a sequence of `length` tokens: takes its factor set,
    // and forgets everything when tokens are stale under it.
    bool (*expect)(ModelRunner *m, uint32_t length, Err *err);
    // Forgets what was fed from `position` on; a position not reached yet forgets nothing.
    void (*rewind)(ModelRunner *m, uint32_t position);
    void (*reset)(ModelRunner *m); // forgets everything and zeroes the states
    // Whether a rewind to `position` would leave all that later tokens see.
    bool (*remembers)(const ModelRunner *m, uint32_t position);
};

// The arguments must outlive the runner. NULL and `err` on failure.
ModelRunner *model_runner_open_reference(const Model *model, const ReferenceOptions *options,
                                         Pool *pool, Err *err);
ModelRunner *model_runner_open_bundle(const Bundle *bundle, const Execution *how, Err *err);

// ERR_FORMAT: the `what` of tokens [first, last] are not finite, why that may be, and what to do.
bool model_runner_not_finite(const ModelRunner *m, const char *what, size_t first, size_t last,
                             Err *err);

#endif
