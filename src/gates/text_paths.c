// text_paths.c — the ways in which a conversation can use a session, each by the code that chat
// runs; results of gate text.
//
// After each turn two things must hold, whatever was reused, padded, removed or read again: the
// session holds the tokens of the conversation as the template renders it; and its next logits are
// those of a reference that reads these tokens with the packages' weights, under the factor set for
// their number (all tokens anew when the set changes). Only fp16 rounding may differ
// (text_perplexity.h has the bound).
#include "gates/text_paths.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/size.h"
#include "proof/execution.h"
#include "proof/packed.h"

enum {
    N_WAYS = 7,
    ANSWER = 6,        // tokens of an answer: what a turn leaves, not what it says, is asked for
    SMALL_END = 160,   // context of the session whose end is reached
    ROOMY = 512,       // contexts that hold all of it
    RING_COMPARED = 3, // tokens that are compared at each place of rings
    CROSSING = 2,      // tokens before and after the crossing that are compared
};

// Weights times tokens that a reference may read for the crossing: some seconds.
#define MOST_CROSSING_WORK 2e10
// The same for rings, as long as a bundle whose text is read takes anyway: two minutes of a core.
#define MOST_RING_WORK 1e12

typedef struct {
    Proof *p;
    Session *session;
    PromptFormat *format;
    Conversation *chat;
    Reference *reference; // with the packages' weights
    uint32_t *read;       // [positions]: what it has read, n_read of them under is_long
    size_t n_read;
    bool is_long;
    json_t *messages;      // what was said, answers too
    float *found, *wanted; // [n_vocab]
    double kl_max;
    Metrics logits;
    size_t n_compared;
    const char *turn; // what is being tried
    char fault[256];  // the first; empty while there is none
} Paths;

static bool ignore_text(void *context, Str text) {
    strbuf_add(context, text);
    return true;
}

static void found_fault(Paths *t, const char *what) {
    if (!t->fault[0]) snprintf(t->fault, sizeof t->fault, "%s: %.150s", t->turn, what);
}

// ---- what must hold

static bool is_long_at(const Paths *t, size_t length) {
    const Contract *c = &t->p->model.contract;
    if (!contract_has_two_factor_sets(c)) return false;
    RopeFactors factors = t->p->use.rope_factors;
    return factors == ROPE_FACTORS_LONG ||
           (factors == ROPE_FACTORS_AUTO && length > c->original_context);
}

// Makes the reference hold ids [0, n) under their set, the last one fed last.
static bool read_reference(Paths *t, const uint32_t *ids, size_t n, Err *err) {
    bool is_long = is_long_at(t, n);
    size_t common = 0;
    while (common + 1 < n && common < t->n_read && t->read[common] == ids[common]) common++;
    if (is_long != t->is_long) common = 0;
    t->is_long = is_long;
    reference_rewind(t->reference, (uint32_t)common);
    reference_force_factors(t->reference, is_long);
    memcpy(t->read, ids, n * sizeof *ids);
    t->n_read = n;
    return reference_feed(t->reference, ids + common, n - common, t->wanted, false, err);
}

// The next logits of the session, after `next`, against the reference's.
static bool compare_next(Paths *t, uint32_t next, Err *err) {
    size_t n = session_position(t->session), n_vocab = t->p->model.contract.n_vocab;
    uint32_t *ids = arena_array(t->p->arena, n + 1, uint32_t);
    memcpy(ids, session_tokens(t->session), n * sizeof *ids);
    ids[n] = next;
    if (!session_feed(t->session, &next, 1, t->found, NULL, err) ||
        !read_reference(t, ids, n + 1, err))
        return false;
    double kl = logits_kl(t->found, t->wanted, n_vocab);
    metrics_add(&t->logits, t->found, t->wanted, n_vocab);
    if (!(kl <= t->kl_max)) t->kl_max = kl;
    if (!(kl <= TEXT_MOST_FP16_KL))
        found_fault(t, "logits differ from those of a new session with the same tokens");
    t->n_compared++;
    progress_report(t->p->job->progress, "text: places", t->n_compared, 0);
    return true;
}

static int64_t today(void) {
    return (int64_t)time(NULL);
}

static bool encode(const Paths *t, const json_t *messages, TokenList *ids, Err *err) {
    Prompt prompt = {messages, NULL, true, today()};
    return prompt_format_encode(t->format, &prompt, ids, err);
}

