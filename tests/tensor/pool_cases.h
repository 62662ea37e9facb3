/* pool_cases.h: checks of pool.c, attentive_pool.c and pool2d.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

static const real eps = (real)1e-3;

typedef struct clips {
    int64_t b, t, c;
} clips;

static clips clips_of(const op_case *c) { return (clips){c->in[0].dim[0], c->in[0].dim[1], c->in[0].dim[2]}; }

static tensor *build_mean(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_mean_pool(t, in[0]);
}
static tensor *build_max(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_max_pool(t, in[0]);
}
static tensor *build_stats(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_stats_pool(t, in[0], eps);
}
static tensor *build_avg(tape *t, tensor *const *in, const void *arg) {
    return op_avg_pool1d(t, in[0], *(const int64_t *)arg);
}
static tensor *build_attentive(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_attentive_pool(t, in[0], in[1], eps);
}
static tensor *build_self_attentive(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_attentive_pool(t, in[0], in[0], eps);
}

static void naive_mean_pool(const op_case *c, const double *const *in, double *out) {
    clips s = clips_of(c);
    for (int64_t i = 0; i < s.b * s.c; i++) {
        out[i] = naive_mean(s.t, in[0] + i / s.c * s.t * s.c + i % s.c, s.c);
    }
}

static void naive_max_pool(const op_case *c, const double *const *in, double *out) {
    clips s = clips_of(c);
    for (int64_t i = 0; i < s.b * s.c; i++) {
        out[i] = -INFINITY;
        for (int64_t t = 0; t < s.t; t++) {
            out[i] = fmax(out[i], in[0][(i / s.c * s.t + t) * s.c + i % s.c]);
        }
    }
}

static void naive_stats(const op_case *c, const double *const *in, double *out) {
    clips s = clips_of(c);
    for (int64_t i = 0; i < s.b * s.c; i++) {
        const double *x = in[0] + i / s.c * s.t * s.c + i % s.c;
        out[i / s.c * 2 * s.c + i % s.c] = naive_mean(s.t, x, s.c);
        out[i / s.c * 2 * s.c + s.c + i % s.c] = sqrt(naive_variance(s.t, x, s.c) + (double)eps);
    }
}

static tensor *build_correlation(tape *t, tensor *const *in, const void *arg) {
    return op_correlation_pool(t, in[0], *(const int64_t *)arg, eps);
}

static void naive_correlation(const op_case *c, const double *const *in, double *out) {
    clips s = clips_of(c);
    for (int64_t clip = 0; clip < s.b; clip++) {
        for (int64_t d = 1; d <= *(const int64_t *)c->arg; d++) {
            for (int64_t col = 0; col + d < s.c; col++, out++) {
                const double *x = in[0] + clip * s.t * s.c + col, *y = x + d;
                double mx = naive_mean(s.t, x, s.c), my = naive_mean(s.t, y, s.c), sum = 0;
                for (int64_t t = 0; t < s.t; t++) {
                    sum += (x[t * s.c] - mx) * (y[t * s.c] - my);
                }
                *out = sum / (double)s.t /
                       sqrt((naive_variance(s.t, x, s.c) + (double)eps) * (naive_variance(s.t, y, s.c) + (double)eps));
            }
        }
    }
}

static void naive_avg(const op_case *c, const double *const *in, double *out) {
    clips s = clips_of(c);
    int64_t k = *(const int64_t *)c->arg, made = s.t / k;
    for (int64_t i = 0; i < s.b * made * s.c; i++) {
        int64_t row = i / s.c % made, clip = i / s.c / made;
        out[i] = naive_mean(k, in[0] + (clip * s.t + row * k) * s.c + i % s.c, s.c);
    }
}

static void attentive_twin(clips s, int64_t heads, const double *x, const double *a, double *out) {
    for (int64_t i = 0; i < s.b * s.c; i++) {
        int64_t clip = i / s.c, col = i % s.c;
        double total = 0, mean = 0, var = 0;
        for (int64_t t = 0; t < s.t; t++) {
            double e = exp(a[(clip * s.t + t) * heads + (heads == 1 ? 0 : col)]);
            total += e;
            mean += e * x[(clip * s.t + t) * s.c + col];
        }
        mean /= total;
        for (int64_t t = 0; t < s.t; t++) {
            double e = exp(a[(clip * s.t + t) * heads + (heads == 1 ? 0 : col)]) / total;
            double d = x[(clip * s.t + t) * s.c + col] - mean;
            var += e * d * d;
        }
        out[clip * 2 * s.c + col] = mean;
        out[clip * 2 * s.c + s.c + col] = sqrt(var + (double)eps);
    }
}
static void naive_attentive(const op_case *c, const double *const *in, double *out) {
    attentive_twin(clips_of(c), c->in[1].dim[2], in[0], in[1], out);
}
static void naive_self_attentive(const op_case *c, const double *const *in, double *out) {
    attentive_twin(clips_of(c), c->in[0].dim[2], in[0], in[0], out);
}

static const clips sizes[] = {{1, 1, 1}, {2, 5, 3}, {3, 16, 17}, {2, 41, 16}, {1, 1, 5}, {0, 4, 3}, {2, 3, 0}, {1, 9, 1}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void test_pools(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        gradcheck_input x = {3, {sizes[i].b, sizes[i].t, sizes[i].c}};
        gradcheck_op(&(op_case){"op_mean_pool", build_mean, naive_mean_pool, NULL, {x}});
        gradcheck_op(&(op_case){"op_stats_pool", build_stats, naive_stats, NULL, {x}});
        for (int64_t k = 1; k < 7; k += 2) {
            gradcheck_op(&(op_case){"op_avg_pool1d", build_avg, naive_avg, &k, {x}});
        }
    }
    gradcheck_op(&(op_case){"op_stats_pool far from zero", build_stats, naive_stats, NULL,
                            {{3, {1, 40, 3}, .shift = 1000, .constant = true}}});
}

static void test_correlation_pool(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        for (int64_t near = 1; near < sizes[i].c && near < 5; near += 3) {
            gradcheck_op(&(op_case){"op_correlation_pool", build_correlation, naive_correlation, &near,
                                    {{3, {sizes[i].b, sizes[i].t, sizes[i].c}}}});
        }
    }
    /* columns that move as one, against each other, and not at all */
    double moves[4 * 3] = {1, -1, 7, 2, -2, 7, 4, -4, 7, 3, -3, 7};
    int64_t near = 2;
    gradcheck_op(&(op_case){"op_correlation_pool", build_correlation, naive_correlation, &near,
                            {{3, {1, 4, 3}, .values = moves}}});
}

