/* test_neural.c: pretrained encoders as front ends: what the configuration means, that it makes the same front end again,
 * that a recording's features do not depend on what else is computed, and joins. Whether the numbers are right is tested
 * against PyTorch in test_wav2vec2*.c and test_whisper.c. */
#include "frontend/checkpoints.h"
#include "frontend/frontend.h"
#include <math.h>

static char *folder;

static int setup(void **state) {
    (void)state;
    char path[400];
    folder = support_temporary();
    snprintf(path, sizeof path, "%s/whisper", folder);
    checkpoint_whisper(path, 3);
    snprintf(path, sizeof path, "%s/wav2vec2", folder);
    checkpoint_wav2vec2(path, 4);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    return 0;
}

static json_t *json(const char *text) {
    json_error_t where;
    json_t *j = json_loads(text, 0, &where);
    if (j == NULL) {
        fail_msg("%s: %s", text, where.text);
    }
    return j;
}

static frontend *make(spoor_context *ctx, const char *text) {
    json_t *config = json(text);
    frontend_options o = {.folder = folder};
    frontend *fe = NULL;
    spoor_error err = {0};
    support_ok(frontend_new_with(ctx, config, &o, &fe, &err), &err);
    json_decref(config);
    return fe;
}

static float *noise(size_t n, uint64_t stream) {
    float *x = malloc(n * sizeof *x);
    rng r = rng_make(9, stream);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(0.1 * rng_normal(&r));
    }
    return x;
}

static float *features(const frontend *fe, frontend_scratch *s, const float *x, size_t n, size_t *count) {
    spoor_error err = {0};
    *count = frontend_frames(fe, n) * frontend_dim(fe);
    float *out = malloc(*count * sizeof *out);
    support_ok(frontend_compute(fe, s, x, n, out, &err), &err);
    return out;
}

static const char *const CONFIGS[] = {
    "{\"kind\":\"whisper\",\"weights\":\"whisper\"}",
    "{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layers\":[0,1],\"normalise\":\"mean-var\",\"positions\":202}",
    "{\"kind\":\"wav2vec2\",\"weights\":\"wav2vec2\",\"layer\":1}",
    "{\"kind\":\"hubert\",\"weights\":\"wav2vec2\",\"layers\":[0,2],\"input\":\"raw\",\"normalise\":\"mean\"}",
    ("{\"kind\":\"join\",\"parts\":[{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layer\":1},"
     "{\"kind\":\"linear-spectrogram\",\"hop_length\":320}]}"),
};
enum { CONFIG_COUNT = sizeof CONFIGS / sizeof *CONFIGS };

static void shapes_are_as_documented(void **state) {
    (void)state;
    static const size_t dims[CONFIG_COUNT] = {16, 32, 16, 32, 16 + 257};
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        frontend *fe = make(ctx, CONFIGS[i]);
        assert_int_equal(frontend_dim(fe), dims[i]);
        assert_int_equal(frontend_frames(fe, 0), 0);
        for (size_t n = 1; n < 3000; n += 97) {
            assert_true(frontend_frames(fe, n) >= 1);
        }
        assert_non_null(frontend_encoder(fe));
        assert_non_null(frontend_params(fe));
        frontend_free(fe);
    }
    frontend *whisper = make(ctx, CONFIGS[0]), *wav2vec2 = make(ctx, CONFIGS[2]);
    assert_int_equal(frontend_frames(whisper, 64600), 202);
    assert_int_equal(frontend_frames(wav2vec2, 64600), 1613);
    frontend_free(whisper);
    frontend_free(wav2vec2);
    spoor_context_free(ctx);
}

/* The written configuration makes the same front end; other recordings before it change nothing. */
static void the_same_again(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        frontend *a = make(ctx, CONFIGS[i]);
        char *text = json_dumps(frontend_config(a), 0);
        frontend *b = make(ctx, text);
        assert_true(json_equal(frontend_config(a), frontend_config(b)));
        frontend_scratch *s = NULL, *t = NULL;
        spoor_error err = {0};
        support_ok(frontend_scratch_new(a, &s, &err), &err);
        support_ok(frontend_scratch_new(b, &t, &err), &err);
        float *x = noise(9000, 1), *y = noise(20000, 2);
        size_t n, m;
        float *first = features(a, s, x, 9000, &n);
        free(features(a, s, y, 20000, &m));
        free(features(a, s, y, 7, &m));
        float *again = features(a, s, x, 9000, &n), *other = features(b, t, x, 9000, &m);
        assert_int_equal(n, m);
        assert_memory_equal(first, again, n * sizeof *first);
        assert_memory_equal(first, other, n * sizeof *first);
        double spread = 0;
        for (size_t k = 0; k < n; k++) {
            assert_true(isfinite(first[k]));
            spread += fabs((double)first[k] - (double)first[0]);
        }
        assert_true(spread > 1);
        free(first);
        free(again);
        free(other);
        free(x);
        free(y);
        free(text);
        frontend_scratch_free(s);
        frontend_scratch_free(t);
        frontend_free(a);
        frontend_free(b);
    }
    spoor_context_free(ctx);
}

