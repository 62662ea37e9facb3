/* arena.c: a list of blocks, each at least twice the request; see arena.h. */
#include "base/arena.h"
#include "base/checked.h"

enum { ARENA_ALIGN = 64, ARENA_BLOCK = 1 << 20 };

typedef struct arena_block {
    struct arena_block *next;
    size_t size; /* usable bytes from `start` */
    size_t used;
    unsigned char *start;
} arena_block;

struct arena {
    spoor_context *ctx;
    arena_block *first;
    arena_block *current;
    size_t bytes;
};

spoor_status arena_new(spoor_context *ctx, arena **out, spoor_error *err) {
    *out = ctx_calloc(ctx, 1, sizeof **out);
    if (*out == NULL) {
        return error_memory(err, "making an arena");
    }
    (*out)->ctx = ctx;
    return SPOOR_OK;
}

void arena_free(arena *a) {
    if (a == NULL) {
        return;
    }
    for (arena_block *b = a->first; b != NULL;) {
        arena_block *next = b->next;
        ctx_free(a->ctx, b);
        b = next;
    }
    ctx_free(a->ctx, a);
}

static arena_block *block_new(arena *a, size_t need) {
    size_t size = need < ARENA_BLOCK ? ARENA_BLOCK : need;
    size_t total;
    if (!checked_add(size, sizeof(arena_block) + ARENA_ALIGN, &total)) {
        return NULL;
    }
    arena_block *b = ctx_alloc(a->ctx, total, 1);
    if (b == NULL) {
        return NULL;
    }
    uintptr_t raw = (uintptr_t)(b + 1);
    uintptr_t aligned = (raw + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
    *b = (arena_block){.next = NULL, .size = size, .used = 0, .start = (unsigned char *)(b + 1) + (aligned - raw)};
    a->bytes += total;
    return b;
}

void *arena_alloc(arena *a, size_t n, size_t size) {
    size_t bytes;
    if (!checked_mul(n, size, &bytes) || bytes > SIZE_MAX - ARENA_ALIGN) {
        return NULL;
    }
    bytes = bytes == 0 ? ARENA_ALIGN : (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    while (a->current != NULL && a->current->size - a->current->used < bytes && a->current->next != NULL) {
        a->current = a->current->next;
    }
    if (a->current == NULL || a->current->size - a->current->used < bytes) {
        arena_block *b = block_new(a, bytes);
        if (b == NULL) {
            return NULL;
        }
        if (a->current == NULL) {
            a->first = b;
        } else {
            a->current->next = b;
        }
        a->current = b;
    }
    void *piece = a->current->start + a->current->used;
    a->current->used += bytes;
    return piece;
}

void arena_reset(arena *a) {
    for (arena_block *b = a->first; b != NULL; b = b->next) {
        b->used = 0;
    }
    a->current = a->first;
}

arena_mark arena_mark_here(const arena *a) {
    return (arena_mark){a->current, a->current == NULL ? 0 : a->current->used};
}

void arena_release(arena *a, arena_mark mark) {
    arena_block *b = mark.block;
    a->current = b == NULL ? a->first : b;
    for (b = b == NULL ? a->first : b->next; b != NULL; b = b->next) {
        b->used = 0;
    }
    if (mark.block != NULL) {
        a->current->used = mark.used;
    }
}

size_t arena_bytes(const arena *a) { return a->bytes; }
