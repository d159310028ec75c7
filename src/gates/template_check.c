// template_check.c — the checks of a template in their order: is there one, does it render every
// text, does it ask for an answer.
#include "gates/template_check.h"

#include <string.h>

#include "base/size.h"
#include "contract/contract.h" // is_bracketed
#include "gates/template_impl.h"

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool holds_word(Str text, Str word) {
    for (; text.len >= word.len; text.at++, text.len--) {
        size_t i = 0;
        while (i < word.len && lower(text.at[i]) == word.at[i]) i++;
        if (i == word.len) return true;
    }
    return false;
}

bool is_chat_mark(Str token) {
    static const char *const words[] = {
        "user", "assistant", "system", "human", "im_start", "im_end",  "_of_turn",
        "turn", "inst]",     "header", "eot_",  "_role",    "chatbot", "<|end|>",
    };
    if (!is_bracketed(token) || str_starts(token, STR("<0x"))) return false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (holds_word(token, str_of(words[i]))) return true;
    return false;
}

static void check_absent(TemplateCheck *c) {
    const TemplateSubject *s = c->subject;
    size_t n = 0;
    Str first = {0};
    for (size_t i = 0; i < s->n_marks; i++)
        if (is_chat_mark(s->marks[i]) && n++ == 0) first = s->marks[i];
    if (n == 0 && !s->is_named_chat)
        template_finding(c, true, "template",
                         "no chat template, and no chat marks in the vocabulary: chat feeds the "
                         "texts one after the other, as plain text");
    else if (c->waivers->goes_without_template)
        template_finding(
            c, true, "template",
            "--template none: chat feeds the texts one after the other, as plain text");
    else
        template_finding(c, false, "template",
                         "no tokenizer.chat_template, but %s, so the model was trained on chats "
                         "with marks; expected a template, or --template none for plain text",
                         n ? arena_printf(c->arena, "the vocabulary has %zu chat marks such as %s",
                                          n, template_quoted(c, first))
                                 .at
                           : "the file's name says chat");
}

// Says which text is missing from a conversation, or not where it belongs.
static void report_lost(TemplateCheck *c, const Rendering *r, const LostText *lost) {
    template_suspicion(c, "template texts",
                       "the text of turn %zu (%s) of %zu %s: %s in %s; expected every text once, "
                       "in order and unchanged",
                       lost->turn + 1, role_name(r->roles[lost->turn]), r->n,
                       lost->is_out_of_order ? "comes before an earlier one"
                       : lost->n_times == 0  ? "is dropped or altered"
                                             : "is repeated",
                       template_quoted(c, str_of(r->texts[lost->turn])),
                       template_quoted(c, r->rendered));
}

// Renders a conversation that every chat has. False after a finding.
static bool measure_chat(TemplateCheck *c, Roles roles, Rendering *r) {
    Err why = {0};
    LostText lost;
    if (template_measure(c, roles, r, &lost, &why)) return true;
    if (why.kind != ERR_NONE)
        template_suspicion(c, "template texts",
                           "the template refuses a conversation of %zu turns: %s", r->n, why.text);
    else
        report_lost(c, r, &lost);
    return false;
}

// A conversation with a system text; `is_refused` when the template says that it takes none.
static bool measure_system(TemplateCheck *c, Rendering *r, bool *is_refused) {
    Err why = {0};
    LostText lost;
    *is_refused = false;
    if (template_measure(c, "suau", r, &lost, &why)) return true;
    *is_refused = why.kind != ERR_NONE;
    if (*is_refused)
        template_finding(c, true, "template texts", "a system text is refused (%s)", why.text);
    else
        report_lost(c, r, &lost);
    return *is_refused;
}

// Digits may count the rounds (`[Round 2]`).
static bool is_same_but_digits(Str a, Str b) {
    size_t i = 0, k = 0;
    for (;;) {
        while (i < a.len && a.at[i] >= '0' && a.at[i] <= '9') i++;
        while (k < b.len && b.at[k] >= '0' && b.at[k] <= '9') k++;
        if (i == a.len || k == b.len) return i == a.len && k == b.len;
        if (a.at[i++] != b.at[k++]) return false;
    }
}

// The same speakers, the same marks: how long a conversation is changes nothing in the middle.
// Before the last question something may stand (Mistral's system text), and not before others.
static bool check_length(TemplateCheck *c, const Rendering *short_one, const Rendering *long_one) {
    for (size_t i = 1; i < long_one->n; i++) {
        Str expected = short_one->gaps[i % 2 ? 1 : i + 1 < long_one->n ? 2 : 4];
        if (is_same_but_digits(long_one->gaps[i], expected)) continue;
        template_suspicion(c, "template texts",
                           "before turn %zu of %zu the template writes %s, but in a shorter "
                           "conversation %s; expected the same",
                           i + 1, long_one->n, template_quoted(c, long_one->gaps[i]),
                           template_quoted(c, expected));
        return false;
    }
    return true;
}

// What follows a question asks for an answer: it stands before an answer of a longer conversation,
// too. It may leave out white space that the model writes itself, and what comes after the role
// (thinking, a channel) may differ.
static void check_prompt(TemplateCheck *c, const Rendering *asked, const Rendering *plain) {
    Str prompt = asked->gaps[1], before = plain->gaps[1], open = {0};
    Err why = {0};
    bool is_same = str_eq(prompt, before);
    bool is_near = str_eq(trim_end(cut_thinking(prompt)), trim_end(cut_thinking(before)));
    if (!is_same && !is_near && template_render_turns(c, "u", asked->texts, false, &open, &why)) {
        Str one = cut_thinking(prompt), other = cut_thinking(before);
        Str shorter = one.len < other.len ? one : other;
        Str longer = one.len < other.len ? other : one;
        is_near = str_starts(longer, shorter) && asked->rendered.len > open.len && shorter.len;
    }
    if (is_same || is_near)
        template_finding(c, true, "template prompt", "%s begins an answer%s",
                         template_quoted(c, prompt),
                         is_same ? ", and in a longer conversation the same marks precede it"
                                 : "; in a longer conversation other marks precede it");
    else
        template_suspicion(c, "template prompt",
                           "the template ends a prompt with %s, but writes %s before an answer of "
                           "a longer conversation; expected the same mark",
                           template_quoted(c, prompt), template_quoted(c, before));
}

static void check_present(TemplateCheck *c) {
    Rendering asked, plain, many, with_system;
    bool refuses_system;
    if (!measure_chat(c, "u", &asked) || !measure_chat(c, "uauau", &plain) ||
        !measure_chat(c, "uauauauauauauau", &many) || !check_length(c, &plain, &many))
        return;
    bool ok = measure_system(c, &with_system, &refuses_system) && check_texts(c, &plain) &&
              (refuses_system || check_texts(c, &with_system));
    if (ok)
        template_finding(c, true, "template texts",
                         "unusual texts of user, assistant%s come out unchanged and in order",
                         refuses_system ? "" : " and system");
    check_prompt(c, &asked, &plain);
    check_form(c, &plain, !ok || refuses_system ? NULL : &with_system);
}

bool check_template(const TemplateSubject *subject, const TemplateWaivers *waivers, int64_t now,
                    TemplateFindings *findings, Arena *arena, Err *err) {
    *findings = (TemplateFindings){0};
    TemplateCheck c = {
        .subject = subject, .waivers = waivers, .now = now, .findings = findings, .arena = arena};
    if (!subject->source.at) {
        check_absent(&c);
        return true;
    }
    c.template = template_compile(subject->source, err);
    if (!c.template) return false;
    check_present(&c);
    template_close(c.template);
    return true;
}
