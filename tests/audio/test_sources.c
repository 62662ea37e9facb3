/* test_sources.c: the same recording from a path, memory and standard input, by several threads and without memory; MP3
 * files that do not know their length; files that change; names. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/rng.h"
#include "reading.h"
#include "support/hard_files.h"
#include "support/support.h"
#include <fcntl.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void mp3_files_end_to_end_are_read_to_the_end(void **state) {
    (void)state;
    char *folder = support_temporary(), *one = hard_file_make(folder, "layer3.mp3");
    char *two = hard_file_make(folder, "twice.mp3");
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    float *x;
    size_t n;
    support_ok(audio_load(ctx, one, NULL, &x, &n, &err), &err);
    ctx_free(ctx, x);
    assert_true(llabs((long long)n - 12 * AUDIO_RATE / 10) < 2);
    support_ok(audio_load(ctx, two, NULL, &x, &n, &err), &err);
    ctx_free(ctx, x);
    assert_true(n > 24 * AUDIO_RATE / 10 && n < 26 * AUDIO_RATE / 10);
    spoor_context_free(ctx);
    support_remove(folder);
    free(two);
    free(one);
    free(folder);
}

static void a_file_that_shrinks_is_an_error(void **state) {
    (void)state;
    char *folder = support_temporary(), *path = hard_file_make(folder, "rate_192000.wav"), hex[65];
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    spoor_error err = {0};
    static float x[100000];
    size_t got;
    support_ok(spoor_audio_open(ctx, path, NULL, &audio, &err), &err);
    support_ok(audio_read(audio, x, 10, &got, &err), &err);
    assert_int_equal(truncate(path, 300000), 0);
    assert_int_equal(audio_read(audio, x, 100000, &got, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "cut off or damaged: 0.781 of 1.200 seconds"));
    assert_int_equal(audio_sha256(audio, hex, &err), SPOOR_ERR_INPUT);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    support_remove(folder);
    free(path);
    free(folder);
}

static void long_names_keep_their_reason(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    spoor_error err = {0};
    char path[1000];
    for (size_t shift = 0; shift < 3; shift++) {
        size_t n = shift;
        memset(path, 'a', shift);
        while (n < 900) {
            n += (size_t)snprintf(path + n, sizeof path - n, "/\xe5\xa3\xb0");
        }
        (void)snprintf(path + n, sizeof path - n, "/the end.wav");
        assert_int_equal(spoor_audio_open(ctx, path, NULL, &audio, &err), SPOOR_ERR_INPUT);
        assert_non_null(strstr(err.message, "/the end.wav: No such file or directory"));
        assert_true(strlen(err.message) < 260);
        const unsigned char *start = (const unsigned char *)strstr(err.message, "...") + 3;
        assert_true(*start == '/' || *start == 0xe5); /* a whole character */
    }
    spoor_context_free(ctx);
}

static void seven_days_are_the_limit(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4200];
    (void)snprintf(path, sizeof path, "%s/weeks.raw", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    spoor_context *ctx = support_context();
    spoor_audio_options o = {.channel = -1, .raw_rate = 4000, .raw_channels = 1};
    spoor_audio *audio = NULL;
    spoor_error err = {0};
    if (ftruncate(fd, 2ll * 4000 * 8 * 86400) != 0) {
        print_message("SKIP: this file system has no sparse files\n");
    } else {
        assert_int_equal(spoor_audio_open(ctx, path, &o, &audio, &err), SPOOR_ERR_LIMIT);
        assert_non_null(strstr(err.message, "claims to last 192 hours; up to 168"));
    }
    close(fd);
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

typedef struct parallel {
    spoor_context *ctx;
    char *paths[4];
    float *want[4];
    size_t n[4];
    int wrong[64];
} parallel;

static void read_one(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    parallel *p = arg;
    size_t k = (size_t)item % 4, n;
    float *x;
    spoor_error err = {0};
    spoor_status status = audio_load(p->ctx, p->paths[k], NULL, &x, &n, &err);
    p->wrong[item] = status != SPOOR_OK || n != p->n[k] || memcmp(x, p->want[k], n * sizeof *x) != 0;
    ctx_free(p->ctx, x);
}

static void threads_read_the_same_bits(void **state) {
    (void)state;
    static const char *const names[] = {"vorbis.ogg", "layer3.mp3", "rate_44100.wav", "opus.ogg"};
    parallel p = {.ctx = support_context()};
    char *folder = support_temporary();
    spoor_error err = {0};
    pool *threads;
    for (size_t k = 0; k < 4; k++) {
        p.paths[k] = hard_file_make(folder, names[k]);
        support_ok(audio_load(p.ctx, p.paths[k], NULL, &p.want[k], &p.n[k], &err), &err);
    }
    support_ok(pool_new(p.ctx, 4, &threads, &err), &err);
    pool_run(threads, 64, read_one, &p);
    pool_free(threads);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(p.wrong[i], 0);
    }
    for (size_t k = 0; k < 4; k++) {
        ctx_free(p.ctx, p.want[k]);
        free(p.paths[k]);
    }
    spoor_context_free(p.ctx);
    support_remove(folder);
    free(folder);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_memory_and_standard_input_agree),
        cmocka_unit_test(an_mp3_without_its_length_is_read_to_the_end),
        cmocka_unit_test(no_memory_is_an_error_without_a_leak),
        cmocka_unit_test(mp3_files_end_to_end_are_read_to_the_end),
        cmocka_unit_test(a_file_that_shrinks_is_an_error),
        cmocka_unit_test(long_names_keep_their_reason),
        cmocka_unit_test(seven_days_are_the_limit),
        cmocka_unit_test(threads_read_the_same_bits),
        cmocka_unit_test(bad_standard_input_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
