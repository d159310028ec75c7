// report.json as types: each member lands in its place, and what is absent or of another type is read as
// nothing, never as something.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "report/report_read.h"

static Arena arena;
static json_t *json; // what the report of the test looks into

static Report report_of(const char *text) {
    Report report;
    json_decref(json);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    report_read(&report, json, &arena);
    return report;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(json);
    json = NULL;
    arena_free(&arena);
    return 0;
}

static void assert_number(double found, double expected) {
    if (!(found == expected || (isnan(found) && isnan(expected))))
        fail_msg("%g, expected %g", found, expected);
}

static void test_results_of_a_gate(void **state) {
    (void)state;
    Report r = report_of(
        "{\"passed\": true, \"gates\": {\"graph\": [{\"scope\": \"layers 00..01\", \"text\": "
        "\"t\", "
        "\"passed\": true, \"verdict\": \"passed\", \"figures\": {\"cos\": 0.5, \"least_cos\": 1, "
        "\"rmse\": null, \"max_abs\": \"3\"}}, {\"scope\": \"x\", \"passed\": false, \"verdict\": "
        "\"failed\"}, {\"passed\": true, \"verdict\": \"unproved\"}, {\"passed\": true, "
        "\"verdict\": "
        "\"note\"}, {\"passed\": true}, {\"verdict\": \"passed\"}, {\"passed\": true, \"verdict\": "
        "\"other\"}], \"text\": [{\"passed\": true, \"figures\": {\"question\": \"q\", "
        "\"source_answer\": \"a\", \"bundle_answer\": \"b\", \"packed\": 1, \"setting\": \"s\", "
        "\"coverage\": 1, \"contradict\": 1, \"steps\": 7}}], \"no such gate\": [{}]}}");
    assert_true(r.passed && r.has_gates);
    const ReportResults *graph = &r.gates[GATE_graph];
    static const ProofVerdict verdicts[] = {PROOF_PASSED, PROOF_FAILED, PROOF_UNPROVED, PROOF_NOTE,
                                            PROOF_PASSED, PROOF_FAILED, PROOF_FAILED};
    assert_int_equal(graph->n, COUNT_OF(verdicts));
    for (size_t i = 0; i < COUNT_OF(verdicts); i++)
        assert_int_equal(graph->list[i].verdict, verdicts[i]);
    const ReportResult *first = &graph->list[0];
    assert_string_equal(first->scope, "layers 00..01");
    assert_string_equal(first->text, "t");
    assert_true(first->passed && !graph->list[1].passed && !graph->list[5].passed);
    assert_number(first->figures[FIGURE_cos], 0.5);
    assert_number(first->figures[FIGURE_least_cos], 1);
    assert_number(first->figures[FIGURE_rmse], NAN);
    assert_number(first->figures[FIGURE_max_abs], NAN); // a string is no number
    assert_true(!*first->question && !first->is_perplexity && !first->is_setting &&
                !first->is_coverage && !first->is_contradiction);
    const ReportResult *text = &r.gates[GATE_text].list[0];
    assert_string_equal(text->question, "q");
    assert_string_equal(text->source_answer, "a");
    assert_string_equal(text->bundle_answer, "b");
    assert_true(text->is_perplexity && text->is_setting && text->is_coverage &&
                text->is_contradiction);
    assert_number(text->figures[FIGURE_steps], 7);
    assert_int_equal(r.gates[GATE_head].n, 0);
}

