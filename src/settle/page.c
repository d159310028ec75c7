#include "settle/page.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "report/html.h"
#include "report/members.h"
#include "report/svg.h"
#include "settle/result.h"

typedef struct {
    StrBuf *out;
    const json_t *result;
    bool is_stand_in, is_predicted_only;
} SettlePage;

static FigureId figure_of(const char *name) {
    FigureId f = 0;
    while (f < FIGURE_COUNT && strcmp(settle_figures[f].name, name) != 0) f++;
    return f;
}

static void write_figure(StrBuf *out, const char *name, double value) {
    StrBuf text = {0};
    FigureId f = figure_of(name);
    if (f < FIGURE_COUNT && isfinite(value)) result_print_figure(&text, f, value);
    html_text(out, text.len ? strbuf_str(&text) : STR("–"));
    strbuf_free(&text);
}

// ---- the top

static const char *word_of_measured(const SettlePage *p) {
    return p->is_stand_in ? "from the stand-in" : "measured";
}

static void write_verdict(SettlePage *p) {
    const json_t *n = json_object_get(p->result, "predictions");
    double wrong = member_number(n, "wrong"), right = member_number(n, "right"),
           open = member_number(n, "open");
    bool is_complete = member_is_yes(p->result, "complete");
    const char *state = p->is_predicted_only ? "part"
                        : wrong > 0          ? "bad"
                        : is_complete        ? "good"
                                             : "part";
    strbuf_printf(p->out, "<div class=\"verdict %s\"><b class=\"top\">", state);
    if (p->is_predicted_only)
        strbuf_add(p->out, STR("Predicted, nothing measured"));
    else if (!is_complete)
        strbuf_add(p->out, STR("Not complete: run the same command again to continue"));
    else
        strbuf_printf(p->out, "%.0f prediction%s wrong", wrong, wrong == 1 ? " is" : "s are");
    strbuf_printf(p->out, "</b>%.0f right, %.0f wrong, %.0f open: not measured.</div>", right,
                  wrong, open);
    if (p->is_stand_in)
        strbuf_add(
            p->out,
            STR("<div class=\"alarm\" id=\"stand-in\"><h2>No figure here is a device's</h2><p>This "
                "program is linked with a stand-in for Core ML that runs on a CPU. The figures "
                "show that the command works. They say nothing about a Neural Engine.</p></div>"));
}

static void write_machine(SettlePage *p) {
    const json_t *m = json_object_get(p->result, "machine");
    static const char *const facts[][2] = {{"system", "System"},
                                           {"build", "Build"},
                                           {"framework", "Core ML"},
                                           {"chip", "Chip"},
                                           {"model", "Model"}};
    strbuf_add(p->out, STR("<ul class=\"tiles\">"));
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        if (!*member_text(m, facts[i][0])) continue; // a system without such a thing
        strbuf_printf(p->out, "<li><span>%s</span><b>", facts[i][1]);
        html_words(p->out, member_text(m, facts[i][0]));
        strbuf_add(p->out, STR("</b></li>"));
    }
    strbuf_add(p->out, STR("<li><span>Memory</span><b>"));
    html_bytes(p->out, member_number(m, "memory_bytes"));
    strbuf_printf(p->out, "</b></li><li><span>Neural Engine cores</span><b>%.0f</b></li></ul>",
                  member_number(m, "ane_cores"));
}

// ---- predictions

static void write_range(SettlePage *p, const json_t *prediction) {
    const char *figure = member_text(prediction, "figure"), *to = member_text(prediction, "to");
    double low = member_number(prediction, "low"), high = member_number(prediction, "high");
    if (*to) {
        strbuf_printf(p->out, "%.2f to %.2f times that of ", low, high);
        html_words(p->out, to);
        return;
    }
    write_figure(p->out, figure, low);
    if (low == high) return;
    strbuf_add(p->out, STR(" to "));
    write_figure(p->out, figure, high);
}

