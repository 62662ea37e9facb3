/* compute.h: where the arithmetic runs: matrix products (oneDNN), loops over independent items (worker pool), and the
 * table of vector kernels for this processor. One compute belongs to one thread at a time; its workers are its own.
 *
 * Determinism: work is cut into items whose number and size depend on shapes alone, never on the number of threads,
 * and whatever items leave behind is combined in item order. So 1, 2 and 8 threads give the same bits. */
#ifndef TENSOR_COMPUTE_H
#define TENSOR_COMPUTE_H
#include "base/context.h"
#include "base/pool.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"

typedef struct compute compute;

spoor_status compute_new(spoor_context *ctx, unsigned threads, compute **out, spoor_error *err);
void compute_free(compute *c);
unsigned compute_threads(const compute *c);
const kernels *compute_kernels(const compute *c);

/* Run fn for items 0 .. n-1 on the workers. Not from inside an item. */
void compute_for(compute *c, int64_t n, pool_fn fn, void *arg);

/* Row-major C[m,n] = op(A)[m,k] * op(B)[k,n] (+ C if accumulate) (+ bias[n] on every row if not NULL).
 * op(A) is A or, with ta, its transpose: A is then stored [k,m]. Likewise tb: B is stored [n,k].
 * lda, ldb, ldc are row strides of the stored matrices. Runs on the calling thread alone, so it may be called from
 * inside an item. m, n or k may be 0. */
typedef struct gemm {
    bool ta, tb;
    int64_t m, n, k;
    const real *a;
    int64_t lda;
    const real *b;
    int64_t ldb;
    real *c;
    int64_t ldc;
    const real *bias;
    bool accumulate;
} gemm;
void compute_gemm(const gemm *g);

/* ---- frozen weights, laid out once for many products ---- */

typedef enum compute_precision {
    COMPUTE_F32,
    COMPUTE_BF16, /* weights and the product's inputs rounded to bfloat16, sums in float */
    COMPUTE_INT8  /* weights int8 with a scale for each output, inputs int8 with a scale for each row, sums in int32 */
} compute_precision;

/* W[n,k] for products X W^T, in the layout and the precision that the processor likes best. Never changes once made, so
 * threads share it. */
typedef struct compute_weight compute_weight;
/* w: [n,k] row-major; needed during the call only. A processor without the instructions for a precision gets the same
 * results more slowly. */
spoor_status compute_weight_new(spoor_context *ctx, const real *w, int64_t n, int64_t k, compute_precision precision,
                                compute_weight **out, spoor_error *err);
void compute_weight_free(compute_weight *w);
size_t compute_weight_bytes(const compute_weight *w);
/* What becomes of each row of a product while it is in the cache: act(norm(row + bias)). */
typedef struct compute_finish {
    const real *bias;         /* [n]; NULL: none */
    const real *gain, *shift; /* [n], of a layer norm over the row; NULL: none */
    real eps;                 /* of the layer norm */
    int act;                  /* an op_act of ops.h; GELU as kernels.h's gelu */
} compute_finish;

/* y[m,n] = finish(x[m,k] W^T). Rows of x are ldx apart, which may be less than k: rows may overlap, so a strided conv1d
 * over [T][C] is one such product. finish: NULL for none. Runs on the calling thread alone; worker is the number that
 * compute_for gave (0 outside): primitives and scratch are kept for each. A row of y has the same bits whatever other
 * rows there are beside it. */
spoor_status compute_weight_apply(compute *c, unsigned worker, const compute_weight *w, int64_t m, const real *x,
                                  int64_t ldx, const compute_finish *finish, real *y, int64_t ldy, spoor_error *err);

/* From now on every product that compute_weight_apply makes is shown to `watch` first, on the thread that makes it: its
 * weights, and rows of inputs as they were given. NULL: no longer. For measuring (int8_measure.c). */
typedef void (*compute_watch_fn)(void *user, const compute_weight *w, int64_t m, const real *x, int64_t ldx);
void compute_watch(compute *c, compute_watch_fn watch, void *user);

/* The same for a convolution in groups, w[n,taps,channels] with channels those of one group: for
 * compute_weight_convolve alone. int8 is computed as bfloat16: a scale for each output row does not fit rows that
 * overlap. */
spoor_status compute_weight_new_grouped(spoor_context *ctx, const real *w, int64_t n, int64_t taps, int64_t channels,
                                        int64_t groups, compute_precision precision, compute_weight **out,
                                        spoor_error *err);
int64_t compute_weight_groups(const compute_weight *w); /* 0: not of a convolution in groups */
compute_precision compute_weight_precision(const compute_weight *w);
/* y[places,n] of x[frames, groups * channels] with zeros outside, stride 1: place p sees frames from p - pad on. */
spoor_status compute_weight_convolve(compute *c, unsigned worker, const compute_weight *w, int64_t frames,
                                     const real *x, int64_t pad, int64_t places, const real *bias, real *y,
                                     spoor_error *err);

/* Whether this processor has compute_attention. */
bool compute_has_attention(void);
/* y[frames, heads * size] = softmax(scale * q k^T) v of each head, of one clip; heads lie side by side. With
 * reduced precision, and where the processor has the instructions, the products are made in bfloat16; softmax and sums
 * are float. */
spoor_status compute_attention(compute *c, unsigned worker, compute_precision precision, int64_t frames, int64_t heads,
                               int64_t size, real scale, const real *q, const real *k, const real *v, real *y,
                               spoor_error *err);

/* Into how many items a reduction over `rows` rows is cut: depends on rows alone (1 .. 16). Item i covers rows
 * [compute_split(rows, items, i), compute_split(rows, items, i + 1)). */
int64_t compute_items(int64_t rows);
static inline int64_t compute_split(int64_t rows, int64_t items, int64_t i) { return rows * i / items; }
#endif
