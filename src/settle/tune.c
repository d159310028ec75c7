#include "settle/tune.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/size.h"
#include "convert/setting_file.h"
#include "settle/measure.h"
#include "settle/result.h"

static bool is_timed(QuestionId q) {
    FigureId decides = settle_questions[q].decides;
    return decides == FIGURE_decode_ms || decides == FIGURE_prefill_ms;
}

// Whether `best` is better than the question's first variant by more than the runs differ.
static bool is_clear(const Run *run, QuestionId q, size_t best) {
    FigureId decides = settle_questions[q].decides;
    for (size_t i = 0; i < settle_n_variants; i++) {
        if (settle_variants[i].question != q || !run->of_variant[i]) continue;
        if (i == best) return false;
        Measured first = record_figure(run, setting_of(run->of_variant[i]), q, decides);
        Measured other = record_figure(run, setting_of(run->of_variant[best]), q, decides);
        return !first.n || other.most < first.least;
    }
    return false;
}

// The first word of the options, "--kv", unless `all` has it.
static bool is_new(const char *all, const char *options) {
    char word[64];
    size_t n = strcspn(options, " ");
    if (n + 2 > sizeof word) return false;
    memcpy(word, options, n);
    word[n] = ' ';
    word[n + 1] = 0;
    return !strstr(all, word);
}

// The options of the variants that are clearly best, together.
static const char *combine(Run *run) {
    StrBuf all = {0};
    for (QuestionId q = 0; q < QUESTION_COUNT; q++) {
        size_t best;
        if (!is_timed(q) || !result_best(run, q, &best) || !is_clear(run, q, best)) continue;
        const char *options = settle_variants[best].options;
        if (*options && is_new(all.len ? all.at : "", options))
            strbuf_printf(&all, "%s%s", all.len ? " " : "", options);
    }
    const char *text = arena_cstr(&run->arena, strbuf_str(&all));
    strbuf_free(&all);
    return text;
}

enum { MAX_CANDIDATES = 8 };

static size_t candidates(Run *run, Compared list[MAX_CANDIDATES]) {
    size_t n = 0;
    const char *const given[] = {"", combine(run)};
    for (size_t i = 0; i < COUNT_OF(given); i++) {
        Setting *s = setting_add(run, given[i]);
        if (s && (i == 0 || *given[i])) list[n++] = (Compared){s, i ? "combined" : "plain"};
    }
    for (size_t i = 0; i < settle_n_variants && n < MAX_CANDIDATES; i++) {
        Setting *s = run->of_variant[i];
        bool is_listed = settle_variants[i].question != QUESTION_speed || !s;
        for (size_t k = 0; k < n; k++) is_listed = is_listed || list[k].setting == s;
        if (!is_listed) list[n++] = (Compared){s, settle_variants[i].name};
    }
    return n;
}

static Setting *fastest(const Run *run, const Compared *list, size_t n) {
    Setting *best = NULL;
    double least = 0;
    for (size_t i = 0; i < n; i++) {
        Setting *s = setting_of(list[i].setting);
        Measured m = record_figure(run, s, QUESTION_speed, FIGURE_decode_ms);
        if (!m.n || !result_is_usable(run, s, QUESTION_speed, true)) continue;
        if (best && m.median >= least) continue;
        best = list[i].setting;
        least = m.median;
    }
    return best;
}

static bool keep(Run *run, const char *name, const Setting *s, const char **kept, Err *err) {
    const CoremlMachine *m = &run->machine.machine;
    SettingFile file = {.name = name,
                        .options = s->options,
                        .tool = run->job->version,
                        .system = m->system,
                        .os_build = m->build,
                        .chip = m->chip,
                        .is_stand_in = run->machine.is_stand_in};
    Measured ms =
        record_figure(run, setting_of((Setting *)(uintptr_t)s), QUESTION_speed, FIGURE_decode_ms);
    file.decode_ms = ms.median;
    *kept = arena_printf(&run->arena, "%s: %s, %.4g ms a token of decode", name,
                         *s->options ? s->options : "no further options", ms.median)
                .at;
    return setting_file_write(&file, run->folder, err) &&
           (run->machine.is_stand_in || setting_file_install(&file, err));
}

bool tune(Run *run, const char *name, const char **kept, Err *err) {
    Compared list[MAX_CANDIDATES];
    size_t n = candidates(run, list);
    for (size_t i = 0; i < n; i++)
        if (!setting_convert(run, list[i].setting, err)) return false;
    // The plan is asked of every question's settings but `speed`'s, whose stages lack it.
    if (!measure(run, QUESTION_where, list, n, err) || !measure(run, QUESTION_speed, list, n, err))
        return false;
    const Setting *best = fastest(run, list, n);
    *kept = NULL;
    if (best) return keep(run, name, best, kept, err);
    unlink(path_join(&run->arena, run->folder, arena_printf(&run->arena, "%s.json", name).at));
    return true;
}
