// template.c — `lathe template MODEL.gguf|BUNDLE|FILE.jinja --messages FILE.json`, through the public API.
#include <jansson.h>
#include <lathe.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "cli/api_error.h"
#include "cli/commands.h"
#include "cli/model_file.h"
#include "cli/options.h"
#include "cli/text_input.h"

typedef struct {
    const char *path, *messages;
    bool adds_prompt;
} Arguments;

static const Option option_rows[] = {
    {"--messages", OPTION_TEXT, offsetof(Arguments, messages), "FILE.json",
     "a list of messages, or an object with messages, tools, add_generation_prompt, bos_token "
     "and "
     "any other variable; - for stdin"},
    {"--add-generation-prompt", OPTION_FLAG, offsetof(Arguments, adds_prompt), NULL,
     "end the text where the answer begins"},
};

const CommandLine template_line = {
    .usage = "lathe template MODEL.gguf|BUNDLE|FILE.jinja --messages FILE.json",
    .doc = "Renders a chat template and prints the text, nothing else. bos_token and eos_token are "
           "the model's\nunless the file of messages sets them. If the messages have tools, lathe "
           "uses the model's template\nfor tools (key tokenizer.chat_template.tool_use) if the "
           "model has one.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf|BUNDLE|FILE.jinja", offsetof(Arguments, path)}},
    .n_positional = 1,
    .n_required = 1,
};

static bool render(const Arguments *a, Str json, Err *err) {
    LatheError error;
    char *text = NULL;
    size_t n_text;
    LatheTemplate *t = lathe_template_open(a->path, &error);
    if (!t) return err_of_lathe(&error, err);
    bool ok = lathe_template_render(t, json.at, json.len, a->adds_prompt, (int64_t)time(NULL),
                                    &text, &n_text, &error);
    lathe_template_close(t);
    if (ok) fwrite(text, 1, n_text, stdout);
    lathe_free(text);
    if (ok) return true;
    if (error.kind != LATHE_ERROR_USAGE) return err_of_lathe(&error, err);
    return err_set(err, ERR_FORMAT, "%s: %s", a->messages, error.text); // the file of messages
}

bool command_template(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    if (!options_read(&template_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    if (!a.messages) return err_set(err, ERR_USAGE, "missing --messages FILE.json");
    Arena arena = {0};
    TextInput json = {0};
    a.path = model_file_of(a.path, &arena, err);
    bool ok =
        a.path && text_input_open(&json, a.messages, SIZE_MAX, err) && render(&a, json.text, err);
    text_input_close(&json);
    arena_free(&arena);
    return ok;
}
