// format.c — "{:>8.2f}".format() and "%8.2f" % of Python. Both parse their own syntax into one
// description of a field.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

enum { MAX_WIDTH = 10000, MAX_PRECISION = 100 };

typedef struct {
    Str fill;   // one character
    char align; // < > ^ =, or 0: text left, numbers right
    char sign;  // + or space, or 0
    bool is_alternate, has_commas, fills_zeros;
    int width, precision; // precision -1: not given
    char type;            // 0: not given
} Field;

static int read_int(const char **at, const char *end, int most) {
    int n = 0;
    while (*at < end && **at >= '0' && **at <= '9' && n <= most) n = n * 10 + (*(*at)++ - '0');
    return n > most ? most : n;
}

// ---- one value in its field

static void add_padded(Str sign, Str digits, const Field *f, char align, StrBuf *out) {
    Str fill = f->fills_zeros ? STR("0") : f->fill;
    int length = (int)text_length(sign) + (int)text_length(digits);
    int n = f->width > length ? f->width - length : 0;
    int n_left = align == '>' ? n : align == '^' ? n / 2 : 0;
    for (int i = 0; i < n_left; i++) strbuf_add(out, fill);
    strbuf_add(out, sign);
    for (int i = 0; align == '=' && i < n; i++) strbuf_add(out, fill);
    strbuf_add(out, digits);
    for (int i = align == '=' ? n : n_left; i < n; i++) strbuf_add(out, fill);
}

// Commas between thousands of the whole part.
static void group_thousands(StrBuf *digits) {
    StrBuf out = {0};
    size_t n = strspn(digits->at, "0123456789");
    for (size_t i = 0; i < digits->len; i++) {
        if (i && i < n && (n - i) % 3 == 0) strbuf_add_char(&out, ',');
        strbuf_add_char(&out, digits->at[i]);
    }
    strbuf_free(digits);
    *digits = out;
}

static void spell_integer(uint64_t n, const Field *f, StrBuf *digits) {
    if (f->type == 'b') {
        int bits = 64 - (n ? __builtin_clzll(n) : 63);
        if (f->is_alternate) strbuf_add(digits, STR("0b"));
        while (bits-- > 0) strbuf_add_char(digits, (char)('0' + (n >> bits & 1)));
        return;
    }
    if (f->is_alternate && f->type == 'o') strbuf_add(digits, STR("0o"));
    if (f->is_alternate && (f->type | 32) == 'x') strbuf_printf(digits, "0%c", f->type);
    switch (f->type) {
    case 'x': strbuf_printf(digits, "%" PRIx64, n); break;
    case 'X': strbuf_printf(digits, "%" PRIX64, n); break;
    case 'o': strbuf_printf(digits, "%" PRIo64, n); break;
    default: strbuf_printf(digits, "%" PRIu64, n);
    }
}

static void spell_float(double x, const Field *f, StrBuf *digits) {
    int precision = f->precision < 0 ? 6 : f->precision;
    switch (f->type) {
    case 'e': strbuf_printf(digits, "%.*e", precision, x); break;
    case 'E': strbuf_printf(digits, "%.*E", precision, x); break;
    case 'g': strbuf_printf(digits, "%.*g", precision, x); break;
    case 'G': strbuf_printf(digits, "%.*G", precision, x); break;
    case '%': strbuf_printf(digits, "%.*f%%", precision, x * 100); break;
    case 0: jinja_print((JValue){.kind = J_FLOAT, .number = x}, digits); break;
    default: strbuf_printf(digits, "%.*f", precision, x);
    }
}

