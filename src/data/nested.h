/* nested.h: clips drawn by a taxonomy, as the training lists of CodecFake+ were made: a share of them bona fide; of the
 * others a class of the taxonomy in turns, of the class what it consists of (its codecs) in turns, of that every clip
 * before any comes again. Each round of turns has an order of its own. Stateless: a clip depends on (seed, index)
 * alone. */
#ifndef DATA_NESTED_H
#define DATA_NESTED_H
#include "base/context.h"

enum { NESTED_HUMAN = -2, NESTED_NONE = -1 };
#define NESTED_MAX_EPOCH 1e9 /* clips */

typedef struct nested_options {
    uint64_t seed;
    size_t n_clips;
    const int32_t *class;  /* [n_clips] NESTED_HUMAN: bona fide; NESTED_NONE: never drawn; else 0 .. */
    const int32_t *within; /* [n_clips] codec, -1: not known, which counts as one more */
    double human;          /* share of bona fide clips; without such clips, or with no others, all are of the other
                            * kind */
    size_t epoch;          /* clips of an epoch; 0: until each bona fide clip was drawn once (without any: each clip
                            * that can be) */
} nested_options;

typedef struct nested nested;

/* SPOOR_ERR_USAGE: no clip that can be drawn, or an epoch of more than NESTED_MAX_EPOCH. What options points to is
 * copied. */
spoor_status nested_new(spoor_context *ctx, const nested_options *options, nested **out, spoor_error *err);
void nested_free(nested *n);
size_t nested_epoch(const nested *n); /* clips of an epoch */
/* Draw number `index` of a training. One thread at a time (it keeps orders). */
uint32_t nested_clip(nested *n, uint64_t index);
#endif
