/* graph_cases.h: checks of graph_attention.c, axis_pool.c and elementwise_max.c, run in the float and in the double
 * build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

/* ---- op_graph_attention ---- */

typedef struct setting {
    int64_t first;
    real temperature;
} setting;

static tensor *build_graph(tape *t, tensor *const *in, const void *arg) { /* in: nodes, W, b, a */
    const setting *s = arg;
    return op_graph_attention(t, in[0], in[0], in[1], in[2], in[3], s->first, s->temperature);
}

static tensor *build_queries(tape *t, tensor *const *in, const void *arg) { /* in: queries, nodes, W, b, a */
    const setting *s = arg;
    return op_graph_attention(t, in[0], in[1], in[2], in[3], in[4], s->first, s->temperature);
}

/* One logit at a time, by the formula. */
static void graph_twin(const op_case *c, int at, const double *y, const double *x, const double *const *in,
                       double *out) {
    const setting *s = c->arg;
    const int64_t *dim = c->in[at].dim;
    int64_t rows = c->in[0].dim[1], nodes = dim[1], channels = dim[2], hidden = c->in[at + 1].dim[0];
    const double *w = in[at + 1], *b = in[at + 2], *a = in[at + 3];
    bool kinds = c->in[at + 3].dim[0] == 3;
    for (int64_t p = 0; p < dim[0] * rows; p++) {
        for (int64_t j = 0; j < nodes; j++) {
            int64_t i = p % rows, kind = 0;
            if (kinds) {
                kind = i < s->first && j < s->first ? 0 : i >= s->first && j >= s->first ? 1 : 2;
            }
            double logit = 0;
            for (int64_t o = 0; o < hidden; o++) {
                double z = b[o];
                for (int64_t d = 0; d < channels; d++) {
                    z += w[o * channels + d] * y[p * channels + d] * x[(p / rows * nodes + j) * channels + d];
                }
                logit += a[kind * hidden + o] * tanh(z);
            }
            out[p * nodes + j] = logit / (double)s->temperature;
        }
        naive_softmax(nodes, out + p * nodes, out + p * nodes);
    }
}

static void naive_graph(const op_case *c, const double *const *in, double *out) {
    graph_twin(c, 0, in[0], in[0], in, out);
}
static void naive_queries(const op_case *c, const double *const *in, double *out) {
    graph_twin(c, 1, in[0], in[1], in, out);
}

static void one_graph(int64_t clips, int64_t nodes, int64_t channels, int64_t hidden, int64_t first) {
    setting one = {0, (real)2}, two = {first, (real)0.7};
    double loose = nodes == 1 ? 1e-3 : 0; /* one node: the weight is 1 whatever the parameters */
    gradcheck_op(&(op_case){"op_graph_attention, one kind",
                            build_graph,
                            naive_graph,
                            &one,
                            {{3, {clips, nodes, channels}}, {2, {hidden, channels}}, {1, {hidden}}, {2, {1, hidden}}},
                            .tolerance = loose > 0 ? loose : 3e-5});
    gradcheck_op(&(op_case){"op_graph_attention, two kinds",
                            build_graph,
                            naive_graph,
                            &two,
                            {{3, {clips, nodes, channels}}, {2, {hidden, channels}}, {1, {hidden}}, {2, {3, hidden}}},
                            .tolerance = loose > 0 ? loose : 3e-5});
}

static void test_graph_attention(void **state) {
    (void)state;
    one_graph(1, 1, 1, 1, 1);
    one_graph(2, 5, 3, 4, 2);
    one_graph(3, 7, 9, 5, 0);
    one_graph(3, 6, 4, 3, 6);
    one_graph(18, 3, 2, 2, 1);
    one_graph(1, 26, 17, 6, 11); /* more pairs than a block */
    one_graph(0, 4, 3, 2, 1);
}

