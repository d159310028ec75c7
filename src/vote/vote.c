#include "vote/vote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "reference/reference.h"
#include "vote/tiled_heads.h"

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

// How a session turns a growing sequence: by the long factors once it has more than `threshold`
// tokens, and whether what came before is computed again then.
typedef struct {
    uint64_t threshold;
    bool keeps_cache;
} Crossing;

enum { NEVER = UINT32_MAX };

static bool scores_some(const VoteText *text, size_t begin, size_t end) {
    for (size_t i = begin; i < end && i < text->n; i++)
        if (text->is_scored[i]) return true;
    return false;
}

// The rows of a batch whose next token is scored: the head is asked for these alone.
typedef struct {
    const VoteText *text;
    size_t first;         // tokens before it are not scored
    size_t at;            // the next row's token
    float *rows;          // [BATCH, d_model] entering the final norm
    float *logits;        // [BATCH, n_vocab]
    uint32_t next[BATCH]; // the token after each
    double nats[BATCH];   // its score
    size_t n;
    float *kept;  // NULL, or where they go as well, batch after batch
    size_t width; // d_model
    uint32_t n_vocab, n_layers;
} Wanted;

static bool is_wanted(const VoteText *text, size_t first, size_t i) {
    return i >= first && i < text->n && text->is_scored[i];
}

// A LayerTap.
static void keep_wanted(void *context, TapPlace place, uint32_t layer, const float *rows,
                        size_t width, size_t n_tokens) {
    Wanted *w = context;
    if (place != TAP_STREAM || layer != w->n_layers) return;
    for (size_t t = 0; t < n_tokens; t++) {
        size_t next = w->at++ + 1;
        if (!is_wanted(w->text, w->first, next)) continue;
        memcpy(w->rows + w->n * width, rows + t * width, width * sizeof *rows);
        w->next[w->n++] = w->text->ids[next];
    }
}

static void score_rows(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    Wanted *w = context;
    for (size_t i = first; i < end; i++)
        w->nats[i] = score_of(w->logits + i * w->n_vocab, w->n_vocab, w->next[i]);
}

// Scores the `n` rows at `rows` by the head of `r`; w->next says for which tokens.
static void score_by_head(Reference *r, Wanted *w, Pool *pool, const float *rows, size_t n) {
    reference_head_rows(r, rows, n, w->logits);
    pool_run(pool, n, 1, score_rows, w);
}

// Feeds tokens [begin, end) and gives by_token[i] for each scored token i after one of them, from
// `first` on.
static bool score_pass(Reference *r, Wanted *w, Pool *pool, const VoteText *text, size_t begin,
                       size_t end, size_t first, double *by_token, Err *err) {
    w->text = text;
    w->first = first;
    for (size_t at = begin; at < end; at += BATCH) {
        size_t n = min_size(BATCH, end - at), n_scored = 0;
        w->at = at;
        w->n = 0;
        if (!reference_feed(r, text->ids + at, n, NULL, false, err)) return false;
        score_by_head(r, w, pool, w->rows, w->n);
        if (w->kept) {
            memcpy(w->kept, w->rows, w->n * w->width * sizeof *w->rows);
            w->kept += w->n * w->width;
        }
        for (size_t i = at + 1; i <= at + n; i++)
            if (is_wanted(text, first, i)) by_token[i] = w->nats[n_scored++];
    }
    return true;
}

// scores: [text->n_scored]. Token i is predicted from i tokens, so under their set.
static bool score_text(Reference *r, Wanted *w, Pool *pool, const VoteText *text, Crossing c,
                       double *scores, Err *err) {
    size_t split = (size_t)min_size(text->n, c.threshold);
    double *by_token = calloc(text->n + 1, sizeof *by_token);
    if (!by_token) die_out_of_memory(text->n * sizeof *by_token);
    bool ok = true, has_short = scores_some(text, 1, split + 1);
    reference_rewind(r, 0);
    reference_force_factors(r, false);
    if (has_short || (c.keeps_cache && split < text->n))
        ok = score_pass(r, w, pool, text, 0, split, 1, by_token, err);
    if (ok && scores_some(text, split + 1, text->n)) {
        if (!c.keeps_cache) reference_rewind(r, 0);
        reference_force_factors(r, true);
        ok = score_pass(r, w, pool, text, c.keeps_cache ? split : 0, text->n, split + 1, by_token,
                        err);
    }
    for (size_t i = 1; i < text->n; i++)
        if (text->is_scored[i]) *scores++ = by_token[i];
    free(by_token);
    return ok;
}

