/* logsum.c: see logsum.h. */
#include "base/logsum.h"
#include <math.h>

double log_sum_exp(const float *x, size_t n, int64_t except, double t) {
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        top = (int64_t)i != except && (double)x[i] > top ? (double)x[i] : top;
    }
    for (size_t i = 0; i < n; i++) {
        sum += (int64_t)i != except ? exp(((double)x[i] - top) / t) : 0;
    }
    return top + t * log(sum);
}
