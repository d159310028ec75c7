// text.c — the texts of the vote: a few hundred tokens of several kinds, each fed from position 0.
//
// Text that a model was never trained on tells little, so there are texts for base models and for
// chat models, and tasks whose answers depend on exact positions (copy, reverse, count), which a
// wrong rotary table or score scale breaks first. All texts were written for lathe.
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/size.h"
#include "prompt/prompt_format.h"
#include "vote/vote.h"

enum {
    MAX_TURNS = 8,
    MAX_CHAT_TOKENS = 1024,
    PIECE_TOKENS = 512, // of a file: one text
    FILE_TOKENS = 4096, // of a file: all that is read
    // Read beyond the original context. With the 64 positions that tests give it there, the end of
    // what the smallest model at hand was trained on.
    LONG_TOKENS = 192,
    AROUND_TOKENS = 64, // on either side of it
};

// A plain text, or questions and answers in turn; the last answer ends it.
typedef struct {
    const char *kind;
    const char *said[2 * MAX_TURNS];
} Piece;

// Short ones first: what they settle is not read on. The long conversation stays within the 256
// positions that the smallest model at hand was trained on.
static const Piece pieces[] = {
    {"chat",
     {
         "Write hello world in Python.",
         "```python\nprint(\"Hello, World!\")\n```",
         "Repeat these words: car bus car car bus car bus bus car",
         "car bus car car bus car bus bus car",
         "What is 7 + 5?",
         "12",
         "Reverse these words: red green blue white",
         "white blue green red",
     }},
    {"chat",
     {
         "Hi, my name is Anna.",
         "Hello, Anna!",
         "Repeat: end start end end mark start mark end",
         "end start end end mark start mark end",
         "Reverse this list: one two new way time art",
         "art time way new two one",
         "What is my name?",
         "You are Anna.",
         "Repeat these words: just now just even now even just now",
         "just now just even now even just now",
         "Say every second word of: hand web bus person people help",
         "web person help",
         "Write these words again: lemon, silver, candle, lemon, tiger",
         "lemon, silver, candle, lemon, tiger",
         "Reverse these words: back down off over back off",
         "off back over off down back",
     }},
    {"code",
     {"def mean(values):\n    \"\"\"Return the arithmetic mean of a list of numbers.\"\"\"\n    if "
      "not "
      "values:\n        raise ValueError(\"mean of an empty list\")\n    total = 0\n    for value "
      "in "
      "values:\n        total += value\n    return total / len(values)\n\n\ndef "
      "variance(values):\n    "
      "centre = mean(values)\n    return mean([(value - centre) ** 2 for value in values])\n"}},
    {"numbers",
     {"Monday 12, Tuesday 14, Wednesday 16, Thursday 18, Friday 20, Saturday 22, Sunday 24.\n"
      "2 + 2 = 4\n3 + 3 = 6\n4 + 4 = 8\n"}},
    {"chat",
     {
         "Say this again: new time new way time new way way time new",
         "new time new way time new way way time new",
         "Count from 3 to 9.",
         "3, 4, 5, 6, 7, 8, 9",
         "Copy this list: river, stone, garden, winter, bread",
         "river, stone, garden, winter, bread",
         "Repeat: part value part code part value value code",
         "part value part code part value value code",
     }},
    {"prose",
     {"The harbour was quiet when the ferry came in. Nobody had told the children that their uncle "
      "was on board, so they went on throwing stones at the water until he stood behind them and "
      "said their names. Then everybody talked at once. He had brought a clock with a painted "
      "face, "
      "three oranges and a letter that nobody was allowed to read before dinner."}},
    {"other scripts",
     {"Paris est la capitale de la France. Berlin ist die Hauptstadt von Deutschland. "
      "Москва — столица России. 東京は日本の首都です。"}},
    {"chat",
     {
         "What is the capital of France?",
         "The capital of France is Paris.",
         "Name three colours.",
         "Red, green and blue.",
     }},
};

