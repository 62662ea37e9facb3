/* extract_run.c: recordings through a front end into a store, on several threads; see extract.h. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "base/io.h"
#include "cli/extract.h"
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { STREAM_COPY = 31, RING = 4096 };
#define MOST_WAITING ((size_t)512 << 20) /* bytes of results that wait for an earlier one */
#define FLUSH_SECONDS 2.0                /* what a kill can lose */

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void extract_clear(extraction *x) {
    for (size_t i = 0; i < x->n_failures; i++) {
        ctx_free(x->ctx, x->failures[i]);
    }
    ctx_free(x->ctx, x->failures);
    ctx_free(x->ctx, x->audio);
    ctx_free(x->ctx, x->seconds);
    ctx_free(x->ctx, x->broken);
    ctx_free(x->ctx, x->jobs);
}

static spoor_status add_failure(extraction *x, const char *path, const spoor_error *why, spoor_error *err) {
    bool named = strstr(why->message, path) != NULL;
    char *text = named ? ctx_strdup(x->ctx, why->message) : ctx_printf(x->ctx, "%s: %s", path, why->message);
    if (!text ||
        !ctx_grow(x->ctx, (void **)&x->failures, &x->failures_capacity, x->n_failures + 1, sizeof *x->failures)) {
        ctx_free(x->ctx, text);
        return error_memory(err, "listing failures");
    }
    x->failures[x->n_failures++] = text;
    return SPOOR_OK;
}

static void key_of(const extraction *x, size_t clip, uint64_t copy, const char chain[65], store_key *key) {
    store_copy c = {.seed = x->seed, .number = copy};
    memcpy(c.chain, chain, sizeof c.chain);
    store_key_make(x->store, x->audio[clip], copy > 0 ? &c : NULL, key);
}

static spoor_status chain_hash(const extraction *x, char hex[65], spoor_error *err) {
    memset(hex, 0, 65);
    return x->chain ? store_chain_hash(augment_config(x->chain), hex, err) : SPOOR_OK;
}

/* ---- what is missing ---- */

enum { PLAN_BLOCK = 64 }; /* recordings between two looks at Ctrl-C */

typedef struct planning {
    extraction *x;
    char chain[65];
    unsigned char *there; /* [n, copies + 1] */
    size_t first;
    spoor_error errors[PLAN_BLOCK];
} planning;

static spoor_status load(const extraction *x, size_t clip, float **samples, size_t *n, spoor_error *err) {
    *samples = NULL;
    *n = 0;
    spoor_audio *audio;
    TRY(spoor_audio_open(x->ctx, x->paths[clip], NULL, &audio, err));
    spoor_status status = audio_follow_silence(audio, x->silence, err);
    if (status == SPOOR_OK) {
        status = audio_load_open(audio, samples, n, err);
    }
    spoor_audio_free(audio);
    return status;
}

/* By the header, silences included; where that does not say, by decoding. */
static spoor_status length_of(extraction *x, size_t clip, spoor_error *err) {
    spoor_audio *audio;
    TRY(spoor_audio_open(x->ctx, x->paths[clip], NULL, &audio, err));
    x->seconds[clip] = audio_get_info(audio).seconds;
    spoor_audio_free(audio);
    if (x->seconds[clip] < 0) {
        float *samples;
        size_t n;
        TRY(load(x, clip, &samples, &n, err));
        x->seconds[clip] = (double)n / AUDIO_RATE;
        ctx_free(x->ctx, samples);
    }
    return SPOOR_OK;
}

static void plan_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    planning *p = arg;
    extraction *x = p->x;
    size_t clip = p->first + (size_t)item;
    spoor_error *err = &p->errors[item];
    uint64_t missing = 0;
    err->status = io_sha256_file(x->paths[clip], x->audio[clip], err);
    if (err->status == SPOOR_OK && x->silence) {
        audio_silence_identity(x->silence, x->audio[clip]);
    }
    for (uint64_t copy = 0; err->status == SPOOR_OK && copy <= x->copies; copy++) {
        store_key key;
        bool there = false;
        if (x->store) {
            key_of(x, clip, copy, p->chain, &key);
            there = store_frames(x->store, &key) > 0;
        }
        p->there[clip * (x->copies + 1) + copy] = there;
        missing += !there;
    }
    if (err->status == SPOOR_OK && missing > 0) {
        err->status = length_of(x, clip, err);
    }
}

