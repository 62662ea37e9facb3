/* eigen.h: eigenvectors of a symmetric matrix, for whatever stands on a covariance. */
#ifndef OPENSET_EIGEN_H
#define OPENSET_EIGEN_H
#include "base/context.h"

/* Of the symmetric s[dim, dim], of which the lower triangle, row by row, is read: value[dim] rising; row i of s becomes
 * the unit vector of value[i]. dim < 2^15. No memory: SPOOR_ERR_LIMIT; no convergence: SPOOR_ERR_INPUT. */
spoor_status eigen_symmetric(spoor_context *ctx, double *s, size_t dim, double *value, spoor_error *err);
#endif
