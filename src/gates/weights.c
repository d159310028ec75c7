// weights.c — compares every weight of the packages with the source's: none may differ by more than
// the rounding of its form.
//
// An error figure of a whole layer hardly changes when one output channel has a wrong scale, or one
// code a wrong sign. Rounding has a bound for each single weight, so here every such error is
// visible.
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/json.h"
#include "base/size.h"
#include "gates/weights.h"
#include "proof/packed.h"
#include "proof/proof.h"
#include "quant/quant.h"

// The largest difference in a row, in units of the rounding bound: at most 1 when all is right;
// infinite where the package holds a number that is not finite in fp16.
typedef struct {
    double worst, squares; // squares of the finite ones
    size_t row;            // the worst weight's; of a vector its number
    float found, wanted;   // that weight
    bool is_half;          // it is a number of fp16
} RowError;

typedef struct {
    PackedWeights *packed;
    WeightRole role;
    uint32_t layer;
    Rows rows;
    float *found, *wanted; // [threads][n_cols]
    size_t n_cols;
    RowError *errors; // [rows.n_rows]; of a vector the first stands for all
} Comparison;

static RowError row_error(const Comparison *c, size_t row, const float *found, const float *wanted,
                          size_t n) {
    PackedPlace place = packed_weight_place(c->packed, c->role, c->layer, row);
    RowError e = {.row = row, .is_half = true};
    for (size_t i = 0; i < n; i++) {
        size_t at = c->n_cols ? row : i; // of a vector each weight is a row
        // Programs compute with code times scale in fp16, which ends where float goes on.
        float stored = (found[i] + place.tensor->offset) * place.part->factor;
        bool is_half = isfinite(round_to_half(stored));
        double slack = packed_weight_slack(c->packed, c->role, c->layer, at, found[i]);
        double error = fabs((double)found[i] - (double)wanted[i]) / slack;
        if (is_half && isfinite(error))
            e.squares += error * error;
        else
            error = INFINITY; // a NaN too, so that the first one stays
        if (error > e.worst) e = (RowError){error, e.squares, at, stored, wanted[i], is_half};
    }
    return e;
}

static void compare_rows(void *context, size_t first, size_t end, unsigned worker) {
    const Comparison *c = context;
    float *found = c->found + worker * c->n_cols, *wanted = c->wanted + worker * c->n_cols;
    for (size_t row = first; row < end; row++) {
        packed_weight_row(c->packed, c->role, c->layer, row, found, c->n_cols);
        decode_row(c->rows.tensor, c->rows.first_row + row, wanted);
        c->errors[row] = row_error(c, row, found, wanted, c->n_cols);
    }
}

static void compare_vector(const Comparison *c) {
    decode_row(c->rows.tensor, 0, c->wanted);
    packed_weight_row(c->packed, c->role, c->layer, 0, c->found, c->rows.n_rows);
    c->errors[0] = row_error(c, 0, c->found, c->wanted + c->rows.first_row, c->rows.n_rows);
}

typedef struct {
    Proof *p;
    PackedWeights *packed;
    RowError all;
    size_t n_weights, n_bad_rows;
    WeightFault *worst;
} Sum;

static const char *where_text(const Sum *sum) {
    const WeightFault *w = sum->worst;
    if (w->layer >= sum->p->model.contract.n_layers)
        return arena_printf(sum->p->arena, "%s row %zu", w->name, w->row).at;
    return arena_printf(sum->p->arena, "layer %u %s row %zu", w->layer, w->name, w->row).at;
}

// Row after row, whoever computed them: the same figures from any number of threads.
static void add_rows(Sum *sum, const Comparison *c, const char *name, size_t n) {
    size_t n_bad_before = sum->n_bad_rows;
    for (size_t row = 0; row < n; row++) {
        const RowError *e = &c->errors[row];
        double squares = sum->all.squares + e->squares;
        // Dividing and rounding in float leave a few millionths.
        sum->n_bad_rows += e->worst > 1.0001;
        if (e->worst > sum->all.worst) {
            sum->all = *e;
            *sum->worst = (WeightFault){c->role, c->layer, name, c->rows, e->row, 0, false};
        }
        sum->all.squares = squares;
    }
    sum->n_weights += c->rows.n_rows * max_size(1, c->n_cols);
    if (sum->worst->role == c->role && sum->worst->layer == c->layer)
        sum->worst->n_bad_rows = sum->n_bad_rows - n_bad_before;
}

