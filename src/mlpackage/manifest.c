// manifest.c — Manifest.json, read and written with jansson; paths that lead outside of the package
// are refused.
#include "mlpackage/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/size.h"

// A UUID made from the name's digest (version 8 of RFC 9562, upper case as on macOS).
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
    if (!text) die_out_of_memory(0);
    strbuf_add(out, str_of(text));
    strbuf_add_char(out, '\n');
    free(text);
    json_decref(manifest);
}

static bool is_inside(const char *path) {
    return path[0] && path[0] != '/' && !strstr(path, "..");
}

// All four members are needed, of every item: Core ML's own reader (modelpackage/src/
// ModelPackage.cpp) takes a package without one of them for invalid.
static bool check_item(const char *id, const json_t *item, const char *manifest, Err *err) {
    static const char *const members[] = {"author", "description", "name", "path"};
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (!json_is_string(json_object_get(item, members[i])))
            return err_set(err, ERR_FORMAT, "%s: item '%s': member \"%s\" missing or not a string",
                           manifest, id, members[i]);
    const char *path = json_string_value(json_object_get(item, "path"));
    return is_inside(path) ||
           err_set(err, ERR_FORMAT, "%s: item '%s': path '%s' does not stay inside the package",
                   manifest, id, path);
}

static bool read_items(const json_t *json, const char *manifest, Arena *arena, const char **model,
                       const char **weights, Err *err) {
    const char *version = json_string_value(json_object_get(json, "fileFormatVersion"));
    if (!version || strcmp(version, "1.0.0") != 0)
        return err_set(err, ERR_FORMAT, "%s: fileFormatVersion is %s, expected \"1.0.0\"", manifest,
                       version ? version : "missing or not a string");
    json_t *items = json_object_get(json, "itemInfoEntries");
    const char *root = json_string_value(json_object_get(json, "rootModelIdentifier"));
    if (!json_is_object(items) || !root)
        return err_set(err, ERR_FORMAT, "%s: no %s", manifest,
                       root ? "itemInfoEntries" : "rootModelIdentifier");
    *model = *weights = NULL;
    const char *id;
    json_t *item;
    json_object_foreach(items, id, item) {
        if (!check_item(id, item, manifest, err)) return false;
        const char *path = json_string_value(json_object_get(item, "path"));
        if (strcmp(id, root) == 0)
            *model = arena_cstr(arena, str_of(path));
        else if (strcmp(json_string_value(json_object_get(item, "name")), "weights") == 0)
            *weights = arena_cstr(arena, str_of(path));
    }
    return *model ||
           err_set(err, ERR_FORMAT, "%s: rootModelIdentifier '%s' names no item", manifest, root);
}

bool manifest_read(const char *path, Arena *arena, const char **model, const char **weights,
                   Err *err) {
    const char *manifest = path_join(arena, path, "Manifest.json");
    if (!path_exists(manifest))
        return err_set(err, ERR_FORMAT, "%s: no Manifest.json: not an .mlpackage", manifest);
    json_error_t why;
    json_t *json = json_load_file(manifest, JSON_REJECT_DUPLICATES, &why);
    if (!json) return err_set(err, ERR_FORMAT, "%s: line %d: %s", manifest, why.line, why.text);
    bool ok =
        json_is_object(json) || err_set(err, ERR_FORMAT, "%s: expected a JSON object", manifest);
    ok = ok && read_items(json, manifest, arena, model, weights, err);
    json_decref(json);
    return ok;
}
