// stated.h — what a model's Hugging Face files say it means, in the contract's own terms.
//
// config.json (and generation_config.json, tokenizer_config.json beside it) come from whoever
// trained the model; a GGUF file comes from whoever converted it. They share no writer, so what
// both say is said twice. Everything is brought to the fields and units of a contract here:
// partial_rotary_factor becomes rope_dim, logits_scaling (which divides) becomes logit_scale
// (which multiplies), LongRoPE's attention factor is computed from the two contexts. A key that is
// neither used nor known to be harmless is an error that names it, as with GGUF keys; so are two
// keys or two files that state one field differently.
#ifndef LATHE_CONTRACT_STATED_H
#define LATHE_CONTRACT_STATED_H

#include "contract/contract.h"

typedef struct {
    const char *config;        // config.json; NULL when none was given
    const char *generation;    // generation_config.json, likewise
    const char *tokenizer;     // tokenizer_config.json, likewise
    const char *chat_template; // chat_template.jinja, where newer repositories keep it
} ConfigFiles;

static inline bool has_config_files(const ConfigFiles *f) {
    return f->config || f->generation || f->tokenizer || f->chat_template;
}

// Every row is optional: a field counts as stated when its `from` is not empty.
typedef struct {
    Contract values;
    Str from[FIELD_COUNT]; // "config.json: partial_rotary_factor 0.75 of head_dim 32"
    Str model_type;        // of config.json; empty when it names none
    size_t n_added_tokens; // of tokenizer_config.json, compared with the vocabulary one by one
    Str token_trouble;     // of one of them, bos_token or eos_token; empty when nothing is wrong
    Harmless *unread;      // keys that change nothing
    size_t n_unread;
} Stated;

static inline bool is_stated(const Stated *s, FieldId field) {
    return s->from[field].len > 0;
}

// Reads the files given. `g` is the model's own file, in whose vocabulary texts of tokens are
// looked up. What `s` holds lives in the arena.
bool stated_read(Stated *s, const ConfigFiles *files, const Gguf *g, Arena *arena, Err *err);
// Likewise from an object that has only some of config.json's keys: what is not in it is not known,
// where a whole file would mean transformers' defaults. `name` stands for the file in sources.
struct json_t;
bool stated_read_part(Stated *s, Str name, const struct json_t *config, const Gguf *g, Arena *arena,
                      Err *err);

#endif
