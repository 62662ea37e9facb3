/* test_weight.c: products with frozen weights (compute_weight_*) in three precisions against weight_reference.h: their errors,
 * rows that are the same beside any others, values that are not finite, memory, and more shapes than are kept. */
#define _DEFAULT_SOURCE /* setenv */
#include "tensor/weight_reference.h"

/* ---- one product against the reference ---- */

typedef struct product {
    int64_t m, n, k, ldx, ldy; /* 0: k, n */
    bool bias;
    op_act act;
    double shift; /* of the rows */
} product;

static void check_product(const product *c, compute_precision precision) {
    int64_t ldx = c->ldx == 0 ? c->k : c->ldx, ldy = c->ldy == 0 ? c->n : c->ldy;
    size_t count = (size_t)(c->m == 0 ? 0 : (c->m - 1) * ldx + c->k), outs = (size_t)(c->m * ldy);
    float *x = random_values(count, 1, c->shift), *w = random_values((size_t)(c->n * c->k), 2, 0);
    float *bias = random_values((size_t)c->n, 3, 0), *y = random_values(outs, 4, 0);
    double *want = reference(c->m, c->n, c->k, x, ldx, w, c->bias ? bias : NULL, c->act, precision);
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    compute_weight *weight;
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    support_ok(compute_weight_new(ctx, w, c->n, c->k, precision, &weight, &err), &err);
    y[outs] = 77;
    if (ldy > c->n && c->m > 0) {
        y[c->n] = 78;
    }
    compute_finish finish = {.bias = c->bias ? bias : NULL, .act = (int)c->act};
    support_ok(compute_weight_apply(engine, 0, weight, c->m, x, ldx, &finish, y, ldy, &err), &err);
    assert_true(y[outs] == 77 && (ldy == c->n || c->m == 0 || y[c->n] == 78)); /* nothing written beside the result */
    double top = 1e-3, worst = 0;
    for (int64_t i = 0; i < c->m * c->n; i++) {
        top = fmax(top, fabs(want[i]));
        worst = fmax(worst, fabs((double)y[i / c->n * ldy + i % c->n] - want[i]));
    }
    if (!(worst <= tolerance(c->k, precision) * top)) {
        fail_msg("%s: [%lld,%lld] x [%lld]: error %g of %g", PRECISIONS[precision], (long long)c->m, (long long)c->k,
                 (long long)c->n, worst, top);
    }
    compute_weight_free(weight);
    compute_free(engine);
    spoor_context_free(ctx);
    free(x);
    free(w);
    free(bias);
    free(y);
    free(want);
}

static void test_product(void **state) {
    (void)state;
    static const product cases[] = {
        {1, 1, 1}, {1, 1, 1, 0, 0, true, OP_ACT_GELU}, {0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {3, 4, 0, 0, 6, true, OP_ACT_RELU},
        {1, 33, 17, 0, 0, true, OP_ACT_NONE}, {7, 65, 129, 0, 0, true, OP_ACT_GELU, 0.7}, {8, 64, 64},
        {9, 64, 64, 0, 70, true, OP_ACT_SWISH}, {300, 48, 50, 0, 0, false, OP_ACT_GELU}, {257, 17, 1200, 0, 19, true},
        {199, 96, 2100, 0, 0, true, OP_ACT_NONE, -3}, {90, 20, 30, 10, 0, true, OP_ACT_GELU}, {33, 512, 10, 5},
        {70, 24, 96, 64, 0, true, OP_ACT_TANH}, {5, 30, 40, 47, 0, true}, {1, 5, 5000, 0, 0, true}, {600, 3, 3, 1, 4},
    };
    for (size_t t = 0; t < sizeof TABLES / sizeof *TABLES; t++) {
        if (kernels_find(TABLES[t]) == NULL) {
            continue;
        }
        use_table(TABLES[t]);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
                check_product(&cases[i], (compute_precision)p);
            }
        }
    }
    use_table(NULL);
}

