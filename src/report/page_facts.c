// page_facts.c — the contract, the files, and the run.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

bool page_contract(Page *p) {
    const json_t *fields = member_list(p->report, "contract"), *field;
    StrBuf *out = p->out;
    size_t i;
    if (!fields) return false;
    strbuf_add(out, STR("<p class=\"dim\">Digest "));
    html_code(out, member_text(p->report, "contract_sha256"));
    strbuf_add(out, STR("</p><details><summary>"));
    strbuf_printf(out, "%zu fields", json_array_size(fields));
    strbuf_add(out, STR("</summary><div class=\"scroll\"><table><thead><tr><th>Field</th><th>value"
                        "</th><th>read from</th></tr></thead><tbody>"));
    json_array_foreach(fields, i, field) {
        strbuf_add(out, STR("<tr><td><b>"));
        html_words(out, member_text(field, "field"));
        strbuf_add(out, STR("</b> <span class=\"dim\">"));
        html_words(out, member_text(field, "meaning"));
        strbuf_add(out, STR("</span></td><td class=\"long\">"));
        html_words(out, member_text(field, "value"));
        strbuf_add(out, STR(" <span class=\"dim\">"));
        html_words(out, member_text(field, "unit"));
        strbuf_add(out, STR("</span></td><td class=\"long\">"));
        html_words(out, member_text(field, "kind"));
        if (*member_text(field, "from")) strbuf_add(out, STR(": "));
        html_words(out, member_text(field, "from"));
        strbuf_add(out, STR("</td></tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
    return true;
}

bool page_packages(Page *p) {
    enum { MOST = 256 };
    const json_t *bundle = json_object_get(p->report, "bundle"), *package;
    const json_t *packages = member_list(bundle, "packages");
    if (!packages || json_array_size(packages) > MOST) return false;
    Arena arena = {0};
    SvgBar *bars = arena_array(&arena, json_array_size(packages) + 1, SvgBar);
    double limit = member_number(bundle, "package_limit"), most = 0;
    size_t n = 0, i;
    StrBuf text = {0};
    json_array_foreach(packages, i, package) {
        const char *path = member_text(package, "package"), *slash = strrchr(path, '/');
        double n_bytes = member_number(package, "bytes");
        text.len = 0;
        html_bytes(&text, n_bytes);
        most = fmax(most, n_bytes);
        const char *name = slash ? slash + 1 : path;
        size_t len = strlen(name), ending = sizeof ".mlpackage" - 1;
        bool is_package = len > ending && strcmp(name + len - ending, ".mlpackage") == 0;
        bars[n++] = (SvgBar){
            .name = arena_cstr(&arena, (Str){name, is_package ? len - ending : len}),
            .value = n_bytes,
            .text = arena_cstr(&arena, strbuf_str(&text)),
            .class_name = "bar",
        };
    }
    text.len = 0;
    html_bytes(&text, member_number(bundle, "host_bytes"));
    bars[n++] = (SvgBar){"host.gguf", member_number(bundle, "host_bytes"),
                         arena_cstr(&arena, strbuf_str(&text)), "bar2"};
    most = fmax(most, member_number(bundle, "host_bytes"));
    // A limit far above everything would press the bars to nothing.
    bool shows_limit = limit < 4 * most;
    svg_bars(p->out, "bytes on disk", bars, n, shows_limit ? fmax(most, limit) : most,
             shows_limit ? limit : (double)NAN);
    strbuf_add(p->out, STR("<p class=\"dim\">A package must stay below "));
    html_bytes(p->out, limit);
    strbuf_add(p->out, STR("; the largest has "));
    html_number(p->out, round(1000 * most / limit) / 10);
    strbuf_add(p->out, STR(" % of it. The key/value states take "));
    html_bytes(p->out, member_number(bundle, "state_bytes"));
    strbuf_add(p->out, STR(" of memory besides.</p>"));
    strbuf_free(&text);
    arena_free(&arena);
    return true;
}

static void write_times(StrBuf *out, const json_t *times) {
    SvgBar bars[GATE_COUNT];
    char texts[GATE_COUNT][32];
    double most = 0;
    size_t n = 0;
    for (int i = 0; i < GATE_COUNT; i++) {
        double seconds = member_number(times, gates[i].name);
        if (isnan(seconds)) continue;
        snprintf(texts[n], sizeof texts[n], "%.2f s", seconds);
        bars[n] = (SvgBar){gates[i].name, seconds, texts[n], "bar"};
        most = fmax(most, seconds);
        n++;
    }
    if (n) svg_bars(out, "seconds a gate", bars, n, most, NAN);
}

bool page_run(Page *p) {
    const json_t *run = json_object_get(p->report, "run");
    StrBuf *out = p->out;
    if (!run) return false;
    static const struct {
        const char *key, *name;
    } rows[] = {{"started", "Started"}, {"machine", "Machine"}, {"asked", "Gates asked for"}};
    strbuf_add(out, STR("<dl><dt>Made by</dt><dd>"));
    html_words(out, member_text(p->report, "tool"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_printf(out, "</dd><dt>%s</dt><dd>", rows[i].name);
        html_words(out, member_text(run, rows[i].key));
    }
    strbuf_add(out, STR("</dd><dt>Took</dt><dd>"));
    page_number(out, run, "seconds");
    strbuf_add(out, STR(" s, peak memory "));
    html_bytes(out, member_number(run, "peak_bytes"));
    strbuf_add(out, STR(" (mapped files included)</dd><dt>Source</dt><dd>SHA-256 "));
    html_code(out, member_text(p->report, "source_sha256"));
    strbuf_add(out, STR("</dd></dl>"));
    write_times(out, json_object_get(run, "gates"));
    return true;
}
