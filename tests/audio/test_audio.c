/* test_audio.c: reading: resampling, blocks, channels, windows, limits. Where it is read from: test_sources.c. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "reading.h"
#include "support/support.h"
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double rates[] = {4000,  6000,  8000,  11025, 12345,   15999.5, 16000, 22050,
                               32000, 44100, 48000, 88200, 96000.0, 176400,  192000};
enum { RATES = sizeof rates / sizeof rates[0] };

static float *tone(double rate, double hertz, double seconds, size_t *n) {
    *n = (size_t)(seconds * rate);
    float *x = malloc((*n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < *n; i++) {
        x[i] = (float)(0.5 * sin(2 * M_PI * hertz * (double)i / rate));
    }
    return x;
}

static void a_tone_keeps_level_frequency_and_phase(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (size_t r = 0; r < RATES; r++) {
        size_t n, got;
        float *x = tone(rates[r], 1000, 2, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, rates[r], &audio, &err), &err);
        float *y = read_samples(audio, 4096, &got);
        assert_true(llabs((long long)got - llround((double)n / rates[r] * AUDIO_RATE)) <= 1);
        double worst = 0;
        for (size_t i = 4000; i < 28000; i++) { /* away from the edges */
            worst = fmax(worst, fabs((double)y[i] - 0.5 * sin(2 * M_PI * 1000 * (double)i / AUDIO_RATE)));
        }
        if (!(worst < 2e-5)) { /* -88 dB of the tone */
            fail_msg("rate %g: off by %g", rates[r], worst);
        }
        free(y);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static void what_16_khz_cannot_hold_is_gone(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const double above[] = {8100, 9000, 12000, 20000};
    for (size_t k = 0; k < 4; k++) {
        size_t n, got;
        float *x = tone(44100, above[k], 1, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, 44100, &audio, &err), &err);
        float *y = read_samples(audio, 4096, &got);
        for (size_t i = 2000; i < 14000; i++) {
            assert_true(fabsf(y[i]) < 1e-5f);
        }
        free(y);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static void the_bits_do_not_depend_on_the_reading(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const size_t steps[] = {1, 63, 4096, 100000, 0};
    for (size_t r = 0; r < RATES; r++) {
        size_t n, want_n, got_n;
        float *x = tone(rates[r], 440, 0.7, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, rates[r], &audio, &err), &err);
        float *want = read_samples(audio, 1000, &want_n);
        for (size_t s = 0; s < 5; s++) {
            support_ok(audio_rewind(audio, &err), &err);
            float *got = read_samples(audio, steps[s], &got_n);
            assert_int_equal(got_n, want_n);
            assert_memory_equal(got, want, want_n * sizeof *want);
            free(got);
        }
        assert_int_equal(audio_get_levels(audio).samples, n);
        free(want);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static void channels_are_mixed_or_chosen(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    (void)snprintf(path, sizeof path, "%s/three.wav", folder);
    SF_INFO info = {.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT, .samplerate = AUDIO_RATE, .channels = 3};
    SNDFILE *out = sf_open(path, SFM_WRITE, &info);
    for (int i = 0; i < 20000; i++) {
        float frame[3] = {(float)i, (float)(-3 * i), 0.25f};
        assert_int_equal(sf_writef_float(out, frame, 1), 1);
    }
    sf_close(out);
    spoor_context *ctx = support_context();
    for (int channel = -1; channel < 3; channel++) {
        spoor_audio_options o;
        spoor_audio_options_init(&o);
        o.channel = channel;
        float *x;
        size_t n;
        spoor_error err = {0};
        support_ok(audio_load(ctx, path, &o, &x, &n, &err), &err);
        assert_int_equal(n, 20000);
        for (size_t i = 0; i < n; i++) {
            double t = (double)i, want[] = {(-2 * t + 0.25) / 3, t, -3 * t, 0.25};
            assert_true(x[i] == (float)want[channel + 1]);
        }
        ctx_free(ctx, x);
    }
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

/* Checks all windows of a ramp of n samples. */
static void check_windows(spoor_context *ctx, size_t n, size_t hop) {
    float *x = malloc((n + 1) * sizeof *x), *window = malloc(AUDIO_WINDOW * sizeof *window);
    assert_true(x != NULL && window != NULL);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)i;
    }
    spoor_audio *audio;
    audio_windows *windows;
    spoor_error err = {0};
    support_ok(spoor_audio_open_samples(ctx, x, n, AUDIO_RATE, &audio, &err), &err);
    support_ok(audio_windows_new(ctx, audio, hop, NULL, &windows, &err), &err);
    size_t step = hop == 0 ? AUDIO_WINDOW : hop, whole = n < AUDIO_WINDOW ? 0 : (n - AUDIO_WINDOW) / step + 1;
    size_t last_end = whole > 0 ? (whole - 1) * step + AUDIO_WINDOW : 0, expected = whole + (last_end < n), count = 0;
    audio_window place;
    bool more;
    for (;; count++) {
        support_ok(audio_windows_next(windows, window, &place, &more, &err), &err);
        if (!more) {
            break;
        }
        size_t start = count < whole ? count * step : n < AUDIO_WINDOW ? 0 : n - AUDIO_WINDOW;
        size_t end = n < AUDIO_WINDOW ? n : start + AUDIO_WINDOW;
        assert_int_equal(place.index, count);
        assert_true(place.start == (double)start / AUDIO_RATE && place.end == (double)end / AUDIO_RATE);
        for (size_t i = 0; i < AUDIO_WINDOW; i++) {
            assert_true(window[i] == (float)(n < AUDIO_WINDOW ? i % n : start + i));
        }
    }
    assert_int_equal(count, expected);
    support_ok(audio_windows_next(windows, window, &place, &more, &err), &err);
    assert_false(more);
    audio_windows_free(windows);
    spoor_audio_free(audio);
    free(window);
    free(x);
}

static void windows_cover_the_recording(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const size_t w = AUDIO_WINDOW;
    const size_t lengths[] = {1, 2, 1000, w / 2, w / 2 + 1, w - 1, w, w + 1, w + 4096, 2 * w - 1, 2 * w, 2 * w + 1, 5 * w + 7};
    const size_t hops[] = {0, w / 2, w / 3, 16000, w - 1, w + 1, 3 * w};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t h = 0; h < sizeof hops / sizeof hops[0]; h++) {
            check_windows(ctx, lengths[i], hops[h]);
        }
    }
    spoor_context_free(ctx);
}

