#include "coreml/errors.h"

#include <string.h>

const CoremlErrorRow coreml_errors[COREML_ERROR_COUNT] = {
#define COREML_ERROR(id, text, is_silent, means, advice) {#id, text, is_silent, means, advice},
#include "coreml/errors.def"
#undef COREML_ERROR
};

const CoremlErrorRow *coreml_error_find(const char *text) {
    for (size_t i = 0; i < COREML_ERROR_COUNT; i++)
        if (strstr(text, coreml_errors[i].text)) return &coreml_errors[i];
    return NULL;
}

const CoremlErrorRow *coreml_error_find_silent(const char *text) {
    for (size_t i = 0; i < COREML_ERROR_COUNT; i++)
        if (coreml_errors[i].is_silent && strstr(text, coreml_errors[i].text))
            return &coreml_errors[i];
    return NULL;
}

bool coreml_error_set_silent(Err *err, const char *what, const char *text, const char *log) {
    const CoremlErrorRow *row = coreml_error_find_silent(text);
    return err_set(err, ERR_SYSTEM,
                   "%s: %s (%s); %s. Core ML wrote '%s' and reported success; log: %s", what,
                   row->means, row->id, row->advice, row->text, log);
}

bool coreml_error_set(Err *err, const char *what, const char *text) {
    const CoremlErrorRow *row = coreml_error_find(text);
    if (!row) return err_set(err, ERR_SYSTEM, "%s: Core ML: %s", what, text);
    return err_set(err, ERR_SYSTEM, "%s: %s (%s); %s. Core ML wrote: %s", what, row->means, row->id,
                   row->advice, text);
}
