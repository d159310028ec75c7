// eval.c — `lathe eval BUNDLE|MODEL.gguf --text FILE`: perplexity; for a bundle whose source is
// found also the KL divergence between the two.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/text_input.h"
#include "huggingface/folder.h"
#include "proof/eval.h"
#include "runtime/loaded_model.h"

enum { DEFAULT_CHUNK = 512 }; // llama-perplexity's

typedef struct {
    LoadOptions open;
    SettingOptions settings;
    const char *text;
    uint32_t chunk;
    bool is_json, parses_control;
} Arguments;

// What is evaluated, and its source or nothing.
typedef struct {
    LoadedModel model, source;
    Tokenizer *tokenizer;
    TextInput text;
    Meter meter;
    Progress progress;
} Work;

static const Option option_rows[] = {
    {"--text", OPTION_TEXT, offsetof(Arguments, text), "FILE",
     "the text to predict; - for standard input"},
    {"--context", OPTION_COUNT, offsetof(Arguments, chunk), "N",
     "tokens per chunk; the second half of each chunk is scored (default 512)"},
    {"--rope-factors", OPTION_TEXT, offsetof(Arguments, open.use[USE_rope_factors]), "WHICH",
     "LongRoPE's factors: auto (default: by the current length, like the publisher's code), short "
     "or long"},
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
    {"--model", OPTION_TEXT, offsetof(Arguments, open.model), "MODEL.gguf",
     "the GGUF file that the bundle was made of: also print its perplexity, and how far the bundle "
     "is from it"},
    {"--engine", OPTION_TEXT, offsetof(Arguments, open.engine), "NAME", engines_help},
    {"--arithmetic", OPTION_TEXT, offsetof(Arguments, open.arithmetic), "NAME",
     "how a bundle on the cpu rounds: fp16 (default), fp32, or ane, a slow model of the Neural "
     "Engine"},
    {"--special", OPTION_FLAG, offsetof(Arguments, parses_control), NULL,
     "read control tokens spelt out in the text as tokens (default: as text, like llama.cpp's "
     "perplexity)"},
    {"--json", OPTION_FLAG, offsetof(Arguments, is_json), NULL,
     "print one JSON object instead of lines"},
    {"--unsealed", OPTION_FLAG, offsetof(Arguments, open.is_unsealed), NULL,
     "use a bundle that is not proved, and say so on stderr"},
    THREADS_OPTION(Arguments, open.threads),
};

const CommandLine eval_line = {
    .usage = "lathe eval BUNDLE|MODEL.gguf --text FILE [OPTIONS]",
    .doc = "Computes the perplexity of a text as llama.cpp defines it: in chunks, each from an "
           "empty cache, the\nsecond half of each scored. With --model also the KL divergence of "
           "the bundle from its source (mean,\n99th percentile and maximum, in nats per token), "
           "how often both give the same likeliest token\n(top-1), and how often the source's "
           "likeliest is among the bundle's five (top-5).",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"BUNDLE|MODEL.gguf", offsetof(Arguments, open.path)}},
    .n_positional = 1,
    .n_required = 1,
};

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Err *err) {
    if (!options_read(&eval_line, a, argc, argv, is_done, err) || *is_done) return *is_done;
    a->open.settings = settings_given(&a->settings);
    if (!a->text) return err_set(err, ERR_USAGE, "missing --text FILE");
    return true;
}

// ---- opening

static bool is_source_wanted(const Work *w, const Arguments *a) {
    bool runs_bundle = w->model.engine->capabilities & ENGINE_RUNS_BUNDLES;
    return a->open.model && w->model.has_bundle && runs_bundle;
}

// The source, used as the bundle is.
static bool open_source(Work *w, const Arguments *a, Err *err) {
    char context[16];
    const Use *use = &w->model.use;
    StrBuf factors = {0};
    use_print(use, USE_rope_factors, &factors);
    snprintf(context, sizeof context, "%u", use->context);
    LoadOptions options = {
        .path = a->open.model,
        .use = {[USE_context] = context, [USE_rope_factors] = factors.at},
        .settings = w->model.bundle.chain.settings,
        .threads = a->open.threads,
    };
    bool ok = loaded_model_open(&w->source, &options, &w->progress, err);
    strbuf_free(&factors);
    if (!ok) return false;
    Sha256 digest = contract_digest(w->source.contract);
    return str_is(w->model.bundle.chain.contract_digest, digest.hex) ||
           err_set(err, ERR_FORMAT,
                   "%s has another contract than the bundle was made of; give the GGUF file that "
                   "it was converted from",
                   a->open.model);
}

