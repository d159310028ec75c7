#include "settle/settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/child.h"
#include "base/file.h"
#include "base/size.h"
#include "bundle/chain.h"
#include "bundle/source.h"
#include "huggingface/folder.h"
#include "settle/log.h"

enum { MAX_SETTINGS = 96, MAX_WORDS = 64, CONVERT_HOURS = 6 };

void settle_say(const Run *run, const char *fmt, ...) {
    if (!run->job->line) return;
    char text[1400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    run->job->line(run->job->line_context, text);
}

json_t *settle_key(const Run *run, const char *of) {
    const CoremlMachine *m = &run->machine.machine;
    json_t *key = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "program", build_id, "system",
                            m->system, "build", m->build, "framework", m->framework, "chip",
                            m->chip, "stand_in", (int)run->machine.is_stand_in, "of", of);
    if (!key) die_out_of_memory(0);
    return key;
}

// "--kv overwrite" -> "kv-overwrite"
static char *slug_of(Arena *arena, const char *options) {
    if (!*options) return arena_cstr(arena, STR("default"));
    char *slug = arena_alloc(arena, strlen(options) + 1, 1);
    size_t n = 0;
    for (const char *at = options; *at; at++) {
        char c = isalnum((unsigned char)*at) || *at == '.' ? *at : '-';
        if (c == '-' && (n == 0 || slug[n - 1] == '-')) continue;
        slug[n++] = c;
    }
    return slug;
}

void settings_close(Run *run) {
    json_decref(run->said);
}

Setting *setting_add(Run *run, const char *options) {
    for (size_t i = 0; i < run->n_settings; i++)
        if (strcmp(run->settings[i].options, options) == 0) return &run->settings[i];
    if (run->n_settings == MAX_SETTINGS) return NULL;
    Setting *s = &run->settings[run->n_settings++];
    *s = (Setting){.slug = slug_of(&run->arena, options), .options = options};
    s->is_given = run->has_bundle && !*options;
    s->bundle = s->is_given ? arena_cstr(&run->arena, str_of(run->job->subject))
                            : path_join(&run->arena, run->bundles,
                                        arena_printf(&run->arena, "%s.lathe", s->slug).at);
    return s;
}

// ---- what every conversion gets

static void add_word(Run *run, const char *word) {
    if (run->n_base < MAX_WORDS) run->base[run->n_base++] = arena_cstr(&run->arena, str_of(word));
}

static size_t split_words(Arena *arena, const char *text, const char **words, size_t cap) {
    size_t n = 0;
    while (n < cap) {
        text += strspn(text, " ");
        size_t len = strcspn(text, " ");
        if (!len) break;
        words[n++] = arena_cstr(arena, (Str){text, len});
        text += len;
    }
    return n;
}

static void add_pair(Run *run, const char *option, Str value) {
    add_word(run, option);
    add_word(run, arena_cstr(&run->arena, value));
}

// A bundle's own options, as far as its chain states them.
static void add_options_of(Run *run, const Chain *c) {
    char context[16];
    snprintf(context, sizeof context, "%u", c->context);
    add_pair(run, "--context", str_of(context));
    add_pair(run, "--kv", c->kv);
    add_pair(run, "--windows", c->windows);
    add_pair(run, "--weights", c->weights);
    add_pair(run, "--target", c->target);
    snprintf(context, sizeof context, "%u", c->prefill_rows);
    if (c->prefill_rows) add_pair(run, "--prefill-rows", str_of(context));
    if (!c->prefill_rows) add_pair(run, "--functions", STR("decode"));
    if (chain_decode_rows(c) > 1) add_pair(run, "--functions", STR("one"));
    add_pair(run, "--norm", c->norm);
    add_pair(run, "--sizes", c->sizes);
    snprintf(context, sizeof context, "%u", c->head_slice_rows);
    if (c->head_slice_rows) add_pair(run, "--head-slice-rows", str_of(context));
    snprintf(context, sizeof context, "%u", c->weight_files);
    if (c->weight_files) add_pair(run, "--weight-files", str_of(context));
    if (!c->ranges) add_pair(run, "--range", STR("off"));
    for (size_t i = 0; i < c->settings.n_set; i++)
        add_pair(run, "--set", str_of(c->settings.set[i]));
    for (size_t i = 0; i < c->settings.n_ignored; i++)
        add_pair(run, "--ignore-key", str_of(c->settings.ignored[i]));
}

static bool find_model(Run *run, Err *err) {
    const SettleJob *job = run->job;
    run->has_bundle = path_is_bundle(job->subject);
    if (!run->has_bundle) {
        run->model = job->subject;
        return path_exists(job->subject) ||
               err_set(err, ERR_USAGE, "%s: no such bundle or model file", job->subject);
    }
    Chain chain;
    if (!chain_read(&chain, &run->arena, job->subject, err)) return false;
    run->model = source_find(job->subject, &chain, job->model, &run->arena);
    add_options_of(run, &chain);
    return true;
}

static bool is_asked(const SettleJob *job, QuestionId q) {
    if (!job->only) return true;
    for (const char *list = job->only; *list;)
        if (str_is(str_next_item(&list), settle_questions[q].name)) return true;
    return false;
}

