// model.c — a model that generates text: one session, its prompt format, one generator.
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/usage.h"
#include "chat/conversation.h"
#include "jinja/template.h"
#include "runtime/loaded_model.h"

struct LatheModel {
    LoadedModel loaded;
    PromptFormat *format;
    Generator *generator;
    LatheTokenizer tokenizer;
};

static LoadOptions load_options(const char *path, const LatheModelOptions *o, char *context) {
    static const char *const arithmetics[] = {[LATHE_ARITHMETIC_FP16] = NULL, // the default
                                              [LATHE_ARITHMETIC_FP32] = "fp32",
                                              [LATHE_ARITHMETIC_ANE] = "ane"};
    LoadOptions options = {.path = path,
                           .arithmetic = arithmetics[o->arithmetic],
                           .model = o->source,
                           .threads = o->n_threads,
                           .is_unsealed = o->accepts_unproved};
    if (o->context) options.use[USE_context] = context;
    return options;
}

LatheModel *lathe_model_open(const char *path, const LatheModelOptions *given, LatheError *error) {
    LatheModelOptions o = given ? *given : (LatheModelOptions){0};
    char context[16];
    Err err = {0};
    LatheModel *m = calloc(1, sizeof *m);
    if (!m) die_out_of_memory(sizeof *m);
    snprintf(context, sizeof context, "%u", o.context);
    LoadOptions options = load_options(path, &o, context);
    if (!loaded_model_open(&m->loaded, &options, NULL, &err)) goto fail;
    m->format =
        prompt_format_open(m->loaded.tokenizer_file, m->loaded.contract, &m->loaded.use, &err);
    if (!m->format) goto fail;
    m->generator = generator_open(m->loaded.session, m->format, &err);
    if (!m->generator) goto fail;
    m->tokenizer.tokenizer = prompt_format_tokenizer(m->format);
    return m;

fail:
    lathe_model_close(m);
    api_fail(error, &err);
    return NULL;
}

void lathe_model_close(LatheModel *m) {
    if (!m) return;
    generator_close(m->generator);
    prompt_format_close(m->format);
    loaded_model_close(&m->loaded);
    free(m);
}

const LatheTokenizer *lathe_model_tokenizer(const LatheModel *m) {
    return &m->tokenizer;
}

uint32_t lathe_model_context(const LatheModel *m) {
    return session_context(m->loaded.session);
}

const char *lathe_model_unproved(const LatheModel *m) {
    return m->loaded.unproved.kind ? m->loaded.unproved.text : NULL;
}

LatheSampling lathe_model_sampling(const LatheModel *m) {
    SamplerOptions s = sampler_options(&m->loaded.use, 0);
    return (LatheSampling){s.temperature, s.top_k, s.top_p, s.min_p, s.repeat_penalty};
}

// ---- generating

typedef struct {
    LatheText *on_text;
    void *context;
} Listener;

static bool give_text(void *context, Str text) {
    const Listener *l = context;
    return !l->on_text || l->on_text(l->context, text.len ? text.at : "", text.len);
}

static bool check_sampling(const LatheSampling *s, Err *err) {
    bool is_right = s->temperature >= 0 && s->top_p >= 0 && s->top_p <= 1 && s->min_p >= 0 &&
                    s->min_p <= 1 && s->repeat_penalty > 0;
    return is_right || err_set(err, ERR_USAGE,
                               "sampling: temperature %g, top_p %g, min_p %g, repeat_penalty %g; "
                               "expected 0 or more, 0 to 1, 0 to 1, above 0",
                               (double)s->temperature, (double)s->top_p, (double)s->min_p,
                               (double)s->repeat_penalty);
}

static bool check_prompt(const LatheModel *m, const uint32_t *prompt, size_t n, Err *err) {
    uint32_t n_vocab = session_n_vocab(m->loaded.session);
    if (!n) return err_set(err, ERR_USAGE, "the prompt has no tokens");
    for (size_t i = 0; i < n; i++)
        if (prompt[i] >= n_vocab)
            return err_set(err, ERR_USAGE, "token %u of a vocabulary of %u", prompt[i], n_vocab);
    return true;
}

static const LatheStop stops[STOP_COUNT] = {
    [STOP_END_OF_TURN] = LATHE_STOP_END_OF_TURN, [STOP_STOP_STRING] = LATHE_STOP_STRING,
    [STOP_MAX_TOKENS] = LATHE_STOP_MAX_TOKENS,   [STOP_CONTEXT] = LATHE_STOP_CONTEXT,
    [STOP_CANCELLED] = LATHE_STOP_CANCELLED,
};

