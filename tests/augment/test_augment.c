/* test_augment.c: the chain: configuration, seeds, threads, hard inputs, failing memory; and the steps that add noise
 * or change level, time and spectrum. RawBoost and the codecs have their own files. */
#include "augment/helpers.h"
#include <pthread.h>
#include <string.h>

static spoor_context *ctx;
enum { N = 64000 };
static float signal[N], x[N], y[N];

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

/* y = signal after the chain. */
static void chain(const char *steps, uint64_t seed) {
    memcpy(y, signal, sizeof y);
    helpers_run(ctx, steps, seed, y, N);
}

static void noise_has_the_snr_and_the_colour(void **state) {
    (void)state;
    static const char *const colours[] = {"white", "pink", "brown"};
    for (int c = 0; c < 3; c++) {
        char steps[120];
        snprintf(steps, sizeof steps, "[{\"kind\":\"noise\",\"snr\":[12,12],\"color\":[\"%s\"]}]", colours[c]);
        chain(steps, 5);
        for (size_t i = 0; i < N; i++) {
            x[i] = y[i] - signal[i];
        }
        support_close(10 * log10(helpers_power(signal, N) / helpers_power(x, N)), 12, 0.1 / 12, colours[c]);
        double octave = 10 * log10(helpers_band(x, N, 2000, 4000) / helpers_band(x, N, 1000, 2000));
        assert_true(fabs(octave - 3.01 * (1 - c)) < 0.4); /* an octave up: white +3 dB, pink 0, brown -3 */
    }
}

typedef struct babble_clips {
    size_t calls, seen[5];
    bool fail;
} babble_clips;

static spoor_status fill(void *user, size_t index, double where, float *out, size_t n, spoor_error *err) {
    babble_clips *b = user;
    assert_true(index < 5 && where >= 0 && where < 1);
    b->calls++;
    b->seen[index]++;
    for (size_t i = 0; i < n; i++) { /* each talker is a tone, as loud as its number says */
        out[i] = (float)(index + 1) * sinf((float)(index + 1) * 0.25f * (float)i);
    }
    return b->fail ? error_set(err, SPOOR_ERR_IO, "a clip is gone") : SPOOR_OK;
}

static void babble_mixes_talkers_at_the_snr(void **state) {
    (void)state;
    babble_clips b = {0};
    augment_sources sources = {.count = 5, .user = &b, .fill = fill};
    spoor_error err = {0};
    static const char steps[] = "[{\"kind\":\"babble\",\"snr\":[7,7],\"talkers\":[4,4]}]";
    memcpy(y, signal, sizeof y);
    assert_int_equal(helpers_try(ctx, steps, 1, &sources, y, N, &err), SPOOR_OK);
    assert_int_equal(b.calls, 4);
    for (size_t i = 0; i < N; i++) {
        x[i] = y[i] - signal[i];
    }
    support_close(10 * log10(helpers_power(signal, N) / helpers_power(x, N)), 7, 0.1 / 7, "babble SNR");
    size_t heard = 0;
    double level = 0;
    for (size_t i = 0; i < 5; i++) {
        double f = (double)(i + 1) * 0.25 * 16000 / (2 * 3.14159265358979), p = helpers_band(x, N, f - 20, f + 20);
        assert_int_equal(p > 1e-4 * helpers_power(x, N), b.seen[i] > 0);
        if (b.seen[i] == 1) { /* talkers drawn once are equally loud, whatever their clips' levels */
            assert_true(heard == 0 || fabs(p / level - 1) < 0.05);
            level = p;
            heard++;
        }
    }
    b.fail = true;
    assert_int_equal(helpers_try(ctx, steps, 1, &sources, y, N, &err), SPOOR_ERR_IO);
    assert_int_equal(helpers_try(ctx, steps, 1, NULL, y, N, &err), SPOOR_ERR_USAGE);
}

/* Time in seconds that the energy after `from` needs for 60 dB, from the slope between -5 and -25 dB (Schroeder). */
static double decay_time(const float *h, size_t from, size_t n) {
    double total = 0, left, sx = 0, sy = 0, sxx = 0, sxy = 0, count = 0;
    for (size_t i = from; i < n; i++) {
        total += (double)h[i] * (double)h[i];
    }
    left = total;
    for (size_t i = from; i < n; i++) {
        double db = 10 * log10(left / total), t = (double)(i - from) / 16000;
        if (db <= -5 && db >= -25) {
            sx += t, sy += db, sxx += t * t, sxy += t * db, count++;
        }
        left = fmax(left - (double)h[i] * (double)h[i], 1e-30);
    }
    return -60 / ((count * sxy - sx * sy) / (count * sxx - sx * sx));
}

