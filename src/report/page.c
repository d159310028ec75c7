#include "report/report.h"

#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "report/html.h"
#include "report/members.h"
#include "report/page.h"

typedef struct {
    const char *id, *name; // in the way around
    const char *title;
    const char *says; // what it answers and how to read it, for a newcomer
    PageSection *write;
    const char *gates;  // whose results decide its mark; NULL: it has none
    const char *absent; // the command that fills it
} Section;

static const Section sections[] = {
    {"gates", "Gates", "What was compared with what",
     "A gate is one kind of comparison. chat uses a bundle only if all gates passed. Most gates "
     "compare the packages with the reference: the model computed straight from its file, by other "
     "code than the packages. A percentage says how large the error is, compared with the largest "
     "that the gate allows. Open a gate to see its figures.",
     page_gates, NULL, "lathe verify BUNDLE"},
    {"contract", "Contract", "The contract: what the file states, and what confirms it",
     "The numbers that give the weights a meaning: sizes, norms, rotary embedding, tokens. "
     "Converter and reference both read them from the model file, so they would share an error "
     "there. Two things do not share it: a second source, such as the publisher's config.json, and "
     "the weights themselves.",
     page_contract, "contract", "lathe verify BUNDLE"},
    {"use", "Use", "How the model is used",
     "Choices that are not part of the weights and yet change the answers: how long a session may "
     "be, which rotary factors apply, the chat template, sampling. The bundle was proved with "
     "these values. The last column shows the publisher's value where another was chosen.",
     page_use, NULL, "lathe verify BUNDLE"},
    {"vote", "Vote", "Do the weights agree with the contract?",
     "Gate vote computes how well the model predicts a text under the contract, and under each "
     "misreading of it. A misreading should predict worse; if one predicts better, the contract is "
     "suspect.",
     page_vote, "vote", "lathe verify BUNDLE --gates vote"},
    {"layers", "Layers", "Error, layer by layer: packages against the reference",
     "How far the output of each layer is from the reference's. Lower is better, and the scale is "
     "in powers of ten. A dashed line is a bound: points must stay below the dashed line of their "
     "colour. Points too small for the scale are drawn at its bottom.",
     page_layers, "graph,layer-golden", "lathe verify BUNDLE --gates graph,layer-golden"},
    {"text", "Text", "What it answers: bundle against the source",
     "Prompts that both answer token by token, and a text that both read. Where the bundle chooses "
     "another token than the source, the two tokens must be nearly tied: the source's may lead by "
     "at most six times the noise of fp16 and packed weights.",
     page_text, "text", "lathe verify BUNDLE --gates text"},
    {"range", "Room", "Range: the largest numbers and the limits of the hardware",
     "fp16 ends at 65504, sums of the Neural Engine at 32752 (published for M4 and M6). A larger "
     "number overflows.",
     page_range, "range", "CONVERT --range auto"},
    {"mutants", "Planted errors", "Would the gates notice an error?",
     "The same gates ran on conversions that are wrong on purpose, each in one way. A gate must "
     "fail each of them; one that no gate fails is a hole in the proof.",
     page_mutants, NULL, "lathe verify BUNDLE --mutants all"},
    {"placement", "Placement", "Where it would run: a prediction, not measured",
     "Published rules say which ops the Neural Engine runs; each op of the packages was compared "
     "with them. Rows are kinds of op, columns are layers; a mark shows the worst op of that kind "
     "in that layer.",
     page_placement, "residency", "lathe verify BUNDLE --gates residency"},
    {"device", "Devices", "On devices: results of gates that ran there, not part of the proof",
     "lathe's own engine computed the proof above, which holds on any machine. The results here "
     "hold only for the machine named, its system and its version of Core ML. A plan says where "
     "Core ML intends to run each op; the other gates ran the packages there.",
     page_device, NULL, "lathe verify BUNDLE --engine coreml"},
    {"packages", "Sizes", "Sizes on disk and in memory", "How much the bundle's files take.",
     page_packages, NULL, "lathe verify BUNDLE"},
    {"run", "Run", "This run", "Machine, time and memory of the run that made this page.", page_run,
     NULL, "lathe verify BUNDLE"},
};

// ---- the page

// ✓, ✗ or – of the gates that a section shows; NULL where it has no verdict.
static const char *mark_of(Page *p, const Section *s, const char **state) {
    bool has_run = false, has_failed = false;
    if (s->gates) {
        for (int i = 0; i < GATE_COUNT; i++) {
            if (!gate_is_listed(s->gates, gates[i].name)) continue;
            GateSum sum = gate_sum(&p->report->gates[i]);
            has_run = has_run || sum.has_run;
            has_failed = has_failed || sum.counts[PROOF_FAILED];
        }
    } else if (s->write == page_mutants) {
        has_run = p->report->mutants.n > 0;
        has_failed = page_count_survivors(p->report) > 0;
    } else {
        return NULL;
    }
    *state = !has_run ? "maybe" : has_failed ? "no" : "ok";
    return !has_run ? "–" : has_failed ? "✗" : "✓";
}

