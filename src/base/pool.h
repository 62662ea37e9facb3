/* pool.h: a worker pool for loops whose items are independent. Which worker does an item never changes its result. */
#ifndef BASE_POOL_H
#define BASE_POOL_H
#include "base/context.h"

typedef struct pool pool;
/* item: 0 .. n-1; worker: 0 .. threads-1 (0 is the calling thread), for scratch memory. */
typedef void (*pool_fn)(void *arg, int64_t item, unsigned worker);

/* threads counts the caller; 1 makes no thread at all. */
spoor_status pool_new(spoor_context *ctx, unsigned threads, pool **out, spoor_error *err);
void pool_free(pool *p);
unsigned pool_threads(const pool *p);
/* Run fn for all items; returns when all are done. Called by one thread at a time, not from inside an item. */
void pool_run(pool *p, int64_t n, pool_fn fn, void *arg);
/* Logical processors that this process may use, at least 1. */
unsigned pool_processors(void);
#endif
