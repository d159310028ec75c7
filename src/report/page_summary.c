// page_summary.c — the top of the page: the verdict, what was judged, and the main figures.
#include <math.h>
#include <stdio.h>
#include <string.h>

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

static Tally tally_of(const Report *report) {
    Tally t = {.nearest_use = NAN};
    for (int i = 0; i < GATE_COUNT; i++) {
        GateSum sum = gate_sum(&report->gates[i]);
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
    } else if (!t->n_run || !p->report->passed) {
        strbuf_add(out, STR("<div class=\"verdict part\"><b class=\"top\">? Nothing was "
                            "compared</b>The report holds no results.</div>"));
    } else if (t->n_run < GATE_COUNT) {
        strbuf_printf(out,
                      "<div class=\"verdict part\"><b class=\"top\">◐ Partly checked</b>%zu of %d "
                      "gates ran, and passed. That is not a proof: a seal needs all gates, and "
                      "chat refuses a bundle without a seal.</div>",
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
    const ReportBundle *bundle = &p->report->bundle;
    StrBuf *out = p->out;
    strbuf_add(out, STR("<p>"));
    html_code(out, *bundle->name ? bundle->name : "This bundle");
    strbuf_add(out, STR(" is a language model as Core ML packages for the Apple Neural Engine, "
                        "made from "));
    html_code(out, *bundle->source_name ? bundle->source_name : "a GGUF file");
    strbuf_add(
        out,
        STR(" by lathe. This page says whether the packages compute what that file means, and "
            "whether the file states the right model. lathe read the packages back from disk, ran "
            "them on a CPU, and compared them with the model as computed by other code.</p>"));
}

// ---- tiles: a figure each. Colours of `state` repeat what the words say.

static void open_tile(StrBuf *out, const char *name, const char *state) {
    strbuf_printf(out, "<li><span>%s</span><b%s%s%s>", name, *state ? " class=\"" : "", state,
                  *state ? "\"" : "");
}

static void close_tile(StrBuf *out, const char *says) {
    strbuf_printf(out, "</b><small>%s</small></li>", says);
}

static void count_readings(const ReportVote *vote, size_t *n, size_t *n_better) {
    for (size_t i = 0; i < vote->n_rows; i++) {
        VoteKind kind = vote->rows[i].kind;
        *n += kind == VOTE_WORSE || kind == VOTE_EVEN || kind == VOTE_BETTER;
        *n_better += kind == VOTE_BETTER;
    }
}

static void write_witness_tiles(Page *p) {
    StrBuf *out = p->out;
    size_t n_agree = 0, n_contradict = 0, n = 0, n_better = 0;
    count_readings(&p->report->vote, &n, &n_better);
    count_readings(&p->report->vote_long, &n, &n_better);
    for (size_t i = 0; i < p->report->n_fields; i++) {
        FieldWitness w = page_witness(p->report, p->report->fields[i].field);
        n_agree += w.n_agree > 0 && w.n_contradict == 0;
        n_contradict += w.n_contradict > 0;
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
        close_tile(out, "misreadings predict better");
    }
}

static const ReportResult *result_named(const ReportResults *results, const char *scope) {
    for (size_t i = 0; i < results->n; i++)
        if (strcmp(results->list[i].scope, scope) == 0) return &results->list[i];
    return NULL;
}

static void write_placement_tile(Page *p) {
    double ane = 0, all = 0;
    const ReportResults *results = &p->report->gates[GATE_residency];
    for (size_t i = 0; i < results->n; i++) {
        const double *f = results->list[i].figures;
        if (isnan(f[FIGURE_compute_total])) continue;
        ane += f[FIGURE_compute_ane];
        all += f[FIGURE_compute_total];
    }
    if (!(all > 0)) return;
    open_tile(p->out, "On the Neural Engine", "");
    strbuf_printf(p->out, "%.1f %%", 100 * ane / all);
    close_tile(p->out, "of ops: predicted, not measured");
}

static void write_result_tiles(Page *p, const Tally *t) {
    StrBuf *out = p->out;
    const ReportResult *head = result_named(&p->report->gates[GATE_head], "text");
    if (head) {
        open_tile(out, "Same next token", "");
        html_number(out, 100 * head->figures[FIGURE_top1]);
        strbuf_add(out, STR(" %"));
        close_tile(out, "at positions of a prose text (gate head)");
    }
    if (t->nearest_gate) {
        open_tile(out, "Nearest to its bound", t->nearest_use > 1 ? "no" : "");
        strbuf_printf(out, "%.0f %%</b><small>of the error gate %s allows</small></li>",
                      100 * t->nearest_use, t->nearest_gate);
    }
    double room = page_least_room(p->report);
    if (!isnan(room)) {
        open_tile(out, "Least room", room < 0 ? "no" : "");
        strbuf_printf(out, "%.1f bits", room);
        close_tile(out, "before a number overflows");
    }
    size_t n = p->report->mutants.n, n_survived = page_count_survivors(p->report);
    if (n) {
        open_tile(out, "Planted errors", n_survived ? "no" : "ok");
        strbuf_printf(out, "%zu of %zu", n - n_survived, n);
        close_tile(out, "were noticed");
    }
    write_placement_tile(p);
}

static void write_model_tiles(StrBuf *out, const ReportBundle *bundle) {
    open_tile(out, "Model", "");
    html_words(out, bundle->architecture);
    strbuf_add(out, STR("</b><small>"));
    html_number(out, bundle->n_layers);
    strbuf_add(out, STR(" layers of width "));
    html_number(out, bundle->d_model);
    strbuf_add(out, STR("; context "));
    html_number(out, bundle->context);
    strbuf_add(out, STR("</small></li>"));

    double total = 0;
    for (size_t i = 0; i < bundle->n_packages; i++) total += bundle->packages[i].n_bytes;
    open_tile(out, "On disk", "");
    strbuf_printf(out, bundle->n_packages == 1 ? "%zu package, " : "%zu packages, ",
                  bundle->n_packages);
    html_bytes(out, total);
    strbuf_add(out, STR("</b><small>for "));
    html_words(out, bundle->target);
    strbuf_add(out, STR(", weights "));
    html_words(out, bundle->weights);
    strbuf_add(out, STR("; file "));
    html_bytes(out, bundle->source_bytes);
    strbuf_add(out, STR("</small></li>"));
}

void page_summary(Page *p) {
    StrBuf *out = p->out;
    Tally t = tally_of(p->report);
    const ReportBundle *bundle = &p->report->bundle;
    strbuf_add(out, STR("<p class=\"kicker\">lathe report: does this bundle compute what its model "
                        "file means?</p><h1>"));
    html_words(out, *bundle->name ? bundle->name : "bundle");
    strbuf_add(out, STR("</h1>"));
    write_verdict(p, &t);
    page_failures(p);
    write_story(p);
    strbuf_add(out, STR("<ul class=\"tiles\">"));
    write_witness_tiles(p);
    write_result_tiles(p, &t);
    if (p->report->has_bundle) write_model_tiles(out, bundle);
    strbuf_add(out, STR("</ul>\n"));
    page_weak(p);
}
