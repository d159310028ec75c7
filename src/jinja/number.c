// number.c — numbers as in Python: integers of any length, all compared exactly.
//
// Values come from JSON, where a tool's schema may bound a number by 2^64 - 1 or more. Such a
// number is kept as its digits. It can be printed, compared and converted to float at any length;
// arithmetic works while operands and result fit into 128 bits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

bool jinja_is_whole(JValue v) {
    return v.kind == J_INT || v.kind == J_BIG_INT || v.kind == J_BOOL;
}

bool jinja_is_number(JValue v) {
    return jinja_is_whole(v) || v.kind == J_FLOAT;
}

double jinja_number(JValue v) {
    switch (v.kind) {
    case J_INT: return (double)v.integer;
    case J_FLOAT: return v.number;
    case J_BIG_INT: return strtod(v.text.at, NULL); // jinja_integer() ends the digits with a NUL
    default: return v.truth ? 1 : 0;
    }
}

JValue jinja_integer(Arena *arena, Str digits) {
    bool is_negative = digits.len && *digits.at == '-';
    if (digits.len && (is_negative || *digits.at == '+'))
        digits = (Str){digits.at + 1, digits.len - 1};
    while (digits.len > 1 && *digits.at == '0') digits = (Str){digits.at + 1, digits.len - 1};
    enum { SAFE_DIGITS = 18 }; // 10^18 - 1 is below 2^63
    if (digits.len <= SAFE_DIGITS) {
        int64_t n = 0;
        for (size_t i = 0; i < digits.len; i++) n = n * 10 + (digits.at[i] - '0');
        return J_NUMBER(is_negative ? -n : n);
    }
    Str text = arena_printf(arena, "%s%.*s", is_negative ? "-" : "", STR_ARG(digits));
    static const char most[] = "9223372036854775807", least[] = "-9223372036854775808";
    Str limit = is_negative ? STR(least) : STR(most);
    bool fits = text.len < limit.len || (text.len == limit.len && str_compare(text, limit) <= 0);
    if (fits) return J_NUMBER(strtoll(text.at, NULL, 10));
    return (JValue){.kind = J_BIG_INT, .text = text};
}

JValue jinja_whole_part(Arena *arena, double x) {
    enum { MOST_DIGITS = 309 }; // of a finite double
    char text[MOST_DIGITS + 8];
    snprintf(text, sizeof text, "%.0f", trunc(x));
    return jinja_integer(arena, str_of(text));
}

bool jinja_wide(JValue v, JWide *out) {
    if (v.kind != J_BIG_INT) {
        *out = v.kind == J_INT ? v.integer : v.truth;
        return true;
    }
    bool is_negative = *v.text.at == '-';
    JWide n = 0;
    for (size_t i = is_negative; i < v.text.len; i++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_sub_overflow(n, v.text.at[i] - '0', &n)) // below zero, where one more fits
            return false;
    *out = is_negative ? n : 0 - n;
    return is_negative || !__builtin_sub_overflow(0, n, out);
}

JValue jinja_of_wide(Arena *arena, JWide n) {
    if (n >= INT64_MIN && n <= INT64_MAX) return J_NUMBER((int64_t)n);
    char text[48];
    size_t at = sizeof text;
    bool is_negative = n < 0;
    for (; n; n /= 10) text[--at] = (char)('0' + (is_negative ? -(int)(n % 10) : (int)(n % 10)));
    if (is_negative) text[--at] = '-';
    return jinja_integer(arena, (Str){text + at, sizeof text - at});
}

// The digits of a whole number, in `room` where they lie nowhere yet.
enum { ROOM = 24 };
static Str spell(JValue v, char room[ROOM]) {
    if (v.kind == J_BIG_INT) return v.text;
    snprintf(room, ROOM, "%lld", (long long)(v.kind == J_INT ? v.integer : v.truth));
    return str_of(room);
}

static int compare_digits(Str a, Str b) {
    bool a_negative = *a.at == '-', b_negative = *b.at == '-';
    if (a_negative != b_negative) return a_negative ? -1 : 1;
    int order = a.len != b.len ? (a.len > b.len ? 1 : -1) : str_compare(a, b);
    order = (order > 0) - (order < 0);
    return a_negative ? -order : order;
}

// Python compares exactly: 2^53 + 1 is more than the float 2^53.
static int compare_with_float(JValue whole, double x) {
    if (isinf(x)) return x > 0 ? -1 : 1;
    Arena scratch = {0};
    char room[2][ROOM];
    int order =
        compare_digits(spell(whole, room[0]), spell(jinja_whole_part(&scratch, floor(x)), room[1]));
    arena_free(&scratch);
    return order == 0 && x > floor(x) ? -1 : order;
}

int jinja_compare_numbers(JValue a, JValue b) {
    if (a.kind == J_FLOAT && b.kind == J_FLOAT)
        return (a.number > b.number) - (a.number < b.number);
    if (b.kind == J_FLOAT) return compare_with_float(a, b.number);
    if (a.kind == J_FLOAT) return -compare_with_float(b, a.number);
    if (a.kind == J_INT && b.kind == J_INT)
        return (a.integer > b.integer) - (a.integer < b.integer);
    char room[2][ROOM];
    return compare_digits(spell(a, room[0]), spell(b, room[1]));
}

bool jinja_is_nan(JValue v) {
    return v.kind == J_FLOAT && isnan(v.number);
}
