/* test_ggml.c: ggml Whisper files: what a small one holds, and one broken file for each thing that can be wrong. The real
 * ggml-tiny.bin is read where SPOOR_TEST_WHISPER names it. */
#include "weights/ggml.h"
#include "support/support.h"
#include "weights/files.h"
#include "weights/weights.h"

static void a_small_file_is_read(void **state) {
    (void)state;
    bytes b;
    ggml_make(&b);
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    ggml_file *f;
    support_ok(ggml_file_open_memory(ctx, b.data, b.size, "a.bin", &f, &err), &err);
    assert_int_equal(ggml_file_count(f), 3);
    const safetensors_tensor *t = ggml_file_at(f, 0);
    assert_string_equal(t->name, GGML_NAMES[0]);
    assert_int_equal(t->dtype, SAFETENSORS_F16);
    assert_int_equal(t->rank, 3);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 2);
    assert_int_equal(t->shape[2], 3);
    assert_int_equal(t->count, 12);
    float values[12];
    safetensors_to_f32(t, values);
    assert_memory_equal(values, GGML_CONV, sizeof GGML_CONV); /* exact as halves */
    t = ggml_file_at(f, 1);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 1);
    safetensors_to_f32(t, values);
    assert_memory_equal(values, GGML_BIAS, sizeof GGML_BIAS);
    t = ggml_file_at(f, 2);
    assert_string_equal(t->name, GGML_NAMES[2]);
    assert_int_equal(t->dtype, SAFETENSORS_F32);
    const json_t *config = ggml_file_config(f);
    assert_string_equal(json_string_value(json_object_get(config, "format")), "ggml");
    assert_int_equal(json_integer_value(json_object_get(config, "n_audio_ctx")), 1500);
    assert_int_equal(json_integer_value(json_object_get(config, "n_mels")), 2);
    assert_int_equal(json_integer_value(json_object_get(config, "ftype")), 1);
    assert_int_equal(json_object_size(config), 12);
    ggml_file_free(f);
    ggml_file_free(NULL);
    spoor_context_free(ctx);
}

/* ---- broken files ---- */

static void refused(const bytes *b, size_t size, spoor_status want, const char *why) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    ggml_file *f;
    unsigned char *exact = malloc(size + (size == 0)); /* so that a sanitizer sees reads beyond */
    assert_non_null(exact);
    memcpy(exact, b->data, size);
    spoor_status status = ggml_file_open_memory(ctx, exact, size, "bad.bin", &f, &err);
    if (status != want || f != NULL || strstr(err.message, why) == NULL || strstr(err.message, "bad.bin") == NULL) {
        fail_msg("want a refusal with \"%s\", got %s: %s", why, spoor_status_name(status), err.message);
    }
    free(exact);
    spoor_context_free(ctx);
}

static void every_file_that_is_cut_off_is_refused(void **state) {
    (void)state;
    bytes b;
    ggml_begin(&b);
    size_t first = b.size;
    ggml_make(&b);
    size_t ends[3] = {first, b.size - 8 - 16 - 22 - (8 + 20 + 18), b.size - 8 - 16 - 22}; /* where a tensor begins */
    for (size_t n = 0; n < b.size; n++) {
        bool whole = n == ends[1] || n == ends[2]; /* as the format has no count, this cannot be seen */
        if (!whole) {
            refused(&b, n, SPOOR_ERR_MODEL, "cut off");
        }
    }
}

static void change_number(bytes *b, size_t at, int64_t value) {
    bytes n = {.size = 0};
    put_number(&n, value);
    memcpy(b->data + at, n.data, 4);
}

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t at;
        int64_t value;
        const char *why;
    } cases[] = {
        {0, 0x67676d66, "no ggml file of whisper.cpp"},
        {4, -1, "n_vocab is -1"},
        {4, GGML_MAX_SIZE + 1, "n_vocab is"},
        {40, INT32_MIN, "n_mels is"},
        {48, -2, "the size of the mel filters is -2"},
        {52, GGML_MAX_FILTER + 1, "the size of the mel filters"},
        {52, GGML_MAX_FILTER, "ends inside the mel filters"},
        {80, -1, "the size of the vocabulary is -1"},
        {80, GGML_MAX_SIZE, "cut off or damaged"}, /* takes tensors for words */
        {84, -3, "the length of a word of the vocabulary is -3"},
        {84, 65537, "the length of a word"},
        {84, 65536, "ends inside the vocabulary"},
    };
    bytes b;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ggml_make(&b);
        change_number(&b, cases[i].at, cases[i].value);
        if (cases[i].at == 80 && cases[i].value > 0) {
            /* The words that follow are what the tensors hold, so any of several sentences may come. */
            refused(&b, b.size, SPOOR_ERR_MODEL, "damaged");
        } else {
            refused(&b, b.size, SPOOR_ERR_MODEL, cases[i].why);
        }
    }
}

