// errors.h — what misleading texts of Core ML mean (errors.def).
#ifndef LATHE_COREML_ERRORS_H
#define LATHE_COREML_ERRORS_H

#include "base/err.h"

typedef struct {
    const char *id;     // of a row
    const char *text;   // what the framework writes
    bool is_silent;     // … beside no error: it goes on, elsewhere than asked
    const char *means;  // what it stands for
    const char *advice; // what to do
} CoremlErrorRow;

enum {
#define COREML_ERROR(id, text, is_silent, means, advice) COREML_ERROR_##id,
#include "coreml/errors.def"
#undef COREML_ERROR
    COREML_ERROR_COUNT
};

extern const CoremlErrorRow coreml_errors[COREML_ERROR_COUNT];

// The row whose text occurs in `text`, or NULL.
const CoremlErrorRow *coreml_error_find(const char *text);

// The first silent row whose text occurs in `text`, or NULL: a load that wrote it has failed, whatever
// it returned.
const CoremlErrorRow *coreml_error_find_silent(const char *text);

// What the silent row of `text` says of `what`, and where the rest of the text is. Returns false.
bool coreml_error_set_silent(Err *err, const char *what, const char *text, const char *log);

// Fills `err` with `what` failed, the framework's own `text`, and what a row says of it. Returns
// false.
bool coreml_error_set(Err *err, const char *what, const char *text);

#endif
