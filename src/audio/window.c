/* window.c: windows over a recording of any length; see audio.h. A ring holds the latest AUDIO_WINDOW samples, which is
 * all that the next window, or the one aligned to the end, can need. */
#include "audio/audio.h"
#include <string.h>

enum { PIECE = 4096 };

struct audio_windows {
    spoor_context *ctx;
    spoor_audio *audio;
    audio_assess *assess;
    uint64_t hop;
    uint64_t next;      /* first sample of the next window */
    uint64_t read;      /* samples taken from the audio so far */
    uint64_t last_end;  /* end of the latest window */
    size_t index;
    bool ended, closed; /* the audio gave its last sample; the last window was given */
    float ring[AUDIO_WINDOW];
    float piece[PIECE];
};

spoor_status audio_windows_new(spoor_context *ctx, spoor_audio *audio, size_t hop, audio_assess *assess,
                               audio_windows **out, spoor_error *err) {
    *out = NULL;
    TRY(audio_rewind(audio, err));
    audio_windows *w = ctx_calloc(ctx, 1, sizeof *w);
    if (w == NULL) {
        return error_memory(err, "making windows");
    }
    w->ctx = ctx;
    w->audio = audio;
    w->assess = assess;
    w->hop = hop == 0 ? AUDIO_WINDOW : hop;
    *out = w;
    return SPOOR_OK;
}

void audio_windows_free(audio_windows *w) {
    if (w != NULL) {
        ctx_free(w->ctx, w);
    }
}

/* Reads up to sample number `target` or the end. */
static spoor_status advance(audio_windows *w, uint64_t target, spoor_error *err) {
    while (w->read < target && !w->ended) {
        size_t want = target - w->read < PIECE ? (size_t)(target - w->read) : PIECE, got;
        TRY(audio_read(w->audio, w->piece, want, &got, err));
        w->ended = got < want;
        if (w->assess != NULL) {
            audio_assess_add(w->assess, w->piece, got);
        }
        size_t at = (size_t)(w->read % AUDIO_WINDOW), first = got < AUDIO_WINDOW - at ? got : AUDIO_WINDOW - at;
        memcpy(w->ring + at, w->piece, first * sizeof *w->ring);
        memcpy(w->ring, w->piece + first, (got - first) * sizeof *w->ring);
        w->read += got;
    }
    return SPOOR_OK;
}

/* The window that ends at w->read; a recording that is shorter is repeated. */
static void take(audio_windows *w, float *samples, audio_window *window) {
    uint64_t start = 0;
    if (w->read < AUDIO_WINDOW) {
        for (size_t i = 0; i < AUDIO_WINDOW; i++) {
            samples[i] = w->ring[i % (size_t)w->read];
        }
    } else {
        size_t at = (size_t)(w->read % AUDIO_WINDOW); /* the oldest sample */
        memcpy(samples, w->ring + at, (AUDIO_WINDOW - at) * sizeof *samples);
        memcpy(samples + (AUDIO_WINDOW - at), w->ring, at * sizeof *samples);
        start = w->read - AUDIO_WINDOW;
    }
    w->last_end = w->read;
    *window =
        (audio_window){.start = (double)start / AUDIO_RATE, .end = (double)w->read / AUDIO_RATE, .index = w->index++};
}

spoor_status audio_windows_next(audio_windows *w, float *samples, audio_window *window, bool *more, spoor_error *err) {
    *more = false;
    if (w->closed) {
        return SPOOR_OK;
    }
    uint64_t target = w->next + AUDIO_WINDOW;
    TRY(advance(w, target, err));
    if (w->read < target) { /* the end came first */
        w->closed = true;
        if (w->read == w->last_end) {
            return SPOOR_OK; /* the latest window ended with the recording */
        }
    }
    take(w, samples, window);
    w->next += w->hop;
    *more = true;
    return SPOOR_OK;
}
