/* audio.c: opening a recording and reading it as mono 16 kHz. Decoding is libsndfile's, through positioned reads of our
 * own; resampling is soxr's, fed in blocks of a fixed size so that its bits do not depend on how the caller reads. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "audio/container.h"
#include "audio/silence.h"
#include "audio/source.h"
#include "base/text.h"
#include <math.h>
#include <sndfile.h>
#include <sodium.h>
#include <soxr.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 4096,          /* mono samples that are resampled at once */
    DECODE_VALUES = 65536, /* values (frames x channels) that are decoded at once, at most; at least one frame */
    SHOWN = 200            /* bytes of a file name in a sentence */
};
#define SAMPLE_MAX 1e6 /* +120 dB over full scale: no sound */
#define CLIP_LEVEL 0.99

/* What libsndfile reads: `before`, then the bytes of the source from `skip` on. */
typedef struct virtual_file {
    source source;
    unsigned char before[CONTAINER_MP3_FRAME];
    size_t before_n;
    uint64_t skip, at;
} virtual_file;

struct spoor_audio {
    spoor_context *ctx;
    virtual_file bytes;
    const float *samples; /* not NULL: these instead of a file */
    size_t samples_n;
    char *name;
    char shown[SHOWN]; /* the name, printable and short, for sentences */
    char format[160];
    double rate, raw_rate;
    int channels, channel, raw_channels;
    SNDFILE *file;
    bool started;
    uint64_t declared; /* frames by the header; UINT64_MAX where it does not say */
    bool exact;        /* every declared frame must come out of the decoder */
    uint64_t frames;   /* decoded so far */
    float *decoded;    /* [decode_frames][channels] */
    size_t decode_frames;
    float mono[BLOCK];
    size_t mono_at, mono_n;
    soxr_t resampler; /* NULL: the source has 16 kHz */
    float out[BLOCK];
    size_t out_at, out_n;
    bool source_done, done;
    audio_levels levels;
    silence *cut; /* NULL: read whole */
    bool fixed;   /* whether it is, whatever the model */
};

/* ---- libsndfile's view of the bytes ------------------------------------------------------------------- */

static sf_count_t vio_length(void *user) {
    virtual_file *v = user;
    return (sf_count_t)(v->before_n + (v->source.size - v->skip));
}

static sf_count_t vio_seek(sf_count_t offset, int whence, void *user) {
    virtual_file *v = user;
    sf_count_t from = whence == SEEK_CUR ? (sf_count_t)v->at : whence == SEEK_END ? vio_length(v) : 0;
    if (offset < -from || offset > INT64_MAX - from) {
        return -1;
    }
    v->at = (uint64_t)(from + offset);
    return (sf_count_t)v->at;
}

static sf_count_t vio_read(void *out, sf_count_t n, void *user) {
    virtual_file *v = user;
    if (n <= 0) {
        return 0;
    }
    size_t want = (size_t)n, got = 0;
    if (v->at < v->before_n) {
        got = v->before_n - (size_t)v->at;
        got = want < got ? want : got;
        memcpy(out, v->before + v->at, got);
    }
    if (got < want) {
        got += source_read(&v->source, v->at + got - v->before_n + v->skip, (unsigned char *)out + got, want - got);
    }
    v->at += got;
    return (sf_count_t)got;
}

static sf_count_t vio_write(const void *data, sf_count_t n, void *user) {
    (void)data;
    (void)n;
    (void)user;
    return 0;
}

static sf_count_t vio_tell(void *user) { return (sf_count_t)((virtual_file *)user)->at; }

/* ---- names -------------------------------------------------------------------------------------------- */