static void test_max_pool(void **state) {
    (void)state;
    double far_apart[2 * 7 * 3];
    for (int i = 0; i < 2 * 7 * 3; i++) {
        far_apart[i] = (i * 11 % 42) * 0.25; /* no two of them near each other: differences stay on one side */
    }
    gradcheck_op(&(op_case){"op_max_pool", build_max, naive_max_pool, NULL, {{3, {2, 7, 3}, .values = far_apart}}});
    gradcheck_op(&(op_case){"op_max_pool", build_max, naive_max_pool, NULL, {{3, {1, 1, 1}}}});
    gradcheck_op(&(op_case){"op_max_pool", build_max, naive_max_pool, NULL, {{3, {0, 2, 3}}}});
    gradcheck_op(&(op_case){"op_max_pool", build_max, naive_max_pool, NULL, {{3, {2, 2, 0}}}});
}

static void test_attentive_pool(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        gradcheck_input x = {3, {sizes[i].b, sizes[i].t, sizes[i].c}}, one = {3, {sizes[i].b, sizes[i].t, 1}};
        double loose = sizes[i].t == 1 ? 1e-4 : 0; /* one frame: the gradient of the scores is 0 */
        gradcheck_op(&(op_case){"op_attentive_pool", build_attentive, naive_attentive, NULL, {x, x}, .tolerance = loose});
        gradcheck_op(&(op_case){"op_attentive_pool, one column", build_attentive, naive_attentive, NULL, {x, one},
                                .tolerance = loose});
        gradcheck_op(&(op_case){"op_attentive_pool of itself", build_self_attentive, naive_self_attentive, NULL, {x},
                                .tolerance = loose});
    }
}

typedef struct windows {
    int64_t kernel_h, kernel_w, stride_h, stride_w;
} windows;

static tensor *build_max_2d(tape *t, tensor *const *in, const void *arg) {
    const windows *w = arg;
    return op_max_pool2d(t, in[0], w->kernel_h, w->kernel_w, w->stride_h, w->stride_w);
}

static void naive_max_2d(const op_case *c, const double *const *in, double *out) {
    const windows *w = c->arg;
    const int64_t *x = c->in[0].dim;
    int64_t height = (x[1] - w->kernel_h) / w->stride_h + 1, width = (x[2] - w->kernel_w) / w->stride_w + 1;
    for (int64_t i = 0; i < x[0] * height * width * x[3]; i++) {
        int64_t clip = i / x[3] / width / height, row = i / x[3] / width % height, col = i / x[3] % width;
        out[i] = -INFINITY;
        for (int64_t k = 0; k < w->kernel_h * w->kernel_w; k++) {
            int64_t r = row * w->stride_h + k / w->kernel_w, q = col * w->stride_w + k % w->kernel_w;
            out[i] = fmax(out[i], in[0][((clip * x[1] + r) * x[2] + q) * x[3] + i % x[3]]);
        }
    }
}

