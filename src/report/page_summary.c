// page_summary.c — the top of the page: what this is, whether it is proved, and where it is weak.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"

typedef struct {
    size_t n_run, n_failed, n_results, n_results_failed;
    const char *failed[GATE_COUNT];
    // the result that used most of what its gate allows
    const json_t *nearest;
    const char *nearest_gate;
    double nearest_use;
} Tally;

static Tally tally_of(const json_t *report) {
    Tally t = {0};
    const json_t *results = json_object_get(report, "gates"), *result;
    for (int i = 0; i < GATE_COUNT; i++) {
        const json_t *list = member_list(results, gates[i].name);
        bool has_failed = false;
        size_t k;
        if (!list) continue;
        t.n_run++;
        json_array_foreach(list, k, result) {
            double use = page_use(result);
            t.n_results++;
            if (!member_is_yes(result, "passed")) {
                has_failed = true;
                t.n_results_failed++;
            }
            if (isnan(use) || (t.nearest && use <= t.nearest_use)) continue;
            t.nearest = result;
            t.nearest_gate = gates[i].name;
            t.nearest_use = use;
        }
        if (has_failed) t.failed[t.n_failed++] = gates[i].name;
    }
    return t;
}

static void write_verdict(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    bool is_whole = t->n_run == GATE_COUNT;
    if (t->n_failed) {
        strbuf_printf(out,
                      "<div class=\"verdict bad\"><b>✗ Not proved</b>%zu of %zu checks failed, "
                      "in ",
                      t->n_results_failed, t->n_results);
        for (size_t i = 0; i < t->n_failed; i++)
            strbuf_printf(out, "%s<a href=\"#gates\">%s</a>", i ? ", " : "", t->failed[i]);
        strbuf_add(out, STR(". The bundle is not sealed, and chat will not use it.</div>"));
    } else if (!t->n_run || !member_is_yes(p->report, "passed")) {
        strbuf_add(out, STR("<div class=\"verdict part\"><b>? Nothing was compared</b>The report "
                            "holds no results.</div>"));
    } else if (!is_whole) {
        strbuf_printf(out,
                      "<div class=\"verdict part\"><b>◐ Partly checked</b>%zu of %d gates were "
                      "asked for; they passed. A seal takes all of them.</div>",
                      t->n_run, (int)GATE_COUNT);
    } else {
        strbuf_printf(out,
                      "<div class=\"verdict good\"><b>✓ Proved on this machine's CPU</b>All %zu "
                      "checks of %d gates passed; the bundle is sealed. Nothing here ran on Apple "
                      "hardware.</div>",
                      t->n_results, (int)GATE_COUNT);
    }
}

static void write_story(Page *p) {
    const json_t *bundle = json_object_get(p->report, "bundle");
    const json_t *source = json_object_get(bundle, "source");
    StrBuf *out = p->out;
    strbuf_add(out, STR("<p>"));
    html_code(out, *member_text(bundle, "name") ? member_text(bundle, "name") : "This bundle");
    strbuf_add(out, STR(" is a language model turned into Core ML packages for the Apple Neural "
                        "Engine, made from "));
    html_code(out, *member_text(source, "name") ? member_text(source, "name") : "a GGUF file");
    strbuf_add(out,
               STR(" by lathe. This page says whether the packages compute what that file means: "
                   "they were read back from disk, run, and compared with an independent "
                   "computation of the model.</p>"));
}

static void open_tile(StrBuf *out, const char *name) {
    strbuf_printf(out, "<li><span>%s</span><b>", name);
}

static void close_tile(StrBuf *out) {
    strbuf_add(out, STR("</li>"));
}

static void write_model_tiles(StrBuf *out, const json_t *bundle) {
    const json_t *source = json_object_get(bundle, "source"), *options;
    const json_t *packages = member_list(bundle, "packages");
    options = json_object_get(bundle, "options");
    open_tile(out, "Model");
    html_words(out, member_text(bundle, "architecture"));
    strbuf_add(out, STR("</b><small>"));
    page_number(out, bundle, "layers");
    strbuf_add(out, STR(" layers of "));
    page_number(out, bundle, "d_model");
    strbuf_add(out, STR(", file "));
    html_bytes(out, member_number(source, "bytes"));
    strbuf_add(out, STR("</small>"));
    close_tile(out);

    double total = 0;
    size_t i;
    const json_t *package;
    json_array_foreach(packages, i, package) total += member_number(package, "bytes");
    open_tile(out, "Packages");
    strbuf_printf(out, "%zu, ", json_array_size(packages));
    html_bytes(out, total);
    strbuf_add(out, STR("</b><small>for "));
    html_words(out, member_text(options, "target"));
    strbuf_add(out, STR(", weights "));
    html_words(out, member_text(options, "weights"));
    strbuf_add(out, STR("</small>"));
    close_tile(out);

    open_tile(out, "Context");
    page_number(out, options, "context");
    strbuf_add(out, STR("</b><small>positions</small>"));
    close_tile(out);
}

static const json_t *result_named(const json_t *report, const char *gate, const char *scope) {
    const json_t *list = json_object_get(json_object_get(report, "gates"), gate), *result;
    size_t i;
    json_array_foreach(list, i, result) {
        if (strcmp(member_text(result, "scope"), scope) == 0) return result;
    }
    return NULL;
}

