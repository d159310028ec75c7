// range.c — checks whether the numbers of each package stay within fp16 and the Neural Engine's
// sums.
//
// A calibration text runs through every package on the CPU engine in fp32, which shows how large
// each number becomes: a long piece in chunks, with a few single steps; its last chunk after a full
// context; the beginnings of short pieces, because language models have their largest activations
// on first tokens. The first chunk and step, the chunk at the end, and any run in which a number
// came nearer to its limit, run again in the model of the ANE's arithmetic (engine/ane.h) with the
// fp32 caches, which predicts the result there. Each package gets the fp32 rows of the one before
// it, so that a fault is found where it begins.
//
// It fails for a number beyond its limit, and for a row of a product or a norm that becomes zeros.
// It reports, without failing, sums that are in range in the program's order but could overflow in
// another, and products that lose much of their sum.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "engine/ane.h"
#include "gates/gates.h"
#include "gates/head_checks.h"
#include "gates/range_watch.h"
#include "proof/execution.h"
#include "range/calibration.h"

enum { N_STEPS = 8, MOST_GREW = 6, MOST_LINES = 8, MOST_TIGHT = 8 };

// A product that loses more than this share of the sizes it adds up is named. The bundled models
// and SmolLM2 lose below 0.002; a stream 1000 times too small loses most of it.
static const double much_lost = 0.02;

// ---- running

// Watches on the functions of one shard in one arithmetic.
typedef struct {
    RangeWatch watches[3]; // of decode, prefill, head
    size_t n_watches;
} ShardWatch;

enum { IN_FP32, IN_ANE, N_ARITHMETICS };

typedef struct {
    Proof *p;
    Shards shards[N_ARITHMETICS];
    ShardWatch *watches[N_ARITHMETICS]; // [n_shards]
    Calibration text;
    float **entering; // [n_shards + 1][d_model, prefill_rows]
    float *row, *out, *logits;
    size_t n_rows, n_rows_ane, n_grew; // that ran; runs repeated because something grew
    LoudToken loud[N_LOUD];
} RangeRun;

static void watch(ShardWatch *w, const ShardFunction *function, const Package *package,
                  const ChainShard *chain, const char *role, bool measures_sums, Arena *arena) {
    const ChainFunction *f = chain_function(chain, role);
    Engine *e = runner_tapped(function->runner);
    if (!e || !f) return;
    range_watch(&w->watches[w->n_watches++], e, mil_find_function(package->program, f->name),
                measures_sums, arena);
}

static bool open_run(RangeRun *r, Proof *p, Err *err) {
    const Bundle *bundle = &p->bundle;
    const Chain *c = &bundle->chain;
    *r = (RangeRun){.p = p};
    if (!calibration_make(&r->text, &c->contract, &bundle->host, (Str){0}, c->context, p->arena,
                          err))
        return false;
    size_t floats = (size_t)c->contract.d_model * max_size(1, c->prefill_rows);
    r->entering = arena_array(p->arena, c->n_shards + 1, float *);
    for (size_t i = 0; i <= c->n_shards; i++) r->entering[i] = arena_array(p->arena, floats, float);
    r->row = arena_array(p->arena, c->contract.d_model, float);
    r->out = arena_array(p->arena, floats, float);
    r->logits = arena_array(p->arena, c->contract.n_vocab, float);
    static const Arithmetic arithmetics[N_ARITHMETICS] = {ARITHMETIC_FP32, ARITHMETIC_ANE};
    for (int a = 0; a < N_ARITHMETICS; a++) {
        if (!proof_open_shards(p, &r->shards[a], arithmetics[a], err)) return false;
        r->watches[a] = arena_array(p->arena, c->n_shards, ShardWatch);
        for (size_t i = 0; i < c->n_shards; i++) {
            const Shard *s = &r->shards[a].shards[i];
            ShardWatch *w = &r->watches[a][i];
            const Package *package = &bundle->packages[i];
            bool sums = a == IN_ANE;
            watch(w, &s->decode, package, s->chain, FUNCTION_DECODE, sums, p->arena);
            watch(w, &s->prefill, package, s->chain, FUNCTION_PREFILL, sums, p->arena);
            watch(w, &s->head, package, s->chain, FUNCTION_HEAD, sums, p->arena);
        }
    }
    return true;
}

