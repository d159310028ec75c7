#include "verify/vote.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "reference/reference.h"

enum { BATCH = 64, BLOCK = 8, LEAST_BLOCKS = 4, EVEN_TOKENS = 80 };
#define GUESS_SHARE  0.1
#define DROP_ERRORS  6.0
#define DOUBT_ERRORS 1.5

// ---- scores

static double score_of(const float *logits, uint32_t n_vocab, uint32_t id) {
    double max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n_vocab; i++) max = fmax(max, (double)logits[i]);
    for (uint32_t i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - max);
    double p = exp((double)logits[id] - max) / sum;
    // A misreading may leave the finite numbers; it then knows nothing.
    if (!isfinite(p)) p = 0;
    return -log((1 - GUESS_SHARE) * p + GUESS_SHARE / n_vocab);
}

// scores: [text->n_scored].
static bool score_text(Reference *r, const VoteText *text, uint32_t n_vocab, float *logits,
                       double *scores, Err *err) {
    reference_rewind(r, 0);
    for (size_t at = 0; at < text->n; at += BATCH) {
        size_t n = min_size(BATCH, text->n - at);
        bool is_wanted = false;
        for (size_t i = at; i < at + n; i++)
            is_wanted = is_wanted || (i + 1 < text->n && text->is_scored[i + 1]);
        if (!reference_feed(r, text->ids + at, n, is_wanted ? logits : NULL, is_wanted, err))
            return false;
        for (size_t i = at; i < at + n && i + 1 < text->n; i++)
            if (text->is_scored[i + 1])
                *scores++ = score_of(logits + (i - at) * n_vocab, n_vocab, text->ids[i + 1]);
    }
    return true;
}

// ---- comparison

static double mean(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return n ? sum / (double)n : 0;
}

// Sums over blocks of neighbouring tokens, each with its number of tokens.
typedef struct {
    double sum, squares, sum_by_count, count_squares, mutant_sum;
    size_t n_blocks, n_tokens;
} Blocks;

static void add_block(Blocks *b, double sum, size_t count) {
    b->sum += sum;
    b->squares += sum * sum;
    b->sum_by_count += sum * (double)count;
    b->count_squares += (double)count * (double)count;
    b->n_tokens += count;
    b->n_blocks++;
}

static void add_text(Blocks *b, const double *stated, const double *mutant, size_t n) {
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t count = min_size(BLOCK, n - at);
        double sum = 0;
        for (size_t i = at; i < at + count; i++) {
            sum += mutant[i] - stated[i];
            b->mutant_sum += mutant[i];
        }
        add_block(b, sum, count);
    }
}

// The mean per token and the standard error of this ratio of sums (Cochran 1977, section 6.4).
static void finish(const Blocks *b, double most_nats, VoteRow *row) {
    double n = (double)b->n_tokens, blocks = (double)b->n_blocks;
    row->n_tokens = b->n_tokens;
    if (b->n_blocks < LEAST_BLOCKS) return;
    row->delta = b->sum / n;
    row->nats = b->mutant_sum / n;
    double squares =
        b->squares - 2 * row->delta * b->sum_by_count + row->delta * row->delta * b->count_squares;
    row->error = sqrt(fmax(0, squares) * blocks / (blocks - 1)) / n;
    double seen = VOTE_ERRORS * row->error;
    if (row->delta < -VOTE_MARGIN && row->delta < -seen && row->nats <= most_nats)
        row->verdict = VOTE_BETTER;
    else if (row->delta > seen)
        row->verdict = VOTE_WORSE;
    else
        row->verdict = VOTE_EVEN;
}

// ---- the run

// One reading of the model and what it has read so far.
typedef struct {
    const Reading *reading;
    Reference *reference;
    double **scores; // [texts][n_scored]; NULL where not read
} Voter;

typedef struct {
    const VoteTexts *texts;
    Vote *vote;
    Voter stated;
    bool knows_some;  // of the texts that are not for doubts
    double most_nats; // of a reading that is better
    float *logits;    // [BATCH, n_vocab]
    Pool *pool;
} Ballot;

static bool voter_open(Voter *v, const Ballot *b, const Reading *reading, Arena *arena, Err *err) {
    size_t longest = 1;
    for (size_t i = 0; i < b->texts->count; i++) longest = max_size(longest, b->texts->at[i].n);
    ReferenceOptions options = {.n_positions = (uint32_t)longest,
                                .tiles_kv_heads = reading->tiles_kv_heads};
    *v = (Voter){.reading = reading, .scores = arena_array(arena, b->texts->count, double *)};
    v->reference =
        reference_open(&reading->model, &reading->model.contract, &options, b->pool, err);
    return v->reference != NULL;
}

static bool voter_read(Voter *v, const Ballot *b, size_t i, Arena *arena, Err *err) {
    const VoteText *text = &b->texts->at[i];
    v->scores[i] = arena_array(arena, text->n_scored, double);
    return score_text(v->reference, text, v->reading->model.contract.n_vocab, b->logits,
                      v->scores[i], err);
}

static bool is_known(const Ballot *b, const Voter *v, size_t i) {
    size_t n = b->texts->at[i].n_scored;
    return n && v->scores[i] && mean(v->scores[i], n) <= VOTE_KNOWN * b->vote->guess;
}

