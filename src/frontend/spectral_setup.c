/* spectral_setup.c: configuration and life of a spectral front end, and the steps around its computation: level,
 * pre-emphasis, stacking. */
#include "base/checked.h"
#include "base/config.h"
#include "frontend/spectral.h"
#include <math.h>
#include <string.h>

static const char WHERE[] = "front end";
static const char *const KINDS[] = {"log-mel", "lfcc", "linear-spectrogram", NULL};
static const char *const WINDOWS[] = {"hann", "hamming", NULL};
static const char *const LOGS[] = {"ln", "log10", NULL};
static const char *const FLOOR_MODES[] = {"clamp", "add", NULL};
static const char *const LEVELS[] = {"none", "rms", "peak", NULL};
static const char *const SCALES[] = {"slaney", "htk", NULL};

#define COMMON_KEYS                                                                                                 \
    "kind", "n_fft", "win_length", "hop_length", "window", "periodic", "center", "pad_end", "power", "preemphasis", \
        "f_min", "f_max", "log", "log_floor", "log_floor_mode", "deltas", "delta_span", "delta_norm", "level",      \
        "normalise", "stack"
static const char *const LOG_MEL_KEYS[] = {COMMON_KEYS, "n_mels", "mel_scale", "norm", "flatten", NULL};
static const char *const LFCC_KEYS[] = {COMMON_KEYS, "n_filter", "n_lfcc", NULL};
static const char *const LINEAR_KEYS[] = {COMMON_KEYS, "flatten", NULL};

/* A configuration while it is read. */
typedef struct settings {
    int64_t n_fft, win_length, hop_length, power, deltas, delta_span, stack, n_filter, n_lfcc, flatten;
    int window, log, floor_mode, level, normalise, mel_scale;
    bool periodic, area;
    double f_min, f_max, log_floor;
} settings;

/* Only the sizes that kissfft does fast: a large prime factor would make one frame quadratic. */
static bool fast_size(int64_t n) {
    for (int64_t p = 2; p <= 5; p++) {
        while (n % p == 0) {
            n /= p;
        }
    }
    return n == 1;
}

static spoor_status read_frames(const json_t *c, spectral *fe, settings *v, spoor_error *err) {
    bool lfcc = fe->kind == SPECTRAL_LFCC;
    TRY(config_int(c, WHERE, "n_fft", 512, 16, 8192, &v->n_fft, err));
    if (v->n_fft % 2 != 0 || !fast_size(v->n_fft)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.n_fft must be even and a product of 2, 3 and 5, not %lld", WHERE,
                         (long long)v->n_fft);
    }
    int64_t usual = lfcc ? 320 : 400;
    usual = usual < v->n_fft ? usual : v->n_fft;
    TRY(config_int(c, WHERE, "win_length", usual, 1, v->n_fft, &v->win_length, err));
    TRY(config_int(c, WHERE, "hop_length", v->n_fft < 160 ? v->n_fft : 160, 16, v->n_fft, &v->hop_length, err));
    TRY(config_choice(c, WHERE, "window", WINDOWS, lfcc, &v->window, err));
    TRY(config_bool(c, WHERE, "periodic", !lfcc, &v->periodic, err));
    TRY(config_bool(c, WHERE, "center", !lfcc, &fe->center, err));
    TRY(config_bool(c, WHERE, "pad_end", lfcc && !fe->center, &fe->pad_end, err));
    if (fe->center && fe->pad_end) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.pad_end needs %s.center to be false", WHERE, WHERE);
    }
    TRY(config_number(c, WHERE, "preemphasis", lfcc ? 0.97 : 0, 0, 1, &fe->preemphasis, err));
    TRY(config_choice(c, WHERE, "level", LEVELS, LEVEL_NONE, &v->level, err));
    return config_int(c, WHERE, "power", 2, 1, 2, &v->power, err);
}