static void close_run(RangeRun *r) {
    for (int a = 0; a < N_ARITHMETICS; a++)
        if (r->shards[a].bundle) shards_close(&r->shards[a]);
}

static void start(RangeRun *r, int arithmetic) {
    for (size_t i = 0; i < r->p->bundle.chain.n_shards; i++)
        for (size_t f = 0; f < r->watches[arithmetic][i].n_watches; f++)
            range_watch_start(&r->watches[arithmetic][i].watches[f]);
}

static bool keep(RangeRun *r, int arithmetic, Err *err) {
    for (size_t i = 0; i < r->p->bundle.chain.n_shards; i++)
        for (size_t f = 0; f < r->watches[arithmetic][i].n_watches; f++)
            if (!range_watch_keep(&r->watches[arithmetic][i].watches[f], err)) return false;
    return true;
}

static bool has_grown(const RangeRun *r) {
    for (size_t i = 0; i < r->p->bundle.chain.n_shards; i++)
        for (size_t f = 0; f < r->watches[IN_FP32][i].n_watches; f++)
            if (r->watches[IN_FP32][i].watches[f].grew) return true;
    return false;
}

// The caches of the fp32 run, rounded, as those of the other. Rows that the run itself writes are
// written again.
static void copy_states(RangeRun *r, size_t shard) {
    RunnerState *to = r->shards[IN_ANE].shards[shard].state;
    to->ops->state_copy(to, r->shards[IN_FP32].shards[shard].state);
}

static bool run_again_in_ane(RangeRun *r, uint32_t position, uint32_t n_rows, Err *err) {
    start(r, IN_ANE);
    r->n_rows_ane += n_rows;
    for (size_t i = 0; i < r->p->bundle.chain.n_shards; i++) {
        if (!r->shards[IN_ANE].shards[i].decode.runner) continue;
        copy_states(r, i);
        if (!shard_run(&r->shards[IN_ANE], i, r->entering[i], r->out, position, n_rows, err))
            return false;
    }
    return shards_run_head(&r->shards[IN_ANE], r->row, r->logits, err) && keep(r, IN_FP32, err) &&
           keep(r, IN_ANE, err);
}

// `n_rows` tokens at `position`, 1 or a whole chunk.
static bool run_rows(RangeRun *r, const uint32_t *ids, uint32_t position, uint32_t n_rows,
                     bool in_ane, Err *err) {
    const Chain *c = &r->p->bundle.chain;
    size_t width = c->contract.d_model, last = n_rows - 1;
    const Host *host = &r->shards[IN_FP32].host;
    start(r, IN_FP32);
    r->n_rows += n_rows;
    host->ops->embed(host, ids, n_rows, r->entering[0], n_rows);
    for (size_t i = 0; i < c->n_shards; i++) {
        bool has_layers = r->shards[IN_FP32].shards[i].decode.runner != NULL;
        if (!has_layers)
            memcpy(r->entering[i + 1], r->entering[i], width * n_rows * sizeof(float));
        else if (!shard_run(&r->shards[IN_FP32], i, r->entering[i], r->entering[i + 1], position,
                            n_rows, err))
            return false;
    }
    for (size_t k = 0; k < width; k++) r->row[k] = r->entering[c->n_shards][k * n_rows + last];
    if (!shards_run_head(&r->shards[IN_FP32], r->row, r->logits, err)) return false;
    progress_report(r->p->job->progress, "range: tokens", r->n_rows, r->text.n_tokens);
    if (!in_ane && has_grown(r) && r->n_grew < MOST_GREW) {
        r->n_grew++;
        in_ane = true;
    }
    return !in_ane || run_again_in_ane(r, position, n_rows, err);
}