// Whether the session begins with the conversation up to the last question.
static bool compare_tokens(Paths *t, Err *err) {
    TokenList ids = {0};
    bool ok = encode(t, t->messages, &ids, err);
    size_t n = session_position(t->session);
    if (ok && (n < ids.count ||
               memcmp(session_tokens(t->session), ids.at, ids.count * sizeof *ids.at) != 0))
        found_fault(t, "the session holds other tokens than the conversation");
    token_list_free(&ids);
    return ok;
}

static bool say(Paths *t, const char *turn, Str text, Err *err) {
    GeneratorStats stats;
    StrBuf answer = {0};
    t->turn = turn;
    prompt_add_message(t->messages, "user", text);
    bool ok = conversation_say(t->chat, text, ignore_text, &answer, NULL, &stats, err) &&
              compare_tokens(t, err);
    if (ok && session_position(t->session) < session_context(t->session)) {
        ok = compare_next(t, t->p->model.contract.n_vocab / 2, err);
        session_rewind(t->session, session_position(t->session) - 1);
    }
    prompt_add_message(t->messages, "assistant", strbuf_str(&answer));
    strbuf_free(&answer);
    return ok;
}

static bool begin(Paths *t, const char *system, Err *err) {
    Use greedy = t->p->use;
    greedy.temperature = 0;
    ConversationOptions options = {
        .generator = {.sampling = sampler_options(&greedy, 0), .max_tokens = ANSWER},
        .date = today,
    };
    conversation_close(t->chat);
    json_array_clear(t->messages);
    t->chat = conversation_open(t->session, t->format, &options, err);
    if (t->chat && system) conversation_set_system(t->chat, system);
    if (system) prompt_add_message(t->messages, "system", str_of(system));
    return t->chat != NULL;
}

// ---- the ways

// Tokens of a conversation that goes twice round the rings and a little further, or to the end.
static size_t ring_walk_length(const Chain *c) {
    return min_size(2 * (size_t)c->ring_slots + RING_COMPARED, c->context);
}

// Some tokens in one call behind what the session holds, taken back afterwards: a chunk that begins
// late and ends in padding. A conversation without a template reads every turn from its beginning.
static bool feed_behind(Paths *t, Err *err) {
    enum { TOKENS = 5 }; // fewer may be fed one by one
    uint32_t ids[TOKENS], before = session_position(t->session);
    if (before + TOKENS >= session_context(t->session)) return true;
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = (before + i) * 7919 % t->p->model.contract.n_vocab;
    t->turn = "tokens behind a turn";
    bool ok = session_feed(t->session, ids, TOKENS, NULL, NULL, err);
    if (ok && session_position(t->session) != before + TOKENS)
        found_fault(t, "the session holds another number of tokens than it was fed");
    ok = ok && compare_next(t, t->p->model.contract.n_vocab / 3, err);
    if (ok) session_rewind(t->session, before);
    return ok;
}

static bool takes_system(const Paths *t) {
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "system", "content",
                                 "Be brief.", "role", "user", "content", "Hello.");
    TokenList ids = {0};
    bool ok = encode(t, messages, &ids, NULL);
    token_list_free(&ids);
    json_decref(messages);
    return ok;
}

static bool walk_turns(Paths *t, Err *err) {
    Str first = STR("What is the capital of France?"), second = STR("Count from 3 to 9, please.");
    if (!begin(t, NULL, err) || !say(t, "first turn", first, err) || !feed_behind(t, err) ||
        !say(t, "second turn", second, err) || !say(t, "third turn", first, err))
        return false;
    // Another conversation over the same session: what they share is kept, the rest taken back.
    if (!begin(t, NULL, err) || !say(t, "shortened conversation", second, err)) return false;
    conversation_reset(t->chat);
    json_array_clear(t->messages);
    if (!say(t, "after a reset", first, err)) return false;
    return !takes_system(t) || (begin(t, "Be brief.", err) && say(t, "system text", first, err) &&
                                say(t, "second turn after it", second, err));
}

// Steps from where the session is until it holds `end` tokens, comparing the last `n`.
static bool step_until(Paths *t, size_t end, size_t n, Err *err) {
    for (size_t at = session_position(t->session); at < end; at++) {
        uint32_t next = (uint32_t)(at * 7919 % t->p->model.contract.n_vocab);
        bool ok = at + n >= end ? compare_next(t, next, err)
                                : session_feed(t->session, &next, 1, NULL, NULL, err);
        if (!ok) return false;
    }
    return true;
}

