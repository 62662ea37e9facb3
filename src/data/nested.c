/* nested.c: see nested.h. The clips lie leaf by leaf: bona fide speech, then codec after codec of class after class. */
#include "data/nested.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Streams of the seed. */
enum { STREAM_CLASSES = 1, STREAM_LEAVES, STREAM_CLIPS };
#define NO_CYCLE UINT64_MAX

typedef struct place {
    int32_t class, within;
    uint32_t clip;
} place;

struct nested {
    spoor_context *ctx;
    uint64_t seed;
    double human;
    size_t epoch, n_human, n_clips, n_leaves, n_classes; /* of synthetic ones: leaves and classes */
    uint32_t *clip, *order; /* [n_clips] by leaf; the order of each leaf's cycle */
    size_t *first;          /* [n_leaves + 1] where synthetic leaf i begins; bona fide clips are before first[0] */
    size_t *leaf;           /* [n_classes + 1] where the leaves of a class begin */
    uint64_t *cycle;        /* [n_leaves + 1] of which `order` is; the last is that of bona fide speech */
    uint32_t *turn;         /* [n_leaves] scratch */
};

void nested_free(nested *n) {
    if (!n) {
        return;
    }
    ctx_free(n->ctx, n->clip);
    ctx_free(n->ctx, n->order);
    ctx_free(n->ctx, n->first);
    ctx_free(n->ctx, n->leaf);
    ctx_free(n->ctx, n->cycle);
    ctx_free(n->ctx, n->turn);
    ctx_free(n->ctx, n);
}

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->class != y->class) {
        return x->class < y->class ? -1 : 1;
    }
    if (x->within != y->within) {
        return x->within < y->within ? -1 : 1;
    }
    return x->clip < y->clip ? -1 : x->clip > y->clip;
}

/* Where leaves and classes begin among n sorted places. */
static void cut(nested *n, const place *p) {
    for (size_t i = 0; i < n->n_clips; i++) {
        n->clip[i] = p[i].clip;
        if (p[i].class == NESTED_HUMAN) {
            n->n_human++;
            continue;
        }
        bool class = i == n->n_human || p[i].class != p[i - 1].class;
        if (class) {
            n->leaf[n->n_classes++] = n->n_leaves;
        }
        if (class || p[i].within != p[i - 1].within) {
            n->first[n->n_leaves++] = i;
        }
    }
    n->first[n->n_leaves] = n->n_clips;
    n->leaf[n->n_classes] = n->n_leaves;
    for (size_t i = 0; i <= n->n_leaves; i++) {
        n->cycle[i] = NO_CYCLE;
    }
}

static spoor_status fill(nested *n, const nested_options *o, spoor_error *err) {
    place *p = ctx_alloc(n->ctx, o->n_clips, sizeof *p);
    if (!p) {
        return error_memory(err, "making a sampler");
    }
    for (size_t i = 0; i < o->n_clips; i++) {
        if (o->class[i] != NESTED_NONE) {
            p[n->n_clips++] = (place){o->class[i], o->class[i] == NESTED_HUMAN ? -1 : o->within[i], (uint32_t)i};
        }
    }
    if (n->n_clips > 0) {
        qsort(p, n->n_clips, sizeof *p, by_place);
    }
    n->clip = ctx_alloc(n->ctx, n->n_clips, sizeof *n->clip);
    n->order = ctx_alloc(n->ctx, n->n_clips, sizeof *n->order);
    n->first = ctx_alloc(n->ctx, n->n_clips + 1, sizeof *n->first);
    n->leaf = ctx_alloc(n->ctx, n->n_clips + 1, sizeof *n->leaf);
    n->cycle = ctx_alloc(n->ctx, n->n_clips + 1, sizeof *n->cycle);
    n->turn = ctx_alloc(n->ctx, n->n_clips, sizeof *n->turn);
    bool there = n->clip && n->order && n->first && n->leaf && n->cycle && n->turn;
    if (there) {
        cut(n, p);
    }
    ctx_free(n->ctx, p);
    return there ? SPOOR_OK : error_memory(err, "making a sampler");
}

