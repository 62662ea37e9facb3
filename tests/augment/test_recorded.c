/* test_recorded.c: steps made of recordings: noises at the SNR, several at once, rooms without delay and of energy 1; and what is
 * refused. Reading them from files: tests/data/test_recordings.c. */
#include "augment/helpers.h"
#include <string.h>

enum { N = 32000, CLIPS = 3, MAX_RESPONSE = 4000 };
static spoor_context *ctx;
static float signal[N], x[N], y[N];

typedef struct set {
    float response[MAX_RESPONSE];
    size_t m, calls, seen[CLIPS];
    bool fail;
} set;

/* Each recording is a tone, as loud as its number says. */
static spoor_status fill(void *user, size_t index, double where, float *out, size_t n, spoor_error *err) {
    set *s = user;
    assert_true(index < CLIPS && where >= 0 && where < 1);
    s->calls++;
    s->seen[index]++;
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(index + 1) * sinf((float)(index + 1) * 0.25f * (float)i);
    }
    return s->fail ? error_set(err, SPOOR_ERR_IO, "a recording is gone") : SPOOR_OK;
}

static spoor_status whole(void *user, size_t index, float **out, size_t *n, spoor_error *err) {
    set *s = user;
    assert_true(index < CLIPS);
    *n = s->m;
    *out = ctx_alloc(ctx, s->m, sizeof **out);
    if (!*out || s->fail) {
        ctx_free(ctx, *out);
        return error_set(err, SPOOR_ERR_IO, "a response is gone");
    }
    memcpy(*out, s->response, s->m * sizeof **out);
    return SPOOR_OK;
}

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

static void give(augment *a, set *s) {
    augment_recordings from = {.stretch = {.count = CLIPS, .user = s, .fill = fill}, .whole = whole};
    spoor_error err = {0};
    for (size_t i = 0; augment_set_at(a, i) != NULL; i++) {
        support_ok(augment_use_recordings(a, i, &from, "cafe", &err), &err);
    }
}

/* y = y after the chain with these recordings. */
static spoor_status run(const char *steps, set *s, uint64_t seed, spoor_error *err) {
    augment *a = helpers_make(ctx, steps);
    augment_scratch *scratch;
    give(a, s);
    support_ok(augment_scratch_new(a, &scratch, err), err);
    rng r = rng_make(seed, 0);
    spoor_status status = augment_apply(a, scratch, NULL, &r, y, N, err);
    augment_scratch_free(scratch);
    augment_free(a);
    return status;
}

static void noises_are_mixed_at_the_snr_and_equally_loud(void **state) {
    (void)state;
    set s = {0};
    spoor_error err = {0};
    for (uint64_t seed = 1; seed < 5; seed++) {
        memset(&s, 0, sizeof s);
        memcpy(y, signal, sizeof y);
        support_ok(run("[{\"kind\":\"noise\",\"files\":\"n\",\"snr\":[7,7],\"count\":[2,4]}]", &s, seed, &err), &err);
        assert_true(s.calls >= 2 && s.calls <= 4);
        for (size_t i = 0; i < N; i++) {
            x[i] = y[i] - signal[i];
        }
        support_close(10 * log10(helpers_power(signal, N) / helpers_power(x, N)), 7, 0.1 / 7, "SNR");
        double one = -1;
        for (size_t i = 0; i < CLIPS; i++) {
            double f = (double)(i + 1) * 0.25 * 16000 / (2 * 3.14159265358979), p = helpers_band(x, N, f - 20, f + 20);
            assert_int_equal(p > 1e-3 * helpers_power(x, N), s.seen[i] > 0);
            double each = s.seen[i] > 0 ? p / (double)(s.seen[i] * s.seen[i]) : one;
            if (s.seen[i] == 1) { /* whatever their levels */
                assert_true(one < 0 || fabs(each / one - 1) < 0.05);
                one = each;
            }
        }
    }
    memset(&s, 0, sizeof s);
    support_ok(run("[{\"kind\":\"noise\",\"files\":\"n\"}]", &s, 3, &err), &err);
    assert_int_equal(s.calls, 1); /* one unless more are asked for */
    s.fail = true;
    assert_int_equal(run("[{\"kind\":\"noise\",\"files\":\"n\"}]", &s, 3, &err), SPOOR_ERR_IO);
    support_ok(run("[{\"kind\":\"noise\",\"files\":\"n\",\"p\":0}]", &s, 3, &err), &err);
}

