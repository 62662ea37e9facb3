/* kernels.h: vector kernels, compiled once for AVX-512, once for AVX2 and once for any processor, chosen at run time.
 * All run on the calling thread. The bodies are plain C in kernels_body.h; a kernel here is a loop worth the trouble:
 * what oneDNN lacks or does badly. Arrays do not overlap unless a comment says so. */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H
#include "tensor/tensor.h"
#include <stdbool.h>

enum {
    KERNELS_LANES = 16, /* partial sums of a reduction; columns of a slab (correlate) */
    KERNELS_BLOCK = 16, /* rows that correlate makes at a time */
    KERNELS_STRIP = 16  /* outputs whose weights lie side by side (strips) */
};

/* Of panel: y[i][j] (+)= bias[j] + sum_s sum_q a[i a_row + q a_step + s a_segment] * b[q b_step + s b_segment + j],
 * over q < k and s < segments, for i < m and j < n, a multiple of KERNELS_STRIP; columns [c, c + KERNELS_STRIP) find b
 * moved by c / KERNELS_STRIP * b_strip instead of by c. With bias, add must be false; bias may be NULL. */
typedef struct kernels_panel {
    int64_t m, n, k, segments;
    const real *a;
    int64_t a_row, a_step, a_segment;
    const real *b;
    int64_t b_step, b_segment, b_strip;
    const real *bias;
    bool add;
    real *y;
    int64_t ldy;
} kernels_panel;

