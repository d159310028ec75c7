// device_loads.h — how long a device took to load and run the functions of a bundle, and how it
// used the arrays that it was given: section "loads" of a run on a device. Internal to gates/.
#ifndef LATHE_GATES_DEVICE_LOADS_H
#define LATHE_GATES_DEVICE_LOADS_H

#include "proof/proof.h"

// Adds what the functions of `s` have counted since they were opened, under the running gate's
// name. A gate makes comparisons between runs, so these times do not measure the speed of a device.
void device_loads_add(Proof *p, const Shards *s);

#endif
