/* losses_joint.h: the loss of a task with a joint head (net/joint.h): the negative log-likelihood of a clip's class; of
 * a clip whose class is not known or not in the list, that of the values which it is known to have in the parents: of a
 * class that has them all. */
#ifndef TRAIN_LOSSES_JOINT_H
#define TRAIN_LOSSES_JOINT_H
#include "net/joint.h"
#include "train/losses.h"

/* plain[o->plain, C] and mixed[o->mixed, C]: the task's logits of these rows; either may be NULL where there are none.
 * A clip of which nothing is known, or of whose values no class has all, is left out; a mixed row also where that holds
 * of one of its clips. Rows are weighted by the task's class weights, those without a class by 1. */
tensor *losses_joint(tape *t, const losses_options *o, const net_joint *j, tensor *plain, tensor *mixed);
#endif
