#include "cli/wrap.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"

size_t terminal_width(FILE *out) {
    struct winsize size;
    return isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

size_t text_columns(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

void print_wrapped(FILE *out, const char *text, size_t at, size_t indent, size_t width) {
    for (bool is_first = true; *text; is_first = false) {
        size_t n_spaces = strspn(text, " "), n = strcspn(text + n_spaces, " ");
        size_t wide = text_columns(text, n_spaces + n);
        if (width && !is_first && at + wide > width) {
            fprintf(out, "\n%*s%.*s", (int)indent, "", (int)n, text + n_spaces);
            at = indent + wide - n_spaces;
        } else {
            fprintf(out, "%.*s", (int)(n_spaces + n), text);
            at += wide;
        }
        text += n_spaces + n;
    }
}

void print_line(FILE *out, size_t indent, const char *fmt, ...) {
    Arena arena = {0};
    va_list args;
    va_start(args, fmt);
    Str text = arena_vprintf(&arena, fmt, args);
    va_end(args);
    print_wrapped(out, arena_cstr(&arena, text), 0, indent, terminal_width(out));
    fputc('\n', out);
    arena_free(&arena);
}
