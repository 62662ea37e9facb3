/* known.h: the known score of a model: statistics of the train set, the choice among the scorers on dev, the threshold. Used
 * at the end of a training, by `spoor openset` and wherever a model is made (the scorers themselves: openset/). */
#ifndef TRAIN_KNOWN_H
#define TRAIN_KNOWN_H
#include "train/score.h"

/* Fix the threshold of m->openset on dev's known scores (score_calibrate says how) and write "known" into m->meta. */
spoor_status known_fix_threshold(spoor_model *m, const score_labels *l, const float *logits, const float *embedding,
                                 double acceptance, spoor_error *err);
#endif
