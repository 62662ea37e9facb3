/* context.h: the allocator seam and the callbacks that every object carries with it.
 * All memory of the library comes from here, so that a test can make the n-th allocation fail. */
#ifndef BASE_CONTEXT_H
#define BASE_CONTEXT_H
#include "base/error.h"
#include <stdbool.h>

struct spoor_context {
    spoor_context_options options; /* allocator filled in */
};

/* n * size bytes, checked for overflow; NULL when that fails. n * size = 0 gives a valid one-byte block. */
void *ctx_alloc(spoor_context *ctx, size_t n, size_t size);
void *ctx_calloc(spoor_context *ctx, size_t n, size_t size); /* zeroed */
void *ctx_realloc(spoor_context *ctx, void *block, size_t n, size_t size);
void ctx_free(spoor_context *ctx, void *block); /* NULL allowed */
char *ctx_strdup(spoor_context *ctx, const char *s);
char *ctx_strndup(spoor_context *ctx, const char *s, size_t n);
/* printf into a new string; NULL when out of memory. */
char *ctx_printf(spoor_context *ctx, const char *format, ...) BASE_PRINTF(2, 3);

void ctx_log(spoor_context *ctx, spoor_log_level level, const char *format, ...) BASE_PRINTF(3, 4);
void ctx_progress(spoor_context *ctx, uint64_t done, uint64_t total);
/* SPOOR_ERR_CANCELLED with a sentence if the cancel callback says so, else SPOOR_OK. */
spoor_status ctx_check_cancel(spoor_context *ctx, spoor_error *err);

/* Growable array helper: make room for `need` elements of `size` bytes; *capacity is updated. false = out of memory,
 * the old block stays valid. Usage: if (!ctx_grow(ctx, (void **)&v, &cap, n + 1, sizeof *v)) ... */
bool ctx_grow(spoor_context *ctx, void **block, size_t *capacity, size_t need, size_t size);
#endif