static bool run_long(RangeRun *r, const CalibrationPiece *piece, Err *err) {
    const Chain *c = &r->p->bundle.chain;
    uint32_t rows = c->prefill_rows, at = 0, n = (uint32_t)piece->count;
    if (rows && rows <= n) {
        if (!run_rows(r, piece->ids, 0, rows, true, err)) return false;
        at = rows;
    }
    for (uint32_t i = 0; i < N_STEPS && at < n; i++, at++)
        if (!run_rows(r, piece->ids + at, at, 1, i == 0, err)) return false;
    while (rows && at < n && rows <= n) { // the last chunk ends where the piece does
        uint32_t from = at + rows <= n ? at : n - rows;
        bool fills_context = from + 2 * rows > c->context;
        if (!run_rows(r, piece->ids + from, from, rows, fills_context, err)) return false;
        at = from + rows;
    }
    // The end of the context, after the rows so far over and over, unless the piece came there.
    uint32_t last = rows && rows <= at ? rows : 1;
    if (at + last > c->context) return true;
    shards_repeat_states(&r->shards[IN_FP32], at, c->context - last);
    return run_rows(r, piece->ids + at - last, c->context - last, last, true, err);
}

// Multiplications that one token costs, attention and head apart.
static double work_per_token(const Contract *c) {
    double heads = (double)c->n_heads * (c->head_dim + c->head_dim_v);
    double kv_heads = (double)c->n_kv_heads * (c->head_dim + c->head_dim_v);
    return c->n_layers * (double)c->d_model * (heads + kv_heads + 3.0 * c->d_ff);
}

// A short piece from position 0: as one chunk, filled up with the piece again, or by single steps.
static bool run_short(RangeRun *r, const CalibrationPiece *piece, Err *err) {
    uint32_t rows = r->p->bundle.chain.prefill_rows;
    shards_reset(&r->shards[IN_FP32]);
    if (rows) {
        uint32_t *ids = arena_array(r->p->arena, rows, uint32_t);
        for (uint32_t t = 0; t < rows; t++) ids[t] = piece->ids[t % piece->count];
        return run_rows(r, ids, 0, rows, false, err);
    }
    for (uint32_t t = 0; t < piece->count; t++)
        if (!run_rows(r, piece->ids + t, t, 1, false, err)) return false;
    return true;
}

// The loudest rows of the embedding table, which no text may hold.
static bool run_loud(RangeRun *r, Err *err) {
    uint32_t *ids = arena_array(r->p->arena, N_LOUD, uint32_t);
    size_t n = find_loud_tokens(r->p, &r->shards[IN_FP32].host, r->loud);
    for (size_t i = 0; i < n; i++) ids[i] = r->loud[i].id;
    CalibrationPiece piece = {ids, min_size(n, r->p->bundle.chain.context)};
    return run_short(r, &piece, err);
}

static bool run_text(RangeRun *r, Err *err) {
    const Chain *c = &r->p->bundle.chain;
    size_t longest = 0;
    for (size_t i = 0; i < r->text.n_pieces; i++)
        if (r->text.pieces[i].count > r->text.pieces[longest].count) longest = i;
    if (!run_long(r, &r->text.pieces[longest], err) || !run_loud(r, err)) return false;
    // As many short ones as some seconds allow, one at least.
    double work = work_per_token(&c->contract) * (double)max_size(SHORT_TOKENS, c->prefill_rows);
    double left = 6e10;
    for (size_t i = 0, n = 0; i < r->text.n_pieces; i++) {
        if (i == longest || (n++ && (left -= work) < 0)) continue;
        if (!run_short(r, &r->text.pieces[i], err)) return false;
    }
    return true;
}

// ---- judging

typedef struct {
    const OpRange *wanted, *got; // in fp32, in ane; of one op in one function
    const MilFunction *f;
} Pair;

typedef struct {
    Str op;
    const char *opcode;
    RangeRole role;
    float in, out, size, limit; // size: of what counts in the op
    EngineSums sums;
    uint64_t broken, zeroed; // in ane: results not finite; rows of zeros that fp32 does not have
    bool judges_rows;        // the latter are faults
    bool begins;             // …and no operand of its was broken or zeroed before
} OpJudgement;

