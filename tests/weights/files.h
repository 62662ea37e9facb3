/* files.h: small checkpoints made by hand, for the tests of their readers and of the commands that open them. */
#ifndef TESTS_WEIGHTS_FILES_H
#define TESTS_WEIGHTS_FILES_H
#include "weights/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes, one after the other ---- */

typedef struct bytes {
    unsigned char data[4096];
    size_t size;
} bytes;

static inline void put(bytes *b, const void *data, size_t n) {
    if (b->size + n > sizeof b->data) {
        abort();
    }
    memcpy(b->data + b->size, data, n);
    b->size += n;
}

static inline void put_number(bytes *b, int64_t value) {
    uint32_t v = (uint32_t)value;
    unsigned char p[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24)};
    put(b, p, 4);
}

/* ---- a ggml file ---- */

static const char GGML_NAMES[3][32] = {"encoder.conv1.weight", "encoder.conv1.bias", "encoder.ln_post.weight"};
static const float GGML_CONV[12] = {0, 1, 2, 3, 4, 5, 6, 7, -8, 9.5f, -0.0f, 11};
static const float GGML_BIAS[2] = {0.5f, -2};
static const float GGML_NORM[2] = {1.0f, 3.14159274f};

/* Magic, hyper-parameters (n_mels 2), filters of 2 x 3, two words. */
static inline void ggml_begin(bytes *b) {
    static const int hyper[11] = {2, 1500, 4, 1, 1, 448, 4, 1, 1, 2, 1};
    b->size = 0;
    put_number(b, 0x67676d6c);
    for (int i = 0; i < 11; i++) {
        put_number(b, hyper[i]);
    }
    put_number(b, 2);
    put_number(b, 3);
    for (int i = 0; i < 6; i++) {
        put(b, &GGML_NORM[0], 4);
    }
    put_number(b, 2);
    put_number(b, 3);
    put(b, "the", 3);
    put_number(b, 0);
}

/* The innermost size comes first. */
static inline void ggml_head(bytes *b, const char *name, int64_t type, int64_t rank, const int64_t *size) {
    put_number(b, rank);
    put_number(b, (int64_t)strlen(name));
    put_number(b, type);
    for (int64_t i = 0; i < rank && i < 8; i++) {
        put_number(b, size[i]);
    }
    put(b, name, strlen(name));
}

/* conv1.weight [2,2,3] as F16, conv1.bias [2,1] and ln_post.weight [2] as F32. */
static inline void ggml_make(bytes *b) {
    ggml_begin(b);
    ggml_head(b, GGML_NAMES[0], 1, 3, (int64_t[]){3, 2, 2});
    for (int i = 0; i < 12; i++) {
        uint16_t half = safetensors_f32_to_f16(GGML_CONV[i]);
        put(b, &half, 2);
    }
    ggml_head(b, GGML_NAMES[1], 0, 2, (int64_t[]){1, 2});
    put(b, GGML_BIAS, sizeof GGML_BIAS);
    ggml_head(b, GGML_NAMES[2], 0, 1, (int64_t[]){2});
    put(b, GGML_NORM, sizeof GGML_NORM);
}

/* ---- a safetensors file of F32 vectors ---- */

typedef struct vector {
    const char *name;
    int64_t n;
    const float *values;
} vector;

static inline spoor_status vectors_write(spoor_context *c, const char *file, const vector *v, size_t n, spoor_error *e) {
    safetensors_writer *w;
    TRY(safetensors_writer_new(c, &w, e));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; i < n && status == SPOOR_OK; i++) {
        status = safetensors_writer_add(w, v[i].name, SAFETENSORS_F32, 1, &v[i].n, v[i].values, e);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, file, e);
    }
    safetensors_writer_free(w);
    return status;
}
#endif
