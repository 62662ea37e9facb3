/* frontend.h: from mono 16 kHz samples to features [frames, dim], float32, row-major: spectral kinds, pretrained
 * encoders, and several of them side by side.
 *
 * A front end is made from a JSON object (of the recipe or of a model file's metadata; both are taken as hostile) and
 * never changes afterwards, so threads share it. What a computation writes to lies in a scratch object, one per thread.
 * The same samples give the same bits on every call, whatever the scratch object was used for before.
 *
 * Configuration: key, default, meaning. An unknown key, or a key that the kind does not use, is refused by name.
 *   "kind"          required  "log-mel", "lfcc", "linear-spectrogram", "waveform", a pretrained encoder or
 *                             "join" (below)
 *   "n_fft"         512       even, 16..8192, prime factors 2, 3 and 5 only
 *   "win_length"    400       1..n_fft (lfcc: 320)
 *   "hop_length"    160       16..n_fft
 *   "window"        "hann"    "hann" or "hamming" (lfcc: "hamming")
 *   "periodic"      true      window as torch makes it (denominator win_length); false: as MATLAB (win_length - 1)
 *   (lfcc: false)
 *   "center"        true      frame t is centred on sample t * hop and the ends are mirrored (torch.stft center=True);
 *                             false: frames lie inside the signal (lfcc: false)
 *   "pad_end"       false     with center false: frames of win_length start at sample 0 and the last one is filled up
 *                             with zeros (MATLAB's buffer(..., 'nodelay')), instead of torch.stft's frames of n_fft
 *                             (lfcc: true unless center is true)
 *   "power"         2         2 (power) or 1 (magnitude)
 *   "preemphasis"   0         x[t] - a x[t-1], 0..1, x[-1] = 0 (lfcc: 0.97)
 *   "f_min","f_max" 20, 7600  hertz, 0 <= f_min < f_max <= 8000 (lfcc and linear-spectrogram: 0, 8000)
 *   "n_mels"        80        log-mel: bands, 1..512
 *   "mel_scale"     "slaney"  log-mel: "slaney" or "htk"
 *   "norm"          "slaney"  log-mel: "slaney" (area) or null
 *   "n_filter"      20        lfcc: triangular filters equally spaced in hertz, 1..512
 *   "n_lfcc"        20        lfcc: coefficients kept of the orthonormal DCT-II, 1..n_filter
 *   "log"           "ln"      "ln" or "log10" (lfcc: "log10")
 *   "log_floor"     1e-10     > 0 (lfcc: 2.220446049250313e-16, MATLAB's eps)
 *   "log_floor_mode" "clamp"  "clamp": log(max(x, floor)); "add": log(x + floor) (lfcc: "add")
 *   "flatten"       0         log-mel, linear-spectrogram: odd number of bands, 3..255; each frame's logarithm minus
 *   its
 *                             moving average over that many bands (ends repeated). Takes away level, channel and
 *                             formants and leaves the fine structure, where waveform makers leave their traces. 0: off
 *   "deltas"        0         0, 1 or 2 orders appended to each row (lfcc: 2)
 *   "delta_span"    1         N of d[t] = sum_{n=1..N} n (c[t+n] - c[t-n]), ends repeated; 1..8
 *   "delta_norm"    true      divide by 2 sum n^2 (torchaudio, ASVspoof 2021); false: do not (ASVspoof 2019) (lfcc:
 *   false)
 *   "level"         "none"    waveform scaled before anything else: "rms" (to 0.1), "peak" (to 1) or "none"
 *   "normalise"     "none"    per recording and column over time, before stacking: "mean" (subtracted), "mean-var"
 *                             (then divided by sqrt(variance + 1e-5)) or "none"
 *   "stack"         1         1..16 consecutive frames joined into one row; an incomplete last row is dropped
 *
 * The lfcc defaults are the ASVspoof 2019 baseline (Sahidullah, Kinnunen and Hanilci, Interspeech 2015): pre-emphasis
 * 0.97, 20 ms symmetric Hamming window, 10 ms hop, 512-point FFT, 20 linear triangular filters over 0..8 kHz,
 * log10(x + eps), all 20 coefficients of the DCT-II, deltas and double deltas x[t+1] - x[t-1]: 60 columns.
 * The ASVspoof 2021 LFCC differs: {"kind":"lfcc","n_fft":1024,"win_length":480,"hop_length":240,"preemphasis":0,
 * "n_filter":70,"n_lfcc":19,"f_max":4000,"delta_norm":true}. *
 * "waveform": the samples themselves, "hop" (200; 16..16384) of them in each row, for networks that begin with filters
 * of their own (network kind "aasist", input: waveform). A rest that fills no row is dropped. No other key.
 *
 * Pretrained encoders: "kind" is "wav2vec2" (also XLS-R), "hubert", "wavlm" or "whisper".
 *   "weights"       required  path of a checkpoint in any form that weights.h reads; relative to the recipe (or model
 *   file),
 *                             else to the folder $SPOOR_WEIGHTS. Not asked for where a model file holds the weights
 *   "from"          ""        where to get it: said when it is missing
 *   "layer"         the last  hidden state, 0 = what goes into the first transformer layer; as Hugging Face counts
 *   "layers"        -         several, ascending: side by side in each row (network.mix makes a learned weighted sum of
 *   them)
 *   "input"         "normalised"  wav2vec 2.0 family: "normalised" to zero mean and unit variance (Hugging Face), "raw"
 *   (fairseq)
 *   "normalise"     "none"    per recording and column over time, as above
 *   "precision"     "f32"     of matrix products: "f32", "bf16" or "int8"
 *   "positions"     the file's  whisper: longest input in frames of 20 ms (a model file that holds the weights is
 *   smaller)
 *   "embed"         true up to 32 M numbers  a trained model file holds the weights; else it names the checkpoint and
 *   its hash
 *   "int8"          -         how it is computed in int8 (int8.h): spoor calibrate writes it, here or into the
 *   checkpoint
 *   "architecture", "weights_sha256"  filled in; in a model file both are what is expected
 *
 * "join": "parts" is a list of 2..16 front ends; a row has the columns of all, row t of each.
 *   "rows"          "shortest"  the parts must have about the same number of rows for the same samples (within 4 in 100
 *   and 4
 *                             rows), and the shortest decides. "own": their rates may differ; there are as many rows as
 *                             the part
 *                             with most has, those of a part with fewer are followed by zeros (frontend_part_rows says
 *                             how many
 *                             are its own, and the members of a network see these alone: net.h)
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H
#include "frontend/encoder.h"

#define FRONTEND_RATE 16000
#define FRONTEND_MAX_DIM 16384        /* columns of a row */
#define FRONTEND_MAX_PARTS 16          /* of a join */
#define FRONTEND_MAX_SAMPLES 0x10000000u /* 4.6 hours; longer recordings are traced window by window */

