// meter.h — progress on a terminal: one line that rewrites itself with rate and time to go; nothing
// when stderr is a file. And what a command used in the end.
#ifndef LATHE_CLI_METER_H
#define LATHE_CLI_METER_H

#include <stdbool.h>

#include "base/progress.h"

typedef struct {
    bool is_terminal;
    double started, stage_started, drawn; // seconds
    char stage[32];
    unsigned width; // of the line on the screen
} Meter;

void meter_start(Meter *m);
Progress meter_progress(Meter *m); // the meter must outlive it
void meter_clear(Meter *m);        // takes the line away, before other output
// "12.3 s, peak memory 45 MiB" since meter_start, to stderr.
void meter_finish(Meter *m, const char *what);
double now_seconds(void); // a clock that only goes forward

#endif
