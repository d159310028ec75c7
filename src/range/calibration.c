#include "range/calibration.h"

#include <string.h>

#include "base/size.h"
#include "tokenizer/tokenizer.h"

// Several kinds of text: prose, dialogue, code, data, numbers, other scripts, lists, formulas, and
// text that often causes large activations: repetition and rows of punctuation.
static const char built_in[] =
    "The river had risen in the night, and by morning the lower meadow was a sheet of brown water "
    "with the tops of the fence posts standing out of it in a line. Nobody in the village could "
    "remember it so high, not even the miller, who remembered everything.\n\n"
    "\"Did you lock the door?\" she asked. \"I thought you did.\" \"No,\" he said, \"I thought "
    "you did.\" They looked at each other; then both of them began to run.\n\n"
    "#include <stdio.h>\n\nint main(int argc, char **argv) {\n    for (int i = 1; i < argc; i++) "
    "{\n        printf(\"%d: %s\\n\", i, argv[i]);\n    }\n    return argc > 1 ? 0 : 1;\n}\n\n"
    "{\"name\": \"valve\", \"id\": 40917, \"tags\": [\"steel\", \"DN25\"], \"price\": 18.50, "
    "\"in_stock\": true, \"supplier\": null}\n\n"
    "Year, output, change: 1998, 1,204, +3.1 %; 1999, 1,187, -1.4 %; 2000, 1,302, +9.7 %. The sum "
    "of 17 and 25 is 42; 6 times 7 is 42; 2 to the power of 10 is 1024.\n\n"
    "Der Zug hat zehn Minuten Versp\xc3\xa4tung. Le train a dix minutes de retard. El tren lleva "
    "diez minutos de retraso. \xd0\x9f\xd0\xbe\xd0\xb5\xd0\xb7\xd0\xb4 \xd0\xbe\xd0\xbf\xd0\xb0"
    "\xd0\xb7\xd0\xb4\xd1\x8b\xd0\xb2\xd0\xb0\xd0\xb5\xd1\x82. \xe5\x88\x97\xe8\xbb\x8a\xe3\x81"
    "\xaf\xe5\x8d\x81\xe5\x88\x86\xe9\x81\x85\xe3\x82\x8c\xe3\x81\xa6\xe3\x81\x84\xe3\x82\x8b\xe3"
    "\x80\x82\n\n"
    "1. Wash the rice until the water runs clear.\n2. Soak it for half an hour.\n3. Bring it to "
    "the boil, then turn the heat down.\n4. Do not lift the lid.\n\n"
    "If f(x) = x^2 - 3x + 2, then f(x) = (x - 1)(x - 2), so f(1) = f(2) = 0 and f'(x) = 2x - 3. "
    "\\int_0^1 f(x) dx = 5/6.\n\n"
    "no no no no no no no no -- -- -- ... ... ... !!! ??? ((((())))) ====== 0000000000\n\n"
    "user: What is the capital of France? assistant: The capital of France is Paris. user: And of "
    "Japan? assistant: Tokyo. user: Write hello world in Erlang. assistant: "
    "io:format(\"Hello, World!~n\").\n\n"
    "Abstract. We study how the error of a sum depends on the order of its terms. For n numbers "
    "of one sign the relative error grows at most as n times the unit roundoff; for numbers of "
    "both signs there is no such bound. Measurements on 10,000 random sums agree with this.\n\n";

static Str next_paragraph(Str *rest) {
    Str p = *rest;
    const char *gap = NULL;
    for (size_t i = 0; i + 1 < rest->len && !gap; i++)
        if (rest->at[i] == '\n' && rest->at[i + 1] == '\n') gap = rest->at + i;
    p.len = gap ? (size_t)(gap - rest->at) : rest->len;
    size_t skip = p.len;
    while (skip < rest->len && rest->at[skip] == '\n') skip++;
    *rest = (Str){rest->at + skip, rest->len - skip};
    return p;
}

static void add_piece(Calibration *c, const TokenList *list, size_t most, Arena *arena) {
    CalibrationPiece *p = &c->pieces[c->n_pieces];
    p->count = min_size(list->count, most);
    if (p->count == 0) return;
    uint32_t *ids = arena_array(arena, p->count, uint32_t);
    memcpy(ids, list->at, p->count * sizeof *ids);
    p->ids = ids;
    c->n_pieces++;
    c->n_tokens += p->count;
    c->longest = max_size(c->longest, p->count);
}

static bool add_short(Calibration *c, const Tokenizer *t, Str paragraph, uint32_t lead, size_t most,
                      Arena *arena, Err *err) {
    TokenList list = {0};
    if (lead != NO_TOKEN) token_list_add(&list, lead);
    unsigned flags = lead == NO_TOKEN ? TOKENIZER_ADD_BOS : 0;
    bool ok = tokenizer_encode(t, paragraph, flags, &list, err);
    if (ok) add_piece(c, &list, most, arena);
    token_list_free(&list);
    return ok;
}

static bool add_long(Calibration *c, const Tokenizer *t, Str text, size_t most, Arena *arena,
                     Err *err) {
    TokenList list = {0};
    bool ok = true, grows = true;
    while (ok && grows && list.count < most) {
        size_t before = list.count;
        ok = tokenizer_encode(t, text, before ? 0 : TOKENIZER_ADD_BOS, &list, err);
        grows = list.count > before;
    }
    if (ok) add_piece(c, &list, most, arena);
    token_list_free(&list);
    return ok;
}

bool calibration_make(Calibration *c, const Contract *contract, const Gguf *g, Str text,
                      uint32_t context, Arena *arena, Err *err) {
    *c = (Calibration){0};
    if (!text.at) text = str_of(built_in);
    if (text.len == 0) return err_set(err, ERR_FORMAT, "the calibration text is empty");
    c->text_sha256 = arena_str(arena, str_of(sha256_bytes(text.at, text.len).hex));
    Tokenizer *t = tokenizer_open(g, err);
    if (!t) return false;

    size_t few = min_size(SHORT_TOKENS, context), many = min_size(LONG_TOKENS, context);
    Str rest = text, first = next_paragraph(&rest);
    bool ok = add_short(c, t, first, NO_TOKEN, few, arena, err);
    for (size_t i = 0; ok && i < contract->stop_ids.count && c->n_pieces < MAX_SHORT_PIECES / 2;
         i++)
        ok = add_short(c, t, first, contract->stop_ids.at[i], few, arena, err);
    while (ok && rest.len && c->n_pieces < MAX_SHORT_PIECES)
        ok = add_short(c, t, next_paragraph(&rest), NO_TOKEN, few, arena, err);
    ok = ok && add_long(c, t, text, many, arena, err);
    tokenizer_close(t);
    return ok;
}