static spoor_status read_bands(const json_t *c, spectral *fe, settings *v, spoor_error *err) {
    bool mel = fe->kind == SPECTRAL_LOG_MEL, lfcc = fe->kind == SPECTRAL_LFCC;
    TRY(config_number(c, WHERE, "f_min", mel ? 20 : 0, 0, FRONTEND_RATE / 2, &v->f_min, err));
    TRY(config_number(c, WHERE, "f_max", mel ? 7600 : FRONTEND_RATE / 2, 0, FRONTEND_RATE / 2, &v->f_max, err));
    if (!(v->f_max >= v->f_min + 1)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.f_max must be at least 1 Hz over %s.f_min", WHERE, WHERE);
    }
    v->area = true;
    if (mel) {
        const json_t *norm = json_object_get(c, "norm");
        const char *text = json_string_value(norm);
        v->area = norm == NULL || text != NULL;
        if (norm != NULL && !json_is_null(norm) && (text == NULL || strcmp(text, "slaney") != 0)) {
            return error_set(err, SPOOR_ERR_USAGE, "%s.norm must be \"slaney\" or null", WHERE);
        }
        TRY(config_int(c, WHERE, "n_mels", 80, 1, 512, &v->n_filter, err));
        TRY(config_choice(c, WHERE, "mel_scale", SCALES, 0, &v->mel_scale, err));
    }
    if (lfcc) {
        TRY(config_int(c, WHERE, "n_filter", 20, 1, 512, &v->n_filter, err));
        TRY(config_int(c, WHERE, "n_lfcc", v->n_filter < 20 ? v->n_filter : 20, 1, v->n_filter, &v->n_lfcc, err));
    }
    if (!lfcc) {
        TRY(config_int(c, WHERE, "flatten", 0, 0, 255, &v->flatten, err));
        if (v->flatten != 0 && (v->flatten < 3 || v->flatten % 2 == 0)) {
            return error_set(err, SPOOR_ERR_USAGE, "%s.flatten must be 0 or an odd number from 3 to 255", WHERE);
        }
    }
    TRY(config_choice(c, WHERE, "log", LOGS, lfcc, &v->log, err));
    TRY(config_number(c, WHERE, "log_floor", lfcc ? 0x1p-52 : 1e-10, 1e-30, 1e6, &v->log_floor, err));
    return config_choice(c, WHERE, "log_floor_mode", FLOOR_MODES, lfcc, &v->floor_mode, err);
}

static spoor_status read_rows(const json_t *c, spectral *fe, settings *v, spoor_error *err) {
    bool lfcc = fe->kind == SPECTRAL_LFCC;
    TRY(config_int(c, WHERE, "deltas", lfcc ? 2 : 0, 0, 2, &v->deltas, err));
    TRY(config_int(c, WHERE, "delta_span", 1, 1, 8, &v->delta_span, err));
    TRY(config_bool(c, WHERE, "delta_norm", !lfcc, &fe->delta_norm, err));
    TRY(config_choice(c, WHERE, "normalise", ROWS_NORMALISES, NORMALISE_NONE, &v->normalise, err));
    return config_int(c, WHERE, "stack", 1, 1, 16, &v->stack, err);
}

/* The sizes that follow from the settings. */
static spoor_status derive(spectral *fe, const settings *v, spoor_error *err) {
    fe->n_fft = (size_t)v->n_fft;
    fe->win_length = (size_t)v->win_length;
    fe->hop_length = (size_t)v->hop_length;
    fe->magnitude = v->power == 1;
    fe->level = (spectral_level)v->level;
    fe->log10 = v->log == 1;
    fe->floor_adds = v->floor_mode == 1;
    fe->log_floor = (float)v->log_floor;
    fe->deltas = (size_t)v->deltas;
    fe->delta_span = (size_t)v->delta_span;
    fe->normalise = (rows_normalise)v->normalise;
    fe->stack = (size_t)v->stack;
    fe->n_bands = (size_t)v->n_filter;
    fe->flatten = (size_t)v->flatten;
    if (fe->kind == SPECTRAL_LINEAR) {
        double width = (double)FRONTEND_RATE / (double)fe->n_fft;
        double first = ceil(v->f_min / width), last = floor(v->f_max / width);
        if (last < first) {
            return error_set(err, SPOOR_ERR_USAGE, "%s: no bin lies between f_min and f_max (bins are %g Hz apart)",
                             WHERE, width);
        }
        fe->first_bin = (size_t)first;
        fe->n_bands = (size_t)(last - first) + 1;
    }
    fe->n_base = fe->kind == SPECTRAL_LFCC ? (size_t)v->n_lfcc : fe->n_bands;
    fe->width = fe->n_base * (1 + fe->deltas);
    if (fe->width * fe->stack > FRONTEND_MAX_DIM) {
        return error_set(err, SPOOR_ERR_USAGE, "%s: %zu columns are more than the limit of %d", WHERE,
                         fe->width * fe->stack, FRONTEND_MAX_DIM);
    }
    return SPOOR_OK;
}

