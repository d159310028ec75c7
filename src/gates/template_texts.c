// template_texts.c — checks that a template renders unusual texts unchanged.
//
// What the template writes between plain words is measured first (template_render.c). It must then
// write the same around other texts; so changes of case, truncation, escaping, replacement and
// behaviour that depends on a text's content are all detected. White space around a text may be
// stripped, white space inside it may not be touched.
#include <string.h>

#include "gates/template_impl.h"

enum { LONG_WORDS = 4000 }; // some 20,000 bytes

// Written for lathe. The last one is made below.
static const char *const odd_texts[] = {
    "MiXeD CaSe, \u00c0\u00c9\u00ce \u00df\u1e9e \u0130\u0131 \u0416\u0436 "
    "\u03a3\u03c3\u03c2 and 0123456789 3.14",
    "  two  spaces, \ta tab\n\n  a blank line\r\n\n\nthree line ends  \n",
    "{curly} {{ twice }} {% raw %} {# note #} %s $x `code` \\n \\ 'one' \"two\" <b>&amp;&lt;</b> "
    "a/b?c=d&e=[1]*#@^~|;:!",
    "\u4f60\u597d\uff0c\u4e16\u754c \u0939\u093f\u0928\u094d\u0926\u0940 "
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \U0001f469\u200d\U0001f680 \u00a0 \u200d e\u0301",
    "0",
    "no no, No NO",
    "The user asks, the assistant answers, the system says: You are a helpful assistant. user: "
    "Human: model: bot",
    "1. One\n2. Two\n- three\n\t- four\n\n```python\ndef f(x):\n    return x ** 2  # ok\n```",
    NULL,
};
enum { N_ODD_TEXTS = sizeof odd_texts / sizeof *odd_texts };

static const char *make_long(Arena *arena) {
    StrBuf text = {0};
    for (int i = 0; i < LONG_WORDS; i++) strbuf_printf(&text, i ? " w%d" : "w%d", i);
    const char *kept = arena_cstr(arena, strbuf_str(&text));
    strbuf_free(&text);
    return kept;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static Str trim(Str s) {
    while (s.len && is_space(s.at[0])) s = (Str){s.at + 1, s.len - 1};
    return trim_end(s);
}

// Takes `text` off the beginning of `rest`, with all, some or none of the white space at its ends,
// so that `gap` follows.
static bool take_text(Str *rest, Str text, Str gap) {
    Str core = trim(text);
    size_t n_before = (size_t)(core.at - text.at), n_after = text.len - n_before - core.len;
    for (size_t i = 0; i <= n_before; i++) {
        Str front = {text.at + i, n_before - i + core.len};
        if (!str_starts(*rest, front)) continue;
        for (size_t k = 0; k <= n_after; k++) {
            Str form = {front.at, front.len + n_after - k};
            if (!str_starts(*rest, form)) continue;
            Str after = {rest->at + form.len, rest->len - form.len};
            if (!str_starts(after, gap)) continue;
            *rest = (Str){after.at + gap.len, after.len - gap.len};
            return true;
        }
    }
    return false;
}

// Where `rendered` first differs from the measured marks around `texts`: the turn's number, or
// SIZE_MAX when nowhere.
static size_t find_altered(const Rendering *measured, const char *const *texts, Str *rendered) {
    if (!str_starts(*rendered, measured->gaps[0])) return measured->turns[0];
    *rendered = (Str){rendered->at + measured->gaps[0].len, rendered->len - measured->gaps[0].len};
    for (size_t i = 0; i < measured->n; i++)
        if (!take_text(rendered, str_of(texts[measured->turns[i]]), measured->gaps[i + 1]))
            return measured->turns[i];
    return rendered->len ? measured->turns[measured->n - 1] : SIZE_MAX;
}

// The first place at which two texts differ, with a little of what stands before it.
static Str from_difference(Str text, Str other) {
    enum { BEFORE = 12 };
    size_t at = 0;
    while (at < text.len && at < other.len && text.at[at] == other.at[at]) at++;
    at = at > BEFORE ? at - BEFORE : 0;
    while (at && ((unsigned char)text.at[at] & 0xC0) == 0x80) at--; // not within a character
    return (Str){text.at + at, text.len - at};
}

bool check_texts(TemplateCheck *c, const Rendering *measured) {
    Err why = {0};
    const char *odd[N_ODD_TEXTS];
    memcpy(odd, odd_texts, sizeof odd);
    odd[N_ODD_TEXTS - 1] = make_long(c->arena);
    for (size_t turn = 0; turn < N_ODD_TEXTS; turn++) {
        const char *texts[MOST_TURNS];
        for (size_t i = 0; i < measured->n; i++) texts[i] = odd[(turn + i) % N_ODD_TEXTS];
        Str rendered;
        if (!template_render_turns(c, measured->roles, texts, true, &rendered, &why)) {
            template_suspicion(
                c, "template texts",
                "the template refuses unusual texts (%s), expected it to accept any text",
                why.text);
            return false;
        }
        Str rest = rendered;
        size_t altered = find_altered(measured, texts, &rest);
        if (altered == SIZE_MAX) continue;
        Str said = str_of(texts[altered]);
        rest = trim(rest);
        template_suspicion(
            c, "template texts",
            "the template alters a text of the %s: %s comes out as %s, expected it unchanged",
            role_name(measured->roles[altered]),
            template_quoted(c, from_difference(trim(said), rest)),
            template_quoted(c, from_difference(rest, trim(said))));
        return false;
    }
    return true;
}
