/* dataset.h: what a recipe's data section comes to: rows for training and dev, classes and labels of every task, and
 * the recordings in memory. Training clips are numbered 0 .. n_train-1, dev clips follow. */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H
#include "data/cache.h"
#include "data/labels.h"
#include "train/recipe.h"

typedef struct dataset_task {
    labels_task from;
    const char **classes; /* sorted */
    size_t n_classes;
    int32_t *label;       /* [n_train + n_dev]; -1 = none, or none of the classes */
    size_t *count;        /* [n_classes] training clips */
} dataset_task;

typedef struct dataset {
    spoor_context *ctx;
    manifest *manifest;
    size_t *rows; /* of clips */
    size_t n_train, n_dev, n;
    dataset_task *task;
    size_t n_tasks;
    int32_t *group[SAMPLER_MAX_GROUPS]; /* [n] */
    size_t n_groups;
    int32_t *content;  /* [n] number of the recording that a clip was made from, as sampler.matched.content tells; or
                        * NULL */
    const char **paths;
    clip_cache *cache;
} dataset;

/* Read the manifests, number the labels, check that all files are there. The recipe must outlive the dataset. */
spoor_status dataset_new(spoor_context *ctx, const recipe *r, dataset **out, spoor_error *err);
/* The same of rows and labels alone: whether the files are there is not looked at, and none can be loaded. */
spoor_status dataset_new_listed(spoor_context *ctx, const recipe *r, dataset **out, spoor_error *err);
void dataset_free(dataset *d);
/* of[classes of `from`]: the class of `own` that most training clips of each class of `from` have (of equals the first
 * that got so many); -1: none has one. */
spoor_status dataset_majority(const dataset *d, const dataset_task *from, const dataset_task *own, int32_t *of,
                              spoor_error *err);
/* Decode the recordings. */
spoor_status dataset_load(dataset *d, const recipe *r, pool *p, spoor_error *err);
#endif
