// options.c — parses a command line by its table of options, and prints the table as help.
#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "cli/wrap.h"

enum { HELP_INDENT = 27, HELP_WIDTH = 98, NARROW = 72, NARROW_INDENT = 6 };

// Text of whole lines. A terminal that is narrower than they are gets lines of its own width; an indented
// line goes on below its text.
static void print_lines(const char *text, size_t width) {
    for (size_t n; *text; text += n, text += *text == '\n') {
        n = strcspn(text, "\n");
        size_t indent = strspn(text, " ");
        char line[512];
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        print_wrapped(stdout, line, 0, indent ? indent + 2 : 0, width);
        putchar('\n');
    }
}

// In a narrow terminal what an option does is below its name.
static void print_option(const Option *o, size_t width) {
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", o->name, o->argument ? " " : "",
             o->argument ? o->argument : "");
    if (width < NARROW) {
        printf("  %s\n%*s", name, NARROW_INDENT, "");
        print_wrapped(stdout, o->doc, NARROW_INDENT, NARROW_INDENT, width);
    } else {
        printf("  %-*s ", HELP_INDENT - 3, name);
        print_wrapped(stdout, o->doc, HELP_INDENT, HELP_INDENT, width);
    }
    putchar('\n');
}

void options_print_help(const CommandLine *line) {
    size_t terminal = terminal_width(stdout);
    size_t width = terminal && terminal < HELP_WIDTH ? terminal : HELP_WIDTH;
    StrBuf more = {0};
    printf("usage: ");
    print_wrapped(stdout, line->usage, sizeof "usage: " - 1, 7, terminal);
    printf("\n\n");
    print_lines(line->doc, terminal);
    if (line->more) line->more(&more);
    if (more.len) print_lines(more.at, terminal);
    strbuf_free(&more);
    if (line->n_options) printf("\noptions:\n");
    for (size_t i = 0; i < line->n_options; i++) print_option(&line->options[i], width);
}

// ---- slips of the finger

// Edit distance with swaps of neighbours (optimal string alignment), rows of the matrix in turn.
static size_t distance(const char *a, const char *b) {
    enum { MOST = 40 };
    size_t rows[3][MOST + 1], n = strlen(a), m = strlen(b);
    if (n > MOST || m > MOST) return MOST;
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] =
                min_size(min_size(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min_size(row[j], older[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *nearest_word(const char *word, const char *const *words, size_t n) {
    enum { MOST_WRONG = 2 };
    const char *best = NULL;
    size_t least = min_size(MOST_WRONG + 1, (strlen(word) + 1) / 2);
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, words[i]);
        if (d >= least) continue;
        least = d;
        best = words[i];
    }
    return best;
}

// ---- reading

static bool read_whole(const Option *o, const char *text, uint64_t least, uint64_t most,
                       uint64_t *out, Err *err) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || n > most)
        return err_set(err, ERR_USAGE,
                       "%s %s: expected a whole number from %" PRIu64 " to %" PRIu64, o->name, text,
                       least, most);
    if (n < least)
        return err_set(err, ERR_USAGE,
                       "%s %s: expected 1 or more; leave the option out for the default", o->name,
                       text);
    *out = n;
    return true;
}

// More threads than processors only wait for one another: 999 of them compute 200 times slower.
static uint32_t cap_threads(const Option *o, uint64_t asked) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1 || asked <= (uint64_t)n) return (uint32_t)asked;
    fprintf(stderr, "[%s %" PRIu64 ": this machine has %ld processors, so %ld]\n", o->name, asked,
            n, n);
    return (uint32_t)n;
}

static bool read_float(const Option *o, const char *text, float *out, Err *err) {
    char *end;
    errno = 0;
    float x = strtof(text, &end);
    if (errno || *end || end == text || !(x >= 0) || x > 1e6f)
        return err_set(err, ERR_USAGE, "%s %s: expected a number from 0 to 1e6", o->name, text);
    *out = x;
    return true;
}

