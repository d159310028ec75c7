// Results of earlier runs: which of them a run takes over, which of those it keeps, and on what each
// gate's result depends. No gate runs here: results are put down as a gate would.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/json.h"
#include "base/size.h"
#include "proof/proof_bench.h"
#include "proof/resume.h"

static ProofBench bench;
static Resume resume;

// What was said last: a note, or a line of a result.
static char said[1024];
static int n_lines;
static ProofVerdict said_verdict;

static void take_note(void *context, const char *text) {
    (void)context;
    snprintf(said, sizeof said, "%s", text);
}

static void take_line(void *context, const char *gate, const char *scope, const char *figures,
                      ProofVerdict verdict) {
    (void)context;
    snprintf(said, sizeof said, "%s|%s|%s", gate, scope, figures);
    said_verdict = verdict;
    n_lines++;
}

static int open_bench(void **state) {
    (void)state;
    proof_bench_open(&bench, NULL, WEIGHTS_INT8_CHANNEL, NULL);
    bench.job.note = take_note;
    bench.job.line = take_line;
    bench.job.resumes = true;
    assert_true(dir_make(path_join(&bench.arena, bench.dir, "verify"), NULL));
    return 0;
}

static int close_bench(void **state) {
    (void)state;
    proof_bench_close(&bench);
    return 0;
}

// The next run begins.
static void begin(void) {
    Err err = {0};
    proof_bench_reopen(&bench);
    *said = 0;
    if (!resume_open(&resume, &bench.proof, &err)) fail_msg("%s", err.text);
}

// A gate runs and has one result, and a section of the report; then the run breaks off.
static void run_gate(GateId id, bool passes, const char *text) {
    Err err = {0};
    Proof *p = &bench.proof;
    resume_forget(&resume, p, id);
    p->running = gates[id].name;
    proof_result(p, gates[id].name, passes, NULL, "all", "%s", text);
    proof_section(p, arena_printf(&bench.arena, "section %s", gates[id].name).at,
                  json_string(text));
    p->running = NULL;
    if (!progress_write(&resume, p, &err)) fail_msg("%s", err.text);
}

static void end(void) {
    resume_close(&resume);
}

static const char *record_path(const char *name) {
    return path_join(&bench.arena, path_join(&bench.arena, bench.dir, "verify"), name);
}

// What the proof has of a gate; NULL: nothing.
static const char *text_of(GateId id) {
    const json_t *results = json_object_get(bench.proof.gates, gates[id].name);
    return json_string_value(json_object_get(json_array_get(results, 0), "text"));
}

static const char *section_of(GateId id) {
    const char *name = arena_printf(&bench.arena, "section %s", gates[id].name).at;
    return json_string_value(json_object_get(bench.proof.sections, name));
}

static json_t *read_record(void) {
    json_t *record = json_read_file(record_path("progress.json"), NULL);
    assert_non_null(record);
    return record;
}

static void write_record(const char *name, json_t *record) {
    json_object_set_new(record, "sha256", json_string(json_own_sha256(record).hex));
    assert_true(json_write_file(record, record_path(name), NULL));
}

// ---- what is kept

static void test_what_passed_is_kept(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "cos=1");
    run_gate(GATE_head, false, "cos=0");
    run_gate(GATE_contract, true, "as stated");
    end();
    begin();
    assert_string_equal(said, ""); // a record counted
    assert_string_equal(text_of(GATE_graph), "cos=1");
    assert_string_equal(section_of(GATE_graph), "cos=1");
    assert_string_equal(section_of(GATE_head), "cos=0");
    assert_null(text_of(GATE_text));
    assert_null(bench.proof.running);

    n_lines = 0;
    assert_true(resume_keep(&resume, &bench.proof, GATE_graph));
    assert_string_equal(said, "graph|all|cos=1 (kept)");
    assert_int_equal(said_verdict, PROOF_PASSED);
    assert_true(json_real_value(json_object_get(bench.proof.seconds, "graph")) == 0 &&
                json_object_size(bench.proof.seconds) == 1);
    assert_false(resume_keep(&resume, &bench.proof, GATE_head));     // it failed
    assert_false(resume_keep(&resume, &bench.proof, GATE_text));     // it did not run
    assert_false(resume_keep(&resume, &bench.proof, GATE_contract)); // it always runs
    assert_false(resume_keep(NULL, &bench.proof, GATE_graph));
    bench.job.resumes = false;
    assert_false(resume_keep(&resume, &bench.proof, GATE_graph));
    bench.job.resumes = true;
    assert_int_equal(n_lines, 1);

    // A run that is asked for the gate anew drops its results and its section.
    resume_forget(&resume, &bench.proof, GATE_graph);
    assert_null(text_of(GATE_graph));
    assert_null(section_of(GATE_graph));
    assert_string_equal(section_of(GATE_head), "cos=0");
    assert_true(json_equal(json_object_get(resume.stated, "graph"),
                           json_object_get(resume.inputs, "graph")));
    end();
}

