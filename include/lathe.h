// lathe.h — the public API of liblathe: tokenize, apply chat templates, generate text, convert models
// to Core ML packages, verify them, run packages.
//
//     LatheError err;
//     LatheModel *model = lathe_model_open("model.gguf", NULL, &err);   // NULL: err.text says why
//     lathe_answer(model, "[{\"role\": \"user\", \"content\": \"Hi\"}]", NULL, on_text, NULL, NULL, &err);
//     lathe_model_close(model);
//
// Build with `pkg-config --cflags --libs lathe`. Every type is opaque; strings are UTF-8.
//
// Errors. A function that can fail returns false or NULL and fills `*err` (which may be NULL): a kind
// for the program, a sentence for the user. The library does not check for a NULL
// argument where a value is required. The library prints nothing and never exits, with one exception: if a
// small allocation fails, it writes a line to stderr and exits with code 4. Large buffers (KV cache,
// workspace) report failure as LATHE_ERROR_SYSTEM.
//
// Ownership. The caller closes what `…_open` returned with `…_close`, which accepts NULL, and releases with
// lathe_free() what a function stored through a `**` parameter. Other pointers belong to the object that
// returned them and are valid as long as it is open.
//
// Threads. Different objects may be used by different threads at the same time. One object is used by
// one thread at a time, and so are all objects opened from the same LathePackage; a LatheTokenizer may
// be used by any number of threads at once. Callbacks are called on the calling thread.
#ifndef LATHE_H
#define LATHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATHE_API __attribute__((visibility("default")))

// ---- errors

typedef enum {
    LATHE_OK,
    LATHE_ERROR_GATE,     // a proof failed
    LATHE_ERROR_USAGE,    // an argument is wrong
    LATHE_ERROR_FORMAT,   // a file is damaged, contradictory or unsupported
    LATHE_ERROR_SYSTEM,   // disk, memory, device
    LATHE_ERROR_STOPPED,  // a callback ended the work
    LATHE_ERROR_UNPROVED, // the bundle has no seal that counts; no error was found in it
} LatheErrorKind;

typedef struct {
    LatheErrorKind kind;
    char text[1024]; // one sentence, NUL-terminated, no final newline
} LatheError;

LATHE_API const char *lathe_version(void); // "0.1.0"
LATHE_API void lathe_free(void *at);       // safe on NULL

// ---- progress of long work

typedef struct {
    // Called repeatedly: `done` of `total` (0 if unknown) of the stage `what`, in bytes, or in
    // the unit that its name states after a colon: "vote: readings".
    // Returns false to end the work, which then fails with LATHE_ERROR_STOPPED. May be NULL.
    bool (*step)(void *context, const char *what, uint64_t done, uint64_t total);
    // Called with a remark for the user, one line. May be NULL.
    void (*note)(void *context, const char *text);
    void *context;
} LatheProgress;

// ---- tokenizers

typedef struct LatheTokenizer LatheTokenizer;

// The vocabulary of `path`: a GGUF file (it needs no weights) or a bundle made by lathe_convert().
LATHE_API LatheTokenizer *lathe_tokenizer_open(const char *path, LatheError *err);
LATHE_API void lathe_tokenizer_close(LatheTokenizer *t);
LATHE_API size_t lathe_tokenizer_count(const LatheTokenizer *t); // ids are below it
// The bytes of token `id`, which may be part of a character; `*n_bytes` receives their number.
LATHE_API const char *lathe_tokenizer_piece(const LatheTokenizer *t, uint32_t id, size_t *n_bytes);

enum {
    LATHE_PARSE_SPECIAL = 1, // read names of control tokens in the text as tokens, not as text
    LATHE_ADD_SPECIAL =
        2, // bos before and eos after the text, where the model's file asks for them
    LATHE_SHOW_SPECIAL =
        4, // lathe_detokenize: write the names of control tokens instead of nothing
};

enum { LATHE_MAX_TEXT = 1 << 28 }; // bytes that one call of lathe_tokenize() takes

// The ids of `text` [n_bytes]: `*ids` [*n_ids]. Bytes that are not UTF-8 count as U+FFFD.
LATHE_API bool lathe_tokenize(const LatheTokenizer *t, const char *text, size_t n_bytes,
                              unsigned flags, uint32_t **ids, size_t *n_ids, LatheError *err);
