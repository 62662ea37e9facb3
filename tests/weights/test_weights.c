/* test_weights.c: checkpoints of every kind through weights.h: what a file holds, Hugging Face folders with their shards,
 * and one sentence for each thing that can be wrong. PyTorch files themselves: test_torch.c. */
#define _GNU_SOURCE
#include "weights/weights.h"
#include "support/scratch.h"
#include "weights/files.h"
#include <sys/stat.h>
#include <unistd.h>

static const float A[3] = {1, 2, 3}, B[2] = {-4, 5.5f}, C[1] = {6};

/* A file of the folder. */
static const char *in(const char *name) {
    static char paths[4][4300];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static void text_file(const char *name, const char *text) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    write_text(text);
}

static void vectors(const char *name, const vector *v, size_t n) {
    support_ok(vectors_write(ctx, in(name), v, n, &err), &err);
}

static weights *opened(const char *name) {
    weights *w;
    support_ok(weights_open(ctx, in(name), &w, &err), &err);
    return w;
}

static void refuses(const char *name, spoor_status want, const char *words) {
    weights *w = (weights *)(uintptr_t)1;
    err.message[0] = '\0';
    refused(weights_open(ctx, in(name), &w, &err), want, words);
    assert_null(w);
}

static void holds(const weights *w, const char *name, const float *values, size_t n) {
    const weights_tensor *t = weights_find(w, name);
    if (t == NULL) {
        fail_msg("no tensor %s", name);
    }
    float got[16];
    assert_int_equal(t->count, n);
    support_ok(weights_read(w, t, got, &err), &err);
    assert_memory_equal(got, values, n * sizeof *got);
}

/* ---- single files ---- */

static void a_safetensors_file_is_mapped(void **state) {
    (void)state;
    vectors("x.safetensors", (vector[]){{"b", 2, B}, {"a", 3, A}}, 2);
    weights *w = opened("x.safetensors");
    assert_string_equal(weights_format(w), "safetensors");
    assert_string_equal(weights_path(w), in("x.safetensors"));
    assert_int_equal(weights_count(w), 2);
    assert_string_equal(weights_at(w, 0)->name, "b"); /* the file's order */
    assert_null(weights_config(w));
    assert_null(weights_find(w, "c"));
    assert_null(weights_refused(w, weights_at(w, 0)));
    holds(w, "a", A, 3);
    holds(w, "b", B, 2);
    const weights_tensor *t = weights_find(w, "a");
    assert_int_equal(t->rank, 1);
    assert_int_equal(t->shape[0], 3);
    const float *mapped = weights_mapped(w, t);
    assert_non_null(mapped);
    assert_memory_equal(mapped, A, sizeof A);
    float raw[3];
    support_ok(weights_read_raw(w, t, raw, &err), &err);
    assert_memory_equal(raw, A, sizeof A);
    weights_free(w);
    weights_free(NULL);
}

/* More than is ever read whole; the file is a hole but for its header. */
static void a_large_file_is_mapped(void **state) {
    (void)state;
    const char *text = "{\"x\":{\"dtype\":\"U8\",\"shape\":[5000000000],\"data_offsets\":[0,5000000000]}}";
    unsigned char length[8] = {(unsigned char)strlen(text)};
    FILE *f = fopen(in("large"), "wb");
    assert_non_null(f);
    fwrite(length, 1, 8, f);
    fwrite(text, 1, strlen(text), f);
    assert_int_equal(fclose(f), 0);
    if (truncate(in("large"), 5000000000 + 8 + (off_t)strlen(text)) != 0) {
        print_message("SKIP: no file of 5 GB can be made here\n");
        skip();
    }
    weights *w = opened("large");
    assert_int_equal(weights_find(w, "x")->count, 5000000000);
    weights_free(w);
    safetensors *whole;
    refused(safetensors_open(ctx, in("large"), &whole, &err), SPOOR_ERR_LIMIT, "over the limit");
    assert_int_equal(truncate(in("large"), (off_t)SAFETENSORS_MAX_MAPPED + 1), 0);
    refuses("large", SPOOR_ERR_LIMIT, "over the limit");
}

