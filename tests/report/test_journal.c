// The journal: what is appended reads back, what people change in it is lived with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/size.h"
#include "report/journal.h"

typedef struct {
    char dir[512];
    Arena arena;
} Fixture;

static const char report[] =
    "{\"tool\": \"lathe 0.1.0\", \"passed\": true, \"source_sha256\": \"78d3aea0c5b833f2\", "
    "\"contract_sha256\": \"8b93045226820707\", \"bundle\": {\"name\": \"b.lathe\", \"source\": "
    "{\"name\": \"m.gguf\", \"bytes\": 2048}, \"options\": {\"weights\": \"int8\", \"kv\": "
    "\"slice\", \"context\": 4096, \"target\": \"macos27\"}, \"packages\": [{\"bytes\": 1024}, "
    "{\"bytes\": 512}]}, \"run\": {\"started\": \"2026-11-25 05:24:31 UTC\", \"machine\": "
    "\"Linux\", "
    "\"threads\": 2, \"asked\": \"all\", \"sealed\": true, \"seconds\": 5.25, \"peak_bytes\": "
    "1048576}, \"gates\": {\"graph\": [{\"scope\": \"layers 00..01\", \"passed\": true, \"text\": "
    "\"cos=%s worst=0.9 rmse=0.001\"}], \"text\": [{\"scope\": \"a | b\\n## c\", \"passed\": %s, "
    "\"text\": \"9/9 ids equal\"}]}}";

static int set_up(void **state) {
    Fixture *t = calloc(1, sizeof *t);
    const char *tmp = getenv("LATHE_TEST_TMP");
    if (!t) return -1;
    snprintf(t->dir, sizeof t->dir, "%s/journal-%ld", tmp ? tmp : "/tmp", (long)getpid());
    *state = t;
    Err err;
    return dir_remove_tree(t->dir, &err) && dir_make(t->dir, &err) &&
                   dir_make(path_join(&t->arena, t->dir, "verify"), &err)
               ? 0
               : -1;
}

static int tear_down(void **state) {
    Fixture *t = *state;
    dir_remove_tree(t->dir, NULL);
    arena_free(&t->arena);
    free(t);
    return 0;
}

static void put(Fixture *t, const char *name, const char *text) {
    const char *path = path_join(&t->arena, path_join(&t->arena, t->dir, "verify"), name);
    assert_true(file_write(path, text, strlen(text), NULL));
}

static void append(Fixture *t, const char *cos, const char *passed, JournalNotes notes) {
    char text[2048];
    snprintf(text, sizeof text, report, cos, passed);
    put(t, "report.json", text);
    Err err = {0};
    if (!journal_append(t->dir, &notes, &err)) fail_msg("%s", err.text);
}

static Journal read_all(Fixture *t) {
    Journal journal;
    Err err = {0};
    if (!journal_read(&journal, &t->arena, t->dir, &err)) fail_msg("%s", err.text);
    return journal;
}

static void assert_str(Str s, const char *text) {
    if (!str_is(s, text)) fail_msg("'%.*s' is not '%s'", STR_ARG(s), text);
}

static void test_an_entry_reads_back(void **state) {
    Fixture *t = *state;
    append(t, "0.999", "true",
           (JournalNotes){.intent = "does it | hold?", .lesson = "two\nlines\n## no heading"});
    Journal j = read_all(t);
    assert_int_equal(j.n_entries, 1);
    const JournalEntry *e = &j.entries[0];
    assert_str(e->title, "2026-11-25 05:24:31 UTC: proved and sealed");
    assert_str(e->fields[JOURNAL_intent], "does it | hold?");
    assert_str(
        e->fields[JOURNAL_setup],
        "lathe 0.1.0 on Linux, 2 threads. m.gguf (2.0 KiB, sha256 78d3aea0c5b8), contract "
        "8b9304522682; int8 weights, states by slice, context 4096, for macos27; 2 packages, "
        "1.5 KiB. Gates asked for: all.");
    assert_str(e->fields[JOURNAL_result],
               "2 of 2 checks passed, in 5.2 s, peak memory 1.0 MiB resident.");
    assert_str(e->fields[JOURNAL_lesson], "two lines ## no heading");
    // Questions that nobody answered are no answers.
    assert_str(e->fields[JOURNAL_surprise], "");
    assert_str(e->fields[JOURNAL_next], "");
    assert_str(e->fields[JOURNAL_refs], "");
    assert_int_equal(e->n_figures, 2);
    assert_str(e->figures[0].gate, "graph");
    assert_str(e->figures[0].text, "cos=0.999 worst=0.9 rmse=0.001");
    assert_str(e->figures[1].scope, "a | b\n## c");
    assert_int_equal(e->figures[1].verdict, PROOF_PASSED);
}

// What stands in the file stays, byte for byte, and the new entry follows.
static void test_entries_are_appended(void **state) {
    Fixture *t = *state;
    static const char mine[] = "# My notes\n\nfree text, | bars | and\n## a heading of mine";
    put(t, "journal.md", mine);
    append(t, "0.999", "true", (JournalNotes){0});
    append(t, "0.998", "false", (JournalNotes){.next = "mend it"});
    Journal j = read_all(t);
    assert_int_equal(j.n_entries, 3);
    assert_str(j.entries[0].title, "a heading of mine");
    assert_int_equal(j.entries[0].n_figures, 0);
    assert_str(j.entries[2].fields[JOURNAL_next], "mend it");
    assert_int_equal(j.entries[2].figures[1].verdict, PROOF_FAILED);
    FILE *f = fopen(path_join(&t->arena, t->dir, "verify/journal.md"), "rb");
    char start[sizeof mine] = "";
    assert_non_null(f);
    assert_int_equal(fread(start, 1, sizeof mine - 1, f), sizeof mine - 1);
    fclose(f);
    assert_string_equal(start, mine);
}