static void test_queries(void **state) {
    (void)state;
    setting s = {0, (real)1.5};
    static const int64_t sizes[][5] = {
        {1, 1, 1, 1, 1}, {2, 1, 7, 4, 3}, {3, 4, 5, 3, 2}, {1, 9, 31, 5, 4}, {2, 0, 3, 2, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *z = sizes[i];
        gradcheck_op(&(op_case){
            "op_graph_attention, queries",
            build_queries,
            naive_queries,
            &s,
            {{3, {z[0], z[1], z[3]}}, {3, {z[0], z[2], z[3]}}, {2, {z[4], z[3]}}, {1, {z[4]}}, {2, {1, z[4]}}},
            .tolerance = z[2] == 1 ? 1e-3 : 3e-5});
    }
}

static void test_graph_refusals(void **state) {
    (void)state;
    setting s = {1, (real)2}, cold = {0, 0}, far = {9, 1};
    gradcheck_input x = {3, {2, 4, 3}}, w = {2, {5, 3}}, b = {1, {5}}, a1 = {2, {1, 5}}, a3 = {2, {3, 5}};
    gradcheck_refuses(&(op_case){"w", build_graph, NULL, &s, {x, {2, {5, 4}}, b, a1}}, "the projection must be");
    gradcheck_refuses(&(op_case){"b", build_graph, NULL, &s, {x, w, {1, {4}}, a1}}, "the projection must be");
    gradcheck_refuses(&(op_case){"a", build_graph, NULL, &s, {x, w, b, {2, {2, 5}}}}, "the attention vectors must be");
    gradcheck_refuses(&(op_case){"flat", build_graph, NULL, &s, {{2, {4, 3}}, w, b, a1}}, "[clips, nodes, channels]");
    gradcheck_refuses(&(op_case){"none", build_graph, NULL, &s, {{3, {2, 0, 3}}, w, b, a1}}, "at least one node");
    gradcheck_refuses(&(op_case){"cold", build_graph, NULL, &cold, {x, w, b, a1}}, "temperature");
    gradcheck_refuses(&(op_case){"far", build_graph, NULL, &far, {x, w, b, a3}}, "two kinds of nodes");
    gradcheck_refuses(&(op_case){"two", build_queries, NULL, &s, {x, x, w, b, a3}}, "two kinds of nodes");
    gradcheck_memory(&(op_case){"op_graph_attention", build_graph, NULL, &s, {x, w, b, a3}});
}

/* ---- pooling along a dimension ---- */

static tensor *build_max_abs(tape *t, tensor *const *in, const void *arg) {
    return op_max_abs(t, in[0], *(const int *)arg);
}
static tensor *build_softmax_pool(tape *t, tensor *const *in, const void *arg) {
    return op_softmax_pool(t, in[0], in[1], *(const int *)arg);
}
static tensor *build_softmax_self(tape *t, tensor *const *in, const void *arg) {
    return op_softmax_pool(t, in[0], in[0], *(const int *)arg);
}

typedef struct axis_of {
    int64_t outer, n, inner;
} axis_of;

static axis_of axis_sizes(const op_case *c) {
    int axis = *(const int *)c->arg;
    axis_of a = {1, c->in[0].dim[axis], 1};
    for (int i = 0; i < c->in[0].ndim; i++) {
        a.outer *= i < axis ? c->in[0].dim[i] : 1;
        a.inner *= i > axis ? c->in[0].dim[i] : 1;
    }
    return a;
}

static void naive_max_abs(const op_case *c, const double *const *in, double *out) {
    axis_of a = axis_sizes(c);
    for (int64_t i = 0; i < a.outer * a.inner; i++) {
        out[i] = 0;
        for (int64_t k = 0; k < a.n; k++) {
            out[i] = fmax(out[i], fabs(in[0][(i / a.inner * a.n + k) * a.inner + i % a.inner]));
        }
    }
}

static void softmax_twin(const op_case *c, const double *x, const double *w, double *out) {
    axis_of a = axis_sizes(c);
    for (int64_t i = 0; i < a.outer * a.inner; i++) {
        double sum = 0, total = 0;
        for (int64_t k = 0; k < a.n; k++) {
            int64_t at = (i / a.inner * a.n + k) * a.inner + i % a.inner;
            sum += exp(w[at]) * x[at];
            total += exp(w[at]);
        }
        out[i] = sum / total;
    }
}
static void naive_softmax_pool(const op_case *c, const double *const *in, double *out) {
    softmax_twin(c, in[0], in[1], out);
}
static void naive_softmax_self(const op_case *c, const double *const *in, double *out) {
    softmax_twin(c, in[0], in[0], out);
}

static void test_axis_pools(void **state) {
    (void)state;
    double far_apart[2 * 3 * 4 * 5];
    for (int i = 0; i < 120; i++) {
        far_apart[i] = ((i * 37 % 120) * 0.25 + 0.1) * (i % 3 == 0 ? -1 : 1);
    }
    static const int axes[] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        gradcheck_input x = {4, {2, 3, 4, 5}};
        gradcheck_op(
            &(op_case){"op_max_abs", build_max_abs, naive_max_abs, &axes[i], {{4, {2, 3, 4, 5}, .values = far_apart}}});
        gradcheck_op(&(op_case){"op_softmax_pool", build_softmax_pool, naive_softmax_pool, &axes[i], {x, x}});
        gradcheck_op(&(op_case){"op_softmax_pool of itself", build_softmax_self, naive_softmax_self, &axes[i], {x}});
    }
    gradcheck_op(&(op_case){"op_max_abs", build_max_abs, naive_max_abs, &axes[1], {{3, {2, 1, 3}}}});
    gradcheck_op(&(op_case){"op_max_abs", build_max_abs, naive_max_abs, &axes[1], {{3, {0, 2, 3}}}});
    gradcheck_op(&(op_case){"op_max_abs", build_max_abs, naive_max_abs, &axes[1], {{3, {2, 2, 0}}}});
    gradcheck_op(&(op_case){
        "op_softmax_pool", build_softmax_pool, naive_softmax_pool, &axes[1], {{3, {2, 19, 33}}, {3, {2, 19, 33}}}});
    gradcheck_op(&(op_case){
        "op_softmax_pool", build_softmax_pool, naive_softmax_pool, &axes[1], {{3, {0, 2, 3}}, {3, {0, 2, 3}}}});
    gradcheck_op(&(op_case){"op_softmax_pool",
                            build_softmax_pool,
                            naive_softmax_pool,
                            &axes[1],
                            {{3, {2, 1, 3}}, {3, {2, 1, 3}}},
                            .tolerance = 1e-4});
    static const int beyond = 3;
    gradcheck_refuses(&(op_case){"axis", build_max_abs, NULL, &beyond, {{3, {1, 2, 3}}}}, "max_abs: dimension 3");
    gradcheck_refuses(&(op_case){"empty", build_max_abs, NULL, &axes[1], {{3, {1, 0, 3}}}}, "max_abs: dimension 1");
    gradcheck_refuses(&(op_case){"shape", build_softmax_pool, NULL, &axes[1], {{3, {1, 2, 3}}, {3, {1, 2, 2}}}},
                      "softmax_pool");
    gradcheck_memory(&(op_case){"op_max_abs", build_max_abs, NULL, &axes[1], {{3, {1, 2, 3}}}});
    gradcheck_memory(
        &(op_case){"op_softmax_pool", build_softmax_pool, NULL, &axes[1], {{3, {1, 2, 3}}, {3, {1, 2, 3}}}});
}