static void test_the_end_of_a_run_removes_its_progress(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "cos=1");
    progress_remove(&bench.proof);
    end();
    assert_false(path_exists(record_path("progress.json")));
    begin();
    assert_null(text_of(GATE_graph));
    assert_non_null(strstr(said, "no earlier result is kept, all gates run: "));
    assert_non_null(strstr(said, "report.json is missing"));
    end();
}

static void test_progress_says_where_the_run_is(void **state) {
    (void)state;
    Err err = {0};
    begin();
    bench.proof.running = "graph";
    assert_true(progress_write(&resume, &bench.proof, &err));
    bench.proof.running = NULL;
    end();
    json_t *record = read_record();
    static const char *const members[] = {"tool", "build", "kernels", "chain_sha256", "running"};
    const char *expected[] = {"lathe test", build_id, "scalar", bench.proof.bundle.chain.sha256.hex,
                              "graph"};
    for (size_t i = 0; i < COUNT_OF(members); i++)
        assert_string_equal(json_string_value(json_object_get(record, members[i])), expected[i]);
    json_decref(record);
}

// ---- which record counts

static void test_a_record_counts_as_it_was_written(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "cos=1");
    end();
    json_t *record = read_record();
    json_object_set_new(record, "tool", json_string("another"));
    assert_true(json_write_file(record, record_path("progress.json"), NULL));
    assert_int_equal(rename(record_path("progress.json"), record_path("report.json")), 0);
    begin();
    assert_null(text_of(GATE_graph));
    assert_non_null(strstr(said, "report.json was edited after it was written"));
    end();
    json_object_del(record, "sha256");
    assert_true(json_write_file(record, record_path("report.json"), NULL));
    begin();
    assert_null(text_of(GATE_graph));
    assert_non_null(strstr(said, "report.json has no sha256: an older version of lathe wrote it"));
    end();
    write_record("report.json", record);
    begin();
    assert_string_equal(text_of(GATE_graph), "cos=1");
    end();
    json_decref(record);
}

static void test_nothing_counts_over_files_that_changed(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "cos=1");
    end();
    FILE *file = fopen(path_join(&bench.arena, bench.dir, "host.gguf"), "r+b");
    assert_non_null(file);
    fseek(file, -1, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
    begin();
    assert_null(text_of(GATE_graph));
    assert_int_equal(json_object_size(resume.inputs), 0);
    assert_non_null(strstr(said, "no earlier result is kept, all gates run: "));
    assert_non_null(strstr(said, "host.gguf"));
    json_object_set_new(resume.stated, "graph", json_string("of before"));
    run_gate(GATE_graph, true, "cos=1"); // and what runs now counts for no later run
    end();
    json_t *record = read_record();
    assert_int_equal(json_object_size(json_object_get(record, "inputs")), 0);
    json_decref(record);
}

static void test_the_newest_results_over_these_inputs_come_first(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "older");
    run_gate(GATE_head, true, "older");
    end();
    json_t *older = read_record();
    write_record("report.json", older);
    begin();
    run_gate(GATE_graph, true, "newer");
    run_gate(GATE_head, true, "newer");
    end();
    json_t *newer = read_record();
    begin();
    assert_string_equal(text_of(GATE_graph), "newer");
    end();
    // Newer, but of a run over another text, say.
    json_object_set_new(json_object_get(newer, "inputs"), "graph", json_string("0"));
    write_record("progress.json", newer);
    begin();
    assert_string_equal(text_of(GATE_graph), "older");
    assert_string_equal(section_of(GATE_graph), "older");
    assert_string_equal(text_of(GATE_head), "newer");
    assert_true(resume_keep(&resume, &bench.proof, GATE_graph));
    end();
    json_decref(older);
    json_decref(newer);
}

