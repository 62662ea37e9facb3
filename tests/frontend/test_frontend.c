/* test_frontend.c: features against torchaudio's and NumPy's (tests/torch/make_frontend.py), hard inputs, hostile
 * configurations, failing memory. */
#include "base/io.h"
#include "frontend/frontend.h"
#include "support/support.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

static float *read_floats(const char *name, size_t *n) {
    char path[128];
    snprintf(path, sizeof path, "tests/frontend/data/%s.f32", name);
    unsigned char *data;
    spoor_error err = {0};
    support_ok(io_read_file(ctx, support_path(path), 1 << 20, &data, n, &err), &err);
    *n /= sizeof(float);
    return (float *)(void *)data;
}

static frontend *make(const char *text) {
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    frontend *fe;
    spoor_error err = {0};
    support_ok(frontend_new(ctx, config, &fe, &err), &err);
    json_decref(config);
    return fe;
}

static float *run_frontend(const frontend *fe, const float *x, size_t n) {
    frontend_scratch *s;
    spoor_error err = {0};
    support_ok(frontend_scratch_new(fe, &s, &err), &err);
    float *out = ctx_alloc(ctx, frontend_frames(fe, n) * frontend_dim(fe), sizeof *out);
    support_ok(frontend_compute(fe, s, x, n, out, &err), &err);
    frontend_scratch_free(s);
    return out;
}

static void assert_finite(const frontend *fe, const float *x, size_t n) {
    float *out = run_frontend(fe, x, n);
    for (size_t i = 0; i < frontend_frames(fe, n) * frontend_dim(fe); i++) {
        assert_true(isfinite(out[i]));
    }
    ctx_free(ctx, out);
}

/* The largest error of a case, relative to the largest value of its column group: for logarithms 1e-4 of the range. */
static void one_case(const json_t *c, const float *signal) {
    const char *name = json_string_value(json_object_get(c, "name"));
    size_t n = (size_t)json_integer_value(json_object_get(c, "samples"));
    size_t rows = (size_t)json_integer_value(json_object_get(c, "rows"));
    size_t columns = (size_t)json_integer_value(json_object_get(c, "columns")), count;
    float *want = read_floats(name, &count);
    assert_int_equal(count, rows * columns);
    frontend *fe;
    spoor_error err = {0};
    support_ok(frontend_new(ctx, json_object_get(c, "config"), &fe, &err), &err);
    if (frontend_frames(fe, n) != rows || frontend_dim(fe) != columns) {
        fail_msg("%s: [%zu, %zu], want [%zu, %zu]", name, frontend_frames(fe, n), frontend_dim(fe), rows, columns);
    }
    float *got = run_frontend(fe, signal, n);
    double worst = 0, scale = 0;
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
        scale = fmax(scale, fabs((double)want[i]));
    }
    print_message("%-28s relative error %.2g\n", name, worst / scale);
    if (!(worst <= 1e-4 * scale)) {
        fail_msg("%s: relative error %g", name, worst / scale);
    }
    ctx_free(ctx, got);
    ctx_free(ctx, want);
    frontend_free(fe);
}

static void features_equal_torchaudio_and_the_baselines(void **state) {
    (void)state;
    json_error_t problem;
    json_t *cases = json_load_file(support_path("tests/frontend/data/cases.json"), 0, &problem);
    assert_true(json_array_size(cases) >= 12);
    size_t n, i;
    float *signal = read_floats("signal", &n);
    json_t *c;
    json_array_foreach(cases, i, c) {
        one_case(c, signal);
    }
    ctx_free(ctx, signal);
    json_decref(cases);
}

static const char *const KINDS[] = {
    "{\"kind\":\"log-mel\"}",
    "{\"kind\":\"log-mel\",\"level\":\"rms\",\"normalise\":\"mean-var\",\"deltas\":1,\"stack\":2}",
    "{\"kind\":\"log-mel\",\"level\":\"peak\",\"center\":false,\"normalise\":\"mean\",\"stack\":16}",
    "{\"kind\":\"lfcc\"}",
    "{\"kind\":\"lfcc\",\"hop_length\":400,\"n_fft\":512}",
    "{\"kind\":\"linear-spectrogram\",\"power\":1,\"log_floor_mode\":\"add\"}",
    "{\"kind\":\"waveform\"}",
};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

