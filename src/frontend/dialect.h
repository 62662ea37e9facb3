/* dialect.h: the names that checkpoints give to the parameters of an encoder, in one language. Known dialects: Hugging
 * Face (with and without a prefix such as "wav2vec2.", "hubert.", "wavlm.", "model.encoder."), fairseq (xlsr2_300m.pt,
 * wav2vec_small.pt, hubert_base_ls960.pt, also inside "model"), WavLM's own, torchaudio, OpenAI's and ggml's
 * Whisper. */
#ifndef FRONTEND_DIALECT_H
#define FRONTEND_DIALECT_H
#include "frontend/encoder.h"

typedef struct dialect dialect;

/* What the checkpoint is, from its names, its configuration if it has one, and its shapes. SPOOR_ERR_MODEL where it is
 * no encoder that is known, or where one of its tensors is missing, empty or quantised (w must outlive the result). */
spoor_status dialect_find(spoor_context *ctx, const weights *w, dialect **out, spoor_error *err);
void dialect_free(dialect *d);
const char *dialect_name(const dialect *d); /* "Hugging Face", "fairseq", "torchaudio", "WavLM", "OpenAI", "ggml" */
/* The architecture: config.json's where there is one (or the same as the string "config" in the metadata of a
 * safetensors file), else from shapes; what those do not show is taken as in published models, see dialect_sizes.c. */
const encoder_sizes *dialect_sizes(const dialect *d);
/* Values of the parameter `name` (Hugging Face's name, no prefix) into out, in our layout (kernels [O,K,C]; the
 * positional kernel put together from weight_g and weight_v or parametrizations.weight.original0/1; of Whisper's
 * positions also the first rows alone). SPOOR_ERR_MODEL names both the parameter and what the file calls it. */
spoor_status dialect_read(const dialect *d, const char *name, int ndim, const int64_t *dim, float *out,
                          spoor_error *err);
/* The same in PyTorch's layout, for spoor convert: how many parameters the file's encoder has, and one of them with its
 * shape. */
size_t dialect_count(const dialect *d);
typedef struct dialect_param {
    const char *name; /* Hugging Face's */
    int rank;
    int64_t shape[SAFETENSORS_MAX_RANK]; /* PyTorch's layout */
} dialect_param;
const dialect_param *dialect_at(const dialect *d, size_t i);
spoor_status dialect_read_at(const dialect *d, size_t i, float *out, spoor_error *err);
/* The tensor of the file that holds parameter i; *gain (NULL: none) is the gain [1,1,K] of its weight norm, and the
 * tensor then its direction. */
const weights_tensor *dialect_source(const dialect *d, size_t i, const weights_tensor **gain);
#endif
