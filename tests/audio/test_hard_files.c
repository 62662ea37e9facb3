/* test_hard_files.c: each file of the table has its outcome, from a path and from memory.
 * With a folder as argument: writes the files there and prints the table instead. */
#include "audio/audio.h"
#include "support/hard_files.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads to the end, as tracing does; what comes of it is one of the outcomes. */
static spoor_status outcome_of(spoor_audio *audio, spoor_context *ctx, hard_outcome *outcome, spoor_error *err) {
    static float window[AUDIO_WINDOW];
    audio_assess *assess = NULL;
    audio_windows *windows = NULL;
    support_ok(audio_assess_new(ctx, audio, &assess, err), err);
    support_ok(audio_windows_new(ctx, audio, 0, assess, &windows, err), err);
    audio_window place;
    bool more = true;
    spoor_status status = SPOOR_OK;
    while (more && status == SPOOR_OK) {
        status = audio_windows_next(windows, window, &place, &more, err);
        for (size_t i = 0; more && i < AUDIO_WINDOW; i++) {
            if (!(window[i] > -1e7f && window[i] < 1e7f)) {
                fail_msg("sample %zu is not finite", i);
            }
        }
    }
    if (status == SPOOR_OK) {
        audio_assessment a;
        audio_assess_finish(assess, &a);
        *outcome = (hard_outcome)a.verdict; /* same order */
        assert_int_equal(a.verdict == AUDIO_ASSESSABLE, a.reason[0] == '\0');
    }
    audio_windows_free(windows);
    audio_assess_free(assess);
    return status;
}

/* One printable line with the wanted words. */
static bool good_sentence(const hard_file *f, spoor_status status, const spoor_error *err) {
    bool good = status == SPOOR_ERR_INPUT && err->status == status && strstr(err->message, f->sentence) != NULL &&
                strlen(err->message) > 14;
    for (const unsigned char *c = (const unsigned char *)err->message; *c != '\0'; c++) {
        good = good && *c >= 0x20 && *c != 0x7f && *c != 0xff;
    }
    return good;
}

/* 1 if the file does not do as the table says. */
static size_t check(const hard_file *f, spoor_context *ctx, spoor_status opened, spoor_audio *audio, spoor_error *err) {
    hard_outcome got = HARD_ERROR;
    spoor_status status = opened != SPOOR_OK ? opened : outcome_of(audio, ctx, &got, err);
    spoor_audio_free(audio);
    if (got != f->outcome || (got == HARD_ERROR && !good_sentence(f, status, err))) {
        print_error("%s: is %s (status %d, %s), expected %s (%s)\n", f->name, hard_outcome_name(got), status,
                    err->message, hard_outcome_name(f->outcome), f->sentence == NULL ? "" : f->sentence);
        return 1;
    }
    return 0;
}

static unsigned char *read_all(const char *path, size_t *n) {
    FILE *in = fopen(path, "rb");
    unsigned char *bytes = malloc(12 << 20);
    assert_true(in != NULL && bytes != NULL);
    *n = fread(bytes, 1, 12 << 20, in);
    assert_int_equal(fclose(in), 0);
    return bytes;
}

static bool lies_in_a_file(const char *path) {
    /* not a pipe or device, where reading would not end */
    spoor_error err = {0};
    spoor_audio *audio = NULL;
    spoor_context *ctx = support_context();
    spoor_status status = spoor_audio_open(ctx, path, NULL, &audio, &err);
    spoor_audio_free(audio);
    spoor_context_free(ctx);
    return status == SPOOR_OK || strncmp(err.message, "cannot read", 11) != 0;
}

static void every_file_has_its_outcome(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    char *folder = support_temporary();
    hard_files_make(folder);
    size_t n, bytes_n, from_memory = 0, wrong = 0;
    const hard_file *files = hard_files(&n);
    assert_true(n >= 60);
    for (size_t i = 0; i < n; i++) {
        const hard_file *f = files + i;
        if (!hard_file_applies(f)) {
            print_message("SKIP %s: the superuser may read it\n", f->name);
            continue;
        }
        spoor_audio_options o;
        spoor_audio_options_init(&o);
        o.channel = f->channel - 1;
        o.raw_rate = f->raw_rate;
        o.raw_channels = f->raw_channels;
        char *path = hard_file_path(folder, f);
        spoor_audio *audio = NULL;
        spoor_error err = {0};
        spoor_status status = spoor_audio_open(ctx, path, &o, &audio, &err);
        wrong += check(f, ctx, status, audio, &err);
        if (lies_in_a_file(path)) {
            unsigned char *bytes = read_all(path, &bytes_n);
            err = (spoor_error){0};
            status = spoor_audio_open_memory(ctx, bytes, bytes_n, &o, &audio, &err);
            wrong += check(f, ctx, status, audio, &err);
            free(bytes);
            from_memory++;
        }
        free(path);
    }
    assert_true(from_memory > n / 2);
    assert_int_equal(wrong, 0);
    print_message("%zu hard files, %zu of them also from memory\n", n, from_memory);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

int main(int argc, char **argv) {
    if (argc == 2) {
        size_t n;
        const hard_file *files = hard_files(&n);
        hard_files_make(argv[1]);
        for (size_t i = 0; i < n; i++) {
            (void)printf("%-16s %s\n", hard_outcome_name(files[i].outcome), files[i].name);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_has_its_outcome)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
