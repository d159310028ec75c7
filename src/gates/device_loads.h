// device_loads.h — how long a device took to load and run the functions of a bundle, and how it treated what
// it was handed: section "loads" of a run on a device. Internal to gates/.
#ifndef LATHE_GATES_DEVICE_LOADS_H
#define LATHE_GATES_DEVICE_LOADS_H

#include "proof/proof.h"

// Adds what the functions of `s` have counted since they were opened, under the running gate's name. Times
// of gates are those of runs between comparisons: no speed of a device.
void device_loads_add(Proof *p, const Shards *s);

#endif
