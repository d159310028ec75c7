// template_key.c — chooses which of a model's templates renders a conversation.
#include <string.h>

#include "prompt/template_key.h"

#define MAIN     "tokenizer.chat_template"
#define TOOL_USE "tokenizer.chat_template.tool_use"

static void name_others(const Gguf *g, StrBuf *out) {
    for (size_t i = 0; i < g->n_keys; i++)
        if (str_starts(g->keys[i].name, STR(MAIN ".")))
            strbuf_printf(out, "%s%.*s", out->len ? ", " : "", STR_ARG(g->keys[i].name));
}

bool template_find(const Gguf *g, bool has_tools, Str *source, Err *err) {
    const GgufKey *named = has_tools ? gguf_find_key(g, STR(TOOL_USE)) : NULL;
    const GgufKey *key = named ? named : gguf_find_key(g, STR(MAIN));
    if (!key) {
        StrBuf others = {0};
        name_others(g, &others);
        if (others.len)
            err_set(err, ERR_FORMAT,
                    "key '" MAIN "' is absent: the model's only templates (%.*s) need tools",
                    STR_ARG(strbuf_str(&others)));
        else
            err_set(err, ERR_FORMAT, "no chat template: key '" MAIN "' is absent");
        strbuf_free(&others);
        return false;
    }
    if (key->type == GGUF_STRING && gguf_str(key, 0, source)) return true;
    return err_set(err, ERR_FORMAT, "key '%.*s': type %s, expected a string", STR_ARG(key->name),
                   gguf_type_name(key->type));
}
