// fuzz_report — whatever report.json holds becomes a page, and whatever journal.md and journal.jsonl
// hold is read and compared.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/journal.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// journal.md up to the first NUL and journal.jsonl after it; without one, `text` is both.
static void read_journal(Str text) {
    Arena arena = {0};
    Journal journal;
    const char *nul = memchr(text.at, 0, text.len);
    size_t n_md = nul ? (size_t)(nul - text.at) : text.len;
    Str figures = nul ? (Str){nul + 1, text.len - n_md - 1} : text;
    journal_parse(&journal, &arena, (Str){text.at, n_md});
    journal_parse_figures(&journal, &arena, figures);
    for (size_t i = 1; i < journal.n_entries; i++) {
        JournalChange *changes;
        size_t n = journal_compare(&changes, &arena, &journal.entries[i - 1], &journal.entries[i]);
        for (size_t k = 0; k < n; k++)
            if (!changes[k].before && !changes[k].after) abort();
        if (n && !journal_shares_gate(&journal.entries[i - 1], &journal.entries[i])) abort();
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *report = json_loadb((const char *)data, size, 0, NULL);
    if (report) {
        StrBuf page = {0};
        report_page(report, &page);
        // The only markup in a page is ours: none of it is called this.
        if (strstr(page.at, "<evil")) {
            fprintf(stderr, "fuzz_report: a string of the report became markup\n");
            abort();
        }
        strbuf_free(&page);
        json_decref(report);
    }
    if (size) read_journal((Str){(const char *)data, size});
    return 0;
}