static spoor_status plan_block(planning *p, size_t n, spoor_error *err) {
    extraction *x = p->x;
    pool_run(x->pool, (int64_t)n, plan_one, p);
    TRY(ctx_check_cancel(x->ctx, err));
    for (size_t i = 0; i < n; i++) {
        x->broken[p->first + i] = p->errors[i].status != SPOOR_OK;
        if (p->errors[i].status != SPOOR_OK) {
            TRY(add_failure(x, x->paths[p->first + i], &p->errors[i], err));
        }
    }
    ctx_progress(x->ctx, p->first + n, x->n);
    return SPOOR_OK;
}

static spoor_status list_jobs(extraction *x, const unsigned char *there, spoor_error *err) {
    uint64_t each = x->copies + 1;
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        for (uint64_t copy = 0; copy < each && !x->broken[i]; copy++) {
            n += !there[i * each + copy];
            x->there += there[i * each + copy];
        }
    }
    x->jobs = ctx_alloc(x->ctx, n, sizeof *x->jobs);
    if (!x->jobs) {
        return error_memory(err, "planning an extraction");
    }
    for (size_t i = 0; i < x->n; i++) {
        size_t before = x->n_jobs;
        for (uint64_t copy = 0; copy < each && !x->broken[i]; copy++) {
            if (!there[i * each + copy]) {
                x->jobs[x->n_jobs++] = i * each + copy;
                x->frames += frontend_frames(x->fe, (size_t)llround(x->seconds[i] * AUDIO_RATE));
                x->todo += x->seconds[i];
            }
        }
        x->length += x->n_jobs > before ? x->seconds[i] : 0;
    }
    return SPOOR_OK;
}

spoor_status extract_plan(extraction *x, spoor_error *err) {
    x->audio = ctx_calloc(x->ctx, x->n, sizeof *x->audio);
    x->seconds = ctx_calloc(x->ctx, x->n, sizeof *x->seconds);
    x->broken = ctx_calloc(x->ctx, x->n, 1);
    planning *p = ctx_calloc(x->ctx, 1, sizeof *p);
    unsigned char *there = ctx_calloc(x->ctx, x->n, (size_t)x->copies + 1);
    spoor_status status = SPOOR_OK;
    if (!x->audio || !x->seconds || !x->broken || !p || !there) {
        status = error_memory(err, "planning an extraction");
    } else {
        p->x = x;
        p->there = there;
        x->stage(x->user, "looking", "recordings");
        status = chain_hash(x, p->chain, err);
        for (; status == SPOOR_OK && p->first < x->n; p->first += PLAN_BLOCK) {
            status = plan_block(p, x->n - p->first < PLAN_BLOCK ? x->n - p->first : PLAN_BLOCK, err);
        }
    }
    if (status == SPOOR_OK) {
        status = list_jobs(x, there, err);
    }
    ctx_free(x->ctx, p);
    ctx_free(x->ctx, there);
    return status;
}

/* ---- one recording ---- */

typedef struct worker {
    frontend_scratch *frontend;
    augment_scratch *augment;
} worker;

typedef struct result {
    float *rows;
    size_t frames;
    spoor_error error;
    bool ready;
} result;

static spoor_status make_workers(const extraction *x, worker **out, spoor_error *err) {
    *out = ctx_calloc(x->ctx, pool_threads(x->pool), sizeof **out);
    if (!*out) {
        return error_memory(err, "starting an extraction");
    }
    for (unsigned i = 0; i < pool_threads(x->pool); i++) {
        TRY(frontend_scratch_new(x->fe, &(*out)[i].frontend, err));
        if (x->chain) {
            TRY(augment_scratch_new(x->chain, &(*out)[i].augment, err));
        }
    }
    return SPOOR_OK;
}

static void free_workers(const extraction *x, worker *w) {
    for (unsigned i = 0; w && i < pool_threads(x->pool); i++) {
        frontend_scratch_free(w[i].frontend);
        augment_scratch_free(w[i].augment);
    }
    ctx_free(x->ctx, w);
}

