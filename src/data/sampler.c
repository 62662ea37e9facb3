/* sampler.c: see sampler.h. */
#include "data/sampler.h"
#include "base/rng.h"
#include <string.h>

/* Streams of the seed: every use of random numbers has its own. */
enum { STREAM_EPOCH = 1, STREAM_ROUND, STREAM_CYCLE, STREAM_PAIRS };

struct sampler {
    spoor_context *ctx;
    sampler_kind kind;
    uint64_t seed;
    size_t batch, pairs, per_class, n_clips, n_classes, n_groups, n_pairable, n_single, n_present;
    int32_t *label, *group[SAMPLER_MAX_GROUPS];
    uint32_t *members;      /* clips by class */
    size_t *first;          /* [n_classes + 1] where a class begins in members */
    uint32_t *present;      /* classes with a clip */
    uint32_t *pairable;     /* classes with two clips */
    uint32_t *permutation;  /* [max(n_clips, n_classes)] scratch */
    uint32_t *epoch_order;  /* [n_clips] */
    nested *nested;         /* NULL: another kind */
    uint64_t epoch;         /* of epoch_order */
    bool have_epoch;
};

/* A stream of its own for (kind, a, b). */
static rng stream(const sampler *s, uint64_t kind, uint64_t a, uint64_t b) {
    rng r = rng_make(s->seed, kind);
    r = rng_make(rng_u64(&r), a);
    return rng_make(rng_u64(&r), b);
}

static void shuffle(rng r, uint32_t *v, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(&r, i);
        uint32_t swap = v[i - 1];
        v[i - 1] = v[j];
        v[j] = swap;
    }
}

void sampler_free(sampler *s) {
    if (!s) {
        return;
    }
    ctx_free(s->ctx, s->label);
    for (size_t g = 0; g < SAMPLER_MAX_GROUPS; g++) {
        ctx_free(s->ctx, s->group[g]);
    }
    ctx_free(s->ctx, s->members);
    ctx_free(s->ctx, s->first);
    ctx_free(s->ctx, s->present);
    ctx_free(s->ctx, s->pairable);
    ctx_free(s->ctx, s->permutation);
    ctx_free(s->ctx, s->epoch_order);
    nested_free(s->nested);
    ctx_free(s->ctx, s);
}

static size_t class_size(const sampler *s, size_t c) { return s->first[c + 1] - s->first[c]; }

static void sort_members(sampler *s) {
    for (size_t i = 0; i < s->n_clips; i++) {
        if (s->label[i] >= 0) {
            s->first[(size_t)s->label[i] + 1]++;
        }
    }
    for (size_t c = 0; c < s->n_classes; c++) {
        s->first[c + 1] += s->first[c];
    }
    for (size_t i = 0; i < s->n_clips; i++) {
        if (s->label[i] >= 0) {
            s->members[s->first[s->label[i]]++] = (uint32_t)i;
        }
    }
    for (size_t c = s->n_classes; c > 0; c--) {
        s->first[c] = s->first[c - 1];
    }
    s->first[0] = 0;
    for (size_t c = 0; c < s->n_classes; c++) {
        size_t n = class_size(s, c);
        if (n > 0) {
            s->present[s->n_present++] = (uint32_t)c;
        }
        if (n >= s->per_class) {
            s->pairable[s->n_pairable++] = (uint32_t)c;
        }
        s->n_single += n > 0 && n < s->per_class;
    }
}

static bool sampler_fill(sampler *s, const sampler_options *o) {
    size_t most = o->n_clips > o->n_classes ? o->n_clips : o->n_classes;
    s->label = ctx_alloc(s->ctx, o->n_clips, sizeof *s->label);
    s->members = ctx_alloc(s->ctx, o->n_clips, sizeof *s->members);
    s->first = ctx_calloc(s->ctx, o->n_classes + 1, sizeof *s->first);
    s->present = ctx_alloc(s->ctx, o->n_classes, sizeof *s->present);
    s->pairable = ctx_alloc(s->ctx, o->n_classes, sizeof *s->pairable);
    s->permutation = ctx_alloc(s->ctx, most, sizeof *s->permutation);
    s->epoch_order = ctx_alloc(s->ctx, o->n_clips, sizeof *s->epoch_order);
    for (size_t g = 0; g < s->n_groups; g++) {
        s->group[g] = ctx_alloc(s->ctx, o->n_clips, sizeof **s->group);
        if (!s->group[g]) {
            return false;
        }
        memcpy(s->group[g], o->group[g], o->n_clips * sizeof **s->group);
    }
    if (!s->label || !s->members || !s->first || !s->present || !s->pairable || !s->permutation || !s->epoch_order) {
        return false;
    }
    memcpy(s->label, o->label, o->n_clips * sizeof *s->label);
    sort_members(s);
    return true;
}

