// device_gates.h — the gates that judge a bundle on a device, one row each (device_gates.def).
#ifndef LATHE_BUNDLE_DEVICE_GATES_H
#define LATHE_BUNDLE_DEVICE_GATES_H

#include "base/err.h"

typedef enum {
#define DEVICE_GATE(id, ...) DEVICE_GATE_##id,
#include "bundle/device_gates.def"
#undef DEVICE_GATE
    DEVICE_GATE_COUNT
} DeviceGateId;

typedef struct {
    const char *name, *doc;
} DeviceGateInfo;

extern const DeviceGateInfo device_gates[DEVICE_GATE_COUNT];

// Refuses a list (gates.h: gate_is_listed) that is empty or names a gate that does not exist.
bool device_gate_check_list(const char *list, Err *err);

#endif
