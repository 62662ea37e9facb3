/* container.h: is the file as long as its own header says? libsndfile quietly shortens a truncated recording. */
#ifndef AUDIO_CONTAINER_H
#define AUDIO_CONTAINER_H
#include "audio/source.h"

typedef enum container_kind {
    CONTAINER_UNKNOWN, /* none of the first bytes below */
    CONTAINER_KNOWN,   /* starts like a sound file */
    CONTAINER_OPEN_MP3 /* MP3 layer III that does not say how long it is, or says too little */
} container_kind;

/* SPOOR_ERR_INPUT with a sentence if the header of WAV, RF64, W64, AIFF, 8SVX, AU, CAF, VOC, NIST, Ogg or MP3 (with a
 * Xing or Info frame) promises more bytes than there are. Lengths that writers to a pipe leave open (0, all ones, sox'
 * and ffmpeg's largest values) promise nothing. A chained Ogg, of
 * which libsndfile would give the first recording only, is refused as well. *kind tells a broken sound file from
 * something else. */
spoor_status container_check(source *s, const char *shown, container_kind *kind, spoor_error *err);

/* libsndfile guesses the length of such an MP3 from its first frame and stops there, which loses the rest of one with
 * a variable bit rate. This makes the length frame that is missing: it belongs before the byte *from of the file and
 * names more frames than the file can hold, so that decoding goes on to the end. The number of bytes, 0 if none. */
enum { CONTAINER_MP3_FRAME = 1500 };
size_t container_mp3_frame(source *s, unsigned char frame[CONTAINER_MP3_FRAME], uint64_t *from);
#endif
