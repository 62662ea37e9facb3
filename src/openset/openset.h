/* openset.h: is a recording from any source that the model knows? Scores (higher = more like a known source) and the
 * threshold that accepts a chosen share of known sources.
 * Not here: the fit of probabilities (calibrate.h), the evaluation (eval/). */
#ifndef OPENSET_OPENSET_H
#define OPENSET_OPENSET_H
#include "base/context.h"
#include <jansson.h>

/* Scorers that need the logits alone. A later scorer (NSD, kNN, Mahalanobis, ViM ...) adds an entry here and, where it
 * needs statistics of the train set, a pointer to them in `openset`. */
typedef enum openset_kind {
    OPENSET_ENERGY,    /* T * logsumexp(logits / T): the negative free energy of Liu et al. 2020 */
    OPENSET_MAX_LOGIT, /* the greatest logit (Hendrycks et al. 2022) */
    OPENSET_MSP,       /* the greatest softmax probability at temperature T (Hendrycks and Gimpel 2017) */
    OPENSET_KINDS
} openset_kind;

typedef struct openset {
    openset_kind kind;
    double temperature; /* T > 0; 1 unless fitted */
    double threshold;   /* known where score >= threshold */
    double acceptance;  /* share of known dev recordings that the threshold was fixed at; 0 = not fixed */
} openset;

/* Energy, T = 1, no threshold (-Inf: everything is known). */
void openset_init(openset *o);
const char *openset_kind_name(openset_kind kind); /* "energy", "max_logit", "msp" */
spoor_status openset_kind_parse(const char *name, openset_kind *out, spoor_error *err);

/* Score of one recording from its logits[classes] and, for scorers that use it, its embedding[dim] (may be NULL).
 * NaN logits or no classes: SPOOR_ERR_INPUT. */
spoor_status openset_score(const openset *o, const float *logits, size_t classes, const float *embedding, size_t dim,
                           double *score, spoor_error *err);

/* Fix the threshold so that ceil(acceptance * n) of the n known scores are accepted (more only where scores tie with the
 * threshold). acceptance in (0, 1]. No scores, or a NaN among them: SPOOR_ERR_INPUT. */
spoor_status openset_fix_threshold(spoor_context *ctx, openset *o, const double *known, size_t n, double acceptance,
                                   spoor_error *err);

/* {"scorer", "temperature", "threshold", "acceptance"}; a new reference, NULL = out of memory. An infinite threshold is
 * written as null. From: SPOOR_ERR_MODEL with the member that is wrong. */
json_t *openset_to_json(const openset *o);
spoor_status openset_from_json(const json_t *json, openset *out, spoor_error *err);
#endif
