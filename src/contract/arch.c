#include "contract/arch.h"

#include "base/size.h"

const ArchInfo arch_infos[ARCH_COUNT] = {
#define ARCH(id, text, used_for, reason, ...)                                                      \
    [ARCH_##id] = {.name = text, .families = used_for, .rope_reason = reason, __VA_ARGS__},
#include "contract/archs.def"
#undef ARCH
};

static const HfClass hf_classes[] = {
#define JSON(...) #__VA_ARGS__
#define HF_CLASS(type, class, arch, ...)                                                           \
    {.model_type = type, .name = class, .architecture = ARCH_##arch, __VA_ARGS__},
#include "contract/hf_classes.def"
#undef HF_CLASS
#undef JSON
};

const ArchInfo *arch_named(Str name) {
    for (size_t i = 0; i < ARCH_COUNT; i++)
        if (str_is(name, arch_infos[i].name)) return &arch_infos[i];
    return NULL;
}

const HfClass *hf_class_named(Str model_type, Str name) {
    for (size_t i = 0; i < COUNT_OF(hf_classes); i++) {
        const HfClass *c = &hf_classes[i];
        if (model_type.len ? str_is(model_type, c->model_type) : str_is(name, c->name)) return c;
    }
    return NULL;
}

const char *arch_unsupported(Str name) {
    static const struct {
        const char *name, *reason;
    } rows[] = {
#define UNSUPPORTED(name, reason) {name, reason},
#include "contract/unsupported.def"
#undef UNSUPPORTED
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_is(name, rows[i].name)) return rows[i].reason;
    return NULL;
}

static const char *separator(size_t i, size_t n) {
    return i == 0 ? "" : i + 1 == n ? " and " : ", ";
}

Str arch_list(Arena *arena) {
    Str list = {"", 0};
    for (size_t i = 0; i < ARCH_COUNT; i++)
        list = arena_printf(arena, "%.*s%s%s (%s)", STR_ARG(list), separator(i, ARCH_COUNT),
                            arch_infos[i].name, arch_infos[i].families);
    return list;
}

const char *contract_hf_class(Architecture architecture, const char **model_type) {
    size_t i = 0;
    while (hf_classes[i].architecture != architecture) i++;
    *model_type = hf_classes[i].model_type;
    return hf_classes[i].name;
}

Str hf_class_list(Arena *arena) {
    Str list = {"", 0};
    for (size_t i = 0; i < COUNT_OF(hf_classes); i++)
        list = arena_printf(arena, "%.*s%s%s", STR_ARG(list), separator(i, COUNT_OF(hf_classes)),
                            hf_classes[i].model_type);
    return list;
}
