/* silence.h: the stream of a recording with its silences taken out; audio.h has the rule. Not installed. */
#ifndef AUDIO_SILENCE_H
#define AUDIO_SILENCE_H
#include "audio/level.h"

typedef struct silence silence;
spoor_status silence_new(spoor_context *ctx, const audio_silence *how, silence **out, spoor_error *err);
void silence_free(silence *s);
/* Back to the beginning of the recording, whose levels are kept. */
void silence_restart(silence *s);
/* As audio_read. The first call reads the whole recording once for its levels and rewinds it. */
spoor_status silence_read(silence *s, spoor_audio *audio, float *out, size_t n, size_t *got, spoor_error *err);
uint64_t silence_removed(const silence *s); /* samples so far */

/* audio.c: the recording as it is. */
spoor_status audio_read_whole(spoor_audio *audio, float *out, size_t n, size_t *got, spoor_error *err);
spoor_status audio_rewind_whole(spoor_audio *audio, spoor_error *err);
#endif
