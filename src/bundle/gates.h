// gates.h — the gates a bundle has to pass, by table: verify/ runs them, the seal lists them.
#ifndef LATHE_BUNDLE_GATES_H
#define LATHE_BUNDLE_GATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    GATE_NEEDS_SOURCE = 1,   // the GGUF file the bundle was made of
    GATE_NEEDS_HOST = 2,     // host.gguf
    GATE_NEEDS_PACKAGES = 4, // every file of every package
    GATE_NEEDS_ALL = 7,
};

typedef struct {
    const char *name, *doc;
    uint32_t schema;
    unsigned needs;
} GateInfo;

typedef enum {
#define GATE(id, schema, needs, name, doc) GATE_##id,
#include "bundle/gates.def"
#undef GATE
    GATE_COUNT
} GateId;

extern const GateInfo gates[GATE_COUNT];

// Whether `list` ("graph,layer-golden") names the gate; NULL names all. Spaces in names may be
// written as '-'.
bool gate_is_listed(const char *list, const char *name);
// Refuses a list with a name that is none.
bool gate_check_list(const char *list, Err *err);

#endif
