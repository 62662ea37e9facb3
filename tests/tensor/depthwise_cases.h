/* depthwise_cases.h: checks of depthwise.c, run in the float and in the double build. */
#include "support/gradcheck.h"

typedef struct pads {
    int64_t left, right;
    bool no_bias;
} pads;

static tensor *build(tape *t, tensor *const *in, const void *arg) {
    const pads *p = arg;
    return op_depthwise(t, in[0], in[1], p->no_bias ? NULL : in[2], p->left, p->right);
}

static void naive(const op_case *c, const double *const *in, double *out) {
    const pads *p = c->arg;
    int64_t clips = c->in[0].dim[0], frames = c->in[0].dim[1], n = c->in[0].dim[2], taps = c->in[1].dim[1];
    int64_t made = frames + p->left + p->right - taps + 1;
    for (int64_t b = 0; b < clips; b++) {
        for (int64_t t = 0; t < made; t++) {
            for (int64_t i = 0; i < n; i++) {
                double sum = p->no_bias ? 0 : in[2][i];
                for (int64_t k = 0; k < taps; k++) {
                    int64_t at = t + k - p->left;
                    if (at >= 0 && at < frames) {
                        sum += in[0][(b * frames + at) * n + i] * in[1][i * taps + k];
                    }
                }
                out[(b * made + t) * n + i] = sum;
            }
        }
    }
}

static void check(int64_t clips, int64_t frames, int64_t channels, int64_t taps, pads p) {
    op_case c = {"op_depthwise", build, naive, &p, {{3, {clips, frames, channels}}, {2, {channels, taps}}, {1, {channels}}},
                 .coordinates = 24};
    if (p.no_bias) {
        c.in[2].constant = true;
    }
    gradcheck_op(&c);
}

static void test_sizes(void **state) {
    (void)state;
    check(1, 1, 1, 1, (pads){0, 0, false});
    check(2, 9, 3, 3, (pads){1, 1, false});
    check(2, 40, 33, 31, (pads){15, 15, false});
    check(1, 31, 16, 31, (pads){0, 0, true});
    check(3, 7, 17, 4, (pads){1, 2, true});
    check(1, 5, 2, 2, (pads){4, 6, false}); /* more padding than taps */
    check(1, 2, 2, 9, (pads){0, 8, false}); /* more taps than frames, all padding on one side */
    check(1, 2, 2, 9, (pads){8, 0, false});
    check(20, 3, 5, 3, (pads){1, 1, false}); /* more clips than parts */
    check(0, 5, 3, 3, (pads){1, 1, false});
    check(2, 5, 0, 3, (pads){1, 1, false});
    check(2, 0, 3, 3, (pads){1, 2, false}); /* nothing but padding */
}

static void test_refusals(void **state) {
    (void)state;
    pads none = {0, 0, false}, negative = {-1, 9, false}, huge = {INT64_MAX, INT64_MAX, false};
    gradcheck_refuses(&(op_case){"channels", build, NULL, &none, {{3, {1, 5, 3}}, {2, {4, 3}}, {1, {4}}}}, "3 channels");
    gradcheck_refuses(&(op_case){"bias", build, NULL, &none, {{3, {1, 5, 3}}, {2, {3, 3}}, {1, {4}}}}, "4 biases");
    gradcheck_refuses(&(op_case){"ndim", build, NULL, &none, {{2, {5, 3}}, {2, {3, 3}}, {1, {3}}}}, "2 dimensions");
    gradcheck_refuses(&(op_case){"short", build, NULL, &none, {{3, {1, 2, 3}}, {2, {3, 3}}, {1, {3}}}}, "too few");
    gradcheck_refuses(&(op_case){"no taps", build, NULL, &none, {{3, {1, 2, 3}}, {2, {3, 0}}, {1, {3}}}}, "depthwise");
    gradcheck_refuses(&(op_case){"pad", build, NULL, &negative, {{3, {1, 2, 3}}, {2, {3, 3}}, {1, {3}}}}, "padding -1");
    gradcheck_refuses(&(op_case){"pad", build, NULL, &huge, {{3, {1, 2, 3}}, {2, {3, 3}}, {1, {3}}}}, "padding");
    gradcheck_memory(&(op_case){"op_depthwise", build, NULL, &none, {{3, {1, 5, 3}}, {2, {3, 3}}, {1, {3}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
