// template_variables.c — the variables of a template: the caller's JSON as values, and what
// transformers adds. Checked against render_jinja_template of transformers 5.24,
// utils/chat_template_utils.py.
#include <string.h>

#include "jinja/jinja.h"

static JValue from_json(Render *r, const json_t *json) {
    switch (json_typeof(json)) {
    case JSON_TRUE: return J_TRUTH(true);
    case JSON_FALSE: return J_TRUTH(false);
    case JSON_NULL: return J_NOTHING;
    case JSON_INTEGER: return J_NUMBER(json_integer_value(json));
    case JSON_REAL: return (JValue){.kind = J_FLOAT, .number = json_real_value(json)};
    case JSON_STRING: {
        Str text = {json_string_value(json), json_string_length(json)};
        if (text.len && *text.at == TEMPLATE_INTEGER_MARK)
            return jinja_integer(r->arena, (Str){text.at + 1, text.len - 1});
        return J_TEXT(arena_str(r->arena, text));
    }
    case JSON_ARRAY: {
        JValue list = jinja_list(r);
        for (size_t i = 0; i < json_array_size(json); i++)
            jinja_push(r, list.list, from_json(r, json_array_get(json, i)));
        return list;
    }
    case JSON_OBJECT: break;
    }
    JValue dict = jinja_dict(r);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        jinja_put(r, dict.dict, J_TEXT(arena_str(r->arena, str_of(key))), from_json(r, value));
    }
    return dict;
}

// A message's reasoning goes by several names; a template may read any of them. The first one given
// fills `reasoning_content`, and `thinking` where that is missing.
static JValue with_reasoning(Render *r, JValue message) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    const JValue *reasoning = NULL;
    if (message.kind != J_DICT) return message;
    for (size_t i = 0; i < COUNT_OF(names) && (!reasoning || reasoning->kind == J_NONE); i++)
        reasoning = jinja_get(r, message.dict, J_TEXT(str_of(names[i])));
    if (!reasoning || reasoning->kind == J_NONE) return message;
    JValue out = jinja_dict(r), text = *reasoning;
    jinja_put(r, out.dict, J_TEXT(STR("thinking")), text);
    for (size_t i = 0; i < message.dict->count; i++)
        jinja_put(r, out.dict, message.dict->at[i].key, message.dict->at[i].value);
    jinja_put(r, out.dict, J_TEXT(STR("reasoning_content")), text);
    return out;
}

void jinja_set_variables(Render *r, const json_t *variables) {
    const char *name;
    json_t *value;
    jinja_assign(r, STR("messages"), jinja_list(r));
    jinja_assign(r, STR("tools"), J_NOTHING);
    jinja_assign(r, STR("documents"), J_NOTHING);
    jinja_assign(r, STR("add_generation_prompt"), J_TRUTH(false));
    json_object_foreach((json_t *)(uintptr_t)variables, name, value) {
        JValue v = from_json(r, value);
        if (strcmp(name, "messages") == 0 && v.kind == J_LIST)
            for (size_t i = 0; i < v.list->count; i++)
                v.list->at[i] = with_reasoning(r, v.list->at[i]);
        jinja_assign(r, arena_str(r->arena, str_of(name)), v);
    }
}