/* How far each precision is from the exact product, at the size of a transformer's layer. */
static void test_product_error(void **state) {
    (void)state;
    static const double most[] = {2e-6, 4e-3, 1.2e-2};
    int64_t m = 20, n = 64, k = 768;
    float *x = random_values((size_t)(m * k), 1, 0), *w = random_values((size_t)(n * k), 2, 0);
    float *y = random_values((size_t)(m * n), 3, 0);
    double *want = reference(m, n, k, x, k, w, NULL, OP_ACT_NONE, COMPUTE_F32);
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    size_t bytes[3];
    for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
        compute_weight *weight;
        support_ok(compute_weight_new(ctx, w, n, k, (compute_precision)p, &weight, &err), &err);
        bytes[p] = compute_weight_bytes(weight);
        support_ok(compute_weight_apply(engine, 0, weight, m, x, k, NULL, y, n, &err), &err);
        double noise = 0, signal = 0;
        for (int64_t i = 0; i < m * n; i++) {
            noise += ((double)y[i] - want[i]) * ((double)y[i] - want[i]);
            signal += want[i] * want[i];
        }
        assert_true(sqrt(noise / signal) < most[p]);
        assert_true(p == 0 || sqrt(noise / signal) > most[p] / 20); /* it is really that precision */
        compute_weight_free(weight);
    }
    assert_true(bytes[0] >= (size_t)(n * k) * 4);
#if defined(__x86_64__)
    if (strcmp(compute_kernels(engine)->name, "avx512") == 0 && __builtin_cpu_supports("avx512vnni") &&
        getenv("ONEDNN_MAX_CPU_ISA") == NULL) {
        assert_true(bytes[2] < bytes[0] / 3); /* packed weights exist in their own size */
    }
#endif
    compute_free(engine);
    spoor_context_free(ctx);
    free(x);
    free(w);
    free(y);
    free(want);
}

/* ---- a row is the same beside any others ---- */

static void rows_alike(spoor_context *ctx, int64_t n, int64_t k, int64_t ldx, compute_precision precision) {
    enum { ROWS = 300 };
    static const int64_t counts[] = {1, 2, 7, 8, 9, 31, 64, 100, 199, 299};
    spoor_error err;
    compute *engine;
    compute_weight *weight;
    float *x = random_values((size_t)(ROWS * k), 1, 0.1), *w = random_values((size_t)(n * k), 2, 0);
    float *all = random_values((size_t)(ROWS * n), 3, 0), *some = random_values((size_t)(ROWS * n), 4, 0);
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    compute_finish finish = {.bias = w, .act = OP_ACT_GELU};
    support_ok(compute_weight_new(ctx, w, n, k, precision, &weight, &err), &err);
    support_ok(compute_weight_apply(engine, 0, weight, ROWS, x, ldx, &finish, all, n, &err), &err);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int64_t at = 0; at + counts[i] <= ROWS; at += counts[i] + 37) {
            support_ok(compute_weight_apply(engine, 0, weight, counts[i], x + at * ldx, ldx, &finish, some, n, &err),
                       &err);
            if (memcmp(all + at * n, some, (size_t)(counts[i] * n) * sizeof *some) != 0) {
                fail_msg("%s %lld x %lld: %lld rows from %lld differ from those among %d", PRECISIONS[precision],
                         (long long)n, (long long)k, (long long)counts[i], (long long)at, ROWS);
            }
        }
    }
    compute_weight_free(weight);
    compute_free(engine);
    free(x);
    free(w);
    free(all);
    free(some);
}

static void test_rows_alike(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{1, 5}, {48, 64}, {37, 129}, {512, 10}, {64, 1536}, {130, 2050}, {768, 300}, {512, 1024}};
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            rows_alike(ctx, sizes[i][0], sizes[i][1], sizes[i][1], (compute_precision)p);
            rows_alike(ctx, sizes[i][0], sizes[i][1], (sizes[i][1] * 2 + 2) / 3, (compute_precision)p); /* overlapping */
        }
    }
    spoor_context_free(ctx);
}

/* ---- what is not finite ---- */

