// journal.c — `lathe journal BUNDLE`: lists the runs of verify on a bundle, and what changed
// between them.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/advice.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "report/journal.h"

static void print_figure(const char *when, const JournalFigure *f) {
    if (f)
        printf("        %s  %.*s  %s\n", when, STR_ARG(f->text), proof_verdict_word(f->verdict));
    else
        printf("        %s  –\n", when);
}

static void print_changes(const JournalEntry *before, const JournalEntry *after, Arena *arena) {
    JournalChange *changes;
    size_t n = journal_compare(&changes, arena, before, after);
    if (!before->has_figures || !after->has_figures)
        printf(
            "    no figures to compare: an older version of lathe wrote one of the two entries\n");
    else if (!journal_shares_gate(before, after))
        printf("    nothing to compare: no gate ran in both\n");
    else if (n == 0)
        printf("    no figure changed in the gates that ran in both\n");
    for (size_t i = 0; i < n; i++) {
        const JournalFigure *f = changes[i].after ? changes[i].after : changes[i].before;
        printf("    %.*s, %.*s\n", STR_ARG(f->gate), STR_ARG(f->scope));
        print_figure("was", changes[i].before);
        print_figure("now", changes[i].after);
    }
}

static void print_entry(const JournalEntry *e, size_t number) {
    printf("%zu  %.*s\n", number, STR_ARG(e->title));
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++)
        if (e->fields[i].len)
            printf("    %-9s %.*s\n", journal_field_name((JournalFieldId)i), STR_ARG(e->fields[i]));
}

static json_t *figure_json(const JournalFigure *f) {
    return f ? json_pack("{s:o, s:o, s:b, s:s, s:o}", "gate", json_of_str(f->gate), "scope",
                         json_of_str(f->scope), "passed", (int)(f->verdict != PROOF_FAILED),
                         "verdict", proof_verdict_name(f->verdict), "text", json_of_str(f->text))
             : json_null();
}

static json_t *changes_json(const JournalEntry *before, const JournalEntry *after, Arena *arena) {
    JournalChange *changes;
    size_t n = journal_compare(&changes, arena, before, after);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:o}", "before", figure_json(changes[i].before),
                                        "after", figure_json(changes[i].after)));
    return list;
}

static json_t *entry_json(const JournalEntry *e, size_t number) {
    json_t *figures = json_array();
    for (size_t i = 0; i < e->n_figures; i++)
        json_array_append_new(figures, figure_json(&e->figures[i]));
    json_t *entry = json_pack("{s:I, s:o, s:o}", "run", (json_int_t)number, "title",
                              json_of_str(e->title), "figures", figures);
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++)
        json_object_set_new(entry, journal_field_name((JournalFieldId)i),
                            json_of_str(e->fields[i]));
    return entry;
}

// Runs are counted from 1, the oldest.
static bool read_number(const char *text, const Journal *journal, size_t *number, Err *err) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end || n < 1 || n > journal->n_entries)
        return err_set(err, ERR_USAGE, "run %s: the journal has runs 1 to %zu", text,
                       journal->n_entries);
    *number = n;
    return true;
}

// Which runs are shown: [first, last], each against the one before it, or `last` against `base`.
typedef struct {
    size_t first, last, base;
} Choice;

static bool choose(Choice *c, const Journal *journal, const char *one, const char *other,
                   Err *err) {
    *c = (Choice){.first = 1, .last = journal->n_entries};
    if (!one) return true;
    if (!read_number(one, journal, &c->first, err)) return false;
    c->last = c->first;
    if (!other) return true;
    c->base = c->first;
    if (!read_number(other, journal, &c->last, err)) return false;
    c->first = c->last;
    return true;
}

static void print_text(const Journal *journal, const Choice *c, Arena *arena) {
    for (size_t i = c->first; i <= c->last && i > 0; i++) {
        size_t base = c->base ? c->base : i - 1;
        print_entry(&journal->entries[i - 1], i);
        if (base == 0) continue;
        printf("    against run %zu:\n", base);
        print_changes(&journal->entries[base - 1], &journal->entries[i - 1], arena);
    }
}

static void print_json(const Journal *journal, const Choice *c, Arena *arena) {
    json_t *list = json_array();
    for (size_t i = c->first; i <= c->last && i > 0; i++) {
        size_t base = c->base ? c->base : i - 1;
        json_t *entry = entry_json(&journal->entries[i - 1], i);
        if (base) {
            json_object_set_new(entry, "against", json_integer((json_int_t)base));
            json_object_set_new(
                entry, "changes",
                changes_json(&journal->entries[base - 1], &journal->entries[i - 1], arena));
        }
        json_array_append_new(list, entry);
    }
    output_json(list, JSON_INDENT(1));
}

typedef struct {
    const char *bundle, *one, *other;
    bool as_json;
} Arguments;

static const Option option_rows[] = {{"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
                                      "print the same as JSON, for programs"}};

const CommandLine journal_line = {
    .usage = "lathe journal BUNDLE [RUN [RUN]] [--json]",
    .doc = "Lists the runs of verify on a bundle from verify/journal.md, oldest first, each with "
           "what changed in\nits figures since the run before. With one RUN: that run alone. With "
           "two: what changed from the\nfirst to the second. You write what a run was for and what "
           "it taught: with the options --intent,\n--surprise, --lesson, --next and --refs of "
           "verify, or in the file.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"BUNDLE", offsetof(Arguments, bundle)},
                   {"RUN", offsetof(Arguments, one)},
                   {"RUN", offsetof(Arguments, other)}},
    .n_positional = 3,
    .n_required = 1,
};

bool command_journal(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&journal_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    Arena arena = {0};
    Journal journal;
    Choice choice;
    Chain chain;
    bool ok =
        chain_read(&chain, &arena, a.bundle, err) && journal_read(&journal, &arena, a.bundle, err);
    if (ok && journal.n_entries == 0)
        ok = err_set(err, ERR_UNPROVED, "%s has no journal yet; verify writes one: %s", a.bundle,
                     verify_command(&arena, a.bundle, &chain));
    ok = ok && choose(&choice, &journal, a.one, a.other, err);
    if (ok && a.as_json) print_json(&journal, &choice, &arena);
    if (ok && !a.as_json) print_text(&journal, &choice, &arena);
    arena_free(&arena);
    return ok;
}
