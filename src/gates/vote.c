// vote.c — reports how the weights vote on the contract, field by field (vote.h).
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "contract/evidence.h"
#include "gates/gates.h"
#include "proof/proof.h"
#include "vote/vote.h"

static const char *const verdicts[] = {
    [VOTE_UNKNOWN] = "unknown",
    [VOTE_WORSE] = "worse",
    [VOTE_EVEN] = "not told apart",
    [VOTE_BETTER] = "better",
};

typedef struct {
    Proof *p;
    const VoteTexts *texts;
    const Vote *vote;
    const Evidence *evidence; // what settles a field that the weights cannot
    const char *where;        // "" or " beyond the original context"
} Result;

// ---- the text

// Nats a token over the texts that the stated reading knows, and how many of the scored tokens they
// hold.
static double known_nats(const Vote *vote, const VoteTexts *texts, size_t *n_known,
                         size_t *n_scored, StrBuf *kinds) {
    double sum = 0;
    *n_known = *n_scored = 0;
    for (size_t i = 0; i < texts->count; i++) {
        const VoteText *t = &texts->at[i];
        if (vote->stated[i] == 0) continue; // not read
        *n_scored += t->n_scored;
        if (!vote->is_known_as_stated[i]) continue;
        *n_known += t->n_scored;
        sum += vote->stated[i] * (double)t->n_scored;
        bool is_new = true;
        for (size_t k = 0; k < i; k++)
            if (vote->is_known_as_stated[k] && strcmp(texts->at[k].kind, t->kind) == 0)
                is_new = false;
        if (is_new) strbuf_printf(kinds, kinds->len ? ", %s" : "%s", t->kind);
    }
    return *n_known ? sum / (double)*n_known : 0;
}

static void report_text(const Result *r, bool may_be_unknown) {
    StrBuf kinds = {0};
    size_t n_known, n_scored;
    double nats = known_nats(r->vote, r->texts, &n_known, &n_scored, &kinds);
    json_t *figures = json_pack("{s:I, s:I, s:f, s:f}", "known", (json_int_t)n_known, "scored",
                                (json_int_t)n_scored, "nats", nats, "guess", r->vote->guess);
    const char *scope = *r->where ? "long text" : "text";
    if (n_known >= VOTE_LEAST_TOKENS || (n_known && may_be_unknown))
        proof_result(r->p, "vote", true, figures, scope,
                     "%zu of %zu tokens are of texts that the model knows (%.*s): %.3f nats per "
                     "token, a blind guess %.2f",
                     n_known, n_scored, STR_ARG(strbuf_str(&kinds)), nats, r->vote->guess);
    else if (may_be_unknown)
        proof_verdict(r->p, "vote", PROOF_UNPROVED, figures, scope,
                      "the model knows no text%s, so the vote cannot judge what applies there; "
                      "compare with the publisher's config.json (--config)",
                      r->where);
    else if (n_known)
        proof_result(r->p, "vote", false, figures, scope,
                     "only %zu of %zu tokens are of texts that the model knows under the contract "
                     "as stated, expected %d: give a longer text, or one like the model's training "
                     "texts, with --vote-text",
                     n_known, n_scored, VOTE_LEAST_TOKENS);
    else
        proof_result(r->p, "vote", false, figures, scope,
                     "under the contract as stated the model knows no text: it is untrained, or "
                     "trained on other texts (give one with --vote-text), or its contract or use "
                     "is misread in a way that lathe's list of misreadings lacks");
    strbuf_free(&kinds);
}

// ---- fields

// The row that speaks most for another reading of `field`: the lowest difference of those with the
// gravest verdict. NULL when no reading of it was scored.
static const VoteRow *worst_of(const Vote *v, const char *of, size_t counts[VOTE_BETTER + 1]) {
    const VoteRow *worst = NULL;
    memset(counts, 0, (VOTE_BETTER + 1) * sizeof *counts);
    for (size_t i = 0; i < v->n_rows; i++) {
        const VoteRow *row = &v->rows[i];
        if (strcmp(row->of, of) != 0) continue;
        counts[row->verdict]++;
        if (!worst || row->verdict > worst->verdict ||
            (row->verdict == worst->verdict && row->delta < worst->delta))
            worst = row;
    }
    return worst;
}

// Better by more than the margin and by two errors: not enough to fail, enough to say.
static bool leans(const VoteRow *row) {
    return row->delta < -VOTE_MARGIN && row->delta < -2 * row->error;
}

