/* joint.h: the joint head of a task (the codec) whose classes have values of other tasks, its parents (quantiser,
 * auxiliary objective, decoder). With a_k the linear layer of parent k and r the linear layer of the task itself:
 *   z_c    = r_c + sum over the parents of which class c has a value v: a_k[v]          the task's logits
 *   m_k[v] = log sum_c M_k[v,c] exp(z_c)                                                those of parent k
 * M_k[v,c] is 1 where v is c's value, 0 where another is, 1/n of each of n values where c has one that is not known
 * (the value of human speech is none of them), and 0 for all v where c has none at all. So the probabilities of the
 * parents are sums of those of the classes, whatever the weights are. a_k itself, the evidence, says what is to be said
 * of a class outside of the list. */
#ifndef NET_JOINT_H
#define NET_JOINT_H
#include "net/net.h"

enum { JOINT_UNKNOWN = -1, JOINT_NONE = -2, JOINT_MAX_CELLS = 1 << 22 /* classes times values, of all parents */ };
#define JOINT_FLOOR 1e-9 /* M of a value that no class has */

typedef struct joint_parent {
    size_t task;
    int64_t values;  /* its number of classes */
    int32_t *value;  /* [classes] of each class of the joint task; or JOINT_UNKNOWN, JOINT_NONE */
    int32_t human;   /* the value of human speech; -1: there is none */
    real *select;    /* [classes, values]: 1 where the class has the value */
    real *mix;       /* [values, classes]: M */
} joint_parent;

struct net_joint {
    spoor_context *ctx;
    size_t task;
    int64_t classes;
    int64_t cells;   /* of all matrices of one kind together */
    int64_t human;   /* the class of human speech; -1 */
    joint_parent *parent;
    size_t n;
};

/* config: {"kind": "joint", "human": class (absent: none), "parents": {"vq": [value, -1 or -2 of each class], ...}};
 * answers[n_tasks]: tasks that have a head in the same member. SPOOR_ERR_USAGE. */
spoor_status joint_new(spoor_context *ctx, const json_t *config, size_t task, const net_task *tasks,
                       const bool *answers, size_t n_tasks, net_joint **out, spoor_error *err);
void joint_free(net_joint *j);
/* logits[tasks]: of the linear layers; become z and m. evidence[tasks]: gets a_k of the parents. */
void joint_forward(const net_joint *j, tape *t, tensor **logits, tensor **evidence);
#endif
