#include "cli/verify_screen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "base/usage.h"
#include "cli/wrap.h"
#include "report/report.h"

enum { NAME = 13, INDENT = NAME + 1, SCOPE = 22 }; // columns

void screen_start(Screen *s, bool is_verbose, bool as_json) {
    *s = (Screen){.has_colour = isatty(STDOUT_FILENO),
                  .is_verbose = is_verbose,
                  .lines = as_json ? json_array() : NULL};
    s->width = (unsigned)terminal_width(stdout);
    meter_start(&s->meter);
}

static void print_verdict(const Screen *s, ProofVerdict verdict) {
    static const char *const colours[PROOF_VERDICT_COUNT] = {
        [PROOF_PASSED] = "\x1b[32m", [PROOF_FAILED] = "\x1b[31m", [PROOF_UNPROVED] = "\x1b[33m"};
    const char *on = s->has_colour ? colours[verdict] : NULL;
    printf("%s%s%s", on ? on : "", proof_verdict_word(verdict), on ? "\x1b[0m" : "");
}

void screen_line(void *context, const char *gate, const char *scope, const char *figures,
                 ProofVerdict verdict) {
    Screen *s = context;
    s->n_unproved += verdict == PROOF_UNPROVED;
    if (s->lines) {
        json_array_append_new(
            s->lines, json_pack("{s:s, s:s, s:b, s:s, s:o}", "gate", gate, "scope", scope, "passed",
                                (int)(verdict != PROOF_FAILED), "verdict",
                                proof_verdict_name(verdict), "text", json_of_str(str_of(figures))));
        return;
    }
    if (!s->is_verbose && verdict != PROOF_FAILED) return;
    meter_clear(&s->meter);
    size_t n = text_columns(scope, strlen(scope));
    printf("%-*s %s%*s ", NAME, gate, scope, n < SCOPE ? (int)(SCOPE - n) : 0, "");
    print_wrapped(stdout, figures, INDENT + (n < SCOPE ? SCOPE : n) + 1, INDENT, s->width);
    printf("  ");
    print_verdict(s, verdict);
    printf("\n");
    fflush(stdout);
}

void screen_note(void *context, const char *text) {
    Screen *s = context;
    meter_clear(&s->meter);
    fprintf(stderr, "%s\n", text);
}

// ---- a line a gate

static bool is_unproved(const ReportResult *result) {
    return result->verdict == PROOF_UNPROVED;
}

static bool is_skipped(const ReportResult *result) {
    return result->verdict == PROOF_NOTE && str_starts(str_of(result->text), STR("skipped:"));
}

// "; unproved: norm_eps, attn_window": results of a kind by their scope.
static void list_scopes(StrBuf *out, const ReportResults *results, const char *title,
                        bool is_listed(const ReportResult *)) {
    size_t n = 0;
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        if (!is_listed(result)) continue;
        strbuf_printf(out, "%s%s", n++ ? ", " : title,
                      strcmp(result->scope, "-") == 0 ? result->text : result->scope);
    }
}

static void describe(StrBuf *out, const ReportResults *results, const GateSum *sum, bool is_kept) {
    if (sum->counts[PROOF_FAILED])
        strbuf_printf(out, "%zu of %zu checks failed (above)", sum->counts[PROOF_FAILED],
                      sum->n_checks);
    else
        strbuf_printf(out, "%zu %s", sum->n_checks, sum->n_checks == 1 ? "check" : "checks");
    if (sum->nearest)
        strbuf_printf(out, "; nearest to its bound: %s, at %.0f %% of it", sum->nearest->scope,
                      100 * sum->most_used);
    list_scopes(out, results, "; unproved: ", is_unproved);
    list_scopes(out, results, "; skipped: ", is_skipped);
    if (is_kept) strbuf_add(out, STR(" (kept)"));
}

static void print_text(const Screen *s, const char *title, const char *text) {
    StrBuf line = {0};
    strbuf_printf(&line, "%s", text);
    str_replace_controls(line.at, 0);
    printf("%*s%s ", INDENT, "", title);
    print_wrapped(stdout, line.at, INDENT + strlen(title) + 1, INDENT, s->width);
    printf("\n");
    strbuf_free(&line);
}

// One question with both answers, to see what was compared: the longest answer that is one line.
static void print_answer(const Screen *s, const ReportResults *results) {
    enum { MOST = 72 };
    const ReportResult *shown = NULL;
    size_t n_longest = 0;
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        size_t n = strlen(result->source_answer);
        if (!*result->question || n > MOST || strchr(result->source_answer, '\n')) continue;
        if (shown && n <= n_longest) continue;
        n_longest = n;
        shown = result;
    }
    if (!shown) return;
    bool is_same = strcmp(shown->source_answer, shown->bundle_answer) == 0;
    print_text(s, "asked: ", shown->question);
    print_text(s, "source:", shown->source_answer);
    print_text(s, "bundle:", is_same ? "the same" : shown->bundle_answer);
}

static void print_gate(Screen *s, const char *gate, const ReportResults *results,
                       const GateSum *sum, bool is_kept) {
    meter_clear(&s->meter);
    ProofVerdict verdict = sum->counts[PROOF_FAILED] ? PROOF_FAILED : PROOF_PASSED;
    StrBuf text = {0};
    describe(&text, results, sum, is_kept);
    printf("%-*s ", NAME, gate);
    print_verdict(s, verdict);
    printf("  ");
    print_wrapped(stdout, text.at, INDENT + strlen(proof_verdict_word(verdict)) + 2, INDENT,
                  s->width);
    printf("\n");
    strbuf_free(&text);
    print_answer(s, results);
    fflush(stdout);
}

void screen_gate(void *context, const char *gate, const json_t *json, bool is_kept) {
    Screen *s = context;
    Arena arena = {0};
    ReportResults results = report_read_results(json, &arena);
    GateSum sum = gate_sum(&results);
    s->n_gates++;
    s->n_failed += sum.counts[PROOF_FAILED] > 0;
    if (!s->lines && !s->is_verbose) print_gate(s, gate, &results, &sum, is_kept);
    arena_free(&arena);
}

// ---- the end

void screen_print_end(const Screen *s, const char *name, ScreenEnd end) {
    static const char *const words[] = {
        [END_MODEL] = "these gates passed; a bundle made of it has more gates",
        [END_ALL] = "all gates passed, sealed",
        [END_STILL_SEALED] = "these gates passed; the bundle is sealed",
        [END_SOME] = "these gates passed; run all gates to seal",
        [END_DEVICE] = "these gates passed, on this machine alone",
    };
    printf("%s: %s", name, words[end]);
    if (s->n_unproved)
        printf("; %zu %s unproved (%s)", s->n_unproved, s->n_unproved == 1 ? "thing" : "things",
               s->is_verbose ? "above" : "--verbose prints why");
    printf("\n");
    if (end == END_ALL)
        printf("Sealed: the packages compute what the model file computes, within the bounds of "
               "the gates.\nThis says nothing about how good the model is, and it has not run on a "
               "Neural Engine.\n");
    fflush(stdout);
}

void screen_print_cost(Screen *s) {
    meter_stop(&s->meter);
    fprintf(stderr, "ran %zu %s in %.1f s: ", s->n_gates, s->n_gates == 1 ? "gate" : "gates",
            now_seconds() - s->meter.started);
    if (s->n_failed)
        fprintf(stderr, "%zu failed", s->n_failed);
    else
        fprintf(stderr, "all passed");
    fprintf(stderr, "; peak memory %.0f MiB resident\n", peak_bytes() / (1 << 20));
}