static void write_way_around(Page *p) {
    strbuf_add(p->out, STR("<nav aria-label=\"Sections\"><ul>"));
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        const char *state, *mark = mark_of(p, &sections[i], &state);
        strbuf_printf(p->out, "<li><a href=\"#%s\">", sections[i].id);
        if (mark) strbuf_printf(p->out, "<b class=\"%s\">%s</b> ", state, mark);
        strbuf_printf(p->out, "%s</a></li>", sections[i].name);
    }
    strbuf_add(p->out, STR("<li><a href=\"#words\">Words</a></li></ul></nav>\n"));
}

static void write_section(Page *p, const Section *s) {
    strbuf_printf(p->out, "<section id=\"%s\"><h2>%s</h2><p class=\"says\">%s</p>", s->id, s->title,
                  s->says);
    if (!s->write(p)) {
        strbuf_add(p->out, STR("<p class=\"absent\">Not run. "));
        page_command(p, s->absent);
        strbuf_add(p->out, STR(" fills this in.</p>"));
    }
    strbuf_add(p->out, STR("</section>\n"));
}

static void write_words(StrBuf *out) {
    static const char *const words[][2] = {
        {"contract", "the numbers that give the weights a meaning. The same weights with another "
                     "contract are another model"},
        {"reference", "the model computed in fp32 straight from its file. Its code shares with the "
                      "compiler only the part that reads the contract"},
        {"cosine (cos)", "1 when two lists of numbers point the same way, 0 when they have nothing "
                         "in common. Plots show 1 - cos: smaller is better"},
        {"row", "the output of a layer at one position of a text; the worst row is the one with "
                "the largest error"},
        {"rmse, max_abs", "typical and largest difference of single numbers"},
        {"KL", "Kullback-Leibler divergence: how far one distribution over next tokens is from "
               "another, in nats; 0 if they are the same"},
        {"package, shard", "a Core ML model on disk; a bundle runs one or more of them in order"},
        {"ANE", "the Apple Neural Engine. Core ML decides at load time what it runs there"},
        {"seal", "the record of a proof in the bundle: which gates passed, over which bytes. chat "
                 "uses sealed bundles only"},
    };
    strbuf_add(out, STR("<section id=\"words\"><h2>Words</h2><dl>"));
    for (size_t i = 0; i < COUNT_OF(words); i++)
        strbuf_printf(out, "<dt>%s</dt><dd>%s.</dd>", words[i][0], words[i][1]);
    strbuf_add(out, STR("</dl><p class=\"dim\">Commands on this page are for the folder that holds "
                        "the bundle.</p></section>\n"));
}

void report_page(const json_t *json, StrBuf *out) {
    Arena arena = {0};
    Report report;
    report_read(&report, json, &arena);
    Page p = {.out = out, .report = &report};
    strbuf_add(out, STR("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                        // No favicon request, no outside resource of any kind.
                        "<link rel=\"icon\" href=\"data:,\"><title>"));
    html_words(out, *report.bundle.name ? report.bundle.name : "bundle");
    strbuf_printf(out, " – lathe report</title><style>%s</style></head><body><main>\n",
                  page_style[0]);
    page_summary(&p);
    write_way_around(&p);
    for (size_t i = 0; i < COUNT_OF(sections); i++) write_section(&p, &sections[i]);
    write_words(out);
    strbuf_add(out, STR("</main></body></html>\n"));
    arena_free(&arena);
}

// The kill matrix comes from runs of its own, which take long, and has its own file.
static bool add_mutants(json_t *report, const char *path, Err *err) {
    if (!path_exists(path)) return true;
    json_t *mutants = json_read_file(path, err);
    if (mutants) json_object_set_new(report, "mutants", mutants);
    return mutants != NULL;
}

// So do results on devices: they are no part of the proof.
static bool add_devices(json_t *report, const char *path, Err *err) {
    if (!path_exists(path)) return true;
    json_t *devices = json_read_file(path, err);
    bool is_of_it = devices && strcmp(member_text(devices, "chain_sha256"),
                                      member_text(report, "chain_sha256")) == 0;
    if (is_of_it) json_object_set(report, "device", devices);
    json_decref(devices);
    return devices != NULL;
}

bool report_write(const char *bundle_dir, const char *copy, Err *err) {
    Arena scratch = {0};
    const char *dir = path_join(&scratch, bundle_dir, "verify");
    json_t *report = json_read_file(path_join(&scratch, dir, "report.json"), err);
    StrBuf page = {0};
    bool ok = report && add_mutants(report, path_join(&scratch, dir, "mutants.json"), err) &&
              add_devices(report, path_join(&scratch, dir, "device.json"), err);
    if (ok) {
        report_page(report, &page);
        ok = file_replace(path_join(&scratch, dir, "report.html"), page.at, page.len, err) &&
             (!copy || file_replace(copy, page.at, page.len, err));
    }
    strbuf_free(&page);
    json_decref(report);
    arena_free(&scratch);
    return ok;
}
