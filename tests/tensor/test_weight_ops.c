/* test_weight_ops.c: ops whose weights are frozen (op_linear, op_conv1d, also in groups, op_attention between such layers) in
 * three precisions against weight_reference.h, on any number of threads and kernels. */
#define _DEFAULT_SOURCE /* setenv */
#include "tensor/weight_reference.h"

/* ---- linear layers and convolutions ---- */

typedef struct op_run {
    compute_precision precision;
    int64_t dim[3], outputs, taps, stride, dilation, pad_left, pad_right; /* taps 0: op_linear */
} op_run;

static void run_op(spoor_context *ctx, const op_run *c, unsigned threads, const float *x, const float *w, float *bias,
                   float **y, int64_t *count) {
    spoor_error err;
    compute *engine;
    tape *t;
    compute_weight *packed;
    int64_t taps = c->taps == 0 ? 1 : c->taps;
    support_ok(compute_new(ctx, threads, &engine, &err), &err);
    support_ok(tape_new(ctx, engine, &t, &err), &err);
    support_ok(compute_weight_new(ctx, w, c->outputs, taps * c->dim[2], c->precision, &packed, &err), &err);
    tape_begin(t, false, false, 0);
    tensor *in = tape_view(t, 3, c->dim, (real *)(uintptr_t)x), *b = tape_view(t, 1, &c->outputs, bias);
    tensor weight = {.ndim = 2, .dim = {c->outputs, c->dim[2]}, .packed = packed};
    tensor *out;
    if (c->taps == 0) {
        out = op_linear(t, in, &weight, b, OP_ACT_GELU);
    } else {
        weight = (tensor){.ndim = 3, .dim = {c->outputs, taps, c->dim[2]}, .packed = packed};
        out = op_conv1d(t, in, &weight, b, c->stride, c->dilation, c->pad_left, c->pad_right, 1);
    }
    support_ok(tape_status(t, &err), &err);
    *count = tensor_count(out);
    *y = malloc((size_t)*count * sizeof **y + 1);
    assert_non_null(*y);
    memcpy(*y, out->data, (size_t)*count * sizeof **y);
    compute_weight_free(packed);
    tape_free(t);
    compute_free(engine);
}

/* The same convolution as rows of a matrix: gathered here. */
static float *gather(const op_run *c, const float *x, int64_t *rows) {
    int64_t taps = c->taps == 0 ? 1 : c->taps, channels = c->dim[2];
    int64_t stride = c->taps == 0 ? 1 : c->stride, dilation = c->taps == 0 ? 1 : c->dilation;
    int64_t frames = (c->dim[1] + c->pad_left + c->pad_right - dilation * (taps - 1) - 1) / stride + 1;
    *rows = c->dim[0] * frames;
    float *m = calloc((size_t)(*rows * taps * channels) + 1, sizeof *m);
    assert_non_null(m);
    for (int64_t r = 0; r < *rows; r++) {
        for (int64_t k = 0; k < taps; k++) {
            int64_t at = r % frames * stride + k * dilation - c->pad_left;
            if (at >= 0 && at < c->dim[1]) {
                memcpy(m + (r * taps + k) * channels, x + (r / frames * c->dim[1] + at) * channels,
                       (size_t)channels * sizeof *m);
            }
        }
    }
    return m;
}

static void check_op(spoor_context *ctx, const op_run *c) {
    int64_t taps = c->taps == 0 ? 1 : c->taps, k = taps * c->dim[2], rows, count, again;
    float *x = random_values((size_t)(c->dim[0] * c->dim[1] * c->dim[2]), 1, 0.2);
    float *w = random_values((size_t)(c->outputs * k), 2, 0), *bias = random_values((size_t)c->outputs, 3, 0), *y, *other;
    float *matrix = gather(c, x, &rows);
    double *want = reference(rows, c->outputs, k, matrix, k, w, bias, c->taps == 0 ? OP_ACT_GELU : OP_ACT_NONE,
                             c->precision);
    run_op(ctx, c, 1, x, w, bias, &y, &count);
    assert_int_equal(count, rows * c->outputs);
    assert_true(support_relative_error(y, want, (size_t)count) <= tolerance(k, c->precision));
    for (unsigned threads = 2; threads <= 8; threads += 6) {
        run_op(ctx, c, threads, x, w, bias, &other, &again);
        assert_true(count == again && memcmp(y, other, (size_t)count * sizeof *y) == 0);
        free(other);
    }
    free(x);
    free(w);
    free(bias);
    free(y);
    free(matrix);
    free(want);
}