// Products of fp16 numbers add up to a finite size: it is infinite where one of them was. What the
// Neural Engine makes of it is published (I07 decode), and Core ML on the CPU makes another thing.
static bool reads_infinity(const OpJudgement *j) {
    return !(j->sums.bound < INFINITY);
}

static bool overflows(const OpJudgement *j) {
    return j->size > j->limit || j->broken > 0 || reads_infinity(j);
}

static bool loses_rows(const OpJudgement *j) {
    return j->zeroed > 0 && j->judges_rows;
}

static bool may_overflow(const OpJudgement *j) {
    return !overflows(j) && (double)j->sums.bound >= ANE_SUM_LIMIT;
}

static double lost_share(const OpJudgement *j) {
    return j->sums.all > 0 ? j->sums.lost / j->sums.all : 0;
}

// Bits between what is largest in the op and its limit.
static float room(const OpJudgement *j) {
    return j->size > 0 ? log2f(j->limit / j->size) : INFINITY;
}

static uint64_t zeroed_rows(const Pair *p) {
    return p->got->n_zero > p->wanted->n_zero ? p->got->n_zero - p->wanted->n_zero : 0;
}

// Whether an operand of the op is already not what it should be.
static bool has_bad_operand(const RangeWatch *wanted, const RangeWatch *got, const MilOp *op) {
    const MilFunction *f = got->f;
    for (uint32_t a = 0; a < op->info->n_params; a++)
        for (uint32_t i = 0; i < op->args[a].count; i++) {
            uint32_t v = f->operands[op->args[a].first + i].at;
            if (v == UINT32_MAX || f->values[v].op == MIL_NO_OP) continue;
            const OpRange *of = &got->ops[f->values[v].op];
            Pair pair = {&wanted->ops[f->values[v].op], of, f};
            if (of->n_broken || (of->judges_rows && zeroed_rows(&pair))) return true;
        }
    return false;
}

static OpJudgement judge(const RangeWatch *wanted, const RangeWatch *got, uint32_t index) {
    const OpRange *w = &wanted->ops[index], *g = &got->ops[index];
    Pair pair = {w, g, got->f};
    return (OpJudgement){
        .op = got->f->values[w->op->first_output].name,
        .opcode = w->op->info->name,
        .role = w->role,
        .in = w->in,
        .out = w->out,
        .size = range_size(w),
        .limit = range_limit(w->role),
        .sums = g->sums,
        .broken = g->n_broken,
        .zeroed = zeroed_rows(&pair),
        .judges_rows = w->judges_rows,
        .begins = !has_bad_operand(wanted, got, w->op),
    };
}

// Adds what another function says of an op of the same name.
static void merge(OpJudgement *a, const OpJudgement *b) {
    a->in = fmaxf(a->in, b->in);
    a->out = fmaxf(a->out, b->out);
    a->size = fmaxf(a->size, b->size);
    a->sums.bound = fmaxf(a->sums.bound, b->sums.bound);
    a->sums.all += b->sums.all;
    a->sums.lost += b->sums.lost;
    a->broken += b->broken;
    a->zeroed += b->zeroed;
    a->begins = a->begins || b->begins;
}

typedef struct {
    OpJudgement *ops;
    size_t n_ops;
} Judgements;

static OpJudgement *find(Judgements *j, Str op) {
    for (size_t i = 0; i < j->n_ops; i++)
        if (str_eq(j->ops[i].op, op)) return &j->ops[i];
    return NULL;
}

