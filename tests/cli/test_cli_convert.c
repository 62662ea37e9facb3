/* test_cli_convert.c: `spoor convert`, and `spoor inspect` of what is no model of Spoor. The encoders are those of
 * tests/torch/make_dialect.py, in every language that a checkpoint is written in. */
#include "cli/cli_case.h"
#include "frontend/dialect.h"
#include "weights/files.h"
#include <sys/stat.h>

static spoor_context *ctx;
static spoor_error err;

static int set_up_ctx(void **state) {
    ctx = support_context();
    return set_up(state);
}

static int tear_down_ctx(void **state) {
    spoor_context_free(ctx);
    return tear_down(state);
}

static weights *opened(const char *name) {
    weights *w;
    support_ok(weights_open(ctx, in_folder(name), &w, &err), &err);
    return w;
}

static json_t *said(const outcome *o) {
    exits(o, 0);
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL) {
        fail_msg("no valid JSON: %.200s", o->out);
    }
    return j;
}

static bool exists(const char *name) { return access(in_folder(name), F_OK) == 0; }

static void fails(int status, const char *words, const char *in, const char *out, const char *option) {
    outcome o = option == NULL ? spoor("convert", in, "-o", out) : spoor("convert", in, "-o", out, option);
    exits(&o, status);
    if (strstr(o.err, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", o.err, words);
    }
    outcome_free(&o);
}

/* ---- encoders ---- */

/* File k of a case as "in.safetensors"; the positional kernel, alone or as direction and gain, from the vectors. */
static void write_encoder(const json_t *c, size_t k, const safetensors *vectors) {
    const json_t *f = json_array_get(json_object_get(c, "files"), k);
    const char *prefix = json_string_value(json_object_get(f, "prefix")), *theirs;
    json_t *source, *size;
    safetensors_writer *w;
    float *data[300] = {NULL};
    size_t n = 0, i;
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    json_object_foreach(json_object_get(f, "names"), theirs, source) {
        const char *ours = *json_string_value(source) == '\0' ? theirs : json_string_value(source);
        const safetensors_tensor *t =
            safetensors_find(vectors, strcmp(ours, "encoder.pos_conv_embed.conv.weight") == 0 ? "weight" : ours);
        int64_t shape[SAFETENSORS_MAX_RANK];
        size_t count = 1, rank = 0;
        if (t != NULL) {
            memcpy(shape, t->shape, sizeof shape);
            rank = (size_t)t->rank;
            count = t->count;
        } else {
            json_array_foreach(json_object_get(json_object_get(c, "ours"), ours), rank, size) {
                shape[rank] = json_integer_value(size);
                count *= (size_t)shape[rank];
            }
        }
        assert_true(n < 300 && count > 0);
        data[n] = malloc(count * sizeof(float));
        for (i = 0; i < count; i++) {
            data[n][i] = (float)((i * 37 + n * 11) % 256) / 64 - 2; /* exact as a half */
        }
        if (t != NULL) {
            safetensors_to_f32(t, data[n]);
        }
        char name[400];
        snprintf(name, sizeof name, "%s%s", prefix, theirs);
        support_ok(safetensors_writer_add(w, name, SAFETENSORS_F32, (int)rank, shape, data[n++], &err), &err);
    }
    support_ok(safetensors_writer_add(w, "beside.the.encoder", SAFETENSORS_F32, 0, NULL, data[0], &err), &err);
    support_ok(safetensors_writer_save(w, in_folder("in.safetensors"), &err), &err);
    safetensors_writer_free(w);
    for (i = 0; i < n; i++) {
        free(data[i]);
    }
}

/* All parameters of the two files are the same to the bit, those of the second under their own names. */
static void same_encoder(const char *before, const char *after) {
    weights *v = opened(before), *w = opened(after);
    dialect *a, *b;
    support_ok(dialect_find(ctx, v, &a, &err), &err);
    support_ok(dialect_find(ctx, w, &b, &err), &err);
    assert_string_equal(dialect_name(b), "Hugging Face");
    json_t *sizes = encoder_describe(dialect_sizes(a)), *same = encoder_describe(dialect_sizes(b));
    assert_true(json_equal(sizes, same));
    json_decref(sizes);
    json_decref(same);
    assert_int_equal(dialect_count(a), dialect_count(b));
    size_t parts = 0;
    for (size_t i = 0; i < dialect_count(a); i++) {
        const dialect_param *p = dialect_at(a, i), *q = dialect_at(b, i);
        const weights_tensor *gain, *t = dialect_source(b, i, &gain);
        assert_string_equal(p->name, q->name);
        assert_non_null(strstr(t->name, p->name));
        float *x = malloc(t->count * sizeof *x), *y = malloc(t->count * sizeof *y);
        support_ok(dialect_read_at(a, i, x, &err), &err);
        support_ok(dialect_read_at(b, i, y, &err), &err);
        assert_memory_equal(x, y, t->count * sizeof *x);
        free(x);
        free(y);
        parts += gain == NULL ? 1 : 2;
    }
    assert_int_equal(weights_count(w), parts); /* and nothing else */
    dialect_free(a);
    dialect_free(b);
    weights_free(v);
    weights_free(w);
}

static void encoders_of_every_language_become_one(void **state) {
    (void)state;
    json_t *cases = json_load_file(support_path("tests/frontend/data/dialects.json"), 0, NULL);
    safetensors *vectors;
    support_ok(safetensors_open(ctx, support_path("tests/torch/dialect.safetensors"), &vectors, &err), &err);
    const char *name;
    json_t *c;
    size_t files = 0;
    json_object_foreach(cases, name, c) {
        for (size_t k = 0; k < json_array_size(json_object_get(c, "files")); k++, files++) {
            write_encoder(c, k, vectors);
            outcome o = spoor("convert", "in.safetensors", "-o", "out.safetensors");
            exits(&o, 0);
            assert_non_null(strstr(o.out, "the encoder of a "));
            outcome_free(&o);
            same_encoder("in.safetensors", "out.safetensors");
        }
    }
    assert_true(files > 8);
    safetensors_free(vectors);
    json_decref(cases);
}

static void the_metadata_says_where_it_comes_from(void **state) {
    (void)state;
    json_t *cases = json_load_file(support_path("tests/frontend/data/dialects.json"), 0, NULL);
    safetensors *vectors;
    support_ok(safetensors_open(ctx, support_path("tests/torch/dialect.safetensors"), &vectors, &err), &err);
    write_encoder(json_object_get(cases, "wav2vec2 base"), 0, vectors);
    outcome o = spoor("convert", "--json", "in.safetensors", "-o", "out.safetensors");
    json_t *j = said(&o);
    outcome_free(&o);
    weights *w = opened("in.safetensors");
    char hex[65];
    support_ok(weights_sha256(w, hex, &err), &err);
    weights_free(w);
    w = opened("out.safetensors");
    const json_t *meta = weights_metadata(w);
    assert_string_equal(text_of(meta, "source"), "in.safetensors");
    assert_string_equal(text_of(meta, "source_sha256"), hex);
    assert_string_equal(text_of(j, "weights_sha256"), hex);
    assert_string_equal(text_of(meta, "source_format"), text_of(j, "dialect"));
    assert_string_equal(text_of(meta, "format"), "pt");
    assert_string_equal(text_of(weights_config(w), "model_type"), "wav2vec2");
    assert_true(json_equal(weights_config(w), json_object_get(j, "encoder")));
    assert_int_equal(json_integer_value(json_object_get(j, "tensors")), weights_count(w));
    weights_free(w);
    json_decref(j);

    /* Of a folder the whole config.json; the second conversion of the same gives the same bytes. */
    assert_int_equal(mkdir(in_folder("hf"), 0700), 0);
    assert_int_equal(rename(in_folder("out.safetensors"), in_folder("hf/model.safetensors")), 0);
    json_t *config = json_deep_copy(json_object_get(json_object_get(cases, "wav2vec2 base"), "sizes"));
    (void)json_object_set_new(config, "vocab_size", json_integer(32));
    assert_int_equal(json_dump_file(config, in_folder("hf/config.json"), 0), 0);
    char again[65];
    for (int i = 0; i < 2; i++) {
        o = spoor("convert", "hf/", "-o", "out.safetensors");
        exits(&o, 0);
        outcome_free(&o);
        support_ok(io_sha256_file(in_folder("out.safetensors"), i == 0 ? hex : again, &err), &err);
    }
    assert_string_equal(hex, again);
    w = opened("out.safetensors");
    assert_true(json_equal(weights_config(w), config));
    assert_string_equal(text_of(weights_metadata(w), "source"), "hf/");
    weights_free(w);
    same_encoder("hf", "out.safetensors");

    o = spoor("inspect", "--json", "hf");
    j = said(&o);
    outcome_free(&o);
    assert_string_equal(text_of(j, "format"), "Hugging Face folder");
    assert_string_equal(text_of(j, "dialect"), "Hugging Face");
    assert_string_equal(text_of(json_object_get(j, "encoder"), "model_type"), "wav2vec2");
    assert_true(json_is_null(json_object_get(j, "sha256")) && json_is_null(json_object_get(j, "bytes")));
    json_decref(j);
    o = spoor("inspect", "hf");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "encoder    Hugging Face names"));
    outcome_free(&o);
    json_decref(config);
    safetensors_free(vectors);
    json_decref(cases);
}

