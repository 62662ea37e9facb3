/* norm_cases.h: checks of layer_norm.c, batch_norm.c and group_norm.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Over one or two values the result is 0 or +-1 and its gradient cancels to nothing: those cases take the large eps,
 * and a tolerance that is 1e-7 in absolute terms. */
static const real eps = (real)1e-5, large_eps = (real)0.5;

static real eps_of(const void *arg) { return arg == NULL ? eps : *(const real *)arg; }

static int64_t cols_of(const op_case *c) { return c->in[0].dim[c->in[0].ndim - 1]; }
static int64_t rows_of(const op_case *c) {
    int64_t n = 1;
    for (int d = 0; d + 1 < c->in[0].ndim; d++) {
        n *= c->in[0].dim[d];
    }
    return n;
}

/* ---- layer norm ---- */

static tensor *build_layer(tape *t, tensor *const *in, const void *arg) {
    return op_layer_norm(t, in[0], in[1], in[2], eps_of(arg));
}

static void naive_layer(const op_case *c, const double *const *in, double *out) {
    int64_t n = cols_of(c);
    for (int64_t r = 0; r < rows_of(c); r++) {
        const double *x = in[0] + r * n;
        double mean = naive_mean(n, x, 1), rstd = 1 / sqrt(naive_variance(n, x, 1) + (double)eps_of(c->arg));
        for (int64_t i = 0; i < n; i++) {
            out[r * n + i] = (x[i] - mean) * rstd * in[1][i] + in[2][i];
        }
    }
}

static void test_layer_norm(void **state) {
    (void)state;
    static const int64_t size[][2] = {{1, 1}, {3, 1}, {1, 2}, {5, 7}, {4, 16}, {3, 33}, {2, 144}, {7, 100}, {0, 5}, {4, 0}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        int64_t r = size[i][0], n = size[i][1];
        gradcheck_op(&(op_case){"op_layer_norm", build_layer, naive_layer, n <= 2 ? &large_eps : NULL,
                                {{2, {r, n}}, {1, {n}}, {1, {n}}}, .tolerance = n <= 2 ? 1e-4 : 0});
    }
    gradcheck_op(&(op_case){"op_layer_norm of many rows", build_layer, naive_layer, NULL,
                            {{3, {3, 700, 9}}, {1, {9}}, {1, {9}}}, .coordinates = 5});
    gradcheck_op(&(op_case){"op_layer_norm with one dimension", build_layer, naive_layer, NULL,
                            {{1, {19}}, {1, {19}}, {1, {19}}}});
    /* A mean of 1000 standard deviations costs three digits of x itself, and no more. */
    gradcheck_op(&(op_case){"op_layer_norm far from zero", build_layer, naive_layer, NULL,
                            {{2, {3, 80}, .shift = 1000, .constant = true}, {1, {80}}, {1, {80}}}, .tolerance = 2e-4});
    op_case wrong = {"op_layer_norm", build_layer, NULL, NULL, {{2, {3, 8}}, {1, {7}}, {1, {8}}}};
    gradcheck_refuses(&wrong, "layer_norm: 8 columns");
    gradcheck_memory(&(op_case){"op_layer_norm", build_layer, NULL, NULL, {{2, {3, 8}}, {1, {8}}, {1, {8}}}});
}

static tensor *build_layer_act(tape *t, tensor *const *in, const void *arg) {
    return op_layer_norm_act(t, in[0], in[1], in[2], eps, *(const op_act *)arg);
}

static void naive_layer_act(const op_case *c, const double *const *in, double *out) {
    op_case plain = *c;
    plain.arg = NULL;
    naive_layer(&plain, in, out);
    for (int64_t i = 0; i < rows_of(c) * cols_of(c); i++) {
        out[i] = naive_activate(out[i], *(const op_act *)c->arg);
    }
}

static void test_layer_norm_act(void **state) {
    (void)state;
    static const op_act acts[] = {OP_ACT_NONE, OP_ACT_GELU, OP_ACT_SWISH};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        gradcheck_op(&(op_case){"op_layer_norm_act", build_layer_act, naive_layer_act, &acts[i],
                                {{2, {5, 33}}, {1, {33}}, {1, {33}}}});
        gradcheck_op(&(op_case){"op_layer_norm_act of many rows", build_layer_act, naive_layer_act, &acts[i],
                                {{3, {2, 300, 16}}, {1, {16}}, {1, {16}}}, .coordinates = 5});
    }
    gradcheck_refuses(&(op_case){"op_layer_norm_act", build_layer_act, NULL, &acts[1], {{2, {3, 8}}, {1, {7}}, {1, {8}}}},
                      "layer_norm: 8 columns");
    gradcheck_memory(&(op_case){"op_layer_norm_act", build_layer_act, NULL, &acts[1], {{2, {3, 8}}, {1, {8}}, {1, {8}}}});
}

/* ---- batch norm ---- */

