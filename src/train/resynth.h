/* resynth.h: pseudo-generators: chains of augmentation steps that re-synthesise a recording, as sampler.resynth of a
 * recipe names them, and what labels their clips have. */
#ifndef TRAIN_RESYNTH_H
#define TRAIN_RESYNTH_H
#include "audio/augment/augment.h"
#include "train/dataset.h"

typedef struct resynth_generator {
    augment *chain;
    bool original;   /* no step at all: a clip keeps its own labels, but for those given */
    int64_t *target; /* [tasks] class that the recipe gives its clips, -1 = none */
} resynth_generator;

typedef struct resynth {
    spoor_context *ctx;
    size_t n, n_tasks;
    resynth_generator *generator;
    int32_t *content; /* [n_train] for matched.h: the clip's own number where it may be put through them, else -1 */
} resynth;

/* *out = NULL where the recipe has none. The resolved recipe gets every default of their steps. SPOOR_ERR_USAGE: a
 * wrong step, a label of no task or class. */
spoor_status resynth_new(spoor_context *ctx, recipe *r, const dataset *d, resynth **out, spoor_error *err);
void resynth_free(resynth *s);
/* Class of task k for a clip that has the label `own` and went through the generator; -1 = none. */
int64_t resynth_target(const resynth *s, size_t generator, size_t k, int64_t own);
#endif