static void metadata_is_the_configuration(void **state) {
    (void)state;
    static const struct {
        const char *value, *key, *want; /* want: of `key` in what weights_config gives */
    } cases[] = {
        {"{\"model_type\":\"hubert\"}", "model_type", "hubert"},
        {"not JSON", "config", "not JSON"},
        {"[1]", "config", "[1]"},
    };
    for (size_t i = 0; i < 3; i++) {
        safetensors_writer *s;
        support_ok(safetensors_writer_new(ctx, &s, &err), &err);
        support_ok(safetensors_writer_meta(s, "config", cases[i].value, &err), &err);
        support_ok(safetensors_writer_save(s, in("m.safetensors"), &err), &err);
        safetensors_writer_free(s);
        weights *w = opened("m.safetensors");
        assert_string_equal(json_string_value(json_object_get(weights_config(w), cases[i].key)), cases[i].want);
        assert_int_equal(weights_count(w), 0);
        assert_null(weights_find(w, "a"));
        assert_string_equal(json_string_value(json_object_get(weights_metadata(w), "config")), cases[i].value);
        weights_free(w);
    }
    /* In a folder, config.json comes first. */
    assert_int_equal(rename(in("m.safetensors"), in("model.safetensors")), 0);
    weights *w = opened("");
    assert_ptr_equal(weights_config(w), weights_metadata(w));
    weights_free(w);
    text_file("config.json", "{\"model_type\":\"wavlm\"}");
    w = opened("");
    assert_string_equal(json_string_value(json_object_get(weights_config(w), "model_type")), "wavlm");
    assert_string_equal(json_string_value(json_object_get(weights_metadata(w), "config")), "[1]");
    weights_free(w);
}

static void a_ggml_file_is_opened(void **state) {
    (void)state;
    bytes b;
    ggml_make(&b);
    support_ok(io_write_file(ctx, in("g.bin"), b.data, b.size, &err), &err);
    weights *w = opened("g.bin");
    assert_string_equal(weights_format(w), "ggml");
    assert_int_equal(weights_count(w), 3);
    assert_int_equal(json_integer_value(json_object_get(weights_config(w), "n_audio_state")), 4);
    holds(w, GGML_NAMES[0], GGML_CONV, 12);
    assert_null(weights_mapped(w, weights_find(w, GGML_NAMES[0]))); /* halves */
    weights_free(w);

    ggml_begin(&b); /* one name twice */
    ggml_head(&b, "x", 0, 1, (int64_t[]){1});
    put(&b, C, 4);
    ggml_head(&b, "x", 0, 1, (int64_t[]){1});
    put(&b, C, 4);
    support_ok(io_write_file(ctx, in("g.bin"), b.data, b.size, &err), &err);
    refuses("g.bin", SPOOR_ERR_MODEL, "the tensor x exists twice");
    b.data[4] = 0xff;
    b.data[7] = 0xff;
    support_ok(io_write_file(ctx, in("g.bin"), b.data, b.size, &err), &err);
    refuses("g.bin", SPOOR_ERR_MODEL, "n_vocab");
}

static void what_is_no_checkpoint_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "too few"},
        {"random bytes that mean nothing", "no safetensors file"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"},
        {"GGUF\3", "GGUF"},
        {"\x89HDF\r\n", "HDF5"},
        {"<!DOCTYPE html>", "download it again"},
        {"{\"weight_map\":{}}", "name the folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_file("f", cases[i][0]);
        refuses("f", SPOOR_ERR_MODEL, cases[i][1]);
    }
    refuses("missing", SPOOR_ERR_IO, "missing");
    weights *w;
    refused(weights_open(ctx, "/dev/null", &w, &err), SPOOR_ERR_IO, "not a regular file");
}

/* ---- folders ---- */

static void a_folder_with_one_file(void **state) {
    (void)state;
    vectors("model.safetensors", (vector[]){{"a", 3, A}}, 1);
    text_file("pytorch_model.bin", "never looked at");
    weights *w = opened("");
    assert_string_equal(weights_format(w), "Hugging Face folder");
    assert_null(weights_config(w));
    holds(w, "a", A, 3);
    weights_free(w);
    text_file("config.json", "{\"model_type\": \"wavlm\", \"conv_dim\": [512]}");
    w = opened("");
    assert_string_equal(json_string_value(json_object_get(weights_config(w), "model_type")), "wavlm");
    weights_free(w);
}

