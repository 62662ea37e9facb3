/* test_resynth.c: steps that re-synthesise: how near they come to the clip, its level and timing, seeds, clips of any
 * length, settings; the parts of the transform against what they must give. */
#include "audio/augment/stft.h"
#include "augment/helpers.h"
#include <string.h>

static spoor_context *ctx;
enum { N = 48000 };
static float signal[N], y[N], z[N];

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    helpers_speech(signal, N);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

static void chain(const char *steps, uint64_t seed) {
    memcpy(y, signal, sizeof y);
    helpers_run(ctx, steps, seed, y, N);
}

/* Root mean square over frames and bins, between 100 Hz and 7 kHz, of the difference in decibels of two short-time power
 * spectra of `size` points; floor: this much under the largest bin of a is the least that counts. width: so many bins are
 * summed first (1: fine structure, more: the envelope alone). */
static double spectral_distance(const float *a, const float *b, int size, int width, double floor_db) {
    kiss_fftr_cfg fft = kiss_fftr_alloc(size, 0, NULL, NULL);
    float *frame = malloc((size_t)size * sizeof *frame);
    kiss_fft_cpx *bins = malloc(((size_t)size / 2 + 1) * sizeof *bins);
    double top = 0, sum = 0, count = 0;
    for (int pass = 0; pass < 2; pass++) { /* the largest first */
        for (int at = 0; at + size <= N; at += size / 2) {
            double power[2][512] = {{0}};
            int first = 100 * size / 16000, last = 7000 * size / 16000;
            for (int side = 0; side < 2; side++) {
                for (int i = 0; i < size; i++) {
                    float w = sinf(3.14159265f * ((float)i + 0.5f) / (float)size);
                    frame[i] = (side == 0 ? a : b)[at + i] * w * w;
                }
                kiss_fftr(fft, frame, bins);
                for (int k = first; k < last; k++) {
                    power[side][(k - first) / width] += (double)(bins[k].r * bins[k].r + bins[k].i * bins[k].i);
                }
            }
            for (int k = 0; k < (last - first) / width; k++) {
                double least = top * pow(10, -floor_db / 10);
                double d = 10 * log10(fmax(power[1][k], least) / fmax(power[0][k], least));
                bool heard = pass == 1 && power[0][k] > least;
                top = pass == 0 ? fmax(top, power[0][k]) : top;
                sum += heard ? d * d : 0;
                count += heard;
            }
        }
    }
    free(frame);
    free(bins);
    kiss_fftr_free(fft);
    return sqrt(sum / count);
}

/* ---- the transform ---- */

static void the_inverse_gives_the_clip_back(void **state) {
    (void)state;
    static const size_t sizes[] = {64, 256, 1024}, lengths[] = {1, 2, 15, 16, 17, 63, 1000, 4097};
    augment *a = helpers_make(ctx, "[]");
    augment_scratch *s;
    spoor_error err = {0};
    support_ok(augment_scratch_new(a, &s, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 8; k++) {
            stft f;
            size_t n = lengths[k];
            support_ok(stft_open(s, sizes[i], n, &f, &err), &err);
            assert_true((f.frames - 1) * f.hop >= n && (f.frames - 2) * f.hop < n);
            kiss_fft_cpx *spectrum = malloc(f.frames * f.bins * sizeof *spectrum);
            stft_forward(&f, signal + 20000, spectrum);
            stft_inverse(&f, spectrum, y);
            for (size_t j = 0; j < n; j++) {
                assert_true(fabsf(y[j] - signal[20000 + j]) < 1e-5f);
            }
            free(spectrum);
        }
    }
    augment_scratch_free(s);
    augment_free(a);
}

/* Frame t is centred on t * hop: an impulse there has the same phase 0 in all bins but for the half size of the frame. */
static void frames_are_centred(void **state) {
    (void)state;
    augment *a = helpers_make(ctx, "[]");
    augment_scratch *s;
    spoor_error err = {0};
    stft f;
    kiss_fft_cpx bins[65];
    support_ok(augment_scratch_new(a, &s, &err), &err);
    support_ok(stft_open(s, 128, 1000, &f, &err), &err);
    memset(z, 0, sizeof z);
    z[10 * f.hop] = 0.5f;
    stft_frame(&f, z, 10, bins);
    for (int k = 0; k <= 64; k++) { /* the window is 1 there, and shift by 64 is a sign that alternates */
        assert_true(fabsf(bins[k].r - (k % 2 == 0 ? 0.5f : -0.5f)) < 1e-5f && fabsf(bins[k].i) < 1e-5f);
    }
    augment_scratch_free(s);
    augment_free(a);
}

/* ---- quality ---- */

static double fine(void) { return spectral_distance(signal, y, 1024, 1, 50); }
static double envelope(void) { return spectral_distance(signal, y, 512, 8, 45); }

/* Milliseconds by which y's energy follows the signal's; both in steps of 1 ms, smoothed over 5. */
static int energy_lag(const float *x) {
    enum { STEPS = N / 16 - 8, REACH = 60 };
    static float e[2][STEPS];
    for (int i = 0; i < STEPS; i++) {
        e[0][i] = (float)sqrt(helpers_power(x + 16 * i, 80));
        e[1][i] = (float)sqrt(helpers_power(y + 16 * i, 80));
    }
    return helpers_best_lag(e[0], e[1], STEPS, REACH);
}