// The text of `ids`: `*text` [*n_bytes], valid UTF-8, NUL-terminated. An id out of range is an error.
LATHE_API bool lathe_detokenize(const LatheTokenizer *t, const uint32_t *ids, size_t n_ids,
                                unsigned flags, char **text, size_t *n_bytes, LatheError *err);

// ---- chat templates

typedef struct LatheTemplate LatheTemplate;

// The chat template of `path`: a GGUF file, a bundle, or a file of Jinja source.
LATHE_API LatheTemplate *lathe_template_open(const char *path, LatheError *err);
LATHE_API void lathe_template_close(LatheTemplate *t);
// Renders with the variables in `json` [n_bytes]: a list of messages, or an object with `messages`,
// `tools`, `add_generation_prompt` and any other. bos_token and eos_token are the model's unless given.
// `begins_answer` sets add_generation_prompt. `date`: seconds since 1970, for strftime_now(). `*text`
// [*n_text] is NUL-terminated. LATHE_ERROR_USAGE when `json` is wrong, LATHE_ERROR_FORMAT when the
// template is, or refuses the conversation.
LATHE_API bool lathe_template_render(LatheTemplate *t, const char *json, size_t n_bytes,
                                     bool begins_answer, int64_t date, char **text, size_t *n_text,
                                     LatheError *err);

// ---- models

// How results are rounded.
typedef enum {
    LATHE_ARITHMETIC_FP16, // as the program declares it: what Core ML promises
    LATHE_ARITHMETIC_FP32, // nothing is rounded beyond float
    LATHE_ARITHMETIC_ANE,  // a model of the Neural Engine, made from published measurements; slow
} LatheArithmetic;

// Zeroed, it is the default.
typedef struct {
    unsigned n_threads;         // 0: one per processor
    LatheArithmetic arithmetic; // of a bundle
    const char *source;         // the model file of a bundle; NULL: found beside it
    bool accepts_unproved;      // open a bundle that has no seal of lathe_verify(), too
    uint32_t context;           // of a GGUF file, in tokens; 0: the model's, at most 2048
} LatheModelOptions;

// A model ready to generate text, with one KV cache.
typedef struct LatheModel LatheModel;

// `path`: a bundle, which runs on the CPU with the rounding that its packages declare, or a GGUF file,
// which runs in the fp32 reference. `options` may be NULL. Fails with LATHE_ERROR_UNPROVED if a bundle has
// no seal that counts, with LATHE_ERROR_GATE if its files changed after it was sealed.
LATHE_API LatheModel *lathe_model_open(const char *path, const LatheModelOptions *options,
                                       LatheError *err);
LATHE_API void lathe_model_close(LatheModel *model);
LATHE_API const LatheTokenizer *lathe_model_tokenizer(const LatheModel *model);
// Why the model does not count as proved, as text for the user: a bundle without a seal was opened with
// accepts_unproved. NULL if it is proved, and for a GGUF file.
LATHE_API const char *lathe_model_unproved(const LatheModel *model);
LATHE_API uint32_t lathe_model_context(const LatheModel *model); // tokens that it can hold

typedef struct {
    float temperature;    // 0: always the most likely token
    uint32_t top_k;       // keep this many; 0: all
    float top_p;          // keep the likeliest that together have this probability; 1: all
    float min_p;          // keep those at least this times as probable as the likeliest; 0: all
    float repeat_penalty; // divides positive, multiplies negative logits of tokens seen; 1: none
} LatheSampling;
// What the model's publisher recommends.
LATHE_API LatheSampling lathe_model_sampling(const LatheModel *model);

// Zeroed, it is the default.
typedef struct {
    const LatheSampling *sampling; // NULL: lathe_model_sampling()
    uint64_t seed;                 // the same prompt, options and seed give the same text
    uint32_t max_tokens;           // of the answer; 0: as many as the context holds
    const char *const *stops; // [n_stops] texts that end the answer; it is cut before the first
    size_t n_stops;
    const char *tools; // lathe_answer(): a JSON list of tools for the template; NULL: none
    int64_t date;      // lathe_answer(): seconds since 1970, for the template
} LatheGenerateOptions;

typedef enum {
    LATHE_STOP_END_OF_TURN, // the model ended its turn
    LATHE_STOP_STRING,      // the text came to a stop string
    LATHE_STOP_MAX_TOKENS,
    LATHE_STOP_CONTEXT,   // the context is full
    LATHE_STOP_CANCELLED, // the callback returned false
} LatheStop;

