// escape.c — escapes text for HTML.
#include "jinja/jinja.h"

static void escape_text(Str s, StrBuf *out) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&#34;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        if (entity)
            strbuf_add(out, str_of(entity));
        else
            strbuf_add_char(out, c);
    }
}

JValue jinja_escape(Render *r, JValue v) {
    if (v.kind == J_STR && v.is_safe) return v;
    StrBuf out = {0};
    escape_text(jinja_to_text(r, v).text, &out);
    JValue escaped = jinja_keep(r, &out);
    escaped.is_safe = true;
    return escaped;
}