static void test_bundle_run_and_commands(void **state) {
    (void)state;
    Report r = report_of(
        "{\"tool\": \"l\", \"source_sha256\": \"s\", \"contract_sha256\": \"c\", \"bundle\": "
        "{\"name\": "
        "\"n\", \"architecture\": \"phi3\", \"layers\": 4, \"d_model\": 128, \"source\": "
        "{\"name\": "
        "\"m\", \"bytes\": 9}, \"options\": {\"context\": 64, \"target\": \"t\", \"weights\": "
        "\"w\"}, "
        "\"package_limit\": 10, \"host_bytes\": 11, \"state_bytes\": 12, \"packages\": "
        "[{\"package\": "
        "\"p\", \"bytes\": 13}]}, \"run\": {\"started\": \"d\", \"machine\": \"x\", \"asked\": "
        "\"all\", "
        "\"seconds\": 1.5, \"threads\": 2, \"peak_bytes\": 3, \"gates\": {\"head\": 0.25}}, "
        "\"commands\": {\"bundle\": \"b\", \"source\": \"'s'\", \"convert\": \"lathe convert\"}}");
    const ReportBundle *b = &r.bundle;
    const char *const texts[][2] = {
        {r.tool, "l"},        {r.source_sha256, "s"},    {r.contract_sha256, "c"},
        {b->name, "n"},       {b->architecture, "phi3"}, {b->source_name, "m"},
        {b->target, "t"},     {b->weights, "w"},         {b->packages[0].path, "p"},
        {r.run.started, "d"}, {r.run.machine, "x"},      {r.run.asked, "all"},
        {r.bundle_word, "b"}, {r.source_word, "'s'"},    {r.convert_word, "lathe convert"},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) assert_string_equal(texts[i][0], texts[i][1]);
    const double numbers[][2] = {
        {b->n_layers, 4},
        {b->d_model, 128},
        {b->source_bytes, 9},
        {b->context, 64},
        {b->package_limit, 10},
        {b->host_bytes, 11},
        {b->state_bytes, 12},
        {b->packages[0].n_bytes, 13},
        {r.run.seconds, 1.5},
        {r.run.n_threads, 2},
        {r.run.peak_bytes, 3},
        {r.run.gate_seconds[GATE_head], 0.25},
        {r.run.gate_seconds[GATE_text], NAN},
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) assert_number(numbers[i][0], numbers[i][1]);
    assert_true(r.has_bundle && r.has_run && !r.has_gates && b->n_packages == 1);
}

static void test_contract_witnesses_use_and_vote(void **state) {
    (void)state;
    Report r = report_of(
        "{\"contract\": [{\"field\": \"f\", \"value\": \"v\", \"unit\": \"u\", \"kind\": \"k\", "
        "\"from\": \"w\", \"meaning\": \"m\"}], \"agreement\": {\"config.json\": [{\"field\": "
        "\"f\", "
        "\"verdict\": \"agree\", \"gguf\": \"1\", \"gguf_from\": \"2\", \"config\": \"3\", "
        "\"config_from\": \"4\", \"note\": \"5\"}, {\"verdict\": \"contradict\"}, {\"verdict\": "
        "\"only the GGUF says\"}, {\"verdict\": \"derived\"}]}, \"use\": {\"temp\": {\"value\": "
        "\"0\", "
        "\"source\": \"o\", \"publisher\": \"1\"}}, \"vote\": {\"margin\": 0.1, \"errors\": 3, "
        "\"rows\": "
        "[{\"reading\": \"r\", \"field\": \"f\", \"meaning\": \"m\", \"verdict\": \"worse\", "
        "\"delta\": 2, \"error\": 0.5}, {\"verdict\": \"not told apart\"}, {\"verdict\": "
        "\"better\"}, {}], \"texts\": [{\"kind\": \"prose\", \"scored\": 8, \"nats\": 1.25, "
        "\"known\": true}]}}");
    assert_true(r.n_fields == 1 && r.n_sources == 1 && r.sources[0].n_rows == 4 && r.n_use == 1);
    assert_string_equal(r.fields[0].field, "f");
    assert_string_equal(r.fields[0].meaning, "m");
    const ReportAgreement *row = r.sources[0].rows;
    assert_string_equal(r.sources[0].name, "config.json");
    assert_string_equal(row->gguf, "1");
    assert_string_equal(row->gguf_from, "2");
    assert_string_equal(row->config, "3");
    assert_string_equal(row->config_from, "4");
    assert_string_equal(row->note, "5");
    static const AgreementKind kinds[] = {AGREEMENT_AGREES, AGREEMENT_CONTRADICTS,
                                          AGREEMENT_FILE_ALONE, AGREEMENT_OTHER};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) assert_int_equal(row[i].kind, kinds[i]);
    assert_string_equal(r.use[0].name, "temp");
    assert_string_equal(r.use[0].publisher, "1");
    static const VoteKind fits[] = {VOTE_WORSE, VOTE_EVEN, VOTE_BETTER, VOTE_OTHER};
    assert_int_equal(r.vote.n_rows, COUNT_OF(fits));
    for (size_t i = 0; i < COUNT_OF(fits); i++) assert_int_equal(r.vote.rows[i].kind, fits[i]);
    assert_string_equal(r.vote.rows[0].reading, "r");
    assert_number(r.vote.rows[0].delta, 2);
    assert_number(r.vote.rows[0].error, 0.5);
    assert_number(r.vote.margin, 0.1);
    assert_number(r.vote.errors, 3);
    assert_true(r.vote.n_texts == 1 && r.vote.texts[0].is_known && r.vote_long.n_rows == 0);
    assert_number(r.vote.texts[0].n_scored, 8);
    assert_number(r.vote.texts[0].nats, 1.25);
}

