/* fuzz_safetensors.c: any bytes as a model file: opened, and if accepted, every element read. */
#include "weights/safetensors.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_everything(const safetensors *f) {
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        double *values = malloc(t->count * sizeof *values + 1);
        if (values == NULL || safetensors_find(f, t->name) != t) {
            abort();
        }
        safetensors_to_f64(t, values);
        safetensors_to_f32(t, (float *)(void *)values);
        free(values);
    }
    for (size_t i = 0; i < safetensors_meta_count(f); i++) {
        const char *key, *value;
        safetensors_meta_at(f, i, &key, &value);
        if (safetensors_meta(f, key) != value || strlen(value) > 100000000) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx;
    safetensors *f;
    spoor_error err = {0};
    if (spoor_context_new(NULL, &ctx, &err) != SPOOR_OK) {
        return 0;
    }
    spoor_status status = safetensors_open_memory(ctx, data, size, "fuzz", &f, &err);
    if (status == SPOOR_OK) {
        read_everything(f);
    } else if (f != NULL || err.message[0] == '\0') {
        abort();
    }
    safetensors_free(f);
    spoor_context_free(ctx);
    return 0;
}
