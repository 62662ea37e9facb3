/* shape_cases.h: checks of concat.c, gather.c, transpose.c and matmul.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>

/* ---- concat ---- */

static tensor *build_concat(tape *t, tensor *const *in, const void *arg) {
    tensor *x[3] = {in[0], in[1], in[0]}; /* one of them twice */
    return op_concat(t, x, 3, *(const int *)arg);
}

static void naive_concat(const op_case *c, const double *const *in, double *out) {
    int axis = *(const int *)c->arg, which[3] = {0, 1, 0};
    int64_t outer = 1, at = 0;
    for (int d = 0; d < axis; d++) {
        outer *= c->in[0].dim[d];
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int i = 0; i < 3; i++) {
            int64_t inner = 1;
            for (int d = axis; d < c->in[0].ndim; d++) {
                inner *= c->in[which[i]].dim[d];
            }
            for (int64_t j = 0; j < inner; j++) {
                out[at++] = in[which[i]][o * inner + j];
            }
        }
    }
}

static void test_concat(void **state) {
    (void)state;
    static const int axes[4] = {0, 1, 2, 3};
    gradcheck_op(&(op_case){"op_concat 0", build_concat, naive_concat, &axes[0], {{2, {2, 3}}, {2, {4, 3}}}});
    gradcheck_op(&(op_case){"op_concat 1", build_concat, naive_concat, &axes[1], {{3, {2, 3, 5}}, {3, {2, 1, 5}}}});
    gradcheck_op(&(op_case){"op_concat 2", build_concat, naive_concat, &axes[2], {{3, {2, 3, 5}}, {3, {2, 3, 7}}}});
    gradcheck_op(&(op_case){"op_concat 3", build_concat, naive_concat, &axes[3], {{4, {1, 2, 3, 5}}, {4, {1, 2, 3, 1}}}});
    gradcheck_op(&(op_case){"op_concat empty", build_concat, naive_concat, &axes[1], {{2, {2, 0}}, {2, {2, 3}}}});
    gradcheck_op(&(op_case){"op_concat of none", build_concat, naive_concat, &axes[1], {{2, {0, 2}}, {2, {0, 3}}}});
    gradcheck_op(&(op_case){"op_concat of one", build_concat, naive_concat, &axes[0], {{1, {1}}, {1, {1}}}});
    gradcheck_refuses(&(op_case){"op_concat", build_concat, .arg = &axes[0], .in = {{2, {2, 3}}, {2, {4, 2}}}},
                      "op_concat: shapes [2,3] and [4,2]");
    gradcheck_refuses(&(op_case){"op_concat", build_concat, .arg = &axes[2], .in = {{2, {2, 3}}, {2, {2, 3}}}}, "axis 2");
}

/* ---- slices and tokens ---- */

static tensor *build_slice(tape *t, tensor *const *in, const void *arg) {
    const int64_t *range = arg;
    return op_slice_frames(t, in[0], range[0], range[1]);
}
static void naive_slice(const op_case *c, const double *const *in, double *out) {
    const int64_t *range = c->arg, *dim = c->in[0].dim;
    for (int64_t b = 0; b < dim[0]; b++) {
        for (int64_t i = 0; i < range[1] * dim[2]; i++) {
            *out++ = in[0][(b * dim[1] + range[0]) * dim[2] + i];
        }
    }
}

static tensor *build_prepend(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_prepend_token(t, in[0], in[1]);
}
static void naive_prepend(const op_case *c, const double *const *in, double *out) {
    const int64_t *dim = c->in[0].dim;
    for (int64_t b = 0; b < dim[0]; b++) {
        for (int64_t f = 0; f <= dim[1]; f++) {
            for (int64_t i = 0; i < dim[2]; i++) {
                *out++ = f == 0 ? in[1][i] : in[0][(b * dim[1] + f - 1) * dim[2] + i];
            }
        }
    }
}

static void test_frames(void **state) {
    (void)state;
    static const int64_t ranges[][2] = {{0, 5}, {1, 3}, {4, 1}, {5, 0}, {0, 1}};
    for (size_t i = 0; i < 5; i++) {
        gradcheck_op(&(op_case){"op_slice_frames", build_slice, naive_slice, ranges[i], {{3, {3, 5, 7}}}});
        gradcheck_op(&(op_case){"op_slice_frames", build_slice, naive_slice, ranges[i], {{3, {0, 5, 7}}}});
    }
    static const int64_t bad[][2] = {{-1, 2}, {0, 6}, {6, 0}, {2, -1}, {1, INT64_MAX}};
    for (size_t i = 0; i < 5; i++) {
        gradcheck_refuses(&(op_case){"op_slice_frames", build_slice, .arg = bad[i], .in = {{3, {3, 5, 7}}}}, "frames");
    }
    gradcheck_refuses(&(op_case){"op_slice_frames", build_slice, .arg = ranges[0], .in = {{2, {5, 7}}}}, "[5,7]");

    static const int64_t sizes[][3] = {{3, 4, 5}, {1, 1, 1}, {2, 0, 3}, {0, 2, 3}, {2, 3, 0}};
    for (size_t i = 0; i < 5; i++) {
        gradcheck_input x = {3, {sizes[i][0], sizes[i][1], sizes[i][2]}}, token = {1, {sizes[i][2]}};
        gradcheck_op(&(op_case){"op_prepend_token", build_prepend, naive_prepend, NULL, {x, token}});
    }
    gradcheck_refuses(&(op_case){"op_prepend_token", build_prepend, .in = {{3, {2, 3, 4}}, {1, {3}}}},
                      "op_prepend_token: shapes [2,3,4] and [3]");
}

