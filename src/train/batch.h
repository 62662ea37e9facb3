/* batch.h: the loader: from (epoch, step) to features and targets of a batch; where the front end is trained, to
 * waveforms instead of features. Each clip has random numbers of its own (seed, epoch, place), so a batch is the same
 * on any number of threads and after a resume. The work runs on the workers of the compute between two steps: with as
 * many clips as a batch has, all threads are busy in both halves. */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H
#include "audio/augment/augment.h"
#include "data/matched.h"
#include "frontend/frontend.h"
#include "tensor/compute.h"
#include "train/dataset.h"
#include "train/losses.h"
#include "train/resynth.h"
#include "train/stored.h"

typedef struct batch {
    int64_t rows, plain, mixed; /* as losses_options says */
    int64_t frames, dim;
    recipe_mixup_level level;   /* where rows are mixed: waveforms and features of a fixed front end are so already;
                                 * features of one that is trained, and embeddings, are mixed over the tape as mix
                                 * says */
    op_row_mix mix;             /* of the clips of the batch */
    int64_t inputs;             /* the rows, or the clips of the batch where mix is still to be done */
    real *features;             /* [inputs, frames, dim]; NULL where the front end is trained */
    int64_t samples;
    real *waves;                /* where it is: [inputs, samples] (finetune.h) */
    real *mask;                 /* [inputs, frames, dim], 0 or 1; NULL: no spec_augment */
    int64_t **target;           /* [tasks][rows] */
    int64_t **partner;          /* [tasks][mixed] */
    real *lambda;               /* [mixed] */
    int64_t n_blocks;           /* of content-matched pairs, behind those of distinct classes */
    losses_block *block;
} batch;

typedef struct loader loader;

/* All arguments must outlive the loader. generators: NULL where the recipe has none. */
spoor_status loader_new(spoor_context *ctx, const recipe *r, const dataset *d, const frontend *fe, const augment *a,
                        const resynth *generators, unsigned threads, loader **out, spoor_error *err);
void loader_free(loader *l);
/* Clips come from s (checked, and outliving the loader) instead of from their samples. */
void loader_use_store(loader *l, const stored *s);
/* A part of the front end that no member of the network learns from is not computed. */
void loader_skip_part(loader *l, size_t part);
size_t loader_steps(const loader *l); /* batches of an epoch */
const sampler *loader_sampler(const loader *l);
const matched *loader_matched(const loader *l); /* NULL: none */
/* The batch of (epoch, step); valid until the next call. */
spoor_status loader_batch(loader *l, compute *c, uint64_t epoch, uint64_t step, const batch **out, spoor_error *err);
#endif
