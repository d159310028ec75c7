// use.c — the table of choices: the publisher's values with their sources, options, text and JSON.
#include "contract/use.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"

typedef enum {
    KIND_U32,
    KIND_F32,
    KIND_RopeFactors,
    KIND_ChatTemplate,
    KIND_BosUse,
    KIND_ControlTokens
} Kind;

const UseInfo use_rows[USE_COUNT] = {
#define USE(name, type, option, argument, doc) [USE_##name] = {#name, option, argument, doc},
#include "contract/use.def"
#undef USE
};

static const struct {
    Kind kind;
    size_t at; // in Use
} places[USE_COUNT] = {
#define ENUM(T)                                KIND_##T
#define U32                                    KIND_U32
#define F32                                    KIND_F32
#define USE(name, type, option, argument, doc) [USE_##name] = {type, offsetof(Use, name)},
#include "contract/use.def"
#undef USE
#undef ENUM
#undef U32
#undef F32
};

// Names of enum values; a kind without any is a number.
static const char *const names[][4] = {
    [KIND_RopeFactors] = {[ROPE_FACTORS_AUTO] = "auto",
                          [ROPE_FACTORS_SHORT] = "short",
                          [ROPE_FACTORS_LONG] = "long"},
    [KIND_ChatTemplate] = {[CHAT_TEMPLATE_MODEL] = "model", [CHAT_TEMPLATE_NONE] = "none"},
    [KIND_BosUse] = {[BOS_TEMPLATE] = "template", [BOS_ALWAYS] = "always"},
    [KIND_ControlTokens] = {[CONTROL_TOKENS_PARSED] = "tokens", [CONTROL_TOKENS_TEXT] = "text"},
};

// What a number may be; further than these nothing changes any more.
static const struct {
    double least, most;
} bounds[USE_COUNT] = {
    [USE_context] = {1, UINT32_MAX},
    [USE_temperature] = {0, 1e6},
    [USE_top_k] = {0, UINT32_MAX},
    [USE_top_p] = {0, 1},
    [USE_min_p] = {0, 1},
    [USE_repeat_penalty] = {1e-3, 1e3},
};

static void *value_at(Use *use, UseId id) {
    return (char *)use + places[id].at;
}

void use_print(const Use *use, UseId id, StrBuf *out) {
    const void *at = (const char *)use + places[id].at;
    int value;
    switch (places[id].kind) {
    case KIND_U32: strbuf_printf(out, "%u", *(const uint32_t *)at); return;
    case KIND_F32: strbuf_add_float(out, *(const float *)at); return;
    default: break;
    }
    _Static_assert(sizeof(RopeFactors) == sizeof value, "enums are ints");
    memcpy(&value, at, sizeof value);
    strbuf_add(out, str_of(names[places[id].kind][value]));
}

static Str printed(const Use *use, UseId id, Arena *arena) {
    StrBuf text = {0};
    use_print(use, id, &text);
    Str out = arena_str(arena, strbuf_str(&text));
    strbuf_free(&text);
    return out;
}

static bool set_enum(Use *use, UseId id, Str text, Err *err) {
    const char *const *name = names[places[id].kind];
    StrBuf all = {0};
    for (int i = 0; name[i]; i++) {
        strbuf_printf(&all, "%s%s", i ? (name[i + 1] ? ", " : " or ") : "", name[i]);
        if (!str_is(text, name[i])) continue;
        memcpy(value_at(use, id), &i, sizeof i);
        strbuf_free(&all);
        return true;
    }
    err_set(err, ERR_USAGE, "expected %.*s", STR_ARG(strbuf_str(&all)));
    strbuf_free(&all);
    return false;
}

static bool set_number(Use *use, UseId id, double x, Err *err) {
    double least = bounds[id].least, most = bounds[id].most;
    bool is_whole = places[id].kind == KIND_U32;
    if (!(x >= least && x <= most) || (is_whole && x != floor(x)))
        return err_set(err, ERR_USAGE, "expected %s from %.10g to %.10g",
                       is_whole ? "a whole number" : "a number", least, most);
    if (is_whole)
        *(uint32_t *)value_at(use, id) = (uint32_t)x;
    else
        *(float *)value_at(use, id) = (float)x;
    return true;
}