static void more_iterations_come_nearer(void **state) {
    (void)state;
    static const int iterations[] = {0, 2, 8, 32};
    static const double most[] = {9, 5.5, 3.5, 1.8};
    double before = 1e9;
    for (int i = 0; i < 4; i++) {
        char steps[120];
        snprintf(steps, sizeof steps, "[{\"kind\":\"griffin-lim\",\"iterations\":%d}]", iterations[i]);
        chain(steps, 3);
        assert_true(fine() < before && fine() < most[i]);
        before = fine();
    }
    chain("[{\"kind\":\"griffin-lim\",\"iterations\":32,\"momentum\":0}]", 3); /* momentum is worth its name */
    assert_true(fine() > 1.3 * before);
}

typedef struct expected {
    const char *steps;
    double fine, envelope; /* decibels at most */
} expected;

static const expected ALL[] = {
    {"[{\"kind\":\"griffin-lim\"}]", 3.5, 1.5},
    {"[{\"kind\":\"griffin-lim\",\"size\":2048}]", 5.5, 3},
    {"[{\"kind\":\"mel\"}]", 7, 2.5},
    {"[{\"kind\":\"sinusoids\"}]", 6, 5},
    {"[{\"kind\":\"lpc\"}]", 6.5, 2},
    {"[{\"kind\":\"lpc\",\"excitation\":\"mixed\"}]", 8.5, 2.5},
    {"[{\"kind\":\"lpc\",\"excitation\":\"noise\"}]", 12, 3},
    {"[{\"kind\":\"channel-vocoder\"}]", 12, 3},
    {"[{\"kind\":\"channel-vocoder\",\"excitation\":\"pulse\"}]", 6.5, 2.6},
};
enum { COUNT = sizeof ALL / sizeof *ALL };

static void each_is_near_the_clip_as_loud_and_on_time(void **state) {
    (void)state;
    static float bursts[N];
    for (size_t i = 0; i < COUNT; i++) {
        chain(ALL[i].steps, 3);
        print_message("%-60s fine %6.2f dB  envelope %6.2f dB\n", ALL[i].steps, fine(), envelope());
        assert_true(fine() < ALL[i].fine && envelope() < ALL[i].envelope);
        assert_memory_not_equal(y, signal, sizeof y);
        support_close(helpers_power(y, N), helpers_power(signal, N), 1e-4, "level");
        for (size_t k = 0; k < N; k++) { /* bursts of 0.15 s: begin and end tell the time */
            bursts[k] = y[k] = k / 2400 % 2 == 0 ? signal[k] : 0;
        }
        helpers_run(ctx, ALL[i].steps, 3, y, N);
        assert_true(abs(energy_lag(bursts)) <= 2);
    }
}

/* What a coarser model loses. */
static void models_hear_what_they_should(void **state) {
    (void)state;
    chain("[{\"kind\":\"lpc\"}]", 3);
    double pulses = fine(), order18 = envelope();
    chain("[{\"kind\":\"lpc\",\"excitation\":\"noise\"}]", 3);
    assert_true(fine() > pulses + 2); /* pulses hit the harmonics */
    chain("[{\"kind\":\"lpc\",\"order\":4}]", 3);
    assert_true(envelope() > order18 + 1);
    chain("[{\"kind\":\"mel\"}]", 3);
    double bands80 = fine();
    chain("[{\"kind\":\"mel\",\"bands\":20}]", 3);
    assert_true(fine() > bands80 + 2);
    chain("[{\"kind\":\"sinusoids\"}]", 3);
    double peaks30 = fine();
    chain("[{\"kind\":\"sinusoids\",\"peaks\":5}]", 3);
    assert_true(fine() > peaks30 + 5);
}

static void more_codecs_are_aligned(void **state) {
    (void)state;
    static const char *const names[] = {"adpcm", "gsm", "g721"};
    static const double least[] = {18, 4, 8};
    for (int k = 0; k < 3; k++) {
        char steps[80];
        snprintf(steps, sizeof steps, "[{\"kind\":\"codec\",\"codecs\":\"%s\"}]", names[k]);
        chain(steps, 1);
        assert_int_equal(helpers_best_lag(signal, y, N, 400), 0);
        double error = 0;
        for (size_t i = 0; i < N; i++) {
            error += ((double)y[i] - (double)signal[i]) * ((double)y[i] - (double)signal[i]) / N;
        }
        double db = 10 * log10(helpers_power(signal, N) / error);
        print_message("%-6s %6.2f dB\n", names[k], db);
        assert_true(db > least[k]);
        memcpy(z, y, sizeof y);
        chain(steps, 2);
        assert_memory_equal(y, z, sizeof y);
    }
}

/* ---- seeds, lengths, settings ---- */

