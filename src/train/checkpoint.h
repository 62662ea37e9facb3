/* checkpoint.h: everything that a training needs to go on as if it had never stopped: weights, moments, averages, the
 * best weights so far, and where it is. Random numbers are counter-based, so their state is the place itself. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "train/optimiser.h"
#include <jansson.h>

enum { CHECKPOINT_SUMS = 40 };

typedef struct checkpoint_place {
    uint64_t epoch, step;      /* the next batch to run */
    uint64_t averaged;         /* weights taken into a stochastic weight average */
    uint64_t log_bytes;        /* length of log.jsonl at this place */
    uint64_t waiting;          /* dev evaluations since the best one */
    bool has_best, stopped;    /* stopped: no further epoch is to be run */
    uint64_t best_epoch;
    double best;               /* its selection value */
    double sums[CHECKPOINT_SUMS]; /* of the epoch in progress, for its log line */
} checkpoint_place;

typedef struct checkpoint {
    params *params;
    optimiser *optimiser;
    average *average; /* NULL: none */
    average *best;    /* a copy of weights */
    checkpoint_place *place;
    const json_t *recipe; /* resolved; a checkpoint of another recipe is refused */
} checkpoint;

/* Atomic: a reader sees the old checkpoint or the new. */
spoor_status checkpoint_save(spoor_context *ctx, const char *path, const checkpoint *c, spoor_error *err);
/* SPOOR_ERR_USAGE: it belongs to another recipe (the sentence names the first section that differs); SPOOR_ERR_MODEL:
 * it is damaged. On failure the state is undefined. */
spoor_status checkpoint_load(spoor_context *ctx, const char *path, const checkpoint *c, spoor_error *err);
#endif
