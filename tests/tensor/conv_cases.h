/* conv_cases.h: checks of conv1d.c and conv2d.c, run in the float and in the double build. */
#include "support/gradcheck.h"

typedef struct conv1d_arg {
    int64_t stride, dilation, left, right, groups;
    bool no_bias;
} conv1d_arg;

typedef struct conv2d_arg {
    int64_t stride_h, stride_w, pad_h, pad_w;
    bool no_bias;
} conv2d_arg;

static tensor *build_1d(tape *t, tensor *const *in, const void *arg) {
    const conv1d_arg *a = arg;
    return op_conv1d(t, in[0], in[1], a->no_bias ? NULL : in[2], a->stride, a->dilation, a->left, a->right, a->groups);
}

static tensor *build_2d(tape *t, tensor *const *in, const void *arg) {
    const conv2d_arg *a = arg;
    return op_conv2d(t, in[0], in[1], a->no_bias ? NULL : in[2], a->stride_h, a->stride_w, a->pad_h, a->pad_w);
}

static void naive_1d(const op_case *c, const double *const *in, double *out) {
    const conv1d_arg *a = c->arg;
    int64_t frames = c->in[0].dim[1], channels = c->in[0].dim[2], outs = c->in[1].dim[0], taps = c->in[1].dim[1];
    int64_t part = channels / a->groups, made = (frames + a->left + a->right - a->dilation * (taps - 1) - 1) / a->stride + 1;
    for (int64_t i = 0; i < c->in[0].dim[0] * made * outs; i++) {
        int64_t o = i % outs, t = i / outs % made, clip = i / outs / made, group = o / (outs / a->groups);
        out[i] = a->no_bias ? 0 : in[2][o];
        for (int64_t k = 0; k < taps; k++) {
            int64_t at = t * a->stride + k * a->dilation - a->left;
            for (int64_t j = 0; at >= 0 && at < frames && j < part; j++) {
                out[i] += in[0][(clip * frames + at) * channels + group * part + j] * in[1][(o * taps + k) * part + j];
            }
        }
    }
}

static void naive_2d(const op_case *c, const double *const *in, double *out) {
    const conv2d_arg *a = c->arg;
    const int64_t *x = c->in[0].dim, *w = c->in[1].dim;
    int64_t height = (x[1] + 2 * a->pad_h - w[1]) / a->stride_h + 1, width = (x[2] + 2 * a->pad_w - w[2]) / a->stride_w + 1;
    for (int64_t i = 0; i < x[0] * height * width * w[0]; i++) {
        int64_t o = i % w[0], col = i / w[0] % width, row = i / w[0] / width % height, clip = i / w[0] / width / height;
        out[i] = a->no_bias ? 0 : in[2][o];
        for (int64_t k = 0; k < w[1] * w[2]; k++) {
            int64_t r = row * a->stride_h + k / w[2] - a->pad_h, q = col * a->stride_w + k % w[2] - a->pad_w;
            for (int64_t j = 0; r >= 0 && r < x[1] && q >= 0 && q < x[2] && j < w[3]; j++) {
                out[i] += in[0][((clip * x[1] + r) * x[2] + q) * w[3] + j] * in[1][(o * w[1] * w[2] + k) * w[3] + j];
            }
        }
    }
}

static void check_1d(int64_t clips, int64_t frames, int64_t channels, int64_t outs, int64_t taps, conv1d_arg a) {
    op_case c = {"op_conv1d", build_1d, naive_1d, &a,
                 {{3, {clips, frames, channels}}, {3, {outs, taps, channels / a.groups}}, {1, {outs}, .constant = a.no_bias}},
                 .coordinates = 16};
    gradcheck_op(&c);
}

static void check_2d(int64_t clips, int64_t height, int64_t width, int64_t channels, int64_t outs, int64_t taps_h,
                     int64_t taps_w, conv2d_arg a) {
    op_case c = {"op_conv2d", build_2d, naive_2d, &a,
                 {{4, {clips, height, width, channels}}, {4, {outs, taps_h, taps_w, channels}},
                  {1, {outs}, .constant = a.no_bias}},
                 .coordinates = 12};
    gradcheck_op(&c);
}

