/* leave.h: which sources are left out together, in one of several trainings, so that there are sources that a network
 * of the same kind never heard. */
#ifndef TRAIN_LEAVE_H
#define TRAIN_LEAVE_H
#include "base/context.h"

/* fold[n]: the training, from 0, that each source is left out of; -1: none. value[n, attributes]: its values, -1: not
 * known. may[n]: whether it is to be left out at all (of human speech: no). Sources with the same values are spread
 * over the trainings, and these are about equal; a source stays where its training would otherwise lose a value of an
 * attribute, so one that alone has a value is never left out. The same sources give the same answer. */
spoor_status leave_choose(spoor_context *ctx, const int32_t *value, const unsigned char *may, size_t n,
                          size_t attributes, size_t folds, int32_t *fold, spoor_error *err);
#endif
