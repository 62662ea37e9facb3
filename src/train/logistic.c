/* logistic.c: see logistic.h. */
#include "train/logistic.h"
#include <lbfgs.h>
#include <math.h>
#include <string.h>

enum { LOGISTIC_ITERATIONS = 200, LOGISTIC_EXACT_ITERATIONS = 2000, LOGISTIC_MEMORY = 10 };

typedef struct work {
    spoor_context *ctx;
    const logistic_problem *p;
    int64_t used;   /* labelled rows */
    float *w, *dw;  /* [classes, d] */
    float *logits;  /* [n, classes] */
    bool cancelled;
} work;

/* logits of one row to its cross-entropy and the slope (softmax - one-hot) / used; a row without a label to zeros. */
static double row_loss(float *row, int64_t classes, int32_t label, double share) {
    double top = -INFINITY, sum = 0;
    if (label < 0) {
        memset(row, 0, (size_t)classes * sizeof *row);
        return 0;
    }
    for (int64_t c = 0; c < classes; c++) {
        top = (double)row[c] > top ? (double)row[c] : top;
    }
    for (int64_t c = 0; c < classes; c++) {
        sum += exp((double)row[c] - top);
    }
    double loss = top + log(sum) - (double)row[label];
    for (int64_t c = 0; c < classes; c++) {
        row[c] = (float)(share * (exp((double)row[c] - top) / sum - (c == label)));
    }
    return share * loss;
}

/* x: W row by row, then b. */
static lbfgsfloatval_t evaluate(void *instance, const lbfgsfloatval_t *x, lbfgsfloatval_t *g, const int n,
                                const lbfgsfloatval_t step) {
    (void)n;
    (void)step;
    work *s = instance;
    const logistic_problem *p = s->p;
    int64_t weights = p->classes * p->d;
    double value = 0, share = 1 / (double)s->used;
    for (int64_t i = 0; i < weights; i++) {
        s->w[i] = (float)x[i];
    }
    compute_gemm(&(gemm){.tb = true, .m = p->n, .n = p->classes, .k = p->d, .a = p->x, .lda = p->d, .b = s->w,
                         .ldb = p->d, .c = s->logits, .ldc = p->classes});
    for (int64_t c = 0; c < p->classes; c++) {
        g[weights + c] = 0;
    }
    for (int64_t i = 0; i < p->n; i++) {
        float *row = s->logits + i * p->classes;
        for (int64_t c = 0; c < p->classes; c++) {
            row[c] += (float)x[weights + c];
        }
        value += row_loss(row, p->classes, p->label[i], share);
        for (int64_t c = 0; c < p->classes; c++) {
            g[weights + c] += (double)row[c];
        }
    }
    compute_gemm(&(gemm){.ta = true, .m = p->classes, .n = p->d, .k = p->n, .a = s->logits, .lda = p->classes,
                         .b = p->x,
                         .ldb = p->d, .c = s->dw, .ldc = p->d});
    for (int64_t i = 0; i < weights; i++) {
        value += 0.5 * p->l2 * x[i] * x[i];
        g[i] = (double)s->dw[i] + p->l2 * x[i];
    }
    return value;
}

static int watch(void *instance, const lbfgsfloatval_t *x, const lbfgsfloatval_t *g, const lbfgsfloatval_t fx,
                 const lbfgsfloatval_t xnorm, const lbfgsfloatval_t gnorm, const lbfgsfloatval_t step, int n, int k,
                 int ls) {
    (void)x, (void)g, (void)fx, (void)xnorm, (void)gnorm, (void)step, (void)n, (void)k, (void)ls;
    work *s = instance;
    s->cancelled = ctx_check_cancel(s->ctx, NULL) != SPOOR_OK;
    return s->cancelled;
}

static spoor_status minimise(work *s, lbfgsfloatval_t *x, int n, spoor_error *err) {
    lbfgs_parameter_t o;
    lbfgs_parameter_init(&o);
    o.m = LOGISTIC_MEMORY;
    o.max_iterations = LOGISTIC_ITERATIONS;
    o.epsilon = 1e-4;
    o.past = 5;
    o.delta = 1e-6;
    if (s->p->tolerance > 0) {
        o.epsilon = s->p->tolerance;
        o.past = 0;
        o.max_iterations = LOGISTIC_EXACT_ITERATIONS;
    }
    int end = lbfgs(n, x, NULL, evaluate, watch, s, &o);
    if (s->cancelled) {
        return ctx_check_cancel(s->ctx, err);
    }
    if (end == LBFGSERR_OUTOFMEMORY) {
        return error_memory(err, "fitting a logistic regression");
    }
    return SPOOR_OK; /* where the line search ends at the limit of precision, x is the best point found */
}

spoor_status logistic_fit(spoor_context *ctx, const logistic_problem *p, float *w, float *b, spoor_error *err) {
    int64_t weights = p->classes * p->d, n = weights + p->classes;
    work s = {.ctx = ctx, .p = p};
    memset(w, 0, (size_t)weights * sizeof *w);
    memset(b, 0, (size_t)p->classes * sizeof *b);
    for (int64_t i = 0; i < p->n; i++) {
        s.used += p->label[i] >= 0;
    }
    if (s.used == 0 || n == 0) {
        return SPOOR_OK;
    }
    if (n > INT32_MAX / 2) {
        return error_set(err, SPOOR_ERR_LIMIT, "a logistic regression with %lld weights is too large", (long long)n);
    }
    lbfgsfloatval_t *x = lbfgs_malloc((int)n);
    s.w = ctx_alloc(ctx, (size_t)weights, sizeof *s.w);
    s.dw = ctx_alloc(ctx, (size_t)weights, sizeof *s.dw);
    s.logits = ctx_alloc(ctx, (size_t)p->n, (size_t)p->classes * sizeof *s.logits);
    spoor_status status = SPOOR_OK;
    if (x == NULL || s.w == NULL || s.dw == NULL || s.logits == NULL) {
        status = error_memory(err, "fitting a logistic regression");
    } else {
        memset(x, 0, (size_t)n * sizeof *x);
        status = minimise(&s, x, (int)n, err);
    }
    for (int64_t i = 0; status == SPOOR_OK && i < n; i++) {
        *(i < weights ? w + i : b + (i - weights)) = (float)x[i];
    }
    if (x != NULL) {
        lbfgs_free(x);
    }
    ctx_free(ctx, s.w);
    ctx_free(ctx, s.dw);
    ctx_free(ctx, s.logits);
    return status;
}
