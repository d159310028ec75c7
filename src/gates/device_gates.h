// device_gates.h — gates that only run on a device. The gates positions, head and text of
// bundle/gates.def also run there; bundle/device_gates.def lists all.
//
// A device's results are compared with lathe's own engine on the same inputs, because another
// engine of the same framework would share its faults (on macOS 27 the fp16 products of Core ML's
// CPU have ten to forty times the error of fp32 sums).
#ifndef LATHE_GATES_DEVICE_GATES_H
#define LATHE_GATES_DEVICE_GATES_H

#include "gates/gates.h"

Gate gate_device_residency; // device_residency.c
Gate gate_device_golden;    // device_golden.c
Gate gate_device_drift;     // device_drift.c

#endif
