/* net.h: a network maps features [B,T,D] to an embedding [B,E] and to logits [B,C] for any number of named tasks.
 * Written once over the tape: recording trains it, not recording infers. */
#ifndef NET_NET_H
#define NET_NET_H
#include "nn/params.h"
#include "tensor/tape.h"
#include <jansson.h>

#define NET_NORM_EPS 1e-5 /* of nn_batch_norm */
enum { NET_MAX_TASKS = 32, NET_MAX_CLASSES = 65536, NET_MAX_MEMBERS = 16 };

typedef struct net net;

typedef struct net_task {
    char *name;     /* "source" */
    int64_t classes;
} net_task;

typedef struct net_output {
    tensor *embedding;              /* [B,E] */
    tensor *logits[NET_MAX_TASKS];  /* [B,C_i], in the order of the tasks */
    tensor *cosine[NET_MAX_TASKS];  /* [B,1] to the centre of a one-class head; NULL: another head */
    tensor *linear[NET_MAX_TASKS];  /* [B,C_i] of the linear layer beside that centre; NULL: there is none */
    size_t n_members;               /* of an ensemble; 0: the network is one */
    const struct net_output *members; /* what each member says alone: losses are taken of these; lives as long as the step */
} net_output;

/* config: the "network" object of a recipe or model file:
 *   {"kind": "conformer",
 *    "stem": [{"channels": 32, "kernel": [3,3], "stride": [2,2]}, ...],   Conv2d + batch norm + swish over (time, band);
 *                                                                          default none
 *    "dim": 144, "depth": 4, "heads": 4, "ff_mult": 4, "conv_mult": 2, "kernel": 31, "max_distance": 512,
 *    "dropout": 0, "pooling": "class-token" | "stats" | "attentive",
 *    "pool_norm": false,        batch norm on the pooled vector
 *    "embedding": 0,            0: the pooled vector itself; E > 0: Linear to E (no activation) is the embedding
 *    "embedding_dropout": 0,    dropout between the embedding and the heads
 *    "crop": 1,                 share of the frames that a training step sees, a random stretch: the same as shorter clips
 *    "mix": 0}                  L > 0: rows are L hidden states side by side; a learned weighted sum of them goes in
 *   {"kind": "pooled", "pooling": "stats" | "attentive", "hidden": 128, and from "pool_norm" on as above}: pooling alone
 *    "logistic": 0,             > 0, with "stats": not trained by gradients but fitted, before the training, as logistic
 *                               regressions with this L2 penalty on the standardised pool of the training clips,
 *    "copies": 0}               and of so many augmented copies of each
 *   {"kind": "ensemble",
 *    "members": [{"first": 0,   column of the features where its own begin
 *                 "columns": 0, how many; 0: all from first on
 *                 "weight": 1,
 *                 ...}, ...]}   and the settings of a network above
 * and, of any of these, "task_heads": {TASK: {"kind": "linear"}} (the default) or, of a task with two classes,
 *   {"kind": "one-class", "human": 0 (which class), "r_real": 0.9, "r_fake": 0.2, "alpha": 20,
 *    "linear": false (a linear layer beside the centre), "judge": "centre" | "linear"}: One-Class Softmax, see head.h
 * The members of an ensemble are trained side by side, each by its own loss. Their embeddings are joined, and the logits
 * are sum_m weight_m * log_softmax(logits_m): a product of experts, large only where they agree.
 * A training step leaves fitted members out: net_forward then gives the members that learn, and logits of these.
 * Unknown keys and impossible sizes are refused (config may come from a hostile file). tasks is copied. The initial
 * weights depend on `seed` and parameter names alone. */
spoor_status net_new(spoor_context *ctx, const json_t *config, int64_t input_dim, const net_task *tasks, size_t n_tasks,
                     uint64_t seed, net **out, spoor_error *err);
/* The same for weights that come from a file: all values 0, no gradients, at most max_numel numbers (else
 * SPOOR_ERR_USAGE). */
spoor_status net_new_for_weights(spoor_context *ctx, const json_t *config, int64_t input_dim, const net_task *tasks,
                                 size_t n_tasks, int64_t max_numel, net **out, spoor_error *err);
void net_free(net *n);
/* Run on features [B,T,D]. Errors are sticky in the tape: ask tape_status. On failure every pointer of out is NULL. */
void net_forward(net *n, tape *t, tensor *features, net_output *out);
params *net_params(net *n);

/* ---- members (1 of a network that is no ensemble) ---- */
size_t net_members(const net *n);
/* Columns [first, first + columns) are read by a member that is trained by gradients. */
bool net_trains_on(const net *n, int64_t first, int64_t columns);
/* What a fit of member i fills in; false: it is trained by gradients. */
typedef struct net_fit {
    double l2;
    int64_t copies;
    tensor *mean, *var;                                  /* [size] of the pooled vector */
    tensor *weight[NET_MAX_TASKS], *bias[NET_MAX_TASKS]; /* [C_k, size], [C_k] */
} net_fit;
bool net_fits(const net *n); /* whether there is such a member at all */
bool net_fit_at(const net *n, size_t i, net_fit *out);
/* The pooled vector of member i, before its norm: [B, size]. */
tensor *net_member_pool(const net *n, size_t i, tape *t, tensor *features);
int64_t net_embedding_size(const net *n);
size_t net_tasks(const net *n);
const net_task *net_task_at(const net *n, size_t i);
/* The resolved configuration with every default filled in; a new reference. */
json_t *net_config(const net *n);
#endif
