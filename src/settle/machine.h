// machine.h — the machine that is measured: system, chip, Core ML or its stand-in. Internal to
// settle/.
#ifndef LATHE_SETTLE_MACHINE_H
#define LATHE_SETTLE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "coreml/machine.h"

typedef struct {
    CoremlMachine machine;
    uint64_t memory_bytes;
    bool has_core_ml;
    // A stand-in is linked in place of Core ML: its figures are not a device's.
    bool is_stand_in;
} SettleMachine;

void machine_read(SettleMachine *m);
// Wired memory of the whole system now, in bytes; NaN where this system does not say.
double machine_wired_bytes(void);

#endif
