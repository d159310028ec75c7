// job.h — what a run of the gates is asked to do, and how it speaks to its caller.
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

// A gate has ended: its results as in report.json, whether they were kept from an earlier run.
typedef void VerifyGate(void *context, const char *gate, const json_t *results, bool is_kept);

// A remark, not a result.
typedef void VerifyNote(void *context, const char *text);

typedef struct {
    const char *bundle_dir;
    const char *model_path;        // NULL: the source's file name beside the bundle or here
    ConfigFiles second;            // the publisher's files, for the contract gate
    GgufSettings settings;         // of a model file: what the user says of it
    const char *chosen[USE_COUNT]; // of a model file: choices away from the publisher's use
    bool accepts_template;         // a chat template that looks mangled is taken as it is
    const char *gates;             // NULL: all; or names separated by commas
    const char *vote_text;         // a file for the vote to read; NULL: the built-in text
    bool is_vote_long;             // the vote also reads beyond the original context
    bool is_verbose;               // every reading of the vote gets a line
    bool resumes;                  // keeps results of the last run whose inputs are as they were
    // What runs the packages, NULL: the CPU engine (runtime/engines.h), and what feeds them, NULL:
    // host_ops (runtime/host.h). Gates that look inside programs keep the CPU engine, unless the
    // bundle is judged on a device (verify/device.h).
    const struct EngineInfo *engine;
    const struct HostOps *host;
    bool blames; // where layers fail: which op is the first to diverge
    const char *tool_version;
    Pool *pool;
    const Progress *progress; // may be NULL
    VerifyLine *line;         // may be NULL
    VerifyGate *gate_ended;   // may be NULL
    VerifyNote *note;         // may be NULL
    void *line_context;       // of the three
    bool *is_sealed;          // set when the run ends with a seal that holds; may be NULL
    StrBuf *machine;          // of a run on a device: what it holds for, in words; may be NULL
    bool *has_report;         // set once verify/report.json is written; may be NULL
} VerifyJob;

#endif
