/* codec.c: codec round trips in memory: Opus, Vorbis, MP3, IMA ADPCM (4 bits a sample), GSM 06.10 and G.721 (at 8 kHz)
 * through libsndfile, mu-law and A-law by G.711.
 *
 * libsndfile 1.2 takes one number, the compression level c (0 best, 1 smallest), and makes of it: Opus 6 + 250 (1 - c)
 * kbit/s a channel; MP3 at constant bit rate and 16 kHz 160 - 152 c kbit/s; Vorbis quality 1 - c. The random serial
 * number of an Ogg stream is in its page headers only and changes no sample. */
#include "audio/augment/steps.h"
#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <string.h>

/* A file in memory, over the scratch object's byte buffer. */
typedef struct memory_file {
    augment_scratch *s;
    size_t size, at;
    bool failed; /* out of memory */
} memory_file;

static sf_count_t memory_size(void *user) { return (sf_count_t)((memory_file *)user)->size; }

static sf_count_t memory_tell(void *user) { return (sf_count_t)((memory_file *)user)->at; }

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user) {
    memory_file *f = user;
    sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)f->at : (sf_count_t)f->size;
    if (base + offset >= 0 && base + offset <= (sf_count_t)f->size) {
        f->at = (size_t)(base + offset);
    }
    return (sf_count_t)f->at;
}

static sf_count_t memory_read(void *to, sf_count_t count, void *user) {
    memory_file *f = user;
    size_t left = f->failed ? 0 : f->size - f->at, n = count < 0 ? 0 : (size_t)count < left ? (size_t)count : left;
    if (n > 0) {
        memcpy(to, f->s->bytes + f->at, n);
        f->at += n;
    }
    return (sf_count_t)n;
}

/* Out of memory is kept to ourselves until the file is closed: libsndfile 1.2 leaks where writing fails midway. */
static sf_count_t memory_write(const void *from, sf_count_t count, void *user) {
    memory_file *f = user;
    size_t end = f->at + (count < 0 ? 0 : (size_t)count);
    f->failed = f->failed || !ctx_grow(f->s->ctx, (void **)&f->s->bytes, &f->s->bytes_capacity, end, 1);
    if (!f->failed && end > f->at) {
        memcpy(f->s->bytes + f->at, from, end - f->at);
    }
    f->at = end;
    f->size = end > f->size ? end : f->size;
    return count;
}

static SF_VIRTUAL_IO memory_io(void) {
    return (SF_VIRTUAL_IO){memory_size, memory_seek, memory_read, memory_write, memory_tell};
}

static const int FORMATS[] = {[CODEC_OPUS] = SF_FORMAT_OGG | SF_FORMAT_OPUS,
                              [CODEC_VORBIS] = SF_FORMAT_OGG | SF_FORMAT_VORBIS,
                              [CODEC_MP3] = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III,
                              [CODEC_ADPCM] = SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM,
                              [CODEC_GSM] = SF_FORMAT_WAV | SF_FORMAT_GSM610,
                              [CODEC_G721] = SF_FORMAT_AU | SF_FORMAT_G721_32};
static const char *const CODED[] = {[CODEC_OPUS] = "Opus", [CODEC_VORBIS] = "Vorbis", [CODEC_MP3] = "MP3",
                                    [CODEC_ADPCM] = "IMA ADPCM", [CODEC_GSM] = "GSM 06.10", [CODEC_G721] = "G.721"};

static bool always_narrow(int codec) { return codec == CODEC_GSM || codec == CODEC_G721; }
static int codec_rate(int codec) { return always_narrow(codec) ? AUGMENT_RATE / 2 : AUGMENT_RATE; }

static double compression_level(int codec, double quality) {
    double level = codec == CODEC_OPUS  ? 1 - (quality - 6) / 250
                   : codec == CODEC_MP3 ? (160 - quality) / 152
                                        : 1 - quality;
    return level < 0 ? 0 : level > 1 ? 1 : level;
}

static spoor_status codec_failed(const memory_file *f, int codec, const char *what, spoor_error *err) {
    if (f->failed) {
        return error_memory(err, "coding a clip");
    }
    return error_set(err, SPOOR_ERR_USAGE, "libsndfile could not %s %s on this machine; leave that codec out", what,
                     CODED[codec]);
}

static spoor_status encode(memory_file *f, int codec, double quality, const float *x, size_t n, spoor_error *err) {
    SF_VIRTUAL_IO io = memory_io();
    SF_INFO info = {.samplerate = codec_rate(codec), .channels = 1, .format = FORMATS[codec]};
    SNDFILE *file = sf_open_virtual(&io, SFM_WRITE, &info, f);
    if (file == NULL) {
        return codec_failed(f, codec, "write", err);
    }
    if (codec <= CODEC_MP3) {
        double level = compression_level(codec, quality);
        sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level);
    }
    if (codec == CODEC_MP3) {
        int constant = SF_BITRATE_MODE_CONSTANT;
        sf_command(file, SFC_SET_BITRATE_MODE, &constant, sizeof constant);
    }
    sf_count_t written = sf_writef_float(file, x, (sf_count_t)n);
    int closed = sf_close(file);
    if (written != (sf_count_t)n || closed != 0 || f->failed) {
        return codec_failed(f, codec, "write", err);
    }
    return SPOOR_OK;
}