static bool stated_read(Ballot *b, size_t i, Arena *arena, Err *err) {
    if (b->stated.scores[i]) return true;
    if (!voter_read(&b->stated, b, i, arena, err)) return false;
    b->vote->stated[i] = mean(b->stated.scores[i], b->texts->at[i].n_scored);
    b->vote->is_known[i] = b->vote->is_known_as_stated[i] = is_known(b, &b->stated, i);
    return true;
}

// Over all texts that both have read and one of them knows.
static void compare(const Ballot *b, const Voter *v, VoteRow *row) {
    Blocks blocks = {0};
    for (size_t i = 0; i < b->texts->count; i++) {
        if (!v->scores[i] || !(is_known(b, v, i) || is_known(b, &b->stated, i))) continue;
        b->vote->is_known[i] = true;
        add_text(&blocks, b->stated.scores[i], v->scores[i], b->texts->at[i].n_scored);
    }
    *row = (VoteRow){.mutant = row->mutant, .verdict = VOTE_UNKNOWN};
    finish(&blocks, b->most_nats, row);
}

// Worse beyond doubt, or so close to even that no text of this kind will tell.
static bool is_settled(const VoteRow *row) {
    double far = DROP_ERRORS * row->error;
    if (row->verdict == VOTE_WORSE && row->delta > VOTE_MARGIN && row->delta > far) return true;
    return row->verdict == VOTE_EVEN && row->n_tokens >= EVEN_TOKENS &&
           fabs(row->delta) + far < VOTE_MARGIN / 5;
}

// Better, it seems, and not yet beyond doubt.
static bool is_in_doubt(const VoteRow *row) {
    return row->n_tokens && row->delta < -VOTE_MARGIN / 2 &&
           row->delta < -DOUBT_ERRORS * row->error && row->delta > -DROP_ERRORS * row->error;
}

static bool read_texts(Ballot *b, Voter *v, VoteRow *row, Arena *arena, Arena *scratch, Err *err) {
    for (size_t i = 0; i < b->texts->count && !is_settled(row); i++) {
        if (b->texts->at[i].is_for_doubts && !is_in_doubt(row)) break;
        if (!stated_read(b, i, arena, err)) return false;
        // Where the stated reading does worse than a guess, others are asked when it knows nothing.
        if (b->knows_some && b->vote->stated[i] > b->vote->guess) continue;
        if (!voter_read(v, b, i, scratch, err)) return false;
        compare(b, v, row);
    }
    return true;
}

static bool is_asked(const ContractMutant *m, bool is_long) {
    return m->sight == SEEN_EVERYWHERE || m->sight == (is_long ? SEEN_LONG : SEEN_SHORT);
}

static bool run_mutant(Ballot *b, const ContractMutant *m, Arena *arena, Err *err) {
    Arena scratch = {0};
    Reading reading;
    Voter v = {0};
    bool ok = true;
    if (contract_mutant_apply(m, &b->stated.reading->model, &reading, &scratch)) {
        VoteRow *row = &b->vote->rows[b->vote->n_rows++];
        *row = (VoteRow){.mutant = m};
        ok = (voter_open(&v, b, &reading, &scratch, err) &&
              read_texts(b, &v, row, arena, &scratch, err)) ||
             err_prefix(err, "reading %s", m->name);
    }
    reference_close(v.reference);
    arena_free(&scratch);
    return ok;
}

static bool run(Ballot *b, bool is_long, const Progress *progress, Arena *arena, Err *err) {
    size_t n_mutants = 0;
    while (contract_mutant_at(n_mutants)) n_mutants++;
    b->vote->rows = arena_array(arena, n_mutants, VoteRow);
    for (size_t i = 0; i < b->texts->count && !b->texts->at[i].is_for_doubts; i++) {
        if (!stated_read(b, i, arena, err)) return false;
        b->knows_some = b->knows_some || is_known(b, &b->stated, i);
    }
    for (size_t i = 0; i < n_mutants; i++) {
        const ContractMutant *m = contract_mutant_at(i);
        if (is_asked(m, is_long) && !run_mutant(b, m, arena, err)) return false;
        progress_report(progress, "vote", i + 1, n_mutants);
    }
    return true;
}

bool vote_run(Vote *vote, const VoteTexts *texts, bool is_long, double most_nats,
              const Model *model, Pool *pool, const Progress *progress, Arena *arena, Err *err) {
    *vote = (Vote){
        .stated = arena_array(arena, texts->count, double),
        .is_known = arena_array(arena, texts->count, bool),
        .is_known_as_stated = arena_array(arena, texts->count, bool),
        .guess = log((double)model->contract.n_vocab),
    };
    Reading stated = {.model = *model};
    Ballot b = {.texts = texts, .vote = vote, .most_nats = most_nats, .pool = pool};
    b.logits = big_alloc((size_t)BATCH * model->contract.n_vocab * sizeof(float), "logits", err);
    bool ok = b.logits && voter_open(&b.stated, &b, &stated, arena, err) &&
              run(&b, is_long, progress, arena, err);
    reference_close(b.stated.reference);
    free(b.logits);
    return ok;
}
