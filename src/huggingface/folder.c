#include "huggingface/folder.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "contract/compare_config.h"
#include "contract/contract_keys.h"
#include "huggingface/folder_impl.h"
#include "huggingface/impl.h"

#define INDEX "model.safetensors.index.json"

bool hf_is_folder(const char *path) {
    Arena scratch = {0};
    bool is_folder = path_is_dir(path) && path_exists(path_join(&scratch, path, "config.json")) &&
                     !path_exists(path_join(&scratch, path, "chain.json"));
    arena_free(&scratch);
    return is_folder;
}

bool path_is_bundle(const char *path) {
    return path_is_dir(path) && !hf_is_folder(path);
}

static const char *companion(Arena *arena, const char *dir, const char *name) {
    const char *path = path_join(arena, dir, name);
    return path_exists(path) ? path : NULL;
}

void hf_companions(ConfigFiles *given, const char *path, Arena *arena) {
    const struct {
        const char **at, *name;
    } files[] = {{&given->config, "config.json"},
                 {&given->generation, "generation_config.json"},
                 {&given->tokenizer, "tokenizer_config.json"},
                 {&given->chat_template, "chat_template.jinja"}};
    if (!hf_is_folder(path)) return;
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (!*files[i].at) *files[i].at = companion(arena, path, files[i].name);
}

typedef struct {
    Gguf *g; // the result; its parts are the files
    Arena *arena;
    Err *err;
    const char *dir;
    ConfigFiles files;
    json_t *tokenizer, *tokenizer_config, *index;
    Checkpoint *weights; // [n_weights], of the last parts
    size_t n_weights;
    FolderVocabulary vocabulary;
    Stated stated;
} Folder;

// ---- files

static const GgufPart *add_file(Folder *f, const char *path) {
    GgufPart *part = &f->g->parts[f->g->n_parts++];
    *part = (GgufPart){.path = arena_cstr(f->arena, str_of(path))};
    if (!map_file(&part->map, path, f->err)) return NULL;
    f->g->n_bytes += part->map.len;
    if (part->map.len) return part;
    err_set(f->err, ERR_FORMAT, "%s: an empty file", path);
    return NULL;
}

static bool add_json(Folder *f, const char *path, json_t **out) {
    const GgufPart *part = add_file(f, path);
    if (!part) return false;
    *out = json_parse((Str){(const char *)part->map.at, part->map.len}, path, f->err);
    return *out && (json_is_object(*out) ||
                    err_set(f->err, ERR_FORMAT, "%s: expected a JSON object", path));
}

// A name that the index states: of a file of the folder, and of no other place.
static bool is_file_name(const char *name) {
    return name && *name && name[0] != '.' && !strchr(name, '/') && strlen(name) < 256 &&
           str_ends(str_of(name), STR(".safetensors"));
}

static bool has_name(char **names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

// The files that the index names, in the order in which it first does.
static bool list_by_index(Folder *f, char **names, size_t *n) {
    const json_t *map = json_object_get(f->index, "weight_map");
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!is_file_name(name) || *n == GGUF_MAX_SPLITS)
            return err_set(f->err, ERR_FORMAT,
                           "%s/" INDEX ": expected names of at most %d *.safetensors files of the "
                           "folder",
                           f->dir, GGUF_MAX_SPLITS);
        if (!has_name(names, *n, name)) names[(*n)++] = arena_cstr(f->arena, str_of(name));
    }
    return *n > 0 || err_set(f->err, ERR_FORMAT, "%s/" INDEX ": no weight_map", f->dir);
}

// What the index says of each tensor, and every tensor in it: transformers reads no other.
static bool check_index(Folder *f, char **names) {
    const json_t *map = json_object_get(f->index, "weight_map");
    size_t n_found = 0;
    for (size_t w = 0; w < f->n_weights; w++)
        for (size_t i = 0; i < f->weights[w].count; i++) {
            Str tensor = f->weights[w].at[i].name;
            const char *file = json_string_value(json_object_getn(map, tensor.at, tensor.len));
            if (!file || strcmp(file, names[w]) != 0)
                return err_set(f->err, ERR_FORMAT,
                               "%s/%s: tensor '%.*s' is not where " INDEX " says: %s", f->dir,
                               names[w], STR_ARG(tensor), file ? file : "nowhere");
            n_found++;
        }
    return n_found == json_object_size(map) ||
           err_set(f->err, ERR_FORMAT,
                   "%s/" INDEX ": names %zu tensors, but its files hold %zu; a file is cut off or "
                   "of another model",
                   f->dir, json_object_size(map), n_found);
}

