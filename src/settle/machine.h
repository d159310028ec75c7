// machine.h — which machine answers: system, chip, Core ML or what stands in for it. Internal to
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
    // What is linked in Core ML's place is not Apple's: no figure of it is a device's.
    bool is_stand_in;
} SettleMachine;

void machine_read(SettleMachine *m);
// Wired memory of the whole system now, in bytes; NaN where this system does not say.
double machine_wired_bytes(void);

#endif