/* ---- gather and top-k ---- */

typedef struct gather_arg {
    const int64_t *index;
    int64_t n;
} gather_arg;

static tensor *build_gather(tape *t, tensor *const *in, const void *arg) {
    const gather_arg *a = arg;
    return op_gather(t, in[0], a->index, a->n);
}
static void naive_gather(const op_case *c, const double *const *in, double *out) {
    const gather_arg *a = c->arg;
    int64_t size = 1;
    for (int d = 1; d < c->in[0].ndim; d++) {
        size *= c->in[0].dim[d];
    }
    for (int64_t i = 0; i < a->n * size; i++) {
        out[i] = in[0][a->index[i / (size == 0 ? 1 : size)] * size + i % (size == 0 ? 1 : size)];
    }
}

static tensor *build_top_k(tape *t, tensor *const *in, const void *arg) {
    return op_top_k(t, in[0], in[1], *(const int64_t *)arg);
}
/* Repeatedly the first of the highest scores that are left. */
static void naive_top_k(const op_case *c, const double *const *in, double *out) {
    int64_t k = *(const int64_t *)c->arg, frames = c->in[0].dim[1], channels = c->in[0].dim[2];
    for (int64_t b = 0; b < c->in[0].dim[0]; b++) {
        bool used[16] = {false};
        for (int64_t i = 0; i < k; i++) {
            int64_t best = -1;
            for (int64_t f = 0; f < frames; f++) {
                if (!used[f] && (best < 0 || in[1][b * frames + f] > in[1][b * frames + best])) {
                    best = f;
                }
            }
            used[best] = true;
            for (int64_t j = 0; j < channels; j++) {
                *out++ = in[0][(b * frames + best) * channels + j];
            }
        }
    }
}

/* The scores of the case below are NaN, 1, 3. */
static void naive_nan_last(const op_case *c, const double *const *in, double *out) {
    (void)c;
    out[0] = in[0][2];
    out[1] = in[0][1];
    out[2] = in[0][0];
}

static void test_gather(void **state) {
    (void)state;
    static const int64_t index[5] = {2, 0, 2, 3, 2}, high[1] = {4}, low[1] = {-1};
    gather_arg a = {index, 5}, none = {index, 0}, too_high = {high, 1}, too_low = {low, 1};
    gradcheck_op(&(op_case){"op_gather", build_gather, naive_gather, &a, {{2, {4, 3}}}});
    gradcheck_op(&(op_case){"op_gather", build_gather, naive_gather, &a, {{3, {4, 2, 3}}}});
    gradcheck_op(&(op_case){"op_gather", build_gather, naive_gather, &a, {{1, {4}}}});
    gradcheck_op(&(op_case){"op_gather", build_gather, naive_gather, &a, {{2, {4, 0}}}});
    gradcheck_op(&(op_case){"op_gather none", build_gather, naive_gather, &none, {{2, {4, 3}}}});
    gradcheck_refuses(&(op_case){"op_gather", build_gather, .arg = &too_high, .in = {{2, {4, 3}}}}, "row 4");
    gradcheck_refuses(&(op_case){"op_gather", build_gather, .arg = &too_low, .in = {{2, {4, 3}}}}, "row -1");

    static const double score[10] = {0.5, 2, 0.5, -1, 2, 1, 1, 1, 1, 1}; /* with ties */
    for (int64_t k = 0; k <= 5; k++) {
        gradcheck_op(&(op_case){"op_top_k", build_top_k, naive_top_k, &k,
                                {{3, {2, 5, 3}}, {2, {2, 5}, .values = score, .constant = true}}});
    }
    static const double odd[3] = {NAN, 1, 3};
    int64_t one = 1, three = 3, minus = -1;
    gradcheck_op(&(op_case){"op_top_k, NaN", build_top_k, naive_nan_last, &three,
                            {{3, {1, 3, 1}}, {2, {1, 3}, .values = odd, .constant = true}}});
    gradcheck_op(&(op_case){"op_top_k of one", build_top_k, naive_top_k, &one,
                            {{3, {1, 1, 1}}, {2, {1, 1}, .constant = true}}});
    gradcheck_refuses(&(op_case){"op_top_k", build_top_k, .arg = &three, .in = {{3, {1, 2, 2}}, {2, {1, 2}}}}, "3 of 2");
    gradcheck_refuses(&(op_case){"op_top_k", build_top_k, .arg = &minus, .in = {{3, {1, 2, 2}}, {2, {1, 2}}}}, "-1 of 2");
    gradcheck_refuses(&(op_case){"op_top_k", build_top_k, .arg = &one, .in = {{3, {1, 2, 2}}, {2, {2, 2}}}}, "op_top_k");
}

