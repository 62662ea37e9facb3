/* calibrate.h: from raw outputs to probabilities that mean what they say, fitted on dev.
 *
 * Two maps, both with one polarity and few parameters, because dev is small:
 *  - a task's logits: one temperature T (Guo et al. 2017). It keeps the order of the classes. Vector and matrix scaling
 *    were left out: with about 65 classes and a few hundred dev clips they fit noise.
 *  - a two-class score (bona fide, known): logistic map llr = scale * score + offset.
 * "Unknown" is not a class of the softmax: p(class) is given that the source is known, and the known score has a map
 * and a threshold of its own. The logits of a whole file are the mean over its windows, before the temperature.
 */
#ifndef OPENSET_CALIBRATE_H
#define OPENSET_CALIBRATE_H
#include "base/context.h"
#include <jansson.h>

/* Mean over windows: logits[windows, classes] -> mean[classes], summed in double. windows >= 1. */
void calibrate_mean_logits(const float *logits, size_t windows, size_t classes, float *mean);
/* p[classes] = softmax(logits / temperature), in double, without overflow. */
void calibrate_softmax(const float *logits, size_t classes, double temperature, double *p);

/* ---- temperature -------------------------------------------------------------------------------------- */

typedef struct calibrate_temperature {
    double temperature;        /* in [0.01, 100] */
    bool at_limit;             /* the optimum is outside that range: dev is separable, or the logits say nothing */
    size_t n;                  /* dev items it was fitted on */
    double nll_before, nll;    /* mean negative log-likelihood at T = 1 and at T */
} calibrate_temperature;

/* The T that minimises the mean NLL of truth over logits[n, classes]; items with truth < 0 are left out. Convex in 1/T.
 * Nothing left, fewer than two classes, a truth >= classes or a logit that is not finite: SPOOR_ERR_INPUT. */
spoor_status calibrate_temperature_fit(const float *logits, const int32_t *truth, size_t n, size_t classes,
                                       calibrate_temperature *out, spoor_error *err);

/* Honest probabilities: p[n, classes] of each item from the T fitted on the other folds. group NULL: folds by a seeded
 * shuffle; else items of one group (page, speaker) stay in one fold. All items get a p, also those with truth < 0.
 * folds >= 2 and at least two groups, else SPOOR_ERR_INPUT. */
spoor_status calibrate_temperature_cross(spoor_context *ctx, const float *logits, const int32_t *truth,
                                         const int32_t *group, size_t n, size_t classes, size_t folds, uint64_t seed,
                                         double *p, spoor_error *err);

json_t *calibrate_temperature_to_json(const calibrate_temperature *c); /* new reference; NULL = out of memory */
spoor_status calibrate_temperature_from_json(const json_t *json, calibrate_temperature *out, spoor_error *err);

/* ---- evidence for sources that nobody heard ------------------------------------------------------------ */

enum { CALIBRATE_MAX_VALUES = 64 };

/* p = weight * softmax(scale * logits) + (1 - weight) * share: what is to be said of an attribute where the source was
 * never heard. The evidence may be wrong of all that such a source makes, however sure it is; then only what is usual
 * is left. */
typedef struct calibrate_evidence {
    double scale;                       /* in [1 / 64, 1] */
    double weight;                      /* in [0, 1] */
    double share[CALIBRATE_MAX_VALUES]; /* of the values; they sum to 1 */
    size_t values, sources, n;          /* fitted on so many sources, with so many items */
    double nll_before, nll;             /* mean over the sources of the mean of -ln p of their items: by the logits as
                                         * they stand, and as fitted */
} calibrate_evidence;

void calibrate_evidence_p(const calibrate_evidence *c, const float *logits, double *p);
/* The scale and the weight that minimise nll: sources count alike, however many items they have. logits[n, values];
 * source[n] from 0 to n - 1; items with truth or source < 0 are left out. At each scale the sum is convex in the weight
 * (bisection); of 97 scales the best, then golden sections. Nothing left, fewer than two values or more than the limit,
 * shares that are not above 0 and sum to 1, a truth that is no value, a logit that is not finite: SPOOR_ERR_INPUT. */
spoor_status calibrate_evidence_fit(spoor_context *ctx, const float *logits, const int32_t *truth,
                                    const int32_t *source, size_t n, const double *share, size_t values,
                                    calibrate_evidence *out, spoor_error *err);
json_t *calibrate_evidence_to_json(const calibrate_evidence *c); /* new reference; NULL = out of memory */
spoor_status calibrate_evidence_from_json(const json_t *json, size_t values, calibrate_evidence *out,
                                          spoor_error *err);

/* ---- two classes -------------------------------------------------------------------------------------- */

typedef struct calibrate_logistic {
    double scale, offset;     /* llr = scale * score + offset (natural log); scale >= 0 */
    double prior;             /* P(target) that probabilities are stated at, in (0, 1) */
    bool informative;         /* false: on dev the score does not rise with the target; scale is 0 and llr says
                               * nothing */
    size_t targets, others;   /* dev items it was fitted on */
} calibrate_logistic;

/* Prior-weighted logistic regression (Bruemmer 2010, with Platt's 1999 softened targets so that separable data have a
 * finite fit). One class missing, prior outside (0, 1), a score that is not finite: SPOOR_ERR_INPUT. */
spoor_status calibrate_logistic_fit(const double *score, const unsigned char *target, size_t n, double prior,
                                    calibrate_logistic *out, spoor_error *err);
double calibrate_logistic_llr(const calibrate_logistic *c, double score);
double calibrate_logistic_p(const calibrate_logistic *c, double score); /* P(target) at the stated prior */
/* Honest llr[n]: of each item from a fit on the other folds; as calibrate_temperature_cross. Each fit needs both
 * classes. */
spoor_status calibrate_logistic_cross(spoor_context *ctx, const double *score, const unsigned char *target,
                                      const int32_t *group, size_t n, double prior, size_t folds, uint64_t seed,
                                      double *llr, spoor_error *err);

json_t *calibrate_logistic_to_json(const calibrate_logistic *c);
spoor_status calibrate_logistic_from_json(const json_t *json, calibrate_logistic *out, spoor_error *err);

/* fold[n] in 0..folds-1, groups kept whole and folds about equal; the same seed gives the same folds. Shared with
 * tests. */
spoor_status calibrate_folds(spoor_context *ctx, const int32_t *group, size_t n, size_t folds, uint64_t seed,
                             uint32_t *fold, spoor_error *err);
#endif