static void test_figures_of_layers_and_ops(void **state) {
    (void)state;
    Report r = report_of(
        "{\"graph_errors\": {\"graph_fp32\": {\"cos\": [1, null], \"rmse\": [0.5]}}, "
        "\"golden_errors\": {\"total\": {\"group_off\": [2, 3, 4]}}, \"conditioning\": "
        "{\"tokens\": 99, "
        "\"layers\": [{\"layer\": 0, \"stream\": [8, 4], \"attn_sum\": [7, null], \"ffn_sum\": "
        "[6], "
        "\"gated\": 5}]}, \"range\": {\"named\": [{\"op\": \"o\", \"kind\": \"k\", \"role\": "
        "\"r\", "
        "\"room_bits\": 3, \"largest_out\": 2, \"limit\": 16}], \"tightest\": [{}, {}]}}");
    assert_true(r.has_errors && r.errors[ERRORS_GRAPH_FP32].is_given &&
                !r.errors[ERRORS_GRAPH].is_given && r.errors[ERRORS_TOTAL].is_given);
    const ReportErrors *graph = &r.errors[ERRORS_GRAPH_FP32];
    assert_int_equal(graph->n_values[FIGURE_cos], 2);
    assert_number(graph->values[FIGURE_cos][0], 1);
    assert_number(graph->values[FIGURE_cos][1], NAN);
    assert_number(graph->values[FIGURE_rmse][0], 0.5);
    assert_number(r.errors[ERRORS_TOTAL].values[FIGURE_group_off][2], 4);
    assert_int_equal(graph->n_values[FIGURE_group_off], 0);
    static const double largest[RANGE_COUNT][2] = {[RANGE_STREAM] = {8, 4},
                                                   [RANGE_ATTN_SUM] = {7, NAN},
                                                   [RANGE_FFN_SUM] = {6, NAN},
                                                   [RANGE_GATED] = {NAN, NAN}};
    assert_int_equal(r.n_ranges, 1);
    for (size_t k = 0; k < RANGE_COUNT; k++)
        for (size_t which = MEASURED; which <= CARRIED; which++)
            assert_number(r.ranges[0].largest[k][which], largest[k][which]);
    assert_number(r.n_range_tokens, 99);
    assert_true(r.named.n == 1 && r.tightest.n == 2);
    assert_string_equal(r.named.list[0].role, "r");
    assert_number(r.named.list[0].room_bits, 3);
    assert_number(r.named.list[0].largest, 2);
    assert_number(r.named.list[0].limit, 16);
}

