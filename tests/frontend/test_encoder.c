/* test_encoder.c: encoders as one thing: sizes from and to JSON, frames, values from a reader, frozen in three precisions. */
#include "frontend/encoder.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static encoder_sizes sizes_from(const char *text) {
    spoor_error err = {0};
    encoder_sizes s;
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    support_ok(encoder_sizes_from_json(config, &s, &err), &err);
    json_decref(config);
    return s;
}

static void defaults_are_those_of_hugging_face(void **state) {
    (void)state;
    encoder_sizes s = sizes_from("{\"model_type\": \"wav2vec2\"}");
    assert_true(s.kind == ENCODER_WAV2VEC2 && s.width == 768 && s.layers == 12 && s.heads == 12 && s.ff == 3072);
    assert_true(s.n_convs == 7 && s.conv_dim[6] == 512 && s.conv_kernel[0] == 10 && s.conv_kernel[6] == 2);
    assert_true(s.conv_stride[0] == 5 && s.conv_stride[1] == 2 && !s.conv_bias && !s.conv_layer_norm && !s.pre_norm);
    assert_true(s.pos_kernel == 128 && s.pos_groups == 16);
    s = sizes_from("{\"model_type\": \"wavlm\"}");
    assert_true(s.buckets == 320 && s.max_distance == 800);
    s = sizes_from("{\"model_type\": \"whisper\"}");
    assert_true(s.mels == 80 && s.positions == 1500 && s.width == 384);
}

static void frames(void **state) {
    (void)state;
    encoder_sizes s = sizes_from("{\"model_type\": \"wav2vec2\"}");
    assert_int_equal(encoder_least(&s), 400);
    assert_int_equal(encoder_frames(&s, 399), 0);
    assert_int_equal(encoder_frames(&s, 400), 1);
    assert_int_equal(encoder_frames(&s, 719), 1);
    assert_int_equal(encoder_frames(&s, 720), 2);
    assert_int_equal(encoder_frames(&s, 64000), 199);
    s = sizes_from("{\"model_type\": \"whisper\"}");
    assert_int_equal(encoder_least(&s), 1);
    assert_int_equal(encoder_frames(&s, 0), 0);
    assert_int_equal(encoder_frames(&s, 1), 1);
    assert_int_equal(encoder_frames(&s, 400), 200);
    assert_int_equal(encoder_frames(&s, 401), 201);
}

static void a_description_is_read_back(void **state) {
    (void)state;
    static const char *const texts[] = {
        ("{\"model_type\": \"wav2vec2\", \"hidden_size\": 1024, \"num_attention_heads\": 16, \"conv_bias\": true,"
         " \"feat_extract_norm\": \"layer\", \"do_stable_layer_norm\": true, \"layer_norm_eps\": 1e-6}"),
        "{\"model_type\": \"hubert\", \"conv_dim\": [8, 9], \"conv_kernel\": [10, 3], \"conv_stride\": [5, 2]}",
        "{\"model_type\": \"wavlm\", \"num_buckets\": 64, \"max_bucket_distance\": 100, \"num_hidden_layers\": 3}",
        "{\"model_type\": \"whisper\", \"d_model\": 512, \"encoder_attention_heads\": 8, \"num_mel_bins\": 128}"};
    for (size_t i = 0; i < 4; i++) {
        encoder_sizes s = sizes_from(texts[i]), again;
        spoor_error err = {0};
        json_t *d = encoder_describe(&s), *config = json_loads(texts[i], 0, NULL), *value;
        const char *key;
        assert_non_null(d);
        json_object_foreach(config, key, value) {
            assert_true(json_equal(json_object_get(d, key), value));
        }
        support_ok(encoder_sizes_from_json(d, &again, &err), &err);
        json_t *e = encoder_describe(&again);
        assert_true(json_equal(d, e));
        json_decref(d);
        json_decref(e);
        json_decref(config);
    }
}

