/* test_degrade.c: named degradations: what each takes away, that it depends on seed and name alone, and what is refused. */
#include "audio/augment/degrade.h"
#include "augment/helpers.h"
#include <string.h>

static spoor_context *ctx;
enum { N = 48000, LONG = 2 * 120 * 16000 + 777 };
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

static void degrade_into(const char *name, uint64_t seed, const char *id, float *out) {
    degrade *d;
    spoor_error err = {0};
    support_ok(degrade_new(ctx, name, seed, &d, &err), &err);
    assert_string_equal(degrade_name(d), name);
    memcpy(out, signal, sizeof signal);
    support_ok(degrade_apply(d, id, out, N, &err), &err);
    degrade_free(d);
}

static double snr(const float *x) {
    double difference = 0;
    for (size_t i = 0; i < N; i++) {
        difference += ((double)x[i] - (double)signal[i]) * ((double)x[i] - (double)signal[i]) / N;
    }
    return 10 * log10(helpers_power(signal, N) / difference);
}

static void noise_has_its_level_and_its_colour(void **state) {
    (void)state;
    degrade_into("noise-20", 1, "a.wav", y);
    assert_true(fabs(snr(y) - 20) < 0.01);
    degrade_into("noise--5", 1, "a.wav", y);
    assert_true(fabs(snr(y) + 5) < 0.01);
    for (size_t i = 0; i < N; i++) {
        y[i] -= signal[i];
    }
    double low = helpers_band(y, N, 500, 2500), high = helpers_band(y, N, 5500, 7500);
    assert_true(fabs(10 * log10(low / high)) < 1); /* white */
    degrade_into("pink-0", 1, "a.wav", y);
    for (size_t i = 0; i < N; i++) {
        y[i] -= signal[i];
    }
    double octave = 10 * log10(helpers_band(y, N, 1000, 2000) / helpers_band(y, N, 4000, 8000));
    assert_true(fabs(octave) < 1); /* as much in each octave */
}

static void it_depends_on_seed_and_name_of_the_recording(void **state) {
    (void)state;
    degrade_into("noise-20", 1, "a.wav", y);
    degrade_into("noise-20", 1, "a.wav", z);
    assert_memory_equal(y, z, sizeof y);
    degrade_into("noise-20", 1, "b.wav", z);
    assert_memory_not_equal(y, z, sizeof y);
    degrade_into("noise-20", 2, "a.wav", z);
    assert_memory_not_equal(y, z, sizeof y);
}

static void a_telephone_passes_its_band(void **state) {
    (void)state;
    degrade_into("telephone", 1, "a", y);
    double before = helpers_band(signal, N, 400, 3300), after = helpers_band(y, N, 400, 3300);
    assert_true(fabs(10 * log10(after / before)) < 0.5);
    assert_true(helpers_band(y, N, 20, 200) < 1e-3 * helpers_band(signal, N, 20, 200));
    assert_true(helpers_band(y, N, 3800, 8000) < 1e-3 * after);
}

static void a_band_is_what_its_name_says(void **state) {
    (void)state;
    degrade_into("band-200-3400", 1, "a", y);
    double before = helpers_band(signal, N, 300, 3300), after = helpers_band(y, N, 300, 3300);
    assert_true(fabs(10 * log10(after / before)) < 0.5);
    assert_true(helpers_band(y, N, 3700, 8000) < 1e-3 * helpers_band(signal, N, 3700, 8000));
    assert_true(helpers_band(y, N, 20, 100) < 0.1 * helpers_band(signal, N, 20, 100));
    degrade_into("band-0-8000", 1, "a", z); /* no limit at all */
    assert_true(snr(z) > 60);
}

static void a_room_goes_on_for_its_time(void **state) {
    (void)state;
    static const char *const names[] = {"reverb-0.3", "reverb-1.2"};
    float kept[N], late[2];
    memcpy(kept, signal, sizeof kept);
    memset(signal, 0, sizeof signal);
    signal[0] = 0.5f; /* its response */
    for (size_t i = 0; i < 2; i++) {
        double all = 0, tail = 0;
        degrade_into(names[i], 1, "a", y);
        for (size_t j = 1; j < N; j++) {
            all += (double)y[j] * (double)y[j];
            tail += j > 16000 * 3 / 20 ? (double)y[j] * (double)y[j] : 0; /* after 0.15 s: half of the shorter time, 30 dB down */
        }
        late[i] = (float)(tail / all);
        assert_true(fabs(10 * log10(all / ((double)y[0] * (double)y[0]))) < 0.1); /* 0 dB against the direct path */
        degrade_into(names[i], 1, "b", z);
        assert_memory_not_equal(y, z, sizeof y);
    }
    memcpy(signal, kept, sizeof kept);
    assert_true(late[0] < 0.01f && late[1] > 0.05f);
}

