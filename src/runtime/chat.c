#include "runtime/chat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "base/utf8.h"

struct Chat {
    Session *session;
    const Contract *contract;
    ChatOptions options;
    Use use; // a copy of the options'
    Tokenizer *tokenizer;
    Template *template; // NULL: none is used, text is fed as it is
    Sampler *sampler;
    json_t *messages;
    char *system;
    float *logits; // [n_vocab]
};

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Broken bytes become U+FFFD, as the tokenizer would read them; JSON cannot hold them.
static void add_message(json_t *messages, const char *role, Str content) {
    StrBuf repaired = {0};
    if (!utf8_is_valid(content)) {
        utf8_repair(content, &repaired);
        content = strbuf_str(&repaired);
    }
    json_array_append_new(
        messages, json_pack("{s:s, s:s%}", "role", role, "content", content.at, content.len));
    strbuf_free(&repaired);
}

Chat *chat_open(Session *session, const Gguf *vocabulary, const Contract *contract,
                const ChatOptions *options, Err *err) {
    Chat *c = calloc(1, sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    *c =
        (Chat){.session = session, .contract = contract, .options = *options, .use = *options->use};
    c->options.use = &c->use;
    c->messages = json_array();
    c->tokenizer = tokenizer_open(vocabulary, err);
    SamplerOptions sampling = sampler_options(options->use, options->seed);
    c->sampler = c->tokenizer ? sampler_open(&sampling, contract->n_vocab, err) : NULL;
    c->logits = c->sampler ? big_alloc(contract->n_vocab * sizeof(float), "logits", err) : NULL;
    const GgufKey *key = gguf_find_key(vocabulary, STR("tokenizer.chat_template"));
    Str source;
    bool ok = c->logits != NULL;
    bool has_template = options->use->chat_template == CHAT_TEMPLATE_MODEL;
    if (ok && has_template && key && gguf_str(key, 0, &source))
        ok = (c->template = template_compile(source, err)) != NULL;
    if (ok) return c;
    chat_close(c);
    return NULL;
}

void chat_close(Chat *c) {
    if (!c) return;
    tokenizer_close(c->tokenizer);
    template_close(c->template);
    sampler_close(c->sampler);
    json_decref(c->messages);
    free(c->system);
    free(c->logits);
    free(c);
}

static void begin_afresh(Chat *c) {
    json_array_clear(c->messages);
    if (c->system) add_message(c->messages, "system", str_of(c->system));
}

void chat_reset(Chat *c) {
    session_reset(c->session);
    begin_afresh(c);
}

void chat_set_system(Chat *c, const char *text) {
    free(c->system);
    c->system = NULL;
    if (text && *text) {
        size_t n = strlen(text) + 1;
        c->system = malloc(n);
        if (!c->system) die_out_of_memory(n);
        memcpy(c->system, text, n);
    }
    begin_afresh(c);
}

// ---- encoding

static json_t *token_json(const Chat *c, uint32_t id) {
    Str piece = id == NO_TOKEN ? STR("") : tokenizer_piece(c->tokenizer, id);
    return json_stringn(piece.at, piece.len);
}

// A template that writes bos itself must not get a second one from the tokenizer.
static bool starts_with_bos(const Chat *c, Str text) {
    uint32_t bos = tokenizer_bos(c->tokenizer);
    return bos != NO_TOKEN && str_starts(text, tokenizer_piece(c->tokenizer, bos));
}

static bool render(const Chat *c, const json_t *messages, StrBuf *out, Err *err) {
    if (!c->template) { // a base model: the turns, one after the other
        for (size_t i = 0; i < json_array_size(messages); i++)
            strbuf_add(out, str_of(json_string_value(
                                json_object_get(json_array_get(messages, i), "content"))));
        return true;
    }
    json_t *variables =
        json_pack("{s:O, s:b, s:o, s:o}", "messages", messages, "add_generation_prompt", 1,
                  "bos_token", token_json(c, tokenizer_bos(c->tokenizer)), "eos_token",
                  token_json(c, tokenizer_eos(c->tokenizer)));
    if (!variables) die_out_of_memory(0);
    bool ok = template_render(c->template, variables, (int64_t)time(NULL), out, err);
    json_decref(variables);
    return ok;
}

// ---- control tokens that a user spells out
//
// Where they are to be text, the first byte of each, in whatever is said, gets a guard behind it
// before the template sees it. What a template does to text (trim it, join it) it does to the guard
// as well, so the guards in the rendered text say where no control token may begin.

// A noncharacter (Unicode 23.7): for use inside a program, never in a text.
#define GUARD "\xEF\xB7\x90" // U+FDD0
enum { GUARD_BYTES = sizeof GUARD - 1 };

// A text with guards; one that was in it is replaced by U+FFFD.
static json_t *guarded(const Chat *c, Str text) {
    StrBuf clean = {0}, out = {0};
    for (size_t i = 0; i < text.len;) {
        Str rest = {text.at + i, text.len - i};
        bool is_guard = str_starts(rest, STR(GUARD));
        strbuf_add(&clean, is_guard ? STR("\xEF\xBF\xBD") : (Str){rest.at, 1});
        i += is_guard ? GUARD_BYTES : 1;
    }
    Str all = strbuf_str(&clean);
    size_t done = 0;
    for (size_t at = 0; tokenizer_find_control(c->tokenizer, all, &at) != NO_TOKEN; at++) {
        strbuf_add(&out, (Str){all.at + done, at + 1 - done});
        strbuf_add(&out, STR(GUARD));
        done = at + 1;
    }
    strbuf_add(&out, (Str){all.at + done, all.len - done});
    json_t *value = json_stringn(out.at ? out.at : "", out.len);
    strbuf_free(&clean);
    strbuf_free(&out);
    return value;
}

// A copy of messages with guards in their contents.
static json_t *guarded_messages(const Chat *c, const json_t *messages) {
    json_t *all = json_deep_copy(messages);
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *message = json_array_get(all, i), *content = json_object_get(message, "content");
        Str text = {json_string_value(content), json_string_length(content)};
        json_t *value = text.len ? guarded(c, text) : NULL;
        if (value) json_object_set_new(message, "content", value);
    }
    return all;
}

