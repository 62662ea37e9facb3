/* attention_gated_cases.h: checks of attention_gated.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <stdlib.h>
#include <string.h>

typedef struct gated_arg {
    int64_t heads;
    real scale;
    double p;
} gated_arg;

static tensor *build_gated(tape *t, tensor *const *in, const void *arg) {
    const gated_arg *a = arg;
    return op_attention_gated(t, in[0], in[1], in[2], in[3], in[4], a->heads, a->scale, a->p);
}
/* queries, keys and values are one tensor */
static tensor *build_gated_same(tape *t, tensor *const *in, const void *arg) {
    const gated_arg *a = arg;
    return op_attention_gated(t, in[0], in[0], in[0], in[1], in[2], a->heads, a->scale, a->p);
}

/* The formula of ops.h, one logit at a time. */
static void naive_gated(const op_case *c, const double *const *in, double *out) {
    const gated_arg *a = c->arg;
    bool same = c->build == build_gated_same;
    const double *q = in[0], *k = same ? q : in[1], *v = same ? q : in[2];
    const double *gate = in[same ? 1 : 3], *bias = in[same ? 2 : 4];
    int64_t frames = c->in[0].dim[1], width = c->in[0].dim[2], d = width / a->heads;
    double *p = calloc((size_t)frames + 1, sizeof *p);
    for (int64_t row = 0; row < c->in[0].dim[0] * frames * a->heads; row++) {
        int64_t h = row % a->heads, i = row / a->heads % frames, clip = row / a->heads / frames;
        for (int64_t j = 0; j < frames; j++) {
            p[j] = (double)a->scale *
                   naive_dot(d, q + (clip * frames + i) * width + h * d, k + (clip * frames + j) * width + h * d);
            p[j] += gate[(clip * frames + i) * a->heads + h] * bias[h * (2 * frames - 1) + j - i + frames - 1];
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

static void check(int64_t clips, int64_t frames, int64_t heads, int64_t size, int few) {
    gradcheck_input x = {3, {clips, frames, heads * size}}, gate = {3, {clips, frames, heads}};
    gradcheck_input bias = {2, {heads, frames == 0 ? 0 : 2 * frames - 1}};
    gated_arg a = {heads, (real)0.5, 0};
    gradcheck_op(&(op_case){"op_attention_gated", build_gated, naive_gated, &a, {x, x, x, gate, bias},
                            .coordinates = few});
    gradcheck_op(&(op_case){"op_attention_gated of one tensor", build_gated_same, naive_gated, &a, {x, gate, bias},
                            .coordinates = few});
}

static void test_gated(void **state) {
    (void)state;
    check(2, 5, 2, 3, 0);
    check(1, 7, 3, 2, 0);
    check(1, 6, 1, 5, 0);
    check(1, 1, 1, 1, 0);
    check(3, 1, 2, 3, 0);
    check(0, 4, 2, 3, 0);
    check(2, 0, 2, 3, 0);
    check(2, 3, 2, 0, 0);
    check(1, 131, 2, 4, 4); /* three blocks of rows */
    check(2, 64, 1, 3, 4);
}

static void test_gated_dropout(void **state) {
    (void)state;
    gradcheck_input x = {3, {2, 9, 6}}, gate = {3, {2, 9, 2}}, bias = {2, {2, 17}};
    gradcheck_input long_x = {3, {1, 70, 4}}, long_gate = {3, {1, 70, 2}}, long_bias = {2, {2, 139}};
    gated_arg a = {2, (real)0.5, 0.3};
    gradcheck_op(&(op_case){"op_attention_gated, dropout", build_gated, NULL, &a, {x, x, x, gate, bias}, .train = true});
    gradcheck_op(&(op_case){"op_attention_gated, inference", build_gated, naive_gated, &a, {x, x, x, gate, bias}});
    gradcheck_op(&(op_case){"op_attention_gated, dropout", build_gated, NULL, &a,
                            {long_x, long_x, long_x, long_gate, long_bias}, .train = true, .coordinates = 6});
}

static void test_gated_refuses(void **state) {
    (void)state;
    gradcheck_input x = {3, {2, 3, 6}}, longer = {3, {2, 4, 6}}, flat = {2, {3, 6}}, gate = {3, {2, 3, 2}}, bias = {2, {2, 5}};
    gated_arg a = {2, 1, 0}, four = {4, 1, 0}, none = {0, 1, 0}, sure = {2, 1, 1};
    const struct {
        op_case c;
        const char *word;
    } cases[] = {
        {{"keys", build_gated, .arg = &a, .in = {x, longer, x, gate, bias}}, "queries and keys"},
        {{"values", build_gated, .arg = &a, .in = {x, x, longer, gate, bias}}, "queries and values"},
        {{"ndim", build_gated, .arg = &a, .in = {flat, flat, flat, gate, bias}}, "[clips, frames, channels]"},
        {{"heads", build_gated, .arg = &four, .in = {x, x, x, gate, bias}}, "6 channels cannot be shared by 4 heads"},
        {{"no head", build_gated, .arg = &none, .in = {x, x, x, gate, bias}}, "0 heads"},
        {{"clips", build_gated, .arg = &a, .in = {x, x, x, {3, {1, 3, 2}}, bias}}, "gates"},
        {{"gates", build_gated, .arg = &a, .in = {x, x, x, {3, {2, 3, 3}}, bias}}, "gates"},
        {{"bias", build_gated, .arg = &a, .in = {x, x, x, gate, {2, {2, 6}}}}, "2 frames - 1"},
        {{"bias heads", build_gated, .arg = &a, .in = {x, x, x, gate, {2, {1, 5}}}}, "2 frames - 1"},
        {{"p", build_gated, .arg = &sure, .in = {x, x, x, gate, bias}}, "dropout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gradcheck_refuses(&cases[i].c, cases[i].word);
    }
    gradcheck_input large = {3, {3, 150, 8}};
    gated_arg memory = {2, 1, 0.5};
    gradcheck_memory(&(op_case){"op_attention_gated", build_gated, .arg = &memory, .train = true,
                                .in = {large, large, large, {3, {3, 150, 2}}, {2, {2, 299}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_gated_dropout),
        cmocka_unit_test(test_gated_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