typedef struct frontend frontend;
typedef struct frontend_scratch frontend_scratch;

typedef struct frontend_options {
    const char *folder;    /* relative paths count from here; NULL: the working folder */
    bool trainable;        /* encoders have parameters with gradients (fine-tuning) */
    bool holds_weights;    /* an encoder's weights come from `read`: a model file. Those it does not embed are looked
                            * for */
    encoder_read_fn read;  /* names as in frontend_params */
    void *user;
    int64_t max_numel;     /* numbers that `read` can give in all */
    const char *precision; /* "f32", "bf16", "int8": instead of the configuration's; NULL */
} frontend_options;

/* Make a front end; config is only read. A wrong configuration: SPOOR_ERR_USAGE with a sentence that names the key (a
 * caller that read it from a model file turns that into SPOOR_ERR_MODEL). Weights that are missing or do not fit:
 * SPOOR_ERR_MODEL with what to do. options may be NULL. */
spoor_status frontend_new(spoor_context *ctx, const json_t *config, frontend **out, spoor_error *err);
spoor_status frontend_new_with(spoor_context *ctx, const json_t *config, const frontend_options *options,
                               frontend **out, spoor_error *err);
void frontend_free(frontend *fe);

/* Columns of a row. */
size_t frontend_dim(const frontend *fe);
/* Rows for n_samples: at least 1 for any n_samples >= 1; 0 for 0. */
size_t frontend_frames(const frontend *fe, size_t n_samples);
/* The configuration with every default filled in: what a model file stores. frontend_new of it gives the same front
 * end. Belongs to fe and lives as long; threads that share fe may read it, but may not json_incref it. */
const json_t *frontend_config(const frontend *fe);
/* The same for a model file, a new reference: without the paths of checkpoints that it will hold itself. NULL: out of
 * memory. */
json_t *frontend_describe(const frontend *fe);

/* ---- encoders ---- */

/* The parameters of all encoders, named "frontend. ..."; NULL where there is none. */
params *frontend_params(const frontend *fe);
/* Whether a model file should hold this one of them. */
bool frontend_embeds(const frontend *fe, const param *p);
/* Values of one of them into out[count], also of a packed one as long as its checkpoint is open (a front end that was
 * made from a model file does not know them any more: SPOOR_ERR_USAGE). */
spoor_status frontend_read_param(const frontend *fe, const param *p, float *out, spoor_error *err);
/* The first encoder, NULL where there is none. */
encoder *frontend_encoder(const frontend *fe);
/* Training: features [B,T,dim] of wave [B,n] over the tape, with gradients for the parameters. */
tensor *frontend_forward(const frontend *fe, frontend_scratch *s, tape *t, tensor *wave,
                         const encoder_training *training);

/* fe must outlive its scratch objects. */
spoor_status frontend_scratch_new(const frontend *fe, frontend_scratch **out, spoor_error *err);
void frontend_scratch_free(frontend_scratch *s);

/* Of a join: how many parts, the columns of one, and: this part is not computed, its columns are 0 (training does not
 * need them). 1, all and nothing of a front end that is no join. */
size_t frontend_parts(const frontend *fe);
void frontend_part_columns(const frontend *fe, size_t part, size_t *first, size_t *columns);
/* Rows of each part for n_samples into rows[frontend_parts(fe)]: of a join with "rows": "own" what each part makes,
 * else frontend_frames for all. */
void frontend_part_rows(const frontend *fe, size_t n_samples, int64_t *rows);
bool frontend_own_rows(const frontend *fe);
void frontend_scratch_skip(frontend_scratch *s, size_t part);

/* out [frontend_frames(fe, n), frontend_dim(fe)]. Always finite: a sample that is not finite counts as 0, and after the
 * level step samples are held within +-1e6. n = 0 is SPOOR_ERR_USAGE, more than FRONTEND_MAX_SAMPLES or no memory for
 * the scratch SPOOR_ERR_LIMIT. */
spoor_status frontend_compute(const frontend *fe, frontend_scratch *s, const float *samples, size_t n, float *out,
                              spoor_error *err);
#endif
