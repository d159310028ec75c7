// template.c — `lathe template MODEL.gguf|FILE.jinja --messages FILE.json`.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "gguf/gguf.h"
#include "text/template.h"
#include "text/tokenizer.h"

// The list of messages, or the object with `messages` and other variables.
static json_t *read_variables(const char *path, Err *err) {
    enum { FLAGS = JSON_ALLOW_NUL | JSON_DECODE_ANY };
    json_error_t why;
    json_t *json;
    if (strcmp(path, "-") == 0) {
        json = json_loadf(stdin, FLAGS, &why);
    } else {
        FileMap map;
        if (!map_file(&map, path, err)) return NULL;
        json = json_loadb(map.len ? (const char *)map.at : "", map.len, FLAGS, &why);
        unmap_file(&map);
    }
    if (!json) {
        err_set(err, ERR_FORMAT, "%s: line %d: %s", path, why.line, why.text);
        return NULL;
    }
    if (json_is_array(json)) return json_pack("{s:o}", "messages", json);
    if (json_is_object(json) && json_is_array(json_object_get(json, "messages"))) return json;
    json_decref(json);
    err_set(err, ERR_FORMAT, "%s: expected a list of messages, or an object with \"messages\"",
            path);
    return NULL;
}

static void set_token(json_t *variables, const char *name, const Tokenizer *t, uint32_t id) {
    if (id == NO_TOKEN || json_object_get(variables, name)) return;
    Str piece = tokenizer_piece(t, id);
    json_object_set_new(variables, name, json_stringn(piece.at, piece.len));
}

static bool model_source(const char *path, json_t *variables, Arena *arena, Str *source, Err *err) {
    Gguf g;
    if (!gguf_open(&g, arena, path, err)) return false;
    const GgufKey *k = gguf_find_key(&g, STR("tokenizer.chat_template"));
    bool ok =
        (k && gguf_str(k, 0, source)) ||
        err_set(err, ERR_FORMAT, "%s: it has no chat template (key tokenizer.chat_template)", path);
    Tokenizer *t = ok ? tokenizer_open(&g, err) : NULL;
    if (ok && !t) err_prefix(err, "%s", path);
    if (t) {
        *source = arena_str(arena, *source);
        set_token(variables, "bos_token", t, tokenizer_bos(t));
        set_token(variables, "eos_token", t, tokenizer_eos(t));
    }
    tokenizer_close(t);
    gguf_close(&g);
    return t != NULL;
}

static bool file_source(const char *path, Arena *arena, Str *source, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    *source = arena_str(arena, (Str){(const char *)map.at, map.len});
    unmap_file(&map);
    return true;
}

bool command_template(int argc, char **argv, Err *err) {
    const char *path = NULL, *messages = NULL;
    bool is_done, adds_prompt = false;
    const Option options[] = {
        {"--messages", OPTION_TEXT, &messages, "FILE.json",
         "a list of messages, or an object with messages, tools, add_generation_prompt, bos_token "
         "and "
         "any other variable; - for stdin"},
        {"--add-generation-prompt", OPTION_FLAG, &adds_prompt, NULL, "begin the answer"},
    };
    CommandLine line = {
        .usage = "lathe template MODEL.gguf|FILE.jinja --messages FILE.json",
        .doc = "Renders a chat template and prints the text alone. A model's own bos_token and "
               "eos_token are\nset unless the file of messages sets them.",
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .positional = {&path},
        .n_positional = 1,
        .n_required = 1,
    };
    if (!options_read(&line, argc, argv, &is_done, err) || is_done) return is_done;
    if (!messages) return err_set(err, ERR_USAGE, "which messages? Give --messages FILE.json");
    json_t *variables = read_variables(messages, err);
    if (!variables) return false;
    if (adds_prompt) json_object_set_new(variables, "add_generation_prompt", json_true());

    Arena arena = {0};
    Str source;
    bool ok = str_ends(str_of(path), STR(".gguf"))
                  ? model_source(path, variables, &arena, &source, err)
                  : file_source(path, &arena, &source, err);
    Template *t = ok ? template_compile(source, err) : NULL;
    StrBuf out = {0};
    if (ok && !t) err_prefix(err, "%s", path);
    ok = t && (template_render(t, variables, (int64_t)time(NULL), &out, err) ||
               err_prefix(err, "%s", path));
    if (ok) fwrite(out.at ? out.at : "", 1, out.len, stdout);
    strbuf_free(&out);
    template_close(t);
    json_decref(variables);
    arena_free(&arena);
    return ok;
}
