/* gate.c: see gate.h. */
#include "openset/gate.h"
#include "openset/calibrate.h"
#include <lapacke.h>
#include <math.h>
#include <string.h>

enum { MOST = OPENSET_KINDS + 1 }; /* weights and the offset */
#define PENALTY 0.01               /* of half the squared length of the weights; the offset is free */

/* Items whose fold is not `skip` (fold NULL: all). */
typedef struct problem {
    const double *score;
    const unsigned char *target;
    const uint32_t *fold;
    uint32_t skip;
    size_t n, targets, others;
    openset_kind kind[OPENSET_KINDS]; /* of the weights */
    size_t members;
    openset_gate *gate;
} problem;

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static bool taken(const problem *q, size_t i) { return q->fold == NULL || q->fold[i] != q->skip; }

/* Mean and deviation of each member; one that does not vary is left out of the fit. */
static void standardise(problem *q, openset_kinds members) {
    openset_gate *g = q->gate;
    *g = (openset_gate){.members = members};
    q->members = 0;
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if (!(members & OPENSET_BIT(k))) {
            continue;
        }
        double n = 0, square = 0, least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < q->n; i++) {
            if (taken(q, i)) {
                double s = q->score[i * OPENSET_KINDS + k], d = s - g->mean[k]; /* Welford */
                g->mean[k] += d / ++n;
                square += d * (s - g->mean[k]);
                least = s < least ? s : least;
                most = s > most ? s : most;
            }
        }
        g->deviation[k] = sqrt(square / n);
        if (most > least && g->deviation[k] > 0 && isfinite(g->deviation[k])) {
            q->kind[q->members++] = (openset_kind)k;
        } else {
            g->deviation[k] = 1;
        }
    }
}

/* Row i of the regression: standardised scores, then 1. */
static void row_of(const problem *q, size_t i, double *z) {
    for (size_t j = 0; j < q->members; j++) {
        openset_kind k = q->kind[j];
        z[j] = (q->score[i * OPENSET_KINDS + k] - q->gate->mean[k]) / q->gate->deviation[k];
    }
    z[q->members] = 1;
}

/* The value at w; where g is given also gradient and Hessian (upper triangle by columns). */
static double objective(const problem *q, const double *w, double *g, double *h) {
    size_t m = q->members + 1;
    double value = 0, z[MOST];
    if (g != NULL) {
        memset(g, 0, m * sizeof *g);
        memset(h, 0, m * m * sizeof *h);
    }
    for (size_t i = 0; i < q->n; i++) {
        if (!taken(q, i)) {
            continue;
        }
        row_of(q, i, z);
        double x = 0, weight = 0.5 / (double)(q->target[i] ? q->targets : q->others);
        for (size_t j = 0; j < m; j++) {
            x += w[j] * z[j];
        }
        value += weight * softplus(q->target[i] ? -x : x);
        double p = sigmoid(x), d = weight * (p - (q->target[i] ? 1 : 0)), c = weight * p * (1 - p);
        for (size_t j = 0; g != NULL && j < m; j++) {
            g[j] += d * z[j];
            for (size_t l = 0; l <= j; l++) {
                h[j * m + l] += c * z[j] * z[l];
            }
        }
    }
    for (size_t j = 0; j < q->members; j++) {
        value += PENALTY / 2 * w[j] * w[j];
        if (g != NULL) {
            g[j] += PENALTY * w[j];
            h[j * m + j] += PENALTY;
        }
    }
    return value;
}

