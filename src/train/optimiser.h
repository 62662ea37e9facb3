/* optimiser.h: Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) as torch.optim defines them, the
 * clipping of the gradient by its global norm, learning-rate schedules, and averages of weights. Work is cut by shapes
 * alone and summed in a fixed order: the number of threads changes no bit. */
#ifndef TRAIN_OPTIMISER_H
#define TRAIN_OPTIMISER_H
#include "nn/params.h"
#include "tensor/compute.h"

/* Parameters under a name (params_under) with a learning rate of their own. */
typedef struct optimiser_group {
    const char *prefix;  /* needed while the optimiser is made */
    double factor;       /* times the rate of the step */
    uint64_t start;      /* they stay as they are for that many updates, and their bias correction counts from there */
} optimiser_group;

typedef struct optimiser_options {
    bool decoupled;      /* AdamW: w *= 1 - lr * decay; else Adam: gradient += decay * w. Only where param->decay */
    double beta1, beta2, eps, weight_decay;
    double clip;         /* > 0: the gradient is scaled so that its norm is at most this; 0 = never */
    const optimiser_group *group; /* of those that match a parameter the one with the longest prefix; none: 1 and 0 */
    size_t n_groups;
} optimiser_options;

typedef struct optimiser optimiser;

/* p must outlive the optimiser and get no further parameters. */
spoor_status optimiser_new(spoor_context *ctx, params *p, const optimiser_options *options, optimiser **out,
                           spoor_error *err);
void optimiser_free(optimiser *o);
/* Whether parameter i takes part in the next update (its group has started). */
bool optimiser_active(const optimiser *o, size_t i);
/* One update from the gradients that the parameters hold; *norm = their norm before clipping. A norm that is not finite
 * changes nothing: SPOOR_ERR_USAGE with advice. */
spoor_status optimiser_step(optimiser *o, compute *c, double lr, double *norm, spoor_error *err);
/* For checkpoints: how many updates were made, and the two moments of parameter i (NULL: not trainable). */
uint64_t optimiser_steps(const optimiser *o);
void optimiser_set_steps(optimiser *o, uint64_t steps);
real *optimiser_moment(optimiser *o, size_t i, int which);

/* ---- schedule ---- */

typedef struct schedule {
    enum { SCHEDULE_CONSTANT, SCHEDULE_COSINE, SCHEDULE_STEP } kind;
    double lr;             /* the highest */
    double total, warmup;  /* in updates */
    double floor;          /* cosine: the lowest, as a share of lr */
    double every, factor;  /* step: lr * factor^(updates / every) */
} schedule;
/* Learning rate of update `step` (from 0): linear warm-up lr * (step + 1) / warmup, then the schedule. */
double schedule_rate(const schedule *s, uint64_t step);

/* ---- averages of weights (and of buffers, such as running statistics) ---- */

typedef struct average average;
spoor_status average_new(spoor_context *ctx, params *p, average **out, spoor_error *err);
void average_free(average *a);
/* average += share * (weights - average); share 1 copies. */
void average_update(average *a, compute *c, double share);
/* Exchange weights and average: to evaluate the average, twice to come back. */
void average_swap(average *a);
real *average_values(average *a, size_t i); /* of parameter i, for checkpoints; NULL: fixed */
#endif
