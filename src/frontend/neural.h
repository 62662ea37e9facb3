/* neural.h: a pretrained encoder as a front end; used by frontend.c, and by int8_measure.c. The functions are those of
 * frontend.h for these kinds. */
#ifndef FRONTEND_NEURAL_H
#define FRONTEND_NEURAL_H
#include "frontend/int8_measure.h"

typedef struct neural neural;
typedef struct neural_scratch neural_scratch;

/* "wav2vec2", "hubert", "wavlm", "whisper" */
bool neural_knows(const char *kind);
spoor_status neural_new(spoor_context *ctx, const json_t *config, const frontend_options *options, const char *prefix,
                        neural **out, spoor_error *err);
void neural_free(neural *fe);
size_t neural_dim(const neural *fe);
size_t neural_frames(const neural *fe, size_t n_samples);
const json_t *neural_config(const neural *fe);
encoder *neural_encoder(const neural *fe);
bool neural_embeds(const neural *fe);
spoor_status neural_read_param(const neural *fe, const param *p, float *out, spoor_error *err);
int64_t neural_states(const neural *fe, const int64_t **layers); /* the hidden states that it hands on */
/* The values of a parameter as the checkpoint has them; only where it is open. */
bool neural_has_checkpoint(const neural *fe);
spoor_status neural_read_checkpoint(const neural *fe, const param *p, float *out, spoor_error *err);
/* int8_measure of this encoder alone: *out is its plan. (int8_measure.c) */
spoor_status neural_measure(spoor_context *ctx, neural *fe, const int8_options *o, json_t **out, spoor_error *err);
spoor_status neural_scratch_new(const neural *fe, neural_scratch **out, spoor_error *err);
void neural_scratch_free(neural_scratch *s);
compute *neural_scratch_compute(neural_scratch *s);
/* Hidden states first .. the last of the encoder, of one recording; they live until the scratch object is used
 * again. */
spoor_status neural_hidden(const neural *fe, neural_scratch *s, const float *samples, size_t n, int64_t first,
                           tensor **hidden, spoor_error *err);
spoor_status neural_compute(const neural *fe, neural_scratch *s, const float *samples, size_t n, float *out,
                            spoor_error *err);
tensor *neural_forward(const neural *fe, neural_scratch *s, tape *t, tensor *wave, const encoder_training *training);
#endif