static void test_ops(void **state) {
    (void)state;
    static const op_run cases[] = {
        {0, {3, 400, 33}, 29}, {0, {1, 1, 5}, 1}, {0, {2, 0, 5}, 3},
        {0, {2, 501, 12}, 40, 3, 2, 1, 0, 0}, {0, {2, 90, 12}, 40, 3, 1, 1, 1, 1}, {0, {1, 900, 7}, 5, 4, 3, 2, 5, 0},
        {0, {1, 4000, 1}, 32, 10, 5, 1, 0, 0}, {0, {3, 50, 16}, 8, 1, 1, 1, 0, 0}, {0, {1, 700, 64}, 16, 2, 2, 1, 0, 0},
    };
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            op_run c = cases[i];
            c.precision = (compute_precision)p;
            check_op(ctx, &c);
        }
    }
    spoor_context_free(ctx);
}

/* ---- convolution, norm and activation in one pass ---- */

/* Against the same three ops one after the other; the pass has another GELU, good to 2e-6 (kernels.h). */
static void check_fused(spoor_context *ctx, compute_precision precision, const int64_t dim[3], int64_t outputs,
                        int64_t stride, int64_t pad, bool normed, bool recording) {
    enum { TAPS = 3 };
    spoor_error err;
    compute *engine;
    tape *t;
    compute_weight *packed;
    size_t count = (size_t)(outputs * TAPS * dim[2]);
    float *x = random_values((size_t)(dim[0] * dim[1] * dim[2]), 1, 0.2), *w = random_values(count, 2, 0);
    float *bias = random_values((size_t)outputs, 3, 0), *gain = random_values((size_t)outputs, 4, 1);
    float *shift = random_values((size_t)outputs, 5, 0);
    support_ok(compute_new(ctx, 2, &engine, &err), &err);
    support_ok(tape_new(ctx, engine, &t, &err), &err);
    support_ok(compute_weight_new(ctx, w, outputs, TAPS * dim[2], precision, &packed, &err), &err);
    tape_begin(t, recording, false, 0);
    tensor *in = tape_view(t, 3, dim, x), *b = tape_view(t, 1, &outputs, bias);
    tensor *g = normed ? tape_view(t, 1, &outputs, gain) : NULL, *sh = normed ? tape_view(t, 1, &outputs, shift) : NULL;
    tensor weight = {.ndim = 3, .dim = {outputs, TAPS, dim[2]}, .packed = packed};
    tensor *one = op_conv1d_norm_act(t, in, &weight, b, stride, pad, g, sh, 1e-5f, OP_ACT_GELU);
    tensor *y = op_conv1d(t, in, &weight, b, stride, 1, pad, pad, 1);
    y = normed ? op_layer_norm_act(t, y, g, sh, 1e-5f, OP_ACT_GELU) : op_activation(t, y, OP_ACT_GELU);
    support_ok(tape_status(t, &err), &err);
    assert_int_equal(tensor_count(one), tensor_count(y));
    for (int64_t i = 0; i < tensor_count(y); i++) {
        assert_true(fabsf(one->data[i] - y->data[i]) <= 3e-6f * fmaxf(1, fabsf(y->data[i])));
    }
    if (normed) {
        int64_t wrong = outputs + 1;
        float *much = random_values((size_t)wrong, 6, 0);
        assert_null(op_conv1d_norm_act(t, in, &weight, b, stride, pad, tape_view(t, 1, &wrong, much), sh, 1e-5f,
                                       OP_ACT_GELU));
        assert_int_equal(tape_status(t, &err), SPOOR_ERR_USAGE);
        free(much);
    }
    compute_weight_free(packed);
    tape_free(t);
    compute_free(engine);
    free(x);
    free(w);
    free(bias);
    free(gain);
    free(shift);
}

