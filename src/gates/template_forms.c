// template_forms.c — compares a template with the forms that its family's publishers use.
//
// What the template writes between texts is compared with each form of the table; the message
// states the difference from the nearest one.
#include <string.h>

#include "base/size.h"
#include "gates/template_impl.h"

typedef enum { STRICT, LOOSE } Strictness;
typedef enum { ANY_BEGINNING, BEGINS_WITH_BOS } Beginning;

typedef enum {
#define FAMILY(id, mark, end, strictness, beginning) FAMILY_##id,
#define FORM(...)
#include "gates/template_forms.def"
#undef FAMILY
#undef FORM
    FAMILY_COUNT,
} FamilyId;

typedef struct {
    const char *name, *mark, *end;
    Strictness strictness;
    Beginning beginning;
} Family;

static const Family families[] = {
#define FAMILY(id, mark, end, strictness, beginning) {#id, mark, end, strictness, beginning},
#define FORM(...)
#include "gates/template_forms.def"
#undef FAMILY
#undef FORM
};

typedef struct {
    FamilyId family;
    const char *needs;
    const char *user, *user_end, *assistant, *assistant_end, *prompt, *system, *system_end;
    const char *model;
} Form;

static const Form forms[] = {
#define FAMILY(...)
#define FORM(family, needs, user, user_end, assistant, assistant_end, prompt, system, system_end,  \
             model)                                                                                \
    {FAMILY_##family, needs,  user,   user_end,   assistant,                                       \
     assistant_end,   prompt, system, system_end, model},
#include "gates/template_forms.def"
#undef FAMILY
#undef FORM
};

bool is_role_mark(Str token) {
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (str_is(token, families[i].mark)) return true;
    return false;
}

static bool contains(Str text, Str part) {
    for (; text.len >= part.len; text.at++, text.len--)
        if (str_starts(text, part)) return true;
    return false;
}

static bool has_mark(const TemplateSubject *s, Str mark) {
    for (size_t i = 0; i < s->n_marks; i++)
        if (str_eq(s->marks[i], mark)) return true;
    return false;
}

static bool has_marks(const TemplateSubject *s, const char *names) {
    for (size_t len; *names; names += len + (names[len] == ' ')) {
        len = strcspn(names, " ");
        if (!has_mark(s, (Str){names, len})) return false;
    }
    return true;
}

static const Family *find_family(const TemplateCheck *c, Str rendered) {
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (contains(rendered, str_of(families[i].mark)) &&
            (has_mark(c->subject, str_of(families[i].end)) ||
             contains(rendered, str_of(families[i].end))))
            return &families[i];
    return NULL;
}

// `first` and `second` with {bos} and {eos} put in. In the arena.
static Str join_form(const TemplateCheck *c, const char *first, const char *second) {
    Str spelt = arena_printf(c->arena, "%s%s", first, second);
    StrBuf out = {0};
    for (size_t i = 0; i < spelt.len; i++) {
        Str rest = {spelt.at + i, spelt.len - i};
        bool is_bos = str_starts(rest, STR("{bos}")), is_eos = str_starts(rest, STR("{eos}"));
        if (is_bos || is_eos) {
            strbuf_add(&out, is_bos ? c->subject->bos : c->subject->eos);
            i += STR("{bos}").len - 1;
        } else {
            strbuf_add_char(&out, rest.at[0]);
        }
    }
    Str joined = arena_str(c->arena, strbuf_str(&out));
    strbuf_free(&out);
    return joined;
}

static Str without_space(const TemplateCheck *c, Str text) {
    StrBuf out = {0};
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.at[i]) || !text.at[i]) strbuf_add_char(&out, text.at[i]);
    Str kept = arena_str(c->arena, strbuf_str(&out));
    strbuf_free(&out);
    return kept;
}

// One place where a template's marks are compared with a form's.
typedef struct {
    const char *where;
    Str found, expected;
    bool is_ending; // more may stand before
} Place;

enum { MOST_PLACES = 6 };

