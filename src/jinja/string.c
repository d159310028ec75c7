// string.c — methods of strings, as a table.
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

// ---- cutting and joining

static JValue strip(Render *r, JValue self, JValue chars, bool left, bool right) {
    Str of, text;
    bool has_chars = chars.kind != J_MISSING && chars.kind != J_NONE;
    if (has_chars && !jinja_need_text(r, chars, &of)) return self;
    text = text_strip(self.text, has_chars ? &of : NULL, left, right);
    return (JValue){.kind = J_STR, .is_safe = self.is_safe, .text = text};
}
static JValue str_strip(Render *r, JValue self, const JValue *in) {
    return strip(r, self, in[0], true, true);
}
static JValue str_lstrip(Render *r, JValue self, const JValue *in) {
    return strip(r, self, in[0], true, false);
}
static JValue str_rstrip(Render *r, JValue self, const JValue *in) {
    return strip(r, self, in[0], false, true);
}

static JValue without_affix(Render *r, JValue self, JValue affix, bool at_end) {
    Str part, s = self.text;
    if (!jinja_need_text(r, affix, &part)) return self;
    if (at_end && str_ends(s, part)) s.len -= part.len;
    if (!at_end && str_starts(s, part)) s = (Str){s.at + part.len, s.len - part.len};
    return J_TEXT(s);
}
static JValue str_removeprefix(Render *r, JValue self, const JValue *in) {
    return without_affix(r, self, in[0], false);
}
static JValue str_removesuffix(Render *r, JValue self, const JValue *in) {
    return without_affix(r, self, in[0], true);
}

static JValue split_space(Render *r, Str s, int64_t most) {
    JValue list = jinja_list(r);
    for (s = text_strip(s, NULL, true, false); s.len; s = text_strip(s, NULL, true, false)) {
        if (most >= 0 && (int64_t)list.list->count == most) {
            jinja_push(r, list.list, J_TEXT(s)); // its end stays as it is
            break;
        }
        Str rest = s, word = s;
        for (Str next = s; next.len; rest = next)
            if (text_is_space(text_take(&next))) break;
        word.len -= rest.len;
        jinja_push(r, list.list, J_TEXT(word));
        s = rest;
    }
    return list;
}

static JValue rsplit_space(Render *r, Str s, int64_t most) {
    JValue all = split_space(r, s, -1), list = jinja_list(r);
    if (most < 0 || (int64_t)all.list->count <= most) return all;
    size_t n_head = all.list->count - (size_t)most;
    Str last = all.list->at[n_head - 1].text;
    jinja_push(r, list.list, J_TEXT(((Str){s.at, (size_t)(last.at + last.len - s.at)})));
    for (size_t i = n_head; i < all.list->count; i++) jinja_push(r, list.list, all.list->at[i]);
    return list;
}

// The separator (empty: white space) and how often to split (negative: always).
static bool split_by(Render *r, const JValue *in, Str *sep, int64_t *most) {
    *most = -1;
    *sep = STR("");
    if (in[1].kind != J_MISSING && !jinja_need_number(r, in[1], most)) return false;
    if (in[0].kind == J_MISSING || in[0].kind == J_NONE) return true;
    if (!jinja_need_text(r, in[0], sep)) return false;
    if (sep->len == 0) jinja_fail(r, "split: empty separator");
    return !r->failed;
}

static JValue str_split(Render *r, JValue self, const JValue *in) {
    Str sep, s = self.text;
    int64_t left;
    if (!split_by(r, in, &sep, &left) || !jinja_charge_bytes(r, s.len)) return self;
    if (sep.len == 0) return split_space(r, s, left);
    JValue list = jinja_list(r);
    for (size_t at; left-- != 0 && (at = text_find(s, sep, 0)) != SIZE_MAX && !r->failed;) {
        jinja_push(r, list.list, J_TEXT(((Str){s.at, at})));
        s = (Str){s.at + at + sep.len, s.len - at - sep.len};
        jinja_charge(r, 1);
    }
    jinja_push(r, list.list, J_TEXT(s));
    return list;
}

