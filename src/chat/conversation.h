// conversation.h — turns of user and model over one session: the history as messages.
//
// Each turn encodes the whole conversation again. The session keeps the longest prefix that it
// already holds, and only the rest is fed (generator.h). So a template may render earlier turns
// differently later, and the model still reads exactly what the template writes.
//
// A turn that fails, or is cancelled before an answer begins, leaves the history as it was.
#ifndef LATHE_CHAT_CONVERSATION_H
#define LATHE_CHAT_CONVERSATION_H

#include "chat/generator.h"

typedef struct {
    // Of every answer. The n-th answer since the conversation began, from 0, is drawn with its seed
    // plus n.
    GeneratorOptions generator;
    int64_t (*date)(void); // seconds since 1970, for the template's strftime_now(); NULL: 0
} ConversationOptions;

typedef struct Conversation Conversation;

// Session and format must outlive it, as must the stops of `options`. NULL and `err` on failure.
Conversation *conversation_open(Session *session, const PromptFormat *format,
                                const ConversationOptions *options, Err *err);
void conversation_close(Conversation *c); // safe on NULL

// Removes all turns from the history and the session; the system text stays.
void conversation_reset(Conversation *c);
// Starts a new conversation with this system text; NULL or empty: without one.
void conversation_set_system(Conversation *c, const char *text);
// The history: a list of {"role", "content"}, good until the next call that changes it.
const json_t *conversation_messages(const Conversation *c);

// Says `text` as the user and streams the answer to `on_text`.
bool conversation_say(Conversation *c, Str text, GeneratorText *on_text, void *context,
                      const Progress *progress, GeneratorStats *stats, Err *err);
// Answers the last question again, with another seed. If that fails, or is cancelled before any
// text, the old answer stays. ERR_USAGE when there is no answer yet.
bool conversation_regenerate(Conversation *c, GeneratorText *on_text, void *context,
                             const Progress *progress, GeneratorStats *stats, Err *err);
// Removes the last question and its answer. False when there is none.
bool conversation_rewind(Conversation *c);

#endif
