#include "cli/describe.h"

#include <jansson.h>
#include <stdio.h>

#include "base/memory.h"
#include "cli/commands.h"

static json_t *option_json(const Option *o) {
    return json_pack("{s:s, s:s?, s:b, s:s}", "name", o->name, "argument", o->argument,
                     "is_repeatable", (int)(o->kind == OPTION_TEXTS), "doc", o->doc);
}

static json_t *command_json(const Command *c) {
    json_t *options = json_array();
    for (size_t i = 0; i < c->line->n_options; i++)
        json_array_append_new(options, option_json(&c->line->options[i]));
    StrBuf doc = {0};
    strbuf_printf(&doc, "%s\n", c->line->doc);
    if (c->line->more) c->line->more(&doc);
    json_t *command = json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", c->name, "summary", c->summary,
                                "usage", c->line->usage, "doc", doc.at, "options", options);
    strbuf_free(&doc);
    return command;
}

void describe_program(const char *exit_codes) {
    json_t *commands = json_array();
    for (size_t i = 0; command_at(i); i++)
        json_array_append_new(commands, command_json(command_at(i)));
    json_t *program = json_pack("{s:s, s:s, s:o}", "version", LATHE_VERSION, "exit_codes",
                                exit_codes, "commands", commands);
    if (!program) die_out_of_memory(0);
    json_dumpf(program, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(program);
}
