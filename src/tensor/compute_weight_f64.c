/* compute_weight_f64.c: products with frozen weights in the double build: by the definition, without rounding. */
#include "tensor/compute_state.h"
#ifdef SPOOR_DOUBLE
#include "tensor/ops.h"
#include <string.h>

struct compute_weight {
    spoor_context *ctx;
    int64_t n, k;
    int64_t groups, channels;
    compute_precision precision; /* only what was asked for */
    real *values; /* [n,k] */
};

spoor_status compute_weight_new(spoor_context *ctx, const real *w, int64_t n, int64_t k, compute_precision precision,
                                compute_weight **out, spoor_error *err) {
    *out = NULL;
    compute_weight *p = ctx_calloc(ctx, 1, sizeof *p);
    real *values = p == NULL ? NULL : ctx_alloc(ctx, (size_t)(n * k), sizeof *values);
    if (values == NULL) {
        ctx_free(ctx, p);
        return error_memory(err, "laying out weights");
    }
    memcpy(values, w, (size_t)(n * k) * sizeof *values);
    *p = (compute_weight){.ctx = ctx, .n = n, .k = k, .precision = precision, .values = values};
    *out = p;
    return SPOOR_OK;
}

spoor_status compute_weight_new_grouped(spoor_context *ctx, const real *w, int64_t n, int64_t taps, int64_t channels,
                                        int64_t groups, compute_precision precision, compute_weight **out,
                                        spoor_error *err) {
    if (groups < 1 || n % groups != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "%lld outputs cannot have %lld groups", (long long)n, (long long)groups);
    }
    TRY(compute_weight_new(ctx, w, n, taps * channels, precision, out, err));
    (*out)->groups = groups;
    (*out)->channels = channels;
    return SPOOR_OK;
}

int64_t compute_weight_groups(const compute_weight *w) { return w->groups; }
compute_precision compute_weight_precision(const compute_weight *w) { return w->precision; }

void compute_weight_free(compute_weight *w) {
    if (w != NULL) {
        ctx_free(w->ctx, w->values);
        ctx_free(w->ctx, w);
    }
}

size_t compute_weight_bytes(const compute_weight *w) { return (size_t)(w->n * w->k) * sizeof *w->values; }

spoor_status compute_weight_apply(compute *c, unsigned worker, const compute_weight *w, int64_t m, const real *x,
                                  int64_t ldx, const compute_finish *finish, real *y, int64_t ldy, spoor_error *err) {
    (void)worker;
    (void)err;
    const kernels *k = compute_kernels(c);
    if (c->watch != NULL && m > 0 && w->n > 0) {
        c->watch(c->watcher, w, m, x, ldx);
    }
    for (int64_t i = 0; i < (ldx < w->k ? m : 1); i++) {
        int64_t rows = ldx < w->k ? 1 : m; /* rows that overlap go one by one */
        compute_gemm(&(gemm){.tb = true, .m = rows, .n = w->n, .k = w->k, .a = x + i * ldx,
                             .lda = ldx < w->k ? w->k : ldx, .b = w->values, .ldb = w->k, .c = y + i * ldy,
                             .ldc = ldy});
    }
    for (int64_t i = 0; finish != NULL && i < m; i++) {
        real mean, rstd, *row = y + i * ldy;
        if (finish->bias != NULL) {
            k->add_row(1, w->n, finish->bias, row);
        }
        if (finish->gain != NULL && w->n > 0) {
            k->layer_norm(1, w->n, finish->eps, row, finish->gain, finish->shift, row, &mean, &rstd);
        }
        if (finish->act != OP_ACT_NONE) {
            k->activate(finish->act, w->n, row, row);
        }
    }
    return SPOOR_OK;
}

spoor_status compute_weight_convolve(compute *c, unsigned worker, const compute_weight *w, int64_t frames,
                                     const real *x, int64_t pad, int64_t places, const real *bias, real *y,
                                     spoor_error *err) {
    (void)c;
    (void)worker;
    (void)err;
    int64_t outs = w->n / w->groups, width = w->groups * w->channels, taps = w->channels == 0 ? 0 : w->k / w->channels;
    for (int64_t i = 0; i < places * w->n; i++) {
        int64_t o = i % w->n, first = i / w->n - pad;
        y[i] = bias == NULL ? 0 : bias[o];
        for (int64_t j = 0; j < taps; j++) {
            for (int64_t k = 0; first + j >= 0 && first + j < frames && k < w->channels; k++) {
                y[i] += x[(first + j) * width + o / outs * w->channels + k] * w->values[o * w->k + j * w->channels + k];
            }
        }
    }
    return SPOOR_OK;
}

void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n) {
    (void)n;
    ctx_free(ctx, workers);
}
#endif
