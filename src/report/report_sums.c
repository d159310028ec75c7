// report_sums.c — sums over report.json that more than one section speaks of.
#include <math.h>
#include <string.h>

#include "report/page.h"

double result_use(const json_t *result) {
    const json_t *f = json_object_get(result, "figures");
    const double uses[] = {
        (1 - member_number(f, "cos")) / (1 - member_number(f, "least_cos")),
        (1 - member_number(f, "worst_cos")) / (1 - member_number(f, "least_worst")),
        member_number(f, "group_off") / member_number(f, "most_off"),
        member_number(f, "share_of_bound"),
    };
    double most = NAN;
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (isnan(most) || uses[i] > most) most = uses[i];
    return most;
}

GateSum gate_sum(const json_t *results) {
    GateSum sum = {.has_run = json_array_size(results) > 0, .most_used = NAN};
    const json_t *result;
    size_t i;
    json_array_foreach(results, i, result) {
        double use = result_use(result);
        sum.counts[proof_verdict_of(result)]++;
        if (isnan(use) || use <= sum.most_used) continue;
        sum.most_used = use;
        sum.nearest = result;
    }
    sum.n_checks = sum.counts[PROOF_PASSED] + sum.counts[PROOF_FAILED];
    return sum;
}

GateSum page_gate_sum(const json_t *report, const char *gate) {
    return gate_sum(json_object_get(json_object_get(report, "gates"), gate));
}

FieldWitness page_witness(const json_t *report, const char *field) {
    static const char *const votes[] = {"vote", "vote_long"};
    FieldWitness w = {0};
    const json_t *row, *rows;
    const char *source;
    size_t i;
    for (size_t v = 0; v < sizeof votes / sizeof votes[0]; v++)
        json_array_foreach(json_object_get(json_object_get(report, votes[v]), "rows"), i, row) {
            if (!member_is(row, "field", field)) continue;
            w.n_worse += member_is(row, "verdict", "worse");
            w.n_even += member_is(row, "verdict", "not told apart");
            w.n_better += member_is(row, "verdict", "better");
        }
    json_object_foreach(json_object_get(report, "agreement"), source, rows) {
        json_array_foreach(rows, i, row) {
            if (!member_is(row, "field", field)) continue;
            w.n_agree += member_is(row, "verdict", "agree");
            w.n_contradict += member_is(row, "verdict", "contradict");
        }
    }
    return w;
}

void page_count_mutants(const json_t *report, size_t *n, size_t *n_survived) {
    const json_t *mutants = member_list(json_object_get(report, "mutants"), "mutants"), *mutant;
    size_t i;
    *n = json_array_size(mutants);
    *n_survived = 0;
    json_array_foreach(mutants, i, mutant) *n_survived += !member_is_yes(mutant, "killed");
}

double page_least_room(const json_t *report) {
    const json_t *list = json_object_get(json_object_get(report, "gates"), "range"), *result;
    double least = NAN;
    size_t i;
    json_array_foreach(list, i, result) {
        double bits = member_number(json_object_get(result, "figures"), "room_bits");
        if (isnan(least) || bits < least) least = bits;
    }
    return least;
}
