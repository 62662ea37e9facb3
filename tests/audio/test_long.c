/* test_long.c: a recording of many hours takes no more memory than one of a minute. Two hours here, to be quick;
 * SPOOR_LONG_HOURS=24 makes it a day. The files are sparse: a header and a hole, telephone sound of 8 kHz. */
#include "audio/audio.h"
#include "support/support.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RATE = 8000 };

/* A mu-law AU file of this length whose sound is a hole. */
static void make_sparse(const char *path, size_t seconds) {
    size_t bytes = seconds * RATE;
    unsigned char h[28] = {'.', 's', 'n', 'd', 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, RATE >> 8, RATE & 255, 0, 0, 0, 1};
    for (int i = 0; i < 4; i++) {
        h[8 + i] = (unsigned char)(bytes >> 8 * (3 - i));
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, h, sizeof h), sizeof h);
    assert_int_equal(ftruncate(fd, (off_t)(sizeof h + bytes)), 0);
    assert_int_equal(close(fd), 0);
}

static long peak_kib(void) {
    struct rusage use;
    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    return use.ru_maxrss;
}

/* Streams all windows with the assessment; the peak memory of the process so far, in KiB. */
static long stream(const char *folder, size_t seconds) {
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/%zu.au", folder, seconds);
    make_sparse(path, seconds);
    spoor_context *ctx = support_context();
    spoor_audio *audio;
    audio_assess *assess;
    audio_windows *windows;
    spoor_error err = {0};
    support_ok(spoor_audio_open(ctx, path, NULL, &audio, &err), &err);
    support_ok(audio_assess_new(ctx, audio, &assess, &err), &err);
    support_ok(audio_windows_new(ctx, audio, 0, assess, &windows, &err), &err);
    float *window = malloc(AUDIO_WINDOW * sizeof *window);
    assert_non_null(window);
    audio_window place = {0};
    bool more = true;
    while (more) {
        support_ok(audio_windows_next(windows, window, &place, &more, &err), &err);
    }
    support_close(place.end, (double)seconds, 1e-12, "end of the last window");
    assert_int_equal(place.index, (seconds * AUDIO_RATE - 1) / AUDIO_WINDOW);
    audio_assessment a;
    audio_assess_finish(assess, &a);
    assert_int_equal(a.verdict, AUDIO_SILENT); /* a constant */
    support_close(a.seconds, (double)seconds, 1e-12, "seconds");
    free(window);
    audio_windows_free(windows);
    audio_assess_free(assess);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    assert_int_equal(unlink(path), 0);
    return peak_kib();
}

static void hours_take_the_memory_of_a_minute(void **state) {
    (void)state;
    char *folder = support_temporary();
    const char *wish = getenv("SPOOR_LONG_HOURS");
    size_t hours = wish == NULL ? 2 : strtoul(wish, NULL, 10);
    long minute = stream(folder, 60), all = stream(folder, hours * 3600);
    print_message("peak memory: %ld KiB for 60 s, %ld KiB for %zu h\n", minute, all, hours);
    assert_true(all - minute <= 64 * 1024);
    support_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(hours_take_the_memory_of_a_minute)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
