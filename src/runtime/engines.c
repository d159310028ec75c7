#include "runtime/engines.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "coreml/device.h"
#include "runtime/runner_coreml.h"
#include "runtime/runner_cpu.h"

const EngineInfo engines[ENGINE_COUNT] = {
#define ENGINE(id, capabilities_, runner_, doc_, is_present_)                                      \
    [ENGINE_##id] = {.name = #id,                                                                  \
                     .capabilities = capabilities_,                                                \
                     .runner = runner_,                                                            \
                     .doc = doc_,                                                                  \
                     .is_present = is_present_},
#include "runtime/engines.def"
#undef ENGINE
};

const char engines_help[] = "default: the first that runs the file"
#define ENGINE(id, capabilities_, runner_, doc_, is_present_) "; " #id ": " doc_
#include "runtime/engines.def"
#undef ENGINE
    ;

static const EngineInfo *find_engine(const char *name, unsigned capabilities) {
    for (size_t i = 0; i < COUNT_OF(engines); i++)
        if (name ? strcmp(engines[i].name, name) == 0
                 : (engines[i].capabilities & capabilities) == capabilities)
            return &engines[i];
    return NULL;
}

bool engine_choose(const EngineInfo **out, const char *name, unsigned capabilities, Err *err) {
    const EngineInfo *e = *out = find_engine(name, capabilities);
    if (!e)
        return err_set(err, ERR_USAGE, "--engine %s: expected %s or %s", name,
                       engines[ENGINE_cpu].name, engines[ENGINE_reference].name);
    if (e->is_present && !e->is_present())
        return err_set(err, ERR_USAGE, "--engine %s: not on this system; use --engine %s", e->name,
                       engines[ENGINE_cpu].name);
    return true;
}

void engine_label(const EngineInfo *engine, Arithmetic arithmetic, char *label, size_t size) {
    snprintf(label, size, "%s (%s)", engine->name, arithmetic_label(arithmetic));
}