spoor_status sampler_new(spoor_context *ctx, const sampler_options *o, sampler **out, spoor_error *err) {
    *out = NULL;
    if (o->n_clips == 0 || o->n_clips > UINT32_MAX || o->batch == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "a batch of %zu from %zu clips is not possible", o->batch, o->n_clips);
    }
    size_t per_class = o->per_class > 2 ? o->per_class : 2;
    if (o->pairs > o->batch / per_class) {
        return per_class == 2 ? error_set(err, SPOOR_ERR_USAGE, "%zu pairs do not fit into a batch of %zu clips",
                                          o->pairs, o->batch)
                              : error_set(err, SPOOR_ERR_USAGE,
                                          "%zu classes of %zu clips each do not fit into a batch of %zu "
                                          "clips",
                                          o->pairs, per_class, o->batch);
    }
    if (o->n_groups > SAMPLER_MAX_GROUPS) {
        return error_set(err, SPOOR_ERR_USAGE, "%zu group columns; at most %d", o->n_groups, SAMPLER_MAX_GROUPS);
    }
    sampler *s = ctx_calloc(ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "making a sampler");
    }
    *s = (sampler){.ctx = ctx, .kind = o->kind, .seed = o->seed, .batch = o->batch, .pairs = o->pairs,
                   .per_class = per_class,
                   .n_clips = o->n_clips, .n_classes = o->n_classes, .n_groups = o->n_groups};
    if (!sampler_fill(s, o)) {
        sampler_free(s);
        return error_memory(err, "making a sampler");
    }
    spoor_status status = SPOOR_OK;
    if (s->n_pairable < s->pairs) {
        status = error_set(err, SPOOR_ERR_USAGE, "%zu pairs of distinct classes are asked for, but %zu classes have "
                           "%zu clips", s->pairs, s->n_pairable, s->per_class);
    } else if (s->kind == SAMPLER_BALANCED && s->n_present == 0) {
        status = error_set(err, SPOOR_ERR_USAGE, "a balanced sampler needs labelled clips, but none has a label");
    }
    if (status == SPOOR_OK && s->kind == SAMPLER_TAXONOMY) {
        nested_options tree = *o->nested;
        tree.seed = s->seed;
        tree.n_clips = s->n_clips;
        status = nested_new(ctx, &tree, &s->nested, err);
    }
    if (status != SPOOR_OK) {
        sampler_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

size_t sampler_steps(const sampler *s) {
    size_t clips = s->nested ? nested_epoch(s->nested) : s->n_clips;
    return clips < s->batch ? 1 : clips / s->batch;
}
size_t sampler_single_classes(const sampler *s) { return s->n_single; }

/* ---- the part without pairs ---- */

static uint32_t shuffled_clip(sampler *s, uint64_t epoch, uint64_t index) {
    if (!s->have_epoch || s->epoch != epoch) {
        for (size_t i = 0; i < s->n_clips; i++) {
            s->epoch_order[i] = (uint32_t)i;
        }
        shuffle(stream(s, STREAM_EPOCH, epoch, 0), s->epoch_order, s->n_clips);
        s->epoch = epoch;
        s->have_epoch = true;
    }
    return s->epoch_order[index % s->n_clips];
}

/* index counts all draws of the training: round index / classes, the place in that round's order of classes gives the
 * class, and how often the class was drawn before (once a round) gives its clip. */
static uint32_t balanced_clip(sampler *s, uint64_t index) {
    uint64_t round = index / s->n_present;
    memcpy(s->permutation, s->present, s->n_present * sizeof *s->permutation);
    shuffle(stream(s, STREAM_ROUND, round, 0), s->permutation, s->n_present);
    size_t c = s->permutation[index % s->n_present], n = class_size(s, c);
    memcpy(s->permutation, s->members + s->first[c], n * sizeof *s->permutation);
    shuffle(stream(s, STREAM_CYCLE, round / n, c), s->permutation, n);
    return s->permutation[round % n];
}

/* ---- pairs ---- */

static bool differs(const sampler *s, size_t g, uint32_t a, uint32_t b) {
    int32_t x = s->group[g][a], y = s->group[g][b];
    return x >= 0 && y >= 0 && x != y;
}

static bool among(const uint32_t *clip, size_t n, size_t step, uint32_t what) {
    for (size_t i = 0; i < n; i++) {
        if (clip[i * step] == what) {
            return true;
        }
    }
    return false;
}

/* A clip of the class other than those `taken` so far (taken[0], taken[pairs], ...: the anchor first): one that differs
 * from the anchor in the first group where any does, else any. */
static uint32_t positive(sampler *s, size_t c, const uint32_t *taken, size_t n_taken, rng *r) {
    uint32_t anchor = taken[0];
    const uint32_t *member = s->members + s->first[c];
    size_t n = class_size(s, c), found = 0;
    for (size_t g = 0; g < s->n_groups && found == 0; g++) {
        for (size_t i = 0; i < n; i++) {
            if (differs(s, g, anchor, member[i]) && !among(taken, n_taken, s->pairs, member[i])) {
                s->permutation[found++] = member[i];
            }
        }
    }
    if (found == 0) { /* no group tells them apart */
        for (size_t i = 0; i < n; i++) {
            if (!among(taken, n_taken, s->pairs, member[i])) {
                s->permutation[found++] = member[i];
            }
        }
    }
    return s->permutation[rng_below(r, found)];
}

static void draw_pairs(sampler *s, uint64_t epoch, uint64_t step, uint32_t *clip) {
    rng r = stream(s, STREAM_PAIRS, epoch, step);
    for (size_t i = 0; i < s->pairs; i++) { /* the first places of a shuffle: distinct classes */
        size_t j = i + (size_t)rng_below(&r, s->n_pairable - i);
        uint32_t swap = s->pairable[i];
        s->pairable[i] = s->pairable[j];
        s->pairable[j] = swap;
    }
    for (size_t i = 0; i < s->pairs; i++) {
        size_t c = s->pairable[i];
        clip[i] = s->members[s->first[c] + (size_t)rng_below(&r, class_size(s, c))];
        for (size_t k = 1; k < s->per_class; k++) {
            clip[k * s->pairs + i] = positive(s, c, clip + i, k, &r);
        }
    }
    /* Undo: the order of classes must not depend on the steps before. */
    size_t k = 0;
    for (size_t c = 0; c < s->n_classes; c++) {
        if (class_size(s, c) >= s->per_class) {
            s->pairable[k++] = (uint32_t)c;
        }
    }
}

void sampler_batch(sampler *s, uint64_t epoch, uint64_t step, uint32_t *clip) {
    if (s->pairs > 0) {
        draw_pairs(s, epoch, step, clip);
    }
    size_t done = s->per_class * s->pairs, rest = s->batch - done;
    for (size_t i = 0; i < rest; i++) {
        uint64_t index = step * rest + i,
                 all = epoch * sampler_steps(s) * rest + index; /* of the epoch, of the training */
        clip[done + i] = s->kind == SAMPLER_SHUFFLED   ? shuffled_clip(s, epoch, index)
                         : s->kind == SAMPLER_BALANCED ? balanced_clip(s, all)
                                                       : nested_clip(s->nested, all);
    }
}

size_t sampler_paired_classes(const sampler *s, size_t g) {
    size_t count = 0;
    for (size_t k = 0; k < s->n_pairable; k++) {
        const uint32_t *member = s->members + s->first[s->pairable[k]];
        size_t n = class_size(s, s->pairable[k]);
        bool any = false, here = false;
        for (size_t j = 0; j < s->n_groups; j++) {
            int32_t seen = -1;
            for (size_t i = 0; i < n; i++) {
                int32_t v = s->group[j][member[i]];
                bool d = v >= 0 && seen >= 0 && v != seen;
                any = any || d;
                here = here || (d && j == g);
                seen = seen < 0 ? v : seen;
            }
        }
        count += g == s->n_groups ? !any : here;
    }
    return count;
}
