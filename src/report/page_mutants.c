// page_mutants.c — the kill matrix: planted errors, and the gates that noticed them.
//
//     mutants: {gates: [name], mutants: [{name, kind, doc, killed, killer, gates: {name: "failed" |
//     "passed" | "not run"}}], not_applicable: [{name, kind, why}]}
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "report/html.h"
#include "report/page.h"

// Classes as mutants/ names them; one that is not here is shown last, under its own name.
static const struct {
    const char *kind, *title, *doc;
} classes[] = {
    {"contract", "contract misread",
     "converter and host read another contract than the file states"},
    {"graph", "program", "an op of one layer is another, or has other operands"},
    {"rows", "weights mixed up", "rows of the source stand in another's place, or are changed"},
    {"bytes", "weight file", "bytes of the packed weights are wrong"},
    {"host", "host's arithmetic",
     "what is computed beside the packages: positions, masks, rotary tables, turns"},
    {"keys", "host's metadata", "special tokens or template differ from the source's"},
};

static bool is_of_class(const json_t *mutant, size_t class) {
    if (class < COUNT_OF(classes)) return member_is(mutant, "kind", classes[class].kind);
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (member_is(mutant, "kind", classes[i].kind)) return false;
    return true;
}

static const char *class_title(size_t class) {
    return class < COUNT_OF(classes) ? classes[class].title : "others";
}

// ---- tables with a column a gate

static void open_table(StrBuf *out, const char *first, const json_t *gates) {
    const json_t *gate;
    size_t i;
    strbuf_printf(out, "<div class=\"scroll matrix\"><table><thead><tr><th>%s</th>", first);
    json_array_foreach(gates, i, gate) {
        strbuf_add(out, STR("<th><span>"));
        html_words(out, json_string_value(gate) ? json_string_value(gate) : "");
        strbuf_add(out, STR("</span></th>"));
    }
    strbuf_add(out, STR("</tr></thead><tbody>"));
}

static void close_table(StrBuf *out) {
    strbuf_add(out, STR("</tbody></table></div>"));
}

static const char *cell_of(const json_t *mutant, const json_t *gate) {
    const char *name = json_string_value(gate);
    return name ? member_text(json_object_get(mutant, "gates"), name) : "";
}

static void write_mutant(StrBuf *out, const json_t *gates, const json_t *mutant) {
    const json_t *gate;
    size_t i;
    strbuf_add(out, STR("<tr><td><b>"));
    html_name(out, member_text(mutant, "name"));
    strbuf_add(out, STR("</b><small>"));
    html_words(out, member_text(mutant, "doc"));
    strbuf_add(out, STR("</small></td>"));
    json_array_foreach(gates, i, gate) {
        const char *cell = cell_of(mutant, gate);
        strbuf_add(out, strcmp(cell, "failed") == 0   ? STR("<td class=\"hit\">●</td>")
                        : strcmp(cell, "passed") == 0 ? STR("<td class=\"miss\">·</td>")
                                                      : STR("<td class=\"miss\"></td>"));
    }
    strbuf_add(out, STR("</tr>"));
}

// ---- the whole in a few lines: how many of each class each gate noticed

static void write_count(StrBuf *out, size_t n) {
    strbuf_printf(out, n ? "<td class=\"some\">%zu</td>" : "<td class=\"miss\">·</td>", n);
}

// Mutants that this gate noticed and no other one did.
static size_t count_alone(const json_t *mutants, const json_t *gates, const json_t *only) {
    const json_t *mutant, *gate;
    size_t i, k, n = 0;
    json_array_foreach(mutants, i, mutant) {
        size_t n_hits = 0;
        json_array_foreach(gates, k, gate) n_hits += strcmp(cell_of(mutant, gate), "failed") == 0;
        n += n_hits == 1 && strcmp(cell_of(mutant, only), "failed") == 0;
    }
    return n;
}

static void write_overview(StrBuf *out, const json_t *mutants, const json_t *gates) {
    const json_t *mutant, *gate;
    size_t i, k;
    open_table(out, "How many each gate noticed", gates);
    for (size_t class = 0; class <= COUNT_OF(classes); class ++) {
        size_t n = 0, n_killed = 0;
        json_array_foreach(mutants, i, mutant) {
            if (!is_of_class(mutant, class)) continue;
            n++;
            n_killed += member_is_yes(mutant, "killed");
        }
        if (n == 0) continue;
        strbuf_printf(out, "<tr><td><b>%s</b><small class=\"%s\">%zu of %zu noticed</small></td>",
                      class_title(class), n_killed == n ? "" : "no", n_killed, n);
        json_array_foreach(gates, k, gate) {
            size_t n_hits = 0;
            json_array_foreach(mutants, i, mutant) n_hits +=
                is_of_class(mutant, class) && strcmp(cell_of(mutant, gate), "failed") == 0;
            write_count(out, n_hits);
        }
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("<tr><td><b>by this gate alone</b><small>without it they would pass"
                        "</small></td>"));
    json_array_foreach(gates, k, gate) write_count(out, count_alone(mutants, gates, gate));
    strbuf_add(out, STR("</tr>"));
    close_table(out);
}

