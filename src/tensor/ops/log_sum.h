/* log_sum.h: the logarithm of a sum of exponentials, of a row of a tensor. (Of logits outside the tape:
 * base/logsum.h.) */
#ifndef TENSOR_OPS_LOG_SUM_H
#define TENSOR_OPS_LOG_SUM_H
#include "tensor/tensor.h"
#include <math.h>

/* log sum_c exp(x_c), in double, in the order of the row. */
static inline double log_sum_row(int64_t n, const real *x) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) {
        top = fmax(top, (double)x[c]);
    }
    for (int64_t c = 0; c < n; c++) {
        sum += exp((double)x[c] - top);
    }
    return top + log(sum);
}
#endif
