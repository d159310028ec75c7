// journal_write.c — writes a run as a record (a line of journal.jsonl) and the record as an entry
// of journal.md.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "bundle/verdict.h"
#include "report/html.h"
#include "report/journal.h"
#include "report/members.h"

// Text without line ends.
static void add_line(StrBuf *out, const char *text) {
    for (const char *at = text; *at; at++)
        strbuf_add_char(out, (unsigned char)*at < ' ' ? ' ' : *at);
}

// … and inside its cell of a table.
static void add_cell(StrBuf *out, const char *text) {
    for (const char *at = text; *at; at++) {
        if (*at == '|') strbuf_add_char(out, '\\');
        strbuf_add_char(out, (unsigned char)*at < ' ' ? ' ' : *at);
    }
}

// ---- the record of a run

static json_t *results_json(const json_t *report) {
    const json_t *all = json_object_get(report, "gates"), *result;
    json_t *list = json_array();
    size_t k;
    for (int i = 0; i < GATE_COUNT; i++)
        json_array_foreach(json_object_get(all, gates[i].name), k, result) {
            json_t *copy = json_pack("{s:s}", "gate", gates[i].name);
            json_object_update(copy, (json_t *)result);
            json_array_append_new(list, copy);
        }
    return list;
}

static json_t *notes_json(const JournalNotes *notes) {
    const char *const given[JOURNAL_FIELD_COUNT] = {
        [JOURNAL_intent] = notes->intent, [JOURNAL_surprise] = notes->surprise,
        [JOURNAL_lesson] = notes->lesson, [JOURNAL_next] = notes->next,
        [JOURNAL_refs] = notes->refs,
    };
    json_t *json = json_object();
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++)
        if (given[i] && *given[i])
            json_object_set_new(json, journal_field_name((JournalFieldId)i),
                                json_of_str(str_of(given[i])));
    return json;
}

// What was judged and how: members of the report that a record keeps as they are.
static const char *const kept[] = {
    "tool", "build", "kernels", "source_sha256", "contract_sha256", "passed", "bundle", "run"};

static json_t *make_record(const json_t *report, const JournalNotes *notes) {
    const json_t *run = json_object_get(report, "run");
    const char *started = member_text(run, "started");
    const char *outcome = !member_is_yes(report, "passed") ? "a gate failed"
                          : member_is_yes(run, "sealed")   ? "proved and sealed"
                                                           : "the gates asked for passed";
    StrBuf title = {0};
    add_line(&title, *started ? started : "undated");
    strbuf_printf(&title, ": %s", outcome);
    json_t *record = json_pack("{s:o, s:o, s:o}", "title", json_of_str(strbuf_str(&title)), "notes",
                               notes_json(notes), "results", results_json(report));
    strbuf_free(&title);
    if (!record) die_out_of_memory(0);
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        json_t *value = json_object_get(report, kept[i]);
        if (value) json_object_set(record, kept[i], value);
    }
    return record;
}

// ---- its entry

static void add_setup(StrBuf *out, const json_t *record) {
    const json_t *run = json_object_get(record, "run"), *bundle = json_object_get(record, "bundle");
    const json_t *source = json_object_get(bundle, "source"), *package;
    const json_t *options = json_object_get(bundle, "options");
    const json_t *packages = json_object_get(bundle, "packages");
    double total = 0;
    size_t i;
    json_array_foreach(packages, i, package) total += member_number(package, "bytes");
    add_line(out, member_text(record, "tool"));
    strbuf_add(out, STR(" on "));
    add_line(out, member_text(run, "machine"));
    strbuf_printf(out, ", %.0f threads", member_number(run, "threads"));
    if (*member_text(run, "kernels")) {
        strbuf_add(out, STR(", kernels "));
        add_line(out, member_text(run, "kernels"));
    }
    strbuf_add(out, STR(". "));
    add_line(out, member_text(source, "name"));
    strbuf_add(out, STR(" ("));
    html_bytes(out, member_number(source, "bytes"));
    strbuf_printf(out, ", sha256 %.12s), contract %.12s; ", member_text(record, "source_sha256"),
                  member_text(record, "contract_sha256"));
    add_line(out, member_text(options, "weights"));
    strbuf_add(out, STR(" weights, states by "));
    add_line(out, member_text(options, "kv"));
    strbuf_printf(out, ", context %.0f, for ", member_number(options, "context"));
    add_line(out, member_text(options, "target"));
    strbuf_printf(out, "; %zu packages, ", json_array_size(packages));
    html_bytes(out, total);
    strbuf_add(out, STR(". Gates asked for: "));
    add_line(out, member_text(run, "asked"));
    strbuf_add_char(out, '.');
}

