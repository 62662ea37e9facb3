/* hard_files.c: see hard_files.h. */
#define _GNU_SOURCE
#include "support/hard_files.h"
#include "support/support.h"
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum sound {
    SPEECH, /* voiced harmonics to 7 kHz with a syllable rhythm */
    LOW,    /* the same up to 2 kHz */
    PHONE,  /* the same from 300 to 3400 Hz */
    SILENCE,
    OFFSET,     /* a constant */
    ONE_NAN,    /* speech with a single NaN */
    ONE_INF,
    HUGE_VALUE, /* speech times 1e30 */
    INTEGERS,   /* speech times 32767 in a float file */
    MINUS_ZERO,
    DENORMAL,
    SQUARE, /* clipped */
    CLICK,
    LEFT_ONLY, /* speech in the first channel, nothing in the others */
    BURST      /* 0.3 s of speech, then silence */
};

enum edit {
    AS_IS,
    CUT,      /* keep `value` thousandths of the bytes */
    KEEP,     /* keep `at` bytes */
    PUT16,    /* little-endian value at a byte */
    PUT32,
    PUT32_BIG,
    APPEND,   /* `at` bytes of zeros */
    TWICE,    /* the file, and the same again */
    WIPE,     /* 2,000 bytes of 0xFF from `at` on */
    BYTES,    /* no sound: the text of the table below at `value` */
    FOLDER,
    MISSING,
    LOCKED, /* mode 000 */
    FIFO,
    DANGLING,
    LOOP,
    NAME_LONG, /* a path over the system's limit */
    DEVICE     /* a link to /dev/zero */
};

#define LITERAL(s) {s, sizeof s - 1}
static const struct {
    const char *bytes;
    size_t n;
} byte_files[] = {
    LITERAL(""),
    LITERAL("This is a text, not a sound.\n"),
    LITERAL("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde"),
    LITERAL("RIFF"),
    LITERAL("RIFF\x24\0\0\0WAVE"),
    LITERAL("OggS"),
    LITERAL("fLaC\0\0\0\x22"),
    LITERAL("ID3\4\0\0\0\0\0\0"),
    LITERAL("FORM\0\0\0\4AIFF"),
};

#define WAV(sub) (SF_FORMAT_WAV | SF_FORMAT_##sub)
#define OF(major, sub) (SF_FORMAT_##major | SF_FORMAT_##sub)
#define PCM16 WAV(PCM_16)
/* name, sound, format, rate, channels; then what else holds */
#define MADE(n, s, f, r, c) .name = n, .sound = s, .format = f, .rate = r, .channels = c
#define GOOD(n, f, r, c) {MADE(n, SPEECH, f, r, c)}
#define EDITED(n, f, e, a, v, text) \
    {MADE(n, SPEECH, f, 16000, 1), .edit = e, .at = a, .value = v, .outcome = HARD_ERROR, .sentence = text}
#define OTHER(n, e, v, text) {.name = n, .edit = e, .value = v, .outcome = HARD_ERROR, .sentence = text}

