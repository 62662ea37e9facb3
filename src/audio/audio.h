/* audio.h: sound in. Bytes -> decoded channels -> one mono channel -> 16 kHz -> windows, all in memory that does not
 * grow with the recording; and the verdict whether a recording can be assessed at all.
 * The public part (spoor_audio_open and friends) is in spoor/spoor.h. Augmentation is in audio/augment/.
 *
 * A truncated file, a header that promises more than the file holds, a decoder error: SPOOR_ERR_INPUT, never a part of
 * the recording passed off as the whole. Some formats show the cut only at the end of decoding, so every reader here
 * may return SPOOR_ERR_INPUT late, and SPOOR_ERR_CANCELLED where the context's cancel callback asks for it. What cannot
 * be noticed: an MP3 that was cut between two frames and has no length frame. */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H
#include "base/context.h"
#include <jansson.h>

#define AUDIO_RATE 16000                      /* hertz of everything behind audio_read */
#define AUDIO_WINDOW 64600                    /* samples of a window: 4.0375 s, as ASVspoof systems use */
#define AUDIO_RATE_MIN 4000.0                 /* source rates, hertz */
#define AUDIO_RATE_MAX 192000.0
#define AUDIO_CHANNELS_MAX 1024               /* libsndfile's own limit */
#define AUDIO_SECONDS_MAX (7.0 * 24 * 3600)   /* longest recording that is read */
#define AUDIO_SPOOL_MAX (4ull << 30)          /* bytes of standard input that are put aside in a temporary file */
#define AUDIO_LOAD_SECONDS_MAX 3600.0         /* longest clip for audio_load */

/* ---- what the file is --------------------------------------------------------------------------------- */

typedef struct audio_info {
    const char *name;    /* the path as given, "standard input", "memory" or "samples"; lives as long as the audio */
    const char *format;  /* "WAV (Microsoft), Signed 16 bit PCM"; lives as long as the audio */
    double seconds;      /* by the header; negative where it does not say */
    double rate;         /* of the source, hertz */
    int channels;        /* of the source */
} audio_info;

audio_info audio_get_info(const spoor_audio *audio);
spoor_context *audio_context(const spoor_audio *audio);
const char *audio_shown_name(const spoor_audio *audio); /* printable and short, for sentences; lives as long as the
                                                         * audio */

/* SHA-256 of the bytes of the file (of the float samples for spoor_audio_open_samples), 64 hexadecimal digits. */
spoor_status audio_sha256(spoor_audio *audio, char hex[65], spoor_error *err);

/* ---- streaming ---------------------------------------------------------------------------------------- */

/* Up to n samples of mono 16 kHz into out; *got < n only at the end, *got = 0 after it. The samples do not depend on
 * the sizes asked for. They are finite: NaN, infinities and values beyond 1e6 become 0 and are counted (audio_levels).
 * PCM is scaled to [-1, 1); float files keep their values. */
spoor_status audio_read(spoor_audio *audio, float *out, size_t n, size_t *got, spoor_error *err);

/* Back to the beginning: the same samples come again, and the counts of audio_levels start anew. */
spoor_status audio_rewind(spoor_audio *audio, spoor_error *err);

/* What was seen so far at the source rate, after mix-down, before resampling. */
typedef struct audio_levels {
    uint64_t samples;    /* mono samples at the source rate */
    uint64_t invalid;    /* of these: NaN, infinite or beyond 1e6 */
    uint64_t clipped;    /* of these: |x| >= 0.99 */
    double peak;         /* max |x| of the valid ones */
    double rounding;     /* rounding noise of the source's sample format, as the variance of white noise of the same
                          * density in the 16 kHz signal; 0 where it is not known (float, lossy) or tiny (24 bit) */
    double companding;   /* the same for mu-law and A-law, as a share of the sound's own power; else 0 */
} audio_levels;

audio_levels audio_get_levels(const spoor_audio *audio);

/* The whole recording, from the beginning. *samples is freed with ctx_free. Over AUDIO_LOAD_SECONDS_MAX:
 * SPOOR_ERR_LIMIT. */
spoor_status audio_load_open(spoor_audio *audio, float **samples, size_t *n, spoor_error *err);
/* The same by its path. options may be NULL. */
spoor_status audio_load(spoor_context *ctx, const char *path, const spoor_audio_options *options, float **samples,
                        size_t *n, spoor_error *err);

/* ---- without its silences ------------------------------------------------------------------------------ */

