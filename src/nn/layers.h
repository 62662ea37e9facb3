/* layers.h: layers made of ops. x_init adds the layer's parameters under "name.part" to a parameter set; x_forward runs
 * it. A layer is plain data: pointers to its parameters and its sizes; it owns nothing. */
#ifndef NN_LAYERS_H
#define NN_LAYERS_H
#include "nn/params.h"
#include "tensor/ops.h"

typedef struct nn_linear {
    tensor *w, *b; /* [N,K], [N] or NULL */
} nn_linear;
spoor_status nn_linear_init(nn_linear *l, params *p, const char *name, int64_t in, int64_t out, bool bias,
                            spoor_error *err);
tensor *nn_linear_forward(const nn_linear *l, tape *t, tensor *x, op_act act);

typedef struct nn_layer_norm {
    tensor *g, *b;
} nn_layer_norm;
spoor_status nn_layer_norm_init(nn_layer_norm *l, params *p, const char *name, int64_t size, spoor_error *err);
tensor *nn_layer_norm_forward(const nn_layer_norm *l, tape *t, tensor *x); /* eps 1e-5 */

typedef struct nn_batch_norm {
    tensor *g, *b, *mean, *var;
} nn_batch_norm;
spoor_status nn_batch_norm_init(nn_batch_norm *l, params *p, const char *name, int64_t size, spoor_error *err);
tensor *nn_batch_norm_forward(const nn_batch_norm *l, tape *t, tensor *x); /* momentum 0.1, eps 1e-5 */
/* The same with SELU behind it, in one pass. */
tensor *nn_batch_norm_forward_selu(const nn_batch_norm *l, tape *t, tensor *x);
/* That over all numbers of x as one channel (BatchNorm2d(1)); the layer has size 1. */
tensor *nn_batch_norm_forward_all_selu(const nn_batch_norm *l, tape *t, tensor *x);

/* Conv2d (no bias) + batch norm + swish on x[B,H,W,C] -> [B,H',W',O]. Padding k/2. */
typedef struct nn_conv2d_block {
    tensor *w;
    nn_batch_norm norm;
    int64_t kernel[2], stride[2];
} nn_conv2d_block;
spoor_status nn_conv2d_block_init(nn_conv2d_block *l, params *p, const char *name, int64_t in, int64_t out,
                                  const int64_t kernel[2], const int64_t stride[2], spoor_error *err);
tensor *nn_conv2d_block_forward(const nn_conv2d_block *l, tape *t, tensor *x);

/* LN, Linear(d -> mult d), swish, dropout, Linear, dropout. */
typedef struct nn_feed_forward {
    nn_layer_norm norm;
    nn_linear up, down;
    double dropout;
} nn_feed_forward;
spoor_status nn_feed_forward_init(nn_feed_forward *l, params *p, const char *name, int64_t dim, int64_t mult,
                                  double dropout, spoor_error *err);
tensor *nn_feed_forward_forward(const nn_feed_forward *l, tape *t, tensor *x);

/* LN, multi-head self attention with Shaw relative positions (table [2R+1, dim/heads] shared by heads; q, k, v without
 * bias, output with), dropout. */
typedef struct nn_attention {
    nn_layer_norm norm;
    nn_linear q, k, v, out;
    tensor *table;
    int64_t heads, dim;
    double dropout;
} nn_attention;
spoor_status nn_attention_init(nn_attention *l, params *p, const char *name, int64_t dim, int64_t heads,
                               int64_t max_distance, double dropout, spoor_error *err);
tensor *nn_attention_forward(const nn_attention *l, tape *t, tensor *x);

/* LN, and multi-head self attention over time and channels (TCM: Truong et al. 2024, after the head tokens of Lu et al.
 * 2022). Beside the frames x[B,T,C] of H heads, of which frame 0 is the class token, H head tokens take part in the
 * attention: the mean over the frames of head h's columns, Linear (C/H -> C), layer norm over each C/H of its columns,
 * GELU, plus the sinusoidal position h. What comes out of the other frames and of the head tokens is averaged into the
 * class token:
 *   cls = cls + mean(head tokens) + mean(frames 1 ..)
 * No relative positions: frames have theirs from nn_add_sinusoids. Frames 1 .. must be at least one. Then dropout. */
typedef struct nn_tcm_attention {
    nn_layer_norm norm, head_norm;
    nn_linear q, k, v, out, head;
    int64_t heads, dim;
    double dropout;
} nn_tcm_attention;
spoor_status nn_tcm_attention_init(nn_tcm_attention *l, params *p, const char *name, int64_t dim, int64_t heads,
                                   double dropout, spoor_error *err);
tensor *nn_tcm_attention_forward(const nn_tcm_attention *l, tape *t, tensor *x);
/* x[B,T,C] + pe[T,C], pe[p,2i] = sin(p / 10000^(2i/C)), pe[p,2i+1] = cos of the same (Vaswani et al. 2017). */
tensor *nn_add_sinusoids(tape *t, tensor *x);

/* LN, pointwise d -> 2md, GLU, depthwise (same length), batch norm, swish, pointwise md -> d, dropout. */
typedef struct nn_conv_module {
    nn_layer_norm norm;
    nn_linear up, down;
    tensor *w, *b; /* depthwise [md, K], [md] */
    nn_batch_norm batch_norm;
    int64_t kernel;
    double dropout;
} nn_conv_module;
spoor_status nn_conv_module_init(nn_conv_module *l, params *p, const char *name, int64_t dim, int64_t mult,
                                 int64_t kernel, double dropout, spoor_error *err);
tensor *nn_conv_module_forward(const nn_conv_module *l, tape *t, tensor *x);

/* One Conformer block (Gulati et al. 2020): x += 1/2 FF1; x += MHSA; x += Conv; x += 1/2 FF2; LN. */
typedef struct nn_conformer_block {
    nn_feed_forward ff1, ff2;
    bool tcm;
    union {
        nn_attention attention; /* by relative positions */
        nn_tcm_attention tcm_attention;
    };
    nn_conv_module conv;
    nn_layer_norm norm;
} nn_conformer_block;
typedef struct nn_conformer_sizes {
    int64_t dim, heads, ff_mult, conv_mult, kernel, max_distance;
    double dropout;
    bool tcm; /* attention over time and channels */
} nn_conformer_sizes;
spoor_status nn_conformer_block_init(nn_conformer_block *l, params *p, const char *name, const nn_conformer_sizes *s,
                                     spoor_error *err);
tensor *nn_conformer_block_forward(const nn_conformer_block *l, tape *t, tensor *x);

/* Attentive statistics pooling (Okabe et al. 2018): weights = softmax_t(Linear(tanh(Linear(x)))); [B,T,C] -> [B,2C]. */
typedef struct nn_attentive_pool {
    nn_linear hidden, score;
} nn_attentive_pool;
spoor_status nn_attentive_pool_init(nn_attentive_pool *l, params *p, const char *name, int64_t dim, int64_t hidden,
                                    spoor_error *err);
tensor *nn_attentive_pool_forward(const nn_attentive_pool *l, tape *t, tensor *x);
#endif
