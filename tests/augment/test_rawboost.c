/* test_rawboost.c: RawBoost's filters against SciPy's firwin, and the statistics of its three noises against their
 * definitions (Tak et al., ICASSP 2022). */
#include "audio/augment/steps.h"
#include "augment/helpers.h"
#include "base/io.h"
#include <stdlib.h>
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
    for (int algo = 1; algo <= 8; algo++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            for (size_t i = 0; i < N; i++) {
                y[i] = 5 * signal[i];
            }
            boost(algo, seed);
            for (size_t i = 0; i < N; i++) { /* algorithms 3, 4, 6 and 7 end with noise at 10 dB or less */
                assert_true(fabsf(y[i]) <= (algo == 3 || algo == 4 || algo == 6 || algo == 7 ? 3 : 1.0001f));
            }
        }
    }
}

/* ---- the definition once more, in double, without FFT and without any of the code under test ---------------------- */

enum { SHORT = 3000, MOST_TAPS = 5 * 98 + 1 };
static const double PI = 3.14159265358979323846;

static double sinc(double x) { return x == 0 ? 1 : sin(PI * x) / (PI * x); }

/* firwin(c, [f1, f2]): all pass less a band pass, Hamming window, gain 1 at 0 Hz. */
static void twin_notch(double f1, double f2, size_t c, double *h) {
    double nyquist = 8000, sum = 0;
    for (size_t i = 0; i < c; i++) {
        double t = (double)i - (double)(c - 1) / 2;
        h[i] = sinc(t) - f2 / nyquist * sinc(f2 / nyquist * t) + f1 / nyquist * sinc(f1 / nyquist * t);
        h[i] *= 0.54 - 0.46 * cos(2 * PI * (double)i / (double)(c - 1));
        sum += h[i];
    }
    for (size_t i = 0; i < c; i++) {
        h[i] /= sum;
    }
}

typedef struct twin_filter {
    double h[MOST_TAPS], low[5], high[5];
    size_t n, taps[5];
} twin_filter;

static double twin_gain(const double *h, size_t n, double f) {
    double re = 0, im = 0;
    for (size_t i = 0; i < n; i++) {
        re += h[i] * cos(2 * PI * f / 16000 * (double)i);
        im += h[i] * sin(2 * PI * f / 16000 * (double)i);
    }
    return sqrt(re * re + im * im);
}

/* Five notches of 100 to 1,000 Hz at 20 to 8,000 Hz with 10 to 99 taps, an even number made odd; greatest gain `db`. */
static void twin_random_filter(rng *r, double db, twin_filter *f) {
    double peak = 0;
    *f = (twin_filter){.h = {1}, .n = 1};
    for (int j = 0; j < 5; j++) {
        double centre = rng_range(r, 20, 8000), width = rng_range(r, 100, 1000), one[99], next[MOST_TAPS] = {0};
        size_t taps = 10 + (size_t)rng_below(r, 90);
        taps = taps % 2 == 0 ? taps + 1 : taps;
        f->low[j] = centre - width / 2 <= 0 ? 0.001 : centre - width / 2;
        f->high[j] = centre + width / 2 >= 8000 ? 8000 - 0.001 : centre + width / 2;
        f->taps[j] = taps;
        twin_notch(f->low[j], f->high[j], taps, one);
        for (size_t i = 0; i < f->n + taps - 1; i++) {
            for (size_t k = 0; k < taps; k++) {
                next[i] += i >= k && i - k < f->n ? one[k] * f->h[i - k] : 0;
            }
        }
        f->n += taps - 1;
        memcpy(f->h, next, sizeof next);
    }
    for (int k = 0; k < 512; k++) {
        peak = fmax(peak, twin_gain(f->h, f->n, k * 8000.0 / 512));
    }
    for (size_t i = 0; i < f->n; i++) {
        f->h[i] *= pow(10, db / 20) / peak;
    }
}