static void the_resolved_configuration_makes_the_same_front_end(void **state) {
    (void)state;
    size_t n;
    float *x = read_floats("signal", &n);
    for (size_t k = 0; k < N_KINDS; k++) {
        frontend *a = make(KINDS[k]), *b;
        spoor_error err = {0};
        char *text = json_dumps(frontend_config(a), 0);
        json_t *again = json_loads(text, 0, NULL);
        support_ok(frontend_new(ctx, again, &b, &err), &err);
        assert_true(json_equal(frontend_config(a), frontend_config(b)));
        float *p = run_frontend(a, x, n), *q = run_frontend(b, x, n);
        assert_memory_equal(p, q, frontend_frames(a, n) * frontend_dim(a) * sizeof *p);
        ctx_free(ctx, p);
        ctx_free(ctx, q);
        free(text);
        json_decref(again);
        frontend_free(a);
        frontend_free(b);
    }
    ctx_free(ctx, x);
}

/* Silence, one sample, less than a window, overload, NaN and infinity give finite rows and never none. */
static void hard_inputs_give_finite_rows(void **state) {
    (void)state;
    enum { N = 3000 };
    float x[N];
    static const size_t sizes[] = {1, 2, 3, 100, 159, 160, 161, 255, 256, 257, 399, 400, 512, 513, N};
    for (size_t k = 0; k < N_KINDS; k++) {
        frontend *fe = make(KINDS[k]);
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            size_t n = sizes[j];
            assert_true(frontend_frames(fe, n) >= 1);
            for (int what = 0; what < 5; what++) {
                for (size_t i = 0; i < n; i++) {
                    float wave = sinf((float)i * 0.3f);
                    float choice[] = {0, wave * 1e30f, i % 7 == 3 ? NAN : wave, i % 5 == 0 ? -INFINITY : wave, wave * 1e-30f};
                    x[i] = choice[what];
                }
                assert_finite(fe, x, n);
            }
        }
        frontend_free(fe);
    }
    frontend *fe = make(KINDS[0]);
    assert_int_equal(frontend_frames(fe, 0), 0);
    frontend_scratch *s;
    spoor_error err = {0};
    support_ok(frontend_scratch_new(fe, &s, &err), &err);
    assert_int_equal(frontend_compute(fe, s, x, 0, x, &err), SPOOR_ERR_USAGE);
    frontend_scratch_free(s);
    frontend_free(fe);
}

static void the_level_step_takes_the_level_out(void **state) {
    (void)state;
    size_t n;
    float *x = read_floats("signal", &n), *quiet = ctx_alloc(ctx, n, sizeof *quiet);
    for (size_t i = 0; i < n; i++) {
        quiet[i] = x[i] * 0.125f;
    }
    static const char *const levels[] = {"rms", "peak", "none"};
    for (int k = 0; k < 3; k++) {
        char text[80];
        snprintf(text, sizeof text, "{\"kind\":\"log-mel\",\"level\":\"%s\"}", levels[k]);
        frontend *fe = make(text);
        float *a = run_frontend(fe, x, n), *b = run_frontend(fe, quiet, n);
        double difference = fabs((double)a[10] - (double)b[10]);
        support_close(difference, k < 2 ? 0 : 2 * log(8), 1e-5, levels[k]);
        ctx_free(ctx, a);
        ctx_free(ctx, b);
        frontend_free(fe);
    }
    ctx_free(ctx, quiet);
    ctx_free(ctx, x);
}

typedef struct job {
    const frontend *fe;
    const float *x;
    size_t n;
    const float *want;
    bool same;
} job;

static void *run(void *arg) {
    job *j = arg;
    frontend_scratch *s;
    j->same = frontend_scratch_new(j->fe, &s, NULL) == SPOOR_OK;
    size_t values = frontend_frames(j->fe, j->n) * frontend_dim(j->fe);
    float *out = malloc(values * sizeof *out);
    for (int round = 0; round < 5 && j->same; round++) {
        /* another length in between: what the scratch held before must not matter */
        j->same = frontend_compute(j->fe, s, j->x + 100, j->n - 500, out, NULL) == SPOOR_OK &&
                  frontend_compute(j->fe, s, j->x, j->n, out, NULL) == SPOOR_OK &&
                  memcmp(out, j->want, values * sizeof *out) == 0;
    }
    free(out);
    frontend_scratch_free(s);
    return NULL;
}