static tensor *build_batch(tape *t, tensor *const *in, const void *arg) {
    return op_batch_norm(t, in[0], in[1], in[2], in[3], in[4], (real)0.1, eps_of(arg));
}

static void naive_batch(const op_case *c, const double *const *in, double *out) {
    int64_t n = cols_of(c), rows = rows_of(c);
    for (int64_t i = 0; i < n && rows > 0; i++) {
        double mean = c->train ? naive_mean(rows, in[0] + i, n) : in[3][i];
        double var = c->train ? naive_variance(rows, in[0] + i, n) : in[4][i];
        for (int64_t r = 0; r < rows; r++) {
            out[r * n + i] = (in[0][r * n + i] - mean) / sqrt(var + (double)eps_of(c->arg)) * in[1][i] + in[2][i];
        }
    }
}

static tensor *build_batch_act(tape *t, tensor *const *in, const void *arg) {
    return op_batch_norm_act(t, in[0], in[1], in[2], in[3], in[4], (real)0.1, eps, *(const op_act *)arg);
}

static void naive_batch_act(const op_case *c, const double *const *in, double *out) {
    op_act act = *(const op_act *)c->arg;
    op_case plain = *c;
    plain.arg = NULL;
    naive_batch(&plain, in, out);
    for (int64_t i = 0; i < rows_of(c) * cols_of(c); i++) {
        out[i] = naive_activate(out[i], act);
    }
}

#define RUNNING(n) {1, {n}, .constant = true}, {1, {n}, .shift = 2, .scale = 0.1, .constant = true}

static void test_batch_norm(void **state) {
    (void)state;
    static const int64_t size[][2] = {{1, 1}, {2, 1}, {1, 5}, {7, 3}, {8, 16}, {29, 17}, {9, 288}, {0, 5}, {4, 0}};
    for (size_t i = 0; i < 2 * (sizeof size / sizeof *size); i++) {
        int64_t r = size[i / 2][0], n = size[i / 2][1];
        gradcheck_op(&(op_case){i % 2 == 0 ? "op_batch_norm" : "op_batch_norm in training", build_batch, naive_batch,
                                r <= 2 ? &large_eps : NULL, {{2, {r, n}}, {1, {n}}, {1, {n}}, RUNNING(n)},
                                .train = i % 2 != 0, .tolerance = r <= 2 ? 1e-4 : 0});
    }
    gradcheck_op(&(op_case){"op_batch_norm of many rows", build_batch, naive_batch, NULL,
                            {{3, {3, 700, 5}}, {1, {5}}, {1, {5}}, RUNNING(5)}, .train = true, .coordinates = 5});
    gradcheck_op(&(op_case){"op_batch_norm far from zero", build_batch, naive_batch, NULL,
                            {{3, {2, 40, 5}, .shift = 1000, .constant = true}, {1, {5}}, {1, {5}}, RUNNING(5)}, .train = true,
                            .tolerance = 2e-4});
    static const op_act acts[] = {OP_ACT_SELU, OP_ACT_TANH, OP_ACT_SIGMOID, OP_ACT_SWISH};
    double values[2100]; /* results far from 0, where SELU has a kink */
    for (int i = 0; i < 2100; i++) {
        values[i] = (i % 7 % 2 == 0 ? 1 : -1) * (1 + (i * 37 % 64) / 128.0);
    }
    for (size_t i = 0; i < 12; i++) {
        int64_t r = i % 2 == 0 ? 29 : 700, n = i % 2 == 0 ? 17 : 3;
        gradcheck_op(&(op_case){"op_batch_norm_act", build_batch_act, naive_batch_act, &acts[i / 4],
                                {{2, {r, n}, .values = values}, {1, {n}, .shift = 1, .scale = 0.1}, {1, {n}, .scale = 0.1},
                                 {1, {n}, .scale = 0.05, .constant = true}, {1, {n}, .shift = 2, .scale = 0.1, .constant = true}},
                                .train = i % 4 > 1, .coordinates = 8});
    }
    gradcheck_refuses(&(op_case){"op_batch_norm_act", build_batch_act, NULL, &acts[3], {{2, {3, 8}}, {1, {8}}, {1, {8}}, RUNNING(8)}},
                      "batch_norm: the slope of this activation");
    op_case wrong = {"op_batch_norm", build_batch, NULL, NULL, {{2, {3, 8}}, {1, {8}}, {1, {8}}, RUNNING(9)}};
    gradcheck_refuses(&wrong, "batch_norm: 8 columns");
    gradcheck_memory(&(op_case){"op_batch_norm", build_batch, NULL, NULL,
                                {{2, {3, 8}}, {1, {8}}, {1, {8}}, RUNNING(8)}, .train = true});
}

