#include "decoder/ports.h"

const char *port_of_kind(Arena *arena, const char *port, uint32_t kind) {
    return kind ? arena_printf(arena, "%s_%u", port, kind).at : port;
}

const char *port_of_layer(Arena *arena, const char *port, uint32_t layer) {
    return arena_printf(arena, "%s_%02u", port, layer).at;
}

bool port_is_cache(Str name) {
    if (name.len < 4 || name.at[1] != '_') return false;
    for (size_t i = 2; i < name.len; i++)
        if (name.at[i] < '0' || name.at[i] > '9') return false;
    return name.at[0] == CACHE_K[0] || name.at[0] == CACHE_V[0];
}
