// page_parts.c — pieces of markup that several sections of the page share.
#include <string.h>

#include "base/size.h"
#include "report/html.h"
#include "report/page.h"

void page_number(StrBuf *out, const json_t *object, const char *key) {
    html_number(out, member_number(object, key));
}

void page_command(Page *p, const char *command) {
    const json_t *bundle = json_object_get(p->report, "bundle");
    const struct {
        const char *word, *name;
    } gaps[] = {{"BUNDLE", member_text(bundle, "name")},
                {"SOURCE", member_text(json_object_get(bundle, "source"), "name")}};
    strbuf_add(p->out, STR("<code>"));
    for (const char *at = command; *at;) {
        size_t n = strcspn(at, "BS");
        strbuf_add(p->out, (Str){at, n});
        at += n;
        if (!*at) break;
        const char *name = "";
        for (size_t i = 0; i < COUNT_OF(gaps); i++)
            if (str_starts(str_of(at), str_of(gaps[i].word)))
                name = gaps[i].name, n = strlen(gaps[i].word);
        if (*name) {
            html_words(p->out, name);
            at += n;
        } else {
            strbuf_add(p->out, (Str){at++, 1});
        }
    }
    strbuf_add(p->out, STR("</code>"));
}
