/* tensor.h: a dense row-major array of real numbers and its gradient. No arithmetic here.
 * `real` is float; the gradient-check build (SPOOR_DOUBLE) compiles the same code with double. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef SPOOR_DOUBLE
typedef double real;
#else
typedef float real;
#endif

enum { TENSOR_DIMS = 4 };

typedef struct tensor {
    int ndim;                 /* 1 .. TENSOR_DIMS */
    int64_t dim[TENSOR_DIMS]; /* outermost first; a dimension may be 0 */
    real *data;               /* contiguous, aligned to 64 bytes when it comes from a tape */
    real *grad;               /* dLoss/dData, same layout; NULL until something flows back */
    bool needs_grad;          /* false: backward skips it */
    bool parameter;           /* true: grad is owned by the parameter set and outlives the tape's step */
    int products;             /* of what made it: 1 + the compute_precision of a frozen weight; 0: ordinary ones */
    const struct compute_weight *packed; /* a frozen weight laid out for products (compute.h); data is then NULL */
} tensor;

static inline int64_t tensor_count(const tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) {
        n *= t->dim[i];
    }
    return n;
}

/* Size of the last dimension, and how many such rows there are. */
static inline int64_t tensor_cols(const tensor *t) { return t->dim[t->ndim - 1]; }
static inline int64_t tensor_rows(const tensor *t) {
    int64_t n = 1;
    for (int i = 0; i + 1 < t->ndim; i++) {
        n *= t->dim[i];
    }
    return n;
}

static inline bool tensor_same_shape(const tensor *a, const tensor *b) {
    if (a->ndim != b->ndim) {
        return false;
    }
    for (int i = 0; i < a->ndim; i++) {
        if (a->dim[i] != b->dim[i]) {
            return false;
        }
    }
    return true;
}
#endif
