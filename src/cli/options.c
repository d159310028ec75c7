#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_INDENT = 27, HELP_WIDTH = 98 };

// Columns of UTF-8 text, as far as one code point is one column.
static size_t columns(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

// `doc` from column HELP_INDENT on, broken between words.
static void print_wrapped(const char *doc) {
    size_t at = HELP_INDENT;
    for (size_t n; *doc; doc += n, doc += *doc == ' ') {
        n = strcspn(doc, " ");
        size_t width = columns(doc, n);
        if (at > HELP_INDENT && at + 1 + width > HELP_WIDTH) {
            printf("\n%*s", HELP_INDENT, "");
            at = HELP_INDENT;
        } else if (at > HELP_INDENT) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)n, doc);
        at += width;
    }
    putchar('\n');
}

static void print_help(const CommandLine *line) {
    printf("usage: %s\n\n%s\n", line->usage, line->doc);
    if (line->n_options) printf("\noptions:\n");
    for (size_t i = 0; i < line->n_options; i++) {
        const Option *o = &line->options[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-*s ", HELP_INDENT - 3, name);
        print_wrapped(o->doc);
    }
}

static bool read_value(const Option *o, const char *text, Err *err) {
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPTION_FLAG: return true;
    case OPTION_TEXT: *(const char **)o->value = text; return true;
    case OPTION_TEXTS: {
        TextList *list = o->value;
        if (list->count == MAX_TEXTS)
            return err_set(err, ERR_USAGE, "%s: given more than %d times", o->name, MAX_TEXTS);
        list->at[list->count++] = text;
        return true;
    }
    case OPTION_COUNT: {
        unsigned long long n = strtoull(text, &end, 10);
        if (errno || *end || end == text || *text == '-' || n > UINT32_MAX)
            return err_set(err, ERR_USAGE, "%s %s: expected a whole number", o->name, text);
        *(uint32_t *)o->value = (uint32_t)n;
        return true;
    }
    case OPTION_SEED: {
        unsigned long long n = strtoull(text, &end, 10);
        if (errno || *end || end == text || *text == '-')
            return err_set(err, ERR_USAGE, "%s %s: expected a whole number", o->name, text);
        *(uint64_t *)o->value = n;
        return true;
    }
    case OPTION_FLOAT: {
        float x = strtof(text, &end);
        if (errno || *end || end == text || !(x >= 0) || x > 1e6f)
            return err_set(err, ERR_USAGE, "%s %s: expected a number of 0 or more", o->name, text);
        *(float *)o->value = x;
        return true;
    }
    }
    return false;
}

static const Option *find_option(const CommandLine *line, const char *name) {
    for (size_t i = 0; i < line->n_options; i++)
        if (strcmp(line->options[i].name, name) == 0) return &line->options[i];
    return NULL;
}

bool options_read(const CommandLine *line, int argc, char **argv, bool *is_done, Err *err) {
    size_t n_positional = 0;
    bool only_positional = false;
    *is_done = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_positional && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            print_help(line);
            *is_done = true;
            return true;
        }
        if (!only_positional && strcmp(arg, "--") == 0) {
            only_positional = true;
            continue;
        }
        if (only_positional || arg[0] != '-' || arg[1] == 0) {
            if (n_positional == line->n_positional)
                return err_set(err, ERR_USAGE, "unexpected '%s'\nusage: %s", arg, line->usage);
            *line->positional[n_positional++] = arg;
            continue;
        }
        const Option *o = find_option(line, arg);
        if (!o)
            return err_set(err, ERR_USAGE,
                           "no option '%s' (--help lists them; a text that begins with - stands "
                           "behind --)\nusage: %s",
                           arg, line->usage);
        if (o->kind == OPTION_FLAG) {
            *(bool *)o->value = true;
        } else if (i + 1 == argc) {
            return err_set(err, ERR_USAGE, "%s needs a value (%s)", arg, o->argument);
        } else if (!read_value(o, argv[++i], err)) {
            return false;
        }
    }
    if (n_positional < line->n_required)
        return err_set(err, ERR_USAGE, "an argument is missing\nusage: %s", line->usage);
    return true;
}
