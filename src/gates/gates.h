// gates.h — the functions that the rows of bundle/gates.def name.
#ifndef LATHE_GATES_GATES_H
#define LATHE_GATES_GATES_H

#include "proof/proof.h"

// Returns false only when the gate could not run; failures are results.
typedef bool Gate(Proof *p, Err *err);
#define GATE(id, ...) Gate gate_##id;
#include "bundle/gates.def"
#undef GATE

#endif
