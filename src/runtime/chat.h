// chat.h — a conversation with a session: messages through template and tokenizer, answers back as
// text while they come.
//
// What was fed stays in the KV cache. Each turn renders the whole conversation again and feeds only
// what is new behind the longest common beginning, so a template may change its mind about earlier
// turns and the model still sees exactly what the template says.
#ifndef LATHE_RUNTIME_CHAT_H
#define LATHE_RUNTIME_CHAT_H

#include <jansson.h>

#include "jinja/template.h"
#include "runtime/sampler.h"
#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    const Use *use;           // template, control tokens, sampling; copied
    uint64_t seed;            // of the sampling
    uint32_t max_tokens;      // of an answer; 0: as many as the context holds
    const char *const *stops; // strings that end an answer; it is cut before them
    size_t n_stops;
} ChatOptions;

// How an answer came about.
typedef struct {
    size_t n_prompt, n_reused, n_answer; // tokens fed for it, found in the cache, generated
    double prefill_seconds, decode_seconds;
    const char *end; // why it ended: "end of turn", "stop string", "length", "context", "stopped"
} ChatStats;

typedef struct Chat Chat;

// `vocabulary` is the file with tokenizer and template (the model, or a bundle's host.gguf).
// `session` NULL: to encode only.
Chat *chat_open(Session *session, const Gguf *vocabulary, const Contract *contract,
                const ChatOptions *options, Err *err);
void chat_close(Chat *c); // safe on NULL

// Forgets the conversation and what the session holds of it, and keeps the system text.
void chat_reset(Chat *c);
void chat_set_system(Chat *c, const char *text); // NULL: none; begins afresh

// Gets text as it comes, and empty text while there is none: as the question is read, and after a
// token that completes no character. Returns false to stop the answer.
typedef bool ChatText(void *context, Str text);

// Says `text` and streams the answer. On failure nothing of the turn stays, nor when it is stopped
// before the answer begins.
bool chat_say(Chat *c, Str text, ChatText *on_text, void *context, const Progress *progress,
              ChatStats *stats, Err *err);

// The token ids of a conversation (a JSON list of messages) with the beginning of an answer.
// Appends.
bool chat_encode(const Chat *c, const json_t *messages, TokenList *ids, Err *err);

#endif
