/* silence.c: see silence.h and audio.h. Memory: one silence that is not yet known to be long, and what is to be
 * given. */
#include "audio/silence.h"
#include "base/config.h"
#include "base/io.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct silence {
    spoor_context *ctx;
    bool measured, all;      /* all: the recording is silence altogether and stays as it is */
    size_t threshold;        /* blocks under this level are silent */
    size_t below;            /* levels */
    size_t inner, margin;    /* samples */
    bool sounded, done;      /* some block was no silence; the source is at its end */
    uint64_t run;            /* samples of the silence that goes on */
    uint64_t removed;
    float *held;             /* [room] its samples that may yet be given: all while it is short, then the last
                              * `margin` */
    size_t held_n, room;
    float *ready;            /* [room + LEVEL_BLOCK] to be given */
    size_t ready_at, ready_n;
};

void audio_silence_init(audio_silence *how) { *how = (audio_silence){.below = 40, .inner = 0.3, .margin = 0.1}; }

spoor_status audio_silence_check(const audio_silence *how, const char *where, spoor_error *err) {
    if (!(how->below >= 6 && how->below <= 100)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.below must be 6 to 100 dB, not %g", where, how->below);
    }
    if (!(how->margin >= 0 && how->margin <= 5) || !(how->inner > 0 && how->inner <= 10)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s: inner must be over 0 and up to 10 s, margin 0 to 5 s", where);
    }
    if (how->inner < 2 * how->margin) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.inner must be at least twice the margin, which is kept on both "
                                               "sides", where);
    }
    return SPOOR_OK;
}

spoor_status audio_silence_from_json(const json_t *json, const char *where, audio_silence *out, spoor_error *err) {
    static const char *const keys[] = {"below", "inner", "margin", NULL};
    audio_silence d;
    audio_silence_init(&d);
    if (!json_is_object(json)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must be a mapping of below, inner and margin", where);
    }
    TRY(config_keys(json, where, keys, err));
    TRY(config_number(json, where, "below", d.below, -1e9, 1e9, &out->below, err));
    TRY(config_number(json, where, "inner", d.inner, -1e9, 1e9, &out->inner, err));
    TRY(config_number(json, where, "margin", d.margin, -1e9, 1e9, &out->margin, err));
    return audio_silence_check(out, where, err);
}

json_t *audio_silence_to_json(const audio_silence *how) {
    return json_pack("{s:f, s:f, s:f}", "below", how->below, "inner", how->inner, "margin", how->margin);
}

void audio_silence_identity(const audio_silence *how, char hex[65]) {
    char text[256];
    int n = snprintf(text, sizeof text, "%.64s without silence: %lld %lld %lld", hex, llround(how->below / LEVEL_STEP),
                     llround(how->inner * AUDIO_RATE), llround(how->margin * AUDIO_RATE));
    io_sha256(text, (size_t)n, hex);
}

spoor_status silence_new(spoor_context *ctx, const audio_silence *how, silence **out, spoor_error *err) {
    *out = NULL;
    TRY(audio_silence_check(how, "silence", err));
    silence *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "removing silence");
    }
    s->ctx = ctx;
    s->below = (size_t)llround(how->below / LEVEL_STEP);
    s->inner = (size_t)llround(how->inner * AUDIO_RATE);
    s->margin = (size_t)llround(how->margin * AUDIO_RATE);
    s->room = s->inner + LEVEL_BLOCK;
    s->held = ctx_alloc(ctx, s->room, sizeof *s->held);
    s->ready = ctx_alloc(ctx, s->room + LEVEL_BLOCK, sizeof *s->ready);
    if (s->held == NULL || s->ready == NULL) {
        silence_free(s);
        return error_memory(err, "removing silence");
    }
    *out = s;
    return SPOOR_OK;
}

void silence_free(silence *s) {
    if (s != NULL) {
        ctx_free(s->ctx, s->held);
        ctx_free(s->ctx, s->ready);
        ctx_free(s->ctx, s);
    }
}

