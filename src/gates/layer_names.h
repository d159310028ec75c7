// layer_names.h — values of packages are named by their layer: "layer_03_qkv_y". Internal to gates/.
#ifndef LATHE_GATES_LAYER_NAMES_H
#define LATHE_GATES_LAYER_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

// 3 and "qkv_y" of "layer_03_qkv_y"; false for a name of no layer.
bool layer_of_name(Str name, uint32_t *layer, Str *stem);

#endif
