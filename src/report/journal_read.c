#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/verdict.h"
#include "report/journal.h"

static const struct {
    const char *name, *title;
} fields[] = {
#define FIELD(name, title, question) {#name, title},
    JOURNAL_FIELDS(FIELD)
#undef FIELD
};

const char *journal_field_name(JournalFieldId id) {
    return fields[id].name;
}

static Str trim(Str s) {
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t')) s.at++, s.len--;
    while (s.len && strchr(" \t\r", s.at[s.len - 1])) s.len--;
    return s;
}

// The line at `rest`, which moves behind it.
static Str next_line(Str *rest) {
    const char *end = memchr(rest->at, '\n', rest->len);
    Str line = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t used = line.len + (end != NULL);
    *rest = (Str){rest->at + used, rest->len - used};
    return line;
}

// "**Intent.** text": which field begins here, and what stands behind; -1 when none does.
static int field_of(Str line, Str *text) {
    for (int i = 0; i < JOURNAL_FIELD_COUNT; i++) {
        Str title = str_of(fields[i].title);
        if (!str_starts(line, STR("**")) || line.len < title.len + 5) continue;
        Str after = {line.at + 2, line.len - 2};
        if (!str_starts(after, title) || memcmp(after.at + title.len, ".**", 3) != 0) continue;
        *text = trim((Str){after.at + title.len + 3, after.len - title.len - 3});
        return i;
    }
    return -1;
}

// The next cell of "| a | b \| c |", without its escapes; false behind the last bar.
static bool next_cell(Str *rest, Arena *arena, Str *cell) {
    StrBuf text = {0};
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->at[i] == '|') {
            *cell = arena_str(arena, trim(strbuf_str(&text)));
            *rest = (Str){rest->at + i + 1, rest->len - i - 1};
            strbuf_free(&text);
            return true;
        }
        if (rest->at[i] == '\\' && i + 1 < rest->len && rest->at[i + 1] == '|') i++;
        strbuf_add_char(&text, rest->at[i]);
    }
    strbuf_free(&text);
    return false;
}

static bool read_figure(JournalFigure *f, Arena *arena, Str line) {
    Str rest = {line.at + 1, line.len - 1}, verdict;
    if (!next_cell(&rest, arena, &f->gate) || !next_cell(&rest, arena, &f->scope) ||
        !next_cell(&rest, arena, &verdict) || !next_cell(&rest, arena, &f->text))
        return false;
    for (int v = 0; v < PROOF_VERDICT_COUNT; v++)
        if (str_is(verdict, proof_verdict_word((ProofVerdict)v))) {
            f->has_passed = v != PROOF_FAILED;
            return true;
        }
    return false; // heads and rules of a table
}

static bool is_row(Str line) {
    return str_starts(line, STR("|"));
}

static bool is_heading(Str text) {
    return str_starts(text, STR("## "));
}

// At most: lines that look like a row of figures, and like the beginning of an entry.
static size_t count_rows(Str text) {
    size_t n = 0;
    while (text.len) n += is_row(trim(next_line(&text)));
    return n;
}

static size_t count_headings(Str text) {
    size_t n = 0;
    while (text.len) n += is_heading(next_line(&text));
    return n;
}

// Prose that goes on over several lines; a question in italics is no answer.
static void add_prose(Str *field, Arena *arena, Str line) {
    if (line.len == 0) return;
    *field = field->len ? arena_printf(arena, "%.*s %.*s", STR_ARG(*field), STR_ARG(line)) : line;
}

static bool is_question(Str s) {
    return s.len > 2 && s.at[0] == '_' && s.at[s.len - 1] == '_' && s.at[s.len - 2] == '?';
}

static void read_entry(JournalEntry *entry, Arena *arena, Str body) {
    entry->figures = arena_array(arena, count_rows(body), JournalFigure);
    int field = -1;
    while (body.len) {
        Str line = trim(next_line(&body)), text;
        int begun = field_of(line, &text);
        if (begun >= 0) {
            field = begun;
            if (!is_question(text)) add_prose(&entry->fields[field], arena, text);
        } else if (is_row(line)) {
            if (read_figure(&entry->figures[entry->n_figures], arena, line)) entry->n_figures++;
        } else if (field >= 0) {
            add_prose(&entry->fields[field], arena, line);
        }
    }
}

