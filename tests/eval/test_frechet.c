/* test_frechet.c: the Frechet distance against closed forms and against NumPy on 60 random pairs of sets
 * (tests/torch/make_eval.py). */
#include "base/io.h"
#include "base/rng.h"
#include "eval/frechet.h"
#include "support/support.h"
#include <math.h>
#include <string.h>

static spoor_error err;
static const frechet_shrinkage plain = {FRECHET_NONE, 0};

static frechet_fit *fit(spoor_context *ctx, const float *x, size_t n, size_t dim, frechet_shrinkage s) {
    frechet_fit *f;
    support_ok(frechet_fit_new(ctx, x, NULL, n, dim, s, &f, &err), &err);
    return f;
}

static double distance(const frechet_fit *a, const frechet_fit *b) {
    double d, means;
    support_ok(frechet_distance(a, b, &d, &means, &err), &err);
    assert_true(means <= d);
    return d;
}

static void closed_forms(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    /* one dimension: (difference of means)^2 + (difference of standard deviations)^2; here 0, 2 and 5, 4 */
    const float narrow[] = {-2, 0, 2}, wide[] = {1, 5, 9}, one[] = {3};
    frechet_fit *a = fit(ctx, narrow, 3, 1, plain), *b = fit(ctx, wide, 3, 1, plain);
    support_close(distance(a, b), 25 + 4, 1e-12, "one dimension");
    support_close(distance(b, a), 25 + 4, 1e-12, "the other way");
    support_close(a->trace, 4, 1e-12, "variance");
    frechet_fit_free(a);
    frechet_fit_free(b);
    /* axis-parallel crosses: variances (2a^2/3, 2b^2/3), no covariance: the sum over the axes; means 3 apart */
    const float low[] = {1, 0, -1, 0, 0, 2, 0, -2}, high[] = {5, 0, 1, 0, 3, 1, 3, -1};
    a = fit(ctx, low, 4, 2, plain);
    b = fit(ctx, high, 4, 2, plain);
    support_close(distance(a, b), 9 + 2.0 / 3 * ((2 - 1) * (2 - 1) + (2 - 1) * (2 - 1)), 1e-12, "two dimensions");
    frechet_fit_free(b);
    /* the same set shifted: the square of the shift alone */
    float moved[8];
    for (size_t i = 0; i < 8; i++) {
        moved[i] = low[i] + (i % 2 == 0 ? 1 : -2);
    }
    b = fit(ctx, moved, 4, 2, plain);
    support_close(distance(a, b), 5, 1e-12, "a shift");
    frechet_fit_free(b);
    frechet_fit_free(a);
    /* shrunk all the way, the spread is a multiple of the unit matrix: here 5/3 and 5/3 */
    a = fit(ctx, low, 4, 2, (frechet_shrinkage){FRECHET_FIXED, 1});
    support_close(a->root[0] * a->root[0], 5.0 / 3, 1e-12, "shrunk");
    support_close(a->root[1], 0, 1e-12, "shrunk");
    frechet_fit_free(a);
    assert_int_equal(frechet_fit_new(ctx, one, NULL, 1, 1, plain, &a, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "at least two"));
    assert_null(a);
    spoor_context_free(ctx);
}

/* Sets of all kinds against themselves, above all those that do not fill their space. */
static void equal_sets_are_at_no_distance(void **state) {
    (void)state;
    enum { N = 40, DIM = 60 };
    spoor_context *ctx = support_context();
    rng r = rng_make(9, 0);
    static float x[N * DIM];
    for (size_t i = 0; i < N * DIM; i++) {
        x[i] = (float)rng_normal(&r) * (i % DIM < 3 ? 100.0f : 1.0f);
    }
    for (int kind = 0; kind < 2; kind++) {
        frechet_fit *a = fit(ctx, x, N, DIM, (frechet_shrinkage){kind == 0 ? FRECHET_NONE : FRECHET_LEDOIT_WOLF, 0});
        assert_true(a->singular == (kind == 0) && (a->shrinkage > 0) == (kind == 1));
        support_close(distance(a, a) / a->trace, 0, 1e-12, "equal sets");
        frechet_fit_free(a);
    }
    /* rows by number: the even ones, against the same written out */
    size_t even[N / 2];
    static float half[N / 2 * DIM];
    for (size_t i = 0; i < N / 2; i++) {
        even[i] = 2 * i;
        memcpy(half + i * DIM, x + 2 * i * DIM, DIM * sizeof *x);
    }
    frechet_fit *a, *b = fit(ctx, half, N / 2, DIM, plain);
    support_ok(frechet_fit_new(ctx, x, even, N / 2, DIM, plain, &a, &err), &err);
    assert_memory_equal(a->root, b->root, DIM * DIM * sizeof *a->root);
    frechet_fit_free(a);
    frechet_fit_free(b);
    spoor_context_free(ctx);
}