static void tensors_that_are_wrong_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t type, rank, size[4];
        const char *why;
    } cases[] = {
        {"x", 0, 5, {1, 1, 1, 1}, "a tensor's number of dimensions is 5"},
        {"x", 0, -1, {0}, "a tensor's number of dimensions is -1"},
        {"x", 2, 1, {32}, "x is quantised or of an unknown type (q4_0, number 2)"},
        {"x", 8, 1, {32}, "(q8_0, number 8)"},
        {"x", 4, 1, {32}, "(?, number 4)"},
        {"x", 99, 1, {32}, "(?, number 99)"},
        {"x", -1, 1, {32}, "the type of a tensor is -1"},
        {"", 0, 1, {1}, "the name of tensor 1 is no text"},
        {"a\nb", 0, 1, {1}, "the name of tensor 1 is no text"},
        {"a\x7f", 0, 1, {1}, "the name of tensor 1 is no text"},
        {"\xff\xfe", 0, 1, {1}, "the name of tensor 1 is no text"},
        {"x", 0, 1, {-1}, "a tensor's size is -1"},
        {"x", 0, 1, {GGML_MAX_SIZE + 1}, "a tensor's size is"},
        {"x", 0, 4, {GGML_MAX_SIZE, GGML_MAX_SIZE, GGML_MAX_SIZE, 1}, "x is larger than any memory"},
        {"x", 0, 2, {GGML_MAX_SIZE, GGML_MAX_SIZE}, "ends inside x"},
        {"x", 0, 1, {2}, "ends inside x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b;
        ggml_begin(&b);
        ggml_head(&b, cases[i].name, cases[i].type, cases[i].rank, cases[i].size);
        put(&b, "1234", 4);
        refused(&b, b.size, SPOOR_ERR_MODEL, cases[i].why);
    }
    bytes b;
    ggml_begin(&b);
    put_number(&b, 1);
    put_number(&b, SAFETENSORS_MAX_NAME + 1);
    refused(&b, b.size, SPOOR_ERR_MODEL, "the length of a tensor's name is 1025");
}

static void scalars_and_empty_tensors_are_read(void **state) {
    (void)state;
    bytes b;
    ggml_begin(&b);
    ggml_head(&b, "scalar", 0, 0, NULL);
    put(&b, GGML_BIAS, 4);
    ggml_head(&b, "none", 1, 2, (int64_t[]){0, 7});
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    ggml_file *f;
    support_ok(ggml_file_open_memory(ctx, b.data, b.size, "a.bin", &f, &err), &err);
    assert_int_equal(ggml_file_count(f), 2);
    assert_int_equal(ggml_file_at(f, 0)->count, 1);
    assert_int_equal(ggml_file_at(f, 0)->rank, 0);
    assert_int_equal(ggml_file_at(f, 1)->count, 0);
    assert_int_equal(ggml_file_at(f, 1)->shape[0], 7);
    ggml_file_free(f);
    spoor_context_free(ctx);
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    bytes b;
    ggml_make(&b);
    for (size_t n = 1;; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        spoor_error err = {0};
        ggml_file *f;
        spoor_status status = ggml_file_open_memory(ctx, b.data, b.size, "a.bin", &f, &err);
        ggml_file_free(f);
        assert_int_equal(failing.live, 0);
        spoor_context_free(ctx);
        if (status == SPOOR_OK) {
            assert_true(n > 5);
            return;
        }
        assert_int_equal(status, SPOOR_ERR_LIMIT);
    }
}

/* ---- the real one ---- */

static void whisper_tiny_is_read(void **state) {
    (void)state;
    const char *path = getenv("SPOOR_TEST_WHISPER");
    if (path == NULL || path[0] == '\0') {
        print_message("SKIP: SPOOR_TEST_WHISPER names no ggml-tiny.bin\n");
        skip();
    }
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    weights *w;
    support_ok(weights_open(ctx, path, &w, &err), &err);
    assert_string_equal(weights_format(w), "ggml");
    assert_int_equal(weights_count(w), 167);
    assert_int_equal(json_integer_value(json_object_get(weights_config(w), "n_audio_state")), 384);
    const weights_tensor *t = weights_find(w, "encoder.blocks.3.mlp.0.weight");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 1536);
    assert_int_equal(t->shape[1], 384);
    t = weights_find(w, "encoder.positional_embedding");
    assert_int_equal(t->shape[0], 1500);
    assert_int_equal(t->shape[1], 384);
    float *values = malloc(t->count * sizeof *values);
    assert_non_null(values);
    support_ok(weights_read(w, t, values, &err), &err);
    for (int i = 0; i < 192; i++) { /* sines, then cosines, of position 0 */
        support_close((double)values[i], 0.0, 1e-6, "sine");
        support_close((double)values[192 + i], 1.0, 1e-6, "cosine");
    }
    free(values);
    weights_free(w);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_is_read),
        cmocka_unit_test(every_file_that_is_cut_off_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(tensors_that_are_wrong_are_refused),
        cmocka_unit_test(scalars_and_empty_tensors_are_read),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(whisper_tiny_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
