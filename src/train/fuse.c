/* fuse.c: the logistic part of fuse.h; averages are in fuse_average.c. */
#include "train/fuse.h"
#include "base/logsum.h"
#include "base/pool.h"
#include "trace/trace.h"
#include "train/logistic.h"
#include <math.h>
#include <string.h>

#define TOLERANCE 1e-6 /* unit embeddings have small numbers: the default would end before weak penalties tell */

void fuse_options_init(fuse_options *o) {
    *o = (fuse_options){.l2 = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1}, .n_l2 = 6, .threads = 1};
}

/* ---- one task ---- */

typedef struct attempt {
    float *w, *b, *logits; /* logits: [n_dev, classes] */
    fuse_try result;
    spoor_error error;
} attempt;

typedef struct search {
    spoor_context *ctx;
    const fuse_rows *train, *dev;
    const fuse_options *o;
    size_t d, classes, first;
    attempt *attempts; /* [n_l2] */
} search;

static double row_nll(const float *x, size_t n, int32_t label, bool *right) {
    size_t best = 0;
    for (size_t c = 0; c < n; c++) {
        best = x[c] > x[best] ? c : best;
    }
    *right = (int32_t)best == label;
    return log_sum_exp(x, n, -1, 1) - (double)x[label];
}

/* Mean cross-entropy and accuracy over the rows with a label. */
static void judge(const float *logits, const int32_t *label, size_t n, size_t classes, fuse_try *out) {
    double nll = 0;
    size_t count = 0, hits = 0;
    for (size_t i = 0; i < n; i++) {
        bool right;
        if (label[i] >= 0) {
            nll += row_nll(logits + i * classes, classes, label[i], &right);
            hits += right;
            count++;
        }
    }
    out->nll = count > 0 ? nll / (double)count : NAN;
    out->accuracy = count > 0 ? (double)hits / (double)count : NAN;
}

/* logits[n, classes] = x w' + b */
static void apply(const float *x, size_t n, size_t d, const float *w, const float *b, size_t classes, float *logits,
                  size_t stride) {
    compute_gemm(&(gemm){.tb = true,
                         .m = (int64_t)n,
                         .n = (int64_t)classes,
                         .k = (int64_t)d,
                         .a = x,
                         .lda = (int64_t)d,
                         .b = w,
                         .ldb = (int64_t)d,
                         .c = logits,
                         .ldc = (int64_t)stride});
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < classes; c++) {
            logits[i * stride + c] += b[c];
        }
    }
}

static void try_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    search *s = arg;
    size_t i = s->first + (size_t)item;
    attempt *a = &s->attempts[i];
    logistic_problem p = {.x = s->train->x, .label = s->train->label, .n = (int64_t)s->train->n, .d = (int64_t)s->d,
                          .classes = (int64_t)s->classes, .l2 = s->o->l2[i], .tolerance = TOLERANCE};
    a->error.status = logistic_fit(s->ctx, &p, a->w, a->b, &a->error);
    a->result = (fuse_try){.l2 = s->o->l2[i]};
    if (a->error.status == SPOOR_OK && s->dev->n > 0) {
        apply(s->dev->x, s->dev->n, s->d, a->w, a->b, s->classes, a->logits, s->classes);
    }
    judge(a->logits, s->dev->label, s->dev->n, s->classes, &a->result);
}

static bool make_attempts(search *s) {
    s->attempts = ctx_calloc(s->ctx, s->o->n_l2, sizeof *s->attempts);
    bool good = s->attempts != NULL;
    for (size_t i = 0; good && i < s->o->n_l2; i++) {
        attempt *a = &s->attempts[i];
        a->w = ctx_alloc(s->ctx, s->classes, s->d * sizeof *a->w);
        a->b = ctx_alloc(s->ctx, s->classes, sizeof *a->b);
        a->logits = ctx_alloc(s->ctx, s->dev->n, s->classes * sizeof *a->logits);
        good = a->w != NULL && a->b != NULL && a->logits != NULL;
    }
    return good;
}

static void free_attempts(search *s) {
    for (size_t i = 0; s->attempts != NULL && i < s->o->n_l2; i++) {
        ctx_free(s->ctx, s->attempts[i].w);
        ctx_free(s->ctx, s->attempts[i].b);
        ctx_free(s->ctx, s->attempts[i].logits);
    }
    ctx_free(s->ctx, s->attempts);
}

