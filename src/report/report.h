// report.h — what a run of the gates found, as a page for people.
//
// verify/report.json is the source, with verify/mutants.json as its member "mutants" and
// verify/device.json as its member "device"; the page adds
// nothing but order and explanation. It is one file: no script, no font, no picture from elsewhere.
#ifndef LATHE_REPORT_REPORT_H
#define LATHE_REPORT_REPORT_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"
#include "bundle/verdict.h"
#include "report/report_read.h"

// Appends the page that shows `report` to `out`. Members it does not know are left out, members it
// misses are named with the command that gives them.
void report_page(const json_t *report, StrBuf *out);

// The results of one gate (none: it has not run), counted by verdict, and the one nearest to its
// bound.
typedef struct {
    size_t counts[PROOF_VERDICT_COUNT];
    size_t n_checks; // that could fail: passed and failed
    bool has_run;
    double most_used; // how much of what is allowed the nearest result used; NaN: none says
    const ReportResult *nearest;
} GateSum;
GateSum gate_sum(const ReportResults *results);

// How much of what a gate allows a result used: the most of (1 - cos) against (1 - bound), of all
// rows and of the worst, of the worst group of channels, and of a share that the gate gives; NaN
// when the result states no bound.
double result_use(const ReportResult *result);

// Writes bundle_dir/verify/report.html from what lies beside it, and a copy of it to the file
// `copy` when that is not NULL.
bool report_write(const char *bundle_dir, const char *copy, Err *err);

#endif
