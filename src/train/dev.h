/* dev.h: how good a network is on the dev clips while it is trained: the metrics that a recipe names. */
#ifndef TRAIN_DEV_H
#define TRAIN_DEV_H
#include "train/dataset.h"
#include "train/score.h"

/* Logits [n_dev, trace_logits_size] (and embeddings, or NULL) of all dev clips. */
spoor_status dev_forward(const dataset *d, spoor_model *m, unsigned threads, float *logits, float *embedding,
                         spoor_error *err);
/* The same of the training clips [n_train, ...], as they are and of each the first window alone: what open-set scorers
 * remember. */
spoor_status dev_forward_train(const dataset *d, spoor_model *m, unsigned threads, float *logits, float *embedding,
                               spoor_error *err);
/* The same of n of the dataset's clips, training clips (their first windows) and dev clips, in this order. */
spoor_status dev_forward_clips(const dataset *d, spoor_model *m, unsigned threads, const size_t *clip, size_t n,
                               float *logits, float *embedding, spoor_error *err);
/* value[r->n_metrics]; NaN where a metric is not defined. *select = mean of the metrics that dev.select names, of
 * rising merit (loss and eer count negative); -INFINITY where one of them is not defined. known[l->n]: known scores,
 * NULL: the model's, which then must not need the embedding. */
spoor_status dev_metrics(const recipe *r, const dataset *d, const spoor_model *m, const score_labels *l,
                         const float *logits, const double *known, double *value, double *select, spoor_error *err);
#endif
