/* kernels_activation.h: activations and GLU, forward and backward; part of kernels_body.h. The functions of one value
 * are branch-free, so that loops over them vectorise. */
#include "tensor/ops.h"

static inline real sigmoid1(real x) { return (real)1 / ((real)1 + exp1(-x)); }

#ifdef SPOOR_DOUBLE
static inline real expm1_1(real x) { return expm1(x); }
/* Gaussian distribution function. */
static inline real phi1(real x) { return (real)0.5 * erfc(x * (real)-0.70710678118654752440); }
#else
/* exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1) with k and r as in exp1; exp(r) - 1 is r times a polynomial, so nothing
 * cancels near 0, where k is 0: relative error below 1e-6. */
static inline float expm1_1(float x) {
    float c = x > 88.3f ? 88.3f : x > -87.3f ? x : -87.3f; /* NaN too: its exponent must not be computed */
    float k = floorf(c * 1.44269504f + 0.5f);
    float r = c - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    int32_t bits = ((int32_t)k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    float e = scale * (p * r) + (scale - 1.0f);
    return x != x ? x : e;
}

/* Gaussian distribution function by erfc(z) = exp(-z P(z)), z = |x|/sqrt(2) up to 4.5, P a least-maximum fit of degree
 * 8 weighted by erfc: absolute error below 1e-7, and no cancellation on the negative side. */
static inline float phi1(float x) {
    float z = fabsf(x) * 0.70710678f;
    z = z < 4.5f ? z : 4.5f;
    float p = -3.8435737e-6f;
    p = p * z + 6.34227e-5f;
    p = p * z - 4.155297e-4f;
    p = p * z + 1.2166554e-3f;
    p = p * z + 3.5987282e-4f;
    p = p * z - 1.9489136e-2f;
    p = p * z + 1.0289285e-1f;
    p = p * z + 6.366012e-1f;
    p = p * z + 1.1283801f;
    float half = 0.5f * exp1(-z * p);
    return x < 0 ? half : 1.0f - half;
}
#endif

static inline real tanh1(real x) {
    real c = x > 20 ? 20 : x < -20 ? -20 : x; /* tanh is 1 to the last bit there; NaN stays */
    real e = expm1_1(2 * c);
    return e / (e + 2);
}

static const real SELU_SCALE = (real)1.0507009873554805, SELU_ALPHA = (real)1.6732632423543772;

static inline real selu1(real x) { return SELU_SCALE * (x > 0 ? x : SELU_ALPHA * expm1_1(x)); }

/* The slopes take the value x before the activation or y after it, whichever is cheaper: op_act_needs_input(). */
static inline real relu_slope(real y) { return y > 0 ? (real)1 : (real)0; }
static inline real tanh_slope(real y) { return 1 - y * y; }
static inline real sigmoid_slope(real y) { return y * (1 - y); }
static inline real selu_slope(real y) { return y > 0 ? SELU_SCALE : y + SELU_SCALE * SELU_ALPHA; }
static inline real swish_slope(real x) {
    real s = sigmoid1(x);
    return s * (1 + x * (1 - s));
}
static inline real gelu_slope(real x) {
    return phi1(x) + x * (real)0.39894228040143267794 * exp1((real)-0.5 * x * x);
}

#define MAP(expression)                  \
    _Pragma("omp simd")                  \
    for (int64_t i = 0; i < n; i++) {    \
        expression;                      \
    }                                    \
    break

static void k_activate(int act, int64_t n, const real *x, real *y) {
    switch ((op_act)act) {
    case OP_ACT_NONE:
        MAP(y[i] = x[i]);
    case OP_ACT_RELU:
        MAP(y[i] = x[i] > 0 ? x[i] : 0);
    case OP_ACT_SWISH:
        MAP(y[i] = x[i] * sigmoid1(x[i]));
    case OP_ACT_GELU:
        MAP(y[i] = x[i] * phi1(x[i]));
    case OP_ACT_SELU:
        MAP(y[i] = selu1(x[i]));
    case OP_ACT_TANH:
        MAP(y[i] = tanh1(x[i]));
    case OP_ACT_SIGMOID:
        MAP(y[i] = sigmoid1(x[i]));
    }
}

#ifdef SPOOR_DOUBLE
static void k_gelu(int64_t n, const real *x, real *y) { k_activate(OP_ACT_GELU, n, x, y); }
#else
/* Phi(x) = 1/2 + x P(x^2) / Q(x^2) on [-5, 5], P and Q a least-maximum fit weighted by x^2: one division instead of an
 * exponential. Beyond, Phi is 0 or 1 to 3e-7. */
static void k_gelu(int64_t n, const real *x, real *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = x[i], c = v > 5 ? 5 : v < -5 ? -5 : v, t = c * c;
        float p = -1.77241343e-8f, q = 1.49267466e-4f;
        p = p * t + 5.83378676e-6f;
        p = p * t + 4.3905067e-4f;
        p = p * t + 6.2090474e-3f;
        p = p * t + 6.2537592e-2f;
        p = p * t + 3.98940249e-1f;
        q = q * t + 3.38474776e-3f;
        q = q * t + 4.44961523e-2f;
        q = q * t + 3.23403257e-1f;
        q = q * t + 1.0f;
        float phi = 0.5f + c * p / q;
        y[i] = v * (v < -5 ? 0.0f : phi);
    }
}
#endif

static void k_activate_backward(int act, int64_t n, const real *x, const real *y, const real *dy, real *dx) {
    switch ((op_act)act) {
    case OP_ACT_NONE:
        MAP(dx[i] = dy[i]);
    case OP_ACT_RELU:
        MAP(dx[i] = dy[i] * relu_slope(y[i]));
    case OP_ACT_SWISH:
        MAP(dx[i] = dy[i] * swish_slope(x[i]));
    case OP_ACT_GELU:
        MAP(dx[i] = dy[i] * gelu_slope(x[i]));
    case OP_ACT_SELU:
        MAP(dx[i] = dy[i] * selu_slope(y[i]));
    case OP_ACT_TANH:
        MAP(dx[i] = dy[i] * tanh_slope(y[i]));
    case OP_ACT_SIGMOID:
        MAP(dx[i] = dy[i] * sigmoid_slope(y[i]));
    }
}
#undef MAP

static void k_glu(int64_t n, const real *a, const real *b, real *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        y[i] = a[i] * sigmoid1(b[i]);
    }
}

static void k_glu_backward(int64_t n, const real *a, const real *b, const real *dy, bool add, real *da, real *db) {
    if (add) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            real s = sigmoid1(b[i]);
            da[i] += dy[i] * s;
            db[i] += dy[i] * a[i] * s * (1 - s);
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        real s = sigmoid1(b[i]);
        da[i] = dy[i] * s;
        db[i] = dy[i] * a[i] * s * (1 - s);
    }
}