void silence_restart(silence *s) {
    s->sounded = s->done = false;
    s->run = s->removed = 0;
    s->held_n = s->ready_at = s->ready_n = 0;
}

uint64_t silence_removed(const silence *s) { return s->removed; }

/* The levels of the whole recording, and back to its beginning. */
static spoor_status measure(silence *s, spoor_audio *audio, spoor_error *err) {
    uint64_t samples_at[LEVELS] = {0};
    float block[LEVEL_BLOCK];
    size_t got;
    do {
        TRY(audio_read_whole(audio, block, LEVEL_BLOCK, &got, err));
        if (got > 0) {
            samples_at[level_of(block, got, NULL, NULL)] += got;
        }
    } while (got == LEVEL_BLOCK);
    size_t top = level_loudest(samples_at);
    s->all = level_is_silence(top);
    s->threshold = top > s->below ? top - s->below : 0;
    s->measured = true;
    return audio_rewind_whole(audio, err);
}

static void give(silence *s, const float *samples, size_t n) {
    memcpy(s->ready + s->ready_n, samples, n * sizeof *samples);
    s->ready_n += n;
}

/* Of what is held, only the last n are left; the others are gone. */
static void keep_last(silence *s, size_t n) {
    if (s->held_n > n) {
        s->removed += s->held_n - n;
        memmove(s->held, s->held + (s->held_n - n), n * sizeof *s->held);
        s->held_n = n;
    }
}

/* The first n of what is held are given. */
static void give_first(silence *s, size_t n) {
    n = n < s->held_n ? n : s->held_n;
    give(s, s->held, n);
    memmove(s->held, s->held + n, (s->held_n - n) * sizeof *s->held);
    s->held_n -= n;
}

static void silent_block(silence *s, const float *block, size_t n) {
    bool was_long = s->run >= s->inner;
    memcpy(s->held + s->held_n, block, n * sizeof *block);
    s->held_n += n;
    s->run += n;
    if (!s->sounded) {
        keep_last(s, s->margin);
    } else if (s->run >= s->inner) {
        if (!was_long) {
            give_first(s, s->margin);
        }
        keep_last(s, s->margin);
    }
}

static void sounding_block(silence *s, const float *block, size_t n) {
    give_first(s, s->held_n); /* a short silence whole, of a long one the last margin */
    give(s, block, n);
    s->sounded = true;
    s->run = 0;
}

/* A silence at the end: its first margin stays, which a long one has given already. */
static void finish(silence *s) {
    if (s->sounded && s->run < s->inner) {
        give_first(s, s->margin);
    }
    s->removed += s->held_n;
    s->held_n = 0;
    s->done = true;
}

static spoor_status next_block(silence *s, spoor_audio *audio, spoor_error *err) {
    float block[LEVEL_BLOCK];
    size_t got;
    s->ready_at = s->ready_n = 0;
    TRY(audio_read_whole(audio, block, LEVEL_BLOCK, &got, err));
    if (got > 0 && (s->all || level_of(block, got, NULL, NULL) >= s->threshold)) {
        sounding_block(s, block, got);
    } else if (got > 0) {
        silent_block(s, block, got);
    }
    if (got < LEVEL_BLOCK) {
        finish(s);
    }
    return SPOOR_OK;
}

spoor_status silence_read(silence *s, spoor_audio *audio, float *out, size_t n, size_t *got, spoor_error *err) {
    *got = 0;
    if (!s->measured) {
        TRY(measure(s, audio, err));
    }
    while (*got < n) {
        if (s->ready_at == s->ready_n) {
            if (s->done) {
                break;
            }
            TRY(next_block(s, audio, err));
            continue;
        }
        size_t have = s->ready_n - s->ready_at, take = have < n - *got ? have : n - *got;
        memcpy(out + *got, s->ready + s->ready_at, take * sizeof *out);
        s->ready_at += take;
        *got += take;
    }
    return SPOOR_OK;
}
