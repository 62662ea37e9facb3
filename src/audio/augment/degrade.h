/* degrade.h: what happens to recordings on their way: named, fixed chains of augmentation steps, with which a model is
 * measured rather than trained. A name is a kind and, where it has one, a strength:
 *   clean        as it is
 *   no-silence   without its silences (audio.h)
 *   with-silence with them, whatever the model does
 *   mp3-N        MP3 at N kb/s (8 to 160) and back
 *   opus-N       Opus at N kb/s (6 to 160) and back
 *   vorbis-N     Vorbis at quality N (0 to 1, libsndfile's) and back
 *   telephone    300 to 3,400 Hz, 8 kHz, mu-law, and back
 *   gsm          GSM 06.10 at 8 kHz and back
 *   noise-N      white noise, N dB (-20 to 60) under the recording
 *   pink-N       the same with pink noise
 *   reverb-N     a synthetic room, another for each recording, whose sound falls by 60 dB in N s (0.1 to 3); as much
 *                energy comes by the walls as on the direct path
 *   band-LOW-HIGH  from LOW (0 to 2000) to HIGH (2500 to 8000) Hz alone
 * Silence is the business of whoever reads the recording; the rest is done on 16 kHz samples. */
#ifndef AUDIO_AUGMENT_DEGRADE_H
#define AUDIO_AUGMENT_DEGRADE_H
#include "audio/augment/augment.h"

/* The names that stand for all conditions of the field at once:
 * "clean,no-silence,mp3-64,opus-16,telephone,noise-20". */
#define DEGRADE_ALL "clean,no-silence,mp3-64,opus-16,telephone,noise-20"

typedef struct degrade degrade;

/* SPOOR_ERR_USAGE for a name that is none. seed: of the noise. */
spoor_status degrade_new(spoor_context *ctx, const char *name, uint64_t seed, degrade **out, spoor_error *err);
void degrade_free(degrade *d);
const char *degrade_name(const degrade *d);  /* belongs to d, as the next */
const json_t *degrade_steps(const degrade *d); /* the chain with every default filled in; an empty list */
bool degrade_changes(const degrade *d);      /* it has steps */
/* 1: silences are to be taken out, 0: to be kept, -1: it says nothing of them. */
int degrade_silence(const degrade *d);

/* Change x[n] in place. The random numbers depend on the seed and on id (the recording's name) alone. A recording over
 * AUGMENT_MAX_SAMPLES goes through in equal pieces, each on its own. Safe from several threads. */
spoor_status degrade_apply(const degrade *d, const char *id, float *x, size_t n, spoor_error *err);
#endif
