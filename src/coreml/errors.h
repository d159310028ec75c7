// errors.h — explains misleading messages of Core ML (errors.def).
#ifndef LATHE_COREML_ERRORS_H
#define LATHE_COREML_ERRORS_H

#include "base/err.h"

typedef struct {
    const char *id;   // of a row
    const char *text; // what the framework writes
    // the framework reports no error with it, but does not use the unit asked for
    bool is_silent;
    const char *means;  // its meaning
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

// The first silent row whose text occurs in `text`, or NULL: a load that wrote it counts as failed,
// even if it returned success.
const CoremlErrorRow *coreml_error_find_silent(const char *text);

// Fills `err` with the explanation of the silent row found in `text` for `what`, and with the path
// of the whole text. Returns false.
bool coreml_error_set_silent(Err *err, const char *what, const char *text, const char *log);

// Fills `err` with "`what` failed", the framework's own `text`, and the explanation of a matching
// row. Returns false.
bool coreml_error_set(Err *err, const char *what, const char *text);

#endif