static void threads_share_a_front_end_and_get_the_same_bits(void **state) {
    (void)state;
    size_t n;
    float *x = read_floats("signal", &n);
    frontend *fe = make("{\"kind\":\"lfcc\",\"normalise\":\"mean-var\"}");
    float *want = run_frontend(fe, x, n);
    pthread_t threads[4];
    job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){.fe = fe, .x = x, .n = n, .want = want};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(jobs[i].same);
    }
    ctx_free(ctx, want);
    ctx_free(ctx, x);
    frontend_free(fe);
}

/* flatten = the unflattened row minus its moving average over bands, by the definition. */
static void flattening_subtracts_the_moving_average(void **state) {
    (void)state;
    size_t n;
    float *x = read_floats("signal", &n);
    const int widths[] = {3, 17, 255};
    for (size_t k = 0; k < 3; k++) {
        char text[128];
        snprintf(text, sizeof text, "{\"kind\":\"linear-spectrogram\",\"n_fft\":256,\"win_length\":256,\"flatten\":%d}",
                 widths[k]);
        frontend *flat = make(text), *plain = make("{\"kind\":\"linear-spectrogram\",\"n_fft\":256,\"win_length\":256}");
        float *a = run_frontend(flat, x, n), *b = run_frontend(plain, x, n);
        int dim = (int)frontend_dim(flat), half = widths[k] / 2;
        assert_int_equal(dim, 129);
        for (size_t t = 0; t < frontend_frames(flat, n); t++) {
            for (int i = 0; i < dim; i++) {
                double mean = 0;
                for (int j = i - half; j <= i + half; j++) {
                    mean += (double)b[t * (size_t)dim + (size_t)(j < 0 ? 0 : j >= dim ? dim - 1 : j)] / widths[k];
                }
                support_close((double)a[t * (size_t)dim + (size_t)i], (double)b[t * (size_t)dim + (size_t)i] - mean, 1e-5,
                              "flattened value");
            }
        }
        ctx_free(ctx, a);
        ctx_free(ctx, b);
        frontend_free(flat);
        frontend_free(plain);
    }
    ctx_free(ctx, x);
}

static void a_waveform_is_its_samples(void **state) {
    (void)state;
    frontend *fe = make("{\"kind\":\"waveform\",\"hop\":16}");
    float x[50], want[48];
    for (int i = 0; i < 50; i++) {
        x[i] = i == 20 ? NAN : i == 21 ? 1e9f : (float)i / 64;
        if (i < 48) {
            want[i] = i == 20 ? 0 : i == 21 ? 1e6f : x[i];
        }
    }
    assert_int_equal(frontend_dim(fe), 16);
    assert_int_equal(frontend_frames(fe, 0), 0);
    assert_int_equal(frontend_frames(fe, 1), 1);
    assert_int_equal(frontend_frames(fe, 50), 3);
    float *rows = run_frontend(fe, x, 50);
    assert_memory_equal(rows, want, sizeof want);
    ctx_free(ctx, rows);
    rows = run_frontend(fe, x, 5); /* less than a row: filled up with zeros */
    assert_memory_equal(rows, want, 5 * sizeof *rows);
    for (int i = 5; i < 16; i++) {
        assert_true(rows[i] == 0);
    }
    ctx_free(ctx, rows);
    frontend_free(fe);
}

