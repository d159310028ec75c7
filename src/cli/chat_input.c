// A terminal sends pasted text between two control sequences ("bracketed paste", DEC mode 2004 of
// xterm), so that a line end in it can be told from the Enter key. The editor does not know them:
// it reads its keys through read_key(), which removes the sequences and keeps track of whether it
// is inside a paste. A line that ends inside a paste is joined with the next.
#include "cli/chat_input.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/interrupt.h"
#include "cli/text_input.h"
#include "tokenizer/tokenizer.h"

// ---- prompts

static bool refuse_nul(const char *where, Str text, Err *err) {
    const char *nul = text.len ? memchr(text.at, 0, text.len) : NULL;
    if (!nul) return true;
    return err_set(err, ERR_FORMAT, "%s: byte %zu is NUL, expected text", where,
                   (size_t)(nul - text.at));
}

bool chat_read_prompt(const char *path, StrBuf *out, Err *err) {
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    TextInput input;
    if (!text_input_open(&input, path, TOKENIZER_MAX_TEXT, err)) return false;
    Str all = input.text;
    bool ok = refuse_nul(name, all, err);
    if (ok && all.len > TOKENIZER_MAX_TEXT)
        ok =
            err_set(err, ERR_FORMAT, "%s: longer than %zu bytes", name, (size_t)TOKENIZER_MAX_TEXT);
    for (size_t i = 0; ok && i < all.len; i++)
        if (all.at[i] != '\r' || i + 1 == all.len || all.at[i + 1] != '\n')
            strbuf_add_char(out, all.at[i]);
    while (ok && out->len && strchr("\r\n", out->at[out->len - 1])) out->at[--out->len] = 0;
    text_input_close(&input);
    return ok;
}

// ---- keys

#define PASTE_ON  "\033[?2004h"
#define PASTE_OFF "\033[?2004l"
static const char paste_begins[] = "\033[200~", paste_ends[] = "\033[201~";
enum { MARK_BYTES = sizeof paste_begins - 1, CTRL_MAX = 31, KEY_END = -1 };

// Mutable globals, since the editor's callback has no context.
static struct {
    unsigned char held[MARK_BYTES + 1]; // bytes read and not given yet
    size_t n_held;
    bool is_pasting;
} keys;

static int read_byte(void) {
    unsigned char byte;
    while (interrupt_wait_readable(STDIN_FILENO)) {
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 1) return byte;
        if (n == 0 || errno != EINTR) break;
    }
    return KEY_END;
}

static int next_byte(void) {
    if (!keys.n_held) return read_byte();
    int byte = keys.held[0];
    memmove(keys.held, keys.held + 1, --keys.n_held);
    return byte;
}

// Gives `n` bytes that were read again, before those that wait.
static void put_back(const unsigned char *bytes, size_t n) {
    memmove(keys.held + n, keys.held, keys.n_held);
    memcpy(keys.held, bytes, n);
    keys.n_held += n;
}

// After an ESC: whether the rest of a mark follows, which is taken.
static bool take_mark(void) {
    unsigned char mark[MARK_BYTES] = {(unsigned char)paste_begins[0]};
    for (size_t n = 1; n < MARK_BYTES; n++) {
        int byte = next_byte();
        if (byte == KEY_END) return false;
        mark[n] = (unsigned char)byte;
        if (memcmp(mark, paste_begins, n + 1) != 0 && memcmp(mark, paste_ends, n + 1) != 0) {
            put_back(mark + 1, n);
            return false;
        }
    }
    keys.is_pasting = memcmp(mark, paste_begins, MARK_BYTES) == 0;
    return true;
}

// The character that begins with `first`, as a code point.
static int read_character(int first) {
    unsigned char bytes[4] = {(unsigned char)first};
    size_t n = 1, len;
    while (utf8_scan((char *)bytes, n, &len) == UTF8_CUT) {
        int byte = next_byte();
        if (byte == KEY_END) return KEY_END;
        bytes[n++] = (unsigned char)byte;
    }
    if (utf8_scan((char *)bytes, n, &len) == UTF8_WHOLE)
        return (int)utf8_code_point((char *)bytes, n);
    put_back(bytes + len, n - len);
    return 0xFFFD;
}

