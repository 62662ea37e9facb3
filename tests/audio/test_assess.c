/* test_assess.c: what is measured of a recording, on signals whose truth is known. Whole files: test_hard_files.c. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4 * AUDIO_RATE };

/* The assessment of n samples at `rate`, read and added in pieces of `step`. */
static audio_assessment assess(const float *x, size_t n, double rate, size_t step) {
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    audio_assess *a;
    spoor_error err = {0};
    support_ok(spoor_audio_open_samples(ctx, x, n, rate, &audio, &err), &err);
    support_ok(audio_assess_new(ctx, audio, &a, &err), &err);
    static float piece[AUDIO_RATE];
    for (size_t got = 1; got > 0;) {
        support_ok(audio_read(audio, piece, step, &got, &err), &err);
        audio_assess_add(a, piece, got);
    }
    audio_assessment out;
    audio_assess_finish(a, &out);
    audio_assess_free(a);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    return out;
}

static audio_assessment assess_16k(const float *x, size_t n) { return assess(x, n, AUDIO_RATE, 1000); }

/* Harmonics of 100 Hz up to `top`, falling by 1/h, at about -20 dBFS. */
static void harmonics(float *x, size_t n, double top) {
    for (size_t i = 0; i < n; i++) {
        double s = 0;
        for (int h = 1; h * 100 <= top; h++) {
            s += sin(2 * M_PI * 100 * h * (double)i / AUDIO_RATE + h * h) / h;
        }
        x[i] = (float)(0.1 * s);
    }
}

static void noise(float *x, size_t n, double level, uint64_t seed) {
    rng r = rng_make(seed, 1);
    for (size_t i = 0; i < n; i++) {
        x[i] += (float)(level * rng_normal(&r));
    }
}

static float x[N];

static void bandwidth_is_found_to_within_two_bands(void **state) {
    (void)state;
    for (double top = 500; top <= 7500; top += 500) {
        harmonics(x, N, top);
        audio_assessment a = assess_16k(x, N);
        assert_true(fabs(a.bandwidth - top) <= 250);
        assert_int_equal(a.verdict, top < 2750 ? AUDIO_NARROW : top >= 3000 ? AUDIO_ASSESSABLE : a.verdict);
    }
}

static void level_offset_and_faint_noise_do_not_change_it(void **state) {
    (void)state;
    static const double gains[] = {1e-3, 1e-2, 1, 30, 3000};
    for (size_t g = 0; g < 5; g++) {
        for (int wide = 0; wide < 2; wide++) {
            harmonics(x, N, wide ? 5000 : 2000);
            noise(x, N, 1e-6, 7); /* 85 dB under the sound */
            for (size_t i = 0; i < N; i++) {
                x[i] = x[i] * (float)gains[g] + 0.3f * (float)gains[g];
            }
            audio_assessment a = assess_16k(x, N);
            assert_int_equal(a.verdict, wide ? AUDIO_ASSESSABLE : AUDIO_NARROW);
            assert_true(fabs(a.bandwidth - (wide ? 5000 : 2000)) <= 250);
        }
    }
}

static void clicks_do_not_hide_a_narrow_recording(void **state) {
    (void)state;
    harmonics(x, N, 2000);
    for (size_t i = 5000; i < N; i += AUDIO_RATE) {
        x[i] = 1;
    }
    assert_int_equal(assess_16k(x, N).verdict, AUDIO_NARROW);
}

static void quiet_noise_before_and_after_does_not_count_as_bandwidth(void **state) {
    (void)state;
    memset(x, 0, sizeof x);
    noise(x, N, 1e-3, 3);
    static float low[N];
    harmonics(low, N, 2000);
    for (size_t i = N / 3; i < N * 2 / 3; i++) {
        x[i] = low[i];
    }
    audio_assessment a = assess_16k(x, N);
    assert_int_equal(a.verdict, AUDIO_NARROW);
}

