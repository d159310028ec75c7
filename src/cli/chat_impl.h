// chat_impl.h — what the files of `lathe chat` share.
//
//     chat.c           options, opening, and the loop over turns
//     chat_input.c     turns and prompts from a terminal, a file, a pipe
//     chat_answer.c    one answer: streamed as text, or as a line of JSON
//     chat_commands.c  lines that begin with '/'
#ifndef LATHE_CLI_CHAT_IMPL_H
#define LATHE_CLI_CHAT_IMPL_H

#include "chat/conversation.h"
#include "cli/meter.h"
#include "runtime/loaded_model.h"

typedef struct {
    LoadedModel loaded;
    PromptFormat *format;
    Conversation *conversation;
    Meter meter;
    Progress progress;
    double load_seconds;
    uint32_t max_tokens;
    bool is_quiet, is_json;
    bool has_answered;
    GeneratorStats stats; // of the last answer, once there is one
} ChatState;

// chat_answer.c Sends `text` as the user and prints the answer; NULL: answers the last question
// again.
bool chat_answer(ChatState *s, const Str *text, Err *err);
void chat_print_stats(const ChatState *s); // of the last answer, on stderr

// chat_commands.c
typedef enum { COMMAND_NONE, COMMAND_DONE, COMMAND_QUIT, COMMAND_FAILED } CommandResult;
// Runs `line` if it is a command. COMMAND_NONE: the line is for the model. At a terminal a lone
// "quit" or "help" gets a hint instead.
CommandResult chat_run_command(ChatState *s, Str line, bool is_terminal, Err *err);
// Whether `text` is one of the commands and nothing else.
bool chat_is_command(Str text);

#endif