static bool check_only(const SettleJob *job, Err *err) {
    for (const char *list = job->only; list && *list;) {
        Str name = str_next_item(&list);
        bool is_known = false;
        for (size_t i = 0; i < QUESTION_COUNT; i++)
            is_known = is_known || str_is(name, settle_questions[i].name);
        if (is_known) continue;
        StrBuf names = {0};
        for (size_t i = 0; i < QUESTION_COUNT; i++)
            strbuf_printf(&names, "%s%s", i ? ", " : "", settle_questions[i].name);
        err_set(err, ERR_USAGE, "--only %.*s: expected some of these questions: %s", STR_ARG(name),
                names.at);
        strbuf_free(&names);
        return false;
    }
    return true;
}

bool settings_open(Run *run, Err *err) {
    const SettleJob *job = run->job;
    run->source_sha256 = "";
    run->said = json_object();
    run->base = arena_array(&run->arena, MAX_WORDS, char *);
    run->settings = arena_array(&run->arena, MAX_SETTINGS, Setting);
    run->of_variant = arena_array(&run->arena, settle_n_variants, Setting *);
    if (!check_only(job, err) || !find_model(run, err)) return false;
    const char *words[MAX_WORDS];
    size_t n = job->convert ? split_words(&run->arena, job->convert, words, MAX_WORDS) : 0;
    for (size_t i = 0; i < n; i++) add_word(run, words[i]);
    // The bundle without options first: others that are the same count as it.
    for (int is_other = 0; is_other < 2; is_other++)
        for (size_t i = 0; i < settle_n_variants; i++) {
            const VariantRow *v = &settle_variants[i];
            if (is_asked(job, v->question) && (*v->options != 0) == is_other)
                run->of_variant[i] = setting_add(run, v->options);
        }
    return true;
}

// ---- converting

// The first option of the setting that convert lacks; NULL: it has all.
static const char *lacking(const Run *run, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strncmp(words[i], "--", 2) == 0 && run->job->takes_option &&
            !run->job->takes_option(words[i]))
            return words[i];
    return NULL;
}

// A bundle's own rows of prefill, where the variant has no prefill to take them.
static bool is_moot(const char *option, const char *const *words, size_t n) {
    if (strcmp(option, "--prefill-rows") != 0) return false;
    for (size_t i = 0; i + 1 < n; i++)
        if (strcmp(words[i], "--functions") == 0 && strcmp(words[i + 1], "decode") == 0)
            return true;
    return false;
}

static bool run_convert(Run *run, Setting *s, const char *const *words, size_t n, Err *err) {
    const char *arguments[MAX_WORDS * 2 + 8];
    size_t k = 0;
    arguments[k++] = run->job->program;
    arguments[k++] = "convert";
    arguments[k++] = run->model;
    arguments[k++] = "-o";
    arguments[k++] = s->bundle;
    arguments[k++] = "--force";
    for (size_t i = 0; i < run->n_base; i++) {
        if (is_moot(run->base[i], words, n))
            i++; // and its value
        else
            arguments[k++] = run->base[i];
    }
    for (size_t i = 0; i < n; i++) arguments[k++] = words[i];
    arguments[k] = NULL;
    const char *log = arena_printf(&run->arena, "%s/%s-convert.log", run->logs, s->slug).at;
    Child child = {.arguments = arguments,
                   .log = log,
                   .most_seconds = CONVERT_HOURS * 3600.0,
                   .progress = run->job->progress,
                   .stage = "convert: seconds"};
    ChildEnd end;
    if (!child_run(&child, &end, err)) return false;
    const char *reason = end.code > 0 ? log_reason(log, &run->arena) : "";
    if (*reason)
        err_set(&s->why, ERR_FORMAT, "lathe convert refused it: %s", reason);
    else if (end.code != 0)
        err_set(&s->why, ERR_SYSTEM, "lathe convert ended with code %d, signal %d; log: %s",
                end.code, end.signal, log);
    return true;
}

static bool look_at(Run *run, Setting *s, Err *err) {
    Chain chain;
    if (!chain_read(&chain, &run->arena, s->bundle, err)) return false;
    s->chain = chain.sha256;
    s->is_ready = true;
    if (!*run->source_sha256) run->source_sha256 = arena_cstr(&run->arena, chain.source_sha256);
    for (Setting *other = run->settings; other < s && !s->same; other++)
        if (other->is_ready && !other->same && strcmp(other->chain.hex, s->chain.hex) == 0)
            s->same = other;
    if (s->same) setting_drop(run, s);
    return true;
}

bool setting_convert(Run *run, Setting *s, Err *err) {
    if (s->why.kind || s->same || (s->is_ready && path_is_dir(s->bundle))) return true;
    if (s->is_given) return look_at(run, s, err);
    const char *words[MAX_WORDS], *lacks;
    size_t n = split_words(&run->arena, s->options, words, MAX_WORDS);
    if (!run->model) {
        err_set(&s->why, ERR_USAGE, "the bundle's model file was not found; name it with --model");
        return true;
    }
    if ((lacks = lacking(run, words, n))) {
        err_set(&s->why, ERR_USAGE, "lathe convert has no option %s in this version", lacks);
        return true;
    }
    if (!run_convert(run, s, words, n, err)) return false;
    return s->why.kind || look_at(run, s, err);
}

void setting_drop(Run *run, const Setting *s) {
    if (!s->is_given && !run->job->keeps_bundles) dir_remove_tree(s->bundle, NULL);
}
