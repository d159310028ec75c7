// page.h — the sections of the report. Internal to report/.
//
// All of a page comes from verify/report.json. A section that finds no data says so by returning
// false and writing nothing; the page then names the command that would give it some.
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

void page_summary(Page *p);  // page_summary.c: proved or not, what it is, and in figures
void page_failures(Page *p); // page_weak.c: what failed, if anything did, and what to do about it
void page_weak(Page *p);     // page_weak.c: what a proof does not say, and what would strengthen it

// A command as code, its words (bundle/advice.h) filled in: it runs in the folder that holds the
// bundle.
void page_command(Page *p, const char *command);

// What the weights and a second source say of one field.
typedef struct {
    size_t n_worse, n_even, n_better; // misreadings of it, by how they fit the weights
    size_t n_agree, n_contradict;     // second sources
} FieldWitness;
FieldWitness page_witness(const Report *report, const char *field);

// How many planted errors of the matrix no gate noticed.
size_t page_count_survivors(const Report *report);
// Whether gates ran on a device, and not on a stand-in for one alone.
bool page_has_device(const Report *report);
// The least room of any op, in bits; NaN when the range gate has not run.
double page_least_room(const Report *report);

#endif