typedef struct {
    size_t n_prompt; // tokens of the prompt that were computed
    size_t n_reused; // tokens of the prompt that the KV cache held already
    size_t n_answer; // tokens generated, without the one that ends the turn
    double prefill_seconds, decode_seconds;
    LatheStop stop;
} LatheStats;

// Receives text of the answer as it comes, in whole characters, not NUL-terminated. It is also called with
// no text, while the prompt is computed. Returns false to cancel.
typedef bool LatheText(void *context, const char *text, size_t n_bytes);

// Generates text that continues `prompt` [n_prompt]. The first tokens that the KV cache already holds are
// not computed again. `options` and `stats` may be NULL. Fails with LATHE_ERROR_USAGE when
// the prompt exceeds the context.
LATHE_API bool lathe_generate(LatheModel *model, const uint32_t *prompt, size_t n_prompt,
                              const LatheGenerateOptions *options, LatheText *on_text,
                              void *context, LatheStats *stats, LatheError *err);
// Answers a conversation: a JSON list of {"role": …, "content": …}, through the model's template.
LATHE_API bool lathe_answer(LatheModel *model, const char *messages,
                            const LatheGenerateOptions *options, LatheText *on_text, void *context,
                            LatheStats *stats, LatheError *err);

// A conversation that keeps its turns, and answers each through the model's template.
typedef struct LatheConversation LatheConversation;

// `system` NULL: no system text. Of `options` (may be NULL) `tools` and `date` are not used; its stops
// must outlive the conversation, and the n-th answer is drawn with seed + n. `date` gives seconds since
// 1970 for the template; NULL: 0. Several conversations may use one model in turn.
LATHE_API LatheConversation *lathe_conversation_open(LatheModel *model, const char *system,
                                                     const LatheGenerateOptions *options,
                                                     int64_t (*date)(void), LatheError *err);
LATHE_API void lathe_conversation_close(LatheConversation *c); // before its model
// Adds `text` as the user's turn and passes the answer to `on_text`. A turn that fails, or is cancelled before
// an answer begins, leaves the conversation as it was.
LATHE_API bool lathe_conversation_say(LatheConversation *c, const char *text, LatheText *on_text,
                                      void *context, LatheStats *stats, LatheError *err);
LATHE_API bool lathe_conversation_rewind(
    LatheConversation *c); // the last turn; false: there is none
LATHE_API void lathe_conversation_reset(LatheConversation *c); // all turns; the system text stays

// ---- conversion and proof

// Zeroed, it is the default; strings as the options of `lathe convert` take them.
typedef struct {
    unsigned n_threads;        // 0: one per processor
    uint32_t layers_per_shard; // at most; 0: as the target allows
    uint32_t context;          // tokens; 0: the model's, at most 2048
    const char *weights;       // NULL: "int8"
    const char *kv;            // NULL: "overwrite"; "slice", "rows"
    const char *target;        // "macos27:m4pro", system and chip; NULL: "macos27"
    const char *norm;          // NULL: "max"; or "l2"
    bool has_no_prefill;       // only decode: smaller packages, slow prompts
    bool skips_ranges;         // do not measure activations: minutes for a billion weights
    bool replaces;             // replace an older bundle at `out`
    // The publisher's files; if one contradicts the model file, LATHE_ERROR_GATE. NULL: not given.
    const char *config, *generation_config, *tokenizer_config, *chat_template;
    // Corrections of the model file, recorded in the bundle: "KEY=VALUE" for a key that the file lacks or
    // has wrong, and names of keys that change nothing.
    const char *const *set;
    size_t n_set;
    const char *const *ignored_keys;
    size_t n_ignored_keys;
} LatheConvertOptions;

// Converts the GGUF file `model` to a bundle of Core ML packages at `out`. `options` and `progress` may
// be NULL. When it fails, an older bundle at `out` is unchanged.
LATHE_API bool lathe_convert(const char *model, const char *out, const LatheConvertOptions *options,
                             const LatheProgress *progress, LatheError *err);

typedef enum { LATHE_PASSED, LATHE_FAILED, LATHE_UNPROVED, LATHE_NOTE } LatheVerdict;

