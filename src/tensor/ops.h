/* ops.h: every differentiable operation. Each has a file of its own in ops/, forward over backward.
 *
 * Common rules:
 *  - Inputs come first, the result is a new tensor of the tape; inputs are never changed.
 *  - A NULL input gives NULL; a wrong shape calls tape_fail with the op's name and both shapes and gives NULL.
 *  - [.., C] means any number of leading dimensions (rows) before the last. [B,T,C] = clips, frames, channels.
 *  - Dimensions of size 0 are allowed where they make sense and give empty results; backward of nothing is nothing.
 *  - Gradients are added to what the inputs hold. A gradient is computed only for inputs with needs_grad.
 *  - An op whose tape is not recording keeps nothing.
 */
#ifndef TENSOR_OPS_H
#define TENSOR_OPS_H
#include "tensor/tape.h"

typedef enum op_act {
    OP_ACT_NONE,
    OP_ACT_RELU,
    OP_ACT_SWISH,   /* x * sigmoid(x) */
    OP_ACT_GELU,    /* exact, x * Phi(x) with erf */
    OP_ACT_SELU,    /* scale 1.0507009873554805, alpha 1.6732632423543772 */
    OP_ACT_TANH,
    OP_ACT_SIGMOID
} op_act;

/* Whether the slope of an activation is computed from its input (else from its result). */
static inline bool op_act_needs_input(op_act act) { return act == OP_ACT_SWISH || act == OP_ACT_GELU; }

/* ---- linear.c, matmul.c ---- */
/* y[..,N] = act(x[..,K] * w[N,K]^T + b[N]); b may be NULL. */
tensor *op_linear(tape *t, tensor *x, tensor *w, tensor *b, op_act act);
/* y[B,M,N] = a[B,M,K] * b[B,K,N]; trans_b: b is [B,N,K]. Also 2-D (no B). */
tensor *op_matmul(tape *t, tensor *a, tensor *b, bool trans_b);

/* ---- activation.c ---- */
tensor *op_activation(tape *t, tensor *x, op_act act);
/* y[..,C] = x[..,:C] * sigmoid(x[..,C:]), x has 2C columns. glu.c */
tensor *op_glu(tape *t, tensor *x);

/* ---- elementwise.c ---- */
/* a + scale * b, same shape. */
tensor *op_add(tape *t, tensor *a, tensor *b, real scale);
tensor *op_mul(tape *t, tensor *a, tensor *b); /* same shape */
tensor *op_scale(tape *t, tensor *x, real factor);
/* x[..,C] + b[C] */
tensor *op_add_row(tape *t, tensor *x, tensor *b);
/* max(a, b), same shape; where they are equal each gets half of the gradient. elementwise_max.c */
tensor *op_max(tape *t, tensor *a, tensor *b);
tensor *op_abs(tape *t, tensor *x); /* |x|; no gradient where it is 0 */
/* Row r of x[..,C] times s[r]; s has as many numbers as x has rows. Gradients for both. */
tensor *op_scale_rows(tape *t, tensor *x, tensor *s);
/* The same numbers under another shape with the same count. */
tensor *op_reshape(tape *t, tensor *x, int ndim, const int64_t *dim);
/* x[B,T,C] -> [B,C,T] (also the last two of a 4-D tensor). transpose.c */
tensor *op_transpose(tape *t, tensor *x);
/* In training each value is 0 with probability p, else divided by 1-p; otherwise x itself. dropout.c */
tensor *op_dropout(tape *t, tensor *x, double p);

/* ---- softmax.c ---- over the last dimension */
tensor *op_softmax(tape *t, tensor *x);
tensor *op_log_softmax(tape *t, tensor *x);

/* ---- attention.c ---- */
/* Multi-head self attention with Shaw relative positions (Shaw et al. 2018, as in papers' Conformer):
 *   logits[i,j] = scale * (q_i . k_j + q_i . e[clip(i-j,-R,R)+R]), out_i = sum_j softmax_j(logits[i,:]) v_j
 * q, k, v: [B,T,H*D] (head h owns columns hD..hD+D-1), e: [2R+1,D] shared by the heads, or NULL for no positions.
 * Result [B,T,H*D]. scale is usually D^-1/2. p: dropout on the attention weights in training. */
tensor *op_attention(tape *t, tensor *q, tensor *k, tensor *v, tensor *e, int64_t heads, real scale, double p);

