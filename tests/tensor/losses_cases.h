/* losses_cases.h: checks of cross_entropy.c, n_pair.c, oc_softmax.c and ge2e.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

/* ---- cross-entropy ---- */

typedef struct hard_arg {
    const int64_t *target;
    const real *weight;
    real smoothing;
} hard_arg;

static tensor *build_hard(tape *t, tensor *const *in, const void *arg) {
    const hard_arg *a = arg;
    return op_cross_entropy(t, in[0], a->target, a->weight, a->smoothing);
}

static void naive_hard(const op_case *c, const double *const *in, double *out) {
    const hard_arg *a = c->arg;
    int64_t n = c->in[0].dim[1];
    double nll = 0, smooth = 0, total = 0;
    for (int64_t r = 0; r < c->in[0].dim[0]; r++) {
        if (a->target[r] < 0) {
            continue;
        }
        const double *x = in[0] + r * n;
        double lse = naive_log_sum_exp(n, x), w = a->weight == NULL ? 1 : (double)a->weight[a->target[r]];
        total += w;
        nll += w * (lse - x[a->target[r]]);
        for (int64_t k = 0; k < n; k++) {
            smooth += (a->weight == NULL ? 1 : (double)a->weight[k]) * (lse - x[k]);
        }
    }
    double s = (double)a->smoothing;
    out[0] = total == 0 ? 0 : ((1 - s) * nll + s / (double)n * smooth) / total;
}

static const int64_t targets[5] = {2, 0, -1, 1, 2}, missing[2] = {-1, -1};
static const real class_weight[3] = {1, 2, (real)0.25};

static void test_cross_entropy(void **state) {
    (void)state;
    static const real smoothing[2] = {0, (real)0.125};
    for (int s = 0; s < 2; s++) {
        for (int w = 0; w < 2; w++) {
            hard_arg a = {targets, w ? class_weight : NULL, smoothing[s]};
            gradcheck_op(&(op_case){"op_cross_entropy", build_hard, naive_hard, &a, {{2, {5, 3}, .scale = 3}}});
            gradcheck_op(&(op_case){"op_cross_entropy", build_hard, naive_hard, &a, {{2, {2, 3}, .scale = 60}}});
            gradcheck_op(&(op_case){"op_cross_entropy, none", build_hard, naive_hard, &a, {{2, {0, 3}}}});
            a.target = missing;
            gradcheck_op(&(op_case){"op_cross_entropy, no label", build_hard, naive_hard, &a, {{2, {2, 3}}}});
        }
    }
    hard_arg one = {&targets[1], NULL, 0};
    gradcheck_op(&(op_case){"op_cross_entropy, one class", build_hard, naive_hard, &one, {{2, {1, 1}}}});
}

