/* subspace.c: scorers that stand on a covariance of the train embeddings: Mahalanobis and ViM. */
#include "openset/eigen.h"
#include "openset/scorers.h"
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- scoring ---- */

double openset_residual(double *x, const float *basis, size_t rows, size_t dim) {
    /* The rows are orthonormal: taking each part away in turn is the same projection, and loses least to rounding. */
    for (size_t r = 0; r < rows; r++) {
        const float *p = basis + r * dim;
        double part = openset_dot(x, p, dim);
        for (size_t i = 0; i < dim; i++) {
            x[i] -= part * (double)p[i];
        }
    }
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum);
}

/* y = factor x */
static void whiten(const float *factor, const double *x, size_t dim, double *y) {
    for (size_t i = 0; i < dim; i++) {
        y[i] = openset_dot(x, factor, i + 1);
        factor += i + 1;
    }
}

spoor_status openset_whiten(const openset_stats *s, const float *embedding, double *y, spoor_error *err) {
    double *x = ctx_alloc(s->ctx, s->dim, sizeof *x);
    if (x == NULL) {
        return error_memory(err, "comparing embeddings");
    }
    for (size_t i = 0; i < s->dim; i++) {
        x[i] = (double)embedding[i] - (double)s->origin[i];
    }
    whiten(s->factor, x, s->dim, y);
    ctx_free(s->ctx, x);
    return SPOOR_OK;
}

spoor_status openset_score_subspace(const openset_stats *s, openset_kinds kinds, double energy, const float *embedding,
                                    double score[OPENSET_KINDS], spoor_error *err) {
    if (!(kinds & (OPENSET_BIT(OPENSET_MAHALANOBIS) | OPENSET_BIT(OPENSET_VIM)))) {
        return SPOOR_OK;
    }
    double *x = ctx_alloc(s->ctx, s->dim, 2 * sizeof *x), *y = x + s->dim;
    if (x == NULL) {
        return error_memory(err, "computing an open-set score");
    }
    for (size_t i = 0; i < s->dim; i++) {
        x[i] = (double)embedding[i] - (double)s->origin[i];
    }
    if (kinds & OPENSET_BIT(OPENSET_MAHALANOBIS)) {
        double least = INFINITY;
        whiten(s->factor, x, s->dim, y);
        for (size_t c = 0; c < s->means; c++) {
            double sum = 0;
            for (size_t i = 0; i < s->dim; i++) {
                double d = y[i] - (double)s->mean[c * s->dim + i];
                sum += d * d;
            }
            least = sum < least ? sum : least;
        }
        score[OPENSET_MAHALANOBIS] = -least;
    }
    if (kinds & OPENSET_BIT(OPENSET_VIM)) {
        score[OPENSET_VIM] = energy - s->vim_alpha * openset_residual(x, s->basis, s->vim_dim, s->dim);
    }
    ctx_free(s->ctx, x);
    return SPOOR_OK;
}

/* ---- fitting ---- */

spoor_status openset_covariance(spoor_context *ctx, const openset_train *t, const double *centres, bool by_label,
                                double *s, spoor_error *err) {
    enum { BLOCK = 16 }; /* clips whose products are added to a row of s while it is near */
    size_t dim = t->dim, held = 0, used = 0;
    double *z = ctx_alloc(ctx, dim, BLOCK * sizeof *z);
    if (z == NULL) {
        return error_memory(err, "fitting an open-set scorer");
    }
    memset(s, 0, dim * dim * sizeof *s);
    for (size_t n = 0; n <= t->n; n++) {
        if (n < t->n && t->label[n] >= 0) {
            const double *centre = centres + (by_label ? (size_t)t->label[n] * dim : 0);
            for (size_t i = 0; i < dim; i++) {
                z[held * dim + i] = (double)t->embedding[n * dim + i] - centre[i];
            }
            held++;
            used++;
        }
        if (held < BLOCK && n < t->n) {
            continue;
        }
        for (size_t i = 0; i < dim; i++) {
            for (size_t b = 0; b < held; b++) {
                double factor = z[b * dim + i], *row = s + i * dim;
                const double *other = z + b * dim;
                for (size_t j = 0; j <= i; j++) {
                    row[j] += factor * other[j];
                }
            }
        }
        held = 0;
    }
    for (size_t i = 0; i < dim; i++) {
        for (size_t j = 0; j <= i; j++) {
            s[i * dim + j] /= (double)used;
        }
    }
    ctx_free(ctx, z);
    return SPOOR_OK;
}