void journal_parse(Journal *journal, Arena *arena, Str text) {
    *journal = (Journal){.entries = arena_array(arena, count_headings(text), JournalEntry)};
    while (text.len) {
        Str line = next_line(&text);
        if (!is_heading(line)) continue;
        Str body = {text.at, 0};
        while (text.len && !is_heading(text)) next_line(&text);
        body.len = (size_t)(text.at - body.at);
        JournalEntry *entry = &journal->entries[journal->n_entries++];
        entry->title = trim((Str){line.at + 3, line.len - 3});
        read_entry(entry, arena, body);
    }
}

bool journal_read(Journal *journal, Arena *arena, const char *bundle_dir, Err *err) {
    *journal = (Journal){0};
    const char *path = path_join(arena, path_join(arena, bundle_dir, "verify"), "journal.md");
    if (!path_exists(path)) return true;
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    Str text = arena_str(arena, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    journal_parse(journal, arena, text);
    return true;
}

// ---- comparing

static const JournalFigure *find_figure(const JournalEntry *e, const JournalFigure *like) {
    for (size_t i = 0; i < e->n_figures; i++)
        if (str_eq(e->figures[i].gate, like->gate) && str_eq(e->figures[i].scope, like->scope))
            return &e->figures[i];
    return NULL;
}

static bool has_gate(const JournalEntry *e, Str gate) {
    for (size_t i = 0; i < e->n_figures; i++)
        if (str_eq(e->figures[i].gate, gate)) return true;
    return false;
}

size_t journal_compare(JournalChange **changes, Arena *arena, const JournalEntry *before,
                       const JournalEntry *after) {
    size_t n = 0;
    *changes = arena_array(arena, before->n_figures + after->n_figures, JournalChange);
    for (size_t i = 0; i < after->n_figures; i++) {
        const JournalFigure *now = &after->figures[i], *was = find_figure(before, now);
        if (was && str_eq(was->text, now->text) && was->has_passed == now->has_passed) continue;
        if (!has_gate(before, now->gate)) continue;
        (*changes)[n++] = (JournalChange){was, now};
    }
    for (size_t i = 0; i < before->n_figures; i++)
        if (has_gate(after, before->figures[i].gate) && !find_figure(after, &before->figures[i]))
            (*changes)[n++] = (JournalChange){&before->figures[i], NULL};
    return n;
}

static Str next_word(Str *rest) {
    *rest = trim(*rest);
    size_t n = 0;
    while (n < rest->len && rest->at[n] != ' ') n++;
    Str word = {rest->at, n};
    *rest = (Str){rest->at + n, rest->len - n};
    return word;
}

static size_t count_words(Str s) {
    size_t n = 0;
    while (next_word(&s).len) n++;
    return n;
}

void journal_print_change(StrBuf *out, const JournalChange *c) {
    if (!c->before || !c->after) {
        const JournalFigure *f = c->before ? c->before : c->after;
        strbuf_printf(out, "%s: %.*s", c->before ? "gone" : "new", STR_ARG(f->text));
        return;
    }
    if (c->before->has_passed != c->after->has_passed)
        strbuf_printf(out, "%s -> %s; ", c->before->has_passed ? "ok" : "FAILED",
                      c->after->has_passed ? "ok" : "FAILED");
    Str was = c->before->text, now = c->after->text;
    if (count_words(was) != count_words(now)) {
        strbuf_printf(out, "%.*s -> %.*s", STR_ARG(was), STR_ARG(now));
        return;
    }
    bool is_first = true;
    for (size_t left = count_words(was); left; left--) {
        Str a = next_word(&was), b = next_word(&now);
        if (str_eq(a, b)) continue;
        strbuf_printf(out, "%s%.*s -> %.*s", is_first ? "" : ", ", STR_ARG(a), STR_ARG(b));
        is_first = false;
    }
}