// Takes the guards out of `text` and gives the places they guarded. free() them.
static size_t *take_guards(StrBuf *text, size_t *n_guards) {
    size_t *places = malloc((text->len / GUARD_BYTES + 1) * sizeof *places), kept = 0;
    if (!places) die_out_of_memory(text->len);
    *n_guards = 0;
    for (size_t i = 0; i < text->len;) {
        if (str_starts((Str){text->at + i, text->len - i}, STR(GUARD))) {
            if (kept) places[(*n_guards)++] = kept - 1;
            i += GUARD_BYTES;
        } else {
            text->at[kept++] = text->at[i++];
        }
    }
    text->len = kept;
    return places;
}

bool chat_encode(const Chat *c, const json_t *messages, TokenList *ids, Err *err) {
    bool is_guarded = c->options.use->control_tokens == CONTROL_TOKENS_TEXT;
    json_t *said = is_guarded ? guarded_messages(c, messages) : NULL;
    StrBuf text = {0};
    bool ok = render(c, said ? said : messages, &text, err);
    if (ok) {
        size_t n_guards, *guards = take_guards(&text, &n_guards);
        bool is_added = !c->template || (c->options.use->bos == BOS_ALWAYS &&
                                         !starts_with_bos(c, strbuf_str(&text)));
        unsigned flags = is_added ? TOKENIZER_ADD_BOS : 0;
        ok = tokenizer_encode_guarded(c->tokenizer, strbuf_str(&text), flags, guards,
                                      is_guarded ? n_guards : 0, ids, err);
        free(guards);
    }
    json_decref(said);
    strbuf_free(&text);
    return ok;
}

// ---- answering

// Text on its way out: what could be the beginning of a stop string is held back.
typedef struct {
    const ChatOptions *options;
    ChatText *on_text;
    void *context;
    StrBuf all;      // the answer
    size_t n_given;  // bytes of it handed out
    bool is_stopped; // by a stop string; or by the caller
    bool by_caller;
} Outlet;

// The bytes at the end that may grow into a stop string.
static size_t held_back(const Outlet *o) {
    size_t most = 0;
    for (size_t i = 0; i < o->options->n_stops; i++) {
        Str stop = str_of(o->options->stops[i]);
        size_t n = stop.len ? min_size(stop.len - 1, o->all.len - o->n_given) : 0;
        for (; n > most; n--)
            if (memcmp(o->all.at + o->all.len - n, stop.at, n) == 0) most = n;
    }
    return most;
}

static void find_stop(Outlet *o) {
    for (size_t i = 0; i < o->options->n_stops; i++) {
        Str stop = str_of(o->options->stops[i]);
        for (size_t at = o->n_given; stop.len && at + stop.len <= o->all.len; at++) {
            if (memcmp(o->all.at + at, stop.at, stop.len) != 0) continue;
            o->all.len = at;
            o->is_stopped = true;
            break;
        }
    }
}

static void hand_out(Outlet *o, bool is_end) {
    find_stop(o);
    size_t n = o->all.len - o->n_given - (is_end || o->is_stopped ? 0 : held_back(o));
    if (!o->on_text(o->context, n ? (Str){o->all.at + o->n_given, n} : STR("")))
        o->by_caller = true;
    o->n_given += n;
}