/* running += momentum (batch - running), the variance unbiased; one row leaves the variance; no row leaves both. */
static void test_running_statistics(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    real x[8] = {1, 10, 2, 20, 4, 40, 5, 50}, g[2] = {1, 1}, b[2] = {0, 0};
    for (int64_t rows = 0; rows <= 4; rows++) {
        for (int train = 0; train < 2; train++) {
            real mean[2] = {1, 2}, var[2] = {3, 4};
            tensor tx = {2, {rows, 2}, x}, tg = {1, {2}, g}, tb = {1, {2}, b}, tm = {1, {2}, mean}, tv = {1, {2}, var};
            tape_begin(t, false, train != 0, 1);
            assert_non_null(op_batch_norm(t, &tx, &tg, &tb, &tm, &tv, (real)0.25, eps));
            support_ok(tape_status(t, &err), &err);
            double column[4], want_mean[2] = {1, 2}, want_var[2] = {3, 4};
            for (int i = 0; i < 2; i++) {
                for (int64_t r = 0; r < rows; r++) {
                    column[r] = (double)x[2 * r + i];
                }
                if (train != 0 && rows > 0) {
                    want_mean[i] += 0.25 * (naive_mean(rows, column, 1) - want_mean[i]);
                }
                if (train != 0 && rows > 1) {
                    double unbiased = naive_variance(rows, column, 1) * (double)rows / (double)(rows - 1);
                    want_var[i] += 0.25 * (unbiased - want_var[i]);
                }
                support_close((double)mean[i], want_mean[i], 1e-6, "running mean");
                support_close((double)var[i], want_var[i], 1e-6, "running variance");
            }
        }
    }
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

/* ---- group norm ---- */

typedef struct group_arg {
    int64_t groups;
    real eps;
} group_arg;

static tensor *build_group(tape *t, tensor *const *in, const void *arg) {
    const group_arg *a = arg;
    return op_group_norm(t, in[0], in[1], in[2], a->groups, a->eps);
}

static void naive_group(const op_case *c, const double *const *in, double *out) {
    const group_arg *a = c->arg;
    int64_t clips = c->in[0].dim[0], n = cols_of(c), rows = clips == 0 ? 0 : rows_of(c) / clips, part = n / a->groups;
    double *x = malloc((size_t)(rows * part + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < clips * a->groups && rows * part > 0; i++) {
        int64_t first = i / a->groups * rows * n + i % a->groups * part;
        for (int64_t j = 0; j < rows * part; j++) {
            x[j] = in[0][first + j / part * n + j % part];
        }
        double mean = naive_mean(rows * part, x, 1), var = naive_variance(rows * part, x, 1);
        for (int64_t j = 0; j < rows * part; j++) {
            int64_t col = i % a->groups * part + j % part;
            out[first + j / part * n + j % part] = (x[j] - mean) / sqrt(var + (double)a->eps) * in[1][col] + in[2][col];
        }
    }
    free(x);
}

static void check_group(int64_t clips, int64_t rows, int64_t n, int64_t groups) {
    bool small = clips * rows * n > 0 && rows * (n / groups) <= 2;
    group_arg a = {groups, small ? large_eps : eps};
    gradcheck_op(&(op_case){"op_group_norm", build_group, naive_group, &a, {{3, {clips, rows, n}}, {1, {n}}, {1, {n}}},
                            .tolerance = small ? 1e-4 : 2e-5});
}

static void test_group_norm(void **state) {
    (void)state;
    check_group(1, 1, 1, 1);
    check_group(2, 9, 6, 1);
    check_group(2, 9, 6, 3);
    check_group(3, 17, 5, 5); /* a group for each column: instance norm */
    check_group(1, 40, 34, 2);
    check_group(2, 1, 8, 2);
    check_group(0, 5, 4, 2);
    check_group(2, 0, 4, 2);
    check_group(2, 5, 0, 3);
    group_arg two = {2, eps}, none = {0, eps};
    gradcheck_op(&(op_case){"op_group_norm", build_group, naive_group, &two, {{4, {2, 3, 4, 6}}, {1, {6}}, {1, {6}}},
                            .tolerance = 2e-5});
    gradcheck_op(&(op_case){"op_group_norm far from zero", build_group, naive_group, &two,
                            {{3, {2, 30, 6}, .shift = 1000, .constant = true}, {1, {6}}, {1, {6}}}, .tolerance = 2e-4});
    op_case wrong = {"op_group_norm", build_group, NULL, &two, {{3, {2, 3, 5}}, {1, {5}}, {1, {5}}}};
    gradcheck_refuses(&wrong, "5 columns does not fit 2 groups");
    wrong.arg = &none;
    gradcheck_refuses(&wrong, "0 groups");
    op_case bias = {"op_group_norm", build_group, NULL, &two, {{3, {2, 3, 4}}, {1, {4}}, {1, {5}}}};
    gradcheck_refuses(&bias, "5 biases");
    gradcheck_memory(&(op_case){"op_group_norm", build_group, NULL, &two, {{3, {2, 3, 4}}, {1, {4}}, {1, {4}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_layer_norm_act),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_running_statistics),
        cmocka_unit_test(test_group_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
