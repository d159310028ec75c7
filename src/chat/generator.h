// generator.h — token ids in, text out: one answer of a session, with the options of one request.
//
// The session may hold any tokens before. Those that the prompt begins with are kept, the others
// are rewound, and only the rest of the prompt is fed. So requests of several conversations may use
// one session in turn, and each answer is the same as from an empty session.
//
// A Generator and its session belong to one thread at a time. Only a generation's own callback can
// cancel it; another thread has to set a flag that the callback reads.
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
    SamplerOptions sampling;  // the same prompt and options, the seed included, give the same text
    uint32_t max_tokens;      // of the answer; 0: as many as the context holds
    const char *const *stops; // [n_stops] stop strings; the answer ends before the first
    size_t n_stops;
    double (*seconds)(void); // a clock that only goes forward, for the times of GeneratorStats;
                             // NULL: they stay 0
} GeneratorOptions;

typedef struct {
    size_t n_prompt; // tokens of the prompt that were fed
    size_t n_reused; // tokens of the prompt that the session held already
    size_t n_answer; // tokens generated, without the one that ends the turn
    double prefill_seconds, decode_seconds;
    StopReason stop;
} GeneratorStats;

typedef struct Generator Generator;

// Session and format must outlive it. NULL and `err` on failure.
Generator *generator_open(Session *session, const PromptFormat *format, Err *err);
void generator_close(Generator *g); // safe on NULL
Session *generator_session(const Generator *g);

// Receives the text of the answer as it is generated, in whole characters. The text is empty while
// there is none: while the prompt is read, and after a token that completes no character. Returns
// false to cancel.
typedef bool GeneratorText(void *context, Str text);

// Answers `prompt` [n_prompt]: appends the whole answer to `answer` and gives it to `on_text` in
// pieces. When cancelled, it succeeds with the text generated so far. Fails when the prompt does
// not fit into the context (ERR_USAGE, the session is untouched) or the session fails. `progress`
// may be NULL.
bool generator_run(Generator *g, const uint32_t *prompt, size_t n_prompt,
                   const GeneratorOptions *options, GeneratorText *on_text, void *context,
                   const Progress *progress, StrBuf *answer, GeneratorStats *stats, Err *err);

#endif
