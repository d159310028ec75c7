#include "coreml/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"

// A UUID made of the name's digest (the shape of RFC 9562's version 8, upper case as on macOS).
static void print_uuid(const char *name, char out[37]) {
    Sha256 digest = sha256_bytes(name, strlen(name));
    const char *h = digest.hex;
    snprintf(out, 37, "%.8s-%.4s-8%.3s-A%.3s-%.12s", h, h + 8, h + 12, h + 15, h + 18);
    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'f') *c = (char)(*c - 'a' + 'A');
}

static json_t *item(const char *name, const char *description, const char *path) {
    return json_pack("{s:s, s:s, s:s, s:s}", "author", "com.apple.CoreML", "description",
                     description, "name", name, "path", path);
}

void manifest_print(StrBuf *out) {
    char model[37], weights[37];
    print_uuid("com.apple.CoreML/model.mlmodel", model);
    print_uuid("com.apple.CoreML/weights", weights);
    json_t *manifest = json_pack(
        "{s:s, s:{s:o, s:o}, s:s}", "fileFormatVersion", "1.0.0", "itemInfoEntries", model,
        item("model.mlmodel", "CoreML Model Specification", "com.apple.CoreML/model.mlmodel"),
        weights, item("weights", "CoreML Model Weights", "com.apple.CoreML/weights"),
        "rootModelIdentifier", model);
    char *text = json_dumps(manifest, JSON_INDENT(4) | JSON_SORT_KEYS);
    if (!text) memory_is_out(0);
    strbuf_add(out, str_of(text));
    strbuf_add_char(out, '\n');
    free(text);
    json_decref(manifest);
}

static bool is_inside(const char *path) {
    return path[0] && path[0] != '/' && !strstr(path, "..");
}

static const char *item_path(const json_t *items, const char *id, const char *manifest, Err *err) {
    const json_t *entry = json_object_get(items, id);
    const char *path = json_string_value(json_object_get(entry, "path"));
    if (!path || !is_inside(path)) {
        err_set(err, ERR_FORMAT, "%s: item '%s' has no path inside the package", manifest, id);
        return NULL;
    }
    return path;
}

static bool read_items(const json_t *json, const char *manifest, Arena *arena, const char **model,
                       const char **weights, Err *err) {
    const char *version = json_string_value(json_object_get(json, "fileFormatVersion"));
    if (!version || strcmp(version, "1.0.0") != 0)
        return err_set(err, ERR_FORMAT, "%s: fileFormatVersion is %s, expected 1.0.0", manifest,
                       version ? version : "absent");
    json_t *items = json_object_get(json, "itemInfoEntries");
    const char *root = json_string_value(json_object_get(json, "rootModelIdentifier"));
    if (!json_is_object(items) || !root)
        return err_set(err, ERR_FORMAT, "%s: no itemInfoEntries or rootModelIdentifier", manifest);
    const char *path = item_path(items, root, manifest, err);
    if (!path) return false;
    *model = arena_cstr(arena, str_of(path));
    *weights = NULL;
    const char *id;
    json_t *entry;
    json_object_foreach(items, id, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (!name || strcmp(name, "weights") != 0) continue;
        path = item_path(items, id, manifest, err);
        if (!path) return false;
        *weights = arena_cstr(arena, str_of(path));
    }
    return true;
}

bool manifest_read(const char *path, Arena *arena, const char **model, const char **weights,
                   Err *err) {
    const char *manifest = path_join(arena, path, "Manifest.json");
    json_error_t why;
    json_t *json = json_load_file(manifest, JSON_REJECT_DUPLICATES, &why);
    if (!json) return err_set(err, ERR_FORMAT, "%s: line %d: %s", manifest, why.line, why.text);
    bool ok = read_items(json, manifest, arena, model, weights, err);
    json_decref(json);
    return ok;
}
