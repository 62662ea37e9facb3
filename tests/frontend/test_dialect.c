/* test_dialect.c: the same tiny encoder written in every language gives the same parameters (names and shapes by
 * tests/torch/make_dialect.py); what is missing or wrong is named; failing memory. Values are made up from names. */
#include "frontend/dialect.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char POSITIONAL[] = "encoder.pos_conv_embed.conv.weight";

static spoor_context *ctx;
static json_t *cases;
static safetensors *vectors;
static char *folder, path[4200];

static int set_up(void **state) {
    (void)state;
    spoor_error err = {0};
    ctx = support_context();
    cases = json_load_file(support_path("tests/frontend/data/dialects.json"), 0, NULL);
    assert_non_null(cases);
    support_ok(safetensors_open(ctx, support_path("tests/torch/dialect.safetensors"), &vectors, &err), &err);
    folder = support_temporary();
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    safetensors_free(vectors);
    json_decref(cases);
    spoor_context_free(ctx);
    return 0;
}

/* ---- files ---- */

static float value_of(const char *name, size_t i) {
    uint32_t h = 2166136261u;
    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * 16777619u;
    }
    h = (h + (uint32_t)i) * 2654435761u;
    return (float)(h >> 20) / 1024 - 2;
}

static size_t shape_of(const json_t *list, int64_t shape[SAFETENSORS_MAX_RANK], int *rank) {
    size_t count = 1;
    *rank = (int)json_array_size(list);
    for (int i = 0; i < *rank; i++) {
        shape[i] = json_integer_value(json_array_get(list, (size_t)i));
        count *= (size_t)shape[i];
    }
    return count;
}

enum { FILE_TENSORS = 200 };

/* How a file is spoilt: the tensor whose parameter is `name` is left out, gets another shape or type. */
typedef struct spoil {
    const char *name;
    bool omit, reshape;
    int64_t rows; /* instead of the first dimension; 0: as it is */
    safetensors_dtype dtype; /* F32: as it is */
} spoil;

typedef struct file {
    safetensors_writer *w;
    float *data[FILE_TENSORS];
    size_t n;
} file;

static void add(file *f, const char *name, int rank, const int64_t *shape, float *data, safetensors_dtype dtype) {
    spoor_error err = {0};
    assert_true(f->n < FILE_TENSORS);
    f->data[f->n++] = data;
    support_ok(safetensors_writer_add(f->w, name, dtype, rank, shape, data, &err), &err);
}

static void add_one(file *f, const json_t *ours, const char *prefix, const char *name, const char *source,
                    const spoil *s) {
    char full[300];
    int64_t shape[SAFETENSORS_MAX_RANK];
    int rank;
    float *data;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    bool part = strcmp(source, "v") == 0 || strcmp(source, "g") == 0;
    bool hit = s != NULL && strcmp(s->name, source) == 0;
    if (hit && s->omit) {
        return;
    }
    if (part || strcmp(source, POSITIONAL) == 0) {
        const safetensors_tensor *t = safetensors_find(vectors, part ? source : "weight");
        memcpy(shape, t->shape, sizeof shape);
        rank = t->rank;
        data = malloc(t->bytes);
        safetensors_to_f32(t, data);
    } else {
        size_t count = shape_of(json_object_get(ours, source), shape, &rank);
        if (hit && s->rows > 0) {
            count = count / (size_t)shape[0] * (size_t)s->rows;
            shape[0] = s->rows;
        }
        data = malloc((count + 1) * sizeof *data);
        for (size_t i = 0; i < count; i++) {
            data[i] = value_of(source, i);
        }
    }
    if (hit && s->reshape) {
        int64_t all = 1;
        for (int i = 0; i < rank; i++) {
            all *= shape[i];
        }
        shape[0] = shape[1] = rank == 1 ? all / 2 : all;
        shape[0] = rank == 1 ? shape[0] : 1;
        for (int i = 2; i < rank; i++) {
            shape[i] = 1;
        }
    }
    add(f, full, rank, shape, data, hit ? s->dtype : SAFETENSORS_F32);
}

