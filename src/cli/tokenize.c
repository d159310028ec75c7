// tokenize.c — `lathe tokenize`: the token ids of a text, through the public API.
#include <jansson.h>
#include <lathe.h>
#include <stddef.h>
#include <stdio.h>

#include "base/utf8.h"
#include "cli/api_error.h"
#include "cli/commands.h"
#include "cli/model_file.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text_input.h"

// What lathe_tokenize() found.
typedef struct {
    uint32_t *at;
    size_t count;
} Ids;

typedef struct {
    const char *path, *text; // text NULL: standard input
    bool ignores_special, has_no_bos, shows_pieces, as_json;
} Arguments;

static const Option option_rows[] = {
    {"--no-special", OPTION_FLAG, offsetof(Arguments, ignores_special), NULL,
     "read names of control tokens in the text as plain text"},
    {"--no-bos", OPTION_FLAG, offsetof(Arguments, has_no_bos), NULL,
     "put no token before or after the text, whatever the model's policy"},
    {"--pieces", OPTION_FLAG, offsetof(Arguments, shows_pieces), NULL,
     "print each token's text after its id and a tab, quoted as in JSON (\\xNN for a byte that is "
     "not UTF-8)"},
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print an object with the list of ids; with --pieces each as {id, text}, or {id, hex} where "
     "the bytes are not UTF-8"},
};

const CommandLine tokenize_line = {
    .usage = "lathe tokenize MODEL.gguf|BUNDLE [TEXT] [OPTIONS]",
    .doc = "Prints the token ids of TEXT, one per line. Without TEXT it reads standard input to "
           "its end, byte\nfor byte. It takes any GGUF file with a gpt2, llama or gemma4 "
           "vocabulary, with or without weights.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf|BUNDLE", offsetof(Arguments, path)},
                   {"TEXT", offsetof(Arguments, text)}},
    .n_positional = 2,
    .n_required = 1,
};

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Err *err) {
    return options_read(&tokenize_line, a, argc, argv, is_done, err);
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

static Str piece_of(const LatheTokenizer *t, uint32_t id) {
    Str piece;
    piece.at = lathe_tokenizer_piece(t, id, &piece.len);
    return piece;
}

static void print_lines(const LatheTokenizer *t, const Ids *ids, bool shows_pieces) {
    for (size_t i = 0; i < ids->count; i++) {
        printf("%u", ids->at[i]);
        if (shows_pieces) {
            putchar('\t');
            print_piece(piece_of(t, ids->at[i]));
        }
        putchar('\n');
    }
}

static json_t *piece_json(uint32_t id, Str piece) {
    json_t *text = json_stringn(piece.at, piece.len);
    if (text) return json_pack("{s:I, s:o}", "id", (json_int_t)id, "text", text);
    StrBuf hex = {0};
    for (size_t i = 0; i < piece.len; i++) strbuf_printf(&hex, "%02x", (uint8_t)piece.at[i]);
    json_t *value = json_pack("{s:I, s:s}", "id", (json_int_t)id, "hex", hex.at);
    strbuf_free(&hex);
    return value;
}

static void print_json(const LatheTokenizer *t, const Ids *ids, bool shows_pieces) {
    json_t *list = json_array();
    for (size_t i = 0; i < ids->count; i++)
        json_array_append_new(list, shows_pieces ? piece_json(ids->at[i], piece_of(t, ids->at[i]))
                                                 : json_integer(ids->at[i]));
    json_t *all = json_pack("{s:o}", shows_pieces ? "pieces" : "ids", list);
    output_json(all, JSON_COMPACT);
}

static bool print_tokens(const LatheTokenizer *t, const Arguments *a, Err *err) {
    unsigned flags = 0;
    if (!a->ignores_special) flags |= LATHE_PARSE_SPECIAL;
    if (!a->has_no_bos) flags |= LATHE_ADD_SPECIAL;
    TextInput input = {0};
    Ids ids = {0};
    LatheError error;
    // lathe_tokenize() refuses what is longer.
    if (!a->text && !text_input_open(&input, "-", LATHE_MAX_TEXT, err)) return false;
    Str text = a->text ? str_of(a->text) : input.text;
    bool ok = lathe_tokenize(t, text.at, text.len, flags, &ids.at, &ids.count, &error) ||
              err_of_lathe(&error, err);
    if (ok && a->as_json) print_json(t, &ids, a->shows_pieces);
    if (ok && !a->as_json) print_lines(t, &ids, a->shows_pieces);
    lathe_free(ids.at);
    text_input_close(&input);
    return ok;
}

bool command_tokenize(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    LatheError error;
    if (!read_arguments(&a, argc, argv, &is_done, err) || is_done) return is_done;
    Arena arena = {0};
    const char *path = model_file_of(a.path, &arena, err);
    LatheTokenizer *t = path ? lathe_tokenizer_open(path, &error) : NULL;
    bool ok = path && (t || err_of_lathe(&error, err)) && print_tokens(t, &a, err);
    lathe_tokenizer_close(t);
    arena_free(&arena);
    return ok;
}
