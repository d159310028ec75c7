// text_input.h — a text that a command is given: a file, a pipe, or standard input as "-".
#ifndef LATHE_CLI_TEXT_INPUT_H
#define LATHE_CLI_TEXT_INPUT_H

#include "base/map.h"
#include "base/str.h"

typedef struct {
    Str text; // byte for byte, whole
    FileMap map;
    StrBuf read; // of what cannot be mapped
} TextInput;

// Reads `path` to its end, at most `most` bytes and a block of what cannot be mapped: whoever gets more than `most` refuses it. Failure is
// ERR_SYSTEM and names the path.
bool text_input_open(TextInput *t, const char *path, size_t most, Err *err);
void text_input_close(TextInput *t); // safe on a zeroed one

#endif