static void wrong_configurations_are_refused_by_name(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "mapping"},
        {"{}", "kind"},
        {"{\"kind\":\"mfcc\"}", "mfcc"},
        {"{\"kind\":7}", "kind"},
        {"{\"kind\":\"log-mel\",\"n_mel\":80}", "n_mel"},
        {"{\"kind\":\"log-mel\",\"n_lfcc\":20}", "n_lfcc"},
        {"{\"kind\":\"lfcc\",\"mel_scale\":\"htk\"}", "mel_scale"},
        {"{\"kind\":\"log-mel\",\"n_fft\":513}", "n_fft"},
        {"{\"kind\":\"log-mel\",\"n_fft\":8188}", "n_fft"},
        {"{\"kind\":\"log-mel\",\"n_fft\":1e300}", "n_fft"},
        {"{\"kind\":\"log-mel\",\"n_fft\":-512}", "n_fft"},
        {"{\"kind\":\"log-mel\",\"win_length\":513}", "win_length"},
        {"{\"kind\":\"log-mel\",\"win_length\":0}", "win_length"},
        {"{\"kind\":\"log-mel\",\"hop_length\":0}", "hop_length"},
        {"{\"kind\":\"log-mel\",\"n_mels\":100000}", "n_mels"},
        {"{\"kind\":\"log-mel\",\"flatten\":4}", "flatten"},
        {"{\"kind\":\"lfcc\",\"flatten\":3}", "flatten"},
        {"{\"kind\":\"log-mel\",\"f_max\":9000}", "f_max"},
        {"{\"kind\":\"log-mel\",\"f_min\":5000,\"f_max\":5000}", "f_max"},
        {"{\"kind\":\"log-mel\",\"norm\":\"area\"}", "norm"},
        {"{\"kind\":\"log-mel\",\"norm\":1}", "norm"},
        {"{\"kind\":\"log-mel\",\"pad_end\":true}", "pad_end"},
        {"{\"kind\":\"log-mel\",\"log_floor\":0}", "log_floor"},
        {"{\"kind\":\"log-mel\",\"deltas\":3}", "deltas"},
        {"{\"kind\":\"log-mel\",\"stack\":0}", "stack"},
        {"{\"kind\":\"waveform\",\"hop\":1}", "hop"},
        {"{\"kind\":\"waveform\",\"n_mels\":80}", "n_mels"},
        {"{\"kind\":\"log-mel\",\"n_mels\":512,\"deltas\":2,\"stack\":16}", "columns"},
        {"{\"kind\":\"lfcc\",\"n_filter\":10,\"n_lfcc\":11}", "n_lfcc"},
        {"{\"kind\":\"linear-spectrogram\",\"f_min\":35,\"f_max\":60}", "bin"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *config = json_loads(bad[i][0], 0, NULL);
        frontend *fe;
        spoor_error err = {0};
        assert_int_equal(frontend_new(ctx, config, &fe, &err), SPOOR_ERR_USAGE);
        assert_null(fe);
        if (strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: \"%s\" does not name %s", bad[i][0], err.message, bad[i][1]);
        }
        json_decref(config);
    }
    frontend_free(NULL);
    frontend_scratch_free(NULL);
}

static spoor_status whole_life(spoor_context *c, const json_t *config, const float *x, size_t n, float *out,
                               spoor_error *err) {
    frontend *fe;
    frontend_scratch *s = NULL;
    TRY(frontend_new(c, config, &fe, err));
    spoor_status status = frontend_scratch_new(fe, &s, err);
    if (status == SPOOR_OK) {
        status = frontend_compute(fe, s, x, n, out, err);
    }
    frontend_scratch_free(s);
    frontend_free(fe);
    return status;
}

static void every_failing_allocation_is_reported(void **state) {
    (void)state;
    static float x[1000], out[20 * 60];
    json_t *config = json_loads("{\"kind\":\"lfcc\"}", 0, NULL);
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at;
    for (at = 1; status != SPOOR_OK && at < 100; at++) {
        support_failing failing = {.fail_at = at};
        spoor_context *c = support_failing_context(&failing);
        spoor_error err = {0};
        status = whole_life(c, config, x, 1000, out, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    assert_true(at > 10 && status == SPOOR_OK);
    json_decref(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_equal_torchaudio_and_the_baselines),
        cmocka_unit_test(the_resolved_configuration_makes_the_same_front_end),
        cmocka_unit_test(hard_inputs_give_finite_rows),
        cmocka_unit_test(the_level_step_takes_the_level_out),
        cmocka_unit_test(threads_share_a_front_end_and_get_the_same_bits),
        cmocka_unit_test(flattening_subtracts_the_moving_average),
        cmocka_unit_test(a_waveform_is_its_samples),
        cmocka_unit_test(wrong_configurations_are_refused_by_name),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