static spoor_status try_all(search *s, spoor_error *err) {
    pool *p = NULL;
    if (!make_attempts(s)) {
        return error_memory(err, "fitting a fusion");
    }
    TRY(pool_new(s->ctx, s->o->threads, &p, err));
    spoor_status status = SPOOR_OK;
    for (; s->first < s->o->n_l2 && status == SPOOR_OK; s->first += s->o->threads) {
        size_t block = s->o->n_l2 - s->first < s->o->threads ? s->o->n_l2 - s->first : s->o->threads;
        pool_run(p, (int64_t)block, try_one, s);
        for (size_t i = s->first; i < s->first + block && status == SPOOR_OK; i++) {
            status = s->attempts[i].error.status;
            if (status != SPOOR_OK && err != NULL) {
                *err = s->attempts[i].error;
            }
        }
    }
    pool_free(p);
    return status;
}

/* The strength with the least cross-entropy on dev; of equal ones the greatest. */
static size_t best_of(const search *s, bool labelled) {
    size_t best = labelled ? 0 : s->o->n_l2 / 2;
    for (size_t i = 1; labelled && i < s->o->n_l2; i++) {
        const fuse_try *a = &s->attempts[i].result, *b = &s->attempts[best].result;
        best = a->nll < b->nll || (a->nll == b->nll && a->l2 > b->l2) ? i : best;
    }
    return best;
}

static size_t labelled(const fuse_rows *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        n += r->label[i] >= 0;
    }
    return n;
}

spoor_status fuse_fit_task(spoor_context *ctx, const char *name, const fuse_rows *train, const fuse_rows *dev, size_t d,
                           size_t classes, const fuse_options *o, float *w, float *b, fuse_fit *out, spoor_error *err) {
    *out = (fuse_fit){.n_tries = o->n_l2, .n_train = labelled(train), .n_dev = labelled(dev)};
    if (out->n_train == 0) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "no train clip has a known class of the task %.64s, so that its scores cannot be fused", name);
    }
    if (out->n_dev == 0 && o->n_l2 > 1) {
        ctx_log(ctx, SPOOR_LOG_WARN,
                "dev has no clip with a known class of the task %s: its L2 strength is %g, not chosen", name,
                o->l2[o->n_l2 / 2]);
    }
    search s = {.ctx = ctx, .train = train, .dev = dev, .o = o, .d = d, .classes = classes};
    spoor_status status = try_all(&s, err);
    if (status == SPOOR_OK) {
        out->best = best_of(&s, out->n_dev > 0);
        memcpy(w, s.attempts[out->best].w, classes * d * sizeof *w);
        memcpy(b, s.attempts[out->best].b, classes * sizeof *b);
        for (size_t i = 0; i < o->n_l2; i++) {
            out->tries[i] = s.attempts[i].result;
        }
    }
    free_attempts(&s);
    return status;
}

/* ---- models ---- */

void fuse_labels(const fuse_clips *clips, size_t task, int32_t *label) {
    for (size_t i = 0; i < clips->labels->n; i++) {
        bool failed = clips->failed != NULL && clips->failed[i].status != SPOOR_OK;
        label[i] = failed ? -1 : clips->labels->clip[i].label[task];
    }
}

spoor_status fuse_fit_model(spoor_model *m, const fuse_clips *train, const fuse_clips *dev, const fuse_options *o,
                            fuse_fit *out, spoor_error *err) {
    size_t d = (size_t)net_embedding_size(m->net);
    int32_t *label = ctx_alloc(m->ctx, train->labels->n + dev->labels->n, sizeof *label);
    spoor_status status = label == NULL ? error_memory(err, "fitting a fusion") : SPOOR_OK;
    for (size_t k = 0; k < m->n_tasks && status == SPOOR_OK; k++) {
        tensor *w, *b;
        if (!net_fusion_head(m->net, k, &w, &b)) {
            status = error_set(err, SPOOR_ERR_USAGE, "the model has no fusion to fit");
            break;
        }
        fuse_labels(train, k, label);
        fuse_labels(dev, k, label + train->labels->n);
        fuse_rows rows = {train->embedding, label, train->labels->n};
        fuse_rows others = {dev->embedding, label + train->labels->n, dev->labels->n};
        status = fuse_fit_task(m->ctx, m->tasks[k].name, &rows, &others, d, m->tasks[k].n_classes, o, w->data, b->data,
                               &out[k], err);
    }
    ctx_free(m->ctx, label);
    return status;
}

spoor_status fuse_logits(spoor_model *m, size_t n, const float *embedding, float *logits, spoor_error *err) {
    size_t width = trace_logits_size(m), d = (size_t)net_embedding_size(m->net);
    for (size_t k = 0; n > 0 && k < m->n_tasks; k++) {
        tensor *w, *b;
        if (net_fusion_head(m->net, k, &w, &b)) {
            apply(embedding, n, d, w->data, b->data, m->tasks[k].n_classes, logits + model_offset(m, k), width);
        }
    }
    for (size_t i = 0; i < n; i++) {
        TRY(model_derive(m, logits + i * width, err));
    }
    return SPOOR_OK;
}
