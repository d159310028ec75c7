// text.c — prompts through template, tokenizer, prefill and greedy decoding: the bundle
// follows the reference's answer token by token.
//
// At each step both have read the same tokens, so each step is a separate test. Where the most
// likely token differs, the reference's margin between the two tokens must lie within the noise
// that the weights' form and fp16 cause in this model's logits, as measured on another text
// (text_perplexity.h); a larger margin means an error, not rounding. The bundle takes its tokens
// from host.gguf, which is compared with the source first.
#include <math.h>
#include <time.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/gates.h"
#include "gates/text_paths.h"
#include "gates/text_perplexity.h"
#include "prompt/prompt_format.h"
#include "proof/execution.h"
#include "proof/proof.h"
#include "proof/trace.h"

// Errors of logits are nearly normally distributed; the error of a margin is the difference of two
// of them.
#define NOISE_FACTOR 6.0
// Logits of answers are off by up to 1.6 times what those of the held text are (measured as there).
#define MOST_NOISE_RATIO 4.0
enum { MAX_ANSWER = 48 };

static const char *const prompts[] = {
    "Write hello world in Erlang.",
    "What is the capital of France?",
    "Count from 3 to 9.",
};

typedef struct {
    size_t n_steps, n_differ;
    double noise; // of logits, from the held text
    double worst_margin;
    Metrics logits;
    StrBuf example;           // of the worst difference
    TokenList source, bundle; // the most likely token of each, step by step
} Walk;

static void walk_free(Walk *w) {
    strbuf_free(&w->example);
    token_list_free(&w->source);
    token_list_free(&w->bundle);
}

// The text of an answer, its end included when it is a token of text.
static json_t *answer_json(const Proof *p, const TokenList *ids) {
    Detokenizer d = detokenizer_start(p->tokenizer, DETOKENIZER_MID_TEXT);
    StrBuf text = {0};
    for (size_t i = 0; i < ids->count; i++) detokenizer_add(&d, ids->at[i], &text);
    detokenizer_flush(&d, &text);
    json_t *json = json_of_str(strbuf_str(&text));
    strbuf_free(&text);
    return json;
}

// 67 " Hello", with what does not print spelt out and long ones cut.
static void add_token(const Proof *p, uint32_t id, StrBuf *out) {
    enum { MOST = 24 };
    Str piece = tokenizer_piece(p->tokenizer, id);
    strbuf_printf(out, "%u \"", id);
    for (size_t i = 0; i < piece.len && i < MOST; i++) {
        unsigned char c = (unsigned char)piece.at[i];
        if (c == '"' || c == '\\')
            strbuf_printf(out, "\\%c", c);
        else if (c < 32 || c > 126) // bytes of what is no ASCII, too: a piece may cut characters
            strbuf_printf(out, "\\x%02X", c);
        else
            strbuf_add_char(out, (char)c);
    }
    strbuf_add(out, piece.len > MOST ? STR("…\"") : STR("\""));
}

static void compare_step(Proof *p, Walk *w, const float *found, const float *wanted) {
    uint32_t n = p->bundle.chain.contract.n_vocab;
    uint32_t a = logits_argmax(found, n), b = logits_argmax(wanted, n);
    metrics_add(&w->logits, found, wanted, n);
    token_list_add(&w->bundle, a);
    token_list_add(&w->source, b);
    w->n_steps++;
    if (a == b) return;
    w->n_differ++;
    double margin = (double)wanted[b] - (double)wanted[a];
    if (margin <= w->worst_margin && w->n_differ > 1) return;
    w->worst_margin = margin;
    w->example.len = 0;
    strbuf_printf(&w->example, "step %zu: ", w->n_steps);
    add_token(p, a, &w->example);
    strbuf_add(&w->example, STR(" for "));
    add_token(p, b, &w->example);
}

// The ids of a question, by the code that chat runs.
static bool question_ids(const PromptFormat *format, const char *prompt, TokenList *ids, Err *err) {
    return prompt_format_encode_turn(format, "user", str_of(prompt), (int64_t)time(NULL), ids, err);
}