static void write_prediction(SettlePage *p, const json_t *prediction, bool names_question) {
    static const char *const marks[][3] = {
        {"right", "ok", "✓"}, {"wrong", "no", "✗"}, {"open", "maybe", "–"}};
    const char *verdict = member_text(prediction, "verdict"), *state = "maybe", *mark = "–";
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (strcmp(marks[i][0], verdict) == 0) state = marks[i][1], mark = marks[i][2];
    strbuf_printf(p->out, "<tr><td data-l=\"\"><b class=\"%s\">%s</b> ", state, mark);
    if (names_question) {
        html_words(p->out, member_text(prediction, "question"));
        strbuf_add(p->out, STR(": "));
    }
    html_words(p->out, member_text(prediction, "variant"));
    strbuf_add(p->out, STR("</td><td data-l=\"figure\">"));
    html_name(p->out, member_text(prediction, "figure"));
    strbuf_add(p->out, STR("</td><td data-l=\"predicted\">"));
    write_range(p, prediction);
    strbuf_printf(p->out, "</td><td data-l=\"%s\">", word_of_measured(p));
    write_figure(p->out, member_text(prediction, "figure"),
                 member_number(json_object_get(prediction, "measured"), "median"));
    strbuf_add(p->out, STR("</td><td data-l=\"because\">"));
    html_words(p->out, member_text(prediction, "because"));
    strbuf_add(p->out, STR(" <span class=\"dim\">"));
    html_words(p->out, member_text(prediction, "source"));
    strbuf_add(p->out, STR("</span></td></tr>\n"));
}

static void open_predictions(SettlePage *p) {
    strbuf_printf(p->out,
                  "<table class=\"stack predictions\"><thead><tr><th>variant</th><th>figure</th>"
                  "<th>predicted</th><th>%s</th><th>because</th></tr></thead><tbody>",
                  word_of_measured(p));
}

static void write_wrong(SettlePage *p) {
    const json_t *list = member_list(p->result, "wrong"), *one;
    size_t i;
    if (!list) return;
    strbuf_add(p->out, STR("<section id=\"wrong\"><h2>Predictions that were wrong</h2>"));
    open_predictions(p);
    json_array_foreach((json_t *)(uintptr_t)list, i, one) write_prediction(p, one, true);
    strbuf_add(p->out, STR("</tbody></table></section>\n"));
}

// ---- a question

static void write_bars(SettlePage *p, const json_t *question) {
    enum { MOST = 12 };
    SvgBar bars[MOST];
    StrBuf texts[MOST] = {0};
    const char *figure = member_text(question, "decides");
    FigureId f = figure_of(figure);
    const json_t *variant;
    size_t i, n = 0;
    double most = 0;
    if (f == FIGURE_COUNT || figure_is_yes_or_no(f)) return;
    json_array_foreach(json_object_get(question, "variants"), i, variant) {
        const json_t *m = json_object_get(json_object_get(variant, "figures"), figure);
        double value = member_number(m, "median");
        if (!isfinite(value) || n == MOST) continue;
        result_print_figure(&texts[n], f, value);
        bars[n] = (SvgBar){member_text(variant, "name"), value, texts[n].at, "bar"};
        most = fmax(most, value);
        n++;
    }
    if (n > 1) svg_bars(p->out, settle_figures[f].doc, bars, n, most, (double)NAN);
    for (i = 0; i < n; i++) strbuf_free(&texts[i]);
}

static bool is_time_of_token(FigureId f) {
    StageId stage = settle_figures[f].stage;
    return stage == STAGE_decode || stage == STAGE_prefill;
}

static void write_figures(SettlePage *p, const json_t *variant) {
    const json_t *figures = json_object_get(variant, "figures");
    strbuf_add(p->out, STR("<ul class=\"plain\">"));
    for (FigureId f = 0; f < FIGURE_COUNT; f++) {
        const json_t *m = json_object_get(figures, settle_figures[f].name);
        if (!m) continue;
        strbuf_printf(p->out, "<li>%s: <b>", settle_figures[f].doc);
        write_figure(p->out, settle_figures[f].name, member_number(m, "median"));
        strbuf_add(p->out, STR("</b>"));
        if (is_time_of_token(f) && member_number(m, "median") > 0)
            strbuf_printf(p->out, ", %.3g tokens a second", 1e3 / member_number(m, "median"));
        if (member_number(m, "runs") > 1)
            strbuf_printf(p->out, " (%.4g to %.4g in %.0f runs)", member_number(m, "least"),
                          member_number(m, "most"), member_number(m, "runs"));
        strbuf_add(p->out, STR("</li>"));
    }
    strbuf_add(p->out, STR("</ul>"));
}

