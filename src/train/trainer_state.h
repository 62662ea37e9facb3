/* trainer_state.h: what trainer.c (the loop) and finish.c (what is left in the folder) share. */
#ifndef TRAIN_TRAINER_STATE_H
#define TRAIN_TRAINER_STATE_H
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/dev.h"
#include "train/finetune.h"
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
    float **class_weight; /* [tasks]; NULL entries: none */
    uint64_t tape_key;    /* of the seeds of dropout */
    checkpoint_place place;
    /* dev */
    spoor_model model;    /* around net and front end; owns tasks and meta alone */
    score_labels *labels;
    float *logits;        /* [n_dev, L] */
    int log;              /* file descriptor */
    double started;       /* seconds, and batches run since then */
    uint64_t batches;
} trainer;

/* Train one recipe (or stage); the arguments must live until then. */
spoor_status trainer_one(spoor_context *ctx, const trainer_options *options, recipe *r, const trainer_place *place,
                         spoor_error *err);
/* "FOLDER/NAME", freed with ctx_free; NULL = out of memory. */
char *trainer_path(const trainer *t, const char *name);
/* Choose the final weights, calibrate, write the model, dev scores and the dev report. */
spoor_status trainer_finish(trainer *t, spoor_error *err);
/* The model's metadata object (without calibration) around the net; a new reference. */
json_t *trainer_meta(const trainer *t);
#endif