/* Layers side by side are the layers one by one; a join is its parts. */
static void columns_are_where_they_should_be(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const char *const whole[] = {"{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layers\":[0,1,2]}",
                                        ("{\"kind\":\"join\",\"parts\":[{\"kind\":\"wav2vec2\",\"weights\":\"wav2vec2\",\"layer\":0},"
                                         "{\"kind\":\"log-mel\",\"n_fft\":64,\"win_length\":64,\"hop_length\":40,\"n_mels\":5}]}")};
    static const char *const parts[2][3] = {{"{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layer\":0}",
                                             "{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layer\":1}",
                                             "{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layer\":2}"},
                                            {"{\"kind\":\"wav2vec2\",\"weights\":\"wav2vec2\",\"layer\":0}",
                                             "{\"kind\":\"log-mel\",\"n_fft\":64,\"win_length\":64,\"hop_length\":40,\"n_mels\":5}",
                                             NULL}};
    spoor_error err = {0};
    float *x = noise(6400, 5);
    for (size_t i = 0; i < 2; i++) {
        frontend *all = make(ctx, whole[i]);
        frontend_scratch *s = NULL;
        support_ok(frontend_scratch_new(all, &s, &err), &err);
        size_t n, frames = frontend_frames(all, 6400), dim = frontend_dim(all), at = 0;
        float *rows = features(all, s, x, 6400, &n);
        for (size_t p = 0; p < 3 && parts[i][p] != NULL; p++) {
            frontend *one = make(ctx, parts[i][p]);
            frontend_scratch *t = NULL;
            support_ok(frontend_scratch_new(one, &t, &err), &err);
            float *own = features(one, t, x, 6400, &n);
            for (size_t f = 0; f < frames; f++) {
                assert_memory_equal(rows + f * dim + at, own + f * frontend_dim(one), frontend_dim(one) * sizeof *own);
            }
            at += frontend_dim(one);
            free(own);
            frontend_scratch_free(t);
            frontend_free(one);
        }
        assert_int_equal(at, dim);
        free(rows);
        frontend_scratch_free(s);
        frontend_free(all);
    }
    free(x);
    spoor_context_free(ctx);
}

/* Training through it gives the numbers of inference, and gradients for every parameter that takes part. */
static void training_agrees(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        json_t *config = json(CONFIGS[i]);
        const char *normalise = json_string_value(json_object_get(config, "normalise"));
        frontend_options o = {.folder = folder, .trainable = true};
        frontend *fe = NULL;
        if (normalise != NULL && strcmp(normalise, "mean") == 0) {
            assert_int_equal(frontend_new_with(ctx, config, &o, &fe, &err), SPOOR_ERR_USAGE);
            json_decref(config);
            continue;
        }
        support_ok(frontend_new_with(ctx, config, &o, &fe, &err), &err);
        frontend *frozen = make(ctx, CONFIGS[i]);
        compute *c = NULL;
        tape *t = NULL;
        frontend_scratch *s = NULL, *u = NULL;
        support_ok(compute_new(ctx, 2, &c, &err), &err);
        support_ok(tape_new(ctx, c, &t, &err), &err);
        support_ok(frontend_scratch_new(fe, &s, &err), &err);
        support_ok(frontend_scratch_new(frozen, &u, &err), &err);
        float *x = noise(2 * 4800, 7);
        tape_begin(t, true, true, 1);
        tensor *y = frontend_forward(fe, s, t, tape_view(t, 2, (int64_t[]){2, 4800}, x), NULL);
        tensor *loss = op_sum(t, op_mul(t, y, y), 1);
        support_ok(tape_status(t, &err), &err);
        params_zero_grad(frontend_params(fe));
        support_ok(tape_backward(t, loss, &err), &err);
        for (size_t b = 0; b < 2; b++) {
            size_t n;
            float *want = features(frozen, u, x + b * 4800, 4800, &n);
            double *exact = malloc(n * sizeof *exact);
            for (size_t k = 0; k < n; k++) {
                exact[k] = (double)want[k];
            }
            assert_int_equal(2 * n, tensor_count(y));
            assert_true(support_relative_error(y->data + b * n, exact, n) < 2e-5);
            free(exact);
            free(want);
        }
        params *p = frontend_params(fe);
        size_t moved = 0;
        for (size_t k = 0; k < params_count(p); k++) {
            const tensor *v = &params_at(p, k)->value;
            double sum = 0;
            for (int64_t j = 0; v->grad != NULL && j < tensor_count(v); j++) {
                sum += fabs((double)v->grad[j]);
            }
            moved += sum > 0;
        }
        assert_true(moved + 6 >= params_count(p)); /* key biases and what a norm takes away have none */
        free(x);
        json_decref(config);
        frontend_scratch_free(s);
        frontend_scratch_free(u);
        tape_free(t);
        compute_free(c);
        frontend_free(fe);
        frontend_free(frozen);
    }
    spoor_context_free(ctx);
}