static spoor_status make_tables(spectral *fe, const settings *v, spoor_error *err) {
    fe->window = ctx_alloc(fe->ctx, fe->win_length, sizeof *fe->window);
    if (fe->window == NULL) {
        return error_memory(err, "making a front end");
    }
    filterbank_window(v->window == 1, v->periodic, fe->win_length, fe->window);
    if (fe->kind == SPECTRAL_LINEAR) {
        return SPOOR_OK;
    }
    filterbank_scale scale = fe->kind == SPECTRAL_LFCC ? FILTERBANK_LINEAR
                             : v->mel_scale == 1       ? FILTERBANK_HTK
                                                       : FILTERBANK_SLANEY;
    TRY(filterbank_make(fe->ctx, scale, fe->kind == SPECTRAL_LOG_MEL && v->area, fe->n_bands, v->f_min, v->f_max,
                        fe->n_fft, FRONTEND_RATE, &fe->bank, err));
    if (fe->kind == SPECTRAL_LFCC) {
        fe->dct = ctx_alloc(fe->ctx, fe->n_base * fe->n_bands, sizeof *fe->dct);
        if (fe->dct == NULL) {
            return error_memory(err, "making a front end");
        }
        filterbank_dct(fe->n_base, fe->n_bands, fe->dct);
    }
    return SPOOR_OK;
}

static spoor_status write_config(spectral *fe, const settings *v, spoor_error *err) {
    json_t *c = json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:I, s:f, s:f, s:f, s:s, s:f, s:s, s:I, s:I, s:b, s:s, s:s, s:I}",
        "kind", KINDS[fe->kind], "n_fft", (json_int_t)v->n_fft, "win_length", (json_int_t)v->win_length, "hop_length",
        (json_int_t)v->hop_length, "window", WINDOWS[v->window], "periodic", v->periodic, "center", fe->center,
        "pad_end", fe->pad_end, "power", (json_int_t)v->power, "preemphasis", fe->preemphasis, "f_min", v->f_min,
        "f_max", v->f_max, "log", LOGS[v->log], "log_floor", v->log_floor, "log_floor_mode",
        FLOOR_MODES[v->floor_mode], "deltas", (json_int_t)v->deltas, "delta_span", (json_int_t)v->delta_span,
        "delta_norm", fe->delta_norm, "level", LEVELS[v->level], "normalise", ROWS_NORMALISES[v->normalise], "stack",
        (json_int_t)v->stack);
    fe->config = c;
    bool failed = c == NULL;
    if (fe->kind == SPECTRAL_LOG_MEL) {
        failed |= json_object_set_new(c, "n_mels", json_integer(v->n_filter)) != 0;
        failed |= json_object_set_new(c, "mel_scale", json_string(SCALES[v->mel_scale])) != 0;
        failed |= json_object_set_new(c, "norm", v->area ? json_string("slaney") : json_null()) != 0;
    }
    if (fe->kind != SPECTRAL_LFCC) {
        failed |= json_object_set_new(c, "flatten", json_integer(v->flatten)) != 0;
    } else {
        failed |= json_object_set_new(c, "n_filter", json_integer(v->n_filter)) != 0;
        failed |= json_object_set_new(c, "n_lfcc", json_integer(v->n_lfcc)) != 0;
    }
    return failed ? error_memory(err, "making a front end") : SPOOR_OK;
}

static spoor_status build(spectral *fe, const json_t *config, spoor_error *err) {
    int kind;
    TRY(config_choice(config, WHERE, "kind", KINDS, 0, &kind, err));
    fe->kind = (spectral_kind)kind;
    const char *const *keys = fe->kind == SPECTRAL_LOG_MEL ? LOG_MEL_KEYS
                              : fe->kind == SPECTRAL_LFCC  ? LFCC_KEYS
                                                           : LINEAR_KEYS;
    TRY(config_keys(config, WHERE, keys, err));
    settings v = {0};
    TRY(read_frames(config, fe, &v, err));
    TRY(read_bands(config, fe, &v, err));
    TRY(read_rows(config, fe, &v, err));
    TRY(derive(fe, &v, err));
    TRY(make_tables(fe, &v, err));
    return write_config(fe, &v, err);
}

spoor_status spectral_new(spoor_context *ctx, const json_t *config, spectral **out, spoor_error *err) {
    *out = NULL;
    spectral *fe = ctx_calloc(ctx, 1, sizeof *fe);
    if (fe == NULL) {
        return error_memory(err, "making a front end");
    }
    fe->ctx = ctx;
    spoor_status status = build(fe, config, err);
    if (status != SPOOR_OK) {
        spectral_free(fe);
        return status;
    }
    *out = fe;
    return SPOOR_OK;
}

