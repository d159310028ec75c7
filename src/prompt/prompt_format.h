// prompt_format.h — how a model is addressed: tokenizer, chat template and stop rules of one file.
//
// A conversation becomes the text that its template writes, and that text becomes token ids. Here,
// and nowhere else, is decided which template renders (with tools or without), what it is told about
// bos and eos, whether the tokenizer puts bos in front, whether control tokens that a user spells
// out are tokens or text, and which ids end a turn. There is no session in it: gates and the vote
// encode by the same code as a chat.
//
// A PromptFormat does not change after it was opened. Encoding of plain text may run in any number
// of threads at once; of conversations in one thread at a time (jinja/template.h).
#ifndef LATHE_PROMPT_PROMPT_FORMAT_H
#define LATHE_PROMPT_PROMPT_FORMAT_H

#include <jansson.h>

#include "contract/use.h"
#include "tokenizer/tokenizer.h"

typedef struct PromptFormat PromptFormat;

// `tokenizer_file` holds vocabulary and template (the model, or a bundle's host.gguf) and may be
// closed afterwards. `contract` must outlive the format; of `use` it takes template, bos and control
// tokens. NULL and `err` on failure; errors name the key.
PromptFormat *prompt_format_open(const Gguf *tokenizer_file, const Contract *contract,
                                 const Use *use, Err *err);
void prompt_format_close(PromptFormat *f); // safe on NULL

const Tokenizer *prompt_format_tokenizer(const PromptFormat *f);
// False: conversations are plain text, the contents of the messages one after the other.
bool prompt_format_has_template(const PromptFormat *f);
// Whether token `id` ends an answer.
bool prompt_format_is_stop(const PromptFormat *f, uint32_t id);

// A conversation as it is to be encoded.
typedef struct {
    const json_t *messages; // a list of {"role": …, "content": …, …}
    const json_t *tools;    // a list as templates take it; NULL: none are given
    bool adds_generation_prompt;
    int64_t date; // seconds since 1970: what the template's strftime_now() prints
} Prompt;

// Appends the text that the template writes. ERR_FORMAT when it refuses.
bool prompt_format_render(const PromptFormat *f, const Prompt *prompt, StrBuf *out, Err *err);
// Appends the ids of a conversation.
bool prompt_format_encode(const PromptFormat *f, const Prompt *prompt, TokenList *ids, Err *err);
// The same for one message of `role` and the beginning of an answer.
bool prompt_format_encode_turn(const PromptFormat *f, const char *role, Str content, int64_t date,
                               TokenList *ids, Err *err);
// Appends the ids of plain text: control tokens in it are text, bos and eos as the vocabulary has it.
bool prompt_format_encode_text(const PromptFormat *f, Str text, TokenList *ids, Err *err);

// Sets bos_token and eos_token of a template's variables (a JSON object) to the texts of the
// vocabulary's tokens, empty where it has none, unless they are set already.
void prompt_set_token_texts(json_t *variables, const Tokenizer *tokenizer);
// Appends {"role": …, "content": …} to a list. Broken bytes become U+FFFD, as the tokenizer would
// read them: JSON cannot hold them.
void prompt_add_message(json_t *messages, const char *role, Str content);

#endif