static JValue str_rsplit(Render *r, JValue self, const JValue *in) {
    Str sep, s = self.text;
    int64_t left;
    if (!split_by(r, in, &sep, &left) || !jinja_charge_bytes(r, s.len)) return self;
    if (sep.len == 0) return rsplit_space(r, s, left);
    JValue back = jinja_list(r), list = jinja_list(r);
    for (size_t at; left-- != 0 && (at = text_find_last(s, sep)) != SIZE_MAX;) {
        Str piece = {s.at + at + sep.len, s.len - at - sep.len};
        jinja_push(r, back.list, J_TEXT(piece));
        s.len = at;
        if (!jinja_charge(r, 1)) break;
    }
    jinja_push(r, list.list, J_TEXT(s));
    for (size_t i = back.list->count; i-- > 0;) jinja_push(r, list.list, back.list->at[i]);
    return list;
}

static JValue three(Render *r, Str a, Str b, Str c) {
    JValue parts = jinja_sequence(r, FORM_TUPLE);
    jinja_push(r, parts.list, J_TEXT(a));
    jinja_push(r, parts.list, J_TEXT(b));
    jinja_push(r, parts.list, J_TEXT(c));
    return parts;
}
static JValue partition(Render *r, JValue self, JValue by, bool from_end) {
    Str sep, s = self.text;
    if (!jinja_need_text(r, by, &sep) || !jinja_charge_bytes(r, s.len)) return self;
    if (sep.len == 0) return jinja_fail(r, "partition: empty separator");
    size_t at = from_end ? text_find_last(s, sep) : text_find(s, sep, 0);
    if (at == SIZE_MAX)
        return from_end ? three(r, STR(""), STR(""), s) : three(r, s, STR(""), STR(""));
    return three(r, (Str){s.at, at}, sep, (Str){s.at + at + sep.len, s.len - at - sep.len});
}
static JValue str_partition(Render *r, JValue self, const JValue *in) {
    return partition(r, self, in[0], false);
}
static JValue str_rpartition(Render *r, JValue self, const JValue *in) {
    return partition(r, self, in[0], true);
}

static JValue str_splitlines(Render *r, JValue self, const JValue *in) {
    bool keeps = jinja_truth(jinja_or(in[0], J_TRUTH(false)));
    JValue list = jinja_list(r);
    if (!jinja_charge(r, self.text.len / 8)) return list;
    for (Str s = self.text; s.len;) jinja_push(r, list.list, J_TEXT(text_line(&s, keeps)));
    return list;
}

static JValue str_join(Render *r, JValue self, const JValue *in) {
    JValue items = jinja_items(r, in[0]);
    StrBuf out = {0};
    for (size_t i = 0; !r->failed && i < items.list->count && jinja_charge(r, 1); i++) {
        Str part;
        JValue item = items.list->at[i];
        if (!jinja_need_text(r, self.is_safe ? jinja_escape(r, item) : item, &part)) break;
        if (i) strbuf_add(&out, self.text);
        strbuf_add(&out, part);
        if (out.len > TEMPLATE_MAX_OUTPUT) break; // jinja_keep says so
    }
    return jinja_keep(r, &out);
}

static JValue str_replace(Render *r, JValue self, const JValue *in) {
    Str old, new, s = self.text;
    int64_t left = -1;
    if (!jinja_need_text(r, in[0], &old) ||
        !jinja_need_text(r, self.is_safe ? jinja_escape(r, in[1]) : in[1], &new) ||
        (in[2].kind != J_MISSING && !jinja_need_number(r, in[2], &left)) ||
        !jinja_charge_bytes(r, s.len))
        return self;
    StrBuf out = {0};
    size_t at = 0;
    for (; left != 0 && out.len <= TEMPLATE_MAX_OUTPUT; left--) {
        size_t found = text_find(s, old, at);
        if (found == SIZE_MAX) break;
        strbuf_add(&out, (Str){s.at + at, found - at});
        strbuf_add(&out, new);
        at = found + old.len;
        if (old.len) continue;
        if (at >= s.len) break;
        Str one = text_slice((Str){s.at + at, s.len - at}, 0, 1);
        strbuf_add(&out, one);
        at += one.len;
    }
    if (at < s.len) strbuf_add(&out, (Str){s.at + at, s.len - at});
    return jinja_keep(r, &out);
}

// ---- letters

