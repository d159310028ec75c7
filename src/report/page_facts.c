// page_facts.c — the files of the bundle, and the run of verify.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

bool page_packages(Page *p) {
    enum { MOST = 256 };
    const ReportBundle *bundle = &p->report->bundle;
    if (!bundle->n_packages || bundle->n_packages > MOST) return false;
    Arena arena = {0};
    SvgBar *bars = arena_array(&arena, bundle->n_packages + 1, SvgBar);
    double limit = bundle->package_limit, most = 0, total = 0;
    size_t n = 0;
    StrBuf text = {0};
    for (size_t i = 0; i < bundle->n_packages; i++) {
        double n_bytes = bundle->packages[i].n_bytes;
        text.len = 0;
        html_bytes(&text, n_bytes);
        most = fmax(most, n_bytes);
        total += n_bytes;
        const char *name = path_file_name(bundle->packages[i].path);
        size_t len = strlen(name), ending = sizeof ".mlpackage" - 1;
        bool is_package = len > ending && strcmp(name + len - ending, ".mlpackage") == 0;
        bars[n++] = (SvgBar){
            .name = arena_cstr(&arena, (Str){name, is_package ? len - ending : len}),
            .value = n_bytes,
            .text = arena_cstr(&arena, strbuf_str(&text)),
            .class_name = "bar",
        };
    }
    double largest = most, host = bundle->host_bytes;
    text.len = 0;
    html_bytes(&text, host);
    bars[n++] = (SvgBar){"host.gguf", host, arena_cstr(&arena, strbuf_str(&text)), "bar2"};
    most = fmax(most, host);
    // A limit far above everything would press the bars to nothing.
    bool shows_limit = limit < 4 * most;
    svg_bars(p->out, "on disk: packages, and what the host reads", bars, n,
             shows_limit ? fmax(most, limit) : most, shows_limit ? limit : (double)NAN);
    strbuf_add(p->out, STR("<p>Together "));
    html_bytes(p->out, total + host);
    strbuf_add(p->out, STR(" on disk, from a file of "));
    html_bytes(p->out, bundle->source_bytes);
    strbuf_add(p->out, STR(". A package must stay below "));
    html_bytes(p->out, limit);
    strbuf_add(p->out, STR("; the largest has "));
    html_number(p->out, round(1000 * largest / limit) / 10);
    strbuf_add(p->out, STR(" % of that. In use, keys and values of "));
    html_number(p->out, bundle->context);
    strbuf_add(p->out, STR(" positions take "));
    html_bytes(p->out, bundle->state_bytes);
    strbuf_add(p->out, STR(" of memory besides. host.gguf holds tokenizer, template and the "
                           "embedding table.</p>"));
    strbuf_free(&text);
    arena_free(&arena);
    return true;
}

static void write_times(StrBuf *out, const double *times) {
    SvgBar bars[GATE_COUNT];
    char texts[GATE_COUNT][32];
    double most = 0;
    size_t n = 0;
    for (int i = 0; i < GATE_COUNT; i++) {
        double seconds = times[i];
        if (isnan(seconds)) continue;
        // What an earlier run found is kept without running: it took no time at all.
        if (seconds == 0)
            snprintf(texts[n], sizeof texts[n], "kept");
        else
            snprintf(texts[n], sizeof texts[n], seconds < 10 ? "%.2f s" : "%.0f s", seconds);
        bars[n] = (SvgBar){gates[i].name, seconds, texts[n], "bar"};
        most = fmax(most, seconds);
        n++;
    }
    if (n) svg_bars(out, "time a gate took", bars, n, most, NAN);
}

bool page_run(Page *p) {
    const ReportRun *run = &p->report->run;
    StrBuf *out = p->out;
    if (!p->report->has_run) return false;
    const struct {
        const char *name, *text;
    } rows[] = {
        {"Started", run->started}, {"Machine", run->machine}, {"Gates asked for", run->asked}};
    strbuf_add(out, STR("<dl><dt>Made by</dt><dd>"));
    html_words(out, p->report->tool);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        strbuf_printf(out, "</dd><dt>%s</dt><dd>", rows[i].name);
        html_words(out, rows[i].text);
    }
    strbuf_add(out, STR("</dd><dt>Took</dt><dd>"));
    html_number(out, round(100 * run->seconds) / 100);
    strbuf_add(out, STR(" s with "));
    html_number(out, run->n_threads);
    strbuf_add(out, STR(" threads, peak memory "));
    html_bytes(out, run->peak_bytes);
    strbuf_add(out, STR(" (mapped files included)</dd><dt>Model file</dt><dd>SHA-256 "));
    html_code(out, p->report->source_sha256);
    strbuf_add(out, STR("</dd></dl>"));
    write_times(out, run->gate_seconds);
    return true;
}
