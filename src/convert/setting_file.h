// setting_file.h — named options of lathe convert, as `lathe settle --tune` finds them for a
// machine:
//
//     {"schema": 1, "name": "m4", "options": ["--kv", "overwrite"], "tool": "lathe 0.1.0",
//      "system": "macOS 27.0", "os_build": "26A123", "chip": "Apple M4", "stand_in": false,
//      "decode_ms": 12.3}
//
// Named settings lie in $LATHE_SETTINGS_DIR, else $XDG_CONFIG_HOME/lathe/settings, else
// ~/.config/lathe/settings, as NAME.json.
#ifndef LATHE_CONVERT_SETTING_FILE_H
#define LATHE_CONVERT_SETTING_FILE_H

#include "base/arena.h"
#include "base/err.h"

enum { SETTING_FILE_SCHEMA = 1, SETTING_FILE_MAX_WORDS = 64 };

typedef struct {
    const char *name;
    const char *options; // words separated by spaces: an option, its value, …
    const char *tool, *system, *os_build, *chip;
    bool is_stand_in; // found with a stand-in for Core ML: nothing was measured on a device
    double decode_ms; // time of one decode step there
} SettingFile;

// Letters, digits, '.', '_' and '-'.
bool setting_name_check(const char *name, Err *err);
// FOLDER/NAME.json, and NAME.json among the named settings.
bool setting_file_write(const SettingFile *file, const char *folder, Err *err);
bool setting_file_install(const SettingFile *file, Err *err);

// Reads the settings file at the path `given`, or the named settings of that name. `words`
// [n_words]: its options and values. In the arena.
typedef struct {
    const char *path;
    const char *words[SETTING_FILE_MAX_WORDS];
    size_t n_words;
    bool is_stand_in;
} SettingWords;
bool setting_file_read(SettingWords *s, const char *given, Arena *arena, Err *err);

#endif
