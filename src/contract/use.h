// use.h — how a model is used: context, factor sets, template, sampling. The contract says what the
// weights mean; the same contract used otherwise gives other answers, so the choices have rows and
// sources too (use.def), and a bundle is proved under its own.
//
// A default is the publisher's: of the files where they state it, of the publisher's code where
// they are silent. A choice away from it carries the publisher's value, and is named wherever the
// model speaks or is judged.
#ifndef LATHE_CONTRACT_USE_H
#define LATHE_CONTRACT_USE_H

#include "contract/contract.h"

// Which of LongRoPE's two factor sets applies. The publisher's code goes by the running length
// (transformers 5.24, modeling_rope_utils.py, longrope_frequency_update): a sequence of at most
// `original_context` tokens is rotated by the short factors at all its positions, a longer one by
// the long factors at all its positions. Keys that were cached under the other set are wrong then,
// so the whole sequence is computed again (modeling_phi3.py, prepare_inputs_for_generation).
// Reference and host each implement the rule for themselves: what checks a result must not share
// the code that made it.
typedef enum { ROPE_FACTORS_AUTO, ROPE_FACTORS_SHORT, ROPE_FACTORS_LONG } RopeFactors;
typedef enum { CHAT_TEMPLATE_MODEL, CHAT_TEMPLATE_NONE } ChatTemplate;
// How a chat that goes through a template begins. Plain text follows the file's add_bos_token.
typedef enum { BOS_TEMPLATE, BOS_ALWAYS } BosUse;
typedef enum { CONTROL_TOKENS_PARSED, CONTROL_TOKENS_TEXT } ControlTokens;

typedef enum {
#define USE(name, type, option, argument, doc) USE_##name,
#include "contract/use.def"
#undef USE
    USE_COUNT,
} UseId;

// Where a value came from, and the publisher's where that is another; else empty.
typedef struct {
    Str source, publisher;
} UseSource;

typedef struct {
#define ENUM(T)                                T
#define U32                                    uint32_t
#define F32                                    float
#define USE(name, type, option, argument, doc) type name;
#include "contract/use.def"
#undef USE
#undef ENUM
#undef U32
#undef F32
    UseSource from[USE_COUNT];
} Use;

// Where no option says otherwise, a session holds as many positions at most: a bundle's caches grow
// with them, and those of the default form are read and written whole at every token. At 2048 that
// moves 0.54 GB a token of Phi-4-mini beside 3.8 GB of weights in int8, twice that at 4096, and as
// much as half of what SmolLM2-135M reads anyhow. It bounds a conversation and changes no answer.
enum { USE_DEFAULT_CONTEXT = 2048 };

typedef struct {
    const char *name, *option, *argument, *doc;
} UseInfo;
extern const UseInfo use_rows[USE_COUNT];

// The publisher's use of `model`: of the keys of `g`, and of generation_config.json at `generation`
// (NULL: none was given), which wins where both speak. Strings live in the arena.
bool use_of_model(Use *use, const Model *model, const Gguf *g, const char *generation, Arena *arena,
                  Err *err);
// Takes `value` for one choice, as an option gave it. Refuses what is not a value of it, and with the
// largest context that the model has, what exceeds it.
bool use_choose(Use *use, UseId id, const char *value, const Contract *c, Arena *arena, Err *err);
// Those options of `values` [USE_COUNT] that were given (not NULL).
bool use_choose_all(Use *use, const char *const *values, const Contract *c, Arena *arena, Err *err);

void use_print(const Use *use, UseId id, StrBuf *out);
// "rope_factors long (the publisher's: auto); temperature 0 (the publisher's: 0.6)"; nothing when
// every choice is the publisher's.
void use_print_deviations(const Use *use, StrBuf *out);

struct json_t;
// { "rope_factors": {"value": "auto", "source": "…", "publisher": null}, … }
struct json_t *use_to_json(const Use *use);
// Reads it back; every row must be there.
bool use_from_json(Use *use, const struct json_t *json, Arena *arena, Err *err);

#endif
