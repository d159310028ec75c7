// vocabulary.c — checks of the vocabulary and the chat template; results of gate contract.
//
// Every part of lathe reads text by the same keys, so wrong ids would be the same everywhere and no
// comparison would show them. These checks use the vocabulary itself: its tokens
// (vocabulary_reach.c), its control tokens, and what the template does with texts
// (template_check.h).
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/contract_checks.h"
#include "prompt/prompt_format.h"
#include "proof/proof.h"

static const char *quoted(Proof *p, Str text) {
    return arena_cstr(p->arena, json_quoted(p->arena, text));
}

static bool is_cut_out(const Tokenizer *t, uint32_t id) {
    TokenType type = tokenizer_type(t, id);
    return type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED;
}

static bool text_gives(const Tokenizer *t, uint32_t id, TokenList *ids, bool *gives, Err *err) {
    ids->count = 0;
    *gives = false;
    if (!tokenizer_encode(t, tokenizer_piece(t, id), 0, ids, err)) return false;
    for (size_t i = 0; i < ids->count; i++) *gives = *gives || ids->at[i] == id;
    return true;
}

// A token that the chat template writes and that no text gives must be one that is cut out of text
// before: else what marks a turn reaches the model as letters.
static bool check_types(Proof *p, const Tokenizer *t, const char *template, Err *err) {
    TokenList ids = {0};
    size_t n_structure = 0, n_wrong = 0;
    bool ok = true;
    for (uint32_t id = 0; id < tokenizer_count(t) && ok; id++) {
        Str piece = tokenizer_piece(t, id);
        if (!is_bracketed(piece) || !strstr(template, arena_cstr(p->arena, piece))) continue;
        bool gives = is_cut_out(t, id);
        n_structure += gives;
        if (!gives) ok = text_gives(t, id, &ids, &gives, err);
        if (!ok || gives) continue;
        n_wrong++;
        proof_result(p, "contract", false, NULL, "token_type",
                     "the chat template writes token %u %s, but it has type %d, so no text encodes "
                     "to it: tokenizer.ggml.token_type is suspect (control tokens have type %d)",
                     id, quoted(p, piece), (int)tokenizer_type(t, id), (int)TOKEN_CONTROL);
    }
    if (ok && n_wrong == 0)
        proof_result(p, "contract", true, json_pack("{s:I}", "tokens", (json_int_t)n_structure),
                     "token_type", "%zu tokens that the chat template writes are encoded as tokens",
                     n_structure);
    token_list_free(&ids);
    return ok;
}

// A letter at the beginning of every text was once published as the policy of a model without one.
static void check_bos(Proof *p, const Tokenizer *t) {
    uint32_t bos = tokenizer_bos(t);
    if (!tokenizer_adds_bos(t)) return;
    bool is_structure = is_cut_out(t, bos);
    proof_result(
        p, "contract", is_structure, json_pack("{s:I}", "id", (json_int_t)bos), "bos_id",
        "a text begins with token %u %s, %s", bos, quoted(p, tokenizer_piece(t, bos)),
        is_structure
            ? "to which no text encodes"
            : "which is ordinary text: tokenizer.ggml.add_bos_token or bos_token_id is suspect");
}

// The first token of structure after an answer, as the template writes it; NO_TOKEN when none is.
static bool find_turn_end(const PromptFormat *format, uint32_t *end, Err *err) {
    const Tokenizer *t = prompt_format_tokenizer(format);
    TokenList asked = {0}, said = {0};
    json_t *messages = json_array();
    Prompt prompt = {messages, NULL, true, (int64_t)time(NULL)};
    prompt_add_message(messages, "user", STR("Hello."));
    bool ok = prompt_format_encode(format, &prompt, &asked, err);
    prompt_add_message(messages, "assistant", STR("Good."));
    prompt_add_message(messages, "user", STR("Hello."));
    ok = ok && prompt_format_encode(format, &prompt, &said, err);
    size_t at = 0;
    while (at < asked.count && at < said.count && asked.at[at] == said.at[at]) at++;
    while (at < said.count && !is_bracketed(tokenizer_piece(t, said.at[at]))) at++;
    *end = at < said.count ? said.at[at] : NO_TOKEN;
    json_decref(messages);
    token_list_free(&asked);
    token_list_free(&said);
    return ok;
}