// The same by another head, from what entered the final norm under a reading that is alike before
// it: `rows` [text->n_scored, d_model].
static void score_kept(Reference *r, Wanted *w, Pool *pool, const VoteText *text, const float *rows,
                       double *scores) {
    size_t token = 1;
    for (size_t at = 0; at < text->n_scored; at += BATCH) {
        size_t n = min_size(BATCH, text->n_scored - at);
        for (size_t i = 0; i < n; token++)
            if (text->is_scored[token]) w->next[i++] = text->ids[token];
        score_by_head(r, w, pool, rows + at * w->width, n);
        memcpy(scores + at, w->nats, n * sizeof *scores);
    }
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
    Crossing crossing;
    Reference *reference;
    double **scores; // [texts][n_scored]; NULL where not read
    float **kept;    // of the stated reading: [texts][n_scored, d_model] entering the final norm
    bool differs_in_head; // from the stated reading, and nowhere else
} Voter;

typedef struct {
    const VoteJob *job;
    const VoteTexts *texts;
    Vote *vote;
    Voter stated;
    bool knows_some; // of the texts that are not for doubts
    Wanted *wanted;  // filled batch by batch
} Ballot;

static Crossing crossing_of(const Contract *c, RopeFactors factors) {
    if (!contract_has_two_factor_sets(c) || factors == ROPE_FACTORS_SHORT)
        return (Crossing){NEVER, false};
    return (Crossing){factors == ROPE_FACTORS_LONG ? 0 : c->original_context, false};
}

// Of a Voter with reading, crossing and what it keeps of them.
static bool voter_open(Voter *v, const Ballot *b, Arena *arena, Err *err) {
    size_t longest = 1;
    for (size_t i = 0; i < b->texts->count; i++) longest = max_size(longest, b->texts->at[i].n);
    ReferenceOptions options = {
        .n_positions = (uint32_t)longest, .tap = keep_wanted, .tap_context = b->wanted};
    const Reading *reading = v->reading;
    if (reading->tiles_kv_heads) {
        options.weights = tiled_heads_row;
        options.weights_context = (void *)(uintptr_t)&reading->model; // which it only reads
    }
    v->scores = arena_array(arena, b->texts->count, double *);
    v->reference =
        reference_open(&reading->model, &reading->model.contract, &options, b->job->pool, err);
    return v->reference != NULL;
}

// What comes after the last layer: the layers before it need not be computed again.
static bool is_of_head(FieldId field) {
    return field == FIELD_logit_scale || field == FIELD_final_softcap ||
           field == FIELD_is_head_tied;
}

static bool voter_read(Voter *v, const Ballot *b, size_t i, Arena *arena, Err *err) {
    const VoteText *text = &b->texts->at[i];
    v->scores[i] = arena_array(arena, text->n_scored, double);
    if (v->differs_in_head) {
        score_kept(v->reference, b->wanted, b->job->pool, text, b->stated.kept[i], v->scores[i]);
        return true;
    }
    b->wanted->kept = v->kept ? arena_array(arena, text->n_scored * b->wanted->width, float) : NULL;
    if (v->kept) v->kept[i] = b->wanted->kept;
    return score_text(v->reference, b->wanted, b->job->pool, text, v->crossing, v->scores[i], err);
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
    *row = (VoteRow){row->name, row->of, row->doc, .verdict = VOTE_UNKNOWN};
    finish(&blocks, b->job->most_nats, row);
}

