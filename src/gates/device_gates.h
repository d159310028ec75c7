// device_gates.h — gates that judge a bundle on a device, beside those of bundle/gates.def that do so
// when the device is the engine (positions, head, text). bundle/device_gates.def lists all.
//
// What a device gives is compared with lathe's own engine on the same inputs: another engine of the
// same framework shares its faults (on macOS 27 the fp16 products of Core ML's CPU have ten to forty
// times the error of fp32 sums).
#ifndef LATHE_GATES_DEVICE_GATES_H
#define LATHE_GATES_DEVICE_GATES_H

#include "gates/gates.h"

Gate gate_device_residency; // device_residency.c
Gate gate_device_golden;    // device_golden.c
Gate gate_device_drift;     // device_drift.c

#endif