static void configurations_that_are_wrong_are_refused(void **state) {
    (void)state;
    vectors("model.safetensors", (vector[]){{"a", 3, A}}, 1);
    static const char *const cases[][2] = {
        {"", "config.json: no valid JSON"},
        {"{\"a\":1", "config.json: no valid JSON"},
        {"[1]", "config.json: no JSON object"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "deeper nested"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_file("config.json", cases[i][0]);
        refuses("", SPOOR_ERR_MODEL, cases[i][1]);
    }
    char *large = malloc(2 << 20);
    memset(large, ' ', (2 << 20) - 1);
    large[(2 << 20) - 1] = '\0';
    text_file("config.json", large);
    refuses("", SPOOR_ERR_LIMIT, "over the limit");
    memset(large, ',', 1 << 19);
    large[1 << 19] = '\0';
    text_file("config.json", large);
    refuses("", SPOOR_ERR_MODEL, "more values");
    free(large);
    assert_int_equal(remove(in("config.json")), 0);
    assert_int_equal(mkdir(in("config.json"), 0700), 0);
    refuses("", SPOOR_ERR_IO, "a folder, not a file");
}

static void a_folder_without_weights(void **state) {
    (void)state;
    text_file("config.json", "{}");
    refuses("", SPOOR_ERR_MODEL, "holds no weights");
    text_file("model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    refuses("", SPOOR_ERR_MODEL, "git lfs pull");
}

static const char INDEX[] = "{\"metadata\":{\"total_size\":24},\"weight_map\":{\"c\":\"model-2.safetensors\","
                            "\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\"}}";

static void shards_are_put_together(void **state) {
    (void)state;
    text_file("model.safetensors.index.json", INDEX);
    text_file("config.json", "{\"model_type\":\"wav2vec2\"}");
    vectors("model-1.safetensors", (vector[]){{"a", 3, A}, {"unlisted", 1, C}}, 2);
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}, {"c", 1, C}}, 2);
    weights *w = opened("");
    assert_int_equal(weights_count(w), 3);
    holds(w, "a", A, 3);
    holds(w, "b", B, 2);
    holds(w, "c", C, 1);
    assert_null(weights_find(w, "unlisted"));
    assert_string_equal(json_string_value(json_object_get(weights_config(w), "model_type")), "wav2vec2");
    weights_free(w);
}

/* A committed PyTorch file (test_torch.c says what is in it) as `name` of the folder. */
static void torch_file_as(const char *file, const char *name) {
    char from[100];
    snprintf(from, sizeof from, "tests/weights/torch/%s", file);
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, support_path(from), 1 << 20, &data, &size, &err), &err);
    support_ok(io_write_file(ctx, in(name), data, size, &err), &err);
    ctx_free(ctx, data);
}

