// chat_answer.c — prints one answer of `lathe chat`, and what has to be said about it.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/chat_impl.h"
#include "cli/interrupt.h"

static bool print_text(void *context, Str text) {
    ChatState *s = context;
    if (text.len && !s->is_json) {
        meter_rest(&s->meter);
        fwrite(text.at, 1, text.len, stdout);
        fflush(stdout);
    }
    return !interrupt_is_noted();
}

// ---- figures for a person

static double rate(size_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

void chat_print_stats(const ChatState *s) {
    const GeneratorStats *stats = &s->stats;
    const Session *session = s->loaded.session;
    fprintf(
        stderr,
        "[%s; load %.2f s; prefill %zu tokens, %.1f tok/s (%zu reused); decode %zu tokens, %.1f "
        "tok/s; %s; position %u of %u]\n",
        session_engine(session), s->load_seconds, stats->n_prompt,
        rate(stats->n_prompt, stats->prefill_seconds), stats->n_reused, stats->n_answer,
        rate(stats->n_answer, stats->decode_seconds), stop_reason_rows[stats->stop].text,
        session_position(session), session_context(session));
}

// An answer that was cut looks like one that ended: without figures, this alone tells them apart.
static void print_cut(const ChatState *s) {
    if (s->stats.stop == STOP_MAX_TOKENS)
        fprintf(stderr, "[the answer was cut at --max-tokens %u]\n", s->max_tokens);
    if (s->stats.stop == STOP_CONTEXT)
        fprintf(stderr, "[the answer was cut: the context of %u tokens is full]\n",
                session_context(s->loaded.session));
}

// ---- a line of JSON

// docs/chat-json.md states the members.
enum { CHAT_JSON_SCHEMA = 1 };

static void print_json(const ChatState *s, Str content) {
    const GeneratorStats *stats = &s->stats;
    const Session *session = s->loaded.session;
    const Err *unproved = &s->loaded.unproved;
    StrBuf deviations = {0};
    use_print_deviations(&s->loaded.use, &deviations);
    json_t *line = json_pack(
        "{s:i, s:s, s:o, s:s, s:s, s:{s:I, s:I, s:I}, s:{s:f, s:f, s:f}, s:s, s:i, s:i, s:o, s:o}",
        "schema", CHAT_JSON_SCHEMA, "role", "assistant", "content", json_of_str(content),
        "finish_reason", stop_reason_rows[stats->stop].finish_reason, "ended_by",
        stop_reason_rows[stats->stop].text, "tokens", "prompt", (json_int_t)stats->n_prompt,
        "reused", (json_int_t)stats->n_reused, "answer", (json_int_t)stats->n_answer, "seconds",
        "load", s->load_seconds, "prefill", stats->prefill_seconds, "decode", stats->decode_seconds,
        "engine", session_engine(session), "position", (int)session_position(session), "context",
        (int)session_context(session), "not_proved",
        unproved->kind ? json_of_str(str_of(unproved->text)) : json_null(), "not_as_published",
        deviations.len ? json_of_str(strbuf_str(&deviations)) : json_null());
    char *text = json_dumps(line, JSON_COMPACT);
    if (text) puts(text);
    fflush(stdout);
    free(text);
    json_decref(line);
    strbuf_free(&deviations);
}

// ---- answering

// The text of the answer, if it became part of the conversation.
static Str last_answer(const ChatState *s) {
    const json_t *messages = conversation_messages(s->conversation);
    size_t n = json_array_size(messages);
    const json_t *content = json_object_get(json_array_get(messages, n ? n - 1 : 0), "content");
    bool has_one = s->stats.n_answer || s->stats.stop != STOP_CANCELLED;
    return has_one ? (Str){json_string_value(content), json_string_length(content)} : STR("");
}

bool chat_answer(ChatState *s, const Str *text, Err *err) {
    GeneratorStats stats;
    interrupt_clear();
    // Above every answer, --quiet or not: nobody may take it for the model's.
    if (s->loaded.unproved.kind) fprintf(stderr, "[NOT PROVED: %s]\n", s->loaded.unproved.text);
    bool ok =
        text ? conversation_say(s->conversation, *text, print_text, s, &s->progress, &stats, err)
             : conversation_regenerate(s->conversation, print_text, s, &s->progress, &stats, err);
    meter_rest(&s->meter);
    if (!ok) return false;
    s->stats = stats;
    s->has_answered = true;
    if (s->is_json) {
        print_json(s, last_answer(s));
        return true;
    }
    putchar('\n');
    fflush(stdout);
    if (s->is_quiet)
        print_cut(s);
    else
        chat_print_stats(s);
    return true;
}