static void add_number(Render *r, JValue v, const Field *f, StrBuf *out) {
    StrBuf digits = {0};
    bool is_float = v.kind == J_FLOAT || (f->type && strchr("eEfFgG%", f->type));
    double x = jinja_number(v);
    int64_t n = v.kind == J_INT ? v.integer : v.kind == J_BOOL ? v.truth : 0;
    bool is_big = v.kind == J_BIG_INT, is_negative = is_float || is_big ? x < 0 : n < 0;
    Str sign = is_negative ? STR("-") : f->sign ? (Str){&f->sign, 1} : STR("");
    if (!is_float && f->type && !strchr("dxXob", f->type)) {
        jinja_fail(r, "an integer has no format code '%c'", f->type);
        return;
    }
    if (!is_float && is_big && f->type && f->type != 'd') {
        jinja_fail(r, "format code '%c' is not supported beyond 64 bits", f->type);
        return;
    }
    if (!is_float && f->precision >= 0) {
        jinja_fail(r, "an integer format takes no precision");
        return;
    }
    if (v.kind == J_FLOAT && f->type && !strchr("eEfFgG%", f->type)) {
        jinja_fail(r, "a float has no format code '%c'", f->type);
        return;
    }
    if (is_float && f->type == 0 && f->precision >= 0) {
        Field general = *f; // as 'g', near enough: Python adds ".0" where it fits
        general.type = 'g';
        spell_float(is_negative ? -x : x, &general, &digits);
    } else if (is_float) {
        spell_float(is_negative ? -x : x, f, &digits);
    } else if (is_big) {
        strbuf_add(&digits, (Str){v.text.at + is_negative, v.text.len - is_negative});
    } else {
        spell_integer(is_negative ? 0 - (uint64_t)n : (uint64_t)n, f, &digits);
    }
    if (f->has_commas) group_thousands(&digits);
    add_padded(sign, strbuf_str(&digits), f, f->fills_zeros ? '=' : f->align ? f->align : '>', out);
    strbuf_free(&digits);
}

static void add_text(Str s, const Field *f, char align, StrBuf *out) {
    if (f->precision >= 0) s = text_slice(s, 0, (size_t)f->precision);
    add_padded(STR(""), s, f, align, out);
}

// ---- "{}".format()

// [[fill]align][sign][#][0][width][,][.precision][type]
static bool read_spec(Str spec, Field *f) {
    const char *at = spec.at, *end = spec.at + spec.len;
    *f = (Field){.fill = STR(" "), .precision = -1};
    Str rest = spec;
    if (spec.len) text_take(&rest);
    if (rest.len && strchr("<>^=", *rest.at)) {
        f->fill = (Str){spec.at, spec.len - rest.len};
        f->align = *rest.at;
        at = rest.at + 1;
    } else if (at < end && strchr("<>^=", *at)) {
        f->align = *at++;
    }
    if (at < end && (*at == '+' || *at == ' ' || *at == '-')) f->sign = *at == '-' ? 0 : *at, at++;
    if (at < end && *at == '#') f->is_alternate = true, at++;
    if (at < end && *at == '0') {
        f->fills_zeros = !f->align;
        at++;
    }
    f->width = read_int(&at, end, MAX_WIDTH);
    if (at < end && *at == ',') f->has_commas = true, at++;
    if (at < end && *at == '.') {
        at++;
        f->precision = read_int(&at, end, MAX_PRECISION);
    }
    if (at < end) f->type = *at++;
    return at == end && (f->type == 0 || strchr("bdeEfFgGosxX%", f->type));
}

static void add_by_spec(Render *r, JValue v, Str spec, StrBuf *out) {
    Field f;
    if (spec.len == 0) {
        jinja_print(v, out);
    } else if (!read_spec(spec, &f)) {
        jinja_fail(r, "format: invalid format '%.*s'", STR_ARG(spec));
    } else if (jinja_is_number(v) && f.type != 's') {
        add_number(r, v, &f, out);
    } else if (v.kind == J_STR && (f.type == 0 || f.type == 's') && f.align != '=' && !f.sign &&
               !f.has_commas) {
        add_text(v.text, &f, f.align ? f.align : '<', out);
    } else {
        jinja_fail(r, "format: %s does not take format '%.*s'", jinja_type_name(v), STR_ARG(spec));
    }
}

