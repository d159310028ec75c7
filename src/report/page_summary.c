// page_summary.c — the top of the page: proved or not, what this is, and the proof in figures.
#include <math.h>
#include <stdio.h>

#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"

typedef struct {
    size_t n_run, n_failed, n_checks, n_checks_failed;
    const char *failed[GATE_COUNT];
    // the gate whose result used most of what it allows
    const char *nearest_gate;
    double nearest_use; // NaN: none says
} Tally;

static Tally tally_of(const json_t *report) {
    Tally t = {.nearest_use = NAN};
    for (int i = 0; i < GATE_COUNT; i++) {
        GateSum sum = page_gate_sum(report, gates[i].name);
        t.n_run += sum.has_run;
        t.n_checks += sum.n_checks;
        t.n_checks_failed += sum.counts[PROOF_FAILED];
        if (sum.counts[PROOF_FAILED]) t.failed[t.n_failed++] = gates[i].name;
        if (isnan(sum.most_used) || sum.most_used <= t.nearest_use) continue;
        t.nearest_use = sum.most_used;
        t.nearest_gate = gates[i].name;
    }
    return t;
}

static void write_verdict(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    if (t->n_failed) {
        strbuf_printf(
            out,
            "<div class=\"verdict bad\"><b class=\"top\">✗ Not proved</b>%zu of %zu checks "
            "failed, in %s ",
            t->n_checks_failed, t->n_checks, t->n_failed > 1 ? "gates" : "gate");
        for (size_t i = 0; i < t->n_failed; i++)
            strbuf_printf(out, "%s<a href=\"#gates\">%s</a>", i ? ", " : "", t->failed[i]);
        strbuf_add(out, STR(". The bundle is not sealed, and chat refuses it.</div>"));
    } else if (!t->n_run || !member_is_yes(p->report, "passed")) {
        strbuf_add(out, STR("<div class=\"verdict part\"><b class=\"top\">? Nothing was "
                            "compared</b>The report holds no results.</div>"));
    } else if (t->n_run < GATE_COUNT) {
        strbuf_printf(out,
                      "<div class=\"verdict part\"><b class=\"top\">◐ Partly checked</b>%zu of %d "
                      "gates were asked for, and passed. That is not a proof: a seal needs all of "
                      "them, and chat refuses the bundle without one.</div>",
                      t->n_run, (int)GATE_COUNT);
    } else {
        strbuf_printf(out,
                      "<div class=\"verdict good\"><b class=\"top\">✓ Proved on this machine's "
                      "CPU</b>All %zu checks of %d gates passed, and the bundle was sealed: chat "
                      "uses it. Nothing here ran on Apple hardware.</div>",
                      t->n_checks, (int)GATE_COUNT);
    }
}

static void write_story(Page *p) {
    const json_t *bundle = json_object_get(p->report, "bundle");
    const json_t *source = json_object_get(bundle, "source");
    StrBuf *out = p->out;
    strbuf_add(out, STR("<p>"));
    html_code(out, *member_text(bundle, "name") ? member_text(bundle, "name") : "This bundle");
    strbuf_add(out, STR(" is a language model as Core ML packages for the Apple Neural Engine, "
                        "made from "));
    html_code(out, *member_text(source, "name") ? member_text(source, "name") : "a GGUF file");
    strbuf_add(out, STR(" by lathe. This page says whether the packages compute what that file "
                        "means, and whether the file says the right thing: they were read back "
                        "from disk, run on a CPU, and compared with a computation of the model by "
                        "other code.</p>"));
}

// ---- tiles: a figure each. Colours of `state` repeat what the words say.

static void open_tile(StrBuf *out, const char *name, const char *state) {
    strbuf_printf(out, "<li><span>%s</span><b%s%s%s>", name, *state ? " class=\"" : "", state,
                  *state ? "\"" : "");
}

static void close_tile(StrBuf *out, const char *says) {
    strbuf_printf(out, "</b><small>%s</small></li>", says);
}

static void write_witness_tiles(Page *p) {
    StrBuf *out = p->out;
    const json_t *field;
    size_t i, n_agree = 0, n_contradict = 0, n = 0, n_better = 0;
    json_array_foreach(json_object_get(p->report, "contract"), i, field) {
        FieldWitness w = page_witness(p->report, member_text(field, "field"));
        n_agree += w.n_agree > 0 && w.n_contradict == 0;
        n_contradict += w.n_contradict > 0;
        n_better += w.n_better;
        n += w.n_worse + w.n_even + w.n_better;
    }
    if (n_agree + n_contradict) {
        open_tile(out, "A second source", n_contradict ? "no" : "ok");
        strbuf_printf(out, n_contradict ? "%zu contradicted" : "%zu agree",
                      n_contradict ? n_contradict : n_agree);
        close_tile(out, "fields of the contract");
    }
    if (n) {
        open_tile(out, "The weights' vote", n_better ? "no" : "ok");
        strbuf_printf(out, n_better ? "%zu of %zu" : "0 of %zu", n_better ? n_better : n, n);
        close_tile(out, "misreadings fit better");
    }
}