static void wrong_descriptions_are_refused_by_name(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "mapping"},
        {"{}", "model_type"},
        {"{\"model_type\": \"data2vec-audio\"}", "data2vec-audio"},
        {"{\"model_type\": \"wav2vec2\", \"hidden_size\": 0}", "hidden_size"},
        {"{\"model_type\": \"wav2vec2\", \"hidden_size\": 1000000000000}", "hidden_size"},
        {"{\"model_type\": \"wav2vec2\", \"num_hidden_layers\": 97}", "num_hidden_layers"},
        {"{\"model_type\": \"wav2vec2\", \"num_attention_heads\": 7}", "attention heads"},
        {"{\"model_type\": \"wav2vec2\", \"conv_dim\": []}", "conv_dim"},
        {"{\"model_type\": \"wav2vec2\", \"conv_dim\": [1, 2]}", "of one length"},
        {"{\"model_type\": \"wav2vec2\", \"conv_kernel\": [0, 1, 1, 1, 1, 1, 1]}", "conv_kernel"},
        {"{\"model_type\": \"wav2vec2\", \"conv_stride\": \"2\"}", "conv_stride"},
        {"{\"model_type\": \"wav2vec2\", \"conv_stride\": [64, 64, 64, 64, 64, 64, 64]}", "samples to a frame"},
        {"{\"model_type\": \"wav2vec2\", \"feat_extract_norm\": \"batch\"}", "feat_extract_norm"},
        {"{\"model_type\": \"wav2vec2\", \"num_conv_pos_embedding_groups\": 5}", "num_conv_pos_embedding_groups"},
        {"{\"model_type\": \"wav2vec2\", \"hidden_act\": \"relu\"}", "hidden_act"},
        {"{\"model_type\": \"wav2vec2\", \"add_adapter\": true}", "add_adapter"},
        {"{\"model_type\": \"wav2vec2\", \"adapter_attn_dim\": 16}", "adapter_attn_dim"},
        {"{\"model_type\": \"hubert\", \"feat_proj_layer_norm\": false}", "feat_proj_layer_norm"},
        {"{\"model_type\": \"wavlm\", \"num_buckets\": 3}", "num_buckets"},
        {"{\"model_type\": \"wavlm\", \"num_buckets\": 320, \"max_bucket_distance\": 80}", "max_bucket_distance"},
        {"{\"model_type\": \"whisper\", \"d_model\": 385}", "attention heads"},
        {"{\"model_type\": \"whisper\", \"max_source_positions\": -1}", "max_source_positions"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *config = json_loads(bad[i][0], 0, NULL);
        encoder_sizes s;
        spoor_error err = {0};
        assert_non_null(config);
        assert_int_equal(encoder_sizes_from_json(config, &s, &err), SPOOR_ERR_USAGE);
        if (strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: \"%s\" does not name %s", bad[i][0], err.message, bad[i][1]);
        }
        json_decref(config);
    }
}

/* ---- values ---- */

typedef struct fixture {
    spoor_context *ctx;
    safetensors *file;
    encoder_sizes sizes;
    compute *compute;
    tape *tape;
} fixture;

static void open_case(fixture *f, const char *name) {
    spoor_error err = {0};
    char path[100];
    snprintf(path, sizeof path, "tests/torch/%s.safetensors", name);
    f->ctx = support_context();
    support_ok(safetensors_open(f->ctx, support_path(path), &f->file, &err), &err);
    f->sizes = sizes_from(safetensors_meta(f->file, "test"));
    support_ok(compute_new(f->ctx, 2, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
}

static void close_case(fixture *f) {
    tape_free(f->tape);
    compute_free(f->compute);
    safetensors_free(f->file);
    spoor_context_free(f->ctx);
}

enum { PREFIX = 9 }; /* of "frontend." */

static spoor_status read_vector(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                spoor_error *err) {
    char key[200];
    assert_memory_equal(name, "frontend.", PREFIX);
    snprintf(key, sizeof key, "param.%s", name + PREFIX);
    const safetensors_tensor *t = safetensors_find(user, key);
    if (t == NULL) {
        return error_set(err, SPOOR_ERR_MODEL, "%s is missing", name);
    }
    assert_int_equal(t->rank, ndim);
    assert_memory_equal(t->shape, dim, (size_t)ndim * sizeof *dim);
    safetensors_to_f32(t, out);
    return SPOOR_OK;
}

/* Largest error of the last hidden state relative to its largest value. */
static double error_of(fixture *f, const encoder *e) {
    spoor_error err = {0};
    const safetensors_tensor *x = safetensors_find(f->file, "input");
    float *input = malloc(x->bytes);
    safetensors_to_f32(x, input);
    tensor *hidden[ENCODER_MAX_LAYERS + 1];
    int64_t last = encoder_last(e);
    tape_begin(f->tape, false, false, 0);
    encoder_forward(e, f->tape, tape_view(f->tape, x->rank, x->shape, input), last, NULL, hidden);
    support_ok(tape_status(f->tape, &err), &err);
    assert_true(last == 0 || hidden[0] == NULL);
    char name[20];
    snprintf(name, sizeof name, "hidden.%d", (int)last);
    const safetensors_tensor *want = safetensors_find(f->file, name);
    double *v = malloc(want->count * sizeof *v);
    safetensors_to_f64(want, v);
    assert_int_equal(want->count, tensor_count(hidden[last]));
    double worst = support_relative_error(hidden[last]->data, v, want->count);
    free(v);
    free(input);
    return worst;
}

static void frozen_encoders_in_three_precisions(void **state) {
    (void)state;
    static const char *const cases[] = {"wav2vec2_base", "wav2vec2_large", "wav2vec2_hubert", "wav2vec2_wavlm",
                                        "wav2vec2_wavlm_large"};
    /* bfloat16 has 8 bits, int8 a 127th of the largest value of a row; a few products follow each other */
    static const double allowed[] = {1e-5, 0.05, 0.1};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double last = 0;
        for (int p = COMPUTE_F32; p <= COMPUTE_INT8; p++) {
            fixture f;
            spoor_error err = {0};
            encoder *e;
            open_case(&f, cases[k]);
            support_ok(encoder_new(f.ctx, &f.sizes, f.sizes.layers, "frontend.", false, 0, &e, &err), &err);
            support_ok(encoder_load_from(e, read_vector, f.file, (compute_precision)p, &err), &err);
            double error = error_of(&f, e);
            if (!(error <= allowed[p] && error > last)) {
                fail_msg("%s in precision %d: error %g (the precision before: %g)", cases[k], p, error, last);
            }
            last = error;
            encoder_free(e);
            close_case(&f);
        }
    }
}

static void trainable_encoders_take_values_too(void **state) {
    (void)state;
    fixture f;
    spoor_error err = {0};
    encoder *e, *same, *other;
    open_case(&f, "wav2vec2_large");
    support_ok(encoder_new(f.ctx, &f.sizes, 2, "frontend.", true, 5, &e, &err), &err);
    support_ok(encoder_new(f.ctx, &f.sizes, 2, "frontend.", true, 5, &same, &err), &err);
    support_ok(encoder_new(f.ctx, &f.sizes, 2, "frontend.", true, 6, &other, &err), &err);
    size_t n = params_count(encoder_params(e)), differ = 0;
    for (size_t i = 0; i < n; i++) {
        const tensor *x = &params_at(encoder_params(e), i)->value, *y = &params_at(encoder_params(same), i)->value,
                     *z = &params_at(encoder_params(other), i)->value;
        assert_non_null(x->grad);
        assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof *x->data);
        differ += memcmp(x->data, z->data, (size_t)tensor_count(x) * sizeof *x->data) != 0;
    }
    assert_true(differ > n / 3); /* all but norms */
    support_ok(encoder_load_from(e, read_vector, f.file, COMPUTE_F32, &err), &err);
    assert_true(error_of(&f, e) <= 1e-5);
    encoder_free(e);
    encoder_free(same);
    encoder_free(other);
    close_case(&f);
}