// "0", "name", "" (the next one), then ".attribute" and "[item]" in any number.
static JValue find_field(Render *r, Str path, const JArgs *args, size_t *next) {
    size_t n_plain = args->count - args->n_keywords, n = 0, place = 0;
    while (n < path.len && path.at[n] != '.' && path.at[n] != '[') n++;
    Str name = {path.at, n};
    JValue v = {.kind = J_MISSING};
    bool is_place = true;
    for (size_t i = 0; i < n && is_place; i++) {
        is_place = name.at[i] >= '0' && name.at[i] <= '9';
        place = place * 10 + (size_t)(name.at[i] - '0') % 10;
        if (place > n_plain) place = n_plain;
    }
    if (is_place && n == 0) place = (*next)++;
    if (is_place && place < n_plain) v = args->at[place];
    for (size_t k = 0; !is_place && k < args->n_keywords; k++)
        if (str_eq(args->keywords[k], name)) v = args->at[n_plain + k];
    if (v.kind == J_MISSING)
        return jinja_fail(r, "format: no argument for '{%.*s}'", STR_ARG(path));
    for (Str rest = {path.at + n, path.len - n}; rest.len && !r->failed;) {
        bool is_item = *rest.at == '[';
        size_t end = 1;
        while (end < rest.len &&
               (is_item ? rest.at[end] != ']' : rest.at[end] != '.' && rest.at[end] != '['))
            end++;
        Str key = {rest.at + 1, end - 1};
        bool is_index = key.len > 0 && key.len < 10;
        int64_t index = 0;
        for (size_t i = 0; i < key.len && is_index; i++) {
            is_index = key.at[i] >= '0' && key.at[i] <= '9';
            index = index * 10 + (key.at[i] - '0');
        }
        if (is_item)
            v = jinja_item(r, v, is_index ? J_NUMBER(index) : J_TEXT(key));
        else
            v = jinja_attribute(r, v, key);
        end += is_item && end < rest.len;
        rest = (Str){rest.at + end, rest.len - end};
    }
    return v;
}

// The text between the braces: path[!r|!s][:spec].
static void add_field(Render *r, Str field, const JArgs *args, size_t *next, StrBuf *out) {
    size_t colon = text_find(field, STR(":"), 0), n = colon == SIZE_MAX ? field.len : colon;
    Str path = {field.at, n}, spec = {field.at + n, field.len - n};
    if (spec.len) spec = (Str){spec.at + 1, spec.len - 1};
    char conversion = 0;
    if (path.len >= 2 && path.at[path.len - 2] == '!') {
        conversion = path.at[path.len - 1];
        path.len -= 2;
        if (conversion != 'r' && conversion != 's')
            jinja_fail(r, "format: unknown conversion '!%c'", conversion);
    }
    JValue v = find_field(r, path, args, next);
    if (r->failed) return;
    if (conversion) {
        StrBuf text = {0};
        (conversion == 'r' ? jinja_repr : jinja_print)(v, &text);
        v = jinja_keep(r, &text);
    }
    add_by_spec(r, v, spec, out);
}

JValue jinja_format_braces(Render *r, Str s, const JArgs *args) {
    StrBuf out = {0};
    size_t next = 0;
    for (size_t i = 0; i < s.len && !r->failed; i++) {
        bool is_brace = s.at[i] == '{' || s.at[i] == '}';
        if (!is_brace || (i + 1 < s.len && s.at[i + 1] == s.at[i])) {
            strbuf_add_char(&out, s.at[i]);
            i += is_brace;
            continue;
        }
        size_t close = text_find(s, STR("}"), i);
        if (s.at[i] == '}' || close == SIZE_MAX) {
            jinja_fail(r, "format: single brace, expected {{ or }}");
            break;
        }
        add_field(r, (Str){s.at + i + 1, close - i - 1}, args, &next, &out);
        if (out.len > TEMPLATE_MAX_OUTPUT || !jinja_charge(r, 1)) break;
        i = close;
    }
    return jinja_keep(r, &out);
}

// ---- "%s" %

