/* frechet.c: see frechet.h. Matrices are square, double, row by row. */
#include "eval/frechet.h"
#include "openset/eigen.h"
#include <lapacke.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 64 }; /* rows of x that are added to the covariance at a time */

static const char task[] = "measuring a Frechet distance";

void frechet_fit_free(frechet_fit *f) {
    if (f != NULL) {
        spoor_context *ctx = f->ctx;
        ctx_free(ctx, f->mean);
        ctx_free(ctx, f->root);
        ctx_free(ctx, f);
    }
}

/* ---- moments ------------------------------------------------------------------------------------------ */

static const float *row_of(const float *x, const size_t *rows, size_t i, size_t dim) {
    return x + (rows == NULL ? i : rows[i]) * dim;
}

static spoor_status fit_mean(const float *x, const size_t *rows, size_t n, size_t dim, double *mean, spoor_error *err) {
    memset(mean, 0, dim * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        const float *row = row_of(x, rows, i, dim);
        for (size_t k = 0; k < dim; k++) {
            if (!isfinite(row[k])) {
                return error_set(err, SPOOR_ERR_INPUT, "row %zu of the embeddings has a value that is not finite",
                                 (rows == NULL ? i : rows[i]) + 1);
            }
            mean[k] += (double)row[k];
        }
    }
    for (size_t k = 0; k < dim; k++) {
        mean[k] /= (double)n;
    }
    return SPOOR_OK;
}

/* c = sum over rows of (row - mean)(row - mean)^T, all of it; returns the sum of the fourth powers of their lengths.
 * block[BLOCK, dim] is scratch. */
static double add_products(const float *x, const size_t *rows, size_t n, size_t dim, const double *mean, double *block,
                           double *c) {
    double fourth = 0;
    memset(c, 0, dim * dim * sizeof *c);
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t m = n - first < BLOCK ? n - first : BLOCK;
        for (size_t i = 0; i < m; i++) {
            const float *row = row_of(x, rows, first + i, dim);
            double square = 0;
            for (size_t k = 0; k < dim; k++) {
                block[i * dim + k] = (double)row[k] - mean[k];
                square += block[i * dim + k] * block[i * dim + k];
            }
            fourth += square * square;
        }
        for (size_t j = 0; j < dim; j++) {
            for (size_t i = 0; i < m; i++) {
                const double *row = block + i * dim, v = row[j];
                for (size_t k = j; k < dim; k++) {
                    c[j * dim + k] += v * row[k];
                }
            }
        }
    }
    for (size_t j = 0; j < dim; j++) {
        for (size_t k = 0; k < j; k++) {
            c[j * dim + k] = c[k * dim + j];
        }
    }
    return fourth;
}

static double trace_of(const double *c, size_t dim) {
    double sum = 0;
    for (size_t k = 0; k < dim; k++) {
        sum += c[k * dim + k];
    }
    return sum;
}

/* The estimate of Ledoit and Wolf for the products c = n S (S divided by n): s = min(b, d) / d with d = (|S|^2 -
 * tr(S)^2/dim) / dim and b = (mean |x|^4 - |S|^2) / (n dim). */
static double ledoit_wolf(const double *c, double fourth, size_t n, size_t dim) {
    double square = 0, rows = (double)n, size = (double)dim, trace = trace_of(c, dim) / rows;
    for (size_t i = 0; i < dim * dim; i++) {
        square += c[i] * c[i];
    }
    square /= rows * rows;
    double d = (square - trace * trace / size) / size, b = (fourth / rows - square) / (rows * size);
    b = b < d ? b : d;
    return dim > 1 && b > 0 && d > 0 ? b / d : 0; /* one dimension has nowhere to shrink to */
}

static void shrink(double *c, size_t dim, double s) {
    double mean = trace_of(c, dim) / (double)dim;
    for (size_t i = 0; i < dim * dim; i++) {
        c[i] *= 1 - s;
    }
    for (size_t k = 0; k < dim; k++) {
        c[k * dim + k] += s * mean;
    }
}

/* ---- linear algebra ----------------------------------------------------------------------------------- */

/* c (overwritten) -> its symmetric square root; eigenvalues below 0, which rounding makes, count as 0. */
static spoor_status square_root(spoor_context *ctx, double *c, size_t dim, double *root, spoor_error *err) {
    double *value = ctx_alloc(ctx, dim, sizeof *value);
    spoor_status status = value == NULL ? error_memory(err, task) : eigen_symmetric(ctx, c, dim, value, err);
    memset(root, 0, dim * dim * sizeof *root);
    for (size_t i = 0; status == SPOOR_OK && i < dim; i++) {
        double v = value[i] > 0 ? sqrt(value[i]) : 0;
        const double *vector = c + i * dim;
        for (size_t j = 0; v > 0 && j < dim; j++) {
            double w = v * vector[j];
            for (size_t k = 0; k < dim; k++) {
                root[j * dim + k] += w * vector[k];
            }
        }
    }
    ctx_free(ctx, value);
    return status;
}

static void multiply(const double *a, const double *b, size_t dim, double *out) {
    memset(out, 0, dim * dim * sizeof *out);
    for (size_t i = 0; i < dim; i++) {
        for (size_t k = 0; k < dim; k++) {
            double v = a[i * dim + k];
            for (size_t j = 0; j < dim; j++) {
                out[i * dim + j] += v * b[k * dim + j];
            }
        }
    }
}