static JValue change_case(Render *r, JValue self, TextCase how) {
    StrBuf out = {0};
    text_change_case(self.text, how, &out);
    return jinja_keep(r, &out);
}
static JValue str_upper(Render *r, JValue self, const JValue *in) {
    (void)in;
    return change_case(r, self, CASE_UPPER);
}
static JValue str_lower(Render *r, JValue self, const JValue *in) {
    (void)in;
    return change_case(r, self, CASE_LOWER);
}
static JValue str_title(Render *r, JValue self, const JValue *in) {
    (void)in;
    return change_case(r, self, CASE_TITLE);
}
static JValue str_capitalize(Render *r, JValue self, const JValue *in) {
    (void)in;
    return change_case(r, self, CASE_CAPITAL);
}
static JValue str_swapcase(Render *r, JValue self, const JValue *in) {
    (void)in;
    return change_case(r, self, CASE_SWAP);
}

// Places `self` in a field of in[0] characters; the padding on the left takes `n_left` of it.
typedef enum { AT_LEFT, AT_RIGHT, AT_CENTER } Place;
static JValue pad(Render *r, JValue self, const JValue *in, Place place) {
    int64_t width;
    Str fill = STR(" ");
    if (!jinja_need_number(r, in[0], &width)) return self;
    if (in[1].kind != J_MISSING && !jinja_need_text(r, in[1], &fill)) return self;
    if (text_length(fill) != 1) return jinja_fail(r, "padding must be one character");
    int64_t length = (int64_t)text_length(self.text), n = width > length ? width - length : 0;
    if (n > TEMPLATE_MAX_OUTPUT / 4)
        return jinja_fail(r, "padding to %lld is too long", (long long)n);
    int64_t n_left = place == AT_LEFT ? 0 : place == AT_RIGHT ? n : n / 2 + (n & width & 1);
    StrBuf out = {0};
    for (int64_t i = 0; i < n_left; i++) strbuf_add(&out, fill);
    strbuf_add(&out, self.text);
    for (int64_t i = n_left; i < n; i++) strbuf_add(&out, fill);
    return jinja_keep(r, &out);
}
static JValue str_center(Render *r, JValue self, const JValue *in) {
    return pad(r, self, in, AT_CENTER);
}
static JValue str_ljust(Render *r, JValue self, const JValue *in) {
    return pad(r, self, in, AT_LEFT);
}
static JValue str_rjust(Render *r, JValue self, const JValue *in) {
    return pad(r, self, in, AT_RIGHT);
}
static JValue str_zfill(Render *r, JValue self, const JValue *in) {
    JValue zeros[] = {in[0], J_TEXT(STR("0"))};
    bool has_sign = self.text.len && (*self.text.at == '-' || *self.text.at == '+');
    JValue out = pad(r, self, zeros, AT_RIGHT);
    if (!has_sign || r->failed || out.text.len == self.text.len) return out;
    char *text = arena_cstr(r->arena, out.text); // the sign goes first
    text[out.text.len - self.text.len] = '0';
    text[0] = *self.text.at;
    return J_TEXT(((Str){text, out.text.len}));
}

// ---- questions

// Whether the string begins (ends) with the argument, or with one of a tuple.
static JValue has_affix(Render *r, JValue self, JValue what, bool at_end) {
    JValue one = jinja_list(r);
    if (what.kind != J_LIST || what.form != FORM_TUPLE) {
        jinja_push(r, one.list, what);
        what = one;
    }
    for (size_t i = 0; i < what.list->count; i++) {
        Str part;
        if (!jinja_need_text(r, what.list->at[i], &part)) return self;
        if (at_end ? str_ends(self.text, part) : str_starts(self.text, part)) return J_TRUTH(true);
    }
    return J_TRUTH(false);
}
static JValue str_startswith(Render *r, JValue self, const JValue *in) {
    return has_affix(r, self, in[0], false);
}
static JValue str_endswith(Render *r, JValue self, const JValue *in) {
    return has_affix(r, self, in[0], true);
}

