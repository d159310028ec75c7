#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "bundle/verdict.h"
#include "report/html.h"
#include "report/journal.h"
#include "report/page.h"

// Text that must stay on its line.
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

static void add_title(StrBuf *out, const json_t *report) {
    const json_t *run = json_object_get(report, "run");
    const char *outcome = !member_is_yes(report, "passed") ? "a gate failed"
                          : member_is_yes(run, "sealed")   ? "proved and sealed"
                                                           : "the gates asked for passed";
    strbuf_add(out, STR("## "));
    add_line(out, *member_text(run, "started") ? member_text(run, "started") : "undated");
    strbuf_printf(out, ": %s\n\n", outcome);
}

static void add_setup(StrBuf *out, const json_t *report) {
    const json_t *run = json_object_get(report, "run"), *bundle = json_object_get(report, "bundle");
    const json_t *source = json_object_get(bundle, "source"), *package;
    const json_t *options = json_object_get(bundle, "options");
    const json_t *packages = json_object_get(bundle, "packages");
    double total = 0;
    size_t i;
    json_array_foreach(packages, i, package) total += member_number(package, "bytes");
    add_line(out, member_text(report, "tool"));
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
    strbuf_printf(out, ", sha256 %.12s), contract %.12s; ", member_text(report, "source_sha256"),
                  member_text(report, "contract_sha256"));
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
    size_t k;
    strbuf_add(out, STR("\n\n| gate | scope | | figures |\n|---|---|---|---|"));
    for (int i = 0; i < GATE_COUNT; i++)
        json_array_foreach(json_object_get(results, gates[i].name), k, result) {
            strbuf_printf(out, "\n| %s | ", gates[i].name);
            add_cell(out, member_text(result, "scope"));
            strbuf_printf(out, " | %s | ", proof_verdict_word(proof_verdict_of(result)));
            add_cell(out, member_text(result, "text"));
            strbuf_add(out, STR(" |"));
        }
}

static void add_result(StrBuf *out, const json_t *report) {
    const json_t *results = json_object_get(report, "gates"), *result;
    const json_t *run = json_object_get(report, "run");
    size_t n = 0, n_passed = 0, k;
    for (int i = 0; i < GATE_COUNT; i++)
        json_array_foreach(json_object_get(results, gates[i].name), k, result) {
            n++;
            n_passed += member_is_yes(result, "passed");
        }
    strbuf_printf(out, "%zu of %zu checks passed in %.1f s, peak memory ", n_passed, n,
                  member_number(run, "seconds"));
    html_bytes(out, member_number(run, "peak_bytes"));
    strbuf_add_char(out, '.');
    add_rows(out, results);
}

static void add_entry(StrBuf *out, const json_t *report, const JournalNotes *notes) {
    const char *const given[JOURNAL_FIELD_COUNT] = {
        [JOURNAL_intent] = notes->intent, [JOURNAL_surprise] = notes->surprise,
        [JOURNAL_lesson] = notes->lesson, [JOURNAL_next] = notes->next,
        [JOURNAL_refs] = notes->refs,
    };
    static const struct {
        const char *title, *question;
    } fields[] = {
#define FIELD(name, title, question) {title, question},
        JOURNAL_FIELDS(FIELD)
#undef FIELD
    };
    add_title(out, report);
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++) {
        strbuf_printf(out, "**%s.** ", fields[i].title);
        if (i == JOURNAL_setup)
            add_setup(out, report);
        else if (i == JOURNAL_result)
            add_result(out, report);
        else if (given[i] && given[i][0])
            add_line(out, given[i]);
        else
            strbuf_printf(out, "_%s_", fields[i].question);
        strbuf_add(out, STR("\n\n"));
    }
}

bool journal_append(const char *bundle_dir, const JournalNotes *notes, Err *err) {
    Arena scratch = {0};
    const char *dir = path_join(&scratch, bundle_dir, "verify");
    const char *path = path_join(&scratch, dir, "journal.md");
    json_t *report = json_read_file(path_join(&scratch, dir, "report.json"), err);
    StrBuf text = {0};
    FileMap old = {0};
    bool ok = report && (!path_exists(path) || map_file(&old, path, err));
    if (ok) {
        // Written whole beside the old one and renamed: a run that is killed loses nothing.
        if (old.len)
            strbuf_add(&text, (Str){(const char *)old.at, old.len});
        else
            strbuf_add(&text, STR("# Journal\n\n"));
        if (text.at[text.len - 1] != '\n') strbuf_add_char(&text, '\n');
        add_entry(&text, report, notes);
        ok = file_replace(path, text.at, text.len, err);
    }
    unmap_file(&old);
    strbuf_free(&text);
    json_decref(report);
    arena_free(&scratch);
    return ok;
}