// For doubts: word lists to repeat and to reverse in turn, LISTS_PER_CHAT a conversation. Most of
// those to repeat use few words, so that only places tell them apart.
enum { LISTS_PER_CHAT = 6 };
static const char *const lists[] = {
    "all end year end end end all all end",
    "string good part make back product help",
    "product product person function function function function function function function",
    "char use art bus one way",
    "get add part add part add add add get get",
    "all best mark string set out",
    "name out help help out name out out help",
    "one people need case back",
    "web down now web now down down now now",
    "start just now char way under",
    "type get get form form get get type type",
    "just post best just type case",
    "any value value any any any value any",
    "want function over let know",
    "car car car car char car char car know",
    "mark time set end function",
    "much product help product help much much much product",
    "get off out know true case",
    "function function use function use use use use get use",
    "web car part class list let",
    "best time best name best best name name time",
    "start use char see want under case",
    "time art time art time art art bus bus art",
    "class year bus form make web product",
    "post post set end post set set set set end",
    "right bus long best even all",
    "after set long long after long after set long",
    "after new know now get",
    "name name add name add any add add add add",
    "want all car post start first",
    "off char off off off off time time time",
    "use even name list function add",
    "bus bus function bus bus function function mark function",
    "time mark web under back people",
    "name much name name any name any name",
    "web help look string right user",
    "start start start two two help two start two",
    "off good just web true",
    "want hand hand want want want even hand want",
    "man get value year man add",
    "all test all all test high high high test",
    "one under need mark out people",
    "function char hand hand hand function char hand hand hand",
    "start art web name new",
    "want part part part part want get want",
    "year two act use char high",
    "web web case under case case under web web under",
    "product name long help hand",
    "test test test make good good good make test",
    "know bus back down need make",
    "good good all art good all good all all all",
    "false product one start set string",
    "after after set set type after type type set",
    "set user time true get",
    "person person post post now person post post person",
    "true hand case use false hand",
    "any people people any people char char char",
    "false out name make year read use",
    "out get out get out get out get out get",
    "look person want product part right form",
};

// Takes `n` ids; `scored` NULL: all of them.
static void add_text(VoteTexts *texts, const char *kind, const uint32_t *ids, size_t n,
                     const bool *scored, Arena *arena) {
    VoteText *t = &texts->at[texts->count++];
    *t = (VoteText){.kind = kind, .n = n};
    t->ids = arena_array(arena, n, uint32_t);
    t->is_scored = arena_array(arena, n, bool);
    if (n) memcpy(t->ids, ids, n * sizeof *ids);
    for (size_t i = 1; i < n; i++) {
        t->is_scored[i] = !scored || scored[i];
        t->n_scored += t->is_scored[i];
    }
}

// ---- conversations: what the model's template makes of them, answers marked

typedef struct {
    const PromptFormat *format;
    int64_t date;
    TokenList ids; // of what was said, at most MAX_CHAT_TOKENS in the end
    bool scored[MAX_CHAT_TOKENS];
} Conversation;

// Adds the question after what was said. The template renders everything anew; should it change
// its mind about earlier turns, marks stay where the ids are as they were.
static bool ask(Conversation *c, const json_t *messages, Err *err) {
    TokenList ids = {0};
    Prompt prompt = {.messages = messages, .adds_generation_prompt = true, .date = c->date};
    if (!prompt_format_encode(c->format, &prompt, &ids, err)) return false;
    size_t same = 0;
    while (same < ids.count && same < c->ids.count && ids.at[same] == c->ids.at[same]) same++;
    for (size_t i = same; i < MAX_CHAT_TOKENS; i++) c->scored[i] = false;
    // The mark that ends the answer is the model's to say, too.
    if (same && same == c->ids.count && same < MAX_CHAT_TOKENS) c->scored[same] = true;
    token_list_free(&c->ids);
    c->ids = ids;
    return true;
}

static bool answer(Conversation *c, const char *text, Err *err) {
    size_t first = c->ids.count;
    const Tokenizer *tokenizer = prompt_format_tokenizer(c->format);
    if (!tokenizer_encode(tokenizer, str_of(text), 0, &c->ids, err)) return false;
    for (size_t i = first; i < c->ids.count && i < MAX_CHAT_TOKENS; i++) c->scored[i] = true;
    return true;
}

static void say(json_t *messages, const char *role, const char *text) {
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", text));
}

static bool encode_chat(Conversation *c, const char *const *said, Err *err) {
    json_t *messages = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < 2 * MAX_TURNS && said[i]; i += 2) {
        say(messages, "user", said[i]);
        ok = ask(c, messages, err) && answer(c, said[i + 1], err);
        say(messages, "assistant", said[i + 1]);
    }
    json_decref(messages);
    if (c->ids.count > MAX_CHAT_TOKENS) c->ids.count = MAX_CHAT_TOKENS;
    return ok;
}

// ---- all of it

typedef struct {
    VoteTexts *texts;
    const Contract *contract;
    Arena *arena;
    PromptFormat *format;
    int64_t date; // that the template is told
} Reader;

// A text that does not fit is cut: positions beyond the original context are those of long texts.
static size_t within(const Reader *r, size_t n) {
    return min_size(n, r->contract->original_context);
}

static bool read_piece(Reader *r, const Piece *piece, Err *err) {
    if (!piece->said[1]) {
        TokenList ids = {0};
        bool ok = tokenizer_encode(prompt_format_tokenizer(r->format), str_of(piece->said[0]),
                                   TOKENIZER_ADD_BOS, &ids, err);
        if (ok) add_text(r->texts, piece->kind, ids.at, within(r, ids.count), NULL, r->arena);
        token_list_free(&ids);
        return ok;
    }
    Conversation *c = arena_new(r->arena, Conversation);
    *c = (Conversation){.format = r->format, .date = r->date};
    bool ok = encode_chat(c, piece->said, err);
    if (ok)
        add_text(r->texts, piece->kind, c->ids.at, within(r, c->ids.count), c->scored, r->arena);
    token_list_free(&c->ids);
    return ok;
}

