// engines.h — the table of engines (engines.def): what each can run, and its capabilities.
#ifndef LATHE_RUNTIME_ENGINES_H
#define LATHE_RUNTIME_ENGINES_H

#include "runtime/runner.h"

enum {
    ENGINE_RUNS_MODELS = 1,     // GGUF files
    ENGINE_RUNS_BUNDLES = 2,    // packages
    ENGINE_HAS_TAPS = 4,        // values inside a program can be looked at (runner_tapped)
    ENGINE_HAS_ARITHMETICS = 8, // --arithmetic chooses how results are rounded; else fp16
    ENGINE_IS_DEVICE = 16,      // hardware with its own arithmetic: see verify/device.h
};

typedef enum {
#define ENGINE(id, capabilities, runner, doc, is_present) ENGINE_##id,
#include "runtime/engines.def"
#undef ENGINE
    ENGINE_COUNT
} EngineId;

typedef struct EngineInfo {
    const char *name;
    unsigned capabilities;
    const RunnerOps *runner;
    const char *doc;
    bool (*is_present)(void); // NULL: always
} EngineInfo;

extern const EngineInfo engines[ENGINE_COUNT];
extern const char engines_help[]; // of an option that takes a name of the table

// The engine `name`, or for NULL the first one with all of `capabilities`. ERR_USAGE when there is
// none of that name or this build lacks it. The caller checks what the engine can run.
bool engine_choose(const EngineInfo **out, const char *name, unsigned capabilities, Err *err);

// For people: "cpu (fp16)", "cpu (ane, a model)".
void engine_label(const EngineInfo *engine, Arithmetic arithmetic, char *label, size_t size);

#endif