/* Sum of the singular values of a (overwritten). */
static spoor_status nuclear_norm(spoor_context *ctx, double *a, size_t dim, double *sum, spoor_error *err) {
    lapack_int n = (lapack_int)dim;
    double size = 0, *value = ctx_alloc(ctx, dim, sizeof *value);
    lapack_int *numbers = ctx_alloc(ctx, 8 * dim, sizeof *numbers);
    if (value == NULL || numbers == NULL) {
        ctx_free(ctx, value);
        ctx_free(ctx, numbers);
        return error_memory(err, task);
    }
    lapack_int info =
        LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'N', n, n, a, n, value, NULL, 1, NULL, 1, &size, -1, numbers);
    double *work = ctx_alloc(ctx, (size_t)size, sizeof *work);
    spoor_status status = SPOOR_OK;
    if (work == NULL) {
        status = error_memory(err, task);
    } else if (info != 0 || LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'N', n, n, a, n, value, NULL, 1, NULL, 1, work,
                                                (lapack_int)size, numbers) != 0) {
        status =
            error_set(err, SPOOR_ERR_INPUT, "the covariances of the embeddings have no product that can be computed");
    }
    *sum = 0;
    for (size_t k = 0; status == SPOOR_OK && k < dim; k++) {
        *sum += value[k];
    }
    ctx_free(ctx, value);
    ctx_free(ctx, numbers);
    ctx_free(ctx, work);
    return status;
}

/* ---- fit and distance --------------------------------------------------------------------------------- */

static spoor_status check(size_t n, size_t dim, frechet_shrinkage s, spoor_error *err) {
    if (n < 2) {
        return error_set(err, SPOOR_ERR_INPUT, "a set of %zu embedding%s has no covariance; at least two are needed", n,
                         n == 1 ? "" : "s");
    }
    if (dim == 0 || dim > FRECHET_MAX_DIM) {
        return error_set(err, SPOOR_ERR_LIMIT, "embeddings of width %zu: a Frechet distance takes 1 to %d", dim,
                         FRECHET_MAX_DIM);
    }
    if (s.kind == FRECHET_FIXED && !(s.amount >= 0 && s.amount <= 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "a shrinkage is between 0 and 1");
    }
    return SPOOR_OK;
}

static spoor_status fit(frechet_fit *f, const float *x, const size_t *rows, frechet_shrinkage shrinkage, double *block,
                        double *c, spoor_error *err) {
    TRY(fit_mean(x, rows, f->n, f->dim, f->mean, err));
    double fourth = add_products(x, rows, f->n, f->dim, f->mean, block, c);
    f->shrinkage = shrinkage.kind == FRECHET_LEDOIT_WOLF ? ledoit_wolf(c, fourth, f->n, f->dim)
                   : shrinkage.kind == FRECHET_FIXED     ? shrinkage.amount
                                                         : 0;
    f->singular = f->n <= f->dim && f->shrinkage == 0;
    for (size_t i = 0; i < f->dim * f->dim; i++) {
        c[i] /= (double)(f->n - 1);
    }
    shrink(c, f->dim, f->shrinkage);
    f->trace = trace_of(c, f->dim);
    if (!isfinite(f->trace)) {
        return error_set(err, SPOOR_ERR_INPUT, "the embeddings are too large for a covariance");
    }
    return square_root(f->ctx, c, f->dim, f->root, err);
}

spoor_status frechet_fit_new(spoor_context *ctx, const float *x, const size_t *rows, size_t n, size_t dim,
                             frechet_shrinkage shrinkage, frechet_fit **out, spoor_error *err) {
    *out = NULL;
    TRY(check(n, dim, shrinkage, err));
    frechet_fit *f = ctx_calloc(ctx, 1, sizeof *f);
    double *block = ctx_alloc(ctx, BLOCK, dim * sizeof *block);
    double *c = ctx_alloc(ctx, dim, dim * sizeof *c);
    spoor_status status = SPOOR_OK;
    if (f != NULL) {
        *f = (frechet_fit){.ctx = ctx, .n = n, .dim = dim, .mean = ctx_alloc(ctx, dim, sizeof *f->mean),
                           .root = ctx_alloc(ctx, dim, dim * sizeof *f->root)};
    }
    if (f == NULL || block == NULL || c == NULL || f->mean == NULL || f->root == NULL) {
        status = error_memory(err, task);
    } else {
        status = fit(f, x, rows, shrinkage, block, c, err);
    }
    ctx_free(ctx, block);
    ctx_free(ctx, c);
    if (status != SPOOR_OK) {
        frechet_fit_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}

/* The trace of (S_a^1/2 S_b S_a^1/2)^1/2 is the sum of the singular values of S_b^1/2 S_a^1/2: without the squares, so
 * that what rounding leaves of equal sets is small. */
spoor_status frechet_distance(const frechet_fit *a, const frechet_fit *b, double *distance, double *of_means,
                              spoor_error *err) {
    if (a->dim != b->dim) {
        return error_set(err, SPOOR_ERR_USAGE, "embeddings of width %zu and %zu have no distance", a->dim, b->dim);
    }
    double *product = ctx_alloc(a->ctx, a->dim, a->dim * sizeof *product), sum = 0;
    if (product == NULL) {
        return error_memory(err, task);
    }
    multiply(b->root, a->root, a->dim, product);
    spoor_status status = nuclear_norm(a->ctx, product, a->dim, &sum, err);
    ctx_free(a->ctx, product);
    if (status != SPOOR_OK) {
        return status;
    }
    *of_means = 0;
    for (size_t k = 0; k < a->dim; k++) {
        *of_means += (a->mean[k] - b->mean[k]) * (a->mean[k] - b->mean[k]);
    }
    double spread = a->trace + b->trace - 2 * sum;
    *distance = *of_means + (spread > 0 ? spread : 0);
    return SPOOR_OK;
}
