// loaded_model.h — a sealed bundle or a GGUF file, opened for use: its session on the engine that
// was asked for, its contract, tokenizer file and use. Every command that runs a model opens it
// here, so that a bundle without a valid seal is refused by all of them.
#ifndef LATHE_RUNTIME_LOADED_MODEL_H
#define LATHE_RUNTIME_LOADED_MODEL_H

#include "bundle/bundle.h"
#include "gguf/settings.h"
#include "runtime/device_plan.h"
#include "runtime/device_proof.h"
#include "runtime/engines.h"
#include "runtime/session.h"

typedef struct {
    const char *path;           // bundle or GGUF file
    const char *engine;         // name of a row of engines.def; NULL: the first that runs the file
    const char *arithmetic;     // of a bundle, where the engine has several; NULL: fp16
    const char *model;          // a bundle's source; NULL: none given
    const char *generation;     // generation_config.json of a GGUF file; NULL: none given
    GgufSettings settings;      // of a GGUF file; a bundle has its own
    const char *use[USE_COUNT]; // in place of the publisher's; NULL: the publisher's
    uint32_t threads;           // 0: one a processor
    bool is_unsealed;           // open a bundle that has no valid seal
    bool is_strict; // refuse what the engine does not plan for the Neural Engine as a whole, and
                    // what a gate failed on this machine
} LoadOptions;

typedef struct {
    Arena arena;
    Pool *pool;
    Bundle bundle;
    Gguf source;
    Model model;
    bool has_bundle;
    const EngineInfo *engine; // that runs the session
    Session *session;
    DevicePlan plan;            // of an engine that makes one
    DeviceProof device_proof;   // of the same; has no text otherwise
    const Contract *contract;   // of the file that is run
    const Gguf *tokenizer_file; // has tokenizer and chat template
    Use use;                    // of the bundle or the file, with the options' choices
    StrBuf except;              // what the gates of a sealed bundle left unproved, as one line
    Err unproved;               // why the bundle's seal is not valid; kind ERR_NONE when it is
} LoadedModel;

// After a failure, too, loaded_model_close() has to be called.
bool loaded_model_open(LoadedModel *o, const LoadOptions *options, const Progress *progress,
                       Err *err);
void loaded_model_close(LoadedModel *o); // safe on a zeroed or half-opened LoadedModel

#endif
