// generator.h — token ids in, text out: one answer of a session, with the options of one request.
//
// The session may hold anything before: what it shares with the prompt from the first token on is
// kept, the rest is rewound, and only what is new is fed. So the requests of several conversations
// may use one session in turn, and each answer is the one that an empty session would give.
//
// A Generator and its session belong to one thread at a time. A generation can be cancelled from
// within its own callback only; what another thread wants is told there.
#ifndef LATHE_CHAT_GENERATOR_H
#define LATHE_CHAT_GENERATOR_H

#include "prompt/prompt_format.h"
#include "runtime/sampler.h"
#include "runtime/session.h"

typedef enum {
#define STOP(name, text, finish_reason) STOP_##name,
#include "chat/stop_reasons.def"
#undef STOP
    STOP_COUNT,
} StopReason;

typedef struct {
    const char *text, *finish_reason;
} StopReasonInfo;
extern const StopReasonInfo stop_reason_rows[STOP_COUNT];

typedef struct {
    SamplerOptions sampling;  // the same prompt and options, seed among them, give the same text
    uint32_t max_tokens;      // of the answer; 0: as many as the context holds
    const char *const *stops; // [n_stops] texts that end the answer; it is cut before the first
    size_t n_stops;
    double (*seconds)(void); // a clock that only goes forward, for the times of GeneratorStats;
                             // NULL: they stay 0
} GeneratorOptions;

typedef struct {
    size_t n_prompt; // tokens of the prompt that were fed
    size_t n_reused; // tokens of the prompt that the session held already
    size_t n_answer; // tokens generated, the one that ends the turn not among them
    double prefill_seconds, decode_seconds;
    StopReason stop;
} GeneratorStats;

typedef struct Generator Generator;

// Session and format must outlive it. NULL and `err` on failure.
Generator *generator_open(Session *session, const PromptFormat *format, Err *err);
void generator_close(Generator *g); // safe on NULL
Session *generator_session(const Generator *g);

// Gets text of the answer as it comes, whole characters only, and empty text while there is none:
// as the prompt is read, and after a token that completes no character. Returns false to cancel.
typedef bool GeneratorText(void *context, Str text);

// Answers `prompt` [n_prompt]: appends the whole answer to `answer` and gives it to `on_text` in
// pieces. Cancelled, it succeeds with what came until then. Fails when the prompt does not fit into
// the context (ERR_USAGE, the session is untouched) or the session fails. `progress` may be NULL.
bool generator_run(Generator *g, const uint32_t *prompt, size_t n_prompt,
                   const GeneratorOptions *options, GeneratorText *on_text, void *context,
                   const Progress *progress, StrBuf *answer, GeneratorStats *stats, Err *err);

#endif
