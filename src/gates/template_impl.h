// template_impl.h — what the files of the template check share.
//
//     template_check.c    the order of the checks; absence, system text, prompt
//     template_render.c   conversations and their renderings; what is between the texts
//     template_texts.c    odd texts come out as they went in
//     template_forms.c    the table of families
#ifndef LATHE_GATES_TEMPLATE_IMPL_H
#define LATHE_GATES_TEMPLATE_IMPL_H

#include "gates/template_check.h"
#include "jinja/template.h"

enum { MOST_TURNS = 16 };

// The roles of the turns in order: 's', 'u' and 'a'.
typedef const char *Roles;

typedef struct {
    const TemplateSubject *subject;
    const TemplateWaivers *waivers;
    Template *template;
    int64_t now;
    TemplateFindings *findings;
    Arena *arena;
} TemplateCheck;

// A rendered conversation: `gaps[i]` is the text before the i-th text in the rendering, gaps[n] the
// text after the last one. A template may put a system text anywhere.
typedef struct {
    Roles roles;
    size_t n;                      // texts
    size_t turns[MOST_TURNS];      // which turn comes i-th
    Str gaps[MOST_TURNS + 1];      // in the arena
    Str rendered;                  // likewise
    const char *texts[MOST_TURNS]; // by turn
} Rendering;

// A turn whose text is missing or changed in the rendering, or occurs more than once.
typedef struct {
    size_t turn, n_times;
    bool is_out_of_order;
} LostText;

// Renders `texts` by `roles` with the beginning of an answer, if asked. Refusals of the template
// are `err`.
bool template_render_turns(const TemplateCheck *c, Roles roles, const char *const *texts,
                           bool has_prompt, Str *rendered, Err *err);
// Renders plain words, one per turn, and finds the text between them. False with `lost` when a word
// is missing, with `err` when the template refuses.
bool template_measure(const TemplateCheck *c, Roles roles, Rendering *r, LostText *lost, Err *err);
// The gap before turn `turn`.
Str gap_before(const Rendering *r, size_t turn);

// Adds a finding.
void template_finding(TemplateCheck *c, bool has_passed, const char *scope, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Adds a failure that calls the template suspect and says what settles it; if waived, it passes and
// says why. The text states what was found and expected.
void template_suspicion(TemplateCheck *c, const char *scope, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// A text for a message: at most about 60 bytes, in quotes.
const char *template_quoted(const TemplateCheck *c, Str text);
const char *role_name(char role); // "user", "assistant", "system"

// `gap` up to where a block of thinking begins in it: `<think>`, `</think>`.
Str cut_thinking(Str gap);
// Bytes of white space (ASCII) taken off the end.
Str trim_end(Str s);

// template_texts.c Renders unusual texts in a conversation like the measured one. False after a
// finding.
bool check_texts(TemplateCheck *c, const Rendering *measured);
// template_forms.c: `plain` is three questions with two answers between, `with_system` a system
// text before two questions, or NULL when the template refuses one.
void check_form(TemplateCheck *c, const Rendering *plain, const Rendering *with_system);
// Marks of a role that some family's templates write.
bool is_role_mark(Str token);

#endif