/* The random numbers of a copy depend on the seed, the recording's bytes and the copy's number, on nothing else. */
static spoor_status augment_copy(const extraction *x, const worker *w, size_t clip, uint64_t copy, float *samples,
                                 size_t n, spoor_error *err) {
    rng r = rng_make(x->seed, STREAM_COPY);
    r = rng_make(rng_u64(&r), io_sha256_number(x->audio[clip]));
    r = rng_make(rng_u64(&r), copy);
    return augment_apply(x->chain, w->augment, NULL, &r, samples, n, err);
}

static void compute_job(const extraction *x, const worker *w, uint64_t job, result *r) {
    size_t clip = (size_t)(job / (x->copies + 1)), n = 0;
    uint64_t copy = job % (x->copies + 1);
    spoor_error *err = &r->error;
    float *samples = NULL;
    *r = (result){0};
    err->status = load(x, clip, &samples, &n, err);
    if (err->status == SPOOR_OK && n == 0) {
        err->status = error_set(err, SPOOR_ERR_INPUT, "%s has no sound in it", x->paths[clip]);
    }
    if (err->status == SPOOR_OK && copy > 0) {
        err->status = augment_copy(x, w, clip, copy, samples, n, err);
    }
    if (err->status == SPOOR_OK) {
        r->frames = frontend_frames(x->fe, n);
        r->rows = ctx_alloc(x->ctx, r->frames, frontend_dim(x->fe) * sizeof *r->rows);
        err->status = r->rows ? frontend_compute(x->fe, w->frontend, samples, n, r->rows, err)
                              : error_memory(err, "computing features");
    }
    ctx_free(x->ctx, samples);
    if (err->status != SPOOR_OK) {
        ctx_free(x->ctx, r->rows);
        r->rows = NULL;
        r->frames = 0;
    }
}

/* ---- how long ---- */

typedef struct measuring {
    extraction *x;
    worker *workers;
    size_t step, first;
} measuring;

static void measure_one(void *arg, int64_t item, unsigned index) {
    measuring *m = arg;
    result r;
    compute_job(m->x, &m->workers[index], m->x->jobs[m->first + (size_t)item * m->step], &r);
    ctx_free(m->x->ctx, r.rows);
}

/* A round to warm up (its time counts where it is long already), and one to measure, on recordings spread over the
 * list. */
spoor_status extract_measure(extraction *x, double *seconds, spoor_error *err) {
    size_t threads = pool_threads(x->pool), round = 2 * threads;
    *seconds = 0;
    if (x->n_jobs < 8 * round) {
        return SPOOR_OK;
    }
    measuring m = {.x = x, .step = x->n_jobs / (2 * round)};
    spoor_status status = make_workers(x, &m.workers, err);
    bool long_enough = false;
    for (int k = 0; k < 2 && status == SPOOR_OK && !long_enough; k++) {
        m.first = (size_t)k * round * m.step;
        double start = now(), sound = 0;
        pool_run(x->pool, (int64_t)round, measure_one, &m);
        for (size_t i = 0; i < round; i++) {
            sound += x->seconds[x->jobs[m.first + i * m.step] / (x->copies + 1)];
        }
        double took = now() - start;
        *seconds = sound > 0 ? took / sound * x->todo : took / (double)round * (double)x->n_jobs;
        long_enough = took > 2;
        status = ctx_check_cancel(x->ctx, err);
    }
    free_workers(x, m.workers);
    return status;
}

/* ---- all of them ---- */

/* Results are stored in the order of the list: one that is early waits in the ring. The worker that has the first one
 * not stored yet never waits, so there is always one that goes on. */
typedef struct running {
    extraction *x;
    worker *workers;
    char chain[65];
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    result *ring; /* [RING], of job % RING */
    size_t stored;
    size_t waiting; /* bytes */
    double flushed;
    spoor_error fatal;
} running;

static size_t bytes_of(const running *r, const result *one) {
    return one->frames * frontend_dim(r->x->fe) * sizeof *one->rows;
}

static void stop(running *r, spoor_status status, const spoor_error *why) {
    if (r->fatal.status == SPOOR_OK) {
        r->fatal = *why;
        r->fatal.status = status;
    }
}