// Whether the publisher's files or a published contract say what the field is, and agree.
static bool is_settled(const Evidence *e, const char *of) {
    const Agreement *both[] = {&e->files, &e->published};
    for (size_t k = 0; k < COUNT_OF(both); k++)
        for (size_t i = 0; i < both[k]->n_rows; i++)
            if (strcmp(both[k]->rows[i].what, of) == 0 && both[k]->rows[i].verdict == VERDICT_AGREE)
                return true;
    return false;
}

static void report_even(const Result *r, const char *of, const VoteRow *row, json_t *figures,
                        const size_t *counts) {
    bool is_known = is_settled(r->evidence, of);
    proof_verdict(
        r->p, "vote", is_known ? PROOF_PASSED : PROOF_UNPROVED, figures, of,
        "%zu of %zu misreadings not told apart from the contract%s (%s %+.3f ± %.3f%s): %s",
        counts[VOTE_EVEN], counts[VOTE_EVEN] + counts[VOTE_WORSE], r->where, row->name, row->delta,
        row->error, leans(row) ? ", towards it" : "",
        is_known ? "the publisher's files confirm the value"
                 : "the weights cannot confirm the value; the publisher's files can (--config)");
}

static void report_better(const Result *r, const char *of, const VoteRow *row, json_t *figures,
                          const VoteRow *best) {
    proof_result(
        r->p, "vote", false, figures, of,
        "%s predicts better by %.3f ± %.3f nats per token%s (allowed: %.2f or %.0f standard "
        "errors, whichever is more): %s",
        row->name, -row->delta, row->error, r->where, VOTE_MARGIN, VOTE_ERRORS,
        row->delta > best->delta + best->error
            ? "but less so than a misreading of another field, which may be the cause"
        : row->nats > VOTE_KNOWN * r->vote->guess
            ? "this field is suspect, or one whose error is not in lathe's list of misreadings: "
              "the model does not know the text under this misreading either"
            : "this field is suspect, or another one whose error this misreading compensates");
}

// A choice away from the publisher's is the user's to make; what it costs is said.
static void report_choice(const Result *r, const VoteRow *row, json_t *figures) {
    proof_verdict(
        r->p, "vote", PROOF_UNPROVED, figures, row->of,
        "the choice is not the publisher's, and %s predicts better by %.3f ± %.3f nats per token%s",
        row->name, -row->delta, row->error, r->where);
}

static bool is_chosen(const Result *r, const char *of) {
    for (int i = 0; i < USE_COUNT; i++)
        if (strcmp(use_rows[i].name, of) == 0) return r->p->use.from[i].publisher.len > 0;
    return false;
}

static void report_subject(const Result *r, const char *of, const VoteRow *best) {
    size_t counts[VOTE_BETTER + 1];
    const VoteRow *row = worst_of(r->vote, of, counts);
    if (!row) return;
    json_t *figures = json_pack("{s:s, s:s, s:f, s:f}", "reading", row->name, "verdict",
                                verdicts[row->verdict], "delta", row->delta, "error", row->error);
    switch (row->verdict) {
    case VOTE_BETTER:
        if (is_chosen(r, of))
            report_choice(r, row, figures);
        else
            report_better(r, of, row, figures, best);
        break;
    case VOTE_EVEN: report_even(r, of, row, figures, counts); break;
    case VOTE_WORSE:
        proof_result(r->p, "vote", true, figures, of,
                     "%zu misreadings predict worse%s, the closest is %s %+.3f ± %.3f",
                     counts[VOTE_WORSE], r->where, row->name, row->delta, row->error);
        break;
    case VOTE_UNKNOWN: json_decref(figures); break; // the text's line has said so
    }
}

static const VoteRow *best_of(const Vote *v) {
    const VoteRow *best = NULL;
    for (size_t i = 0; i < v->n_rows; i++)
        if (v->rows[i].verdict == VOTE_BETTER && (!best || v->rows[i].delta < best->delta))
            best = &v->rows[i];
    return best;
}

static void say_row(const Result *r, const VoteRow *row) {
    const VerifyJob *job = r->p->job;
    if (!job->is_verbose || !job->line) return;
    char text[300];
    snprintf(text, sizeof text, "%-18s %+8.4f ± %.4f over %4zu tokens%s, %s (%s)", row->of,
             row->delta, row->error, row->n_tokens, r->where, verdicts[row->verdict], row->doc);
    job->line(job->line_context, "vote", row->name, text,
              row->verdict == VOTE_BETTER ? PROOF_FAILED : PROOF_NOTE);
}