/* MP3 frames too small for LAME's header say nothing of the encoder's delay (576 samples) and the decoder's (529): then
 * more comes back than went in. With the header, as with Ogg, exactly the samples that went in come back. */
enum { MP3_DELAY = 1105, DECODE_EXTRA = 8192 };

static spoor_status decode(memory_file *f, int codec, float *x, size_t n, spoor_error *err) {
    SF_VIRTUAL_IO io = memory_io();
    SF_INFO info = {0};
    f->at = 0;
    float *y = step_buffer(f->s, 2, n + DECODE_EXTRA);
    if (y == NULL) {
        return error_memory(err, "coding a clip");
    }
    SNDFILE *file = sf_open_virtual(&io, SFM_READ, &info, f);
    if (file == NULL || info.channels != 1 || info.samplerate != codec_rate(codec)) {
        if (file != NULL) {
            sf_close(file);
        }
        return codec_failed(f, codec, "read", err);
    }
    sf_count_t got = sf_readf_float(file, y, (sf_count_t)(n + DECODE_EXTRA));
    sf_close(file);
    size_t have = got < 0 ? 0 : (size_t)got, skip = codec == CODEC_MP3 && have > n ? MP3_DELAY : 0;
    memset(y + have, 0, (n + DECODE_EXTRA - have) * sizeof *y);
    memcpy(x, y + skip, n * sizeof *x);
    return SPOOR_OK;
}

/* Magnitude with bias 132 has its highest bit, 7..14, as exponent and the next four bits as mantissa. */
int codec_mulaw(int sample) {
    int magnitude = sample < 0 ? -sample : sample;
    magnitude = (magnitude < 32635 ? magnitude : 32635) + 132;
    int exponent = 0;
    while (magnitude >> (exponent + 8) != 0) {
        exponent++;
    }
    int mantissa = (magnitude >> (exponent + 3)) & 15;
    int value = (((mantissa << 3) + 132) << exponent) - 132;
    return sample < 0 ? -value : value;
}

/* 13 bits; segments 0 and 1 have steps of 16, each next one doubles. Negative values count from -1 (-x - 1). */
int codec_alaw(int sample) {
    int magnitude = sample < 0 ? -sample - 1 : sample;
    int segment = 0;
    while (magnitude >> (segment + 8) != 0) {
        segment++;
    }
    int shift = segment > 1 ? segment + 3 : 4;
    int value = ((magnitude >> shift) << shift) + (1 << (shift - 1));
    return sample < 0 ? -value : value;
}

static void compand(int codec, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * 32768;
        v = v > 32767 ? 32767 : v < -32768 ? -32768 : v;
        int sample = (int)lrintf(v);
        x[i] = (float)(codec == CODEC_MULAW ? codec_mulaw(sample) : codec_alaw(sample)) / 32768;
    }
}

spoor_status codec_round_trip(augment_scratch *s, int codec, double quality, float *x, size_t n, spoor_error *err) {
    float peak = 0;
    for (size_t i = 0; i < n; i++) {
        peak = fmaxf(peak, fabsf(x[i]));
    }
    /* Codecs clip at full scale: a louder clip is coded lower and brought back. */
    float scale = peak > 1 ? 1 / peak : 1;
    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
    }
    if (codec == CODEC_MULAW || codec == CODEC_ALAW) {
        compand(codec, x, n);
    } else {
        memory_file f = {.s = s};
        TRY(encode(&f, codec, quality, x, n, err));
        TRY(decode(&f, codec, x, n, err));
    }
    for (size_t i = 0; i < n && scale != 1; i++) {
        x[i] /= scale;
    }
    return SPOOR_OK;
}

/* The codec at half the rate. */
static spoor_status narrow_round_trip(augment_scratch *s, int codec, float *x, size_t n, spoor_error *err) {
    size_t m = n / 2 + 1;
    float *low = step_buffer(s, 1, m);
    if (low == NULL) {
        return error_memory(err, "coding a clip");
    }
    TRY(rate_convert(x, n, AUGMENT_RATE, low, m, AUGMENT_RATE / 2, SOXR_HQ, err));
    TRY(codec_round_trip(s, codec, 0, low, m, err));
    return rate_convert(low, m, AUGMENT_RATE / 2, x, n, AUGMENT_RATE, SOXR_HQ, err);
}

spoor_status step_codec(const step_run *run, float *x, size_t n, spoor_error *err) {
    int codec = (int)step_choose(run);
    double kbps = step_draw(run, 0), quality = step_draw(run, 1);
    bool narrow = rng_uniform(run->rng) < run->step->number;
    bool g711 = codec == CODEC_MULAW || codec == CODEC_ALAW;
    if (!(g711 && narrow) && !always_narrow(codec)) {
        return codec_round_trip(run->scratch, codec, codec == CODEC_VORBIS ? quality : kbps, x, n, err);
    }
    return narrow_round_trip(run->scratch, codec, x, n, err);
}

int telephone_codec(unsigned i) {
    static const int codecs[] = {CODEC_MULAW, CODEC_ALAW, CODEC_GSM, CODEC_G721};
    return codecs[i];
}

spoor_status step_telephone(const step_run *run, float *x, size_t n, spoor_error *err) {
    int codec = telephone_codec(step_choose(run));
    TRY(step_bandlimit(run, x, n, err));
    return narrow_round_trip(run->scratch, codec, x, n, err);
}
