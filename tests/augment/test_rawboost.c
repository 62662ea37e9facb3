/* test_rawboost.c: RawBoost's filters against SciPy's firwin, and the statistics of its three noises against their
 * definitions (Tak et al., ICASSP 2022). */
#include "audio/augment/steps.h"
#include "augment/helpers.h"
#include "base/io.h"
#include <string.h>

static spoor_context *ctx;
enum { N = 32000 };
static float signal[N], y[N];

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

static void boost(int algo, uint64_t seed) {
    char steps[60];
    snprintf(steps, sizeof steps, "[{\"kind\":\"rawboost\",\"algo\":%d}]", algo);
    helpers_run(ctx, steps, seed, y, N);
}

static void notches_equal_firwin(void **state) {
    (void)state;
    unsigned char *data;
    size_t size;
    spoor_error err = {0};
    support_ok(io_read_file(ctx, support_path("tests/augment/data/notches.f64"), 1 << 16, &data, &size, &err), &err);
    assert_true(size >= 102 * sizeof(double) && size % (102 * sizeof(double)) == 0);
    for (const double *row = (const double *)(void *)data; (const unsigned char *)row < data + size; row += 102) {
        double h[99] = {0}, largest = 0;
        size_t m = (size_t)row[2];
        rawboost_notch(row[0], row[1], m, h);
        for (size_t i = 0; i < m; i++) {
            largest = fabs(h[i]) > fabs(largest) ? h[i] : largest;
        }
        for (size_t i = 0; i < 99; i++) { /* firwin's scale is another: RawBoost sets it for the whole cascade */
            assert_true(fabs(h[i] / largest - row[3 + i]) < 1e-9);
        }
    }
    ctx_free(ctx, data);
}

/* So faint an impulse that its higher powers vanish leaves the linear filter alone. */
static void the_linear_part_has_five_notches_gain_one_and_linear_phase(void **state) {
    (void)state;
    double notched = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        memset(y, 0, sizeof y);
        y[N / 2] = 1e-4f;
        boost(1, seed);
        double mean = (double)y[0], peak = 0;
        for (size_t i = 0; i < N; i++) {
            y[i] = (float)(((double)y[i] - mean) * 1e4); /* the step takes the mean out; put it back */
        }
        assert_true(fabs(mean) < 1e-7);
        for (size_t k = 1; k < 300; k++) {
            assert_true(fabsf(y[N / 2 + k] - y[N / 2 - k]) < 2e-4f);
            assert_true(k <= 245 || fabsf(y[N / 2 + k]) < 2e-4f); /* at most 5 * 98 + 1 taps */
        }
        for (int k = 0; k < 512; k++) {
            double g = helpers_response(y + N / 2 - 250, 501, k * 8000.0 / 512);
            peak = fmax(peak, g);
            notched += g < 0.7;
        }
        assert_true(fabs(peak - 1) < 2e-3);
    }
    assert_true(notched > 0.05 * 5120 && notched < 0.9 * 5120);
}

/* A tone f gives 2f ... 5f (orders 2 to 5), 5 to 20 dB down before the binomial factors; a faint one does not. */
static void the_non_linear_part_makes_harmonics(void **state) {
    (void)state;
    double loud = 0, faint = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < N; i++) {
                y[i] = (pass == 0 ? 0.9f : 1e-3f) * sinf(2 * 3.14159265f * 1000 / 16000 * (float)i);
            }
            boost(1, seed);
            double all = helpers_band(y, N, 20, 8000), first = helpers_band(y, N, 990, 1010);
            *(pass == 0 ? &loud : &faint) += (all - first) / all / 10;
        }
    }
    assert_true(loud > 0.01 && loud < 0.6);
    assert_true(faint < 1e-4);
    /* The fifth harmonic is of order 5 alone, amplitude a^5 / 16 times its filter: -5 dB at most, -20 dB at least where
     * the filter has its greatest gain. */
    double highest = 0, above = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        for (size_t i = 0; i < N; i++) {
            y[i] = 0.5f * sinf(2 * 3.14159265f * 1000 / 16000 * (float)i);
        }
        boost(1, seed);
        double gain = helpers_response(y, N, 5000) * 2 / N / (pow(0.5, 5) / 16);
        highest = fmax(highest, gain);
        above += gain > 0.07;
    }
    assert_true(highest > 0.3 && highest < pow(10, -5.0 / 20) * 1.03);
    assert_true(above >= 30);
}