void spectral_free(spectral *fe) {
    if (fe == NULL) {
        return;
    }
    json_decref(fe->config);
    ctx_free(fe->ctx, fe->window);
    ctx_free(fe->ctx, fe->dct);
    filterbank_clear(fe->ctx, &fe->bank);
    ctx_free(fe->ctx, fe);
}

size_t spectral_dim(const spectral *fe) { return fe->width * fe->stack; }

size_t spectral_frames(const spectral *fe, size_t n_samples) {
    size_t frames = spectral_rows(fe, n_samples);
    return frames == 0 ? 0 : frames < fe->stack ? 1 : frames / fe->stack;
}

spoor_status spectral_scratch_new(const spectral *fe, spectral_scratch **out, spoor_error *err) {
    *out = NULL;
    spoor_context *ctx = fe->ctx;
    spectral_scratch *s = ctx_calloc(ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "making a front end's scratch");
    }
    s->ctx = ctx;
    size_t size = 0, bins = fe->n_fft / 2 + 1;
    kiss_fftr_alloc((int)fe->n_fft, 0, NULL, &size); /* asks for the size of the state */
    s->fft = ctx_alloc(ctx, 1, size);
    s->frame = ctx_alloc(ctx, fe->n_fft, sizeof *s->frame);
    s->bins = ctx_alloc(ctx, bins, sizeof *s->bins);
    s->power = ctx_alloc(ctx, bins, sizeof *s->power);
    s->bands = ctx_alloc(ctx, fe->n_bands, sizeof *s->bands);
    if (s->fft == NULL || s->frame == NULL || s->bins == NULL || s->power == NULL || s->bands == NULL ||
        kiss_fftr_alloc((int)fe->n_fft, 0, s->fft, &size) == NULL) {
        spectral_scratch_free(s);
        return error_memory(err, "making a front end's scratch");
    }
    *out = s;
    return SPOOR_OK;
}

void spectral_scratch_free(spectral_scratch *s) {
    if (s == NULL) {
        return;
    }
    ctx_free(s->ctx, s->fft);
    ctx_free(s->ctx, s->frame);
    ctx_free(s->ctx, s->bins);
    ctx_free(s->ctx, s->power);
    ctx_free(s->ctx, s->bands);
    ctx_free(s->ctx, s->samples);
    ctx_free(s->ctx, s->rows);
    ctx_free(s->ctx, s);
}

/* What the waveform is multiplied with; silence stays as it is. */
static double level_gain(const spectral *fe, const float *x, size_t n) {
    double sum = 0, peak = 0;
    for (size_t i = 0; i < n; i++) {
        double v = isfinite(x[i]) ? fabs((double)x[i]) : 0;
        sum += v * v;
        peak = v > peak ? v : peak;
    }
    double rms = sqrt(sum / (double)n);
    double size = fe->level == LEVEL_RMS ? rms : peak, aim = fe->level == LEVEL_RMS ? 0.1 : 1;
    return fe->level == LEVEL_NONE || size < 1e-9 ? 1 : aim / size;
}

static void prepare(const spectral *fe, const float *x, size_t n, float *out) {
    double gain = level_gain(fe, x, n), before = 0;
    for (size_t i = 0; i < n; i++) {
        double v = isfinite(x[i]) ? (double)x[i] * gain : 0;
        v = v > 1e6 ? 1e6 : v < -1e6 ? -1e6 : v;
        out[i] = (float)(v - fe->preemphasis * before);
        before = v;
    }
}

spoor_status spectral_compute(const spectral *fe, spectral_scratch *s, const float *samples, size_t n, float *out,
                              spoor_error *err) {
    size_t frames = spectral_rows(fe, n), values;
    if (!checked_mul(frames, fe->width, &values) ||
        !ctx_grow(s->ctx, (void **)&s->samples, &s->sample_capacity, n, sizeof *s->samples) ||
        !ctx_grow(s->ctx, (void **)&s->rows, &s->row_capacity, values, sizeof *s->rows)) {
        return error_memory(err, "computing features");
    }
    prepare(fe, samples, n, s->samples);
    spectral_fill(fe, s, s->samples, n, s->rows);
    /* Consecutive rows lie side by side already: stacking is only a matter of how many are handed out. */
    size_t wanted = spectral_frames(fe, n) * fe->stack;
    for (size_t t = 0; t < wanted; t++) {
        size_t from = t < frames ? t : frames - 1; /* fewer frames than one stack: the last is repeated */
        memcpy(out + t * fe->width, s->rows + from * fe->width, fe->width * sizeof *out);
    }
    return SPOOR_OK;
}
