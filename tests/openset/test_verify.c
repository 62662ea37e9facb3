/* test_verify.c: comparing embeddings by hand: cosines, whitening, centroids, enrolled scores, thresholds, the JSON. */
#include "openset/verify.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

static void refused(spoor_status got, spoor_status want, const char *words) {
    if (got != want || strstr(err.message, words) == NULL) {
        fail_msg("status %d \"%s\" is not status %d with \"%s\"", got, err.message, want, words);
    }
}

/* Two classes around (1, 1) and (5, 1): within them x varies by 1 and y by 2, both plus and minus. */
static openset_stats *two_classes(void) {
    static const float embedding[] = {0, 1, 2, 1, 1, -1, 1, 3, 4, 1, 6, 1, 5, -1, 5, 3}, logits[16] = {0};
    static const int32_t label[] = {0, 0, 0, 0, 1, 1, 1, 1};
    openset_train t = {embedding, logits, label, 8, 2, 2};
    openset_fit_options o;
    openset_fit_options_init(&o);
    o.shrinkage = 0;
    openset_stats *s = NULL;
    support_ok(openset_fit(ctx, OPENSET_BIT(OPENSET_MAHALANOBIS), &t, &o, &s, &err), &err);
    return s;
}

static void cosines_by_hand(void **state) {
    (void)state;
    double u[2], v[2], zero[2];
    support_ok(verify_unit(NULL, (const float[]){3, 4}, 2, u, &err), &err);
    support_ok(verify_unit(NULL, (const float[]){4, 3}, 2, v, &err), &err);
    support_ok(verify_unit(NULL, (const float[]){0, 0}, 2, zero, &err), &err);
    support_close(verify_dot(u, v, 2), 24.0 / 25, 1e-15, "cosine");
    assert_true(verify_dot(u, zero, 2) == 0);
    double pair[4] = {1, 0, 0, 1}, c[2], opposite[4] = {1, 0, -1, 0};
    verify_centroid(pair, 2, 2, c);
    support_close(c[0], sqrt(0.5), 1e-15, "centre");
    verify_centroid(opposite, 2, 2, c);
    assert_true(c[0] == 0 && c[1] == 0);
    verify_centroid(pair, 0, 2, c);
    assert_true(c[0] == 0 && c[1] == 0);
    assert_true(isnan(verify_known(NULL, u)));
    support_close(verify_enrolled_score(0.5, NAN), 0.5, 0, "without known sources");
    support_close(verify_enrolled_score(0.5, 0.4), 0.3, 1e-15, "beside known sources");
    refused(verify_unit(NULL, (const float[]){1, INFINITY}, 2, u, &err), SPOOR_ERR_INPUT, "number 2 of 2");
    double long_a[19], long_b[19], sum = 0; /* lanes and the rest */
    for (int i = 0; i < 19; i++) {
        long_a[i] = 1 + i;
        long_b[i] = 2 - i;
        sum += long_a[i] * long_b[i];
    }
    assert_true(verify_dot(long_a, long_b, 19) == sum && verify_dot(long_b, long_a, 19) == sum);
}

/* Covariance within: var x = (1 + 1) / 4, var y = (4 + 4) / 4, no correlation (and 1e-6 of the mean variance added). Origin
 * (3, 1). So y = ((x - 3) / sqrt(.5), (y - 1) / sqrt(2)); class means (-+2 / sqrt(.5), 0). */
static void whitening_by_hand(void **state) {
    (void)state;
    openset_stats *s = two_classes();
    double u[2];
    assert_true(verify_whitens(s) && !verify_whitens(NULL));
    support_ok(verify_unit(s, (const float[]){4, 3}, 2, u, &err), &err); /* (1 / sqrt .5, 2 / sqrt 2) = (1.41, 1.41) */
    support_close(u[0], sqrt(0.5), 1e-5, "whitened x");
    support_close(u[1], sqrt(0.5), 1e-5, "whitened y");
    support_close(verify_known(s, u), sqrt(0.5), 1e-5, "nearest class");
    support_ok(verify_unit(s, (const float[]){3, 1}, 2, u, &err), &err);
    support_close(hypot(u[0], u[1]), 0, 1e-12, "the origin has no direction"); /* exactly 0, or the whole length is rounding */
    support_ok(verify_unit(s, (const float[]){3, -9}, 2, u, &err), &err);
    support_close(u[1], -1, 1e-12, "down");
    support_close(verify_known(s, u), 0, 1e-5, "across both classes");
    openset_stats other = *s;
    other.kinds = OPENSET_BIT(OPENSET_VIM);
    assert_false(verify_whitens(&other));
    openset_stats_free(s);
}

static verify example(void) {
    verify v = {.calibrated = true, .space = VERIFY_OWN, .pair = {.scale = 10, .offset = -2, .prior = 0.5, .informative = true},
                .false_acceptance = 0.05, .n_rates = 3, .n_shots = 2, .rate = {0.05, 0.01, 0.001}};
    v.shot[0] = (verify_shot){1, {.scale = 20, .offset = 1, .prior = 0.5, .informative = true}, {0.1, 0.2, 0.4}};
    v.shot[1] = (verify_shot){5, {.scale = 30, .offset = 0, .prior = 0.5, .informative = true}, {0, 0.1, 0.2}};
    return v;
}

