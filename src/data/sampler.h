/* sampler.h: which clips make up a batch. Stateless: a batch depends on (seed, epoch, step) alone, so that training can
 * stop and go on anywhere. Knows clips by index and class, not files. */
#ifndef DATA_SAMPLER_H
#define DATA_SAMPLER_H
#include "data/nested.h"

enum { SAMPLER_MAX_GROUPS = 8 };

typedef enum sampler_kind {
    SAMPLER_SHUFFLED, /* every clip once an epoch; what does not fill a last batch is left out of that epoch */
    SAMPLER_BALANCED, /* classes in turn, in a new order each round; within a class every clip before any comes again */
    SAMPLER_TAXONOMY  /* as nested.h says */
} sampler_kind;

typedef struct sampler_options {
    sampler_kind kind;
    uint64_t seed;
    size_t batch;
    /* N-pair part: the first 2 * pairs places of a batch are N = pairs distinct classes x 2 clips, anchors in places
     * 0 .. N-1, the positive of anchor i in place N + i. Only classes with at least two clips take part. */
    size_t pairs;
    size_t per_class;          /* clips of each instead of 2 (0 counts as 2): places k * N + i; classes with fewer take
                                * no part */
    size_t n_clips;
    const int32_t *label;      /* [n_clips] class for balance and pairs, -1 = none (never in a pair); copied */
    size_t n_classes;
    size_t n_groups;           /* in order of preference: page, speaker, text */
    const int32_t *const *group; /* [n_groups][n_clips] group number, -1 = not known; copied */
    const nested_options *nested; /* of SAMPLER_TAXONOMY; its seed and n_clips are those above */
} sampler_options;

typedef struct sampler sampler;

/* SPOOR_ERR_USAGE: no clips, batch 0, pairs that do not fit into it, or fewer than `pairs` classes with enough
 * clips. */
spoor_status sampler_new(spoor_context *ctx, const sampler_options *options, sampler **out, spoor_error *err);
void sampler_free(sampler *s);
size_t sampler_steps(const sampler *s); /* batches of an epoch: max(1, clips / batch), clips: n_clips, or
                                         * nested_epoch */
/* The clips of a batch into clip[batch]. One thread at a time (it keeps the epoch's permutation). */
void sampler_batch(sampler *s, uint64_t epoch, uint64_t step, uint32_t *clip);
/* Classes that pairs cannot use because they have too few clips. */
size_t sampler_single_classes(const sampler *s);
/* Classes whose positives can differ in group g (page first); g = n_groups: those with no such difference at all. */
size_t sampler_paired_classes(const sampler *s, size_t g);
#endif
