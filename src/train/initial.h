/* initial.h: weights to start from: those of a model file, where names, shapes and, of heads, class names are the
 * same. */
#ifndef TRAIN_INITIAL_H
#define TRAIN_INITIAL_H
#include "frontend/frontend.h"
#include "nn/params.h"
#include "train/dataset.h"

typedef struct initial_options {
    const char *path;     /* of the model file */
    const dataset *d;     /* whose tasks have the heads */
    const frontend *fe;
    bool finetune;        /* the front end is trained, and is among the parameters */
} initial_options;

/* Fill p from the file; the log says what starts anew. SPOOR_ERR_MODEL: no model file, or one with nothing that fits;
 * SPOOR_ERR_USAGE: it has a trained front end, but here that is not trained and stays as its own weights say. */
spoor_status initial_load(spoor_context *ctx, params *p, const initial_options *options, spoor_error *err);
#endif
