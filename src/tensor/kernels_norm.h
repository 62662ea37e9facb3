/* kernels_norm.h: kernels of the normalisations and of statistics pooling; see kernels.h for what each computes.
 * Column kernels give every column its own sum in row order, so vectorising over columns cannot change a bit; row
 * kernels sum in vector lanes and add those as a tree. Included by kernels_body.h only. */
#include "tensor/kernels_vec.h"

enum { NORM_ROWS = 8 }; /* rows per step of a column kernel: that many loads for one update of the sums */

/* Mean and sum of squared deviations of n columns over NORM_ROWS rows or fewer, joined to those of `seen` rows before
 * (Chan, Golub and LeVeque 1979): two exact passes over values in registers, no cancellation. */
static inline void moments_step(int64_t rows, int64_t seen, int64_t n, const real *x, real *mean, real *m2) {
    real inverse = (real)1 / (real)rows;
    real part = (real)rows / (real)(seen + rows);
    real cross = (real)seen * part;
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
        real sum = x[c];
        for (int64_t r = 1; r < rows; r++) {
            sum += x[r * n + c];
        }
        real m = sum * inverse;
        real squares = 0;
        for (int64_t r = 0; r < rows; r++) {
            real d = x[r * n + c] - m;
            squares += d * d;
        }
        real delta = m - mean[c];
        mean[c] += delta * part;
        m2[c] += squares + delta * delta * cross;
    }
}

static void k_moments(int64_t rows, int64_t n, const real *x, real *mean, real *m2) {
    memset(mean, 0, (size_t)n * sizeof *mean);
    memset(m2, 0, (size_t)n * sizeof *m2);
    int64_t r = 0;
    for (; r + NORM_ROWS <= rows; r += NORM_ROWS) {
        moments_step(NORM_ROWS, r, n, x + r * n, mean, m2);
    }
    for (; r < rows; r++) {
        moments_step(1, r, n, x + r * n, mean, m2);
    }
}

static inline void norm_sums_step(int64_t rows, int64_t n, const real *x, const real *dy, const real *mean,
                                  real *sum_dy, real *sum_dyx) {
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
        real s = 0, p = 0, m = mean[c];
        for (int64_t r = 0; r < rows; r++) {
            real d = dy[r * n + c];
            s += d;
            p += d * (x[r * n + c] - m);
        }
        sum_dy[c] += s;
        sum_dyx[c] += p;
    }
}

static void k_norm_sums(int64_t rows, int64_t n, const real *x, const real *dy, const real *mean, real *sum_dy,
                        real *sum_dyx) {
    int64_t r = 0;
    for (; r + NORM_ROWS <= rows; r += NORM_ROWS) {
        norm_sums_step(NORM_ROWS, n, x + r * n, dy + r * n, mean, sum_dy, sum_dyx);
    }
    for (; r < rows; r++) {
        norm_sums_step(1, n, x + r * n, dy + r * n, mean, sum_dy, sum_dyx);
    }
}

static void k_affine(int64_t rows, int64_t n, const real *x, const real *mean, const real *scale, const real *shift,
                     bool add, real *y) {
    for (int64_t r = 0; r < rows; r++) {
        const real *p = x + r * n;
        real *q = y + r * n;
        if (add) {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] += (p[c] - mean[c]) * scale[c] + shift[c];
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] = (p[c] - mean[c]) * scale[c] + shift[c];
            }
        }
    }
}

static void k_affine_backward(int64_t rows, int64_t n, const real *x, const real *dy, const real *mean, const real *a,
                              const real *b, const real *s, bool add, real *dx) {
    for (int64_t r = 0; r < rows; r++) {
        const real *p = x + r * n, *d = dy + r * n;
        real *q = dx + r * n;
        if (add) {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] += a[c] * d[c] + (b[c] * (p[c] - mean[c]) + s[c]);
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] = a[c] * d[c] + (b[c] * (p[c] - mean[c]) + s[c]);
            }
        }
    }
}

#ifdef SPOOR_DOUBLE
static inline real root(real x) { return sqrt(x); }
#else
static inline real root(real x) { return sqrtf(x); }
#endif

static inline real row_sum(int64_t n, const real *x) {
    vec s = {0}, u = {0};
    int64_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        s += vec_load(x + i);
        u += vec_load(x + i + VEC);
    }
    for (; i + VEC <= n; i += VEC) {
        s += vec_load(x + i);
    }
    real sum = vec_sum(s + u);
    for (; i < n; i++) {
        sum += x[i];
    }
    return sum;
}

static inline real row_squares(int64_t n, const real *x, real mean) {
    vec s = {0}, u = {0};
    int64_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        vec d = vec_load(x + i) - mean, e = vec_load(x + i + VEC) - mean;
        s += d * d;
        u += e * e;
    }
    for (; i + VEC <= n; i += VEC) {
        vec d = vec_load(x + i) - mean;
        s += d * d;
    }
    real sum = vec_sum(s + u);
    for (; i < n; i++) {
        sum += (x[i] - mean) * (x[i] - mean);
    }
    return sum;
}

static void k_layer_norm(int64_t rows, int64_t n, real eps, const real *x, const real *g, const real *b, real *y,
                         real *mean, real *rstd) {
    real inverse = (real)1 / (real)n;
    for (int64_t r = 0; r < rows; r++) {
        const real *p = x + r * n;
        real *q = y + r * n;
        real m = row_sum(n, p) * inverse;
        real rs = (real)1 / root(row_squares(n, p, m) * inverse + eps);
        mean[r] = m;
        rstd[r] = rs;
#pragma omp simd
        for (int64_t c = 0; c < n; c++) {
            q[c] = (p[c] - m) * rs * g[c] + b[c];
        }
    }
}

/* The two sums of a row's gradient: sum dy*g and sum dy*g*xhat; adds to dg and db on the way. */
static inline void layer_norm_sums(int64_t n, const real *x, const real *dy, const real *g, real mean, real rstd,
                                   real *dg, real *db, real out[2]) {
    vec s = {0}, u = {0};
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        vec d = vec_load(dy + i), h = (vec_load(x + i) - mean) * rstd, dh = d * vec_load(g + i);
        s += dh;
        u += dh * h;
        vec_store(dg + i, vec_load(dg + i) + d * h);
        vec_store(db + i, vec_load(db + i) + d);
    }
    out[0] = vec_sum(s);
    out[1] = vec_sum(u);
    for (; i < n; i++) {
        real h = (x[i] - mean) * rstd;
        out[0] += dy[i] * g[i];
        out[1] += dy[i] * g[i] * h;
        dg[i] += dy[i] * h;
        db[i] += dy[i];
    }
}

static void k_layer_norm_backward(int64_t rows, int64_t n, const real *x, const real *dy, const real *g,
                                  const real *mean, const real *rstd, bool add, real *dx, real *dg, real *db) {
    real inverse = (real)1 / (real)n;
    for (int64_t r = 0; r < rows; r++) {
        const real *p = x + r * n, *d = dy + r * n;
        real m = mean[r], rs = rstd[r], sums[2];
        layer_norm_sums(n, p, d, g, m, rs, dg, db, sums);
        if (dx == NULL) {
            continue;
        }
        real *q = dx + r * n;
        real s0 = sums[0] * inverse * rs, s1 = sums[1] * inverse * rs * rs;
        if (add) {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] += d[c] * g[c] * rs - s0 - (p[c] - m) * s1;
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                q[c] = d[c] * g[c] * rs - s0 - (p[c] - m) * s1;
            }
        }
    }
}
