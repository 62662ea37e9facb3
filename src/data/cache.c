/* cache.c: see cache.h. */
#include "data/cache.h"
#include <math.h>
#include <string.h>

enum { FIRST_BLOCK = 16, FILL_BLOCK = 256 }; /* recordings decoded between two looks at the limit: at first, at most */

typedef struct kept {
    int16_t *pcm;   /* value = pcm / 32768; NULL where the recording has finer steps */
    float *samples;
    size_t n;       /* 0: not kept */
} kept;

struct clip_cache {
    spoor_context *ctx;
    const char *const *paths;
    kept *clips;
    size_t n, skip, limit, bytes, n_kept;
    bool first_channel, cut;
    audio_silence silence; /* where cut */
    /* of the block being filled */
    size_t first;
    spoor_error *errors; /* [FILL_BLOCK] */
};

spoor_status cache_new(spoor_context *ctx, const char *const *paths, size_t n, size_t limit, clip_cache **out,
                       spoor_error *err) {
    *out = NULL;
    clip_cache *c = ctx_calloc(ctx, 1, sizeof *c);
    if (!c) {
        return error_memory(err, "making the recordings' cache");
    }
    *c = (clip_cache){.ctx = ctx, .paths = paths, .n = n, .limit = limit};
    c->clips = ctx_calloc(ctx, n, sizeof *c->clips);
    c->errors = ctx_calloc(ctx, FILL_BLOCK, sizeof *c->errors);
    if (!c->clips || !c->errors) {
        cache_free(c);
        return error_memory(err, "making the recordings' cache");
    }
    *out = c;
    return SPOOR_OK;
}

void cache_free(clip_cache *c) {
    if (!c) {
        return;
    }
    for (size_t i = 0; c->clips && i < c->n; i++) {
        ctx_free(c->ctx, c->clips[i].pcm);
        ctx_free(c->ctx, c->clips[i].samples);
    }
    ctx_free(c->ctx, c->clips);
    ctx_free(c->ctx, c->errors);
    ctx_free(c->ctx, c);
}

static bool sixteen_bits(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * 32768.0f;
        if (!(v >= -32768.0f && v <= 32767.0f) || v != (float)(int)v) {
            return false;
        }
    }
    return true;
}

static spoor_status decode(const clip_cache *c, size_t clip, float **samples, size_t *n, spoor_error *err) {
    *samples = NULL;
    spoor_audio_options options;
    spoor_audio_options_init(&options);
    options.channel = c->first_channel ? 0 : options.channel;
    spoor_audio *audio;
    TRY(spoor_audio_open(c->ctx, c->paths[clip], &options, &audio, err));
    spoor_status status = audio_follow_silence(audio, c->cut ? &c->silence : NULL, err);
    if (status == SPOOR_OK) {
        status = audio_load_open(audio, samples, n, err);
    }
    spoor_audio_free(audio);
    TRY(status);
    if (*n == 0) {
        ctx_free(c->ctx, *samples);
        *samples = NULL;
        return error_set(err, SPOOR_ERR_INPUT, "%s has no sound in it", c->paths[clip]);
    }
    return SPOOR_OK;
}

static void fill_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    clip_cache *c = arg;
    kept *k = &c->clips[c->first + (size_t)item];
    spoor_error *err = &c->errors[item];
    err->status = decode(c, c->first + (size_t)item, &k->samples, &k->n, err);
    if (err->status != SPOOR_OK || !sixteen_bits(k->samples, k->n)) {
        return;
    }
    k->pcm = ctx_alloc(c->ctx, k->n, sizeof *k->pcm);
    if (!k->pcm) {
        return; /* then it stays float */
    }
    for (size_t i = 0; i < k->n; i++) {
        k->pcm[i] = (int16_t)(k->samples[i] * 32768.0f);
    }
    ctx_free(c->ctx, k->samples);
    k->samples = NULL;
}

/* How many to decode next: of recordings as long as those before not many more than there is room for. */
static size_t next_block(const clip_cache *c) {
    size_t left = c->n - c->first, most = FIRST_BLOCK;
    if (c->n_kept > 0) {
        size_t fit = (c->limit - c->bytes) / (c->bytes / c->n_kept + 1) + 1;
        most = fit < FILL_BLOCK ? fit : FILL_BLOCK;
    }
    return left < most ? left : most;
}

