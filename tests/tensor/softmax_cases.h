/* softmax_cases.h: checks of softmax.c, dropout.c and normalise.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>
#include <string.h>

static void rows_of(const gradcheck_input *x, int64_t *rows, int64_t *cols) {
    *rows = 1;
    for (int d = 0; d + 1 < x->ndim; d++) {
        *rows *= x->dim[d];
    }
    *cols = x->dim[x->ndim - 1];
}

static tensor *build_softmax(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_softmax(t, in[0]);
}
static tensor *build_log_softmax(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_log_softmax(t, in[0]);
}
static tensor *build_normalise(tape *t, tensor *const *in, const void *arg) {
    return op_normalise(t, in[0], *(const real *)arg);
}

static void naive_softmax_rows(const op_case *c, const double *const *in, double *out) {
    int64_t rows, cols;
    rows_of(&c->in[0], &rows, &cols);
    for (int64_t r = 0; r < rows; r++) {
        naive_softmax(cols, in[0] + r * cols, out + r * cols);
    }
}
static void naive_log_softmax_rows(const op_case *c, const double *const *in, double *out) {
    int64_t rows, cols;
    rows_of(&c->in[0], &rows, &cols);
    for (int64_t r = 0; r < rows; r++) {
        double total = naive_log_sum_exp(cols, in[0] + r * cols);
        for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
            out[i] = in[0][i] - total;
        }
    }
}
static void naive_normalise(const op_case *c, const double *const *in, double *out) {
    int64_t rows, cols;
    rows_of(&c->in[0], &rows, &cols);
    for (int64_t r = 0; r < rows; r++) {
        const double *row = in[0] + r * cols;
        double length = fmax(sqrt(naive_dot(cols, row, row)), (double)*(const real *)c->arg);
        for (int64_t i = 0; i < cols; i++) {
            out[r * cols + i] = row[i] / length;
        }
    }
}

static const gradcheck_input shapes[] = {
    {2, {3, 7}},      {1, {5}},          {1, {1}},         {3, {2, 3, 1}}, {2, {0, 4}}, {2, {4, 0}},
    {2, {5, 33}, 10}, {3, {2, 9, 2500}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_softmax(void **state) {
    (void)state;
    real eps = (real)1e-12;
    for (size_t i = 0; i < SHAPES; i++) {
        int few = i + 1 == SHAPES ? 4 : 0;
        gradcheck_op(&(op_case){"op_softmax", build_softmax, naive_softmax_rows, NULL, {shapes[i]}, .coordinates = few});
        gradcheck_op(&(op_case){"op_log_softmax", build_log_softmax, naive_log_softmax_rows, NULL, {shapes[i]},
                                .coordinates = few});
        gradcheck_op(&(op_case){"op_normalise", build_normalise, naive_normalise, &eps, {shapes[i]},
                                .coordinates = few});
    }
}

/* Values so large that exp() of them would overflow, and rows of -inf. */
static void test_softmax_extremes(void **state) {
    (void)state;
    static const double values[6] = {1e4, 1e4 + 1, -1e4, 3e4, 3e4, 3e4};
    gradcheck_op(&(op_case){"op_softmax, large", build_softmax, naive_softmax_rows, NULL, {{2, {2, 3}, .values = values}}});
    gradcheck_op(&(op_case){"op_log_softmax, large", build_log_softmax, naive_log_softmax_rows, NULL,
                            {{2, {2, 3}, .values = values}}});
    real x[3] = {-(real)INFINITY, -(real)INFINITY, -(real)INFINITY}, y[3];
    kernels_choose()->softmax(3, x, y);
    support_close((double)y[0], 1.0 / 3, 1e-6, "softmax of nothing");
    x[0] = x[1] = x[2] = (real)NAN;
    kernels_choose()->softmax(3, x, y);
    assert_true(y[0] != y[0] && y[1] != y[1] && y[2] != y[2]);
    x[0] = x[1] = 0;
    kernels_choose()->softmax(3, x, y);
    assert_true(y[0] != y[0] && y[1] != y[1] && y[2] != y[2]);
}

