/* fusion.h: how an ensemble that was put together from whole models (`spoor fuse`) makes one answer of theirs: weighted
 * averages of scores, or a linear head on unit embeddings beside scores (score-embedding fusion). For inference:
 * nothing here has a gradient. */
#ifndef NET_FUSION_H
#define NET_FUSION_H
#include "net/net.h"
#include "nn/layers.h"

typedef struct fusion {
    bool logistic;                     /* else average */
    net_scores scores;
    int64_t group[NET_MAX_MEMBERS];    /* members of each model, in order */
    size_t n_groups;
    double weight[NET_MAX_MEMBERS];    /* average: of each model */
    int64_t size;                      /* of the fused embedding */
    nn_linear heads[NET_MAX_TASKS];    /* logistic */
} fusion;

/* Read the object "fusion" of an ensemble of n_members (net.h). SPOOR_ERR_USAGE. */
spoor_status fusion_configure(fusion *f, const json_t *config, size_t n_members, spoor_error *err);
/* embeddings: how long the models' embeddings are in all; scores: how many class scores of theirs there are in all.
 * Adds the heads "fusion.heads.TASK". */
spoor_status fusion_init(fusion *f, params *p, const net_task *tasks, size_t n_tasks, int64_t embeddings,
                         int64_t scores, spoor_error *err);
/* model[n_groups]: what each model says; logits NULL where it does not answer a task. */
void fusion_forward(const fusion *f, tape *t, const net_output *model, size_t n_tasks, net_output *out);
/* A new reference; NULL: out of memory. */
json_t *fusion_describe(const fusion *f);
#endif