/* The end of the name (its telling part), whole characters, '?' for what cannot be printed. */
static void shown_name(const char *name, char shown[SHOWN]) {
    size_t length = strlen(name), room = SHOWN - 1, at = 0, k = 0;
    if (length > room) {
        at = length - (room - 3);
        while (at < length && ((unsigned char)name[at] & 0xc0) == 0x80) {
            at++;
        }
        memcpy(shown, "...", 3);
        k = 3;
    }
    while (at < length && k < room) {
        size_t n = text_sequence(name + at, length - at);
        if (n == 0 || (unsigned char)name[at] < 0x20 || name[at] == 0x7f) {
            shown[k++] = '?';
            at++;
        } else {
            memcpy(shown + k, name + at, n);
            k += n;
            at += n;
        }
    }
    shown[k] = '\0';
}

/* ---- opening ------------------------------------------------------------------------------------------ */

void spoor_audio_options_init(spoor_audio_options *options) { *options = (spoor_audio_options){.channel = -1}; }

void spoor_audio_free(spoor_audio *audio) {
    if (audio == NULL) {
        return;
    }
    if (audio->file != NULL) {
        sf_close(audio->file);
    }
    silence_free(audio->cut);
    soxr_delete(audio->resampler);
    source_close(&audio->bytes.source);
    ctx_free(audio->ctx, audio->decoded);
    ctx_free(audio->ctx, audio->name);
    ctx_free(audio->ctx, audio);
}

static spoor_status audio_new(spoor_context *ctx, const char *name, const spoor_audio_options *options,
                              spoor_audio **out, spoor_error *err) {
    spoor_audio_options o;
    spoor_audio_options_init(&o);
    if (options != NULL) {
        o = *options;
    }
    if (o.channel < -1 || o.channel >= AUDIO_CHANNELS_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "channel %d: give 0 to %d, or -1 to mix all", o.channel,
                         AUDIO_CHANNELS_MAX - 1);
    }
    bool raw = o.raw_rate != 0;
    if (raw && !(o.raw_rate >= AUDIO_RATE_MIN && o.raw_rate <= AUDIO_RATE_MAX)) {
        return error_set(err, SPOOR_ERR_USAGE, "a raw rate of %g Hz: give %g to %g", o.raw_rate, AUDIO_RATE_MIN,
                         AUDIO_RATE_MAX);
    }
    if (raw && (o.raw_channels < 1 || o.raw_channels > AUDIO_CHANNELS_MAX)) {
        return error_set(err, SPOOR_ERR_USAGE, "%d raw channels: give 1 to %d", o.raw_channels, AUDIO_CHANNELS_MAX);
    }
    spoor_audio *a = ctx_calloc(ctx, 1, sizeof *a);
    if (a == NULL) {
        return error_memory(err, "opening a recording");
    }
    a->ctx = ctx;
    a->bytes.source.fd = -1;
    a->channel = o.channel;
    a->raw_rate = o.raw_rate;
    a->raw_channels = o.raw_channels;
    a->fixed = o.silence != SPOOR_SILENCE_AS_TRAINED;
    a->name = ctx_strdup(ctx, name);
    audio_silence how;
    audio_silence_init(&how);
    spoor_status status = a->name == NULL                      ? error_memory(err, "opening a recording")
                          : o.silence == SPOOR_SILENCE_REMOVE ? silence_new(ctx, &how, &a->cut, err)
                                                              : SPOOR_OK;
    if (status != SPOOR_OK) {
        spoor_audio_free(a);
        return status;
    }
    shown_name(name, a->shown);
    *out = a;
    return SPOOR_OK;
}

static spoor_status input_error(const spoor_audio *a, spoor_error *err, const char *what) {
    if (a->bytes.source.error != 0) {
        return error_set(err, SPOOR_ERR_INPUT, "cannot read %s: %s", a->shown, strerror(a->bytes.source.error));
    }
    return error_set(err, SPOOR_ERR_INPUT, "%s %s", a->shown, what);
}

/* (Re)opens the decoder at the beginning of the bytes. sf_strerror is left alone: without an open file it reads
 * globals of libsndfile that another thread may be writing. */