static bool is_stop(const Chat *c, uint32_t id) {
    for (size_t i = 0; i < c->contract->stop_ids.count; i++)
        if (c->contract->stop_ids.at[i] == id) return true;
    return false;
}

// Reading, as the session tells it: the caller sees it and may stop it.
typedef struct {
    Outlet *outlet;
    const Progress *progress; // may be NULL
} Reading;

static void report_reading(void *context, const char *what, uint64_t done, uint64_t total) {
    progress_report(((Reading *)context)->progress, what, done, total);
}

static void note_reading(void *context, const char *text) {
    progress_note(((Reading *)context)->progress, text);
}

static bool goes_on_reading(void *context) {
    Outlet *outlet = ((Reading *)context)->outlet;
    if (!outlet->by_caller) outlet->by_caller = !outlet->on_text(outlet->context, STR(""));
    return !outlet->by_caller;
}

// Feeds ids and keeps the logits of the last. Stopped by the caller is no failure: the outlet says
// so, and the session holds what was read until then.
static bool feed(Chat *c, const uint32_t *ids, size_t n, Outlet *outlet, const Progress *progress,
                 Err *err) {
    Reading reading = {outlet, progress};
    Progress watch = {report_reading, &reading, goes_on_reading, note_reading};
    Err why = {0};
    if (session_feed(c->session, ids, n, c->logits, &watch, &why)) return true;
    if (why.kind == ERR_STOPPED) return true;
    if (err) *err = why;
    return false;
}

static bool generate(Chat *c, Outlet *outlet, const Progress *progress, ChatStats *stats,
                     Err *err) {
    Detokenizer detokenizer = detokenizer_start(c->tokenizer, DETOKENIZER_MID_TEXT);
    uint32_t limit = c->options.max_tokens ? c->options.max_tokens : UINT32_MAX;
    stats->end = "length";
    while (stats->n_answer < limit) {
        uint32_t id = sampler_next(c->sampler, c->logits, session_tokens(c->session),
                                   session_position(c->session));
        if (is_stop(c, id)) {
            stats->end = "end of turn";
            break;
        }
        stats->n_answer++;
        detokenizer_add(&detokenizer, id, &outlet->all);
        hand_out(outlet, false);
        if (outlet->is_stopped || outlet->by_caller) {
            stats->end = outlet->by_caller ? "stopped" : "stop string";
            break;
        }
        if (session_position(c->session) == session_context(c->session)) {
            stats->end = "context";
            break;
        }
        if (!feed(c, &id, 1, outlet, progress, err)) return false;
        if (outlet->by_caller) {
            stats->end = "stopped";
            break;
        }
    }
    if (!outlet->is_stopped) {
        detokenizer_flush(&detokenizer, &outlet->all);
        hand_out(outlet, true);
    }
    return true;
}

static bool answer(Chat *c, const TokenList *ids, Outlet *outlet, const Progress *progress,
                   ChatStats *stats, Err *err) {
    if (ids->count == 0) return err_set(err, ERR_USAGE, "nothing to say");
    size_t common = 0, n_fed = session_position(c->session);
    const uint32_t *fed = session_tokens(c->session);
    while (common < n_fed && common < ids->count && fed[common] == ids->at[common]) common++;
    // The last token is fed in any case: its logits are needed.
    if (common == ids->count) common--;
    session_rewind(c->session, (uint32_t)common);
    stats->n_reused = common;
    stats->n_prompt = ids->count - common;
    double start = seconds();
    progress_report(progress, "prefill", 0, stats->n_prompt);
    if (!feed(c, ids->at + common, ids->count - common, outlet, progress, err)) return false;
    stats->prefill_seconds = seconds() - start;
    stats->end = "stopped";
    if (outlet->by_caller) return true;
    start = seconds();
    bool ok = generate(c, outlet, progress, stats, err);
    stats->decode_seconds = seconds() - start;
    return ok;
}

bool chat_say(Chat *c, Str text, ChatText *on_text, void *context, const Progress *progress,
              ChatStats *stats, Err *err) {
    size_t n_before = json_array_size(c->messages);
    *stats = (ChatStats){0};
    add_message(c->messages, "user", text);
    TokenList ids = {0};
    Outlet outlet = {.options = &c->options, .on_text = on_text, .context = context};
    bool ok =
        chat_encode(c, c->messages, &ids, err) && answer(c, &ids, &outlet, progress, stats, err);
    if (ok && (stats->n_answer || !outlet.by_caller))
        add_message(c->messages, "assistant", strbuf_str(&outlet.all));
    else
        while (json_array_size(c->messages) > n_before) json_array_remove(c->messages, n_before);
    token_list_free(&ids);
    strbuf_free(&outlet.all);
    return ok;
}
