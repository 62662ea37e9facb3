/* whisper_mel.c: the log-mel input of Whisper's encoder; see whisper.h. */
#include "audio/filterbank.h"
#include "frontend/whisper.h"
#include <kissfft/kiss_fftr.h>
#include <math.h>

enum { MEL_BINS = WHISPER_FFT / 2 + 1, MEL_MAX_BANDS = 512 };

static const float MEL_FLOOR = 1e-10f; /* of the power, before the logarithm */
static const float MEL_RANGE = 8;      /* decades below the loudest value of the recording */

struct whisper_mel {
    spoor_context *ctx;
    float window[WHISPER_FFT];
    filterbank bank;
};

struct whisper_mel_scratch {
    spoor_context *ctx;
    kiss_fftr_cfg fft; /* kissfft writes to its own state while it transforms */
    size_t fft_size;
    float frame[WHISPER_FFT];
    kiss_fft_cpx bins[MEL_BINS];
    float power[MEL_BINS];
};

spoor_status whisper_mel_new(spoor_context *ctx, int64_t mels, whisper_mel **out, spoor_error *err) {
    *out = NULL;
    if (mels < 1 || mels > MEL_MAX_BANDS) {
        return error_set(err, SPOOR_ERR_USAGE, "num_mel_bins of a Whisper encoder is %lld and must be from 1 to %d",
                         (long long)mels, MEL_MAX_BANDS);
    }
    whisper_mel *m = ctx_calloc(ctx, 1, sizeof *m);
    if (m == NULL) {
        return error_memory(err, "making the tables of Whisper's mel spectrum");
    }
    m->ctx = ctx;
    filterbank_window(false, true, WHISPER_FFT, m->window);
    spoor_status status =
        filterbank_make(ctx, FILTERBANK_SLANEY, true, (size_t)mels, 0, 8000, WHISPER_FFT, 16000, &m->bank, err);
    if (status != SPOOR_OK) {
        whisper_mel_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

void whisper_mel_free(whisper_mel *m) {
    if (m != NULL) {
        filterbank_clear(m->ctx, &m->bank);
        ctx_free(m->ctx, m);
    }
}

spoor_status whisper_mel_scratch_new(spoor_context *ctx, whisper_mel_scratch **out, spoor_error *err) {
    *out = NULL;
    whisper_mel_scratch *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s != NULL) {
        s->ctx = ctx;
        (void)kiss_fftr_alloc(WHISPER_FFT, 0, NULL, &s->fft_size); /* how much it needs */
        void *memory = ctx_alloc(ctx, s->fft_size, 1);
        s->fft = memory == NULL ? NULL : kiss_fftr_alloc(WHISPER_FFT, 0, memory, &s->fft_size);
    }
    if (s == NULL || s->fft == NULL) {
        whisper_mel_scratch_free(s);
        return error_memory(err, "preparing Whisper's mel spectrum");
    }
    *out = s;
    return SPOOR_OK;
}

void whisper_mel_scratch_free(whisper_mel_scratch *s) {
    if (s != NULL) {
        ctx_free(s->ctx, s->fft);
        ctx_free(s->ctx, s);
    }
}

int64_t whisper_mel_frames(int64_t n_samples) {
    return n_samples < 1 ? 0 : n_samples < WHISPER_HOP ? 1 : n_samples / WHISPER_HOP;
}

float whisper_mel_weight(const whisper_mel *m, int64_t band, int64_t bin) {
    if (band < 0 || bin < 0 || (size_t)band >= m->bank.n) {
        return 0;
    }
    const filterbank_band *b = &m->bank.bands[band];
    size_t at = (size_t)bin;
    return at >= b->start && at < b->start + b->length ? b->weights[at - b->start] : 0;
}

/* Index of a sample outside 0 .. n-1 mirrored back inside, the end samples not repeated; any distance. */
static int64_t mirror(int64_t i, int64_t n) {
    int64_t period = 2 * (n - 1);
    if (n == 1) {
        return 0;
    }
    int64_t j = i % period;
    j = j < 0 ? j + period : j;
    return j < n ? j : period - j;
}

static void take_frame(const whisper_mel *m, const float *x, int64_t n, int64_t t, float *frame) {
    int64_t start = t * WHISPER_HOP - WHISPER_FFT / 2;
    bool inside = start >= 0 && start + WHISPER_FFT <= n;
    for (int64_t i = 0; i < WHISPER_FFT; i++) {
        frame[i] = x[inside ? start + i : mirror(start + i, n)] * m->window[i];
    }
}

/* out[mels]: log10 of the bands of one frame. */
static void log_bands(const whisper_mel *m, whisper_mel_scratch *s, float *out) {
    kiss_fftr(s->fft, s->frame, s->bins);
    for (int k = 0; k < MEL_BINS; k++) {
        s->power[k] = s->bins[k].r * s->bins[k].r + s->bins[k].i * s->bins[k].i;
    }
    for (size_t b = 0; b < m->bank.n; b++) {
        const filterbank_band *band = &m->bank.bands[b];
        float sum = 0;
        for (size_t k = 0; k < band->length; k++) {
            sum += band->weights[k] * s->power[band->start + k];
        }
        out[b] = log10f(sum > MEL_FLOOR ? sum : MEL_FLOOR);
    }
}

spoor_status whisper_mel_compute(const whisper_mel *m, whisper_mel_scratch *s, const float *samples, int64_t n,
                                 float *out, spoor_error *err) {
    if (n < 1) {
        return error_set(err, SPOOR_ERR_USAGE, "a recording without any sample has no mel spectrum");
    }
    if (n > WHISPER_MAX_SAMPLES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%.2f s of sound are too long for Whisper, which hears 30 s: cut it "
                         "into windows", (double)n / 16000);
    }
    int64_t frames = whisper_mel_frames(n), values = frames * (int64_t)m->bank.n;
    for (int64_t t = 0; t < frames; t++) {
        take_frame(m, samples, n, t, s->frame);
        log_bands(m, s, out + t * (int64_t)m->bank.n);
    }
    float top = out[0];
    for (int64_t i = 1; i < values; i++) {
        top = out[i] > top ? out[i] : top;
    }
    for (int64_t i = 0; i < values; i++) {
        float v = out[i] > top - MEL_RANGE ? out[i] : top - MEL_RANGE;
        out[i] = (v + 4) / 4;
    }
    return SPOOR_OK;
}
