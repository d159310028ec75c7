#include "report/report.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"

typedef struct {
    const char *id, *title;
    const char *says; // what it answers, for a newcomer
    PageSection *write;
    const char *absent; // what fills it
} Section;

static const Section sections[] = {
    {"gates", "What was compared with what",
     "Each gate compares the packages on disk with something that shares no code with what made "
     "them. Open one to see its figures.",
     page_gates, "lathe verify BUNDLE"},
    {"layers", "Error, layer by layer",
     "How far each layer is from the reference. Graph: with the same weights on both sides, so "
     "that "
     "anything beyond rounding is a bug. Weights: what their compressed form costs.",
     page_layers, "lathe verify BUNDLE --gates graph,layer-golden"},
    {"text", "What it answers",
     "Prompts answered token by token beside the reference. Where the two would choose another "
     "token, the reference's own preference must be smaller than the noise.",
     page_text, "lathe verify BUNDLE --gates text"},
    {"placement", "Where it would run",
     "A prediction from published rules: which ops of each layer the Neural Engine takes. Not "
     "measured.",
     page_placement, "lathe verify BUNDLE --gates residency"},
    {"range", "Room in the numbers",
     "How near the activations come to what 16-bit numbers and the Neural Engine's sums can hold.",
     page_range, "lathe convert MODEL.gguf -o BUNDLE --force --range auto"},
    {"vote", "Do the weights agree with the contract?",
     "The reference reads a text under the stated contract and under each misreading of it. A "
     "misreading that fits the weights better means that the contract is wrong.",
     page_vote, "lathe verify BUNDLE --gates vote"},
    {"mutants", "Would an error have been seen?",
     "Errors planted one at a time. Each must be caught by a gate; one that survives shows a hole.",
     page_mutants, "lathe verify BUNDLE --mutants"},
    {"agreement", "Other sources",
     "What the model's published configuration says, against the model file.", page_agreement,
     "lathe inspect MODEL.gguf --config config.json"},
    {"contract", "The contract",
     "Every number that gives the weights their meaning, and where it was read.", page_contract,
     "lathe verify BUNDLE"},
    {"packages", "Sizes", "What is on disk, against the limit of the system it is for.",
     page_packages, "lathe verify BUNDLE"},
    {"run", "This run", "Machine, time and memory of the run that made this page.", page_run,
     "lathe verify BUNDLE"},
};

// ---- reading JSON

const char *member_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double member_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const json_t *member_list(const json_t *object, const char *key) {
    const json_t *list = json_object_get(object, key);
    return json_array_size(list) ? list : NULL;
}

bool member_is_yes(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

void page_number(StrBuf *out, const json_t *object, const char *key) {
    html_number(out, member_number(object, key));
}

double page_use(const json_t *result) {
    const json_t *f = json_object_get(result, "figures");
    double whole = (1 - member_number(f, "cos")) / (1 - member_number(f, "least_cos"));
    double worst = (1 - member_number(f, "worst_cos")) / (1 - member_number(f, "least_worst"));
    return isnan(worst) || whole > worst ? whole : worst;
}

// ---- tables of whatever there is

static void value_cell(StrBuf *out, const json_t *value) {
    if (json_is_number(value)) {
        html_number_cell(out, json_number_value(value));
        return;
    }
    if (json_is_string(value)) {
        html_cell(out, "", json_string_value(value));
        return;
    }
    char *text = value && !json_is_null(value) ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    html_cell(out, "", text ? text : "–");
    free(text);
}

void page_plain_table(StrBuf *out, const json_t *rows) {
    const json_t *first = json_array_get(rows, 0), *row, *value;
    const char *key;
    size_t i;
    strbuf_add(out, STR("<div class=\"scroll\"><table><thead><tr>"));
    json_object_foreach((json_t *)first, key, value) {
        strbuf_add(out, STR("<th>"));
        html_words(out, key);
        strbuf_add(out, STR("</th>"));
    }
    strbuf_add(out, STR("</tr></thead><tbody>"));
    json_array_foreach(rows, i, row) {
        strbuf_add(out, STR("<tr>"));
        json_object_foreach((json_t *)first, key, value) value_cell(out, json_object_get(row, key));
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

// ---- the page

static void write_section(Page *p, const Section *s) {
    strbuf_printf(p->out, "<section id=\"%s\"><h2>%s</h2><p class=\"says\">%s</p>", s->id, s->title,
                  s->says);
    if (!s->write(p)) {
        const char *name = member_text(json_object_get(p->report, "bundle"), "name");
        const char *gap = strstr(s->absent, "BUNDLE");
        strbuf_add(p->out, STR("<p class=\"absent\">Not run. <code>"));
        strbuf_add(p->out, (Str){s->absent, gap ? (size_t)(gap - s->absent) : strlen(s->absent)});
        if (gap) {
            html_words(p->out, *name ? name : "BUNDLE");
            strbuf_add(p->out, str_of(gap + strlen("BUNDLE")));
        }
        strbuf_add(p->out, STR("</code> fills this in.</p>"));
    }
    strbuf_add(p->out, STR("</section>\n"));
}

static void write_words(StrBuf *out) {
    static const char *const words[][2] = {
        {"contract", "the numbers that give the weights a meaning: sizes, norms, rotary embedding, "
                     "tokens. The same weights under another contract are another model"},
        {"reference", "the model computed in 32-bit numbers straight from its file, by code that "
                      "shares nothing with the compiler but the reading of the contract"},
        {"cosine (cos)", "1 when two lists of numbers point the same way, 0 when they have nothing "
                         "in common. Here 1 - cos is shown: smaller is better"},
        {"worst", "the same for the single row, one position of the text, that is farthest off"},
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
    strbuf_add(out, STR("</dl></section>\n"));
}

void report_page(const json_t *report, StrBuf *out) {
    Page p = {.out = out, .report = report};
    strbuf_add(out, STR("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                        // No favicon request, no outside resource of any kind.
                        "<link rel=\"icon\" href=\"data:,\"><title>"));
    const char *name = member_text(json_object_get(report, "bundle"), "name");
    html_words(out, *name ? name : "bundle");
    strbuf_printf(out, " – lathe report</title><style>%s</style></head><body><main>\n", page_style);
    page_summary(&p);
    for (size_t i = 0; i < COUNT_OF(sections); i++) write_section(&p, &sections[i]);
    write_words(out);
    strbuf_add(out, STR("</main></body></html>\n"));
}

// The kill matrix comes from runs of its own, which take long, and has its own file.
static bool add_mutants(json_t *report, const char *path, Err *err) {
    if (!path_exists(path)) return true;
    json_t *mutants = json_read_file(path, err);
    if (mutants) json_object_set_new(report, "mutants", mutants);
    return mutants != NULL;
}

bool report_write(const char *bundle_dir, const char *copy, Err *err) {
    Arena scratch = {0};
    const char *dir = path_join(&scratch, bundle_dir, "verify");
    json_t *report = json_read_file(path_join(&scratch, dir, "report.json"), err);
    StrBuf page = {0};
    bool ok = report && add_mutants(report, path_join(&scratch, dir, "mutants.json"), err);
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