static void pytorch_files_are_opened(void **state) {
    (void)state;
    torch_file_as("dtypes.pt", "pytorch_model.bin");
    char one[65], other[65];
    for (int i = 0; i < 2; i++) { /* the file itself, the folder with it */
        weights *w = opened(i == 0 ? "pytorch_model.bin" : "");
        assert_string_equal(weights_format(w), i == 0 ? "PyTorch" : "Hugging Face folder");
        const weights_tensor *t = weights_find(w, "float64"), *bad = weights_find(w, "quantised");
        assert_int_equal(t->dtype, SAFETENSORS_F64);
        assert_null(weights_refused(w, t));
        assert_null(weights_mapped(w, weights_find(w, "float32")));
        float f[6];
        double d[6];
        support_ok(weights_read(w, t, f, &err), &err);
        support_ok(weights_read_raw(w, t, d, &err), &err);
        for (int k = 0; k < 6; k++) {
            assert_true(f[k] == (float)d[k]);
        }
        assert_non_null(weights_refused(w, bad));
        refused(weights_read(w, bad, f, &err), SPOOR_ERR_MODEL, "quantised");
        refused(weights_read_raw(w, bad, f, &err), SPOOR_ERR_MODEL, "quantised");
        support_ok(weights_sha256(w, i == 0 ? one : other, &err), &err);
        weights_free(w);
    }
    assert_string_equal(one, other);
    torch_file_as("old.pt", "old.pt");
    refuses("old.pt", SPOOR_ERR_MODEL, "old.pt");

    /* Shards: the index of safetensors files is not asked for .bin files, and the other way round. */
    assert_int_equal(remove(in("pytorch_model.bin")), 0);
    torch_file_as("dtypes.pt", "p-1.bin");
    torch_file_as("strides.pt", "p-2.bin");
    text_file("pytorch_model.bin.index.json", "{\"weight_map\":{\"float32\":\"p-1.bin\",\"base\":\"p-2.bin\"}}");
    weights *w = opened("");
    assert_int_equal(weights_count(w), 2);
    assert_int_equal(weights_find(w, "base")->count, 60);
    weights_free(w);
    text_file("pytorch_model.bin.index.json", "{\"weight_map\":{\"a\":\"p.safetensors\"}}");
    refuses("", SPOOR_ERR_MODEL, "which is no name of a .bin file");
}

static void shards_that_are_wrong_are_refused(void **state) {
    (void)state;
    text_file("model.safetensors.index.json", INDEX);
    vectors("model-1.safetensors", (vector[]){{"a", 3, A}}, 1);
    refuses("", SPOOR_ERR_MODEL, "model-2.safetensors, which the index names, is missing");
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}}, 1);
    refuses("", SPOOR_ERR_MODEL, "the index puts c into model-2.safetensors, but it is not there");
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}, {"c", 1, C}, {"a", 3, A}}, 3);
    refuses("", SPOOR_ERR_MODEL, "a lies in model-2.safetensors, but the index puts it into model-1.safetensors");
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}, {"c", 1, C}}, 2);
    weights_free(opened(""));
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, in("model-2.safetensors"), 4096, &data, &size, &err), &err);
    support_ok(io_write_file(ctx, in("model-2.safetensors"), data, size - 1, &err), &err);
    ctx_free(ctx, data);
    refuses("", SPOOR_ERR_MODEL, "model-2.safetensors: cut off or damaged");
    assert_int_equal(remove(in("model-2.safetensors")), 0);
    assert_int_equal(mkdir(in("model-2.safetensors"), 0700), 0);
    refuses("", SPOOR_ERR_IO, "a folder, not a file");
}

static void indexes_that_are_wrong_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "no valid JSON"},
        {"[]", "no JSON object"},
        {"{}", "\"weight_map\" is missing"},
        {"{\"weight_map\":[]}", "\"weight_map\" is missing, empty or no map"},
        {"{\"weight_map\":{}}", "\"weight_map\" is missing, empty or no map"},
        {"{\"weight_map\":{\"a\":1}}", "the file of a is no string"},
        {"{\"weight_map\":{\"a\":\"m.safetensors\",\"a\":\"m.safetensors\"}}", "duplicate"},
        {"{\"weight_map\":{\"a\":\"x/m.safetensors\"}}", "\"x/m.safetensors\", which is no name of a .safetensors file"},
        {"{\"weight_map\":{\"a\":\"../m.safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"/etc/m.safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"x\\\\m.safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\".m.safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"m.bin\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"m\\n.safetensors\"}}", "which is no name of"},
        {"{\"weight_map\":{\"a\":\"m\\u0000.safetensors\"}}", "no valid JSON"},
        {"{\"x\":[[[[[[[[[[]]]]]]]]]]}", "deeper nested"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_file("model.safetensors.index.json", cases[i][0]);
        refuses("", SPOOR_ERR_MODEL, cases[i][1]);
        assert_non_null(strstr(err.message, "model.safetensors.index.json: "));
    }
    char *many = malloc(1 << 17);
    size_t n = (size_t)snprintf(many, 1 << 17, "{\"weight_map\":{\"x\":\"0.safetensors\"");
    for (int i = 1; i <= 1024; i++) {
        n += (size_t)snprintf(many + n, (1 << 17) - n, ",\"x%d\":\"%d.safetensors\"", i, i);
    }
    snprintf(many + n, (1 << 17) - n, "}}");
    text_file("model.safetensors.index.json", many);
    refuses("", SPOOR_ERR_LIMIT, "more than 1024 files");
    memset(many, 'x', 1200);
    snprintf(many + 1200, 1000, "\":\"m.safetensors\"}}");
    memcpy(many, "{\"weight_map\":{\"", 16);
    text_file("model.safetensors.index.json", many);
    refuses("", SPOOR_ERR_MODEL, "the name is too long");
    free(many);
}

