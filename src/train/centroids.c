/* centroids.c: see centroids.h. */
#include "train/centroids.h"
#include "trace/trace.h"
#include "train/dev.h"
#include <math.h>
#include <string.h>

/* c[classes, dim] of rows x[n, dim]; label[n], -1 = none */
static spoor_status fit(spoor_context *ctx, const float *x, const int32_t *label, size_t n, size_t classes, size_t dim,
                        real *c, spoor_error *err) {
    double *sum = ctx_calloc(ctx, classes, dim * sizeof *sum), *count = ctx_calloc(ctx, classes, sizeof *count);
    if (!sum || !count) {
        ctx_free(ctx, sum);
        ctx_free(ctx, count);
        return error_memory(err, "fitting centroids");
    }
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * dim;
        double squares = 0;
        for (size_t k = 0; k < dim; k++) {
            squares += (double)row[k] * (double)row[k];
        }
        if (label[i] < 0 || !(squares > 0)) {
            continue;
        }
        count[label[i]]++;
        for (size_t k = 0; k < dim; k++) {
            sum[(size_t)label[i] * dim + k] += (double)row[k] / sqrt(squares);
        }
    }
    for (size_t i = 0; i < classes * dim; i++) {
        c[i] = (real)(count[i / dim] > 0 ? sum[i] / count[i / dim] : 0);
    }
    for (size_t i = 0; i < classes; i++) { /* the head takes cosines: only the direction counts */
        double squares = 0;
        for (size_t k = 0; k < dim; k++) {
            squares += (double)c[i * dim + k] * (double)c[i * dim + k];
        }
        for (size_t k = 0; k < dim && squares > 0; k++) {
            c[i * dim + k] = (real)((double)c[i * dim + k] / sqrt(squares));
        }
    }
    ctx_free(ctx, sum);
    ctx_free(ctx, count);
    return SPOOR_OK;
}

spoor_status centroids_fit(spoor_context *ctx, spoor_model *m, const dataset *d, unsigned threads, spoor_error *err) {
    bool any = false;
    for (size_t i = 0; i < d->n_tasks; i++) {
        any |= net_centroids(m->net, i) != NULL;
    }
    if (!any) {
        return SPOOR_OK;
    }
    size_t width = trace_logits_size(m), dim = (size_t)net_embedding_size(m->net), n = d->n_train;
    float *logits = ctx_alloc(ctx, n, width * sizeof *logits), *embedding = ctx_alloc(ctx, n, dim * sizeof *embedding);
    spoor_status status = logits && embedding ? dev_forward_train(d, m, threads, logits, embedding, err)
                                              : error_memory(err, "fitting centroids");
    for (size_t i = 0; i < d->n_tasks && status == SPOOR_OK; i++) {
        tensor *c = net_centroids(m->net, i);
        if (c) {
            status = fit(ctx, embedding, d->task[i].label, n, d->task[i].n_classes, dim, c->data, err);
        }
    }
    ctx_free(ctx, logits);
    ctx_free(ctx, embedding);
    return status;
}