/* ---- elementwise ---- */

static tensor *build_max(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_max(t, in[0], in[1]);
}
static tensor *build_max_self(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_max(t, in[0], in[0]);
}
static tensor *build_abs(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_abs(t, in[0]);
}
static tensor *build_scale_rows(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_scale_rows(t, in[0], in[1]);
}

static int64_t count_of(const gradcheck_input *x) {
    int64_t n = 1;
    for (int i = 0; i < x->ndim; i++) {
        n *= x->dim[i];
    }
    return n;
}

static void naive_max(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < count_of(&c->in[0]); i++) {
        out[i] = fmax(in[0][i], in[1][i]);
    }
}
static void naive_same(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < count_of(&c->in[0]); i++) {
        out[i] = in[0][i];
    }
}
static void naive_abs(const op_case *c, const double *const *in, double *out) {
    for (int64_t i = 0; i < count_of(&c->in[0]); i++) {
        out[i] = fabs(in[0][i]);
    }
}
static void naive_scale_rows(const op_case *c, const double *const *in, double *out) {
    int64_t cols = c->in[0].dim[c->in[0].ndim - 1];
    for (int64_t i = 0; i < count_of(&c->in[0]); i++) {
        out[i] = in[0][i] * in[1][i / cols];
    }
}

static void test_elementwise(void **state) {
    (void)state;
    double a[12], b[12];
    for (int i = 0; i < 12; i++) {
        a[i] = (i * 5 % 12) - 5.5;
        b[i] = (i * 7 % 12) - 5.25;
    }
    gradcheck_op(
        &(op_case){"op_max", build_max, naive_max, NULL, {{2, {3, 4}, .values = a}, {2, {3, 4}, .values = b}}});
    gradcheck_op(&(op_case){"op_max of itself", build_max_self, naive_same, NULL, {{2, {3, 4}, .values = a}}});
    gradcheck_op(&(op_case){"op_max", build_max, naive_max, NULL, {{2, {0, 4}}, {2, {0, 4}}}});
    gradcheck_op(&(op_case){"op_abs", build_abs, naive_abs, NULL, {{2, {3, 4}, .values = a}}});
    gradcheck_op(&(op_case){"op_abs", build_abs, naive_abs, NULL, {{2, {0, 4}}}});
    gradcheck_op(&(op_case){"op_scale_rows", build_scale_rows, naive_scale_rows, NULL, {{3, {2, 3, 5}}, {2, {2, 3}}}});
    gradcheck_op(&(op_case){"op_scale_rows", build_scale_rows, naive_scale_rows, NULL, {{2, {1, 1}}, {1, {1}}}});
    gradcheck_op(&(op_case){"op_scale_rows", build_scale_rows, naive_scale_rows, NULL, {{2, {7, 40}}, {2, {7, 1}}}});
    gradcheck_op(&(op_case){"op_scale_rows", build_scale_rows, naive_scale_rows, NULL, {{2, {0, 3}}, {1, {0}}}});
    gradcheck_refuses(&(op_case){"shapes", build_max, NULL, NULL, {{2, {3, 4}}, {2, {4, 3}}}}, "op_max");
    gradcheck_refuses(&(op_case){"rows", build_scale_rows, NULL, NULL, {{2, {3, 4}}, {1, {4}}}}, "op_scale_rows");
    gradcheck_memory(&(op_case){"op_max", build_max, NULL, NULL, {{2, {3, 4}}, {2, {3, 4}}}});
    gradcheck_memory(&(op_case){"op_abs", build_abs, NULL, NULL, {{2, {3, 4}}}});
    gradcheck_memory(&(op_case){"op_scale_rows", build_scale_rows, NULL, NULL, {{2, {3, 4}}, {1, {3}}}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_attention), cmocka_unit_test(test_queries),
        cmocka_unit_test(test_graph_refusals),  cmocka_unit_test(test_axis_pools),
        cmocka_unit_test(test_elementwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