static void twin_limit(double *x) {
    double peak = 0;
    for (size_t i = 0; i < SHORT; i++) {
        peak = fmax(peak, fabs(x[i]));
    }
    for (size_t i = 0; i < SHORT && peak > 1; i++) {
        x[i] /= peak;
    }
}

static void twin_convolutive(rng *r, double *x) {
    static double sum[SHORT];
    static twin_filter f;
    double mean = 0;
    memset(sum, 0, sizeof sum);
    for (int order = 1; order <= 5; order++) {
        double db = order == 1 ? 0 : rng_range(r, -20, -5);
        twin_random_filter(r, db, &f);
        for (size_t i = 0; i < SHORT; i++) {
            for (size_t k = 0; k < f.n; k++) {
                int64_t at = (int64_t)i + (int64_t)(f.n - 1) / 2 - (int64_t)k;
                sum[i] += at >= 0 && at < SHORT ? f.h[k] * pow(x[at], order) : 0;
            }
        }
    }
    for (size_t i = 0; i < SHORT; i++) {
        mean += sum[i] / SHORT;
    }
    for (size_t i = 0; i < SHORT; i++) {
        x[i] = sum[i] - mean;
    }
    twin_limit(x);
}

static void twin_impulsive(rng *r, double *x) {
    size_t count = (size_t)(SHORT * rng_range(r, 0, 10) / 100);
    for (size_t i = 0; i < SHORT && count > 0; i++) {
        if (rng_below(r, SHORT - i) < count) {
            double u = rng_range(r, -1, 1), v = rng_range(r, -1, 1);
            x[i] += 2 * x[i] * u * v;
            count--;
        }
    }
    twin_limit(x);
}

/* The numbers that a chain of one step draws from. */
static rng twin_numbers(uint64_t seed) {
    rng r = rng_make(seed, 0), own = rng_make(rng_u64(&r), 0);
    (void)rng_uniform(&own); /* whether the step happens */
    (void)rng_below(&own, 1); /* which algorithm */
    return own;
}

static void it_equals_the_definition_in_double(void **state) {
    (void)state;
    static double x[SHORT], other[SHORT];
    static const int algorithms[] = {1, 2, 5, 8};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        int algo = algorithms[seed % 4];
        char steps[60];
        rng r = twin_numbers(seed);
        for (size_t i = 0; i < SHORT; i++) {
            y[i] = 1.5f * signal[8000 + i];
            x[i] = other[i] = (double)y[i];
        }
        twin_limit(x);
        twin_limit(other);
        if (algo != 2) {
            twin_convolutive(&r, x);
        }
        if (algo == 2 || algo == 5) {
            twin_impulsive(&r, x);
        }
        if (algo == 8) {
            twin_impulsive(&r, other);
            for (size_t i = 0; i < SHORT; i++) {
                x[i] += other[i];
            }
            twin_limit(x);
        }
        snprintf(steps, sizeof steps, "[{\"kind\":\"rawboost\",\"algo\":%d}]", algo);
        helpers_run(ctx, steps, seed, y, SHORT);
        for (size_t i = 0; i < SHORT; i++) {
            if (!(fabs((double)y[i] - x[i]) < 3e-6)) {
                fail_msg("algorithm %d, seed %d, sample %zu: %g, not %g", algo, (int)seed, i, (double)y[i], x[i]);
            }
        }
    }
}

