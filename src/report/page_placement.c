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
    {'a', "ane", "Neural Engine", NULL},
    {'i', "idx", "CPU, once before the graph", "·"},
    {'u', "unk", "unknown", "?"},
    {'c', "cpu", "CPU", "C"},
    {'f', "fault", "runs, with wrong results or none", "!"},
};

static size_t severity(char mark) {
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (marks[i].mark == mark) return i + 1;
    return 0;
}

static void write_legend(StrBuf *out) {
    strbuf_add(out, STR("<ul class=\"legend\">"));
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        strbuf_printf(out, "<li><i class=\"%s\">%s</i>%s</li>", marks[i].class_name,
                      marks[i].letter ? marks[i].letter : "", marks[i].meaning);
    strbuf_add(out, STR("</ul>"));
}

// ---- maps

enum { MOST_LAYERS = 1024, MOST_ROWS = 4096 };

// The map of a function in one package; false when it is none that can be drawn.
typedef struct {
    size_t first, n_layers;
    const json_t *rows;
} PackageMap;

static bool read_map(const json_t *function, PackageMap *m) {
    const json_t *map = json_object_get(function, "map");
    double n_layers = member_number(map, "layers"), first = member_number(map, "first_layer");
    if (!(n_layers >= 0 && n_layers <= MOST_LAYERS && first >= 0 && first <= MOST_LAYERS))
        return false;
    *m = (PackageMap){(size_t)first, (size_t)n_layers, json_object_get(map, "rows")};
    return json_array_size(m->rows) <= MOST_ROWS;
}

// Rows of a map over layers from `first` on, n_columns - 1 of them, and a column for ops of no
// layer. A row is a kind of op with the worst of its places, or each op.
typedef struct {
    Arena *arena;
    size_t first, n_columns, n;
    bool by_kind;
    SvgMapRow *rows;
} Rows;

static void add_rows(Rows *r, const PackageMap *m) {
    const json_t *row;
    size_t i;
    json_array_foreach(m->rows, i, row) {
        const char *name = json_string_value(json_array_get(row, r->by_kind ? 1 : 0));
        const char *found = json_string_value(json_array_get(row, 2));
        if (!name || !found || strlen(found) < m->n_layers + 1) continue;
        size_t at = r->n;
        for (size_t k = 0; r->by_kind && k < r->n; k++)
            if (strcmp(r->rows[k].name, name) == 0) at = k;
        if (at == r->n) {
            char *blank = arena_alloc(r->arena, r->n_columns + 1, 1);
            memset(blank, ' ', r->n_columns);
            r->rows[r->n++] = (SvgMapRow){name, blank};
        }
        char *into = (char *)r->rows[at].marks;
        for (size_t c = 0; c <= m->n_layers; c++) {
            size_t to = c < m->n_layers ? m->first - r->first + c : r->n_columns - 1;
            if (severity(found[c]) > severity(into[to])) into[to] = found[c];
        }
    }
}

static void draw_rows(StrBuf *out, const Rows *r, const char *title) {
    if (r->n)
        svg_map(out, title, r->rows, r->n, r->n_columns, (double)r->first, marks, COUNT_OF(marks));
}

// All packages' functions of one name, in one map over all layers.
static void write_whole_map(StrBuf *out, const json_t *shards, const char *name) {
    const json_t *shard, *function;
    size_t i, k, end = 0, n_rows = 0;
    PackageMap m;
    json_array_foreach(shards, i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        if (!member_is(function, "name", name) || !read_map(function, &m)) continue;
        end = end > m.first + m.n_layers ? end : m.first + m.n_layers;
        n_rows += json_array_size(m.rows);
    }
    if (n_rows == 0) return;
    Arena arena = {0};
    Rows rows = {&arena, 0, end + 1, 0, true, arena_array(&arena, n_rows, SvgMapRow)};
    json_array_foreach(shards, i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        if (member_is(function, "name", name) && read_map(function, &m)) add_rows(&rows, &m);
    }
    StrBuf title = {0};
    strbuf_printf(&title, "%s: kinds of op over layers", name);
    draw_rows(out, &rows, title.at);
    strbuf_free(&title);
    arena_free(&arena);
}

