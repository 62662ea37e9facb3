/* container.c: see container.h. Walks chunk headers only; whatever it does not understand it lets pass, because the
 * decoder judges it next. Every walk is bounded by CHUNKS_MAX and by the size of the file. */
#include "audio/container.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS_MAX = 4096, OGG_PAGE_MAX = 27 + 255 + 255 * 255, OGG_PAGES_MAX = 1 << 22, MP3_MORE = 8192 };

/* From here on a 32-bit length is what a writer to a pipe puts where it cannot know. */
#define OPEN_LENGTH 0x7ffff000u

static uint64_t number(const unsigned char *p, int bytes, bool big) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v = v << 8 | p[big ? i : bytes - 1 - i];
    }
    return v;
}

static spoor_status promised(const source *s, const char *shown, uint64_t start, uint64_t length, spoor_error *err) {
    if (start <= s->size && length <= s->size - start) {
        return SPOOR_OK;
    }
    uint64_t held = start <= s->size ? s->size - start : 0;
    return error_set(err, SPOOR_ERR_INPUT,
                     "%s is cut off or its header lies: it promises %llu bytes of sound and holds %llu", shown,
                     (unsigned long long)length, (unsigned long long)held);
}

/* RIFF, RIFX, RF64 and, with big = true, IFF: four letters, 32-bit length, padded to even. */
static spoor_status check_iff(source *s, const char *shown, const char *wanted, bool big, spoor_error *err) {
    uint64_t at = 12, length64 = 0;
    unsigned char h[24];
    for (int i = 0; i < CHUNKS_MAX && source_read(s, at, h, 8) == 8; i++) {
        uint64_t length = number(h + 4, 4, big);
        if (memcmp(h, "ds64", 4) == 0 && source_read(s, at + 8, h, 16) == 16) {
            length64 = number(h + 8, 8, big);
        } else if (memcmp(h, wanted, 4) == 0) {
            if (length == UINT32_MAX && length64 != 0) {
                length = length64;
            } else if (length >= OPEN_LENGTH) {
                return SPOOR_OK;
            }
            return promised(s, shown, at + 8, length, err);
        }
        at += 8 + length + (length & 1);
    }
    return SPOOR_OK;
}

static spoor_status check_w64(source *s, const char *shown, spoor_error *err) {
    uint64_t at = 40;
    unsigned char h[24];
    for (int i = 0; i < CHUNKS_MAX && source_read(s, at, h, 24) == 24; i++) {
        uint64_t length = number(h + 16, 8, false); /* with these 24 bytes */
        if (length < 24 || length > INT64_MAX - 8 - at) {
            return SPOOR_OK;
        }
        if (memcmp(h, "data", 4) == 0) {
            return promised(s, shown, at + 24, length - 24, err);
        }
        at += (length + 7) / 8 * 8;
    }
    return SPOOR_OK;
}

static spoor_status check_caf(source *s, const char *shown, spoor_error *err) {
    uint64_t at = 8;
    unsigned char h[12];
    for (int i = 0; i < CHUNKS_MAX && source_read(s, at, h, 12) == 12; i++) {
        uint64_t length = number(h + 4, 8, true);
        if (length > INT64_MAX - 12 - at) { /* -1: to the end of the file */
            return SPOOR_OK;
        }
        if (memcmp(h, "data", 4) == 0) {
            return promised(s, shown, at + 12, length, err);
        }
        at += 12 + length;
    }
    return SPOOR_OK;
}

static spoor_status check_au(source *s, const char *shown, bool big, spoor_error *err) {
    unsigned char h[12];
    if (source_read(s, 0, h, 12) != 12) {
        return SPOOR_OK;
    }
    uint64_t length = number(h + 8, 4, big);
    return length >= OPEN_LENGTH ? SPOOR_OK : promised(s, shown, number(h + 4, 4, big), length, err);
}

static spoor_status check_voc(source *s, const char *shown, spoor_error *err) {
    unsigned char h[26];
    if (source_read(s, 0, h, 26) != 26) {
        return SPOOR_OK;
    }
    uint64_t at = number(h + 20, 2, false);
    for (int i = 0; i < CHUNKS_MAX && source_read(s, at, h, 4) == 4 && h[0] != 0; i++) {
        uint64_t length = number(h + 1, 3, false);
        TRY(promised(s, shown, at + 4, length, err));
        at += 4 + length;
    }
    return SPOOR_OK;
}

