// manifest.h — Manifest.json: which files of a package are what. Internal to mlpackage/.
#ifndef LATHE_MLPACKAGE_MANIFEST_H
#define LATHE_MLPACKAGE_MANIFEST_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// The manifest's text, with identifiers derived from item names: the same package, the same bytes.
void manifest_print(StrBuf *out);

// Reads the manifest of the package `path`; gives the model file and the weights directory (NULL
// when the package has none), both within Data/, in the arena.
bool manifest_read(const char *path, Arena *arena, const char **model, const char **weights,
                   Err *err);

#endif
