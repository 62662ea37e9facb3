/* fuzz_ggml.c: any bytes as a ggml Whisper file: opened, and if accepted, every element read. */
#define _GNU_SOURCE
#include "target.h"
#include "weights/ggml.h"

/* What the header promises of a tensor. */
static void check_tensor(const uint8_t *data, size_t size, const safetensors_tensor *t) {
    size_t count = 1, n = strlen(t->name);
    CHECK(t->rank >= 0 && t->rank <= GGML_MAX_RANK && n > 0 && n <= SAFETENSORS_MAX_NAME);
    for (int i = 0; i < t->rank; i++) {
        CHECK(t->shape[i] >= 0);
        count *= (size_t)t->shape[i];
    }
    CHECK(count == t->count && count * safetensors_dtype_size(t->dtype) == t->bytes);
    CHECK(t->data >= data && t->data + t->bytes <= data + size);
    for (size_t i = 0; i < n; i++) {
        CHECK((unsigned char)t->name[i] >= 0x20);
    }
    float *values = malloc(count * sizeof *values + 1);
    CHECK(values != NULL);
    safetensors_to_f32(t, values);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    ggml_file *f = NULL;
    spoor_status status = ggml_file_open_memory(ctx, data, size, "fuzz", &f, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (f != NULL));
    for (size_t i = 0; f != NULL && i < ggml_file_count(f); i++) {
        check_tensor(data, size, ggml_file_at(f, i));
    }
    CHECK(f == NULL || (ggml_begins(data, size) && ggml_file_count(f) > 0 && json_is_object(ggml_file_config(f))));
    ggml_file_free(f);
    spoor_context_free(ctx);
    return 0;
}
