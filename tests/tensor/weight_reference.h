/* weight_reference.h: what test_weight.c and test_weight_ops.c share: products with frozen weights in double precision, which
 * round and quantise as compute.h says, random values, and a choice of the kernels that are used. */
#include "base/rng.h"
#include "support/gradcheck.h"
#include "support/naive.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const TABLES[] = {"avx512", "avx2", "portable"};
static const char *const PRECISIONS[] = {"float32", "bfloat16", "int8"};

static void use_table(const char *name) {
    if (name == NULL) {
        unsetenv("SPOOR_ISA");
    } else {
        assert_int_equal(setenv("SPOOR_ISA", name, 1), 0);
    }
}

static float *random_values(size_t n, uint64_t stream, double shift) {
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    rng r = rng_make(7, stream);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(shift + rng_normal(&r));
    }
    return x;
}

/* ---- the reference ---- */

static double to_bf16(double x) { /* 8 bits of mantissa, ties to even */
    if (x == 0) {
        return 0;
    }
    int exponent;
    double m = frexp(x, &exponent); /* 0.5 <= |m| < 1 */
    return ldexp(nearbyint(ldexp(m, 8)), exponent - 8);
}

static void to_int8_weights(int64_t k, const float *w, double *out) {
    double top = 0;
    for (int64_t i = 0; i < k; i++) {
        top = fmax(top, fabs((double)w[i]));
    }
    double step = top / 127;
    for (int64_t i = 0; i < k; i++) {
        out[i] = step > 0 ? nearbyint((double)w[i] / step) * step : 0;
    }
}

static void to_uint8_row(int64_t k, const float *x, double *out) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < k; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    double step = (high - low) / 255, zero = step > 0 ? floor(-low / step + 0.5) : 0;
    for (int64_t i = 0; i < k; i++) {
        double q = step > 0 ? fmin(255, floor((double)x[i] / step + zero + 0.5)) : 0;
        out[i] = step > 0 ? (q - zero) * step : 0;
    }
}

static void round_rows(int64_t rows, int64_t k, int64_t ld, const float *x, compute_precision p, bool weights, double *out) {
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * ld;
        double *to = out + r * k;
        if (p == COMPUTE_INT8) {
            (weights ? to_int8_weights : to_uint8_row)(k, row, to);
            continue;
        }
        for (int64_t i = 0; i < k; i++) {
            to[i] = p == COMPUTE_BF16 ? to_bf16((double)row[i]) : (double)row[i];
        }
    }
}

static double *reference(int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx, const float *w, const float *bias,
                         op_act act, compute_precision p) {
    double *a = calloc((size_t)(m * k) + 1, sizeof *a), *b = calloc((size_t)(n * k) + 1, sizeof *b);
    double *y = calloc((size_t)(m * n) + 1, sizeof *y);
    assert_true(a != NULL && b != NULL && y != NULL);
    round_rows(m, k, ldx, x, p, false, a);
    round_rows(n, k, k, w, p, true, b);
    naive_matmul(m, n, k, a, b, true, y);
    for (int64_t i = 0; i < m * n; i++) {
        y[i] = naive_activate(y[i] + (bias == NULL ? 0 : (double)bias[i % n]), act);
    }
    free(a);
    free(b);
    return y;
}

/* A value that lies near the middle of two steps may be rounded either way, in float as in double: one step of one
 * weighted value. */
static double tolerance(int64_t k, compute_precision p) {
    return p == COMPUTE_INT8 ? 8e-3 : 2e-6 * sqrt((double)k) + 1e-6;
}