static void store_one(running *r, result *one) {
    extraction *x = r->x;
    uint64_t job = x->jobs[r->stored];
    size_t clip = (size_t)(job / (x->copies + 1));
    spoor_error err = one->error;
    if (err.status == SPOOR_ERR_CANCELLED) { /* decoding asks, too; no later one may be stored before it */
        stop(r, err.status, &err);
        ctx_free(x->ctx, one->rows);
        *one = (result){0};
        return;
    }
    if (err.status == SPOOR_OK) {
        store_key key;
        key_of(x, clip, job % (x->copies + 1), r->chain, &key);
        err.status = store_add(x->store, &key, one->rows, one->frames, &err);
        x->made += err.status == SPOOR_OK;
        if (err.status != SPOOR_OK && err.status != SPOOR_ERR_INPUT) { /* not this recording's fault */
            stop(r, err.status, &err);
        }
    }
    if (err.status != SPOOR_OK && r->fatal.status == SPOOR_OK) {
        spoor_error memory;
        spoor_status status = add_failure(x, x->paths[clip], &err, &memory);
        if (status != SPOOR_OK) {
            stop(r, status, &memory);
        }
    }
    r->waiting -= bytes_of(r, one);
    ctx_free(x->ctx, one->rows);
    *one = (result){0};
    r->stored++;
}

/* With the mutex held. */
static void store_ready(running *r) {
    extraction *x = r->x;
    spoor_error err;
    while (r->fatal.status == SPOOR_OK && r->stored < x->n_jobs && r->ring[r->stored % RING].ready) {
        store_one(r, &r->ring[r->stored % RING]);
    }
    if (r->fatal.status == SPOOR_OK && now() - r->flushed > FLUSH_SECONDS) {
        spoor_status status = store_flush(x->store, &err);
        if (status != SPOOR_OK) {
            stop(r, status, &err);
        }
        r->flushed = now();
    }
    spoor_status status = ctx_check_cancel(x->ctx, &err);
    if (status != SPOOR_OK) {
        stop(r, status, &err);
    }
    ctx_progress(x->ctx, r->stored, x->n_jobs);
    (void)pthread_cond_broadcast(&r->moved);
}

static void run_one(void *arg, int64_t item, unsigned index) {
    running *r = arg;
    size_t job = (size_t)item;
    (void)pthread_mutex_lock(&r->mutex);
    bool go = r->fatal.status == SPOOR_OK;
    (void)pthread_mutex_unlock(&r->mutex);
    if (!go) {
        return;
    }
    result one;
    compute_job(r->x, &r->workers[index], r->x->jobs[job], &one);
    one.ready = true;
    (void)pthread_mutex_lock(&r->mutex);
    while (r->fatal.status == SPOOR_OK && job != r->stored &&
           (job >= r->stored + RING || r->waiting + bytes_of(r, &one) > MOST_WAITING)) {
        (void)pthread_cond_wait(&r->moved, &r->mutex);
    }
    if (r->fatal.status == SPOOR_OK) {
        r->waiting += bytes_of(r, &one);
        r->ring[job % RING] = one;
        store_ready(r);
    } else {
        ctx_free(r->x->ctx, one.rows);
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

spoor_status extract_run(extraction *x, spoor_error *err) {
    running r = {.x = x, .flushed = now()};
    r.ring = ctx_calloc(x->ctx, RING, sizeof *r.ring);
    spoor_status status = r.ring ? make_workers(x, &r.workers, err) : error_memory(err, "starting an extraction");
    if (status == SPOOR_OK) {
        status = chain_hash(x, r.chain, err);
    }
    if (status == SPOOR_OK) {
        (void)pthread_mutex_init(&r.mutex, NULL);
        (void)pthread_cond_init(&r.moved, NULL);
        x->stage(x->user, "extracting", "recordings");
        pool_run(x->pool, (int64_t)x->n_jobs, run_one, &r);
        (void)pthread_cond_destroy(&r.moved);
        (void)pthread_mutex_destroy(&r.mutex);
        spoor_error late;
        spoor_status flushed =
            store_flush(x->store, &late); /* also after Ctrl-C, and on a full disk, where it had room */
        if (r.fatal.status != SPOOR_OK) {
            status = error_set(err, r.fatal.status, "%s", r.fatal.message);
        } else if (flushed != SPOOR_OK) {
            status = error_set(err, flushed, "%s", late.message);
        }
    }
    for (size_t i = 0; r.ring && i < RING; i++) {
        ctx_free(x->ctx, r.ring[i].rows);
    }
    ctx_free(x->ctx, r.ring);
    free_workers(x, r.workers);
    return status;
}
