/* gate.h: the fit of the gate, a logistic regression over standardised open-set scores. */
#ifndef OPENSET_GATE_H
#define OPENSET_GATE_H
#include "openset/openset.h"

/* Fit on score[n, OPENSET_KINDS] of which the columns of `members` are read, target[n] = 1 for known sources:
 *   min  1/2 (mean over known of softplus(-x) + mean over unknown of softplus(x)) + 0.005 |w|^2,  x = offset + w . z,
 * z the scores standardised over the n items (both classes weigh the same, so x is an LLR). A member that does not vary
 * gets weight 0. One class missing, no member, a score that is not finite: SPOOR_ERR_INPUT. */
spoor_status openset_gate_fit(openset_kinds members, const double *score, const unsigned char *target,
                              size_t n, openset_gate *out, spoor_error *err);
/* Honest out[n]: each item by the gate fitted on the other folds, groups kept whole (calibrate_folds). Each fit needs
 * both classes, else SPOOR_ERR_INPUT. */
spoor_status openset_gate_cross(spoor_context *ctx, openset_kinds members, const double *score,
                                const unsigned char *target, const int32_t *group, size_t n, size_t folds,
                                uint64_t seed, double *out, spoor_error *err);
double openset_gate_score(const openset_gate *g, const double score[OPENSET_KINDS]);
#endif
