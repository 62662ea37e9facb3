/* naive.c: see naive.h. */
#include "support/naive.h"
#include <math.h>

void naive_matmul(int64_t m, int64_t n, int64_t k, const double *a, const double *b, bool trans_b, double *y) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) {
                sum += a[i * k + p] * (trans_b ? b[j * k + p] : b[p * n + j]);
            }
            y[i * n + j] = sum;
        }
    }
}

double naive_log_sum_exp(int64_t n, const double *x) {
    double top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, x[i]);
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp(x[i] - top);
    }
    return top + log(sum);
}

void naive_softmax(int64_t n, const double *x, double *y) {
    double total = naive_log_sum_exp(n, x);
    for (int64_t i = 0; i < n; i++) {
        y[i] = exp(x[i] - total);
    }
}

double naive_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

double naive_activate(double x, op_act act) {
    switch (act) {
    case OP_ACT_NONE:
        return x;
    case OP_ACT_RELU:
        return x > 0 ? x : 0;
    case OP_ACT_SWISH:
        return x * naive_sigmoid(x);
    case OP_ACT_GELU:
        return x * 0.5 * erfc(-x * 0.70710678118654752440);
    case OP_ACT_SELU:
        return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x));
    case OP_ACT_TANH:
        return tanh(x);
    case OP_ACT_SIGMOID:
        return naive_sigmoid(x);
    }
    return NAN;
}

double naive_mean(int64_t n, const double *x, int64_t stride) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i * stride];
    }
    return sum / (double)n;
}

double naive_variance(int64_t n, const double *x, int64_t stride) {
    double mean = naive_mean(n, x, stride), sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = x[i * stride] - mean;
        sum += d * d;
    }
    return sum / (double)n;
}

double naive_dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}