static bool add_weights(Folder *f, char **names, size_t n) {
    f->weights = arena_array(f->arena, n, Checkpoint);
    for (size_t i = 0; i < n; i++) {
        const char *path = path_join(f->arena, f->dir, names[i]);
        const GgufPart *part = add_file(f, path);
        if (!part) return false;
        if (!checkpoint_read(&f->weights[i], f->arena, part->map.at, part->map.len, f->err))
            return err_prefix(f->err, "%s", path);
        f->n_weights++;
    }
    return !f->index || check_index(f, names);
}

static bool open_weights(Folder *f) {
    char *one[] = {"model.safetensors"};
    char **names = arena_array(f->arena, GGUF_MAX_SPLITS, char *);
    const char *index = companion(f->arena, f->dir, INDEX);
    size_t n = 0;
    if (companion(f->arena, f->dir, one[0])) return add_weights(f, one, 1);
    if (!index)
        return err_set(f->err, ERR_FORMAT,
                       "%s: neither model.safetensors nor " INDEX
                       "; lathe reads weights from safetensors alone: load the model in "
                       "transformers and save_pretrained() it anew",
                       f->dir);
    return add_json(f, index, &f->index) && list_by_index(f, names, &n) && add_weights(f, names, n);
}

static bool open_files(Folder *f) {
    enum { OTHERS = 8 };
    const char *tokenizer = companion(f->arena, f->dir, "tokenizer.json");
    json_t *unused = NULL;
    hf_companions(&f->files, f->dir, f->arena);
    f->g->parts = arena_array(f->arena, GGUF_MAX_SPLITS + OTHERS, GgufPart);
    if (!tokenizer)
        return err_set(f->err, ERR_FORMAT,
                       "%s: no tokenizer.json; a fast tokenizer of transformers saves one "
                       "(AutoTokenizer.from_pretrained(…).save_pretrained(…))",
                       f->dir);
    bool ok = add_json(f, f->files.config, &unused) &&
              (!f->files.generation || add_file(f, f->files.generation)) &&
              add_json(f, tokenizer, &f->tokenizer) &&
              (!f->files.tokenizer || add_json(f, f->files.tokenizer, &f->tokenizer_config)) &&
              (!f->files.chat_template || add_file(f, f->files.chat_template)) && open_weights(f);
    json_decref(unused);
    return ok;
}

// ---- text

// The token that tokenizer_config.json names, or NO_TOKEN.
static uint32_t named_token(const Folder *f, const char *key) {
    const json_t *value = json_object_get(f->tokenizer_config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    const char *text = json_string_value(value);
    return text ? folder_find_token(&f->vocabulary, str_of(text)) : NO_TOKEN;
}

static uint32_t first_of(const uint32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] != NO_TOKEN) return ids[i];
    return NO_TOKEN;
}

static void put_ids(Folder *f, GgufKeys *keys) {
    const FolderVocabulary *v = &f->vocabulary;
    const Contract *c = &f->stated.values;
    U32List stops = c->stop_ids;
    uint32_t config_bos = is_stated(&f->stated, FIELD_bos_id) ? c->bos_id : NO_TOKEN;
    uint32_t config_eos = stops.count ? stops.at[0] : NO_TOKEN;
    uint32_t bos = first_of((uint32_t[]){v->before, named_token(f, "bos_token"), config_bos}, 3);
    uint32_t eos = first_of((uint32_t[]){v->after, named_token(f, "eos_token"), config_eos}, 3);
    if (bos != NO_TOKEN) gguf_put_u32(keys, "tokenizer.ggml.bos_token_id", bos);
    if (eos != NO_TOKEN) gguf_put_u32(keys, "tokenizer.ggml.eos_token_id", eos);
    if (stops.count > 1 || (stops.count == 1 && stops.at[0] != eos))
        gguf_put_u32s(keys, "tokenizer.ggml.eos_token_ids", stops.at, stops.count);
}