static void write_explained(SettlePage *p, const json_t *stage) {
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(stage, "explained"), i, row) {
        strbuf_add(p->out, STR("<br><b class=\"no\">"));
        html_words(p->out, member_text(row, "id"));
        strbuf_add(p->out, STR("</b> "));
        html_words(p->out, member_text(row, "means"));
        strbuf_add(p->out, STR(": "));
        html_words(p->out, member_text(row, "advice"));
    }
}

// "; at position 0 1.2 ms (1.1 to 1.4 in 400 calls), at 85 …", of a stage that is timed.
static void write_depths(SettlePage *p, const json_t *stage) {
    const json_t *depth;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(stage, "details"), "depths"), i, depth)
        strbuf_printf(p->out, "%s at %s%.0f %.4g ms (%.4g to %.4g in %.0f calls)", i ? "," : ";",
                      i ? "" : "position ", member_number(depth, "position"),
                      member_number(depth, "ms"), member_number(depth, "least"),
                      member_number(depth, "most"), member_number(depth, "calls"));
}

static void write_stages(SettlePage *p, const json_t *variant) {
    const json_t *stage, *stages = member_list(variant, "stages");
    size_t i;
    if (!stages) return;
    strbuf_add(p->out, STR("<ul class=\"plain\">"));
    json_array_foreach((json_t *)(uintptr_t)stages, i, stage) {
        const char *why = member_text(stage, "why");
        bool is_done = member_is(stage, "ended", "done");
        strbuf_printf(p->out, "<li><b class=\"%s\">", is_done ? "ok" : "no");
        html_words(p->out, member_text(stage, "stage"));
        strbuf_add(p->out, STR("</b> "));
        html_words(p->out, member_text(stage, "ended"));
        strbuf_printf(p->out, " in %.1f s, <code>logs/", member_number(stage, "seconds"));
        html_words(p->out, member_text(stage, "log"));
        strbuf_add(p->out, STR("</code>"));
        write_depths(p, stage);
        if (*why) {
            strbuf_add(p->out, STR(": "));
            html_words(p->out, why);
        }
        write_explained(p, stage);
        strbuf_add(p->out, STR("</li>"));
    }
    strbuf_add(p->out, STR("</ul>"));
}

// Operations off the Neural Engine, of a stage `plan`.
static void write_off(SettlePage *p, const json_t *variant) {
    const json_t *stage, *op;
    size_t i, k;
    json_array_foreach(json_object_get(variant, "stages"), i, stage) {
        const json_t *details = json_object_get(stage, "details");
        const json_t *off = member_list(details, "off");
        if (!off) continue;
        strbuf_printf(p->out,
                      "<details><summary>%zu operations off the Neural Engine</summary><ul>",
                      json_array_size(off));
        json_array_foreach((json_t *)(uintptr_t)off, k, op) {
            strbuf_add(p->out, STR("<li><code>"));
            html_name(p->out, member_text(op, "value"));
            strbuf_add(p->out, STR("</code> "));
            html_words(p->out, member_text(op, "op"));
            strbuf_add(p->out, STR(" of "));
            html_words(p->out, member_text(op, "function"));
            strbuf_add(p->out, STR(" on the "));
            html_words(p->out, member_text(op, "device"));
            strbuf_add(p->out, STR("</li>"));
        }
        strbuf_add(p->out, STR("</ul></details>"));
    }
}

