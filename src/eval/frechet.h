/* frechet.h: the Frechet distance of two sets of embeddings through Gaussian fits (Dowson and Landau 1982; as FID,
 * Heusel et al. 2017). */
#ifndef EVAL_FRECHET_H
#define EVAL_FRECHET_H
#include "base/context.h"

enum { FRECHET_MAX_DIM = 8192 };

/* The covariance is (1 - s) S + s tr(S)/dim I, S unbiased (divided by n - 1). */
typedef enum frechet_kind {
    FRECHET_NONE,        /* s = 0 */
    FRECHET_LEDOIT_WOLF, /* s estimated from the set (Ledoit and Wolf 2004) */
    FRECHET_FIXED        /* s = amount */
} frechet_kind;
typedef struct frechet_shrinkage {
    frechet_kind kind;
    double amount; /* 0 to 1 */
} frechet_shrinkage;

typedef struct frechet_fit {
    spoor_context *ctx;
    size_t n, dim;
    double shrinkage;  /* s */
    double trace;      /* of the covariance */
    double *mean;      /* [dim] */
    double *root;      /* [dim, dim]: the symmetric square root of the covariance */
    bool singular;     /* n <= dim and s = 0: the covariance has directions without spread */
} frechet_fit;

/* Fit rows[n] of x[.., dim] (rows NULL: the first n). Under 2 rows, a value that is not finite: SPOOR_ERR_INPUT; dim 0
 * or over the limit, no memory: SPOOR_ERR_LIMIT. */
spoor_status frechet_fit_new(spoor_context *ctx, const float *x, const size_t *rows, size_t n, size_t dim,
                             frechet_shrinkage shrinkage, frechet_fit **out, spoor_error *err);
void frechet_fit_free(frechet_fit *f);

/* *distance = |mu_a - mu_b|^2 + Tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2); *of_means = its first term. Fits of
 * different widths: SPOOR_ERR_USAGE. The distance of finite sets is greater than that of what they are drawn from, by
 * about as much as 1/n: compare sets of like size. */
spoor_status frechet_distance(const frechet_fit *a, const frechet_fit *b, double *distance, double *of_means,
                              spoor_error *err);
#endif
