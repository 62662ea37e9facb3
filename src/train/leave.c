/* leave.c: see leave.h. */
#include "train/leave.h"
#include <stdlib.h>
#include <string.h>

typedef struct sources {
    const int32_t *value;
    const unsigned char *may;
    size_t n, attributes;
    const int32_t *fold;
} sources;

static const int32_t *values_of(const sources *s, size_t i) { return s->value + i * s->attributes; }

static bool alike(const sources *s, size_t i, size_t j) {
    return memcmp(values_of(s, i), values_of(s, j), s->attributes * sizeof *s->value) == 0;
}

/* Would fold f without source i too lack one of its values? */
static bool loses(const sources *s, size_t i, size_t f) {
    for (size_t a = 0; a < s->attributes; a++) {
        int32_t v = values_of(s, i)[a];
        bool another = v < 0;
        for (size_t j = 0; j < s->n && !another; j++) {
            another = j != i && values_of(s, j)[a] == v && s->fold[j] != (int32_t)f;
        }
        if (!another) {
            return true;
        }
    }
    return false;
}

/* The fold that source i goes into: the one with the fewest of its kind, of these the smallest, of these the first. */
static int32_t choose(const sources *s, size_t i, size_t folds) {
    size_t least_alike = SIZE_MAX, least = SIZE_MAX;
    int32_t best = -1;
    for (size_t f = 0; f < folds; f++) {
        size_t same = 0, all = 0;
        for (size_t j = 0; j < s->n; j++) {
            same += s->fold[j] == (int32_t)f && alike(s, i, j);
            all += s->fold[j] == (int32_t)f;
        }
        bool better = same != least_alike ? same < least_alike : all < least;
        if (better && !loses(s, i, f)) {
            least_alike = same;
            least = all;
            best = (int32_t)f;
        }
    }
    return best;
}

spoor_status leave_choose(spoor_context *ctx, const int32_t *value, const unsigned char *may, size_t n,
                          size_t attributes, size_t folds, int32_t *fold, spoor_error *err) {
    sources s = {value, may, n, attributes, fold};
    unsigned char *done = ctx_calloc(ctx, n, 1);
    if (!done) {
        return error_memory(err, "choosing sources to leave out");
    }
    for (size_t i = 0; i < n; i++) {
        fold[i] = -1;
    }
    for (size_t i = 0; i < n; i++) { /* a source, and then all others of its kind */
        for (size_t j = i; j < n && !done[i]; j++) {
            if (may[j] && !done[j] && j != i && alike(&s, i, j)) {
                fold[j] = choose(&s, j, folds);
                done[j] = 1;
            } else if (j == i && may[i]) {
                fold[i] = choose(&s, i, folds);
            }
        }
        done[i] = 1;
    }
    ctx_free(ctx, done);
    return SPOOR_OK;
}
