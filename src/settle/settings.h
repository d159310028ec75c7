// settings.h — the bundles that a run measures: one for each set of options of lathe convert.
// Internal to settle/.
#ifndef LATHE_SETTLE_SETTINGS_H
#define LATHE_SETTLE_SETTINGS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/hash.h"
#include "settle/machine.h"
#include "settle/predict.h"
#include "settle/settle.h"
#include "settle/tables.h"

typedef struct Setting {
    char *slug;           // "default", "kv-overwrite": names its files
    const char *options;  // as the variants give them
    char *bundle;         // path
    bool is_given;        // the bundle that the user named: it is never removed
    bool is_ready;        // was converted once, or is given
    Sha256 chain;         // of its chain.json
    struct Setting *same; // an earlier setting with the very same bundle; NULL: none
    Err why;              // kind ERR_NONE, or why there is no such bundle
    Computed computed;
} Setting;

// The state of a run. Memory in `arena`.
typedef struct {
    const SettleJob *job;
    Arena arena;
    SettleMachine machine;
    const char *folder, *records, *logs, *bundles, *cache;
    bool has_bundle;   // the subject is a bundle
    const char *model; // the GGUF file; NULL: not available
    char **base;       // options of every conversion
    size_t n_base;
    Setting *settings;
    size_t n_settings;
    const char *source_sha256; // of the model file, by the first bundle made of it; "" until then
    json_t *said;              // names of records that were reported
    Setting **of_variant;      // [settle_n_variants]; NULL: its question is not asked
} Run;

// Lists the settings of the questions asked, and finds the model file.
bool settings_open(Run *run, Err *err);
void settings_close(Run *run); // safe on a zeroed Run
// Converts the bundle if it does not exist; if convert refuses, setting->why says why. False: the
// caller cancelled, or a file cannot be written.
bool setting_convert(Run *run, Setting *s, Err *err);
// Removes the bundle unless it is given or kept.
void setting_drop(Run *run, const Setting *s);
// The setting whose records are used for `s`.
static inline Setting *setting_of(Setting *s) {
    return s->same ? s->same : s;
}

// The setting for `options`; a new one if there is none.
Setting *setting_add(Run *run, const char *options);

// The key of a file kept by this run: program, machine, and the digest `of` its subject. A new
// reference.
json_t *settle_key(const Run *run, const char *of);

void settle_say(const Run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
