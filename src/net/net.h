/* net.h: a network maps features [B,T,D] to an embedding [B,E] and to logits [B,C] for any number of named tasks.
 * Written once over the tape: recording trains it, not recording infers. */
#ifndef NET_NET_H
#define NET_NET_H
#include "nn/params.h"
#include "tensor/ops.h"
#include <jansson.h>

#define NET_NORM_EPS 1e-5 /* of nn_batch_norm */
enum { NET_MAX_TASKS = 32, NET_MAX_CLASSES = 65536, NET_MAX_MEMBERS = 16, NET_MAX_HUMANS = 64 };

typedef struct net net;
typedef struct net_joint net_joint; /* joint.h */
struct frontend;

/* Scores of a fused model: see "fusion" below. */
typedef enum net_scores { NET_SCORES_PROBABILITIES, NET_SCORES_LOG_PROBABILITIES, NET_SCORES_NONE } net_scores;

typedef struct net_task {
    char *name;     /* "source" */
    int64_t classes;
} net_task;

typedef struct net_output {
    tensor *embedding;              /* [B,E]; of a back end for each task ("backends": "task") theirs side by side, in
                                     * the order of the tasks; NULL in a training step in which no member learns that
                                     * has part in it */
    tensor *logits[NET_MAX_TASKS];  /* [B,C_i], in the order of the tasks; NULL where none (that learns) answers the
                                     * task */
    tensor *cosine[NET_MAX_TASKS];  /* [B,1] to the centre of a one-class head; NULL: another head */
    tensor *linear[NET_MAX_TASKS];  /* [B,C_i] of the linear layer beside that centre; NULL: there is none */
    tensor *evidence[NET_MAX_TASKS]; /* [B,C_i] of a parent of a joint head: its own linear layer; NULL: it is none */
    tensor *scale[NET_MAX_TASKS], *offset[NET_MAX_TASKS]; /* [1] of the cosines of a head with centroids; NULL: another
                                                           * head */
    size_t n_members;               /* of an ensemble; 0: the network is one */
    const struct net_output *members; /* what each member says alone: losses are taken of these; lives as long as the
                                       * step */
} net_output;

/* config: the "network" object of a recipe or model file:
 *   {"kind": "conformer",
 *    "stem": [{"channels": 32, "kernel": [3,3], "stride": [2,2]}, ...],   Conv2d + batch norm + swish over (time,
 *    band);
 *                                                                          default none
 *    "dim": 144, "depth": 4, "heads": 4, "ff_mult": 4, "conv_mult": 2, "kernel": 31, "max_distance": 512,
 *    "dropout": 0, "pooling": "class-token" | "stats" | "attentive",
 *    "attention": "relative" | "tcm",   tcm: over time and channels, with head tokens and sinusoidal positions
 *    (layers.h);
 *                                       with "class-token" alone
 *    "feature_norm": false,     batch norm of each column of the features, over clips and frames, in front
 *    "pool_norm": false,        batch norm on the pooled vector
 *    "embedding": 0,            0: the pooled vector itself; E > 0: Linear to E (no activation) is the embedding
 *    "embedding_dropout": 0,    dropout between the embedding and the heads
 *    "crop": 1,                 share of the frames that a training step sees, a random stretch: the same as shorter
 *    clips
 *    "mix": 0}                  L > 0: rows are L hidden states side by side; a learned weighted sum of them goes in
 *   {"kind": "pooled", "pooling": "stats" | "attentive" | "mean", "layers": [256, 256] (linear, ReLU between; default
 *   none), "hidden": 128, "neighbours": 0 (N > 0, with "stats": correlations of columns up to N apart as well), and from
 *   "pool_norm" on as above}: pooling alone
 *    "logistic": 0,             > 0, with "stats": not trained by gradients but fitted, before the training, as
 *    logistic
 *                               regressions with this L2 penalty on the standardised pool of the training clips,
 *    "copies": 0,               and of so many augmented copies of each
 *    "gate": false,             of a member of an ensemble: its log probabilities count by the probability, fitted on the
 *                               same vector, that a recording is as the training clips are, not as their augmented copies
 *    "humans": 1}               only a training makes something of it: heads of so many kinds (train/heads.h)
 *   {"kind": "aasist", and the settings of docs/recipe.md, "aasist"; from "pool_norm" on as above}
 *   {"kind": "ensemble",
 *    "members": [{"first": 0,   column of the features where its own begin
 *                 "columns": 0, how many; 0: all from first on
 *                 "spans": [[first, columns], ...],   instead of these two: several stretches, side by side
 *                 "rows": [0, ..],   parts of a front end with rows of their own (frontend.h): the shortest of them
 *                 says how
 *                                    many rows the member sees; default the parts that it reads (net_bind)
 *                 "weight": 1,
 *                 "tasks": [NAME, ...],   which tasks it answers (has heads for); default all. [] in a model file:
 *                 none, it embeds
 *                 "embeds": true,         its embedding is part of the ensemble's
 *                 "classes": {TASK: n},   with a logistic fusion: how many classes it knows, where that is not the
 *                 task's number
 *                 "task_heads": {..},     of a model file: instead of the network's, as below
 *                 ...}, ...],   and the settings of a network above
 *    "fusion": {"method": "logistic" | "average",   several whole models as one (spoor fuse, docs/fuse.md); not trained
 *               "groups": [1, ..],       how many members each model has, in order; default 1 each. A model's logits
 *               and
 *                                        embedding are those of an ensemble of its members, as below
 *               "scores": "probabilities" | "log-probabilities" | "none",
 *               "weights": [w, ..]}}     average: of the models
 *   logistic: z = [unit embeddings of the models, their scores of all tasks]; logits = W z + b per task, the parameters
 *   "fusion.heads.TASK"; the embedding is z. average: log sum_g w_g p_g, or sum_g w_g log p_g, the weights divided by
 *   their
 *   sum over the models that answer the task; the embedding is the unit embeddings side by side.
 * and, of any of these, "task_heads": {TASK: {"kind": "linear", "human": 0 (which class), "kinds": 1 (of the human
 *   class)}} (the default, see head.h) or, of a task with two classes,
 *   {"kind": "one-class", "human": 0 (which class), "r_real": 0.9, "r_fake": 0.2, "alpha": 20,
 *    "linear": false (a linear layer beside the centre), "judge": "centre" | "linear"}: One-Class Softmax, see head.h
 *   {"kind": "joint", "human": 0, "parents": {TASK: [..]}}: its classes' logits are sums of those of the values that
 *   they have in
 *   other tasks and of their own, and the other tasks' probabilities sums of theirs; see joint.h. One task at most
 *   {"kind": "centroids"}: cosines to the means of the training clips' embeddings, which net_centroids gives to be
 * filled The members of an ensemble are trained side by side, each by its own loss, of its own tasks. Their embeddings
 * are joined, and the logits of a task are sum_m weight_m * gate_m * log_softmax(logits_m) over the members that answer
 * it (gate_m = 1 without a gate): a product of experts, large only where they agree. Of a task that one member alone answers they are that member's own
 * logits times its weight (and gate). Every task needs a member.
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
/* The same of features whose parts have rows of their own: rows[parts] from frontend_part_rows, NULL: all parts have
 * all. */
