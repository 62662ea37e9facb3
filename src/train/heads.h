/* heads.h: which kind of head each task of the network gets, from the recipe's losses. */
#ifndef TRAIN_HEADS_H
#define TRAIN_HEADS_H
#include "train/dataset.h"

/* With oc.weight above 0: network.task_heads of the resolved recipe gets a one-class head for oc.task. SPOOR_ERR_USAGE: there
 * is no such task, or it does not tell human from synthetic speech. With ge2e.weight above 0 ge2e.task gets centroids, which an
 * ensemble cannot have. */
spoor_status heads_choose(const recipe *r, const dataset *d, spoor_error *err);
#endif
