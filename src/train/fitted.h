/* fitted.h: the members of a network that are not trained by gradients: logistic regressions on pooled features. */
#ifndef TRAIN_FITTED_H
#define TRAIN_FITTED_H
#include "audio/augment/augment.h"
#include "net/net.h"
#include "train/dataset.h"
#include "frontend/frontend.h"

/* Fit every such member of n (net.h: "logistic") on the first `window` samples of each training clip, shorter ones
 * going round, as tracing sees them, and on augmented copies where the member wants some. The dataset must be loaded.
 * The seed decides every bit, not the number of threads. */
typedef struct fitted_options {
    const frontend *fe;
    const dataset *d;
    const augment *augment;
    uint64_t seed;
    size_t window;
    unsigned threads;
} fitted_options;
spoor_status fitted_run(spoor_context *ctx, net *n, const fitted_options *options, spoor_error *err);
#endif
