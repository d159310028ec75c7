// function.h — appends values, operands and ops to a function. Internal to mil/ and to the decoder
// of mlpackage/, which fills functions from untrusted files and validates them afterwards.
#ifndef LATHE_MIL_FUNCTION_H
#define LATHE_MIL_FUNCTION_H

#include "mil/mil.h"

MilFunction *mil_function_new(MilProgram *p, Str name);
ValueId mil_function_add_value(MilFunction *f, MilValue value);
void mil_function_add_input(MilFunction *f, ValueId v);
void mil_function_add_output(MilFunction *f, ValueId v);
// Appends `n` operands and returns them as an argument.
MilArg mil_function_add_operands(MilFunction *f, const ValueId *values, size_t n);
// Appends an op; its results must be the values added last, from `first_output` on.
MilOp *mil_function_add_op(MilFunction *f, MilOp op);

// "[A-Za-z_][A-Za-z0-9_@]*", at most MIL_MAX_NAME bytes and none of the words the text form
// reserves.
enum { MIL_MAX_NAME = 512 };
bool mil_name_is_valid(Str name);

#endif
