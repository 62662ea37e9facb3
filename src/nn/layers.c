/* layers.c: see layers.h. */
#include "nn/layers.h"
#include <math.h>
#include <stdio.h>

enum { NN_NAME = 160 };

static const char *join(char out[NN_NAME], const char *name, const char *part) {
    if (snprintf(out, NN_NAME, "%s.%s", name, part) >= NN_NAME) {
        out[0] = '\0'; /* two such names are refused by params_add */
    }
    return out;
}

spoor_status nn_linear_init(nn_linear *l, params *p, const char *name, int64_t in, int64_t out, bool bias,
                            spoor_error *err) {
    char s[NN_NAME];
    *l = (nn_linear){0};
    TRY(params_add(p, join(s, name, "weight"), 2, (int64_t[]){out, in}, PARAM_UNIFORM_FAN_IN, in, true, true, &l->w,
                   err));
    params_find(p, s)->product = true;
    if (bias) {
        TRY(params_add(p, join(s, name, "bias"), 1, (int64_t[]){out}, PARAM_UNIFORM_FAN_IN, in, true, false, &l->b,
                       err));
    }
    return SPOOR_OK;
}

tensor *nn_linear_forward(const nn_linear *l, tape *t, tensor *x, op_act act) {
    return op_linear(t, x, l->w, l->b, act);
}

spoor_status nn_layer_norm_init(nn_layer_norm *l, params *p, const char *name, int64_t size, spoor_error *err) {
    char s[NN_NAME];
    TRY(params_add(p, join(s, name, "weight"), 1, &size, PARAM_ONES, 0, true, false, &l->g, err));
    return params_add(p, join(s, name, "bias"), 1, &size, PARAM_ZEROS, 0, true, false, &l->b, err);
}

tensor *nn_layer_norm_forward(const nn_layer_norm *l, tape *t, tensor *x) {
    return op_layer_norm(t, x, l->g, l->b, (real)1e-5);
}

spoor_status nn_batch_norm_init(nn_batch_norm *l, params *p, const char *name, int64_t size, spoor_error *err) {
    char s[NN_NAME];
    TRY(params_add(p, join(s, name, "weight"), 1, &size, PARAM_ONES, 0, true, false, &l->g, err));
    TRY(params_add(p, join(s, name, "bias"), 1, &size, PARAM_ZEROS, 0, true, false, &l->b, err));
    TRY(params_add(p, join(s, name, "running_mean"), 1, &size, PARAM_ZEROS, 0, false, false, &l->mean, err));
    return params_add(p, join(s, name, "running_var"), 1, &size, PARAM_ONES, 0, false, false, &l->var, err);
}

tensor *nn_batch_norm_forward(const nn_batch_norm *l, tape *t, tensor *x) {
    return op_batch_norm(t, x, l->g, l->b, l->mean, l->var, (real)0.1, (real)1e-5);
}

tensor *nn_batch_norm_forward_selu(const nn_batch_norm *l, tape *t, tensor *x) {
    return op_batch_norm_act(t, x, l->g, l->b, l->mean, l->var, (real)0.1, (real)1e-5, OP_ACT_SELU);
}

tensor *nn_batch_norm_forward_all_selu(const nn_batch_norm *l, tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    tensor *flat = op_reshape(t, x, 2, (int64_t[]){tensor_count(x), 1});
    return op_reshape(t, nn_batch_norm_forward_selu(l, t, flat), x->ndim, x->dim);
}

spoor_status nn_conv2d_block_init(nn_conv2d_block *l, params *p, const char *name, int64_t in, int64_t out,
                                  const int64_t kernel[2], const int64_t stride[2], spoor_error *err) {
    char s[NN_NAME];
    for (int i = 0; i < 2; i++) {
        l->kernel[i] = kernel[i];
        l->stride[i] = stride[i];
    }
    TRY(params_add(p, join(s, name, "weight"), 4, (int64_t[]){out, kernel[0], kernel[1], in}, PARAM_UNIFORM_FAN_IN,
                   in * kernel[0] * kernel[1], true, true, &l->w, err));
    return nn_batch_norm_init(&l->norm, p, join(s, name, "norm"), out, err);
}

tensor *nn_conv2d_block_forward(const nn_conv2d_block *l, tape *t, tensor *x) {
    x = op_conv2d(t, x, l->w, NULL, l->stride[0], l->stride[1], l->kernel[0] / 2, l->kernel[1] / 2);
    return op_activation(t, nn_batch_norm_forward(&l->norm, t, x), OP_ACT_SWISH);
}

spoor_status nn_feed_forward_init(nn_feed_forward *l, params *p, const char *name, int64_t dim, int64_t mult,
                                  double dropout, spoor_error *err) {
    char s[NN_NAME];
    l->dropout = dropout;
    TRY(nn_layer_norm_init(&l->norm, p, join(s, name, "norm"), dim, err));
    TRY(nn_linear_init(&l->up, p, join(s, name, "up"), dim, mult * dim, true, err));
    return nn_linear_init(&l->down, p, join(s, name, "down"), mult * dim, dim, true, err);
}

tensor *nn_feed_forward_forward(const nn_feed_forward *l, tape *t, tensor *x) {
    x = nn_layer_norm_forward(&l->norm, t, x);
    x = op_dropout(t, nn_linear_forward(&l->up, t, x, OP_ACT_SWISH), l->dropout);
    return op_dropout(t, nn_linear_forward(&l->down, t, x, OP_ACT_NONE), l->dropout);
}