static spoor_status decoder_open(spoor_audio *a, SF_INFO *info, container_kind kind, spoor_error *err) {
    *info = (SF_INFO){0};
    if (a->raw_rate > 0) {
        info->format = SF_FORMAT_RAW | SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE;
        info->samplerate = (int)a->raw_rate;
        info->channels = a->raw_channels;
    }
    SF_VIRTUAL_IO vio = {vio_length, vio_seek, vio_read, vio_write, vio_tell};
    a->bytes.at = 0;
    a->file = sf_open_virtual(&vio, SFM_READ, info, &a->bytes);
    if (a->file == NULL) {
        return input_error(a, err,
                           kind != CONTAINER_UNKNOWN
                               ? "has a damaged or incomplete header, or a kind of coding that cannot be decoded"
                               : "is not a sound file of a known format (WAV, FLAC, Ogg, Opus, MP3, AIFF, AU ...)");
    }
    return SPOOR_OK;
}

/* What the sample format adds as noise, spread over the source's band, as a density in the 16 kHz signal. */
static void note_rounding(audio_levels *l, int format, double rate) {
    int bits = 0;
    switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8: bits = 8; break;
    case SF_FORMAT_PCM_16: bits = 16; break;
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW: l->companding = pow(10, -3.8) * AUDIO_RATE / rate; break; /* G.711: about 38 dB */
    default: break;
    }
    if (bits > 0) {
        double step = ldexp(1, 1 - bits);
        l->rounding = step * step / 12 * AUDIO_RATE / rate;
    }
}

static void name_format(spoor_audio *a, int format) {
    SF_FORMAT_INFO major = {.format = format & SF_FORMAT_TYPEMASK}, sub = {.format = format & SF_FORMAT_SUBMASK};
    bool known = sf_command(NULL, SFC_GET_FORMAT_INFO, &major, sizeof major) == 0 && major.name != NULL &&
                 sf_command(NULL, SFC_GET_FORMAT_INFO, &sub, sizeof sub) == 0 && sub.name != NULL;
    (void)snprintf(a->format, sizeof a->format, known ? "%s, %s" : "unknown", known ? major.name : "",
                   known ? sub.name : "");
}

static spoor_status resampler_open(spoor_audio *a, spoor_error *err) {
    if (a->rate == AUDIO_RATE) {
        return SPOOR_OK;
    }
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    soxr_error_t failed = NULL;
    a->resampler = soxr_create(a->rate, AUDIO_RATE, 1, &failed, &io, &quality, &runtime);
    return a->resampler == NULL || failed != NULL ? error_memory(err, "making a resampler") : SPOOR_OK;
}

static spoor_status check_shape(spoor_audio *a, spoor_error *err) {
    if (!(a->rate >= AUDIO_RATE_MIN && a->rate <= AUDIO_RATE_MAX)) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has a sample rate of %g Hz; %g to %g can be read", a->shown, a->rate,
                         AUDIO_RATE_MIN, AUDIO_RATE_MAX);
    }
    if (a->channels < 1 || a->channels > AUDIO_CHANNELS_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has %d channels; 1 to %d can be read", a->shown, a->channels,
                         AUDIO_CHANNELS_MAX);
    }
    if (a->channel >= a->channels) {
        return error_set(err, SPOOR_ERR_INPUT, "%s has %d channel%s, so there is no channel %d (they count from 0)",
                         a->shown, a->channels, a->channels == 1 ? "" : "s", a->channel);
    }
    if (a->declared == 0) {
        return input_error(a, err, "holds no sample of sound");
    }
    if (a->declared != UINT64_MAX && (double)a->declared > AUDIO_SECONDS_MAX * a->rate) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s claims to last %.0f hours; up to %.0f can be read", a->shown,
                         (double)a->declared / a->rate / 3600, AUDIO_SECONDS_MAX / 3600);
    }
    return SPOOR_OK;
}