static const char *reversed(const char *words, Arena *arena) {
    Str left = str_of(words), out = {"", 0};
    while (left.len) {
        size_t n = strcspn(left.at, " ");
        out =
            arena_printf(arena, out.len ? "%.*s %.*s" : "%.*s%.*s", (int)n, left.at, STR_ARG(out));
        n += n < left.len;
        left = (Str){left.at + n, left.len - n};
    }
    return out.at;
}

static bool read_lists(Reader *r, size_t first, Err *err) {
    Piece piece = {.kind = "chat"};
    for (size_t i = 0; i < LISTS_PER_CHAT; i++) {
        const char *list = lists[first + i];
        bool is_repeat = i % 2 == 0;
        const char *ask = is_repeat ? "Repeat these words: %s" : "Reverse these words: %s";
        piece.said[2 * i] = arena_printf(r->arena, ask, list).at;
        piece.said[2 * i + 1] = is_repeat ? list : reversed(list, r->arena);
    }
    bool ok = read_piece(r, &piece, err);
    if (ok) r->texts->at[r->texts->count - 1].is_for_doubts = true;
    return ok;
}

static bool read_built_in(Reader *r, Err *err) {
    enum { N_LISTS = COUNT_OF(lists) / LISTS_PER_CHAT };
    r->texts->at = arena_array(r->arena, COUNT_OF(pieces) + N_LISTS, VoteText);
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        if (!read_piece(r, &pieces[i], err)) return false;
    for (size_t i = 0; i < N_LISTS; i++)
        if (!read_lists(r, i * LISTS_PER_CHAT, err)) return false;
    return true;
}

static bool read_file(Reader *r, const char *path, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    TokenList ids = {0};
    Str text = {(const char *)map.at, map.len};
    bool ok =
        tokenizer_encode(prompt_format_tokenizer(r->format), text, TOKENIZER_ADD_BOS, &ids, err);
    unmap_file(&map);
    if (ok && ids.count < 2) ok = err_set(err, ERR_FORMAT, "%s: no text to read", path);
    size_t n = min_size(ids.count, FILE_TOKENS), piece = within(r, PIECE_TOKENS);
    if (ok) r->texts->at = arena_array(r->arena, n / piece + 1, VoteText);
    for (size_t at = 0; ok && at < n; at += piece)
        add_text(r->texts, "file", ids.at + at, min_size(piece, n - at), NULL, r->arena);
    token_list_free(&ids);
    return ok;
}

bool vote_texts_open(VoteTexts *texts, const char *path, const Gguf *vocabulary, const Contract *c,
                     const Use *use, Arena *arena, Err *err) {
    *texts = (VoteTexts){0};
    Reader r = {.texts = texts, .contract = c, .arena = arena, .date = (int64_t)time(NULL)};
    r.format = prompt_format_open(vocabulary, c, use, err);
    bool ok = r.format && (path ? read_file(&r, path, err) : read_built_in(&r, err));
    prompt_format_close(r.format);
    return ok;
}

// `n` tokens of the known texts; what is scored of them lies at `first` and after.
static void add_long_text(VoteTexts *out, const char *kind, const VoteTexts *texts,
                          const bool *is_known, size_t n, size_t first, Arena *arena) {
    uint32_t *ids = arena_array(arena, n, uint32_t);
    bool *scored = arena_array(arena, n, bool), knows_some = false;
    size_t at = 0;
    for (size_t i = 0; i < texts->count; i++) knows_some = knows_some || is_known[i];
    for (size_t i = 0; at < n; i = (i + 1) % texts->count) {
        const VoteText *t = &texts->at[i];
        if (knows_some && !is_known[i]) continue;
        for (size_t k = 0; k < t->n && at < n; k++, at++) {
            ids[at] = t->ids[k];
            scored[at] = t->is_scored[k] && at >= first;
        }
    }
    add_text(out, kind, ids, n, scored, arena);
}

void vote_texts_lengthen(VoteTexts *out, const VoteTexts *texts, const bool *is_known,
                         const Contract *c, Arena *arena) {
    *out = (VoteTexts){.at = arena_array(arena, 2, VoteText)};
    size_t original = c->original_context;
    if (c->context <= original) return;
    // A token after `original` others is still predicted by a sequence of that length.
    add_long_text(out, "beyond the original context", texts, is_known,
                  min_size(c->context, original + LONG_TOKENS), original + 1, arena);
    add_long_text(out, "around the original context", texts, is_known,
                  min_size(c->context, original + AROUND_TOKENS),
                  original > AROUND_TOKENS ? original - AROUND_TOKENS : 1, arena);
    out->at[1].is_for_use = true;
}
