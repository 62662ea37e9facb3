/* logistic.h: multinomial logistic regression with an L2 penalty: convex, so the data alone decide the weights. */
#ifndef TRAIN_LOGISTIC_H
#define TRAIN_LOGISTIC_H
#include "tensor/compute.h"

typedef struct logistic_problem {
    const float *x;       /* [n, d] */
    const int32_t *label; /* [n]; -1 = left out */
    int64_t n, d, classes;
    double l2;            /* mean cross-entropy + l2/2 |W|^2; the bias is free */
    double tolerance;     /* ends where the gradient is so short beside the weights; 0: 1e-4, or where hardly anything
                           * is gained */
} logistic_problem;

/* Minimise from zero with L-BFGS (Liu and Nocedal 1989). w [classes, d], b [classes]. No labelled row: zeros. Runs on
 * the calling thread: the same bits on any machine with the same instructions. */
spoor_status logistic_fit(spoor_context *ctx, const logistic_problem *p, float *w, float *b, spoor_error *err);
#endif
