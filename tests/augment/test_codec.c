/* test_codec.c: codec round trips: aligned, at a quality that fits the setting, the same on every call; G.711. */
#include "audio/augment/steps.h"
#include "augment/helpers.h"
#include <sndfile.h>
#include <string.h>

static spoor_context *ctx;
enum { N = 48000 };
static float signal[N], y[N], z[N];

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    helpers_speech(signal, N);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

/* Signal-to-error ratio in dB of y as a copy of signal. */
static double fidelity(void) {
    double error = 0;
    for (size_t i = 0; i < N; i++) {
        double d = (double)y[i] - (double)signal[i];
        error += d * d / N;
    }
    return 10 * log10(helpers_power(signal, N) / fmax(error, 1e-20));
}

static double code(const char *codec, const char *more) {
    char steps[160];
    snprintf(steps, sizeof steps, "[{\"kind\":\"codec\",\"codecs\":[\"%s\"]%s}]", codec, more);
    memcpy(y, signal, sizeof y);
    helpers_run(ctx, steps, 1, y, N);
    int lag = helpers_best_lag(signal, y, N, 1200);
    /* Opus at 8 kbit/s runs at 8 kHz inside: half a sample of its clock is one of ours. */
    assert_true(lag == 0 || (abs(lag) == 1 && strstr(more, "[8,8]") != NULL));
    double db = fidelity();
    print_message("%-7s %-24s %6.2f dB\n", codec, more, db);
    return db;
}

static void round_trips_are_aligned_and_better_with_more_bits(void **state) {
    (void)state;
    double low = code("opus", ",\"kbps\":[8,8]"), high = code("opus", ",\"kbps\":[64,64]");
    assert_true(low > 0 && high > low + 6 && high > 12);
    low = code("mp3", ",\"kbps\":[8,8]"), high = code("mp3", ",\"kbps\":[32,32]");
    assert_true(low > 0 && high > low + 6);
    low = code("mp3", ",\"kbps\":[16,16]"), high = code("mp3", ",\"kbps\":[64,64]");
    assert_true(low > 0 && high > low + 6 && high > 15);
    low = code("vorbis", ",\"quality\":[0,0]"), high = code("vorbis", ",\"quality\":[0.8,0.8]");
    assert_true(low > 0 && high > low + 3 && high > 12);
    assert_true(code("mulaw", ",\"narrowband\":0") > 30);
    assert_true(code("alaw", ",\"narrowband\":0") > 30);
    code("mulaw", ",\"narrowband\":1");
    for (size_t i = 0; i < N; i++) { /* a window: the ends of the clip are no part of the spectrum looked at */
        float w = sinf((float)i * 3.14159265f / N);
        y[i] *= w * w;
        z[i] = signal[i] * w * w;
    }
    assert_true(helpers_band(y, N, 4400, 8000) < 1e-4 * helpers_band(z, N, 4400, 8000));
    assert_true(helpers_band(y, N, 300, 3000) > 0.9 * helpers_band(z, N, 300, 3000));
}

static void a_loud_clip_is_not_clipped(void **state) {
    (void)state;
    static const char *const codecs[] = {"opus", "vorbis", "mp3", "mulaw"};
    for (int k = 0; k < 4; k++) {
        char steps[120];
        snprintf(steps, sizeof steps,
                 "[{\"kind\":\"codec\",\"codecs\":[\"%s\"],\"kbps\":64,\"quality\":0.8,\"narrowband\":0}]", codecs[k]);
        for (size_t i = 0; i < N; i++) {
            y[i] = 8 * signal[i];
        }
        helpers_run(ctx, steps, 1, y, N);
        for (size_t i = 0; i < N; i++) {
            y[i] /= 8;
        }
        assert_true(fidelity() > 10);
    }
}

/* The random serial numbers of Ogg streams and what the codecs keep between streams must not reach the samples. */
static void the_same_clip_gives_the_same_bits(void **state) {
    (void)state;
    static const char *const codecs[] = {"opus", "vorbis", "mp3"};
    for (int k = 0; k < 3; k++) {
        char steps[80];
        snprintf(steps, sizeof steps, "[{\"kind\":\"codec\",\"codecs\":[\"%s\"]}]", codecs[k]);
        for (int round = 0; round < 4; round++) {
            srand((unsigned)round * 977u + 1);
            memcpy(y, signal, sizeof y);
            helpers_run(ctx, steps, 5, y, N);
            assert_true(round == 0 || memcmp(y, z, sizeof y) == 0);
            memcpy(z, y, sizeof y);
            float other[3000] = {0.5f, -0.5f}; /* something else in between */
            helpers_run(ctx, steps, 6, other, 3000);
        }
    }
}