// Worse beyond doubt, or so close to even that no text of this kind will tell.
static bool is_settled(const VoteRow *row) {
    double far = DROP_ERRORS * row->error;
    if (row->verdict == VOTE_WORSE && row->delta > VOTE_MARGIN && row->delta > far) return true;
    return row->verdict == VOTE_EVEN && row->n_tokens >= EVEN_TOKENS &&
           fabs(row->delta) + far < VOTE_MARGIN / 5;
}

// Better, it seems, and not yet beyond doubt; or worse, it seems, and not yet by four errors.
static bool is_in_doubt(const VoteRow *row) {
    double size = fabs(row->delta);
    if (!row->n_tokens || size < VOTE_MARGIN / 2 || size < DOUBT_ERRORS * row->error) return false;
    return row->delta < 0 ? size < DROP_ERRORS * row->error : row->verdict == VOTE_EVEN;
}

static bool read_texts(Ballot *b, Voter *v, VoteRow *row, bool is_of_use, Arena *arena,
                       Arena *scratch, Err *err) {
    for (size_t i = 0; i < b->texts->count && !is_settled(row); i++) {
        if (b->texts->at[i].is_for_use && !is_of_use) continue;
        if (b->texts->at[i].is_for_doubts && !is_in_doubt(row)) break;
        if (!stated_read(b, i, arena, err)) return false;
        // Where the stated reading does worse than a guess, others are asked when it knows nothing.
        if (b->knows_some && b->vote->stated[i] > b->vote->guess) continue;
        if (!voter_read(v, b, i, scratch, err)) return false;
        compare(b, v, row);
    }
    return true;
}

static bool run_voter(Ballot *b, Voter v, VoteRow row, bool is_of_use, Arena *arena, Arena *scratch,
                      Err *err) {
    VoteRow *out = &b->vote->rows[b->vote->n_rows++];
    *out = row;
    bool ok = (voter_open(&v, b, scratch, err) &&
               read_texts(b, &v, out, is_of_use, arena, scratch, err)) ||
              err_prefix(err, "reading %s", row.name);
    reference_close(v.reference);
    return ok;
}

static bool is_asked(const ContractMutant *m, const VoteJob *job) {
    if (m->sight == SEEN_EVERYWHERE) return !job->is_long || job->asks_everything;
    return m->sight == (job->is_long ? SEEN_LONG : SEEN_SHORT);
}

static bool run_mutant(Ballot *b, const ContractMutant *m, Arena *arena, Err *err) {
    Arena scratch = {0};
    Reading reading;
    bool ok = true;
    if (contract_mutant_apply(m, &b->stated.reading->model, &reading, &scratch)) {
        VoteRow row = {m->name, field_name(m->field), m->doc, .verdict = VOTE_UNKNOWN};
        Voter voter = {
            .reading = &reading,
            .crossing = crossing_of(&reading.model.contract, b->job->use->rope_factors),
            .differs_in_head = is_of_head(m->field),
        };
        ok = run_voter(b, voter, row, false, arena, &scratch, err);
    }
    arena_free(&scratch);
    return ok;
}

// ---- other uses of the same contract

enum { CROSSED_AWRY = 32 }; // tokens

static bool run_use(Ballot *b, const char *name, const char *doc, Crossing crossing, Arena *arena,
                    Err *err) {
    Crossing stated = b->stated.crossing;
    if (crossing.threshold == stated.threshold && crossing.keeps_cache == stated.keeps_cache)
        return true;
    Arena scratch = {0};
    VoteRow row = {name, use_rows[USE_rope_factors].name, doc, .verdict = VOTE_UNKNOWN};
    Voter voter = {.reading = b->stated.reading, .crossing = crossing};
    bool ok = run_voter(b, voter, row, true, arena, &scratch, err);
    arena_free(&scratch);
    return ok;
}