/* The value of "key -i N" in the text header of a NIST SPHERE file; 0 where it is missing. */
static uint64_t nist_value(const char *header, const char *key) {
    const char *line = strstr(header, key);
    if (line == NULL) {
        return 0;
    }
    long long v = strtoll(line + strlen(key), NULL, 10);
    return v > 0 && v < (1ll << 40) ? (uint64_t)v : 0;
}

static spoor_status check_nist(source *s, const char *shown, spoor_error *err) {
    char h[1025];
    size_t n = source_read(s, 0, h, 1024);
    h[n] = '\0';
    uint64_t count = nist_value(h, "sample_count -i "), bytes = nist_value(h, "sample_n_bytes -i ");
    uint64_t channels = nist_value(h, "channel_count -i ");
    if (n < 16 || count == 0 || bytes > 8 || channels > 1024) {
        return SPOOR_OK;
    }
    char digits[9] = {0};
    memcpy(digits, h + 8, 8);
    long long start = strtoll(digits, NULL, 10);
    return start < 0 ? SPOOR_OK : promised(s, shown, (uint64_t)start, count * bytes * channels, err);
}

/* Whether a second stream begins where the first has ended (a radio recording, files put end to end). */
static bool is_chained_ogg(source *s) {
    unsigned char h[27 + 255];
    bool inside = false;
    uint64_t at = 0;
    for (int page = 0; page < OGG_PAGES_MAX; page++) {
        size_t n = source_read(s, at, h, sizeof h);
        if (n < 27 || memcmp(h, "OggS", 4) != 0 || n < 27u + h[26]) {
            return false;
        }
        bool begins = (h[5] & 2) != 0;
        if (begins && inside) {
            return true;
        }
        inside = inside || !begins;
        at += 27u + h[26];
        for (size_t k = 0; k < h[26]; k++) {
            at += h[27 + k];
        }
    }
    return false;
}

/* The last page of an Ogg stream is whole and says that it is the last; and the stream is the only one. */
static spoor_status check_ogg(source *s, const char *shown, spoor_error *err) {
    size_t room = 2 * (size_t)OGG_PAGE_MAX;
    unsigned char *tail = ctx_alloc(s->ctx, room, 1);
    if (tail == NULL) {
        return error_memory(err, "reading an Ogg file");
    }
    uint64_t from = s->size > room ? s->size - room : 0;
    size_t n = source_read(s, from, tail, room);
    bool whole = false;
    for (size_t i = n; i-- > 0;) {
        if (n - i < 4 || memcmp(tail + i, "OggS", 4) != 0 || (n - i > 4 && tail[i + 4] != 0)) {
            continue;
        }
        if (n - i >= 27 && n - i >= 27u + tail[i + 26]) {
            size_t length = 27u + tail[i + 26];
            for (size_t k = 0; k < tail[i + 26]; k++) {
                length += tail[i + 27 + k];
            }
            whole = length <= n - i && (tail[i + 5] & 4) != 0;
        }
        break;
    }
    ctx_free(s->ctx, tail);
    if (!whole) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is cut off: its last Ogg page is missing or not whole", shown);
    }
    return is_chained_ogg(s) ? error_set(err, SPOOR_ERR_INPUT,
                                         "%s holds several recordings one after the other (chained Ogg), of which only "
                                         "the first can be decoded; split it first",
                                         shown)
                             : SPOOR_OK;
}

/* Where the first frame of an MP3 begins: behind the tag, if there is one. */
static uint64_t mp3_start(source *s) {
    unsigned char h[10];
    if (source_read(s, 0, h, 10) != 10 || memcmp(h, "ID3", 3) != 0) {
        return 0;
    }
    return 10 + ((uint64_t)(h[6] & 127) << 21 | (uint64_t)(h[7] & 127) << 14 | (uint64_t)(h[8] & 127) << 7 |
                 (uint64_t)(h[9] & 127));
}

/* Bytes between the frame header and the Xing or Info mark. */
static size_t mp3_side(const unsigned char *h) {
    bool mpeg1 = (h[1] & 0x18) == 0x18, mono = (h[3] & 0xc0) == 0xc0;
    return mpeg1 ? (mono ? 17 : 32) : (mono ? 9 : 17);
}

static bool is_layer3(const unsigned char *h) {
    return h[0] == 0xff && (h[1] & 0xe0) == 0xe0 && (h[1] & 6) == 2 && (h[1] & 0x18) != 8 && (h[2] & 12) != 12;
}

/* The bytes that the Xing or Info frame of an MP3 counts, from that frame on. (Some encoders leave that frame out of
 * the count, so a frame or two behind the end is nothing.) */