static bool walk(Proof *p, Walk *w, const PromptFormat *format, Session *bundle, Session *reference,
                 const char *prompt, float *found, float *wanted, Err *err) {
    TokenList ids = {0};
    bool ok = question_ids(format, prompt, &ids, err);
    session_rewind(bundle, 0);
    session_rewind(reference, 0);
    ok = ok && session_feed(bundle, ids.at, ids.count, found, NULL, err) &&
         session_feed(reference, ids.at, ids.count, wanted, NULL, err);
    token_list_free(&ids);
    for (int i = 0; ok && i < MAX_ANSWER; i++) {
        compare_step(p, w, found, wanted);
        uint32_t next = logits_argmax(wanted, p->bundle.chain.contract.n_vocab);
        if (prompt_format_is_stop(format, next) ||
            session_position(bundle) == session_context(bundle))
            break;
        ok = session_feed(bundle, &next, 1, found, NULL, err) &&
             session_feed(reference, &next, 1, wanted, NULL, err);
        progress_report(p->job->progress, "text: tokens", (uint64_t)i + 1, MAX_ANSWER);
    }
    return ok;
}

static void report(Proof *p, const Walk *w, const char *prompt) {
    double off = metrics_rmse(&w->logits), allowed = NOISE_FACTOR * w->noise;
    bool is_quiet = off <= MOST_NOISE_RATIO * w->noise && !w->logits.has_bad;
    bool ok = w->worst_margin <= allowed && is_quiet;
    json_t *figures = json_pack(
        "{s:I, s:I, s:o, s:o, s:o, s:s, s:o, s:o}", "steps", (json_int_t)w->n_steps, "differing",
        (json_int_t)w->n_differ, "worst_margin", json_of_real(w->worst_margin), "logits_off",
        json_of_real(off), "logit_noise", json_of_real(w->noise), "question", prompt,
        "source_answer", answer_json(p, &w->source), "bundle_answer", answer_json(p, &w->bundle));
    StrBuf says = {0};
    strbuf_printf(&says, "%zu of %zu tokens match", w->n_steps - w->n_differ, w->n_steps);
    if (w->n_differ)
        strbuf_printf(&says, "; the %s (%s): the source's token leads by %.3g, %s",
                      w->n_differ == 1 ? "other" : "worst of the others", w->example.at,
                      w->worst_margin, w->worst_margin <= allowed ? "a near tie" : "NO NEAR TIE");
    if (w->n_differ) strbuf_printf(&says, " (up to %.3g)", allowed);
    strbuf_printf(&says, "; logits differ by %.3g, allowed %.3g%s", off,
                  MOST_NOISE_RATIO * w->noise, is_quiet ? "" : ": MORE THAN NOISE");
    proof_result(p, "text", ok, figures, prompt, "%s", says.at);
    strbuf_free(&says);
}

// The prompts must fit, or there is nothing to follow.
static bool check_room(Proof *p, const PromptFormat *format, bool *has_room, Err *err) {
    size_t longest = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT_OF(prompts); i++) {
        TokenList ids = {0};
        ok = question_ids(format, prompts[i], &ids, err);
        longest = max_size(longest, ids.count);
        token_list_free(&ids);
    }
    *has_room = longest < p->bundle.chain.context;
    if (ok && !*has_room)
        proof_result(p, "text", false, NULL, "prompts",
                     "the longest prompt takes %zu tokens and leaves no room for an answer in a "
                     "context of %u: convert with a larger --context",
                     longest, p->bundle.chain.context);
    return ok;
}

// ---- token ids

static json_t *conversation(void) {
    return json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "system",
                     "content", "Be brief.", "role", "user", "content", prompts[0], "role",
                     "assistant", "content", "No.", "role", "user", "content",
                     "Why, <|end|> \u00e9?");
}

static void print_ids(const Proof *p, const TokenList *ids, size_t at, StrBuf *out) {
    if (at < ids->count)
        add_token(p, ids->at[at], out);
    else
        strbuf_add(out, STR("the end"));
}

static void compare_ids(const Proof *p, const TokenList *found, const TokenList *wanted,
                        bool *is_same, size_t *n_ids, StrBuf *example) {
    size_t at = 0;
    while (at < found->count && at < wanted->count && found->at[at] == wanted->at[at]) at++;
    *n_ids += wanted->count;
    if (!*is_same || (at == found->count && at == wanted->count)) return;
    *is_same = false;
    strbuf_printf(example, "id %zu is ", at);
    print_ids(p, found, at, example);
    strbuf_add(example, STR(", the source's "));
    print_ids(p, wanted, at, example);
}

