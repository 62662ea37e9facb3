/* compute_product.h: products with a matrix that was laid out once, in three kinds of numbers: floats by our own
 * kernel, the others by oneDNN or, where there is AMX, by product_amx.h. Only compute_weight.c and compute_groups.c use
 * it; rounding, scales, bias and activation are their business. The double build has none. */
#ifndef TENSOR_COMPUTE_PRODUCT_H
#define TENSOR_COMPUTE_PRODUCT_H
#include "base/context.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum product_kind {
    PRODUCT_F32, /* float x float -> float */
    PRODUCT_BF16, /* bfloat16 x bfloat16 -> float */
    PRODUCT_INT8 /* uint8 (rows) x int8 (weights) -> int32 */
} product_kind;

/* Whether this processor multiplies that kind of number by instructions of its own. Without them oneDNN would be slow
 * (bfloat16) or would saturate sums of two products at 16 bits (int8). */
bool product_native(product_kind kind);

typedef struct product_weight product_weight; /* immutable once filled: threads share it */
/* The layout of a matrix [n,k], n, k >= 1; product_weight_fill then copies w (row-major: float, bfloat16 as uint16_t,
 * or int8_t) into `room`, which has product_weight_bytes at a multiple of 64 and belongs to the caller. */
spoor_status product_weight_new(spoor_context *ctx, product_kind kind, int64_t n, int64_t k, product_weight **out,
                                spoor_error *err);
spoor_status product_weight_fill(product_weight *p, const void *w, void *room, spoor_error *err);
void product_weight_free(product_weight *w);
size_t product_weight_bytes(const product_weight *w);

typedef struct product_cache product_cache; /* primitives by shape; belongs to one thread at a time */
spoor_status product_cache_new(spoor_context *ctx, product_cache **out, spoor_error *err);
void product_cache_free(product_cache *c);

bool product_own(const product_weight *w); /* by a kernel of our own, not by oneDNN */
/* m below must be a multiple of this, for a row to have the same bits beside any others. */
int64_t product_row_step(const product_weight *w);
/* For products of our own alone: lays out rows of x (numbers of w's kind), ldx numbers apart, for products with weights
 * of as many columns as w; with shifts, for products with some of the rows, too. */
spoor_status product_bring(product_cache *c, const product_weight *w, int64_t rows, bool shifts, const void *x,
                           int64_t ldx, spoor_error *err);
enum { PRODUCT_ROWS_MOST = 256, PRODUCT_FIRST_STEP = 16 };
/* y[m,n] = x[m,k] W^T, 1 <= m <= PRODUCT_ROWS_MOST; with add, y += (float results only). By oneDNN, rows of x and of y
 * side by side. On the calling thread alone. */
spoor_status product_run(product_cache *c, const product_weight *w, int64_t m, const void *x, void *y, bool add,
                         spoor_error *err);
/* The same by a kernel of our own, for m of the rows that were brought last, from `first` on (a multiple of
 * PRODUCT_FIRST_STEP), or, without shifts, for all of them; rows of y are ldy numbers apart. */
void product_run_own(product_cache *c, const product_weight *w, int64_t first, int64_t m, void *y, int64_t ldy,
                     bool add);

/* The two products of attention over heads side by side, for some rows of a clip: q[rows, heads * size], k and v
 * [frames, heads * size], s[heads, rows, frames]. scores: s = q k^T as floats; values: y[rows, heads * size] = s v, s
 * here in `kind`, y as floats. kind is float or bfloat16. Only where product_has_heads(): elsewhere oneDNN has no good
 * routine for it. */
bool product_has_heads(void);
spoor_status product_scores(product_cache *c, product_kind kind, int64_t heads, int64_t rows, int64_t frames,
                            int64_t size, const void *q, const void *k, float *s, spoor_error *err);
spoor_status product_values(product_cache *c, product_kind kind, int64_t heads, int64_t rows, int64_t frames,
                            int64_t size, const void *s, const void *v, float *y, spoor_error *err);
#endif
