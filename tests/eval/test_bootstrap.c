/* test_bootstrap.c: intervals by resampling. */
#include "base/rng.h"
#include "eval/metrics.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
    const double *value;
    const int32_t *cluster;
    size_t n;
    bool whole_clusters; /* seen so far: every cluster is drawn as a whole */
    uint64_t least, most; /* items of a resample */
} sample;

static void mean(void *arg, const uint32_t *weight, double *values) {
    sample *s = arg;
    double sum = 0;
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += weight[i] * s->value[i];
        n += weight[i];
        for (size_t j = 0; s->cluster != NULL && j < i; j++) {
            s->whole_clusters &= s->cluster[i] != s->cluster[j] || weight[i] == weight[j];
        }
    }
    s->least = n < s->least ? n : s->least;
    s->most = n > s->most ? n : s->most;
    values[0] = sum / (double)n;
    values[1] = sum > 0 ? 1 : NAN; /* undefined where all drawn values are 0 */
}

static void mean_of_many(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    enum { N = 400 };
    double value[N], average = 0, square = 0;
    rng r = rng_make(3, 0);
    for (size_t i = 0; i < N; i++) {
        value[i] = rng_normal(&r);
        average += value[i] / N;
        square += value[i] * value[i] / N;
    }
    double se = sqrt((square - average * average) / N);
    sample s = {.value = value, .n = N, .least = UINT64_MAX};
    bootstrap_options o;
    bootstrap_options_init(&o);
    assert_true(o.replicates == 1000 && o.level == 0.95);
    o.replicates = 4000;
    metric_interval a[2], b[2];
    spoor_error err = {0};
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, a, &err), &err);
    assert_true(s.least == N && s.most == N);
    support_close(a[0].low, average - 1.96 * se, 0.15 * se, "lower end");
    support_close(a[0].high, average + 1.96 * se, 0.15 * se, "upper end");
    assert_int_equal(a[0].used, 4000);
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, b, &err), &err);
    assert_true(a[0].low == b[0].low && a[0].high == b[0].high);
    o.seed = 1;
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, b, &err), &err);
    assert_true(a[0].low != b[0].low);
    o.level = 0.5;
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, b, &err), &err);
    assert_true(b[0].high - b[0].low < 0.5 * (a[0].high - a[0].low));
    spoor_context_free(ctx);
}

static void undefined_resamples_are_counted(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    /* two values 0 and 1: a resample is 0 with probability 1/4; one 1 in eight zeros: 0.39; all 0: never defined */
    const double two[] = {0, 1}, zeros[] = {0, 0};
    sample s = {.value = two, .n = 2};
    bootstrap_options o;
    bootstrap_options_init(&o);
    metric_interval i[2];
    spoor_error err = {0};
    support_ok(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, &err), &err);
    assert_true(i[0].low == 0 && i[0].high == 1 && i[0].used == 1000);
    assert_true(i[1].used > 700 && i[1].used < 800 && i[1].low == 1 && i[1].reason == NULL);
    s.value = zeros;
    support_ok(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, &err), &err);
    assert_true(isnan(i[1].low) && isnan(i[1].high) && i[1].used == 0 && i[1].reason != NULL);
    s.n = 0; /* nothing to draw from */
    support_ok(bootstrap_intervals(ctx, 0, &o, mean, &s, 2, i, &err), &err);
    assert_true(isnan(i[0].low) && i[0].reason != NULL);
    spoor_context_free(ctx);
}

static void clusters_are_drawn_whole(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    enum { N = 60 };
    double value[N];
    int32_t cluster[N];
    for (size_t i = 0; i < N; i++) {
        cluster[i] = (int32_t)(i % 6);
        value[i] = (double)(i % 6); /* as alike as can be within a cluster */
    }
    sample s = {.value = value, .cluster = cluster, .n = N, .whole_clusters = true};
    bootstrap_options o;
    bootstrap_options_init(&o);
    metric_interval by_item[2], by_cluster[2];
    spoor_error err = {0};
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, by_item, &err), &err);
    assert_false(s.whole_clusters);
    s.whole_clusters = true;
    o.cluster = cluster;
    o.clusters = 6;
    support_ok(bootstrap_intervals(ctx, N, &o, mean, &s, 2, by_cluster, &err), &err);
    assert_true(s.whole_clusters);
    /* six draws instead of sixty: about sqrt(10) times as wide */
    double wider = (by_cluster[0].high - by_cluster[0].low) / (by_item[0].high - by_item[0].low);
    assert_true(wider > 2.5 && wider < 4);
    cluster[7] = 6;
    assert_int_equal(bootstrap_intervals(ctx, N, &o, mean, &s, 2, by_cluster, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "item 7 is in cluster 6"));
    spoor_context_free(ctx);
}

static int stop(void *user) {
    int *left = user;
    return (*left)-- <= 0;
}

static void bad_options_memory_and_cancel(void **state) {
    (void)state;
    const double two[] = {0, 1};
    sample s = {.value = two, .n = 2};
    bootstrap_options o;
    bootstrap_options_init(&o);
    metric_interval i[2];
    for (size_t at = 1; at <= 4; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        assert_int_equal(bootstrap_intervals(weak, 2, &o, mean, &s, 2, i, NULL), SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    int left = 3;
    spoor_context_options co;
    spoor_context_options_init(&co);
    co.cancel = stop;
    co.user = &left;
    spoor_context *ctx;
    support_ok(spoor_context_new(&co, &ctx, NULL), NULL);
    assert_int_equal(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, NULL), SPOOR_ERR_CANCELLED);
    left = 1 << 30;
    o.replicates = 0;
    assert_int_equal(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, NULL), SPOOR_ERR_USAGE);
    o.replicates = SIZE_MAX / 8;
    assert_int_equal(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, NULL), SPOOR_ERR_USAGE);
    o.replicates = 10;
    o.level = 1;
    assert_int_equal(bootstrap_intervals(ctx, 2, &o, mean, &s, 2, i, NULL), SPOOR_ERR_USAGE);
    spoor_context_free(ctx);
}

static void quantiles(void **state) {
    (void)state;
    const double v[] = {1, 2, 4, INFINITY};
    support_close(metric_quantile(v, 3, 0.5), 2, 0, "median");
    support_close(metric_quantile(v, 3, 0.75), 3, 1e-15, "upper quartile");
    support_close(metric_quantile(v, 1, 0.3), 1, 0, "quantile of one");
    support_close(metric_quantile(v, 3, 1), 4, 0, "greatest");
    assert_true(isnan(metric_quantile(v, 0, 0.5)));
    assert_true(isinf(metric_quantile(v, 4, 0.9)));
    support_close(metric_quantile(v, 4, 0.7), 4, 0, "the nearer of a finite and an infinite value");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_of_many),
        cmocka_unit_test(undefined_resamples_are_counted),
        cmocka_unit_test(clusters_are_drawn_whole),
        cmocka_unit_test(bad_options_memory_and_cancel),
        cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
