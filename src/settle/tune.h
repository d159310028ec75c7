// tune.h — the fastest combination that is resident and right, as a setting with a name. Internal to
// settle/.
#ifndef LATHE_SETTLE_TUNE_H
#define LATHE_SETTLE_TUNE_H

#include "settle/record.h"

// Puts the best usable variants of the questions together, measures that bundle beside the plain one
// (the stages of the question `speed`), and keeps the faster one at decode, by its options, in
// FOLDER/NAME.json (bundle/setting_file.h). `*kept` is what it says, or NULL where nothing is usable:
// then no file is written, and an older one is removed.
bool tune(Run *run, const char *name, const char **kept, Err *err);

#endif