// What ran over other inputs stays in the report, with those inputs, and runs again.
static void test_results_over_other_inputs_are_shown_and_not_kept(void **state) {
    (void)state;
    begin();
    run_gate(GATE_graph, true, "cos=1");
    end();
    json_t *right = read_record();
    static const struct {
        const char *member, *value;
        bool is_shown;
    } rows[] = {{"tool", "another", true},
                {"kernels", "another", true},
                {"chain_sha256", "0", false},
                {"build", "another", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *record = json_deep_copy(right);
        json_object_set_new(json_object_get(record, "inputs"), "graph", json_string("0"));
        json_object_set_new(record, rows[i].member, json_string(rows[i].value));
        write_record("progress.json", record);
        json_decref(record);
        begin();
        assert_int_equal(text_of(GATE_graph) != NULL, rows[i].is_shown);
        assert_false(resume_keep(&resume, &bench.proof, GATE_graph));
        const char *stated = json_string_value(json_object_get(resume.stated, "graph"));
        assert_int_equal(stated && strcmp(stated, "0") == 0, rows[i].is_shown);
        end();
    }
    // A gate without results, or without inputs, has nothing to show.
    for (int i = 0; i < 2; i++) {
        json_t *record = json_deep_copy(right);
        if (i)
            json_object_set_new(json_object_get(record, "gates"), "graph", json_array());
        else
            json_object_del(json_object_get(record, "inputs"), "graph");
        write_record("progress.json", record);
        json_decref(record);
        begin();
        assert_null(section_of(GATE_graph));
        assert_false(resume_keep(&resume, &bench.proof, GATE_graph));
        end();
    }
    json_decref(right);
}

// ---- what a gate's result depends on

static json_t *inputs_of_now(void) {
    Err err = {0};
    Resume r;
    if (!resume_open(&r, &bench.proof, &err)) fail_msg("%s", err.text);
    assert_int_equal(json_object_size(r.inputs), GATE_COUNT);
    json_t *inputs = json_incref(r.inputs);
    resume_close(&r);
    return inputs;
}

// A change of what a run is given changes the inputs of the gates that need it, and of no other.
static void expect_changes(const char *what, unsigned needs, const json_t *before) {
    json_t *now = inputs_of_now();
    for (int i = 0; i < GATE_COUNT; i++) {
        bool is_same =
            json_equal(json_object_get(now, gates[i].name), json_object_get(before, gates[i].name));
        if (is_same == ((gates[i].needs & needs) != 0))
            fail_msg("%s: inputs of gate %s %s", what, gates[i].name,
                     is_same ? "are as before" : "changed");
    }
    json_decref(now);
}

static void test_inputs_are_what_the_gate_needs(void **state) {
    (void)state;
    enum { ALL = ~0u };
    Proof *p = &bench.proof;
    Chain *c = &p->bundle.chain;
    json_t *before = inputs_of_now();
    expect_changes("nothing", 0, before);
    for (int i = 0; i < GATE_COUNT; i++) // no two gates have the same
        for (int k = 0; k < i; k++)
            assert_false(json_equal(json_object_get(before, gates[i].name),
                                    json_object_get(before, gates[k].name)));

    p->kernels = "other";
    expect_changes("kernels", (unsigned)ALL, before);
    p->kernels = "scalar";
    p->model.contract.norm_eps *= 2;
    expect_changes("contract", (unsigned)ALL, before);
    p->model.contract.norm_eps /= 2;
    Sha256 source = p->source_sha256;
    p->source_sha256.hex[0] ^= 1;
    expect_changes("source", GATE_NEEDS_SOURCE, before);
    p->source_sha256 = source;
    const char *const settings[] = {"a.key=3", "b.key=4"}, *const joined[] = {"a.key=3b.key=4"};
    c->settings = (GgufSettings){.set = settings, .n_set = 1};
    expect_changes("--set", GATE_NEEDS_SOURCE, before);
    c->settings = (GgufSettings){.ignored = settings, .n_ignored = 1};
    expect_changes("--ignore-key", GATE_NEEDS_SOURCE, before);
    json_t *one = inputs_of_now();
    c->settings.n_ignored = 2;
    expect_changes("two keys for one", GATE_NEEDS_SOURCE, one);
    json_decref(one);
    c->settings = (GgufSettings){.set = settings, .n_set = 2};
    json_t *two = inputs_of_now();
    c->settings.n_set = 1;
    expect_changes("one setting for two", GATE_NEEDS_SOURCE, two);
    c->settings = (GgufSettings){.set = joined, .n_set = 1};
    expect_changes("two settings in one", GATE_NEEDS_SOURCE, two);
    json_decref(two);
    c->settings = (GgufSettings){0};
    Str digest = c->host.sha256;
    c->host.sha256 = STR("0");
    expect_changes("host.gguf", GATE_NEEDS_HOST, before);
    c->host.sha256 = digest;
    ChainShard *last = &c->shards[c->n_shards - 1];
    digest = last->files[last->n_files - 1].sha256;
    last->files[last->n_files - 1].sha256 = STR("0");
    expect_changes("a file of a package", GATE_NEEDS_PACKAGES, before);
    last->files[last->n_files - 1].sha256 = digest;
    Sha256 chain = c->sha256;
    c->sha256.hex[0] ^= 1;
    expect_changes("chain.json", GATE_NEEDS_PACKAGES, before);
    c->sha256 = chain;
    p->use.context++;
    expect_changes("use", GATE_NEEDS_USE, before);
    p->use.context--;
    bench.job.is_vote_long = true;
    expect_changes("--vote-long", GATE_NEEDS_VOTE_LONG, before);
    bench.job.is_vote_long = false;
    bench.job.vote_text = bench.model;
    expect_changes("--vote-text", GATE_NEEDS_VOTE_TEXT, before);
    bench.job.vote_text = NULL;
    const char **const files[] = {&bench.job.second.config, &bench.job.second.generation,
                                  &bench.job.second.tokenizer, &bench.job.second.chat_template};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        *files[i] = bench.model;
        expect_changes("a publisher's file", GATE_NEEDS_PUBLISHER, before);
        json_t *given = inputs_of_now();
        *files[i] = path_join(&bench.arena, bench.dir, "host.gguf");
        expect_changes("another file of the publisher", GATE_NEEDS_PUBLISHER, given);
        json_decref(given);
        *files[i] = "/nowhere/file";
        expect_changes("no file", 0, before);
        *files[i] = NULL;
    }
    expect_changes("nothing", 0, before);
    json_decref(before);
}

