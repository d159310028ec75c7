#include "gates/layer_names.h"

bool layer_of_name(Str name, uint32_t *layer, Str *stem) {
    enum { PREFIX = sizeof "layer_" - 1 };
    if (!str_starts(name, STR("layer_"))) return false;
    size_t at = PREFIX;
    *layer = 0;
    for (; at < name.len && name.at[at] >= '0' && name.at[at] <= '9' && at < PREFIX + 4; at++)
        *layer = 10 * *layer + (uint32_t)(name.at[at] - '0');
    if (at == PREFIX || at + 1 >= name.len || name.at[at] != '_') return false;
    *stem = (Str){name.at + at + 1, name.len - at - 1};
    return true;
}