static spoor_status open_bytes(spoor_audio *a, spoor_error *err) {
    uint64_t size = a->bytes.source.size;
    if (size == 0) {
        return input_error(a, err, "is empty");
    }
    if (size > INT64_MAX / 2) {
        return input_error(a, err, "is too long");
    }
    container_kind kind = CONTAINER_UNKNOWN;
    if (a->raw_rate == 0) {
        TRY(container_check(&a->bytes.source, a->shown, &kind, err));
    } else if (size % (2 * (uint64_t)a->raw_channels) != 0) {
        return input_error(a, err, "is cut off, or is not raw 16-bit sound of so many channels: its last frame is not "
                                   "whole");
    }
    if (kind == CONTAINER_OPEN_MP3) {
        a->bytes.before_n = container_mp3_frame(&a->bytes.source, a->bytes.before, &a->bytes.skip);
    }
    SF_INFO info;
    TRY(decoder_open(a, &info, kind, err));
    a->rate = a->raw_rate > 0 ? a->raw_rate : info.samplerate;
    a->channels = info.channels;
    a->declared = info.frames < 0                                             ? 0
                  : info.frames == SF_COUNT_MAX || kind == CONTAINER_OPEN_MP3 ? UINT64_MAX
                                                                              : (uint64_t)info.frames;
    a->exact = (info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_MPEG; /* there the length may be an estimate */
    name_format(a, info.format);
    TRY(check_shape(a, err));
    note_rounding(&a->levels, info.format, a->rate);
    size_t channels = (size_t)a->channels;
    a->decode_frames = channels * BLOCK <= DECODE_VALUES ? BLOCK : DECODE_VALUES / channels;
    a->decoded = ctx_alloc(a->ctx, a->decode_frames * channels, sizeof *a->decoded);
    if (a->decoded == NULL) {
        return error_memory(err, "opening a recording");
    }
    return resampler_open(a, err);
}

static spoor_status finish_open(spoor_audio *a, spoor_status status, spoor_audio **out) {
    if (status != SPOOR_OK) {
        spoor_audio_free(a);
        return status;
    }
    *out = a;
    return SPOOR_OK;
}

spoor_status spoor_audio_open(spoor_context *ctx, const char *path, const spoor_audio_options *options,
                              spoor_audio **out, spoor_error *err) {
    *out = NULL;
    bool standard = strcmp(path, "-") == 0;
    spoor_audio *a;
    TRY(audio_new(ctx, standard ? "standard input" : path, options, &a, err));
    spoor_status status = standard ? source_open_stdin(ctx, &a->bytes.source, err)
                                   : source_open_path(ctx, path, a->shown, &a->bytes.source, err);
    if (status == SPOOR_OK) {
        status = open_bytes(a, err);
    }
    return finish_open(a, status, out);
}

spoor_status spoor_audio_open_memory(spoor_context *ctx, const void *data, size_t size,
                                     const spoor_audio_options *options, spoor_audio **out, spoor_error *err) {
    *out = NULL;
    spoor_audio *a;
    TRY(audio_new(ctx, "memory", options, &a, err));
    a->bytes.source = source_of_memory(ctx, data, data == NULL ? 0 : size);
    return finish_open(a, open_bytes(a, err), out);
}

spoor_status spoor_audio_open_samples(spoor_context *ctx, const float *samples, size_t n, double rate,
                                      spoor_audio **out, spoor_error *err) {
    *out = NULL;
    spoor_audio *a;
    TRY(audio_new(ctx, "samples", NULL, &a, err));
    a->samples = samples;
    a->samples_n = n;
    a->rate = rate;
    a->channels = 1;
    a->declared = samples == NULL ? 0 : n;
    a->exact = true;
    (void)snprintf(a->format, sizeof a->format, "samples, 32 bit float");
    spoor_status status = check_shape(a, err);
    if (status == SPOOR_OK) {
        status = resampler_open(a, err);
    }
    return finish_open(a, status, out);
}

/* ---- what it is --------------------------------------------------------------------------------------- */

audio_info audio_get_info(const spoor_audio *a) {
    return (audio_info){.name = a->name,
                        .format = a->format,
                        .seconds = a->declared == UINT64_MAX ? -1 : (double)a->declared / a->rate,
                        .rate = a->rate,
                        .channels = a->channels};
}

audio_levels audio_get_levels(const spoor_audio *a) { return a->levels; }

spoor_context *audio_context(const spoor_audio *a) { return a->ctx; }

const char *audio_shown_name(const spoor_audio *a) { return a->shown; }

spoor_status audio_sha256(spoor_audio *a, char hex[65], spoor_error *err) {
    if (a->samples != NULL) {
        unsigned char hash[crypto_hash_sha256_BYTES];
        (void)crypto_hash_sha256(hash, (const unsigned char *)a->samples, a->samples_n * sizeof *a->samples);
        (void)sodium_bin2hex(hex, 65, hash, sizeof hash);
        return SPOOR_OK;
    }
    crypto_hash_sha256_state state;
    (void)crypto_hash_sha256_init(&state);
    unsigned char piece[65536];
    uint64_t at = 0;
    while (at < a->bytes.source.size) {
        size_t got = source_read(&a->bytes.source, at, piece, sizeof piece);
        if (got == 0) {
            return input_error(a, err, "became shorter while it was read");
        }
        (void)crypto_hash_sha256_update(&state, piece, got);
        at += got;
    }
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_final(&state, hash);
    (void)sodium_bin2hex(hex, 65, hash, sizeof hash);
    return SPOOR_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* One mono sample: counted, and made safe for everything behind. */
static float admit(audio_levels *l, double x) {
    l->samples++;
    double size = fabs(x);
    if (!(size <= SAMPLE_MAX)) {
        l->invalid++;
        return 0;
    }
    l->clipped += size >= CLIP_LEVEL;
    if (size > l->peak) {
        l->peak = size;
    }
    return (float)x;
}

static void mix(spoor_audio *a, size_t frames) {
    size_t channels = (size_t)a->channels;
    float *mono = a->mono + a->mono_n;
    for (size_t i = 0; i < frames; i++) {
        const float *frame = a->decoded + i * channels;
        double x;
        if (a->channel >= 0) {
            x = (double)frame[a->channel];
        } else {
            x = 0;
            for (size_t c = 0; c < channels; c++) {
                x += (double)frame[c];
            }
            x /= (double)channels;
        }
        mono[i] = admit(&a->levels, x);
    }
    a->mono_n += frames;
}

static spoor_status end_of_source(spoor_audio *a, spoor_error *err) {
    a->source_done = true;
    if (a->file != NULL && (sf_error(a->file) != SF_ERR_NO_ERROR || a->bytes.source.error != 0)) {
        return input_error(a, err, "is damaged: its sound cannot be decoded to the end");
    }
    if (a->frames == 0) {
        return input_error(a, err, "holds no sample of sound");
    }
    if (a->exact && a->declared != UINT64_MAX && a->frames < a->declared) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is cut off or damaged: %.3f of %.3f seconds can be decoded",
                         a->shown, (double)a->frames / a->rate, (double)a->declared / a->rate);
    }
    return SPOOR_OK;
}

