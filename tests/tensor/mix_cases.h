/* mix_cases.h: checks of mix_layers.c and mix_rows.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include <math.h>

static tensor *build(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_mix_layers(t, in[0], in[1]);
}

static void naive(const op_case *c, const double *const *in, double *out) {
    int64_t layers = c->in[1].dim[0], rows = 1, width = c->in[0].dim[c->in[0].ndim - 1] / layers;
    double sum = 0;
    for (int d = 0; d + 1 < c->in[0].ndim; d++) {
        rows *= c->in[0].dim[d];
    }
    for (int64_t l = 0; l < layers; l++) {
        sum += exp(in[1][l]);
    }
    for (int64_t i = 0; i < rows * width; i++) {
        out[i] = 0;
        for (int64_t l = 0; l < layers; l++) {
            out[i] += exp(in[1][l]) / sum * in[0][(i / width * layers + l) * width + i % width];
        }
    }
}

static void test_mix(void **state) {
    (void)state;
    gradcheck_op(&(op_case){"op_mix_layers", build, naive, .in = {{3, {2, 3, 20}}, {1, {4}}}});
    gradcheck_op(&(op_case){"op_mix_layers of one", build, naive, .in = {{2, {3, 5}}, {1, {1}}}});
    gradcheck_op(&(op_case){"op_mix_layers wide", build, naive, .in = {{2, {5, 13 * 37}}, {1, {13}}}});
    gradcheck_op(&(op_case){"op_mix_layers of no rows", build, naive, .in = {{2, {0, 6}}, {1, {3}}}});
    gradcheck_refuses(&(op_case){"op_mix_layers", build, .in = {{2, {3, 7}}, {1, {2}}}}, "op_mix_layers");
    gradcheck_memory(&(op_case){"op_mix_layers", build, naive, .in = {{2, {3, 6}}, {1, {3}}}});
}

/* ---- mixup of rows ---- */

static tensor *build_rows(tape *t, tensor *const *in, const void *arg) { return op_mix_rows(t, in[0], arg); }

static void naive_rows(const op_case *c, const double *const *in, double *out) {
    const op_row_mix *m = c->arg;
    int64_t width = 1;
    for (int d = 1; d < c->in[0].ndim; d++) {
        width *= c->in[0].dim[d];
    }
    for (int64_t i = 0; i < (m->plain + m->mixed) * width; i++) {
        int64_t row = i / width, k = row - m->plain;
        double l = k < 0 ? 1 : (double)m->lambda[k];
        int64_t a = k < 0 ? row : m->one[k], b = k < 0 ? row : m->other[k];
        out[i] = l * in[0][a * width + i % width] + (1 - l) * in[0][b * width + i % width];
    }
}

static void test_mix_rows(void **state) {
    (void)state;
    static const int64_t one[4] = {0, 3, 3, 2}, other[4] = {1, 3, 0, 0};
    static const real lambda[4] = {(real)0.25, (real)0.7, 0, 1};
    static const op_row_mix mixes[] = {{4, 4, one, other, lambda}, {1, 3, one, other, lambda}, {0, 4, one, other, lambda},
                                       {3, 0, NULL, NULL, NULL}};
    for (size_t i = 0; i < 4; i++) {
        gradcheck_op(&(op_case){"op_mix_rows", build_rows, naive_rows, &mixes[i], {{2, {4, 5}}}});
        gradcheck_op(&(op_case){"op_mix_rows of frames", build_rows, naive_rows, &mixes[i], {{3, {4, 3, 2}}}});
        gradcheck_op(&(op_case){"op_mix_rows wide", build_rows, naive_rows, &mixes[i], {{2, {4, 9001}}}});
        gradcheck_op(&(op_case){"op_mix_rows of nothing", build_rows, naive_rows, &mixes[i], {{2, {4, 0}}}});
    }
    gradcheck_refuses(&(op_case){"op_mix_rows", build_rows, .arg = &mixes[0], .in = {{2, {3, 2}}}}, "op_mix_rows");
    gradcheck_refuses(&(op_case){"op_mix_rows", build_rows, .arg = &mixes[1], .in = {{2, {3, 2}}}}, "no such row");
    gradcheck_memory(&(op_case){"op_mix_rows", build_rows, naive_rows, &mixes[0], {{2, {4, 6}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mix), cmocka_unit_test(test_mix_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
