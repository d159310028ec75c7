// config.h — the pieces of reading Hugging Face files. Internal to contract/.
//
// The first failure sticks, as in read.h. Keys are taken out of the object as they are read, so
// what is left over at the end is what nobody understood.
#ifndef LATHE_CONTRACT_CONFIG_H
#define LATHE_CONTRACT_CONFIG_H

#include <jansson.h>

#include "contract/arch.h"
#include "contract/fields.h"
#include "contract/stated.h"

typedef enum { CONFIG_MODEL, CONFIG_GENERATION, CONFIG_TOKENIZER } ConfigFile;

typedef struct {
    Stated *out;
    const Gguf *g;
    Arena *arena;
    Err *err;
    bool failed;
    bool is_part;          // what is absent is unknown, not transformers' default
    const HfClass *class;  // which class reads the file; NULL when it does not say
    json_t *defaults;      // of that class, for keys that are absent; NULL: none
    bool is_default;       // the key taken last was
    Str file;              // name without directories, for sources and messages
    Str said[FIELD_COUNT]; // a field's value when it was stated last, as text
    LayerKind local;       // the rotation of layers with a window, where has_local
    bool has_local;
    json_t *left;  // keys nobody has read yet
    json_t *taken; // array: values that were, kept until the file is closed
} ConfigReader;

void config_fail(ConfigReader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Says that `field` is stated, and how. The value is set by the caller; one that was stated before
// and was another is a contradiction among the files, which fails and names both.
void config_from(ConfigReader *r, FieldId field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// A key of `object`, taken out of it, or NULL when it is absent or null; an absent one's value is the
// class's, where it has one. A borrowed reference, good until the file is closed.
const json_t *config_take(ConfigReader *r, json_t *object, const char *key);
// As a number, a boolean, a string: false when absent, failure when of another type.
bool config_number(ConfigReader *r, json_t *object, const char *key, double *out);
bool config_bool(ConfigReader *r, json_t *object, const char *key, bool *out);
bool config_str(ConfigReader *r, json_t *object, const char *key, Str *out);

void config_rope(ConfigReader *r); // config_rope.c: after the shape is known
// A key that is understood and changes nothing in this file.
void config_unread(ConfigReader *r, const char *key, const char *reason);
// config_kinds.c: how far a query sees; then, after the rotation, which layers are of which kind.
void config_window(ConfigReader *r);
void config_kinds(ConfigReader *r);
// config_text.c: bos_token_id and eos_token_id of either file; tokenizer_config.json; a template.
void config_ids(ConfigReader *r, Contract *c);
void config_tokenizer(ConfigReader *r, Contract *c);
void config_template(ConfigReader *r, Str text, const char *how);
// config_keys.c: each key left is harmless for a reason, or an error.
void config_leftovers(ConfigReader *r, ConfigFile kind);

#endif