spoor_status nn_attention_init(nn_attention *l, params *p, const char *name, int64_t dim, int64_t heads,
                               int64_t max_distance, double dropout, spoor_error *err) {
    char s[NN_NAME];
    l->heads = heads;
    l->dim = dim;
    l->dropout = dropout;
    TRY(nn_layer_norm_init(&l->norm, p, join(s, name, "norm"), dim, err));
    TRY(nn_linear_init(&l->q, p, join(s, name, "query"), dim, dim, false, err));
    TRY(nn_linear_init(&l->k, p, join(s, name, "key"), dim, dim, false, err));
    TRY(nn_linear_init(&l->v, p, join(s, name, "value"), dim, dim, false, err));
    TRY(nn_linear_init(&l->out, p, join(s, name, "out"), dim, dim, true, err));
    return params_add(p, join(s, name, "positions"), 2, (int64_t[]){2 * max_distance + 1, dim / heads}, PARAM_NORMAL, 0,
                      true, false, &l->table, err);
}

tensor *nn_attention_forward(const nn_attention *l, tape *t, tensor *x) {
    x = nn_layer_norm_forward(&l->norm, t, x);
    tensor *q = nn_linear_forward(&l->q, t, x, OP_ACT_NONE);
    tensor *k = nn_linear_forward(&l->k, t, x, OP_ACT_NONE);
    tensor *v = nn_linear_forward(&l->v, t, x, OP_ACT_NONE);
    real scale = (real)(1.0 / sqrt((double)(l->dim / l->heads)));
    x = op_attention(t, q, k, v, l->table, l->heads, scale, 0.0);
    return op_dropout(t, nn_linear_forward(&l->out, t, x, OP_ACT_NONE), l->dropout);
}

spoor_status nn_conv_module_init(nn_conv_module *l, params *p, const char *name, int64_t dim, int64_t mult,
                                 int64_t kernel, double dropout, spoor_error *err) {
    char s[NN_NAME];
    int64_t inner = mult * dim;
    l->kernel = kernel;
    l->dropout = dropout;
    TRY(nn_layer_norm_init(&l->norm, p, join(s, name, "norm"), dim, err));
    TRY(nn_linear_init(&l->up, p, join(s, name, "up"), dim, 2 * inner, true, err));
    TRY(params_add(p, join(s, name, "depthwise.weight"), 2, (int64_t[]){inner, kernel}, PARAM_UNIFORM_FAN_IN, kernel,
                   true, true, &l->w, err));
    TRY(params_add(p, join(s, name, "depthwise.bias"), 1, &inner, PARAM_UNIFORM_FAN_IN, kernel, true, false, &l->b,
                   err));
    TRY(nn_batch_norm_init(&l->batch_norm, p, join(s, name, "batch_norm"), inner, err));
    return nn_linear_init(&l->down, p, join(s, name, "down"), inner, dim, true, err);
}

tensor *nn_conv_module_forward(const nn_conv_module *l, tape *t, tensor *x) {
    x = nn_layer_norm_forward(&l->norm, t, x);
    x = op_glu(t, nn_linear_forward(&l->up, t, x, OP_ACT_NONE));
    int64_t left = l->kernel / 2;
    x = op_depthwise(t, x, l->w, l->b, left, l->kernel - 1 - left);
    x = op_activation(t, nn_batch_norm_forward(&l->batch_norm, t, x), OP_ACT_SWISH);
    return op_dropout(t, nn_linear_forward(&l->down, t, x, OP_ACT_NONE), l->dropout);
}

spoor_status nn_conformer_block_init(nn_conformer_block *l, params *p, const char *name, const nn_conformer_sizes *s,
                                     spoor_error *err) {
    char n[NN_NAME];
    TRY(nn_feed_forward_init(&l->ff1, p, join(n, name, "ff1"), s->dim, s->ff_mult, s->dropout, err));
    l->tcm = s->tcm;
    join(n, name, "attention");
    TRY(l->tcm ? nn_tcm_attention_init(&l->tcm_attention, p, n, s->dim, s->heads, s->dropout, err)
               : nn_attention_init(&l->attention, p, n, s->dim, s->heads, s->max_distance, s->dropout, err));
    TRY(nn_conv_module_init(&l->conv, p, join(n, name, "conv"), s->dim, s->conv_mult, s->kernel, s->dropout, err));
    TRY(nn_feed_forward_init(&l->ff2, p, join(n, name, "ff2"), s->dim, s->ff_mult, s->dropout, err));
    return nn_layer_norm_init(&l->norm, p, join(n, name, "norm"), s->dim, err);
}

tensor *nn_conformer_block_forward(const nn_conformer_block *l, tape *t, tensor *x) {
    x = op_add(t, x, nn_feed_forward_forward(&l->ff1, t, x), (real)0.5);
    tensor *heard = l->tcm ? nn_tcm_attention_forward(&l->tcm_attention, t, x)
                           : nn_attention_forward(&l->attention, t, x);
    x = op_add(t, x, heard, 1);
    x = op_add(t, x, nn_conv_module_forward(&l->conv, t, x), 1);
    x = op_add(t, x, nn_feed_forward_forward(&l->ff2, t, x), (real)0.5);
    return nn_layer_norm_forward(&l->norm, t, x);
}

spoor_status nn_attentive_pool_init(nn_attentive_pool *l, params *p, const char *name, int64_t dim, int64_t hidden,
                                    spoor_error *err) {
    char s[NN_NAME];
    TRY(nn_linear_init(&l->hidden, p, join(s, name, "hidden"), dim, hidden, true, err));
    return nn_linear_init(&l->score, p, join(s, name, "score"), hidden, dim, true, err);
}

tensor *nn_attentive_pool_forward(const nn_attentive_pool *l, tape *t, tensor *x) {
    tensor *a = nn_linear_forward(&l->score, t, nn_linear_forward(&l->hidden, t, x, OP_ACT_TANH), OP_ACT_NONE);
    return op_attentive_pool(t, x, a, (real)1e-5);
}