static void bad_arguments_are_named(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    spoor_error err = {0};
    float x[4] = {0};
    static const double bad[] = {0, -1, 3999.9, 192000.1, NAN, INFINITY};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(spoor_audio_open_samples(ctx, x, 4, bad[i], &audio, &err), SPOOR_ERR_INPUT);
        assert_null(audio);
        spoor_audio_options o = {.channel = -1, .raw_rate = bad[i], .raw_channels = 1};
        if (bad[i] != 0) {
            assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
        }
    }
    assert_int_equal(spoor_audio_open_samples(ctx, x, 0, 16000, &audio, &err), SPOOR_ERR_INPUT);
    assert_int_equal(spoor_audio_open_samples(ctx, NULL, 4, 16000, &audio, &err), SPOOR_ERR_INPUT);
    spoor_audio_options o = {.channel = -2};
    assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
    o = (spoor_audio_options){.channel = -1, .raw_rate = 8000, .raw_channels = 0};
    assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
    assert_int_equal(spoor_audio_open_memory(ctx, NULL, 0, NULL, &audio, &err), SPOOR_ERR_INPUT);
    spoor_audio_free(NULL);
    audio_windows_free(NULL);
    audio_assess_free(NULL);
    spoor_context_free(ctx);
}

static int after_ten(void *user) {
    int *calls = user;
    return ++*calls > 10;
}

static void cancel_stops_the_reading(void **state) {
    (void)state;
    size_t n;
    float *x = tone(44100, 300, 20, &n), *y = malloc(n * sizeof *y);
    int calls = 0;
    spoor_context_options o;
    spoor_context_options_init(&o);
    o.cancel = after_ten;
    o.user = &calls;
    spoor_context *ctx;
    spoor_audio *audio;
    spoor_error err = {0};
    support_ok(spoor_context_new(&o, &ctx, &err), &err);
    support_ok(spoor_audio_open_samples(ctx, x, n, 44100, &audio, &err), &err);
    assert_int_equal(audio_read(audio, y, n, &n, &err), SPOOR_ERR_CANCELLED);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    free(y);
    free(x);
}

static void a_clip_over_the_limit_is_refused(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    (void)snprintf(path, sizeof path, "%s/long.raw", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_int_equal(ftruncate(fd, (off_t)(2 * AUDIO_RATE * (AUDIO_LOAD_SECONDS_MAX + 1))), 0);
    close(fd);
    spoor_context *ctx = support_context();
    spoor_audio_options o = {.channel = -1, .raw_rate = AUDIO_RATE, .raw_channels = 1};
    float *x;
    size_t n;
    spoor_error err = {0};
    assert_int_equal(audio_load(ctx, path, &o, &x, &n, &err), SPOOR_ERR_LIMIT);
    assert_null(x);
    assert_non_null(strstr(err.message, "limit of 60 minutes"));
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_keeps_level_frequency_and_phase),
        cmocka_unit_test(what_16_khz_cannot_hold_is_gone),
        cmocka_unit_test(the_bits_do_not_depend_on_the_reading),
        cmocka_unit_test(channels_are_mixed_or_chosen),
        cmocka_unit_test(windows_cover_the_recording),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(cancel_stops_the_reading),
        cmocka_unit_test(a_clip_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
