/* matched.c: see matched.h. */
#include "data/matched.h"
#include "base/rng.h"
#include <stdlib.h>
#include <string.h>

enum { STREAM_MATCHED = 7 };

typedef struct member {
    int32_t content, generator;
    uint32_t clip;
} member;

struct matched {
    spoor_context *ctx;
    uint64_t seed;
    bool crossed, through; /* every clip goes through every generator */
    size_t pairs, generators, n_members, n_contents, n_usable, n_groups;
    member *members;  /* sorted; where `through`, one for each content */
    size_t *first;    /* [n_contents + 1] */
    int32_t *group[SAMPLER_MAX_GROUPS]; /* [n_contents] what all clips of a content agree in, else -1 */
    uint32_t *usable; /* contents with at least `pairs` generators */
    unsigned char *marked; /* [generators] scratch: generators of one content */
    int32_t *shared;       /* [generators] scratch: those of two */
};

void matched_free(matched *m) {
    if (!m) {
        return;
    }
    for (size_t g = 0; g < SAMPLER_MAX_GROUPS; g++) {
        ctx_free(m->ctx, m->group[g]);
    }
    ctx_free(m->ctx, m->members);
    ctx_free(m->ctx, m->first);
    ctx_free(m->ctx, m->usable);
    ctx_free(m->ctx, m->marked);
    ctx_free(m->ctx, m->shared);
    ctx_free(m->ctx, m);
}

static int in_order(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->content != y->content) {
        return x->content < y->content ? -1 : 1;
    }
    if (x->generator != y->generator) {
        return x->generator < y->generator ? -1 : 1;
    }
    return (x->clip > y->clip) - (x->clip < y->clip);
}

static void take_members(matched *m, const matched_options *o) {
    for (size_t i = 0; i < o->n_clips; i++) {
        if (o->content[i] >= 0 && (!o->label || o->label[i] >= 0)) {
            m->members[m->n_members++] = (member){o->content[i], o->label ? o->label[i] : 0, (uint32_t)i};
        }
    }
    if (m->n_members > 0) {
        qsort(m->members, m->n_members, sizeof *m->members, in_order);
    }
    for (size_t i = 0; i < m->n_members; i++) {
        if (i == 0 || m->members[i].content != m->members[i - 1].content) {
            m->first[m->n_contents++] = i;
        }
    }
    m->first[m->n_contents] = m->n_members;
}

static void take_groups(matched *m, const matched_options *o) {
    for (size_t g = 0; g < m->n_groups; g++) {
        for (size_t c = 0; c < m->n_contents; c++) {
            int32_t value = o->group[g][m->members[m->first[c]].clip];
            for (size_t i = m->first[c]; i < m->first[c + 1]; i++) {
                value = o->group[g][m->members[i].clip] == value ? value : -1;
            }
            m->group[g][c] = value;
        }
    }
}

/* Whether member i is the first of its content through its generator. */
static bool first_of_generator(const matched *m, size_t c, size_t i) {
    return i == m->first[c] || m->members[i].generator != m->members[i - 1].generator;
}

static size_t count_generators(const matched *m, size_t c) {
    size_t n = 0;
    for (size_t i = m->first[c]; i < m->first[c + 1]; i++) {
        n += first_of_generator(m, c, i);
    }
    return m->through ? m->generators : n;
}

/* marked = the generators of content a */
static void mark(matched *m, size_t a) {
    memset(m->marked, m->through, m->generators);
    for (size_t i = m->first[a]; !m->through && i < m->first[a + 1]; i++) {
        m->marked[m->members[i].generator] = 1;
    }
}

/* How many of the marked generators content b has, and in shared which. */
static size_t share(matched *m, size_t b) {
    size_t n = 0;
    for (size_t g = 0; m->through && g < m->generators; g++) {
        m->shared[n++] = (int32_t)g;
    }
    for (size_t i = m->first[b]; !m->through && i < m->first[b + 1]; i++) {
        if (first_of_generator(m, b, i) && m->marked[m->members[i].generator]) {
            m->shared[n++] = m->members[i].generator;
        }
    }
    return n;
}

/* The first group in which two contents differ. */
static size_t difference(const matched *m, size_t a, size_t b) {
    for (size_t g = 0; g < m->n_groups; g++) {
        int32_t x = m->group[g][a], y = m->group[g][b];
        if (x >= 0 && y >= 0 && x != y) {
            return g;
        }
    }
    return m->n_groups;
}

/* A recording that shares enough generators with a, one of those that differ in the first group in which any does, all
 * of these as likely; SIZE_MAX: there is none. */
