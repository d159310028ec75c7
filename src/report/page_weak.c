// page_weak.c — what failed and what to do; where the proof is weak and what would strengthen it.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"

// ---- failures

// Which of two contradicting values the weights support.
static const char *vote_on(const Report *report, const char *field) {
    FieldWitness w = page_witness(report, field);
    return w.n_better  ? "The model predicts text better under a misreading than under the model "
                         "file's value: the file is probably wrong"
           : w.n_even  ? "The weights cannot tell which is right"
           : w.n_worse ? "The model predicts text best under the model file's value: the second "
                         "source is probably of another model"
                       : "Gate vote has not run for this field";
}

// Both sides of a contradiction, one a line: the reason for most of the work that follows.
static void write_contradictions(Page *p) {
    StrBuf *out = p->out;
    for (size_t s = 0; s < p->report->n_sources; s++)
        for (size_t i = 0; i < p->report->sources[s].n_rows; i++) {
            const ReportAgreement *row = &p->report->sources[s].rows[i];
            if (row->kind != AGREEMENT_CONTRADICTS) continue;
            strbuf_add(out, STR("<li><b>"));
            html_words(out, row->field);
            strbuf_add(out, STR("</b> is <b>"));
            html_words(out, row->gguf);
            strbuf_add(out, STR("</b> in the model file ("));
            html_words(out, row->gguf_from);
            strbuf_add(out, STR("), but <b>"));
            html_words(out, row->config);
            strbuf_add(out, STR("</b> by its second source ("));
            html_words(out, row->config_from);
            strbuf_printf(out, "). %s.</li>", vote_on(p->report, row->field));
        }
}

static void write_failure(Page *p, GateId id) {
    const ReportResults *results = &p->report->gates[id];
    StrBuf *out = p->out;
    strbuf_printf(out, "<h3>%s</h3><ul class=\"plain\">", gates[id].name);
    if (id == GATE_contract) write_contradictions(p);
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *r = &results->list[i];
        bool is_told = id == GATE_contract &&
                       (page_witness(p->report, r->scope).n_contradict || r->is_contradiction);
        if (r->passed || is_told) continue;
        strbuf_add(out, STR("<li>"));
        html_words(out, r->scope);
        strbuf_add(out, STR(": "));
        html_words(out, r->text);
        strbuf_add(out, STR("</li>"));
    }
    strbuf_printf(out, "</ul><p>%s ", gates[id].hint);
    page_command(p, gates[id].command);
    strbuf_add(out, STR("</p>"));
}

void page_failures(Page *p) {
    bool is_open = false;
    for (int i = 0; i < GATE_COUNT; i++) {
        GateSum sum = gate_sum(&p->report->gates[i]);
        if (!sum.counts[PROOF_FAILED]) continue;
        if (!is_open)
            strbuf_add(p->out, STR("<div class=\"alarm\" id=\"failures\"><h2>What failed, and what "
                                   "to do</h2>"));
        is_open = true;
        write_failure(p, (GateId)i);
    }
    if (is_open) strbuf_add(p->out, STR("</div>"));
}

// ---- where it is weak

static void weak_gates(Page *p) {
    StrBuf *out = p->out;
    size_t n_absent = 0, n = 0;
    for (int i = 0; i < GATE_COUNT; i++) n_absent += !gate_sum(&p->report->gates[i]).has_run;
    if (!n_absent) return;
    strbuf_add(out, STR("<li><b class=\"maybe\">Gates that did not run: "));
    for (int i = 0; i < GATE_COUNT; i++)
        if (!gate_sum(&p->report->gates[i]).has_run)
            strbuf_printf(out, "%s%s", n++ ? ", " : "", gates[i].name);
    strbuf_add(out, STR("</b>. All of them: "));
    page_command(p, "lathe verify BUNDLE");
    strbuf_add(out, STR("</li>"));
}

// Fields that only the model file vouches for, of those that can be misread.
static void weak_fields(Page *p) {
    StrBuf *out = p->out;
    size_t n = 0, n_second = 0;
    for (size_t i = 0; i < p->report->n_fields; i++) {
        const char *field = p->report->fields[i].field;
        FieldWitness w = page_witness(p->report, field);
        n_second += w.n_agree + w.n_contradict;
        if (w.n_even == 0 || w.n_agree || w.n_contradict) continue;
        strbuf_add(out, n++ ? STR(", ")
                            : STR("<li>Neither the <a href=\"#vote\">weights</a> nor a second "
                                  "source confirm these values: "));
        html_words(out, field);
    }
    if (n) strbuf_add(out, STR(".</li>"));
    if (p->report->n_fields == 0 || n_second) return;
    strbuf_add(out, STR("<li>No <a href=\"#contract\">second source</a> was compared with the "
                        "model file. To compare the publisher's: "));
    page_command(p, "lathe verify BUNDLE --config config.json");
    strbuf_add(out, STR("</li>"));
}

