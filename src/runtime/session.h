// session.h — a model that is being fed tokens, whatever engine runs it.
//
// The session knows which tokens were fed and asks a ModelRunner (model_runner.h) for their logits.
//
// One call that feeds tokens is one forward pass over the sequence as it is then. LongRoPE's factor
// set follows its length (contract/use.h): where the set changes, on the way up or after a
// rewind, what was fed before is computed again under the new one. Progress has a note of it.
#ifndef LATHE_RUNTIME_SESSION_H
#define LATHE_RUNTIME_SESSION_H

#include "base/progress.h"
#include "runtime/model_runner.h"

typedef struct Session Session;

// Takes `model` over, also when it fails: NULL and `err`. A `model` of NULL gives NULL, so that
// opening both is one expression: session_open(model_runner_open_bundle(…, err), err).
Session *session_open(ModelRunner *model, Err *err);
void session_close(Session *s); // safe on NULL

// "reference (fp32)", "cpu (fp16)", "cpu (ane, a model)"
const char *session_engine(const Session *s);
uint32_t session_context(const Session *s);
uint32_t session_n_vocab(const Session *s);
// Tokens fed, and which: [session_position(s)], good until the next call that feeds or rewinds.
uint32_t session_position(const Session *s);
const uint32_t *session_tokens(const Session *s);

// Whether `n` more tokens fit into the context.
bool session_fits(const Session *s, size_t n, Err *err);
// Feeds `n` tokens at the next positions, in chunks where the engine has them, and gives the logits
// [n_vocab] of the last one. `logits` may be NULL. Fails when they do not fit into the context.
// Stopped by `progress` between chunks (ERR_STOPPED), the session holds what was read until then.
// A row or a logit that is not finite fails (ERR_FORMAT), and the session is empty after it: what
// it left in the KV states would spoil every later answer.
bool session_feed(Session *s, const uint32_t *tokens, size_t n, float *logits,
                  const Progress *progress, Err *err);
// The same, giving the logits of token `from` and every one after it. What is given is good until
// the call returns.
typedef void SessionLogits(void *context, size_t i, const float *logits);
bool session_feed_each(Session *s, const uint32_t *tokens, size_t n, size_t from,
                       SessionLogits *take, void *context, Err *err);
// A sequence of `length` tokens will be fed by several calls, as one forward pass: its factor set
// is taken now. Holds until the next rewind.
bool session_expect(Session *s, uint32_t length, Err *err);
// Tokens the engine takes at once: feeding in multiples of it costs nothing extra.
uint32_t session_chunk(const Session *s);
// How much of the first `position` tokens fed is of use to a sequence that goes on from there: all, or
// none where layers with a window no longer hold what its rows see (decoder/rings.h).
uint32_t session_reach(const Session *s, uint32_t position);
// Forgets what was fed from `position` on. Where that is further back than session_reach(), the tokens
// before it are computed again when tokens are fed; progress has a note of it.
void session_rewind(Session *s, uint32_t position);
// Forgets everything, and zeroes the states.
void session_reset(Session *s);

#endif
