/* pool.c: workers wait on a condition, then take items from one atomic counter; see pool.h. */
#define _GNU_SOURCE
#include "base/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct pool {
    spoor_context *ctx;
    unsigned threads; /* with the caller */
    unsigned started; /* pthreads that run */
    struct worker {
        pool *pool;
        pthread_t thread;
        unsigned index;
    } *workers;
    pthread_mutex_t mutex;
    pthread_cond_t work, idle;
    uint64_t round; /* changes when there is new work */
    unsigned busy;
    int stop;
    pool_fn fn;
    void *arg;
    int64_t n;
    atomic_int_fast64_t next;
};

static void take_items(pool *p, unsigned worker) {
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n) {
            return;
        }
        p->fn(p->arg, i, worker);
    }
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    pool *p = w->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (p->round == seen && !p->stop) {
            pthread_cond_wait(&p->work, &p->mutex);
        }
        if (p->stop) {
            break;
        }
        seen = p->round;
        pthread_mutex_unlock(&p->mutex);
        take_items(p, w->index);
        pthread_mutex_lock(&p->mutex);
        if (--p->busy == 0) {
            pthread_cond_signal(&p->idle);
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

spoor_status pool_new(spoor_context *ctx, unsigned threads, pool **out, spoor_error *err) {
    *out = NULL;
    if (threads == 0 || threads > 1024) {
        return error_set(err, SPOOR_ERR_USAGE, "the number of threads must be 1 to 1024, not %u", threads);
    }
    pool *p = ctx_calloc(ctx, 1, sizeof *p);
    struct worker *workers = ctx_calloc(ctx, threads, sizeof *workers);
    if (p == NULL || workers == NULL) {
        ctx_free(ctx, p);
        ctx_free(ctx, workers);
        return error_memory(err, "making a worker pool");
    }
    p->ctx = ctx;
    p->threads = threads;
    p->workers = workers;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
    atomic_init(&p->next, 0);
    for (unsigned i = 1; i < threads; i++) {
        workers[i] = (struct worker){.pool = p, .index = i};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            pool_free(p);
            return error_set(err, SPOOR_ERR_LIMIT, "could not start worker thread %u of %u", i, threads);
        }
        p->started++;
    }
    *out = p;
    return SPOOR_OK;
}

void pool_free(pool *p) {
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->stop = 1;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 1; i <= p->started; i++) {
        pthread_join(p->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    ctx_free(p->ctx, p->workers);
    ctx_free(p->ctx, p);
}

unsigned pool_threads(const pool *p) { return p->threads; }

void pool_run(pool *p, int64_t n, pool_fn fn, void *arg) {
    if (p->started == 0 || n <= 1) {
        for (int64_t i = 0; i < n; i++) {
            fn(arg, i, 0);
        }
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store(&p->next, 0);
    p->busy = p->started;
    p->round++;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    take_items(p, 0);
    pthread_mutex_lock(&p->mutex);
    while (p->busy != 0) {
        pthread_cond_wait(&p->idle, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
}

unsigned pool_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n < 1 ? 1u : (unsigned)n;
}
