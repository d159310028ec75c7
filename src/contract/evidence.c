#include "contract/evidence.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "contract/known.h"

const char *known_text(size_t i) {
    size_t n = 0;
    while (known_contracts[n] && n < i) n++;
    return known_contracts[n];
}

// ---- matching

// Lower case, with one '-' for each run of anything but letters, digits and dots.
static Str plain(Arena *arena, Str s) {
    char *out = arena_alloc(arena, s.len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c < 0x80 && (isalnum(c) || c == '.'))
            out[n++] = (char)tolower(c);
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-') n--;
    return (Str){out, n};
}

static bool matches(const Gguf *g, const json_t *alternative, Arena *arena) {
    const char *key;
    json_t *wanted;
    json_object_foreach((json_t *)(uintptr_t)alternative, key, wanted) {
        const GgufKey *k = gguf_find_key(g, arena_printf(arena, "general.%s", key));
        Str value;
        if (!k || k->type != GGUF_STRING || !gguf_str(k, 0, &value) ||
            !str_is(plain(arena, value), json_string_value(wanted)))
            return false;
    }
    return true;
}

static json_t *find_known(const Gguf *g, Arena *arena) {
    for (size_t i = 0; known_contracts[i]; i++) {
        json_t *file = json_loads(known_contracts[i], 0, NULL);
        const json_t *match = json_object_get(file, "match");
        for (size_t a = 0; a < json_array_size(match); a++)
            if (matches(g, json_array_get(match, a), arena)) return file;
        json_decref(file);
    }
    return NULL;
}

static Str member(Arena *arena, const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return arena_str(arena, str_of(text ? text : ""));
}

static bool compare_known(Evidence *e, const Model *model, const Gguf *g, uint32_t context,
                          Arena *arena, Err *err) {
    json_t *file = find_known(g, arena);
    if (!file) return true;
    const json_t *source = json_array_get(json_object_get(file, "sources"), 0);
    e->known = member(arena, file, "name");
    e->known_source =
        arena_printf(arena, "%.*s, as of %.*s", STR_ARG(member(arena, file, "publisher")),
                     STR_ARG(member(arena, source, "date")));
    Stated stated;
    Str name = arena_printf(arena, "published %.*s", STR_ARG(e->known));
    bool ok = stated_read_part(&stated, name, json_object_get(file, "config"), g, arena, err);
    if (ok) agreement_make(&e->published, model, g, &stated, context, arena);
    json_decref(file);
    return ok;
}

// A fine-tune keeps its base's name. Where its own config.json agrees with it, the base's published
// contract is another model's.
static void excuse(Agreement *published, const Agreement *files) {
    for (size_t i = 0; i < published->n_rows && i < files->n_rows; i++) {
        AgreementRow *row = &published->rows[i];
        if (row->verdict != VERDICT_CONTRADICT || files->rows[i].verdict != VERDICT_AGREE) continue;
        row->verdict = VERDICT_NOT_COMPARABLE;
        row->note = "the publisher's config.json and the GGUF file agree";
        published->n_contradict--;
    }
}

bool evidence_gather(Evidence *e, const ConfigFiles *files, const Model *model, const Gguf *g,
                     uint32_t context, Arena *arena, Err *err) {
    *e = (Evidence){.has_files = has_config_files(files)};
    if (e->has_files) {
        if (!stated_read(&e->stated, files, g, arena, err)) return false;
        agreement_make(&e->files, model, g, &e->stated, context, arena);
    }
    if (!compare_known(e, model, g, context, arena, err)) return false;
    if (e->has_files) excuse(&e->published, &e->files);
    return true;
}

size_t evidence_contradictions(const Evidence *e) {
    return e->files.n_contradict + e->published.n_contradict;
}

void evidence_error(const Evidence *e, const char *vote, Err *err) {
    bool is_of_files = e->files.n_contradict > 0;
    agreement_error(is_of_files ? &e->files : &e->published, err);
    if (!err || !evidence_contradictions(e)) return;
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n,
             "%s%s; to ask the weights which is right: %s; where the model file is wrong, --set "
             "KEY=VALUE corrects it",
             is_of_files ? "" : "; ", is_of_files ? "" : EVIDENCE_ADVICE, vote);
}
