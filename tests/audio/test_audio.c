/* test_audio.c: reading: resampling, blocks, sources, windows, loading, failing memory. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "base/io.h"
#include "base/rng.h"
#include "support/hard_files.h"
#include "support/support.h"
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const double rates[] = {4000,  6000,  8000,  11025, 12345,   15999.5, 16000, 22050,
                               32000, 44100, 48000, 88200, 96000.0, 176400,  192000};
enum { RATES = sizeof rates / sizeof rates[0] };

/* All samples of an audio, read `step` at a time (0: varying sizes); freed with free(). */
static float *read_samples(spoor_audio *audio, size_t step, size_t *n) {
    size_t room = 1 << 22, got = 1;
    float *all = malloc(room * sizeof *all);
    assert_non_null(all);
    spoor_error err = {0};
    for (*n = 0; got > 0; *n += got) {
        size_t want = step > 0 ? step : 1 + *n * 7919 % 5000;
        assert_true(*n + want <= room);
        support_ok(audio_read(audio, all + *n, want, &got, &err), &err);
    }
    return all;
}

static float *tone(double rate, double hertz, double seconds, size_t *n) {
    *n = (size_t)(seconds * rate);
    float *x = malloc((*n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < *n; i++) {
        x[i] = (float)(0.5 * sin(2 * M_PI * hertz * (double)i / rate));
    }
    return x;
}

static void a_tone_keeps_level_frequency_and_phase(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (size_t r = 0; r < RATES; r++) {
        size_t n, got;
        float *x = tone(rates[r], 1000, 2, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, rates[r], &audio, &err), &err);
        float *y = read_samples(audio, 4096, &got);
        assert_true(llabs((long long)got - llround((double)n / rates[r] * AUDIO_RATE)) <= 1);
        double worst = 0;
        for (size_t i = 4000; i < 28000; i++) { /* away from the edges */
            worst = fmax(worst, fabs((double)y[i] - 0.5 * sin(2 * M_PI * 1000 * (double)i / AUDIO_RATE)));
        }
        if (!(worst < 2e-5)) { /* -88 dB of the tone */
            fail_msg("rate %g: off by %g", rates[r], worst);
        }
        free(y);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static void what_16_khz_cannot_hold_is_gone(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const double above[] = {8100, 9000, 12000, 20000};
    for (size_t k = 0; k < 4; k++) {
        size_t n, got;
        float *x = tone(44100, above[k], 1, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, 44100, &audio, &err), &err);
        float *y = read_samples(audio, 4096, &got);
        for (size_t i = 2000; i < 14000; i++) {
            assert_true(fabsf(y[i]) < 1e-5f);
        }
        free(y);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static void the_bits_do_not_depend_on_the_reading(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const size_t steps[] = {1, 63, 4096, 100000, 0};
    for (size_t r = 0; r < RATES; r++) {
        size_t n, want_n, got_n;
        float *x = tone(rates[r], 440, 0.7, &n);
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_samples(ctx, x, n, rates[r], &audio, &err), &err);
        float *want = read_samples(audio, 1000, &want_n);
        for (size_t s = 0; s < 5; s++) {
            support_ok(audio_rewind(audio, &err), &err);
            float *got = read_samples(audio, steps[s], &got_n);
            assert_int_equal(got_n, want_n);
            assert_memory_equal(got, want, want_n * sizeof *want);
            free(got);
        }
        assert_int_equal(audio_get_levels(audio).samples, n);
        free(want);
        free(x);
        spoor_audio_free(audio);
    }
    spoor_context_free(ctx);
}

static unsigned char *file_bytes(const char *path, size_t *n) {
    FILE *in = fopen(path, "rb");
    unsigned char *bytes = malloc(4 << 20);
    assert_true(in != NULL && bytes != NULL);
    *n = fread(bytes, 1, 4 << 20, in);
    assert_int_equal(fclose(in), 0);
    return bytes;
}

/* Opens path with standard input in its place; `piped`: through a pipe. */
static spoor_status open_standard_input(spoor_context *ctx, const unsigned char *bytes, size_t n, const char *path,
                                        bool piped, spoor_audio **audio, spoor_error *err) {
    int saved = dup(STDIN_FILENO), ends[2] = {-1, -1};
    pid_t child = -1;
    if (piped) {
        assert_int_equal(pipe(ends), 0);
        child = fork();
        if (child == 0) {
            close(ends[0]);
            for (size_t i = 0; i < n;) {
                ssize_t put = write(ends[1], bytes + i, n - i < 3000 ? n - i : 3000);
                i = put < 0 ? n : i + (size_t)put;
            }
            _exit(0);
        }
        close(ends[1]);
    } else {
        ends[0] = open(path, O_RDONLY);
    }
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    close(ends[0]);
    spoor_status status = spoor_audio_open(ctx, "-", NULL, audio, err);
    if (child > 0) {
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    if (saved >= 0 && piped) { /* a file on standard input is read in place, so it stays until the end */
        dup2(saved, STDIN_FILENO);
    }
    close(saved);
    return status;
}

static void path_memory_and_standard_input_agree(void **state) {
    (void)state;
    static const char *const names[] = {"vorbis.ogg", "layer3.mp3", "pcm_24.flac", "rate_12345.wav", "opus.ogg"};
    spoor_context *ctx = support_context();
    char *folder = support_temporary();
    for (size_t k = 0; k < 5; k++) {
        char *path = hard_file_make(folder, names[k]);
        size_t bytes_n, want_n, got_n;
        unsigned char *bytes = file_bytes(path, &bytes_n);
        spoor_audio *audio[4];
        spoor_error err = {0};
        support_ok(spoor_audio_open(ctx, path, NULL, &audio[0], &err), &err);
        support_ok(spoor_audio_open_memory(ctx, bytes, bytes_n, NULL, &audio[1], &err), &err);
        support_ok(open_standard_input(ctx, bytes, bytes_n, path, true, &audio[2], &err), &err);
        support_ok(open_standard_input(ctx, bytes, bytes_n, path, false, &audio[3], &err), &err);
        assert_string_equal(audio_get_info(audio[0]).name, path);
        assert_string_equal(audio_get_info(audio[2]).name, "standard input");
        float *want = read_samples(audio[0], 777, &want_n);
        char want_hash[65], hash[65];
        support_ok(io_sha256_file(path, want_hash, &err), &err);
        for (size_t s = 0; s < 4; s++) {
            support_ok(audio_rewind(audio[s], &err), &err);
            float *got = read_samples(audio[s], 4096, &got_n);
            assert_int_equal(got_n, want_n);
            assert_memory_equal(got, want, want_n * sizeof *want);
            free(got);
            support_ok(audio_sha256(audio[s], hash, &err), &err);
            assert_string_equal(hash, want_hash);
            support_close(audio_get_info(audio[s]).seconds, 1.2, 0.1, "seconds");
            spoor_audio_free(audio[s]);
        }
        free(want);
        free(bytes);
        free(path);
    }
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void channels_are_mixed_or_chosen(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    (void)snprintf(path, sizeof path, "%s/three.wav", folder);
    SF_INFO info = {.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT, .samplerate = AUDIO_RATE, .channels = 3};
    SNDFILE *out = sf_open(path, SFM_WRITE, &info);
    for (int i = 0; i < 20000; i++) {
        float frame[3] = {(float)i, (float)(-3 * i), 0.25f};
        assert_int_equal(sf_writef_float(out, frame, 1), 1);
    }
    sf_close(out);
    spoor_context *ctx = support_context();
    for (int channel = -1; channel < 3; channel++) {
        spoor_audio_options o;
        spoor_audio_options_init(&o);
        o.channel = channel;
        float *x;
        size_t n;
        spoor_error err = {0};
        support_ok(audio_load(ctx, path, &o, &x, &n, &err), &err);
        assert_int_equal(n, 20000);
        for (size_t i = 0; i < n; i++) {
            double t = (double)i, want[] = {(-2 * t + 0.25) / 3, t, -3 * t, 0.25};
            assert_true(x[i] == (float)want[channel + 1]);
        }
        ctx_free(ctx, x);
    }
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

/* An MP3 of variable bit rate whose length frame is taken off: 2 s of noise, then 8 s of silence, so that a guess from
 * the first frames is far too short. */
static void an_mp3_without_its_length_is_read_to_the_end(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    static const int mp3_rates[] = {44100, 48000, 24000, 8000};
    spoor_context *ctx = support_context();
    for (size_t k = 0; k < 4; k++) {
        (void)snprintf(path, sizeof path, "%s/%d.mp3", folder, mp3_rates[k]);
        SF_INFO info = {.format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, .samplerate = mp3_rates[k], .channels = 1};
        SNDFILE *out = sf_open(path, SFM_WRITE, &info);
        assert_non_null(out);
        int variable = SF_BITRATE_MODE_VARIABLE;
        (void)sf_command(out, SFC_SET_BITRATE_MODE, &variable, sizeof variable); /* its result says nothing */
        rng random = rng_make(k, 0);
        for (int i = 0; i < 10 * mp3_rates[k]; i++) {
            float x = i < 2 * mp3_rates[k] ? (float)(0.1 * rng_normal(&random)) : 0;
            assert_int_equal(sf_writef_float(out, &x, 1), 1);
        }
        assert_int_equal(sf_close(out), 0);
        size_t bytes_n, n, second = 4;
        unsigned char *bytes = file_bytes(path, &bytes_n);
        assert_non_null(memmem(bytes, 100, "Xing", 4));
        while (memcmp(bytes + second, bytes, 2) != 0) {
            second++;
        }
        spoor_audio *audio;
        spoor_error err = {0};
        support_ok(spoor_audio_open_memory(ctx, bytes + second, bytes_n - second, NULL, &audio, &err), &err);
        assert_true(audio_get_info(audio).seconds < 0);
        float *x = read_samples(audio, 4096, &n);
        support_close((double)n / AUDIO_RATE, 10, 0.03, "seconds"); /* and up to 0.3 s of padding */
        free(x);
        support_ok(audio_rewind(audio, &err), &err);
        x = read_samples(audio, 4096, &second);
        assert_int_equal(n, second);
        free(x);
        spoor_audio_free(audio);
        free(bytes);
    }
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

/* Checks all windows of a ramp of n samples. */
static void check_windows(spoor_context *ctx, size_t n, size_t hop) {
    float *x = malloc((n + 1) * sizeof *x), *window = malloc(AUDIO_WINDOW * sizeof *window);
    assert_true(x != NULL && window != NULL);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)i;
    }
    spoor_audio *audio;
    audio_windows *windows;
    spoor_error err = {0};
    support_ok(spoor_audio_open_samples(ctx, x, n, AUDIO_RATE, &audio, &err), &err);
    support_ok(audio_windows_new(ctx, audio, hop, NULL, &windows, &err), &err);
    size_t step = hop == 0 ? AUDIO_WINDOW : hop, whole = n < AUDIO_WINDOW ? 0 : (n - AUDIO_WINDOW) / step + 1;
    size_t last_end = whole > 0 ? (whole - 1) * step + AUDIO_WINDOW : 0, expected = whole + (last_end < n), count = 0;
    audio_window place;
    bool more;
    for (;; count++) {
        support_ok(audio_windows_next(windows, window, &place, &more, &err), &err);
        if (!more) {
            break;
        }
        size_t start = count < whole ? count * step : n < AUDIO_WINDOW ? 0 : n - AUDIO_WINDOW;
        size_t end = n < AUDIO_WINDOW ? n : start + AUDIO_WINDOW;
        assert_int_equal(place.index, count);
        assert_true(place.start == (double)start / AUDIO_RATE && place.end == (double)end / AUDIO_RATE);
        for (size_t i = 0; i < AUDIO_WINDOW; i++) {
            assert_true(window[i] == (float)(n < AUDIO_WINDOW ? i % n : start + i));
        }
    }
    assert_int_equal(count, expected);
    support_ok(audio_windows_next(windows, window, &place, &more, &err), &err);
    assert_false(more);
    audio_windows_free(windows);
    spoor_audio_free(audio);
    free(window);
    free(x);
}

static void windows_cover_the_recording(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    const size_t w = AUDIO_WINDOW;
    const size_t lengths[] = {1, 2, 1000, w / 2, w / 2 + 1, w - 1, w, w + 1, w + 4096, 2 * w - 1, 2 * w, 2 * w + 1, 5 * w + 7};
    const size_t hops[] = {0, w / 2, w / 3, 16000, w - 1, w + 1, 3 * w};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t h = 0; h < sizeof hops / sizeof hops[0]; h++) {
            check_windows(ctx, lengths[i], hops[h]);
        }
    }
    spoor_context_free(ctx);
}

static void bad_arguments_are_named(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    spoor_error err = {0};
    float x[4] = {0};
    static const double bad[] = {0, -1, 3999.9, 192000.1, NAN, INFINITY};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(spoor_audio_open_samples(ctx, x, 4, bad[i], &audio, &err), SPOOR_ERR_INPUT);
        assert_null(audio);
        spoor_audio_options o = {.channel = -1, .raw_rate = bad[i], .raw_channels = 1};
        if (bad[i] != 0) {
            assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
        }
    }
    assert_int_equal(spoor_audio_open_samples(ctx, x, 0, 16000, &audio, &err), SPOOR_ERR_INPUT);
    assert_int_equal(spoor_audio_open_samples(ctx, NULL, 4, 16000, &audio, &err), SPOOR_ERR_INPUT);
    spoor_audio_options o = {.channel = -2};
    assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
    o = (spoor_audio_options){.channel = -1, .raw_rate = 8000, .raw_channels = 0};
    assert_int_equal(spoor_audio_open_memory(ctx, x, 8, &o, &audio, &err), SPOOR_ERR_USAGE);
    assert_int_equal(spoor_audio_open_memory(ctx, NULL, 0, NULL, &audio, &err), SPOOR_ERR_INPUT);
    spoor_audio_free(NULL);
    audio_windows_free(NULL);
    audio_assess_free(NULL);
    spoor_context_free(ctx);
}

/* Everything that allocates, once. */
static spoor_status use_everything(spoor_context *ctx, const char *path, spoor_error *err) {
    spoor_audio *audio;
    TRY(spoor_audio_open(ctx, path, NULL, &audio, err));
    audio_assess *assess = NULL;
    audio_windows *windows = NULL;
    float *window = malloc(AUDIO_WINDOW * sizeof *window), *all = NULL;
    audio_window place;
    bool more = true;
    size_t n;
    spoor_status status = audio_assess_new(ctx, audio, &assess, err);
    if (status == SPOOR_OK) {
        status = audio_windows_new(ctx, audio, 0, assess, &windows, err);
    }
    while (status == SPOOR_OK && more) {
        status = audio_windows_next(windows, window, &place, &more, err);
    }
    if (status == SPOOR_OK) {
        status = audio_load(ctx, path, NULL, &all, &n, err);
    }
    free(window);
    ctx_free(ctx, all);
    audio_windows_free(windows);
    audio_assess_free(assess);
    spoor_audio_free(audio);
    return status;
}

static void no_memory_is_an_error_without_a_leak(void **state) {
    (void)state;
    char *folder = support_temporary();
    static const char *const names[] = {"vorbis.ogg", "rate_44100.wav", "cut.ogg", "cut_half.wav"};
    for (size_t k = 0; k < 4; k++) {
        char *path = hard_file_make(folder, names[k]);
        support_failing failing = {0};
        spoor_context *ctx = support_failing_context(&failing);
        spoor_error err = {0};
        spoor_status plain = use_everything(ctx, path, &err), status = SPOOR_ERR_LIMIT;
        size_t allocations = failing.count;
        assert_int_equal(failing.live, 0);
        spoor_context_free(ctx);
        assert_true(allocations >= 2);
        for (size_t at = 1; at <= allocations; at++) {
            failing = (support_failing){.fail_at = at};
            ctx = support_failing_context(&failing);
            status = use_everything(ctx, path, &err);
            assert_int_equal(status, SPOOR_ERR_LIMIT);
            assert_non_null(strstr(err.message, "out of memory"));
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(ctx);
        }
        assert_int_equal(plain, k < 2 ? SPOOR_OK : SPOOR_ERR_INPUT);
        free(path);
    }
    support_remove(folder);
    free(folder);
}

static int after_ten(void *user) {
    int *calls = user;
    return ++*calls > 10;
}

static void cancel_stops_the_reading(void **state) {
    (void)state;
    size_t n;
    float *x = tone(44100, 300, 20, &n), *y = malloc(n * sizeof *y);
    int calls = 0;
    spoor_context_options o;
    spoor_context_options_init(&o);
    o.cancel = after_ten;
    o.user = &calls;
    spoor_context *ctx;
    spoor_audio *audio;
    spoor_error err = {0};
    support_ok(spoor_context_new(&o, &ctx, &err), &err);
    support_ok(spoor_audio_open_samples(ctx, x, n, 44100, &audio, &err), &err);
    assert_int_equal(audio_read(audio, y, n, &n, &err), SPOOR_ERR_CANCELLED);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    free(y);
    free(x);
}

static void bad_standard_input_is_named(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    spoor_error err = {0};
    unsigned char byte = 0;
    assert_int_equal(open_standard_input(ctx, &byte, 0, NULL, true, &audio, &err), SPOOR_ERR_INPUT);
    assert_string_equal(err.message, "standard input is empty");
    assert_int_equal(setenv("TMPDIR", "/no such folder", 1), 0);
    assert_int_equal(open_standard_input(ctx, &byte, 1, NULL, true, &audio, &err), SPOOR_ERR_IO);
    assert_non_null(strstr(err.message, "temporary file"));
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(open_standard_input(ctx, &byte, 1, NULL, true, &audio, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "standard input is not a sound file"));
    assert_int_equal(open_standard_input(ctx, NULL, 0, "/", false, &audio, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "irectory"));
    spoor_context_free(ctx);
}

static void a_clip_over_the_limit_is_refused(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    (void)snprintf(path, sizeof path, "%s/long.raw", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_int_equal(ftruncate(fd, (off_t)(2 * AUDIO_RATE * (AUDIO_LOAD_SECONDS_MAX + 1))), 0);
    close(fd);
    spoor_context *ctx = support_context();
    spoor_audio_options o = {.channel = -1, .raw_rate = AUDIO_RATE, .raw_channels = 1};
    float *x;
    size_t n;
    spoor_error err = {0};
    assert_int_equal(audio_load(ctx, path, &o, &x, &n, &err), SPOOR_ERR_LIMIT);
    assert_null(x);
    assert_non_null(strstr(err.message, "limit of 60 minutes"));
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tone_keeps_level_frequency_and_phase),
        cmocka_unit_test(what_16_khz_cannot_hold_is_gone),
        cmocka_unit_test(the_bits_do_not_depend_on_the_reading),
        cmocka_unit_test(path_memory_and_standard_input_agree),
        cmocka_unit_test(channels_are_mixed_or_chosen),
        cmocka_unit_test(an_mp3_without_its_length_is_read_to_the_end),
        cmocka_unit_test(windows_cover_the_recording),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(no_memory_is_an_error_without_a_leak),
        cmocka_unit_test(cancel_stops_the_reading),
        cmocka_unit_test(bad_standard_input_is_named),
        cmocka_unit_test(a_clip_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