static void a_room_has_its_reverberation_time_and_a_clean_direct_path(void **state) {
    (void)state;
    static const double times[] = {0.2, 0.5, 0.8};
    for (int k = 0; k < 3; k++) {
        double rt60 = 0;
        for (uint64_t seed = 1; seed <= 8; seed++) {
            char steps[100];
            snprintf(steps, sizeof steps, "[{\"kind\":\"room\",\"rt60\":%g,\"drr\":[6,6]}]", times[k]);
            memset(y, 0, sizeof y);
            y[1000] = 0.5f;
            helpers_run(ctx, steps, seed, y, N);
            support_close((double)y[1000], 0.5, 1e-5, "direct path");
            double tail = 0, before = 0;
            for (size_t i = 0; i < N; i++) {
                *(i < 1000 ? &before : &tail) += i == 1000 ? 0 : (double)y[i] * (double)y[i];
            }
            assert_true(before < 1e-8);
            support_close(10 * log10(0.25 / tail), 6, 0.02, "direct-to-reverberant ratio");
            rt60 += decay_time(y, 1800, N) / 8; /* after the early reflections */
        }
        print_message("reverberation time %.4f s, want %g\n", rt60, times[k]);
        assert_true(fabs(rt60 / times[k] - 1) < 0.05);
    }
}

static void gain_is_exact(void **state) {
    (void)state;
    chain("[{\"kind\":\"gain\",\"db\":[-7.5,-7.5]}]", 1);
    for (size_t i = 0; i < N; i++) {
        assert_true(y[i] == (float)((double)signal[i] * pow(10, -7.5 / 20)));
    }
}

/* y = the chain's answer to an impulse in the middle; gain in dB at f. */
static void impulse(const char *steps, uint64_t seed) {
    memset(y, 0, sizeof y);
    y[N / 2] = 0.25f;
    helpers_run(ctx, steps, seed, y, N);
    for (size_t i = 0; i < N; i++) {
        y[i] *= 4;
    }
}

static double gain_at(double f) { return 20 * log10(helpers_response(y, N, f)); }

static void assert_linear_phase(void) {
    for (size_t i = 0; i < N / 2; i++) {
        assert_true(fabsf(y[N / 2 + i] - y[N / 2 - i]) < 1e-5f);
    }
}

static void the_equaliser_is_smooth_within_its_range_and_linear_phase(void **state) {
    (void)state;
    impulse("[{\"kind\":\"eq\",\"db\":[5,5]}]", 1);
    for (double f = 0; f < 8000; f += 111) {
        support_close(gain_at(f), 5, 0.01, "flat equaliser");
    }
    double low = 100, high = -100;
    for (uint64_t seed = 1; seed < 6; seed++) {
        impulse("[{\"kind\":\"eq\",\"db\":[-6,6],\"knots\":[4,6]}]", seed);
        assert_linear_phase();
        double before = gain_at(200);
        for (double f = 200; f < 8000; f += 50) {
            double now = gain_at(f);
            assert_true(now < 6.3 && now > -6.3 && fabs(now - before) < 1.5);
            low = fmin(low, now), high = fmax(high, now), before = now;
        }
    }
    assert_true(low < -3 && high > 3);
}

static void the_band_limit_is_where_it_should_be(void **state) {
    (void)state;
    impulse("[{\"kind\":\"bandlimit\",\"low\":[300,300],\"high\":[3400,3400]}]", 1);
    assert_linear_phase();
    support_close(gain_at(300), -6, 0.05, "lower edge");
    support_close(gain_at(3400), -6, 0.05, "upper edge");
    for (double f = 0; f < 8000; f += 37) {
        double g = gain_at(f);
        if (f > 380 && f < 3320) {
            assert_true(fabs(g) < 0.1);
        } else if (f < 220 || f > 3480) {
            assert_true(g < -45);
        }
    }
    impulse("[{\"kind\":\"bandlimit\",\"low\":[0,10],\"high\":[7950,8000]}]", 1); /* both sides open */
    assert_true(fabsf(y[N / 2] - 1) < 1e-5f && fabsf(y[N / 2 + 1]) < 1e-5f);
}

static void resampling_down_and_back_loses_only_the_top(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 8; seed++) { /* all three qualities */
        impulse("[{\"kind\":\"resample\",\"rate\":[8000,8000]}]", seed);
        for (double f = 100; f < 2600; f += 97) {
            assert_true(fabs(gain_at(f)) < 1);
        }
        assert_true(gain_at(6000) < -35);
    }
    chain("[{\"kind\":\"resample\",\"rate\":[12000,12000]}]", 3);
    assert_int_equal(helpers_best_lag(signal, y, N, 200), 0);
}