spoor_status cache_fill(clip_cache *c, pool *p, spoor_error *err) {
    size_t bad = 0;
    spoor_error first = {SPOOR_OK, ""};
    size_t n = 0;
    for (c->first = c->skip; c->first < c->n && c->bytes < c->limit; c->first += n) {
        TRY(ctx_check_cancel(c->ctx, err));
        n = next_block(c);
        pool_run(p, (int64_t)n, fill_one, c);
        for (size_t i = 0; i < n; i++) {
            kept *k = &c->clips[c->first + i];
            if (c->errors[i].status != SPOOR_OK) {
                first = bad++ == 0 ? c->errors[i] : first;
                if (bad <= 100) {
                    ctx_log(c->ctx, SPOOR_LOG_ERROR, "%s", c->errors[i].message);
                }
                continue;
            }
            c->bytes += k->n * (k->pcm ? sizeof *k->pcm : sizeof *k->samples);
            c->n_kept++;
        }
        ctx_progress(c->ctx, c->first + n - c->skip, c->n - c->skip);
    }
    if (bad > 0) {
        return error_set(err, first.status, "%zu recordings cannot be used; the first: %s", bad, first.message);
    }
    return SPOOR_OK;
}

void cache_first_channel(clip_cache *c) { c->first_channel = true; }

void cache_without_silence(clip_cache *c, const audio_silence *how) {
    c->cut = true;
    c->silence = *how;
}

void cache_skip(clip_cache *c, size_t n) { c->skip = n < c->n ? n : c->n; }

size_t cache_kept(const clip_cache *c) { return c->n_kept; }
size_t cache_bytes(const clip_cache *c) { return c->bytes; }

/* The kept recording, or one decoded for this call (the caller frees now->samples where *own). */
static spoor_status get(const clip_cache *c, size_t clip, kept *now, bool *own, spoor_error *err) {
    *now = c->clips[clip];
    *own = now->n == 0;
    return *own ? decode(c, clip, &now->samples, &now->n, err) : SPOOR_OK;
}

static void copy_round(const kept *k, size_t start, float *out, size_t n) {
    for (size_t done = 0; done < n; start = 0) {
        size_t part = k->n - start < n - done ? k->n - start : n - done;
        if (k->pcm) {
            for (size_t i = 0; i < part; i++) {
                out[done + i] = (float)k->pcm[start + i] * (1.0f / 32768.0f);
            }
        } else {
            memcpy(out + done, k->samples + start, part * sizeof *out);
        }
        done += part;
    }
}

static size_t share_of(double where, size_t n) {
    size_t at = (size_t)(where * (double)n);
    return at < n ? at : n - 1;
}

spoor_status cache_crop(const clip_cache *c, size_t clip, double where, float *out, size_t n, spoor_error *err) {
    kept k;
    bool own;
    TRY(get(c, clip, &k, &own, err));
    copy_round(&k, share_of(where, k.n > n ? k.n - n + 1 : k.n), out, n);
    if (own) {
        ctx_free(c->ctx, k.samples);
    }
    return SPOOR_OK;
}

spoor_status cache_round(void *user, size_t clip, double where, float *out, size_t n, spoor_error *err) {
    const clip_cache *c = user;
    kept k;
    bool own;
    TRY(get(c, clip, &k, &own, err));
    copy_round(&k, share_of(where, k.n), out, n);
    if (own) {
        ctx_free(c->ctx, k.samples);
    }
    return SPOOR_OK;
}

spoor_status cache_whole(const clip_cache *c, size_t clip, float **out, size_t *n, spoor_error *err) {
    kept k;
    bool own;
    TRY(get(c, clip, &k, &own, err));
    *n = k.n;
    if (own) {
        *out = k.samples;
        return SPOOR_OK;
    }
    *out = ctx_alloc(c->ctx, k.n, sizeof **out);
    if (!*out) {
        return error_memory(err, "reading a recording");
    }
    copy_round(&k, 0, *out, k.n);
    return SPOOR_OK;
}
