#include "report/html.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

// Length of the UTF-8 sequence at `at`, 0 when it is none: overlong forms, surrogates and what lies
// beyond U+10FFFF are none.
static size_t sequence(const uint8_t *at, size_t left) {
    uint8_t c = at[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xC2 && c < 0xE0 ? 2
               : c >= 0xE0 && c < 0xF0 ? 3
               : c >= 0xF0 && c < 0xF5 ? 4
                                       : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    if ((c == 0xE0 && at[1] < 0xA0) || (c == 0xED && at[1] > 0x9F)) return 0;
    if ((c == 0xF0 && at[1] < 0x90) || (c == 0xF4 && at[1] > 0x8F)) return 0;
    return n;
}

static const char *escape_of(uint8_t c) {
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\n':
    case '\t': return NULL;
    default: return c < 0x20 || c == 0x7F ? "\uFFFD" : NULL;
    }
}

void html_text(StrBuf *out, Str text) {
    const uint8_t *at = (const uint8_t *)text.at;
    for (size_t i = 0; i < text.len;) {
        size_t n = sequence(at + i, text.len - i);
        const char *escape = n == 0 ? "\uFFFD" : n == 1 ? escape_of(at[i]) : NULL;
        if (escape)
            strbuf_add(out, str_of(escape));
        else
            strbuf_add(out, (Str){text.at + i, n});
        i += n ? n : 1;
    }
}

void html_name(StrBuf *out, const char *name) {
    while (*name) {
        size_t n = strcspn(name, "_.");
        n += name[n] != 0;
        html_text(out, (Str){name, n});
        name += n;
        if (*name) strbuf_add(out, STR("<wbr>"));
    }
}

void html_number(StrBuf *out, double x) {
    if (!isfinite(x)) {
        strbuf_add(out, STR("–"));
        return;
    }
    double size = fabs(x);
    if (size != 0 && (size < 1e-3 || size >= 1e6))
        strbuf_printf(out, "%.2e", x);
    else if (x == floor(x))
        strbuf_printf(out, "%.0f", x);
    else
        strbuf_printf(out, "%.4g", x);
}

void html_bytes(StrBuf *out, double n_bytes) {
    if (!isfinite(n_bytes)) {
        strbuf_add(out, STR("–"));
        return;
    }
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int unit = 0;
    for (; n_bytes >= 1024 && unit < 3; unit++) n_bytes /= 1024;
    strbuf_printf(out, unit ? "%.1f %s" : "%.0f %s", n_bytes, units[unit]);
}

void html_cell(StrBuf *out, const char *class_name, const char *text) {
    strbuf_printf(out, *class_name ? "<td class=\"%s\">" : "<td>", class_name);
    html_words(out, text);
    strbuf_add(out, STR("</td>"));
}

void html_number_cell(StrBuf *out, double x) {
    strbuf_add(out, STR("<td class=\"n\">"));
    html_number(out, x);
    strbuf_add(out, STR("</td>"));
}

void html_code(StrBuf *out, const char *text) {
    strbuf_add(out, STR("<code>"));
    html_words(out, text);
    strbuf_add(out, STR("</code>"));
}