static void add_rows(StrBuf *out, const json_t *results) {
    const json_t *result;
    size_t i;
    strbuf_add(out, STR("\n\n| gate | scope | | figures |\n|---|---|---|---|"));
    json_array_foreach(results, i, result) {
        strbuf_printf(out, "\n| %s | ", member_text(result, "gate"));
        add_cell(out, member_text(result, "scope"));
        strbuf_printf(out, " | %s | ", proof_verdict_word(proof_verdict_of(result)));
        add_cell(out, member_text(result, "text"));
        strbuf_add(out, STR(" |"));
    }
}

static void add_result(StrBuf *out, const json_t *record) {
    const json_t *results = json_object_get(record, "results"), *result;
    const json_t *run = json_object_get(record, "run");
    size_t counts[PROOF_VERDICT_COUNT] = {0}, i;
    json_array_foreach(results, i, result) counts[proof_verdict_of(result)]++;
    strbuf_printf(out, "%zu of %zu checks passed", counts[PROOF_PASSED],
                  counts[PROOF_PASSED] + counts[PROOF_FAILED]);
    if (counts[PROOF_UNPROVED]) strbuf_printf(out, ", %zu unproved", counts[PROOF_UNPROVED]);
    strbuf_printf(out, ", in %.1f s, peak memory ", member_number(run, "seconds"));
    html_bytes(out, member_number(run, "peak_bytes"));
    strbuf_add(out, STR(" resident."));
    add_rows(out, results);
}

static void add_entry(StrBuf *out, const json_t *record) {
    static const struct {
        const char *title, *question;
    } fields[] = {
#define FIELD(name, title, question) {title, question},
        JOURNAL_FIELDS(FIELD)
#undef FIELD
    };
    const json_t *notes = json_object_get(record, "notes");
    strbuf_printf(out, "## %s\n\n", member_text(record, "title"));
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++) {
        const char *note = member_text(notes, journal_field_name((JournalFieldId)i));
        strbuf_printf(out, "**%s.** ", fields[i].title);
        if (i == JOURNAL_setup)
            add_setup(out, record);
        else if (i == JOURNAL_result)
            add_result(out, record);
        else if (*note)
            add_line(out, note);
        else
            strbuf_printf(out, "_%s_", fields[i].question);
        strbuf_add(out, STR("\n\n"));
    }
}

// Written whole beside the old file and renamed: a run that is killed loses nothing.
static bool append_text(const char *path, const char *head, Str added, Err *err) {
    FileMap old = {0};
    StrBuf text = {0};
    if (path_exists(path) && !map_file(&old, path, err)) return false;
    strbuf_add(&text, old.len ? (Str){(const char *)old.at, old.len} : str_of(head));
    if (text.len && text.at[text.len - 1] != '\n') strbuf_add_char(&text, '\n');
    strbuf_add(&text, added);
    bool ok = file_replace(path, text.at, text.len, err);
    unmap_file(&old);
    strbuf_free(&text);
    return ok;
}

bool journal_append(const char *bundle_dir, const JournalNotes *notes, Err *err) {
    Arena scratch = {0};
    const char *dir = path_join(&scratch, bundle_dir, "verify");
    json_t *report = json_read_file(path_join(&scratch, dir, "report.json"), err);
    bool ok = report != NULL;
    if (ok) {
        json_t *record = make_record(report, notes);
        char *line = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
        StrBuf entry = {0};
        if (!line) die_out_of_memory(0);
        add_entry(&entry, record);
        ok = append_text(path_join(&scratch, dir, "journal.jsonl"), "",
                         arena_printf(&scratch, "%s\n", line), err) &&
             append_text(path_join(&scratch, dir, "journal.md"), "# Journal\n\n",
                         strbuf_str(&entry), err);
        strbuf_free(&entry);
        free(line);
        json_decref(record);
    }
    json_decref(report);
    arena_free(&scratch);
    return ok;
}