void net_forward_rows(net *n, tape *t, tensor *features, const int64_t *rows, net_output *out);
/* The same in training, where the heads may see mixtures of embeddings instead of embeddings (mixup at the level of
 * embeddings): logits are of the rows that `mix` makes, out->embedding and those of members are of the clips. */
typedef struct net_step {
    const int64_t *rows;
    const op_row_mix *mix; /* NULL: none */
} net_step;
void net_forward_step(net *n, tape *t, tensor *features, const net_step *step, net_output *out);
/* Say which front end the features come from, before the first forward pass with rows. SPOOR_ERR_USAGE: a member reads
 * parts at different rates, or names a part that is not there. */
spoor_status net_bind(net *n, const struct frontend *fe, spoor_error *err);
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
    tensor *gate_weight, *gate_bias;                     /* [1, size], [1]; NULL: no gate */
    int64_t human[NET_MAX_TASKS], kinds[NET_MAX_TASKS];  /* of the human class, see head.h; kinds 1: not in use */
    tensor *weight[NET_MAX_TASKS], *bias[NET_MAX_TASKS]; /* [C_k + kinds_k - 1, size], [the same]; NULL: not its task */
} net_fit;
bool net_fits(const net *n); /* whether there is such a member at all */
bool net_fit_at(const net *n, size_t i, net_fit *out);
/* The pooled vector of member i, before its norm: [B, size]. */
tensor *net_member_pool(const net *n, size_t i, tape *t, tensor *features, const int64_t *rows);
bool net_is_fused(const net *n);
/* Whether it, or a member of it, has a back end for each task ("backends": "task"). */
bool net_has_backends(const net *n);
/* What a fit of a logistic fusion fills in: [C,E] and [C] of a task, E = net_embedding_size. false: there is no such
 * head. */
bool net_fusion_head(const net *n, size_t task, tensor **weight, tensor **bias);
size_t net_fusion_models(const net *n); /* 0: no fusion */
/* Where the scores of a model for a task begin in the embedding of a logistic fusion, and how many there are; false:
 * none. */
bool net_fusion_scores(const net *n, size_t model, size_t task, size_t *first, size_t *classes);
/* The centroids [C,E] of the head of a task; NULL: it has another head, or the network is an ensemble. */
tensor *net_centroids(const net *n, size_t task);
/* The joint head of the network; NULL: there is none, or it belongs to a member of a fusion. */
const net_joint *net_joint_head(const net *n);
int64_t net_embedding_size(const net *n);
size_t net_tasks(const net *n);
const net_task *net_task_at(const net *n, size_t i);
/* The resolved configuration with every default filled in; a new reference. */
json_t *net_config(const net *n);
#endif