/* ---- the hash ---- */

static void hash_of(const char *name, char hex[65]) {
    weights *w = opened(name);
    support_ok(weights_sha256(w, hex, &err), &err);
    weights_free(w);
}

static void the_hash_is_of_what_is_held(void **state) {
    (void)state;
    char one[65], other[65];
    vectors("a.safetensors", (vector[]){{"a", 3, A}, {"b", 2, B}, {"c", 1, C}}, 3);
    hash_of("a.safetensors", one);
    vectors("b.safetensors", (vector[]){{"c", 1, C}, {"b", 2, B}, {"a", 3, A}}, 3); /* another order */
    hash_of("b.safetensors", other);
    assert_string_equal(one, other);
    text_file("model.safetensors.index.json", INDEX); /* another container */
    vectors("model-1.safetensors", (vector[]){{"a", 3, A}}, 1);
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}, {"c", 1, C}}, 2);
    hash_of("", other);
    assert_string_equal(one, other);

    const float changed[3] = {1, 2, -3};
    const vector cases[][3] = {{{"a", 3, changed}, {"b", 2, B}, {"c", 1, C}}, /* a value */
                               {{"d", 3, A}, {"b", 2, B}, {"c", 1, C}},       /* a name */
                               {{"a", 2, A}, {"b", 2, B}, {"c", 1, C}}};      /* a size */
    for (size_t i = 0; i < 3; i++) {
        vectors("b.safetensors", cases[i], 3);
        hash_of("b.safetensors", other);
        assert_string_not_equal(one, other);
    }
    /* The definition, to the byte: name NUL dtype NUL, rank and sizes in 8 bytes, elements. */
    vectors("b.safetensors", (vector[]){{"c", 1, C}}, 1);
    hash_of("b.safetensors", other);
    unsigned char all[2 + 4 + 16 + 4] = "c\0F32\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0";
    memcpy(all + 22, C, 4);
    io_sha256(all, sizeof all, one);
    assert_string_equal(one, other);
}

/* ---- memory ---- */

static spoor_status sweep_once(size_t n, const char *name, support_failing *failing) {
    *failing = (support_failing){.fail_at = n};
    spoor_context *c = support_failing_context(failing);
    weights *w;
    spoor_status status = weights_open(c, in(name), &w, &err);
    weights_free(w);
    assert_int_equal(failing->live, 0);
    spoor_context_free(c);
    return status;
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    bytes b;
    ggml_make(&b);
    support_ok(io_write_file(ctx, in("g.bin"), b.data, b.size, &err), &err);
    text_file("model.safetensors.index.json", INDEX);
    text_file("config.json", "{\"model_type\":\"wav2vec2\"}");
    vectors("model-1.safetensors", (vector[]){{"a", 3, A}}, 1);
    vectors("model-2.safetensors", (vector[]){{"b", 2, B}, {"c", 1, C}}, 2);
    const char *names[] = {"g.bin", "model-1.safetensors", ""};
    for (size_t k = 0; k < 3; k++) {
        support_failing failing;
        for (size_t n = 1;; n++) {
            spoor_status status = sweep_once(n, names[k], &failing);
            if (status == SPOOR_OK) {
                assert_true(n > 5);
                break;
            }
            assert_int_equal(status, SPOOR_ERR_LIMIT);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_safetensors_file_is_mapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_file_is_mapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_is_the_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ggml_file_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_checkpoint_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_with_one_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(configurations_that_are_wrong_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_without_weights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shards_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pytorch_files_are_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shards_that_are_wrong_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(indexes_that_are_wrong_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hash_is_of_what_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out_anywhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
