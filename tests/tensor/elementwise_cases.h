/* elementwise_cases.h: checks of elementwise.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"

static tensor *build_add(tape *t, tensor *const *in, const void *arg) {
    return op_add(t, in[0], in[1], *(const real *)arg);
}
static tensor *build_add_self(tape *t, tensor *const *in, const void *arg) {
    return op_add(t, in[0], in[0], *(const real *)arg);
}
static tensor *build_mul(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_mul(t, in[0], in[1]);
}
static tensor *build_square(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_mul(t, in[0], in[0]);
}
static tensor *build_scale(tape *t, tensor *const *in, const void *arg) {
    return op_scale(t, in[0], *(const real *)arg);
}
static tensor *build_add_row(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_add_row(t, in[0], in[1]);
}
static tensor *build_reshape(tape *t, tensor *const *in, const void *arg) {
    return op_reshape(t, in[0], 2, arg);
}
static tensor *build_sum(tape *t, tensor *const *in, const void *arg) {
    return op_sum(t, in[0], *(const real *)arg);
}
static tensor *build_weighted(tape *t, tensor *const *in, const void *arg) {
    tensor *x[3] = {in[0], in[1], in[0]}; /* one term twice */
    return op_weighted_sum(t, x, arg, 3);
}

static int64_t size_of(const op_case *c, int input) {
    int64_t n = 1;
    for (int d = 0; d < c->in[input].ndim; d++) {
        n *= c->in[input].dim[d];
    }
    return n;
}

static void naive_add(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] + (double)*(const real *)c->arg * in[1][i];
    }
}
static void naive_add_self(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] * (1 + (double)*(const real *)c->arg);
    }
}
static void naive_mul(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] * in[1][i];
    }
}
static void naive_square(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] * in[0][i];
    }
}
static void naive_scale(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] * (double)*(const real *)c->arg;
    }
}
static void naive_add_row(const op_case *c, const double *const *in, double *out) {
    int64_t cols = c->in[1].dim[0];
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i] + in[1][i % cols];
    }
}
static void naive_copy(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[i] = in[0][i];
    }
}
static void naive_sum(const op_case *c, const double *const *in, double *out) {
    out[0] = 0;
    for (int64_t i = 0; i < size_of(c, 0); i++) {
        out[0] += in[0][i] * (double)*(const real *)c->arg;
    }
}
static void naive_weighted(const op_case *c, const double *const *in, double *out) {
    const real *w = c->arg;
    out[0] = (double)w[0] * in[0][0] + (double)w[1] * in[1][0] + (double)w[2] * in[0][0];
}

static const gradcheck_input shapes[] = {
    {3, {2, 3, 5}}, {1, {1}}, {2, {0, 4}}, {2, {4, 0}}, {4, {2, 1, 3, 17}}, {2, {3, 23003}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_same_shape(void **state) {
    (void)state;
    real half = (real)0.5, one = 1;
    for (size_t i = 0; i < SHAPES; i++) {
        gradcheck_input x = shapes[i];
        int few = i + 1 == SHAPES ? 4 : 0;
        gradcheck_op(&(op_case){"op_add", build_add, naive_add, &half, {x, x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_add, scale 1", build_add, naive_add, &one, {x, x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_add to itself", build_add_self, naive_add_self, &half, {x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_mul", build_mul, naive_mul, NULL, {x, x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_mul by itself", build_square, naive_square, NULL, {x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_scale", build_scale, naive_scale, &half, {x}, .coordinates = few});
        gradcheck_op(&(op_case){"op_sum", build_sum, naive_sum, &half, {x}, .coordinates = few});
    }
}

static void test_rows(void **state) {
    (void)state;
    gradcheck_op(&(op_case){"op_add_row", build_add_row, naive_add_row, NULL, {{3, {3, 3, 7}}, {1, {7}}}});
    gradcheck_op(&(op_case){"op_add_row", build_add_row, naive_add_row, NULL, {{1, {7}}, {1, {7}}}});
    gradcheck_op(&(op_case){"op_add_row", build_add_row, naive_add_row, NULL, {{2, {0, 7}}, {1, {7}}}});
    gradcheck_op(&(op_case){"op_add_row", build_add_row, naive_add_row, NULL, {{2, {3, 0}}, {1, {0}}}});
    int64_t dim[2] = {6, 5};
    gradcheck_op(&(op_case){"op_reshape", build_reshape, naive_copy, dim, {{3, {2, 3, 5}}}});
    real w[3] = {2, -1, (real)0.25};
    gradcheck_op(&(op_case){"op_weighted_sum", build_weighted, naive_weighted, w, {{1, {1}}, {2, {1, 1}}}});
}

static void test_elementwise_refuses(void **state) {
    (void)state;
    real one[3] = {1, 1, 1};
    int64_t dim[2] = {7, 5};
    gradcheck_refuses(&(op_case){"op_add", build_add, .arg = one, .in = {{2, {2, 3}}, {2, {3, 2}}}},
                      "op_add: shapes [2,3] and [3,2]");
    gradcheck_refuses(&(op_case){"op_mul", build_mul, .in = {{2, {2, 3}}, {1, {6}}}}, "op_mul");
    gradcheck_refuses(&(op_case){"op_add_row", build_add_row, .in = {{2, {2, 3}}, {1, {2}}}}, "op_add_row");
    gradcheck_refuses(&(op_case){"op_reshape", build_reshape, .arg = dim, .in = {{2, {2, 3}}}}, "op_reshape");
    gradcheck_refuses(&(op_case){"op_weighted_sum", build_weighted, .arg = one, .in = {{1, {1}}, {1, {2}}}},
                      "op_weighted_sum");
}

static void test_elementwise_memory(void **state) {
    (void)state;
    real one = 1;
    gradcheck_memory(&(op_case){"op_add", build_add, .arg = &one, .in = {{2, {300, 700}}, {2, {300, 700}}}});
    gradcheck_memory(&(op_case){"op_mul", build_mul, .in = {{2, {300, 700}}, {2, {300, 700}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_shape),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_elementwise_refuses),
        cmocka_unit_test(test_elementwise_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
