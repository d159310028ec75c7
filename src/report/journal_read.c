// journal_read.c — reads the journal, as edited by people, and the figures; compares two runs.
#include <jansson.h>
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

// The line at `rest`, which moves past it.
static Str next_line(Str *rest) {
    const char *end = memchr(rest->at, '\n', rest->len);
    Str line = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t used = line.len + (end != NULL);
    *rest = (Str){rest->at + used, rest->len - used};
    return line;
}

// "**Intent.** text": which field begins here, and the text after its title; -1 when none does.
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

static bool is_heading(Str text) {
    return str_starts(text, STR("## "));
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
    int field = -1;
    while (body.len) {
        Str line = trim(next_line(&body)), text;
        int begun = field_of(line, &text);
        if (begun >= 0) {
            field = begun;
            if (!is_question(text)) add_prose(&entry->fields[field], arena, text);
        } else if (field >= 0 && !str_starts(line, STR("|"))) { // not the table of figures
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

// ---- figures

static Str text_of(Arena *arena, const json_t *object, const char *key) {
    const json_t *text = json_object_get(object, key);
    return json_is_string(text)
               ? arena_str(arena, (Str){json_string_value(text), json_string_length(text)})
               : (Str){0};
}

static void read_figures(JournalEntry *entry, Arena *arena, const json_t *results) {
    const json_t *result;
    size_t i;
    entry->has_figures = true;
    entry->figures = arena_array(arena, json_array_size(results), JournalFigure);
    json_array_foreach(results, i, result) entry->figures[entry->n_figures++] =
        (JournalFigure){text_of(arena, result, "gate"), text_of(arena, result, "scope"),
                        text_of(arena, result, "text"), proof_verdict_of(result)};
}

// The first entry of that title that has no figures yet.
static JournalEntry *find_entry(Journal *journal, Str title) {
    for (size_t i = 0; i < journal->n_entries; i++)
        if (!journal->entries[i].has_figures && str_eq(journal->entries[i].title, title))
            return &journal->entries[i];
    return NULL;
}

void journal_parse_figures(Journal *journal, Arena *arena, Str text) {
    while (text.len) {
        Str line = next_line(&text);
        json_t *record = json_loadb(line.at, line.len, 0, NULL);
        JournalEntry *entry = find_entry(journal, text_of(arena, record, "title"));
        if (json_is_object(record) && entry)
            read_figures(entry, arena, json_object_get(record, "results"));
        json_decref(record);
    }
}

// The text of a file under verify/; empty when there is none.
static bool read_text(Str *text, Arena *arena, const char *bundle_dir, const char *name, Err *err) {
    const char *path = path_join(arena, path_join(arena, bundle_dir, "verify"), name);
    *text = (Str){0};
    if (!path_exists(path)) return true;
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    *text = arena_str(arena, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    return true;
}

bool journal_read(Journal *journal, Arena *arena, const char *bundle_dir, Err *err) {
    *journal = (Journal){0};
    Str text, figures;
    if (!read_text(&text, arena, bundle_dir, "journal.md", err) ||
        !read_text(&figures, arena, bundle_dir, "journal.jsonl", err))
        return false;
    journal_parse(journal, arena, text);
    journal_parse_figures(journal, arena, figures);
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
        if (was && str_eq(was->text, now->text) && was->verdict == now->verdict) continue;
        if (!has_gate(before, now->gate)) continue;
        (*changes)[n++] = (JournalChange){was, now};
    }
    for (size_t i = 0; i < before->n_figures; i++)
        if (has_gate(after, before->figures[i].gate) && !find_figure(after, &before->figures[i]))
            (*changes)[n++] = (JournalChange){&before->figures[i], NULL};
    return n;
}

bool journal_shares_gate(const JournalEntry *a, const JournalEntry *b) {
    for (size_t i = 0; i < a->n_figures; i++)
        if (has_gate(b, a->figures[i].gate)) return true;
    return false;
}