static void coding_leaves_the_sound_and_not_the_samples(void **state) {
    (void)state;
    static const char *const names[] = {"mp3-64", "mp3-16", "opus-16", "opus-160", "vorbis-0.5", "gsm"};
    double of[6];
    for (size_t i = 0; i < 6; i++) {
        degrade_into(names[i], 1, "a", y);
        of[i] = snr(y);
        assert_true(of[i] < 60 && helpers_best_lag(signal, y, N, 40) == 0);
        degrade_into(names[i], 9, "b", z); /* no random numbers in it */
        assert_memory_equal(y, z, sizeof y);
    }
    assert_true(of[0] > of[1] + 3 && of[3] > of[2] + 3); /* more bits, less noise */
    assert_true(of[0] > 10 && of[3] > 5);
}

static void clean_and_silence_change_no_sample(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int silence;
    } names[] = {{"clean", -1}, {"no-silence", 1}, {"with-silence", 0}};
    for (size_t i = 0; i < 3; i++) {
        degrade *d;
        spoor_error err = {0};
        support_ok(degrade_new(ctx, names[i].name, 1, &d, &err), &err);
        assert_int_equal(degrade_silence(d), names[i].silence);
        assert_false(degrade_changes(d));
        degrade_free(d);
    }
}

static void long_recordings_go_in_pieces(void **state) {
    (void)state;
    float *x = malloc(LONG * sizeof *x);
    degrade *d;
    spoor_error err = {0};
    assert_non_null(x);
    for (size_t i = 0; i < LONG; i++) {
        x[i] = signal[i % N];
    }
    support_ok(degrade_new(ctx, "noise-10", 1, &d, &err), &err);
    support_ok(degrade_apply(d, "a", x, LONG, &err), &err);
    double power = 0, ends[2] = {0};
    for (size_t i = 0; i < LONG; i++) {
        double e = (double)x[i] - (double)signal[i % N];
        power += e * e / LONG;
        ends[0] += i < N ? e * e / N : 0;
        ends[1] += i >= LONG - N ? e * e / N : 0;
    }
    double want = helpers_power(signal, N) / 10;
    assert_true(fabs(power / want - 1) < 0.02 && fabs(ends[0] / want - 1) < 0.05 && fabs(ends[1] / want - 1) < 0.05);
    degrade_free(d);
    free(x);
}

static void other_names_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"", "mp3", "mp3-", "mp3-7", "mp3-161", "mp3-64x", "mp3-0x40", "mp3-6e1",
                                        "mp3-+64", "mp3- 64", "mp3-64.", "vorbis-.5", "band-200-0xd48", "reverb-0.3e0", "opus-161", "noise-61",
                                        "noise-nan", "telephone-8", "clean-1", "Clean", "reverb", "reverb-0", "reverb-3.1", "band",
                                        "band-200", "band-200-", "band-200-2400", "band-2001-3400", "band-200-3400-1",
                                        "band-200,3400"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        degrade *d;
        spoor_error err = {0};
        assert_int_equal(degrade_new(ctx, names[i], 1, &d, &err), SPOOR_ERR_USAGE);
        assert_null(d);
        assert_non_null(strstr(err.message, "telephone"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_has_its_level_and_its_colour),
        cmocka_unit_test(it_depends_on_seed_and_name_of_the_recording),
        cmocka_unit_test(a_telephone_passes_its_band),
        cmocka_unit_test(a_band_is_what_its_name_says),
        cmocka_unit_test(a_room_goes_on_for_its_time),
        cmocka_unit_test(coding_leaves_the_sound_and_not_the_samples),
        cmocka_unit_test(clean_and_silence_change_no_sample),
        cmocka_unit_test(long_recordings_go_in_pieces),
        cmocka_unit_test(other_names_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
