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
     "A gate is one kind of comparison. All of them have to pass before a bundle is used; a model "
     "is measured against the reference, which is computed from the model file by other code than "
     "the packages. A percentage says how much of the error that a gate allows was used up. Open "
     "one to see its figures.",
     page_gates, NULL, "lathe verify BUNDLE"},
    {"contract", "Contract", "The contract: what the file says, and who confirms it",
     "The numbers that give the weights a meaning: sizes, norms, rotary embedding, tokens. "
     "Converter "
     "and reference both read them from the model file, so an error there would be shared by all. "
     "Two witnesses that do not share it: a second source, such as the publisher's config.json, "
     "and the weights themselves.",
     page_contract, "contract", "lathe verify BUNDLE"},
    {"use", "Use", "How it is used: what lies between a user's words and the model",
     "Choices that the weights do not make: how long a session may be, which rotary factors apply, "
     "the template, sampling. The bundle was proved under these; where one is not the publisher's, "
     "his is named.",
     page_use, NULL, "lathe verify BUNDLE"},
    {"vote", "Vote", "Do the weights agree with the contract?",
     "The reference reads a text under the contract and under each misreading of it. Weights that "
     "are read wrongly predict worse; when a misreading predicts better, the contract is suspect.",
     page_vote, "vote", "lathe verify BUNDLE --gates vote"},
    {"layers", "Layers", "Error, layer by layer: packages against the reference",
     "How far the output of each layer is from the reference's. Lower is better, the scale is in "
     "powers of ten, and a dashed line shows what is allowed: a line of points must stay below the "
     "dashed line of its colour. What is too small for the scale is drawn at its bottom.",
     page_layers, "graph,layer-golden", "lathe verify BUNDLE --gates graph,layer-golden"},
    {"text", "Text", "What it answers: bundle against the source",
     "Prompts answered token by token beside the reference, and a text that both read. Where the "
     "two would choose another token, the reference must hardly prefer its own: by no more than "
     "six times the noise of 16 bits and packed weights.",
     page_text, "text", "lathe verify BUNDLE --gates text"},
    {"range", "Room", "Room in the numbers: activations against what the hardware holds",
     "16-bit numbers end at 65504, sums of the Neural Engine at 32752 (published for M4 and M6). "
     "A number beyond is lost.",
     page_range, "range", "CONVERT --range auto"},
    {"mutants", "Planted errors", "Would an error have been seen?",
     "Conversions that are wrong on purpose, one error at a time, judged by the same gates. Each "
     "must be noticed; one that survives is a hole in the proof.",
     page_mutants, NULL, "lathe verify BUNDLE --mutants all"},
    {"placement", "Placement", "Where it would run: a prediction, not measured",
     "Each op of the packages against published rules of what the Neural Engine takes. Rows are "
     "kinds of op, columns layers; a mark shows the worst op of its kind there.",
     page_placement, "residency", "lathe verify BUNDLE --gates residency"},
    {"device", "Devices", "On devices: what gates found there, apart from the proof",
     "The proof above was computed by lathe's own engine and holds everywhere. What stands here "
     "holds "
     "for the machine named, its system and its version of the framework alone. A plan says what "
     "the "
     "framework means to do; the other gates ran the packages there.",
     page_device, NULL, "lathe verify BUNDLE --engine coreml"},
    {"packages", "Sizes", "Sizes on disk and in memory", "What the bundle's files take.",
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
        {"contract", "the numbers that give the weights a meaning. The same weights under another "
                     "contract are another model"},
        {"reference", "the model computed in 32-bit numbers straight from its file, by code that "
                      "shares nothing with the compiler but the reading of the contract"},
        {"cosine (cos)", "1 when two lists of numbers point the same way, 0 when they have nothing "
                         "in common. Plots show 1 - cos: smaller is better"},
        {"row", "what a layer puts out at one position of a text; the worst is the one farthest "
                "off"},
        {"rmse, max_abs", "typical and largest difference of single numbers"},
        {"KL", "how much one distribution over next tokens would surprise the other, in nats"},
        {"package, shard", "a Core ML model on disk; a bundle is a row of them"},
        {"ANE", "the Apple Neural Engine. Core ML decides at load time what it runs there"},
        {"seal", "the proof a bundle carries: which gates it passed, over which bytes. Chat uses "
                 "sealed bundles only"},
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