/* Writes path: file number `k` of a case. config: the metadata's "config", or NULL. */
static void write_file(const char *name, size_t k, const spoil *s, const char *config) {
    spoor_error err = {0};
    const json_t *c = json_object_get(cases, name), *f = json_array_get(json_object_get(c, "files"), k);
    const char *prefix = json_string_value(json_object_get(f, "prefix")), *theirs;
    json_t *ours;
    file out = {0};
    support_ok(safetensors_writer_new(ctx, &out.w, &err), &err);
    if (config != NULL) {
        support_ok(safetensors_writer_meta(out.w, "config", config, &err), &err);
    }
    json_object_foreach(json_object_get(f, "names"), theirs, ours) {
        const char *source = json_string_value(ours);
        add_one(&out, json_object_get(c, "ours"), prefix, theirs, *source == '\0' ? theirs : source, s);
    }
    size_t i;
    json_array_foreach(json_object_get(f, "others"), i, ours) {
        float *two = calloc(2, sizeof *two);
        add(&out, json_string_value(ours), 1, (int64_t[]){2}, two, SAFETENSORS_F32);
    }
    support_ok(safetensors_writer_save(out.w, path, &err), &err);
    safetensors_writer_free(out.w);
    for (i = 0; i < out.n; i++) {
        free(out.data[i]);
    }
}

/* ---- what is read ---- */

static float *expected(const char *name, size_t count) {
    float *v = malloc((count + 1) * sizeof *v);
    if (strcmp(name, POSITIONAL) == 0) {
        safetensors_to_f32(safetensors_find(vectors, "weight"), v);
    } else {
        for (size_t i = 0; i < count; i++) {
            v[i] = value_of(name, i);
        }
    }
    return v;
}

static void check_values(const char *name, const float *got, const float *want, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(got[i] - want[i]) <= (strcmp(name, POSITIONAL) == 0 ? 1e-6f : 0))) {
            fail_msg("%s[%zu]: %g instead of %g", name, i, (double)got[i], (double)want[i]);
        }
    }
}

/* One parameter in PyTorch's layout and in ours. */
static void check_parameter(const dialect *d, const char *name, const json_t *list) {
    spoor_error err = {0};
    int64_t shape[SAFETENSORS_MAX_RANK], ours[SAFETENSORS_MAX_RANK];
    int rank;
    size_t count = shape_of(list, shape, &rank), at = 0;
    while (at < dialect_count(d) && strcmp(dialect_at(d, at)->name, name) != 0) {
        at++;
    }
    assert_true(at < dialect_count(d));
    assert_int_equal(dialect_at(d, at)->rank, rank);
    assert_memory_equal(dialect_at(d, at)->shape, shape, (size_t)rank * sizeof *shape);
    float *want = expected(name, count), *got = malloc((count + 1) * sizeof *got);
    support_ok(dialect_read_at(d, at, got, &err), &err);
    check_values(name, got, want, count);
    memcpy(ours, shape, sizeof ours);
    if (rank == 3) {
        float *turned = malloc(count * sizeof *turned);
        ours[1] = shape[2];
        ours[2] = shape[1];
        for (size_t i = 0; i < count; i++) {
            size_t taps = (size_t)shape[2], channels = (size_t)shape[1];
            size_t k = i % taps, c = i / taps % channels, o = i / taps / channels;
            turned[(o * taps + k) * channels + c] = want[i];
        }
        free(want);
        want = turned;
    }
    support_ok(dialect_read(d, name, rank, ours, got, &err), &err);
    check_values(name, got, want, count);
    ours[0]++;
    assert_int_equal(dialect_read(d, name, rank, ours, got, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, name));
    assert_non_null(strstr(err.message, "must have ["));
    free(want);
    free(got);
}

static void check_file(const json_t *c, const json_t *f) {
    spoor_error err = {0};
    weights *w;
    dialect *d;
    const char *name;
    json_t *shape;
    support_ok(weights_open(ctx, path, &w, &err), &err);
    support_ok(dialect_find(ctx, w, &d, &err), &err);
    assert_string_equal(dialect_name(d), json_string_value(json_object_get(f, "dialect")));
    json_t *description = encoder_describe(dialect_sizes(d));
    if (json_equal(description, json_object_get(c, "sizes")) == 0) {
        fail_msg("found %s", json_dumps(description, 0));
    }
    json_decref(description);
    assert_int_equal(dialect_count(d), json_object_size(json_object_get(c, "ours")));
    json_object_foreach(json_object_get(c, "ours"), name, shape) {
        check_parameter(d, name, shape);
    }
    dialect_free(d);
    weights_free(w);
}