static size_t list_places(const TemplateCheck *c, const Form *f, const Rendering *plain,
                          const Rendering *with_system, Place *places) {
    size_t n = 0;
    Str prompt = *f->prompt ? join_form(c, f->prompt, "") : join_form(c, f->user_end, f->assistant);
    // Some publishers put a text of their own between mark and first question.
    Str user = join_form(c, f->user, "");
    if (!contains(plain->gaps[0], user))
        places[n++] = (Place){"before the first question", plain->gaps[0], user, true};
    places[n++] = (Place){"between question and answer", cut_thinking(plain->gaps[1]),
                          join_form(c, f->user_end, f->assistant), false};
    places[n++] = (Place){"between answer and question", plain->gaps[2],
                          join_form(c, f->assistant_end, f->user), false};
    places[n++] =
        (Place){"after the last question", cut_thinking(plain->gaps[plain->n]), prompt, false};
    if (with_system && *f->system && with_system->turns[0] == 0) {
        Str before = with_system->gaps[0], system = join_form(c, f->system, "");
        // Some publishers put the text after one of their own: then nothing is compared.
        if (str_ends(without_space(c, before), without_space(c, system)))
            places[n++] = (Place){"before the system text", before, system, true};
        if (*f->system_end)
            places[n++] = (Place){"between system text and question", with_system->gaps[1],
                                  join_form(c, f->system_end, f->user), true};
    }
    return n;
}

static bool is_same(const Place *p) {
    return p->is_ending ? str_ends(p->found, p->expected) : str_eq(p->found, p->expected);
}

static bool is_same_but_space(const TemplateCheck *c, const Place *p) {
    Place q = *p;
    q.found = without_space(c, p->found);
    q.expected = without_space(c, p->expected);
    return is_same(&q);
}

// The first place that differs, of the form that differs least: in white space alone, if any does.
typedef struct {
    const Form *form;
    Place place;
    bool is_space;
} Difference;

static bool find_form(const TemplateCheck *c, FamilyId family, const Rendering *plain,
                      const Rendering *with_system, Difference *d) {
    *d = (Difference){0};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        const Form *f = &forms[i];
        if (f->family != family || !has_marks(c->subject, f->needs)) continue;
        Place places[MOST_PLACES];
        size_t n = list_places(c, f, plain, with_system, places), first = n;
        bool is_space = true;
        for (size_t k = n; k-- > 0;) {
            if (is_same(&places[k])) continue;
            first = k;
            is_space = is_space && is_same_but_space(c, &places[k]);
        }
        bool is_nearer = !d->form || (is_space && !d->is_space);
        if (first == n || is_nearer) *d = (Difference){f, places[first == n ? 0 : first], is_space};
        if (first == n) return true;
    }
    return false;
}

// A vocabulary's own marks, none of which the template writes.
static Str find_unused_mark(const TemplateCheck *c, Str rendered) {
    Str unused = {0};
    for (size_t i = 0; i < c->subject->n_marks; i++) {
        Str mark = c->subject->marks[i];
        if (!is_role_mark(mark)) continue;
        if (contains(rendered, mark)) return (Str){0};
        if (!unused.len) unused = mark;
    }
    return unused;
}

static void check_beginning(TemplateCheck *c, const Family *family, Str rendered) {
    Str bos = c->subject->bos;
    bool has_bos = bos.len && str_starts(rendered, bos);
    if (has_bos && str_starts((Str){rendered.at + bos.len, rendered.len - bos.len}, bos))
        template_suspicion(c, "template form", "a conversation begins with %s twice, expected once",
                           template_quoted(c, bos));
    else if (family && family->beginning == BEGINS_WITH_BOS && bos.len && !has_bos &&
             !c->subject->adds_bos)
        template_suspicion(
            c, "template form",
            "neither template nor tokenizer begins a conversation with %s, but models of family %s "
            "were trained so; tokenizer.ggml.add_bos_token may be wrong",
            template_quoted(c, bos), family->name);
}

void check_form(TemplateCheck *c, const Rendering *plain, const Rendering *with_system) {
    const Family *family = find_family(c, plain->rendered);
    check_beginning(c, family, plain->rendered);
    Difference d = {0};
    bool is_known = family && find_form(c, (FamilyId)(family - families), plain, with_system, &d);
    Str unused = find_unused_mark(c, plain->rendered);
    if (unused.len && !(is_known && *d.form->needs)) {
        template_suspicion(
            c, "template form",
            "the vocabulary has %s, but the template writes no role mark that is a token",
            template_quoted(c, unused));
        return;
    }
    if (is_known) {
        template_finding(c, true, "template form", "the same marks as %s (family %s)",
                         d.form->model, family->name);
    } else if (!family || !d.form || (family->strictness == LOOSE && !d.is_space)) {
        template_finding(c, true, "template form",
                         "not compared: no known family writes %s before a question",
                         template_quoted(c, plain->gaps[0]));
    } else {
        size_t most = 60, n = d.place.found.len;
        Str found = d.place.is_ending && n > most ? (Str){d.place.found.at + n - most, most}
                                                  : d.place.found;
        template_suspicion(c, "template form", "%s the template writes %s, but %s writes %s (%s)",
                           d.place.where, template_quoted(c, found), d.form->model,
                           template_quoted(c, d.place.expected),
                           d.is_space ? "only white space differs" : "other marks");
    }
}
