// chat.c — `lathe chat BUNDLE|MODEL.gguf`: one prompt, or a conversation.
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/usage.h"
#include "cli/chat_impl.h"
#include "cli/chat_input.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/settings.h"
#include "cli/wrap.h"

typedef struct {
    LoadOptions open;
    SettingOptions settings;
    const char *prompt, *prompt_file, *system;
    TextList stops;
    uint32_t max_tokens;
    bool is_offline, is_lines, is_quiet, is_json, has_no_special;
    uint64_t seed;
} Arguments;

static const Option option_rows[] = {
    {"-p", OPTION_TEXT, offsetof(Arguments, prompt), "TEXT",
     "ask TEXT, print the answer, end; - reads the prompt from standard input"},
    {"-f", OPTION_TEXT, offsetof(Arguments, prompt_file), "FILE",
     "ask what FILE contains, print the answer, end"},
    {"--lines", OPTION_FLAG, offsetof(Arguments, is_lines), NULL,
     "read standard input as at a terminal: each line is a turn or a command (default: all of it "
     "is one prompt)"},
    {"--system", OPTION_TEXT, offsetof(Arguments, system), "TEXT", "system text"},
#define USE(name, type, option, argument, doc)                                                     \
    {option, OPTION_TEXT, offsetof(Arguments, open.use[USE_##name]), argument, doc},
#include "contract/use.def"
#undef USE
    {"--no-special", OPTION_FLAG, offsetof(Arguments, has_no_special), NULL,
     "the same as --control-tokens text"},
    {"--seed", OPTION_SEED, offsetof(Arguments, seed), "N", "seed for sampling (default 0)"},
    {"--max-tokens", OPTION_NUMBER, offsetof(Arguments, max_tokens), "N",
     "at most N tokens in an answer; 0 (default): as many as the context holds"},
    {"--stop", OPTION_TEXTS, offsetof(Arguments, stops), "TEXT",
     "end an answer before this text; may be repeated"},
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
    {"--engine", OPTION_TEXT, offsetof(Arguments, open.engine), "NAME", engines_help},
    {"--arithmetic", OPTION_TEXT, offsetof(Arguments, open.arithmetic), "NAME",
     "how a bundle on the cpu rounds: fp16 (default), fp32, or ane, a slow model of the Neural "
     "Engine"},
    {"--model", OPTION_TEXT, offsetof(Arguments, open.model), "MODEL.gguf",
     "the GGUF file that the bundle was made of (default: the file of that name in the bundle's "
     "folder or the current one); --engine reference needs this option"},
    {"--generation-config", OPTION_TEXT, offsetof(Arguments, open.generation), "FILE",
     "for a GGUF file: take the publisher's sampling from generation_config.json"},
    {"--unsealed", OPTION_FLAG, offsetof(Arguments, open.is_unsealed), NULL,
     "use a bundle that is not proved, and say so above every answer"},
    {"--strict", OPTION_FLAG, offsetof(Arguments, open.is_strict), NULL,
     "with --engine coreml: refuse a bundle of which any operation is planned off the Neural "
     "Engine, or that a gate failed on this machine"},
    {"--quiet", OPTION_FLAG, offsetof(Arguments, is_quiet), NULL,
     "print no timing line; on stderr only say if an answer was cut"},
    {"--json", OPTION_FLAG, offsetof(Arguments, is_json), NULL,
     "print each answer as one line of JSON: content, finish_reason, tokens, seconds "
     "(docs/chat-json.md)"},
    OFFLINE_OPTION(Arguments, is_offline),
    THREADS_OPTION(Arguments, open.threads),
};

const CommandLine chat_line = {
    .usage = "lathe chat BUNDLE|MODEL.gguf [-p TEXT | -f FILE] [OPTIONS]",
    .doc = "Chats with a model. A sealed bundle runs on the CPU with the rounding that its "
           "packages declare; a\nGGUF file runs in the fp32 reference. With -p, -f or a pipe lathe "
           "answers one prompt and ends. At a\nterminal it holds a conversation: /help lists the "
           "commands, a line that ends in \\ continues on the\nnext, a pasted text is one turn, "
           "Ctrl-C stops an answer, Ctrl-D ends the program.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"BUNDLE|MODEL.gguf", offsetof(Arguments, open.path)}},
    .n_positional = 1,
    .n_required = 1,
};

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Err *err) {
    if (!options_read(&chat_line, a, argc, argv, is_done, err) || *is_done) return *is_done;
    a->open.settings = settings_given(&a->settings);
    if (a->has_no_special) a->open.use[USE_control_tokens] = "text";
    if ((a->prompt != NULL) + (a->prompt_file != NULL) + a->is_lines > 1)
        return err_set(err, ERR_USAGE, "-p, -f and --lines exclude each other: give one of them");
    return true;
}

// ---- opening

// A name on the hub is the file it means; the publisher's sampling comes with it.
static bool find_model(Arguments *a, Arena *arena, Err *err) {
    if (!hub_model_path(&a->open.path, a->is_offline, arena, err) ||
        !hub_model_path(&a->open.model, a->is_offline, arena, err))
        return false;
    StoredModel m;
    if (!a->open.generation && store_of_file(&m, arena, a->open.path))
        a->open.generation = store_companion_path(arena, &m, COMPANION_generation);
    return true;
}

static int64_t today(void) {
    return (int64_t)time(NULL);
}

static void print_plan(const DevicePlan *plan, const DeviceProof *proof) {
    StrBuf text = {0};
    if (plan->is_made) {
        device_plan_print(plan, &text);
        fprintf(stderr, "[%s]\n", text.at);
    }
    if (proof->text.len) fprintf(stderr, "[gates on this machine: %.*s]\n", STR_ARG(proof->text));
    strbuf_free(&text);
}

static bool open_chat(ChatState *s, const Arguments *a, Err *err) {
    double start = now_seconds();
    meter_start(&s->meter);
    s->progress = meter_progress(&s->meter);
    s->max_tokens = a->max_tokens;
    s->is_json = a->is_json;
    s->is_quiet = a->is_quiet || a->is_json;
    bool ok = loaded_model_open(&s->loaded, &a->open, &s->progress, err);
    if (ok)
        s->format =
            prompt_format_open(s->loaded.tokenizer_file, s->loaded.contract, &s->loaded.use, err);
    ConversationOptions options = {
        .generator = {.sampling = sampler_options(&s->loaded.use, a->seed),
                      .max_tokens = a->max_tokens,
                      .stops = a->stops.at,
                      .n_stops = a->stops.count,
                      .seconds = now_seconds},
        .date = today,
    };
    if (s->format) s->conversation = conversation_open(s->loaded.session, s->format, &options, err);
    if (s->conversation) conversation_set_system(s->conversation, a->system);
    s->load_seconds = now_seconds() - start;
    meter_rest(&s->meter);
    if (s->conversation && !s->is_quiet && s->loaded.except.len)
        print_line(stderr, 1, "[proved, except: %s]", s->loaded.except.at);
    if (s->conversation && !s->is_quiet) print_plan(&s->loaded.plan, &s->loaded.device_proof);
    return s->conversation != NULL;
}

static void close_chat(ChatState *s) {
    conversation_close(s->conversation);
    prompt_format_close(s->format);
    loaded_model_close(&s->loaded);
}

// ---- what is said about the model

// Whatever is not as the publisher's files and code would have it: nobody may take what follows for
// the model's own answers.
static void print_deviations(const Use *use) {
    StrBuf text = {0};
    use_print_deviations(use, &text);
    if (text.len) print_line(stderr, 1, "[choices other than the publisher's: %s]", text.at);
    strbuf_free(&text);
}

static void print_sampling(const Use *use, StrBuf *out) {
    Str source = use->from[USE_temperature].source;
    if (use->temperature == 0) {
        strbuf_printf(out, "greedy decoding (%.*s)", STR_ARG(source));
        return;
    }
    for (int i = USE_temperature; i <= USE_repeat_penalty; i++) {
        strbuf_printf(out, "%s%s ", i > USE_temperature ? ", " : "", use_rows[i].name);
        use_print(use, (UseId)i, out);
    }
    strbuf_printf(out, " (%.*s)", STR_ARG(source));
}

static void print_banner(const ChatState *s, const char *path) {
    StrBuf sampling = {0};
    print_sampling(&s->loaded.use, &sampling);
    print_line(stderr, 0,
               "%s, %s, context %u, %s. /quit ends, Ctrl-C stops an answer, /help lists the "
               "commands.",
               path, session_engine(s->loaded.session), session_context(s->loaded.session),
               sampling.at);
    strbuf_free(&sampling);
}

// ---- one prompt

static bool ask_once(ChatState *s, Str prompt, Err *err) {
    // A pipe may hold a command and nothing else.
    if (!chat_is_command(prompt)) return chat_answer(s, &prompt, err);
    return chat_run_command(s, prompt, false, err) != COMMAND_FAILED;
}

static bool ask_file(ChatState *s, const char *path, Err *err) {
    StrBuf prompt = {0};
    bool ok = chat_read_prompt(path, &prompt, err);
    if (ok && !prompt.len)
        ok = err_set(err, ERR_USAGE, "%s is empty, expected a prompt",
                     strcmp(path, "-") == 0 ? "standard input" : path);
    ok = ok && ask_once(s, strbuf_str(&prompt), err);
    strbuf_free(&prompt);
    return ok;
}

// ---- a conversation

// At a terminal a turn that cannot be answered (too long, refused by the template) ends nothing
// else; of a pipe nobody would see it.
static bool goes_on_after(ChatState *s, const Err *why, bool is_terminal) {
    meter_rest(&s->meter);
    if (!is_terminal || why->kind == ERR_SYSTEM) return false;
    fprintf(stderr, "[%s]\n", why->text);
    return true;
}

// Runs a turn. False with `err` set: it failed; without: the conversation ends.
static bool take_turn(ChatState *s, Str turn, bool is_terminal, Err *err) {
    Err why = {0};
    CommandResult result = chat_run_command(s, turn, is_terminal, &why);
    if (result == COMMAND_QUIT) return false;
    bool has_failed =
        result == COMMAND_FAILED || (result == COMMAND_NONE && !chat_answer(s, &turn, &why));
    if (!has_failed || goes_on_after(s, &why, is_terminal)) return true;
    *err = why;
    return false;
}

static bool converse(ChatState *s, const char *path, Err *err) {
    bool is_terminal = isatty(STDIN_FILENO);
    StrBuf turn = {0};
    TurnState state;
    Err why = {0};
    interrupt_catch();
    chat_prepare_terminal();
    if (!s->is_quiet) print_banner(s, path);
    while ((state = chat_read_turn(&turn, &why)) == TURN_READ) {
        if (turn.len && !take_turn(s, strbuf_str(&turn), is_terminal, &why)) break;
        turn.len = 0;
    }
    strbuf_free(&turn);
    if (why.kind) *err = why;
    return !why.kind;
}

bool command_chat(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!read_arguments(&a, argc, argv, &is_done, err) || is_done) return is_done;
    const char *file = a.prompt_file;
    if (a.prompt ? strcmp(a.prompt, "-") == 0 : !file && !a.is_lines && !isatty(STDIN_FILENO))
        file = "-";
    ChatState s = {0};
    Arena arena = {0};
    bool ok = find_model(&a, &arena, err) && open_chat(&s, &a, err);
    if (ok) print_deviations(&s.loaded.use);
    if (ok && file)
        ok = ask_file(&s, file, err);
    else if (ok && a.prompt)
        ok = chat_answer(&s, &(Str){a.prompt, strlen(a.prompt)}, err);
    else if (ok)
        ok = converse(&s, a.open.path, err);
    meter_stop(&s.meter);
    close_chat(&s);
    arena_free(&arena);
    return ok;
}
