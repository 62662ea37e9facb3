/* openset.h: is a recording from any source that the model knows? Scores (higher = more like a known source) and the
 * threshold that parts known from unknown. docs/openset.md has the formulas with their references.
 * Statistics of the train set that scorers stand on: statistics.h. Fit of the gate: gate.h.
 * Not here: the fit of probabilities (calibrate.h), the evaluation (eval/), the choice among scorers
 * (train/known.h). */
#ifndef OPENSET_OPENSET_H
#define OPENSET_OPENSET_H
#include "base/context.h"
#include <jansson.h>

/* z = the logits, p = softmax(z), f = the embedding, u = f / |f| (0 where f is 0), lse = logsumexp. */
typedef enum openset_kind {
    OPENSET_ENERGY,         /* T lse(z / T): the negative free energy (Liu et al. 2020) */
    OPENSET_MAX_LOGIT,      /* the greatest logit (Hendrycks et al. 2022) */
    OPENSET_MSP,            /* the greatest of softmax(z / T) (Hendrycks and Gimpel 2017) */
    OPENSET_ENTROPY,        /* sum_i p_i ln p_i, p = softmax(z / T): the negative entropy */
    OPENSET_SOFTMAX_ENERGY, /* T lse(p / T): energy of the probabilities. Of ln p instead of p it would always be 0 */
    OPENSET_NSD,            /* c(x) u . mean_i(u_i c_i), c = lse(z) (REFD: Xie et al. 2024) */
    OPENSET_KNN_COSINE,     /* cosine of the k-th nearest of the bank (Sun et al. 2022) */
    OPENSET_KNN_EUCLIDEAN,  /* minus the distance of the k-th nearest of the bank */
    OPENSET_MAHALANOBIS,    /* minus the least squared Mahalanobis distance of a class mean, tied covariance (Lee et al.
                             * 2018) */
    OPENSET_NNGUIDE,        /* c(x) times the mean of the k greatest u . u_i c_i of the bank (Park et al. 2023) */
    OPENSET_VIM,            /* lse(z) - alpha |residual of f outside the principal subspace| (Wang et al. 2022) */
    OPENSET_GATE,           /* logistic regression over other scorers: a log-likelihood ratio */
    OPENSET_KINDS
} openset_kind;

/* A set of scorers: bit k = kind k. */
typedef unsigned openset_kinds;
#define OPENSET_BIT(kind) (1u << (unsigned)(kind))
#define OPENSET_ALL (OPENSET_BIT(OPENSET_KINDS) - 1)
#define OPENSET_OF_LOGITS (OPENSET_BIT(OPENSET_NSD) - 1) /* need nothing but the logits */
/* need statistics and embedding */
#define OPENSET_OF_TRAIN (OPENSET_ALL & ~OPENSET_OF_LOGITS & ~OPENSET_BIT(OPENSET_GATE))

enum { OPENSET_MAX_K = 256 };

typedef struct openset_stats openset_stats; /* statistics.h */

/* score = offset + sum over members of weight * (score of the member - mean) / deviation */
typedef struct openset_gate {
    openset_kinds members; /* none: there is no gate */
    double mean[OPENSET_KINDS], deviation[OPENSET_KINDS], weight[OPENSET_KINDS], offset;
} openset_gate;

typedef struct openset {
    openset_kind kind;
    double temperature; /* T > 0; 1 unless fitted */
    double threshold;   /* known where score >= threshold */
    double acceptance;  /* share of known dev recordings that the threshold accepts; 0 = not fixed */
    bool by_eer;        /* the threshold is where dev's error rates are equal, not at a chosen acceptance */
    size_t k;           /* neighbours; of a bank that has fewer, all */
    openset_gate gate;
    const openset_stats *stats; /* borrowed; NULL: only scorers of OPENSET_OF_LOGITS work */
} openset;

/* Energy, T = 1, k = 6, no threshold (-Inf: everything is known). */
void openset_init(openset *o);
const char *openset_kind_name(openset_kind kind); /* "energy", "max_logit", ... */
spoor_status openset_kind_parse(const char *name, openset_kind *out, spoor_error *err);
/* The scorers that must be computed for o->kind: itself, or the members of the gate. */
openset_kinds openset_needs(const openset *o);

/* Score of one recording from its logits[classes] and, for scorers that use it, its embedding[dim] (else it may be
 * NULL). Logits or embedding not finite, no classes, no embedding where one is needed: SPOOR_ERR_INPUT. Statistics that
 * are missing or of another width, a score that is not finite: SPOOR_ERR_MODEL. */
spoor_status openset_score(const openset *o, const float *logits, size_t classes, const float *embedding, size_t dim,
                           double *score, spoor_error *err);
/* Several at once: score[kind] for each of `kinds` (OPENSET_GATE from o->gate, whose members are then computed too). */
spoor_status openset_scores(const openset *o, openset_kinds kinds, const float *logits, size_t classes,
                            const float *embedding, size_t dim, double score[OPENSET_KINDS], spoor_error *err);

/* Fix the threshold so that ceil(acceptance * n) of the n known scores are accepted (more only where scores tie with
 * the threshold). acceptance in (0, 1]. No scores, or a NaN among them: SPOOR_ERR_INPUT. */
spoor_status openset_fix_threshold(spoor_context *ctx, openset *o, const double *known, size_t n, double acceptance,
                                   spoor_error *err);

/* {"scorer", "temperature", "threshold", "acceptance"}, "rule": "eer" where so, "k" where a scorer uses it, "gate":
 * {"offset", "members": [{"scorer", "mean", "deviation", "weight"}]} and "statistics" (statistics.h) where there are
 * any. A new reference, NULL = out of memory. An infinite threshold is written as null. From: SPOOR_ERR_MODEL with the
 * member that is wrong; stats is left NULL (openset_stats_read). */
json_t *openset_to_json(const openset *o);
spoor_status openset_from_json(const json_t *json, openset *out, spoor_error *err);
#endif
