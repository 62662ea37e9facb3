/* fitted.c: see fitted.h. */
#include "train/fitted.h"
#include "train/logistic.h"
#include <math.h>
#include <string.h>

enum { STREAM_COPY = 31, BLOCK = 64 };

typedef struct worker {
    compute *compute;
    tape *tape;
    frontend_scratch *scratch;
    augment_scratch *augment;
    float *samples, *features;
    spoor_error error;
} worker;

typedef struct fit {
    spoor_context *ctx;
    net *net;
    const fitted_options *o;
    augment_sources sources;
    worker *workers;
    int64_t rows[FRONTEND_MAX_PARTS];
    int64_t copies;                 /* the most that any member wants */
    int64_t own[NET_MAX_MEMBERS];   /* copies that a member's regressions, or its gate, need */
    float *pooled[NET_MAX_MEMBERS]; /* [(1 + own) * n_train, size] of fitted members, the clips themselves first; else
                                     * NULL */
    int64_t first; /* of the block of clips that is being pooled */
    uint8_t job[NET_MAX_MEMBERS * (NET_MAX_TASKS + 1)][2]; /* member and task of each regression; NET_MAX_TASKS: gate */
} fit;

/* The pooled vectors of one clip (copy 0) or of an augmented copy of it. */
static spoor_status pool_clip(fit *f, worker *w, size_t clip, size_t copy, spoor_error *err) {
    const fitted_options *o = f->o;
    size_t frames = frontend_frames(o->fe, o->window), dim = frontend_dim(o->fe), place = copy * o->d->n_train + clip;
    TRY(cache_crop(o->d->cache, clip, 0, w->samples, o->window, err));
    if (copy > 0) {
        rng random = rng_make(o->seed, STREAM_COPY);
        random = rng_make(rng_u64(&random), place);
        TRY(augment_apply(o->augment, w->augment, &f->sources, &random, w->samples, o->window, err));
    }
    TRY(frontend_compute(o->fe, w->scratch, w->samples, o->window, w->features, err));
    tape_begin(w->tape, false, false, 0);
    tensor *x = tape_view(w->tape, 3, (int64_t[]){1, (int64_t)frames, (int64_t)dim}, w->features);
    for (size_t m = 0; m < net_members(f->net); m++) {
        if (f->pooled[m] != NULL && (int64_t)copy <= f->own[m]) {
            tensor *v = net_member_pool(f->net, m, w->tape, x, f->rows);
            TRY(tape_status(w->tape, err));
            size_t size = (size_t)tensor_count(v);
            memcpy(f->pooled[m] + place * size, v->data, size * sizeof *v->data);
        }
    }
    return SPOOR_OK;
}

static void pool_item(void *arg, int64_t item, unsigned index) {
    fit *f = arg;
    worker *w = &f->workers[index];
    if (w->error.status == SPOOR_OK) {
        w->error.status = ctx_check_cancel(f->ctx, &w->error);
    }
    if (w->error.status == SPOOR_OK) {
        size_t n = f->o->d->n_train, at = (size_t)(f->first + item);
        w->error.status = pool_clip(f, w, at % n, at / n, &w->error);
    }
}

/* The first failure of a thread. */
static spoor_status failure(const fit *f, spoor_error *err) {
    for (unsigned i = 0; i < f->o->threads; i++) {
        if (f->workers[i].error.status != SPOOR_OK) {
            *err = f->workers[i].error;
            return err->status;
        }
    }
    return SPOOR_OK;
}

static spoor_status pool_clips(fit *f, pool *p, spoor_error *err) {
    int64_t total = (1 + f->copies) * (int64_t)f->o->d->n_train;
    for (f->first = 0; f->first < total; f->first += BLOCK) {
        int64_t n = total - f->first < BLOCK ? total - f->first : BLOCK;
        pool_run(p, n, pool_item, f);
        TRY(failure(f, err));
        ctx_progress(f->ctx, (uint64_t)(f->first + n), (uint64_t)total);
    }
    return SPOOR_OK;
}

/* Mean and variance over the first n rows into the member's norm, all x[rows, size] standardised as the norm will do it. */
static void standardise(const net_fit *to, float *x, size_t n, size_t rows) {
    size_t size = (size_t)tensor_count(to->mean);
    for (size_t c = 0; c < size; c++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)x[i * size + c];
        }
        float mean = (float)(sum / (double)n);
        for (size_t i = 0; i < n; i++) {
            squares += ((double)x[i * size + c] - (double)mean) * ((double)x[i * size + c] - (double)mean);
        }
        to->mean->data[c] = mean;
        to->var->data[c] = (float)(squares / (double)n);
        double scale = 1 / sqrt((double)to->var->data[c] + NET_NORM_EPS);
        for (size_t i = 0; i < rows; i++) {
            x[i * size + c] = (float)(((double)x[i * size + c] - (double)mean) * scale);
        }
    }
}

