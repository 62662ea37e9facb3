/* logsum.h: the logarithm of a sum of exponentials, of a row of logits. */
#ifndef BASE_LOGSUM_H
#define BASE_LOGSUM_H
#include <stddef.h>
#include <stdint.h>

/* t log sum_i exp(x_i / t), t > 0, over all of x[n] but x[except] (-1: over all); in double, in the order of the row.
 * -INFINITY: nothing is summed. NaN: a number that is summed is NaN or +INFINITY, or all of them are -INFINITY.
 * (Ops of the tape, whose numbers may be double, have tensor/ops/log_sum.h.) */
double log_sum_exp(const float *x, size_t n, int64_t except, double t);
#endif
