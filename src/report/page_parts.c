// page_parts.c — pieces of markup that several sections of the page share.
#include "base/arena.h"
#include "bundle/advice.h"
#include "report/html.h"
#include "report/page.h"

void page_command(Page *p, const char *command) {
    const Report *r = p->report;
    Arena scratch = {0};
    CommandWords w = {
        *r->bundle_word ? r->bundle_word : "BUNDLE", *r->source_word ? r->source_word : "SOURCE",
        *r->convert_word ? r->convert_word : "lathe convert SOURCE -o BUNDLE --force"};
    html_code(p->out, command_fill(&scratch, command, &w));
    arena_free(&scratch);
}
