/* assess.c: can this recording be judged at all? Counts over blocks of 512 samples (32 ms), in fixed memory.
 *
 * Levels, the loudest level and silence: level.h.
 * Signal ("active"): blocks within 40 dB of the loudest level. Speech in pauses lies lower, its weakest sounds do not.
 * Bandwidth: for each block the power density in bands of 125 Hz (Blackman-Harris window, side lobes under -92 dB). A
 * block reaches up to its highest band that lies within 60 dB of its strongest band and 9 dB above the rounding noise
 * of the file's sample format (mu-law and A-law: 38 dB below the block). The bandwidth is the frequency that a tenth of
 * the loud blocks (within 20 dB of the loudest level) reach. Counting blocks rather than adding power keeps clicks,
 * which are wide, from hiding a narrow recording. What this cannot see: narrow speech below wide noise, as a lossy
 * codec may add it, counts as wide. */
#include "audio/level.h"
#include <kissfft/kiss_fftr.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK = LEVEL_BLOCK,
    BINS_PER_BAND = 4,                      /* 4 x 31.25 Hz */
    BANDS = BLOCK / 2 / BINS_PER_BAND,
    ACTIVE_RANGE = 40 / LEVEL_STEP,         /* levels */
    LOUD_RANGE = 20 / LEVEL_STEP
};
#define MIN_SECONDS 0.5
#define MIN_BANDWIDTH 3000.0
#define BAND_HZ (AUDIO_RATE / (double)BLOCK * BINS_PER_BAND)
#define BAND_RANGE 1e-6     /* -60 dB of the strongest band */
#define ROUNDING_MARGIN 8.0 /* +9 dB */

struct audio_assess {
    spoor_context *ctx;
    const spoor_audio *audio;
    kiss_fftr_cfg fft;
    double rounding, companding; /* audio_levels, with ROUNDING_MARGIN */
    uint64_t samples;
    uint64_t samples_at[LEVELS];           /* by level */
    double energy_at[LEVELS];
    uint64_t reach[LEVELS][BANDS + 1];     /* blocks by level and highest band reached; [0] = none */
    size_t fill;
    float block[BLOCK], window[BLOCK], shaped[BLOCK];
    kiss_fft_cpx spectrum[BLOCK / 2 + 1];
};

spoor_status audio_assess_new(spoor_context *ctx, const spoor_audio *audio, audio_assess **out, spoor_error *err) {
    *out = NULL;
    audio_assess *a = ctx_calloc(ctx, 1, sizeof *a);
    size_t size = 0;
    (void)kiss_fftr_alloc(BLOCK, 0, NULL, &size);
    void *memory = ctx_alloc(ctx, size, 1);
    if (a == NULL || memory == NULL) {
        ctx_free(ctx, memory);
        ctx_free(ctx, a);
        return error_memory(err, "assessing a recording");
    }
    a->ctx = ctx;
    a->audio = audio;
    a->fft = kiss_fftr_alloc(BLOCK, 0, memory, &size);
    audio_levels levels = audio_get_levels(audio);
    a->rounding = ROUNDING_MARGIN * levels.rounding;
    a->companding = ROUNDING_MARGIN * levels.companding;
    double power = 0;
    for (int i = 0; i < BLOCK; i++) { /* Harris 1978, 4-term, -92 dB */
        double t = 2 * acos(-1) * i / BLOCK;
        double w = 0.35875 - 0.48829 * cos(t) + 0.14128 * cos(2 * t) - 0.01168 * cos(3 * t);
        a->window[i] = (float)w;
        power += w * w;
    }
    for (int i = 0; i < BLOCK; i++) { /* white noise of variance v has density v in every bin */
        a->window[i] = (float)((double)a->window[i] / sqrt(power));
    }
    *out = a;
    return SPOOR_OK;
}

void audio_assess_free(audio_assess *a) {
    if (a != NULL) {
        ctx_free(a->ctx, a->fft);
        ctx_free(a->ctx, a);
    }
}

/* Number of bands up to the highest that counts. power: of the block, per sample. */
static size_t reached(audio_assess *a, double mean, double power) {
    for (int i = 0; i < BLOCK; i++) {
        a->shaped[i] = (float)((double)a->block[i] - mean) * a->window[i];
    }
    kiss_fftr(a->fft, a->shaped, a->spectrum);
    double density[BANDS], strongest = 0;
    for (size_t b = 0; b < BANDS; b++) {
        density[b] = 0;
        for (size_t k = b * BINS_PER_BAND; k < (b + 1) * BINS_PER_BAND; k++) {
            double re = (double)a->spectrum[k].r, im = (double)a->spectrum[k].i;
            density[b] += (re * re + im * im) / BINS_PER_BAND;
        }
        if (b > 0 && density[b] > strongest) { /* the lowest 125 Hz are hum and rumble as often as voice */
            strongest = density[b];
        }
    }
    double threshold = fmax(strongest * BAND_RANGE, a->rounding + a->companding * power);
    size_t n = BANDS;
    while (n > 0 && !(density[n - 1] > threshold)) {
        n--;
    }
    return n;
}

