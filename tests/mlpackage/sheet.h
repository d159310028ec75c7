// sheet.h — protobuf messages written down as a sheet of paper has them, so that a test can state a
// model line by line, put one line wrong and have the bytes.
//
// A line is a field: number, a word for the reader, content. Lines further in are the content of a
// record:
//
//     1 specificationVersion 9
//     2 description
//       1 input
//         1 name "x"
//
// Content is a number, "text", [1,4] (packed numbers), x0038 (bytes), or one of
//
//     TT(10; 1,4)   a ValueType: tensor of dtype 10 and shape [1,4]; TT(10) is a scalar
//     ST(10; 1,4)   the same as a state
//     STR("s")      a Value: the string s
//     ARG(x = y)    the map entry of an op's parameter x bound to the value y
//
// A line `raw x0A05` puts bytes as they stand. Nothing of src/coreml is used: the sheet is a second
// writer of the format.
#ifndef LATHE_TESTS_MLPACKAGE_SHEET_H
#define LATHE_TESTS_MLPACKAGE_SHEET_H

#include "base/str.h"

// Appends the message. A sheet that cannot be read ends the program: it is the test's own fault.
void sheet_encode(const char *sheet, StrBuf *out);

// `sheet` with the one occurrence of `line` replaced by `by`; ends the program when there is none
// or another one. free() it.
char *sheet_replace(const char *sheet, const char *line, const char *by);

// Fact sheet "Core ML package, ML Program (MIL) and blob file", section 8: a convolution of
// [1,4,1,1] with int8 weights [8,4,1,1] = -16 … 15 and the scale 0.5, and its weight file.
extern const char sheet_example[];
enum { SHEET_EXAMPLE_WEIGHT_BYTES = 160 };
void sheet_example_weights(unsigned char out[SHEET_EXAMPLE_WEIGHT_BYTES]);

// Two functions, step and look, that add to a state and look at it; no weights.
extern const char sheet_states[];

#endif