// One digest in full. What a test cannot change, the build and the gates' numbers, is in it too.
static void test_inputs_of_the_gate_structure(void **state) {
    (void)state;
    const Chain *c = &bench.proof.bundle.chain;
    StrBuf text = {0};
    strbuf_printf(&text, "%s\n%s\n%s\n%d\n%s\n%.*s\n", build_id, "scalar", "structure",
                  (int)gates[GATE_structure].schema, contract_digest(&c->contract).hex,
                  STR_ARG(c->host.sha256));
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t f = 0; f < c->shards[s].n_files; f++)
            strbuf_printf(&text, "%.*s\n%.*s\n", STR_ARG(c->shards[s].files[f].path),
                          STR_ARG(c->shards[s].files[f].sha256));
    strbuf_printf(&text, "%s\n", c->sha256.hex);
    json_t *inputs = inputs_of_now();
    assert_string_equal(json_string_value(json_object_get(inputs, "structure")),
                        sha256_bytes(text.at, text.len).hex);
    json_decref(inputs);
    strbuf_free(&text);
}

static void test_a_text_that_cannot_be_read_ends_the_run(void **state) {
    (void)state;
    Err err = {0};
    bench.job.vote_text = "/nowhere/text";
    assert_false(resume_open(&resume, &bench.proof, &err));
    assert_non_null(strstr(err.text, "/nowhere/text"));
    resume_close(&resume);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        TEST(test_what_passed_is_kept),
        TEST(test_the_end_of_a_run_removes_its_progress),
        TEST(test_progress_says_where_the_run_is),
        TEST(test_a_record_counts_as_it_was_written),
        TEST(test_nothing_counts_over_files_that_changed),
        TEST(test_the_newest_results_over_these_inputs_come_first),
        TEST(test_results_over_other_inputs_are_shown_and_not_kept),
        TEST(test_inputs_are_what_the_gate_needs),
        TEST(test_inputs_of_the_gate_structure),
        TEST(test_a_text_that_cannot_be_read_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
