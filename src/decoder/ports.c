#include "decoder/ports.h"

const char *port_of_kind(Arena *arena, const char *port, uint32_t kind) {
    return kind ? arena_printf(arena, "%s_%u", port, kind).at : port;
}

const char *port_of_layer(Arena *arena, const char *port, uint32_t layer) {
    return arena_printf(arena, "%s_%02u", port, layer).at;
}