/* ---- other checkpoints ---- */

static void write_mixed(float large) {
    static const int64_t ids[2] = {INT64_MAX, -1};
    const float values[4] = {1.00048828125f, -2, 0.1f, large};
    safetensors_writer *w;
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    support_ok(safetensors_writer_meta(w, "note", "kept", &err), &err);
    support_ok(safetensors_writer_meta(w, "source", "not kept", &err), &err);
    support_ok(safetensors_writer_add(w, "ids", SAFETENSORS_I64, 1, (int64_t[]){2}, ids, &err), &err);
    support_ok(safetensors_writer_add(w, "w", SAFETENSORS_F32, 2, (int64_t[]){2, 2}, values, &err), &err);
    support_ok(safetensors_writer_add(w, "h", SAFETENSORS_F16, 1, (int64_t[]){2}, values, &err), &err);
    support_ok(safetensors_writer_save(w, in_folder("mixed.safetensors"), &err), &err);
    safetensors_writer_free(w);
}

static void other_checkpoints_keep_their_names(void **state) {
    (void)state;
    write_mixed(5);
    outcome o = spoor("convert", "mixed.safetensors", "-o", "out.safetensors");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "3 tensors, 8 numbers"));
    assert_non_null(strstr(o.out, "names as they are"));
    outcome_free(&o);
    weights *v = opened("mixed.safetensors"), *w = opened("out.safetensors");
    char before[65], after[65];
    support_ok(weights_sha256(v, before, &err), &err);
    support_ok(weights_sha256(w, after, &err), &err);
    assert_string_equal(before, after); /* names, dtypes, shapes, values */
    assert_string_equal(text_of(weights_metadata(w), "note"), "kept");
    assert_string_equal(text_of(weights_metadata(w), "source"), "mixed.safetensors");
    assert_null(json_object_get(weights_metadata(w), "config"));
    weights_free(v);
    weights_free(w);

    o = spoor("convert", "--half", "mixed.safetensors", "-o", "out.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    w = opened("out.safetensors");
    const weights_tensor *t = weights_find(w, "w");
    assert_int_equal(t->dtype, SAFETENSORS_F16);
    assert_int_equal(weights_find(w, "ids")->dtype, SAFETENSORS_I64);
    float got[4];
    support_ok(weights_read(w, t, got, &err), &err);
    assert_true(got[0] == 1.0f && got[1] == -2 && got[3] == 5); /* 1 + 2^-11 lies midway: to even */
    assert_true(got[2] == safetensors_f16_to_f32(safetensors_f32_to_f16(0.1f)));
    weights_free(w);
}

