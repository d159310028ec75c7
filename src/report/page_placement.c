// page_placement.c — op × layer: what the rules say of each op, and which rules spoke.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

static const SvgMark marks[] = {
    {'a', "ane", "Neural Engine"},
    {'i', "idx", "CPU, once before the graph"},
    {'u', "unk", "unknown"},
    {'c', "cpu", "CPU"},
    {'f', "fault", "runs, with wrong results or none"},
};

static size_t severity(char mark) {
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (marks[i].mark == mark) return i + 1;
    return 0;
}

static void write_legend(StrBuf *out) {
    strbuf_add(out, STR("<ul class=\"legend\">"));
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        strbuf_printf(out, "<li><i class=\"%s\"></i>%s</li>", marks[i].class_name,
                      marks[i].meaning);
    strbuf_add(out, STR("</ul>"));
}

// Rows of the map: one a place in the layer, or one a kind of op with the worst of its places.
static size_t read_rows(Arena *arena, const json_t *map, size_t n_columns, bool by_kind,
                        SvgMapRow *rows) {
    const json_t *list = json_object_get(map, "rows"), *row;
    size_t n = 0, i;
    json_array_foreach(list, i, row) {
        const char *name = json_string_value(json_array_get(row, by_kind ? 1 : 0));
        const char *found = json_string_value(json_array_get(row, 2));
        if (!name || !found || strlen(found) < n_columns) continue;
        size_t at = n;
        for (size_t k = 0; by_kind && k < n; k++)
            if (strcmp(rows[k].name, name) == 0) at = k;
        if (at == n) {
            char *blank = arena_alloc(arena, n_columns + 1, 1);
            memset(blank, ' ', n_columns);
            rows[n++] = (SvgMapRow){name, blank};
        }
        char *into = (char *)rows[at].marks;
        for (size_t c = 0; c < n_columns; c++)
            if (severity(found[c]) > severity(into[c])) into[c] = found[c];
    }
    return n;
}

static void write_map(StrBuf *out, const json_t *function) {
    enum { MOST_LAYERS = 1024 };
    const json_t *map = json_object_get(function, "map");
    double n_layers = member_number(map, "layers"), first = member_number(map, "first_layer");
    size_t n_rows = json_array_size(json_object_get(map, "rows"));
    if (!(n_layers >= 0 && n_layers <= MOST_LAYERS) || n_rows == 0) return;
    // The last column is for ops of no layer: the mask, the head.
    size_t n_columns = (size_t)n_layers + 1;
    Arena arena = {0};
    SvgMapRow *rows = arena_array(&arena, n_rows, SvgMapRow);
    size_t n = read_rows(&arena, map, n_columns, true, rows);
    strbuf_add(out, STR("<div>"));
    svg_map(out, "kinds of op over layers", rows, n, n_columns, first, marks, COUNT_OF(marks));
    strbuf_add(out, STR("</div><details><summary>Every op</summary>"));
    n = read_rows(&arena, map, n_columns, false, rows);
    svg_map(out, "ops over layers", rows, n, n_columns, first, marks, COUNT_OF(marks));
    strbuf_add(out, STR("</details>"));
    arena_free(&arena);
}

static void write_estimate(StrBuf *out, const json_t *function) {
    const json_t *e = json_object_get(function, "estimate");
    const char *verdict = member_text(e, "verdict");
    const char *says = strcmp(verdict, "ane") == 0   ? "worth it"
                       : strcmp(verdict, "cpu") == 0 ? "too small to be worth it: the CPU"
                                                     : "undecided";
    strbuf_add(out, STR("<p class=\"dim\">Estimate for an M4, a call: "));
    page_number(out, e, "ane_ms");
    strbuf_add(out, STR(" ms with the Neural Engine, "));
    page_number(out, e, "cpu_ms");
    strbuf_printf(out, " ms on the CPU: %s.</p>", says);
}

