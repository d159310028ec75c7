// page_facts.c — the files, and the run.
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
    const json_t *bundle = json_object_get(p->report, "bundle"), *package;
    const json_t *packages = member_list(bundle, "packages");
    if (!packages || json_array_size(packages) > MOST) return false;
    Arena arena = {0};
    SvgBar *bars = arena_array(&arena, json_array_size(packages) + 1, SvgBar);
    double limit = member_number(bundle, "package_limit"), most = 0, total = 0;
    size_t n = 0, i;
    StrBuf text = {0};
    json_array_foreach(packages, i, package) {
        const char *path = member_text(package, "package");
        double n_bytes = member_number(package, "bytes");
        text.len = 0;
        html_bytes(&text, n_bytes);
        most = fmax(most, n_bytes);
        total += n_bytes;
        const char *name = path_file_name(path);
        size_t len = strlen(name), ending = sizeof ".mlpackage" - 1;
        bool is_package = len > ending && strcmp(name + len - ending, ".mlpackage") == 0;
        bars[n++] = (SvgBar){
            .name = arena_cstr(&arena, (Str){name, is_package ? len - ending : len}),
            .value = n_bytes,
            .text = arena_cstr(&arena, strbuf_str(&text)),
            .class_name = "bar",
        };
    }
    double largest = most, host = member_number(bundle, "host_bytes");
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
    html_bytes(p->out, member_number(json_object_get(bundle, "source"), "bytes"));
    strbuf_add(p->out, STR(". A package must stay below "));
    html_bytes(p->out, limit);
    strbuf_add(p->out, STR("; the largest has "));
    html_number(p->out, round(1000 * largest / limit) / 10);
    strbuf_add(p->out, STR(" % of that. In use, keys and values of "));
    page_number(p->out, json_object_get(bundle, "options"), "context");
    strbuf_add(p->out, STR(" positions take "));
    html_bytes(p->out, member_number(bundle, "state_bytes"));
    strbuf_add(p->out, STR(" of memory besides. host.gguf holds tokenizer, template and the "
                           "embedding table.</p>"));
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
    html_number(out, round(100 * member_number(run, "seconds")) / 100);
    strbuf_add(out, STR(" s with "));
    page_number(out, run, "threads");
    strbuf_add(out, STR(" threads, peak memory "));
    html_bytes(out, member_number(run, "peak_bytes"));
    strbuf_add(out, STR(" (mapped files included)</dd><dt>Model file</dt><dd>SHA-256 "));
    html_code(out, member_text(p->report, "source_sha256"));
    strbuf_add(out, STR("</dd></dl>"));
    write_times(out, json_object_get(run, "gates"));
    return true;
}
