// job.h — the options of a run of gates, and its callbacks.
#ifndef LATHE_PROOF_JOB_H
#define LATHE_PROOF_JOB_H

#include <jansson.h>
#include <stdbool.h>

#include "base/pool.h"
#include "base/progress.h"
#include "bundle/verdict.h"
#include "contract/stated.h"
#include "contract/use.h"
#include "gguf/settings.h"

// One line: "layer golden  layers 00..03  cos=0.999958 rmse=0.0047 max_abs=0.027  ok".
typedef void VerifyLine(void *context, const char *gate, const char *scope, const char *figures,
                        ProofVerdict verdict);

// A gate has ended: its results as in report.json, and whether they were kept from an earlier run.
typedef void VerifyGate(void *context, const char *gate, const json_t *results, bool is_kept);

// A remark that is not a result.
typedef void VerifyNote(void *context, const char *text);

typedef struct {
    const char *bundle_dir;
    // NULL: the source's file, beside the bundle or in the working directory
    const char *model_path;
    ConfigFiles second;            // the publisher's files, for the contract gate
    GgufSettings settings;         // for a model file: keys that the user sets or has ignored
    const char *chosen[USE_COUNT]; // for a model file: choices other than the publisher's
    bool accepts_template;         // a suspicious chat template is accepted
    const char *gates;             // names separated by commas; NULL: all
    const char *vote_text;         // a file for the vote to read; NULL: the built-in text
    bool is_vote_long;             // the vote also reads beyond the original context
    bool is_verbose;               // every reading of the vote gets a line
    bool resumes;                  // keeps results of earlier runs whose inputs have not changed
    // The engine that runs the packages (NULL: the CPU engine, runtime/engines.h) and the host that
    // feeds them (NULL: host_ops, runtime/host.h). Gates that look inside programs use the CPU
    // engine, unless the bundle is judged on a device (verify/device.h).
    const struct EngineInfo *engine;
    const struct HostOps *host;
    bool blames; // if layers fail, finds the first op that diverges
    const char *tool_version;
    Pool *pool;
    const Progress *progress; // may be NULL
    VerifyLine *line;         // may be NULL
    VerifyGate *gate_ended;   // may be NULL
    VerifyNote *note;         // may be NULL
    void *line_context;       // for the three callbacks
    // set when the bundle has a valid seal at the end of the run; may be NULL
    bool *is_sealed;
    // for a run on a device: the machine that the result is valid for, in words; may be NULL
    StrBuf *machine;
    bool *has_report; // set once verify/report.json is written; may be NULL
} VerifyJob;

#endif
