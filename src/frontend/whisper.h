/* whisper.h: Whisper's encoder over the tape (Radford et al. 2022) and its log-mel input. Used by encoder.c and
 * frontend.c alone. Parameter names are Hugging Face's:
 *   conv1.{weight [O,K,C],bias}, conv2.*, embed_positions.weight [positions, d],
 *   layers.I.self_attn.{q_proj,k_proj (no bias),v_proj,out_proj}.*, layers.I.self_attn_layer_norm.*,
 *   layers.I.fc1.*, layers.I.fc2.*, layers.I.final_layer_norm.*, layer_norm.* (after the last layer of the whole model)
 * Only as many positions as the input has frames are used: a recording is not padded to 30 s, and may not be longer. */
#ifndef FRONTEND_WHISPER_H
#define FRONTEND_WHISPER_H
#include "frontend/encoder.h"

enum { WHISPER_HOP = 160, WHISPER_FFT = 400, WHISPER_MAX_SAMPLES = 480000 };

typedef struct whisper whisper;
spoor_status whisper_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix, params *p,
                         whisper **out, spoor_error *err);
void whisper_free(whisper *m);
void whisper_forward(const whisper *m, tape *t, tensor *input, int64_t first, const encoder_training *training,
                     tensor **hidden);

/* Whisper's input: log10 of the mel spectrum (periodic Hann 400, hop 160, centred with mirrored ends, the last frame
 * dropped; slaney filters to 8 kHz), held above its highest value - 8, (x + 4) / 4. whisper_mel.c */
typedef struct whisper_mel whisper_mel;                 /* tables; immutable, threads share them */
typedef struct whisper_mel_scratch whisper_mel_scratch; /* what a computation writes to: one per thread */
spoor_status whisper_mel_new(spoor_context *ctx, int64_t mels, whisper_mel **out, spoor_error *err);
void whisper_mel_free(whisper_mel *m);
spoor_status whisper_mel_scratch_new(spoor_context *ctx, whisper_mel_scratch **out, spoor_error *err);
void whisper_mel_scratch_free(whisper_mel_scratch *s);
int64_t whisper_mel_frames(int64_t n_samples); /* n / 160, at least 1 for n >= 1 */
/* out [frames, mels], finite for finite samples. Runs on the calling thread and allocates nothing. SPOOR_ERR_USAGE: no
 * sample; SPOOR_ERR_LIMIT: more than WHISPER_MAX_SAMPLES. */
spoor_status whisper_mel_compute(const whisper_mel *m, whisper_mel_scratch *s, const float *samples, int64_t n,
                                 float *out, spoor_error *err);
/* Weight of spectrum bin `bin` (0 .. 200) in band `band`: what a ggml file also holds. */
float whisper_mel_weight(const whisper_mel *m, int64_t band, int64_t bin);
#endif
