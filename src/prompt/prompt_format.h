// prompt_format.h — a model's prompt format: tokenizer, chat template and stop rules of one file.
//
// The template turns a conversation into text, and the tokenizer turns that text into token ids.
// Only this module decides which template renders (with tools or without), which bos and eos it
// gets, whether the tokenizer puts bos in front, whether control tokens that a user spells out are
// tokens or text, and which ids end a turn. It needs no session: gates and the vote encode by the
// same code as a chat.
//
// A PromptFormat does not change after it was opened. Any number of threads may encode plain text
// at once, but only one at a time a conversation (jinja/template.h).
#ifndef LATHE_PROMPT_PROMPT_FORMAT_H
#define LATHE_PROMPT_PROMPT_FORMAT_H

#include <jansson.h>

#include "contract/use.h"
#include "tokenizer/tokenizer.h"

typedef struct PromptFormat PromptFormat;

// `tokenizer_file` holds vocabulary and template (the model, or a bundle's host.gguf) and may be
// closed afterwards. `contract` must outlive the format; from `use` it copies the choices of
// template, bos and control tokens. NULL and `err` on failure; errors name the key.
PromptFormat *prompt_format_open(const Gguf *tokenizer_file, const Contract *contract,
                                 const Use *use, Err *err);
void prompt_format_close(PromptFormat *f); // safe on NULL

const Tokenizer *prompt_format_tokenizer(const PromptFormat *f);
// False: a conversation is encoded as plain text, the contents of its messages concatenated.
bool prompt_format_has_template(const PromptFormat *f);
// Whether token `id` ends an answer.
bool prompt_format_is_stop(const PromptFormat *f, uint32_t id);

// A conversation as it is to be encoded.
typedef struct {
    const json_t *messages; // a list of {"role": …, "content": …, …}
    const json_t *tools;    // a list in the form that templates take; NULL: none are given
    bool adds_generation_prompt;
    int64_t date; // seconds since 1970: what the template's strftime_now() prints
} Prompt;

// Appends the text that the template writes. ERR_FORMAT when the template refuses (raise_exception)
// or fails.
bool prompt_format_render(const PromptFormat *f, const Prompt *prompt, StrBuf *out, Err *err);
// Appends the ids of a conversation.
bool prompt_format_encode(const PromptFormat *f, const Prompt *prompt, TokenList *ids, Err *err);
// The same for one message of `role`, followed by the beginning of an answer.
bool prompt_format_encode_turn(const PromptFormat *f, const char *role, Str content, int64_t date,
                               TokenList *ids, Err *err);
// Appends the ids of plain text: control tokens in it are text; bos and eos are added as the
// vocabulary states.
bool prompt_format_encode_text(const PromptFormat *f, Str text, TokenList *ids, Err *err);

// Sets bos_token and eos_token in a template's variables (a JSON object) to the texts of these
// tokens, empty where the vocabulary has none. Members that are set already stay.
void prompt_set_token_texts(json_t *variables, const Tokenizer *tokenizer);
// Appends {"role": …, "content": …} to a list. Broken bytes become U+FFFD, as in the tokenizer,
// because JSON cannot hold them.
void prompt_add_message(json_t *messages, const char *role, Str content);

#endif