static void test_fused(void **state) {
    (void)state;
    static const int64_t dims[][3] = {{2, 500, 12}, {1, 1300, 24}, {3, 3, 5}};
    static const int64_t outputs[] = {40, 530, 16}; /* one panel, two, less than a row of tiles */
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            for (int k = 0; k < 8; k++) {
                check_fused(ctx, (compute_precision)p, dims[i], outputs[i], 1 + k % 2, k / 2 % 2, k / 4 == 1, false);
            }
            check_fused(ctx, (compute_precision)p, dims[i], outputs[i], 2, 0, true, true);
        }
    }
    spoor_context_free(ctx);
}

/* ---- convolution in groups ---- */

typedef struct grouped {
    int64_t clips, frames, groups, channels, outs, taps, pad_left, pad_right; /* channels and outs of a group */
} grouped;

static double *grouped_reference(const grouped *c, int64_t places, const float *x, const float *w, const float *bias,
                                 compute_precision p) {
    int64_t width = c->groups * c->channels, n = c->groups * c->outs;
    double *y = calloc((size_t)(c->clips * places * n), sizeof *y);
    assert_non_null(y);
    for (int64_t i = 0; i < c->clips * places * n; i++) {
        int64_t o = i % n, clip = i / n / places, first = i / n % places - c->pad_left;
        y[i] = (double)bias[o];
        for (int64_t j = 0; j < c->taps * c->channels; j++) {
            int64_t at = first + j / c->channels;
            if (at >= 0 && at < c->frames) {
                double a = (double)x[(clip * c->frames + at) * width + o / c->outs * c->channels + j % c->channels];
                double b = (double)w[o * c->taps * c->channels + j];
                y[i] += p == COMPUTE_F32 ? a * b : to_bf16(a) * to_bf16(b);
            }
        }
    }
    return y;
}

static void check_grouped(spoor_context *ctx, const grouped *c, compute_precision precision, unsigned threads) {
    spoor_error err;
    compute *engine;
    tape *t;
    compute_weight *packed;
    int64_t width = c->groups * c->channels, n = c->groups * c->outs;
    int64_t places = c->frames + c->pad_left + c->pad_right - c->taps + 1;
    float *x = random_values((size_t)(c->clips * c->frames * width), 1, 0.1);
    float *w = random_values((size_t)(n * c->taps * c->channels), 2, 0), *bias = random_values((size_t)n, 3, 0);
    double *want = grouped_reference(c, places, x, w, bias, precision);
    support_ok(compute_new(ctx, threads, &engine, &err), &err);
    support_ok(tape_new(ctx, engine, &t, &err), &err);
    support_ok(compute_weight_new_grouped(ctx, w, n, c->taps, c->channels, c->groups, precision, &packed, &err), &err);
    tape_begin(t, false, false, 0);
    tensor weight = {.ndim = 3, .dim = {n, c->taps, c->channels}, .packed = packed};
    tensor *in = tape_view(t, 3, (int64_t[]){c->clips, c->frames, width}, x);
    tensor *y = op_conv1d(t, in, &weight, tape_view(t, 1, &n, bias), 1, 1, c->pad_left, c->pad_right, c->groups);
    support_ok(tape_status(t, &err), &err);
    assert_int_equal(tensor_count(y), c->clips * places * n);
    double error = support_relative_error(y->data, want, (size_t)tensor_count(y));
    if (error > 2e-6 * sqrt((double)(c->taps * c->channels))) {
        fail_msg("%s: %lld groups of %lld channels, %lld taps: error %g", PRECISIONS[precision], (long long)c->groups,
                 (long long)c->channels, (long long)c->taps, error);
    }
    assert_null(op_conv1d(t, tape_view(t, 3, (int64_t[]){c->clips, c->frames, width}, x), &weight, NULL, 2, 1, c->pad_left,
                          c->pad_right, c->groups)); /* no stride */
    compute_weight_free(packed);
    tape_free(t);
    compute_free(engine);
    free(x);
    free(w);
    free(bias);
    free(want);
}

