// text_input.c — regular files are mapped; pipes and devices are read to their end.
#include "cli/text_input.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool read_stream(FILE *in, size_t most, StrBuf *out, const char *name, Err *err) {
    char block[1 << 16];
    size_t n;
    while (out->len <= most && (n = fread(block, 1, sizeof block, in)) > 0)
        strbuf_add(out, (Str){block, n});
    return !ferror(in) || err_errno(err, "%s", name);
}

static bool is_stream(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 &&
           (S_ISFIFO(s.st_mode) || S_ISCHR(s.st_mode) || S_ISSOCK(s.st_mode));
}

bool text_input_open(TextInput *t, const char *path, size_t most, Err *err) {
    *t = (TextInput){0};
    bool is_stdin = strcmp(path, "-") == 0;
    if (!is_stdin && !is_stream(path)) {
        if (!map_file(&t->map, path, err)) return false;
        t->text = (Str){t->map.len ? (const char *)t->map.at : "", t->map.len};
        return true;
    }
    FILE *in = is_stdin ? stdin : fopen(path, "rb");
    if (!in) return err_errno(err, "%s", path);
    bool ok = read_stream(in, most, &t->read, is_stdin ? "standard input" : path, err);
    if (!is_stdin) fclose(in);
    t->text = strbuf_str(&t->read);
    if (!ok) text_input_close(t);
    return ok;
}

void text_input_close(TextInput *t) {
    unmap_file(&t->map);
    strbuf_free(&t->read);
    *t = (TextInput){0};
}
