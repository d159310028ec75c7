// The tables of questions hold together: what a row names is there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "settle/tables.h"

static const VariantRow *find_variant(QuestionId q, const char *name) {
    for (size_t i = 0; i < settle_n_variants; i++)
        if (settle_variants[i].question == q && strcmp(settle_variants[i].name, name) == 0)
            return &settle_variants[i];
    return NULL;
}

static void test_stages_of_questions_are_stages(void **state) {
    (void)state;
    for (size_t q = 0; q < QUESTION_COUNT; q++) {
        for (const char *list = settle_questions[q].stages; *list;) {
            Str name = str_next_item(&list);
            bool is_known = false;
            for (size_t i = 0; i < STAGE_COUNT; i++)
                is_known = is_known || str_is(name, settle_stages[i].name);
            if (!is_known) fail_msg("%s: no stage %.*s", settle_questions[q].name, STR_ARG(name));
        }
        assert_true(question_has_stage(&settle_questions[q], STAGE_open));
        StageId stage = settle_figures[settle_questions[q].decides].stage;
        if (!question_has_stage(&settle_questions[q], stage))
            fail_msg("%s: what decides is not measured", settle_questions[q].name);
    }
}

static void test_variants_have_options_with_values_and_names_of_their_own(void **state) {
    (void)state;
    for (size_t i = 0; i < settle_n_variants; i++) {
        const VariantRow *v = &settle_variants[i];
        assert_ptr_equal(find_variant(v->question, v->name), v);
        if (*v->options) assert_memory_equal(v->options, "--", 2);
        if (*v->options) assert_non_null(strchr(v->options, ' '));
    }
}

static void test_predictions_are_of_figures_that_are_measured(void **state) {
    (void)state;
    for (size_t i = 0; i < settle_n_predictions; i++) {
        const PredictionRow *p = &settle_predictions[i];
        const char *question = settle_questions[p->question].name;
        if (strcmp(p->variant, "*") != 0 && !find_variant(p->question, p->variant))
            fail_msg("%s: no variant %s", question, p->variant);
        if (!question_has_stage(&settle_questions[p->question], settle_figures[p->figure].stage))
            fail_msg("%s: %s is not measured", question, settle_figures[p->figure].name);
        assert_true(p->low <= p->high && p->first_os <= p->last_os);
        assert_true(*p->because && *p->source);
        if (figure_is_yes_or_no(p->figure)) assert_true(p->kind != PREDICT_RATIO);
    }
}

static void test_every_question_predicts_something(void **state) {
    (void)state;
    for (QuestionId q = 0; q < QUESTION_COUNT; q++) {
        size_t n = 0;
        for (size_t i = 0; i < settle_n_predictions; i++) n += settle_predictions[i].question == q;
        if (!n) fail_msg("%s: nothing is predicted", settle_questions[q].name);
    }
}

static double low_of(int os, const char *variant) {
    return prediction_find(QUESTION_states, variant, FIGURE_keeps_states, os, CHIP_ANY)->low;
}

static void test_a_row_for_a_system_goes_before_that_for_all(void **state) {
    (void)state;
    assert_true(low_of(26, "slice") == 0 && low_of(27, "slice") == 1 && low_of(0, "slice") == 1);
    assert_true(low_of(26, "overwrite") == 1);
}

static void test_a_row_for_chips_is_for_those_alone(void **state) {
    (void)state;
    const PredictionRow *pro =
        prediction_find(QUESTION_notch, "apart", FIGURE_decode_ms, 27, CHIP_m4pro);
    const PredictionRow *max =
        prediction_find(QUESTION_notch, "apart", FIGURE_decode_ms, 27, CHIP_m4max);
    const PredictionRow *none =
        prediction_find(QUESTION_notch, "apart", FIGURE_decode_ms, 0, CHIP_ANY);
    assert_true(pro->chips == CHIPS_HIT && max->chips == CHIPS_ALL && none == max);
    assert_null(prediction_find(QUESTION_notch, "apart", FIGURE_kl, 27, CHIP_m4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_of_questions_are_stages),
        cmocka_unit_test(test_variants_have_options_with_values_and_names_of_their_own),
        cmocka_unit_test(test_predictions_are_of_figures_that_are_measured),
        cmocka_unit_test(test_every_question_predicts_something),
        cmocka_unit_test(test_a_row_for_a_system_goes_before_that_for_all),
        cmocka_unit_test(test_a_row_for_chips_is_for_those_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
