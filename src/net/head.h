/* head.h: from an embedding to the logits of one task. A linear layer; or One-Class Softmax's learned centre, the
 * cosine of the embedding to which says how human a clip is; or cosines to the classes' centroids, as GE2E compares. A
 * joint head (joint.h) begins as linear ones.
 *
 * A linear head may know several kinds of human speech (of several corpora, say): human speech is no one source, and one
 * direction of an embedding may not find it all. The head's layer has a row of weights for each: rows 0 .. C-1 as ever,
 * with the first kind in the human class' row, then the other kinds. The logit of the human class is the log-sum-exp of
 * its kinds: its probability is the sum of theirs. */
#ifndef NET_HEAD_H
#define NET_HEAD_H
#include "net/net.h"
#include "nn/layers.h"

#define HEAD_SCALE 10   /* of centroids, at first (Wan et al. 2018) */
#define HEAD_OFFSET (-5)
#define HEAD_EPS 1e-12 /* the least length of an embedding or a centre in a cosine */

typedef enum head_kind { HEAD_LINEAR, HEAD_ONE_CLASS, HEAD_CENTROIDS, HEAD_JOINT } head_kind;

typedef struct head_options {
    head_kind kind;
    int64_t human;         /* which class is the human one (one-class: of two; linear: where it has several kinds) */
    double r_real, r_fake, alpha;
    bool linear;           /* one-class: a linear layer beside the centre */
    bool linear_judges;    /* its logits are the answer, not the centre's */
    int64_t kinds;         /* linear: so many kinds of the class `human` have a row of weights each; 1: none has */
    json_t *joint;         /* joint: its settings (joint.h), a reference; the head itself is linear */
} head_options;

typedef struct head {
    head_options o;
    nn_linear linear; /* no weight: there is none */
    tensor *centre;   /* [1,E] */
    tensor *centroids; /* [C,E] means of the training clips' embeddings, each of unit length; not trained by
                        * gradients */
    tensor *scale, *offset; /* [1] of the cosines to them, learned */
} head;

typedef struct head_output {
    tensor *logits; /* [B,C] */
    tensor *linear; /* [B,C] of the linear layer; NULL: there is none */
    tensor *cosine; /* [B,1] to the centre; NULL: there is none */
    tensor *scale, *offset; /* of a head with centroids; else NULL */
} head_output;

/* "task_heads" of the "network" object (NULL: all linear), one entry of out for each task. SPOOR_ERR_USAGE: an unknown
 * task or setting, or a one-class head of a task that has not two classes. */
spoor_status head_configure(const json_t *config, const net_task *tasks, size_t n_tasks, head_options *out,
                            spoor_error *err);
/* Gives up what head_configure filled, or began to fill, in. */
void head_options_clear(head_options *heads, size_t n_tasks);
/* What head_configure reads into *out (NULL: all are linear); false: out of memory. */
bool head_describe(const head_options *heads, const net_task *tasks, size_t n_tasks, json_t **out);
/* Parameters NAME.weight and NAME.bias of the linear layer; NAME.centre; NAME.centroids, NAME.scale and NAME.offset. */
spoor_status head_init(head *h, const head_options *o, params *p, const char *name, int64_t embedding, int64_t classes,
                       spoor_error *err);
/* dropped: the embedding behind dropout, which the linear layer sees; the centre sees it as it is. The centre's logits
 * are alpha (cosine - (r_real + r_fake)/2) of the human class and 0 of the other; those of centroids are scale * cosine
 * + offset. */
void head_forward(const head *h, tape *t, tensor *embedding, tensor *dropped, head_output *out);
#endif
