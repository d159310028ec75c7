// page_parts.c — pieces of markup that several sections of the page share.
#include "base/arena.h"
#include "bundle/advice.h"
#include "report/html.h"
#include "report/page.h"

void page_number(StrBuf *out, const json_t *object, const char *key) {
    html_number(out, member_number(object, key));
}

void page_command(Page *p, const char *command) {
    const json_t *words = json_object_get(p->report, "commands");
    const char *bundle = member_text(words, "bundle"), *source = member_text(words, "source"),
               *convert = member_text(words, "convert");
    Arena scratch = {0};
    CommandWords w = {*bundle ? bundle : "BUNDLE", *source ? source : "SOURCE",
                      *convert ? convert : "lathe convert SOURCE -o BUNDLE --force"};
    html_code(p->out, command_fill(&scratch, command, &w));
    arena_free(&scratch);
}