// The same ids by host.gguf and by the source, for a template that takes the turns: a wrong
// template, a control token that is typed as text, or a bos that is not put in front is seen here
// whoever else reads host.gguf too.
static bool same_ids(Proof *p, const PromptFormat *host, const PromptFormat *source,
                     const Prompt *prompt, bool *is_same, size_t *n_ids, StrBuf *example,
                     Err *err) {
    TokenList found = {0}, wanted = {0};
    Err why = {0};
    bool ok = prompt_format_encode(source, prompt, &wanted, &why);
    if (!ok) { // it refuses such turns, as many do a system text; both must
        *is_same = *is_same && !prompt_format_encode(host, prompt, &found, &why);
        token_list_free(&found);
        token_list_free(&wanted);
        return true;
    }
    ok = prompt_format_encode(host, prompt, &found, err);
    if (ok) compare_ids(p, &found, &wanted, is_same, n_ids, example);
    token_list_free(&found);
    token_list_free(&wanted);
    return ok;
}

// A text without a template, whose beginning and end are the vocabulary's own policy.
static bool same_plain_ids(Proof *p, const PromptFormat *host, const PromptFormat *source,
                           bool *is_same, size_t *n_ids, StrBuf *example, Err *err) {
    TokenList found = {0}, wanted = {0};
    bool ok = prompt_format_encode_text(host, proof_text(), &found, err) &&
              prompt_format_encode_text(source, proof_text(), &wanted, err);
    if (ok) compare_ids(p, &found, &wanted, is_same, n_ids, example);
    token_list_free(&found);
    token_list_free(&wanted);
    return ok;
}

static bool check_ids(Proof *p, const PromptFormat *host, Err *err) {
    PromptFormat *source = prompt_format_open(&p->source, &p->model.contract, &p->use, err);
    if (!source) return false;
    bool is_same = true, ok = true;
    size_t n_ids = 0;
    int64_t date = (int64_t)time(NULL); // the same for both
    StrBuf example = {0};
    for (size_t i = 0; ok && i <= COUNT_OF(prompts); i++) {
        json_t *messages = i < COUNT_OF(prompts) ? json_array() : conversation();
        if (i < COUNT_OF(prompts)) prompt_add_message(messages, "user", str_of(prompts[i]));
        Prompt prompt = {messages, NULL, true, date};
        ok = same_ids(p, host, source, &prompt, &is_same, &n_ids, &example, err);
        json_decref(messages);
    }
    ok = ok && same_plain_ids(p, host, source, &is_same, &n_ids, &example, err);
    if (ok && is_same)
        proof_result(p, "text", true, NULL, "ids", "%zu ids from host.gguf equal the source's",
                     n_ids);
    else if (ok)
        proof_result(p, "text", false, NULL, "ids",
                     "host.gguf gives other ids for a conversation: %s",
                     example.len ? example.at : "it accepts one that the source refuses");
    strbuf_free(&example);
    prompt_format_close(source);
    return ok;
}

bool gate_text(Proof *p, Err *err) {
    const Contract *c = &p->bundle.chain.contract;
    Session *bundle = proof_open_session(p, &p->bundle, ARITHMETIC_FP16, err);
    ReferenceOptions as_used = {.n_positions = p->bundle.chain.context,
                                .rope_factors = p->bundle.chain.use.rope_factors};
    Session *reference =
        bundle
            ? session_open(model_runner_open_reference(&p->model, &as_used, p->job->pool, err), err)
            : NULL;
    PromptFormat *format = reference ? prompt_format_open(&p->bundle.host, c, &p->use, err) : NULL;
    float *found = arena_array(p->arena, c->n_vocab, float);
    float *wanted = arena_array(p->arena, c->n_vocab, float);
    double noise = 0;
    bool has_room = false;
    bool ok = format && check_ids(p, format, err) && check_room(p, format, &has_room, err) &&
              (!has_room || text_held_check(p, bundle, reference, &noise, err));
    for (size_t i = 0; ok && has_room && i < COUNT_OF(prompts); i++) {
        Walk w = {.noise = noise};
        ok = walk(p, &w, format, bundle, reference, prompts[i], found, wanted, err);
        if (ok) report(p, &w, prompts[i]);
        walk_free(&w);
    }
    prompt_format_close(format);
    session_close(reference);
    session_close(bundle);
    ok = ok && (!has_room || check_text_paths(p, err));
    // What a session refuses, because it is not finite say, is a bundle's failure.
    if (!ok && err && err->kind == ERR_FORMAT) err->kind = ERR_GATE;
    return ok;
}