static void all_languages_give_the_same_parameters(void **state) {
    (void)state;
    const char *name;
    json_t *c, *f;
    size_t k, files = 0;
    json_object_foreach(cases, name, c) {
        json_array_foreach(json_object_get(c, "files"), k, f) {
            write_file(name, k, NULL, NULL);
            check_file(c, f);
            files++;
        }
    }
    assert_true(files >= 20);
}

/* ---- configurations ---- */

static void write_text(const char *name, const char *text) {
    char where[4300];
    snprintf(where, sizeof where, "%s/%s", folder, name);
    FILE *f = fopen(where, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static char *config_with(const char *name, const char *key, json_t *value) {
    json_t *config = json_deep_copy(json_object_get(json_object_get(cases, name), "sizes"));
    json_object_set_new(config, key, value);
    char *text = json_dumps(config, 0);
    json_decref(config);
    return text;
}

/* The status of finding an encoder in the file (or folder) at `where`. */
static spoor_status find(const char *where, encoder_sizes *sizes, spoor_error *err) {
    weights *w;
    dialect *d;
    support_ok(weights_open(ctx, where, &w, err), err);
    spoor_status status = dialect_find(ctx, w, &d, err);
    assert_true((status == SPOOR_OK) == (d != NULL));
    if (status == SPOOR_OK) {
        *sizes = *dialect_sizes(d);
    }
    dialect_free(d);
    weights_free(w);
    return status;
}

static void a_configuration_goes_before_shapes(void **state) {
    (void)state;
    spoor_error err = {0};
    encoder_sizes s;
    write_file("wav2vec2 base", 1, NULL, NULL);
    char *text = config_with("wav2vec2 base", "num_attention_heads", json_integer(4));
    write_text("config.json", text);
    support_ok(find(folder, &s, &err), &err);
    assert_int_equal(s.heads, 4);
    write_file("wav2vec2 base", 1, NULL, text); /* the same in the metadata of the one file */
    support_ok(find(path, &s, &err), &err);
    assert_int_equal(s.heads, 4);
    free(text);
    text = config_with("wav2vec2 base", "do_stable_layer_norm", json_true());
    write_text("config.json", text);
    support_ok(find(folder, &s, &err), &err);
    assert_true(s.pre_norm);
    free(text);
}

static void a_configuration_of_something_else_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *file, *config, *key, *words;
        int number;
    } bad[] = {
        {"wav2vec2 base", "whisper", NULL, "not of one kind", 0},
        {"whisper", "wav2vec2 base", NULL, "not of one kind", 0},
        {"wavlm base", "wav2vec2 base", NULL, "WavLM's relative positions", 0},
        {"wav2vec2 base", "wav2vec2 base", "num_hidden_layers", "encoder.layers.2.attention", 3},
        {"wav2vec2 base", "wavlm base", NULL, "gru_rel_pos", 0},
        {"wav2vec2 base", "wav2vec2 base", "hidden_size", "hidden_size", 1000000},
        {"wav2vec2 base", "wav2vec2 base", "num_attention_heads", "heads", 7},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        encoder_sizes s;
        const json_t *files = json_object_get(json_object_get(cases, bad[i].file), "files");
        size_t k = 0;
        while (strcmp(json_string_value(json_object_get(json_array_get(files, k), "dialect")), "Hugging Face") != 0) {
            k++;
        }
        write_file(bad[i].file, k, NULL, NULL);
        const char *key = bad[i].key == NULL ? "unused" : bad[i].key;
        char *text = config_with(bad[i].config, key, json_integer(bad[i].number));
        write_text("config.json", text);
        free(text);
        assert_int_equal(find(folder, &s, &err), SPOOR_ERR_MODEL);
        if (strstr(err.message, bad[i].words) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", err.message, bad[i].words);
        }
    }
}

