/* conformer.h: the body of the Conformer classifier (papers: Gulati et al. 2020; Rosello et al. 2023): an optional
 * convolutional stem, projection, class token or pooling, Conformer blocks. Heads are added by net.c. */
#ifndef NET_CONFORMER_H
#define NET_CONFORMER_H
#include "nn/layers.h"
#include <jansson.h>

enum { CONFORMER_MAX_STEM = 8, CONFORMER_MAX_DEPTH = 64 };

typedef enum conformer_pooling { CONFORMER_CLASS_TOKEN, CONFORMER_STATS, CONFORMER_ATTENTIVE } conformer_pooling;

typedef struct conformer {
    int64_t input_dim, n_stem, depth;
    struct {
        int64_t channels, kernel[2], stride[2];
    } stem_sizes[CONFORMER_MAX_STEM];
    nn_conformer_sizes sizes;
    conformer_pooling pooling;
    nn_conv2d_block stem[CONFORMER_MAX_STEM];
    nn_linear project;
    nn_batch_norm project_norm; /* over one channel, as BatchNorm2d(1) in Rosello et al. */
    tensor *token;
    nn_conformer_block blocks[CONFORMER_MAX_DEPTH];
    nn_attentive_pool attentive;
    int64_t pooled; /* size of the vector that conformer_forward returns */
} conformer;

/* Read the sizes from the "network" object; keys of other parts of the network are left alone. */
spoor_status conformer_configure(conformer *c, const json_t *config, int64_t input_dim, spoor_error *err);
/* Add the parameters, named prefix... (after conformer_configure). */
spoor_status conformer_init(conformer *c, params *p, const char *prefix, spoor_error *err);
/* features [B,T,D] -> [B, c->pooled] */
tensor *conformer_forward(const conformer *c, tape *t, tensor *features);
/* Write the resolved sizes into a JSON object; false when out of memory. */
bool conformer_describe(const conformer *c, json_t *out);
#endif
