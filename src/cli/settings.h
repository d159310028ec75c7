// settings.h — --set and --ignore-key, for the commands that read a model file.
//
// A command has a member `settings` in its arguments, and settings.def in its table of options.
#ifndef LATHE_CLI_SETTINGS_H
#define LATHE_CLI_SETTINGS_H

#include "cli/options.h"
#include "gguf/settings.h"

typedef struct {
    TextList set, ignored;
} SettingOptions;

// Views into `o`, which must outlive it.
static inline GgufSettings settings_given(const SettingOptions *o) {
    return (GgufSettings){o->set.at, o->set.count, o->ignored.at, o->ignored.count};
}

#endif