static void test_conv1d(void **state) {
    (void)state;
    check_1d(1, 1, 1, 1, 1, (conv1d_arg){1, 1, 0, 0, 1, false});
    check_1d(2, 9, 5, 7, 1, (conv1d_arg){1, 1, 0, 0, 1, false});  /* the input is the matrix */
    check_1d(2, 11, 4, 3, 3, (conv1d_arg){1, 1, 1, 1, 1, false});
    check_1d(2, 11, 4, 3, 3, (conv1d_arg){2, 1, 0, 0, 1, true});
    check_1d(1, 23, 17, 19, 5, (conv1d_arg){3, 2, 4, 1, 1, false});
    check_1d(2, 12, 6, 4, 3, (conv1d_arg){1, 1, 1, 0, 2, false}); /* groups */
    check_1d(2, 12, 6, 6, 4, (conv1d_arg){2, 3, 2, 7, 6, true});
    check_1d(1, 3, 2, 3, 2, (conv1d_arg){1, 1, 5, 6, 1, false});  /* places that see padding alone */
    check_1d(1, 3, 2, 3, 2, (conv1d_arg){4, 5, 3, 2, 1, false});
    check_1d(20, 4, 3, 2, 2, (conv1d_arg){1, 1, 0, 0, 1, false}); /* more clips than parts */
    check_1d(1, 2500, 1, 2, 3, (conv1d_arg){1, 1, 1, 1, 1, false}); /* more than one block */
    check_1d(0, 4, 3, 2, 2, (conv1d_arg){1, 1, 0, 0, 1, false});
    check_1d(2, 4, 0, 2, 2, (conv1d_arg){1, 1, 0, 0, 1, false});
    check_1d(2, 4, 3, 0, 2, (conv1d_arg){1, 1, 0, 0, 1, false});
    check_1d(2, 0, 3, 2, 2, (conv1d_arg){1, 1, 1, 1, 1, false});
}

static void test_conv2d(void **state) {
    (void)state;
    check_2d(1, 1, 1, 1, 1, 1, 1, (conv2d_arg){1, 1, 0, 0, false});
    check_2d(2, 3, 4, 5, 6, 1, 1, (conv2d_arg){1, 1, 0, 0, false});
    check_2d(2, 3, 4, 5, 6, 1, 1, (conv2d_arg){2, 2, 0, 0, true});
    check_2d(2, 7, 6, 1, 9, 3, 3, (conv2d_arg){2, 2, 1, 1, false});
    check_2d(2, 5, 6, 3, 4, 3, 3, (conv2d_arg){1, 1, 1, 1, false});
    check_2d(1, 9, 5, 17, 3, 2, 5, (conv2d_arg){3, 1, 0, 2, true});
    check_2d(1, 4, 3, 2, 3, 3, 2, (conv2d_arg){2, 3, 4, 5, false}); /* padding beyond the kernel */
    check_2d(1, 61, 41, 1, 2, 3, 3, (conv2d_arg){1, 1, 1, 1, false}); /* more than one block */
    check_2d(0, 5, 6, 3, 4, 3, 3, (conv2d_arg){1, 1, 1, 1, false});
    check_2d(2, 5, 6, 0, 4, 3, 3, (conv2d_arg){1, 1, 1, 1, false});
    check_2d(2, 5, 6, 3, 0, 3, 3, (conv2d_arg){1, 1, 1, 1, false});
    /* outputs in multiples of 16: without a matrix of rows; channels too: the gradient of the input as well */
    check_2d(2, 5, 7, 3, 16, 3, 2, (conv2d_arg){1, 1, 1, 1, false});
    check_2d(2, 6, 5, 16, 32, 3, 2, (conv2d_arg){1, 1, 1, 0, true});
    check_2d(1, 4, 3, 16, 16, 2, 3, (conv2d_arg){1, 1, 0, 2, false});
    check_2d(1, 2, 2, 16, 16, 3, 3, (conv2d_arg){1, 1, 2, 2, false});  /* the kernel is larger than the picture */
    check_2d(17, 3, 1, 1, 16, 3, 1, (conv2d_arg){1, 1, 1, 0, false});
    check_2d(1, 1, 15, 16, 16, 1, 4, (conv2d_arg){1, 1, 0, 3, false});
    check_2d(0, 4, 4, 16, 16, 3, 2, (conv2d_arg){1, 1, 1, 1, false});
}