// ---- the table, for the report

static json_t *texts_json(const Result *r) {
    json_t *all = json_array();
    for (size_t i = 0; i < r->texts->count; i++) {
        const VoteText *t = &r->texts->at[i];
        if (r->vote->stated[i] == 0) continue;
        json_array_append_new(all,
                              json_pack("{s:s, s:I, s:I, s:f, s:b}", "kind", t->kind, "tokens",
                                        (json_int_t)t->n, "scored", (json_int_t)t->n_scored, "nats",
                                        r->vote->stated[i], "known", (int)r->vote->is_known[i]));
    }
    return all;
}

static json_t *rows_json(const Result *r) {
    json_t *all = json_array();
    for (size_t i = 0; i < r->vote->n_rows; i++) {
        const VoteRow *row = &r->vote->rows[i];
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:I}", "reading", row->name, "field",
                           row->of, "meaning", row->doc, "verdict", verdicts[row->verdict], "delta",
                           row->delta, "error", row->error, "tokens", (json_int_t)row->n_tokens));
    }
    return all;
}

static void report(const Result *r, bool is_long) {
    const VoteRow *best = best_of(r->vote);
    report_text(r, is_long);
    for (size_t i = 0; i < r->vote->n_rows; i++) say_row(r, &r->vote->rows[i]);
    for (int f = 0; f < FIELD_COUNT; f++) report_subject(r, field_name((FieldId)f), best);
    for (int u = 0; u < USE_COUNT; u++) report_subject(r, use_rows[u].name, best);
    proof_section(r->p, is_long ? "vote_long" : "vote",
                  json_pack("{s:f, s:f, s:o, s:o}", "margin", VOTE_MARGIN, "errors", VOTE_ERRORS,
                            "texts", texts_json(r), "rows", rows_json(r)));
}

// ---- beyond the original context

// Weights times tokens that the stated reading may take there unasked: some seconds.
#define MOST_LONG_WORK 2e10

// Nothing is said of what the bundle never reaches.
static bool reaches_beyond(const Proof *p) {
    return p->use.context > p->model.contract.original_context &&
           p->model.contract.context > p->model.contract.original_context;
}

static bool vote_beyond(Result *r, VoteJob *job, Vote *vote, Err *err) {
    Proof *p = r->p;
    const Contract *c = &p->model.contract;
    VoteTexts texts;
    vote_texts_lengthen(&texts, job->texts, vote->is_known, c, p->arena);
    if (!texts.count) return true;
    size_t n_known, n_scored;
    StrBuf kinds = {0};
    double nats = known_nats(vote, job->texts, &n_known, &n_scored, &kinds);
    strbuf_free(&kinds);
    job->most_nats = nats + vote->guess / 8;
    double work = 2.0 * (double)texts.at[0].n * proof_n_weights(p);
    if (work > MOST_LONG_WORK && !p->job->is_vote_long) {
        proof_unproved(p, "vote",
                       "what applies beyond position %u was not scored: the reference would read "
                       "%zu tokens for each misreading; score it with --vote-long",
                       c->original_context, texts.at[0].n);
        return true;
    }
    job->texts = &texts;
    job->is_long = true;
    job->asks_everything = p->job->is_vote_long;
    if (!vote_run(vote, job, p->arena, err)) return false;
    r->texts = &texts;
    r->where = " beyond the original context";
    report(r, true);
    return true;
}

bool gate_vote(Proof *p, Err *err) {
    const Contract *c = &p->model.contract;
    VoteTexts texts;
    Vote vote;
    Evidence evidence;
    if (!evidence_gather(&evidence, &p->job->second, &p->model, &p->source, p->use.context,
                         p->arena, err) ||
        !vote_texts_open(&texts, p->job->vote_text, &p->source, c, &p->use, p->arena, err))
        return false;
    VoteJob job = {
        .model = &p->model,
        .use = &p->use,
        .texts = &texts,
        .most_nats = INFINITY,
        .pool = p->job->pool,
        .progress = p->job->progress,
    };
    Result r = {p, &texts, &vote, &evidence, ""};
    if (!vote_run(&vote, &job, p->arena, err)) return false;
    report(&r, false);
    if (reaches_beyond(p)) return vote_beyond(&r, &job, &vote, err);
    if (p->job->is_vote_long)
        proof_note(p, "vote", "long text",
                   "the context of %u does not go beyond the original one, %u", p->use.context,
                   c->original_context);
    return true;
}
