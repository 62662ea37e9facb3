/* test_calibration_check.c: calibration before and after a fit, and cross-fitted. */
#include "base/rng.h"
#include "eval/calibration_check.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static spoor_error err;

enum { N = 600, K = 6 };
typedef struct data {
    float logits[N * K];
    int32_t truth[N], page[N];
    double score[N];
    unsigned char target[N];
} data;

/* Labels drawn from softmax(z), logits 4 z: four times too sure. Scores 2 llr + 3. */
static data *make(void) {
    data *d = calloc(1, sizeof *d);
    assert_non_null(d);
    rng r = rng_make(61, 0);
    for (size_t i = 0; i < N; i++) {
        double p[K], u = rng_uniform(&r);
        float *z = d->logits + i * K;
        for (size_t k = 0; k < K; k++) {
            z[k] = (float)rng_normal(&r);
        }
        calibrate_softmax(z, K, 1, p);
        for (d->truth[i] = 0; d->truth[i] < K - 1 && u >= p[d->truth[i]]; d->truth[i]++) {
            u -= p[d->truth[i]];
        }
        for (size_t k = 0; k < K; k++) {
            z[k] *= 4;
        }
        d->truth[i] = i % 6 == 5 ? -1 : d->truth[i];
        d->page[i] = (int32_t)(i % 30);
        d->target[i] = i % 3 == 0;
        d->score[i] = 2 * (2 * rng_normal(&r) + (d->target[i] ? 2 : -2)) + 3; /* N(+-2, 4): llr = x */
    }
    return d;
}

static void a_task(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    data *d = make();
    calibration_check c;
    support_ok(calibration_check_task(ctx, d->logits, d->truth, d->page, N, K, 5, 1, &c, &err), &err);
    assert_int_equal(c.n, N - N / 6);
    assert_true(c.before.ece.value > 0.2 && c.fitted.ece.value < 0.08 && c.crossed.ece.value < 0.08);
    assert_true(c.crossed.ece_adaptive.value < 0.08);
    assert_true(c.fitted.loss.value < c.before.loss.value);
    assert_true(c.crossed.loss.value >= c.fitted.loss.value); /* the fit is the least that one temperature can do */
    json_t *json = calibration_check_to_json(&c, "nll");
    assert_true(json_number_value(json_object_get(json_object_get(json, "crossed"), "ece")) == c.crossed.ece.value);
    assert_true(json_number_value(json_object_get(json_object_get(json, "before"), "nll")) == c.before.loss.value);
    json_decref(json);
    memset(d->truth, 0xff, sizeof d->truth); /* all -1 */
    assert_int_equal(calibration_check_task(ctx, d->logits, d->truth, d->page, N, K, 5, 1, &c, &err), SPOOR_ERR_INPUT);
    free(d);
    spoor_context_free(ctx);
}

static void a_score(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    data *d = make();
    calibration_check c;
    support_ok(calibration_check_score(ctx, d->score, d->target, NULL, N, 0.5, 5, 1, &c, &err), &err);
    assert_int_equal(c.n, N);
    assert_true(c.before.ece.value > 0.15 && c.fitted.ece.value < 0.06 && c.crossed.ece.value < 0.06);
    assert_true(c.before.loss.value > 1.2 * c.fitted.loss.value && c.crossed.loss.value < 1.05 * c.fitted.loss.value);
    double llr[N]; /* the true one */
    for (size_t i = 0; i < N; i++) {
        llr[i] = (d->score[i] - 3) / 2;
    }
    detection *truth;
    support_ok(detection_new(ctx, llr, d->target, N, &truth, &err), &err);
    support_close(c.crossed.loss.value, detection_cllr(truth, NULL).value, 0.03, "Cllr against that of the true llr");
    detection_free(truth);
    memset(d->target, 1, sizeof d->target);
    assert_int_equal(calibration_check_score(ctx, d->score, d->target, NULL, N, 0.5, 5, 1, &c, &err), SPOOR_ERR_INPUT);
    free(d);
    spoor_context_free(ctx);
}

static void without_memory(void **state) {
    (void)state;
    data *d = make();
    for (int kind = 0; kind < 2; kind++) {
        spoor_status status = SPOOR_ERR_LIMIT;
        for (size_t at = 1; status != SPOOR_OK && at < 100; at++) {
            support_failing failing = {0};
            spoor_context *weak = support_failing_context(&failing);
            failing.fail_at = at;
            calibration_check c;
            status = kind == 0 ? calibration_check_task(weak, d->logits, d->truth, d->page, N, K, 5, 1, &c, &err)
                               : calibration_check_score(weak, d->score, d->target, d->page, N, 0.5, 5, 1, &c, &err);
            assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(weak);
        }
        assert_int_equal(status, SPOOR_OK);
    }
    free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_task), cmocka_unit_test(a_score), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
