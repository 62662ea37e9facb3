/* subset_cases.h: checks of subset.c, run in the float and in the double build: gradients, a naive twin, and cases by hand. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

typedef struct mix_arg {
    const real *weight;
    int64_t groups;
} mix_arg;

static tensor *build_mix(tape *t, tensor *const *in, const void *arg) {
    const mix_arg *a = arg;
    return op_log_mix(t, in[0], a->weight, a->groups);
}

static void naive_mix(const op_case *c, const double *const *in, double *out) {
    const mix_arg *a = c->arg;
    int64_t n = c->in[0].dim[1];
    for (int64_t i = 0; i < c->in[0].dim[0] * a->groups; i++) {
        double sum = 0, all = naive_log_sum_exp(n, in[0] + i / a->groups * n);
        for (int64_t k = 0; k < n; k++) {
            sum += (double)a->weight[i % a->groups * n + k] * exp(in[0][i / a->groups * n + k] - all);
        }
        out[i] = all + log(sum);
    }
}

/* three groups of four classes: two of them, a half and a whole one, one alone */
static const real groups_of_four[12] = {1, 0, 1, 0, (real)0.5, 0, 0, 1, 0, 1, 0, 0}, everything[1] = {1};

static void test_log_mix(void **state) {
    (void)state;
    mix_arg a = {groups_of_four, 3}, one = {everything, 1}, none = {groups_of_four, 0};
    gradcheck_op(&(op_case){"op_log_mix", build_mix, naive_mix, &a, {{2, {5, 4}, .scale = 2}}});
    gradcheck_op(&(op_case){"op_log_mix, far apart", build_mix, naive_mix, &a, {{2, {3, 4}, .scale = 10}}});
    gradcheck_op(&(op_case){"op_log_mix, no row", build_mix, naive_mix, &a, {{2, {0, 4}}}});
    gradcheck_op(&(op_case){"op_log_mix, one class", build_mix, naive_mix, &one, {{2, {3, 1}}}});
    gradcheck_op(&(op_case){"op_log_mix, no group", build_mix, naive_mix, &none, {{2, {3, 4}}}});
    gradcheck_memory(&(op_case){"op_log_mix", build_mix, naive_mix, &a, {{2, {2, 4}}}});
    static const real empty[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    mix_arg e = {empty, 2};
    gradcheck_refuses(&(op_case){"group", build_mix, .arg = &e, .in = {{2, {2, 4}}}}, "no class of group 1");
    gradcheck_refuses(&(op_case){"shape", build_mix, .arg = &a, .in = {{1, {4}}}}, "op_log_mix: shape [4]");
}

typedef struct set_arg {
    const real *member, *weight;
} set_arg;

static tensor *build_set(tape *t, tensor *const *in, const void *arg) {
    const set_arg *a = arg;
    return op_set_nll(t, in[0], a->member, a->weight);
}

static void naive_set(const op_case *c, const double *const *in, double *out) {
    const set_arg *a = c->arg;
    int64_t n = c->in[0].dim[1];
    double loss = 0, total = 0;
    for (int64_t r = 0; r < c->in[0].dim[0]; r++) {
        double in_set = 0, all = naive_log_sum_exp(n, in[0] + r * n), w = a->weight == NULL ? 1 : (double)a->weight[r];
        for (int64_t k = 0; k < n; k++) {
            in_set += (double)a->member[r * n + k] * exp(in[0][r * n + k] - all);
        }
        loss += in_set > 0 ? -w * log(in_set) : 0;
        total += in_set > 0 ? w : 0;
    }
    out[0] = total > 0 ? loss / total : 0;
}

/* one class; two; a half and a whole one; none; all */
static const real members[20] = {0, 0, 1, 0, 1, 0, 0, 1, (real)0.5, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1};
static const real row_weight[5] = {1, (real)0.25, 2, 3, 0}, no_weight[5] = {0};

static void test_set_nll(void **state) {
    (void)state;
    set_arg a = {members, NULL}, w = {members, row_weight}, none = {members, no_weight}, missing = {members + 12, NULL};
    gradcheck_input x = {2, {5, 4}, .scale = 2};
    gradcheck_op(&(op_case){"op_set_nll", build_set, naive_set, &a, {x}});
    gradcheck_op(&(op_case){"op_set_nll, weights", build_set, naive_set, &w, {x}});
    gradcheck_op(&(op_case){"op_set_nll, no weight", build_set, naive_set, &none, {x}});
    gradcheck_op(&(op_case){"op_set_nll, no member", build_set, naive_set, &missing, {{2, {1, 4}}}});
    gradcheck_op(&(op_case){"op_set_nll, no row", build_set, naive_set, &a, {{2, {0, 4}}}});
    gradcheck_op(&(op_case){"op_set_nll, far apart", build_set, naive_set, &a, {{2, {3, 4}, .scale = 10}}});
    gradcheck_memory(&(op_case){"op_set_nll", build_set, naive_set, &a, {x}});
    gradcheck_refuses(&(op_case){"shape", build_set, .arg = &a, .in = {{1, {4}}}}, "op_set_nll: shape [4]");
}

/* Four codecs with the probabilities 0.1, 0.2, 0.3 and 0.4. The quantiser of the first two is MVQ, of the third SVQ, and that of the
 * fourth is not known among two values: MVQ has 0.1 + 0.2 + 0.4/2 = 0.5, SVQ 0.3 + 0.4/2 = 0.5. A recording of which no more than
 * MVQ is known costs -ln 0.5; one of the second codec -ln 0.2; one of which nothing is known costs nothing, and is not counted. */
static void test_by_hand(void **state) {
    (void)state;
    static const real quantiser[8] = {1, 1, 0, (real)0.5, 0, 0, 1, (real)0.5};
    static const real known[12] = {1, 1, 0, (real)0.5, 0, 1, 0, 0, 0, 0, 0, 0};
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    real x[12];
    for (int i = 0; i < 12; i++) {
        x[i] = (real)(log(0.1 * (1 + i % 4)) + 3); /* any constant of a row drops out */
    }
    tape_begin(t, false, false, 0);
    tensor *z = tape_view(t, 2, (int64_t[]){3, 4}, x), *y = op_log_mix(t, z, quantiser, 2);
    assert_non_null(y);
    support_close(exp((double)y->data[0] - 3), 0.5, 1e-6, "P(MVQ)");
    support_close(exp((double)y->data[1] - 3), 0.5, 1e-6, "P(SVQ)");
    tensor *loss = op_set_nll(t, z, known, NULL);
    assert_non_null(loss);
    support_close((double)loss->data[0], (-log(0.5) - log(0.2)) / 2, 1e-6, "marginalised loss");
    x[0] = (real)NAN; /* of training that diverged: a result to be looked at, and no wrong weights */
    y = op_log_mix(t, z, quantiser, 2);
    loss = op_set_nll(t, z, known, NULL);
    assert_true(y != NULL && loss != NULL);
    assert_true(isnan(y->data[0]) && isnan(loss->data[0]));
    support_close(exp((double)y->data[1] - 3), 0.5, 1e-6, "P(SVQ)");
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_log_mix), cmocka_unit_test(test_set_nll), cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
