/* pooled.h: the simplest body: features pooled over time, nothing before. With attentive statistics (Okabe et al. 2018)
 * it is the strong small head on pretrained features; with plain statistics, pool_norm and linear heads it is logistic
 * regression on mean and deviation. Heads are added by net.c. */
#ifndef NET_POOLED_H
#define NET_POOLED_H
#include "nn/layers.h"
#include <jansson.h>

enum { POOLED_MAX_LAYERS = 8 };

typedef struct pooled {
    int64_t input_dim, hidden;
    int pooling;        /* of POOLINGS in pooled.c */
    int64_t neighbours; /* 0, or columns up to so far apart are correlated (op_correlation_pool) */
    int64_t statistics; /* how many values the pooling makes, before the layers */
    nn_attentive_pool attentive;
    int64_t sizes[POOLED_MAX_LAYERS]; /* of linear layers behind the pooling, ReLU between them */
    size_t n_layers;
    nn_linear layers[POOLED_MAX_LAYERS];
    int64_t pooled; /* size of the vector that pooled_forward returns */
} pooled;

/* Read "pooling", "hidden", "neighbours" and "layers" from the "network" object. */
spoor_status pooled_configure(pooled *c, const json_t *config, int64_t input_dim, spoor_error *err);
spoor_status pooled_init(pooled *c, params *p, const char *prefix, spoor_error *err);
/* features [B,T,D] -> [B, 2D]: means and deviations (with pooling "mean" [B, D]: means), with neighbours correlations
 * behind them, or what the last layer makes of all that */
tensor *pooled_forward(const pooled *c, tape *t, tensor *features);
bool pooled_describe(const pooled *c, json_t *out);
#endif