static void speed_scales_frequency_and_keeps_the_length(void **state) {
    (void)state;
    static const double factors[] = {0.8, 1.1};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < N; i++) {
            y[i] = 0.5f * sinf(0.2f * (float)i);
        }
        char steps[80];
        snprintf(steps, sizeof steps, "[{\"kind\":\"speed\",\"factor\":%g}]", factors[k]);
        helpers_run(ctx, steps, 1, y, N);
        for (size_t i = 500; i < 50000; i++) {
            assert_true(fabs((double)y[i] - 0.5 * sin(0.2 * factors[k] * (double)i)) < 2e-3);
        }
        assert_true(helpers_power(y + N - 2000, 2000) > 0.1); /* filled to the end */
    }
}

static void masks_are_silence_of_their_length(void **state) {
    (void)state;
    for (size_t i = 0; i < N; i++) {
        y[i] = 1;
    }
    helpers_run(ctx, "[{\"kind\":\"mask\",\"count\":[1,1],\"seconds\":[0.05,0.05]}]", 9, y, N);
    size_t zeros = 0, edges = 0;
    for (size_t i = 0; i < N; i++) {
        assert_true(y[i] == 0 || y[i] == 1);
        zeros += y[i] == 0;
        edges += i > 0 && y[i] != y[i - 1];
    }
    assert_int_equal(zeros, 800);
    assert_true(edges <= 2 && edges >= 1);
}

/* ---- the chain ------------------------------------------------------------------------------------------ */

static const char EVERYTHING[] =
    "[{\"kind\":\"speed\"},{\"kind\":\"room\"},{\"kind\":\"noise\"},{\"kind\":\"eq\"},"
    "{\"kind\":\"rawboost\",\"algo\":[1,2,3,4,5]},{\"kind\":\"bandlimit\"},{\"kind\":\"resample\"},"
    "{\"kind\":\"codec\"},{\"kind\":\"telephone\"},{\"kind\":\"gain\"},{\"kind\":\"mask\"}]";

typedef struct job {
    const augment *a;
    float want[4][16000], got[16000];
    bool same;
} job;

static void *repeat(void *arg) {
    job *j = arg;
    augment_scratch *s;
    j->same = augment_scratch_new(j->a, &s, NULL) == SPOOR_OK;
    for (int round = 0; round < 8 && j->same; round++) {
        rng r = rng_make((uint64_t)(round % 4), 77);
        memcpy(j->got, signal, sizeof j->got);
        j->same = augment_apply(j->a, s, NULL, &r, j->got, 16000, NULL) == SPOOR_OK && r.counter == 1 &&
                  memcmp(j->got, j->want[round % 4], sizeof j->got) == 0;
    }
    augment_scratch_free(s);
    return NULL;
}

