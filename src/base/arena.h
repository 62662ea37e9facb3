/* arena.h: memory that is taken piece by piece and given back all at once. One thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/context.h"

typedef struct arena arena;

spoor_status arena_new(spoor_context *ctx, arena **out, spoor_error *err);
void arena_free(arena *a);
/* n * size bytes aligned to 64, not cleared; NULL when out of memory. Lives until arena_reset. */
void *arena_alloc(arena *a, size_t n, size_t size);
/* Forget all pieces but keep the memory for the next round. */
void arena_reset(arena *a);
/* Forget the pieces that were taken after the mark was; the mark stays good. */
typedef struct arena_mark {
    void *block;
    size_t used;
} arena_mark;
arena_mark arena_mark_here(const arena *a);
void arena_release(arena *a, arena_mark mark);
size_t arena_bytes(const arena *a); /* taken from the allocator */
#endif
