// template.c — chat templates of model files and of Jinja source, rendered with variables in JSON.
//
// A model may have one template for conversations with tools and one for those without. Each is
// compiled when it is first needed, so a broken template fails only the calls that need it.
#include <stdlib.h>

#include "api/api.h"
#include "base/file.h"
#include "base/map.h"
#include "jinja/template.h"
#include "prompt/prompt_format.h"
#include "prompt/template_key.h"

typedef struct {
    Str source;
    Err missing; // why there is no source; ERR_NONE when there is one
    Template *compiled;
} TemplateSource;

struct LatheTemplate {
    Arena arena;
    const char *path;
    TemplateSource plain, tools;
    json_t *tokens; // bos_token and eos_token; empty for Jinja source
};

static void keep_source(LatheTemplate *t, TemplateSource *s, const Gguf *g, bool has_tools) {
    if (template_find(g, has_tools, &s->source, &s->missing))
        s->source = arena_str(&t->arena, s->source);
}

static bool read_model(LatheTemplate *t, Err *err) {
    Gguf g;
    if (!api_open_vocabulary(&g, &t->arena, t->path, err)) return false;
    keep_source(t, &t->plain, &g, false);
    keep_source(t, &t->tools, &g, true);
    Tokenizer *tokenizer = NULL;
    if (t->plain.missing.kind && t->tools.missing.kind)
        *err = t->plain.missing;
    else
        tokenizer = tokenizer_open(&g, err);
    if (tokenizer)
        prompt_set_token_texts(t->tokens, tokenizer);
    else
        err_prefix(err, "%s", t->path);
    tokenizer_close(tokenizer);
    gguf_close(&g);
    return tokenizer != NULL;
}

// A GGUF file is known by its first bytes: stores of models name files by a digest.
static bool read_source(LatheTemplate *t, Err *err) {
    FileMap map = {0};
    if (path_is_dir(t->path)) return read_model(t, err);
    if (!map_file(&map, t->path, err)) return false;
    bool is_model = gguf_has_magic(map.at, map.len);
    if (!is_model)
        t->plain.source = t->tools.source =
            arena_str(&t->arena, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    return !is_model || read_model(t, err);
}

LatheTemplate *lathe_template_open(const char *path, LatheError *error) {
    Err err = {0};
    LatheTemplate *t = calloc(1, sizeof *t);
    if (!t) die_out_of_memory(sizeof *t);
    t->path = arena_cstr(&t->arena, str_of(path));
    t->tokens = json_object();
    if (read_source(t, &err)) return t;
    lathe_template_close(t);
    api_fail(error, &err);
    return NULL;
}

void lathe_template_close(LatheTemplate *t) {
    if (!t) return;
    template_close(t->plain.compiled);
    template_close(t->tools.compiled);
    json_decref(t->tokens);
    arena_free(&t->arena);
    free(t);
}

// The list of messages, or the object with `messages` and other variables, as an object.
static json_t *read_variables(Str text, Err *err) {
    json_t *json = template_read_json(text, err);
    if (!json) {
        err->kind = ERR_USAGE;
        return NULL;
    }
    if (json_is_array(json)) return json_pack("{s:o}", "messages", json);
    if (json_is_object(json) && json_is_array(json_object_get(json, "messages"))) return json;
    json_decref(json);
    err_set(err, ERR_USAGE, "expected a list of messages, or an object with \"messages\"");
    return NULL;
}

static const Template *compile(TemplateSource *s, Err *err) {
    if (s->missing.kind) {
        *err = s->missing;
        return NULL;
    }
    if (!s->compiled) s->compiled = template_compile(s->source, err);
    return s->compiled;
}

bool lathe_template_render(LatheTemplate *t, const char *json, size_t n_bytes, bool begins_answer,
                           int64_t date, char **text, size_t *n_text, LatheError *error) {
    Err err = {0};
    StrBuf out = {0};
    json_t *variables = read_variables((Str){json, n_bytes}, &err);
    if (!variables) return api_fail(error, &err);
    json_object_update_missing(variables, t->tokens);
    if (begins_answer) json_object_set_new(variables, "add_generation_prompt", json_true());
    const json_t *tools = json_object_get(variables, "tools");
    const Template *template = compile(tools && !json_is_null(tools) ? &t->tools : &t->plain, &err);
    bool ok = template && template_render(template, variables, date, &out, &err);
    json_decref(variables);
    if (ok) {
        *text = api_take_text(&out, n_text);
        return true;
    }
    strbuf_free(&out);
    err_prefix(&err, "%s", t->path);
    return api_fail(error, &err);
}