static void a_ggml_file_is_converted_and_shown(void **state) {
    (void)state;
    bytes b;
    ggml_make(&b);
    write_bytes("g.bin", b.data, b.size);
    outcome o = spoor("convert", "g.bin", "-o", "out.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    weights *w = opened("out.safetensors");
    float got[12];
    support_ok(weights_read(w, weights_find(w, GGML_NAMES[0]), got, &err), &err);
    assert_memory_equal(got, GGML_CONV, sizeof GGML_CONV);
    assert_int_equal(json_integer_value(json_object_get(weights_config(w), "n_audio_state")), 4);
    weights_free(w);
    o = spoor("inspect", "--tensors", "g.bin");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "format     ggml\n"));
    assert_non_null(strstr(o.out, "dtypes     F32 2 F16 1\n"));
    assert_non_null(strstr(o.out, "F16  [2, 2, 3] encoder.conv1.weight\n"));
    outcome_free(&o);
}

static void a_pytorch_file_is_converted_and_shown(void **state) {
    (void)state;
    outcome o = spoor("convert", support_path("tests/weights/torch/strides.pt"), "-o", "out.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    weights *v, *w = opened("out.safetensors");
    support_ok(weights_open(ctx, support_path("tests/weights/torch/strides.pt"), &v, &err), &err);
    char before[65], after[65];
    support_ok(weights_sha256(v, before, &err), &err);
    support_ok(weights_sha256(w, after, &err), &err);
    assert_string_equal(before, after);
    weights_free(v);
    weights_free(w);

    o = spoor("inspect", "--json", "--tensors", support_path("tests/weights/torch/dtypes.pt"));
    json_t *j = said(&o), *t;
    outcome_free(&o);
    assert_string_equal(text_of(j, "format"), "PyTorch");
    assert_true(json_is_null(json_object_get(j, "dialect")) && json_is_null(json_object_get(j, "encoder")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "dtypes"), "BF16")), 1);
    size_t i, n = 0;
    json_array_foreach(json_object_get(j, "tensor_list"), i, t) {
        bool good = json_is_string(json_object_get(t, "dtype"));
        assert_true(good == (json_object_get(t, "refused") == NULL));
        n += !good;
    }
    assert_int_equal(n, 3); /* complex, quantised, sparse */
    json_decref(j);
    o = spoor("inspect", "--tensors", support_path("tests/weights/torch/dtypes.pt"));
    exits(&o, 0);
    assert_non_null(strstr(o.out, "refused    3 tensors cannot be read"));
    assert_non_null(strstr(o.out, "?    quantised: "));
    outcome_free(&o);
    fails(3, "cannot be read", support_path("tests/weights/torch/dtypes.pt"), "new.safetensors", NULL);
    assert_false(exists("new.safetensors"));
}