// LongRoPE's factors as other programs take them, where the context lets any of it happen.
static bool run_uses(Ballot *b, Arena *arena, Err *err) {
    const Contract *c = &b->stated.reading->model.contract;
    uint64_t original = c->original_context;
    bool crosses = b->job->use->context > original;
    if (!contract_has_two_factor_sets(c) || !crosses) return true;
    // A short text shows which set is taken there, and no more.
    bool is_long = b->stated.crossing.threshold == 0;
    if (!b->job->is_long)
        return is_long
                   ? run_use(b, "factors_by_running_length",
                             "like the publisher's code: by the current length",
                             (Crossing){original, false}, arena, err)
                   : run_use(b, "factors_by_configured_context",
                             "the long factors at every length, since the context is beyond the "
                             "original one",
                             (Crossing){0, false}, arena, err);
    const struct {
        const char *name, *doc;
        Crossing crossing;
    } rows[] = {
        {"factors_by_running_length",
         "like the publisher's code: by the current length",
         {original, false}},
        {"factors_always_short",
         "the short factors also beyond the original context",
         {NEVER, false}},
        {"crossing_early",
         "the long factors apply 32 tokens too soon",
         {original > CROSSED_AWRY ? original - CROSSED_AWRY : 0, false}},
        {"crossing_late",
         "the long factors apply 32 tokens too late",
         {original + CROSSED_AWRY, false}},
        {"no_recompute_at_crossing",
         "positions before the crossing keep the short factors",
         {original, true}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!run_use(b, rows[i].name, rows[i].doc, rows[i].crossing, arena, err)) return false;
    return true;
}

static bool run(Ballot *b, Arena *arena, Err *err) {
    size_t n_mutants = 0, n_asked = 0, n_read = 0;
    enum { MOST_USES = 8 };
    for (; contract_mutant_at(n_mutants); n_mutants++)
        n_asked += is_asked(contract_mutant_at(n_mutants), b->job);
    b->vote->rows = arena_array(arena, n_mutants + MOST_USES, VoteRow);
    for (size_t i = 0; i < b->texts->count && !b->texts->at[i].is_for_doubts; i++) {
        if (b->texts->at[i].is_for_use && b->knows_some == false) continue;
        if (!stated_read(b, i, arena, err)) return false;
        b->knows_some = b->knows_some || is_known(b, &b->stated, i);
    }
    for (size_t i = 0; i < n_mutants; i++) {
        const ContractMutant *m = contract_mutant_at(i);
        if (!is_asked(m, b->job)) continue;
        if (!run_mutant(b, m, arena, err)) return false;
        progress_report(b->job->progress, "vote: readings", ++n_read, n_asked);
    }
    // Where the stated reading knows nothing beyond the original context, another list of factors
    // may; another place to cross tells nothing.
    bool tells = b->job->asks_everything || !b->job->is_long || b->knows_some;
    return !tells || run_uses(b, arena, err);
}

bool vote_run(Vote *vote, const VoteJob *job, Arena *arena, Err *err) {
    const VoteTexts *texts = job->texts;
    const Contract *c = &job->model->contract;
    *vote = (Vote){
        .stated = arena_array(arena, texts->count, double),
        .is_known = arena_array(arena, texts->count, bool),
        .is_known_as_stated = arena_array(arena, texts->count, bool),
        .guess = log((double)c->n_vocab),
    };
    Reading stated = {.model = *job->model};
    Wanted wanted = {.width = c->d_model, .n_vocab = c->n_vocab, .n_layers = c->n_layers};
    Ballot b = {.job = job, .texts = texts, .vote = vote, .wanted = &wanted};
    b.stated = (Voter){
        .reading = &stated,
        .crossing = crossing_of(c, job->use->rope_factors),
        .kept = arena_array(arena, texts->count, float *),
    };
    wanted.rows = big_alloc((size_t)BATCH * c->d_model * sizeof(float), "rows", err);
    if (wanted.rows)
        wanted.logits = big_alloc((size_t)BATCH * c->n_vocab * sizeof(float), "logits", err);
    bool ok = wanted.logits && voter_open(&b.stated, &b, arena, err) && run(&b, arena, err);
    reference_close(b.stated.reference);
    free(wanted.rows);
    free(wanted.logits);
    return ok;
}
