/* graph.c: see graph.h. */
#include "nn/graph.h"
#include <stdio.h>

enum { NAME = 160 };

static const char *join(char out[NAME], const char *name, const char *part) {
    if (snprintf(out, NAME, "%s.%s", name, part) >= NAME) {
        out[0] = '\0'; /* two such names are refused by params_add */
    }
    return out;
}

static spoor_status draw_init(nn_graph_draw *l, params *p, const char *name, int64_t in, int64_t out, int64_t kinds,
                              spoor_error *err) {
    char s[NAME];
    TRY(nn_linear_init(&l->pair, p, join(s, name, "pair"), in, out, true, err));
    TRY(params_add(p, join(s, name, "attention"), 2, (int64_t[]){kinds, out}, PARAM_NORMAL, 0, true, true, &l->vectors,
                   err));
    TRY(nn_linear_init(&l->aggregate, p, join(s, name, "aggregate"), in, out, true, err));
    return nn_linear_init(&l->self, p, join(s, name, "self"), in, out, true, err);
}

static tensor *draw_forward(const nn_graph_draw *l, tape *t, tensor *y, tensor *x, int64_t first, double temperature) {
    tensor *weights = op_graph_attention(t, y, x, l->pair.w, l->pair.b, l->vectors, first, (real)temperature);
    tensor *drawn = nn_linear_forward(&l->aggregate, t, op_matmul(t, weights, x, false), OP_ACT_NONE);
    return op_add(t, drawn, nn_linear_forward(&l->self, t, y, OP_ACT_NONE), 1);
}

spoor_status nn_graph_attention_init(nn_graph_attention *l, params *p, const char *name, int64_t in, int64_t out,
                                     double temperature, double dropout, spoor_error *err) {
    char s[NAME];
    l->temperature = temperature;
    l->dropout = dropout;
    TRY(draw_init(&l->draw, p, name, in, out, 1, err));
    return nn_batch_norm_init(&l->norm, p, join(s, name, "norm"), out, err);
}

tensor *nn_graph_attention_forward(const nn_graph_attention *l, tape *t, tensor *x) {
    x = op_dropout(t, x, l->dropout);
    return nn_batch_norm_forward_selu(&l->norm, t, draw_forward(&l->draw, t, x, x, 0, l->temperature));
}

spoor_status nn_hetero_attention_init(nn_hetero_attention *l, params *p, const char *name, int64_t in, int64_t out,
                                      double temperature, double dropout, spoor_error *err) {
    char s[NAME];
    l->temperature = temperature;
    l->dropout = dropout;
    TRY(nn_linear_init(&l->first, p, join(s, name, "first"), in, in, true, err));
    TRY(nn_linear_init(&l->second, p, join(s, name, "second"), in, in, true, err));
    TRY(draw_init(&l->draw, p, name, in, out, 3, err));
    TRY(draw_init(&l->master, p, join(s, name, "master"), in, out, 1, err));
    return nn_batch_norm_init(&l->norm, p, join(s, name, "norm"), out, err);
}

nn_graph_nodes nn_hetero_attention_forward(const nn_hetero_attention *l, tape *t, nn_graph_nodes nodes) {
    tensor *both[2] = {nn_linear_forward(&l->first, t, nodes.first, OP_ACT_NONE),
                       nn_linear_forward(&l->second, t, nodes.second, OP_ACT_NONE)};
    if (both[0] == NULL || both[1] == NULL) {
        return (nn_graph_nodes){NULL, NULL, NULL};
    }
    int64_t n1 = both[0]->dim[1], n2 = both[1]->dim[1];
    tensor *x = op_dropout(t, op_concat(t, both, 2, 1), l->dropout);
    tensor *master = draw_forward(&l->master, t, nodes.master, x, 0, l->temperature);
    tensor *y = nn_batch_norm_forward_selu(&l->norm, t, draw_forward(&l->draw, t, x, x, n1, l->temperature));
    return (nn_graph_nodes){op_slice_frames(t, y, 0, n1), op_slice_frames(t, y, n1, n2), master};
}

spoor_status nn_graph_pool_init(nn_graph_pool *l, params *p, const char *name, int64_t dim, double ratio,
                                double dropout, spoor_error *err) {
    char s[NAME];
    l->ratio = ratio;
    l->dropout = dropout;
    return nn_linear_init(&l->score, p, join(s, name, "score"), dim, 1, true, err);
}

tensor *nn_graph_pool_forward(const nn_graph_pool *l, tape *t, tensor *x) {
    tensor *scores = nn_linear_forward(&l->score, t, op_dropout(t, x, l->dropout), OP_ACT_SIGMOID);
    if (scores == NULL) {
        return NULL;
    }
    int64_t nodes = x->dim[1], kept = (int64_t)((double)nodes * l->ratio);
    scores = op_reshape(t, scores, 2, (int64_t[]){x->dim[0], nodes});
    return op_top_k(t, op_scale_rows(t, x, scores), scores, kept < 1 ? 1 : kept);
}

static spoor_status kernel_init(params *p, const char *name, int64_t bands, int64_t in, int64_t out, tensor **w,
                                tensor **b, spoor_error *err) {
    char s[NAME];
    int64_t fan = 3 * bands * in;
    TRY(params_add(p, join(s, name, "weight"), 4, (int64_t[]){out, 3, bands, in}, PARAM_UNIFORM_FAN_IN, fan, true, true,
                   w, err));
    return params_add(p, join(s, name, "bias"), 1, &out, PARAM_UNIFORM_FAN_IN, fan, true, false, b, err);
}

spoor_status nn_residual_block_init(nn_residual_block *l, params *p, const char *name, int64_t in, int64_t out,
                                    bool preactivation, int64_t pool_frames, spoor_error *err) {
    char s[NAME];
    l->preactivation = preactivation;
    l->same = in == out;
    l->pool = pool_frames;
    if (preactivation) {
        TRY(nn_batch_norm_init(&l->norm1, p, join(s, name, "norm1"), in, err));
    }
    TRY(kernel_init(p, join(s, name, "conv1"), 2, in, out, &l->w1, &l->b1, err));
    TRY(nn_batch_norm_init(&l->norm2, p, join(s, name, "norm2"), out, err));
    TRY(kernel_init(p, join(s, name, "conv2"), 2, out, out, &l->w2, &l->b2, err));
    return l->same ? SPOOR_OK : kernel_init(p, join(s, name, "shortcut"), 1, in, out, &l->w, &l->b, err);
}

/* conv1 makes one band more, conv2 one less. */
tensor *nn_residual_block_forward(const nn_residual_block *l, tape *t, tensor *x) {
    tensor *y = l->preactivation ? nn_batch_norm_forward_selu(&l->norm1, t, x) : x;
    y = nn_batch_norm_forward_selu(&l->norm2, t, op_conv2d(t, y, l->w1, l->b1, 1, 1, 1, 1));
    y = op_conv2d(t, y, l->w2, l->b2, 1, 1, 1, 0);
    y = op_add(t, y, l->same ? x : op_conv2d(t, x, l->w, l->b, 1, 1, 1, 0), 1);
    if (y == NULL || l->pool == 1) {
        return y;
    }
    int64_t frames = l->pool < y->dim[1] ? l->pool : y->dim[1];
    return op_max_pool2d(t, y, frames, 1, frames, 1);
}
