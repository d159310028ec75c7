// power.h — power as Apple's powermetrics states it, sampled while something runs. Internal to
// settle/.
//
// powermetrics needs root: it is called through `sudo -n`, which asks nothing and fails where the
// right is not given. It prints a sample every 100 ms and ends by itself. What it does not count is
// DRAM.
#ifndef LATHE_SETTLE_POWER_H
#define LATHE_SETTLE_POWER_H

#include "base/child.h"
#include "base/str.h"

enum { POWER_SAMPLES = 40, POWER_MS = 100 };

// Means over the samples, in watts.
typedef struct {
    double cpu, gpu, ane;
    size_t n_samples;
    char pressure[32]; // thermal, of the last sample that says: "Nominal"; "" when none does
} Power;

// Reads what powermetrics printed: lines "CPU Power: 123 mW", "GPU Power: …", "ANE Power: …", one of
// each a sample. ERR_FORMAT when it holds no sample.
bool power_read(Power *p, Str text, Err *err);

// Starts sampling into the file `out`; power_end() is for when it has ended.
bool power_start(ChildProcess *process, const char *out, Err *err);
bool power_end(Power *p, const ChildEnd *end, const char *out, Err *err);

#endif
