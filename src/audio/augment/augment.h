/* augment.h: waveform augmentation of mono 16 kHz clips; the length never changes.
 *
 * An augment is a chain of steps made from a JSON list, e.g. [{"kind":"gain","p":0.5,"db":[-12,6]}, ...]. It never
 * changes, so loader threads share it; each thread has a scratch object. The result depends on the samples, the
 * sources and the rng alone: same seed, same bits.
 *
 * Each step happens with probability "p" (default 1). [a,b] is a range drawn from uniformly. Unknown keys are refused.
 *   noise      "snr":[5,30] dB, "color":["white","pink","brown"] (one is drawn)
 *   noise      with "files": "snr":[5,30] dB, "count":[1,1]: so many recordings of the set are drawn, and a stretch
 *              of each, all at the same level, and summed; one shorter than the clip is repeated. A stretch without any
 *              sound adds nothing
 *   babble     "snr":[5,30] dB, "talkers":[3,8]: other clips from augment_sources, each at the same level, summed
 *   room       "rt60":[0.1,0.8] s, "drr":[0,15] dB (direct-to-reverberant energy): direct path 1 at lag 0, a few early
 *              reflections, exponentially decaying noise, both darker than the direct path
 *   room       with "files": an impulse response of the set, y[i] = sum_k h[k] x[i + d - k] / sqrt(sum_k h[k]^2) with d
 *              the place of the largest |h|, the direct path: no delay, energy 1
 *   rawboost   "algo":5 or a list to draw from. Tak et al., ICASSP 2022: 1 linear and non-linear convolutive noise,
 *              2 impulsive signal-dependent noise, 3 stationary signal-independent noise, 4 = 1,2,3 in series,
 *              5 = 1,2 in series, 6 = 1,3, 7 = 2,3, 8 = 1 and 2 side by side, summed; the published parameters
 *   gain       "db":[-12,6]
 *   eq         "db":[-6,6], "knots":[3,8]: a smooth random magnitude curve between 60 Hz and 8 kHz, linear phase
 *   bandlimit  "low":[0,300], "high":[3000,8000] hertz (half-amplitude points; low under 40 Hz or high over 7900 Hz
 *              leaves that side open), linear phase
 *   codec      "codecs": list of "opus","vorbis","mp3","mulaw","alaw","adpcm","gsm","g721" (one is drawn; default the
 *              first five), "kbps":[8,64] for opus and mp3, "quality":[0,0.6] for vorbis (libsndfile's 0..1),
 *              "narrowband":0.5 probability that mulaw and alaw run at 8 kHz, as gsm and g721 always do. The delay of
 *              the
 *              codec is taken out
 *   telephone  "low":[200,400], "high":[3000,3600] hertz, then "codecs": list of "mulaw","alaw","gsm","g721" (one is
 *              drawn; default the first two) at 8 kHz: a call over a fixed line or GSM
 *   resample   "rate":[6000,15000] hertz: down to that rate and back
 *   speed      "factor":[0.95,1.05]: faster and higher, or slower and lower; cut or repeated to length
 *   mask       "count":[1,3], "seconds":[0.01,0.1]: stretches set to zero
 * Re-synthesis, as loud as the clip and without delay; each leaves traces of its own, as a vocoder does:
 *   griffin-lim     "iterations":8, "size":1024 or a list of 256,512,1024,2048 to draw from, "momentum":0.99:
 *   magnitudes of
 *                   the short-time spectrum, phases found by iterations from random ones
 *   mel             "iterations":8, "bands":80, "size":1024, "momentum":0.99: the same from a mel spectrum of
 *   magnitudes
 *   sinusoids       "peaks":30, "size":1024: the strongest peaks of every frame alone
 *   lpc             "order":18, "excitation":"pulse" or a list of "pulse","noise","mixed": linear prediction every 10
 *   ms;
 *                   pulses at the pitch where the clip is voiced, noise elsewhere
 *   channel-vocoder "bands":24, "excitation":"noise": such an excitation, in every band as strong as the clip is
 *   one        "of": list of steps, of which one is drawn, each as likely (and then happens with its own "p"): each on
 *   the clip as
 *              it is, where a chain would add them up */
#ifndef AUDIO_AUGMENT_H
#define AUDIO_AUGMENT_H
#include "base/context.h"
#include "base/rng.h"
#include <jansson.h>

#define AUGMENT_RATE 16000
#define AUGMENT_MAX_STEPS 32
#define AUGMENT_MAX_SAMPLES (120u * 16000u) /* two minutes */
#define AUGMENT_MAX_RESPONSE (20u * 16000u) /* samples of an impulse response */

typedef struct augment augment;
typedef struct augment_scratch augment_scratch;

/* Where babble takes its talkers from. */
typedef struct augment_sources {
    size_t count; /* clips that there are */
    void *user;
    /* Fill out[n] from clip `index` (< count), starting at the fraction `where` (0 <= where < 1) of it and going round
     * at its end. Called from several threads at once. */
    spoor_status (*fill)(void *user, size_t index, double where, float *out, size_t n, spoor_error *err);
} augment_sources;

/* What a step's "files" stand for. */
typedef struct augment_recordings {
    /* fill: `where` of a recording longer than n is the share of the possible beginnings, of a shorter one that of its
     * length, and it goes round */
    augment_sources stretch;
    /* All samples of a recording; *out is freed with ctx_free. Called from several threads at once. */
    spoor_status (*whole)(void *user, size_t index, float **out, size_t *n, spoor_error *err);
} augment_recordings;

typedef struct augment_set { /* recordings that steps name by "files" */
    const char *path;        /* as the list has it; belongs to the augment */
    bool room;               /* impulse responses, at most AUGMENT_MAX_RESPONSE samples; else noises */
} augment_set;

/* steps: a JSON list (NULL or empty: a chain that does nothing); only read. SPOOR_ERR_USAGE names step and key. */
spoor_status augment_new(spoor_context *ctx, const json_t *steps, augment **out, spoor_error *err);
void augment_free(augment *a);
/* The list with every default filled in; belongs to a. */
const json_t *augment_config(const augment *a);
/* The i-th distinct set that the chain needs; NULL after the last. */
const augment_set *augment_set_at(const augment *a, size_t i);
/* Give the i-th set its recordings, at least one, which must outlive a; not while a is in use. sha256 is their identity
 * and goes into the steps of augment_config. SPOOR_ERR_INPUT: a step asks for another. */
spoor_status augment_use_recordings(augment *a, size_t i, const augment_recordings *recordings, const char *sha256,
                                    spoor_error *err);
/* Some step needs augment_sources. */
bool augment_needs_sources(const augment *a);

spoor_status augment_scratch_new(const augment *a, augment_scratch **out, spoor_error *err);
void augment_scratch_free(augment_scratch *s);

/* Change x[n] in place. Exactly one number is drawn from r, whatever the chain does. sources may be NULL where no step
 * needs them, and every set must have its recordings (else SPOOR_ERR_USAGE). Samples that are not finite count as 0;
 * the result is finite. n = 0 does nothing.
 * On an error x holds its former contents or a part of the chain's work: discard it. */
spoor_status augment_apply(const augment *a, augment_scratch *s, const augment_sources *sources, rng *r, float *x,
                           size_t n, spoor_error *err);
#endif
