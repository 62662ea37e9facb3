/* attention_cases.h: checks of attention.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct attention_arg {
    int64_t heads;
    real scale;
    double p;
    bool positions;
} attention_arg;

static tensor *build_attention(tape *t, tensor *const *in, const void *arg) {
    const attention_arg *a = arg;
    return op_attention(t, in[0], in[1], in[2], a->positions ? in[3] : NULL, a->heads, a->scale, a->p);
}
/* queries, keys and values are one tensor */
static tensor *build_same(tape *t, tensor *const *in, const void *arg) {
    const attention_arg *a = arg;
    return op_attention(t, in[0], in[0], in[0], a->positions ? in[1] : NULL, a->heads, a->scale, a->p);
}

/* The formula of ops.h, one logit at a time. */
static void naive_attention(const op_case *c, const double *const *in, double *out) {
    const attention_arg *a = c->arg;
    bool same = c->build == build_same;
    const double *q = in[0], *k = same ? q : in[1], *v = same ? q : in[2], *e = same ? in[1] : in[3];
    int64_t frames = c->in[0].dim[1], width = c->in[0].dim[2], d = width / a->heads;
    int64_t reach = a->positions ? (c->in[same ? 1 : 3].dim[0] - 1) / 2 : 0;
    double *p = calloc((size_t)frames + 1, sizeof *p);
    for (int64_t row = 0; row < c->in[0].dim[0] * frames * a->heads; row++) {
        int64_t h = row % a->heads, i = row / a->heads % frames, clip = row / a->heads / frames;
        const double *qi = q + (clip * frames + i) * width + h * d;
        for (int64_t j = 0; j < frames; j++) {
            int64_t distance = i - j > reach ? reach : i - j < -reach ? -reach : i - j;
            p[j] = naive_dot(d, qi, k + (clip * frames + j) * width + h * d);
            p[j] += a->positions ? naive_dot(d, qi, e + (distance + reach) * d) : 0;
            p[j] *= (double)a->scale;
        }
        naive_softmax(frames, p, p);
        for (int64_t x = 0; x < d; x++) {
            out[(clip * frames + i) * width + h * d + x] = 0;
            for (int64_t j = 0; j < frames; j++) {
                out[(clip * frames + i) * width + h * d + x] += p[j] * v[(clip * frames + j) * width + h * d + x];
            }
        }
    }
    free(p);
}

static void check(int64_t clips, int64_t frames, int64_t heads, int64_t size, int64_t reach, int few) {
    gradcheck_input x = {3, {clips, frames, heads * size}}, e = {2, {2 * reach + 1, size}};
    /* One position for all distances shifts all logits alike: its gradient is 0 but for rounding, of which there is no
     * relative error. */
    double tolerance = reach == 0 ? 1e-3 : 0;
    for (int positions = 0; positions < 2; positions++) {
        attention_arg a = {heads, (real)0.5, 0, positions};
        op_case c = {"op_attention", build_attention, naive_attention, &a, {x, x, x}, .coordinates = few,
                     .tolerance = tolerance};
        op_case same = {"op_attention of one tensor", build_same, naive_attention, &a, {x}, .coordinates = few,
                        .tolerance = tolerance};
        if (positions) {
            c.in[3] = same.in[1] = e;
        }
        gradcheck_op(&c);
        gradcheck_op(&same);
    }
}

static void test_attention(void **state) {
    (void)state;
    check(2, 5, 2, 3, 8, 0); /* the table longer than the clip */
    check(2, 7, 3, 2, 3, 0); /* and shorter: clip() */
    check(1, 6, 1, 5, 0, 0); /* one row for all distances */
    check(1, 1, 1, 1, 2, 0);
    check(3, 1, 2, 3, 1, 0);
    check(0, 4, 2, 3, 1, 0);
    check(2, 0, 2, 3, 1, 0);
    check(2, 3, 2, 0, 1, 0);
    check(1, 131, 2, 4, 40, 4); /* three blocks of rows */
    check(2, 64, 1, 3, 80, 4);
}

