// verify_screen.h — what `lathe verify` prints: one line per gate, and failures in full; with
// --verbose one line per result.
#ifndef LATHE_CLI_VERIFY_SCREEN_H
#define LATHE_CLI_VERIFY_SCREEN_H

#include <jansson.h>

#include "bundle/verdict.h"
#include "cli/meter.h"

typedef struct {
    Meter meter;
    bool has_colour, is_verbose;
    bool has_head;            // of the matrix, printed
    unsigned width;           // columns of the terminal, where lines wrap at words; 0: they do not
    json_t *lines;            // collects the results for --json; NULL: they are printed on stdout
    size_t n_unproved;        // results so far
    size_t n_gates, n_failed; // gates that ended
} Screen;

void screen_start(Screen *s, bool is_verbose, bool as_json);

// Callbacks of VerifyJob; `context` is the Screen.
void screen_line(void *context, const char *gate, const char *scope, const char *figures,
                 ProofVerdict verdict);
void screen_gate(void *context, const char *gate, const json_t *json, bool is_kept);
void screen_note(void *context, const char *text);

// What a run that ended without failures means.
typedef enum {
    END_MODEL,        // the gates of a model file passed
    END_ALL,          // all gates passed, sealed
    END_STILL_SEALED, // some gates were asked for, and the seal of all of them holds
    END_SOME,         // … and there is no seal
    END_DEVICE,       // gates of a device passed
} ScreenEnd;
void screen_print_end(const Screen *s, const char *name, ScreenEnd end);
// "ran 10 gates in 5.3 s: 1 failed; peak memory 79 MiB resident", on stderr.
void screen_print_cost(Screen *s);

#endif
