// error.c — hands the library's errors and texts to callers of the public API.
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "huggingface/folder.h"

static LatheErrorKind kind_of(ErrKind kind) {
    switch (kind) {
    case ERR_NONE: return LATHE_OK;
    case ERR_GATE: return LATHE_ERROR_GATE;
    case ERR_USAGE: return LATHE_ERROR_USAGE;
    case ERR_FORMAT: return LATHE_ERROR_FORMAT;
    case ERR_SYSTEM: return LATHE_ERROR_SYSTEM;
    case ERR_UNPROVED: return LATHE_ERROR_UNPROVED;
    case ERR_STOPPED: return LATHE_ERROR_STOPPED;
    }
    return LATHE_ERROR_SYSTEM;
}
_Static_assert(sizeof(((Err *)0)->text) == sizeof(((LatheError *)0)->text), "copied whole");

bool api_fail(LatheError *to, const Err *from) {
    if (!to) return false;
    to->kind = kind_of(from->kind);
    memcpy(to->text, from->text, sizeof to->text);
    return false;
}

char *api_take_text(StrBuf *text, size_t *n_bytes) {
    strbuf_add(text, STR("")); // so that there is a NUL
    char *at = text->at;
    if (n_bytes) *n_bytes = text->len;
    *text = (StrBuf){0};
    return at;
}

const char *lathe_version(void) {
    return LATHE_VERSION;
}

void lathe_free(void *at) {
    free(at);
}

// ---- progress

static void report(void *context, const char *what, uint64_t done, uint64_t total) {
    ProgressAdapter *a = context;
    if (a->from->step && !a->from->step(a->from->context, what, done, total)) a->is_stopped = true;
}

static bool goes_on(void *context) {
    return !((const ProgressAdapter *)context)->is_stopped;
}

static void note(void *context, const char *text) {
    const ProgressAdapter *a = context;
    if (a->from->note) a->from->note(a->from->context, text);
}

const Progress *api_progress(ProgressAdapter *a, const LatheProgress *from) {
    *a = (ProgressAdapter){.from = from};
    a->progress = (Progress){report, a, goes_on, note};
    return from ? &a->progress : NULL;
}

bool api_open_vocabulary(Gguf *g, Arena *arena, const char *path, Err *err) {
    return model_open(g, arena, path_is_bundle(path) ? path_join(arena, path, "host.gguf") : path,
                      err);
}
