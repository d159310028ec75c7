// The page as a whole: whatever stands in report.json, or does not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "report/report.h"

static char *page_of(StrBuf *out, const char *json) {
    json_t *report = json_loads(json, 0, NULL);
    assert_non_null(report);
    report_page(report, out);
    json_decref(report);
    return out->at;
}

static void test_an_empty_report_says_what_would_fill_it(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(&out, "{}");
    assert_non_null(strstr(page, "Nothing was compared"));
    assert_non_null(strstr(page, "Not run. <code>lathe verify BUNDLE"));
    assert_null(strstr(page, "Proved"));
    strbuf_free(&out);
}

static const char some[] =
    "{\"passed\": %s, \"bundle\": {\"name\": \"b.lathe\"}, \"commands\": {\"bundle\": "
    "\"b.lathe\"}, \"gates\": {\"graph\": [{\"scope\": "
    "\"layers 00..01\", \"passed\": %s, \"text\": \"cos=0.9\", \"figures\": {\"cos\": 0.9999999, "
    "\"worst_cos\": 0.9999996, \"least_cos\": 0.999999, \"least_worst\": 0.999999, \"rmse\": 0.1, "
    "\"max_abs\": 1}}]}}";

static void fill(StrBuf *json, const char *passed) {
    strbuf_printf(json, some, passed, passed);
}

static void test_a_part_is_no_proof(void **state) {
    (void)state;
    StrBuf out = {0}, json = {0};
    fill(&json, "true");
    const char *page = page_of(&out, json.at);
    assert_non_null(strstr(page, "Partly checked"));
    assert_null(strstr(page, "✓ Proved"));
    assert_non_null(strstr(page, "40 % of the error"));
    assert_non_null(strstr(page, "Gates that did not run: "));
    assert_non_null(strstr(page, "Not run. <code>lathe verify b.lathe --mutants all</code>"));
    strbuf_free(&out);
    strbuf_free(&json);
}

static void test_a_failure_is_the_first_thing_said(void **state) {
    (void)state;
    StrBuf out = {0}, json = {0};
    fill(&json, "false");
    const char *page = page_of(&out, json.at);
    const char *verdict = strstr(page, "✗ Not proved");
    assert_non_null(verdict);
    // … then what failed and what helps, before anything else.
    const char *failed = strstr(page, "<li>layers 00..01: cos=0.9</li>");
    const char *help = strstr(page, "<code>lathe verify b.lathe --gates graph --blame</code>");
    assert_true(failed && help && verdict < failed && failed < help);
    assert_true(help < strstr(page, "class=\"tiles\""));
    assert_true(help < strstr(page, "Where it is weak"));
    strbuf_free(&out);
    strbuf_free(&json);
}

