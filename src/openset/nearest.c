/* nearest.c: scores from the train clips that lie nearest, and NSD, which is the whole train set in one vector. */
#include "openset/scorers.h"
#include <math.h>

double openset_dot(const double *x, const float *y, size_t n) {
    enum { LANES = 8 };
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            lane[k] += x[i + k] * (double)y[i + k];
        }
    }
    for (size_t k = 0; i < n; i++, k++) {
        lane[k] += x[i] * (double)y[i];
    }
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

double openset_length(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sqrt(sum);
}

/* The k greatest values so far, falling. */
typedef struct greatest {
    double value[OPENSET_MAX_K];
    size_t k, n;
} greatest;

static void offer(greatest *g, double value) {
    if (g->n == g->k && !(value > g->value[g->k - 1])) {
        return;
    }
    size_t at = g->n < g->k ? g->n++ : g->k - 1;
    for (; at > 0 && g->value[at - 1] < value; at--) {
        g->value[at] = g->value[at - 1];
    }
    g->value[at] = value;
}

/* |x - length u|^2, from the differences: exact where x is a clip of the bank. */
static double squared_distance(const double *x, const float *unit, double length, size_t n) {
    enum { LANES = 8 };
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            double d = x[i + k] - length * (double)unit[i + k];
            lane[k] += d * d;
        }
    }
    for (size_t k = 0; i < n; i++, k++) {
        double d = x[i] - length * (double)unit[i];
        lane[k] += d * d;
    }
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static void scan_bank(const openset_stats *s, openset_kinds kinds, size_t k, const double *x, const double *unit,
                      double confidence, double score[OPENSET_KINDS]) {
    greatest cosine = {.k = k}, guided = {.k = k}, near = {.k = k};
    const bool plain = kinds & OPENSET_BIT(OPENSET_KNN_COSINE), guide = kinds & OPENSET_BIT(OPENSET_NNGUIDE);
    const bool euclidean = kinds & OPENSET_BIT(OPENSET_KNN_EUCLIDEAN);
    for (size_t i = 0; i < s->bank; i++) {
        const float *row = s->bank_unit + i * s->dim;
        double c = plain || guide ? openset_dot(unit, row, s->dim) : 0;
        if (plain) {
            offer(&cosine, c);
        }
        if (guide) { /* of the bank's clips it alone has their confidence, */
            offer(&guided, c * (double)s->bank_confidence[i]);
        }
        if (euclidean) { /* and this one alone their length */
            offer(&near, -squared_distance(x, row, (double)s->bank_length[i], s->dim));
        }
    }
    double sum = 0;
    for (size_t i = 0; i < guided.n; i++) {
        sum += guided.value[i];
    }
    if (plain) {
        score[OPENSET_KNN_COSINE] = cosine.value[cosine.n - 1];
    }
    if (guide) {
        score[OPENSET_NNGUIDE] = confidence * (sum / (double)guided.n);
    }
    if (euclidean) {
        score[OPENSET_KNN_EUCLIDEAN] = -sqrt(-near.value[near.n - 1]);
    }
}

spoor_status openset_score_nearest(const openset_stats *s, openset_kinds kinds, size_t k, double confidence,
                                   const float *embedding, double score[OPENSET_KINDS], spoor_error *err) {
    const openset_kinds bank = kinds & (OPENSET_BIT(OPENSET_KNN_COSINE) | OPENSET_BIT(OPENSET_KNN_EUCLIDEAN) |
                                        OPENSET_BIT(OPENSET_NNGUIDE));
    if (bank == 0 && !(kinds & OPENSET_BIT(OPENSET_NSD))) {
        return SPOOR_OK;
    }
    if (bank != 0 && (k < 1 || k > OPENSET_MAX_K)) {
        return error_set(err, SPOOR_ERR_USAGE, "the number of neighbours must be 1 to %d, not %zu", OPENSET_MAX_K, k);
    }
    double *x = ctx_alloc(s->ctx, s->dim, 2 * sizeof *x), *unit = x + s->dim;
    if (x == NULL) {
        return error_memory(err, "computing an open-set score");
    }
    double length = openset_length(embedding, s->dim);
    for (size_t i = 0; i < s->dim; i++) {
        x[i] = (double)embedding[i];
        unit[i] = length > 0 ? x[i] / length : 0;
    }
    if (kinds & OPENSET_BIT(OPENSET_NSD)) {
        score[OPENSET_NSD] = confidence * openset_dot(unit, s->nsd, s->dim);
    }
    if (bank != 0) {
        scan_bank(s, bank, k, x, unit, confidence, score);
    }
    ctx_free(s->ctx, x);
    return SPOOR_OK;
}
