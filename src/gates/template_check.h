// template_check.h — checks whether a chat template fits its model, from template and vocabulary
// alone, without weights.
//
// Host and reference read the same template, so a damaged one gives the same wrong ids everywhere
// and no comparison shows it. But some properties of a sound template are known without a second
// source:
//
//   absence   A vocabulary with marks of a chat (`<|im_start|>`, `[INST]`) was trained on chats
//             written with them; without a template, or with one that writes none of them, the
//             model is fed something it was not trained on.
//   texts     What was said comes out as it went in, every turn once and in order: nothing is
//             dropped, cut, lower-cased or replaced. White space around a text may be stripped:
//             publishers do (`| trim` in Llama 3's template). A template may refuse a system text
//             (`raise_exception`), but not drop it silently.
//   marks     What lies between two texts depends on who says them, not on what they say.
//   prompt    What follows the question precedes an answer in a longer conversation, too: so
//             the model is asked as it was trained to answer.
//   family    Marks of a family are written as one of the family's publishers writes them, white
//             space included (template_forms.def): `<|im_start|>user` without the newline after it
//             gives wrong answers.
//
// A suspicious template may still be the publisher's. The publisher's own file (option
// --chat-template or --tokenizer-config) settles it; so does an option of the caller.
#ifndef LATHE_GATES_TEMPLATE_CHECK_H
#define LATHE_GATES_TEMPLATE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// A template and the vocabulary that it is used with.
typedef struct {
    Str source;       // Jinja; `at` NULL when the file has none
    const Str *marks; // [n_marks] tokens of the vocabulary that are matched in text as a whole
    size_t n_marks;
    Str bos, eos; // their texts; empty when the vocabulary has none
    bool adds_bos;
    bool is_named_chat; // the file's name says that the model was trained on chats
} TemplateSubject;

// Why a suspicion may be waived.
typedef struct {
    bool is_published;          // the publisher's own files give this template
    bool accepts_template;      // the caller accepts it as it is
    bool goes_without_template; // the caller wants plain text
} TemplateWaivers;

typedef struct {
    bool has_passed;
    const char *scope; // "template", "template texts", "template prompt", "template form"
    Str text;          // found, expected, what to do
} TemplateFinding;

enum { TEMPLATE_MOST_FINDINGS = 16 };

typedef struct {
    TemplateFinding at[TEMPLATE_MOST_FINDINGS];
    size_t count;
} TemplateFindings;

// Whether `token`, as a vocabulary spells it, belongs to a chat: it names a role, a turn or an end.
bool is_chat_mark(Str token);

// Runs the checks. `now` is the date for the template. Texts are in the arena. Faults of the
// template are findings; false only when it could not be judged at all.
bool check_template(const TemplateSubject *subject, const TemplateWaivers *waivers, int64_t now,
                    TemplateFindings *findings, Arena *arena, Err *err);

#endif