static bool compare(Sum *sum, WeightRole role, uint32_t layer, const char *name, Rows rows,
                    Err *err) {
    if (!rows.tensor) return true;
    if (!packed_weight_is_there(sum->packed, role, layer))
        return err_set(err, ERR_GATE, "chain.json lists no '%s' of layer %u, which the source has",
                       name, layer);
    bool is_matrix = rows.tensor->n_dims > 1;
    size_t width = is_matrix ? rows.tensor->dims[0] : max_size(rows.n_rows, rows.tensor->n_weights);
    size_t n = pool_threads(sum->p->job->pool) * width, n_errors = is_matrix ? rows.n_rows : 1;
    Comparison c = {sum->packed, role, layer, rows, .n_cols = is_matrix ? width : 0};
    c.found = big_alloc(n * sizeof(float), "rows of weights", err);
    c.wanted = big_alloc(n * sizeof(float), "rows of weights", err);
    c.errors = big_alloc(n_errors * sizeof *c.errors, "errors of weights", err);
    bool ok = c.found && c.wanted && c.errors;
    if (ok && is_matrix) pool_run(sum->p->job->pool, rows.n_rows, 16, compare_rows, &c);
    if (ok && !is_matrix) compare_vector(&c);
    if (ok) add_rows(sum, &c, name, n_errors);
    free(c.found);
    free(c.wanted);
    free(c.errors);
    return ok;
}

static void report(const Sum *sum) {
    const RowError *t = &sum->all;
    double rms = sqrt(t->squares / (double)max_size(1, sum->n_weights));
    bool has_passed = sum->n_bad_rows == 0;
    const char *where = where_text(sum);
    json_t *figures = json_pack("{s:I, s:o, s:f, s:I, s:s}", "weights", (json_int_t)sum->n_weights,
                                "worst", json_of_real(t->worst), "rms", rms, "bad_rows",
                                (json_int_t)sum->n_bad_rows, "worst_row", where);
    if (has_passed)
        proof_result(sum->p, "layer golden", true, figures, "weights",
                     "%zu weights, each as near to its source weight as rounding allows (rms error "
                     "%.2f of that bound)",
                     sum->n_weights, rms);
    else if (!t->is_half)
        proof_result(sum->p, "layer golden", false, figures, "weights",
                     "%zu rows differ from the source by more than rounding; %s has %g, which fp16 "
                     "cannot hold; the source has %g",
                     sum->n_bad_rows, where, (double)t->found, (double)t->wanted);
    else
        proof_result(sum->p, "layer golden", false, figures, "weights",
                     "%zu rows differ from the source by more than rounding; %s by %.3g times",
                     sum->n_bad_rows, where, t->worst);
    sum->worst->is_found = !has_passed;
}

bool compare_weights(Proof *p, WeightFault *worst, Err *err) {
    const ModelWeights *m = &p->model.weights;
    uint32_t n_layers = p->model.contract.n_layers;
    *worst = (WeightFault){0};
    Sum sum = {.p = p, .packed = packed_weights_open(p, err), .worst = worst};
    bool ok = sum.packed != NULL;
    for (uint32_t layer = 0; ok && layer < n_layers; layer++) {
        for (int role = 0; ok && role < WEIGHT_COUNT; role++)
            if (weight_infos[role].is_layer)
                ok = compare(&sum, (WeightRole)role, layer, weight_infos[role].name,
                             weight_rows(m, (WeightRole)role, layer), err);
        progress_report(p->job->progress, "weights: layers", layer + 1, n_layers + 1);
    }
    ok = ok && compare(&sum, WEIGHT_output_norm, n_layers, "output_norm", m->output_norm, err) &&
         compare(&sum, WEIGHT_output_norm_bias, n_layers, "output_norm_bias", m->output_norm_bias,
                 err) &&
         compare(&sum, WEIGHT_head_bias, n_layers, "head_bias", m->head_bias, err) &&
         compare(&sum, WEIGHT_head, n_layers, "head", m->head, err);
    if (ok) report(&sum);
    return ok;
}