/* Which kind of human speech a clip is, that is, which of the lists with human training clips it stands in (the last
 * kind: all lists from there on), as a class behind the others. */
static spoor_status split_humans(const fit *f, const net_fit *to, size_t task, int32_t *label, spoor_error *err) {
    const dataset *d = f->o->d;
    int32_t classes = (int32_t)d->task[task].n_classes, human = (int32_t)to->human[task], kinds = 0;
    size_t n_lists = 0;
    for (size_t i = 0; i < d->n_train; i++) {
        size_t list = manifest_list(d->manifest, d->rows[i]);
        n_lists = list >= n_lists ? list + 1 : n_lists;
    }
    int32_t *kind = ctx_calloc(f->ctx, n_lists, sizeof *kind);
    if (kind == NULL) {
        return error_memory(err, "fitting logistic regressions");
    }
    for (size_t i = 0; i < d->n_train; i++) {
        kind[manifest_list(d->manifest, d->rows[i])] |= label[i] == human;
    }
    for (size_t i = 0; i < n_lists; i++) {
        kind[i] = kind[i] != 0 ? kinds++ : 0;
    }
    for (size_t i = 0; i < d->n_train * (size_t)(1 + f->copies); i++) {
        int32_t own = kind[manifest_list(d->manifest, d->rows[i % d->n_train])];
        own = own < (int32_t)to->kinds[task] ? own : (int32_t)to->kinds[task] - 1;
        label[i] = label[i] == human && own > 0 ? classes + own - 1 : label[i];
    }
    ctx_free(f->ctx, kind);
    return kinds >= (int32_t)to->kinds[task]
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "network: humans: %lld, but the human training clips stand in %d of "
                           "data.manifests", (long long)to->kinds[task], (int)kinds);
}

/* The regression of one task of one member. label: [(1 + copies) n_train], scratch. */
static spoor_status fit_task(const fit *f, size_t m, size_t task, int32_t *label, spoor_error *err) {
    const dataset *d = f->o->d;
    net_fit to;
    (void)net_fit_at(f->net, m, &to);
    size_t n = d->n_train, rows = n * (size_t)(1 + to.copies);
    for (size_t i = 0; i < n * (size_t)(1 + f->copies); i++) {
        label[i] = d->task[task].label[i % n];
    }
    TRY(to.kinds[task] > 1 ? split_humans(f, &to, task, label, err) : SPOOR_OK);
    logistic_problem p = {.x = f->pooled[m], .label = label, .n = (int64_t)rows, .d = tensor_count(to.mean),
                          .classes = (int64_t)d->task[task].n_classes + to.kinds[task] - 1, .l2 = to.l2};
    return logistic_fit(f->ctx, &p, to.weight[task]->data, to.bias[task]->data, err);
}

/* Clips as they are against as many augmented copies of them: the difference of the two classes' rows is the gate. */
static spoor_status fit_gate(const fit *f, size_t m, int32_t *label, spoor_error *err) {
    net_fit to;
    (void)net_fit_at(f->net, m, &to);
    int64_t n = (int64_t)f->o->d->n_train, d = tensor_count(to.mean);
    for (int64_t i = 0; i < 2 * n; i++) {
        label[i] = i >= n;
    }
    float *w = ctx_alloc(f->ctx, 2 * (size_t)d, sizeof *w), b[2];
    if (w == NULL) {
        return error_memory(err, "fitting logistic regressions");
    }
    logistic_problem p = {.x = f->pooled[m], .label = label, .n = 2 * n, .d = d, .classes = 2, .l2 = to.l2};
    spoor_status status = logistic_fit(f->ctx, &p, w, b, err);
    for (int64_t c = 0; c < d && status == SPOOR_OK; c++) {
        to.gate_weight->data[c] = w[c] - w[d + c];
        to.gate_bias->data[0] = b[0] - b[1];
    }
    ctx_free(f->ctx, w);
    return status;
}

static void fit_item(void *arg, int64_t item, unsigned index) {
    fit *f = arg;
    worker *w = &f->workers[index];
    if (w->error.status != SPOOR_OK) {
        return;
    }
    int32_t *label = ctx_alloc(f->ctx, f->o->d->n_train, (size_t)(1 + f->copies) * sizeof *label);
    size_t m = f->job[item][0], task = f->job[item][1];
    w->error.status = label == NULL            ? error_memory(&w->error, "fitting logistic regressions")
                      : task == NET_MAX_TASKS ? fit_gate(f, m, label, &w->error)
                                               : fit_task(f, m, task, label, &w->error);
    ctx_free(f->ctx, label);
}