// All ops of a shard, those of decode and prefill that share a name as one.
static Judgements judge_shard(const ShardWatch *wanted, const ShardWatch *got, Arena *arena) {
    size_t most = 0;
    for (size_t f = 0; f < wanted->n_watches; f++) most += wanted->watches[f].f->n_ops;
    Judgements all = {arena_array(arena, most + 1, OpJudgement), 0};
    for (size_t f = 0; f < wanted->n_watches; f++) {
        const RangeWatch *w = &wanted->watches[f], *g = &got->watches[f];
        for (uint32_t i = 0; i < w->f->n_ops; i++) {
            // Constants, integers, zeros; but not zeros times what is infinite.
            if (w->ops[i].out == 0 && g->ops[i].out == 0 && g->ops[i].sums.bound < INFINITY)
                continue;
            OpJudgement j = judge(w, g, i), *known = find(&all, j.op);
            if (known)
                merge(known, &j);
            else
                all.ops[all.n_ops++] = j;
        }
    }
    return all;
}

static bool is_offender(const OpJudgement *j) {
    return j->begins && (overflows(j) || loses_rows(j));
}

static bool is_named(const OpJudgement *j) {
    return is_offender(j) || may_overflow(j) || lost_share(j) > much_lost;
}

// ---- saying

static json_t *number(float x) { // JSON has no infinity, and no NaN
    if (isfinite(x)) return json_real((double)x);
    return json_string(isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
}

static json_t *op_json(const OpJudgement *j) {
    return json_pack("{s:s%, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:I, s:I}", "op", j->op.at,
                     j->op.len, "kind", j->opcode, "role", range_role_name(j->role), "largest_in",
                     number(j->in), "largest_out", number(j->out), "limit", number(j->limit),
                     "room_bits", number(room(j)), "sum_bound", number(j->sums.bound), "lost_share",
                     lost_share(j), "ane_not_finite", (json_int_t)j->broken, "ane_zero_rows",
                     (json_int_t)j->zeroed);
}

static void describe(const OpJudgement *j, StrBuf *out) {
    if (reads_infinity(j) && j->size <= j->limit) {
        strbuf_printf(out,
                      "reads a weight that is not finite in fp16; results in fp32 stay below %.4g",
                      (double)j->size);
    } else if (overflows(j)) {
        strbuf_printf(out, "overflows: %s of %.4g, limit %.0f [rule %s]",
                      j->role == RANGE_NORM_INPUT ? "rows" : "results", (double)j->size,
                      (double)j->limit, j->role == RANGE_PRODUCT ? "I01" : "I04");
        if (j->broken)
            strbuf_printf(out, "; %llu results not finite in simulated ANE",
                          (unsigned long long)j->broken);
    }
    if (loses_rows(j))
        strbuf_printf(out, "%s%llu rows become zeros in simulated ANE", out->len ? "; " : "",
                      (unsigned long long)j->zeroed);
    if (may_overflow(j))
        strbuf_printf(out,
                      "%scould overflow if summed in another order: magnitudes add up to %.4g, "
                      "limit %.0f [rule I01]",
                      out->len ? "; " : "", (double)j->sums.bound, (double)j->limit);
    if (lost_share(j) > much_lost)
        strbuf_printf(out, "%s%.1f %% of the products are too small for the sums [rule I02]",
                      out->len ? "; " : "", 100 * lost_share(j));
}

static int by_room(const void *a, const void *b) {
    float x = room(*(OpJudgement *const *)a), y = room(*(OpJudgement *const *)b);
    return (x > y) - (x < y);
}

static void say_named(Proof *p, const char *scope, const Judgements *all, json_t *named) {
    size_t n_said = 0, n_more = 0;
    bool more_fail = false;
    for (int failing = 1; failing >= 0; failing--)
        for (size_t i = 0; i < all->n_ops; i++) {
            const OpJudgement *j = &all->ops[i];
            if (!is_named(j) || is_offender(j) != (failing == 1)) continue;
            json_array_append_new(named, op_json(j));
            if (n_said == MOST_LINES) {
                n_more++;
                more_fail = more_fail || failing;
                continue;
            }
            n_said++;
            StrBuf text = {0};
            describe(j, &text);
            char name[80];
            snprintf(name, sizeof name, "%.*s", STR_ARG(j->op));
            proof_result(p, "range", !failing, op_json(j), name, "%.*s",
                         STR_ARG(strbuf_str(&text)));
            strbuf_free(&text);
        }
    if (n_more)
        proof_result(p, "range", !more_fail, NULL, scope, "and %zu more ops, in report.json",
                     n_more);
}

// What goes into the report beside the results; ops of a package with the least room first.
typedef struct {
    json_t *named, *tightest, *ops;
} Section;

static void say_shard(Proof *p, size_t i, const Judgements *all, Section *section) {
    const OpJudgement **tight = arena_array(p->arena, all->n_ops + 1, const OpJudgement *);
    uint64_t broken = 0, zeroed = 0;
    size_t n_tight = 0, n_offenders = 0;
    for (size_t k = 0; k < all->n_ops; k++) {
        const OpJudgement *j = &all->ops[k];
        broken += j->broken;
        n_offenders += is_offender(j);
        if (j->role == RANGE_OTHER) continue;
        zeroed += j->zeroed;
        if (j->role != RANGE_NORM_SCALE) tight[n_tight++] = j;
    }
    qsort(tight, n_tight, sizeof *tight, by_room);
    for (size_t k = 0; k < n_tight; k++) {
        json_array_append_new(section->ops, op_json(tight[k]));
        if (k < MOST_TIGHT) json_array_append_new(section->tightest, op_json(tight[k]));
    }
    float least = n_tight ? room(tight[0]) : INFINITY;
    json_t *figures = json_pack("{s:o, s:I, s:I, s:I}", "room_bits", number(least),
                                "ane_not_finite", (json_int_t)broken, "ane_zero_rows",
                                (json_int_t)zeroed, "offenders", (json_int_t)n_offenders);
    char scope[48];
    snprintf(scope, sizeof scope, "shard %02zu", i);
    proof_result(p, "range", n_offenders == 0, figures, scope,
                 "headroom %.1f bits (smallest at %.*s); simulated ANE: %llu overflows, %llu rows "
                 "become zeros%s",
                 (double)least, STR_ARG(n_tight ? tight[0]->op : STR("nothing")),
                 (unsigned long long)broken, (unsigned long long)zeroed,
                 n_offenders > 0 && !p->bundle.chain.ranges ? "; convert again with --range auto"
                                                            : "");
    say_named(p, scope, all, section->named);
}

// The loudest embedding row as it enters the first package: a number of fp16, and of that package's
// power of two.
static void report_embedding(Proof *p, const RangeRun *r) {
    const Chain *c = &p->bundle.chain;
    const LoudToken *loudest = &r->loud[0];
    float peak = loudest->peak / c->shards[0].residual_factor, limit = range_limit(RANGE_OTHER);
    bool has_passed = peak <= limit;
    proof_result(p, "range", has_passed,
                 json_pack("{s:I, s:o, s:o, s:f}", "token", (json_int_t)loudest->id, "peak",
                           number(loudest->peak), "entering", number(peak), "limit", (double)limit),
                 "embedding",
                 "largest number %.4g, of token %u; scaled %.4g at the input, limit %.0f%s",
                 (double)loudest->peak, loudest->id, (double)peak, (double)limit,
                 has_passed ? "" : ": infinite in fp16, also before scaling");
}

bool gate_range(Proof *p, Err *err) {
    RangeRun r;
    bool ok = open_run(&r, p, err) && run_text(&r, err);
    Section s = {json_array(), json_array(), json_array()};
    if (ok) report_embedding(p, &r);
    for (size_t i = 0; ok && i < p->bundle.chain.n_shards; i++) {
        Judgements all = judge_shard(&r.watches[IN_FP32][i], &r.watches[IN_ANE][i], p->arena);
        say_shard(p, i, &all, &s);
    }
    if (ok)
        proof_section(p, "range",
                      json_pack("{s:I, s:I, s:O, s:O, s:O}", "rows", (json_int_t)r.n_rows,
                                "rows_in_ane", (json_int_t)r.n_rows_ane, "named", s.named,
                                "tightest", s.tightest, "ops", s.ops));
    json_decref(s.named);
    json_decref(s.tightest);
    json_decref(s.ops);
    close_run(&r);
    return ok;
}