/* ---- transpose and products ---- */

static tensor *build_transpose(tape *t, tensor *const *in, const void *arg) {
    (void)arg;
    return op_transpose(t, in[0]);
}
static void naive_transpose(const op_case *c, const double *const *in, double *out) {
    int n = c->in[0].ndim;
    int64_t rows = c->in[0].dim[n - 2], cols = c->in[0].dim[n - 1], clips = 1;
    for (int d = 0; d < n - 2; d++) {
        clips *= c->in[0].dim[d];
    }
    for (int64_t b = 0; b < clips; b++) {
        for (int64_t i = 0; i < rows * cols; i++) {
            out[b * rows * cols + i % cols * rows + i / cols] = in[0][b * rows * cols + i];
        }
    }
}

static tensor *build_matmul(tape *t, tensor *const *in, const void *arg) {
    return op_matmul(t, in[0], in[1], *(const bool *)arg);
}
static tensor *build_matmul_self(tape *t, tensor *const *in, const void *arg) {
    return op_matmul(t, in[0], in[0], *(const bool *)arg);
}
static void naive_product(const op_case *c, const double *const *in, double *out) {
    int d = c->in[0].ndim - 2, second = c->build == build_matmul ? 1 : 0;
    bool trans = *(const bool *)c->arg;
    int64_t m = c->in[0].dim[d], k = c->in[0].dim[d + 1], n = c->in[second].dim[trans ? d : d + 1];
    for (int64_t b = 0; b < (d == 0 ? 1 : c->in[0].dim[0]); b++) {
        naive_matmul(m, n, k, in[0] + b * m * k, in[second] + b * n * k, trans, out + b * m * n);
    }
}

static void test_products(void **state) {
    (void)state;
    gradcheck_op(&(op_case){"op_transpose", build_transpose, naive_transpose, NULL, {{2, {3, 5}}}});
    gradcheck_op(&(op_case){"op_transpose", build_transpose, naive_transpose, NULL, {{3, {2, 17, 33}}}});
    gradcheck_op(&(op_case){"op_transpose", build_transpose, naive_transpose, NULL, {{4, {2, 2, 3, 5}}}});
    gradcheck_op(&(op_case){"op_transpose", build_transpose, naive_transpose, NULL, {{3, {2, 0, 5}}}});
    gradcheck_op(&(op_case){"op_transpose", build_transpose, naive_transpose, NULL, {{2, {1, 1}}}});
    gradcheck_refuses(&(op_case){"op_transpose", build_transpose, .in = {{1, {5}}}}, "op_transpose");

    static const bool flags[2] = {false, true};
    static const int64_t sizes[][3] = {{3, 4, 5}, {1, 1, 1}, {0, 2, 3}, {2, 0, 3}, {2, 3, 0}, {17, 5, 33}}; /* m n k */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        gradcheck_op(&(op_case){"op_matmul", build_matmul, naive_product, &flags[0], {{3, {3, m, k}}, {3, {3, k, n}}}});
        gradcheck_op(&(op_case){"op_matmul T", build_matmul, naive_product, &flags[1], {{3, {3, m, k}}, {3, {3, n, k}}}});
        gradcheck_op(&(op_case){"op_matmul 2-D", build_matmul, naive_product, &flags[0], {{2, {m, k}}, {2, {k, n}}}});
    }
    gradcheck_op(&(op_case){"op_matmul itself", build_matmul_self, naive_product, &flags[0], {{2, {4, 4}}}});
    gradcheck_op(&(op_case){"op_matmul itself T", build_matmul_self, naive_product, &flags[1], {{3, {2, 3, 4}}}});
    gradcheck_refuses(&(op_case){"op_matmul", build_matmul, .arg = &flags[0], .in = {{2, {2, 3}}, {2, {2, 3}}}},
                      "op_matmul: shapes [2,3] and [2,3]");
    gradcheck_refuses(&(op_case){"op_matmul", build_matmul, .arg = &flags[0], .in = {{3, {2, 3, 4}}, {3, {1, 4, 3}}}},
                      "op_matmul");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