static void test_placement_mutants_and_devices(void **state) {
    (void)state;
    Report r = report_of(
        "{\"placement\": {\"target\": \"t\", \"rules\": {\"A1\": {\"effect\": \"e\", \"text\": "
        "\"x\", "
        "\"seen\": \"M4\", \"confidence\": \"high\", \"source\": \"s\"}}, \"shards\": "
        "[{\"package\": "
        "\"p\", \"bytes\": 5, \"functions\": [{\"name\": \"decode\", \"evicted_by\": \"A1\", "
        "\"conv_ane\": 1, \"conv_total\": 2, \"compute_ane\": 3, \"compute_total\": 4, "
        "\"index_ops\": "
        "5, \"estimate\": {\"verdict\": \"cpu\", \"ane_ms\": 6, \"cpu_ms\": 7}, \"conv_bytes\": 8, "
        "\"slow_bytes\": 9, \"map\": {\"first_layer\": 2, \"layers\": 1, \"rows\": [[\"op\", "
        "\"kind\", \"aa\"], [1, 2, 3]]}, \"findings\": [{\"rule\": \"A1\", \"count\": 3, "
        "\"first\": "
        "\"f\", \"detail\": \"d\"}, {\"rule\": \"none\"}]}]}]}, \"mutants\": {\"gates\": "
        "[\"graph\", "
        "\"text\"], \"mutants\": [{\"name\": \"m\", \"kind\": \"k\", \"doc\": \"d\", \"killed\": "
        "true, "
        "\"gates\": {\"text\": \"failed\", \"graph\": \"passed\"}}, {\"gates\": {\"graph\": \"not "
        "run\"}}], \"not_applicable\": [{\"name\": \"n\", \"why\": \"w\"}]}, \"device\": "
        "{\"runs\": "
        "[{\"machine\": {\"is_device\": true, \"chip\": \"c\", \"ane_cores\": 16}, \"ended\": "
        "\"e\", "
        "\"passed\": true, \"gates\": {\"residency\": [{\"passed\": true}]}}]}}");
    const ReportFunction *f = r.shards[0].functions;
    assert_string_equal(r.placement_target, "t");
    assert_string_equal(f->evicted_by, "A1");
    assert_string_equal(f->estimate, "cpu");
    const double numbers[] = {f->conv_ane,      f->conv_total, f->compute_ane,
                              f->compute_total, f->index_ops,  f->ane_ms,
                              f->cpu_ms,        f->conv_bytes, f->slow_bytes};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) assert_number(numbers[i], (double)i + 1);
    assert_true(f->first_layer == 2 && f->n_layers == 1 && f->n_rows == 2);
    assert_string_equal(f->rows[0].kind, "kind");
    assert_string_equal(f->rows[1].op, "");
    assert_string_equal(f->findings[0].confidence, "high");
    assert_string_equal(f->findings[0].source, "s");
    assert_string_equal(f->findings[1].rule, "none");
    assert_string_equal(f->findings[1].text, "");
    const ReportMutants *m = &r.mutants;
    assert_true(m->n == 2 && m->n_gates == 2 && m->n_left_out == 1);
    assert_true(m->list[0].is_killed && !m->list[1].is_killed);
    assert_int_equal(m->list[0].cells[0], REPORT_PASSED);
    assert_int_equal(m->list[0].cells[1], REPORT_FAILED);
    assert_int_equal(m->list[1].cells[0], REPORT_NOT_RUN);
    assert_string_equal(m->left_out[0].why, "w");
    assert_true(r.n_device_runs == 1 && r.device_runs[0].is_device && r.device_runs[0].passed);
    assert_string_equal(r.device_runs[0].chip, "c");
    assert_number(r.device_runs[0].n_ane_cores, 16);
    assert_int_equal(r.device_runs[0].gates[DEVICE_GATE_residency].n, 1);
}

static void assert_nothing(const char *text) {
    Report r = report_of(text);
    assert_true(!r.passed && !r.has_gates && !r.has_errors);
    assert_true(r.n_fields + r.n_sources + r.n_use + r.vote.n_rows + r.n_ranges + r.named.n +
                    r.n_shards + r.mutants.n + r.n_device_runs + r.bundle.n_packages ==
                0);
    assert_string_equal(r.tool, "");
    assert_string_equal(r.bundle.name, "");
    assert_number(r.bundle.n_layers, NAN);
    assert_number(r.run.seconds, NAN);
    for (int i = 0; i < GATE_COUNT; i++) assert_int_equal(r.gates[i].n, 0);
}

static void test_what_is_not_there_is_nothing(void **state) {
    (void)state;
    assert_nothing("{}");
    assert_nothing("[]");
    assert_nothing(
        "{\"passed\": 1, \"tool\": 3, \"gates\": [], \"bundle\": [1], \"run\": \"x\", "
        "\"contract\": {\"a\": 1}, \"agreement\": [1], \"use\": 3, \"vote\": [], "
        "\"range\": {\"named\": {}}, \"conditioning\": 1, \"placement\": {\"shards\": 1}, "
        "\"mutants\": {\"mutants\": {}}, \"device\": {\"runs\": {}}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_results_of_a_gate, tear_down),
        cmocka_unit_test_teardown(test_bundle_run_and_commands, tear_down),
        cmocka_unit_test_teardown(test_contract_witnesses_use_and_vote, tear_down),
        cmocka_unit_test_teardown(test_figures_of_layers_and_ops, tear_down),
        cmocka_unit_test_teardown(test_placement_mutants_and_devices, tear_down),
        cmocka_unit_test_teardown(test_what_is_not_there_is_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
