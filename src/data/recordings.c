/* recordings.c: see recordings.h. */
#include "data/recordings.h"
#include "audio/find.h"
#include "base/io.h"
#include "data/cache.h"
#include "data/manifest.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { CHECK_BLOCK = 64 /* recordings between two looks at Ctrl-C */, HEX = 64 };

typedef struct recording_set {
    spoor_context *ctx;
    const augment_set *named;
    char *path; /* to open */
    manifest *list;
    char **found; /* of a folder */
    const char **paths;
    size_t n, found_capacity;
    clip_cache *cache;
    char (*sha256)[HEX]; /* [n] of the files, without terminators */
    /* while they are checked */
    bool decode;
    size_t first;
    spoor_error errors[CHECK_BLOCK];
} recording_set;

struct recordings {
    spoor_context *ctx;
    pool *pool;
    size_t n;
    recording_set **set;
};

static void free_set(recording_set *s) {
    for (size_t i = 0; s->found && i < s->n; i++) {
        ctx_free(s->ctx, s->found[i]);
    }
    cache_free(s->cache);
    manifest_free(s->list);
    ctx_free(s->ctx, s->found);
    ctx_free(s->ctx, s->paths);
    ctx_free(s->ctx, s->sha256);
    ctx_free(s->ctx, s->path);
    ctx_free(s->ctx, s);
}

void recordings_free(recordings *r) {
    if (!r) {
        return;
    }
    for (size_t i = 0; r->set && i < r->n; i++) {
        free_set(r->set[i]);
    }
    ctx_free(r->ctx, r->set);
    pool_free(r->pool);
    ctx_free(r->ctx, r);
}

/* ---- which files ---- */

static spoor_status too_many(const recording_set *s, spoor_error *err) {
    return error_set(err, SPOOR_ERR_LIMIT, "augment: %s has more than the limit of %d recordings", s->path,
                     RECORDINGS_MAX);
}

static spoor_status take(void *user, const char *path, spoor_error *err) {
    recording_set *s = user;
    if (s->n == RECORDINGS_MAX) {
        return too_many(s, err);
    }
    char *copy = ctx_strdup(s->ctx, path);
    if (!copy || !ctx_grow(s->ctx, (void **)&s->found, &s->found_capacity, s->n + 1, sizeof *s->found)) {
        ctx_free(s->ctx, copy);
        return error_memory(err, "listing recordings");
    }
    s->found[s->n++] = copy;
    return SPOOR_OK;
}

static spoor_status read_list(recording_set *s, spoor_error *err) {
    TRY(manifest_new(s->ctx, &s->list, err));
    TRY(manifest_add(s->list, s->path, NULL, NULL, 0, err));
    s->n = manifest_rows(s->list);
    return s->n > RECORDINGS_MAX ? too_many(s, err) : SPOOR_OK;
}

static spoor_status not_there(const recording_set *s, int error, spoor_error *err) {
    const char *what = s->named->room ? "the impulse responses of a step room" : "the recordings of a step noise";
    return error_set(err, SPOOR_ERR_INPUT,
                     "augment: cannot read %s, %s (%s); put a folder or a CSV list of them there, or leave the step's "
                     "\"files\" out to have %s simulated",
                     s->path, what, strerror(error), s->named->room ? "rooms" : "noise");
}

static spoor_status find_files(recording_set *s, spoor_error *err) {
    struct stat st;
    if (stat(s->path, &st) != 0) {
        return not_there(s, errno, err);
    }
    TRY(S_ISDIR(st.st_mode) ? audio_find(s->ctx, s->path, take, s, err) : read_list(s, err));
    if (s->n == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "augment: there is no recording in %s", s->path);
    }
    s->paths = ctx_alloc(s->ctx, s->n, sizeof *s->paths);
    s->sha256 = ctx_alloc(s->ctx, s->n, sizeof *s->sha256);
    if (!s->paths || !s->sha256) {
        return error_memory(err, "listing recordings");
    }
    for (size_t i = 0; i < s->n; i++) {
        s->paths[i] = s->found ? s->found[i] : manifest_path(s->list, i);
    }
    return SPOOR_OK;
}

/* ---- what is in them ---- */

static spoor_status check_sound(const recording_set *s, size_t index, spoor_error *err) {
    float *x;
    size_t n;
    double peak = 0;
    TRY(cache_whole(s->cache, index, &x, &n, err));
    for (size_t i = 0; i < n; i++) {
        peak = fmax(peak, fabs((double)x[i]));
    }
    ctx_free(s->ctx, x);
    if (s->named->room && n > AUGMENT_MAX_RESPONSE) {
        return error_set(err, SPOOR_ERR_INPUT, "augment: %s lasts %.1f s, and an impulse response may last %u s; take "
                                               "it out of %s",
                         s->paths[index], (double)n / AUGMENT_RATE, AUGMENT_MAX_RESPONSE / AUGMENT_RATE, s->path);
    }
    if (!(peak > (s->named->room ? 0 : 3.17e-5))) { /* -90 dBFS: 16-bit silence with dither is none either */
        return error_set(err, SPOOR_ERR_INPUT, "augment: %s is silent, so it is no %s; take it out of %s",
                         s->paths[index], s->named->room ? "impulse response" : "noise", s->path);
    }
    return SPOOR_OK;
}