/* Inside its band a notch of enough taps is deep, outside of it flat; the cascade has all five, and its greatest gain is 1. */
static void filters_have_their_notches(void **state) {
    (void)state;
    size_t checked = 0;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        rng r = rng_make(seed, 9);
        twin_filter f;
        twin_random_filter(&r, 0, &f);
        for (int j = 0; j < 5; j++) {
            double width = f.high[j] - f.low[j], edge = 3.5 * 16000 / (double)f.taps[j]; /* how wide a Hamming window makes it */
            double h[99];
            rawboost_notch((f.low[j] + f.high[j]) / 2, width, f.taps[j], h);
            double sum = 0;
            for (size_t i = 0; i < f.taps[j]; i++) {
                sum += h[i];
            }
            assert_true(sum > 0); /* also of a notch at 0 Hz, whose windowed filter comes out either way */
            double outside = twin_gain(h, f.taps[j], f.low[j] > 4000 ? 500 : 7500);
            if (width > edge) {
                assert_true(twin_gain(h, f.taps[j], (f.low[j] + f.high[j]) / 2) < 0.01 * outside);
                checked++;
            }
            if (f.low[j] > 4000 ? f.low[j] > 500 + edge : f.high[j] < 7500 - edge) {
                assert_true(fabs(outside - 1) < 0.02);
            }
            double half = twin_gain(h, f.taps[j], f.low[j]); /* half the amplitude at its edges, where they are apart */
            assert_true(width <= edge || f.low[j] < edge || fabs(half / outside - 0.5) < 0.02);
        }
    }
    assert_true(checked > 20);
}

/* P(|u v| <= t) = t - t ln t for u, v uniform in -1 .. 1; both signs; places spread evenly; their share uniform in 0 .. 10 %. */
static void impulses_have_their_distributions(void **state) {
    (void)state;
    enum { ROUNDS = 300, TENTHS = 10 };
    size_t below[4] = {0}, negative = 0, all = 0, place[TENTHS] = {0}, share[TENTHS] = {0};
    static const double at[4] = {0.1, 0.3, 0.5, 0.8};
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        size_t changed = 0;
        for (size_t i = 0; i < N; i++) {
            y[i] = i % 2 == 0 ? 0.25f : -0.125f;
        }
        boost(2, seed);
        for (size_t i = 0; i < N; i++) {
            double f = ((double)y[i] / (i % 2 == 0 ? 0.25 : -0.125) - 1) / 2;
            if (f != 0) {
                changed++;
                all++;
                negative += f < 0;
                place[i * TENTHS / N]++;
                for (size_t k = 0; k < 4; k++) {
                    below[k] += fabs(f) <= at[k];
                }
            }
        }
        share[changed * 100 / N]++; /* whole percents */
        assert_true(changed < N / 10);
    }
    for (size_t k = 0; k < 4; k++) {
        double want = at[k] - at[k] * log(at[k]);
        assert_true(fabs((double)below[k] / (double)all - want) < 4 * sqrt(want * (1 - want) / (double)all) + 1e-4);
    }
    assert_true(fabs((double)negative / (double)all - 0.5) < 2 / sqrt((double)all));
    double chi = 0;
    for (size_t k = 0; k < TENTHS; k++) {
        assert_true(fabs((double)place[k] * TENTHS / (double)all - 1) < 0.02);
        chi += ((double)share[k] - ROUNDS / 10.0) * ((double)share[k] - ROUNDS / 10.0) / (ROUNDS / 10.0);
    }
    assert_true(chi < 27.9); /* 0.999 quantile with 9 degrees of freedom */
}

/* 6 and 7 end with noise of 10 to 40 dB on what 1 and 2 make. */
static void the_other_series(void **state) {
    (void)state;
    static float part[N];
    for (int algo = 6; algo <= 7; algo++) {
        for (uint64_t seed = 21; seed <= 24; seed++) {
            memcpy(y, signal, sizeof y);
            boost(algo - 5, seed);
            memcpy(part, y, sizeof part);
            memcpy(y, signal, sizeof y);
            boost(algo, seed);
            for (size_t i = 0; i < N; i++) {
                y[i] -= part[i];
            }
            double snr = 10 * log10(helpers_power(part, N) / helpers_power(y, N));
            assert_true(snr >= 10 - 0.05 && snr <= 40 + 0.05);
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
        cmocka_unit_test(it_equals_the_definition_in_double),
        cmocka_unit_test(filters_have_their_notches),
        cmocka_unit_test(impulses_have_their_distributions),
        cmocka_unit_test(the_other_series),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
