// meter.h — progress on a terminal: one line that rewrites itself with rate and time to go; nothing
// when stderr is a file. And what a command used in the end.
//
// Work reports when it gets on, which may take it long; a thread of the meter's own redraws the
// line meanwhile with the seconds gone by, so that a terminal never stands still.
#ifndef LATHE_CLI_METER_H
#define LATHE_CLI_METER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/progress.h"

typedef struct {
    bool is_terminal, is_resting, is_closing;
    double started, stage_started, drawn; // seconds
    double stage_done;                    // what was done when the stage was first heard of
    double done, total;                   // as last reported; total 0: not known
    double peak_own, sampled; // the most own_bytes() seen, and when it was looked at last
    char stage[32];
    unsigned width; // of the line on the screen
    pthread_t ticker;
    pthread_mutex_t lock; // over all of this
    pthread_cond_t wake;
} Meter;

void meter_start(Meter *m);        // with the stage "opening"
Progress meter_progress(Meter *m); // the meter must outlive it
void meter_clear(Meter *m);        // takes the line away before other output; it comes back
void meter_rest(Meter *m);         // takes it away until the next report
void meter_stop(Meter *m);         // takes it away for good; safe when never started, or twice
// Stops, and says on stderr "verified in 12.3 s, peak memory 45 MiB (with mapped files 312 MiB
// resident)" since meter_start. The first figure is sampled at reports.
void meter_finish(Meter *m, const char *what);

#endif
