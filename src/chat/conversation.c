// conversation.c — the history of a chat: each turn adds a message, and removes it again if the
// turn fails.
#include "chat/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct Conversation {
    Generator *generator;
    const PromptFormat *format;
    ConversationOptions options;
    json_t *messages;
    char *system;       // NULL: none
    uint64_t n_answers; // asked for since the conversation began
};

Conversation *conversation_open(Session *session, const PromptFormat *format,
                                const ConversationOptions *options, Err *err) {
    Conversation *c = calloc(1, sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    *c = (Conversation){.format = format, .options = *options, .messages = json_array()};
    c->generator = generator_open(session, format, err);
    if (c->generator) return c;
    conversation_close(c);
    return NULL;
}

void conversation_close(Conversation *c) {
    if (!c) return;
    generator_close(c->generator);
    json_decref(c->messages);
    free(c->system);
    free(c);
}

static void begin(Conversation *c) {
    json_array_clear(c->messages);
    c->n_answers = 0;
    if (c->system) prompt_add_message(c->messages, "system", str_of(c->system));
}

void conversation_reset(Conversation *c) {
    session_reset(generator_session(c->generator));
    begin(c);
}

void conversation_set_system(Conversation *c, const char *text) {
    free(c->system);
    c->system = NULL;
    if (text && *text) {
        c->system = strdup(text);
        if (!c->system) die_out_of_memory(strlen(text) + 1);
    }
    begin(c);
}

const json_t *conversation_messages(const Conversation *c) {
    return c->messages;
}

// Answers the history and adds the answer to it. `is_kept`: there was one.
static bool answer(Conversation *c, GeneratorText *on_text, void *context, const Progress *progress,
                   GeneratorStats *stats, bool *is_kept, Err *err) {
    Prompt prompt = {.messages = c->messages,
                     .adds_generation_prompt = true,
                     .date = c->options.date ? c->options.date() : 0};
    GeneratorOptions options = c->options.generator;
    options.sampling.seed += c->n_answers;
    TokenList ids = {0};
    StrBuf text = {0};
    *stats = (GeneratorStats){0};
    bool ok = prompt_format_encode(c->format, &prompt, &ids, err) &&
              generator_run(c->generator, ids.at, ids.count, &options, on_text, context, progress,
                            &text, stats, err);
    token_list_free(&ids);
    bool has_answer = ok && (stats->n_answer || stats->stop != STOP_CANCELLED);
    if (has_answer) prompt_add_message(c->messages, "assistant", strbuf_str(&text));
    c->n_answers += has_answer;
    strbuf_free(&text);
    *is_kept = has_answer;
    return ok;
}

bool conversation_say(Conversation *c, Str text, GeneratorText *on_text, void *context,
                      const Progress *progress, GeneratorStats *stats, Err *err) {
    size_t n_before = json_array_size(c->messages);
    bool is_kept;
    prompt_add_message(c->messages, "user", text);
    bool ok = answer(c, on_text, context, progress, stats, &is_kept, err);
    if (!is_kept) json_array_remove(c->messages, n_before);
    return ok;
}

static bool is_answered(const Conversation *c) {
    size_t n = json_array_size(c->messages);
    const json_t *role = n ? json_object_get(json_array_get(c->messages, n - 1), "role") : NULL;
    return role && strcmp(json_string_value(role), "assistant") == 0;
}

bool conversation_regenerate(Conversation *c, GeneratorText *on_text, void *context,
                             const Progress *progress, GeneratorStats *stats, Err *err) {
    if (!is_answered(c)) return err_set(err, ERR_USAGE, "there is no answer yet to take back");
    size_t last = json_array_size(c->messages) - 1;
    json_t *old = json_incref(json_array_get(c->messages, last));
    bool is_kept;
    json_array_remove(c->messages, last);
    bool ok = answer(c, on_text, context, progress, stats, &is_kept, err);
    if (!is_kept) json_array_append(c->messages, old);
    json_decref(old);
    return ok;
}

bool conversation_rewind(Conversation *c) {
    if (!is_answered(c)) return false;
    for (int i = 0; i < 2; i++) json_array_remove(c->messages, json_array_size(c->messages) - 1);
    return true;
}