static void check_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    recording_set *s = arg;
    size_t index = s->first + (size_t)item;
    spoor_error *err = &s->errors[item];
    char hex[HEX + 1];
    spoor_error inner = {SPOOR_OK, ""};
    if (io_sha256_file(s->paths[index], hex, &inner) != SPOOR_OK) {
        err->status = error_set(err, SPOOR_ERR_INPUT, "augment, %s: %s", s->path, inner.message);
        return;
    }
    memcpy(s->sha256[index], hex, HEX);
    err->status = s->decode ? check_sound(s, index, err) : SPOOR_OK;
}

static spoor_status check_all(recording_set *s, pool *p, spoor_error *err) {
    for (s->first = 0; s->first < s->n; s->first += CHECK_BLOCK) {
        TRY(ctx_check_cancel(s->ctx, err));
        size_t n = s->n - s->first < CHECK_BLOCK ? s->n - s->first : CHECK_BLOCK;
        pool_run(p, (int64_t)n, check_one, s);
        for (size_t i = 0; i < n; i++) {
            if (s->errors[i].status != SPOOR_OK) {
                return error_set(err, s->errors[i].status, "%s", s->errors[i].message);
            }
        }
    }
    return SPOOR_OK;
}

/* ---- what steps take ---- */

static spoor_status stretch(void *user, size_t index, double where, float *out, size_t n, spoor_error *err) {
    return cache_crop(((recording_set *)user)->cache, index, where, out, n, err);
}

static spoor_status whole(void *user, size_t index, float **out, size_t *n, spoor_error *err) {
    return cache_whole(((recording_set *)user)->cache, index, out, n, err);
}

static spoor_status load(recording_set *s, pool *p, size_t limit, spoor_error *err) {
    TRY(cache_new(s->ctx, s->paths, s->n, limit, &s->cache, err));
    if (s->named->room) {
        cache_first_channel(s->cache); /* the mean of several microphones is no room's response */
    }
    if (s->decode) {
        spoor_error inner = {SPOOR_OK, ""};
        if (cache_fill(s->cache, p, &inner) != SPOOR_OK) {
            return error_set(err, inner.status, "augment, %s: %s", s->path, inner.message);
        }
    }
    return check_all(s, p, err);
}

static spoor_status add_set(recordings *r, augment *chain, const recordings_options *o, size_t *left,
                            spoor_error *err) {
    recording_set *s = ctx_calloc(r->ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "reading recordings");
    }
    size_t index = r->n;
    r->set[r->n++] = s;
    s->ctx = r->ctx;
    s->named = augment_set_at(chain, index);
    s->decode = !o->name_only;
    size_t later = 0; /* sets that also want memory */
    while (augment_set_at(chain, index + later) != NULL) {
        later++;
    }
    s->path = ctx_printf(s->ctx, "%s%s", s->named->path[0] == '/' || !o->folder ? "" : o->folder, s->named->path);
    if (!s->path) {
        return error_memory(err, "reading recordings");
    }
    TRY(find_files(s, err));
    TRY(load(s, r->pool, *left / later, err));
    size_t bytes = cache_bytes(s->cache);
    *left -= bytes < *left ? bytes : *left;
    char hex[HEX + 1];
    io_sha256(s->sha256, s->n * sizeof *s->sha256, hex);
    augment_recordings from = {.stretch = {.count = s->n, .user = s, .fill = stretch}, .whole = whole};
    if (s->decode) {
        ctx_log(s->ctx, SPOOR_LOG_INFO, "augment: %zu recordings of %s, %zu of them in memory (%zu MB)", s->n, s->path,
                cache_kept(s->cache), bytes >> 20);
    }
    return augment_use_recordings(chain, index, &from, hex, err);
}

spoor_status recordings_open(spoor_context *ctx, augment *chain, const recordings_options *options, recordings **out,
                             spoor_error *err) {
    *out = NULL;
    size_t n = 0, left = options->limit;
    while (augment_set_at(chain, n) != NULL) {
        n++;
    }
    if (n == 0) {
        return SPOOR_OK;
    }
    recordings *r = ctx_calloc(ctx, 1, sizeof *r);
    if (!r) {
        return error_memory(err, "reading recordings");
    }
    r->ctx = ctx;
    r->set = ctx_calloc(ctx, n, sizeof(recording_set *));
    spoor_status status = r->set ? pool_new(ctx, options->threads ? options->threads : pool_processors(), &r->pool, err)
                                 : error_memory(err, "reading recordings");
    while (status == SPOOR_OK && r->n < n) {
        status = add_set(r, chain, options, &left, err);
    }
    pool_free(r->pool);
    r->pool = NULL;
    if (status != SPOOR_OK) {
        recordings_free(r);
        return status;
    }
    *out = r;
    return SPOOR_OK;
}