static bool open_work(Work *w, Arguments *a, Err *err) {
    meter_start(&w->meter);
    w->progress = meter_progress(&w->meter);
    LoadOptions options = a->open;
    bool is_bundle = path_is_bundle(options.path);
    if (!is_bundle && options.model)
        return err_set(err, ERR_USAGE, "--model applies to bundles; %s is a model file",
                       options.path);
    if (!text_input_open(&w->text, a->text, TOKENIZER_MAX_TEXT, err)) return false;
    // A model is opened for a chunk; a bundle's context is its own.
    char chunk[16];
    snprintf(chunk, sizeof chunk, "%u", a->chunk ? a->chunk : DEFAULT_CHUNK);
    if (!is_bundle) options.use[USE_context] = chunk;
    if (!loaded_model_open(&w->model, &options, &w->progress, err)) return false;
    uint32_t most = session_context(w->model.session);
    if (!a->chunk) a->chunk = most < DEFAULT_CHUNK ? most : DEFAULT_CHUNK;
    if (is_source_wanted(w, a) && !open_source(w, a, err)) return false;
    w->tokenizer = tokenizer_open(w->model.tokenizer_file, err);
    return w->tokenizer || err_prefix(err, "%s", options.path);
}

static void close_work(Work *w) {
    tokenizer_close(w->tokenizer);
    loaded_model_close(&w->source);
    loaded_model_close(&w->model);
    text_input_close(&w->text);
}

// ---- results

static json_t *score_json(const EvalScore *s, const char *engine) {
    return json_pack("{s:s, s:o, s:o, s:o}", "engine", engine, "perplexity",
                     json_of_real(s->perplexity), "error", json_of_real(s->error), "nll",
                     json_of_real(s->nll));
}

static void print_json(const Work *w, const Eval *e, uint32_t chunk) {
    json_t *all = score_json(&e->scores[0], session_engine(w->model.session));
    json_t *more = json_pack("{s:I, s:I, s:I, s:I}", "tokens", (json_int_t)e->n_tokens, "context",
                             (json_int_t)chunk, "chunks", (json_int_t)e->n_chunks, "scored",
                             (json_int_t)e->n_scored);
    if (w->source.session) {
        const EvalPair *p = &e->pairs[0][1];
        json_object_set_new(more, "source",
                            score_json(&e->scores[1], session_engine(w->source.session)));
        json_object_set_new(more, "kl",
                            json_pack("{s:o, s:o, s:o}", "mean", json_of_real(p->kl_mean), "p99",
                                      json_of_real(p->kl_99), "max", json_of_real(p->kl_max)));
        json_object_set_new(more, "top1", json_real(p->top1));
        json_object_set_new(more, "top5", json_real(p->top5));
    }
    json_object_update(all, more);
    json_decref(more);
    output_json(all, JSON_INDENT(2));
}

static void print_score(const char *name, const EvalScore *s, const Session *session) {
    printf("%-11s %.4f +- %.4f  %s\n", name, s->perplexity, s->error, session_engine(session));
}

static void print_lines(const Work *w, const Eval *e, uint32_t chunk) {
    printf("text        %zu tokens, %zu chunks of %u, %zu scored\n", e->n_tokens, e->n_chunks,
           chunk, e->n_scored);
    print_score("perplexity", &e->scores[0], w->model.session);
    if (!w->source.session) return;
    print_score("source", &e->scores[1], w->source.session);
    const EvalPair *p = &e->pairs[0][1];
    printf("kl          mean=%.3g p99=%.3g max=%.3g\n", p->kl_mean, p->kl_99, p->kl_max);
    printf("agreement   top-1 %.2f%% top-5 %.2f%%\n", 100 * p->top1, 100 * p->top5);
}

bool command_eval(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!read_arguments(&a, argc, argv, &is_done, err) || is_done) return is_done;
    Work w = {0};
    Eval e;
    Arena arena = {0};
    bool ok = hub_model_path(&a.open.path, false, &arena, err) &&
              hub_model_path(&a.open.model, false, &arena, err) && open_work(&w, &a, err);
    EvalJob job = {
        .models = {w.model.session, w.source.session},
        .n_models = w.source.session ? 2 : 1,
        .tokenizer = w.tokenizer,
        .text = w.text.text,
        .parses_control = a.parses_control,
        .chunk = a.chunk,
        .progress = &w.progress,
    };
    ok = ok && eval_text(&e, &job, err);
    meter_stop(&w.meter);
    if (ok && w.model.unproved.kind) fprintf(stderr, "[NOT PROVED: %s]\n", w.model.unproved.text);
    if (ok) (a.is_json ? print_json : print_lines)(&w, &e, a.chunk);
    close_work(&w);
    arena_free(&arena);
    return ok;
}
