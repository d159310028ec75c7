// fuzz_report — whatever report.json holds becomes a page, and whatever journal.md holds is read
// and compared.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/journal.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_journal(Str text) {
    Arena arena = {0};
    Journal journal;
    journal_parse(&journal, &arena, text);
    for (size_t i = 1; i < journal.n_entries; i++) {
        JournalChange *changes;
        size_t n = journal_compare(&changes, &arena, &journal.entries[i - 1], &journal.entries[i]);
        StrBuf out = {0};
        for (size_t k = 0; k < n; k++) journal_print_change(&out, &changes[k]);
        strbuf_free(&out);
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
    read_journal((Str){(const char *)data, size});
    return 0;
}