static void test_max_pool2d(void **state) {
    (void)state;
    static const windows w[] = {{1, 1, 1, 1}, {2, 3, 2, 3}, {3, 2, 1, 1}, {5, 6, 1, 1}, {1, 2, 3, 4}};
    double far_apart[2 * 5 * 6 * 3];
    for (int i = 0; i < 180; i++) {
        far_apart[i] = (i * 37 % 180) * 0.25;
    }
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) {
        gradcheck_op(&(op_case){"op_max_pool2d", build_max_2d, naive_max_2d, &w[i], {{4, {2, 5, 6, 3}, .values = far_apart}}});
        gradcheck_op(&(op_case){"op_max_pool2d", build_max_2d, naive_max_2d, &w[i], {{4, {0, 5, 6, 3}}}});
        gradcheck_op(&(op_case){"op_max_pool2d", build_max_2d, naive_max_2d, &w[i], {{4, {2, 5, 6, 0}}}});
    }
    gradcheck_op(&(op_case){"op_max_pool2d", build_max_2d, naive_max_2d, &w[0], {{4, {1, 1, 1, 1}}}});
    windows tall = {6, 1, 1, 1}, still = {1, 1, 0, 1};
    gradcheck_refuses(&(op_case){"tall", build_max_2d, NULL, &tall, {{4, {1, 5, 6, 3}}}}, "max_pool2d: windows of 6 x 1");
    gradcheck_refuses(&(op_case){"still", build_max_2d, NULL, &still, {{4, {1, 5, 6, 3}}}}, "stride 0, 1");
    gradcheck_refuses(&(op_case){"flat", build_max_2d, NULL, &w[0], {{3, {5, 6, 3}}}}, "3 dimensions");
    gradcheck_memory(&(op_case){"op_max_pool2d", build_max_2d, NULL, &w[0], {{4, {1, 5, 6, 3}}}});
}

/* The gradient of a tie goes to the first maximum. */
static void test_first_maximum(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    real data[4] = {1, 3, 3, 2};
    tensor x = {.ndim = 3, .dim = {1, 4, 1}, .data = data, .needs_grad = true};
    tape_begin(t, true, false, 1);
    tensor *y = op_max_pool(t, &x);
    support_ok(tape_backward(t, y, &err), &err);
    for (int i = 0; i < 4; i++) {
        assert_true(x.grad[i] == (i == 1 ? 1 : 0));
    }
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

static void test_refusals(void **state) {
    (void)state;
    int64_t zero = 0;
    gradcheck_refuses(&(op_case){"flat", build_mean, NULL, NULL, {{2, {4, 3}}}}, "mean_pool: the input must be [B,T,C]");
    gradcheck_refuses(&(op_case){"flat", build_max, NULL, NULL, {{2, {4, 3}}}}, "max_pool: the input");
    gradcheck_refuses(&(op_case){"flat", build_stats, NULL, NULL, {{2, {4, 3}}}}, "stats_pool: the input");
    gradcheck_refuses(&(op_case){"empty", build_mean, NULL, NULL, {{3, {1, 0, 3}}}}, "mean_pool: a clip needs");
    gradcheck_refuses(&(op_case){"empty", build_max, NULL, NULL, {{3, {1, 0, 3}}}}, "max_pool: a clip needs");
    gradcheck_refuses(&(op_case){"empty", build_stats, NULL, NULL, {{3, {1, 0, 3}}}}, "stats_pool: a clip needs");
    int64_t one = 1, three = 3;
    gradcheck_refuses(&(op_case){"none", build_correlation, NULL, &zero, {{3, {1, 4, 3}}}}, "0 neighbours of 3 columns");
    gradcheck_refuses(&(op_case){"all", build_correlation, NULL, &three, {{3, {1, 4, 3}}}}, "there must be 1 to 2");
    gradcheck_refuses(&(op_case){"flat", build_correlation, NULL, &one, {{2, {4, 3}}}}, "correlation_pool: the input");
    gradcheck_refuses(&(op_case){"empty", build_correlation, NULL, &one, {{3, {1, 0, 3}}}}, "at least one frame");
    gradcheck_refuses(&(op_case){"window", build_avg, NULL, &zero, {{3, {1, 4, 3}}}}, "avg_pool1d: the window");
    gradcheck_refuses(&(op_case){"scores", build_attentive, NULL, NULL, {{3, {1, 4, 3}}, {3, {1, 4, 2}}}}, "scores");
    gradcheck_refuses(&(op_case){"empty", build_attentive, NULL, NULL, {{3, {1, 0, 3}}, {3, {1, 0, 3}}}}, "one frame");
    gradcheck_memory(&(op_case){"op_mean_pool", build_mean, NULL, NULL, {{3, {1, 4, 3}}}});
    gradcheck_memory(&(op_case){"op_correlation_pool", build_correlation, NULL, &one, {{3, {1, 4, 3}}}});
    gradcheck_memory(&(op_case){"op_max_pool", build_max, NULL, NULL, {{3, {1, 4, 3}}}});
    gradcheck_memory(&(op_case){"op_stats_pool", build_stats, NULL, NULL, {{3, {1, 4, 3}}}});
    gradcheck_memory(&(op_case){"op_attentive_pool", build_attentive, NULL, NULL, {{3, {1, 4, 3}}, {3, {1, 4, 3}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_correlation_pool),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_attentive_pool),
        cmocka_unit_test(test_max_pool2d),
        cmocka_unit_test(test_first_maximum),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
