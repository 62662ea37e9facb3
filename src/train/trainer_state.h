/* trainer_state.h: what the sources of a training share: staged.c (stages), trainer.c (the loop), trainer_log.c,
 * finish.c (what is left in the folder). */
#ifndef TRAIN_TRAINER_STATE_H
#define TRAIN_TRAINER_STATE_H
#include "data/recordings.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/dev.h"
#include "train/finetune.h"
#include "train/task_weights.h"
#include "train/trainer.h"

/* Where and as what a recipe is trained. */
typedef struct trainer_place {
    const char *folder;
    const char *stage;    /* NULL: the recipe has no stages */
    size_t index, stages; /* of the stage, from 0 */
    const char *from;     /* model file of an earlier stage; NULL: the recipe's own `from`, if any */
} trainer_place;

typedef struct trainer {
    spoor_context *ctx;
    const trainer_options *options;
    const trainer_place *at;
    recipe *r;
    const char *folder;
    unsigned threads;
    compute *compute;
    tape *tape;
    dataset *d;
    frontend *fe;
    augment *augment;
    recordings *recordings; /* of its steps; NULL: none */
    resynth *generators;  /* NULL: none */
    stored *stored;       /* NULL: training features are computed */
    char *extract;        /* the command that makes what it lacks */
    net *net;
    finetune *finetune;   /* NULL: the front end stays as it is */
    params *params;       /* all that are trained or saved with the training */
    optimiser *optimiser;
    average *average, *best;
    loader *loader;
    schedule schedule;
    task_weights *weights;
    struct params *all;   /* params and what of the weights is learned; NULL: nothing is */
    uint64_t tape_key;    /* of the seeds of dropout */
    checkpoint_place place;
    /* dev */
    spoor_model model;    /* around net and front end; owns tasks and meta alone */
    score_labels *labels;
    float *logits;        /* [n_dev, L] */
    /* what is said of unseen sources (unseen_folds.c) */
    json_t *plain;        /* the recipe as it was read, for trainings that leave sources out; NULL: there are none */
    int32_t *left_out;    /* [classes of the source task] of which of these */
    int log;              /* file descriptor */
    double started;       /* seconds, and batches run since then */
    uint64_t batches;
} trainer;

/* Train one recipe (or stage); the arguments must live until then. */
spoor_status trainer_one(spoor_context *ctx, const trainer_options *options, recipe *r, const trainer_place *place,
                         spoor_error *err);
/* Of checkpoint_place.sums: one for each task, then these. */
enum { SUM_TASKS = 0, SUM_PAIR = NET_MAX_TASKS, SUM_OC, SUM_TOTAL, SUM_NORM, SUM_BATCHES };
_Static_assert((int)SUM_BATCHES < (int)CHECKPOINT_SUMS, "a checkpoint has room for all sums");

/* ---- trainer_log.c ---- */
double trainer_now(void); /* seconds */
spoor_status trainer_open_log(trainer *t, spoor_error *err);
spoor_status trainer_write_line(trainer *t, const json_t *line, spoor_error *err);
/* Each log_steps batches a line. */
spoor_status trainer_batch_line(trainer *t, double rate, double norm, const losses_parts *parts, spoor_error *err);
/* Means over the epoch; NULL: out of memory. */
json_t *trainer_epoch_line(trainer *t, double seconds);
/* What each task counts now, by name. */
json_t *trainer_weights(const trainer *t);
/* To the caller; line: of an epoch that is over, else NULL. */
void trainer_tell(trainer *t, const json_t *line);

/* ---- unseen_folds.c ---- */
/* Before anything is trained: which sources are left out of which training, where the recipe asks for such trainings.
 * SPOOR_ERR_USAGE, SPOOR_ERR_INPUT: none can be. */
spoor_status trainer_plan_unseen(trainer *t, spoor_error *err);
/* When the known score is chosen: train them, each in FOLDER/unseen-K, and learn from what they say of their dev clips and
 * of the sources that they were left without. */
spoor_status trainer_learn_unseen(trainer *t, spoor_error *err);

/* "FOLDER/NAME", freed with ctx_free; NULL = out of memory. */
char *trainer_path(const trainer *t, const char *name);
/* Choose the final weights, calibrate, write the model, dev scores and the dev report. */
spoor_status trainer_finish(trainer *t, spoor_error *err);
/* The model's metadata object (without calibration) around the net; a new reference. */
json_t *trainer_meta(const trainer *t);
#endif