// The next key for the editor, a code point. Of a paste only text: its control characters would be
// commands to the editor.
static int read_key(FILE *unused) {
    (void)unused;
    for (;;) {
        int byte = next_byte();
        if (byte == paste_begins[0] && take_mark()) continue;
        if (keys.is_pasting && byte >= 0 && byte <= CTRL_MAX && !strchr("\t\r\n", byte)) continue;
        if (byte < 0x80) return byte;
        return read_character(byte);
    }
}

// ---- lines

static bool is_terminal(void) {
    return isatty(STDIN_FILENO);
}

// Where the editor writes: stdout is for answers.
static int screen(void) {
    return isatty(STDERR_FILENO) ? STDERR_FILENO : STDOUT_FILENO;
}

static void ask_for_marks(bool on) {
    const char *term = getenv("TERM"), *sequence = on ? PASTE_ON : PASTE_OFF;
    bool is_understood = is_terminal() && isatty(screen()) && term && strcmp(term, "dumb") != 0;
    // A terminal that is gone ends the next read.
    if (is_understood && write(screen(), sequence, strlen(sequence)) < 0) return;
}

void chat_prepare_terminal(void) {
    if (!is_terminal()) return;
    // For the editor. Terminals speak UTF-8, whatever the environment leaves unsaid.
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    if (screen() == STDERR_FILENO) rl_outstream = stderr;
    rl_getc_function = read_key;
    rl_inhibit_completion = 1; // Tab is a tab
}

typedef enum { LINE_READ, LINE_END, LINE_FAILED } LineState;

static LineState read_edited(const char *prompt, StrBuf *out) {
    char *line = readline(prompt);
    if (line) strbuf_add(out, str_of(line));
    free(line);
    return line ? LINE_READ : LINE_END;
}

static LineState read_plain(StrBuf *out, Err *err) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    Str text = {line, n > 0 ? (size_t)n : 0};
    bool ok = refuse_nul("a line of standard input", text, err);
    if (str_ends(text, STR("\n"))) text.len--;
    if (str_ends(text, STR("\r"))) text.len--;
    if (ok) strbuf_add(out, text);
    free(line);
    return !ok ? LINE_FAILED : n < 0 ? LINE_END : LINE_READ;
}

// A line more. `goes_on`: another one belongs to the turn.
static LineState read_line(StrBuf *out, bool is_first, bool *goes_on, Err *err) {
    size_t n_before = out->len;
    LineState state =
        is_terminal() ? read_edited(is_first ? "> " : ". ", out) : read_plain(out, err);
    bool is_continued = out->len > n_before && out->at[out->len - 1] == '\\';
    if (is_continued && !keys.is_pasting) out->at[--out->len] = 0;
    *goes_on = state == LINE_READ && (is_continued || keys.is_pasting);
    if (*goes_on) strbuf_add_char(out, '\n');
    return state;
}

// The end of the input ends the turn as well: what came before it is asked.
static TurnState read_lines(StrBuf *out, Err *err) {
    bool is_first = true, goes_on = true;
    while (goes_on) {
        interrupt_clear();
        LineState state = read_line(out, is_first, &goes_on, err);
        if (state == LINE_FAILED) return TURN_FAILED;
        if (state == LINE_END && interrupt_is_noted() && is_terminal()) {
            fputc('\n', stderr);
            out->len = 0;
            keys.is_pasting = false;
            is_first = goes_on = true;
            continue;
        }
        if (state == LINE_END && is_first) return TURN_END;
        if (state == LINE_END) out->at[--out->len] = 0; // the end of the line before
        is_first = false;
    }
    return TURN_READ;
}

TurnState chat_read_turn(StrBuf *out, Err *err) {
    ask_for_marks(true);
    TurnState state = read_lines(out, err);
    ask_for_marks(false);
    if (state == TURN_END && is_terminal()) fputc('\n', stderr); // Ctrl-D leaves the cursor there
    if (state == TURN_READ && is_terminal() && out->len) add_history(out->at);
    return state;
}