/* Class means [classes, dim], and how many clips each class has. */
static void take_means(openset_stats *s, const openset_train *t, double *mean, size_t *count) {
    for (size_t i = 0; i < t->n; i++) {
        if (t->label[i] >= 0) {
            double *to = mean + (size_t)t->label[i] * t->dim;
            for (size_t k = 0; k < t->dim; k++) {
                to[k] += (double)t->embedding[i * t->dim + k];
            }
            count[t->label[i]]++;
        }
    }
    for (size_t c = 0; c < t->classes; c++) {
        for (size_t k = 0; count[c] > 0 && k < t->dim; k++) {
            mean[c * t->dim + k] /= (double)count[c];
        }
        s->means += count[c] > 0;
    }
}

/* L^-1 of the shrunk covariance, in place; s holds the lower triangle, row by row. To LAPACK, which counts by columns,
 * that is an upper triangle U = L'. */
static bool invert_factor(double *s, size_t dim, double shrinkage) {
    enum { LEAST = 1000000 }; /* at least 1e-6 of the mean variance is added, so that the factor exists */
    double trace = 0;
    for (size_t i = 0; i < dim; i++) {
        trace += s[i * dim + i];
    }
    double mean = trace / (double)dim, lambda = shrinkage > 1.0 / LEAST ? shrinkage : 1.0 / LEAST;
    for (size_t i = 0; i < dim; i++) {
        for (size_t j = 0; j <= i; j++) {
            s[i * dim + j] *= 1 - lambda;
        }
        s[i * dim + i] += mean > 0 ? lambda * mean : 1; /* clips that are all alike: plain distances */
    }
    lapack_int n = (lapack_int)dim;
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, s, n) == 0 &&
           LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', n, s, n) == 0;
}

static spoor_status whiten_means(openset_stats *s, const openset_train *t, double *mean, const size_t *count,
                                 spoor_error *err) {
    s->mean = ctx_alloc(s->ctx, s->means, s->dim * sizeof *s->mean);
    double *y = ctx_alloc(s->ctx, s->dim, sizeof *y);
    if (s->mean == NULL || y == NULL) {
        ctx_free(s->ctx, y);
        return error_memory(err, "fitting an open-set scorer");
    }
    float *to = s->mean;
    for (size_t c = 0; c < t->classes; c++) {
        double *m = mean + c * s->dim;
        for (size_t i = 0; i < s->dim; i++) {
            m[i] -= (double)s->origin[i];
        }
        if (count[c] > 0) {
            whiten(s->factor, m, s->dim, y);
            for (size_t i = 0; i < s->dim; i++) {
                *to++ = (float)y[i];
            }
        }
    }
    ctx_free(s->ctx, y);
    return SPOOR_OK;
}

static spoor_status fit_factor(openset_stats *s, const openset_train *t, double shrinkage, double *mean, double *square,
                               const size_t *count, spoor_error *err) {
    TRY(openset_covariance(s->ctx, t, mean, true, square, err));
    s->factor = ctx_alloc(s->ctx, s->dim * (s->dim + 1) / 2, sizeof *s->factor);
    if (s->factor == NULL) {
        return error_memory(err, "fitting an open-set scorer");
    }
    if (!invert_factor(square, s->dim, shrinkage)) {
        return error_set(err, SPOOR_ERR_INPUT, "the covariance of the train embeddings has no factor; their numbers "
                                               "are too far apart");
    }
    float *to = s->factor;
    for (size_t i = 0; i < s->dim; i++) {
        for (size_t j = 0; j <= i; j++) {
            *to++ = (float)square[i * s->dim + j];
        }
    }
    return whiten_means(s, t, mean, count, err);
}

spoor_status openset_fit_mahalanobis(openset_stats *s, const openset_train *t, double shrinkage, spoor_error *err) {
    double *mean = ctx_calloc(s->ctx, t->classes, t->dim * sizeof *mean);
    double *square = ctx_alloc(s->ctx, t->dim, t->dim * sizeof *square);
    size_t *count = ctx_calloc(s->ctx, t->classes, sizeof *count);
    spoor_status status = SPOOR_OK;
    if (mean == NULL || square == NULL || count == NULL) {
        status = error_memory(err, "fitting an open-set scorer");
    } else {
        take_means(s, t, mean, count);
        status = fit_factor(s, t, shrinkage, mean, square, count, err);
    }
    ctx_free(s->ctx, mean);
    ctx_free(s->ctx, square);
    ctx_free(s->ctx, count);
    return status;
}