// %[(name)][flags][width][.precision]type, after the '%'. False when it ends too soon.
static bool read_percent(const char **at, const char *end, Field *f, Str *name) {
    *f = (Field){.fill = STR(" "), .align = '>', .precision = -1};
    *name = STR("");
    if (*at < end && **at == '(') {
        const char *close = memchr(*at, ')', (size_t)(end - *at));
        if (!close) return false;
        *name = (Str){*at + 1, (size_t)(close - *at - 1)};
        *at = close + 1;
    }
    bool has_zero = false, is_left = false;
    for (; *at < end && **at && strchr("-+ 0#", **at); ++*at) {
        is_left = is_left || **at == '-';
        has_zero = has_zero || **at == '0';
        f->is_alternate = f->is_alternate || **at == '#';
        if (**at == '+' || (**at == ' ' && !f->sign)) f->sign = **at;
    }
    f->width = read_int(at, end, MAX_WIDTH);
    if (*at < end && **at == '.') {
        ++*at;
        f->precision = read_int(at, end, MAX_PRECISION);
    }
    if (*at == end) return false;
    f->type = *(*at)++;
    f->fills_zeros = has_zero && !is_left;
    if (is_left) f->align = '<';
    return true;
}

static void add_percent(Render *r, JValue v, Field *f, StrBuf *out) {
    if (f->type == 's' || f->type == 'r') {
        StrBuf text = {0};
        (f->type == 'r' ? jinja_repr : jinja_print)(v, &text);
        f->fills_zeros = false;
        add_text(strbuf_str(&text), f, f->align, out);
        strbuf_free(&text);
        return;
    }
    if (f->type == 'i' || f->type == 'u') f->type = 'd';
    if (!jinja_is_number(v) || !f->type || !strchr("deEfFgGoxX", f->type)) {
        jinja_fail(r, "'%%%c' does not take %s", f->type, jinja_type_name(v));
        return;
    }
    if (f->type == 'd' && v.kind == J_FLOAT) {
        if (!isfinite(v.number)) {
            jinja_fail(r, "'%%d': the number is not finite");
            return;
        }
        v = jinja_whole_part(r->arena, v.number);
    }
    if (strchr("doxX", f->type) && f->precision >= 0) {
        jinja_fail(r, "'%%%c': a precision of whole numbers is not supported", f->type);
        return;
    }
    add_number(r, v, f, out);
}

JValue jinja_format_percent(Render *r, Str s, JValue given) {
    StrBuf out = {0};
    bool is_tuple = given.kind == J_LIST && given.form == FORM_TUPLE, is_named = false;
    size_t next = 0, n_given = is_tuple ? given.list->count : 1;
    for (const char *at = s.at, *end = s.at + s.len; at < end && jinja_charge(r, 1);) {
        if (*at != '%') {
            strbuf_add_char(&out, *at++);
            continue;
        }
        Field f;
        Str name;
        at++;
        if (!read_percent(&at, end, &f, &name)) {
            jinja_fail(r, "'%%': incomplete format");
        } else if (f.type == '%') {
            strbuf_add_char(&out, '%');
        } else if (name.len) {
            is_named = true;
            const JValue *found =
                given.kind == J_DICT ? jinja_get(r, given.dict, J_TEXT(name)) : NULL;
            if (!found) jinja_fail(r, "'%%': no value for '%.*s'", STR_ARG(name));
            if (found) add_percent(r, *found, &f, &out);
        } else if (next == n_given) {
            jinja_fail(r, "'%%': not enough values for the format");
        } else {
            add_percent(r, is_tuple ? given.list->at[next] : given, &f, &out);
            next++;
        }
    }
    bool is_mapping = given.kind == J_DICT || given.kind == J_UNDEFINED ||
                      (given.kind == J_LIST && given.form <= FORM_RANGE); // these may be left over
    if (!is_named && next < n_given && (is_tuple || !is_mapping))
        jinja_fail(r, "'%%': more values than the format takes");
    return jinja_keep(r, &out);
}