static spoor_status check_mp3(source *s, const char *shown, container_kind *kind, spoor_error *err) {
    unsigned char h[64];
    uint64_t at = mp3_start(s);
    if (source_read(s, at, h, sizeof h) != sizeof h || !is_layer3(h)) {
        return SPOOR_OK;
    }
    const unsigned char *x = h + 4 + mp3_side(h), *vbri = h + 36;
    bool xing = memcmp(x, "Xing", 4) == 0 || memcmp(x, "Info", 4) == 0, counts = xing && (x[7] & 1) != 0;
    if (!counts) {
        *kind = memcmp(vbri, "VBRI", 4) == 0 ? CONTAINER_KNOWN : CONTAINER_OPEN_MP3;
    }
    if (!xing || (x[7] & 2) == 0) {
        return SPOOR_OK;
    }
    uint64_t length = number(x + 8 + (counts ? 4 : 0), 4, true), end = at + length;
    TRY(promised(s, shown, at, length, err));
    if (s->size - end >= MP3_MORE && source_read(s, end, h, 4) == 4 && (is_layer3(h) || memcmp(h, "ID3", 3) == 0)) {
        *kind = CONTAINER_OPEN_MP3; /* more sound than it counts: files put end to end */
    }
    return SPOOR_OK;
}

size_t container_mp3_frame(source *s, unsigned char frame[CONTAINER_MP3_FRAME], uint64_t *from) {
    static const unsigned rates[] = {44100, 48000, 32000};
    enum { SMALLEST = 24 }; /* bytes of a frame: 8 kbit/s at 24 kHz */
    memset(frame, 0, CONTAINER_MP3_FRAME);
    *from = mp3_start(s);
    if (source_read(s, *from, frame, 4) != 4 || !is_layer3(frame)) {
        return 0;
    }
    frame[1] |= 1;                                          /* no checksum */
    frame[2] = (unsigned char)((frame[2] & 0x0c) | 9 << 4); /* the ninth bit rate, no padding */
    unsigned shift = (frame[1] & 0x18) == 0x18 ? 0 : (frame[1] & 0x18) == 0x10 ? 1 : 2; /* MPEG 1, 2, 2.5 */
    unsigned rate = rates[frame[2] >> 2 & 3] >> shift;
    size_t length = shift == 0 ? 144 * 128000 / rate : 72 * 80000 / rate;
    uint64_t most = s->size / SMALLEST < INT32_MAX ? s->size / SMALLEST + 1 : INT32_MAX;
    unsigned char *x = frame + 4 + mp3_side(frame);
    memcpy(x, "Xing\0\0\0\1", 8); /* 1: the number of frames follows */
    for (int i = 0; i < 4; i++) {
        x[8 + i] = (unsigned char)(most >> 8 * (3 - i) & 255);
    }
    return length;
}

spoor_status container_check(source *s, const char *shown, container_kind *kind, spoor_error *err) {
    unsigned char h[16] = {0};
    size_t n = source_read(s, 0, h, sizeof h);
    *kind = CONTAINER_KNOWN;
    if (memcmp(h, "RIFF", 4) == 0 || memcmp(h, "RF64", 4) == 0 || memcmp(h, "RIFX", 4) == 0) {
        return check_iff(s, shown, "data", h[3] == 'X', err);
    }
    if (memcmp(h, "FORM", 4) == 0) {
        return check_iff(s, shown, memcmp(h + 8, "AIF", 3) == 0 ? "SSND" : "BODY", true, err);
    }
    if (memcmp(h, "riff\x2e\x91\xcf\x11", 8) == 0) {
        return check_w64(s, shown, err);
    }
    if (memcmp(h, "caff", 4) == 0) {
        return check_caf(s, shown, err);
    }
    if (memcmp(h, ".snd", 4) == 0 || memcmp(h, "dns.", 4) == 0) {
        return check_au(s, shown, h[0] == '.', err);
    }
    if (memcmp(h, "Creative Voice F", 16) == 0) {
        return check_voc(s, shown, err);
    }
    if (memcmp(h, "NIST_1A\n", 8) == 0) {
        return check_nist(s, shown, err);
    }
    if (memcmp(h, "OggS", 4) == 0) {
        return check_ogg(s, shown, err);
    }
    if (memcmp(h, "fLaC", 4) == 0) {
        return SPOOR_OK; /* its decoder counts */
    }
    if (memcmp(h, "ID3", 3) == 0 || (n > 1 && h[0] == 0xff && (h[1] & 0xe0) == 0xe0)) {
        return check_mp3(s, shown, kind, err);
    }
    *kind = CONTAINER_UNKNOWN;
    return SPOOR_OK;
}
