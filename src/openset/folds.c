/* folds.c: deterministic folds that keep groups whole, for cross-fitting; see calibrate.h. */
#include "openset/calibrate.h"
#include "base/rng.h"
#include <stdlib.h>

typedef struct member {
    int32_t group;
    uint32_t item;
} member;

typedef struct group {
    size_t first, count;
    uint64_t key; /* random: the order of groups of one size */
} group;

static int by_group(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return x->item < y->item ? -1 : x->item > y->item;
}

static int largest_first(const void *a, const void *b) {
    const group *x = a, *y = b;
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sort the items by group and list the groups, largest first. Without groups every item is one. */
static size_t list_groups(const int32_t *of, size_t n, uint64_t seed, member *members, group *groups) {
    rng r = rng_make(seed, 0);
    for (size_t i = 0; i < n; i++) {
        members[i] = (member){of == NULL ? (int32_t)i : of[i], (uint32_t)i};
    }
    qsort(members, n, sizeof *members, by_group);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || members[i].group != members[i - 1].group) {
            groups[count++] = (group){i, 0, rng_u64(&r)};
        }
        groups[count - 1].count++;
    }
    qsort(groups, count, sizeof *groups, largest_first);
    return count;
}

spoor_status calibrate_folds(spoor_context *ctx, const int32_t *group_of, size_t n, size_t folds, uint64_t seed,
                             uint32_t *fold, spoor_error *err) {
    if (n < 2 || n > INT32_MAX || folds < 2 || folds > 1000) {
        return error_set(err, SPOOR_ERR_INPUT, "cross-fitting needs 2 to 1000 folds and at least two items; here %zu "
                                               "and %zu",
                         folds, n);
    }
    member *members = ctx_alloc(ctx, n, sizeof *members);
    group *groups = ctx_alloc(ctx, n, sizeof *groups);
    size_t *load = ctx_calloc(ctx, folds, sizeof *load);
    spoor_status status = SPOOR_OK;
    if (members == NULL || groups == NULL || load == NULL) {
        status = error_memory(err, "making folds");
    } else {
        size_t count = list_groups(group_of, n, seed, members, groups);
        for (size_t g = 0; g < count; g++) { /* each to the emptiest fold */
            uint32_t to = 0;
            for (uint32_t f = 1; f < folds; f++) {
                to = load[f] < load[to] ? f : to;
            }
            load[to] += groups[g].count;
            for (size_t i = 0; i < groups[g].count; i++) {
                fold[members[groups[g].first + i].item] = to;
            }
        }
        if (count < 2) {
            status = error_set(err, SPOOR_ERR_INPUT, "all items are of one group, so that no fold can be left out");
        }
    }
    ctx_free(ctx, members);
    ctx_free(ctx, groups);
    ctx_free(ctx, load);
    return status;
}
