// report_sums.c — sums over a report that more than one section shows.
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "report/page.h"

double result_use(const ReportResult *result) {
    const double *f = result->figures;
    const double uses[] = {
        (1 - f[FIGURE_cos]) / (1 - f[FIGURE_least_cos]),
        (1 - f[FIGURE_worst_cos]) / (1 - f[FIGURE_least_worst]),
        f[FIGURE_group_off] / f[FIGURE_most_off],
        f[FIGURE_share_of_bound],
    };
    double most = NAN;
    for (size_t i = 0; i < COUNT_OF(uses); i++)
        if (isnan(most) || uses[i] > most) most = uses[i];
    return most;
}

GateSum gate_sum(const ReportResults *results) {
    GateSum sum = {.has_run = results->n > 0, .most_used = NAN};
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        double use = result_use(result);
        sum.counts[result->verdict]++;
        if (isnan(use) || use <= sum.most_used) continue;
        sum.most_used = use;
        sum.nearest = result;
    }
    sum.n_checks = sum.counts[PROOF_PASSED] + sum.counts[PROOF_FAILED];
    return sum;
}

static void count_votes(FieldWitness *w, const ReportVote *vote, const char *field) {
    for (size_t i = 0; i < vote->n_rows; i++) {
        const ReportReading *row = &vote->rows[i];
        if (strcmp(row->field, field) != 0) continue;
        w->n_worse += row->kind == VOTE_WORSE;
        w->n_even += row->kind == VOTE_EVEN;
        w->n_better += row->kind == VOTE_BETTER;
    }
}

FieldWitness page_witness(const Report *report, const char *field) {
    FieldWitness w = {0};
    count_votes(&w, &report->vote, field);
    count_votes(&w, &report->vote_long, field);
    for (size_t s = 0; s < report->n_sources; s++)
        for (size_t i = 0; i < report->sources[s].n_rows; i++) {
            const ReportAgreement *row = &report->sources[s].rows[i];
            if (strcmp(row->field, field) != 0) continue;
            w.n_agree += row->kind == AGREEMENT_AGREES;
            w.n_contradict += row->kind == AGREEMENT_CONTRADICTS;
        }
    return w;
}

size_t page_count_survivors(const Report *report) {
    size_t n = 0;
    for (size_t i = 0; i < report->mutants.n; i++) n += !report->mutants.list[i].is_killed;
    return n;
}

double page_least_room(const Report *report) {
    const ReportResults *range = &report->gates[GATE_range];
    double least = NAN;
    for (size_t i = 0; i < range->n; i++) {
        double bits = range->list[i].figures[FIGURE_room_bits];
        if (isnan(least) || bits < least) least = bits;
    }
    return least;
}
