/* test_cli_long.c: long recordings in little memory, and Ctrl-C in a long list. */
#include "cli/cli_case.h"
#include <dirent.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* mu-law at 8 kHz: ten seconds of voice again and again. */
static void write_long(const char *name, int seconds) {
    enum { BLOCK = 80000 };
    write_voice("block.wav", BLOCK / 8000, 8000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 3);
    static short block[BLOCK];
    SF_INFO info = {0};
    SNDFILE *in = sf_open(in_folder("block.wav"), SFM_READ, &info);
    assert_int_equal(sf_read_short(in, block, BLOCK), BLOCK);
    sf_close(in);
    info = (SF_INFO){.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_ULAW};
    SNDFILE *out = sf_open(in_folder(name), SFM_WRITE, &info);
    assert_non_null(out);
    for (int i = 0; i < seconds / 10; i++) {
        assert_int_equal(sf_write_short(out, block, BLOCK), BLOCK);
    }
    assert_int_equal(sf_close(out), 0);
}

static outcome trace_long(const char *name, double seconds) {
    outcome o = trace("--json", "-j1", "--html", "r.html", name);
    exits(&o, 0);
    json_t *j = answers(&o);
    support_close(json_number_value(json_object_get(j, "seconds")), seconds, 1e-6, "seconds");
    assert_string_not_equal(text_of(j, "verdict"), "not_assessable");
    size_t n = json_array_size(json_object_get(j, "windows"));
    assert_int_equal(n, (size_t)ceil(seconds / 4.0375));
    json_decref(j);
    return o;
}

static void two_hours_need_the_memory_of_a_minute(void **state) {
    (void)state;
    int hours = SANITIZED ? 600 : 7200;
    write_long("minute.wav", 60);
    write_long("long.wav", hours);
    outcome small = trace_long("minute.wav", 60), large = trace_long("long.wav", hours);
    printf("# peak %ld KiB for 60 s, %ld KiB for %d s\n", small.peak_kib, large.peak_kib, hours);
    if (!SANITIZED) {
        assert_true(small.peak_kib > 1000);
        assert_true(large.peak_kib - small.peak_kib < 64 * 1024);
    }
    outcome_free(&small);
    outcome_free(&large);
}

static size_t temporary_files(void) {
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strstr(e->d_name, ".tmp.") != NULL;
    }
    closedir(d);
    return n;
}

static void ctrl_c_leaves_whole_json(void **state) {
    (void)state;
    enum { N = 4000 };
    write_wav("a.wav", 4.0, 1);
    FILE *list = fopen(in_folder("list.txt"), "w");
    for (int i = 0; i < N; i++) {
        fprintf(list, "a.wav\n");
    }
    fclose(list);
    outcome o = command_run(&(command){.folder = folder,
                                       .args = (const char *const[]){"trace", "-m", MODEL, "--json", "-j2", "--html",
                                                                     "r.html", "--list", "list.txt", NULL},
                                       .interrupt_at = 3000});
    exits(&o, 130);
    json_t *j = answers(&o);
    assert_int_equal(json_array_size(j), N);
    assert_string_equal(error_code(json_array_get(j, 0)), "");
    assert_string_equal(error_code(json_array_get(j, N - 1)), "cancelled");
    json_decref(j);
    assert_int_not_equal(access(in_folder("r.html"), F_OK), 0); /* no report of a part */
    assert_int_equal(temporary_files(), 0);
    outcome_free(&o);
}

static void ctrl_c_stops_one_long_recording(void **state) {
    (void)state;
    write_long("long.wav", 3600);
    write_wav("a.wav", 4.0, 1);
    outcome o = command_run(
        &(command){.folder = folder,
                   .args = (const char *const[]){"trace", "-m", MODEL, "--jsonl", "-j1", "a.wav", "long.wav", NULL},
                   .interrupt_at = 100});
    exits(&o, 130);
    const char *second = strchr(o.out, '\n');
    assert_non_null(second);
    json_t *j = json_loads(second + 1, 0, NULL);
    assert_non_null(j);
    fits_schema(j);
    assert_string_equal(error_code(j), "cancelled");
    json_decref(j);
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_hours_need_the_memory_of_a_minute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ctrl_c_leaves_whole_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ctrl_c_stops_one_long_recording, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