static void same_seed_same_bits_on_any_thread(void **state) {
    (void)state;
    static job jobs[4];
    augment *a = helpers_make(ctx, EVERYTHING);
    for (int i = 0; i < 4; i++) {
        augment_scratch *s;
        spoor_error err = {0};
        rng r = rng_make((uint64_t)i, 77);
        support_ok(augment_scratch_new(a, &s, &err), &err);
        memcpy(jobs[0].want[i], signal, sizeof jobs[0].want[i]);
        support_ok(augment_apply(a, s, NULL, &r, jobs[0].want[i], 16000, &err), &err);
        augment_scratch_free(s);
        assert_true(i == 0 || memcmp(jobs[0].want[i], jobs[0].want[i - 1], sizeof jobs[0].want[i]) != 0);
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        memcpy(jobs[i].want, jobs[0].want, sizeof jobs[0].want);
        jobs[i].a = a;
        assert_int_equal(pthread_create(&threads[i], NULL, repeat, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(jobs[i].same);
    }
    augment_free(a);
}

static void the_resolved_configuration_makes_the_same_chain(void **state) {
    (void)state;
    augment *a = helpers_make(ctx, EVERYTHING);
    char *text = json_dumps(augment_config(a), 0);
    memcpy(x, signal, sizeof x);
    memcpy(y, signal, sizeof y);
    helpers_run(ctx, EVERYTHING, 3, x, 8000);
    helpers_run(ctx, text, 3, y, 8000);
    assert_memory_equal(x, y, 8000 * sizeof *x);
    augment *b = helpers_make(ctx, text);
    assert_true(json_equal(augment_config(a), augment_config(b)));
    free(text);
    augment_free(a);
    augment_free(b);
}

static void probability_decides_how_often(void **state) {
    (void)state;
    augment *a = helpers_make(ctx, "[{\"kind\":\"gain\",\"p\":0.3,\"db\":[6,6]},{\"kind\":\"gain\",\"p\":0,\"db\":[9,9]}]");
    augment_scratch *s;
    spoor_error err = {0};
    support_ok(augment_scratch_new(a, &s, &err), &err);
    rng r = rng_make(1, 1);
    int changed = 0;
    for (int i = 0; i < 2000; i++) {
        float v = 0.25f;
        support_ok(augment_apply(a, s, NULL, &r, &v, 1, &err), &err);
        changed += v != 0.25f;
        assert_true(v == 0.25f || fabsf(v - 0.4988f) < 1e-3f);
    }
    assert_true(changed > 520 && changed < 680);
    augment_scratch_free(s);
    augment_free(a);
}

static void hard_inputs_give_finite_samples(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 100, 1000, 5000};
    static const char *const kinds[] = {"noise", "room", "gain", "eq", "bandlimit", "resample", "speed", "mask", "codec",
                                        "telephone", "rawboost"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char steps[100];
        snprintf(steps, sizeof steps, "[{\"kind\":\"%s\"%s}]", kinds[k],
                 strcmp(kinds[k], "rawboost") == 0 ? ",\"algo\":[1,2,3,4,5]" : "");
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            for (int what = 0; what < 5; what++) {
                size_t n = sizes[j];
                for (size_t i = 0; i < n; i++) {
                    float wave = sinf((float)i * 0.4f);
                    float choice[] = {0, wave * 1e30f, i % 3 == 1 ? NAN : wave, i % 3 == 1 ? INFINITY : wave, wave * 1e-38f};
                    y[i] = choice[what];
                }
                y[n] = 123;
                helpers_run(ctx, steps, n + (size_t)what, y, n);
                for (size_t i = 0; i < n; i++) {
                    assert_true(isfinite(y[i]));
                }
                assert_true(y[n] == 123); /* nothing is written past the end */
                if (what == 0 && strcmp(kinds[k], "codec") != 0 && strcmp(kinds[k], "telephone") != 0) {
                    assert_true(helpers_power(y, n) == 0); /* silence stays silence */
                }
            }
        }
        helpers_run(ctx, steps, 1, y, 0);
    }
}

static void wrong_configurations_are_refused_by_name(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"{}", "list"},
        {"[7]", "augment[0]"},
        {"[{\"p\":1}]", "kind"},
        {"[{\"kind\":\"echo\"}]", "echo"},
        {"[{\"kind\":\"gain\"},{\"kind\":\"gain\",\"snr\":[1,2]}]", "augment[1] (gain)"},
        {"[{\"kind\":\"noise\",\"p\":2}]", "p must"},
        {"[{\"kind\":\"noise\",\"snr\":[9,3]}]", "snr"},
        {"[{\"kind\":\"noise\",\"snr\":[9]}]", "snr"},
        {"[{\"kind\":\"noise\",\"snr\":\"5\"}]", "snr"},
        {"[{\"kind\":\"noise\",\"snr\":[5,1e9]}]", "snr"},
        {"[{\"kind\":\"noise\",\"color\":[\"blue\"]}]", "white, pink, brown"},
        {"[{\"kind\":\"noise\",\"color\":[]}]", "color"},
        {"[{\"kind\":\"babble\",\"talkers\":[1.5,2]}]", "talkers"},
        {"[{\"kind\":\"room\",\"rt60\":[0,1]}]", "rt60"},
        {"[{\"kind\":\"room\",\"rt60\":[0.1,100]}]", "rt60"},
        {"[{\"kind\":\"rawboost\",\"algo\":9}]", "algo"},
        {"[{\"kind\":\"codec\",\"codecs\":[\"aac\"]}]", "codecs"},
        {"[{\"kind\":\"codec\",\"narrowband\":-1}]", "narrowband"},
        {"[{\"kind\":\"telephone\",\"codecs\":[\"opus\"]}]", "codecs must be a list of: mulaw, alaw, gsm, g721"},
        {"[{\"kind\":\"telephone\",\"high\":[3000,4000]}]", "high"},
        {"[{\"kind\":\"resample\",\"rate\":[0,8000]}]", "rate"},
        {"[{\"kind\":\"speed\",\"factor\":[0,1]}]", "factor"},
        {"[{\"kind\":\"mask\",\"count\":[1,1e18]}]", "count"},
        {"[{\"kind\":\"one\"}]", "\"of\""},
        {"[{\"kind\":\"one\",\"of\":[]}]", "\"of\""},
        {"[{\"kind\":\"one\",\"of\":[{\"kind\":\"one\",\"of\":[{\"kind\":\"gain\"}]}]}]", "another"},
        {"[{\"kind\":\"one\",\"of\":[{\"kind\":\"gain\",\"db\":[1,0]}]}]", "db"},
        {"[{\"kind\":\"gain\",\"of\":[]}]", "of"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        assert_int_equal(helpers_try(ctx, bad[i][0], 1, NULL, y, 10, &err), SPOOR_ERR_USAGE);
        if (strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: \"%s\" does not name %s", bad[i][0], err.message, bad[i][1]);
        }
    }
    spoor_error err = {0};
    augment *a;
    support_ok(augment_new(ctx, NULL, &a, &err), &err);
    assert_int_equal(json_array_size(augment_config(a)), 0);
    assert_false(augment_needs_sources(a));
    augment_free(a);
    augment_free(NULL);
    augment_scratch_free(NULL);
}