spoor_status nested_new(spoor_context *ctx, const nested_options *o, nested **out, spoor_error *err) {
    *out = NULL;
    if (o->n_clips > UINT32_MAX || !(o->human >= 0 && o->human <= 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "a share of %g bona fide clips of %zu is not possible", o->human,
                         o->n_clips);
    }
    nested *n = ctx_calloc(ctx, 1, sizeof *n);
    if (!n) {
        return error_memory(err, "making a sampler");
    }
    *n = (nested){.ctx = ctx, .seed = o->seed, .human = o->human};
    spoor_status status = fill(n, o, err);
    if (status == SPOOR_OK && n->n_clips == 0) {
        status = error_set(err, SPOOR_ERR_USAGE, "none of %zu clips is bona fide or has a class of the taxonomy",
                           o->n_clips);
    }
    n->human = n->n_human == 0 ? 0 : n->n_human == n->n_clips ? 1 : n->human;
    if (status == SPOOR_OK && n->human > 0 && o->epoch == 0 && (double)n->n_human / n->human > NESTED_MAX_EPOCH) {
        status = error_set(err, SPOOR_ERR_USAGE,
                           "a share of %g makes an epoch of more than %g clips until each of %zu "
                           "bona fide ones was drawn; give sampler.human a larger share, or sampler.clips",
                           n->human, NESTED_MAX_EPOCH, n->n_human);
    }
    if (status != SPOOR_OK) {
        nested_free(n);
        return status;
    }
    n->epoch = o->epoch > 0   ? o->epoch
               : n->human > 0 ? (size_t)llround((double)n->n_human / n->human)
                              : n->n_clips - n->n_human;
    *out = n;
    return SPOOR_OK;
}

size_t nested_epoch(const nested *n) { return n->epoch; }

static void shuffle(const nested *n, uint64_t kind, uint64_t a, uint64_t b, uint32_t *v, size_t count) {
    rng r = rng_make(n->seed, kind);
    r = rng_make(rng_u64(&r), a);
    r = rng_make(rng_u64(&r), b);
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rng_below(&r, i);
        uint32_t swap = v[i - 1];
        v[i - 1] = v[j];
        v[j] = swap;
    }
}

/* Which of `count` things has turn number `turn`: each once a round. */
static size_t in_turn(nested *n, uint64_t kind, uint64_t of, uint64_t turn, size_t count) {
    for (size_t i = 0; i < count; i++) {
        n->turn[i] = (uint32_t)i;
    }
    shuffle(n, kind, turn / count, of, n->turn, count);
    return n->turn[turn % count];
}

/* Draw number `drawn` of the `count` clips from `first` on. */
static uint32_t of_leaf(nested *n, size_t leaf, size_t first, size_t count, uint64_t drawn) {
    uint64_t cycle = drawn / count;
    if (n->cycle[leaf] != cycle) {
        memcpy(n->order + first, n->clip + first, count * sizeof *n->order);
        shuffle(n, STREAM_CLIPS, cycle, leaf, n->order + first, count);
        n->cycle[leaf] = cycle;
    }
    return n->order[first + drawn % count];
}

/* How many of the first `index` draws are bona fide. */
static uint64_t humans(const nested *n, uint64_t index) { return (uint64_t)floor((double)index * n->human); }

uint32_t nested_clip(nested *n, uint64_t index) {
    uint64_t before = humans(n, index);
    if (humans(n, index + 1) > before) {
        return of_leaf(n, n->n_leaves, 0, n->n_human, before);
    }
    uint64_t drawn = index - before, round = drawn / n->n_classes;
    size_t c = in_turn(n, STREAM_CLASSES, 0, drawn, n->n_classes), leaves = n->leaf[c + 1] - n->leaf[c];
    size_t leaf = n->leaf[c] + in_turn(n, STREAM_LEAVES, c, round, leaves);
    return of_leaf(n, leaf, n->first[leaf], n->first[leaf + 1] - n->first[leaf], round / leaves);
}
