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

/* Into how many items a reduction over `rows` rows is cut: depends on rows alone (1 .. 16). Item i covers rows
 * [compute_split(rows, items, i), compute_split(rows, items, i + 1)). */
int64_t compute_items(int64_t rows);
static inline int64_t compute_split(int64_t rows, int64_t items, int64_t i) { return rows * i / items; }
#endif
