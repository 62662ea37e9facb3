/* task_weights.h: how much each task's loss counts, and each class in it. Tasks: the recipe's weights lambda_k as they
 * are, their softmax, or the softmax of parameters that begin as these weights and are learned along (whose gradient
 * makes tasks with a large loss count less). Classes: n / (classes * n_class), or the recipe's. */
#ifndef TRAIN_TASK_WEIGHTS_H
#define TRAIN_TASK_WEIGHTS_H
#include "nn/params.h"
#include "train/dataset.h"

#define TASK_WEIGHTS_NAME "task_weights" /* of the learned parameters, [tasks] */

typedef struct task_weights task_weights;

/* SPOOR_ERR_USAGE: the recipe gives a class no weight. recipe and dataset must outlive it. */
spoor_status task_weights_new(spoor_context *ctx, const recipe *r, const dataset *d, task_weights **out,
                              spoor_error *err);
void task_weights_free(task_weights *w);
/* [classes] of task k; NULL: all count the same. */
const float *task_weights_classes(const task_weights *w, size_t k);
/* The learned parameters, before their softmax; NULL: they are not learned. */
params *task_weights_params(const task_weights *w);
tensor *task_weights_learned(const task_weights *w);
/* What task k counts now. */
double task_weights_of(const task_weights *w, size_t k);
#endif