/* All 65,536 samples through libsndfile's own mu-law and A-law. */
static sf_count_t length(void *user) { return ((sf_count_t *)user)[0]; }
static sf_count_t tell(void *user) { return ((sf_count_t *)user)[1]; }
static unsigned char coded[70000];

static sf_count_t seek(sf_count_t offset, int whence, void *user) {
    sf_count_t *f = user;
    return f[1] = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? f[1] : f[0]);
}

static sf_count_t get(void *to, sf_count_t n, void *user) {
    sf_count_t *f = user;
    n = n < f[0] - f[1] ? n : f[0] - f[1];
    memcpy(to, coded + f[1], (size_t)n);
    f[1] += n;
    return n;
}

static sf_count_t put(const void *from, sf_count_t n, void *user) {
    sf_count_t *f = user;
    assert_true(f[1] + n <= (sf_count_t)sizeof coded);
    memcpy(coded + f[1], from, (size_t)n);
    f[1] += n;
    f[0] = f[0] > f[1] ? f[0] : f[1];
    return n;
}

static void companding_equals_g711(void **state) {
    (void)state;
    static short in[65536], out[65536];
    for (int i = 0; i < 65536; i++) {
        in[i] = (short)(i - 32768);
    }
    SF_VIRTUAL_IO io = {length, seek, get, put, tell};
    for (int law = 0; law < 2; law++) {
        sf_count_t file[2] = {0, 0};
        SF_INFO info = {.samplerate = 8000, .channels = 1,
                        .format = SF_FORMAT_AU | (law == 0 ? SF_FORMAT_ULAW : SF_FORMAT_ALAW)};
        SNDFILE *f = sf_open_virtual(&io, SFM_WRITE, &info, file);
        assert_non_null(f);
        assert_int_equal(sf_write_short(f, in, 65536), 65536);
        sf_close(f);
        file[1] = 0;
        info = (SF_INFO){0};
        f = sf_open_virtual(&io, SFM_READ, &info, file);
        assert_non_null(f);
        assert_int_equal(sf_read_short(f, out, 65536), 65536);
        sf_close(f);
        for (int i = 0; i < 65536; i++) {
            int v = in[i], mine = law == 0 ? codec_mulaw(v) : codec_alaw(v);
            /* G.711's A-law takes the ones' complement of a negative sample, libsndfile the negative: apart where -v is
             * on a decision level. */
            bool on_level = law == 1 && v < 0 && -v % 16 == 0;
            assert_int_equal(mine, on_level ? -codec_alaw(-v - 1) : out[i]);
            assert_int_equal(law == 0 ? codec_mulaw(mine) : codec_alaw(mine), mine); /* a coded value is its own code */
        }
    }
}

static void a_telephone_is_its_band_and_its_codec(void **state) {
    (void)state;
    static const char *const codecs[] = {"mulaw", "alaw", "gsm", "g721"};
    for (size_t k = 0; k < 4; k++) {
        char steps[200];
        snprintf(steps, sizeof steps, "[{\"kind\":\"telephone\",\"low\":300,\"high\":3400,\"codecs\":[\"%s\"]}]", codecs[k]);
        memcpy(y, signal, sizeof y);
        helpers_run(ctx, steps, 1, y, N);
        snprintf(steps, sizeof steps, "[{\"kind\":\"bandlimit\",\"low\":300,\"high\":3400},"
                 "{\"kind\":\"codec\",\"codecs\":[\"%s\"],\"narrowband\":1}]", codecs[k]);
        memcpy(z, signal, sizeof z);
        helpers_run(ctx, steps, 1, z, N);
        assert_memory_equal(y, z, sizeof y);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_are_aligned_and_better_with_more_bits),
        cmocka_unit_test(a_loud_clip_is_not_clipped),
        cmocka_unit_test(the_same_clip_gives_the_same_bits),
        cmocka_unit_test(companding_equals_g711),
        cmocka_unit_test(a_telephone_is_its_band_and_its_codec),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
