// members.h — reads members of JSON objects by name, for pages.
#ifndef LATHE_REPORT_MEMBERS_H
#define LATHE_REPORT_MEMBERS_H

#include <jansson.h>
#include <stdbool.h>

// Members of objects; "" and NaN when absent or of another type.
const char *member_text(const json_t *object, const char *key);
double member_number(const json_t *object, const char *key);
bool member_is(const json_t *object, const char *key, const char *text);
// The array called `key`, or NULL when it is absent or empty.
const json_t *member_list(const json_t *object, const char *key);
bool member_is_yes(const json_t *object, const char *key);

#endif
