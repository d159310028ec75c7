// text_input.h — reads a text that a command line names: a file, a pipe, or "-" for standard input.
#ifndef LATHE_CLI_TEXT_INPUT_H
#define LATHE_CLI_TEXT_INPUT_H

#include "base/map.h"
#include "base/str.h"

typedef struct {
    Str text; // the whole content, unchanged
    FileMap map;
    StrBuf read; // holds the content if it cannot be mapped
} TextInput;

// Reads all of `path`. From a pipe or device it stops one block after `most` bytes, so a caller has
// to refuse a text longer than `most`. On failure ERR_SYSTEM, with the path.
bool text_input_open(TextInput *t, const char *path, size_t most, Err *err);
void text_input_close(TextInput *t); // safe on a zeroed one

#endif
