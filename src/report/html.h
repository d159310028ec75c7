// html.h — escapes text from files for a page, and a few pieces of markup that many sections share.
//
// Markup is written by strbuf_printf() only from numbers and this program's own strings; all text
// from files goes through html_text().
#ifndef LATHE_REPORT_HTML_H
#define LATHE_REPORT_HTML_H

#include "base/str.h"

// Escaped for element content, for attributes in double quotes and for SVG: & < > " ' and control
// characters; broken UTF-8 becomes U+FFFD.
void html_text(StrBuf *out, Str text);
static inline void html_words(StrBuf *out, const char *text) {
    html_text(out, str_of(text));
}

// The same, and the line may break after each '_' and '.', because names are long.
void html_name(StrBuf *out, const char *name);

// Four significant digits, no exponent between 0.001 and 1e6; "–" for what is not finite.
void html_number(StrBuf *out, double x);
// "12.3 MiB", "512 B"; "–" as above.
void html_bytes(StrBuf *out, double n_bytes);

// <td class="…">escaped</td>; `class_name` is ours and may be empty.
void html_cell(StrBuf *out, const char *class_name, const char *text);
void html_number_cell(StrBuf *out, double x);

// The style of pages, for their <style>: [0] is page.css.
extern const char *const page_style[];

// <code>escaped</code>
void html_code(StrBuf *out, const char *text);

#endif
