/* linear_cases.h: checks of linear.c, activation.c and glu.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

/* ---- linear ---- */

typedef struct linear_arg {
    bool bias;
    op_act act;
} linear_arg;

static tensor *build_linear(tape *t, tensor *const *in, const void *arg) {
    const linear_arg *a = arg;
    return op_linear(t, in[0], in[1], a->bias ? in[2] : NULL, a->act);
}

static void naive_linear(const op_case *c, const double *const *in, double *out) {
    const linear_arg *a = c->arg;
    int64_t n = c->in[1].dim[0], k = c->in[1].dim[1], rows = 1;
    for (int d = 0; d + 1 < c->in[0].ndim; d++) {
        rows *= c->in[0].dim[d];
    }
    naive_matmul(rows, n, k, in[0], in[1], true, out);
    for (int64_t i = 0; i < rows * n; i++) {
        out[i] = naive_activate(out[i] + (a->bias ? in[2][i % n] : 0), a->act);
    }
}

/* Smooth activations only: differences across a kink say nothing. Kinks have cases with chosen values below. */
static const op_act smooth[] = {OP_ACT_NONE, OP_ACT_SWISH, OP_ACT_GELU, OP_ACT_TANH, OP_ACT_SIGMOID};
enum { SMOOTH = sizeof smooth / sizeof *smooth };

static void test_linear(void **state) {
    (void)state;
    for (size_t i = 0; i < SMOOTH; i++) {
        for (int bias = 0; bias < 2; bias++) {
            linear_arg a = {bias, smooth[i]};
            op_case c = {"op_linear", build_linear, naive_linear, &a, {{3, {2, 3, 5}}, {2, {7, 5}}}};
            if (bias) {
                c.in[2] = (gradcheck_input){1, {7}};
            }
            gradcheck_op(&c);
        }
    }
}

static void test_linear_sizes(void **state) {
    (void)state;
    static const int64_t sizes[][3] = { /* rows, K, N */
        {1, 1, 1}, {0, 3, 2}, {3, 0, 2}, {3, 2, 0}, {1, 33, 17}, {17, 1, 3}, {257, 3, 1},
    };
    linear_arg a = {true, OP_ACT_SWISH};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t rows = sizes[i][0], k = sizes[i][1], n = sizes[i][2];
        gradcheck_op(&(op_case){"op_linear", build_linear, naive_linear, &a, {{2, {rows, k}}, {2, {n, k}}, {1, {n}}}});
    }
    gradcheck_op(&(op_case){"op_linear, one row", build_linear, naive_linear, &a, {{1, {5}}, {2, {3, 5}}, {1, {3}}}});
    gradcheck_op(&(op_case){"op_linear, many items", build_linear, naive_linear, &a,
                            {{2, {1601, 9}}, {2, {6, 9}}, {1, {6}}}, .coordinates = 6});
}

static void test_linear_refuses(void **state) {
    (void)state;
    linear_arg a = {true, OP_ACT_NONE};
    gradcheck_refuses(&(op_case){"K", build_linear, .arg = &a, .in = {{2, {2, 3}}, {2, {5, 4}}, {1, {5}}}},
                      "op_linear: shapes [2,3] and [5,4]");
    gradcheck_refuses(&(op_case){"b", build_linear, .arg = &a, .in = {{2, {2, 3}}, {2, {5, 3}}, {1, {4}}}}, "bias");
    gradcheck_refuses(&(op_case){"w", build_linear, .arg = &a, .in = {{2, {2, 3}}, {1, {3}}, {1, {1}}}}, "op_linear");
    gradcheck_memory(&(op_case){"op_linear", build_linear, .arg = &a,
                                .in = {{2, {2000, 90}}, {2, {80, 90}}, {1, {80}}}});
}

/* ---- activation ---- */

static tensor *build_activation(tape *t, tensor *const *in, const void *arg) {
    return op_activation(t, in[0], *(const op_act *)arg);
}

static void naive_activation(const op_case *c, const double *const *in, double *out) {
    int64_t n = 1;
    for (int d = 0; d < c->in[0].ndim; d++) {
        n *= c->in[0].dim[d];
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = naive_activate(in[0][i], *(const op_act *)c->arg);
    }
}

