// gate_text.c — prompts through template, tokenizer, prefill and greedy decoding: the bundle
// follows the reference's answer token by token.
//
// At each step both have seen the same tokens, so each step is a test of its own. Where the most
// likely token differs, the reference's margin between the two must lie within the noise that int8
// weights and fp16 leave on this model's logits: anything larger is an error, not rounding.
#include <math.h>

#include "base/size.h"
#include "runtime/chat.h"
#include "verify/proof.h"

// Differences of logits are near normal; a margin is the difference of two of them.
#define NOISE_FACTOR 6.0
enum { MAX_ANSWER = 48 };

static const char *const prompts[] = {
    "Write hello world in Erlang.",
    "What is the capital of France?",
    "Count from 3 to 9.",
};

typedef struct {
    size_t n_steps, n_differ;
    double worst_margin;
    Metrics logits;
    StrBuf example; // of the worst difference
} Walk;

static bool is_stop(const Contract *c, uint32_t id) {
    for (size_t i = 0; i < c->stop_ids.count; i++)
        if (c->stop_ids.at[i] == id) return true;
    return false;
}

static void compare_step(Proof *p, Walk *w, const float *found, const float *wanted) {
    uint32_t n = p->bundle.chain.contract.n_vocab;
    uint32_t a = logits_argmax(found, n), b = logits_argmax(wanted, n);
    metrics_add(&w->logits, found, wanted, n);
    w->n_steps++;
    if (a == b) return;
    w->n_differ++;
    double margin = (double)wanted[b] - (double)wanted[a];
    if (margin <= w->worst_margin && w->n_differ > 1) return;
    w->worst_margin = margin;
    w->example.len = 0;
    strbuf_printf(&w->example, "step %zu: %u for %u", w->n_steps, a, b);
}

static bool walk(Proof *p, Walk *w, const Chat *chat, Session *bundle, Session *reference,
                 const char *prompt, float *found, float *wanted, Err *err) {
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", prompt);
    TokenList ids = {0};
    bool ok = chat_encode(chat, messages, &ids, err);
    json_decref(messages);
    session_rewind(bundle, 0);
    session_rewind(reference, 0);
    ok = ok && session_feed(bundle, ids.at, ids.count, found, NULL, err) &&
         session_feed(reference, ids.at, ids.count, wanted, NULL, err);
    token_list_free(&ids);
    for (int i = 0; ok && i < MAX_ANSWER; i++) {
        compare_step(p, w, found, wanted);
        uint32_t next = logits_argmax(wanted, p->bundle.chain.contract.n_vocab);
        if (is_stop(&p->bundle.chain.contract, next) ||
            session_position(bundle) == session_context(bundle))
            break;
        ok = session_feed(bundle, &next, 1, found, NULL, err) &&
             session_feed(reference, &next, 1, wanted, NULL, err);
        progress_report(p->job->progress, "text", (uint64_t)i + 1, MAX_ANSWER);
    }
    return ok;
}

static void report(Proof *p, const Walk *w, const char *prompt) {
    double noise = metrics_rmse(&w->logits);
    bool ok = w->worst_margin <= NOISE_FACTOR * noise && !w->logits.has_bad;
    json_t *figures =
        json_pack("{s:I, s:I, s:f, s:f}", "steps", (json_int_t)w->n_steps, "differing",
                  (json_int_t)w->n_differ, "worst_margin", w->worst_margin, "logit_noise", noise);
    if (w->n_differ == 0)
        proof_result(p, "text", ok, figures, prompt, "%zu/%zu ids equal, logit noise %.3g",
                     w->n_steps, w->n_steps, noise);
    else
        proof_result(p, "text", ok, figures, prompt,
                     "%zu/%zu ids equal; %s, margin %.3g, noise %.3g (x%.0f allowed)",
                     w->n_steps - w->n_differ, w->n_steps, w->example.at, w->worst_margin, noise,
                     NOISE_FACTOR);
}

// A conversation's second turn, over a state that holds the first one and nothing else, and over
// one that holds, behind the first turn, an answer that was taken back. What lies behind the
// position is masked, and its shares are zero exactly: the logits are the same to the bit.
static bool check_second_turn(Proof *p, const Chat *chat, Session *bundle, float *found,
                              float *wanted, Err *err) {
    enum { TAKEN_BACK = 8 };
    json_t *turns = json_pack("[{s:s, s:s}]", "role", "user", "content", prompts[0]);
    TokenList first = {0}, both = {0};
    bool ok = chat_encode(chat, turns, &first, err);
    json_array_append_new(turns, json_pack("{s:s, s:s}", "role", "assistant", "content", "No."));
    json_array_append_new(turns, json_pack("{s:s, s:s}", "role", "user", "content", prompts[1]));
    ok = ok && chat_encode(chat, turns, &both, err);
    json_decref(turns);
    size_t same = 0, n_vocab = p->bundle.chain.contract.n_vocab;
    while (same < first.count && same < both.count && first.at[same] == both.at[same]) same++;
    size_t rest = both.count - same, taken_back = min_size(TAKEN_BACK, both.count);
    if (ok && (rest == 0 || both.count + TAKEN_BACK > session_context(bundle))) {
        proof_result(p, "text", true, NULL, "second turn", "no room for two turns");
    } else if (ok) {
        session_rewind(bundle, 0);
        ok = session_feed(bundle, both.at, same, NULL, NULL, err) &&
             session_feed(bundle, both.at + same, rest, wanted, NULL, err);
        session_rewind(bundle, 0);
        ok = ok && session_feed(bundle, both.at, same, NULL, NULL, err) &&
             session_feed(bundle, both.at, taken_back, NULL, NULL, err);
        session_rewind(bundle, (uint32_t)same);
        ok = ok && session_feed(bundle, both.at + same, rest, found, NULL, err);
        Metrics m = {0};
        metrics_add(&m, found, wanted, n_vocab);
        if (ok)
            proof_result(p, "text", m.max_abs == 0 && !m.has_bad,
                         json_pack("{s:f}", "max_abs", m.max_abs), "second turn",
                         m.max_abs == 0 ? "%zu ids over a used state give the logits of a fresh one"
                                        : "%zu ids over a used state: logits differ by %.3g",
                         rest, m.max_abs);
    }
    token_list_free(&first);
    token_list_free(&both);
    return ok;
}

bool gate_text(Proof *p, Err *err) {
    const Contract *c = &p->bundle.chain.contract;
    ChatOptions options = {0};
    Session *bundle = session_open_bundle(&p->bundle, ARITHMETIC_FP16, p->job->pool, err);
    Session *reference =
        bundle ? session_open_reference(&p->model, p->bundle.chain.context, p->job->pool, err)
               : NULL;
    Chat *chat = reference ? chat_open(bundle, &p->bundle.host, c, &options, err) : NULL;
    float *found = arena_array(p->arena, c->n_vocab, float);
    float *wanted = arena_array(p->arena, c->n_vocab, float);
    bool ok = chat != NULL;
    for (size_t i = 0; ok && i < COUNT_OF(prompts); i++) {
        Walk w = {0};
        ok = walk(p, &w, chat, bundle, reference, prompts[i], found, wanted, err);
        if (ok) report(p, &w, prompts[i]);
        strbuf_free(&w.example);
    }
    ok = ok && check_second_turn(p, chat, bundle, found, wanted, err);
    chat_close(chat);
    session_close(reference);
    session_close(bundle);
    return ok;
}
