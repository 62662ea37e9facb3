/* kernels_reduced.h: to bfloat16 and to 8 bits, and back from sums of 32 bits; see kernels.h for what each computes.
 * Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

/* Round to nearest, ties to even, on the bits; NaN stays NaN (its last mantissa bits may round to infinity
 * otherwise). */
static void k_to_bf16(int64_t n, const real *x, uint16_t *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float f = (float)x[i];
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        y[i] = (uint16_t)(f != f ? bits >> 16 | 0x40u : rounded);
    }
}

/* Smallest and largest of a row and 0; *odd is NaN where the row holds NaN or an infinity, else 0. */
static inline void row_range(int64_t n, const real *x, real *low, real *high, real *odd) {
    vec a = {0}, b = {0}, c = {0};
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        vec v = vec_load(x + i);
        a = vec_choose(v < a, v, a);
        b = vec_choose(v > b, v, b);
        c += v * 0;
    }
    *low = 0;
    *high = 0;
    *odd = vec_sum(c);
    for (int j = 0; j < VEC; j++) {
        *low = a[j] < *low ? a[j] : *low;
        *high = b[j] > *high ? b[j] : *high;
    }
    for (; i < n; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
        *odd += x[i] * 0;
    }
}

static int32_t k_quantise(int64_t n, const real *x, uint8_t *q, real *scale) {
    real low, high, odd;
    row_range(n, x, &low, &high, &odd);
    real step = (high - low) / 255;
    /* all zero (or too small to matter), or not finite: every product is NaN */
    if (!(step > (real)1e-30) || odd != 0) {
        memset(q, 0, (size_t)n);
        *scale = odd;
        return 0;
    }
    real inverse = 1 / step;
    int32_t zero = (int32_t)(-low * inverse + (real)0.5);
    real shift = (real)zero + (real)0.5;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        int32_t v = (int32_t)(x[i] * inverse + shift);
        v = v < 0 ? 0 : v > 255 ? 255 : v;
        q[i] = (uint8_t)v;
    }
    *scale = step;
    return zero;
}

static void k_dequantise(int64_t n, const int32_t *sums, int32_t zero, const int32_t *weights, real row,
                         const real *scale, const real *bias, real *y) {
    if (bias == NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            y[i] = (real)(sums[i] - zero * weights[i]) * (row * scale[i]);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            y[i] = (real)(sums[i] - zero * weights[i]) * (row * scale[i]) + bias[i];
        }
    }
}
