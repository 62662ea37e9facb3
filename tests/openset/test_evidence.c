/* test_evidence.c: what the evidence for an attribute is worth of a source that nobody heard: by hand, against a search over the plane, and
 * at both ends of scale and weight. */
#include "openset/calibrate.h"
#include "support/support.h"
#include <math.h>
#include <string.h>

static spoor_context *ctx;

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

static const double HALVES[] = {0.5, 0.5};

static calibrate_evidence fit(const float *logits, const int32_t *truth, const int32_t *source, size_t n, const double *share, size_t values) {
    calibrate_evidence c;
    spoor_error err;
    support_ok(calibrate_evidence_fit(ctx, logits, truth, source, n, share, values, &c, &err), &err);
    return c;
}

/* By hand: softmax of 0.5 (ln 4, 0) is 2/3 and 1/3; half of it, and half of the shares. */
static void said(void **state) {
    (void)state;
    static const calibrate_evidence c = {.scale = 0.5, .weight = 0.5, .share = {0.1, 0.9}, .values = 2};
    const float z[] = {logf(4), 0};
    double p[2];
    calibrate_evidence_p(&c, z, p);
    support_close(p[0], 0.5 * 2 / 3 + 0.05, 1e-6, "first");
    support_close(p[1], 0.5 / 3 + 0.45, 1e-6, "second");
}

/* Evidence of 8 to 1, right of three sources and wrong of one. With the scale at 1 and p = 8/9 or 1/9 the weight w of the least sum has
 * 3 (p - 1/2) / (w p + (1 - w) / 2) = (p - 1/2) / (w (1 - p) + (1 - w) / 2): w = 9/14; of two values with even shares only the product of
 * what scale and weight do counts, which is 3/4 said. */
static void three_of_four(void **state) {
    (void)state;
    float z[9 * 2] = {0};
    static const int32_t truth[] = {0, 0, 0, 0, 1, 1, -1, 1, 1}, source[] = {0, 0, 0, 1, 2, 2, 2, 3, -1};
    for (size_t i = 0; i < 9; i++) {
        z[2 * i + (i == 7 ? 0 : (size_t)(truth[i] > 0))] = logf(8); /* clip 7, and so source 3, sounds like the other value */
    }
    calibrate_evidence c = fit(z, truth, source, 9, HALVES, 2);
    double p[2];
    assert_true(c.sources == 4 && c.n == 7 && c.values == 2);
    calibrate_evidence_p(&c, z, p);
    support_close(p[0], 0.75, 1e-6, "said as often as it is right");
    support_close(c.nll, -(3 * log(0.75) + log(0.25)) / 4, 1e-9, "after");
    support_close(c.nll_before, -(3 * log(8.0 / 9) + log(1.0 / 9)) / 4, 1e-6, "before");
}

static double sum_of(const float *z, const int32_t *truth, const double *weight, size_t n, const double *share, double scale, double w) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double x = scale * (double)(z[2 * i] - z[2 * i + 1]), p = 1 / (1 + exp(truth[i] == 0 ? -x : x));
        sum -= weight[i] * log(w * p + (1 - w) * share[truth[i]]);
    }
    return sum;
}

/* Against a search over the plane; and the same clips twice are the same sources. */
static void least(void **state) {
    (void)state;
    static const float z[] = {3, 0, 8, 0, 2, 1, 0, -1, 0, 3, 0, 0.5f, 0.5f, 0, -4, 0, 0, 2, 2, 0};
    static const int32_t truth[] = {0, 0, 0, 0, 1, 1, 0, 1, 0, 1}, source[] = {0, 0, 1, 2, 3, 3, 4, 5, 6, 7};
    static const double weight[] = {0.5, 0.5, 1, 1, 0.5, 0.5, 1, 1, 1, 1}, share[] = {0.7, 0.3};
    calibrate_evidence c = fit(z, truth, source, 10, share, 2);
    double best = INFINITY, scale = 0, w = 0;
    for (int i = 16; i <= 1000; i++) {
        for (int k = 0; k <= 1000; k++) {
            double s = sum_of(z, truth, weight, 10, share, i / 1000.0, k / 1000.0);
            if (s < best) {
                best = s;
                scale = i / 1000.0;
                w = k / 1000.0;
            }
        }
    }
    assert_true(scale > 0.05 && scale < 0.95 && w > 0.05 && w < 0.999);
    support_close(c.scale, scale, 2e-3, "scale");
    support_close(c.weight, w, 2e-3, "weight");
    assert_true(sum_of(z, truth, weight, 10, share, c.scale, c.weight) <= best + 1e-12);
    float twice[40];
    int32_t truth2[20], source2[20];
    for (size_t i = 0; i < 20; i++) {
        twice[2 * i] = z[2 * (i % 10)];
        twice[2 * i + 1] = z[2 * (i % 10) + 1];
        truth2[i] = truth[i % 10];
        source2[i] = source[i % 10];
    }
    calibrate_evidence d = fit(twice, truth2, source2, 20, share, 2);
    support_close(d.scale, c.scale, 1e-6, "twice");
    support_close(d.weight, c.weight, 1e-6, "twice");
}

