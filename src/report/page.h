// page.h — the sections of the report. Internal to report/.
//
// The page is made only from verify/report.json. A section without data writes nothing and returns
// false; the page then names the command that would produce the data.
#ifndef LATHE_REPORT_PAGE_H
#define LATHE_REPORT_PAGE_H

#include <stdbool.h>

#include "base/str.h"
#include "report/report.h"
#include "report/report_read.h"

typedef struct {
    StrBuf *out;
    const Report *report;
} Page;

typedef bool PageSection(Page *p);
PageSection page_gates;              // page_gates.c
PageSection page_contract, page_use; // page_contract.c
PageSection page_vote;               // page_vote.c
PageSection page_layers;             // page_layers.c
PageSection page_text;               // page_text.c
PageSection page_range;              // page_range.c
PageSection page_mutants;            // page_mutants.c
PageSection page_placement;          // page_placement.c
PageSection page_device;             // page_device.c
PageSection page_packages, page_run; // page_facts.c

void page_summary(Page *p);  // page_summary.c: the verdict, what was judged, and the main figures
void page_failures(Page *p); // page_weak.c: what failed, if anything did, and what to do about it
// page_weak.c: what the proof does not cover, and what would strengthen it
void page_weak(Page *p);

// A command as code, with its placeholders (bundle/advice.h) filled in. It runs in the folder that
// holds the bundle.
void page_command(Page *p, const char *command);

// What the vote and second sources say about one field.
typedef struct {
    // misreadings of the field that fit the weights worse, equally well, better
    size_t n_worse, n_even, n_better;
    size_t n_agree, n_contradict; // second sources
} FieldWitness;
FieldWitness page_witness(const Report *report, const char *field);

// The number of mutants in the matrix that survived.
size_t page_count_survivors(const Report *report);
// Whether gates ran on a real device, not only on a stand-in.
bool page_has_device(const Report *report);
// The smallest headroom of any op, in bits; NaN when gate range has not run.
double page_least_room(const Report *report);

#endif
