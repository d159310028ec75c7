// tokenize.c — `lathe tokenize`: the token ids of a text.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "text/tokenizer.h"
#include "text/tokenizer_utf8.h"

static const char usage[] =
    "usage: lathe tokenize MODEL.gguf [TEXT] [--no-special] [--no-bos] [--pieces]\n"
    "\n"
    "Prints the token ids of TEXT, one a line. Without TEXT it reads standard input to its end, "
    "byte for byte.\n"
    "Any GGUF file with a gpt2 or llama vocabulary will do, with or without weights.\n"
    "\n"
    "  --no-special  names of control tokens in the text are plain text\n"
    "  --no-bos      nothing before or after the text, whatever the model's policy\n"
    "  --pieces      after each id a tab and what it stands for, quoted as in JSON (\\xNN for a "
    "broken byte)\n"
    "  --            what follows is no option\n";

typedef struct {
    const char *path, *text; // text NULL: standard input
    unsigned flags;          // of tokenizer_encode
    bool shows_pieces, shows_help;
} Options;

static bool read_options(Options *o, int argc, char **argv, Err *err) {
    bool may_be_option = true;
    *o = (Options){.flags = TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        bool is_option = may_be_option && arg[0] == '-' && arg[1] == '-';
        if (is_option && strcmp(arg, "--help") == 0)
            o->shows_help = true;
        else if (is_option && strcmp(arg, "--no-special") == 0)
            o->flags &= ~(unsigned)TOKENIZER_PARSE_SPECIAL;
        else if (is_option && strcmp(arg, "--no-bos") == 0)
            o->flags &= ~(unsigned)(TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS);
        else if (is_option && strcmp(arg, "--pieces") == 0)
            o->shows_pieces = true;
        else if (is_option && strcmp(arg, "--") == 0)
            may_be_option = false;
        else if (is_option)
            return err_set(err, ERR_USAGE, "unknown option '%s'\n%s", arg, usage);
        else if (!o->path)
            o->path = arg;
        else if (!o->text)
            o->text = arg;
        else
            return err_set(err, ERR_USAGE,
                           "unexpected '%s' after the text; quote a text with spaces\n%s", arg,
                           usage);
    }
    if (!o->path && !o->shows_help) return err_set(err, ERR_USAGE, "no model given\n%s", usage);
    return true;
}

static bool read_all(FILE *in, StrBuf *out, Err *err) {
    char block[1 << 16];
    size_t n;
    while ((n = fread(block, 1, sizeof block, in)) > 0) {
        strbuf_add(out, (Str){block, n});
        if (out->len > TOKENIZER_MAX_TEXT) break; // tokenizer_encode refuses it
    }
    return !ferror(in) || err_errno(err, "standard input");
}

static void print_piece(Str piece) {
    bool is_text = utf8_is_valid(piece);
    putchar('"');
    for (size_t i = 0; i < piece.len; i++) {
        unsigned char c = (unsigned char)piece.at[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c == '\r')
            fputs("\\r", stdout);
        else if (c < 0x20 || c == 0x7F || (c > 0x7F && !is_text))
            printf("\\x%02X", c);
        else
            putchar(c);
    }
    putchar('"');
}

static bool print_tokens(const Tokenizer *t, const Options *o, Err *err) {
    StrBuf input = {0};
    TokenList ids = {0};
    bool ok = o->text || read_all(stdin, &input, err);
    Str text = o->text ? str_of(o->text) : strbuf_str(&input);
    ok = ok && tokenizer_encode(t, text, o->flags, &ids, err);
    for (size_t i = 0; ok && i < ids.count; i++) {
        printf("%u", ids.at[i]);
        if (o->shows_pieces) {
            putchar('\t');
            print_piece(tokenizer_piece(t, ids.at[i]));
        }
        putchar('\n');
    }
    if (ok && (fflush(stdout) != 0 || ferror(stdout))) ok = err_errno(err, "standard output");
    token_list_free(&ids);
    strbuf_free(&input);
    return ok;
}

bool command_tokenize(int argc, char **argv, Err *err) {
    Options o;
    if (!read_options(&o, argc, argv, err)) return false;
    if (o.shows_help) {
        fputs(usage, stdout);
        return true;
    }
    Arena arena = {0};
    Gguf g = {0};
    bool ok = gguf_open(&g, &arena, o.path, err);
    Tokenizer *t = ok ? tokenizer_open(&g, err) : NULL;
    if (ok && !t) ok = err_prefix(err, "%s", o.path);
    gguf_close(&g);
    arena_free(&arena);
    ok = ok && print_tokens(t, &o, err);
    tokenizer_close(t);
    return ok;
}
