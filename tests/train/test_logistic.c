/* test_logistic.c: the minimum is the minimum: its gradient vanishes in double precision; rows without a label do not
 * count; the closed cases. */
#include "base/rng.h"
#include "support/support.h"
#include "train/logistic.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60, D = 7, C = 4 };

static void make(float *x, int32_t *label) {
    rng r = rng_make(11, 2);
    for (int i = 0; i < N; i++) {
        label[i] = (int32_t)rng_below(&r, C + 1) - 1;
        for (int k = 0; k < D; k++) {
            x[i * D + k] = (float)(rng_normal(&r) + (label[i] == k ? 1.5 : 0));
        }
    }
}

/* Largest component of the gradient of mean cross-entropy + l2/2 |W|^2, by the definition. */
static double slope(const float *x, const int32_t *label, double l2, const float *w, const float *b) {
    double gw[C * D] = {0}, gb[C] = {0}, worst = 0, n = 0;
    for (int i = 0; i < N; i++) {
        double z[C], sum = 0;
        if (label[i] < 0) {
            continue;
        }
        n++;
        for (int c = 0; c < C; c++) {
            z[c] = (double)b[c];
            for (int k = 0; k < D; k++) {
                z[c] += (double)w[c * D + k] * (double)x[i * D + k];
            }
            sum += exp(z[c]);
        }
        for (int c = 0; c < C; c++) {
            double d = exp(z[c]) / sum - (c == label[i]);
            gb[c] += d;
            for (int k = 0; k < D; k++) {
                gw[c * D + k] += d * (double)x[i * D + k];
            }
        }
    }
    for (int i = 0; i < C * D; i++) {
        worst = fmax(worst, fabs(gw[i] / n + l2 * (double)w[i]));
    }
    for (int c = 0; c < C; c++) {
        worst = fmax(worst, fabs(gb[c] / n));
    }
    return worst;
}

static void the_gradient_vanishes(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    float x[N * D], w[C * D], b[C];
    int32_t label[N];
    make(x, label);
    static const double penalties[] = {0.003, 0.1, 10};
    double size = INFINITY;
    for (size_t i = 0; i < 3; i++) {
        spoor_error err = {0};
        logistic_problem p = {x, label, N, D, C, penalties[i], 0};
        support_ok(logistic_fit(ctx, &p, w, b, &err), &err);
        assert_true(slope(x, label, penalties[i], w, b) < 2e-3 * fmin(1, 1 / penalties[i]) + 2e-4);
        double own = 0;
        for (int k = 0; k < C * D; k++) {
            own += (double)w[k] * (double)w[k];
        }
        assert_true(own > 0 && own < size); /* a stronger penalty gives smaller weights */
        size = own;
    }
    spoor_context_free(ctx);
}

static void rows_without_a_label_do_not_count(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    float x[N * D], w[C * D], b[C], v[C * D], a[C];
    int32_t label[N];
    spoor_error err = {0};
    make(x, label);
    logistic_problem p = {x, label, N, D, C, 0.1, 0};
    support_ok(logistic_fit(ctx, &p, w, b, &err), &err);
    for (int i = 0; i < N * D; i++) {
        x[i] = label[i / D] < 0 ? 1e3f : x[i];
    }
    support_ok(logistic_fit(ctx, &p, v, a, &err), &err);
    assert_memory_equal(w, v, sizeof w);
    assert_memory_equal(b, a, sizeof b);
    for (int i = 0; i < N; i++) {
        label[i] = -1;
    }
    support_ok(logistic_fit(ctx, &p, w, b, &err), &err);
    for (int i = 0; i < C * D; i++) {
        assert_true(w[i] == 0);
    }
    spoor_context_free(ctx);
}

/* Without inputs that tell anything, the answer is how often each class occurs. */
static void the_bias_is_free(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    float x[10] = {0}, w[2], b[2];
    int32_t label[10] = {0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    spoor_error err = {0};
    logistic_problem p = {x, label, 10, 1, 2, 1, 0};
    support_ok(logistic_fit(ctx, &p, w, b, &err), &err);
    support_close((double)b[0] - (double)b[1], log(4), 1e-3, "log odds of the classes");
    spoor_context_free(ctx);
}

static void memory_runs_out_cleanly(void **state) {
    (void)state;
    float x[N * D], w[C * D], b[C];
    int32_t label[N];
    make(x, label);
    for (size_t n = 1; n <= 5; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        spoor_error err = {0};
        logistic_problem p = {x, label, N, D, C, 0.1, 0};
        spoor_status status = logistic_fit(ctx, &p, w, b, &err);
        bool reached = failing.count >= n;
        assert_int_equal(failing.live, 0);
        spoor_context_free(ctx);
        assert_int_equal(status, reached ? SPOOR_ERR_LIMIT : SPOOR_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_vanishes),
        cmocka_unit_test(rows_without_a_label_do_not_count),
        cmocka_unit_test(the_bias_is_free),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