// A question that makes the conversation `most` tokens long, or a few less.
static bool long_question(const Paths *t, size_t most, StrBuf *out, Err *err) {
    static const char *const words[] = {"river", "stone", "lemon", "candle", "tiger", "garden"};
    size_t low = 1, high = most;
    while (low < high) { // the most words that fit
        size_t n = (low + high + 1) / 2;
        out->len = 0;
        for (size_t i = 0; i < n; i++)
            strbuf_printf(out, "%s%s", i ? " " : "", words[i * i % COUNT_OF(words)]);
        TokenList ids = {0};
        bool ok = prompt_format_encode_turn(t->format, "user", strbuf_str(out), today(), &ids, err);
        if (ids.count <= most)
            low = n;
        else
            high = n - 1;
        token_list_free(&ids);
        if (!ok) return false;
    }
    out->len = 0;
    for (size_t i = 0; i < low; i++)
        strbuf_printf(out, "%s%s", i ? " " : "", words[i * i % COUNT_OF(words)]);
    return true;
}

// A conversation over the original context and back.
static bool walk_crossing(Paths *t, Err *err) {
    uint32_t original = t->p->model.contract.original_context;
    StrBuf text = {0};
    bool ok = begin(t, NULL, err) && long_question(t, original - ANSWER - 2, &text, err) &&
              say(t, "long question", strbuf_str(&text), err);
    t->turn = "across the original context";
    ok = ok && step_until(t, original + CROSSING, 2 * CROSSING, err);
    ok = ok && say(t, "second turn beyond it", STR("Count from 3 to 9, please."), err) &&
         begin(t, NULL, err) &&
         say(t, "shortened below it again", STR("Say: river stone lemon"), err);
    strbuf_free(&text);
    return ok;
}

// A session that ends soon, by the same code: its last chunk does not fit, its last token does.
static bool walk_to_the_end(Paths *t, Err *err) {
    if (!begin(t, NULL, err) || !say(t, "first turn", STR("Name three colours."), err))
        return false;
    t->turn = "end of the context";
    return step_until(t, session_context(t->session), 2, err);
}

// A conversation twice round the rings, taken back as far as they remember and further. What the session
// reads again, or does not, must not show.
static bool walk_rings(Paths *t, Err *err) {
    const Chain *c = &t->p->bundle.chain;
    Str first = STR("What is the capital of France?");
    size_t end = ring_walk_length(c);
    if (!begin(t, NULL, err) || !say(t, "first turn", first, err)) return false;
    t->turn = "round the rings";
    if (!step_until(t, end, RING_COMPARED, err)) return false;
    t->turn = "taken back as far as the rings remember";
    uint32_t within = (uint32_t)end;
    while (within > 0 && session_reach(t->session, within - 1)) within--;
    session_rewind(t->session, within);
    if (!step_until(t, end, RING_COMPARED, err)) return false;
    t->turn = "taken back further than the rings remember";
    session_rewind(t->session, (uint32_t)(end - c->ring_slots));
    if (!step_until(t, end - c->ring_slots + RING_COMPARED, RING_COMPARED, err)) return false;
    return begin(t, NULL, err) && say(t, "shortened conversation", first, err) &&
           say(t, "second turn after it", STR("Count from 3 to 9, please."), err);
}

// ---- the results

static void report(Paths *t, const char *scope, const char *ways) {
    json_t *figures =
        json_pack("{s:I, s:o, s:o}", "compared", (json_int_t)t->n_compared, "kl_max",
                  json_of_real(t->kl_max), "rmse", json_of_real(metrics_rmse(&t->logits)));
    if (t->fault[0])
        proof_result(t->p, "text", false, figures, scope, "%s (kl %.3g, at most %.3g)", t->fault,
                     t->kl_max, TEXT_MOST_FP16_KL);
    else
        proof_result(t->p, "text", true, figures, scope,
                     "%s: same tokens and logits as a new session, at %zu places, kl_max=%.3g",
                     ways, t->n_compared, t->kl_max);
}

typedef bool Way(Paths *t, Err *err);