static void test_grouped(void **state) {
    (void)state;
    static const grouped cases[] = {
        {1, 30, 2, 3, 5, 8, 4, 3}, {2, 33, 4, 8, 8, 13, 6, 6}, {1, 1, 3, 5, 2, 128, 64, 63}, {1, 700, 1, 4, 3, 9, 0, 0},
        {3, 57, 2, 16, 16, 128, 64, 63}, {1, 5, 2, 1, 1, 1, 0, 0},
    };
    spoor_context *ctx = support_context();
    for (size_t t = 0; t < sizeof TABLES / sizeof *TABLES; t++) {
        if (kernels_find(TABLES[t]) == NULL) {
            continue;
        }
        use_table(TABLES[t]);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
                check_grouped(ctx, &cases[i], (compute_precision)p, (unsigned)(1 + i));
            }
        }
    }
    use_table(NULL);
    spoor_error err;
    compute_weight *none;
    float w[12] = {0};
    assert_int_equal(compute_weight_new_grouped(ctx, w, 4, 1, 3, 3, COMPUTE_F32, &none, &err), SPOOR_ERR_USAGE);
    assert_null(none);
    spoor_context_free(ctx);
}

/* What is before and after a clip, and how long it is, does not change its frames. */
static void test_grouped_alike(void **state) {
    (void)state;
    enum { TAPS = 20, CHANNELS = 6, FRAMES = 600, N = 8 };
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    compute_weight *packed;
    float *x = random_values(FRAMES * 2 * CHANNELS, 1, 0), *w = random_values(N * TAPS * CHANNELS, 2, 0);
    float *all = random_values(FRAMES * N, 3, 0), *some = random_values(FRAMES * N, 3, 0);
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    support_ok(compute_weight_new_grouped(ctx, w, N, TAPS, CHANNELS, 2, COMPUTE_BF16, &packed, &err), &err);
    support_ok(compute_weight_convolve(engine, 0, packed, FRAMES, x, 0, FRAMES - TAPS + 1, NULL, all, &err), &err);
    for (int64_t n = TAPS; n <= FRAMES; n += 37) {
        support_ok(compute_weight_convolve(engine, 0, packed, n, x, 0, n - TAPS + 1, NULL, some, &err), &err);
        assert_memory_equal(all, some, (size_t)((n - TAPS + 1) * N) * sizeof *all);
    }
    compute_weight_free(packed);
    compute_free(engine);
    spoor_context_free(ctx);
    free(x);
    free(w);
    free(all);
    free(some);
}

/* ---- attention between frozen layers ---- */

static double *attention_reference(const int64_t dim[3], int64_t heads, double scale, const float *q, const float *k,
                                   const float *v) {
    int64_t frames = dim[1], width = dim[2], size = width / heads;
    double *y = calloc((size_t)(dim[0] * frames * width) + 1, sizeof *y), *p = calloc((size_t)frames + 1, sizeof *p);
    assert_true(y != NULL && p != NULL);
    for (int64_t i = 0; i < dim[0] * frames * heads; i++) {
        int64_t clip = i / heads / frames * frames * width, row = i / heads * width + i % heads * size;
        for (int64_t j = 0; j < frames; j++) {
            p[j] = 0;
            for (int64_t c = 0; c < size; c++) {
                p[j] += scale * (double)q[row + c] * (double)k[clip + j * width + i % heads * size + c];
            }
        }
        naive_softmax(frames, p, p);
        for (int64_t j = 0; j < frames; j++) {
            for (int64_t c = 0; c < size; c++) {
                y[row + c] += p[j] * (double)v[clip + j * width + i % heads * size + c];
            }
        }
    }
    free(p);
    return y;
}

