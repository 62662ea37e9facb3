/* fuzz_audio.c: a sound file after one byte of options: opened from memory, assessed and cut into windows; read again
 * in other portions it is the same. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "target.h"
#include <math.h>

/* libsndfile 1.2.0 loses what libvorbis allocated where a Vorbis header is broken. Not ours; ours are still looked for.
 */
SPOOR_API const char *__lsan_default_suppressions(void); /* visible, for gcc's sanitizer is a shared library */
const char *__lsan_default_suppressions(void) { return "leak:vorbis_info_init\n"; }

enum { MOST_WINDOWS = 8, MOST = MOST_WINDOWS * AUDIO_WINDOW };

static spoor_status read_windows(spoor_context *ctx, spoor_audio *audio, size_t hop, spoor_error *err) {
    static float samples[AUDIO_WINDOW];
    audio_assess *assess = NULL;
    audio_windows *windows = NULL;
    audio_assessment judged;
    CHECK(audio_assess_new(ctx, audio, &assess, err) == SPOOR_OK);
    spoor_status status = audio_windows_new(ctx, audio, hop, assess, &windows, err);
    double end = 0;
    bool more = status == SPOOR_OK;
    for (size_t n = 0; more && n < MOST_WINDOWS; n++) {
        audio_window at;
        status = audio_windows_next(windows, samples, &at, &more, err);
        if (status != SPOOR_OK || !more) {
            break;
        }
        CHECK(at.index == n && at.start >= 0 && at.end > at.start && at.end >= end);
        end = at.end;
        for (size_t i = 0; i < AUDIO_WINDOW; i++) {
            CHECK(isfinite(samples[i]));
        }
    }
    if (status == SPOOR_OK) {
        audio_assess_finish(assess, &judged);
        CHECK(isfinite(judged.peak_dbfs) && isfinite(judged.rms_dbfs) && judged.clipped >= 0 && judged.clipped <= 1);
        CHECK((judged.verdict == AUDIO_ASSESSABLE) == (judged.reason[0] == '\0'));
    }
    audio_windows_free(windows);
    audio_assess_free(assess);
    return status;
}

/* A sum of the samples; the same for any size of the portions. */
static spoor_status read_portions(spoor_audio *audio, size_t portion, double *sum, spoor_error *err) {
    static float samples[4096];
    *sum = 0;
    spoor_status status = audio_rewind(audio, err);
    for (size_t n = 0, got = portion; status == SPOOR_OK && got == portion && n < MOST; n += got) {
        status = audio_read(audio, samples, portion, &got, err);
        for (size_t i = 0; status == SPOOR_OK && i < got; i++) {
            *sum += (double)samples[i] * (double)(1 + (n + i) % 7);
        }
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    unsigned how = data[0];
    spoor_audio_options o;
    spoor_audio_options_init(&o);
    o.channel = (int)(how & 3) - 1;
    if ((how & 4) != 0) {
        o.raw_rate = (how & 8) != 0 ? 8000 : 44100;
        o.raw_channels = 1 + (int)(how >> 4 & 3);
    }
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    spoor_audio *audio = NULL;
    spoor_status status = spoor_audio_open_memory(ctx, data + 1, size - 1, &o, &audio, &err);
    CHECK((status == SPOOR_OK) == (audio != NULL));
    if (status == SPOOR_OK) {
        double whole, parts;
        status = read_windows(ctx, audio, (how & 128) != 0 ? 16000 : 0, &err);
        if (status == SPOOR_OK && read_portions(audio, 4096, &whole, &err) == SPOOR_OK &&
            read_portions(audio, 1024, &parts, &err) == SPOOR_OK) {
            CHECK(whole == parts);
        }
    }
    target_refused(status, &err);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    return 0;
}