static void write_findings(StrBuf *out, const json_t *placement, const json_t *function) {
    const json_t *rules = json_object_get(placement, "rules"), *found;
    size_t i;
    strbuf_add(out, STR("<div class=\"scroll\"><table><thead><tr><th>Rule</th><th>says</th>"
                        "<th class=\"n\">times</th><th>first</th></tr></thead><tbody>"));
    json_array_foreach(json_object_get(function, "findings"), i, found) {
        const char *id = member_text(found, "rule");
        const json_t *rule = json_object_get(rules, id);
        strbuf_add(out, STR("<tr>"));
        html_cell(out, "", id);
        strbuf_add(out, STR("<td>"));
        html_words(out, member_text(rule, "effect"));
        strbuf_add(out, STR(": "));
        html_words(out, member_text(rule, "text"));
        strbuf_add(out, STR("<span class=\"dim\"> Seen on "));
        html_words(out, member_text(rule, "seen"));
        strbuf_add(out, STR(", confidence "));
        html_words(out, member_text(rule, "confidence"));
        strbuf_add(out, STR("; "));
        html_words(out, member_text(rule, "source"));
        strbuf_add(out, STR("</span></td>"));
        html_number_cell(out, member_number(found, "count"));
        strbuf_add(out, STR("<td>"));
        html_words(out, member_text(found, "first"));
        strbuf_add(out, STR(": "));
        html_words(out, member_text(found, "detail"));
        strbuf_add(out, STR("</td></tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_function(StrBuf *out, const json_t *placement, const json_t *function) {
    strbuf_add(out, STR("<h3>"));
    html_words(out, member_text(function, "name"));
    strbuf_add(out, STR("</h3><p>"));
    page_number(out, function, "conv_ane");
    strbuf_add(out, STR(" of "));
    page_number(out, function, "conv_total");
    strbuf_add(out, STR(" convolutions and "));
    page_number(out, function, "compute_ane");
    strbuf_add(out, STR(" of "));
    page_number(out, function, "compute_total");
    strbuf_add(out, STR(" ops on the Neural Engine"));
    if (member_number(function, "index_ops") > 0)
        strbuf_printf(out, ", %.0f on the CPU before it", member_number(function, "index_ops"));
    if (*member_text(function, "evicted_by")) {
        strbuf_add(out, STR("; <b class=\"no\">all of it is off by rule "));
        html_words(out, member_text(function, "evicted_by"));
        strbuf_add(out, STR("</b>"));
    }
    strbuf_add(out, STR(" (predicted).</p>"));
    write_estimate(out, function);
    write_map(out, function);
    strbuf_add(out, STR("<details><summary>Rules that spoke</summary>"));
    write_findings(out, placement, function);
    strbuf_add(out, STR("</details>"));
}

bool page_placement(Page *p) {
    const json_t *placement = json_object_get(p->report, "placement"), *shard, *function;
    const json_t *shards = member_list(placement, "shards");
    StrBuf *out = p->out;
    size_t i, k;
    if (!shards) return false;
    strbuf_add(out, STR("<p>Judged for "));
    html_words(out, member_text(placement, "target"));
    strbuf_add(out,
               STR(". Measured on a device: nothing. Rows are kinds of op, columns layers; a mark "
                   "shows the worst op of its kind there. The last column is for ops of no "
                   "layer.</p>"));
    write_legend(out);
    json_array_foreach(shards, i, shard) {
        strbuf_printf(out, "<details%s><summary><b>", i == 0 ? " open" : "");
        html_words(out, member_text(shard, "package"));
        strbuf_add(out, STR("</b> "));
        html_bytes(out, member_number(shard, "bytes"));
        strbuf_add(out, STR("</summary>"));
        json_array_foreach(json_object_get(shard, "functions"), k, function)
            write_function(out, placement, function);
        strbuf_add(out, STR("</details>"));
    }
    return true;
}
