// prompt_format.c — turns messages into text by the template and text into ids by the tokenizer;
// exactly one of the two puts bos in front.
#include "prompt/prompt_format.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "jinja/template.h"
#include "prompt/guards.h"
#include "prompt/template_key.h"

struct PromptFormat {
    Tokenizer *tokenizer;
    Template *main;  // NULL: conversations are plain text
    Template *tools; // of a conversation with tools; NULL: `main` takes them
    Err tools_error; // why the template for tools does not compile: refused where tools are given
    U32List stop_ids;
    BosUse bos;
    ControlTokens control_tokens;
};

// The template for tools is compiled only where it is another text than the main one.
static bool open_templates(PromptFormat *f, const Gguf *g, Err *err) {
    Str main = {0}, tools = {0};
    bool has_main = template_find(g, false, &main, NULL);
    if (has_main && !(f->main = template_compile(main, err)))
        return err_prefix(err, "tokenizer.chat_template");
    if (!has_main || !template_find(g, true, &tools, NULL) || tools.at == main.at) return true;
    f->tools = template_compile(tools, &f->tools_error);
    if (!f->tools) err_prefix(&f->tools_error, "tokenizer.chat_template.tool_use");
    return true;
}

PromptFormat *prompt_format_open(const Gguf *tokenizer_file, const Contract *contract,
                                 const Use *use, Err *err) {
    PromptFormat *f = calloc(1, sizeof *f);
    if (!f) die_out_of_memory(sizeof *f);
    *f = (PromptFormat){
        .stop_ids = contract->stop_ids, .bos = use->bos, .control_tokens = use->control_tokens};
    f->tokenizer = tokenizer_open(tokenizer_file, err);
    if (f->tokenizer &&
        (use->chat_template == CHAT_TEMPLATE_NONE || open_templates(f, tokenizer_file, err)))
        return f;
    prompt_format_close(f);
    return NULL;
}

void prompt_format_close(PromptFormat *f) {
    if (!f) return;
    tokenizer_close(f->tokenizer);
    template_close(f->main);
    template_close(f->tools);
    free(f);
}

const Tokenizer *prompt_format_tokenizer(const PromptFormat *f) {
    return f->tokenizer;
}

bool prompt_format_has_template(const PromptFormat *f) {
    return f->main != NULL;
}

bool prompt_format_is_stop(const PromptFormat *f, uint32_t id) {
    for (size_t i = 0; i < f->stop_ids.count; i++)
        if (f->stop_ids.at[i] == id) return true;
    return false;
}

// ---- what a template is told

static void set_token_text(json_t *variables, const char *name, const Tokenizer *t, uint32_t id) {
    if (json_object_get(variables, name)) return;
    Str text = id == NO_TOKEN ? STR("") : tokenizer_piece(t, id);
    json_object_set_new(variables, name, json_stringn(text.at, text.len));
}

void prompt_set_token_texts(json_t *variables, const Tokenizer *tokenizer) {
    set_token_text(variables, "bos_token", tokenizer, tokenizer_bos(tokenizer));
    set_token_text(variables, "eos_token", tokenizer, tokenizer_eos(tokenizer));
}

void prompt_add_message(json_t *messages, const char *role, Str content) {
    StrBuf repaired = {0};
    if (!utf8_is_valid(content)) {
        utf8_repair(content, &repaired);
        content = strbuf_str(&repaired);
    }
    json_array_append_new(
        messages, json_pack("{s:s, s:s%}", "role", role, "content", content.at, content.len));
    strbuf_free(&repaired);
}

// ---- rendering

// A base model has no template: it reads the messages one after the other.
static bool render_plain(const json_t *messages, StrBuf *out, Err *err) {
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        if (!json_is_string(content))
            return err_set(err, ERR_FORMAT,
                           "message %zu: without a chat template its content must be a string", i);
        strbuf_add(out, (Str){json_string_value(content), json_string_length(content)});
    }
    return true;
}

bool prompt_format_render(const PromptFormat *f, const Prompt *prompt, StrBuf *out, Err *err) {
    if (!f->main) return render_plain(prompt->messages, out, err);
    bool has_tools = prompt->tools && !json_is_null(prompt->tools);
    if (has_tools && f->tools_error.kind)
        return err_set(err, f->tools_error.kind, "%s", f->tools_error.text);
    json_t *variables = json_pack("{s:O, s:b}", "messages", prompt->messages,
                                  "add_generation_prompt", prompt->adds_generation_prompt);
    if (!variables) die_out_of_memory(0);
    if (has_tools) json_object_set(variables, "tools", (json_t *)prompt->tools);
    prompt_set_token_texts(variables, f->tokenizer);
    bool ok = template_render(has_tools && f->tools ? f->tools : f->main, variables, prompt->date,
                              out, err);
    json_decref(variables);
    return ok;
}

// ---- encoding

// A template that writes bos itself must not get a second one from the tokenizer.
static bool starts_with_bos(const PromptFormat *f, Str text) {
    uint32_t bos = tokenizer_bos(f->tokenizer);
    return bos != NO_TOKEN && str_starts(text, tokenizer_piece(f->tokenizer, bos));
}

static unsigned bos_flag(const PromptFormat *f, Str text) {
    bool is_added = !f->main || (f->bos == BOS_ALWAYS && !starts_with_bos(f, text));
    return is_added ? TOKENIZER_ADD_BOS : 0;
}

static bool encode_parsed(const PromptFormat *f, const Prompt *prompt, TokenList *ids, Err *err) {
    StrBuf text = {0};
    bool ok = prompt_format_render(f, prompt, &text, err);
    Str all = strbuf_str(&text);
    ok = ok &&
         tokenizer_encode(f->tokenizer, all, bos_flag(f, all) | TOKENIZER_PARSE_SPECIAL, ids, err);
    strbuf_free(&text);
    return ok;
}

static bool encode_guarded(const PromptFormat *f, const Prompt *prompt, TokenList *ids, Err *err) {
    json_t *messages = guards_put(f->tokenizer, prompt->messages);
    json_t *tools = prompt->tools ? guards_put(f->tokenizer, prompt->tools) : NULL;
    Prompt guarded = *prompt;
    guarded.messages = messages;
    guarded.tools = tools;
    StrBuf text = {0};
    bool ok = prompt_format_render(f, &guarded, &text, err);
    if (ok) {
        size_t n_guards, *guards = guards_take(&text, &n_guards);
        Str all = strbuf_str(&text);
        ok = tokenizer_encode_guarded(f->tokenizer, all, bos_flag(f, all), guards, n_guards, ids,
                                      err);
        free(guards);
    }
    json_decref(messages);
    json_decref(tools);
    strbuf_free(&text);
    return ok;
}

bool prompt_format_encode(const PromptFormat *f, const Prompt *prompt, TokenList *ids, Err *err) {
    return f->control_tokens == CONTROL_TOKENS_TEXT ? encode_guarded(f, prompt, ids, err)
                                                    : encode_parsed(f, prompt, ids, err);
}

bool prompt_format_encode_turn(const PromptFormat *f, const char *role, Str content, int64_t date,
                               TokenList *ids, Err *err) {
    json_t *messages = json_array();
    prompt_add_message(messages, role, content);
    Prompt prompt = {.messages = messages, .adds_generation_prompt = true, .date = date};
    bool ok = prompt_format_encode(f, &prompt, ids, err);
    json_decref(messages);
    return ok;
}

bool prompt_format_encode_text(const PromptFormat *f, Str text, TokenList *ids, Err *err) {
    return tokenizer_encode(f->tokenizer, text, TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS, ids, err);
}
