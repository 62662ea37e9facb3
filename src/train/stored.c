/* stored.c: see stored.h. */
#include "train/stored.h"
#include "base/io.h"
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 64 /* clips between two looks at Ctrl-C */ };

struct stored {
    spoor_context *ctx;
    const recipe *r;
    const dataset *d;
    const char *command;
    store *store;
    size_t dim;
    char chain[65];
    char (*audio)[65]; /* [n_train] SHA-256 of the recordings' files */
    /* of the block being checked */
    size_t first;
    size_t missing[BLOCK];
    spoor_error errors[BLOCK];
};

void stored_free(stored *s) {
    if (s) {
        store_free(s->store);
        ctx_free(s->ctx, s->audio);
        ctx_free(s->ctx, s);
    }
}

static spoor_status no_store(const stored *s, const char *path, spoor_error *err) {
    struct stat st;
    char *index = ctx_printf(s->ctx, "%s/index.json", path);
    if (!index) {
        return error_memory(err, "opening stored features");
    }
    bool there = stat(index, &st) == 0;
    ctx_free(s->ctx, index);
    return there ? SPOOR_OK
                 : error_set(err, SPOOR_ERR_INPUT,
                             "there are no features in %s (%zu training clips need them); make them with: %s", path,
                             s->d->n_train, s->command);
}

static spoor_status open_it(stored *s, const frontend *fe, const augment *a, spoor_error *err) {
    const recipe *r = s->r;
    s->audio = ctx_calloc(s->ctx, s->d->n_train, sizeof *s->audio);
    char *path = recipe_path(s->ctx, r, r->cache_path);
    if (!s->audio || !path) {
        ctx_free(s->ctx, path);
        return error_memory(err, "opening stored features");
    }
    spoor_status status = no_store(s, path, err);
    if (status == SPOOR_OK) {
        status = store_open(s->ctx, path, fe, &(store_options){0}, &s->store, err);
    }
    if (status == SPOOR_OK && r->cache_type != RECIPE_CACHE_ANY &&
        store_is_half(s->store) != (r->cache_type == RECIPE_CACHE_FLOAT16)) {
        status =
            error_set(err, SPOOR_ERR_USAGE, "%s holds %s features, but cache.type is %s", path,
                      store_is_half(s->store) ? "float16" : "float32", store_is_half(s->store) ? "float32" : "float16");
    }
    ctx_free(s->ctx, path);
    TRY(status);
    s->dim = frontend_dim(fe);
    return r->cache_copies > 0 ? store_chain_hash(augment_config(a), s->chain, err) : SPOOR_OK;
}

spoor_status stored_open(spoor_context *ctx, const recipe *r, const dataset *d, const frontend *fe, const augment *a,
                         const char *command, stored **out, spoor_error *err) {
    *out = NULL;
    stored *s = ctx_calloc(ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "opening stored features");
    }
    *s = (stored){.ctx = ctx, .r = r, .d = d, .command = command};
    spoor_status status = open_it(s, fe, a, err);
    if (status != SPOOR_OK) {
        stored_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

bool stored_is_half(const stored *s) { return store_is_half(s->store); }

static void key_of(const stored *s, size_t clip, uint64_t copy, store_key *key) {
    store_copy c = {.seed = (uint64_t)s->r->cache_seed, .number = copy};
    memcpy(c.chain, s->chain, sizeof c.chain);
    store_key_make(s->store, s->audio[clip], copy > 0 ? &c : NULL, key);
}

static void check_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    stored *s = arg;
    size_t clip = s->first + (size_t)item;
    spoor_error *err = &s->errors[item];
    err->status = io_sha256_file(s->d->paths[clip], s->audio[clip], err);
    if (err->status == SPOOR_OK && s->r->cut) {
        audio_silence_identity(&s->r->silence, s->audio[clip]);
    }
    s->missing[item] = 0;
    for (uint64_t copy = 0; err->status == SPOOR_OK && copy <= (uint64_t)s->r->cache_copies; copy++) {
        store_key key;
        key_of(s, clip, copy, &key);
        s->missing[item] += store_frames(s->store, &key) == 0;
    }
}

spoor_status stored_check(stored *s, pool *p, spoor_error *err) {
    size_t missing = 0, clips = 0, all = s->d->n_train;
    for (s->first = 0; s->first < all; s->first += BLOCK) {
        TRY(ctx_check_cancel(s->ctx, err));
        size_t n = all - s->first < BLOCK ? all - s->first : BLOCK;
        pool_run(p, (int64_t)n, check_one, s);
        for (size_t i = 0; i < n; i++) {
            if (s->errors[i].status != SPOOR_OK) {
                return error_set(err, s->errors[i].status, "%s", s->errors[i].message);
            }
            missing += s->missing[i];
            clips += s->missing[i] > 0;
        }
        ctx_progress(s->ctx, s->first + n, all);
    }
    if (missing > 0) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "%zu of %zu features of training clips are missing or damaged in %s (%zu of %zu clips); "
                         "make them with: %s",
                         missing, all * ((size_t)s->r->cache_copies + 1), s->r->cache_path, clips, all, s->command);
    }
    return SPOOR_OK;
}

static size_t share_of(double where, size_t n) {
    size_t at = (size_t)(where * (double)n);
    return at < n ? at : n - 1;
}

spoor_status stored_clip(const stored *s, size_t clip, double where, rng *r, float *out, size_t n, spoor_error *err) {
    uint64_t copy = 0;
    if (s->r->cache_copies > 0) {
        bool take = rng_uniform(r) < s->r->cache_p;
        uint64_t which = rng_below(r, (uint64_t)s->r->cache_copies);
        copy = take ? 1 + which : 0;
    }
    store_key key;
    key_of(s, clip, copy, &key);
    size_t have = store_frames(s->store, &key);
    if (have == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "the features of %s are no longer whole in %s; run spoor extract again",
                         s->d->paths[clip], s->r->cache_path);
    }
    size_t at = share_of(where, have > n ? have - n + 1 : have);
    for (size_t done = 0; done < n; at = 0) {
        size_t part = have - at < n - done ? have - at : n - done;
        TRY(store_read(s->store, &key, at, part, out + done * s->dim, err));
        done += part;
    }
    return SPOOR_OK;
}