/* Blocks of 512 samples (32 ms of 16 kHz) that lie `below` dB or more under the recording's loudest level (level.h; in
 * steps of 2 dB) are silent: with 40 dB, those that the assessment does not count as signal. A silence at the beginning
 * or the end is cut down to `margin` seconds beside the sound; one between sounds that lasts `inner` seconds or more to
 * `margin` beside either. What is left is joined without a fade. A recording that is silent altogether (under -90 dBFS,
 * or too short to say) stays as it is. The recording is read twice, in memory that does not grow with it. */
typedef struct audio_silence {
    double below;  /* dB, 6 to 100 */
    double inner;  /* seconds, up to 10 and at least two margins */
    double margin; /* seconds, 0 to 5 */
} audio_silence;
void audio_silence_init(audio_silence *how); /* 40 dB, 0.3 s, 0.1 s */
/* SPOOR_ERR_USAGE for what is out of range, as `where`.below and so on. */
spoor_status audio_silence_check(const audio_silence *how, const char *where, spoor_error *err);
/* {"below", "inner", "margin"}, each of which may be missing; and back (a new reference; NULL: out of memory). */
spoor_status audio_silence_from_json(const json_t *json, const char *where, audio_silence *out, spoor_error *err);
json_t *audio_silence_to_json(const audio_silence *how);
/* The identity of a recording without its silences from that of the whole one, both SHA-256, in place. */
void audio_silence_identity(const audio_silence *how, char hex[65]);

/* From now on, and from the beginning, the recording is read without its silences; how = NULL: whole. Whatever its
 * options. */
spoor_status audio_set_silence(spoor_audio *audio, const audio_silence *how, spoor_error *err);
/* The same where its options leave that to the model (SPOOR_SILENCE_AS_TRAINED), and audio_set_silence was never
 * called. */
spoor_status audio_follow_silence(spoor_audio *audio, const audio_silence *how, spoor_error *err);
/* Seconds that were taken out of what was read so far; negative where it is read whole. */
double audio_silence_removed(const spoor_audio *audio);

/* ---- is there enough to judge? ------------------------------------------------------------------------ */

typedef enum audio_verdict {
    AUDIO_ASSESSABLE,
    AUDIO_INVALID_SAMPLES, /* NaN, infinite or absurd sample values */
    AUDIO_SILENT,          /* nothing above -90 dBFS */
    AUDIO_TOO_SHORT,       /* less than 0.5 s of signal */
    AUDIO_NARROW           /* less than 3 kHz of bandwidth */
} audio_verdict;

typedef struct audio_assessment {
    audio_verdict verdict;
    char reason[160];      /* one sentence; "" when assessable */
    double seconds;        /* of the recording */
    double active_seconds; /* of signal, see assess.c */
    double peak_dbfs;      /* 20 log10 of the largest |x|; -200 for silence */
    double rms_dbfs;       /* of the signal part; -200 for silence */
    double clipped;        /* share of source samples with |x| >= 0.99 */
    double bandwidth;      /* hertz, to within 125; 0 for silence */
} audio_assessment;

typedef struct audio_assess audio_assess;
/* Judges the recording of `audio` (not NULL), which must outlive it. */
spoor_status audio_assess_new(spoor_context *ctx, const spoor_audio *audio, audio_assess **out, spoor_error *err);
void audio_assess_free(audio_assess *a);
/* Every 16 kHz sample of the recording, once, in order, in pieces of any size (audio_windows does it for you). */
void audio_assess_add(audio_assess *a, const float *samples, size_t n);
/* The answer, once, after the last sample. */
void audio_assess_finish(audio_assess *a, audio_assessment *out);

/* ---- windows ------------------------------------------------------------------------------------------ */

typedef struct audio_window {
    double start, end;   /* seconds in the recording; end <= its length also where the clip was repeated */
    size_t index;        /* 0, 1, 2, ... */
} audio_window;

/* Windows of AUDIO_WINDOW samples that start at 0, hop, 2 hop, ...; where the last of these does not end with the
 * recording, one more is aligned to its end. A recording shorter than a window gives one window, repeated to length.
 * (One of a few samples can resample to nothing and gives no window; the assessment calls it too short. One without
 * any sample is an error.) Memory: one window, however long the recording. */
typedef struct audio_windows audio_windows;
/* Starts the audio from the beginning. hop in samples of 16 kHz, 0 = AUDIO_WINDOW. assess (may be NULL) is given every
 * sample of the recording. audio and assess must outlive the windows. */
spoor_status audio_windows_new(spoor_context *ctx, spoor_audio *audio, size_t hop, audio_assess *assess,
                               audio_windows **out, spoor_error *err);
void audio_windows_free(audio_windows *w);
/* Fills samples[AUDIO_WINDOW] and *window, *more = true; or *more = false after the last one. */
spoor_status audio_windows_next(audio_windows *w, float *samples, audio_window *window, bool *more, spoor_error *err);
#endif