/* Self attention with the gated relative position bias of WavLM (Chen et al. 2022, eq. 4):
 * logits[i,j] = scale * q_i . k_j + gate[b,i,h] * bias[h, j-i+T-1], softmax and values as above.
 * gate: [B,T,H]; bias: [H,2T-1]. Gradients for all five. attention_gated.c */
tensor *op_attention_gated(tape *t, tensor *q, tensor *k, tensor *v, tensor *gate, tensor *bias, int64_t heads,
                           real scale, double p);

/* Attention weights between nodes of a graph, paired by products (AASIST, Jung et al. 2022): queries y[B,M,D] over
 * nodes x[B,N,D], where y may be x itself (then M = N, and pairs (i,j) and (j,i) share their logit):
 *   logits[i,j] = a_k . tanh(W (y_i * x_j) + b) / temperature, result [B,M,N] = softmax over j.
 * w: [O,D], b: [O], a: [1,O], or [3,O] where x holds two kinds of nodes, `first` of the first kind and then the second:
 * k = 0 between nodes of the first kind, 1 of the second, 2 across (y must be x). Gradients for all five.
 * graph_attention.c */
tensor *op_graph_attention(tape *t, tensor *y, tensor *x, tensor *w, tensor *b, tensor *a, int64_t first,
                           real temperature);

/* ---- conv1d.c, conv2d.c, depthwise.c ---- */
/* x[B,T,C] * w[O,K,C] (+ b[O]) -> [B,T',O], T' = (T + pad_left + pad_right - dilation*(K-1) - 1)/stride + 1, zeros
 * outside; at least one frame must come out. With groups, which divide C and O, w is [O,K,C/groups]. (PyTorch's weight
 * is [O,C/groups,K].) b may be NULL, here and in the two below. */
tensor *op_conv1d(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride, int64_t dilation, int64_t pad_left,
                  int64_t pad_right, int64_t groups);
/* act(layer norm over the outputs of each place (conv1d of x with `pad` zeros on both sides)); g and shift [O], or NULL
 * for no norm. With frozen weights one pass over the result; GELU is then kernels.h's gelu. */
tensor *op_conv1d_norm_act(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride, int64_t pad, tensor *g,
                           tensor *shift, real eps, op_act act);
/* x[B,H,W,C] * w[O,KH,KW,C] (+ b[O]) -> [B,H',W',O], symmetric zero padding. (PyTorch's weight is [O,C,KH,KW].) */
tensor *op_conv2d(tape *t, tensor *x, tensor *w, tensor *b, int64_t stride_h, int64_t stride_w, int64_t pad_h,
                  int64_t pad_w);
/* Depthwise: y[b,t,c] = b[c] + sum_k x[b,t+k-pad_left,c] * w[c,k], zeros outside, T' = T + pads - K + 1. w[C,K]. */
tensor *op_depthwise(tape *t, tensor *x, tensor *w, tensor *b, int64_t pad_left, int64_t pad_right);

/* ---- norm.c (layer_norm.c, batch_norm.c, group_norm.c) ---- */
/* Over the last dimension: (x - mean)/sqrt(var + eps) * g[C] + b[C], biased variance. */
tensor *op_layer_norm(tape *t, tensor *x, tensor *g, tensor *b, real eps);
/* act(layer norm) in one pass, with or without recording. */
tensor *op_layer_norm_act(tape *t, tensor *x, tensor *g, tensor *b, real eps, op_act act);
/* Over all rows, per column (torch BatchNorm semantics): in training batch statistics (biased variance) are used and
 * running[C] += momentum * (batch - running), the running variance from the unbiased one (one row alone leaves it);
 * else the running statistics. running_mean, running_var: [C], no gradient. */
tensor *op_batch_norm(tape *t, tensor *x, tensor *g, tensor *b, tensor *running_mean, tensor *running_var,
                      real momentum, real eps);
/* act(batch norm) in one pass; act is one whose slope follows from its result (not swish, not GELU). */
tensor *op_batch_norm_act(tape *t, tensor *x, tensor *g, tensor *b, tensor *running_mean, tensor *running_var,
                          real momentum, real eps, op_act act);
/* x[B,..,C]: per clip and group of C/groups columns over all positions; g[C], b[C]. */
tensor *op_group_norm(tape *t, tensor *x, tensor *g, tensor *b, int64_t groups, real eps);