static void test_not_finite(void **state) {
    (void)state;
    enum { K = 40, N = 20 };
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    float *x = random_values(3 * K, 1, 0), *w = random_values(N * K, 2, 0), y[3 * N];
    float odd[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
        compute_weight *weight;
        support_ok(compute_weight_new(ctx, w, N, K, (compute_precision)p, &weight, &err), &err);
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            x[K + 35] = odd[i];
            support_ok(compute_weight_apply(engine, 0, weight, 3, x, K, NULL, y, N, &err), &err);
            for (int j = 0; j < N; j++) {
                assert_true(isfinite(y[j]) && isfinite(y[2 * N + j])); /* the rows beside it do not suffer */
                assert_true(i == 3 || !isfinite(y[N + j]));
            }
        }
        compute_weight_free(weight);
    }
    compute_free(engine);
    spoor_context_free(ctx);
    free(x);
    free(w);
}

/* ---- memory, and more shapes than are kept ---- */

static spoor_status make_and_apply(spoor_context *ctx, compute_precision precision, const float *x, const float *w,
                                   float *y, spoor_error *err) {
    compute *engine;
    compute_weight *weight = NULL;
    TRY(compute_new(ctx, 1, &engine, err));
    spoor_status status = compute_weight_new(ctx, w, 30, 50, precision, &weight, err);
    for (int64_t m = 5; m <= 13 && status == SPOOR_OK; m += 8) {
        status = compute_weight_apply(engine, 0, weight, m, x, 50, NULL, y, 30, err);
    }
    compute_weight_free(weight);
    weight = NULL;
    if (status == SPOOR_OK) {
        status = compute_weight_new_grouped(ctx, w, 10, 5, 3, 2, precision, &weight, err);
    }
    if (status == SPOOR_OK) {
        status = compute_weight_convolve(engine, 0, weight, 20, x, 2, 20, NULL, y, err);
    }
    if (status == SPOOR_OK && compute_has_attention()) {
        status = compute_attention(engine, 0, precision, 10, 3, 4, 1, x, x, x, y, err);
    }
    compute_weight_free(weight);
    compute_free(engine);
    return status;
}

static void test_memory(void **state) {
    (void)state;
    float *x = random_values(13 * 50, 1, 0), *w = random_values(30 * 50, 2, 0), y[13 * 30];
    for (int table = 0; table < 2; table++) {
        use_table(table == 0 ? NULL : "portable");
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            spoor_status status = SPOOR_ERR_LIMIT;
            for (size_t n = 1; status != SPOOR_OK && n < 100; n++) {
                support_failing failing = {.fail_at = n};
                spoor_error err = {0};
                spoor_context *ctx = support_failing_context(&failing);
                status = make_and_apply(ctx, (compute_precision)p, x, w, y, &err);
                assert_true(status == SPOOR_OK || (status == SPOOR_ERR_LIMIT && strstr(err.message, "memory") != NULL));
                assert_int_equal(failing.live, 0);
                spoor_context_free(ctx);
            }
            assert_int_equal(status, SPOOR_OK);
        }
    }
    use_table(NULL);
    free(x);
    free(w);
}

static void test_many_shapes(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    float *w = random_values(150, 2, 0), *x = random_values(4, 1, 0), first[150], again[150];
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    for (int64_t round = 0; round < 2; round++) {
        for (int64_t n = 1; n <= 150; n++) {
            compute_weight *weight;
            support_ok(compute_weight_new(ctx, w, n, 1, COMPUTE_F32, &weight, &err), &err);
            support_ok(compute_weight_apply(engine, 0, weight, 1, x, 1, NULL, round == 0 ? first : again, n, &err), &err);
            compute_weight_free(weight);
        }
    }
    assert_memory_equal(first, again, sizeof first);
    for (int i = 0; i < 150; i++) {
        assert_true(first[i] == x[0] * w[i]);
    }
    compute_free(engine);
    spoor_context_free(ctx);
    free(w);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),    cmocka_unit_test(test_product_error), cmocka_unit_test(test_rows_alike),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_memory),        cmocka_unit_test(test_many_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
