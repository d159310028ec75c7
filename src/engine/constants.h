// constants.h — the constants of a program as weights, packed as in the package.
#ifndef LATHE_ENGINE_CONSTANTS_H
#define LATHE_ENGINE_CONSTANTS_H

#include "engine/plan.h"

// The constant value `v` of the engine's function (made by const or a constexpr op) as a weight;
// made once. NULL and `err` when memory is out or the op is not one the engine knows.
const Weight *weight_of_constant(Engine *e, uint32_t v, Err *err);
// True when value `v` is a constant that weight_of_constant() can give.
bool value_is_constant(const MilFunction *f, uint32_t v);
// Packed bytes of a value with data, aligned for its elements; good for the engine's life.
const void *constant_bytes(Engine *e, uint32_t v);

#endif