static void same_seed_same_bits(void **state) {
    (void)state;
    enum { SHORT = 9001 };
    for (size_t i = 0; i < COUNT; i++) {
        for (uint64_t seed = 1; seed < 3; seed++) {
            memcpy(y, signal, sizeof y);
            memcpy(z, signal, sizeof z);
            helpers_run(ctx, ALL[i].steps, seed, y, SHORT);
            helpers_run(ctx, ALL[i].steps, 1, z, SHORT);
            bool random = strstr(ALL[i].steps, "sinusoids") == NULL;
            assert_true((memcmp(y, z, SHORT * sizeof *y) == 0) == (seed == 1 || !random));
        }
    }
}

/* A scratch that has served longer clips and other steps changes no bit. */
static void used_scratch_changes_nothing(void **state) {
    (void)state;
    augment_scratch *s;
    spoor_error err = {0};
    augment *first = helpers_make(ctx, "[]");
    support_ok(augment_scratch_new(first, &s, &err), &err);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            augment *a = helpers_make(ctx, ALL[i].steps);
            rng r = rng_make(4, 0);
            size_t n = round == 0 ? 20000 : 3000;
            memcpy(y, signal, sizeof y);
            memcpy(z, signal, sizeof z);
            support_ok(augment_apply(a, s, NULL, &r, y, n, &err), &err);
            helpers_run(ctx, ALL[i].steps, 4, z, n);
            assert_memory_equal(y, z, n * sizeof *y);
            augment_free(a);
        }
    }
    augment_scratch_free(s);
    augment_free(first);
}

static void any_length_and_hard_samples(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 63, 159, 160, 161, 1023, 4001};
    for (size_t k = 0; k < COUNT + 3; k++) {
        static const char *const codecs[] = {"[{\"kind\":\"codec\",\"codecs\":\"adpcm\"}]",
                                             "[{\"kind\":\"codec\",\"codecs\":\"gsm\"}]",
                                             "[{\"kind\":\"codec\",\"codecs\":\"g721\"}]"};
        const char *steps = k < COUNT ? ALL[k].steps : codecs[k - COUNT];
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            for (int what = 0; what < 5; what++) {
                size_t n = sizes[j];
                for (size_t i = 0; i < n; i++) {
                    float wave = sinf((float)i * 0.4f);
                    float choice[] = {0, wave * 1e30f, i % 3 == 1 ? NAN : wave, 1, wave * 1e-38f};
                    y[i] = choice[what];
                }
                y[n] = 123;
                helpers_run(ctx, steps, n + (size_t)what, y, n);
                for (size_t i = 0; i < n; i++) {
                    assert_true(isfinite(y[i]));
                    assert_true(what != 0 || k >= COUNT || y[i] == 0); /* silence stays silence */
                }
                assert_true(y[n] == 123);
            }
        }
    }
}

static void wrong_settings_are_named(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"[{\"kind\":\"griffin-lim\",\"size\":300}]", "256, 512, 1024, 2048"},
        {"[{\"kind\":\"griffin-lim\",\"iterations\":1.5}]", "iterations"},
        {"[{\"kind\":\"griffin-lim\",\"momentum\":2}]", "momentum"},
        {"[{\"kind\":\"mel\",\"bands\":7}]", "bands"},
        {"[{\"kind\":\"lpc\",\"order\":33}]", "order"},
        {"[{\"kind\":\"lpc\",\"excitation\":\"buzz\"}]", "pulse, noise, mixed"},
        {"[{\"kind\":\"channel-vocoder\",\"bands\":1}]", "bands"},
        {"[{\"kind\":\"sinusoids\",\"peaks\":0}]", "peaks"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        assert_int_equal(helpers_try(ctx, bad[i][0], 1, NULL, y, 10, &err), SPOOR_ERR_USAGE);
        assert_non_null(strstr(err.message, bad[i][1]));
    }
    augment *a = helpers_make(ctx, "[{\"kind\":\"griffin-lim\",\"size\":[512,2048]}]");
    const json_t *sizes = json_object_get(json_array_get(augment_config(a), 0), "size");
    assert_int_equal(json_array_size(sizes), 2);
    assert_int_equal(json_integer_value(json_array_get(sizes, 1)), 2048);
    augment_free(a);
}

static void every_failing_allocation_is_reported(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT; k++) {
        spoor_status status = SPOOR_ERR_LIMIT;
        for (size_t at = 1; status != SPOOR_OK; at++) {
            assert_true(at < 60);
            support_failing failing = {.fail_at = at};
            spoor_context *c = support_failing_context(&failing);
            spoor_error err = {0};
            memcpy(y, signal, sizeof y);
            status = helpers_try(c, ALL[k].steps, 2, NULL, y, 3000, &err);
            assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(c);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inverse_gives_the_clip_back),
        cmocka_unit_test(frames_are_centred),
        cmocka_unit_test(more_iterations_come_nearer),
        cmocka_unit_test(each_is_near_the_clip_as_loud_and_on_time),
        cmocka_unit_test(models_hear_what_they_should),
        cmocka_unit_test(more_codecs_are_aligned),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(used_scratch_changes_nothing),
        cmocka_unit_test(any_length_and_hard_samples),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
