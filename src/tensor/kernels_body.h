/* kernels_body.h: the kernels of kernels.h in plain C. kernels_avx512.c, kernels_avx2.c and kernels_portable.c include
 * this file with KERNELS_TABLE and KERNELS_NAME set and are compiled for their processor, with contraction to fused
 * multiply-add where it has one. Reductions run over KERNELS_LANES partial sums of fixed order, so that compilers may
 * vectorise them and still give the same bits every time. */
#include "tensor/kernels.h"
#include <math.h>
#include <string.h>

static inline real lanes_sum(const real *s) {
    real t[KERNELS_LANES];
    memcpy(t, s, sizeof t);
    for (int w = KERNELS_LANES / 2; w > 0; w /= 2) {
        for (int i = 0; i < w; i++) {
            t[i] += t[i + w];
        }
    }
    return t[0];
}

#ifdef SPOOR_DOUBLE
static inline real exp1(real x) { return exp(x); }
#else
/* exp(x) = 2^k * p(r), r = x - k ln 2 in [-ln2/2, ln2/2], p the degree-7 Taylor polynomial: error below 2 ulp.
 * Branch-free, so that a loop over it vectorises. Below -87.3 the result is 0, above 88.7 it is +inf-like large. */
static inline float exp1(float x) {
    float c = x > 88.3f ? 88.3f : x > -87.3f ? x : -87.3f; /* NaN too: its exponent must not be computed */
    float k = floorf(c * 1.44269504f + 0.5f);
    float r = c - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits = ((int32_t)k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    p *= scale;
    return x < -87.3f ? 0.0f : x != x ? x : p;
}
#endif

static void k_axpy(int64_t n, real a, const real *x, real *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
}

static void k_exp(int64_t n, const real *x, real *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        y[i] = exp1(x[i]);
    }
}

#include "tensor/kernels_activation.h"
#include "tensor/kernels_elementwise.h"

/* Largest of n >= 1 values; NaN is passed over. In lanes, because clang vectorises no reduction to a maximum. */
static inline real row_max(int64_t n, const real *x) {
    real s[KERNELS_LANES];
    for (int j = 0; j < KERNELS_LANES; j++) {
        s[j] = -(real)INFINITY;
    }
    int64_t i = 0;
    for (; i + KERNELS_LANES <= n; i += KERNELS_LANES) {
#pragma omp simd
        for (int j = 0; j < KERNELS_LANES; j++) {
            s[j] = x[i + j] > s[j] ? x[i + j] : s[j];
        }
    }
    for (int j = 0; i < n; i++, j++) {
        s[j] = x[i] > s[j] ? x[i] : s[j];
    }
    real top = s[0];
    for (int j = 1; j < KERNELS_LANES; j++) {
        top = s[j] > top ? s[j] : top;
    }
    return top;
}

static void k_softmax(int64_t n, const real *x, real *y) {
    real top = row_max(n, x);
    if (top == -(real)INFINITY) { /* nothing but -inf, or NaN, which must not be lost */
        for (int64_t i = 0; i < n; i++) {
            y[i] = x[i] != x[i] ? x[i] : (real)1 / (real)n;
        }
        return;
    }
    real s[KERNELS_LANES] = {0};
    int64_t i = 0;
    for (; i + KERNELS_LANES <= n; i += KERNELS_LANES) {
#pragma omp simd
        for (int j = 0; j < KERNELS_LANES; j++) {
            real e = exp1(x[i + j] - top);
            y[i + j] = e;
            s[j] += e;
        }
    }
    if (i < n) { /* the rest filled up with values whose exponential is 0, so that it too runs in vectors */
        real rest[KERNELS_LANES];
        for (int j = 0; j < KERNELS_LANES; j++) {
            rest[j] = -(real)INFINITY;
        }
        memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
#pragma omp simd
        for (int j = 0; j < KERNELS_LANES; j++) {
            rest[j] = exp1(rest[j] - top);
            s[j] += rest[j];
        }
        memcpy(y + i, rest, (size_t)(n - i) * sizeof *y);
    }
    real inverse = (real)1 / lanes_sum(s);
#pragma omp simd
    for (i = 0; i < n; i++) {
        y[i] *= inverse;
    }
}

static real k_dot(int64_t n, const real *x, const real *y) {
    real s[KERNELS_LANES] = {0};
    int64_t i = 0;
    for (; i + KERNELS_LANES <= n; i += KERNELS_LANES) {
#pragma omp simd
        for (int j = 0; j < KERNELS_LANES; j++) {
            s[j] += x[i + j] * y[i + j];
        }
    }
    for (int j = 0; i < n; i++, j++) {
        s[j] += x[i] * y[i];
    }
    return lanes_sum(s);
}

static void k_softmax_backward(int64_t n, const real *y, const real *dy, real *dx) {
    real dot = k_dot(n, y, dy);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        dx[i] += y[i] * (dy[i] - dot);
    }
}

#include "tensor/kernels_conv.h"
#include "tensor/kernels_norm.h"
#include "tensor/kernels_panel.h"
#include "tensor/kernels_reduced.h"

static void k_softmax_scaled(int64_t n, real scale, const real *x, const real *r, real *y) {
    if (r == NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            y[i] = scale * x[i];
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            y[i] = scale * (x[i] + r[i]);
        }
    }
    k_softmax(n, y, y);
}

static void k_softmax_slope(int64_t n, real scale, const real *y, const real *dy, real *dx) {
    real dot = k_dot(n, y, dy);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        dx[i] = scale * y[i] * (dy[i] - dot);
    }
}

#include "tensor/kernels_product.h"

const kernels KERNELS_TABLE = {
    .name = KERNELS_NAME,
    .axpy = k_axpy,
    .add_scaled = k_add_scaled,
    .scale = k_scale,
    .mul = k_mul,
    .mul_add = k_mul_add,
    .add_row = k_add_row,
    .sum_rows = k_sum_rows,
    .dropout = k_dropout,
    .activate = k_activate,
    .gelu = k_gelu,
    .activate_backward = k_activate_backward,
    .glu = k_glu,
    .glu_backward = k_glu_backward,
    .exp = k_exp,
    .softmax = k_softmax,
    .softmax_scaled = k_softmax_scaled,
    .softmax_slope = k_softmax_slope,
    .softmax_backward = k_softmax_backward,
    .moments = k_moments,
    .norm_sums = k_norm_sums,
    .affine = k_affine,
    .affine_backward = k_affine_backward,
    .layer_norm = k_layer_norm,
    .layer_norm_backward = k_layer_norm_backward,
    .correlate = k_correlate,
    .panel = k_panel,
    .strips_room = k_strips_room,
    .strips_rows = k_strips_rows,
    .strips = k_strips,
    .strips_shifted = k_strips_shifted,
    .to_bf16 = k_to_bf16,
    .quantise = k_quantise,
    .dequantise = k_dequantise,
};
