// template_render.c — renders conversations by the template under test, and finds what it writes
// around the texts.
//
// The text of each turn is a word in mixed case that occurs nowhere else in a rendering, so
// everything except these words is the template's own text.
#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "gates/template_impl.h"

static const char *const words[MOST_TURNS] = {
    "Qvarn.0", "Zelph.1", "Uxmor.2", "Kwyth.3", "Ploqu.4", "Vrist.5", "Jaxen.6", "Obzil.7",
    "Tymph.8", "Ghuld.9", "Nerqx.A", "Fjovo.B", "Wubek.C", "Hyzap.D", "Ciqud.E", "Rombw.F",
};

const char *role_name(char role) {
    return role == 's' ? "system" : role == 'u' ? "user" : "assistant";
}

static json_t *mark_json(Str text) {
    json_t *value = json_stringn(text.at ? text.at : "", text.len);
    return value ? value : json_string("");
}

bool template_render_turns(const TemplateCheck *c, Roles roles, const char *const *texts,
                           bool has_prompt, Str *rendered, Err *err) {
    json_t *messages = json_array();
    for (size_t i = 0; roles[i]; i++)
        json_array_append_new(
            messages, json_pack("{s:s, s:s}", "role", role_name(roles[i]), "content", texts[i]));
    // As prompt/prompt_format.c renders.
    json_t *variables =
        json_pack("{s:o, s:b, s:o, s:o}", "messages", messages, "add_generation_prompt", has_prompt,
                  "bos_token", mark_json(c->subject->bos), "eos_token", mark_json(c->subject->eos));
    if (!variables) die_out_of_memory(0);
    StrBuf out = {0};
    bool ok = template_render(c->template, variables, c->now, &out, err);
    if (ok) *rendered = arena_str(c->arena, strbuf_str(&out));
    strbuf_free(&out);
    json_decref(variables);
    return ok;
}

// How often `word` is in `text`; `at` gets the first place.
static size_t count_word(Str text, Str word, size_t *at) {
    size_t n = 0;
    for (size_t i = 0; i + word.len <= text.len; i++)
        if (memcmp(text.at + i, word.at, word.len) == 0 && n++ == 0) *at = i;
    return n;
}

bool template_measure(const TemplateCheck *c, Roles roles, Rendering *r, LostText *lost, Err *err) {
    *r = (Rendering){.roles = roles, .n = strlen(roles)};
    *lost = (LostText){0};
    memcpy(r->texts, words, sizeof r->texts);
    if (!template_render_turns(c, roles, words, true, &r->rendered, err)) return false;
    size_t places[MOST_TURNS], last = 0; // by turn; of the last turn that is not the system's
    for (size_t i = 0; i < r->n; i++) {
        *lost = (LostText){.turn = i};
        lost->n_times = count_word(r->rendered, str_of(words[i]), &places[i]);
        if (lost->n_times != 1) return false;
        lost->is_out_of_order = roles[i] != 's' && places[i] < last;
        if (lost->is_out_of_order) return false;
        if (roles[i] != 's') last = places[i];
        size_t k = i; // sorted by place
        for (; k && places[r->turns[k - 1]] > places[i]; k--) r->turns[k] = r->turns[k - 1];
        r->turns[k] = i;
    }
    size_t done = 0;
    for (size_t i = 0; i < r->n; i++) {
        size_t place = places[r->turns[i]];
        r->gaps[i] = (Str){r->rendered.at + done, place - done};
        done = place + strlen(words[r->turns[i]]);
    }
    r->gaps[r->n] = (Str){r->rendered.at + done, r->rendered.len - done};
    return true;
}

Str gap_before(const Rendering *r, size_t turn) {
    size_t i = 0;
    while (r->turns[i] != turn) i++;
    return r->gaps[i];
}

Str trim_end(Str s) {
    while (s.len && strchr(" \t\r\n", s.at[s.len - 1])) s.len--;
    return s;
}

Str cut_thinking(Str gap) {
    // DeepSeek-R1, Qwen3 and many after them; Gemma 4; Command A; Hunyuan; EXAONE Deep.
    static const char *const begins[] = {
        "<think",      "</think",         "<thought>", "<|channel>thought", "<|START_THINKING|>",
        "</mm:think>", "<|start_think|>", "<judge>",
    };
    size_t end = gap.len;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        for (size_t at = 0; at < end; at++)
            if (str_starts((Str){gap.at + at, gap.len - at}, str_of(begins[i]))) end = at;
    return (Str){gap.at, end};
}

const char *template_quoted(const TemplateCheck *c, Str text) {
    enum { MOST_SHOWN = 60 };
    Str shown = str_cut(text, MOST_SHOWN);
    Str quoted = json_quoted(c->arena, shown);
    return shown.len < text.len ? arena_printf(c->arena, "%.*s…", STR_ARG(quoted)).at
                                : arena_cstr(c->arena, quoted);
}

static void add_finding(TemplateCheck *c, bool has_passed, const char *scope, Str text) {
    if (c->findings->count < TEMPLATE_MOST_FINDINGS)
        c->findings->at[c->findings->count++] = (TemplateFinding){has_passed, scope, text};
}

void template_finding(TemplateCheck *c, bool has_passed, const char *scope, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add_finding(c, has_passed, scope, arena_vprintf(c->arena, fmt, args));
    va_end(args);
}

void template_suspicion(TemplateCheck *c, const char *scope, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    Str text = arena_vprintf(c->arena, fmt, args);
    va_end(args);
    bool is_waived = c->waivers->is_published || c->waivers->accepts_template;
    const char *more = c->waivers->is_published ? "the publisher's own template does this"
                       : is_waived
                           ? "accepted as asked"
                           : "tokenizer.chat_template is suspect; if the publisher's template does "
                             "this too, give it with --chat-template or --tokenizer-config";
    add_finding(c, is_waived, scope, arena_printf(c->arena, "%.*s; %s", STR_ARG(text), more));
}