static void test_no_journal_is_an_empty_one(void **state) {
    Fixture *t = *state;
    assert_int_equal(read_all(t).n_entries, 0);
}

static void test_no_report_is_an_error(void **state) {
    Fixture *t = *state;
    Err err = {0};
    assert_false(journal_append(t->dir, &(JournalNotes){0}, &err));
    assert_non_null(strstr(err.text, "report.json"));
    assert_int_equal(read_all(t).n_entries, 0);
}

static void parse(Journal *j, Arena *arena, const char *text) {
    journal_parse(j, arena, str_of(text));
}

static void test_what_people_write(void **state) {
    Fixture *t = *state;
    Journal j;
    parse(&j, &t->arena,
          "## one\r\n\r\n"
          "**Intent.** spread\r\nover lines\r\n\r\nand paragraphs\r\n"
          "**Lesson.**\nbehind the title\n"
          "**Nonsense.** is part of the lesson\n"
          "  | graph | x | ok | cos=1 |\n"
          "| too | few |\n||||||\n| a | b | maybe | c |\n|\n"
          "**Intent.** again\n"
          "### not an entry\n"
          "##nor this\n"
          "## two");
    assert_int_equal(j.n_entries, 2);
    const JournalEntry *e = &j.entries[0];
    assert_str(e->title, "one");
    assert_str(e->fields[JOURNAL_intent],
               "spread over lines and paragraphs again ### not an entry ##nor this");
    assert_str(e->fields[JOURNAL_lesson], "behind the title **Nonsense.** is part of the lesson");
    assert_false(e->has_figures); // no table is parsed
    assert_str(j.entries[1].title, "two");
}

// Found by the fuzzer: a heading of nothing but its mark is an entry too.
static void test_headings_without_a_title(void **state) {
    Fixture *t = *state;
    Journal j;
    StrBuf text = {0};
    for (int i = 0; i < 200; i++) strbuf_add(&text, STR("## \n| a | b | ok | c |\n"));
    journal_parse(&j, &t->arena, strbuf_str(&text));
    assert_int_equal(j.n_entries, 200);
    for (int i = 0; i < 300; i++) strbuf_add(&text, STR("\n{\"title\": \"\", \"results\": [{}]}"));
    journal_parse_figures(&j, &t->arena, strbuf_str(&text));
    for (size_t i = 0; i < j.n_entries; i++) assert_int_equal(j.entries[i].n_figures, 1);
    strbuf_free(&text);
}

// {"gate", "scope", "verdict", "text"} as a result of a record.
#define RESULT(gate, scope, passed, text)                                                          \
    "{\"gate\":\"" gate "\",\"scope\":\"" scope "\",\"passed\":" passed ",\"text\":\"" text "\"}"

static void test_changes_between_runs(void **state) {
    Fixture *t = *state;
    Journal j;
    parse(&j, &t->arena, "## one\n## two\n## three\n## old\n");
    journal_parse_figures(
        &j, &t->arena,
        STR("{\"title\":\"one\",\"results\":["                                                //
            RESULT("graph", "a", "true", "cos=0.99 worst=0.9") ","                            //
            RESULT("head", "b", "true", "3 of 3") "," RESULT("text", "same", "true", "x") "," //
            RESULT("text", "gone", "true", "y") "," RESULT(
                "text", "verdict", "true",
                "z") "]}"                                                                      //
                     "\nno record\n[]\n{\"title\":\"four\"}\n{\"title\":\"two\",\"results\":[" //
            RESULT("graph", "a", "true", "cos=0.98 worst=0.9") ","                             //
            RESULT("head", "b", "true", "2 of 3") "," RESULT("text", "same", "true", "x") ","  //
            RESULT("text", "verdict", "false", "z") "," RESULT(
                "text", "new", "true",
                "w") "]}" //
                     "\n{\"title\":\"three\",\"results\":[" RESULT("vote", "a", "true", "") "]}"));
    JournalChange *changes;
    size_t n = journal_compare(&changes, &t->arena, &j.entries[0], &j.entries[1]);
    static const char *const expected[][2] = {{"cos=0.99 worst=0.9", "cos=0.98 worst=0.9"},
                                              {"3 of 3", "2 of 3"},
                                              {"z", "z"}, // by its verdict
                                              {NULL, "w"},
                                              {"y", NULL}};
    assert_int_equal(n, COUNT_OF(expected));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(changes[i].before != NULL, expected[i][0] != NULL);
        assert_int_equal(changes[i].after != NULL, expected[i][1] != NULL);
        if (expected[i][0]) assert_str(changes[i].before->text, expected[i][0]);
        if (expected[i][1]) assert_str(changes[i].after->text, expected[i][1]);
    }
    assert_int_equal(changes[2].after->verdict, PROOF_FAILED);
    assert_int_equal(journal_compare(&changes, &t->arena, &j.entries[1], &j.entries[1]), 0);
    assert_true(journal_shares_gate(&j.entries[0], &j.entries[1]));
    assert_false(journal_shares_gate(&j.entries[1], &j.entries[2]));
    assert_true(j.entries[2].has_figures);
    assert_false(j.entries[3].has_figures);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_entry_reads_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entries_are_appended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_journal_is_an_empty_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_report_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_people_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headings_without_a_title, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes_between_runs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
