// manifest.h — Manifest.json: names the model file and the weights of a package. Internal to
// mlpackage/.
#ifndef LATHE_MLPACKAGE_MANIFEST_H
#define LATHE_MLPACKAGE_MANIFEST_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// Appends the manifest's text. Identifiers are derived from item names, so that the same package
// gives the same bytes.
void manifest_print(StrBuf *out);

// Reads the manifest of the package `path`; sets the paths of the model file and the weights
// directory (NULL when the package has none), both within Data/, in the arena.
bool manifest_read(const char *path, Arena *arena, const char **model, const char **weights,
                   Err *err);

#endif
