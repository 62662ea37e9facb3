/* heads.h: which kind of head each task of the network gets, from the recipe's losses and its members' "humans". */
#ifndef TRAIN_HEADS_H
#define TRAIN_HEADS_H
#include "train/dataset.h"

/* With oc.weight above 0: network.task_heads of the resolved recipe gets a one-class head for oc.task. SPOOR_ERR_USAGE:
 * there is no such task, or it does not tell human from synthetic speech. With ge2e.weight above 0 ge2e.task gets
 * centroids, which an ensemble cannot have. With joint.parents joint.task gets a joint head: each of its classes has
 * the value in a parent that most of its training clips have. A class that has a value in some parents alone may have
 * any in the others; one that has none at all, or human speech where a parent has no class of it, takes no part
 * there. A fitted member with "humans": N gets, for each of its tasks with a human class, a linear head with N kinds of
 * it (net/head.h), and loses that key. */
spoor_status heads_choose(const recipe *r, const dataset *d, spoor_error *err);
#endif
