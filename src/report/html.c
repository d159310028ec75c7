#include "report/html.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

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
    for (size_t at = 0, n; at < text.len; at += n) {
        bool is_whole = utf8_scan(text.at + at, text.len - at, &n) == UTF8_WHOLE;
        const char *escape = !is_whole ? "\uFFFD" : n == 1 ? escape_of((uint8_t)text.at[at]) : NULL;
        strbuf_add(out, escape ? str_of(escape) : (Str){text.at + at, n});
        if (!is_whole) n = 1; // a replacement for each byte
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
