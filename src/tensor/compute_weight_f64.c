/* compute_weight_f64.c: products with frozen weights in the double build: by the definition, without rounding. */
#include "tensor/compute_state.h"
#ifdef SPOOR_DOUBLE
#include "tensor/ops.h"
#include <string.h>

struct compute_weight {
    spoor_context *ctx;
    int64_t n, k;
    real *values; /* [n,k] */
};

spoor_status compute_weight_new(spoor_context *ctx, const real *w, int64_t n, int64_t k, compute_precision precision,
                                compute_weight **out, spoor_error *err) {
    (void)precision;
    *out = NULL;
    compute_weight *p = ctx_calloc(ctx, 1, sizeof *p);
    real *values = p == NULL ? NULL : ctx_alloc(ctx, (size_t)(n * k), sizeof *values);
    if (values == NULL) {
        ctx_free(ctx, p);
        return error_memory(err, "laying out weights");
    }
    memcpy(values, w, (size_t)(n * k) * sizeof *values);
    *p = (compute_weight){ctx, n, k, values};
    *out = p;
    return SPOOR_OK;
}

void compute_weight_free(compute_weight *w) {
    if (w != NULL) {
        ctx_free(w->ctx, w->values);
        ctx_free(w->ctx, w);
    }
}

size_t compute_weight_bytes(const compute_weight *w) { return (size_t)(w->n * w->k) * sizeof *w->values; }

spoor_status compute_weight_apply(compute *c, unsigned worker, const compute_weight *w, int64_t m, const real *x,
                                  int64_t ldx, const real *bias, int act, real *y, int64_t ldy, spoor_error *err) {
    (void)worker;
    (void)err;
    const kernels *k = compute_kernels(c);
    for (int64_t i = 0; i < (ldx < w->k ? m : 1); i++) {
        int64_t rows = ldx < w->k ? 1 : m; /* rows that overlap go one by one */
        compute_gemm(&(gemm){.tb = true, .m = rows, .n = w->n, .k = w->k, .a = x + i * ldx,
                             .lda = ldx < w->k ? w->k : ldx, .b = w->values, .ldb = w->k, .c = y + i * ldy, .ldc = ldy});
    }
    for (int64_t i = 0; i < m; i++) {
        if (bias != NULL) {
            k->add_row(1, w->n, bias, y + i * ldy);
        }
        if (act != OP_ACT_NONE) {
            k->activate(act, w->n, y + i * ldy, y + i * ldy);
        }
    }
    return SPOOR_OK;
}

void compute_workers_free(spoor_context *ctx, compute_worker *workers, unsigned n) {
    (void)n;
    ctx_free(ctx, workers);
}
#endif