typedef struct kernels {
    const char *name; /* "avx512", "avx2", "portable" */

    /* y[i] += a * x[i] */
    void (*axpy)(int64_t n, real a, const real *x, real *y);
    /* kernels_elementwise.h; z may be x or y */
    void (*add_scaled)(int64_t n, const real *x, real a, const real *y, real *z); /* z = x + a y */
    void (*scale)(int64_t n, real a, const real *x, real *z);                     /* z = a x */
    void (*mul)(int64_t n, const real *x, const real *y, real *z);                /* z = x y */
    void (*mul_add)(int64_t n, const real *x, const real *y, real *z);            /* z += x y */
    void (*add_row)(int64_t rows, int64_t n, const real *b, real *z);             /* z[r,n] += b[n] */
    void (*sum_rows)(int64_t rows, int64_t n, const real *x, real *z);            /* z[n] += sum_r x[r,n] */
    /* z[i] = x[i] * scale where the 32-bit hash of (key, first + i) >= threshold, else 0 */
    void (*dropout)(int64_t n, uint64_t key, uint32_t first, uint32_t threshold, real scale, const real *x, real *z);
    /* kernels_activation.h; act is an op_act of ops.h; y may be x, dx may be dy */
    void (*activate)(int act, int64_t n, const real *x, real *y); /* y = act(x) */
    /* GELU where nothing is trained: to 2e-6 of max(1, |x|), in two thirds of the time; y may be x */
    void (*gelu)(int64_t n, const real *x, real *y);
    /* dx = dy * act'(x); reads x where op_act_needs_input(act), else y = act(x) */
    void (*activate_backward)(int act, int64_t n, const real *x, const real *y, const real *dy, real *dx);
    void (*glu)(int64_t n, const real *a, const real *b, real *y); /* y = a * sigmoid(b) */
    /* The gradients of a and b; add: added to da and db, else assigned. */
    void (*glu_backward)(int64_t n, const real *a, const real *b, const real *dy, bool add, real *da, real *db);
    /* y[i] = exp(x[i]); x may be y. Relative error about 2e-7 in float, full precision in double. */
    void (*exp)(int64_t n, const real *x, real *y);
    /* Softmax of one row of n >= 1 values; x may be y. Rows of -inf only give a uniform row. */
    void (*softmax)(int64_t n, const real *x, real *y);
    /* y = softmax(scale * (x + r)); r may be NULL; y may be x */
    void (*softmax_scaled)(int64_t n, real scale, const real *x, const real *r, real *y);
    /* dx[i] = scale * y[i] * (dy[i] - sum_j y[j] dy[j]); dx may be dy */
    void (*softmax_slope)(int64_t n, real scale, const real *y, const real *dy, real *dx);
    /* dx[i] += y[i] * (dy[i] - sum_j y[j] dy[j]) */
    void (*softmax_backward)(int64_t n, const real *y, const real *dy, real *dx);

    /* ---- normalisation (kernels_norm.h): x, dy, y, dx are [rows][n]; mean, scale, ... are [n] unless said ---- */
    /* Column means and sums of squared deviations from them; rows >= 0. */
    void (*moments)(int64_t rows, int64_t n, const real *x, real *mean, real *m2);
    /* sum_dy[c] += sum_r dy, sum_dyx[c] += sum_r dy * (x - mean[c]) */
    void (*norm_sums)(int64_t rows, int64_t n, const real *x, const real *dy, const real *mean, real *sum_dy,
                      real *sum_dyx);
    /* y = (x - mean) * scale + shift; y += with add */
    void (*affine)(int64_t rows, int64_t n, const real *x, const real *mean, const real *scale, const real *shift,
                   bool add, real *y);
    /* dx = a * dy + b * (x - mean) + s; dx += with add */
    void (*affine_backward)(int64_t rows, int64_t n, const real *x, const real *dy, const real *mean, const real *a,
                            const real *b, const real *s, bool add, real *dx);
    /* Layer norm of each row, n >= 1; mean, rstd: [rows]; y may be x */
    void (*layer_norm)(int64_t rows, int64_t n, real eps, const real *x, const real *g, const real *b, real *y,
                       real *mean, real *rstd);
    /* dx as above or NULL; dg[n] and db[n] are added to. */
    void (*layer_norm_backward)(int64_t rows, int64_t n, const real *x, const real *dy, const real *g,
                                const real *mean, const real *rstd, bool add, real *dx, real *dg, real *db);

    /* ---- depthwise convolution (kernels_conv.h) ---- */
    /* y[i][l] = sum_{j<k} a[i+j][l] * b[j][l] for i < n, l < KERNELS_LANES; rows of KERNELS_LANES values. n is a
     * multiple of KERNELS_BLOCK, a has n + k - 1 rows. */
    void (*correlate)(int64_t n, int64_t k, const real *a, const real *b, real *y);

    void (*panel)(const kernels_panel *p); /* kernels_panel.h */

    /* ---- products with weights in strips (kernels_product.h) ---- */
    /* strips_rows lays out m rows of x[m,k], which are ldx apart and may overlap; they take strips_room values. strips:
     * y[m,n] = x W^T, y += with add, for the m rows; rows of y are ldy apart. w holds W[n,k] as strips of
     * KERNELS_STRIP outputs, the last filled up with zeros: output s * KERNELS_STRIP + j, column i at
     * (s * k + i) * KERNELS_STRIP + j. strips_shifted: the same for m of `laid` rows, from row `first` on, that were
     * laid out with `shifts`; slower. A row of y has the same bits whatever other rows there are, and either way. */
    int64_t (*strips_room)(int64_t m, int64_t k);
    void (*strips_rows)(int64_t m, int64_t k, bool shifts, const real *x, int64_t ldx, real *rows);
    void (*strips)(int64_t m, int64_t n, int64_t k, const real *rows, const real *w, bool add, real *y, int64_t ldy);
    void (*strips_shifted)(int64_t m, int64_t n, int64_t k, int64_t laid, int64_t first, const real *rows,
                           const real *w, bool add, real *y, int64_t ldy);

    /* ---- reduced precision (kernels_reduced.h) ---- */
    /* y[i] = x[i] rounded to bfloat16, the upper half of a float: to nearest, ties to even */
    void (*to_bf16)(int64_t n, const real *x, uint16_t *y);
    /* x[i] = (q[i] - zero) * scale to within half a step of 1/255 of the range of the row and 0, which zero (returned)
     * and scale describe. A row with NaN or an infinity gets the scale NaN. */
    int32_t (*quantise)(int64_t n, const real *x, uint8_t *q, real *scale);
    /* y[i] = (sums[i] - zero * weights[i]) * row * scale[i] (+ bias[i]); bias may be NULL. The difference
     * must fit 32 bits. */
    void (*dequantise)(int64_t n, const int32_t *sums, int32_t zero, const int32_t *weights, real row,
                       const real *scale, const real *bias, real *y);
} kernels;

/* The best table for this processor. SPOOR_ISA=portable|avx2|avx512 in the environment asks for less (tests). */
const kernels *kernels_choose(void);
/* A table by name; NULL if unknown or not supported by this processor or build. */
const kernels *kernels_find(const char *name);
#endif