static void write_result_tiles(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    const json_t *head = json_object_get(result_named(p->report, "head", "text"), "figures");
    if (head) {
        open_tile(out, "Same next token");
        html_number(out, 100 * member_number(head, "top1"));
        strbuf_add(out, STR(" %</b><small>of the text's positions</small>"));
        close_tile(out);
    }
    if (t->nearest) {
        open_tile(out, "Nearest to a bound");
        strbuf_printf(out, "%.0f %%</b><small>of what gate %s allows</small>", 100 * t->nearest_use,
                      t->nearest_gate);
        close_tile(out);
    }
    double ane = 0, all = 0;
    const json_t *placement = json_object_get(json_object_get(p->report, "gates"), "residency"), *r;
    size_t i;
    json_array_foreach(placement, i, r) {
        const json_t *f = json_object_get(r, "figures");
        if (!json_object_get(f, "compute_total")) continue;
        ane += member_number(f, "compute_ane");
        all += member_number(f, "compute_total");
    }
    if (all > 0) {
        open_tile(out, "On the Neural Engine");
        strbuf_printf(out, "%.1f %%</b><small>of ops: predicted, not measured</small>",
                      100 * ane / all);
        close_tile(out);
    }
}

// ---- where it is weak

static void weak_texts(Page *p) {
    const json_t *list = json_object_get(json_object_get(p->report, "gates"), "text"), *result;
    size_t i;
    json_array_foreach(list, i, result) {
        const json_t *f = json_object_get(result, "figures");
        double n = member_number(f, "differing");
        if (!(n > 0)) continue;
        strbuf_add(p->out, STR("<li><a href=\"#text\">Text</a>: “"));
        html_words(p->out, member_text(result, "scope"));
        strbuf_printf(p->out, "” would go another way at %.0f of ", n);
        page_number(p->out, f, "steps");
        strbuf_add(p->out,
                   STR(" steps; the reference itself hardly prefers its own there (margin "));
        page_number(p->out, f, "worst_margin");
        strbuf_add(p->out, STR(", noise "));
        page_number(p->out, f, "logit_noise");
        strbuf_add(p->out, STR(").</li>"));
    }
}

static void weak_placement(Page *p) {
    const json_t *placement = json_object_get(p->report, "placement"), *shard, *function;
    size_t i, k, n_small = 0, n = 0;
    json_array_foreach(json_object_get(placement, "shards"), i, shard)
        json_array_foreach(json_object_get(shard, "functions"), k, function) {
        n++;
        const json_t *estimate = json_object_get(function, "estimate");
        n_small += strcmp(member_text(estimate, "verdict"), "cpu") == 0;
    }
    if (!n) return;
    strbuf_add(p->out,
               STR("<li><a href=\"#placement\">Placement</a> is predicted from rules others "
                   "published; no device has run these packages.</li>"));
    if (n_small)
        strbuf_printf(p->out,
                      "<li>%zu of %zu functions are so small that Core ML probably leaves them on "
                      "the CPU (an estimate).</li>",
                      n_small, n);
}

static void weak_gates(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    const json_t *results = json_object_get(p->report, "gates"), *result;
    for (int i = 0; i < GATE_COUNT; i++) {
        size_t k;
        json_array_foreach(json_object_get(results, gates[i].name), k, result) {
            if (member_is_yes(result, "passed")) continue;
            strbuf_printf(out, "<li class=\"no\">%s, ", gates[i].name);
            html_words(out, member_text(result, "scope"));
            strbuf_add(out, STR(": "));
            html_words(out, member_text(result, "text"));
            strbuf_add(out, STR("</li>"));
        }
    }
    if (t->nearest) {
        strbuf_printf(out, "<li>Nearest to its bound: gate %s, ", t->nearest_gate);
        html_words(out, member_text(t->nearest, "scope"));
        strbuf_printf(out, ": %.0f %% of the error that is allowed.</li>", 100 * t->nearest_use);
    }
    bool is_first = true;
    for (int i = 0; i < GATE_COUNT; i++) {
        if (member_list(results, gates[i].name)) continue;
        strbuf_printf(out, "%s%s", is_first ? "<li>Gates that did not run: " : ", ", gates[i].name);
        is_first = false;
    }
    if (!is_first) strbuf_add(out, STR(".</li>"));
}

void page_summary(Page *p) {
    StrBuf *out = p->out;
    Tally t = tally_of(p->report);
    strbuf_add(out, STR("<h1>"));
    const char *name = member_text(json_object_get(p->report, "bundle"), "name");
    html_words(out, *name ? name : "bundle");
    strbuf_add(out, STR("</h1>"));
    write_verdict(p, &t);
    write_story(p);
    strbuf_add(out, STR("<ul class=\"tiles\">"));
    if (json_object_get(p->report, "bundle"))
        write_model_tiles(out, json_object_get(p->report, "bundle"));
    write_result_tiles(p, &t);
    strbuf_add(out, STR("</ul><h3>Where it is weak</h3><ul class=\"plain\">"));
    weak_gates(p, &t);
    weak_texts(p);
    weak_placement(p);
    strbuf_add(out, STR("</ul>\n"));
}
