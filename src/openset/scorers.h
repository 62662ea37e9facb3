/* scorers.h: the scorers that stand on statistics of the train set, for openset.c and statistics.c alone. */
#ifndef OPENSET_SCORERS_H
#define OPENSET_SCORERS_H
#include "openset/statistics.h"

/* x . y in double over eight lanes, so that the bits do not depend on the compiler's choice of vectors. */
double openset_dot(const double *x, const float *y, size_t n);
double openset_length(const float *x, size_t n); /* |x| */

/* NSD, kNN, NNGuide, where `kinds` have them; confidence = c(x). */
spoor_status openset_score_nearest(const openset_stats *s, openset_kinds kinds, size_t k, double confidence,
                                   const float *embedding, double score[OPENSET_KINDS], spoor_error *err);
/* Mahalanobis, ViM; energy = lse(z). */
spoor_status openset_score_subspace(const openset_stats *s, openset_kinds kinds, double energy, const float *embedding,
                                    double score[OPENSET_KINDS], spoor_error *err);
/* y[dim] = factor (embedding - origin) of statistics with a covariance. */
spoor_status openset_whiten(const openset_stats *s, const float *embedding, double *y, spoor_error *err);
/* |x - P'P x| for x[dim] and orthonormal rows P[rows, dim]; x becomes the residual. */
double openset_residual(double *x, const float *basis, size_t rows, size_t dim);

/* Covariances of z_i = x_i - centre[label_i] over the clips with a label; the lower triangle of sum z z' / n into
 * s[dim, dim], row by row. */
spoor_status openset_covariance(spoor_context *ctx, const openset_train *t, const double *centres, bool by_label,
                                double *s, spoor_error *err);
spoor_status openset_fit_mahalanobis(openset_stats *s, const openset_train *t, double shrinkage, spoor_error *err);
spoor_status openset_fit_vim(openset_stats *s, const openset_train *t, size_t vim_dim, spoor_error *err);
#endif
