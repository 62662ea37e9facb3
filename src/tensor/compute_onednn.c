/* compute_onednn.c: the compute engine and products of plain matrices, by oneDNN; see compute.h.
 * dnnl_sgemm is used rather than matmul primitives: measured within 10 % of the packed primitive on the sizes of the
 * networks here (faster for weight gradients), and it needs no creation, cache or scratch per shape.
 * The double build has its own loop instead of oneDNN. */
#include "tensor/compute_state.h"
#include <string.h>

spoor_status compute_new(spoor_context *ctx, unsigned threads, compute **out, spoor_error *err) {
    *out = NULL;
    compute *c = ctx_calloc(ctx, 1, sizeof *c);
    if (c == NULL) {
        return error_memory(err, "starting the compute engine");
    }
    c->ctx = ctx;
    c->kernels = kernels_choose();
    spoor_status status = pool_new(ctx, threads, &c->pool, err);
    if (status == SPOOR_OK) {
        c->workers = ctx_calloc(ctx, compute_threads(c), sizeof *c->workers);
        status = c->workers == NULL ? error_memory(err, "starting the compute engine") : SPOOR_OK;
    }
    if (status != SPOOR_OK) {
        compute_free(c);
        return status;
    }
    *out = c;
    return SPOOR_OK;
}

void compute_free(compute *c) {
    if (c != NULL) {
        if (c->workers != NULL) {
            compute_workers_free(c->ctx, c->workers, compute_threads(c));
        }
        pool_free(c->pool);
        ctx_free(c->ctx, c);
    }
}

unsigned compute_threads(const compute *c) { return pool_threads(c->pool); }
const kernels *compute_kernels(const compute *c) { return c->kernels; }
void compute_for(compute *c, int64_t n, pool_fn fn, void *arg) { pool_run(c->pool, n, fn, arg); }

void compute_watch(compute *c, compute_watch_fn watch, void *user) {
    c->watch = watch;
    c->watcher = user;
}

int64_t compute_items(int64_t rows) {
    int64_t items = rows / 512;
    return items < 1 ? 1 : items > 16 ? 16 : items;
}

static void prefill(const gemm *g) {
    for (int64_t i = 0; i < g->m; i++) {
        real *row = g->c + i * g->ldc;
        if (g->bias != NULL) {
            if (g->accumulate) {
                for (int64_t j = 0; j < g->n; j++) {
                    row[j] += g->bias[j];
                }
            } else {
                memcpy(row, g->bias, (size_t)g->n * sizeof *row);
            }
        } else if (!g->accumulate) {
            memset(row, 0, (size_t)g->n * sizeof *row);
        }
    }
}

/* C += op(A) * op(B) by the definition: the double build, and whatever oneDNN refuses (a row stride below the row's
 * length, say). */
static void add_product(const gemm *g) {
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t p = 0; p < g->k; p++) {
            real a = g->ta ? g->a[p * g->lda + i] : g->a[i * g->lda + p];
            for (int64_t j = 0; j < g->n; j++) {
                g->c[i * g->ldc + j] += a * (g->tb ? g->b[j * g->ldb + p] : g->b[p * g->ldb + j]);
            }
        }
    }
}

#ifdef SPOOR_DOUBLE

void compute_gemm(const gemm *g) {
    prefill(g);
    add_product(g);
}

#else
#include <oneapi/dnnl/dnnl.h>

/* oneDNN threads with OpenMP; parallelism here is over items, so each product must stay on its thread.
 * The setting is per thread and is put back, because the caller's program may use OpenMP itself. */
int omp_get_max_threads(void);
void omp_set_num_threads(int n);

void compute_gemm(const gemm *g) {
    bool fill = g->bias != NULL || g->k == 0;
    if (fill) {
        prefill(g);
    }
    if (g->m == 0 || g->n == 0 || g->k == 0) {
        return;
    }
    int before = omp_get_max_threads();
    if (before != 1) {
        omp_set_num_threads(1);
    }
    float beta = fill || g->accumulate ? 1.0f : 0.0f;
    dnnl_status_t status =
        dnnl_sgemm(g->ta ? 'T' : 'N', g->tb ? 'T' : 'N', g->m, g->n, g->k, 1.0f, g->a, g->lda, g->b, g->ldb, beta,
                     g->c, g->ldc);
    if (status != dnnl_success) {
        if (!fill) {
            prefill(g);
        }
        add_product(g);
    }
    if (before != 1) {
        omp_set_num_threads(before);
    }
}
#endif