static void test_activation(void **state) {
    (void)state;
    static const double values[14] = {-90, -15, -9, -4.4, -2.5, -1, -0.345, -0.01, 0.01, 0.36, 1, 3, 7, 90};
    for (int act = OP_ACT_RELU; act <= OP_ACT_SIGMOID; act++) {
        op_act a = (op_act)act;
        gradcheck_op(&(op_case){"op_activation", build_activation, naive_activation, &a, {{2, {2, 7}, .values = values}}});
        gradcheck_op(&(op_case){"op_activation, one", build_activation, naive_activation, &a, {{1, {1}, .shift = 2}}});
        gradcheck_op(&(op_case){"op_activation, none", build_activation, naive_activation, &a, {{2, {3, 0}}}});
    }
    for (size_t i = 1; i < SMOOTH; i++) {
        gradcheck_op(&(op_case){"op_activation, long", build_activation, naive_activation, &smooth[i],
                                {{2, {3, 23003}, .scale = 3}}, .coordinates = 6});
    }
}

/* Absolute errors over a fine grid, and what becomes of infinities and NaN. */
static void test_activation_accuracy(void **state) {
    (void)state;
    enum { N = 4001 };
    static real x[N], y[N];
    double tolerance = sizeof(real) == 8 ? 1e-14 : 2e-7;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t k = 0; k < 3; k++) {
        const kernels *table = kernels_find(names[k]);
        for (int act = OP_ACT_RELU; table != NULL && act <= OP_ACT_SIGMOID; act++) {
            for (int i = 0; i < N; i++) {
                x[i] = (real)(i - N / 2) * (real)0.005;
            }
            table->activate(act, N, x, y);
            for (int i = 0; i < N; i++) {
                double want = naive_activate((double)x[i], (op_act)act);
                support_close((double)y[i], want, tolerance, "activation");
            }
        }
        if (table != NULL) {
            real odd[3] = {-(real)INFINITY, (real)INFINITY, (real)NAN};
            table->activate(OP_ACT_SIGMOID, 3, odd, y);
            assert_true(y[0] < (real)1e-30 && y[1] == 1 && y[2] != y[2]);
            table->activate(OP_ACT_TANH, 3, odd, y);
            assert_true(y[0] == -1 && y[1] == 1 && y[2] != y[2]);
        }
    }
}

/* The GELU of inference. */
static void test_gelu(void **state) {
    (void)state;
    enum { N = 8001 };
    static real x[N], y[N];
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t k = 0; k < 3; k++) {
        const kernels *table = kernels_find(names[k]);
        if (table == NULL) {
            continue;
        }
        for (int i = 0; i < N; i++) {
            x[i] = (real)(i - N / 2) * (real)0.003;
        }
        table->gelu(N, x, y);
        for (int i = 0; i < N; i++) {
            support_close((double)y[i], naive_activate((double)x[i], OP_ACT_GELU), 2e-6, "gelu");
        }
        real odd[4] = {(real)1e30, -(real)1e30, (real)NAN, 0};
        table->gelu(4, odd, y);
        assert_true(y[0] > (real)0.99e30 && y[1] == 0 && y[2] != y[2] && y[3] == 0);
    }
}

/* ---- GLU ---- */

static tensor *build_glu(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_glu(t, in[0]);
}
static tensor *build_glu_twice(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_mul(t, op_glu(t, in[0]), op_glu(t, in[0]));
}

static void naive_glu(const op_case *c, const double *const *in, double *out) {
    int64_t rows = c->in[0].dim[0], n = c->in[0].dim[1] / 2;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i++) {
            double y = in[0][2 * n * r + i] * naive_sigmoid(in[0][2 * n * r + n + i]);
            out[n * r + i] = c->build == build_glu ? y : y * y;
        }
    }
}

static void test_glu(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{3, 10}, {1, 2}, {0, 4}, {3, 0}, {7, 66}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gradcheck_input x = {2, {sizes[i][0], sizes[i][1]}};
        gradcheck_op(&(op_case){"op_glu", build_glu, naive_glu, NULL, {x}});
        gradcheck_op(&(op_case){"op_glu twice", build_glu_twice, naive_glu, NULL, {x}});
    }
    gradcheck_op(&(op_case){"op_glu, long", build_glu, naive_glu, NULL, {{2, {501, 130}}}, .coordinates = 6});
    gradcheck_refuses(&(op_case){"op_glu", build_glu, .in = {{2, {2, 3}}}}, "op_glu: shape [2,3]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),          cmocka_unit_test(test_linear_sizes),
        cmocka_unit_test(test_linear_refuses),  cmocka_unit_test(test_activation),
        cmocka_unit_test(test_activation_accuracy), cmocka_unit_test(test_glu), cmocka_unit_test(test_gelu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