static bool add_text(const Option *o, const char *text, TextList *list, Err *err) {
    if (list->count == MAX_TEXTS)
        return err_set(err, ERR_USAGE, "%s: given more than %d times", o->name, MAX_TEXTS);
    list->at[list->count++] = text;
    return true;
}

static bool read_value(const Option *o, const char *text, void *arguments, Err *err) {
    void *value = (char *)arguments + o->offset;
    uint64_t n = 0;
    bool ok = true;
    switch (o->kind) {
    case OPTION_FLAG: break;
    case OPTION_TEXT: *(const char **)value = text; break;
    case OPTION_TEXTS: return add_text(o, text, value, err);
    case OPTION_FLOAT: return read_float(o, text, value, err);
    case OPTION_COUNT:
    case OPTION_NUMBER:
        ok = read_whole(o, text, o->kind == OPTION_COUNT, UINT32_MAX, &n, err);
        if (ok) *(uint32_t *)value = (uint32_t)n;
        break;
    case OPTION_THREADS:
        ok = read_whole(o, text, 1, UINT32_MAX, &n, err);
        if (ok) *(uint32_t *)value = cap_threads(o, n);
        break;
    case OPTION_SEED: return read_whole(o, text, 0, UINT64_MAX, value, err);
    }
    return ok;
}

// The option that `arg` names; `*value` is what follows '=' in it, or NULL.
static const Option *find_option(const CommandLine *line, const char *arg, const char **value) {
    const char *equals = strncmp(arg, "--", 2) == 0 ? strchr(arg, '=') : NULL;
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < line->n_options; i++)
        if (strncmp(line->options[i].name, arg, n) == 0 && line->options[i].name[n] == 0)
            return &line->options[i];
    return NULL;
}

static bool refuse_option(const CommandLine *line, const char *arg, Err *err) {
    const char *names[64];
    char word[64];
    size_t n = min_size(line->n_options, COUNT_OF(names));
    for (size_t i = 0; i < n; i++) names[i] = line->options[i].name;
    snprintf(word, sizeof word, "%.*s", (int)min_size(strcspn(arg, "="), sizeof word), arg);
    const char *meant = arg[1] == '-' ? nearest_word(word, names, n) : NULL;
    return err_set(err, ERR_USAGE,
                   "no option '%s'%s%s%s (--help lists them; to pass text starting with '-', put "
                   "'--' before it)\nusage: %s",
                   arg, meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "",
                   line->usage);
}

// The option argv[*i], whose value may be the next word.
static bool read_option(const CommandLine *line, void *arguments, int argc, char **argv, int *i,
                        Err *err) {
    const char *value;
    const Option *o = find_option(line, argv[*i], &value);
    if (!o) return refuse_option(line, argv[*i], err);
    if (o->kind == OPTION_FLAG) {
        if (value) return err_set(err, ERR_USAGE, "%s takes no value, found '%s'", o->name, value);
        *(bool *)((char *)arguments + o->offset) = true;
        return true;
    }
    if (!value && *i + 1 == argc)
        return err_set(err, ERR_USAGE, "%s needs a value (%s)", o->name, o->argument);
    return read_value(o, value ? value : argv[++*i], arguments, err);
}

bool options_read(const CommandLine *line, void *arguments, int argc, char **argv, bool *is_done,
                  Err *err) {
    size_t n_positional = 0;
    bool only_positional = false;
    *is_done = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_positional && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            options_print_help(line);
            *is_done = true;
            return true;
        }
        if (!only_positional && strcmp(arg, "--") == 0) {
            only_positional = true;
        } else if (only_positional || arg[0] != '-' || arg[1] == 0) {
            if (n_positional == line->n_positional)
                return err_set(err, ERR_USAGE, "unexpected '%s'\nusage: %s", arg, line->usage);
            size_t offset = line->positional[n_positional++].offset;
            *(const char **)((char *)arguments + offset) = arg;
        } else if (!read_option(line, arguments, argc, argv, &i, err)) {
            return false;
        }
    }
    if (n_positional < line->n_required)
        return err_set(err, ERR_USAGE, "missing %s\nusage: %s", line->positional[n_positional].name,
                       line->usage);
    return true;
}