static void test_normalise_short_rows(void **state) {
    (void)state;
    real eps = 4; /* rows of length about 2: only scaled */
    gradcheck_op(&(op_case){"op_normalise, short", build_normalise, naive_normalise, &eps, {{2, {3, 5}, .scale = 0.5}}});
    static const double zeros[4] = {0};
    gradcheck_op(&(op_case){"op_normalise, zeros", build_normalise, naive_normalise, &eps, {{2, {2, 2}, .values = zeros}}});
    eps = 0;
    gradcheck_refuses(&(op_case){"op_normalise", build_normalise, .arg = &eps, .in = {{1, {1}}}}, "eps");
}

/* ---- dropout ---- */

static tensor *build_dropout(tape *t, tensor *const *in, const void *arg) {
    return op_dropout(t, in[0], *(const double *)arg);
}
static void naive_identity(const op_case *c, const double *const *in, double *out) {
    int64_t rows, cols;
    rows_of(&c->in[0], &rows, &cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        out[i] = in[0][i];
    }
}

static void test_dropout_gradient(void **state) {
    (void)state;
    static const double ps[] = {0.1, 0.5, 0.9};
    for (size_t i = 0; i < 3; i++) {
        gradcheck_op(&(op_case){"op_dropout", build_dropout, NULL, &ps[i], {{2, {5, 13}}}, .train = true});
        gradcheck_op(&(op_case){"op_dropout, long", build_dropout, NULL, &ps[i], {{2, {3, 30011}}}, .train = true,
                                .coordinates = 4});
        gradcheck_op(&(op_case){"op_dropout, inference", build_dropout, naive_identity, &ps[i], {{2, {5, 13}}}});
    }
    double none = 0, all = 1;
    gradcheck_op(&(op_case){"op_dropout, p 0", build_dropout, naive_identity, &none, {{2, {5, 13}}}, .train = true});
    gradcheck_op(&(op_case){"op_dropout, none", build_dropout, NULL, &ps[0], {{2, {0, 3}}}, .train = true});
    gradcheck_refuses(&(op_case){"op_dropout", build_dropout, .arg = &all, .in = {{1, {1}}}, .train = true}, "op_dropout");
}

/* The share of zeros, the value of the others, no pattern between neighbours or ops, the same mask for the same seed,
 * and a gradient through the same mask. */
static void test_dropout_mask(void **state) {
    (void)state;
    enum { N = 80000, LAG = 32768 }; /* LAG: the length of the pieces in which long arrays are worked on */
    static real ones[N], first[N];
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
    }
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    int64_t n = N;
    double p = 0.2;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        tape_begin(t, true, true, seed == 3 ? 1 : seed);
        tensor *x = tape_view(t, 1, &n, ones);
        x->needs_grad = true;
        tensor *a = op_dropout(t, x, p);
        x->needs_grad = false;
        tensor *b = op_dropout(t, x, p);
        x->needs_grad = true;
        support_ok(tape_backward(t, op_sum(t, a, 1), &err), &err);
        int zeros = 0, both = 0, pairs = 0, lagged = 0, like_first = 0;
        for (int i = 0; i < N; i++) {
            assert_true(a->data[i] == 0 || fabs((double)a->data[i] - 1.25) < 1e-6);
            assert_true(x->grad[i] == a->data[i]);
            zeros += a->data[i] == 0;
            both += a->data[i] == 0 && b->data[i] == 0;
            pairs += i > 0 && a->data[i] == 0 && a->data[i - 1] == 0;
            lagged += i >= LAG && a->data[i] == 0 && a->data[i - LAG] == 0;
            like_first += a->data[i] == first[i];
        }
        double deviation = 5 * sqrt(N * 0.2 * 0.8); /* five standard deviations of a fair count */
        assert_true(fabs(zeros - N * 0.2) < deviation);
        assert_true(fabs(both - N * 0.04) < deviation);
        assert_true(fabs(pairs - N * 0.04) < deviation);
        assert_true(fabs(lagged - (N - LAG) * 0.04) < deviation);
        if (seed == 1) {
            memcpy(first, a->data, sizeof first);
        } else {
            assert_true(seed == 3 ? like_first == N : fabs(like_first - N * 0.68) < deviation);
        }
    }
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),          cmocka_unit_test(test_softmax_extremes),
        cmocka_unit_test(test_normalise_short_rows), cmocka_unit_test(test_dropout_gradient),
        cmocka_unit_test(test_dropout_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