static size_t partner(matched *m, size_t a, rng *r) {
    size_t best = SIZE_MAX, rank = 0, count = 0;
    mark(m, a);
    for (size_t k = 0; k < m->n_usable; k++) {
        size_t b = m->usable[k];
        if (b == a || (!m->through && share(m, b) < m->pairs)) {
            continue;
        }
        size_t d = difference(m, a, b);
        if (best == SIZE_MAX || d < rank) {
            count = 0;
            rank = d;
        }
        if (d == rank && rng_below(r, ++count) == 0) {
            best = b;
        }
    }
    return best;
}

static bool reserve(matched *m, const matched_options *o) {
    m->members = ctx_alloc(m->ctx, o->n_clips, sizeof *m->members);
    m->first = ctx_alloc(m->ctx, o->n_clips + 1, sizeof *m->first);
    m->usable = ctx_alloc(m->ctx, o->n_clips, sizeof *m->usable);
    m->marked = ctx_alloc(m->ctx, o->generators, 1);
    m->shared = ctx_alloc(m->ctx, o->generators, sizeof *m->shared);
    bool ok = m->members && m->first && m->usable && m->marked && m->shared;
    for (size_t g = 0; ok && g < m->n_groups; g++) {
        m->group[g] = ctx_alloc(m->ctx, o->n_clips, sizeof **m->group);
        ok = m->group[g] != NULL;
    }
    return ok;
}

static spoor_status look_for_two(matched *m, spoor_error *err) {
    rng r = rng_make(m->seed, STREAM_MATCHED);
    for (size_t k = 0; k < m->n_usable; k++) {
        if (partner(m, m->usable[k], &r) != SIZE_MAX) {
            return SPOOR_OK;
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "content-matched pairs need two recordings through the same %zu generators; "
                     "of %zu recordings %zu are there through so many", m->pairs, m->n_contents, m->n_usable);
}

spoor_status matched_new(spoor_context *ctx, const matched_options *o, matched **out, spoor_error *err) {
    *out = NULL;
    if (o->pairs < 2 || o->pairs > o->generators || o->n_clips > UINT32_MAX || o->n_groups > SAMPLER_MAX_GROUPS) {
        return error_set(err, SPOOR_ERR_USAGE, "content-matched blocks of %zu pairs are not possible with %zu "
                         "generators; at least 2 pairs, and as many generators", o->pairs, o->generators);
    }
    matched *m = ctx_calloc(ctx, 1, sizeof *m);
    if (!m) {
        return error_memory(err, "making a sampler");
    }
    *m = (matched){.ctx = ctx, .seed = o->seed, .crossed = o->crossed, .through = !o->label, .pairs = o->pairs,
                   .generators = o->generators, .n_groups = o->n_groups};
    if (!reserve(m, o)) {
        matched_free(m);
        return error_memory(err, "making a sampler");
    }
    take_members(m, o);
    take_groups(m, o);
    for (size_t c = 0; c < m->n_contents; c++) {
        if (count_generators(m, c) >= m->pairs) {
            m->usable[m->n_usable++] = (uint32_t)c;
        }
    }
    spoor_status status = look_for_two(m, err);
    if (status != SPOOR_OK) {
        matched_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

size_t matched_contents(const matched *m) { return m->n_usable; }

/* A clip of content c through the generator. */
static uint32_t clip_of(const matched *m, size_t c, int32_t generator, rng *r) {
    uint32_t found = 0;
    size_t count = 0;
    for (size_t i = m->first[c]; i < m->first[c + 1]; i++) {
        if ((m->through || m->members[i].generator == generator) && rng_below(r, ++count) == 0) {
            found = m->members[i].clip;
        }
    }
    return found;
}

void matched_draw(matched *m, uint64_t epoch, uint64_t step, uint64_t block, matched_place *place) {
    rng r = rng_make(m->seed, STREAM_MATCHED);
    r = rng_make(rng_u64(&r), epoch);
    r = rng_make(rng_u64(&r), step);
    r = rng_make(rng_u64(&r), block);
    size_t at = (size_t)rng_below(&r, m->n_usable), side[2];
    do { /* matched_new has seen that some recording has a partner */
        side[0] = m->usable[at];
        side[1] = partner(m, side[0], &r);
        at = (at + 1) % m->n_usable;
    } while (side[1] == SIZE_MAX);
    size_t n = share(m, side[1]);
    for (size_t i = 0; i < m->pairs; i++) { /* the first places of a shuffle */
        size_t j = i + (size_t)rng_below(&r, n - i);
        int32_t generator = m->shared[j], turned = m->crossed && i % 2 == 1;
        m->shared[j] = m->shared[i];
        m->shared[i] = generator;
        place[i] = (matched_place){clip_of(m, side[turned], generator, &r), generator, turned};
        place[m->pairs + i] = (matched_place){clip_of(m, side[1 - turned], generator, &r), generator, 1 - turned};
    }
}
