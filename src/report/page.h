// page.h — the sections of the report. Internal to report/.
//
// All of a page comes from verify/report.json. A section that finds no data says so by returning
// false and writing nothing; the page then names the command that would give it some.
#ifndef LATHE_REPORT_PAGE_H
#define LATHE_REPORT_PAGE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"

typedef struct {
    StrBuf *out;
    const json_t *report;
} Page;

typedef bool PageSection(Page *p);
PageSection page_gates, page_text;                                  // page_gates.c
PageSection page_layers;                                            // page_layers.c
PageSection page_placement;                                         // page_placement.c
PageSection page_range, page_vote, page_mutants;                    // page_evidence.c
PageSection page_contract, page_agreement, page_packages, page_run; // page_facts.c
void page_summary(Page *p);                                         // page_summary.c

extern const char page_style[]; // style.c

// Members of objects; "" and NaN when absent or of another type.
const char *member_text(const json_t *object, const char *key);
double member_number(const json_t *object, const char *key);
// The array called `key`, or NULL when it is absent or empty.
const json_t *member_list(const json_t *object, const char *key);
bool member_is_yes(const json_t *object, const char *key);

// The number member `key`, or a dash.
void page_number(StrBuf *out, const json_t *object, const char *key);

// A table of objects, one row each, with the members of the first as columns: for data that has no
// section of its own shape.
void page_plain_table(StrBuf *out, const json_t *rows);

// How much of what a gate allows a result used: (1 - cos) against (1 - bound); NaN for results that
// are no cosine.
double page_use(const json_t *result);

#endif