static void impulses_are_few_and_follow_the_signal(void **state) {
    (void)state;
    double share = 0, size = 0, count = 0, greatest = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        for (size_t i = 0; i < N; i++) {
            y[i] = i % 2 == 0 ? 0.25f : -0.125f; /* far enough from 1 that the peak is not taken down */
        }
        boost(2, seed);
        size_t changed = 0;
        for (size_t i = 0; i < N; i++) {
            double ratio = (double)y[i] / (i % 2 == 0 ? 0.25 : -0.125);
            if (ratio != 1) {
                changed++;
                size += fabs(ratio - 1);
                greatest = fmax(greatest, fabs(ratio - 1));
            }
        }
        count += (double)changed;
        share += (double)changed / N / 100;
        assert_true(changed <= N / 10);
    }
    assert_true(fabs(share - 0.05) < 0.01);         /* uniform in 0 .. 10 % */
    assert_true(fabs(size / count - 0.5) < 0.01);   /* g |u v| with g = 2, u and v uniform in -1 .. 1 */
    assert_true(greatest > 1.8 && greatest <= 2);
}

static void stationary_noise_has_the_snr_and_no_part_of_the_signal(void **state) {
    (void)state;
    double lowest = 100, highest = -100, mean = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        memcpy(y, signal, sizeof y);
        boost(3, seed);
        double cross = 0;
        for (size_t i = 0; i < N; i++) {
            y[i] -= signal[i];
            cross += (double)y[i] * (double)signal[i] / N;
        }
        double snr = 10 * log10(helpers_power(signal, N) / helpers_power(y, N));
        assert_true(snr >= 10 - 0.05 && snr <= 40 + 0.05);
        assert_true(fabs(cross) < 0.05 * sqrt(helpers_power(signal, N) * helpers_power(y, N)));
        lowest = fmin(lowest, snr), highest = fmax(highest, snr), mean += snr / 60;
    }
    assert_true(lowest < 14 && highest > 36 && fabs(mean - 25) < 4);
}

/* 4 = 1, 2, 3 in series; 5 = 1, 2: with the same seed they draw the same numbers in the same order. */
static void series_are_the_parts_one_after_the_other(void **state) {
    (void)state;
    static float five[N], one[N];
    memcpy(y, signal, sizeof y);
    boost(5, 11);
    memcpy(five, y, sizeof five);
    memcpy(y, signal, sizeof y);
    boost(1, 11);
    memcpy(one, y, sizeof one);
    size_t changed = 0;
    for (size_t i = 0; i < N; i++) {
        changed += five[i] != one[i];
    }
    assert_true(changed > 0 && changed <= N / 10);
    memcpy(y, signal, sizeof y);
    boost(4, 11);
    for (size_t i = 0; i < N; i++) {
        y[i] -= five[i];
    }
    double snr = 10 * log10(helpers_power(five, N) / helpers_power(y, N));
    assert_true(snr >= 10 - 0.05 && snr <= 40 + 0.05);
}

static void nothing_is_over_full_scale(void **state) {
    (void)state;
    for (int algo = 1; algo <= 5; algo++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            for (size_t i = 0; i < N; i++) {
                y[i] = 5 * signal[i];
            }
            boost(algo, seed);
            for (size_t i = 0; i < N; i++) { /* algorithms 3 and 4 end with noise at 10 dB or less */
                assert_true(fabsf(y[i]) <= (algo == 3 || algo == 4 ? 3 : 1.0001f));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notches_equal_firwin),
        cmocka_unit_test(the_linear_part_has_five_notches_gain_one_and_linear_phase),
        cmocka_unit_test(the_non_linear_part_makes_harmonics),
        cmocka_unit_test(impulses_are_few_and_follow_the_signal),
        cmocka_unit_test(stationary_noise_has_the_snr_and_no_part_of_the_signal),
        cmocka_unit_test(series_are_the_parts_one_after_the_other),
        cmocka_unit_test(nothing_is_over_full_scale),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
