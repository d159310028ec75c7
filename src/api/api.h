// api.h — what the files of the public API share. Internal to api/; callers see include/lathe.h.
#ifndef LATHE_API_API_H
#define LATHE_API_API_H

#include <lathe.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/progress.h"
#include "gguf/gguf.h"
#include "tokenizer/tokenizer.h"

// Copies `from` to the caller's error, which may be NULL. Returns false.
bool api_fail(LatheError *to, const Err *from);

// Moves the content of `text` to the caller, NUL-terminated, to be freed by lathe_free(). `text` is
// left empty.
char *api_take_text(StrBuf *text, size_t *n_bytes);

// Wraps a caller's progress callbacks as the library's; valid as long as `adapter`. `from` may be
// NULL.
typedef struct {
    const LatheProgress *from;
    bool is_stopped;
    Progress progress;
} ProgressAdapter;
const Progress *api_progress(ProgressAdapter *adapter, const LatheProgress *from);

struct LatheTokenizer {
    const Tokenizer *tokenizer;
};

// Opens the file with vocabulary and template of `path`: the GGUF file itself, or a bundle's host.gguf.
bool api_open_vocabulary(Gguf *g, Arena *arena, const char *path, Err *err);

#endif