/* The paper's share of the embedding; of few clips at most half as many dimensions, so that they are not all in the
 * subspace. */
static size_t default_vim_dim(const openset_train *t) {
    size_t rows = t->dim >= 2048 ? 1000 : t->dim >= 768 ? 512 : t->dim / 2, clips = 0;
    for (size_t i = 0; i < t->n; i++) {
        clips += t->label[i] >= 0;
    }
    rows = rows > clips / 2 ? clips / 2 : rows;
    return rows > 0 ? rows : 1;
}

/* Row i of the symmetric s[dim, dim] becomes the eigenvector of the i-th smallest eigenvalue. */
static spoor_status eigenvectors(spoor_context *ctx, double *s, size_t dim, spoor_error *err) {
    double *value = ctx_alloc(ctx, dim, sizeof *value);
    spoor_status status = value == NULL ? error_memory(err, "fitting an open-set scorer")
                                        : eigen_symmetric(ctx, s, dim, value, err);
    ctx_free(ctx, value);
    return status;
}

/* alpha brings the residual to the scale of the logits: sum of greatest logits / sum of residuals. Logits that are log
 * probabilities have no positive sum; then the greatest logit is counted from the mean logit. */
static spoor_status fit_alpha(openset_stats *s, const openset_train *t, spoor_error *err) {
    double *x = ctx_alloc(s->ctx, s->dim, sizeof *x), residual = 0, length = 0, greatest = 0, above_mean = 0;
    if (x == NULL) {
        return error_memory(err, "fitting an open-set scorer");
    }
    for (size_t n = 0; n < t->n; n++) {
        if (t->label[n] < 0) {
            continue;
        }
        double most = -INFINITY, sum = 0, square = 0;
        for (size_t k = 0; k < t->classes; k++) {
            double z = (double)t->logits[n * t->classes + k];
            most = z > most ? z : most;
            sum += z;
        }
        for (size_t i = 0; i < s->dim; i++) {
            x[i] = (double)t->embedding[n * s->dim + i] - (double)s->origin[i];
            square += x[i] * x[i];
        }
        greatest += most;
        above_mean += most - sum / (double)t->classes;
        length += sqrt(square);
        residual += openset_residual(x, s->basis, s->vim_dim, s->dim);
    }
    double scale = greatest > 0 ? greatest : above_mean;
    s->vim_alpha = residual > 1e-6 * length ? scale / residual : 0; /* train lies in the subspace: nothing to scale
                                                                     * by */
    ctx_free(s->ctx, x);
    return SPOOR_OK;
}

spoor_status openset_fit_vim(openset_stats *s, const openset_train *t, size_t vim_dim, spoor_error *err) {
    size_t rows = vim_dim == 0 ? default_vim_dim(t) : vim_dim;
    s->vim_dim = rows >= t->dim ? t->dim - 1 : rows;
    double *square = ctx_alloc(s->ctx, t->dim, t->dim * sizeof *square);
    double *centre = ctx_alloc(s->ctx, t->dim, sizeof *centre);
    s->basis = ctx_alloc(s->ctx, s->vim_dim, t->dim * sizeof *s->basis);
    spoor_status status = square == NULL || centre == NULL || s->basis == NULL
                              ? error_memory(err, "fitting an open-set scorer") : SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < t->dim; i++) {
        centre[i] = (double)s->origin[i];
    }
    if (status == SPOOR_OK) {
        status = openset_covariance(s->ctx, t, centre, false, square, err);
    }
    if (status == SPOOR_OK) {
        status = eigenvectors(s->ctx, square, t->dim, err);
    }
    if (status == SPOOR_OK) {
        for (size_t r = 0; r < s->vim_dim; r++) { /* the greatest first */
            for (size_t i = 0; i < t->dim; i++) {
                s->basis[r * t->dim + i] = (float)square[(t->dim - 1 - r) * t->dim + i];
            }
        }
        status = fit_alpha(s, t, err);
    }
    ctx_free(s->ctx, square);
    ctx_free(s->ctx, centre);
    return status;
}