// ---- one by one

static void write_survivors(StrBuf *out, const json_t *mutants, const json_t *gates, size_t n) {
    const json_t *mutant;
    size_t i;
    strbuf_printf(
        out, "<div class=\"alarm\"><h3>✗ %zu survived: no gate that was asked noticed</h3>", n);
    open_table(out, "Planted error", gates);
    json_array_foreach(mutants, i, mutant) {
        if (!member_is_yes(mutant, "killed")) write_mutant(out, gates, mutant);
    }
    close_table(out);
    strbuf_add(out, STR("</div>"));
}

static void write_class(StrBuf *out, const json_t *mutants, const json_t *gates, size_t class) {
    const json_t *mutant;
    size_t i, n = 0;
    json_array_foreach(mutants, i, mutant) n +=
        is_of_class(mutant, class) && member_is_yes(mutant, "killed");
    if (n == 0) return;
    strbuf_printf(out, "<details><summary><span class=\"ok\">✓</span> <b>%s</b>: %zu noticed%s%s",
                  class_title(class), n, class < COUNT_OF(classes) ? "<span class=\"dim\">" : "",
                  class < COUNT_OF(classes) ? classes[class].doc : "");
    if (class < COUNT_OF(classes)) strbuf_add(out, STR("</span>"));
    strbuf_add(out, STR("</summary>"));
    open_table(out, "Planted error", gates);
    json_array_foreach(mutants, i, mutant) {
        if (is_of_class(mutant, class) && member_is_yes(mutant, "killed"))
            write_mutant(out, gates, mutant);
    }
    close_table(out);
    strbuf_add(out, STR("</details>"));
}

// Names under each reason.
static void write_left_out(StrBuf *out, const json_t *left_out) {
    const json_t *mutant, *other;
    size_t i, k;
    strbuf_printf(out,
                  "<details><summary>– %zu do not apply to this model</summary><ul "
                  "class=\"plain\">",
                  json_array_size(left_out));
    json_array_foreach(left_out, i, mutant) {
        const char *why = member_text(mutant, "why");
        bool is_first = true;
        for (k = 0; k < i && is_first; k++)
            is_first = !member_is(json_array_get(left_out, k), "why", why);
        if (!is_first) continue;
        strbuf_add(out, STR("<li><b>"));
        html_words(out, *why ? why : "no reason is given");
        strbuf_add(out, STR("</b>:"));
        json_array_foreach(left_out, k, other) {
            if (!member_is(other, "why", why)) continue;
            strbuf_add(out, STR(" "));
            html_words(out, member_text(other, "name"));
        }
        strbuf_add(out, STR("</li>"));
    }
    strbuf_add(out, STR("</ul></details>"));
}

bool page_mutants(Page *p) {
    const json_t *all = json_object_get(p->report, "mutants");
    const json_t *mutants = member_list(all, "mutants"), *gates = member_list(all, "gates");
    const json_t *left_out = member_list(all, "not_applicable");
    StrBuf *out = p->out;
    size_t n, n_survived;
    page_count_mutants(p->report, &n, &n_survived);
    if (n == 0) return false;
    strbuf_printf(out, "<p><b class=\"%s\">%zu of %zu planted errors were noticed</b>",
                  n_survived ? "no" : "ok", n - n_survived, n);
    if (left_out)
        strbuf_printf(out, "; %zu more do not apply to this model", json_array_size(left_out));
    strbuf_add(out,
               STR(". ● a gate that failed, as it should; · one that passed; empty: not asked, "
                   "since the answer was known (the text gate, once another has failed) or "
                   "since it was left out. Gates without a column do not judge what a bundle "
                   "computes.</p>"));
    if (n_survived) write_survivors(out, mutants, gates, n_survived);
    write_overview(out, mutants, gates);
    for (size_t class = 0; class <= COUNT_OF(classes); class ++)
        write_class(out, mutants, gates, class);
    if (left_out) write_left_out(out, left_out);
    return true;
}
