// template.c — `lathe template MODEL.gguf|FILE.jinja --messages FILE.json`.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "gguf/gguf.h"
#include "jinja/template.h"
#include "prompt/prompt_format.h"
#include "prompt/template_key.h"

static bool read_stream(FILE *in, StrBuf *out, Err *err) {
    char block[1 << 16];
    size_t n;
    while ((n = fread(block, 1, sizeof block, in)) > 0) strbuf_add(out, (Str){block, n});
    return !ferror(in) || err_errno(err, "standard input");
}

// The list of messages, or the object with `messages` and other variables.
static json_t *read_variables(const char *path, Err *err) {
    StrBuf text = {0};
    FileMap map = {0};
    bool is_stdin = strcmp(path, "-") == 0;
    bool ok = is_stdin ? read_stream(stdin, &text, err) : map_file(&map, path, err);
    Str all = is_stdin ? strbuf_str(&text) : (Str){map.len ? (const char *)map.at : "", map.len};
    json_t *json = ok ? template_read_json(all, err) : NULL;
    if (ok && !json) err_prefix(err, "%s", path);
    unmap_file(&map);
    strbuf_free(&text);
    if (!json) return NULL;
    if (json_is_array(json)) return json_pack("{s:o}", "messages", json);
    if (json_is_object(json) && json_is_array(json_object_get(json, "messages"))) return json;
    json_decref(json);
    err_set(err, ERR_FORMAT, "%s: expected a list of messages, or an object with \"messages\"",
            path);
    return NULL;
}

static bool model_source(const char *path, json_t *variables, Arena *arena, Str *source, Err *err) {
    Gguf g;
    const json_t *tools = json_object_get(variables, "tools");
    if (!gguf_open(&g, arena, path, err)) return false;
    bool ok = template_find(&g, tools && !json_is_null(tools), source, err);
    Tokenizer *t = ok ? tokenizer_open(&g, err) : NULL;
    if (!t) err_prefix(err, "%s", path);
    if (t) {
        *source = arena_str(arena, *source);
        prompt_set_token_texts(variables, t);
    }
    tokenizer_close(t);
    gguf_close(&g);
    return t != NULL;
}

// A GGUF file is known by its first bytes: stores of models name files by a digest.
static bool read_source(const char *path, json_t *variables, Arena *arena, Str *source, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    bool is_model = gguf_has_magic(map.at, map.len);
    if (!is_model) *source = arena_str(arena, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    return !is_model || model_source(path, variables, arena, source, err);
}

typedef struct {
    const char *path, *messages;
    bool adds_prompt;
} Arguments;

static const Option option_rows[] = {
    {"--messages", OPTION_TEXT, offsetof(Arguments, messages), "FILE.json",
     "a list of messages, or an object with messages, tools, add_generation_prompt, bos_token "
     "and "
     "any other variable; - for stdin"},
    {"--add-generation-prompt", OPTION_FLAG, offsetof(Arguments, adds_prompt), NULL,
     "begin the answer"},
};

const CommandLine template_line = {
    .usage = "lathe template MODEL.gguf|FILE.jinja --messages FILE.json",
    .doc = "Renders a chat template and prints the text alone. A model's own bos_token and "
           "eos_token are\nset unless the file of messages sets them. With tools, a model's "
           "template for tools (key\ntokenizer.chat_template.tool_use) is taken where it has "
           "one.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf|FILE.jinja", offsetof(Arguments, path)}},
    .n_positional = 1,
    .n_required = 1,
};

bool command_template(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&template_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    if (!a.messages) return err_set(err, ERR_USAGE, "missing --messages FILE.json");
    json_t *variables = read_variables(a.messages, err);
    if (!variables) return false;
    if (a.adds_prompt) json_object_set_new(variables, "add_generation_prompt", json_true());

    Arena arena = {0};
    Str source;
    bool ok = read_source(a.path, variables, &arena, &source, err);
    Template *t = ok ? template_compile(source, err) : NULL;
    StrBuf out = {0};
    if (ok && !t) err_prefix(err, "%s", a.path);
    ok = t && (template_render(t, variables, (int64_t)time(NULL), &out, err) ||
               err_prefix(err, "%s", a.path));
    if (ok) fwrite(out.at ? out.at : "", 1, out.len, stdout);
    strbuf_free(&out);
    template_close(t);
    json_decref(variables);
    arena_free(&arena);
    return ok;
}
