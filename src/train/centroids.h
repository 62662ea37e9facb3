/* centroids.h: the heads whose answer is the nearest mean of training clips (GE2E): those means, under the network's
 * present weights. */
#ifndef TRAIN_CENTROIDS_H
#define TRAIN_CENTROIDS_H
#include "train/dataset.h"
#include "train/score.h"

/* Fill the centroids of m's network: for each class the mean of its training clips' embeddings, each of unit length.
 * All training clips go through the network once; nothing happens where no head has centroids. */
spoor_status centroids_fit(spoor_context *ctx, spoor_model *m, const dataset *d, unsigned threads, spoor_error *err);
#endif