// The place of in[0] in code points, -1 when absent. From in[1] to in[2], both optional.
static int64_t find(Render *r, JValue self, const JValue *in, bool from_end) {
    Str part, s = self.text;
    int64_t n = (int64_t)text_length(s), bounds[2] = {0, n};
    if (!jinja_need_text(r, in[0], &part) || !jinja_charge_bytes(r, s.len)) return -1;
    for (int i = 0; i < 2; i++) {
        if (in[i + 1].kind == J_MISSING || in[i + 1].kind == J_NONE) continue;
        if (!jinja_need_number(r, in[i + 1], &bounds[i])) return -1;
        if (bounds[i] < 0) bounds[i] = bounds[i] + n < 0 ? 0 : bounds[i] + n;
        if (bounds[i] > n && i == 1) bounds[i] = n;
    }
    if (bounds[0] > bounds[1]) return -1;
    s = text_slice(s, (size_t)bounds[0], (size_t)bounds[1]);
    size_t at = from_end ? text_find_last(s, part) : text_find(s, part, 0);
    return at == SIZE_MAX ? -1 : bounds[0] + (int64_t)text_length((Str){s.at, at});
}
static JValue str_find(Render *r, JValue self, const JValue *in) {
    return J_NUMBER(find(r, self, in, false));
}
static JValue str_rfind(Render *r, JValue self, const JValue *in) {
    return J_NUMBER(find(r, self, in, true));
}
static JValue str_index(Render *r, JValue self, const JValue *in) {
    int64_t at = find(r, self, in, false);
    return at < 0 ? jinja_fail(r, "index: substring not found") : J_NUMBER(at);
}
static JValue str_rindex(Render *r, JValue self, const JValue *in) {
    int64_t at = find(r, self, in, true);
    return at < 0 ? jinja_fail(r, "rindex: substring not found") : J_NUMBER(at);
}

static JValue str_count(Render *r, JValue self, const JValue *in) {
    Str part;
    int64_t n = 0;
    if (!jinja_need_text(r, in[0], &part) || !jinja_charge_bytes(r, self.text.len)) return self;
    if (part.len == 0) return J_NUMBER((int64_t)text_length(self.text) + 1);
    for (size_t at = 0; (at = text_find(self.text, part, at)) != SIZE_MAX; at += part.len) n++;
    return J_NUMBER(n);
}

// Every character is of the kinds asked for, and there is one. Beyond ASCII all count as letters.
enum { DIGITS = 1, LETTERS = 2, SPACES = 4, ASCII = 8 };
static JValue every_char(JValue self, unsigned kinds) {
    bool all = self.text.len > 0 || (kinds & ASCII);
    for (Str s = self.text; s.len && all;) {
        uint32_t c = text_take(&s);
        bool is_letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 128 && !text_is_space(c));
        all = ((kinds & DIGITS) && c >= '0' && c <= '9') || ((kinds & LETTERS) && is_letter) ||
              ((kinds & SPACES) && text_is_space(c)) || ((kinds & ASCII) && c < 128);
    }
    return J_TRUTH(all);
}
static JValue str_isdigit(Render *r, JValue self, const JValue *in) {
    (void)r, (void)in;
    return every_char(self, DIGITS);
}
static JValue str_isalpha(Render *r, JValue self, const JValue *in) {
    (void)r, (void)in;
    return every_char(self, LETTERS);
}
static JValue str_isalnum(Render *r, JValue self, const JValue *in) {
    (void)r, (void)in;
    return every_char(self, DIGITS | LETTERS);
}
static JValue str_isspace(Render *r, JValue self, const JValue *in) {
    (void)r, (void)in;
    return every_char(self, SPACES);
}
static JValue str_isascii(Render *r, JValue self, const JValue *in) {
    (void)r, (void)in;
    return every_char(self, ASCII);
}

// It has letters with two cases, and all of them are of this one.
static JValue is_cased(Render *r, JValue self, TextCase how) {
    StrBuf same = {0}, other = {0};
    text_change_case(self.text, how, &same);
    text_change_case(self.text, how == CASE_UPPER ? CASE_LOWER : CASE_UPPER, &other);
    bool is_so = str_eq(strbuf_str(&same), self.text) && !str_eq(strbuf_str(&other), self.text);
    strbuf_free(&same);
    strbuf_free(&other);
    jinja_charge_bytes(r, self.text.len);
    return J_TRUTH(is_so);
}
static JValue str_isupper(Render *r, JValue self, const JValue *in) {
    (void)in;
    return is_cased(r, self, CASE_UPPER);
}
static JValue str_islower(Render *r, JValue self, const JValue *in) {
    (void)in;
    return is_cased(r, self, CASE_LOWER);
}

// ---- the table

static JValue str_format(Render *r, JValue self, const JArgs *args) {
    return jinja_format_braces(r, self.text, args);
}

const JMethodRow jinja_string_methods[] = {
#define METHOD(self, name, run, params) {self, name, run, params, NULL},
#define METHOD_ANY(self, name, run)     {self, name, NULL, NULL, run},
#include "jinja/string_methods.def"
#undef METHOD
#undef METHOD_ANY
    {0},
};
