// layer_names.h — layers in the names of packages' values: "layer_03_qkv_y". Internal to gates/.
#ifndef LATHE_GATES_LAYER_NAMES_H
#define LATHE_GATES_LAYER_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

// Splits "layer_03_qkv_y" into 3 and "qkv_y"; false for a name without a layer.
bool layer_of_name(Str name, uint32_t *layer, Str *stem);

#endif
