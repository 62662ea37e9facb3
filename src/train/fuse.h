/* fuse.h: the fit of a fusion (net.h: "fusion"; docs/fuse.md): multinomial logistic regressions on what several models
 * say of the train clips, their strength of regularisation chosen on dev; weights of averages chosen on dev. Models are
 * put into one file by model/combine.h, score files are read by eval/scores.h; both end here. */
#ifndef TRAIN_FUSE_H
#define TRAIN_FUSE_H
#include "train/score.h"

enum { FUSE_MAX_STRENGTHS = 32, FUSE_MAX_MODELS = NET_MAX_MEMBERS };

/* ---- one task ---- */

typedef struct fuse_rows {
    const float *x;       /* [n, d] */
    const int32_t *label; /* [n], -1 = left out */
    size_t n;
} fuse_rows;

typedef struct fuse_try {
    double l2, nll, accuracy; /* nll: mean cross-entropy of dev in nats; NAN where dev has no label */
} fuse_try;

typedef struct fuse_fit {
    fuse_try tries[FUSE_MAX_STRENGTHS]; /* in the order of the options */
    size_t n_tries, best;
    size_t n_train, n_dev;              /* clips with a label */
} fuse_fit;

typedef struct fuse_options {
    double l2[FUSE_MAX_STRENGTHS]; /* strengths that are tried */
    size_t n_l2;
    unsigned threads;
} fuse_options;
void fuse_options_init(fuse_options *o); /* 1e-6, 1e-5 .. 1e-1; 1 thread */

/* w [classes, d], b [classes]: argmin mean cross-entropy(w x + b, label) + l2/2 |w|^2 over the train rows (logistic.h),
 * for the l2 whose mean cross-entropy on dev is least (of equal ones the greatest; with dev unlabelled, the middle one
 * of the list, as a warning says). The number of threads changes no bit. SPOOR_ERR_INPUT: no train row has a label;
 * `name` is the task's. */
spoor_status fuse_fit_task(spoor_context *ctx, const char *name, const fuse_rows *train, const fuse_rows *dev, size_t d,
                           size_t classes, const fuse_options *o, float *w, float *b, fuse_fit *out, spoor_error *err);

/* ---- models ---- */

/* Clips through a combined model whose fusion is logistic. */
typedef struct fuse_clips {
    const score_labels *labels;
    const float *embedding;    /* [labels->n, E]: what its heads see */
    const spoor_error *failed; /* NULL: none; clips with another status than OK are left out */
} fuse_clips;

/* The class of each clip in a task, -1 = none, or left out: label[labels->n]. */
void fuse_labels(const fuse_clips *clips, size_t task, int32_t *label);
/* Fit the heads of m (model_combine) and set them in its network; out[m->n_tasks]. */
spoor_status fuse_fit_model(spoor_model *m, const fuse_clips *train, const fuse_clips *dev, const fuse_options *o,
                            fuse_fit *out, spoor_error *err);
/* The logits[n, trace_logits_size(m)] that m's heads give for embedding[n, E], derived tasks as the model gives them.
 */
spoor_status fuse_logits(spoor_model *m, size_t n, const float *embedding, float *logits, spoor_error *err);

/* ---- averages ---- */

/* Where the log probabilities of several models lie in the rows x[n, d], for one task whose classes all of them have.
 */
typedef struct fuse_scores {
    size_t classes;
    size_t n_models;                                   /* that answer the task */
    size_t model[FUSE_MAX_MODELS], first[FUSE_MAX_MODELS]; /* their numbers, and the columns where they begin */
    const int32_t *label;                              /* [n], -1 = none; NULL where nothing is chosen */
} fuse_scores;

typedef struct fuse_averaging {
    const float *x; /* [n, d] */
    size_t n, d;
    const fuse_scores *task;
    size_t n_tasks, n_models;
    bool probabilities; /* average these, else their logarithms */
} fuse_averaging;

typedef struct fuse_weights {
    size_t n;                        /* models */
    double weight[FUSE_MAX_MODELS];  /* they sum to 1 */
    double nll, accuracy, equal_nll; /* mean over the tasks with labels; equal_nll: of equal weights */
    size_t tried;
} fuse_weights;

/* log sum_g w_g p_g or sum_g w_g log p_g of a task and row into out[classes]; the weights are divided by their sum over
 * the models that answer the task. */
void fuse_average_row(const fuse_averaging *a, size_t task, const double *weight, size_t row, double *out);
/* Weights of an average: of all that are multiples of 1/s the ones with the least mean cross-entropy of the labels
 * (mean over the tasks with labels), s the greatest up to 20 that leaves at most 1000 candidates; of equal ones those
 * whose first weight is greater, then the second ... SPOOR_ERR_INPUT: no task has a label. */
spoor_status fuse_choose_weights(spoor_context *ctx, const fuse_averaging *a, fuse_weights *out, spoor_error *err);

/* Where the models' scores lie in the embedding of a model that was combined with a logistic fusion; label is not set.
 * SPOOR_ERR_USAGE: there are no scores, or a model does not know all classes of a task. */
spoor_status fuse_find_scores(const spoor_model *m, fuse_scores task[NET_MAX_TASKS], spoor_error *err);
/* The same for the clips of a model that was combined with a logistic fusion with scores "log-probabilities", of models
 * that know the same classes. weight NULL: they are chosen on these clips, and *out says which; then (given or chosen)
 * the average's logits[n, trace_logits_size(m)], derived tasks as the model gives them. */
spoor_status fuse_average_model(spoor_model *m, const fuse_clips *clips, bool probabilities, const double *weight,
                                fuse_weights *out, float *logits, spoor_error *err);
#endif
