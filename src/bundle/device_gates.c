#include "bundle/device_gates.h"

#include "base/str.h"
#include "bundle/gates.h"

const DeviceGateInfo device_gates[DEVICE_GATE_COUNT] = {
#define DEVICE_GATE(id, name_, function, doc_) [DEVICE_GATE_##id] = {.name = name_, .doc = doc_},
#include "bundle/device_gates.def"
#undef DEVICE_GATE
};

static bool is_device_gate(Str given) {
    Arena scratch = {0};
    const char *name = arena_cstr(&scratch, given);
    bool is_found = false;
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        is_found = is_found || gate_is_listed(name, device_gates[i].name);
    arena_free(&scratch);
    return is_found;
}

bool device_gate_check_list(const char *list, Err *err) {
    if (list && !*list)
        return err_set(err, ERR_USAGE, "--gates is an empty list, expected names of gates");
    while (list && *list) {
        Str name = str_next_item(&list);
        if (is_device_gate(name)) continue;
        StrBuf known = {0};
        for (int i = 0; i < DEVICE_GATE_COUNT; i++)
            strbuf_printf(&known, "%s%s", i ? ", " : "", device_gates[i].name);
        err_set(err, ERR_USAGE, "no gate '%.*s' of a device; expected some of: %.*s", STR_ARG(name),
                STR_ARG(strbuf_str(&known)));
        strbuf_free(&known);
        return false;
    }
    return true;
}