/* Evidence that points the wrong way counts for nothing; that which is right of every source is believed as it stands and no more. */
static void ends(void **state) {
    (void)state;
    static const float z[] = {0.4f, 0, 0.3f, 0, 0, 0.5f, 0, 0.4f};
    static const int32_t wrong[] = {1, 1, 0, 0}, right[] = {0, 0, 1, 1}, source[] = {0, 1, 2, 3};
    calibrate_evidence c = fit(z, wrong, source, 4, HALVES, 2);
    double p[2];
    assert_true(c.weight == 0);
    calibrate_evidence_p(&c, z, p);
    assert_true(p[0] == 0.5 && p[1] == 0.5);
    support_close(c.nll, log(2), 1e-12, "nothing is known");
    c = fit(z, right, source, 4, HALVES, 2);
    assert_true(c.scale == 1 && c.weight == 1 && c.nll == c.nll_before);
}

static void refused(void **state) {
    (void)state;
    float z[] = {1, 0, 0, 1};
    int32_t truth[] = {0, 1}, source[] = {0, 1};
    static const double none[] = {1, 0}, most[] = {0.5, 0.6};
    double many[CALIBRATE_MAX_VALUES + 1];
    calibrate_evidence c;
    spoor_error err;
    for (size_t i = 0; i <= CALIBRATE_MAX_VALUES; i++) {
        many[i] = 1.0 / (CALIBRATE_MAX_VALUES + 1);
    }
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, none, 1, &c, &err), SPOOR_ERR_INPUT);
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, none, 2, &c, &err), SPOOR_ERR_INPUT);
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, most, 2, &c, &err), SPOOR_ERR_INPUT);
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, many, CALIBRATE_MAX_VALUES + 1, &c, &err), SPOOR_ERR_INPUT);
    truth[1] = 2;
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, HALVES, 2, &c, &err), SPOOR_ERR_INPUT);
    truth[1] = 1;
    source[1] = 2;
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, HALVES, 2, &c, &err), SPOOR_ERR_INPUT);
    source[1] = 1;
    z[3] = NAN;
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, HALVES, 2, &c, &err), SPOOR_ERR_INPUT);
    truth[1] = truth[0] = -1;
    assert_int_equal(calibrate_evidence_fit(ctx, z, truth, source, 2, HALVES, 2, &c, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "nothing"));
    support_failing failing = {.fail_at = 1};
    spoor_context *lost = support_failing_context(&failing);
    assert_int_equal(calibrate_evidence_fit(lost, z, truth, source, 2, HALVES, 2, &c, &err), SPOOR_ERR_LIMIT);
    spoor_context_free(lost);
}

static void json(void **state) {
    (void)state;
    calibrate_evidence c = {.scale = 0.375, .weight = 0.8, .share = {0.5, 0.375, 0.125}, .values = 3, .sources = 4, .n = 9}, d;
    spoor_error err;
    json_t *j = calibrate_evidence_to_json(&c);
    support_ok(calibrate_evidence_from_json(j, 3, &d, &err), &err);
    assert_true(d.scale == c.scale && d.weight == c.weight && d.values == 3 && memcmp(d.share, c.share, sizeof c.share) == 0);
    assert_int_equal(json_integer_value(json_object_get(j, "sources")), 4);
    assert_int_equal(calibrate_evidence_from_json(j, 2, &d, &err), SPOOR_ERR_MODEL); /* of other values */
    json_decref(j);
    static const char *const bad[] = {"{\"weight\":1,\"shares\":[0.5,0.5]}", "{\"scale\":2,\"weight\":1,\"shares\":[0.5,0.5]}",
                                      "{\"scale\":0,\"weight\":1,\"shares\":[0.5,0.5]}", "{\"scale\":1,\"weight\":1.5,\"shares\":[0.5,0.5]}",
                                      "{\"scale\":1,\"weight\":1,\"shares\":[0.5,\"x\"]}", "{\"scale\":1,\"weight\":1,\"shares\":[0.5,0.6]}",
                                      "{\"scale\":1,\"weight\":1,\"shares\":[-0.5,1.5]}", "{\"scale\":1,\"weight\":1,\"shares\":3}", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        j = json_loads(bad[i], 0, NULL);
        assert_int_equal(calibrate_evidence_from_json(j, 2, &d, &err), SPOOR_ERR_MODEL);
        json_decref(j);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(said), cmocka_unit_test(three_of_four), cmocka_unit_test(least),
                                       cmocka_unit_test(ends), cmocka_unit_test(refused), cmocka_unit_test(json)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