static size_t take(const unsigned char *data, size_t size, size_t at, void *to, size_t bytes) {
    assert_true(size - at >= bytes);
    memcpy(to, data + at, bytes);
    return at + bytes;
}

static void equals_numpy(void **state) {
    (void)state;
    enum { MOST = 40 * 8 };
    spoor_context *ctx = support_context();
    unsigned char *data;
    size_t size, at;
    support_ok(io_read_file(ctx, support_path("tests/eval/frechet.bin"), 1u << 20, &data, &size, &err), &err);
    uint32_t sets, head[4];
    at = take(data, size, 0, &sets, sizeof sets);
    assert_int_equal(sets, 60);
    for (uint32_t i = 0; i < sets; i++) {
        at = take(data, size, at, head, sizeof head);
        const frechet_shrinkage s = {(frechet_kind)head[3], 0.25};
        frechet_fit *f[2];
        for (size_t k = 0; k < 2; k++) {
            int8_t raw[MOST];
            float x[MOST];
            size_t n = (size_t)head[k] * head[2];
            assert_true(n <= MOST);
            at = take(data, size, at, raw, n);
            for (size_t j = 0; j < n; j++) {
                x[j] = (float)raw[j] / 8;
            }
            f[k] = fit(ctx, x, head[k], head[2], s);
        }
        double want[2];
        at = take(data, size, at, want, sizeof want);
        support_close(f[0]->shrinkage, want[1], 1e-9, "shrinkage");
        support_close(distance(f[0], f[1]), want[0], 1e-8 * (1 + f[0]->trace + f[1]->trace), "distance");
        frechet_fit_free(f[0]);
        frechet_fit_free(f[1]);
    }
    assert_int_equal(at, size);
    ctx_free(ctx, data);
    spoor_context_free(ctx);
}

static void what_is_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const float x[] = {0, 1, 2, NAN, 4, 5}, vast[] = {3e38f, -3e38f, 3e38f, -3e38f};
    const size_t far = (size_t)FRECHET_MAX_DIM + 1;
    frechet_fit *f = NULL, *g = NULL;
    assert_int_equal(frechet_fit_new(ctx, x, NULL, 3, 2, plain, &f, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "row 2"));
    assert_int_equal(frechet_fit_new(ctx, x, NULL, 3, 0, plain, &f, &err), SPOOR_ERR_LIMIT);
    assert_int_equal(frechet_fit_new(ctx, x, NULL, 3, far, plain, &f, &err), SPOOR_ERR_LIMIT);
    assert_int_equal(frechet_fit_new(ctx, x, NULL, 3, 1, (frechet_shrinkage){FRECHET_FIXED, 1.5}, &f, &err),
                     SPOOR_ERR_USAGE);
    assert_null(f);
    f = fit(ctx, vast, 2, 2, plain); /* 1e77 is no trouble in double */
    assert_true(isfinite(distance(f, f)));
    g = fit(ctx, vast, 4, 1, plain);
    double d, means;
    assert_int_equal(frechet_distance(f, g, &d, &means, &err), SPOOR_ERR_USAGE);
    frechet_fit_free(f);
    frechet_fit_free(g);
    frechet_fit_free(NULL);
    spoor_context_free(ctx);
}

static void without_memory(void **state) {
    (void)state;
    const float x[] = {0, 1, 2, 3, 5, 4};
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at = 1;
    for (; status != SPOOR_OK && at < 100; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        frechet_fit *f;
        double d, means;
        status = frechet_fit_new(weak, x, NULL, 3, 2, (frechet_shrinkage){FRECHET_LEDOIT_WOLF, 0}, &f, &err);
        assert_true((status == SPOOR_OK) == (f != NULL));
        if (status == SPOOR_OK) {
            status = frechet_distance(f, f, &d, &means, &err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        frechet_fit_free(f);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    assert_true(status == SPOOR_OK && at > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_forms),    cmocka_unit_test(equal_sets_are_at_no_distance),
        cmocka_unit_test(equals_numpy),    cmocka_unit_test(what_is_refused),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