/* A full block of mono samples, or what is left of the source. */
static spoor_status fill_mono(spoor_audio *a, spoor_error *err) {
    TRY(ctx_check_cancel(a->ctx, err));
    a->started = true;
    a->mono_at = a->mono_n = 0;
    while (a->mono_n < BLOCK && !a->source_done) {
        size_t want = BLOCK - a->mono_n, got;
        if (a->samples != NULL) {
            size_t left = a->samples_n - (size_t)a->frames;
            got = want < left ? want : left;
            for (size_t i = 0; i < got; i++) {
                a->mono[a->mono_n + i] = admit(&a->levels, (double)a->samples[(size_t)a->frames + i]);
            }
            a->mono_n += got;
        } else {
            want = want < a->decode_frames ? want : a->decode_frames;
            sf_count_t n = sf_readf_float(a->file, a->decoded, (sf_count_t)want);
            got = n > 0 && (size_t)n <= want ? (size_t)n : 0;
            mix(a, got);
        }
        a->frames += got;
        if ((double)a->frames > AUDIO_SECONDS_MAX * a->rate) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s lasts over the limit of %.0f hours", a->shown,
                             AUDIO_SECONDS_MAX / 3600);
        }
        if (got == 0) {
            TRY(end_of_source(a, err));
        }
    }
    return SPOOR_OK;
}

