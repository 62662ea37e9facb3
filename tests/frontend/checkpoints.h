/* checkpoints.h: tiny Hugging Face folders with random weights, for tests that need an encoder but not its opinion. */
#ifndef TESTS_CHECKPOINTS_H
#define TESTS_CHECKPOINTS_H
#include "base/io.h"
#include "base/rng.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct checkpoint_maker {
    spoor_context *ctx;
    safetensors_writer *w;
    float *data[256];
    size_t n;
    uint64_t seed;
} checkpoint_maker;

/* Random values that float16 holds exactly; norms' weights around 1. */
static inline void checkpoint_add(checkpoint_maker *m, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    int64_t shape[3] = {a, b, c};
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)shape[i];
    }
    float *x = malloc(count * sizeof *x);
    rng r = rng_make(m->seed, m->n);
    bool norm = strstr(name, "norm") != NULL && strstr(name, "weight") != NULL;
    for (size_t i = 0; i < count; i++) {
        float v = (float)(0.2 * rng_normal(&r)) + (norm ? 1.0f : 0.0f);
        x[i] = safetensors_f16_to_f32(safetensors_f32_to_f16(v));
    }
    spoor_error err = {0};
    support_ok(safetensors_writer_add(m->w, name, SAFETENSORS_F32, rank, shape, x, &err), &err);
    m->data[m->n++] = x;
}

static inline void checkpoint_pair(checkpoint_maker *m, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    char full[300];
    snprintf(full, sizeof full, "%s.weight", name);
    checkpoint_add(m, full, rank, a, b, c);
    snprintf(full, sizeof full, "%s.bias", name);
    checkpoint_add(m, full, 1, a, 0, 0);
}

static inline void checkpoint_write(checkpoint_maker *m, const char *folder, const char *config) {
    char path[512];
    spoor_error err = {0};
    support_ok(io_make_folder(folder, &err), &err);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    support_ok(safetensors_writer_save(m->w, path, &err), &err);
    snprintf(path, sizeof path, "%s/config.json", folder);
    support_ok(io_write_file(m->ctx, path, config, strlen(config), &err), &err);
    safetensors_writer_free(m->w);
    for (size_t i = 0; i < m->n; i++) {
        free(m->data[i]);
    }
    spoor_context_free(m->ctx);
}

static inline void checkpoint_block(checkpoint_maker *m, const char *prefix, const char *const parts[8], int64_t d,
                                    int64_t ff, bool key_bias) {
    char name[200];
    for (int i = 0; i < 8; i++) {
        int64_t out = i == 6 ? ff : d, in = i == 7 ? ff : d;
        snprintf(name, sizeof name, "%s.%s", prefix, parts[i]);
        if (i == 1 && !key_bias) {
            strcat(name, ".weight");
            checkpoint_add(m, name, 2, out, in, 0);
        } else if (i == 4 || i == 5) {
            checkpoint_pair(m, name, 1, d, 0, 0);
        } else {
            checkpoint_pair(m, name, 2, out, in, 0);
        }
    }
}

/* Whisper: width 16, 2 layers, 2 heads, 8 mel bands. */
static inline void checkpoint_whisper(const char *folder, uint64_t seed) {
    static const char *const parts[8] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
                                         "self_attn_layer_norm", "final_layer_norm", "fc1", "fc2"};
    checkpoint_maker m = {.ctx = support_context(), .seed = seed};
    spoor_error err = {0};
    char prefix[64];
    support_ok(safetensors_writer_new(m.ctx, &m.w, &err), &err);
    checkpoint_pair(&m, "model.encoder.conv1", 3, 16, 8, 3);
    checkpoint_pair(&m, "model.encoder.conv2", 3, 16, 16, 3);
    checkpoint_add(&m, "model.encoder.embed_positions.weight", 2, 1500, 16, 0);
    for (int i = 0; i < 2; i++) {
        snprintf(prefix, sizeof prefix, "model.encoder.layers.%d", i);
        checkpoint_block(&m, prefix, parts, 16, 24, false);
    }
    checkpoint_pair(&m, "model.encoder.layer_norm", 1, 16, 0, 0);
    checkpoint_write(&m, folder,
                     "{\"model_type\":\"whisper\",\"d_model\":16,\"encoder_layers\":2,\"encoder_attention_heads\":2,"
                     "\"encoder_ffn_dim\":24,\"num_mel_bins\":8,\"max_source_positions\":1500}");
}

/* wav2vec 2.0 as XLS-R is built: layer norms, pre-LN; 3 convolutions that make a frame of 40 samples, width 16, 2 layers. */
static inline void checkpoint_wav2vec2(const char *folder, uint64_t seed) {
    static const char *const parts[8] = {"attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.out_proj",
                                         "layer_norm", "final_layer_norm", "feed_forward.intermediate_dense",
                                         "feed_forward.output_dense"};
    static const int64_t kernels[3] = {10, 4, 4};
    checkpoint_maker m = {.ctx = support_context(), .seed = seed};
    spoor_error err = {0};
    char name[96];
    support_ok(safetensors_writer_new(m.ctx, &m.w, &err), &err);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "wav2vec2.feature_extractor.conv_layers.%d.conv", i);
        checkpoint_pair(&m, name, 3, 8, i == 0 ? 1 : 8, kernels[i]);
        snprintf(name, sizeof name, "wav2vec2.feature_extractor.conv_layers.%d.layer_norm", i);
        checkpoint_pair(&m, name, 1, 8, 0, 0);
    }
    checkpoint_pair(&m, "wav2vec2.feature_projection.layer_norm", 1, 8, 0, 0);
    checkpoint_pair(&m, "wav2vec2.feature_projection.projection", 2, 16, 8, 0);
    checkpoint_add(&m, "wav2vec2.encoder.pos_conv_embed.conv.bias", 1, 16, 0, 0);
    checkpoint_add(&m, "wav2vec2.encoder.pos_conv_embed.conv.weight_g", 3, 1, 1, 8);
    checkpoint_add(&m, "wav2vec2.encoder.pos_conv_embed.conv.weight_v", 3, 16, 4, 8);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "wav2vec2.encoder.layers.%d", i);
        checkpoint_block(&m, name, parts, 16, 24, true);
    }
    checkpoint_pair(&m, "wav2vec2.encoder.layer_norm", 1, 16, 0, 0);
    checkpoint_write(&m, folder,
                     "{\"model_type\":\"wav2vec2\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":2,"
                     "\"intermediate_size\":24,\"conv_dim\":[8,8,8],\"conv_kernel\":[10,4,4],\"conv_stride\":[10,2,2],"
                     "\"conv_bias\":true,\"feat_extract_norm\":\"layer\",\"do_stable_layer_norm\":true,"
                     "\"num_conv_pos_embeddings\":8,\"num_conv_pos_embedding_groups\":4}");
}
#endif
