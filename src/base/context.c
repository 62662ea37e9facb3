/* context.c: see context.h. */
#include "base/context.h"
#include "base/checked.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void *libc_realloc(void *user, void *block, size_t size) {
    (void)user;
    return realloc(block, size);
}

static void libc_free(void *user, void *block) {
    (void)user;
    free(block);
}

void spoor_context_options_init(spoor_context_options *options) { memset(options, 0, sizeof *options); }

spoor_status spoor_context_new(const spoor_context_options *options, spoor_context **out, spoor_error *err) {
    *out = NULL;
    spoor_context_options o;
    spoor_context_options_init(&o);
    if (options != NULL) {
        o = *options;
    }
    bool none = o.allocator.alloc == NULL && o.allocator.realloc == NULL && o.allocator.free == NULL;
    bool all = o.allocator.alloc != NULL && o.allocator.realloc != NULL && o.allocator.free != NULL;
    if (!none && !all) {
        return error_set(err, SPOOR_ERR_USAGE, "an allocator needs all of alloc, realloc and free, or none of them");
    }
    if (none) {
        o.allocator = (spoor_allocator){libc_alloc, libc_realloc, libc_free, NULL};
    }
    spoor_context *ctx = o.allocator.alloc(o.allocator.user, sizeof *ctx);
    if (ctx == NULL) {
        return error_memory(err, "making a context");
    }
    ctx->options = o;
    *out = ctx;
    return SPOOR_OK;
}

void spoor_context_free(spoor_context *ctx) {
    if (ctx != NULL) {
        spoor_allocator a = ctx->options.allocator;
        a.free(a.user, ctx);
    }
}

void *ctx_alloc(spoor_context *ctx, size_t n, size_t size) {
    size_t bytes;
    if (!checked_mul(n, size, &bytes)) {
        return NULL;
    }
    return ctx->options.allocator.alloc(ctx->options.allocator.user, bytes == 0 ? 1 : bytes);
}

void *ctx_calloc(spoor_context *ctx, size_t n, size_t size) {
    void *block = ctx_alloc(ctx, n, size);
    if (block != NULL) {
        memset(block, 0, n * size);
    }
    return block;
}

void *ctx_realloc(spoor_context *ctx, void *block, size_t n, size_t size) {
    size_t bytes;
    if (!checked_mul(n, size, &bytes)) {
        return NULL;
    }
    return ctx->options.allocator.realloc(ctx->options.allocator.user, block, bytes == 0 ? 1 : bytes);
}

void ctx_free(spoor_context *ctx, void *block) {
    if (block != NULL) {
        ctx->options.allocator.free(ctx->options.allocator.user, block);
    }
}

char *ctx_strndup(spoor_context *ctx, const char *s, size_t n) {
    char *copy = ctx_alloc(ctx, n + 1, 1);
    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *ctx_strdup(spoor_context *ctx, const char *s) { return ctx_strndup(ctx, s, strlen(s)); }

char *ctx_printf(spoor_context *ctx, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        return NULL;
    }
    char *s = ctx_alloc(ctx, (size_t)n + 1, 1);
    if (s != NULL) {
        va_start(args, format);
        (void)vsnprintf(s, (size_t)n + 1, format, args);
        va_end(args);
    }
    return s;
}

void ctx_log(spoor_context *ctx, spoor_log_level level, const char *format, ...) {
    if (ctx->options.log == NULL) {
        return;
    }
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ctx->options.log(ctx->options.user, level, message);
}

void ctx_progress(spoor_context *ctx, uint64_t done, uint64_t total) {
    if (ctx->options.progress != NULL) {
        ctx->options.progress(ctx->options.user, done, total);
    }
}

spoor_status ctx_check_cancel(spoor_context *ctx, spoor_error *err) {
    if (ctx->options.cancel != NULL && ctx->options.cancel(ctx->options.user) != 0) {
        return error_set(err, SPOOR_ERR_CANCELLED, "stopped on request");
    }
    return SPOOR_OK;
}

bool ctx_grow(spoor_context *ctx, void **block, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity) {
        return true;
    }
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < need) {
        if (!checked_mul(grown, 2, &grown)) {
            return false;
        }
    }
    void *moved = ctx_realloc(ctx, *block, grown, size);
    if (moved == NULL) {
        return false;
    }
    *block = moved;
    *capacity = grown;
    return true;
}