/* Newton with halved steps on a strictly convex function of a dozen variables. */
static void minimise(const problem *q, double *w) {
    size_t m = q->members + 1;
    double g[MOST], h[MOST * MOST], next[MOST];
    memset(w, 0, m * sizeof *w);
    for (int i = 0; i < 100; i++) {
        double value = objective(q, w, g, h), gain = 0, step = 1, d[MOST];
        h[m * m - 1] += 1e-12; /* of the offset, which has no penalty */
        memcpy(d, g, m * sizeof *d);
        if (LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'U', (lapack_int)m, 1, h, (lapack_int)m, d, (lapack_int)m) != 0) {
            return;
        }
        for (size_t j = 0; j < m; j++) {
            gain += g[j] * d[j];
        }
        for (; step > 1e-10; step /= 2) {
            for (size_t j = 0; j < m; j++) {
                next[j] = w[j] - step * d[j];
            }
            if (objective(q, next, NULL, NULL) <= value) {
                break;
            }
        }
        if (step <= 1e-10) {
            return; /* at the rounding of the minimum */
        }
        memcpy(w, next, m * sizeof *w);
        if (!(gain > 1e-15)) {
            return; /* Newton has squared the error since */
        }
    }
}

static spoor_status fit(problem *q, openset_kinds members, openset_gate *out, spoor_error *err) {
    q->gate = out;
    q->targets = q->others = 0;
    for (size_t i = 0; i < q->n; i++) {
        *(q->target[i] ? &q->targets : &q->others) += taken(q, i);
    }
    if (q->targets == 0 || q->others == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "a gate needs known and unknown sources; the set has %zu and %zu "
                                               "recordings",
                         q->targets, q->others);
    }
    double w[MOST];
    standardise(q, members);
    minimise(q, w);
    for (size_t j = 0; j < q->members; j++) {
        out->weight[q->kind[j]] = w[j];
    }
    out->offset = w[q->members];
    return SPOOR_OK;
}

static spoor_status check(const problem *q, openset_kinds members, spoor_error *err) {
    if (members == 0 || (members & OPENSET_BIT(OPENSET_GATE)) || members > OPENSET_ALL) {
        return error_set(err, SPOOR_ERR_INPUT, "a gate needs at least one scorer, and not itself");
    }
    for (size_t i = 0; i < q->n; i++) {
        for (unsigned k = 0; k < OPENSET_KINDS; k++) {
            if ((members & OPENSET_BIT(k)) && !isfinite(q->score[i * OPENSET_KINDS + k])) {
                return error_set(err, SPOOR_ERR_INPUT, "the score %s of recording %zu is not a finite number",
                                 openset_kind_name((openset_kind)k), i + 1);
            }
        }
    }
    return SPOOR_OK;
}

spoor_status openset_gate_fit(openset_kinds members, const double *score, const unsigned char *target,
                              size_t n, openset_gate *out, spoor_error *err) {
    problem q = {.score = score, .target = target, .n = n};
    TRY(check(&q, members, err));
    return fit(&q, members, out, err);
}

double openset_gate_score(const openset_gate *g, const double score[OPENSET_KINDS]) {
    double sum = g->offset;
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if (g->members & OPENSET_BIT(k)) {
            sum += g->weight[k] * (score[k] - g->mean[k]) / g->deviation[k];
        }
    }
    return sum;
}

spoor_status openset_gate_cross(spoor_context *ctx, openset_kinds members, const double *score,
                                const unsigned char *target, const int32_t *group, size_t n, size_t folds,
                                uint64_t seed, double *out, spoor_error *err) {
    problem q = {.score = score, .target = target, .n = n};
    TRY(check(&q, members, err));
    uint32_t *fold = ctx_alloc(ctx, n, sizeof *fold);
    if (fold == NULL) {
        return error_memory(err, "cross-fitting a gate");
    }
    spoor_status status = calibrate_folds(ctx, group, n, folds, seed, fold, err);
    q.fold = fold;
    for (uint32_t f = 0; status == SPOOR_OK && f < folds; f++) {
        openset_gate g;
        q.skip = f;
        status = fit(&q, members, &g, err);
        for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
            if (fold[i] == f) {
                out[i] = openset_gate_score(&g, score + i * OPENSET_KINDS);
            }
        }
    }
    ctx_free(ctx, fold);
    return status;
}
