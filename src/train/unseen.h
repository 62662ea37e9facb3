/* unseen.h: attributes (quantiser, decoder, ...) of sources that the model does not know: how what is said of them is
 * calibrated, and the probabilities that come of it (model_attribute). Either a temperature, fitted on dev's clips of
 * such sources, or what was learned from networks that were trained without some of the sources. */
#ifndef TRAIN_UNSEEN_H
#define TRAIN_UNSEEN_H
#include "train/score.h"

/* For each attribute task the temperature that fits the evidence to the values of dev's unknown sources, at least 1 and
 * that of known sources, into the model and its metadata; left as it is where dev has none that has a value, or where
 * unseen_learn was there. logits[n, model_row_size]. */
spoor_status unseen_calibrate(spoor_model *m, const score_labels *l, const float *logits, spoor_error *err);
/* scores[n, model_row_size]: the probabilities of attributes become what model_attribute says of them at the known
 * score of each clip. folds >= 2: what is said of an unknown source stands on the temperature of the other unknown
 * sources alone (each source is left out in turn), where there are at least two. */
spoor_status unseen_scores(const spoor_model *m, const score_labels *l, const float *logits, const double *known,
                           size_t folds, float *scores, spoor_error *err);

/* Clips heard by networks of the same kind as the model's: of sources that the network knows, and of sources that it
 * was left without. */
typedef struct unseen_rows {
    spoor_context *ctx;
    size_t n, attributes, width;
    int32_t *source;      /* class of the model's known task */
    unsigned char *known; /* to that network */
    double *score;        /* its known score */
    int32_t *truth;       /* [attributes] value among those of synthetic speech; -1: not known */
    float *evidence;      /* [width]: of these values, the attributes of the model one after the other */
} unseen_rows;
/* Room for `most` rows of the model's attributes. */
spoor_status unseen_rows_new(const spoor_model *m, size_t most, unseen_rows *out, spoor_error *err);
void unseen_rows_clear(unseen_rows *rows);
/* Into the model and its metadata: of each attribute what the evidence is worth where a source was never heard
 * (calibrate_evidence_fit), with how right and how sure answers are whose source was left out of the fit as well; and
 * P(known) by the known score, known and unknown sources as likely. What the rows cannot tell is logged and left as it
 * is. */
spoor_status unseen_learn(spoor_model *m, const unseen_rows *rows, spoor_error *err);
#endif
