#include "bundle/gates.h"

const GateInfo gates[GATE_COUNT] = {
#define GATE(id, schema, needs, name, doc) [GATE_##id] = {name, doc, schema, needs},
#include "bundle/gates.def"
#undef GATE
};
