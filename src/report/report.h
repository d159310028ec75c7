// report.h — what a run of the gates found, as a page for people.
//
// verify/report.json is the source, with verify/mutants.json as its member "mutants"; the page adds
// nothing but order and explanation. It is one file: no script, no font, no picture from elsewhere.
#ifndef LATHE_REPORT_REPORT_H
#define LATHE_REPORT_REPORT_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

// Appends the page that shows `report` to `out`. Members it does not know are left out, members it
// misses are named with the command that gives them.
void report_page(const json_t *report, StrBuf *out);

// Writes bundle_dir/verify/report.html from what lies beside it, and a copy of it to the file
// `copy` when that is not NULL.
bool report_write(const char *bundle_dir, const char *copy, Err *err);

#endif
