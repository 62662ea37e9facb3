/* openset.c: the scorers of openset.h that need the logits alone, names and threshold; those that need statistics of
 * the train set are in nearest.c and subspace.c. */
#include "openset/openset.h"
#include "base/logsum.h"
#include "openset/gate.h"
#include "openset/scorers.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[OPENSET_KINDS] = {
    "energy", "max_logit",  "msp",           "entropy",     "softmax_energy", "nsd",
    "knn_cosine", "knn_euclidean", "mahalanobis", "nnguide", "vim", "gate"};

void openset_init(openset *o) {
    *o = (openset){.kind = OPENSET_ENERGY, .temperature = 1, .threshold = -INFINITY, .k = 6};
}

const char *openset_kind_name(openset_kind kind) {
    return (unsigned)kind < OPENSET_KINDS ? kind_names[kind] : "unknown";
}

spoor_status openset_kind_parse(const char *name, openset_kind *out, spoor_error *err) {
    char list[200] = "";
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if (strcmp(name, kind_names[k]) == 0) {
            *out = (openset_kind)k;
            return SPOOR_OK;
        }
        strcat(list, k == 0 ? "" : k + 1 == OPENSET_KINDS ? " or " : ", "); /* all names together are shorter than the
                                                                             * list */
        strcat(list, kind_names[k]);
    }
    return error_set(err, SPOOR_ERR_USAGE, "there is no open-set scorer called \"%.60s\"; choose %s", name, list);
}

openset_kinds openset_needs(const openset *o) {
    return o->kind == OPENSET_GATE ? o->gate.members : OPENSET_BIT(o->kind);
}

/* MSP, entropy and the energy of the probabilities: all of p = softmax(z / T), the last of them at T = 1. */
static void score_probabilities(const float *z, size_t n, double most, double temperature,
                                double score[OPENSET_KINDS]) {
    double sum = 0, plain = 0, entropy = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp(((double)z[i] - most) / temperature);
        plain += exp((double)z[i] - most);
    }
    double greatest = 1 / plain;
    for (size_t i = 0; i < n; i++) {
        double d = ((double)z[i] - most) / temperature, p = exp(d) / sum;
        entropy += p > 0 ? p * (d - log(sum)) : 0;
        energy += exp((exp((double)z[i] - most) / plain - greatest) / temperature);
    }
    score[OPENSET_MSP] = 1 / sum;
    score[OPENSET_ENTROPY] = entropy;
    score[OPENSET_SOFTMAX_ENERGY] = greatest + temperature * log(energy);
}

static spoor_status score_logits(const openset *o, const float *logits, size_t classes, double score[OPENSET_KINDS],
                                 spoor_error *err) {
    if (classes == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "an open-set score needs the logits of at least one class");
    }
    double most = -INFINITY;
    for (size_t k = 0; k < classes; k++) {
        if (!isfinite(logits[k])) {
            return error_set(err, SPOOR_ERR_INPUT, "logit %zu of %zu is not a finite number", k + 1, classes);
        }
        most = logits[k] > most ? (double)logits[k] : most;
    }
    score[OPENSET_ENERGY] = log_sum_exp(logits, classes, -1, o->temperature);
    score[OPENSET_MAX_LOGIT] = most;
    score_probabilities(logits, classes, most, o->temperature, score);
    return SPOOR_OK;
}

static spoor_status check_embedding(const openset *o, openset_kinds kinds, const float *embedding, size_t dim,
                                    spoor_error *err) {
    if (embedding == NULL) {
        return error_set(err, SPOOR_ERR_INPUT, "this open-set score needs the embedding of the recording");
    }
    if (o->stats == NULL || (o->stats->kinds & kinds) != kinds || o->stats->dim != dim) {
        return error_set(err, SPOOR_ERR_MODEL, "the model has no statistics of its train set for this open-set score");
    }
    for (size_t i = 0; i < dim; i++) {
        if (!isfinite(embedding[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "number %zu of the %zu of the embedding is not finite", i + 1, dim);
        }
    }
    return SPOOR_OK;
}

spoor_status openset_scores(const openset *o, openset_kinds kinds, const float *logits, size_t classes,
                            const float *embedding, size_t dim, double score[OPENSET_KINDS], spoor_error *err) {
    openset_kinds all = kinds & OPENSET_BIT(OPENSET_GATE) ? kinds | o->gate.members : kinds,
                  of_train = all & OPENSET_OF_TRAIN;
    TRY(score_logits(o, logits, classes, score, err));
    if (of_train != 0) {
        TRY(check_embedding(o, of_train, embedding, dim, err));
        double energy = log_sum_exp(logits, classes, -1, 1);
        TRY(openset_score_nearest(o->stats, of_train, o->k, energy - o->stats->confidence_offset, embedding, score,
                                  err));
        TRY(openset_score_subspace(o->stats, of_train, energy, embedding, score, err));
    }
    if (kinds & OPENSET_BIT(OPENSET_GATE)) {
        score[OPENSET_GATE] = openset_gate_score(&o->gate, score);
    }
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if ((kinds & OPENSET_BIT(k)) && !isfinite(score[k])) {
            return error_set(err, SPOOR_ERR_MODEL, "the open-set score %s is not finite; the model's statistics are "
                                                   "unusable",
                             kind_names[k]);
        }
    }
    return SPOOR_OK;
}

spoor_status openset_score(const openset *o, const float *logits, size_t classes, const float *embedding, size_t dim,
                           double *score, spoor_error *err) {
    if ((unsigned)o->kind >= OPENSET_KINDS) {
        return error_set(err, SPOOR_ERR_MODEL, "the open-set scorer is not one that this version knows");
    }
    double all[OPENSET_KINDS] = {0};
    TRY(openset_scores(o, OPENSET_BIT(o->kind), logits, classes, embedding, dim, all, err));
    *score = all[o->kind];
    return SPOOR_OK;
}

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

spoor_status openset_fix_threshold(spoor_context *ctx, openset *o, const double *known, size_t n, double acceptance,
                                   spoor_error *err) {
    if (!(acceptance > 0 && acceptance <= 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "the share of known sources to accept must be above 0 and at most 1, "
                                               "not %g",
                         acceptance);
    }
    if (n == 0) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "no recording of a known source is in the set, so that no threshold can be fixed on it");
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(known[i])) {
            return error_set(err, SPOOR_ERR_INPUT, "known score %zu of %zu is not a number", i + 1, n);
        }
    }
    double *sorted = ctx_alloc(ctx, n, sizeof *sorted);
    if (sorted == NULL) {
        return error_memory(err, "fixing a threshold");
    }
    memcpy(sorted, known, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, falling);
    double accepted = ceil(acceptance * (double)n - 1e-9); /* the product may be a hair above a whole number */
    size_t k = accepted < 1 ? 1 : accepted > (double)n ? n : (size_t)accepted;
    o->threshold = sorted[k - 1];
    o->acceptance = acceptance;
    o->by_eer = false;
    ctx_free(ctx, sorted);
    return SPOOR_OK;
}
