// name.h — names of models on Hugging Face's hub:
//
//     hf:USER/REPO[@REVISION][:WHICH]
//
// REVISION is a branch, a tag or a commit ("main" where none is given). WHICH selects one of the
// repository's GGUF files: by its quantisation, as written in file names ("Q8_0", in any case), or
// by a file name.
#ifndef LATHE_HUB_NAME_H
#define LATHE_HUB_NAME_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// Views into the text that was read.
typedef struct {
    Str repo;     // "USER/REPO"
    Str revision; // "main" when none is given
    Str which;    // empty: not given
} HubName;

bool hub_is_name(const char *text); // whether it begins with "hf:"; no path does
bool hub_name_read(HubName *name, const char *text, Err *err);
// "hf:USER/REPO:WHICH", as it was read. In the arena, NUL-terminated.
const char *hub_name_text(Arena *arena, const HubName *name);

// Whether `repo` is a repository's name that the hub allows, with a user or, like the oldest ones,
// without: letters, digits, '.', '_', '-'; neither ".." nor "--".
bool hub_is_repo(Str repo);
// Whether `path` leads to a file inside the folder it is joined to: relative, no component empty,
// "." or "..", no backslash, no control character, at most HUB_MAX_PATH bytes.
enum { HUB_MAX_PATH = 512 };
bool hub_is_path(Str path);
// The same, and `path` has only one component, which does not begin with a dot.
bool hub_is_file_name(Str name);
// The part of a path after the last '/'; the store keeps a file under that name.
Str hub_file_name(Str path);

#endif
