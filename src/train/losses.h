/* losses.h: the training loss of a batch: masked cross-entropy of every task, One-Class Softmax
 * where a task has such a head, mixup's second half, multi-class N-pair on
 * the embeddings; a weighted sum of these ("l = lambda_1 BIN + lambda_2 VQ + ...", where the weights may be learned
 * along). Of an ensemble: the sum over its members of each one's own loss (the log shows the mean). */
#ifndef TRAIN_LOSSES_H
#define TRAIN_LOSSES_H
#include "net/net.h"
#include "tensor/ops.h"

typedef struct losses_task {
    real weight;               /* of its loss, where weights are not learned */
    real smoothing;
    const real *class_weight;  /* [classes] or NULL */
    const int64_t *target;     /* [rows]; -1 = no label */
    real oc_weight;            /* of One-Class Softmax beside the cross-entropy, where the task has such a head */
    op_margins oc;
    int64_t human;             /* its class of human speech */
} losses_task;

typedef struct losses_block { /* rows start .. start + pairs - 1 are anchors, the next `pairs` rows their positives */
    int64_t start, pairs;
} losses_block;

/* The rows of a batch are [0, plain) as they are and [plain, plain + mixed) mixed: row plain + i is
 * lambda[i] * clip a + (1 - lambda[i]) * clip b, the target of a in `target`, that of b in `partner`. */
typedef struct losses_options {
    int64_t plain, mixed;
    const losses_task *task;   /* [tasks of the net] */
    tensor *learned;           /* [tasks] of which the softmax are the tasks' weights; NULL: losses_task.weight */
    const int64_t *const *partner; /* [tasks][mixed]; NULL where mixed = 0 */
    const real *lambda;        /* [mixed] */
    real plain_weight;         /* of the mean loss of the plain rows */
    real mixed_weight;         /* of the mean loss of the mixed rows (RegMixup's eta) */
    int64_t pairs;             /* rows 0 .. pairs-1 are anchors, pairs .. 2 pairs-1 their positives, all plain */
    int64_t n_blocks;          /* further blocks of pairs, within plain rows; the loss is the mean over all blocks */
    const losses_block *block;
    real pair_weight, pair_l2;
    op_ge2e_shape ge2e;        /* of the first rows, for a task whose head has centroids */
    real ge2e_weight;
    bool pair_normalise;       /* unit embeddings times sqrt(pair_scale), so that products are scaled cosines */
    real pair_scale;
} losses_options;

typedef struct losses_parts { /* values, for the log; 0 where a part does not exist */
    real total, pair, oc, task[NET_MAX_TASKS]; /* oc: before its weight, part of the task's */
} losses_parts;

/* One-element tensor to go backward from; its values are in *parts after this call. NULL and a failed tape on error. */
tensor *losses_build(tape *t, const net *n, const net_output *out, const losses_options *o, losses_parts *parts);
#endif