static bool run_way(Proof *p, const Bundle *bundle, uint32_t n_positions, Way *way,
                    const char *scope, const char *ways, Err *err) {
    size_t n_vocab = p->model.contract.n_vocab;
    ReferenceOptions options = {.n_positions = n_positions,
                                .weights = packed_weight_row,
                                .weights_context = packed_weights_open(p, err)};
    if (!options.weights_context) return false;
    Paths t = {
        .p = p,
        .session = proof_open_session(p, bundle, ARITHMETIC_FP16, err),
        .messages = json_array(),
        .read = arena_array(p->arena, n_positions, uint32_t),
        .found = arena_array(p->arena, n_vocab, float),
        .wanted = arena_array(p->arena, n_vocab, float),
    };
    if (t.session)
        t.format = prompt_format_open(&p->bundle.host, &p->bundle.chain.contract, &p->use, err);
    if (t.format)
        t.reference = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    Err why = {0};
    bool ok = t.reference && way(&t, &why);
    bool is_short = bundle->chain.context < ROOMY && why.kind == ERR_USAGE;
    // What chat refuses in the middle of a conversation is a fault of the session, not of the run.
    if (!ok && is_short) {
        proof_unproved(p, "text", "%s: it does not fit into a context of %u", ways,
                       bundle->chain.context);
        ok = true;
        t.n_compared = 0;
    } else if (!ok && t.reference && why.kind != ERR_SYSTEM) {
        found_fault(&t, why.text);
        ok = true;
    } else if (!ok && t.reference && err) {
        *err = why;
    }
    if (ok && (!is_short || t.fault[0])) report(&t, scope, ways);
    conversation_close(t.chat);
    prompt_format_close(t.format);
    session_close(t.session);
    reference_close(t.reference);
    json_decref(t.messages);
    return ok;
}

static bool check_crossing(Proof *p, size_t *n_run, Err *err) {
    const Contract *c = &p->model.contract;
    enum { BEYOND = 96 };
    bool crosses = contract_has_two_factor_sets(c) && p->use.rope_factors == ROPE_FACTORS_AUTO &&
                   c->original_context + BEYOND <= p->bundle.chain.context;
    *n_run = N_WAYS;
    if (!crosses) return true;
    double tokens = 3.0 * c->original_context; // short, long, and short again
    if (tokens * proof_n_weights(p) > MOST_CROSSING_WORK && !p->job->is_vote_long) {
        proof_unproved(
            p, "text",
            "a conversation across position %u, where other rotary factors apply, was not run: it "
            "takes the reference over %u tokens several times; run it with --vote-long",
            c->original_context, c->original_context);
        --*n_run;
        return true;
    }
    return run_way(p, &p->bundle, c->original_context + BEYOND, walk_crossing, "crossing",
                   "over the original context and below it again", err);
}

// Of bundles that have rings: one kind of conversation more.
static bool check_rings(Proof *p, size_t *n_ways, size_t *n_run, Err *err) {
    const Chain *c = &p->bundle.chain;
    if (c->ring_slots == 0) return true;
    size_t length = ring_walk_length(c);
    ++*n_ways;
    if (2.0 * (double)length * proof_n_weights(p) > MOST_RING_WORK && !p->job->is_vote_long) {
        proof_unproved(
            p, "text",
            "a conversation twice round the rings of layers with a window was not run: it "
            "takes the reference over %zu tokens; run it with --vote-long",
            2 * length);
        return true;
    }
    ++*n_run;
    return run_way(p, &p->bundle, (uint32_t)min_size(c->context, length + ROOMY), walk_rings,
                   "rings", "twice round the rings, taken back within and beyond them", err);
}

bool check_text_paths(Proof *p, Err *err) {
    uint32_t context = p->bundle.chain.context;
    size_t n_run = 0, n_ways = N_WAYS;
    Bundle small = p->bundle;
    small.chain.context = (uint32_t)min_size(context, SMALL_END);
    uint32_t turns = (uint32_t)min_size(context, 1024);
    bool ok = run_way(p, &p->bundle, turns, walk_turns, "turns",
                      "first, second and third turn, shortened, reset, system text", err) &&
              run_way(p, &small, small.chain.context, walk_to_the_end, "end of context",
                      "to the last position", err) &&
              check_crossing(p, &n_run, err) && check_rings(p, &n_ways, &n_run, err);
    // A conversation that grows, is shortened, reset, has a system text, ends, and crosses.
    if (ok) proof_coverage(p, "text", n_run, n_ways, "kinds of conversation run");
    return ok;
}