// Zeroed, it is the default.
typedef struct {
    unsigned n_threads; // 0: one per processor
    const char *model;  // the bundle's source; NULL: found beside it
    const char *gates;  // names separated by commas; NULL: all
    bool resumes;       // keep results of an earlier run whose inputs are unchanged
    // Called for each result: the gate, its scope, the figures. May be NULL.
    void (*result)(void *context, const char *gate, const char *scope, const char *figures,
                   LatheVerdict verdict);
    void *context;
} LatheVerifyOptions;

// Proves that the bundle computes what its model file means; seals it if all gates pass. `*is_sealed` (may be
// NULL) says whether it is sealed afterwards. LATHE_ERROR_GATE when a gate failed.
LATHE_API bool lathe_verify(const char *bundle, const LatheVerifyOptions *options,
                            const LatheProgress *progress, bool *is_sealed, LatheError *err);

// ---- Core ML packages, executed on the CPU

typedef enum {
    LATHE_FP16,  // IEEE binary16, two bytes an element
    LATHE_FP32,  // float
    LATHE_INT8,  // int8_t
    LATHE_INT32, // int32_t
} LatheDtype;
LATHE_API const char *lathe_dtype_name(LatheDtype dtype); // "fp16"
LATHE_API size_t lathe_dtype_bytes(LatheDtype dtype);     // of an element

// An input, an output or a state (KV cache) of a function.
typedef enum { LATHE_INPUT, LATHE_OUTPUT, LATHE_STATE } LathePortKind;

typedef struct {
    const char *name;
    LatheDtype dtype;
    size_t rank;
    const size_t *shape; // [rank], outermost first
    size_t n_elements;   // product of the shape
    size_t n_bytes;      // n_elements, packed
} LathePort;

// A package, with the states that its functions share.
typedef struct LathePackage LathePackage;

// Opens the directory `path` (an .mlpackage that holds an ML Program) and validates it. Its functions
// run on `n_threads` threads; 0: one per processor.
LATHE_API LathePackage *lathe_package_open(const char *path, unsigned n_threads, LatheError *err);
LATHE_API void lathe_package_close(LathePackage *package); // after its functions

// The name of function `i`, in the package's order; NULL after the last.
LATHE_API const char *lathe_package_function(const LathePackage *package, size_t i);
// The name of the function that runs if none is named.
LATHE_API const char *lathe_package_default(const LathePackage *package);
// Port `i` of that kind of the function `function`, in its order; NULL after the last, and when there
// is no such function. Also for functions that the engine cannot run.
LATHE_API const LathePort *lathe_package_port(const LathePackage *package, const char *function,
                                              LathePortKind kind, size_t i);

// Fills every state with zeros, as after opening.
LATHE_API void lathe_package_reset(LathePackage *package);

// A function of a package, ready to run.
typedef struct LatheFunction LatheFunction;

// `name` NULL: the default function. Fails with LATHE_ERROR_FORMAT when the package has no such
// function, or the engine lacks one of its ops; the text names it.
LATHE_API LatheFunction *lathe_function_open(LathePackage *package, const char *name,
                                             LatheArithmetic arithmetic, LatheError *err);
LATHE_API void lathe_function_close(LatheFunction *f);

// As lathe_package_port().
LATHE_API const LathePort *lathe_function_port(const LatheFunction *f, LathePortKind kind,
                                               size_t i);

// Copies all elements of input `i`: packed, little-endian, row-major, in the port's dtype; `n_bytes`
// must be the port's. An input keeps its values until they are written again; at first they are 0.
LATHE_API bool lathe_function_write(LatheFunction *f, size_t i, const void *elements,
                                    size_t n_bytes, LatheError *err);

// Executes the function once: reads inputs and states, computes outputs, changes states. Fails only
// for values (an index out of range); then outputs and states are undefined.
LATHE_API bool lathe_function_run(LatheFunction *f, LatheError *err);

// Copies all elements of output `i` of the last run, as for lathe_function_write().
LATHE_API bool lathe_function_read(const LatheFunction *f, size_t i, void *elements, size_t n_bytes,
                                   LatheError *err);
// The numbers of an output of the last run, or of a state now, before they are packed: [n_elements]. In
// LATHE_ARITHMETIC_FP32 an fp16 output has digits that its packed form lacks.
LATHE_API void lathe_function_numbers(const LatheFunction *f, LathePortKind kind, size_t i,
                                      double *numbers);

// The name of op `i` that the engine can execute, in no order; NULL after the last.
LATHE_API const char *lathe_engine_op(size_t i);

#ifdef __cplusplus
}
#endif

#endif