static const json_t *result_named(const json_t *report, const char *gate, const char *scope) {
    const json_t *list = json_object_get(json_object_get(report, "gates"), gate), *result;
    size_t i;
    json_array_foreach(list, i, result) {
        if (member_is(result, "scope", scope)) return result;
    }
    return NULL;
}

static void write_placement_tile(Page *p) {
    double ane = 0, all = 0;
    const json_t *list = json_object_get(json_object_get(p->report, "gates"), "residency"), *r;
    size_t i;
    json_array_foreach(list, i, r) {
        const json_t *f = json_object_get(r, "figures");
        if (!json_object_get(f, "compute_total")) continue;
        ane += member_number(f, "compute_ane");
        all += member_number(f, "compute_total");
    }
    if (!(all > 0)) return;
    open_tile(p->out, "On the Neural Engine", "");
    strbuf_printf(p->out, "%.1f %%", 100 * ane / all);
    close_tile(p->out, "of ops: predicted, not measured");
}

static void write_result_tiles(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    const json_t *head = json_object_get(result_named(p->report, "head", "text"), "figures");
    if (head) {
        open_tile(out, "Same next token", "");
        html_number(out, 100 * member_number(head, "top1"));
        strbuf_add(out, STR(" %"));
        close_tile(out, "at positions of a prose text (gate head)");
    }
    if (t->nearest_gate) {
        open_tile(out, "Most of a bound used", t->nearest_use > 1 ? "no" : "");
        strbuf_printf(out, "%.0f %%</b><small>of the error gate %s allows</small></li>",
                      100 * t->nearest_use, t->nearest_gate);
    }
    double room = page_least_room(p->report);
    if (!isnan(room)) {
        open_tile(out, "Least room", room < 0 ? "no" : "");
        strbuf_printf(out, "%.1f bits", room);
        close_tile(out, "before a number is too large");
    }
    size_t n, n_survived;
    page_count_mutants(p->report, &n, &n_survived);
    if (n) {
        open_tile(out, "Planted errors", n_survived ? "no" : "ok");
        strbuf_printf(out, "%zu of %zu", n - n_survived, n);
        close_tile(out, "were noticed");
    }
    write_placement_tile(p);
}

static void write_model_tiles(StrBuf *out, const json_t *bundle) {
    const json_t *options = json_object_get(bundle, "options");
    const json_t *packages = member_list(bundle, "packages"), *package;
    open_tile(out, "Model", "");
    html_words(out, member_text(bundle, "architecture"));
    strbuf_add(out, STR("</b><small>"));
    page_number(out, bundle, "layers");
    strbuf_add(out, STR(" layers of width "));
    page_number(out, bundle, "d_model");
    strbuf_add(out, STR("; context "));
    page_number(out, options, "context");
    strbuf_add(out, STR("</small></li>"));

    double total = 0;
    size_t i;
    json_array_foreach(packages, i, package) total += member_number(package, "bytes");
    open_tile(out, "On disk", "");
    strbuf_printf(out, json_array_size(packages) == 1 ? "%zu package, " : "%zu packages, ",
                  json_array_size(packages));
    html_bytes(out, total);
    strbuf_add(out, STR("</b><small>for "));
    html_words(out, member_text(options, "target"));
    strbuf_add(out, STR(", weights "));
    html_words(out, member_text(options, "weights"));
    strbuf_add(out, STR("; file "));
    html_bytes(out, member_number(json_object_get(bundle, "source"), "bytes"));
    strbuf_add(out, STR("</small></li>"));
}

void page_summary(Page *p) {
    StrBuf *out = p->out;
    Tally t = tally_of(p->report);
    const json_t *bundle = json_object_get(p->report, "bundle");
    strbuf_add(out,
               STR("<p class=\"kicker\">lathe report: is this bundle what its model is?</p><h1>"));
    html_words(out, *member_text(bundle, "name") ? member_text(bundle, "name") : "bundle");
    strbuf_add(out, STR("</h1>"));
    write_verdict(p, &t);
    page_failures(p);
    write_story(p);
    strbuf_add(out, STR("<ul class=\"tiles\">"));
    write_witness_tiles(p);
    write_result_tiles(p, &t);
    if (bundle) write_model_tiles(out, bundle);
    strbuf_add(out, STR("</ul>\n"));
    page_weak(p);
}
