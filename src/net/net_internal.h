/* net_internal.h: what net.c, forward.c and member.c share: a network is one member or several. */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H
#include "frontend/frontend.h"
#include "net/body.h"
#include "net/fusion.h"
#include "net/head.h"
#include "net/joint.h"

enum { NET_MAX_SPANS = FRONTEND_MAX_PARTS, NET_KIND_ENSEMBLE = BODY_KINDS };
_Static_assert((int)NET_MAX_TASKS == (int)AASIST_MAX_BACKS, "a task can have a back end");
extern const char *const NET_KINDS[]; /* of networks: bodies, then the ensemble */

typedef struct net_span {
    int64_t first, columns; /* of the features */
} net_span;

typedef struct member {
    net_span span[NET_MAX_SPANS]; /* the columns that it reads, one span after the other */
    size_t n_spans;
    uint32_t parts;       /* the shortest of these parts of the front end decides how many rows it sees; 0: all rows */
    bool parts_given;     /* by its configuration, not by its columns */
    double weight;
    int64_t mix; /* layers side by side in a row of features, of which a learned weighted sum is taken; 0: none */
    tensor *mix_weights;
    int64_t width;       /* columns that the body sees */
    bool feature_norm;   /* batch norm of each of them, over clips and frames */
    nn_batch_norm feature;
    double crop;         /* share of the frames that a training step sees */
    body body;
    double logistic;     /* > 0: fitted with this L2 penalty, not trained */
    int64_t copies;      /* augmented copies of each clip that it is fitted on besides */
    bool gated;          /* what it says counts as far as the recording is as the training clips are */
    nn_linear gate;
    bool pool_norm;      /* batch norm on the pooled vector */
    int64_t embedding;   /* 0: no layer of its own */
    nn_batch_norm norm[NET_MAX_TASKS]; /* behind the back end of task k; behind one for all tasks: [0] */
    nn_linear embed[NET_MAX_TASKS];
    double embedding_dropout;
    bool answers[NET_MAX_TASKS];    /* has a head for that task */
    int64_t classes[NET_MAX_TASKS]; /* of that head */
    bool embeds;                    /* its embedding is part of the ensemble's */
    bool own_heads;                 /* settings of its heads are its own, not the network's */
    head_options head_options[NET_MAX_TASKS];
    head heads[NET_MAX_TASKS];
    net_joint *joint;               /* of the task that has a joint head; NULL: none has */
} member;

struct net {
    spoor_context *ctx;
    params *params;
    int64_t input_dim;
    bool ensemble;
    member *members;
    size_t n_members;
    net_task tasks[NET_MAX_TASKS];
    head_options heads[NET_MAX_TASKS];
    size_t n_tasks;
    bool fused;
    fusion fusion; /* of whole models, the groups of members */
};

/* Which keys a network of a kind has, as a member of an ensemble or alone. */
spoor_status member_check_keys(const json_t *config, const char *where, int kind, bool is_member, spoor_error *err);
/* A network that is no ensemble: config is the whole "network" object. */
spoor_status member_configure_alone(net *n, const json_t *config, int kind, spoor_error *err);
/* An entry of "members". */
spoor_status member_configure(net *n, member *m, const json_t *config, spoor_error *err);
/* How many of the members [first, first + count) answer task k. */
size_t member_answering(const net *n, size_t k, size_t first, size_t count);
bool member_answers_all(const net *n, const member *m);
int64_t member_vector(const member *m);                  /* size of what its heads see */
int64_t member_embedding(const net *n, const member *m); /* size of its embedding: such a vector, or one for each
                                                          * task */
/* A new reference; NULL: out of memory. */
json_t *member_describe(const net *n, const member *m);
#endif
