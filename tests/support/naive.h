/* naive.h: plain double-precision arithmetic from which tests build the slow twin of an op. Every loop here follows the
 * textbook formula; nothing is shared with the library. */
#ifndef TESTS_NAIVE_H
#define TESTS_NAIVE_H
#include "tensor/ops.h"

/* y[m,n] = a[m,k] * b[k,n]; trans_b: b is [n,k] */
void naive_matmul(int64_t m, int64_t n, int64_t k, const double *a, const double *b, bool trans_b, double *y);
/* y[n] = softmax(x[n]); y may be x */
void naive_softmax(int64_t n, const double *x, double *y);
/* log(sum(exp(x))) */
double naive_log_sum_exp(int64_t n, const double *x);
double naive_sigmoid(double x);
double naive_activate(double x, op_act act);
double naive_mean(int64_t n, const double *x, int64_t stride);
/* Biased variance. */
double naive_variance(int64_t n, const double *x, int64_t stride);
double naive_dot(int64_t n, const double *x, const double *y);
#endif
