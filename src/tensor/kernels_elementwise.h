/* kernels_elementwise.h: sums, products and dropout of rows; part of kernels_body.h. */

static void k_add_scaled(int64_t n, const real *x, real a, const real *y, real *z) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        z[i] = x[i] + a * y[i];
    }
}

static void k_scale(int64_t n, real a, const real *x, real *z) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        z[i] = a * x[i];
    }
}

static void k_mul(int64_t n, const real *x, const real *y, real *z) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        z[i] = x[i] * y[i];
    }
}

static void k_mul_add(int64_t n, const real *x, const real *y, real *z) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        z[i] += x[i] * y[i];
    }
}

static void k_add_row(int64_t rows, int64_t n, const real *b, real *z) {
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            z[r * n + i] += b[i];
        }
    }
}

/* Four rows at a time, so that z is read and written a quarter as often. */
static void k_sum_rows(int64_t rows, int64_t n, const real *x, real *z) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * n) {
        const real *x1 = x + n, *x2 = x + 2 * n, *x3 = x + 3 * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            z[i] += (x[i] + x1[i]) + (x2[i] + x3[i]);
        }
    }
    for (; r < rows; r++, x += n) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            z[i] += x[i];
        }
    }
}

/* Two rounds of multiply and shift with half of the key before each: 32-bit lanes, so that it vectorises everywhere. */
static inline uint32_t hash32(uint32_t x, uint32_t key0, uint32_t key1) {
    x = (x ^ key0) * UINT32_C(0x9e3779b1);
    x = (x ^ (x >> 16)) * UINT32_C(0x85ebca6b);
    x = (x ^ (x >> 15) ^ key1) * UINT32_C(0xc2b2ae35);
    x = (x ^ (x >> 16)) * UINT32_C(0x27d4eb2f);
    return x ^ (x >> 15);
}

static void k_dropout(int64_t n, uint64_t key, uint32_t first, uint32_t threshold, real scale, const real *x, real *z) {
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        z[i] = hash32(first + (uint32_t)i, key0, key1) >= threshold ? x[i] * scale : 0;
    }
}