static void check_attention(spoor_context *ctx, const int64_t dim[3], int64_t heads, int products, unsigned threads) {
    spoor_error err;
    compute *engine;
    tape *t;
    size_t n = (size_t)(dim[0] * dim[1] * dim[2]);
    float *x[3];
    for (int i = 0; i < 3; i++) {
        x[i] = random_values(n, 10 + (uint64_t)i, 0);
    }
    double *want = attention_reference(dim, heads, 0.3, x[0], x[1], x[2]);
    support_ok(compute_new(ctx, threads, &engine, &err), &err);
    support_ok(tape_new(ctx, engine, &t, &err), &err);
    tape_begin(t, false, false, 0);
    tensor *in[3];
    for (int i = 0; i < 3; i++) {
        in[i] = tape_view(t, 3, dim, x[i]);
        in[i]->products = i == 1 ? products : 1 + COMPUTE_INT8; /* the least rounded of the three decides */
    }
    tensor *y = op_attention(t, in[0], in[1], in[2], NULL, heads, (real)0.3, 0.5);
    support_ok(tape_status(t, &err), &err);
    double error = support_relative_error(y->data, want, n);
    if (error > (products > 1 + COMPUTE_F32 ? 2e-2 : 1e-5)) {
        fail_msg("attention [%lld,%lld,%lld] of %lld heads, products %d: error %g", (long long)dim[0], (long long)dim[1],
                 (long long)dim[2], (long long)heads, products, error);
    }
    for (int64_t clip = 0; clip < dim[0]; clip++) { /* a clip alone has the same bits */
        size_t at = (size_t)(clip * dim[1] * dim[2]);
        tensor *one[3];
        for (int i = 0; i < 3; i++) {
            one[i] = tape_view(t, 3, (int64_t[]){1, dim[1], dim[2]}, x[i] + at);
            one[i]->products = in[i]->products;
        }
        tensor *alone = op_attention(t, one[0], one[1], one[2], NULL, heads, (real)0.3, 0);
        support_ok(tape_status(t, &err), &err);
        assert_memory_equal(alone->data, y->data + at, (size_t)(dim[1] * dim[2]) * sizeof(real));
    }
    tape_free(t);
    compute_free(engine);
    free(want);
    for (int i = 0; i < 3; i++) {
        free(x[i]);
    }
}

static void test_attention(void **state) {
    (void)state;
    static const int64_t cases[][4] = {{1, 1, 4, 2}, {3, 7, 15, 3}, {2, 199, 128, 2}, {1, 530, 48, 4}, {5, 33, 16, 1},
                                       {1, 300, 512, 8}};
    spoor_context *ctx = support_context();
    for (size_t t = 0; t < sizeof TABLES / sizeof *TABLES; t++) {
        if (kernels_find(TABLES[t]) == NULL) {
            continue;
        }
        use_table(TABLES[t]);
        for (size_t i = 0; i < sizeof cases / sizeof *cases - (t > 0); i++) {
            for (int products = 1; products <= 3; products++) {
                check_attention(ctx, cases[i], cases[i][3], products, (unsigned)(1 + i));
            }
        }
    }
    use_table(NULL);
    spoor_context_free(ctx);
}

/* ---- frozen weights have no gradient ---- */

static void test_no_gradient(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    compute *engine;
    tape *t;
    compute_weight *packed;
    float numbers[24] = {0};
    support_ok(compute_new(ctx, 1, &engine, &err), &err);
    support_ok(tape_new(ctx, engine, &t, &err), &err);
    support_ok(compute_weight_new(ctx, numbers, 2, 6, COMPUTE_F32, &packed, &err), &err);
    for (int conv = 0; conv < 2; conv++) {
        tape_begin(t, true, false, 0);
        tensor *x = tape_view(t, 3, (int64_t[]){1, 4, conv ? 2 : 6}, numbers);
        x->needs_grad = true;
        tensor weight = {.ndim = 2, .dim = {2, 6}, .packed = packed};
        tensor kernel = {.ndim = 3, .dim = {2, 3, 2}, .packed = packed};
        tensor *y = conv ? op_conv1d(t, x, &kernel, NULL, 1, 1, 0, 0, 1) : op_linear(t, x, &weight, NULL, OP_ACT_NONE);
        assert_null(y);
        assert_int_equal(tape_status(t, &err), SPOOR_ERR_USAGE);
        assert_non_null(strstr(err.message, "frozen"));
    }
    compute_weight_free(packed);
    tape_free(t);
    compute_free(engine);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),       cmocka_unit_test(test_fused),
        cmocka_unit_test(test_grouped),     cmocka_unit_test(test_grouped_alike),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
