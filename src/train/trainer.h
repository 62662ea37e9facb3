/* trainer.h: `spoor train`: a recipe becomes a run folder.
 *
 *   recipe.json              the resolved recipe: every default filled in
 *   log.jsonl                one line every checkpoint.log_steps batches and one for each epoch
 *   checkpoint.safetensors   to go on from
 *   model.safetensors        the best (or averaged) weights, calibrated on dev
 *   dev-scores.tsv, dev-report.json, dev-report.txt
 *
 * A recipe with stages (recipe_stages.h) is trained in RUN/STAGE each; RUN has recipe.json (with all stages) and the
 * model, dev scores and dev report of its final stage.
 *
 * The seed decides every bit of the weights: not the number of threads, and not how often the training was
 * interrupted. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "base/context.h"
#include <jansson.h>

typedef struct trainer_news {
    uint64_t epoch, epochs, step, steps; /* done in this epoch */
    double loss;                         /* mean since the epoch began */
    double clips_per_second, seconds_left;
    const json_t *line;                  /* the epoch's log line when it is over, else NULL */
    const char *stage;                   /* NULL: the recipe has no stages */
    size_t stage_index, stages;          /* of how many, from 0 */
} trainer_news;

typedef struct trainer_options {
    const char *recipe;      /* path */
    const char *const *set;  /* "key.key=value" */
    size_t n_set;
    const char *out;         /* run folder; NULL: runs/NAME */
    const char *stage;       /* of a recipe with stages: this one alone; NULL: all of them */
    bool resume;             /* go on where a checkpoint is; without one, start */
    unsigned threads;        /* 0 = as many as there are processors */
    void (*news)(void *user, const trainer_news *news); /* NULL: none */
    void *user;
} trainer_options;

/* What trainer_draw tells of a stage (stage: NULL where the recipe has none): draw_balance (draw.h), borrowed. */
typedef void (*trainer_drawn)(void *user, const char *stage, const json_t *balance);
/* What each stage (or the one that options name) draws in its first epoch, by rows and labels alone: nothing is
 * decoded, trained or written. */
spoor_status trainer_draw(spoor_context *ctx, const trainer_options *options, trainer_drawn drawn, spoor_error *err);

/* Cancelled by the context's callback it saves a checkpoint and returns SPOOR_ERR_CANCELLED. */
spoor_status trainer_run(spoor_context *ctx, const trainer_options *options, spoor_error *err);
#endif