static void white_noise_is_wide_and_a_tone_is_narrow(void **state) {
    (void)state;
    memset(x, 0, sizeof x);
    noise(x, N, 0.1, 5);
    audio_assessment a = assess_16k(x, N);
    assert_int_equal(a.verdict, AUDIO_ASSESSABLE);
    assert_true(a.bandwidth > 7800);
    support_close(a.rms_dbfs, -20, 0.01, "rms");
    for (size_t i = 0; i < N; i++) {
        x[i] = (float)(0.5 * sin(2 * M_PI * 1000 * (double)i / AUDIO_RATE));
    }
    a = assess_16k(x, N);
    assert_int_equal(a.verdict, AUDIO_NARROW);
    assert_true(a.bandwidth <= 1250);
    support_close(a.peak_dbfs, 20 * log10(0.5), 1e-4, "peak");
    support_close(a.rms_dbfs, 20 * log10(0.5 / sqrt(2)), 1e-3, "rms");
}

static void only_signal_counts_as_signal(void **state) {
    (void)state;
    static const double lengths[] = {0.2, 0.4, 0.55, 1, 2};
    for (size_t k = 0; k < 5; k++) {
        memset(x, 0, sizeof x);
        harmonics(x + 1000, (size_t)(lengths[k] * AUDIO_RATE), 6000);
        noise(x, N, 1e-5, 9);
        audio_assessment a = assess_16k(x, N);
        assert_true(fabs(a.active_seconds - lengths[k]) <= 0.064);
        assert_int_equal(a.verdict, lengths[k] < 0.5 ? AUDIO_TOO_SHORT : AUDIO_ASSESSABLE);
        support_close(a.seconds, 4, 1e-12, "seconds");
    }
}

static void clipping_is_a_share_of_the_source(void **state) {
    (void)state;
    for (size_t i = 0; i < N; i++) {
        double s = 1.5 * sin(2 * M_PI * 200 * (double)i / 44100);
        x[i] = (float)(s > 1 ? 1 : s < -1 ? -1 : s);
    }
    audio_assessment a = assess(x, N, 44100, 999);
    support_close(a.clipped, 1 - 2 / M_PI * asin(0.99 / 1.5), 2e-3, "clipped");
    support_close(a.peak_dbfs, 0, 1e-9, "peak");
}

static void the_pieces_do_not_matter(void **state) {
    (void)state;
    harmonics(x, N, 3500);
    noise(x, N, 1e-4, 11);
    audio_assessment want = assess(x, N - 77, 22050, AUDIO_RATE);
    static const size_t steps[] = {1, 511, 512, 513, 5000};
    for (size_t k = 0; k < 5; k++) {
        audio_assessment got = assess(x, N - 77, 22050, steps[k]);
        assert_int_equal(got.verdict, want.verdict);
        assert_true(got.bandwidth == want.bandwidth && got.rms_dbfs == want.rms_dbfs &&
                    got.active_seconds == want.active_seconds && got.seconds == want.seconds);
    }
}

static void invalid_samples_are_counted_and_named(void **state) {
    (void)state;
    harmonics(x, N, 6000);
    assert_int_equal(assess_16k(x, N).verdict, AUDIO_ASSESSABLE);
    x[100] = NAN;
    x[200] = INFINITY;
    x[300] = -1e7f;
    audio_assessment a = assess(x, N, 48000, 4096);
    assert_int_equal(a.verdict, AUDIO_INVALID_SAMPLES);
    assert_non_null(strstr(a.reason, "3 of its samples"));
    assert_true(isfinite(a.rms_dbfs) && isfinite(a.peak_dbfs));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bandwidth_is_found_to_within_two_bands),
        cmocka_unit_test(level_offset_and_faint_noise_do_not_change_it),
        cmocka_unit_test(clicks_do_not_hide_a_narrow_recording),
        cmocka_unit_test(quiet_noise_before_and_after_does_not_count_as_bandwidth),
        cmocka_unit_test(white_noise_is_wide_and_a_tone_is_narrow),
        cmocka_unit_test(only_signal_counts_as_signal),
        cmocka_unit_test(clipping_is_a_share_of_the_source),
        cmocka_unit_test(the_pieces_do_not_matter),
        cmocka_unit_test(invalid_samples_are_counted_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