static void weak_bound(Page *p) {
    const char *gate = NULL;
    GateSum nearest = {.most_used = NAN};
    for (int i = 0; i < GATE_COUNT; i++) {
        GateSum sum = gate_sum(&p->report->gates[i]);
        if (isnan(sum.most_used) || sum.most_used <= nearest.most_used) continue;
        nearest = sum;
        gate = gates[i].name;
    }
    if (!gate || !nearest.nearest->passed) return;
    strbuf_printf(p->out, "<li>Nearest to its bound: gate %s, ", gate);
    html_words(p->out, nearest.nearest->scope);
    strbuf_printf(p->out, ": %.0f %% of the <a href=\"#layers\">error</a> that it allows.</li>",
                  100 * nearest.most_used);
}

static void weak_texts(Page *p) {
    const ReportResults *results = &p->report->gates[GATE_text];
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        const double *f = result->figures;
        double n = f[FIGURE_differing];
        if (!(n > 0) || !result->passed) continue;
        strbuf_add(p->out, STR("<li>In its <a href=\"#text\">answer</a> to “"));
        html_words(p->out, result->scope);
        strbuf_printf(p->out, "” the bundle chooses another token at %.0f of ", n);
        html_number(p->out, f[FIGURE_steps]);
        strbuf_add(p->out,
                   STR(" steps. The two tokens are nearly tied there (the source's leads by "));
        html_number(p->out, f[FIGURE_worst_margin]);
        strbuf_add(p->out, STR(", noise "));
        html_number(p->out, f[FIGURE_logit_noise]);
        strbuf_add(p->out, STR(").</li>"));
    }
}

// What gates could not tell, and which share of it all they asked.
static void weak_proof(Page *p) {
    size_t n = 0;
    for (int i = 0; i < GATE_COUNT; i++)
        for (size_t k = 0; k < p->report->gates[i].n; k++) {
            const ReportResult *result = &p->report->gates[i].list[k];
            if (result->verdict != PROOF_UNPROVED) continue;
            strbuf_add(p->out, n++ ? STR("; ") : STR("<li><b class=\"maybe\">Unproved</b>: "));
            if (strcmp(result->scope, "-") != 0) {
                html_words(p->out, result->scope);
                strbuf_add(p->out, STR(" – "));
            }
            html_words(p->out, result->text);
        }
    if (n) strbuf_add(p->out, STR(".</li>"));
    // A value that the publisher states as well is no doubt, but it is not the file's.
    for (size_t k = 0; k < p->report->gates[GATE_contract].n; k++) {
        const ReportResult *result = &p->report->gates[GATE_contract].list[k];
        if (!result->is_setting || result->verdict == PROOF_UNPROVED) continue;
        strbuf_add(p->out, STR("<li>Set by hand: "));
        html_words(p->out, result->text);
        strbuf_add(p->out, STR(".</li>"));
    }
    for (int i = 0; i < GATE_COUNT; i++)
        for (size_t k = 0; k < p->report->gates[i].n; k++) {
            const ReportResult *result = &p->report->gates[i].list[k];
            if (!result->is_coverage) continue;
            strbuf_printf(p->out, "<li>Gate %s covers ", gates[i].name);
            html_words(p->out, result->text);
            strbuf_add(p->out, STR(".</li>"));
        }
}

static void weak_mutants(Page *p) {
    size_t n = p->report->mutants.n, n_survived = page_count_survivors(p->report);
    if (n_survived) {
        strbuf_printf(p->out,
                      "<li><b class=\"no\">%zu of %zu <a href=\"#mutants\">planted errors</a> "
                      "survived</b>: no gate notices such errors.</li>",
                      n_survived, n);
    } else if (!n) {
        strbuf_add(p->out,
                   STR("<li>Whether the gates notice an error of this model was not tested: "));
        page_command(p, "lathe verify BUNDLE --mutants all");
        strbuf_add(p->out, STR("</li>"));
    }
}

static void weak_placement(Page *p) {
    size_t n_small = 0, n = 0;
    for (size_t i = 0; i < p->report->n_shards; i++)
        for (size_t k = 0; k < p->report->shards[i].n_functions; k++) {
            n++;
            n_small += strcmp(p->report->shards[i].functions[k].estimate, "cpu") == 0;
        }
    if (!n) return;
    strbuf_add(p->out, STR("<li><a href=\"#placement\">Placement</a> is predicted from rules that "
                           "others published; "));
    strbuf_add(
        p->out,
        page_has_device(p->report)
            ? STR("the results of <a href=\"#device\">devices</a> hold for those devices alone.")
            : STR("no device has run these packages."));
    if (n_small)
        strbuf_printf(p->out,
                      " %zu of %zu functions are so small that Core ML probably leaves them on the "
                      "CPU (an estimate).",
                      n_small, n);
    strbuf_add(p->out, STR("</li>"));
}

void page_weak(Page *p) {
    strbuf_add(p->out, STR("<h2>Where it is weak</h2><ul class=\"plain\">"));
    weak_gates(p);
    weak_proof(p);
    weak_mutants(p);
    weak_fields(p);
    weak_bound(p);
    weak_texts(p);
    weak_placement(p);
    strbuf_add(p->out, STR("</ul>\n"));
}