/* torch.nn.functional.cross_entropy of these logits (PyTorch 1.13): plain, weighted, smoothed, both. */
static void test_cross_entropy_torch(void **state) {
    (void)state;
    static const double logits[15] = {1, -2, 0.5, 0.25, 3, -1, 9, 9, 9, -0.5, 1.5, 2, 0, 0.125, -4};
    static const double want[4] = {2.40592269, 1.80558305, 2.3421206, 1.82053392};
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    real x[15];
    for (int i = 0; i < 15; i++) {
        x[i] = (real)logits[i];
    }
    for (int i = 0; i < 4; i++) {
        tape_begin(t, false, false, 0);
        int64_t dim[2] = {5, 3};
        tensor *loss = op_cross_entropy(t, tape_view(t, 2, dim, x), targets, i & 1 ? class_weight : NULL,
                                        i & 2 ? (real)0.125 : 0);
        assert_non_null(loss);
        support_close((double)loss->data[0], want[i], 1e-6, "cross-entropy");
    }
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

typedef struct soft_arg {
    const real *target, *weight;
} soft_arg;

static tensor *build_soft(tape *t, tensor *const *in, const void *arg) {
    const soft_arg *a = arg;
    return op_soft_cross_entropy(t, in[0], a->target, a->weight);
}

static void naive_soft(const op_case *c, const double *const *in, double *out) {
    const soft_arg *a = c->arg;
    int64_t n = c->in[0].dim[1];
    double loss = 0, total = 0;
    for (int64_t r = 0; r < c->in[0].dim[0]; r++) {
        double w = a->weight == NULL ? 1 : (double)a->weight[r];
        total += w;
        for (int64_t k = 0; k < n && w != 0; k++) {
            loss += w * (double)a->target[r * n + k] * (naive_log_sum_exp(n, in[0] + r * n) - in[0][r * n + k]);
        }
    }
    out[0] = total == 0 ? 0 : loss / total;
}

static void test_soft_cross_entropy(void **state) {
    (void)state;
    static const real target[12] = {1, 0, 0, (real)0.25, 0, (real)0.75, (real)0.5, (real)0.25, (real)0.25, 0, 1, 0};
    static const real weight[4] = {1, 2, 0, (real)0.5}, nothing[4] = {0};
    soft_arg a = {target, NULL}, b = {target, weight}, none = {target, nothing};
    gradcheck_input x = {2, {4, 3}, .scale = 2};
    gradcheck_op(&(op_case){"op_soft_cross_entropy", build_soft, naive_soft, &a, {x}});
    gradcheck_op(&(op_case){"op_soft_cross_entropy, weights", build_soft, naive_soft, &b, {x}});
    gradcheck_op(&(op_case){"op_soft_cross_entropy, no weight", build_soft, naive_soft, &none, {x}});
    gradcheck_op(&(op_case){"op_soft_cross_entropy, none", build_soft, naive_soft, &a, {{2, {0, 3}}}});
}

static void test_losses_refuse(void **state) {
    (void)state;
    static const int64_t high[2] = {1, 3}, low[2] = {-2, 0};
    hard_arg h = {high, NULL, 0}, l = {low, NULL, 0}, s = {targets, NULL, 1}, good = {targets, NULL, 0};
    gradcheck_refuses(&(op_case){"class", build_hard, .arg = &h, .in = {{2, {2, 3}}}}, "row 1 has class 3 of 3");
    gradcheck_refuses(&(op_case){"class", build_hard, .arg = &l, .in = {{2, {2, 3}}}}, "row 0 has class -2");
    gradcheck_refuses(&(op_case){"smoothing", build_hard, .arg = &s, .in = {{2, {2, 3}}}}, "smoothing");
    gradcheck_refuses(&(op_case){"shape", build_hard, .arg = &good, .in = {{1, {2}}}}, "op_cross_entropy: shape [2]");
    soft_arg a = {class_weight, NULL};
    gradcheck_refuses(&(op_case){"shape", build_soft, .arg = &a, .in = {{1, {2}}}}, "op_soft_cross_entropy");
}

/* ---- N-pair ---- */

static tensor *build_n_pair(tape *t, tensor *const *in, const void *arg) {
    return op_n_pair(t, in[0], in[1], *(const real *)arg);
}
static tensor *build_n_pair_self(tape *t, tensor *const *in, const void *arg) {
    return op_n_pair(t, in[0], in[0], *(const real *)arg);
}

static void naive_n_pair(const op_case *c, const double *const *in, double *out) {
    int64_t n = c->in[0].dim[0], e = c->in[0].dim[1];
    const double *f = in[0], *p = c->build == build_n_pair ? in[1] : in[0];
    double loss = 0;
    for (int64_t i = 0; i < n; i++) {
        double sum = 1;
        for (int64_t j = 0; j < n; j++) {
            sum += j == i ? 0 : exp(naive_dot(e, f + i * e, p + j * e) - naive_dot(e, f + i * e, p + i * e));
        }
        loss += log(sum) + (double)*(const real *)c->arg * 0.5 *
                               (naive_dot(e, f + i * e, f + i * e) + naive_dot(e, p + i * e, p + i * e));
    }
    out[0] = n == 0 ? 0 : loss / (double)n;
}

static void test_n_pair(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{5, 7}, {1, 1}, {1, 4}, {0, 3}, {3, 0}, {9, 2}};
    static const real l2s[2] = {0, (real)0.25};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int k = 0; k < 2; k++) {
            gradcheck_input x = {2, {sizes[i][0], sizes[i][1]}};
            gradcheck_op(&(op_case){"op_n_pair", build_n_pair, naive_n_pair, &l2s[k], {x, x}});
            gradcheck_op(&(op_case){"op_n_pair with itself", build_n_pair_self, naive_n_pair, &l2s[k], {x}});
        }
    }
    gradcheck_refuses(&(op_case){"op_n_pair", build_n_pair, .arg = l2s, .in = {{2, {2, 3}}, {2, {3, 3}}}}, "op_n_pair");
}

/* ---- One-Class Softmax ---- */

typedef struct oc_arg {
    const real *share, *weight;
    op_margins margins;
} oc_arg;

static tensor *build_oc(tape *t, tensor *const *in, const void *arg) {
    const oc_arg *a = arg;
    return op_oc_softmax(t, in[0], a->share, a->weight, &a->margins);
}

static void naive_oc(const op_case *c, const double *const *in, double *out) {
    const oc_arg *a = c->arg;
    double sum = 0, total = 0, alpha = (double)a->margins.alpha;
    for (int64_t i = 0; i < c->in[0].dim[0]; i++) {
        double w = a->weight == NULL ? 1 : (double)a->weight[i], s = (double)a->share[i];
        double human = alpha * ((double)a->margins.r_real - in[0][i]), fake = alpha * (in[0][i] - (double)a->margins.r_fake);
        sum += w * (s * log(1 + exp(human)) + (1 - s) * log(1 + exp(fake)));
        total += w;
    }
    out[0] = total > 0 ? sum / total : 0;
}

