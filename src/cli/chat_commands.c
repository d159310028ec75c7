// chat_commands.c — lines of a chat that begin with '/', as a table.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"
#include "cli/chat_impl.h"
#include "cli/options.h"

// `argument` follows the name after a space; NULL: none was given.
typedef CommandResult CommandAction(ChatState *s, const char *argument, Err *err);

static CommandAction run_help, run_reset, run_system, run_retry, run_undo, run_stats, run_quit;

enum { MOST_NAMES = 3, COMMAND_MAX = 4096 };

typedef struct {
    const char *names[MOST_NAMES];
    const char *argument; // what may follow the name; NULL: nothing
    CommandAction *run;
    const char *doc;
} ChatCommand;

static const ChatCommand commands[] = {
    {{"/help", "/?"}, NULL, run_help, "show this"},
    {{"/reset", "/clear"}, NULL, run_reset, "begin a new conversation; the system text stays"},
    {{"/system"},
     "TEXT",
     run_system,
     "begin a new one with this system text; without TEXT: with none"},
    {{"/retry"}, NULL, run_retry, "take back the last answer and answer again"},
    {{"/undo"}, NULL, run_undo, "take back the last question and its answer"},
    {{"/stats"}, NULL, run_stats, "show the figures of the last answer"},
    {{"/quit", "/bye", "/exit"}, NULL, run_quit, "end the program, as Ctrl-D does"},
};

static CommandResult run_help(ChatState *s, const char *argument, Err *err) {
    (void)s, (void)argument, (void)err;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char names[64] = "";
        for (size_t k = 0; k < MOST_NAMES && commands[i].names[k]; k++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", k ? ", " : "",
                     commands[i].names[k]);
        if (commands[i].argument)
            snprintf(names + strlen(names), sizeof names - strlen(names), " %s",
                     commands[i].argument);
        fprintf(stderr, "  %-19s %s\n", names, commands[i].doc);
    }
    fputs("  A line that ends in \\ continues on the next one, and a pasted text is one turn.\n  "
          "To send the model a line that begins with /, put a space before it. Ctrl-C stops an "
          "answer.\n",
          stderr);
    return COMMAND_DONE;
}

static CommandResult run_reset(ChatState *s, const char *argument, Err *err) {
    (void)argument, (void)err;
    conversation_reset(s->conversation);
    fputs("[a new conversation]\n", stderr);
    return COMMAND_DONE;
}

static CommandResult run_system(ChatState *s, const char *argument, Err *err) {
    (void)err;
    conversation_set_system(s->conversation, argument);
    fputs(argument ? "[system text set; a new conversation]\n"
                   : "[no system text; a new conversation]\n",
          stderr);
    return COMMAND_DONE;
}

static CommandResult run_retry(ChatState *s, const char *argument, Err *err) {
    (void)argument;
    return chat_answer(s, NULL, err) ? COMMAND_DONE : COMMAND_FAILED;
}

static CommandResult run_undo(ChatState *s, const char *argument, Err *err) {
    (void)argument, (void)err;
    fputs(conversation_rewind(s->conversation)
              ? "[the last question and its answer are taken back]\n"
              : "[there is no question to take back]\n",
          stderr);
    return COMMAND_DONE;
}

static CommandResult run_stats(ChatState *s, const char *argument, Err *err) {
    (void)argument, (void)err;
    if (s->has_answered)
        chat_print_stats(s);
    else
        fputs("[no answer yet]\n", stderr);
    return COMMAND_DONE;
}

static CommandResult run_quit(ChatState *s, const char *argument, Err *err) {
    (void)s, (void)argument, (void)err;
    return COMMAND_QUIT;
}

static bool has_name(const ChatCommand *command, Str name) {
    for (size_t k = 0; k < MOST_NAMES && command->names[k]; k++)
        if (str_is(name, command->names[k])) return true;
    return false;
}

// The command of a line, and what follows its name.
static const ChatCommand *find_command(const char *line, const char **argument) {
    Str name = {line, strcspn(line, " ")};
    *argument = line + name.len + strspn(line + name.len, " ");
    if (!**argument) *argument = NULL;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (has_name(&commands[i], name) && (!*argument || commands[i].argument))
            return &commands[i];
    return NULL;
}

// Some lines long is a text that happens to begin with '/'.
static bool copy_line(Str text, char *line) {
    bool is_line =
        text.len && text.at[0] == '/' && text.len < COMMAND_MAX && !memchr(text.at, '\n', text.len);
    if (is_line) memcpy(line, text.at, text.len);
    if (is_line) line[text.len] = 0;
    return is_line;
}

bool chat_is_command(Str text) {
    char line[COMMAND_MAX];
    const char *argument;
    return copy_line(text, line) && find_command(line, &argument);
}

// What people type who know other programs.
static bool hint(Str line) {
    static const char *const words[] = {"quit", "exit", "bye", "help"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t n = strlen(words[i]);
        if (line.len != n || strncasecmp(line.at, words[i], n) != 0) continue;
        fputs("[/quit or Ctrl-D ends, /help lists the commands; to say this word to the model, put "
              "a space before it]\n",
              stderr);
        return true;
    }
    return false;
}

static const char *nearest_command(const char *word) {
    const char *names[COUNT_OF(commands) * MOST_NAMES];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        for (size_t k = 0; k < MOST_NAMES && commands[i].names[k]; k++)
            names[n++] = commands[i].names[k];
    const char *nearest = nearest_word(word, names, n);
    return nearest && strcmp(nearest, word) != 0 ? nearest
                                                 : NULL; // the word itself, with too much after it
}

CommandResult chat_run_command(ChatState *s, Str text, bool is_terminal, Err *err) {
    char line[COMMAND_MAX];
    const char *argument;
    if (is_terminal && hint(text)) return COMMAND_DONE;
    if (!copy_line(text, line)) return COMMAND_NONE;
    const ChatCommand *command = find_command(line, &argument);
    if (command) return command->run(s, argument, err);
    line[strcspn(line, " ")] = 0;
    const char *meant = nearest_command(line);
    fprintf(stderr, "[unknown command '%s'; %s%s%s/help lists the commands]\n", line,
            meant ? "did you mean " : "", meant ? meant : "", meant ? "? " : "");
    return COMMAND_DONE;
}
