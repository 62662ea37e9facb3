/* encoder.h: pretrained encoders as one thing: wav2vec 2.0, HuBERT, WavLM, XLS-R (wav2vec2.c) and Whisper's encoder
 * (whisper.c), from prepared input to hidden states, written once over the tape. Names of parameters and of settings
 * are those of Hugging Face, whatever file they came from (dialect.h). */
#ifndef FRONTEND_ENCODER_H
#define FRONTEND_ENCODER_H
#include "nn/params.h"
#include "tensor/ops.h"
#include "weights/weights.h"
#include <jansson.h>

enum { ENCODER_MAX_LAYERS = 96, ENCODER_MAX_CONVS = 16 };

typedef enum encoder_kind { ENCODER_WAV2VEC2, ENCODER_HUBERT, ENCODER_WAVLM, ENCODER_WHISPER } encoder_kind;
extern const char *const ENCODER_KINDS[]; /* their names, as "model_type" and as kinds of front ends; NULL behind the
                                           * last */

/* The architecture, as read from Hugging Face's config.json (or found from a checkpoint's shapes, dialect.h). JSON
 * keys, which are also those of encoder_describe: "model_type" and, for the wav2vec 2.0 family, "hidden_size",
 * "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim", "conv_kernel", "conv_stride",
 * "conv_bias",
 * "feat_extract_norm" ("group": group norm after the first convolution, "layer": layer norm after each),
 * "do_stable_layer_norm" (pre-LN), "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "layer_norm_eps",
 * WavLM: "num_buckets", "max_bucket_distance"; for Whisper: "d_model", "encoder_layers", "encoder_attention_heads",
 * "encoder_ffn_dim", "num_mel_bins", "max_source_positions". Other keys of a config.json are ignored, but where one
 * asks for something that is not built in (an adapter, another activation than gelu) it is refused by name. */
typedef struct encoder_sizes {
    encoder_kind kind;
    int64_t width, layers, heads, ff;      /* of the transformer */
    int64_t n_convs, conv_dim[ENCODER_MAX_CONVS], conv_kernel[ENCODER_MAX_CONVS], conv_stride[ENCODER_MAX_CONVS];
    bool conv_bias, conv_layer_norm, pre_norm; /* pre_norm: layer norm before attention and feed-forward, and at the
                                                * end */
    int64_t pos_kernel, pos_groups;        /* positional convolution */
    int64_t buckets, max_distance;         /* WavLM */
    int64_t mels, positions;               /* Whisper */
    double eps;
} encoder_sizes;

typedef struct encoder_training { /* what changes when an encoder is trained */
    double layer_drop;   /* probability that a transformer layer is left out of a step */
    bool checkpoint;     /* keep only the layers' inputs for backward */
    double dropout;      /* after attention and in the feed-forward, as hidden_dropout, activation_dropout */
} encoder_training;

typedef struct encoder encoder;

/* An encoder of which hidden states 0 .. last are wanted: layers above are not made. trainable: parameters with
 * gradients (values follow by encoder_load, else they are random from seed); not: frozen, packed by encoder_load.
 * prefix goes before every parameter's name ("" or "frontend."). SPOOR_ERR_USAGE names the setting that is wrong. */
spoor_status encoder_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix,
                         bool trainable, uint64_t seed, encoder **out, spoor_error *err);
void encoder_free(encoder *e);
params *encoder_params(encoder *e);
const encoder_sizes *encoder_get_sizes(const encoder *e);
int64_t encoder_last(const encoder *e);

/* From config.json's object; defaults as Hugging Face has them. */
spoor_status encoder_sizes_from_json(const json_t *config, encoder_sizes *out, spoor_error *err);
json_t *encoder_describe(const encoder_sizes *s); /* a new reference; NULL: out of memory */

/* How the encoder is computed in int8 (int8.h), checked by int8_check; NULL: without a plan. Borrowed: before the
 * values are given, and needed until they are. Nothing is done with it in another precision. */
void encoder_plan(encoder *e, const json_t *plan);
/* In which precision the product of this parameter is made where a precision was asked for, without a plan. */
compute_precision encoder_precision(const encoder *e, const param *item, compute_precision asked);
const char *encoder_name(const encoder *e, const param *item); /* its name without the prefix */

/* Values from a checkpoint in any dialect; precision is that of the products of a frozen encoder (which layers keep a
 * higher one: encoder.c). SPOOR_ERR_MODEL names what is missing or has a wrong shape. */
spoor_status encoder_load(encoder *e, const weights *w, compute_precision precision, spoor_error *err);
/* Values from named tensors "PREFIX..." of a model file, laid out as encoder_params has them. */
typedef spoor_status (*encoder_read_fn)(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                        spoor_error *err);
spoor_status encoder_load_from(encoder *e, encoder_read_fn read, void *user, compute_precision precision,
                               spoor_error *err);

/* Frames that come of `in` samples (wav2vec 2.0 family) or mel frames (Whisper); 0 where they are too few. */
int64_t encoder_frames(const encoder_sizes *s, int64_t in);
/* Fewest samples (mel frames) that give a frame. */
int64_t encoder_least(const encoder_sizes *s);

/* input: [B,n] samples, normalised as the caller wants, or Whisper's [B,frames,mels]. hidden[0 .. last]: [B,T,width]
 * each; hidden[0] is what goes into the first transformer layer, hidden[l] what layer l gives (with pre_norm the last
 * layer of the whole model is followed by the final layer norm: as Hugging Face's output_hidden_states). Hidden states
 * below `first` are not kept (NULL). training may be NULL. Sticky errors. */
void encoder_forward(const encoder *e, tape *t, tensor *input, int64_t first, const encoder_training *training,
                     tensor **hidden);
#endif
