// generator.c — the loop of an answer: draw a token from the logits, emit its text, feed it.
#include "chat/generator.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "chat/stop_filter.h"

const StopReasonInfo stop_reason_rows[STOP_COUNT] = {
#define STOP(name, text, finish_reason) [STOP_##name] = {text, finish_reason},
#include "chat/stop_reasons.def"
#undef STOP
};

struct Generator {
    Session *session;
    const PromptFormat *format;
    float *logits; // [n_vocab]
};

Generator *generator_open(Session *session, const PromptFormat *format, Err *err) {
    Generator *g = calloc(1, sizeof *g);
    if (!g) die_out_of_memory(sizeof *g);
    *g = (Generator){.session = session, .format = format};
    g->logits = big_alloc(session_n_vocab(session) * sizeof(float), "logits", err);
    if (g->logits) return g;
    generator_close(g);
    return NULL;
}

void generator_close(Generator *g) {
    if (!g) return;
    free(g->logits);
    free(g);
}

Session *generator_session(const Generator *g) {
    return g->session;
}

// One call of generator_run().
typedef struct {
    Generator *generator;
    const GeneratorOptions *options;
    GeneratorText *on_text;
    void *context;
    const Progress *progress; // may be NULL
    StopFilter filter;
    bool is_cancelled;
} Run;

static double seconds(const Run *r) {
    return r->options->seconds ? r->options->seconds() : 0;
}

static void emit(Run *r, bool is_end) {
    if (!r->on_text(r->context, stop_filter_next(&r->filter, is_end))) r->is_cancelled = true;
}

// ---- feeding, which the caller watches and may cancel

static void report_feeding(void *run, const char *what, uint64_t done, uint64_t total) {
    progress_report(((Run *)run)->progress, what, done, total);
}

static void note_feeding(void *run, const char *text) {
    progress_note(((Run *)run)->progress, text);
}

static bool goes_on_feeding(void *run) {
    Run *r = run;
    if (!r->is_cancelled) r->is_cancelled = !r->on_text(r->context, STR(""));
    return !r->is_cancelled;
}

// Feeds ids and keeps the logits of the last one. Being cancelled is not a failure: the session holds what
// was read until then.
static bool feed(Run *r, const uint32_t *ids, size_t n, Err *err) {
    Progress watch = {report_feeding, r, goes_on_feeding, note_feeding};
    Err why = {0};
    if (session_feed(r->generator->session, ids, n, r->generator->logits, &watch, &why))
        return true;
    if (why.kind == ERR_STOPPED) return true;
    if (err) *err = why;
    return false;
}

// ---- the answer

// Generates until something ends the answer, and says what.
static bool generate_tokens(Run *r, Sampler *sampler, Detokenizer *text, GeneratorStats *stats,
                            Err *err) {
    Session *s = r->generator->session;
    uint32_t limit = r->options->max_tokens ? r->options->max_tokens : UINT32_MAX;
    stats->stop = STOP_MAX_TOKENS;
    while (stats->n_answer < limit) {
        uint32_t id =
            sampler_next(sampler, r->generator->logits, session_tokens(s), session_position(s));
        stats->stop = STOP_END_OF_TURN;
        if (prompt_format_is_stop(r->generator->format, id)) return true;
        stats->n_answer++;
        detokenizer_add(text, id, &r->filter.text);
        emit(r, false);
        stats->stop = r->is_cancelled ? STOP_CANCELLED : STOP_STOP_STRING;
        if (r->filter.has_stopped || r->is_cancelled) return true;
        stats->stop = STOP_CONTEXT;
        if (session_position(s) == session_context(s)) return true;
        if (!feed(r, &id, 1, err)) return false;
        stats->stop = r->is_cancelled ? STOP_CANCELLED : STOP_MAX_TOKENS;
        if (r->is_cancelled) return true;
    }
    return true;
}

static bool generate(Run *r, GeneratorStats *stats, Err *err) {
    Sampler *sampler =
        sampler_open(&r->options->sampling, session_n_vocab(r->generator->session), err);
    if (!sampler) return false;
    Detokenizer text =
        detokenizer_start(prompt_format_tokenizer(r->generator->format), DETOKENIZER_MID_TEXT);
    bool ok = generate_tokens(r, sampler, &text, stats, err);
    if (ok && !r->filter.has_stopped) {
        detokenizer_flush(&text, &r->filter.text);
        emit(r, true);
    }
    sampler_close(sampler);
    return ok;
}

// ---- the prompt

static bool check_prompt(const Session *s, size_t n_prompt, Err *err) {
    if (n_prompt == 0)
        return err_set(err, ERR_USAGE, "the prompt is empty: expected at least one token");
    if (n_prompt <= session_context(s)) return true;
    return err_set(err, ERR_USAGE,
                   "the conversation is too long: %zu tokens do not fit into the context of %u; "
                   "shorten it, start a new one, or use a larger --context (a bundle's is fixed by "
                   "convert)",
                   n_prompt, session_context(s));
}

// The tokens at the beginning of the prompt that the session holds. The last token of a prompt is
// fed in any case: its logits are needed.
static size_t common_tokens(const Session *s, const uint32_t *prompt, size_t n_prompt) {
    const uint32_t *held = session_tokens(s);
    size_t n_held = session_position(s), n = 0;
    while (n < n_held && n + 1 < n_prompt && held[n] == prompt[n]) n++;
    return n;
}

static bool run(Run *r, const uint32_t *prompt, size_t n_prompt, GeneratorStats *stats, Err *err) {
    Session *s = r->generator->session;
    if (!check_prompt(s, n_prompt, err)) return false;
    size_t n_common = common_tokens(s, prompt, n_prompt);
    n_common = session_reach(s, (uint32_t)n_common);
    session_rewind(s, (uint32_t)n_common);
    stats->n_reused = n_common;
    stats->n_prompt = n_prompt - n_common;
    double start = seconds(r);
    progress_report(r->progress, "prefill: tokens", 0, stats->n_prompt);
    if (!feed(r, prompt + n_common, n_prompt - n_common, err)) return false;
    double read = seconds(r);
    stats->prefill_seconds = read - start;
    stats->stop = STOP_CANCELLED;
    if (r->is_cancelled) return true;
    bool ok = generate(r, stats, err);
    stats->decode_seconds = seconds(r) - read;
    return ok;
}

bool generator_run(Generator *g, const uint32_t *prompt, size_t n_prompt,
                   const GeneratorOptions *options, GeneratorText *on_text, void *context,
                   const Progress *progress, StrBuf *answer, GeneratorStats *stats, Err *err) {
    Run r = {.generator = g,
             .options = options,
             .on_text = on_text,
             .context = context,
             .progress = progress,
             .filter = {.stops = options->stops, .n_stops = options->n_stops}};
    *stats = (GeneratorStats){0};
    bool ok = run(&r, prompt, n_prompt, stats, err);
    strbuf_add(answer, strbuf_str(&r.filter.text));
    strbuf_free(&r.filter.text);
    return ok;
}
