// template_key.h — chooses which of a model's templates renders a conversation.
#ifndef LATHE_PROMPT_TEMPLATE_KEY_H
#define LATHE_PROMPT_TEMPLATE_KEY_H

#include "gguf/gguf.h"

// The model's template for a conversation, a view into `g`. As in transformers, the one named
// `tool_use` if tools are given (has_tools: any list, also an empty one) and there is one. Errors
// name the key.
bool template_find(const Gguf *g, bool has_tools, Str *source, Err *err);

#endif
