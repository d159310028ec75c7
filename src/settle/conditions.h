// conditions.h — the machine's state while something is timed: heat, power supply, other load.
// Internal to settle/.
#ifndef LATHE_SETTLE_CONDITIONS_H
#define LATHE_SETTLE_CONDITIONS_H

#include <jansson.h>

#include "settle/settings.h"

// {"load", "thermal", "supply"}: the load average of a minute, and what `pmset -g therm` and `pmset -g
// batt` print; the latter two only where there is such a program. A new reference.
json_t *conditions_now(Run *run);

#endif
