// meter.h — progress on stderr. On a terminal it is one line that is redrawn, with what is done,
// the rate and the time left in this stage; in a file at most one line a minute. At the end it
// prints the time and memory that a command used.
//
// While no report comes, a thread of the meter redraws the line with the seconds so far.
#ifndef LATHE_CLI_METER_H
#define LATHE_CLI_METER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/progress.h"

typedef struct {
    bool is_terminal, is_resting, is_closing;
    double started, stage_started, drawn; // seconds
    double log_after;                     // seconds between two lines in a file
    double stage_done;                    // what was done at the first report of the stage
    double done, total;                   // as last reported; total 0: not known
    double peak_own, sampled;             // the highest own_bytes() seen; when it was last read
    char stage[32];                       // "vote: readings" (base/progress.h)
    unsigned width;                       // of the line on the screen
    pthread_t ticker;
    pthread_mutex_t lock; // over all of this
    pthread_cond_t wake;
} Meter;

void meter_start(Meter *m);        // with the stage "opening"
Progress meter_progress(Meter *m); // the meter must outlive it
void meter_clear(Meter *m);        // erases the line before other output; the next tick draws it
void meter_rest(Meter *m);         // erases it until the next report
void meter_stop(Meter *m); // erases it and ends the ticker; safe when never started, or twice
// Stops, and prints on stderr "verified in 12.3 s, peak memory 45 MiB (with mapped files 312 MiB
// resident)" since meter_start. The first figure is sampled at reports.
void meter_finish(Meter *m, const char *what);

#endif
