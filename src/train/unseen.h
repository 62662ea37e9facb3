/* unseen.h: attributes (quantiser, decoder, ...) of sources that the model does not know: a temperature for what is
 * said of them, fitted on dev's clips of such sources, and the probabilities that come of it (model_attribute). */
#ifndef TRAIN_UNSEEN_H
#define TRAIN_UNSEEN_H
#include "train/score.h"

/* For each attribute task the temperature that fits the evidence to the values of dev's unknown sources, at least 1 and
 * that of known sources, into the model and its metadata; left as it is where dev has none that has a value. logits[n,
 * model_row_size]. */
spoor_status unseen_calibrate(spoor_model *m, const score_labels *l, const float *logits, spoor_error *err);
/* scores[n, model_row_size]: the probabilities of attributes become what model_attribute says of them at the known
 * score of each clip. folds >= 2: what is said of an unknown source stands on the temperature of the other unknown
 * sources alone (each source is left out in turn), where there are at least two. */
spoor_status unseen_scores(const spoor_model *m, const score_labels *l, const float *logits, const double *known,
                           size_t folds, float *scores, spoor_error *err);
#endif