// Every string of a report is hostile, in every section that shows strings.
static void test_nothing_of_a_report_becomes_markup(void **state) {
    (void)state;
    static const char evil[] =
        "{\"tool\": \"<x1>\", \"source_sha256\": \"<x2>\", \"contract_sha256\": \"<x3>\","
        "\"bundle\": {\"name\": \"<x4>\", \"architecture\": \"<x5>\", \"source\": {\"name\": "
        "\"<x6>\"}, \"options\": {\"target\": \"<x7>\", \"weights\": \"<x8>\"}, \"packages\": "
        "[{\"package\": \"<x9>\", \"bytes\": 1}], \"package_limit\": 2, \"host_bytes\": 1},"
        "\"gates\": {\"text\": [{\"scope\": \"<x10>\", \"passed\": false, \"text\": \"<x11>\", "
        "\"figures\": {\"steps\": 3, \"differing\": 1, \"worst_margin\": 1, \"logit_noise\": 1}}], "
        "\"graph\": [{\"scope\": \"<x12>\", \"text\": \"<x13>\"}]},"
        "\"contract\": [{\"field\": \"<x14>\", \"value\": \"<x15>\", \"unit\": \"<x16>\", "
        "\"kind\": \"<x17>\", \"from\": \"<x18>\", \"meaning\": \"<x19>\"}],"
        "\"run\": {\"started\": \"<x20>\", \"machine\": \"<x21>\", \"asked\": \"<x22>\"},"
        "\"placement\": {\"target\": \"<x23>\", \"rules\": {\"<x24>\": {\"effect\": \"<x25>\", "
        "\"text\": \"<x26>\", \"seen\": \"<x27>\", \"confidence\": \"<x28>\", \"source\": "
        "\"<x29>\"}}, \"shards\": [{\"package\": \"<x30>\", \"functions\": [{\"name\": \"<x31>\", "
        "\"evicted_by\": \"<x32>\", \"estimate\": {\"verdict\": \"<x33>\"}, \"findings\": "
        "[{\"rule\": \"<x24>\", \"first\": \"<x34>\", \"detail\": \"<x35>\"}], \"map\": "
        "{\"layers\": 1, \"first_layer\": 0, \"rows\": [[\"<x36>\", \"<x37>\", \"aa\"]]}}]}]},"
        "\"vote\": {\"texts\": [{\"kind\": \"<x38>\"}], \"rows\": [{\"reading\": \"<x40>\", "
        "\"meaning\": \"<x41>\", \"field\": \"<x42>\", \"verdict\": \"<x43>\"}]},"
        "\"range\": {\"named\": [{\"op\": \"<x49>\", \"kind\": \"<x50>\", \"role\": \"<x51>\"}]}, "
        "\"agreement\": {\"<x44>\": [{\"field\": \"<x14>\", \"verdict\": \"contradict\", "
        "\"gguf\": \"<x55>\", \"gguf_from\": \"<x56>\", \"config\": \"<x57>\", \"config_from\": "
        "\"<x58>\", \"note\": \"<x45>\"}]}, "
        "\"mutants\": {\"gates\": [\"<x46>\"], \"mutants\": [{\"name\": \"<x47>\", "
        "\"doc\": \"<x48>\", \"gates\": {\"<x46>\": \"<x52>\"}}], \"not_applicable\": "
        "[{\"name\": \"<x53>\", \"why\": \"<x54>\"}]}}";
    StrBuf out = {0};
    const char *page = page_of(&out, evil);
    assert_null(strstr(page, "<x"));
    // … and each was shown or left out on purpose, not lost: spot checks of every section.
    static const char *const shown[] = {"x1&",  "x4&",  "x6&",  "x9&",  "x10&", "x13&", "x15&",
                                        "x21&", "x26&", "x30&", "x35&", "x36&", "x38&", "x40&",
                                        "x45&", "x46&", "x47&", "x48&", "x49&", "x53&", "x54&",
                                        "x44&", "x55&", "x56&", "x57&", "x58&"};
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        if (!strstr(page, shown[i])) fail_msg("%s is not in the page", shown[i]);
    strbuf_free(&out);
}

static void test_survivors_come_first(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page =
        page_of(&out, "{\"mutants\": {\"gates\": [\"graph\", \"text\"], \"mutants\": ["
                      "{\"name\": \"dead\", \"kind\": \"rows\", \"killed\": true, \"gates\": "
                      "{\"graph\": \"failed\", \"text\": \"not run\"}}, {\"name\": \"alive\", "
                      "\"kind\": \"rows\", \"killed\": false, "
                      "\"gates\": {\"graph\": \"passed\", \"text\": \"passed\"}}]}}");
    assert_non_null(strstr(page, "<b class=\"no\">1 of 2 planted errors were noticed"));
    assert_non_null(strstr(page, "1 of 2 <a href=\"#mutants\">planted errors</a> survived"));
    const char *alive = strstr(page, "<td><b>alive</b>"), *dead = strstr(page, "<td><b>dead</b>");
    assert_true(alive && dead && alive < dead);
    assert_non_null(strstr(dead, "<td class=\"hit\">●</td><td class=\"miss\"></td></tr>"));
    assert_non_null(strstr(alive, "<td class=\"miss\">·</td><td class=\"miss\">·</td></tr>"));
    strbuf_free(&out);
}

