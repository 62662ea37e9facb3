/* matched.h: content-matched pairs: blocks of a batch in which two recordings, a and b, pass through N generators each.
 * Within a block nothing tells the classes of the multi-class N-pair loss apart but the generator: anchor i is one
 * recording through generator i, its positive the other recording through generator i, and what it must not resemble,
 * the positives of the others, are the same recordings through other generators. Stateless as sampler.h is. */
#ifndef DATA_MATCHED_H
#define DATA_MATCHED_H
#include "data/sampler.h"

typedef struct matched_options {
    uint64_t seed;
    size_t n_clips;
    const int32_t *content; /* [n_clips] recording that the clip holds, -1 = not known: takes no part */
    /* Either the clips have been through generators: their classes, -1 = not known; or (NULL) every clip can be put
     * through `generators` transformations, and is the only one of its content. */
    const int32_t *label;   /* [n_clips] */
    size_t generators;      /* classes, or transformations */
    size_t n_groups;        /* b differs from a in the first of these in which any recording does (page, speaker,
                             * text) */
    const int32_t *const *group; /* [n_groups][n_clips], -1 = not known */
    size_t pairs;           /* N >= 2 generators of a block, drawn anew for each */
    /* Every other pair of a block is turned round, so that an anchor meets its own recording through other generators
     * as well as that of its positive. Else all anchors are a and all positives b. */
    bool crossed;
} matched_options;

typedef struct matched_place {
    uint32_t clip;
    int32_t generator; /* class, or transformation */
    int32_t side;      /* 0: recording a, 1: recording b */
} matched_place;

typedef struct matched matched;

/* Copies what it needs. SPOOR_ERR_USAGE: fewer than two pairs, or no two recordings that share so many generators. */
spoor_status matched_new(spoor_context *ctx, const matched_options *options, matched **out, spoor_error *err);
void matched_free(matched *m);
/* A block of (epoch, step): anchors in places 0 .. N-1, the positive of anchor i in place N + i. One thread at a
 * time. */
void matched_draw(matched *m, uint64_t epoch, uint64_t step, uint64_t block, matched_place *place);
/* Recordings that there are through at least `pairs` generators. */
size_t matched_contents(const matched *m);
#endif