/* ---- whole models ---- */

static void aasist_becomes_a_model_file(void **state) {
    (void)state;
    const char *from = support_path("tests/torch/aasist_release_trained.safetensors");
    outcome o = spoor("convert", from, "-o", "m.safetensors", "--classes", "a,b,c", "--json");
    json_t *j = said(&o);
    assert_true(json_is_true(json_object_get(j, "model")));
    assert_true(json_is_null(json_object_get(j, "dialect")));
    json_decref(j);
    outcome_free(&o);
    o = spoor("inspect", "m.safetensors");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "task       source, 3 classes: a, b, c"));
    assert_non_null(strstr(o.out, "\"converted_from\":\"aasist_release_trained.safetensors\""));
    outcome_free(&o);
    o = spoor("trace", "-m", "m.safetensors", support_path("samples/1-person.flac"));
    exits(&o, 0);
    assert_non_null(strstr(o.out, "if synthetic"));
    outcome_free(&o);
    o = spoor("convert", from, "-o", "half.safetensors", "--half");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "AASIST, as a model file"));
    outcome_free(&o);
    o = spoor("inspect", "half.safetensors");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "class-00, class-01, class-02"));
    outcome_free(&o);
    o = spoor("convert", from, "-o", "no.safetensors", "--classes", "a,b");
    exits(&o, 1);
    assert_non_null(strstr(o.err, "2 names of classes were given"));
    outcome_free(&o);
    write_mixed(1);
    o = spoor("convert", "mixed.safetensors", "-o", "no.safetensors", "--classes", "a,b");
    exits(&o, 1);
    assert_non_null(strstr(o.err, "--classes names those of AASIST"));
    outcome_free(&o);
    assert_false(exists("no.safetensors"));
}

/* ---- what cannot be ---- */

static void nothing_is_spoilt(void **state) {
    (void)state;
    write_mixed(65520);
    write_string("out.safetensors", "old");
    fails(1, "w holds 65520, which is too large for F16", "mixed.safetensors", "out.safetensors", "--half");
    fails(1, "is what is read", "mixed.safetensors", "mixed.safetensors", NULL);
    fails(1, "is what is read", "mixed.safetensors", "./mixed.safetensors", NULL);
    assert_int_equal(symlink("mixed.safetensors", in_folder("link")), 0);
    fails(1, "is what is read", "mixed.safetensors", "link", NULL);
    assert_int_equal(link(in_folder("mixed.safetensors"), in_folder("hard")), 0);
    fails(1, "is what is read", "hard", "mixed.safetensors", NULL);
    assert_int_equal(mkdir(in_folder("hf"), 0700), 0);
    fails(1, "it is no file", "mixed.safetensors", "hf", NULL);
    fails(1, "it is no file", "mixed.safetensors", "/dev/null", NULL);
    fails(3, "holds no weights", "hf", "out.safetensors", NULL);
    assert_int_equal(rename(in_folder("hard"), in_folder("hf/model.safetensors")), 0);
    fails(1, "is what is read", "hf", "hf/model.safetensors", NULL);
    fails(3, "missing", "missing", "out.safetensors", NULL);
    fails(5, "no/such/folder", "mixed.safetensors", "no/such/folder/x.safetensors", NULL);
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, in_folder("out.safetensors"), 100, &data, &size, &err), &err);
    assert_string_equal((char *)data, "old");
    ctx_free(ctx, data);
    weights_free(opened("mixed.safetensors"));

    outcome o = spoor("convert", "hf", "-o", "hf/new.safetensors"); /* beside what is read: allowed */
    exits(&o, 0);
    outcome_free(&o);
    assert_true(exists("hf/new.safetensors"));
    o = spoor("convert", "mixed.safetensors");
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("convert", "-o", "x");
    exits(&o, 1);
    outcome_free(&o);
    assert_false(exists("x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(encoders_of_every_language_become_one, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(the_metadata_says_where_it_comes_from, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(other_checkpoints_keep_their_names, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(a_ggml_file_is_converted_and_shown, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(a_pytorch_file_is_converted_and_shown, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(aasist_becomes_a_model_file, set_up_ctx, tear_down_ctx),
        cmocka_unit_test_setup_teardown(nothing_is_spoilt, set_up_ctx, tear_down_ctx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