/* Models of these widths are published with 16 heads and without a word about it in fairseq's and torchaudio's files. */
static void heads_of_the_largest_models(void **state) {
    (void)state;
    static const int64_t expected_heads[][2] = {{768, 12}, {1024, 16}, {1280, 16}, {1920, 16}};
    for (size_t i = 0; i < 4; i++) {
        spoor_error err = {0};
        encoder_sizes s;
        spoil wide = {.name = "feature_projection.projection.weight", .rows = expected_heads[i][0]};
        write_file("wav2vec2 large", 3, &wide, NULL);
        support_ok(find(path, &s, &err), &err);
        assert_int_equal(s.width, expected_heads[i][0]);
        assert_int_equal(s.heads, expected_heads[i][1]);
    }
}

/* ---- broken files ---- */

static void broken_files_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t k;
        spoil s;
        const char *words, *more;
    } bad[] = {
        {"wav2vec2 base", 3, {.name = "encoder.layers.1.feed_forward.output_dense.weight", .omit = true},
         "encoder.layers.1.fc2.weight", "encoder.layers.1.feed_forward.output_dense.weight"},
        {"wav2vec2 base", 4, {.name = "feature_projection.layer_norm.bias", .omit = true},
         "w2v_encoder.w2v_model.layer_norm.bias", "feature_projection.layer_norm.bias"},
        {"wav2vec2 large", 3, {.name = "feature_extractor.conv_layers.3.conv.bias", .omit = true},
         "feature_extractor.conv_layers.3.0.bias", "not complete"},
        {"wav2vec2 base", 1, {.name = "g", .omit = true}, POSITIONAL, "not complete"},
        {"wav2vec2 base", 1, {.name = "v", .omit = true}, POSITIONAL, "not complete"},
        {"wav2vec2 base", 1, {.name = "g", .reshape = true}, "[1,1,K]", "weight_g"},
        {"wav2vec2 base", 0, {.name = "feature_projection.projection.weight", .reshape = true},
         "divide the width 1", ""},
        {"wav2vec2 base", 0, {.name = "encoder.layers.1.attention.k_proj.weight", .dtype = SAFETENSORS_I32},
         "stored as I32", "encoder.transformer.layers.1.attention.k_proj.weight"},
        {"wav2vec2 base", 0, {.name = "feature_extractor.conv_layers.2.conv.weight", .reshape = true},
         "10,3,3,3,3,2,2", "conv_stride"},
        {"wav2vec2 base", 0, {.name = "feature_extractor.conv_layers.6.conv.weight", .omit = true},
         "10,3,3,3,3,2,2", "strides"},
        {"whisper", 0, {.name = "layers.1.fc1.bias", .omit = true}, "encoder.blocks.1.mlp.0.bias", "layers.1.fc1.bias"},
        {"whisper", 1, {.name = "embed_positions.weight", .omit = true}, "encoder.embed_positions.weight", ""},
        {"whisper", 1, {.name = "conv1.weight", .reshape = true}, "attention heads", "config.json"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        encoder_sizes s;
        write_file(bad[i].file, bad[i].k, &bad[i].s, NULL);
        spoor_status status = find(path, &s, &err);
        if (status != SPOOR_ERR_MODEL || strstr(err.message, bad[i].words) == NULL ||
            strstr(err.message, bad[i].more) == NULL || strstr(err.message, "model.safetensors") == NULL) {
            fail_msg("%zu (%s): status %d, \"%s\"", i, bad[i].s.name, (int)status, err.message);
        }
    }
}

static void other_files_are_refused(void **state) {
    (void)state;
    spoor_error err = {0};
    encoder_sizes s;
    write_file("wav2vec2 base", 0, &(spoil){.name = "feature_projection.projection.weight", .omit = true}, NULL);
    assert_int_equal(find(path, &s, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "no wav2vec 2.0, HuBERT, WavLM or Whisper checkpoint"));
    weights *w;
    dialect *d;
    support_ok(weights_open(ctx, support_path("tests/torch/losses.safetensors"), &w, &err), &err);
    assert_int_equal(dialect_find(ctx, w, &d, &err), SPOOR_ERR_MODEL);
    assert_null(d);
    weights_free(w);
}

