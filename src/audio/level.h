/* level.h: how loud a recording is, block by block: what the assessment and the removal of silence share. Not
 * installed.
 *
 * Level of a block: its power without its mean (so that a constant offset is silence), in dB of full scale, in steps of
 * LEVEL_STEP. Loudest level: the highest that at least 0.1 s of the recording reaches, so that a click does not set it.
 * Silence is a recording whose loudest level is under LEVEL_SILENCE, the last bit of 16-bit sound. */
#ifndef AUDIO_LEVEL_H
#define AUDIO_LEVEL_H
#include "audio/audio.h"

enum {
    LEVEL_BLOCK = 512, /* samples: 32 ms */
    LEVEL_STEP = 2,    /* dB */
    LEVEL_LOW = -200,  /* dBFS of level 0, with everything lower */
    LEVELS = 160
};
#define LEVEL_SILENCE (-90.0) /* dBFS */

/* The level of n samples (n > 0). mean and energy (sum of squares without the mean) may be NULL. */
size_t level_of(const float *samples, size_t n, double *mean, double *energy);
/* One more than the loudest level, of samples counted by level; 0 where there are too few. */
size_t level_loudest(const uint64_t samples_at[LEVELS]);
bool level_is_silence(size_t loudest);
#endif
