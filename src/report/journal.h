// journal.h — the journal of a bundle: verify/journal.md, one entry per run of verify, written for
// people.
//
//     ## 2026-11-25 05:24:31 UTC: proved and sealed
//
//     **Intent.** Does int4 hold up on the late layers?
//
//     **Setup.** lathe 0.1.0 on Linux … ; hello-phi3-q8_0.gguf … ; int8 weights …
//
//     **Result.** 24 of 24 checks passed in 5.3 s, peak memory 54 MiB.
//
//     | gate | scope | | figures |
//     |---|---|---|---|
//     | graph | layers 00..01 | ok | cos=1.0000000 worst=0.9999999 rmse=0.00101 max_abs=0.00797 |
//
//     **Surprise or hurdle.** _What was not as expected?_
//
// Setup and result are filled in from verify/report.json. The rest is the user's: given as options
// of the run, or left as a question in italics that can be answered in the file. lathe only appends
// entries and never changes one; `convert --force` keeps the journal.
//
// Figures for programs are in verify/journal.jsonl, one JSON object a run and line; entries of
// journal.md are rendered from it. Both are read: journal.md for the list of runs and people's
// texts (leniently, because they edit it), and the JSON line with the same title for the figures.
// An entry without such a line, as older versions wrote, has no figures to compare.
#ifndef LATHE_REPORT_JOURNAL_H
#define LATHE_REPORT_JOURNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "bundle/verdict.h"

// The fields of an entry, one row each: FIELD(name, title, question left when nothing was given).
#define JOURNAL_FIELDS(FIELD)                                                                      \
    FIELD(intent, "Intent", "What should this run show?")                                          \
    FIELD(setup, "Setup", "")                                                                      \
    FIELD(result, "Result", "")                                                                    \
    FIELD(surprise, "Surprise or hurdle", "What was not as expected?")                             \
    FIELD(lesson, "Lesson", "What should the next one know?")                                      \
    FIELD(next, "Next", "What follows from it?")                                                   \
    FIELD(refs, "Refs", "Where is more?")

typedef enum {
#define FIELD(name, title, question) JOURNAL_##name,
    JOURNAL_FIELDS(FIELD)
#undef FIELD
        JOURNAL_FIELD_COUNT
} JournalFieldId;
const char *journal_field_name(JournalFieldId id); // "intent", as options and JSON spell it

// The user's texts about the run; NULL where none was given.
typedef struct {
    const char *intent, *surprise, *lesson, *next, *refs;
} JournalNotes;

// Appends an entry for the run that verify/report.json describes.
bool journal_append(const char *bundle_dir, const JournalNotes *notes, Err *err);

typedef struct {
    Str gate, scope, text;
    ProofVerdict verdict;
} JournalFigure;

typedef struct {
    Str title;
    Str fields[JOURNAL_FIELD_COUNT]; // empty: not filled in
    bool has_figures;                // a line of journal.jsonl belongs to it
    JournalFigure *figures;
    size_t n_figures;
} JournalEntry;

typedef struct {
    JournalEntry *entries; // oldest first
    size_t n_entries;
} Journal;

// Reads the journal; one that does not exist is empty. Views into the arena.
bool journal_read(Journal *journal, Arena *arena, const char *bundle_dir, Err *err);
// Parses journal.md.
void journal_parse(Journal *journal, Arena *arena, Str text);
// Parses journal.jsonl, the figures of its entries. Lines that are not records are skipped.
void journal_parse_figures(Journal *journal, Arena *arena, Str text);

// What differs between two runs in the gates that both ran: results whose figures or verdicts
// changed, and results that only one run has.
typedef struct {
    const JournalFigure *before, *after; // NULL: not there
} JournalChange;
size_t journal_compare(JournalChange **changes, Arena *arena, const JournalEntry *before,
                       const JournalEntry *after);
// Whether a gate ran in both, so that there is something to compare.
bool journal_shares_gate(const JournalEntry *a, const JournalEntry *b);

#endif
