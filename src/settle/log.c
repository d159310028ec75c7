#include "settle/log.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "coreml/errors.h"

static const char program[] = "lathe ";

// "lathe convert: text" -> "text"; another line as it is.
static Str without_command(Str line) {
    const char *colon = memchr(line.at, ':', line.len);
    if (!str_starts(line, str_of(program)) || !colon) return line;
    size_t n = (size_t)(colon - line.at) + 1;
    if (n < line.len && line.at[n] == ' ') n++;
    return (Str){line.at + n, line.len - n};
}

const char *log_reason(const char *log, Arena *arena) {
    enum { MOST_BYTES = 900 };
    FileMap map = {0};
    if (!map_file(&map, log, NULL)) return "";
    Str last = {"", 0}, error = {"", 0};
    for (size_t at = 0; at < map.len;) {
        Str line = {(const char *)map.at + at, map.len - at};
        const char *stop = memchr(line.at, '\n', line.len);
        if (stop) line.len = (size_t)(stop - line.at);
        if (line.len) last = line;
        if (str_starts(line, str_of(program))) error = line;
        at += line.len + 1;
    }
    char *text = arena_cstr(arena, str_cut(without_command(error.len ? error : last), MOST_BYTES));
    str_replace_controls(text, 0);
    unmap_file(&map);
    return text;
}

json_t *log_explained(const char *log) {
    json_t *rows = json_array();
    FileMap map = {0};
    if (!map_file(&map, log, NULL)) return rows;
    char *text = malloc(map.len + 1);
    if (!text) die_out_of_memory(map.len);
    for (size_t i = 0; i < map.len; i++) text[i] = map.at[i] ? (char)map.at[i] : ' ';
    text[map.len] = 0;
    for (size_t i = 0; i < COREML_ERROR_COUNT; i++)
        if (strstr(text, coreml_errors[i].text))
            json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "id", coreml_errors[i].id,
                                                  "means", coreml_errors[i].means, "advice",
                                                  coreml_errors[i].advice));
    free(text);
    unmap_file(&map);
    return rows;
}
