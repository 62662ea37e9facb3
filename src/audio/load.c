/* load.c: a whole recording in memory; see audio.h. */
#include "audio/audio.h"

enum { BLOCK = 4096 };

spoor_status audio_load_open(spoor_audio *a, float **samples, size_t *n, spoor_error *err) {
    spoor_context *ctx = audio_context(a);
    const size_t limit = (size_t)(AUDIO_LOAD_SECONDS_MAX * AUDIO_RATE);
    float *block = NULL;
    size_t capacity = 0, have = 0, got;
    *samples = NULL;
    *n = 0;
    spoor_status status = audio_rewind(a, err);
    do {
        if (status == SPOOR_OK && !ctx_grow(ctx, (void **)&block, &capacity, have + BLOCK, sizeof *block)) {
            status = error_memory(err, "loading a recording");
        }
        if (status != SPOOR_OK) {
            break;
        }
        status = audio_read(a, block + have, capacity - have, &got, err);
        if (status == SPOOR_OK && have + got > limit) {
            status = error_set(err, SPOOR_ERR_LIMIT, "%s is over the limit of %.0f minutes for a clip in memory",
                               audio_shown_name(a), AUDIO_LOAD_SECONDS_MAX / 60);
        }
        have += got;
    } while (status == SPOOR_OK && got > 0);
    if (status != SPOOR_OK) {
        ctx_free(ctx, block);
        return status;
    }
    *samples = block;
    *n = have;
    return SPOOR_OK;
}

spoor_status audio_load(spoor_context *ctx, const char *path, const spoor_audio_options *options, float **samples,
                        size_t *n, spoor_error *err) {
    *samples = NULL;
    *n = 0;
    spoor_audio *a;
    TRY(spoor_audio_open(ctx, path, options, &a, err));
    spoor_status status = audio_load_open(a, samples, n, err);
    spoor_audio_free(a);
    return status;
}
