/* mix_cases.h: checks of mix_layers.c, run in the float and in the double build. */
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
