// fuzz_json.c — any text as the JSON of a template's variables: accepted when jansson accepts it,
// and the same value then, but for whole numbers of many digits and for nesting beyond our bound.
#include <stdlib.h>
#include <string.h>

#include "jinja/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

// Digits in a row that jansson may not take for a number, or brackets beyond the bound.
static bool is_ours_alone(const uint8_t *data, size_t size) {
    enum { DIGITS_THAT_FIT = 18, DEPTH_FOR_CERTAIN = 900 };
    size_t n_digits = 0, n_open = 0;
    for (size_t i = 0; i < size; i++) {
        n_digits = data[i] >= '0' && data[i] <= '9' ? n_digits + 1 : 0;
        n_open += data[i] == '[' || data[i] == '{';
        if (n_digits > DIGITS_THAT_FIT || n_open > DEPTH_FOR_CERTAIN) return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Err err = {0};
    json_error_t why;
    json_t *ours = template_read_json((Str){(const char *)data, size}, &err);
    check(ours || (err.kind == ERR_FORMAT && err.text[0]));
    if (!is_ours_alone(data, size)) {
        json_t *theirs =
            json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        check(theirs ? ours && json_equal(ours, theirs) : !ours);
        json_decref(theirs);
    }
    json_decref(ours);
    return 0;
}