/* Against the sum itself: the direct path (the largest value, here negative) comes at once, whatever stands before it. */
static void a_room_has_no_delay_and_energy_one(void **state) {
    (void)state;
    static const size_t directs[] = {0, 300, 3999};
    set s = {.m = MAX_RESPONSE};
    spoor_error err = {0};
    for (size_t d = 0; d < 3; d++) {
        rng r = rng_make(d, 9);
        double energy = 0;
        for (size_t i = 0; i < s.m; i++) {
            s.response[i] = (float)(0.02 * rng_normal(&r)) * (i < directs[d] ? 0.1f : 1);
        }
        s.response[directs[d]] = -0.9f;
        for (size_t i = 0; i < s.m; i++) {
            energy += (double)s.response[i] * (double)s.response[i];
        }
        memcpy(y, signal, sizeof y);
        support_ok(run("[{\"kind\":\"room\",\"files\":\"r\"}]", &s, 1, &err), &err);
        for (size_t i = 0; i < N; i += 37) {
            double want = 0;
            for (size_t k = 0; k < s.m; k++) {
                size_t at = i + directs[d] - k; /* wraps around below 0 */
                want += at < N ? (double)s.response[k] * (double)signal[at] : 0;
            }
            assert_true(fabs((double)y[i] - want / sqrt(energy)) < 1e-4);
        }
        for (size_t i = 0; i < N; i++) {
            x[i] = -y[i];
        }
        assert_int_equal(helpers_best_lag(signal, x, N, 200), 0);
    }
    memset(s.response, 0, sizeof s.response); /* silence is no room */
    memcpy(y, signal, sizeof y);
    support_ok(run("[{\"kind\":\"room\",\"files\":\"r\"}]", &s, 1, &err), &err);
    for (size_t i = 0; i < N; i++) {
        assert_true(fabsf(y[i] - signal[i]) < 1e-5f);
    }
    s.m = 0;
    assert_int_equal(run("[{\"kind\":\"room\",\"files\":\"r\"}]", &s, 1, &err), SPOOR_ERR_LIMIT);
    s.m = 10;
    s.fail = true;
    assert_int_equal(run("[{\"kind\":\"room\",\"files\":\"r\"}]", &s, 1, &err), SPOOR_ERR_IO);
}

static void sets_are_shared_and_their_identity_is_kept(void **state) {
    (void)state;
    set s = {0};
    spoor_error err = {0};
    augment *a = helpers_make(ctx, "[{\"kind\":\"one\",\"of\":[{\"kind\":\"noise\",\"files\":\"n\"},{\"kind\":\"room\",\"files\":\"n\"},"
                                   "{\"kind\":\"noise\",\"files\":\"n\",\"snr\":3}]},{\"kind\":\"noise\",\"files\":\"m\",\"p\":0}]");
    assert_string_equal(augment_set_at(a, 0)->path, "n");
    assert_false(augment_set_at(a, 0)->room);
    assert_true(augment_set_at(a, 1)->room);
    assert_null(augment_set_at(a, 2)); /* what never happens needs nothing */
    augment_scratch *scratch;
    rng r = rng_make(1, 0);
    support_ok(augment_scratch_new(a, &scratch, &err), &err);
    assert_int_equal(augment_apply(a, scratch, NULL, &r, y, N, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "recordings of n were not read"));
    augment_scratch_free(scratch);
    give(a, &s);
    const json_t *of = json_object_get(json_array_get(augment_config(a), 0), "of");
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(json_string_value(json_object_get(json_array_get(of, i), "sha256")), "cafe");
        assert_string_equal(json_string_value(json_object_get(json_array_get(of, i), "files")), "n");
    }
    assert_int_equal(json_integer_value(json_array_get(json_object_get(json_array_get(of, 0), "count"), 1)), 1);
    augment *b; /* the same chain from what it resolved to; other recordings are refused */
    support_ok(augment_new(ctx, augment_config(a), &b, &err), &err);
    assert_true(json_equal(augment_config(a), augment_config(b)));
    give(b, &s);
    augment_recordings from = {.stretch = {.count = CLIPS, .user = &s, .fill = fill}, .whole = whole};
    assert_int_equal(augment_use_recordings(b, 0, &from, "babe", &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "recordings of n"));
    assert_true(json_equal(augment_config(a), augment_config(b)));
    augment_free(a);
    augment_free(b);
}

static void wrong_settings_are_refused_by_name(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"[{\"kind\":\"noise\",\"files\":\"n\",\"color\":\"pink\"}]", "color"},
        {"[{\"kind\":\"noise\",\"count\":[1,2]}]", "count"},
        {"[{\"kind\":\"noise\",\"files\":\"n\",\"count\":[0,2]}]", "count"},
        {"[{\"kind\":\"noise\",\"files\":7}]", "files"},
        {"[{\"kind\":\"noise\",\"files\":\"\"}]", "files"},
        {"[{\"kind\":\"noise\",\"files\":\"n\",\"sha256\":7}]", "sha256"},
        {"[{\"kind\":\"room\",\"files\":\"n\",\"rt60\":[0.1,0.2]}]", "rt60"},
        {"[{\"kind\":\"gain\",\"files\":\"n\"}]", "files"},
        {"[{\"kind\":\"echo\",\"files\":\"n\"}]", "echo"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        assert_int_equal(helpers_try(ctx, bad[i][0], 1, NULL, y, 10, &err), SPOOR_ERR_USAGE);
        if (strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: \"%s\" does not name %s", bad[i][0], err.message, bad[i][1]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noises_are_mixed_at_the_snr_and_equally_loud),
        cmocka_unit_test(a_room_has_no_delay_and_energy_one),
        cmocka_unit_test(sets_are_shared_and_their_identity_is_kept),
        cmocka_unit_test(wrong_settings_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