// Each class has its line, its number a gate, and what one gate alone noticed is counted.
static void test_planted_errors_are_counted_by_class_and_gate(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(
        &out, "{\"mutants\": {\"gates\": [\"graph\", \"head\"], \"mutants\": ["
              "{\"name\": \"a\", \"kind\": \"host\", \"killed\": true, \"gates\": {\"graph\": "
              "\"failed\", \"head\": \"failed\"}}, {\"name\": \"b\", \"kind\": \"host\", "
              "\"killed\": true, \"gates\": {\"graph\": \"passed\", \"head\": \"failed\"}}, "
              "{\"name\": \"c\", \"kind\": \"new\", \"killed\": true, \"gates\": {\"graph\": "
              "\"failed\"}}], \"not_applicable\": [{\"name\": \"d\", \"why\": \"too small\"}, "
              "{\"name\": \"e\", \"why\": \"too small\"}]}}");
    assert_non_null(strstr(page,
                           "host's arithmetic</b><small class=\"\">2 of 2 noticed</small></td>"
                           "<td class=\"some\">1</td><td class=\"some\">2</td></tr>"));
    // A class that the page does not know is shown all the same.
    assert_non_null(strstr(page, "others</b><small class=\"\">1 of 1 noticed</small></td>"
                                 "<td class=\"some\">1</td><td class=\"miss\">·</td></tr>"));
    assert_non_null(strstr(page, "no other gate notices them</small></td>"
                                 "<td class=\"some\">1</td><td class=\"some\">1</td></tr>"));
    assert_non_null(strstr(page, "<li><b>too small</b>: d e</li>"));
    strbuf_free(&out);
}

static const char contradicted[] =
    "{\"passed\": false, \"bundle\": {\"name\": \"b.lathe\"}, \"commands\": {\"bundle\": "
    "\"b.lathe\"}, \"gates\": {\"contract\": ["
    "{\"scope\": \"rope_dim\", \"passed\": false, \"text\": \"24 or 32\"}, {\"scope\": "
    "\"publisher\", \"passed\": false, \"text\": \"1 contradict\", \"figures\": {\"contradict\": "
    "1}}, {\"scope\": \"source\", \"passed\": false, \"text\": \"another file\"}]}, "
    "\"contract\": [{\"field\": \"norm_eps\", \"value\": \"1e-05\"}, {\"field\": \"rope_base\"}, "
    "{\"field\": \"rope_dim\", \"value\": \"32\", \"kind\": \"key\", \"from\": \"rope.dim\"}], "
    "\"vote\": {\"rows\": [{\"field\": \"norm_eps\", \"verdict\": \"not told apart\"}, {\"field\": "
    "\"rope_base\", \"verdict\": \"not told apart\"}, {\"field\": \"rope_dim\", \"verdict\": "
    "\"better\"}, {\"field\": \"rope_dim\", \"verdict\": \"worse\"}]}, "
    "\"agreement\": {\"files given\": [{\"field\": \"norm_eps\", \"verdict\": \"agree\", "
    "\"config_from\": \"c: rms\"}, {\"field\": \"rope_base\", \"verdict\": \"only the GGUF "
    "says\"}, {\"field\": \"rope_dim\", \"verdict\": \"contradict\", \"gguf\": \"32\", "
    "\"gguf_from\": \"key\", \"config\": \"24\", \"config_from\": \"c: partial\"}]}}";

static void test_contradictions_come_first(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(&out, contradicted);
    const char *top =
        strstr(page, "<li><b>rope_dim</b> is <b>32</b> in the model file (key), but "
                     "<b>24</b> by its second source (c: partial). The model predicts "
                     "text better under a misreading than under the model file's value: the "
                     "file is probably wrong.</li>");
    assert_non_null(top);
    assert_true(top < strstr(page, "class=\"tiles\""));
    // Said once at the top: not again as the gate's line; what else failed there stands beside it.
    const char *tiles = strstr(page, "class=\"tiles\"");
    assert_true(strstr(page, "24 or 32") > tiles && strstr(page, "1 contradict<") > tiles);
    assert_true(strstr(page, "<li>source: another file</li>") < tiles);
    assert_non_null(strstr(page,
                           "<b class=\"no\">1 field contradicts</b>, 1 agree, 1 only the model "
                           "file states."));
    // In the table, too, it stands before the fields that are in order.
    const char *table = strstr(page, "All 3 fields");
    const char *wrong = strstr(table, "<b>rope_<wbr>dim</b>");
    assert_true(wrong < strstr(table, "<b>norm_<wbr>eps</b>"));
    assert_non_null(
        strstr(wrong, "<td data-l=\"2nd source\"><b class=\"no\">✗ contradicts: 24</b>"));
    assert_non_null(
        strstr(wrong, "<td data-l=\"weights\"><b class=\"no\">✗ 1 of 2 predict better"));
    strbuf_free(&out);
}

