// report.h — the results of a run of the gates as a page for people.
//
// verify/report.json is the source, with verify/mutants.json as its member "mutants" and
// verify/device.json as its member "device"; the page adds only order and explanation. It is one
// file without scripts and without fonts or pictures from elsewhere.
#ifndef LATHE_REPORT_REPORT_H
#define LATHE_REPORT_REPORT_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"
#include "bundle/verdict.h"
#include "report/report_read.h"

// Appends the page that shows `report` to `out`. Unknown members are ignored; for missing ones it
// names the command that produces them.
void report_page(const json_t *report, StrBuf *out);

// The results of one gate, counted by verdict, and the result nearest to its bound. No results: the
// gate has not run.
typedef struct {
    size_t counts[PROOF_VERDICT_COUNT];
    size_t n_checks; // that could fail: passed and failed
    bool has_run;
    double most_used; // the largest result_use(); NaN: no result states a bound
    const ReportResult *nearest;
} GateSum;
GateSum gate_sum(const ReportResults *results);

// The share of its bound that a result used: the largest of (1 - cos) / (1 - bound) for all rows
// together and for the worst row, the same for the worst group of channels, and a share that the
// gate states itself; NaN when the result states no bound.
double result_use(const ReportResult *result);

// Writes bundle_dir/verify/report.html from the files beside it, and a copy of it to the file
// `copy` when that is not NULL.
bool report_write(const char *bundle_dir, const char *copy, Err *err);

#endif