/* Refills `out`; leaves it empty, with done set, at the end. */
static spoor_status fill_out(spoor_audio *a, spoor_error *err) {
    a->out_at = a->out_n = 0;
    while (a->out_n == 0 && !a->done) {
        if (a->mono_at == a->mono_n && !a->source_done) {
            TRY(fill_mono(a, err));
        }
        size_t left = a->mono_n - a->mono_at, used = left;
        if (a->resampler == NULL) {
            memcpy(a->out, a->mono, left * sizeof *a->out);
            a->out_n = left;
            a->done = left == 0;
        } else {
            soxr_error_t failed = soxr_process(a->resampler, left > 0 ? a->mono + a->mono_at : NULL, left, &used,
                                               a->out, BLOCK, &a->out_n);
            if (failed != NULL) {
                return error_memory(err, "resampling");
            }
            a->done = left == 0 && a->out_n == 0;
        }
        a->mono_at += left > 0 ? used : 0;
    }
    return SPOOR_OK;
}

spoor_status audio_read_whole(spoor_audio *a, float *out, size_t n, size_t *got, spoor_error *err) {
    *got = 0;
    while (*got < n) {
        if (a->out_at == a->out_n) {
            if (a->done) {
                break;
            }
            TRY(fill_out(a, err));
            continue;
        }
        size_t have = a->out_n - a->out_at, take = have < n - *got ? have : n - *got;
        memcpy(out + *got, a->out + a->out_at, take * sizeof *out);
        a->out_at += take;
        *got += take;
    }
    return SPOOR_OK;
}

spoor_status audio_read(spoor_audio *a, float *out, size_t n, size_t *got, spoor_error *err) {
    return a->cut != NULL ? silence_read(a->cut, a, out, n, got, err) : audio_read_whole(a, out, n, got, err);
}

spoor_status audio_rewind_whole(spoor_audio *a, spoor_error *err) {
    if (!a->started) {
        return SPOOR_OK;
    }
    /* Seeking to 0 is not exact in every decoder, opening again is. */
    if (a->file != NULL) {
        sf_close(a->file);
        a->file = NULL;
        SF_INFO info;
        TRY(decoder_open(a, &info, CONTAINER_KNOWN, err));
        if (info.channels != a->channels) {
            return input_error(a, err, "changed while it was read");
        }
    }
    soxr_delete(a->resampler);
    a->resampler = NULL;
    a->levels = (audio_levels){.rounding = a->levels.rounding, .companding = a->levels.companding};
    a->frames = 0;
    a->mono_at = a->mono_n = a->out_at = a->out_n = 0;
    a->source_done = a->done = a->started = false;
    return resampler_open(a, err);
}

spoor_status audio_rewind(spoor_audio *a, spoor_error *err) {
    if (a->cut != NULL) {
        silence_restart(a->cut);
    }
    return audio_rewind_whole(a, err);
}

/* ---- silence ------------------------------------------------------------------------------------------ */

static spoor_status use_silence(spoor_audio *a, const audio_silence *how, spoor_error *err) {
    silence *cut = NULL;
    if (how != NULL) {
        TRY(silence_new(a->ctx, how, &cut, err));
    }
    silence_free(a->cut);
    a->cut = cut;
    return audio_rewind(a, err);
}

spoor_status audio_set_silence(spoor_audio *a, const audio_silence *how, spoor_error *err) {
    a->fixed = true;
    return use_silence(a, how, err);
}

spoor_status audio_follow_silence(spoor_audio *a, const audio_silence *how, spoor_error *err) {
    return a->fixed || (how == NULL && a->cut == NULL) ? SPOOR_OK : use_silence(a, how, err);
}

double audio_silence_removed(const spoor_audio *a) {
    return a->cut != NULL ? (double)silence_removed(a->cut) / AUDIO_RATE : -1;
}