static void test_attention_dropout(void **state) {
    (void)state;
    gradcheck_input x = {3, {2, 9, 6}}, long_x = {3, {1, 70, 4}}, e = {2, {9, 3}}, long_e = {2, {151, 2}};
    attention_arg a = {2, (real)0.5, 0.3, true};
    gradcheck_op(&(op_case){"op_attention, dropout", build_attention, NULL, &a, {x, x, x, e}, .train = true});
    gradcheck_op(&(op_case){"op_attention, inference", build_attention, naive_attention, &a, {x, x, x, e}});
    gradcheck_op(&(op_case){"op_attention, dropout", build_attention, NULL, &a, {long_x, long_x, long_x, long_e},
                            .train = true, .coordinates = 6});
}

/* With values of one and no gradient the result is the sum of the masked weights: 1 on average. */
static void test_attention_dropout_mean(void **state) {
    (void)state;
    enum { T = 40, N = 4 * T * 8 };
    static real zeros[N], ones[N];
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
    }
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    compute *c;
    tape *t;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    tape_begin(t, false, true, 7);
    int64_t dim[3] = {4, T, 8};
    tensor *zero = tape_view(t, 3, dim, zeros);
    tensor *y = op_attention(t, zero, zero, tape_view(t, 3, dim, ones), NULL, 8, 1, 0.25);
    assert_non_null(y);
    double sum = 0;
    int other = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)y->data[i];
        other += fabs((double)y->data[i] - 1) > 1e-3;
    }
    /* Each of N * T weights is 1/T times 0 or 4/3: standard deviation of the mean sqrt(1/3 / (N T)), five of them. */
    assert_true(fabs(sum / N - 1) < 5 * sqrt(1.0 / 3 / ((double)N * T)));
    assert_true(other > N / 2);
    tape_free(t);
    compute_free(c);
    spoor_context_free(ctx);
}

static void test_attention_refuses(void **state) {
    (void)state;
    gradcheck_input x = {3, {2, 3, 6}}, longer = {3, {2, 4, 6}}, flat = {2, {3, 6}};
    attention_arg a = {2, 1, 0, true}, three = {4, 1, 0, false}, none = {0, 1, 0, false}, sure = {2, 1, 1, false};
    const struct {
        op_case c;
        const char *word;
    } cases[] = {
        {{"keys", build_attention, .arg = &a, .in = {x, longer, x, {2, {3, 3}}}}, "queries and keys"},
        {{"values", build_attention, .arg = &a, .in = {x, x, longer, {2, {3, 3}}}}, "queries and values"},
        {{"ndim", build_attention, .arg = &a, .in = {flat, flat, flat, {2, {3, 3}}}}, "[clips, frames, channels]"},
        {{"heads", build_attention, .arg = &three, .in = {x, x, x}}, "6 channels cannot be shared by 4 heads"},
        {{"no head", build_attention, .arg = &none, .in = {x, x, x}}, "0 heads"},
        {{"even", build_attention, .arg = &a, .in = {x, x, x, {2, {4, 3}}}}, "positions"},
        {{"columns", build_attention, .arg = &a, .in = {x, x, x, {2, {3, 6}}}}, "positions"},
        {{"p", build_attention, .arg = &sure, .in = {x, x, x}}, "dropout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gradcheck_refuses(&cases[i].c, cases[i].word);
    }
    gradcheck_input large = {3, {3, 150, 8}};
    attention_arg memory = {2, 1, 0.5, true};
    gradcheck_memory(&(op_case){"op_attention", build_attention, .arg = &memory, .train = true,
                                .in = {large, large, large, {2, {201, 4}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_dropout),
        cmocka_unit_test(test_attention_dropout_mean),
        cmocka_unit_test(test_attention_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