static void write_variant(SettlePage *p, const json_t *variant) {
    const char *options = member_text(variant, "options");
    const char *unasked = member_text(variant, "unasked"), *same = member_text(variant, "same_as");
    strbuf_add(p->out, STR("<h3>"));
    html_words(p->out, member_text(variant, "name"));
    strbuf_add(p->out, STR("</h3><p class=\"says\">"));
    html_words(p->out, member_text(variant, "means"));
    if (*options) {
        strbuf_add(p->out, STR(" (<code>"));
        html_words(p->out, options);
        strbuf_add(p->out, STR("</code>)"));
    }
    if (*same) {
        strbuf_add(p->out, STR("; the same bundle as "));
        html_words(p->out, same);
    }
    strbuf_add(p->out, STR("</p>"));
    if (*unasked) {
        strbuf_add(p->out, STR("<p class=\"absent\">Not measured: "));
        html_words(p->out, unasked);
        strbuf_add(p->out, STR("</p>"));
        return;
    }
    write_figures(p, variant);
    write_off(p, variant);
    write_stages(p, variant);
}

static void write_question(SettlePage *p, const json_t *q) {
    const json_t *variant, *prediction;
    size_t i, k;
    const char *answer = member_text(q, "answer");
    strbuf_add(p->out, STR("<section id=\""));
    html_words(p->out, member_text(q, "id"));
    strbuf_add(p->out, STR("\"><h2>"));
    html_words(p->out, member_text(q, "title"));
    strbuf_add(p->out, STR("</h2><p class=\"says\">"));
    html_words(p->out, member_text(q, "asks"));
    strbuf_printf(p->out, "</p><p class=\"card\"><b>%s</b> ",
                  p->is_stand_in ? "The stand-in answered:" : "Answer:");
    html_words(p->out, *answer ? answer : "none: nothing was measured");
    strbuf_add(p->out, STR("</p>"));
    write_bars(p, q);
    open_predictions(p);
    json_array_foreach(json_object_get(q, "variants"), i, variant)
        json_array_foreach(json_object_get(variant, "predictions"), k, prediction)
            write_prediction(p, prediction, false);
    strbuf_add(p->out, STR("</tbody></table>"));
    json_array_foreach(json_object_get(q, "variants"), i, variant) write_variant(p, variant);
    strbuf_add(p->out, STR("</section>\n"));
}

static void write_way_around(SettlePage *p) {
    const json_t *q;
    size_t i;
    strbuf_add(p->out, STR("<nav aria-label=\"Questions\"><ul>"));
    json_array_foreach(json_object_get(p->result, "questions"), i, q) {
        strbuf_add(p->out, STR("<li><a href=\"#"));
        html_words(p->out, member_text(q, "id"));
        strbuf_add(p->out, STR("\">"));
        html_words(p->out, member_text(q, "title"));
        strbuf_add(p->out, STR("</a></li>"));
    }
    strbuf_add(p->out, STR("</ul></nav>\n"));
}

void settle_page(const json_t *result, StrBuf *out) {
    SettlePage p = {.out = out,
                    .result = result,
                    .is_stand_in = member_is_yes(json_object_get(result, "machine"), "stand_in"),
                    .is_predicted_only = member_is_yes(result, "predicted_only")};
    const json_t *q;
    size_t i;
    strbuf_printf(out,
                  "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                  "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link "
                  "rel=\"icon\" href=\"data:,\"><title>lathe settle</title><style>%s</style></head>"
                  "<body><main>\n<p class=\"kicker\">lathe settle</p><h1>",
                  page_style[0]);
    html_words(out, member_text(result, "subject"));
    strbuf_add(out, STR("</h1>"));
    write_verdict(&p);
    write_machine(&p);
    write_way_around(&p);
    write_wrong(&p);
    json_array_foreach(json_object_get(result, "questions"), i, q) write_question(&p, q);
    strbuf_add(out, STR("<section id=\"send\"><h2>To send back</h2><p>The whole folder: "
                        "<code>settle.json</code>, this page, <code>predictions.json</code>, "
                        "<code>records/</code> and <code>logs/</code>. No weight is in "
                        "it.</p></section>\n</main></body></html>\n"));
}