static bool set_text(Use *use, UseId id, Str text, Arena *arena, Err *err) {
    if (places[id].kind > KIND_F32) return set_enum(use, id, text, err);
    const char *from = arena_cstr(arena, text);
    char *end;
    errno = 0;
    double x = strtod(from, &end);
    if (errno || *end || end == from || *from == ' ')
        return err_set(err, ERR_USAGE, "expected a number");
    return set_number(use, id, x, err);
}

// ---- the publisher's

static void set_source(Use *use, UseId id, Str source) {
    use->from[id] = (UseSource){source, {"", 0}};
}

static void read_context(Use *use, const Model *m, Arena *arena) {
    uint32_t most = m->contract.context;
    use->context = (uint32_t)min_size(most, USE_DEFAULT_CONTEXT);
    set_source(
        use, USE_context,
        most > USE_DEFAULT_CONTEXT
            ? arena_printf(
                  arena,
                  "lathe's default limit, below the model's %u; it changes no answer within it",
                  most)
            : arena_printf(arena, "%.*s", STR_ARG(m->sources[FIELD_context].text)));
}

static void read_rope_factors(Use *use, const Contract *c) {
    use->rope_factors = ROPE_FACTORS_AUTO;
    set_source(use, USE_rope_factors,
               contract_has_two_factor_sets(c)
                   ? STR("transformers, modeling_rope_utils.py (longrope_frequency_update): by the "
                         "current length")
                   : STR("the model has one set of rotary frequencies"));
}

static void read_text_use(Use *use, const Contract *c) {
    bool has_template = c->template_digest.len > 0;
    use->chat_template = has_template ? CHAT_TEMPLATE_MODEL : CHAT_TEMPLATE_NONE;
    set_source(use, USE_chat_template,
               has_template ? STR("tokenizer.chat_template") : STR("the file has no template"));
    use->bos = BOS_TEMPLATE;
    set_source(use, USE_bos, STR("transformers, apply_chat_template: add_special_tokens is false"));
    use->control_tokens = CONTROL_TOKENS_PARSED;
    set_source(use, USE_control_tokens,
               STR("transformers, apply_chat_template: the rendered text is tokenized whole"));
}

// How generation_config.json and the keys that llama.cpp's converter copies from it (gguf-py,
// constants.py, Keys.General) name a choice.
static const struct {
    UseId id;
    const char *config, *key;
} sampling[] = {
    {USE_temperature, "temperature", "general.sampling.temp"},
    {USE_top_k, "top_k", "general.sampling.top_k"},
    {USE_top_p, "top_p", "general.sampling.top_p"},
    {USE_min_p, "min_p", "general.sampling.min_p"},
    {USE_repeat_penalty, "repetition_penalty", "general.sampling.penalty_repeat"},
};

// What transformers takes for a key that generation_config.json leaves out (5.24,
// generation/configuration_utils.py, GenerationConfig._get_default_generation_params).
static void read_silent_sampling(Use *use) {
    use->temperature = 0;
    use->top_k = 50;
    use->top_p = 1;
    use->min_p = 0;
    use->repeat_penalty = 1;
    for (size_t i = 0; i < COUNT_OF(sampling); i++)
        set_source(use, sampling[i].id,
                   sampling[i].id == USE_temperature
                       ? STR("no file states one: greedy, as transformers without do_sample")
                       : STR("no file states one: transformers' default"));
}

static bool read_sampling_keys(Use *use, const Gguf *g, Err *err) {
    for (size_t i = 0; i < COUNT_OF(sampling); i++) {
        const GgufKey *k = gguf_find_key(g, str_of(sampling[i].key));
        double value;
        if (!k) continue;
        if (!gguf_f64(k, 0, &value))
            return err_set(err, ERR_FORMAT, "key '%s': expected a number", sampling[i].key);
        if (!set_number(use, sampling[i].id, value, err))
            return err_prefix(err, "key '%s' %g", sampling[i].key, value);
        set_source(use, sampling[i].id, k->name);
    }
    return true;
}

// do_sample decides whether the rest is used at all; it is false where the file is silent.
static bool read_generation_config(Use *use, const char *path, Arena *arena, Err *err) {
    json_t *config = json_read_file(path, err);
    if (!config) return false;
    bool ok = true, samples = json_is_true(json_object_get(config, "do_sample"));
    if (samples) use->temperature = 1;
    for (size_t i = 0; ok && i < COUNT_OF(sampling); i++) {
        UseId id = sampling[i].id;
        const json_t *value = json_object_get(config, sampling[i].config);
        bool is_there = json_is_number(value);
        // A penalty acts on greedy answers, too.
        if (is_there && (samples || id == USE_repeat_penalty))
            ok = set_number(use, id, json_number_value(value), err) || err_prefix(err, "%s", path);
        if (!samples && id == USE_temperature) use->temperature = 0;
        set_source(use, id,
                   arena_printf(arena, "generation_config.json: do_sample %s%s%s",
                                samples ? "true" : "false", is_there ? ", " : "",
                                is_there ? sampling[i].config : ""));
    }
    json_decref(config);
    return ok;
}