// The file of its own, or the member of tokenizer_config.json: one text, or a list of named ones.
static bool put_template(Folder *f, GgufKeys *keys) {
    const char *key = "tokenizer.chat_template";
    const json_t *chat = json_object_get(f->tokenizer_config, "chat_template"), *named;
    size_t i;
    FileMap map = {0};
    if (f->files.chat_template) {
        if (!map_file(&map, f->files.chat_template, f->err)) return false;
        gguf_put_str(keys, key, (Str){(const char *)map.at, map.len});
        unmap_file(&map);
        return true;
    }
    if (json_is_string(chat))
        gguf_put_str(keys, key, (Str){json_string_value(chat), json_string_length(chat)});
    json_array_foreach((json_t *)(uintptr_t)chat, i, named) {
        const char *name = json_string_value(json_object_get(named, "name"));
        const json_t *text = json_object_get(named, "template");
        bool is_default = name && strcmp(name, "default") == 0;
        if (!name || !json_is_string(text)) continue; // stated_read() has refused it
        gguf_put_str(keys, is_default ? key : arena_printf(f->arena, "%s.%s", key, name).at,
                     (Str){json_string_value(text), json_string_length(text)});
    }
    return true;
}

// ---- the whole

static bool read_stated(Folder *f) {
    GgufKeys keys = {0};
    Gguf vocabulary = {0};
    folder_put_vocabulary(&keys, &f->vocabulary, 0, f->arena);
    bool ok = gguf_of_keys(&vocabulary, f->arena, &keys, f->dir, f->err) &&
              stated_read(&f->stated, &f->files, &vocabulary, f->arena, f->err);
    gguf_keys_free(&keys);
    if (!ok || is_stated(&f->stated, FIELD_architecture)) return ok;
    return err_set(f->err, ERR_FORMAT,
                   "%s: neither model_type nor architectures, so it does not say which class of "
                   "transformers it is for",
                   f->files.config);
}

// Rows of the embedding table, which may be more than there are tokens.
static size_t n_rows(const Folder *f) {
    uint32_t n = is_stated(&f->stated, FIELD_n_vocab) ? f->stated.values.n_vocab : 0;
    // A table that is not there would be filled for nothing; the reader then names both counts.
    return n < 2 * f->vocabulary.count + 65536 ? n : 0;
}

static bool make_model(Folder *f) {
    GgufKeys keys = {0};
    Gguf made = {0};
    contract_put_keys(&keys, &f->stated, f->arena);
    folder_put_vocabulary(&keys, &f->vocabulary, n_rows(f), f->arena);
    put_ids(f, &keys);
    bool ok = put_template(f, &keys) && gguf_of_keys(&made, f->arena, &keys, f->dir, f->err) &&
              folder_put_tensors(&made, f->arena, &f->stated, f->weights, f->n_weights, f->err);
    gguf_keys_free(&keys);
    if (!ok) return false;
    made.path = arena_cstr(f->arena, str_of(f->dir));
    made.parts = f->g->parts;
    made.n_parts = f->g->n_parts;
    made.n_bytes = f->g->n_bytes;
    *f->g = made;
    return true;
}

// What the keys mean to the reader of GGUF files against what config.json means to its own. A model that the
// former refuses is left to whoever reads it next: the user may set what is missing.
static bool check_agreement(Folder *f) {
    Arena scratch = {0};
    Model model;
    Agreement agreement;
    Err refusal = {0};
    bool ok = true;
    if (model_read(&model, f->g, &scratch, &refusal)) {
        agreement_make(&agreement, &model, f->g, &f->stated, 0, &scratch);
        ok = agreement.n_contradict == 0;
        if (!ok) {
            agreement_error(&agreement, &refusal);
            err_set(f->err, ERR_FORMAT,
                    "%s: its config files mean what a GGUF file has no place for: %s", f->dir,
                    refusal.text);
        }
    }
    arena_free(&scratch);
    return ok;
}

static bool open_folder(Gguf *g, Arena *arena, const char *path, Err *err) {
    Str dir = str_of(path);
    while (dir.len > 1 && dir.at[dir.len - 1] == '/') dir.len--;
    Folder f = {.g = g, .arena = arena, .err = err, .dir = arena_cstr(arena, dir)};
    *g = (Gguf){0};
    bool ok = open_files(&f) &&
              (folder_read_vocabulary(&f.vocabulary, f.tokenizer, arena, err) ||
               err_prefix(err, "%s", f.dir)) &&
              read_stated(&f) && (make_model(&f) || err_prefix(err, "%s", f.dir)) &&
              check_agreement(&f);
    json_decref(f.tokenizer);
    json_decref(f.tokenizer_config);
    json_decref(f.index);
    if (!ok) gguf_close(g);
    return ok;
}

bool model_open(Gguf *g, Arena *arena, const char *path, Err *err) {
    return hf_is_folder(path) ? open_folder(g, arena, path, err) : gguf_open(g, arena, path, err);
}
