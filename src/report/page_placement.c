// page_placement.c — a map of ops and layers with the verdict on each op, and the rules that
// applied.
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
    {'i', "idx", "on the CPU, once before the other ops", "·"},
    {'u', "unk", "unknown", "?"},
    {'c', "cpu", "CPU", "C"},
    {'f', "fault", "runs, but gives wrong results or none", "!"},
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
    const ReportFunction *of;
} PackageMap;

static bool read_map(const ReportFunction *f, PackageMap *m) {
    if (!(f->n_layers >= 0 && f->n_layers <= MOST_LAYERS && f->first_layer >= 0 &&
          f->first_layer <= MOST_LAYERS))
        return false;
    *m = (PackageMap){(size_t)f->first_layer, (size_t)f->n_layers, f};
    return f->n_rows <= MOST_ROWS;
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
    for (size_t i = 0; i < m->of->n_rows; i++) {
        const ReportMapRow *row = &m->of->rows[i];
        const char *name = r->by_kind ? row->kind : row->op, *found = row->marks;
        if (!*name || strlen(found) < m->n_layers + 1) continue;
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

// Goes through the functions of all packages, those called `name`; NULL at the end.
typedef struct {
    size_t shard, function;
} FunctionAt;

static const ReportFunction *next_named(const Report *report, FunctionAt *at, const char *name) {
    for (; at->shard < report->n_shards; at->shard++, at->function = 0)
        while (at->function < report->shards[at->shard].n_functions) {
            const ReportFunction *f = &report->shards[at->shard].functions[at->function++];
            if (strcmp(f->name, name) == 0) return f;
        }
    return NULL;
}

// All packages' functions of one name, in one map over all layers.
static void write_whole_map(StrBuf *out, const Report *report, const char *name) {
    size_t end = 0, n_rows = 0;
    PackageMap m;
    const ReportFunction *function;
    for (FunctionAt at = {0}; (function = next_named(report, &at, name));) {
        if (!read_map(function, &m)) continue;
        end = end > m.first + m.n_layers ? end : m.first + m.n_layers;
        n_rows += function->n_rows;
    }
    if (n_rows == 0) return;
    Arena arena = {0};
    Rows rows = {&arena, 0, end + 1, 0, true, arena_array(&arena, n_rows, SvgMapRow)};
    for (FunctionAt at = {0}; (function = next_named(report, &at, name));)
        if (read_map(function, &m)) add_rows(&rows, &m);
    StrBuf title = {0};
    strbuf_printf(&title, "%s: kinds of op over layers", name);
    draw_rows(out, &rows, title.at);
    strbuf_free(&title);
    arena_free(&arena);
}

static void write_every_op(StrBuf *out, const ReportFunction *function) {
    PackageMap m;
    if (!read_map(function, &m) || function->n_rows == 0) return;
    Arena arena = {0};
    Rows rows = {&arena, m.first, m.n_layers + 1,
                 0,      false,   arena_array(&arena, function->n_rows, SvgMapRow)};
    add_rows(&rows, &m);
    strbuf_add(out, STR("<details><summary>Every op</summary>"));
    draw_rows(out, &rows, "ops over layers");
    strbuf_add(out, STR("</details>"));
    arena_free(&arena);
}

static void write_estimate(StrBuf *out, const ReportFunction *function) {
    const char *verdict = function->estimate;
    const char *says = strcmp(verdict, "ane") == 0 ? "worth it"
                       : strcmp(verdict, "cpu") == 0
                           ? "CPU predicted: too small to make up for the cost of the call"
                           : "undecided";
    strbuf_add(out, STR("<p class=\"dim\">Estimate for one call on an M4: "));
    html_number(out, function->ane_ms);
    strbuf_add(out, STR(" ms with the Neural Engine, "));
    html_number(out, function->cpu_ms);
    strbuf_printf(out, " ms on the CPU: %s.</p>", says);
}

static void write_stream(StrBuf *out, const ReportFunction *function) {
    double slow = function->slow_bytes, all = function->conv_bytes;
    if (!(all > 0)) return;
    strbuf_add(out, STR("<p class=\"dim\">Weights of convolutions: "));
    html_bytes(out, all);
    if (!(slow > 0)) {
        strbuf_add(out, STR(", none of them predicted to stream at half speed (rule X01).</p>"));
        return;
    }
    strbuf_add(out, STR(", of which "));
    html_bytes(out, slow);
    strbuf_add(out, STR(" predicted to stream at half speed on some chips (rule X01).</p>"));
}

static void write_findings(StrBuf *out, const ReportFunction *function) {
    strbuf_add(out, STR("<div class=\"scroll\"><table><thead><tr><th>Rule</th><th>says</th>"
                        "<th class=\"n\">times</th><th>first</th></tr></thead><tbody>"));
    for (size_t i = 0; i < function->n_findings; i++) {
        const ReportFinding *found = &function->findings[i];
        strbuf_add(out, STR("<tr>"));
        html_cell(out, "", found->rule);
        strbuf_add(out, STR("<td>"));
        html_words(out, found->effect);
        strbuf_add(out, STR(": "));
        html_words(out, found->text);
        strbuf_add(out, STR("<span class=\"dim\"> Seen on "));
        html_words(out, found->seen);
        strbuf_add(out, STR(", confidence "));
        html_words(out, found->confidence);
        strbuf_add(out, STR("; "));
        html_words(out, found->source);
        strbuf_add(out, STR("</span></td>"));
        html_number_cell(out, found->count);
        strbuf_add(out, STR("<td>"));
        html_words(out, found->first);
        strbuf_add(out, STR(": "));
        html_words(out, found->detail);
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

static void write_evicted(StrBuf *out, const ReportFunction *function) {
    if (!*function->evicted_by) return;
    strbuf_add(out, STR("; <b class=\"no\">all of it is off by rule "));
    html_words(out, function->evicted_by);
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

static void add_number(double *sum, double x) {
    if (!isnan(x)) *sum += x;
}

static Counts counts_of(const Report *report, const char *name) {
    Counts c = {0};
    const ReportFunction *f;
    for (FunctionAt at = {0}; (f = next_named(report, &at, name));) {
        add_number(&c.conv, f->conv_ane);
        add_number(&c.all_conv, f->conv_total);
        add_number(&c.ops, f->compute_ane);
        add_number(&c.all_ops, f->compute_total);
        add_number(&c.index, f->index_ops);
    }
    return c;
}

static void write_whole(StrBuf *out, const Report *report, const char *name) {
    const ReportFunction *function;
    strbuf_add(out, STR("<div><h3>"));
    html_words(out, name);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(known[i].name, name) == 0) strbuf_printf(out, ": %s", known[i].meaning);
    strbuf_add(out, STR("</h3><p>"));
    Counts counts = counts_of(report, name);
    write_counts(out, &counts);
    for (FunctionAt at = {0}; (function = next_named(report, &at, name));)
        write_evicted(out, function);
    strbuf_add(out, STR(".</p>"));
    write_whole_map(out, report, name);
    strbuf_add(out, STR("</div>"));
}

// ---- package by package

static void write_function(StrBuf *out, const ReportFunction *function) {
    strbuf_add(out, STR("<h4>"));
    html_words(out, function->name);
    strbuf_add(out, STR("</h4><p>"));
    Counts counts = {function->conv_ane, function->conv_total, function->compute_ane,
                     function->compute_total, function->index_ops};
    write_counts(out, &counts);
    write_evicted(out, function);
    strbuf_add(out, STR(".</p>"));
    write_estimate(out, function);
    write_stream(out, function);
    write_every_op(out, function);
    strbuf_add(out, STR("<details><summary>Rules that apply to these packages</summary>"));
    write_findings(out, function);
    strbuf_add(out, STR("</details>"));
}

bool page_placement(Page *p) {
    const Report *report = p->report;
    StrBuf *out = p->out;
    if (!report->n_shards) return false;
    strbuf_add(out, STR("<p>Judged for "));
    html_words(out, report->placement_target);
    strbuf_add(out, page_has_device(p->report)
                        ? STR("; a device's own plan stands under <a href=\"#device\">Devices</a>.")
                        : STR("; nothing was measured on a device."));
    strbuf_add(out, STR(" The column – has the ops that belong to no layer.</p>"));
    write_legend(out);
    strbuf_add(out, STR("<div class=\"plots\">"));
    for (size_t i = 0; i < report->n_shards; i++)
        for (size_t k = 0; k < report->shards[i].n_functions; k++) {
            const ReportFunction *function = &report->shards[i].functions[k];
            FunctionAt first = {0};
            if (next_named(report, &first, function->name) == function)
                write_whole(out, report, function->name);
        }
    strbuf_add(out, STR("</div>"));
    for (size_t i = 0; i < report->n_shards; i++) {
        const ReportShard *shard = &report->shards[i];
        strbuf_add(out, STR("<details><summary><b>"));
        html_words(out, shard->package);
        strbuf_add(out, STR("</b> "));
        html_bytes(out, shard->n_bytes);
        strbuf_add(out, STR("</summary>"));
        for (size_t k = 0; k < shard->n_functions; k++) write_function(out, &shard->functions[k]);
        strbuf_add(out, STR("</details>"));
    }
    return true;
}