bool use_of_model(Use *use, const Model *model, const Gguf *g, const char *generation, Arena *arena,
                  Err *err) {
    *use = (Use){0};
    read_context(use, model, arena);
    read_rope_factors(use, &model->contract);
    read_text_use(use, &model->contract);
    read_silent_sampling(use);
    return read_sampling_keys(use, g, err) &&
           (!generation || read_generation_config(use, generation, arena, err));
}

// ---- choices

bool use_choose(Use *use, UseId id, const char *value, const Contract *c, Arena *arena, Err *err) {
    const char *option = use_rows[id].option;
    Str before = printed(use, id, arena), stated = use->from[id].publisher;
    if (!set_text(use, id, str_of(value), arena, err))
        return err_prefix(err, "%s %s", option, value);
    if (id == USE_context && use->context > c->context)
        return err_set(err, ERR_USAGE, "%s %s: the model was made for %u positions", option, value,
                       c->context);
    if (id == USE_rope_factors && !contract_has_two_factor_sets(c) &&
        use->rope_factors != ROPE_FACTORS_AUTO)
        return err_set(err, ERR_USAGE, "%s %s: the model has one set of rotary frequencies", option,
                       value);
    if (id == USE_chat_template && !c->template_digest.len &&
        use->chat_template == CHAT_TEMPLATE_MODEL)
        return err_set(err, ERR_USAGE, "%s %s: the file has no template", option, value);
    if (!stated.len) stated = before;
    bool is_publishers = id == USE_context || str_eq(printed(use, id, arena), stated);
    use->from[id] =
        (UseSource){arena_printf(arena, "option %s", option), is_publishers ? STR("") : stated};
    return true;
}

bool use_choose_all(Use *use, const char *const *values, const Contract *c, Arena *arena,
                    Err *err) {
    for (int i = 0; i < USE_COUNT; i++)
        if (values[i] && !use_choose(use, (UseId)i, values[i], c, arena, err)) return false;
    return true;
}

void use_print_deviations(const Use *use, StrBuf *out) {
    for (int i = 0; i < USE_COUNT; i++) {
        Str publisher = use->from[i].publisher;
        if (!publisher.len) continue;
        strbuf_printf(out, "%s%s ", out->len ? "; " : "", use_rows[i].name);
        use_print(use, (UseId)i, out);
        strbuf_printf(out, " (the publisher's: %.*s)", STR_ARG(publisher));
    }
}

// ---- JSON

json_t *use_to_json(const Use *use) {
    json_t *all = json_object();
    for (int i = 0; i < USE_COUNT; i++) {
        StrBuf value = {0};
        use_print(use, (UseId)i, &value);
        const UseSource *from = &use->from[i];
        json_t *publisher = from->publisher.len ? json_of_str(from->publisher) : json_null();
        json_object_set_new(all, use_rows[i].name,
                            json_pack("{s:o, s:o, s:o}", "value", json_of_str(strbuf_str(&value)),
                                      "source", json_of_str(from->source), "publisher", publisher));
        strbuf_free(&value);
    }
    return all;
}

bool use_from_json(Use *use, const json_t *json, Arena *arena, Err *err) {
    JsonReader n = {.arena = arena, .err = err};
    *use = (Use){0};
    for (int i = 0; i < USE_COUNT; i++) {
        const json_t *row = need_object(&n, json, use_rows[i].name);
        Str value = need_str(&n, row, "value");
        use->from[i].source = need_str(&n, row, "source");
        if (n.failed) return false;
        const json_t *publisher = json_object_get(row, "publisher");
        if (!json_is_null(publisher)) use->from[i].publisher = need_str(&n, row, "publisher");
        if (n.failed) return false;
        if (!set_text(use, (UseId)i, value, arena, err)) {
            if (err) err->kind = ERR_FORMAT; // of a file, not of a command line
            return err_prefix(err, "use.%s '%.*s'", use_rows[i].name, STR_ARG(value));
        }
    }
    return true;
}