static void thresholds_follow_the_size_of_the_gallery(void **state) {
    (void)state;
    verify v = example(), none;
    verify_init(&none);
    support_close(verify_threshold(&v, true, 1, 1), 0.1, 1e-12, "one source: the stated rate");
    support_close(verify_threshold(&v, true, 4, 5), 0.2, 1e-12, "five sources: a fifth of it");
    support_close(verify_threshold(&v, true, 5, 50), 0.2, 1e-12, "fifty, with five files");
    support_close(verify_threshold(&v, true, 1, 0), 0.1, 1e-12, "an empty gallery");
    double between = log(0.05 / 0.025) / log(5);
    support_close(verify_threshold(&v, true, 50, 2), between * 0.1, 1e-12, "between two rates");
    support_close(verify_threshold(&v, true, 1, 500), 0.6, 1e-12, "beyond them: a tenth of the last rate");
    v.n_rates = 1;
    support_close(verify_threshold(&v, true, 1, 500), 0.1, 1e-12, "a single rate");
    v = example();
    v.false_acceptance = 0.5;
    support_close(verify_threshold(&v, true, 1, 1), 0.1, 1e-12, "above the first rate");
    support_close(verify_threshold(&none, true, 1, 1), VERIFY_DEFAULT_WHITENED, 0, "nothing fitted");
    support_close(verify_threshold(&none, false, 1, 1), VERIFY_DEFAULT_COSINE, 0, "nothing fitted, as it is");
    v = example();
    support_close(verify_enrolled_llr(&v, 1, 0.1), 3, 1e-12, "one file");
    support_close(verify_enrolled_llr(&v, 4, 0.1), 3, 1e-12, "four files");
    support_close(verify_enrolled_llr(&v, 50, 0.1), 3, 1e-12, "fifty files: 30 x .1");
    support_close(verify_enrolled_llr(&v, 50, 0.2), 6, 1e-12, "fifty files: 30 x .2");
    support_close(verify_pair_llr(&v, 0.5), 3, 1e-12, "a pair");
    assert_true(isnan(verify_enrolled_llr(&none, 1, 0.1)) && isnan(verify_pair_llr(&none, 1)));
    assert_null(verify_shot_of(&none, 1));
    assert_ptr_equal(verify_shot_of(&v, 7), &v.shot[1]);
}

static void the_json_comes_back_and_is_checked(void **state) {
    (void)state;
    verify v = example(), back;
    json_t *j = verify_to_json(&v);
    assert_non_null(j);
    support_ok(verify_from_json(j, &back, &err), &err);
    json_t *again = verify_to_json(&back);
    assert_true(back.calibrated && json_equal(j, again));
    json_decref(again);
    static const struct {
        const char *key, *value, *words;
    } cases[] = {
        {"space", "\"elsewhere\"", "\"space\""},       {"space", "7", "\"space\""},
        {"pair", "{}", "\"scale\""},                   {"false_acceptance", "1", "\"false_acceptance\""},
        {"false_acceptance", "null", "\"false_acc"},   {"rates", "[]", "\"rates\""},
        {"rates", "[0.1,0.2,0.3]", "\"rates\""},       {"rates", "[0.3,0.2,0]", "\"rates\""},
        {"rates", "[1,0.2,0.1]", "\"rates\""},         {"rates", "[0.1]", "\"thresholds\""},
        {"rates", "[0.1,\"x\",0.01]", "\"rates\""},    {"enrolled", "[]", "\"enrolled\""},
        {"enrolled", "null", "\"enrolled\""},          {"enrolled", "[{\"files\":2}]", "rise from 1 file"},
        {"enrolled", "[{\"files\":0}]", "rise from 1"}, {"enrolled", "[{\"files\":1}]", "\"scale\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *bad = json_deep_copy(j);
        assert_int_equal(json_object_set_new(bad, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL)), 0);
        refused(verify_from_json(bad, &back, &err), SPOOR_ERR_MODEL, cases[i].words);
        json_decref(bad);
    }
    json_t *shots = json_object_get(j, "enrolled"), *second = json_array_get(shots, 1);
    assert_int_equal(json_object_set_new(second, "files", json_integer(1)), 0);
    refused(verify_from_json(j, &back, &err), SPOOR_ERR_MODEL, "rise from 1 file");
    assert_int_equal(json_object_set_new(second, "files", json_integer(51)), 0);
    refused(verify_from_json(j, &back, &err), SPOOR_ERR_MODEL, "rise from 1 file");
    assert_int_equal(json_object_set_new(second, "files", json_integer(2)), 0);
    assert_int_equal(json_array_set_new(json_object_get(second, "thresholds"), 2, json_real(-1)), 0);
    refused(verify_from_json(j, &back, &err), SPOOR_ERR_MODEL, "\"thresholds\"");
    assert_int_equal(json_array_set_new(json_object_get(second, "thresholds"), 2, json_real(1)), 0);
    for (int i = 3; i <= 9; i++) {
        json_t *copy = json_deep_copy(second);
        assert_int_equal(json_object_set_new(copy, "files", json_integer(i)), 0);
        assert_int_equal(json_array_append_new(shots, copy), 0);
    }
    refused(verify_from_json(j, &back, &err), SPOOR_ERR_MODEL, "not 1 to 8 parts");
    refused(verify_from_json(NULL, &back, &err), SPOOR_ERR_MODEL, "\"space\"");
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosines_by_hand),
        cmocka_unit_test(whitening_by_hand),
        cmocka_unit_test(thresholds_follow_the_size_of_the_gallery),
        cmocka_unit_test(the_json_comes_back_and_is_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
