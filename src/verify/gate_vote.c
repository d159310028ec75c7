// gate_vote.c — what the weights say of the contract, field by field. vote.h tells how.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "verify/proof.h"
#include "verify/vote.h"

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
    const char *where; // "" or " behind the original context"
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
                     "%zu of %zu tokens known (%.*s): %.3f nats each, a guess has %.2f", n_known,
                     n_scored, STR_ARG(strbuf_str(&kinds)), nats, r->vote->guess);
    else if (n_known)
        proof_result(r->p, "vote", false, figures, scope,
                     "%zu of %zu tokens known as stated, %d are needed: give a longer text, or one "
                     "that the model was made for, with --vote-text",
                     n_known, n_scored, VOTE_LEAST_TOKENS);
    else
        proof_result(
            r->p, "vote", may_be_unknown, figures, scope, "no text known as stated%s: %s", r->where,
            may_be_unknown ? "it was not taught there, or what applies there is wrong, which "
                             "contract --config tells"
                           : "an untrained model, one made for other text (give it one "
                             "with --vote-text), or a contract misread in a way no row "
                             "of the table undoes");
    strbuf_free(&kinds);
}

// ---- fields

// The row that speaks most for another reading of `field`: the lowest difference of those with the
// gravest verdict. NULL when no reading of it was scored.
static const VoteRow *worst_of(const Vote *v, FieldId field, size_t counts[VOTE_BETTER + 1]) {
    const VoteRow *worst = NULL;
    memset(counts, 0, (VOTE_BETTER + 1) * sizeof *counts);
    for (size_t i = 0; i < v->n_rows; i++) {
        const VoteRow *row = &v->rows[i];
        if (row->mutant->field != field) continue;
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

static void report_field(const Result *r, FieldId field, const VoteRow *best) {
    size_t counts[VOTE_BETTER + 1];
    const VoteRow *row = worst_of(r->vote, field, counts);
    if (!row) return;
    const char *name = field_name(field), *mutant = row->mutant->name;
    json_t *figures = json_pack("{s:s, s:s, s:f, s:f}", "reading", mutant, "verdict",
                                verdicts[row->verdict], "delta", row->delta, "error", row->error);
    switch (row->verdict) {
    case VOTE_BETTER:
        proof_result(r->p, "vote", false, figures, name,
                     "%s fits better by %.3f ± %.3f nats a token%s (%.2f and %.0f errors "
                     "allowed): %s",
                     mutant, -row->delta, row->error, r->where, VOTE_MARGIN, VOTE_ERRORS,
                     row->delta > best->delta + best->error
                         ? "but less than another field's, which may be the cause"
                     : row->nats > VOTE_KNOWN * r->vote->guess
                         ? "this field is suspect, or another one that no row of the table undoes: "
                           "the text is not known under this reading either"
                         : "this field is suspect, or one that it makes up for");
        break;
    case VOTE_EVEN:
        proof_result(r->p, "vote", true, figures, name,
                     "%zu worse, %zu not told apart%s (%s %+.3f ± %.3f%s): for contract --config",
                     counts[VOTE_WORSE], counts[VOTE_EVEN], r->where, mutant, row->delta,
                     row->error, leans(row) ? ", towards it" : "");
        break;
    case VOTE_WORSE:
        proof_result(r->p, "vote", true, figures, name, "%zu worse%s, nearest %s %+.3f ± %.3f",
                     counts[VOTE_WORSE], r->where, mutant, row->delta, row->error);
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
    snprintf(text, sizeof text, "%-18s %+8.4f ± %.4f over %4zu tokens%s, %s (%s)",
             field_name(row->mutant->field), row->delta, row->error, row->n_tokens, r->where,
             verdicts[row->verdict], row->mutant->doc);
    job->line(job->line_context, "vote", row->mutant->name, text, row->verdict != VOTE_BETTER);
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
            all, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:I}", "reading", row->mutant->name,
                           "field", field_name(row->mutant->field), "meaning", row->mutant->doc,
                           "verdict", verdicts[row->verdict], "delta", row->delta, "error",
                           row->error, "tokens", (json_int_t)row->n_tokens));
    }
    return all;
}

static void report(const Result *r, bool is_long) {
    const VoteRow *best = best_of(r->vote);
    report_text(r, is_long);
    for (size_t i = 0; i < r->vote->n_rows; i++) say_row(r, &r->vote->rows[i]);
    for (int f = 0; f < FIELD_COUNT; f++) report_field(r, (FieldId)f, best);
    proof_section(r->p, is_long ? "vote_long" : "vote",
                  json_pack("{s:f, s:f, s:o, s:o}", "margin", VOTE_MARGIN, "errors", VOTE_ERRORS,
                            "texts", texts_json(r), "rows", rows_json(r)));
}

static bool vote_on(Proof *p, const VoteTexts *texts, bool is_long, double most_nats, Vote *vote,
                    Err *err) {
    const VerifyJob *job = p->job;
    if (!vote_run(vote, texts, is_long, most_nats, &p->model, job->pool, job->progress, p->arena,
                  err))
        return false;
    Result r = {p, texts, vote, is_long ? " behind the original context" : ""};
    report(&r, is_long);
    return true;
}

bool gate_vote(Proof *p, Err *err) {
    const Contract *c = &p->model.contract;
    VoteTexts texts, long_text;
    Vote vote;
    if (!vote_texts_open(&texts, p->job->vote_text, &p->source, c, &p->use, p->arena, err) ||
        !vote_on(p, &texts, false, INFINITY, &vote, err))
        return false;
    if (!p->job->is_vote_long) return true;
    size_t n_known, n_scored;
    StrBuf kinds = {0};
    double most = known_nats(&vote, &texts, &n_known, &n_scored, &kinds) + vote.guess / 8;
    strbuf_free(&kinds);
    vote_texts_lengthen(&long_text, &texts, vote.is_known, c, p->arena);
    if (long_text.count) return vote_on(p, &long_text, true, most, &vote, err);
    proof_result(p, "vote", true, NULL, "long text",
                 "the context of %u is the original one: nothing lies behind it", c->context);
    return true;
}