/* One of several: gains of 6 and -20 dB are told apart by the power; both together never happen, and p leaves some as they are. */
static void one_of_several_steps(void **state) {
    (void)state;
    static const char steps[] = "[{\"kind\":\"one\",\"p\":0.75,\"of\":[{\"kind\":\"gain\",\"db\":6},{\"kind\":\"gain\",\"db\":-20},"
                                "{\"kind\":\"gain\",\"db\":-20,\"p\":0}]},{\"kind\":\"gain\",\"db\":1}]";
    augment *a = helpers_make(ctx, steps);
    augment_scratch *s;
    spoor_error err = {0};
    support_ok(augment_scratch_new(a, &s, &err), &err);
    int seen[3] = {0};
    for (uint64_t i = 0; i < 2000; i++) {
        rng r = rng_make(i, 1);
        float piece[64];
        memcpy(piece, signal + 4000, sizeof piece);
        double before = helpers_power(piece, 64);
        support_ok(augment_apply(a, s, NULL, &r, piece, 64, &err), &err);
        double db = 10 * log10(helpers_power(piece, 64) / before) - 1; /* the step behind happens always */
        int which = fabs(db - 6) < 0.01 ? 0 : fabs(db + 20) < 0.01 ? 1 : fabs(db) < 0.01 ? 2 : -1;
        assert_true(which >= 0);
        seen[which]++;
    }
    assert_true(abs(seen[0] - 500) < 90 && abs(seen[1] - 500) < 90 && abs(seen[2] - 1000) < 110);
    const json_t *of = json_object_get(json_array_get(augment_config(a), 0), "of");
    assert_int_equal(json_array_size(of), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(of, 2), "kind")), "gain");
    augment *again; /* what it resolved to makes the same chain */
    support_ok(augment_new(ctx, augment_config(a), &again, &err), &err);
    assert_true(json_equal(augment_config(a), augment_config(again)));
    augment_free(again);
    augment_scratch_free(s);
    augment_free(a);
}

static void every_failing_allocation_is_reported(void **state) {
    (void)state;
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at;
    for (at = 1; status != SPOOR_OK && at < 200; at++) {
        support_failing failing = {.fail_at = at};
        spoor_context *c = support_failing_context(&failing);
        spoor_error err = {0};
        memcpy(y, signal, sizeof y);
        status = helpers_try(c, EVERYTHING, 2, NULL, y, 4000, &err);
        if (status != SPOOR_OK && status != SPOOR_ERR_LIMIT) {
            fail_msg("allocation %zu: %s", at, err.message);
        }
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    assert_true(at > 20 && status == SPOOR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_has_the_snr_and_the_colour),
        cmocka_unit_test(babble_mixes_talkers_at_the_snr),
        cmocka_unit_test(a_room_has_its_reverberation_time_and_a_clean_direct_path),
        cmocka_unit_test(gain_is_exact),
        cmocka_unit_test(the_equaliser_is_smooth_within_its_range_and_linear_phase),
        cmocka_unit_test(the_band_limit_is_where_it_should_be),
        cmocka_unit_test(resampling_down_and_back_loses_only_the_top),
        cmocka_unit_test(speed_scales_frequency_and_keeps_the_length),
        cmocka_unit_test(masks_are_silence_of_their_length),
        cmocka_unit_test(same_seed_same_bits_on_any_thread),
        cmocka_unit_test(the_resolved_configuration_makes_the_same_chain),
        cmocka_unit_test(probability_decides_how_often),
        cmocka_unit_test(one_of_several_steps),
        cmocka_unit_test(hard_inputs_give_finite_samples),
        cmocka_unit_test(wrong_configurations_are_refused_by_name),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