/* ---- pool.c, attentive_pool.c ---- x[B,T,C], over the frames, of which there must be one */
tensor *op_mean_pool(tape *t, tensor *x); /* [B,C] */
tensor *op_max_pool(tape *t, tensor *x);  /* [B,C]; the gradient goes to the first maximum */
/* [B,2C]: mean and standard deviation sqrt(biased variance + eps) side by side. */
tensor *op_stats_pool(tape *t, tensor *x, real eps);
/* [B, sum over d = 1..near of C - d]: the correlation over the frames of every column c with column c + d, those of d = 1
 * first; 1 <= near < C. eps is added to the variances. The channel-wise correlations of Stafylakis et al. (SLT 2022), of
 * neighbours alone. correlation_pool.c */
tensor *op_correlation_pool(tape *t, tensor *x, int64_t near, real eps);
/* Attentive statistics (Okabe et al. 2018): weights a[B,T,C] or [B,T,1] are softmax-ed over T here; [B,2C] as above. */
tensor *op_attentive_pool(tape *t, tensor *x, tensor *a, real eps);
/* Max pooling windows over H and W of x[B,H,W,C], no padding. pool2d.c */
tensor *op_max_pool2d(tape *t, tensor *x, int64_t kernel_h, int64_t kernel_w, int64_t stride_h, int64_t stride_w);
/* Without dimension `axis`, which must not be empty: the largest |x| along it (the gradient goes to the first maximum,
 * with its sign); the sum of x weighted by the softmax of w[same shape] along it. axis_pool.c */
tensor *op_max_abs(tape *t, tensor *x, int axis);
tensor *op_softmax_pool(tape *t, tensor *x, tensor *w, int axis);
/* Mean over windows of `k` frames, stride k; the rest at the end is dropped. */
tensor *op_avg_pool1d(tape *t, tensor *x, int64_t k);

/* ---- mix_layers.c ---- */
/* Weighted sum of L layers side by side: x[..,L*D], w[L] -> sum_l softmax(w)_l x[..,l*D:(l+1)*D] (as SUPERB does). */
tensor *op_mix_layers(tape *t, tensor *x, tensor *w);

/* ---- checkpoint.c ---- */
/* fn(t, x, user), of which only the result is kept. Not recording: memory that fn took is given back at once.
 * Recording: fn runs without recording now and with recording once more in backward (activation checkpointing, Chen et
 * al. 2016); dropout draws the same numbers both times, and the gradients have the bits of a plain call. fn may use
 * parameters and x, nothing else that has a gradient, and returns x or a tensor of its own making; user must live until
 * backward is over. Stages may hold stages. Where neither x nor a parameter of the stage wants a gradient, nothing is
 * recorded. */
typedef tape_stage_fn op_stage_fn;
tensor *op_checkpoint(tape *t, tensor *x, op_stage_fn fn, void *user);
/* fn(t, x, user) once, keeping all that backward needs: of a stage without anything to train, the result alone. */
tensor *op_stage(tape *t, tensor *x, op_stage_fn fn, void *user);

/* ---- shape.c (concat.c, gather.c) ---- */
/* Join along dimension `axis`; all other dimensions equal. */
tensor *op_concat(tape *t, tensor *const *x, size_t n, int axis);
/* x[B,T,C] -> x[:, start:start+n, :] */
tensor *op_slice_frames(tape *t, tensor *x, int64_t start, int64_t n);
/* Put token[C] in front of every clip: x[B,T,C] -> [B,T+1,C]. */
tensor *op_prepend_token(tape *t, tensor *x, tensor *token);
/* Rows of table[N,..] by index (kept by reference until backward): [n,..]. Index out of range: tape_fail. */
tensor *op_gather(tape *t, tensor *table, const int64_t *index, int64_t n);
/* Mixup of rows of x[N,..]: rows 0 .. plain-1 as they are, then lambda[i] * x[one[i]] + (1 - lambda[i]) * x[other[i]]
 * for i < mixed: [plain + mixed,..]. The arrays must live until backward. mix_rows.c */
typedef struct op_row_mix {
    int64_t plain, mixed;
    const int64_t *one, *other; /* [mixed] */
    const real *lambda;         /* [mixed] */
} op_row_mix;
tensor *op_mix_rows(tape *t, tensor *x, const op_row_mix *mix);
/* Per clip the k frames of x[B,T,C] with the highest score[B,T] (ties: the earlier frame), in order of score:
 * [B,k,C]. The gradient flows to x only. */
