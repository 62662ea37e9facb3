/* calibration_check.h: how well a calibration holds, fitted on a set and cross-fitted on it. The fitted figures are what
 * the set itself says after the fit and flatter it a little; the crossed ones come from fits that did not see the item
 * (or its page) and are the honest ones to print. */
#ifndef EVAL_CALIBRATION_CHECK_H
#define EVAL_CALIBRATION_CHECK_H
#include "eval/metrics.h"
#include "openset/calibrate.h"

/* Expected calibration error (15 equal bins; and adaptive) and what is minimised: NLL of a task, Cllr of a score. */
typedef struct calibration_quality {
    metric_value ece, ece_adaptive, loss;
} calibration_quality;

typedef struct calibration_check {
    size_t n; /* labelled items */
    calibration_quality before, fitted, crossed;
} calibration_check;

/* logits[n, classes]; truth < 0: not counted. group: as calibrate_temperature_cross. */
spoor_status calibration_check_task(spoor_context *ctx, const float *logits, const int32_t *truth, const int32_t *group,
                                    size_t n, size_t classes, size_t folds, uint64_t seed, calibration_check *out,
                                    spoor_error *err);
/* ECE of P(target) at the set's own share of targets (at another prior the set could not tell), Cllr of the llr. `before`
 * takes the score itself for an llr. */
spoor_status calibration_check_score(spoor_context *ctx, const double *score, const unsigned char *target,
                                     const int32_t *group, size_t n, double prior, size_t folds, uint64_t seed,
                                     calibration_check *out, spoor_error *err);
/* {"n", "before": {"ece", "ece_adaptive", LOSS}, "fitted", "crossed"}, loss_name "nll" or "cllr"; NULL = out of memory. */
json_t *calibration_check_to_json(const calibration_check *c, const char *loss_name);
#endif