static spoor_status fit_members(fit *f, pool *p, spoor_error *err) {
    int64_t jobs = 0;
    for (size_t m = 0; m < net_members(f->net); m++) {
        net_fit to;
        if (!net_fit_at(f->net, m, &to)) {
            continue;
        }
        size_t n = f->o->d->n_train;
        standardise(&to, f->pooled[m], n * (size_t)(1 + to.copies), n * (size_t)(1 + f->own[m]));
        if (to.gate_weight != NULL) {
            f->job[jobs][0] = (uint8_t)m;
            f->job[jobs++][1] = NET_MAX_TASKS;
        }
        for (size_t k = 0; k < f->o->d->n_tasks; k++) {
            if (to.weight[k] != NULL) { /* else another member's */
                f->job[jobs][0] = (uint8_t)m;
                f->job[jobs++][1] = (uint8_t)k;
            }
        }
    }
    ctx_log(f->ctx, SPOOR_LOG_INFO, "fitting %lld logistic regressions", (long long)jobs);
    pool_run(p, jobs, fit_item, f);
    return failure(f, err);
}

static spoor_status make_worker(fit *f, worker *w, spoor_error *err) {
    const fitted_options *o = f->o;
    w->samples = ctx_alloc(f->ctx, o->window, sizeof *w->samples);
    w->features = ctx_alloc(f->ctx, frontend_frames(o->fe, o->window), frontend_dim(o->fe) * sizeof *w->features);
    if (w->samples == NULL || w->features == NULL) {
        return error_memory(err, "fitting logistic regressions");
    }
    TRY(compute_new(f->ctx, 1, &w->compute, err));
    TRY(tape_new(f->ctx, w->compute, &w->tape, err));
    TRY(frontend_scratch_new(o->fe, &w->scratch, err));
    return augment_scratch_new(o->augment, &w->augment, err);
}

static spoor_status make(fit *f, spoor_error *err) {
    const fitted_options *o = f->o;
    frontend_part_rows(o->fe, o->window, f->rows);
    f->workers = ctx_calloc(f->ctx, o->threads, sizeof *f->workers);
    bool good = f->workers != NULL;
    for (size_t m = 0; good && m < net_members(f->net); m++) {
        net_fit to;
        if (net_fit_at(f->net, m, &to)) {
            f->own[m] = to.gate_weight != NULL && to.copies == 0 ? 1 : to.copies;
            f->copies = f->own[m] > f->copies ? f->own[m] : f->copies;
            size_t rows = o->d->n_train * (size_t)(1 + f->own[m]);
            f->pooled[m] = ctx_alloc(f->ctx, rows, (size_t)tensor_count(to.mean) * sizeof **f->pooled);
            good = f->pooled[m] != NULL;
        }
    }
    for (unsigned i = 0; good && i < o->threads; i++) {
        TRY(make_worker(f, &f->workers[i], err));
    }
    return good ? SPOOR_OK : error_memory(err, "fitting logistic regressions");
}

static void unmake(fit *f) {
    for (unsigned i = 0; f->workers != NULL && i < f->o->threads; i++) {
        worker *w = &f->workers[i];
        augment_scratch_free(w->augment);
        frontend_scratch_free(w->scratch);
        tape_free(w->tape);
        compute_free(w->compute);
        ctx_free(f->ctx, w->samples);
        ctx_free(f->ctx, w->features);
    }
    ctx_free(f->ctx, f->workers);
    for (size_t m = 0; m < NET_MAX_MEMBERS; m++) {
        ctx_free(f->ctx, f->pooled[m]);
    }
}

spoor_status fitted_run(spoor_context *ctx, net *n, const fitted_options *options, spoor_error *err) {
    if (!net_fits(n)) {
        return SPOOR_OK;
    }
    fit f = {.ctx = ctx, .net = n, .o = options, .sources = {options->d->n_train, options->d->cache, cache_round}};
    spoor_error local = {0};
    spoor_error *e = err == NULL ? &local : err;
    pool *p = NULL;
    spoor_status status = make(&f, e);
    if (status == SPOOR_OK) {
        status = pool_new(ctx, options->threads, &p, e);
    }
    if (status == SPOOR_OK) {
        status = pool_clips(&f, p, e);
    }
    if (status == SPOOR_OK) {
        status = fit_members(&f, p, e);
    }
    pool_free(p);
    unmake(&f);
    return status;
}
