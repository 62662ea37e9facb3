/* finetune.h: training the encoders of a front end together with the network behind it: which of their parameters are
 * trained and how fast, and the features of a batch over the tape. */
#ifndef TRAIN_FINETUNE_H
#define TRAIN_FINETUNE_H
#include "frontend/frontend.h"
#include "train/batch.h"
#include "train/optimiser.h"

typedef struct finetune finetune;

/* From the recipe's section `finetune`: fixes the parameters of fe that are not to be trained. All arguments must
 * outlive the result. SPOOR_ERR_USAGE: there is nothing to train, or a name that no parameter has. */
spoor_status finetune_new(spoor_context *ctx, const recipe *r, const frontend *fe, params *network, finetune **out,
                          spoor_error *err);
void finetune_free(finetune *f);
/* Those of the network and of the encoders. */
params *finetune_params(const finetune *f);
/* For the optimiser; live as long as f. steps: of an epoch. */
const optimiser_group *finetune_groups(finetune *f, size_t steps, size_t *n);
/* Features of a batch of waveforms, masked and, where features are mixed, mixed as it says, which must live until
 * backward is over. Gradients flow to the parameters that the optimiser's next update changes. Sticky errors. */
tensor *finetune_features(finetune *f, tape *t, const batch *b, const optimiser *o);
#endif