/* A block, the last one possibly shorter (then without a spectrum). */
static void count_block(audio_assess *a) {
    double mean, power;
    size_t level = level_of(a->block, a->fill, &mean, &power);
    a->samples_at[level] += a->fill;
    a->energy_at[level] += power;
    if (a->fill == BLOCK && power > 0) {
        a->reach[level][reached(a, mean, power / BLOCK)]++;
    }
    a->fill = 0;
}

void audio_assess_add(audio_assess *a, const float *samples, size_t n) {
    a->samples += n;
    while (n > 0) {
        size_t room = BLOCK - a->fill, take = n < room ? n : room;
        memcpy(a->block + a->fill, samples, take * sizeof *samples);
        a->fill += take;
        samples += take;
        n -= take;
        if (a->fill == BLOCK) {
            count_block(a);
        }
    }
}

static double bandwidth(const audio_assess *a, size_t top) {
    uint64_t blocks[BANDS + 1] = {0}, total = 0, seen = 0;
    for (size_t l = top > LOUD_RANGE ? top - LOUD_RANGE : 0; l < LEVELS; l++) {
        for (size_t b = 0; b <= BANDS; b++) {
            blocks[b] += a->reach[l][b];
            total += a->reach[l][b];
        }
    }
    size_t band = BANDS;
    while (band > 0 && (seen += blocks[band]) * 10 < total) {
        band--;
    }
    return total == 0 ? 0 : BAND_HZ * (double)band;
}

static double decibels(double amplitude) { return amplitude > 1e-10 ? 20 * log10(amplitude) : -200; }

static void judge(audio_assessment *out, const audio_levels *levels, bool silent) {
    size_t room = sizeof out->reason;
    if (levels->invalid > 0) {
        out->verdict = AUDIO_INVALID_SAMPLES;
        (void)snprintf(out->reason, room, "%llu of its samples are no sound values (NaN, infinite or beyond 1e6)",
                       (unsigned long long)levels->invalid);
    } else if (out->seconds < MIN_SECONDS) {
        out->verdict = AUDIO_TOO_SHORT;
        (void)snprintf(out->reason, room, "it lasts %.3f s; at least %.1f s are needed", out->seconds, MIN_SECONDS);
    } else if (silent) {
        out->verdict = AUDIO_SILENT;
        (void)snprintf(out->reason, room, "it is silent: less than 0.1 s is louder than %.0f dBFS", LEVEL_SILENCE);
    } else if (out->active_seconds < MIN_SECONDS) {
        out->verdict = AUDIO_TOO_SHORT;
        (void)snprintf(out->reason, room, "only %.2f s of its %.2f s are signal, the rest is silence; %.1f s are "
                                          "needed",
                       out->active_seconds, out->seconds, MIN_SECONDS);
    } else if (out->bandwidth < MIN_BANDWIDTH) {
        out->verdict = AUDIO_NARROW;
        (void)snprintf(out->reason, room, "its sound reaches only up to %.0f Hz; at least %.0f Hz are needed",
                       out->bandwidth, MIN_BANDWIDTH);
    }
}

void audio_assess_finish(audio_assess *a, audio_assessment *out) {
    if (a->fill > 0) {
        count_block(a);
    }
    audio_levels levels = audio_get_levels(a->audio);
    size_t top = level_loudest(a->samples_at);
    bool silent = level_is_silence(top);
    uint64_t active = 0;
    double energy = 0;
    for (size_t l = silent ? LEVELS : top > ACTIVE_RANGE ? top - ACTIVE_RANGE : 0; l < LEVELS; l++) {
        active += a->samples_at[l];
        energy += a->energy_at[l];
    }
    *out = (audio_assessment){
        .verdict = AUDIO_ASSESSABLE,
        .seconds = (double)a->samples / AUDIO_RATE,
        .active_seconds = (double)active / AUDIO_RATE,
        .peak_dbfs = decibels(levels.peak),
        .rms_dbfs = active > 0 ? decibels(sqrt(energy / (double)active)) : -200,
        .clipped = levels.samples > 0 ? (double)levels.clipped / (double)levels.samples : 0,
        .bandwidth = silent ? 0 : bandwidth(a, top),
    };
    judge(out, &levels, silent);
}