// A field that the weights do not mind and no second source confirms is named; the confirmed and
// the contradicted are not.
static void test_fields_with_no_second_witness_are_weak(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(&out, contradicted);
    assert_non_null(strstr(page, "nor a second source confirm these values: rope_base.</li>"));
    assert_null(strstr(page, "No <a href=\"#contract\">second source"));
    strbuf_free(&out);
    page = page_of(&out, "{\"contract\": [{\"field\": \"norm_eps\"}]}");
    assert_non_null(strstr(page, "No <a href=\"#contract\">second source"));
    strbuf_free(&out);
}

// A result about something else in a layer is no point of its error's line.
static void test_only_ranges_of_layers_are_plotted(void **state) {
    (void)state;
    static const struct {
        const char *scope;
        bool is_plotted;
    } cases[] = {{"layer 3", true},       {"layers 00..03", true}, {"layer 00, and more", false},
                 {"layers 0..1x", false}, {"layers 2..1", false},  {"layer", false},
                 {"text", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        StrBuf out = {0}, json = {0};
        strbuf_printf(
            &json, "{\"gates\": {\"graph\": [{\"scope\": \"%s\", \"figures\": {\"cos\": 0.5}}]}}",
            cases[i].scope);
        assert_int_equal(strstr(page_of(&out, json.at), "<circle") != NULL, cases[i].is_plotted);
        strbuf_free(&out);
        strbuf_free(&json);
    }
}

// With errors a layer there is a point a layer, and each part has the bound of its own results.
static void test_errors_layer_by_layer(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(
        &out,
        "{\"gates\": {\"graph\": [{\"scope\": \"layers 00..02\", \"figures\": {\"cos\": 0.5, "
        "\"least_cos\": 0.9}}], \"layer golden\": [{\"scope\": \"layers 00..02\", \"figures\": "
        "{\"least_cos\": 0.5}}, {\"scope\": \"weights\", \"figures\": {\"rms\": 0.5}}, "
        "{\"scope\": \"weights 00..02\", \"figures\": {\"least_cos\": "
        "0.99, \"most_off\": 0.5}}]}, \"graph_errors\": {\"graph_fp32\": {\"cos\": [0.999, 0.99, "
        "null]}}, \"golden_errors\": {\"weights\": {\"cos\": [0.98, 0.97, 0.96], \"group_off\": "
        "[0.1, 0.2, 0.3]}}}");
    static const char *const points[] = {
        "graph fp32, layer 0: 0.001", "graph fp32, layer 1: 0.01", "graph fp32, layer 2: –",
        "weights&#39; form, layer 2: 0.04", "weights&#39; form, layer 1: 0.2"};
    for (size_t i = 0; i < COUNT_OF(points); i++)
        if (!strstr(page, points[i])) fail_msg("no point %s", points[i]);
    size_t n_bounds = 0;
    for (const char *at = page; (at = strstr(at, ">allowed: ")); at++) n_bounds++;
    assert_int_equal(n_bounds, 3); // graph and weights by cosine, weights by group
    strbuf_free(&out);
}

// Decode of two packages is one map over all layers; its counts are sums.
static void test_functions_of_all_packages_share_a_map(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(
        &out,
        "{\"placement\": {\"shards\": [{\"functions\": [{\"name\": \"decode\", \"conv_ane\": 3, "
        "\"conv_total\": 3, \"compute_ane\": 10, \"compute_total\": 11, \"map\": {\"first_layer\": "
        "0, \"layers\": 2, \"rows\": [[\"q\", \"conv\", \"aa \"]]}}]}, {\"functions\": ["
        "{\"name\": \"decode\", \"conv_ane\": 2, \"conv_total\": 4, \"compute_ane\": 5, "
        "\"compute_total\": 6, \"map\": {\"first_layer\": 2, \"layers\": 2, \"rows\": [[\"q\", "
        "\"conv\", \"aca\"]]}}]}]}}");
    assert_non_null(strstr(page, "5 of 7 convolutions and 15 of 17 ops"));
    const char *map = strstr(page, "decode: kinds of op over layers");
    assert_non_null(map);
    assert_null(strstr(map + 1, "decode: kinds of op over layers"));
    assert_non_null(strstr(map, "conv, layers 0 to 2: Neural Engine"));
    assert_non_null(strstr(map, "conv, layers 3 to 3: CPU"));
    assert_non_null(strstr(map, "conv, of no layer: Neural Engine"));
    strbuf_free(&out);
}

static void test_kept_gates_and_the_largest_package(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page =
        page_of(&out, "{\"run\": {\"seconds\": 3, \"gates\": {\"vote\": 0, \"graph\": 2.5}}, "
                      "\"bundle\": {\"packages\": [{\"package\": \"a\", \"bytes\": 100}], "
                      "\"host_bytes\": 900, \"package_limit\": 1000}}");
    assert_non_null(strstr(page, ">kept</text>"));
    assert_non_null(strstr(page, ">2.50 s</text>"));
    // host.gguf is no package: its size is not held against their limit.
    assert_non_null(strstr(page, "the largest has 10 % of that"));
    strbuf_free(&out);
}

// Members of another type than they should have are as good as absent.
static void test_members_of_the_wrong_type(void **state) {
    (void)state;
    static const char *const reports[] = {
        "{\"gates\": [1, 2], \"bundle\": 3, \"run\": \"x\", \"contract\": {}, \"placement\": []}",
        "{\"gates\": {\"graph\": {\"a\": 1}, \"text\": [1, null, []]}, \"contract\": [1, null]}",
        "{\"golden_errors\": {\"graph\": {\"cos\": 3}, \"weights\": {\"rmse\": [\"x\", {}]}}}",
        "{\"bundle\": {\"packages\": [1, null, {}]}, \"vote\": {\"rows\": [1]}, \"range\": [1]}",
        "{\"placement\": {\"shards\": [1, {\"functions\": [1, {\"map\": {\"layers\": 1e9, "
        "\"rows\": [1]}}, {\"map\": {\"layers\": -1, \"rows\": [[]]}}, {\"map\": {\"layers\": 3, "
        "\"rows\": [[\"a\", \"b\", \"a\"], [1, 2, 3]]}}]}]}}",
        "{\"gates\": {\"graph\": [{\"scope\": \"layers 3..1\", \"figures\": {\"cos\": 1}}, "
        "{\"scope\": \"layers 0..4000000000\", \"figures\": {\"cos\": \"x\"}}]}}",
        "{\"conditioning\": {\"layers\": [1, {\"layer\": \"x\"}, {\"layer\": 0, \"stream\": [1]}, "
        "{\"layer\": -3, \"stream\": [1, 2], \"gated\": [\"x\", 0]}]}}",
        "{\"agreement\": {\"x\": 3, \"y\": [1, {}]}, \"contract\": [{}], \"vote_long\": {\"rows\": "
        "[3]}}",
        "{\"agreement\": [1], \"contract\": [{\"field\": 3}]}",
        "{\"mutants\": {\"gates\": [1, null], \"mutants\": [1, {}, {\"gates\": 3}], "
        "\"not_applicable\": [1]}, \"run\": {\"gates\": {\"graph\": "
        "\"x\"}}}",
    };
    for (size_t i = 0; i < COUNT_OF(reports); i++) {
        StrBuf out = {0};
        page_of(&out, reports[i]);
        assert_non_null(strstr(out.at, "</html>"));
        assert_null(strstr(out.at, "\"nan"));
        assert_null(strstr(out.at, " nan"));
        strbuf_free(&out);
    }
}

static void test_the_page_is_one_file_without_scripts(void **state) {
    (void)state;
    StrBuf out = {0};
    const char *page = page_of(&out, "{}");
    static const char *const outside[] = {"<script", "http:", "https:", "src=", "@import", "url("};
    for (size_t i = 0; i < COUNT_OF(outside); i++) assert_null(strstr(page, outside[i]));
    strbuf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_report_says_what_would_fill_it),
        cmocka_unit_test(test_a_part_is_no_proof),
        cmocka_unit_test(test_a_failure_is_the_first_thing_said),
        cmocka_unit_test(test_nothing_of_a_report_becomes_markup),
        cmocka_unit_test(test_survivors_come_first),
        cmocka_unit_test(test_planted_errors_are_counted_by_class_and_gate),
        cmocka_unit_test(test_contradictions_come_first),
        cmocka_unit_test(test_fields_with_no_second_witness_are_weak),
        cmocka_unit_test(test_functions_of_all_packages_share_a_map),
        cmocka_unit_test(test_kept_gates_and_the_largest_package),
        cmocka_unit_test(test_only_ranges_of_layers_are_plotted),
        cmocka_unit_test(test_errors_layer_by_layer),
        cmocka_unit_test(test_members_of_the_wrong_type),
        cmocka_unit_test(test_the_page_is_one_file_without_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