// What ends an answer in the conversations that the model was trained on must end it here.
static bool check_turn_end(Proof *p, const Tokenizer *t, Err *err) {
    PromptFormat *format = prompt_format_open(&p->source, &p->model.contract, &p->use, err);
    uint32_t end = NO_TOKEN;
    bool ok = format && find_turn_end(format, &end, err);
    bool stops_there = ok && prompt_format_is_stop(format, end);
    prompt_format_close(format);
    if (!ok) return false;
    if (end == NO_TOKEN)
        proof_note(p, "contract", "stop_ids",
                   "skipped: the chat template writes no special token after an answer");
    else
        proof_result(p, "contract", stops_there, json_pack("{s:I}", "id", (json_int_t)end),
                     "stop_ids", "the chat template ends an answer with token %u %s, %s", end,
                     quoted(p, tokenizer_piece(t, end)),
                     stops_there ? "a stop id"
                                 : "which is not a stop id, so answers would not end: "
                                   "tokenizer.ggml.eos_token_id is suspect");
    return true;
}

// ---- the template

static bool holds_chat_word(const Gguf *g, const char *name) {
    static const char *const words[] = {"instruct", "chat"};
    const GgufKey *key = gguf_find_key(g, str_of(name));
    Str text;
    if (!key || key->type != GGUF_STRING || !gguf_str(key, 0, &text)) return false;
    for (; text.len; text.at++, text.len--)
        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (strncasecmp(text.at, words[i], strlen(words[i])) == 0 &&
                text.len >= strlen(words[i]))
                return true;
    return false;
}

static void describe_template(Proof *p, const Tokenizer *t, TemplateSubject *s) {
    const GgufKey *chat = gguf_find_key(&p->source, STR("tokenizer.chat_template"));
    uint32_t bos = tokenizer_bos(t), eos = tokenizer_eos(t);
    *s = (TemplateSubject){.bos = bos == NO_TOKEN ? STR("") : tokenizer_piece(t, bos),
                           .eos = eos == NO_TOKEN ? STR("") : tokenizer_piece(t, eos),
                           .adds_bos = tokenizer_adds_bos(t)};
    if (chat) gguf_str(chat, 0, &s->source);
    s->is_named_chat = holds_chat_word(&p->source, "general.name") ||
                       holds_chat_word(&p->source, "general.basename") ||
                       holds_chat_word(&p->source, "general.finetune");
    Str *marks = arena_array(p->arena, tokenizer_count(t), Str);
    for (uint32_t id = 0; id < tokenizer_count(t); id++)
        if (is_cut_out(t, id)) marks[s->n_marks++] = tokenizer_piece(t, id);
    s->marks = marks;
}

// One line a finding. `is_sound` receives whether all passed.
static bool report_template(Proof *p, const Tokenizer *t, const TemplateWaivers *waivers,
                            bool *is_sound, Err *err) {
    TemplateSubject subject;
    TemplateFindings findings;
    describe_template(p, t, &subject);
    if (!check_template(&subject, waivers, (int64_t)time(NULL), &findings, p->arena, err))
        return false;
    *is_sound = true;
    for (size_t i = 0; i < findings.count; i++) {
        const TemplateFinding *f = &findings.at[i];
        proof_result(p, "contract", f->has_passed, NULL, f->scope, "%.*s", STR_ARG(f->text));
        *is_sound = *is_sound && f->has_passed;
    }
    return true;
}

bool check_vocabulary(Proof *p, const TemplateWaivers *waivers, Err *err) {
    Tokenizer *t = tokenizer_open(&p->source, err);
    const GgufKey *chat = gguf_find_key(&p->source, STR("tokenizer.chat_template"));
    Str text;
    bool is_sound = false, ok = t && check_token_reach(p, t, err);
    if (ok) check_bos(p, t);
    ok = ok && report_template(p, t, waivers, &is_sound, err);
    if (ok && chat && gguf_str(chat, 0, &text))
        ok = check_types(p, t, arena_cstr(p->arena, text), err) &&
             (!is_sound || check_turn_end(p, t, err));
    tokenizer_close(t);
    return ok;
}
