// names.c — the rows of names.def.
#include <string.h>

#include "base/size.h"
#include "huggingface/impl.h"

static const char *const usual[WEIGHT_COUNT] = {
#define HF_NAME(role, name) [WEIGHT_##role] = (name),
#define HF_NAME_OF(...)
#define HF_STACK_OF(...)
#include "huggingface/names.def"
#undef HF_NAME
#undef HF_NAME_OF
#undef HF_STACK_OF
};

typedef struct {
    Architecture architecture;
    WeightRole role;
    const char *name;
    bool is_stack;
} OwnName;

static const OwnName own[] = {
#define HF_NAME(...)
#define HF_NAME_OF(architecture, role, name)  {ARCH_##architecture, WEIGHT_##role, name, false},
#define HF_STACK_OF(architecture, role, name) {ARCH_##architecture, WEIGHT_##role, name, true},
#include "huggingface/names.def"
#undef HF_NAME
#undef HF_NAME_OF
#undef HF_STACK_OF
};

static const char *find_name(Architecture architecture, WeightRole role, bool is_stack) {
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (own[i].architecture == architecture && own[i].role == role &&
            own[i].is_stack == is_stack)
            return *own[i].name ? own[i].name : NULL;
    return is_stack ? NULL : usual[role];
}

const char *hf_weight_name(Architecture architecture, WeightRole role) {
    return find_name(architecture, role, false);
}

const char *hf_stack_name(Architecture architecture, WeightRole first) {
    return find_name(architecture, first, true);
}

WeightRole hf_weight_named(Architecture architecture, bool is_layer, Str name, bool *is_stack) {
    for (int stack = 1; stack >= 0; stack--)
        for (int role = 0; role < WEIGHT_COUNT; role++) {
            const char *known = find_name(architecture, (WeightRole)role, stack);
            *is_stack = stack;
            if (known && weight_infos[role].is_layer == is_layer && str_is(name, known))
                return (WeightRole)role;
        }
    return WEIGHT_COUNT;
}
