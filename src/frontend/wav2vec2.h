/* wav2vec2.h: the wav2vec 2.0 family over the tape: wav2vec 2.0 and XLS-R (Baevski et al. 2020, Babu et al. 2022),
 * HuBERT (Hsu et al. 2021), WavLM (Chen et al. 2022). Used by encoder.c alone. Parameter names are Hugging Face's:
 *   feature_extractor.conv_layers.I.conv.{weight [O,K,C],bias}, .layer_norm.{weight,bias}
 *   feature_projection.layer_norm.{weight,bias}, feature_projection.projection.{weight,bias}
 *   encoder.pos_conv_embed.conv.{weight [O,K,C/groups],bias}     (the product of weight norm, computed by encoder_load)
 *   encoder.layer_norm.{weight,bias}
 *   encoder.layers.I.attention.{q,k,v,out}_proj.{weight,bias}, .layer_norm.*, .final_layer_norm.*,
 *   .feed_forward.intermediate_dense.*, .feed_forward.output_dense.*
 *   WavLM: encoder.layers.I.attention.gru_rel_pos_const [1,H,1,1], .gru_rel_pos_linear.{weight,bias},
 *   encoder.layers.0.attention.rel_attn_embed.weight [buckets,H]
 * Kernels are [O,K,C] here, as op_conv1d wants them; PyTorch has [O,C,K] (dialect.h turns them). */
#ifndef FRONTEND_WAV2VEC2_H
#define FRONTEND_WAV2VEC2_H
#include "frontend/encoder.h"

typedef struct wav2vec2 wav2vec2;
spoor_status wav2vec2_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix, params *p,
                          wav2vec2 **out, spoor_error *err); /* adds its parameters to p */
void wav2vec2_free(wav2vec2 *m);
/* As encoder_forward. */
void wav2vec2_forward(const wav2vec2 *m, tape *t, tensor *input, int64_t first, const encoder_training *training,
                      tensor **hidden);
#endif