static void write_every_op(StrBuf *out, const json_t *function) {
    PackageMap m;
    if (!read_map(function, &m) || json_array_size(m.rows) == 0) return;
    Arena arena = {0};
    Rows rows = {&arena, m.first, m.n_layers + 1,
                 0,      false,   arena_array(&arena, json_array_size(m.rows), SvgMapRow)};
    add_rows(&rows, &m);
    strbuf_add(out, STR("<details><summary>Every op</summary>"));
    draw_rows(out, &rows, "ops over layers");
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

static void write_stream(StrBuf *out, const json_t *function) {
    double slow = member_number(function, "slow_bytes"),
           all = member_number(function, "conv_bytes");
    if (!(all > 0)) return;
    strbuf_add(out, STR("<p class=\"dim\">Weights of convolutions: "));
    html_bytes(out, all);
    if (!(slow > 0)) {
        strbuf_add(out, STR(", none of them at the half speed of rule X01.</p>"));
        return;
    }
    strbuf_add(out, STR(", of which "));
    html_bytes(out, slow);
    strbuf_add(out, STR(" at half speed on some chips (rule X01).</p>"));
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

// ---- one function over all packages

static const struct {
    const char *name, *meaning;
} known[] = {{"decode", "one token at a time"},
             {"prefill", "a chunk of the prompt at once"},
             {"head", "scores of the next token"}};

static void write_evicted(StrBuf *out, const json_t *function) {
    if (!*member_text(function, "evicted_by")) return;
    strbuf_add(out, STR("; <b class=\"no\">all of it is off by rule "));
    html_words(out, member_text(function, "evicted_by"));
    strbuf_add(out, STR("</b>"));
}

typedef struct {
    double conv, all_conv, ops, all_ops, index;
} Counts;

static void write_counts(StrBuf *out, const Counts *c) {
    strbuf_add(out, STR("Predicted: "));
    html_number(out, c->conv);
    strbuf_add(out, STR(" of "));
    html_number(out, c->all_conv);
    strbuf_add(out, STR(" convolutions and "));
    html_number(out, c->ops);
    strbuf_add(out, STR(" of "));
    html_number(out, c->all_ops);
    strbuf_add(out, STR(" ops on the Neural Engine"));
    if (c->index > 0) strbuf_printf(out, ", %.0f small ones on the CPU before it", c->index);
}

static double sum_of(const json_t *shards, const char *name, const char *member) {
    const json_t *shard, *function;
    double sum = 0;
    size_t i, k;
    json_array_foreach(shards, i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        double x = member_number(function, member);
        if (member_is(function, "name", name) && !isnan(x)) sum += x;
    }
    return sum;
}

static void write_whole(StrBuf *out, const json_t *shards, const char *name) {
    const json_t *shard, *function;
    size_t i, k;
    strbuf_add(out, STR("<div><h3>"));
    html_words(out, name);
    for (i = 0; i < COUNT_OF(known); i++)
        if (strcmp(known[i].name, name) == 0) strbuf_printf(out, ": %s", known[i].meaning);
    strbuf_add(out, STR("</h3><p>"));
    Counts counts = {sum_of(shards, name, "conv_ane"), sum_of(shards, name, "conv_total"),
                     sum_of(shards, name, "compute_ane"), sum_of(shards, name, "compute_total"),
                     sum_of(shards, name, "index_ops")};
    write_counts(out, &counts);
    json_array_foreach(shards, i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        if (member_is(function, "name", name)) write_evicted(out, function);
    }
    strbuf_add(out, STR(".</p>"));
    write_whole_map(out, shards, name);
    strbuf_add(out, STR("</div>"));
}

// Whether `name` is met for the first time at function `k` of shard `i`.
static bool is_first(const json_t *shards, size_t i, size_t k, const char *name) {
    const json_t *shard, *function;
    size_t a, b;
    json_array_foreach(shards, a, shard)
        json_array_foreach(json_object_get(shard, "functions"), b, function) {
        if (a == i && b == k) return true;
        if (member_is(function, "name", name)) return false;
    }
    return true;
}

// ---- package by package

static void write_function(StrBuf *out, const json_t *placement, const json_t *function) {
    strbuf_add(out, STR("<h4>"));
    html_words(out, member_text(function, "name"));
    strbuf_add(out, STR("</h4><p>"));
    Counts counts = {member_number(function, "conv_ane"), member_number(function, "conv_total"),
                     member_number(function, "compute_ane"),
                     member_number(function, "compute_total"),
                     member_number(function, "index_ops")};
    write_counts(out, &counts);
    write_evicted(out, function);
    strbuf_add(out, STR(".</p>"));
    write_estimate(out, function);
    write_stream(out, function);
    write_every_op(out, function);
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
    strbuf_add(out, page_has_device(p->report)
                        ? STR("; a device's own plan stands under <a href=\"#device\">Devices</a>.")
                        : STR("; measured on a device: nothing."));
    strbuf_add(out, STR(" The column – is for ops of no layer.</p>"));
    write_legend(out);
    strbuf_add(out, STR("<div class=\"plots\">"));
    json_array_foreach(shards, i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        const char *name = member_text(function, "name");
        if (is_first(shards, i, k, name)) write_whole(out, shards, name);
    }
    strbuf_add(out, STR("</div>"));
    json_array_foreach(shards, i, shard) {
        strbuf_add(out, STR("<details><summary><b>"));
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
