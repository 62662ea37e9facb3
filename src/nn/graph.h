/* graph.h: layers over the nodes of a graph (AASIST: Jung et al., ICASSP 2022; RawGAT-ST: Tak et al. 2021). A graph is
 * complete; its nodes are the rows of x[B,N,D]. Like layers.h: plain data, x_init and x_forward. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H
#include "nn/layers.h"

/* What one node (or the master) draws from all nodes: A = attention weights over products of nodes
 * (op_graph_attention), result = aggregate(A x) + self(y). */
typedef struct nn_graph_draw {
    nn_linear pair;            /* W, b of the attention: D -> O */
    tensor *vectors;           /* [1,O] or [3,O] */
    nn_linear aggregate, self; /* D -> O */
} nn_graph_draw;

/* Graph attention layer (GAT): dropout, draw, batch norm, SELU; [B,N,D] -> [B,N,O]. */
typedef struct nn_graph_attention {
    nn_graph_draw draw;
    nn_batch_norm norm;
    double temperature, dropout;
} nn_graph_attention;
spoor_status nn_graph_attention_init(nn_graph_attention *l, params *p, const char *name, int64_t in, int64_t out,
                                     double temperature, double dropout, spoor_error *err);
tensor *nn_graph_attention_forward(const nn_graph_attention *l, tape *t, tensor *x);

/* Heterogeneous stacking graph attention layer (HtrgGAT, HS-GAL): nodes of two kinds, each through a projection of its
 * own, in one graph with an attention vector within each kind and one across; and a master node ("stack node") that
 * draws from all of them. first [B,N1,D], second [B,N2,D], master [B,1,D]; each of them is replaced, with O channels.
 */
typedef struct nn_graph_nodes {
    tensor *first, *second, *master;
} nn_graph_nodes;
typedef struct nn_hetero_attention {
    nn_linear first, second;
    nn_graph_draw draw, master;
    nn_batch_norm norm;
    double temperature, dropout;
} nn_hetero_attention;
spoor_status nn_hetero_attention_init(nn_hetero_attention *l, params *p, const char *name, int64_t in, int64_t out,
                                      double temperature, double dropout, spoor_error *err);
nn_graph_nodes nn_hetero_attention_forward(const nn_hetero_attention *l, tape *t, nn_graph_nodes nodes);

/* Graph pooling: scores = sigmoid(Linear(dropout(x))); the floor(ratio N) nodes of the highest scores, at least one,
 * each times its score, in order of score. */
typedef struct nn_graph_pool {
    nn_linear score;
    double ratio, dropout;
} nn_graph_pool;
spoor_status nn_graph_pool_init(nn_graph_pool *l, params *p, const char *name, int64_t dim, double ratio,
                                double dropout, spoor_error *err);
tensor *nn_graph_pool_forward(const nn_graph_pool *l, tape *t, tensor *x);

/* Residual block over x[B,T,F,C] (AASIST; RawNet2 before it): conv1 with kernel (3 frames, 2 bands), batch norm, SELU,
 * conv2 of the same kernel; plus x itself, through a convolution over 3 frames where the channels differ; then max
 * pooling over `pool` frames (1: none). -> [B, max(1, T / pool), F, O]. With preactivation, batch norm and SELU before
 * conv1: so the paper's figure has it, but the published weights were trained without. */
typedef struct nn_residual_block {
    bool preactivation, same;
    nn_batch_norm norm1, norm2;
    tensor *w1, *b1, *w2, *b2, *w, *b; /* [O,3,2,C] and [O]; w of the shortcut [O,3,1,C] */
    int64_t pool;
} nn_residual_block;
spoor_status nn_residual_block_init(nn_residual_block *l, params *p, const char *name, int64_t in, int64_t out,
                                    bool preactivation, int64_t pool_frames, spoor_error *err);
tensor *nn_residual_block_forward(const nn_residual_block *l, tape *t, tensor *x);
#endif
