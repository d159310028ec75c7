// chat.c — `lathe chat BUNDLE|MODEL.gguf`: one-shot with -p, else interactive.
#include <editline/readline.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/usage.h"
#include "chat/conversation.h"
#include "cli/commands.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "runtime/loaded_model.h"

typedef struct {
    LoadOptions open;
    const char *prompt, *system;
    TextList stops;
    uint32_t max_tokens;
    bool is_quiet, has_no_special;
    uint64_t seed;
} Arguments;

// Everything an open conversation stands on.
typedef struct {
    LoadedModel loaded;
    PromptFormat *format;
    Conversation *chat;
    Meter meter;
    Progress progress;
    double load_seconds;
} ChatState;

// Set by Ctrl-C: the answer ends, the program goes on. The one mutable global of the program, since
// a signal handler can reach nothing else.
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

static void catch_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static const Option option_rows[] = {
    {"-p", OPTION_TEXT, offsetof(Arguments, prompt), "TEXT", "ask this, print the answer, end"},
    {"--system", OPTION_TEXT, offsetof(Arguments, system), "TEXT", "system text"},
#define USE(name, type, option, argument, doc)                                                     \
    {option, OPTION_TEXT, offsetof(Arguments, open.use[USE_##name]), argument, doc},
#include "contract/use.def"
#undef USE
    {"--no-special", OPTION_FLAG, offsetof(Arguments, has_no_special), NULL,
     "the same as --control-tokens text"},
    {"--seed", OPTION_SEED, offsetof(Arguments, seed), "N", "of the sampling (default 0)"},
    {"--max-tokens", OPTION_NUMBER, offsetof(Arguments, max_tokens), "N",
     "of an answer (default: to the context's end)"},
    {"--stop", OPTION_TEXTS, offsetof(Arguments, stops), "TEXT",
     "end an answer before this text; may be repeated"},
    {"--engine", OPTION_TEXT, offsetof(Arguments, open.engine), "NAME", engines_help},
    {"--arithmetic", OPTION_TEXT, offsetof(Arguments, open.arithmetic), "NAME",
     "of a bundle on the cpu: fp16 (default), fp32, or ane, a slow model of the Neural "
     "Engine's"},
    {"--model", OPTION_TEXT, offsetof(Arguments, open.model), "MODEL.gguf",
     "the source (default: the file of its name beside the bundle or here); for --engine "
     "reference "
     "it must be given"},
    {"--generation-config", OPTION_TEXT, offsetof(Arguments, open.generation), "FILE",
     "of a GGUF file: the publisher's sampling, from generation_config.json"},
    {"--unsealed", OPTION_FLAG, offsetof(Arguments, open.is_unsealed), NULL,
     "use a bundle that is not proved, and say so"},
    {"--quiet", OPTION_FLAG, offsetof(Arguments, is_quiet), NULL, "no timing line"},
    {"--threads", OPTION_THREADS, offsetof(Arguments, open.threads), "N",
     "threads (default: one a processor)"},
};

const CommandLine chat_line = {
    .usage = "lathe chat BUNDLE|MODEL.gguf [-p TEXT] [OPTIONS]",
    .doc = "Talks with a model: a sealed bundle by running its packages on the CPU as Core ML "
           "would "
           "round,\na GGUF file by the fp32 reference. Interactive without -p: /reset, /system "
           "TEXT, /stats, /quit;\na line that ends in \\ goes on; Ctrl-C stops an answer; "
           "Ctrl-D ends.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"BUNDLE|MODEL.gguf", offsetof(Arguments, open.path)}},
    .n_positional = 1,
    .n_required = 1,
};

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Err *err) {
    if (!options_read(&chat_line, a, argc, argv, is_done, err) || *is_done) return *is_done;
    if (a->has_no_special) a->open.use[USE_control_tokens] = "text";
    return true;
}

// ---- opening

static int64_t today(void) {
    return (int64_t)time(NULL);
}

static bool open_chat(ChatState *t, const Arguments *a, Err *err) {
    double start = now_seconds();
    meter_start(&t->meter);
    t->progress = meter_progress(&t->meter);
    bool ok = loaded_model_open(&t->loaded, &a->open, &t->progress, err);
    if (ok)
        t->format =
            prompt_format_open(t->loaded.tokenizer_file, t->loaded.contract, &t->loaded.use, err);
    ConversationOptions options = {
        .generator = {.sampling = sampler_options(&t->loaded.use, a->seed),
                      .max_tokens = a->max_tokens,
                      .stops = a->stops.at,
                      .n_stops = a->stops.count,
                      .seconds = now_seconds},
        .date = today,
    };
    if (t->format) t->chat = conversation_open(t->loaded.session, t->format, &options, err);
    if (t->chat) conversation_set_system(t->chat, a->system);
    t->load_seconds = now_seconds() - start;
    meter_rest(&t->meter);
    if (t->chat && !a->is_quiet && t->loaded.except.len)
        fprintf(stderr, "[proved, except: %s]\n", t->loaded.except.at);
    return t->chat != NULL;
}

static void close_chat(ChatState *t) {
    conversation_close(t->chat);
    prompt_format_close(t->format);
    loaded_model_close(&t->loaded);
}

// ---- talking

static bool print_text(void *context, Str text) {
    ChatState *t = context;
    if (text.len) {
        meter_rest(&t->meter);
        fwrite(text.at, 1, text.len, stdout);
        fflush(stdout);
    }
    return !interrupted;
}

// Whatever is not as the publisher's files and code would have it: nobody may take what follows for
// the model's own answers.
static void print_deviations(const Use *use) {
    StrBuf text = {0};
    use_print_deviations(use, &text);
    if (text.len) fprintf(stderr, "[not as published: %s]\n", text.at);
    strbuf_free(&text);
}

static void print_sampling(const Use *use) {
    if (use->temperature == 0) {
        fprintf(stderr, "greedy decoding (%.*s)", STR_ARG(use->from[USE_temperature].source));
    } else {
        StrBuf text = {0};
        for (int i = USE_temperature; i <= USE_repeat_penalty; i++) {
            strbuf_printf(&text, "%s%s ", text.len ? ", " : "", use_rows[i].name);
            use_print(use, (UseId)i, &text);
        }
        fprintf(stderr, "%s (%.*s)", text.at, STR_ARG(use->from[USE_temperature].source));
        strbuf_free(&text);
    }
}

static double rate(size_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

static void print_stats(const ChatState *t, const GeneratorStats *s) {
    fprintf(
        stderr,
        "[%s; load %.2f s; prefill %zu tokens, %.1f tok/s (%zu reused); decode %zu tokens, %.1f "
        "tok/s; %s; position %u of %u]\n",
        session_engine(t->loaded.session), t->load_seconds, s->n_prompt,
        rate(s->n_prompt, s->prefill_seconds), s->n_reused, s->n_answer,
        rate(s->n_answer, s->decode_seconds), stop_reason_rows[s->stop].text,
        session_position(t->loaded.session), session_context(t->loaded.session));
}

static bool say(ChatState *t, const char *text, const Arguments *a, GeneratorStats *stats,
                Err *err) {
    interrupted = 0;
    // Above every answer, --quiet or not: nobody may take it for the model's.
    if (t->loaded.unproved.kind) fprintf(stderr, "[NOT PROVED: %s]\n", t->loaded.unproved.text);
    if (!conversation_say(t->chat, str_of(text), print_text, t, &t->progress, stats, err))
        return false;
    meter_rest(&t->meter);
    putchar('\n');
    fflush(stdout);
    if (!a->is_quiet) print_stats(t, stats);
    return true;
}

// One line without its end; NULL at the end of input. Edited where a person types, plain where a
// program writes. free() it.
static char *read_line(const char *prompt) {
    if (isatty(STDIN_FILENO)) return readline(prompt);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
    if (n >= 0) return line;
    free(line);
    return NULL;
}

// A line of input, joined with the next while it ends in a backslash. Ctrl-C begins it afresh.
// free() it; NULL at the end.
static char *read_input(void) {
    StrBuf all = {0};
    const char *prompt = "> ";
    for (;;) {
        interrupted = 0;
        char *line = read_line(prompt);
        if (!line && interrupted) {
            fputc('\n', stderr);
            strbuf_free(&all);
            prompt = "> ";
            continue;
        }
        if (!line) break;
        size_t n = strlen(line);
        bool goes_on = n && line[n - 1] == '\\';
        strbuf_add(&all, (Str){line, goes_on ? n - 1 : n});
        free(line);
        if (!goes_on) return all.at ? all.at : strdup("");
        strbuf_add_char(&all, '\n');
        prompt = ". ";
    }
    strbuf_free(&all);
    if (isatty(STDIN_FILENO)) fputc('\n', stderr); // Ctrl-D leaves the cursor behind the prompt
    return NULL;
}

// A line that begins with '/'. False to end the program.
static bool run_command(ChatState *t, const char *line, const GeneratorStats *stats) {
    if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0) return false;
    if (strcmp(line, "/reset") == 0) {
        conversation_reset(t->chat);
        fputs("[a new conversation]\n", stderr);
    } else if (strncmp(line, "/system", 7) == 0 && (line[7] == ' ' || line[7] == 0)) {
        conversation_set_system(t->chat, line[7] ? line + 8 : NULL);
        fputs(line[7] ? "[system text set; a new conversation]\n"
                      : "[no system text; a new conversation]\n",
              stderr);
    } else if (strcmp(line, "/stats") == 0) {
        if (stats->n_prompt)
            print_stats(t, stats);
        else
            fputs("[nothing said yet]\n", stderr);
    } else {
        fputs("[/reset, /system TEXT, /stats, /quit]\n", stderr);
    }
    return true;
}

static bool talk(ChatState *t, const Arguments *a, Err *err) {
    GeneratorStats stats = {0};
    if (isatty(STDERR_FILENO)) rl_outstream = stderr; // prompts are no result
    catch_interrupts();
    if (!a->is_quiet) {
        fprintf(stderr, "%s, %s, context %u, ", a->open.path, session_engine(t->loaded.session),
                session_context(t->loaded.session));
        print_sampling(&t->loaded.use);
        fputs(". /quit ends, Ctrl-C stops an answer.\n", stderr);
    }
    for (char *line; (line = read_input()); free(line)) {
        if (!*line) continue;
        if (isatty(STDIN_FILENO)) add_history(line);
        if (line[0] == '/') {
            if (run_command(t, line, &stats)) continue;
            free(line);
            return true;
        }
        Err why = {0};
        GeneratorStats now;
        if (say(t, line, a, &now, &why)) {
            stats = now;
            continue;
        }
        // A turn that cannot be said (too long, refused by the template) ends nothing else.
        meter_rest(&t->meter);
        fprintf(stderr, "[%s]\n", why.text);
        if (why.kind == ERR_SYSTEM) {
            *err = why;
            free(line);
            return false;
        }
    }
    return true;
}

bool command_chat(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!read_arguments(&a, argc, argv, &is_done, err) || is_done) return is_done;
    ChatState t = {0};
    GeneratorStats stats;
    bool ok = open_chat(&t, &a, err);
    if (ok) print_deviations(&t.loaded.use);
    if (ok) ok = a.prompt ? say(&t, a.prompt, &a, &stats, err) : talk(&t, &a, err);
    meter_stop(&t.meter);
    close_chat(&t);
    return ok;
}
