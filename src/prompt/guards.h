// guards.h — keeps control tokens that a user spells out plain text.
//
// Before the template gets a message, a guard is put after the first byte of each control token
// spelt out in it: a noncharacter, which no text contains. Whatever the template does to the text
// (trim it, join it), the guards move along, so in the rendered text they mark where no control
// token may begin.
#ifndef LATHE_PROMPT_GUARDS_H
#define LATHE_PROMPT_GUARDS_H

#include <jansson.h>

#include "tokenizer/tokenizer.h"

// A copy of `value` (messages, tools) with guards in all its strings; a new reference.
json_t *guards_put(const Tokenizer *tokenizer, const json_t *value);
// Removes the guards from `text` and returns the byte offsets that they guarded, ascending. free()
// them.
size_t *guards_take(StrBuf *text, size_t *n_guards);

#endif