static spoor_status read_nan(void *user, const char *name, int ndim, const int64_t *dim, float *out, spoor_error *err) {
    TRY(read_vector(user, name, ndim, dim, out, err));
    if (strstr(name, "layers.1.attention.out_proj.bias") != NULL) {
        out[1] = NAN;
    }
    return SPOOR_OK;
}

static spoor_status read_none(void *user, const char *name, int ndim, const int64_t *dim, float *out, spoor_error *err) {
    (void)user, (void)ndim, (void)dim, (void)out;
    return error_set(err, SPOOR_ERR_MODEL, "there is no %s", name);
}

static void wrong_values_are_refused(void **state) {
    (void)state;
    fixture f;
    spoor_error err = {0};
    encoder *e;
    open_case(&f, "wav2vec2_base");
    assert_int_equal(encoder_new(f.ctx, &f.sizes, 4, "frontend.", false, 0, &e, &err), SPOOR_ERR_USAGE);
    assert_null(e);
    support_ok(encoder_new(f.ctx, &f.sizes, 3, "frontend.", false, 0, &e, &err), &err);
    assert_int_equal(encoder_load_from(e, read_nan, f.file, COMPUTE_F32, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "layers.1.attention.out_proj.bias"));
    assert_int_equal(encoder_load_from(e, read_none, NULL, COMPUTE_F32, &err), SPOOR_ERR_MODEL);
    tensor *hidden[4];
    float x[400] = {0};
    tape_begin(f.tape, false, false, 0);
    encoder_forward(e, f.tape, tape_view(f.tape, 2, (int64_t[]){1, 400}, x), 4, NULL, hidden);
    assert_int_equal(tape_status(f.tape, &err), SPOOR_ERR_USAGE);
    assert_null(hidden[3]);
    encoder_free(e);
    close_case(&f);
}

/* Making, loading and running with the n-th allocation failing. */
static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    for (int trainable = 0; trainable < 2; trainable++) {
        bool done = false;
        for (size_t n = 1; n < 1000 && !done; n++) {
            fixture f;
            spoor_error err = {0};
            open_case(&f, "wav2vec2_wavlm");
            support_failing failing = {.fail_at = n};
            spoor_context *ctx = support_failing_context(&failing);
            encoder *e;
            spoor_status status = encoder_new(ctx, &f.sizes, 1, "frontend.", trainable == 1, 0, &e, &err);
            if (status == SPOOR_OK) {
                status = encoder_load_from(e, read_vector, f.file, COMPUTE_F32, &err);
            }
            done = status == SPOOR_OK;
            assert_true(done || status == SPOOR_ERR_LIMIT);
            assert_true(!done || error_of(&f, e) <= 1e-5);
            encoder_free(e);
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(ctx);
            close_case(&f);
        }
        assert_true(done);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_hugging_face),
        cmocka_unit_test(frames),
        cmocka_unit_test(a_description_is_read_back),
        cmocka_unit_test(wrong_descriptions_are_refused_by_name),
        cmocka_unit_test(frozen_encoders_in_three_precisions),
        cmocka_unit_test(trainable_encoders_take_values_too),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