static bool generator_options(GeneratorOptions *out, const LatheModel *m,
                              const LatheGenerateOptions *given, Err *err) {
    LatheGenerateOptions o = given ? *given : (LatheGenerateOptions){0};
    LatheSampling s = o.sampling ? *o.sampling : lathe_model_sampling(m);
    *out = (GeneratorOptions){
        .sampling = {s.temperature, s.top_k, s.top_p, s.min_p, s.repeat_penalty, o.seed},
        .max_tokens = o.max_tokens,
        .stops = o.stops,
        .n_stops = o.n_stops,
        .seconds = now_seconds,
    };
    return check_sampling(&s, err);
}

static void give_stats(LatheStats *to, const GeneratorStats *from) {
    if (!to) return;
    *to = (LatheStats){from->n_prompt,        from->n_reused,       from->n_answer,
                       from->prefill_seconds, from->decode_seconds, stops[from->stop]};
}

static bool generate(LatheModel *m, const uint32_t *prompt, size_t n,
                     const LatheGenerateOptions *given, Listener *listener, LatheStats *stats,
                     Err *err) {
    GeneratorOptions options;
    GeneratorStats found = {0};
    StrBuf answer = {0};
    bool ok = generator_options(&options, m, given, err) && check_prompt(m, prompt, n, err) &&
              generator_run(m->generator, prompt, n, &options, give_text, listener, NULL, &answer,
                            &found, err);
    strbuf_free(&answer);
    if (ok) give_stats(stats, &found);
    return ok;
}

bool lathe_generate(LatheModel *m, const uint32_t *prompt, size_t n_prompt,
                    const LatheGenerateOptions *options, LatheText *on_text, void *context,
                    LatheStats *stats, LatheError *error) {
    Err err = {0};
    Listener listener = {on_text, context};
    return generate(m, prompt, n_prompt, options, &listener, stats, &err) || api_fail(error, &err);
}

// A JSON list in `text`; NULL and `err` when it is not one.
static json_t *read_list(const char *text, const char *what, Err *err) {
    json_t *json = template_read_json(str_of(text), err);
    if (json_is_array(json)) return json;
    if (json)
        err_set(err, ERR_USAGE, "%s: expected a JSON list", what);
    else
        err_prefix(err, "%s", what);
    err->kind = ERR_USAGE;
    json_decref(json);
    return NULL;
}

bool lathe_answer(LatheModel *m, const char *messages, const LatheGenerateOptions *options,
                  LatheText *on_text, void *context, LatheStats *stats, LatheError *error) {
    Err err = {0};
    TokenList ids = {0};
    Listener listener = {on_text, context};
    json_t *list = read_list(messages, "messages", &err), *tools = NULL;
    bool ok = list != NULL;
    if (ok && options && options->tools)
        ok = (tools = read_list(options->tools, "tools", &err)) != NULL;
    if (ok) {
        Prompt prompt = {.messages = list,
                         .tools = tools,
                         .adds_generation_prompt = true,
                         .date = options ? options->date : 0};
        ok = prompt_format_encode(m->format, &prompt, &ids, &err) &&
             generate(m, ids.at, ids.count, options, &listener, stats, &err);
    }
    token_list_free(&ids);
    json_decref(list);
    json_decref(tools);
    return ok || api_fail(error, &err);
}

// ---- conversations

struct LatheConversation {
    Conversation *conversation;
};

LatheConversation *lathe_conversation_open(LatheModel *m, const char *system,
                                           const LatheGenerateOptions *given, int64_t (*date)(void),
                                           LatheError *error) {
    Err err = {0};
    ConversationOptions options = {.date = date};
    Conversation *conversation = NULL;
    if (generator_options(&options.generator, m, given, &err))
        conversation = conversation_open(m->loaded.session, m->format, &options, &err);
    if (!conversation) {
        api_fail(error, &err);
        return NULL;
    }
    conversation_set_system(conversation, system);
    LatheConversation *c = malloc(sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    c->conversation = conversation;
    return c;
}

void lathe_conversation_close(LatheConversation *c) {
    if (!c) return;
    conversation_close(c->conversation);
    free(c);
}

bool lathe_conversation_say(LatheConversation *c, const char *text, LatheText *on_text,
                            void *context, LatheStats *stats, LatheError *error) {
    Err err = {0};
    Listener listener = {on_text, context};
    GeneratorStats found = {0};
    if (!conversation_say(c->conversation, str_of(text), give_text, &listener, NULL, &found, &err))
        return api_fail(error, &err);
    give_stats(stats, &found);
    return true;
}

bool lathe_conversation_rewind(LatheConversation *c) {
    return conversation_rewind(c->conversation);
}

void lathe_conversation_reset(LatheConversation *c) {
    conversation_reset(c->conversation);
}