/* A parameter that the encoder does not have, and fewer positions than the file has. */
static void parameters_by_name(void **state) {
    (void)state;
    spoor_error err = {0};
    weights *w;
    dialect *d;
    float rows[5 * 64];
    write_file("whisper", 0, NULL, NULL);
    support_ok(weights_open(ctx, path, &w, &err), &err);
    support_ok(dialect_find(ctx, w, &d, &err), &err);
    support_ok(dialect_read(d, "embed_positions.weight", 2, (int64_t[]){5, 64}, rows, &err), &err);
    for (size_t i = 0; i < 5 * 64; i++) {
        assert_true(rows[i] == value_of("embed_positions.weight", i));
    }
    assert_int_equal(dialect_read(d, "embed_positions.weight", 2, (int64_t[]){0, 64}, rows, &err), SPOOR_ERR_MODEL);
    assert_int_equal(dialect_read(d, "layers.2.fc1.bias", 1, (int64_t[]){8}, rows, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "encoder.blocks.2.mlp.0.bias (parameter layers.2.fc1.bias)"));
    assert_int_equal(dialect_read(d, "nonsense", 1, (int64_t[]){8}, rows, &err), SPOOR_ERR_MODEL);
    assert_int_equal(dialect_read(d, "conv1.bias", 2, (int64_t[]){8, 8}, rows, &err), SPOOR_ERR_MODEL);
    dialect_free(d);
    weights_free(w);
}

/* Whole encoders, from one language and from another: the same hidden states. */
static void encoders_of_two_languages_are_one(void **state) {
    (void)state;
    spoor_error err = {0};
    float *first = NULL, wave[800];
    size_t bytes = 0;
    for (size_t i = 0; i < 800; i++) {
        wave[i] = value_of("wave", i);
    }
    for (size_t k = 0; k < 4; k++) {
        weights *w;
        dialect *d;
        encoder *e;
        compute *c;
        tape *t;
        tensor *hidden[3];
        write_file("wav2vec2 large", k, NULL, NULL);
        support_ok(weights_open(ctx, path, &w, &err), &err);
        support_ok(dialect_find(ctx, w, &d, &err), &err);
        support_ok(encoder_new(ctx, dialect_sizes(d), 2, "frontend.", false, 0, &e, &err), &err);
        support_ok(encoder_load(e, w, COMPUTE_F32, &err), &err);
        support_ok(compute_new(ctx, 1, &c, &err), &err);
        support_ok(tape_new(ctx, c, &t, &err), &err);
        tape_begin(t, false, false, 0);
        encoder_forward(e, t, tape_view(t, 2, (int64_t[]){1, 800}, wave), 2, NULL, hidden);
        support_ok(tape_status(t, &err), &err);
        if (first == NULL) {
            bytes = (size_t)tensor_count(hidden[2]) * sizeof *first;
            first = malloc(bytes);
            memcpy(first, hidden[2]->data, bytes);
        }
        assert_memory_equal(first, hidden[2]->data, bytes);
        tape_free(t);
        compute_free(c);
        encoder_free(e);
        dialect_free(d);
        weights_free(w);
    }
    free(first);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    weights *w;
    spoor_error err = {0};
    int64_t dim[3] = {64, 6, 4};
    float *out = malloc(64 * 6 * 4 * sizeof *out);
    write_file("wav2vec2 base", 1, NULL, NULL);
    support_ok(weights_open(ctx, path, &w, &err), &err);
    bool done = false;
    size_t n = 1;
    for (; n < 400 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *c = support_failing_context(&failing);
        dialect *d;
        spoor_status status = dialect_find(c, w, &d, &err);
        if (status == SPOOR_OK) {
            status = dialect_read(d, POSITIONAL, 3, dim, out, &err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        done = status == SPOOR_OK;
        dialect_free(d);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    assert_true(done && n > 50);
    weights_free(w);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_languages_give_the_same_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_configuration_goes_before_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_configuration_of_something_else_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(heads_of_the_largest_models, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_files_are_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parameters_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encoders_of_two_languages_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_allocations_leave_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
