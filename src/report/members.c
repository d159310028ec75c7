// members.c — reads members of JSON objects; absent ones and those of another type give a fixed
// value.
#include "report/members.h"

#include <math.h>
#include <string.h>

const char *member_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double member_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

bool member_is(const json_t *object, const char *key, const char *text) {
    return strcmp(member_text(object, key), text) == 0;
}

const json_t *member_list(const json_t *object, const char *key) {
    const json_t *list = json_object_get(object, key);
    return json_array_size(list) ? list : NULL;
}

bool member_is_yes(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}