tensor *op_top_k(tape *t, tensor *x, tensor *score, int64_t k);
/* x / max(||x||_2, eps) for each row. normalise.c */
tensor *op_normalise(tape *t, tensor *x, real eps);

/* y[B,G]: y_bg = log sum_c weight_gc exp(x_bc) of x[B,C]; weight[G,C] >= 0, constant, one above 0 in each group. With
 * weights 0 and 1: the log of the probability, but for one constant a row, that the class is in group g. subset.c */
tensor *op_log_mix(tape *t, tensor *x, const real *weight, int64_t groups);

/* ---- losses: one-element tensors ---- */
/* Mean cross-entropy of logits[B,C] as torch defines it: target -1 = label missing (left out); class_weight[C] or NULL
 * (weighted mean: divided by the sum of the targets' weights); label smoothing s in [0,1):
 * (1-s) * nll + s/C * sum_c w_c * nll_c. No labelled row at all: loss 0, no gradient. cross_entropy.c */
tensor *op_cross_entropy(tape *t, tensor *logits, const int64_t *target, const real *class_weight, real smoothing);
/* The same against a distribution target[B,C] (mixup); row_weight[B] or NULL; rows of weight 0 are left out. */
tensor *op_soft_cross_entropy(tape *t, tensor *logits, const real *target, const real *row_weight);
/* Loss of a class that is known only to be one of a set: the weighted mean over rows of log sum_c exp(x_c) - log sum_c
 * m_c exp(x_c), x = logits[B,C]; member m[B,C] >= 0 (1: in the set; a share where it is half known). One class alone in
 * the set: its negative log- likelihood. row_weight[B] >= 0 or NULL. Rows without a member and rows of weight 0 are
 * left out; none left: 0. subset.c */
tensor *op_set_nll(tape *t, tensor *logits, const real *member, const real *row_weight);
/* Multi-class N-pair (Sohn 2016): f, p [N,E], row i of f and of p are two clips of one class, all classes distinct:
 * (1/N) sum_i log(1 + sum_{j!=i} exp(f_i.p_j - f_i.p_i)) + l2 * (1/N) sum_i (|f_i|^2 + |p_i|^2)/2. N = 0: 0.
 * n_pair.c */
tensor *op_n_pair(tape *t, tensor *f, tensor *p, real l2);
/* One-Class Softmax (Zhang et al. 2021) of cosine[B,1] = w.f / (|w||f|), a clip's embedding against a learned centre:
 * mean of share * softplus(alpha (r_real - cosine)) + (1 - share) * softplus(alpha (cosine - r_fake)), where share[B]
 * is 1 of a human clip, 0 of a synthetic one, between them of a mixture. weight[B] >= 0 or NULL (weighted mean); all of
 * them 0: loss 0. oc_softmax.c */
typedef struct op_margins {
    real r_real, r_fake, alpha;
} op_margins;
tensor *op_oc_softmax(tape *t, tensor *cosine, const real *share, const real *weight, const op_margins *margins);
/* Generalised end-to-end loss (Wan et al. 2018, eqs. 5 to 9) of e[M*N,E], row m*N + c = clip m of class c, M >= 2. The
 * score of a row and class k is max(w, 1e-6) * cos(row, centroid_k) + b; of its own class, the centroid of the other
 * clips.
 *   softmax:  -score_own + log sum_k exp(score_k)
 *   contrast: 1 - sigmoid(score_own) + max_{k != own} sigmoid(score_k)
 * The mean over the rows (the paper's sum over M*N). w, b: one number each. Centroids are means of rows as they are
 * given: the paper's are of unit length. ge2e.c */
enum { OP_GE2E_CLASSES = 4096 /* at most */ };
typedef struct op_ge2e_shape {
    int64_t classes, clips; /* N, M */
    bool contrast;
} op_ge2e_shape;
tensor *op_ge2e(tape *t, tensor *e, tensor *w, tensor *b, const op_ge2e_shape *shape);
/* sum_i weight[i] * x[i] of one-element tensors. */
tensor *op_weighted_sum(tape *t, tensor *const *x, const real *weight, size_t n);
/* sum of all elements times factor; used by gradient checks. */
tensor *op_sum(tape *t, tensor *x, real factor);
#endif