static const hard_file table[] = {
    /* every kind of coding */
    GOOD("pcm_u8.wav", WAV(PCM_U8), 16000, 1),
    GOOD("pcm_16.wav", PCM16, 16000, 1),
    GOOD("pcm_24.wav", WAV(PCM_24), 16000, 2),
    GOOD("pcm_32.wav", WAV(PCM_32), 16000, 1),
    GOOD("float.wav", WAV(FLOAT), 16000, 1),
    GOOD("double.wav", WAV(DOUBLE), 16000, 1),
    GOOD("alaw.wav", WAV(ALAW), 8000, 1),
    GOOD("ulaw.wav", WAV(ULAW), 8000, 1),
    GOOD("ima_adpcm.wav", WAV(IMA_ADPCM), 16000, 1),
    GOOD("ms_adpcm.wav", WAV(MS_ADPCM), 16000, 2),
    GOOD("gsm610.wav", WAV(GSM610), 8000, 1),
    GOOD("g721.wav", WAV(G721_32), 8000, 1),
    GOOD("extensible.wav", OF(WAVEX, PCM_16), 48000, 6),
    GOOD("big_endian.wav", PCM16 | SF_ENDIAN_BIG, 16000, 1),
    GOOD("rf64.wav", OF(RF64, PCM_16), 16000, 1),
    GOOD("pcm_16.w64", OF(W64, PCM_16), 16000, 1),
    GOOD("pcm_16.flac", OF(FLAC, PCM_16), 16000, 1),
    GOOD("pcm_24.flac", OF(FLAC, PCM_24), 96000, 2),
    GOOD("vorbis.ogg", OF(OGG, VORBIS), 44100, 2),
    GOOD("opus.ogg", OF(OGG, OPUS), 48000, 1),
    GOOD("opus_16k.opus", OF(OGG, OPUS), 16000, 1),
    GOOD("layer3.mp3", OF(MPEG, MPEG_LAYER_III), 44100, 2),
    GOOD("layer3_16k.mp3", OF(MPEG, MPEG_LAYER_III), 16000, 1),
    GOOD("pcm_16.aiff", OF(AIFF, PCM_16), 22050, 1),
    GOOD("float.aifc", OF(AIFF, FLOAT), 44100, 2),
    GOOD("pcm_16.au", OF(AU, PCM_16), 16000, 1),
    GOOD("ulaw.au", OF(AU, ULAW), 8000, 1),
    GOOD("pcm_16.caf", OF(CAF, PCM_16), 48000, 1),
    GOOD("alac.caf", OF(CAF, ALAC_16), 44100, 2),
    GOOD("pcm_16.voc", OF(VOC, PCM_16), 16000, 1),
    GOOD("pcm_16.sph", OF(NIST, PCM_16), 16000, 1),
    GOOD("pcm_16.svx", OF(SVX, PCM_16), 16000, 1),
    GOOD("pcm_16.paf", OF(PAF, PCM_16), 16000, 1),
    GOOD("float.sf", OF(IRCAM, FLOAT), 16000, 1),
    GOOD("pcm_16.htk", OF(HTK, PCM_16), 16000, 1),
    /* rates */
    {MADE("rate_3999.wav", SPEECH, PCM16, 3999, 1), .outcome = HARD_ERROR, .sentence = "sample rate of 3999 Hz"},
    {MADE("rate_4000.wav", SPEECH, PCM16, 4000, 1), .outcome = HARD_NARROW},
    {MADE("rate_6000.wav", SPEECH, PCM16, 6000, 1), .outcome = HARD_NARROW},
    GOOD("rate_8000.wav", PCM16, 8000, 1),
    GOOD("rate_11025.wav", PCM16, 11025, 1),
    GOOD("rate_12345.wav", PCM16, 12345, 1),
    GOOD("rate_22050.wav", PCM16, 22050, 1),
    GOOD("rate_44100.wav", PCM16, 44100, 1),
    GOOD("rate_96000.wav", PCM16, 96000, 1),
    GOOD("rate_176400.wav", PCM16, 176400, 1),
    GOOD("rate_192000.wav", PCM16, 192000, 1),
    {MADE("rate_192001.wav", SPEECH, PCM16, 192001, 1), .outcome = HARD_ERROR, .sentence = "sample rate of 192001 Hz"},
    EDITED("rate_0.wav", PCM16, PUT32, 24, 0, ""),
    EDITED("rate_huge.wav", PCM16, PUT32, 24, 0xffffffff, ""),
    EDITED("rate_2_30.wav", PCM16, PUT32, 24, 1 << 30, "sample rate"),
    /* channels */
    GOOD("channels_3.wav", PCM16, 16000, 3),
    GOOD("channels_8.wav", PCM16, 16000, 8),
    GOOD("channels_255.wav", WAV(PCM_U8), 8000, 255),
    {MADE("channels_1024.wav", SPEECH, WAV(PCM_U8), 8000, 1024), .seconds = 0.6},
    {MADE("channel_2_of_3.wav", SPEECH, PCM16, 16000, 3), .channel = 3},
    {MADE("channel_3_of_3.wav", SPEECH, PCM16, 16000, 3), .channel = 4, .outcome = HARD_ERROR, .sentence = "no channel 3"},
    {MADE("channel_left.wav", LEFT_ONLY, PCM16, 16000, 2), .channel = 1},
    {MADE("channel_right.wav", LEFT_ONLY, PCM16, 16000, 2), .channel = 2, .outcome = HARD_SILENT},
    {MADE("channel_left_mixed.wav", LEFT_ONLY, PCM16, 16000, 2)},
    EDITED("channels_0.wav", PCM16, PUT16, 22, 0, ""),
    EDITED("channels_65535.wav", PCM16, PUT16, 22, 65535, ""),
    /* headerless */
    {MADE("mono.raw", SPEECH, OF(RAW, PCM_16) | SF_ENDIAN_LITTLE, 16000, 1), .raw_rate = 16000, .raw_channels = 1},
    {MADE("stereo.raw", SPEECH, OF(RAW, PCM_16) | SF_ENDIAN_LITTLE, 44100, 2), .raw_rate = 44100, .raw_channels = 2},
    {MADE("fraction.raw", SPEECH, OF(RAW, PCM_16) | SF_ENDIAN_LITTLE, 16000, 1), .raw_rate = 15999.5, .raw_channels = 1},
    {MADE("odd.raw", SPEECH, OF(RAW, PCM_16) | SF_ENDIAN_LITTLE, 16000, 1), .raw_rate = 16000, .raw_channels = 1,
     .edit = APPEND, .at = 1, .outcome = HARD_ERROR, .sentence = "last frame is not whole"},
    {MADE("no_options.raw", SPEECH, OF(RAW, PCM_16) | SF_ENDIAN_LITTLE, 16000, 1), .outcome = HARD_ERROR,
     .sentence = "not a sound file"},
    {.name = "empty.raw", .edit = BYTES, .raw_rate = 16000, .raw_channels = 1, .outcome = HARD_ERROR, .sentence = "is empty"},
    /* cut off */
    EDITED("cut_half.wav", PCM16, CUT, 0, 500, "cut off"),
    EDITED("cut_last_byte.wav", PCM16, CUT, 0, 999, "cut off"),
    EDITED("cut_in_header.wav", PCM16, KEEP, 30, 0, ""),
    EDITED("header_only.wav", PCM16, KEEP, 44, 0, "cut off"),
    EDITED("cut_half_float.wav", WAV(FLOAT), CUT, 0, 500, "cut off"),
    EDITED("cut_ima.wav", WAV(IMA_ADPCM), CUT, 0, 700, "cut off"),
    EDITED("cut_gsm.wav", WAV(GSM610), CUT, 0, 700, "cut off"),
    EDITED("cut_rf64.wav", OF(RF64, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.w64", OF(W64, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.aiff", OF(AIFF, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.au", OF(AU, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.caf", OF(CAF, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.voc", OF(VOC, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.sph", OF(NIST, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.svx", OF(SVX, PCM_16), CUT, 0, 600, "cut off"),
    EDITED("cut.flac", OF(FLAC, PCM_16), CUT, 0, 500, ""),
    EDITED("cut_end.flac", OF(FLAC, PCM_16), CUT, 0, 990, ""),
    EDITED("cut_in_header.flac", OF(FLAC, PCM_16), KEEP, 30, 0, ""),
    EDITED("cut.ogg", OF(OGG, VORBIS), CUT, 0, 700, "cut off"),
    EDITED("cut_in_header.ogg", OF(OGG, VORBIS), KEEP, 200, 0, "cut off"),
    EDITED("cut.opus", OF(OGG, OPUS), CUT, 0, 700, "cut off"),
    EDITED("cut.mp3", OF(MPEG, MPEG_LAYER_III), CUT, 0, 500, "cut off"),
    EDITED("cut_in_header.mp3", OF(MPEG, MPEG_LAYER_III), KEEP, 40, 0, ""),
    /* lying and damaged headers */
    {MADE("size_open.wav", SPEECH, PCM16, 16000, 1), .edit = PUT32, .at = 40, .value = 0xffffffff},
    {MADE("size_sox_pipe.wav", SPEECH, PCM16, 16000, 1), .edit = PUT32, .at = 40, .value = 0x7ffff000},
    EDITED("size_lies.wav", PCM16, PUT32, 40, 0x10000000, "promises 268435456 bytes"),
    EDITED("size_zero.wav", PCM16, PUT32, 40, 0, "no sample"),
    EDITED("bits_77.wav", PCM16, PUT16, 34, 77, ""),
    {MADE("align_0.wav", SPEECH, PCM16, 16000, 1), .edit = PUT16, .at = 32}, /* follows from the other fields */
    EDITED("codec_unknown.wav", PCM16, PUT16, 20, 0x7777, "cannot be decoded"),
    EDITED("magic_broken.wav", PCM16, PUT32, 0, 0x21212121, "not a sound file"),
    EDITED("frames_lie.flac", OF(FLAC, PCM_16), PUT32_BIG, 22, 0x7fffffff, ""),
    EDITED("twice.ogg", OF(OGG, VORBIS), TWICE, 0, 0, "several recordings"),
    EDITED("twice.opus", OF(OGG, OPUS), TWICE, 0, 0, "several recordings"),
    {MADE("twice.mp3", SPEECH, OF(MPEG, MPEG_LAYER_III), 44100, 2), .edit = TWICE},
    EDITED("wiped_middle.flac", OF(FLAC, PCM_16), WIPE, 9000, 0, ""),
    {MADE("trailing_bytes.wav", SPEECH, PCM16, 16000, 1), .edit = APPEND, .at = 777},
    {MADE("trailing_bytes.ogg", SPEECH, OF(OGG, VORBIS), 16000, 1), .edit = APPEND, .at = 128},
    {MADE("trailing_bytes.mp3", SPEECH, OF(MPEG, MPEG_LAYER_III), 16000, 1), .edit = APPEND, .at = 128},
    /* too little to judge */
    {MADE("one_sample.wav", SPEECH, PCM16, 16000, 1), .seconds = 1.0 / 16000, .outcome = HARD_SHORT},
    {MADE("one_sample_192k.wav", SPEECH, PCM16, 192000, 1), .seconds = 1.0 / 192000, .outcome = HARD_SHORT},
    {MADE("short_0.4s.wav", SPEECH, PCM16, 16000, 1), .seconds = 0.4, .outcome = HARD_SHORT},
    {MADE("short_0.6s.wav", SPEECH, PCM16, 16000, 1), .seconds = 0.6},
    {MADE("burst.wav", BURST, PCM16, 16000, 1), .seconds = 3, .outcome = HARD_SHORT},
    {MADE("silence.wav", SILENCE, PCM16, 16000, 1), .outcome = HARD_SILENT},
    {MADE("silence.flac", SILENCE, OF(FLAC, PCM_16), 44100, 2), .outcome = HARD_SILENT},
    {MADE("silence.mp3", SILENCE, OF(MPEG, MPEG_LAYER_III), 16000, 1), .outcome = HARD_SILENT},
    {MADE("offset.wav", OFFSET, PCM16, 16000, 1), .outcome = HARD_SILENT},
    {MADE("offset_44k.wav", OFFSET, PCM16, 44100, 1), .outcome = HARD_SILENT},
    {MADE("minus_zero.wav", MINUS_ZERO, WAV(FLOAT), 16000, 1), .outcome = HARD_SILENT},
    {MADE("denormal.wav", DENORMAL, WAV(FLOAT), 44100, 1), .outcome = HARD_SILENT},
    {MADE("click.wav", CLICK, PCM16, 16000, 1), .outcome = HARD_SILENT},
    {MADE("nan.wav", ONE_NAN, WAV(FLOAT), 16000, 1), .outcome = HARD_INVALID},
    {MADE("nan_44k.wav", ONE_NAN, WAV(DOUBLE), 44100, 2), .outcome = HARD_INVALID},
    {MADE("inf.wav", ONE_INF, WAV(FLOAT), 16000, 1), .outcome = HARD_INVALID},
    {MADE("huge_values.wav", HUGE_VALUE, WAV(FLOAT), 22050, 1), .outcome = HARD_INVALID},
    {MADE("integers_in_float.wav", INTEGERS, WAV(FLOAT), 44100, 1)},
    {MADE("low_2k.wav", LOW, PCM16, 16000, 1), .outcome = HARD_NARROW},
    {MADE("low_2k_44k.flac", LOW, OF(FLAC, PCM_24), 44100, 1), .outcome = HARD_NARROW},
    {MADE("low_2k_u8.wav", LOW, WAV(PCM_U8), 8000, 1), .outcome = HARD_NARROW},
    {MADE("low_2k_ulaw.wav", LOW, WAV(ULAW), 8000, 1), .outcome = HARD_NARROW},
    {MADE("low_2k_alaw.wav", LOW, WAV(ALAW), 8000, 1), .outcome = HARD_NARROW},
    {MADE("phone.wav", PHONE, PCM16, 8000, 1)},
    {MADE("phone_ulaw.wav", PHONE, WAV(ULAW), 8000, 1)},
    {MADE("phone_48k.wav", PHONE, PCM16, 48000, 1)},
    {MADE("clipped_square.wav", SQUARE, PCM16, 16000, 1)},
    /* no sound at all */
    OTHER("empty.wav", BYTES, 0, "is empty"),
    OTHER("text.wav", BYTES, 1, "not a sound file"),
    OTHER("picture.png", BYTES, 2, "not a sound file"),
    OTHER("four_bytes.wav", BYTES, 3, ""),
    OTHER("twelve_bytes.wav", BYTES, 4, ""),
    OTHER("four_bytes.ogg", BYTES, 5, "cut off"),
    OTHER("eight_bytes.flac", BYTES, 6, ""),
    OTHER("only_tag.mp3", BYTES, 7, ""),
    OTHER("twelve_bytes.aiff", BYTES, 8, ""),
    OTHER("folder.wav", FOLDER, 0, "a folder"),
    OTHER("missing.wav", MISSING, 0, "No such file"),
    OTHER("missing\nwith a line end.wav", MISSING, 0, "No such file"),
    OTHER("locked.wav", LOCKED, 0, "Permission denied"),
    OTHER("pipe.wav", FIFO, 0, "a pipe"),
    OTHER("dangling.wav", DANGLING, 0, "No such file"),
    OTHER("loop.wav", LOOP, 0, "symbolic links"),
    OTHER("device.wav", DEVICE, 0, "a device"),
    OTHER("long", NAME_LONG, 0, "too long"),
    /* names */
    GOOD("name with\nline end.wav", PCM16, 16000, 1),
    GOOD("n\xc3\xa4me \xe5\xa3\xb0 \xf0\x9f\x8e\xa4.wav", PCM16, 16000, 1),
    GOOD("invalid \xff\xc3\x28 bytes.wav", PCM16, 16000, 1),
    GOOD("-leading dash.wav", PCM16, 16000, 1),
    GOOD("no_ending", PCM16, 16000, 1),
    GOOD("wrong_ending.mp3", PCM16, 16000, 1),
};

const hard_file *hard_files(size_t *n) {
    *n = sizeof table / sizeof table[0];
    return table;
}

const char *hard_outcome_name(hard_outcome outcome) {
    static const char *const names[] = {"ok", "invalid samples", "silent", "too short", "narrow", "error"};
    return names[outcome];
}

bool hard_file_applies(const hard_file *f) { return f->edit != LOCKED || geteuid() != 0; }

char *hard_file_path(const char *folder, const hard_file *f) {
    char *path = NULL;
    size_t extra = f->edit == NAME_LONG ? 5000 : 0;
    if (asprintf(&path, "%s/%s%0*d", folder, f->name, (int)extra, 0) < 0) {
        fail_msg("out of memory");
    }
    if (extra == 0) {
        path[strlen(path) - 1] = '\0'; /* the digit of the padding */
    }
    return path;
}

/* Harmonics of 130 Hz between two frequencies, 1/h, with four syllables a second. */
static float voice(double t, double low, double high) {
    double x = 0;
    for (int h = 1; h * 130.0 <= high; h++) {
        if (h * 130.0 >= low) {
            x += sin(2 * M_PI * 130 * h * t + h * h) / h;
        }
    }
    return (float)(0.1 * x * (0.6 + 0.4 * sin(2 * M_PI * 4 * t)));
}

static float sample_of(const hard_file *f, double t, size_t i, int channel) {
    double top = 0.45 * f->rate < 7000 ? 0.45 * f->rate : 7000;
    switch (f->sound) {
    case LOW: return voice(t, 0, 2000);
    case PHONE: return voice(t, 300, 3400);
    case SILENCE: return 0;
    case OFFSET: return 0.25f;
    case ONE_NAN: return i == 5000 ? NAN : voice(t, 0, top);
    case ONE_INF: return i == 5000 ? -INFINITY : voice(t, 0, top);
    case HUGE_VALUE: return voice(t, 0, top) * 1e30f;
    case INTEGERS: return voice(t, 0, top) * 32767;
    case MINUS_ZERO: return -0.0f;
    case DENORMAL: return i % 2 == 0 ? 1e-41f : -1e-41f;
    case SQUARE: return fmod(t * 250, 1) < 0.5 ? 1.0f : -1.0f;
    case CLICK: return i == 9000 ? 0.9f : 0;
    case LEFT_ONLY: return channel == 0 ? voice(t, 0, top) : 0;
    case BURST: return t < 0.3 ? voice(t, 0, top) : 0;
    default: return voice(t, 0, top);
    }
}

static void write_sound(const char *path, const hard_file *f) {
    SF_INFO info = {.format = f->format, .samplerate = f->rate, .channels = f->channels};
    /* through a descriptor, so that libsndfile does not judge by the name */
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    SNDFILE *out = fd < 0 ? NULL : sf_open_fd(fd, SFM_WRITE, &info, SF_TRUE);
    if (out == NULL) {
        fail_msg("cannot write %s: %s", path, sf_strerror(NULL));
        return;
    }
    (void)sf_command(out, SFC_SET_CLIPPING, NULL, SF_TRUE);
    size_t channels = (size_t)f->channels, room = 1024;
    size_t frames = (size_t)lround((f->seconds > 0 ? f->seconds : 1.2) * f->rate);
    float *block = malloc(room * channels * sizeof *block);
    assert_non_null(block);
    for (size_t i = 0; i < frames; i += room) {
        size_t n = frames - i < room ? frames - i : room;
        for (size_t k = 0; k < n; k++) {
            double t = (double)(i + k) / f->rate;
            float first = sample_of(f, t, i + k, 0), rest = channels > 1 ? sample_of(f, t, i + k, 1) : 0;
            for (size_t c = 0; c < channels; c++) {
                block[k * channels + c] = c == 0 ? first : rest;
            }
        }
        assert_int_equal(sf_writef_float(out, block, (sf_count_t)n), n);
    }
    free(block);
    assert_int_equal(sf_close(out), 0);
}

static void write_bytes(const char *path, const void *data, size_t n) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void edit_bytes(const char *path, const hard_file *f) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t room = 4 << 20, at = (size_t)f->at;
    unsigned char *b = calloc(room, 1);
    assert_non_null(b);
    size_t n = fread(b, 1, room / 2, in);
    assert_int_equal(fclose(in), 0);
    assert_true(n > 44 && n < room / 2);
    switch (f->edit) {
    case CUT: n = n * (size_t)f->value / 1000; break;
    case KEEP: n = at; break;
    case PUT16:
    case PUT32:
    case PUT32_BIG:
        for (int i = 0; i < (f->edit == PUT16 ? 2 : 4); i++) {
            b[at + (size_t)i] = (unsigned char)(f->value >> 8 * (f->edit == PUT32_BIG ? 3 - i : i));
        }
        break;
    case APPEND: n += at; break;
    case TWICE:
        memcpy(b + n, b, n);
        n *= 2;
        break;
    case WIPE: memset(b + at, 0xff, 2000); break;
    default: fail_msg("no such edit");
    }
    write_bytes(path, b, n);
    free(b);
}

static void make(const char *path, const hard_file *f) {
    switch (f->edit) {
    case BYTES:
    case LOCKED:
        write_bytes(path, byte_files[f->value].bytes, byte_files[f->value].n);
        assert_int_equal(chmod(path, f->edit == LOCKED ? 0 : 0666), 0);
        return;
    case FOLDER: assert_int_equal(mkdir(path, 0777), 0); return;
    case FIFO: assert_int_equal(mkfifo(path, 0666), 0); return;
    case DANGLING: assert_int_equal(symlink("nothing.wav", path), 0); return;
    case LOOP: assert_int_equal(symlink(f->name, path), 0); return;
    case DEVICE: assert_int_equal(symlink("/dev/zero", path), 0); return;
    case MISSING:
    case NAME_LONG: return;
    default: break;
    }
    write_sound(path, f);
    if (f->edit != AS_IS) {
        edit_bytes(path, f);
    }
}

void hard_files_make(const char *folder) {
    size_t n;
    const hard_file *files = hard_files(&n);
    for (size_t i = 0; i < n; i++) {
        char *path = hard_file_path(folder, files + i);
        make(path, files + i);
        free(path);
    }
}

char *hard_file_make(const char *folder, const char *name) {
    size_t n;
    const hard_file *files = hard_files(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(files[i].name, name) == 0) {
            char *path = hard_file_path(folder, files + i);
            make(path, files + i);
            return path;
        }
    }
    fail_msg("no hard file %s", name);
    return NULL;
}
