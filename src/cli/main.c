// main.c — the program: finds the command and turns its error into a message and an exit code.
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/output.h"
#include "cli/wrap.h"
#include "coreml/worker.h"
#include "runtime/device_trial.h"
#include "settle/settle.h"

static const char exit_codes[] = "0 done, 1 a gate failed, 2 usage, 3 bad input, 4 the "
                                 "system, 5 not proved yet";

static void print_usage(FILE *out) {
    enum { NAME_COLUMNS = 13 };
    const Command *c;
    fputs("usage: lathe COMMAND [ARGUMENTS]\n\n", out);
    size_t width = terminal_width(out);
    for (size_t i = 0; (c = command_at(i)); i++) {
        fprintf(out, "  %-10s ", c->name);
        print_wrapped(out, c->summary, NAME_COLUMNS, NAME_COLUMNS, width);
        fputc('\n', out);
    }
    fputc('\n', out);
    char text[256];
    snprintf(text, sizeof text, "`lathe COMMAND --help` explains a command. Exit codes: %s.\n",
             exit_codes);
    print_wrapped(out, text, 0, 0, width);
}

static bool is_any_of(const char *word, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return false;
}

static const Command *find_command(const char *name) {
    const Command *c;
    for (size_t i = 0; (c = command_at(i)); i++)
        if (strcmp(name, c->name) == 0) return c;
    return NULL;
}

static int refuse_command(const char *name) {
    enum { MOST = 32 };
    const char *names[MOST];
    size_t n = 0;
    for (const Command *c; n < MOST && (c = command_at(n)); n++) names[n] = c->name;
    const char *meant = nearest_word(name, names, n);
    fprintf(stderr, "lathe: no command '%s'; %s%s%s`lathe --help` lists them\n", name,
            meant ? "did you mean '" : "", meant ? meant : "", meant ? "'? " : "");
    return 2;
}

// `lathe help`, `lathe help COMMAND`
static int print_help(int argc, char **argv) {
    const Command *c = argc > 2 ? find_command(argv[2]) : NULL;
    if (argc > 2 && !c) return refuse_command(argv[2]);
    if (c)
        options_print_help(c->line);
    else
        print_usage(stdout);
    return 0;
}

static bool asks_for_json(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0) return true;
    return false;
}

// For programs: what the message says, on stdout, where the command printed no result.
static void print_json_error(const Err *err) {
    json_t *error = json_pack("{s:o, s:i}", "error", json_of_str(str_of(err->text)), "code",
                              exit_code(err->kind));
    output_json(error, JSON_COMPACT);
    fflush(stdout);
}

static int run_command(const Command *c, int argc, char **argv) {
    Err err = {0};
    bool ok = c->run(argc, argv, &err);
    // Output that was not written (a broken pipe, a full disk) is a failure; it shows only here.
    if (fflush(stdout) != 0 || ferror(stdout)) ok = ok && err_errno(&err, "standard output");
    if (ok) return 0;
    fprintf(stderr, "lathe %s: %s\n", c->name, err.text);
    if (asks_for_json(argc, argv) && !output_has_json()) print_json_error(&err);
    return exit_code(err.kind);
}

// `lathe coreml-worker …`: a part of Core ML's work in a process of its own (coreml/worker.h). The help
// does not list it.
static int run_worker(int argc, char **argv) {
    Err err = {0};
    bool is_trial = argc == 4 && strcmp(argv[2], "--try") == 0;
    if (is_trial ? device_trial(argv[3], &err) : worker_compile(argc - 2, argv + 2, &err))
        return fflush(stdout) == 0 ? 0 : 4;
    fprintf(stderr, "%s\n", err.text);
    return exit_code(err.kind);
}

// `lathe settle-worker STAGE BUNDLE OUT`: a stage of lathe settle in a process of its own, likewise.
static int run_settle_worker(char **argv) {
    Err err = {0};
    coreml_skip_trials();
    if (settle_work(argv[2], argv[3], argv[4], &err)) return 0;
    fprintf(stderr, "%s\n", err.text);
    return exit_code(err.kind);
}

int main(int argc, char **argv) {
    static const char *const help[] = {"help", "--help", "-h"};
    static const char *const version[] = {"version", "--version", "-v"};
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (is_any_of(argv[1], help, COUNT_OF(help))) return print_help(argc, argv);
    if (is_any_of(argv[1], version, COUNT_OF(version))) {
        puts("lathe " LATHE_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--describe") == 0) {
        describe_program(exit_codes);
        return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 4;
    }
    if (strcmp(argv[1], "coreml-worker") == 0) return run_worker(argc, argv);
    static char program[PROGRAM_PATH_SIZE];
    if (program_path(program)) coreml_set_worker(program);
    if (argc == 5 && strcmp(argv[1], "settle-worker") == 0) return run_settle_worker(argv);
    const Command *c = find_command(argv[1]);
    return c ? run_command(c, argc - 1, argv + 1) : refuse_command(argv[1]);
}
