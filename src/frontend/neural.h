/* neural.h: a pretrained encoder as a front end; used by frontend.c alone. The functions are those of frontend.h for
 * these kinds. */
#ifndef FRONTEND_NEURAL_H
#define FRONTEND_NEURAL_H
#include "frontend/frontend.h"

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
spoor_status neural_scratch_new(const neural *fe, neural_scratch **out, spoor_error *err);
void neural_scratch_free(neural_scratch *s);
spoor_status neural_compute(const neural *fe, neural_scratch *s, const float *samples, size_t n, float *out,
                            spoor_error *err);
tensor *neural_forward(const neural *fe, neural_scratch *s, tape *t, tensor *wave, const encoder_training *training);
#endif
