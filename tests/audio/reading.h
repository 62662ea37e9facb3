/* reading.h: all samples of an audio at once. */
#ifndef TESTS_READING_H
#define TESTS_READING_H
#include "audio/audio.h"
#include "support/support.h"
#include <stdlib.h>

/* Reads `step` samples at a time (0: varying sizes), up to 4 million in all; freed with free(). */
static inline float *read_samples(spoor_audio *audio, size_t step, size_t *n) {
    size_t room = 1 << 22, got = 1;
    float *all = malloc(room * sizeof *all);
    assert_non_null(all);
    spoor_error err = {0};
    for (*n = 0; got > 0; *n += got) {
        size_t want = step > 0 ? step : 1 + *n * 7919 % 5000;
        assert_true(*n + want <= room);
        support_ok(audio_read(audio, all + *n, want, &got, &err), &err);
    }
    return all;
}
#endif