static void refuse(const char *text, spoor_status status, const char *word) {
    spoor_context *ctx = support_context();
    json_t *config = json(text);
    frontend_options o = {.folder = folder};
    frontend *fe = NULL;
    spoor_error err = {0};
    spoor_status got = frontend_new_with(ctx, config, &o, &fe, &err);
    if (got != status || strstr(err.message, word) == NULL) {
        fail_msg("%s: %d \"%s\", want %d and \"%s\"", text, got, err.message, status, word);
    }
    assert_null(fe);
    json_decref(config);
    spoor_context_free(ctx);
}

static void wrong_settings_are_named(void **state) {
    (void)state;
    refuse("{\"kind\":\"wav2vec2\"}", SPOOR_ERR_USAGE, "weights is missing");
    refuse("{\"kind\":\"wav2vec2\",\"weights\":\"gone\"}", SPOOR_ERR_MODEL, "download facebook/wav2vec2-xls-r-300m");
    refuse("{\"kind\":\"whisper\",\"weights\":\"gone\",\"from\":\"the blue shelf\"}", SPOOR_ERR_MODEL, "the blue shelf");
    refuse("{\"kind\":\"whisper\",\"weights\":\"wav2vec2\"}", SPOOR_ERR_USAGE, "holds wav2vec2 weights");
    refuse("{\"kind\":\"wavlm\",\"weights\":\"wav2vec2\"}", SPOOR_ERR_USAGE, "holds wav2vec2 weights");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layer\":3}", SPOOR_ERR_USAGE, "layer");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layers\":[1,0]}", SPOOR_ERR_USAGE, "ascending");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"layers\":[1],\"layer\":1}", SPOOR_ERR_USAGE, "not both");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"laier\":1}", SPOOR_ERR_USAGE, "laier");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"precision\":\"f8\"}", SPOOR_ERR_USAGE, "precision");
    refuse("{\"kind\":\"whisper\",\"weights\":\"whisper\",\"weights_sha256\":\"00\"}", SPOOR_ERR_MODEL, "SHA-256");
    refuse("{\"kind\":\"join\",\"parts\":[{\"kind\":\"log-mel\"}]}", SPOOR_ERR_USAGE, "2 to 16");
    refuse("{\"kind\":\"join\",\"parts\":[{\"kind\":\"log-mel\"},{\"kind\":\"log-mel\",\"hop_length\":320}]}", SPOOR_ERR_USAGE,
           "rows a second");
    refuse("{\"kind\":\"wave2vec\"}", SPOOR_ERR_USAGE, "wav2vec2");
}

static void memory_runs_out_cleanly(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIG_COUNT; i += 2) {
        json_t *config = json(CONFIGS[i]);
        for (size_t n = 1;; n += n < 40 ? 1 : 7) {
            support_failing failing = {.fail_at = n};
            spoor_context *ctx = support_failing_context(&failing);
            frontend_options o = {.folder = folder};
            frontend *fe = NULL;
            frontend_scratch *s = NULL;
            spoor_error err = {0};
            spoor_status status = frontend_new_with(ctx, config, &o, &fe, &err);
            if (status == SPOOR_OK) {
                status = frontend_scratch_new(fe, &s, &err);
            }
            float *x = noise(2000, 1), out[16 * 273 * 4];
            if (status == SPOOR_OK && frontend_frames(fe, 2000) * frontend_dim(fe) <= sizeof out / sizeof *out) {
                status = frontend_compute(fe, s, x, 2000, out, &err);
            }
            free(x);
            frontend_scratch_free(s);
            frontend_free(fe);
            size_t live = failing.live;
            bool reached = failing.count >= n;
            spoor_context_free(ctx);
            assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
            assert_int_equal(live, 0);
            if (!reached) {
                assert_int_equal(status, SPOOR_OK);
                break;
            }
        }
        json_decref(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_as_documented),    cmocka_unit_test(the_same_again),
        cmocka_unit_test(columns_are_where_they_should_be), cmocka_unit_test(training_agrees),
        cmocka_unit_test(wrong_settings_are_named),    cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
