// double.h — a stand-in for Core ML's classes on GNUstep, backed by lathe's own CPU engine, so that the adapter can
// be run without a Mac. It shows awkward facts on demand (faults.def) and counts living objects. No figure that comes
// from it is a device's.
#ifndef LATHE_TESTS_APPLE_DOUBLE_H
#define LATHE_TESTS_APPLE_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
#define FAULT(name, doc, source) DOUBLE_##name,
#include "faults.def"
#undef FAULT
    DOUBLE_FAULT_COUNT
} DoubleFault;

// From the `from`-th call on (1: the first); 0 takes the fault away.
void double_set(DoubleFault fault, long from);
void double_clear(void);  // no fault, counters at zero
void double_let_go(void); // what it holds of inputs (holds_inputs)
// Objects of the double's classes that live.
long double_n_alive(void);

#endif