static void test_oc_softmax(void **state) {
    (void)state;
    static const real share[5] = {1, 0, (real)0.25, 0, 1}, weight[5] = {1, 3, (real)0.5, 0, 2}, none[5] = {0};
    const op_margins papers = {(real)0.9, (real)0.2, 20}, soft = {(real)0.5, (real)-0.5, 2};
    for (int i = 0; i < 2; i++) {
        for (int64_t rows = 0; rows < 6; rows++) {
            oc_arg a = {share, i ? weight : NULL, i ? soft : papers};
            gradcheck_op(&(op_case){"op_oc_softmax", build_oc, naive_oc, &a, {{2, {rows, 1}, .scale = 0.4}}});
        }
        oc_arg b = {share, none, papers};
        gradcheck_op(&(op_case){"op_oc_softmax, no label", build_oc, naive_oc, &b, {{2, {5, 1}}}});
    }
    /* far outside of the margins nothing overflows */
    const double far[2] = {-1, 1};
    oc_arg c = {share, NULL, {(real)0.9, (real)0.2, 300}};
    gradcheck_op(&(op_case){"op_oc_softmax, steep", build_oc, naive_oc, &c, {{2, {2, 1}, .values = far}}});
    oc_arg d = {share, NULL, papers};
    gradcheck_refuses(&(op_case){"op_oc_softmax", build_oc, .arg = &d, .in = {{2, {2, 2}}}}, "op_oc_softmax");
}

/* ---- GE2E ---- */

static tensor *build_ge2e(tape *t, tensor *const *in, const void *arg) { return op_ge2e(t, in[0], in[1], in[2], arg); }

/* Score of row r (clip m of class c) and class k, by the definition. */
static double ge2e_score(const op_ge2e_shape *s, int64_t dim, const double *e, double w, double b, int64_t r, int64_t k) {
    double centre[16] = {0};
    for (int64_t m = 0; m < s->clips; m++) {
        int64_t row = m * s->classes + k;
        for (int64_t i = 0; row != r && i < dim; i++) {
            centre[i] += e[row * dim + i];
        }
    }
    double cosine = naive_dot(dim, e + r * dim, centre) /
                    sqrt(naive_dot(dim, e + r * dim, e + r * dim) * naive_dot(dim, centre, centre));
    return fmax(w, 1e-6) * cosine + b;
}

static void naive_ge2e(const op_case *c, const double *const *in, double *out) {
    const op_ge2e_shape *s = c->arg;
    int64_t rows = s->classes * s->clips, dim = c->in[0].dim[1];
    double loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        double own = 0, sum = 0, near = -INFINITY;
        for (int64_t k = 0; k < s->classes; k++) {
            double score = ge2e_score(s, dim, in[0], in[1][0], in[2][0], r, k);
            sum += exp(score);
            own = k == r % s->classes ? score : own;
            near = k == r % s->classes ? near : fmax(near, score);
        }
        double wrong = s->classes > 1 ? 1 / (1 + exp(-near)) : 0;
        loss += s->contrast ? 1 - 1 / (1 + exp(-own)) + wrong : log(sum) - own;
    }
    out[0] = loss / (double)rows;
}

static void test_ge2e(void **state) {
    (void)state;
    static const double scale = 3, offset = -1, low = -2;
    static const int64_t sizes[][3] = {{3, 2, 5}, {4, 3, 7}, {2, 4, 3}, {1, 2, 4}, {5, 2, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int contrast = 0; contrast < 2; contrast++) {
            op_ge2e_shape s = {sizes[i][0], sizes[i][1], contrast != 0};
            gradcheck_input e = {2, {s.classes * s.clips, sizes[i][2]}}, w = {1, {1}, .values = &scale},
                            b = {1, {1}, .values = &offset};
            if (sizes[i][2] == 1) { /* in one dimension cosines are signs: no gradient but w's and b's */
                e.constant = true;
            }
            gradcheck_op(&(op_case){"op_ge2e", build_ge2e, naive_ge2e, &s, {e, w, b}});
        }
    }
    op_ge2e_shape s = {3, 2, false}, one = {6, 1, false}, many = {2, 2, false};
    gradcheck_input e = {2, {6, 4}}, w = {1, {1}, .values = &low}, b = {1, {1}, .values = &offset}, two = {1, {2}};
    gradcheck_op(&(op_case){"op_ge2e, w below 0", build_ge2e, naive_ge2e, &s, {e, w, b}});
    gradcheck_refuses(&(op_case){"op_ge2e", build_ge2e, .arg = &one, .in = {e, w, b}}, "op_ge2e");
    gradcheck_refuses(&(op_case){"op_ge2e", build_ge2e, .arg = &many, .in = {e, w, b}}, "op_ge2e");
    gradcheck_refuses(&(op_case){"op_ge2e", build_ge2e, .arg = &s, .in = {e, two, b}}, "one number each");
    gradcheck_memory(&(op_case){"op_ge2e", build_ge2e, naive_ge2e, &s, {e, w, b}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross_entropy),      cmocka_unit_test(test_cross_entropy_torch),
        cmocka_unit_test(test_soft_cross_entropy), cmocka_unit_test(test_losses_refuse),
        cmocka_unit_test(test_n_pair),             cmocka_unit_test(test_oc_softmax),
        cmocka_unit_test(test_ge2e),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
