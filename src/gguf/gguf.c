// gguf.c — opens a model, in one file or split into several, and computes the digest of its bytes.
#include "gguf/gguf.h"

#include <inttypes.h>

#include "base/size.h"
#include "gguf/parse.h"

// A single file is the whole model, unless its key split.count says otherwise.
static bool adopt_whole(Gguf *g, Arena *arena, const GgufFile *file, const char *path, Err *err) {
    uint64_t count;
    if (gguf_file_u64(file, "split.count", &count) && count > 1)
        return err_set(err, ERR_FORMAT,
                       "%s is one of %" PRIu64 " parts of a model; name it NAME-00001-of-%05" PRIu64
                       ".gguf or likewise, as its converter did, so that lathe finds the others",
                       path, count, count);
    gguf_adopt(g, arena, file);
    return true;
}

bool gguf_open(Gguf *g, Arena *arena, const char *path, Err *err) {
    *g = (Gguf){0};
    SplitName name;
    bool ok;
    if (gguf_split_name(&name, path) && name.count > 1) {
        ok = gguf_open_split(g, arena, path, &name, err);
    } else {
        GgufFile file = {0};
        g->parts = arena_new(arena, GgufPart);
        g->n_parts = 1;
        ok = gguf_open_part(g, &file, arena, path, 0, err) &&
             adopt_whole(g, arena, &file, path, err);
    }
    if (ok)
        g->path = g->parts[0].path;
    else
        gguf_close(g);
    return ok;
}

bool gguf_open_bytes(Gguf *g, Arena *arena, const void *bytes, size_t n, const char *name,
                     Err *err) {
    GgufFile file = {0};
    *g = (Gguf){.path = arena_cstr(arena, str_of(name)),
                .parts = arena_new(arena, GgufPart),
                .n_parts = 1,
                .n_bytes = n};
    g->parts[0] = (GgufPart){arena_cstr(arena, str_of(name)), {bytes, n}, .is_borrowed = true};
    bool ok = (gguf_read_file(&file, arena, bytes, n, err) || err_prefix(err, "%s", name)) &&
              adopt_whole(g, arena, &file, name, err);
    if (!ok) gguf_close(g);
    return ok;
}

void gguf_close(Gguf *g) {
    for (size_t i = 0; i < g->n_parts; i++)
        if (!g->parts[i].is_borrowed) unmap_file(&g->parts[i].map);
    *g = (Gguf){0};
}

Sha256 gguf_digest(const Gguf *g, const Progress *progress) {
    enum { STEP = 16 << 20 };
    Hasher *hasher = hasher_new();
    uint64_t done = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        const FileMap *map = &g->parts[i].map;
        for (size_t at = 0; at < map->len; at += STEP) {
            size_t n = min_size(STEP, map->len - at);
            hasher_add(hasher, map->at + at, n);
            done += n;
            progress_report(progress, "source digest", done, g->n_bytes);
        }
    }
    return hasher_end(hasher);
}