static void test_refusals(void **state) {
    (void)state;
    conv1d_arg plain = {1, 1, 0, 0, 1, false}, two = {1, 1, 0, 0, 2, false}, none = {1, 1, 0, 0, 0, false};
    conv1d_arg still = {0, 1, 0, 0, 1, false}, negative = {1, 1, -1, 0, 1, false}, huge = {1, INT64_MAX, 0, 0, 1, false};
    conv2d_arg flat = {1, 1, 0, 0, false}, stuck = {1, 0, 0, 0, false};
#define X1 {3, {1, 5, 3}}
#define W1 {3, {4, 3, 3}}
    gradcheck_refuses(&(op_case){"channels", build_1d, NULL, &plain, {X1, {3, {4, 3, 2}}, {1, {4}}}}, "conv1d: input");
    gradcheck_refuses(&(op_case){"bias", build_1d, NULL, &plain, {X1, W1, {1, {3}}}}, "3 biases");
    gradcheck_refuses(&(op_case){"groups", build_1d, NULL, &two, {X1, W1, {1, {4}}}}, "2 groups");
    gradcheck_refuses(&(op_case){"groups", build_1d, NULL, &none, {X1, W1, {1, {4}}}}, "0 groups");
    gradcheck_refuses(&(op_case){"ndim", build_1d, NULL, &plain, {{2, {5, 3}}, W1, {1, {4}}}}, "2 dimensions");
    gradcheck_refuses(&(op_case){"short", build_1d, NULL, &plain, {{3, {1, 2, 3}}, W1, {1, {4}}}}, "do not fit a kernel");
    gradcheck_refuses(&(op_case){"stride", build_1d, NULL, &still, {X1, W1, {1, {4}}}}, "stride 0");
    gradcheck_refuses(&(op_case){"pad", build_1d, NULL, &negative, {X1, W1, {1, {4}}}}, "padding -1");
    gradcheck_refuses(&(op_case){"dilation", build_1d, NULL, &huge, {X1, W1, {1, {4}}}}, "dilation");
    gradcheck_refuses(&(op_case){"no taps", build_1d, NULL, &plain, {X1, {3, {4, 0, 3}}, {1, {4}}}}, "0 taps");
    gradcheck_refuses(&(op_case){"channels", build_2d, NULL, &flat, {{4, {1, 5, 5, 3}}, {4, {4, 3, 3, 2}}, {1, {4}}}},
                      "conv2d: input");
    gradcheck_refuses(&(op_case){"short", build_2d, NULL, &flat, {{4, {1, 5, 2, 3}}, {4, {4, 3, 3, 3}}, {1, {4}}}},
                      "conv2d: 5 x 2 positions");
    gradcheck_refuses(&(op_case){"stride", build_2d, NULL, &stuck, {{4, {1, 5, 5, 3}}, {4, {4, 3, 3, 3}}, {1, {4}}}},
                      "stride 1, 0");
    gradcheck_memory(&(op_case){"op_conv1d", build_1d, NULL, &plain, {{3, {3, 5, 3}}, W1, {1, {4}}}});
    gradcheck_memory(&(op_case){"op_conv2d", build_2d, NULL, &flat, {{4, {3, 5, 5, 3}}, {4, {4, 3, 3, 3}}, {1, {4}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
