// tune.h — finds the fastest combination of options that stays on the Neural Engine and is right,
// and writes it as a named setting. Internal to settle/.
#ifndef LATHE_SETTLE_TUNE_H
#define LATHE_SETTLE_TUNE_H

#include "settle/record.h"

// Combines the best usable variants of the questions, measures that bundle and the default one (the
// stages of the question `speed`), and writes the options of the one with faster decode to
// FOLDER/NAME.json (convert/setting_file.h). `*kept` receives a line that states them, or NULL when
// nothing is usable: then no file is written, and an older one is removed.
bool tune(Run *run, const char *name, const char **kept, Err *err);

#endif
