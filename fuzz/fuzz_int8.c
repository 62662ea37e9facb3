/* fuzz_int8.c: any text as a calibration of int8 for a small encoder; one that is accepted is put into parameters of
 * every kind, and whatever was not refused is finite. */
#define _GNU_SOURCE
#include "frontend/int8.h"
#include "target.h"
#include <math.h>

static const char *const NAMES[] = {"conv2.weight",
                                    "layers.0.self_attn_layer_norm.weight",
                                    "layers.0.self_attn_layer_norm.bias",
                                    "layers.0.self_attn.q_proj.weight",
                                    "layers.0.self_attn.v_proj.weight",
                                    "layers.0.self_attn.v_proj.bias",
                                    "layers.0.self_attn.out_proj.weight",
                                    "layers.1.final_layer_norm.weight",
                                    "layers.1.fc1.weight",
                                    "layers.9.fc1.weight",
                                    "layers."};

static void use(const json_t *plan, const encoder_sizes *s) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        bool matrix = strstr(NAMES[i], "proj.weight") != NULL || strstr(NAMES[i], "fc1") != NULL;
        tensor shape = {.ndim = matrix ? 2 : 1, .dim = {s->width, matrix ? s->width : 0}};
        float values[16];
        for (size_t k = 0; k < 16; k++) {
            values[k] = (float)k - 7;
        }
        spoor_error err = {0};
        compute_precision precision = COMPUTE_INT8;
        spoor_status status = int8_apply(plan, s, NAMES[i], i % 2 == 0, &shape, values, &precision, &err);
        target_refused(status, &err);
        CHECK(precision == COMPUTE_INT8 || precision == COMPUTE_BF16);
        int8_fold_values(plan, s, NAMES[i], &shape, values);
        for (size_t k = 0; k < 16; k++) {
            CHECK(isfinite(values[k]));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const encoder_sizes s = {
        .kind = ENCODER_WHISPER, .width = 4, .layers = 2, .heads = 1, .ff = 4, .mels = 4, .positions = 10};
    spoor_error err = {0};
    json_t *plan = NULL;
    char *text = malloc(size + 1);
    CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    spoor_status status = int8_parse(text, &s, &plan, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (plan != NULL));
    if (plan != NULL) {
        use(plan, &s);
    }
    json_decref(plan);
    free(text);
    return 0;
}
