// guards.h — control tokens that a user spells out, where they are to be plain text.
//
// Before the template sees a message, the first byte of each control token spelt out in it gets a
// guard after it: a noncharacter that no text holds. What a template does to text (trim it, join it)
// it does to the guard as well, so that the guards in the rendered text say where no control token
// may begin.
#ifndef LATHE_PROMPT_GUARDS_H
#define LATHE_PROMPT_GUARDS_H

#include <jansson.h>

#include "tokenizer/tokenizer.h"

// A copy of `value` (messages, tools) with guards in all its strings; a new reference.
json_t *guards_put(const Tokenizer *tokenizer, const json_t *value);
// Takes the guards out of `text` and gives the byte offsets they guarded, ascending. free() them.
size_t *guards_take(StrBuf *text, size_t *n_guards);

#endif
