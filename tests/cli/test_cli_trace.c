/* test_cli_trace.c: what `spoor trace` writes: text, JSON, JSON lines and HTML, in the order of the files, the same
 * bytes for any number of jobs, and what its options change. */
#include "cli/cli_case.h"
#include "support/html.h"
#include <ctype.h>
#include <sys/stat.h>

static const char *const THREE[] = {"a.wav", "b.flac", "c.wav"};

static void make_three(void) {
    write_wav("a.wav", 1.0, 1);
    write_voice("b.flac", 9.0, 22050, 2, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 2);
    write_voice("c.wav", 5.0, 44100, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_24, 3);
}

static size_t windows_of(const json_t *object) { return json_array_size(json_object_get(object, "windows")); }

static json_t *one(const char *option, const char *value, const char *file) {
    outcome o = trace("--json", option, value, file);
    exits(&o, 0);
    json_t *j = answers(&o);
    assert_true(json_is_object(j));
    outcome_free(&o);
    return j;
}

static void text_is_for_people(void **state) {
    (void)state;
    make_three();
    write_wav("short.wav", 0.2, 1);
    outcome o = trace("a.wav", "short.wav", "--top", "2");
    exits(&o, 0);
    assert_string_equal(o.err, "");
    const char *a = strstr(o.out, "a.wav  1.00 s\n"), *s = strstr(o.out, "short.wav  0.20 s\n");
    assert_true(a != NULL && s != NULL && a < s);
    assert_non_null(strstr(s, "not assessable: "));
    assert_non_null(strstr(a, "(log-likelihood ratio for human "));
    assert_non_null(strstr(a, "model tiny ("));
    assert_null(strstr(o.out, "  3. ")); /* --top 2 */
    outcome_free(&o);
}

static void one_file_is_an_object_and_several_an_array(void **state) {
    (void)state;
    make_three();
    outcome o = trace("--json", "a.wav");
    exits(&o, 0);
    json_t *j = answers(&o);
    assert_true(json_is_object(j));
    assert_string_equal(text_of(j, "file"), "a.wav");
    assert_string_equal(o.err, "");
    char hex[65];
    spoor_error err = {0};
    support_ok(io_sha256_file(in_folder("a.wav"), hex, &err), &err);
    assert_string_equal(text_of(j, "sha256"), hex);
    support_ok(io_sha256_file(in_folder(MODEL), hex, &err), &err);
    assert_string_equal(text_of(json_object_get(j, "model"), "sha256"), hex);
    json_decref(j);
    outcome_free(&o);
    o = trace("--json", "a.wav", "b.flac", "c.wav");
    exits(&o, 0);
    j = answers(&o);
    assert_int_equal(json_array_size(j), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(text_of(json_array_get(j, i), "file"), THREE[i]);
    }
    assert_int_equal(windows_of(json_array_get(j, 1)), 3);
    json_decref(j);
    outcome_free(&o);
}

static void json_lines_are_one_a_file(void **state) {
    (void)state;
    make_three();
    outcome o = trace("--jsonl", "a.wav", "missing.wav", "c.wav");
    exits(&o, 2);
    const char *names[] = {"a.wav", "missing.wav", "c.wav"}, *line = o.out;
    for (size_t i = 0; i < 3; i++) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        json_t *j = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(j);
        fits_schema(j);
        assert_string_equal(text_of(j, "file"), names[i]);
        assert_string_equal(error_code(j), i == 1 ? "input" : "");
        json_decref(j);
        line = end + 1;
    }
    assert_string_equal(line, "");
    assert_non_null(strstr(o.err, "missing.wav"));
    outcome_free(&o);
}

static void the_number_of_jobs_changes_no_byte(void **state) {
    (void)state;
    char names[24][32];
    const char *args[40] = {"trace", "-m", MODEL, "--json", "-j", "1"};
    for (size_t i = 0; i < 24; i++) { /* long ones first, so that later ones are done before them */
        snprintf(names[i], sizeof names[i], i == 7 ? "gone-%zu.wav" : "n%zu.wav", i);
        if (i != 7) {
            write_wav(names[i], i < 3 ? 20.0 : 0.6 + 0.1 * (double)i, i + 1);
        }
        args[6 + i] = names[i];
    }
    const char *jobs[] = {"1", "2", "8"};
    outcome first = {0};
    for (size_t k = 0; k < 3; k++) {
        args[5] = jobs[k];
        outcome o = command_run(&(command){.folder = folder, .args = args});
        exits(&o, 2);
        json_t *j = answers(&o);
        assert_int_equal(json_array_size(j), 24);
        for (size_t i = 0; i < 24; i++) {
            assert_string_equal(text_of(json_array_get(j, i), "file"), names[i]);
        }
        json_decref(j);
        if (k == 0) {
            first = o;
        } else {
            assert_string_equal(o.out, first.out);
            outcome_free(&o);
        }
    }
    outcome_free(&first);
}

static void a_hop_gives_more_windows(void **state) {
    (void)state;
    write_wav("ten.wav", 10.0, 4);
    json_t *plain = one("--top", "1", "ten.wav"), *half = one("--hop", "0.5", "ten.wav"),
           *wide = one("--hop", "5", "ten.wav");
    assert_int_equal(windows_of(plain), 3);
    assert_int_equal(windows_of(half), 13); /* 0 .. 5.5 s, and the one that ends at 10 s */
    assert_int_equal(windows_of(wide), 3);  /* 0, 5 and the one that ends at 10 s */
    json_decref(plain);
    json_decref(half);
    json_decref(wide);
}

static void a_channel_can_be_chosen(void **state) {
    (void)state;
    write_voice("stereo.wav", 3.0, 16000, 2, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5);
    json_t *left = one("--channel", "0", "stereo.wav"), *right = one("--channel", "1", "stereo.wav");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(left, "audio"), "channels")), 2);
    assert_false(json_equal(json_object_get(left, "audio"), json_object_get(right, "audio"))); /* another level */
    json_decref(left);
    json_decref(right);
    outcome o = trace("--json", "--channel", "2", "stereo.wav");
    exits(&o, 2);
    json_t *j = answers(&o);
    assert_string_equal(error_code(j), "input");
    assert_non_null(strstr(o.err, "channel"));
    json_decref(j);
    outcome_free(&o);
}

static void headerless_sound_needs_its_rate(void **state) {
    (void)state;
    write_voice("plain.raw", 2.0, 8000, 1, SF_FORMAT_RAW | SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE, 6);
    json_t *j = one("--raw", "8000", "plain.raw");
    support_close(json_number_value(json_object_get(j, "seconds")), 2.0, 1e-3, "seconds at 8 kHz");
    json_decref(j);
    j = one("--raw", "16000:2", "plain.raw");
    support_close(json_number_value(json_object_get(j, "seconds")), 0.5, 1e-3, "seconds at 16 kHz, two channels");
    json_decref(j);
    outcome o = trace("plain.raw");
    exits(&o, 2);
    outcome_free(&o);
}

static void standard_input_is_a_recording(void **state) {
    (void)state;
    write_wav("a.wav", 1.0, 1);
    outcome file = trace("--json", "a.wav");
    json_t *want = answers(&file);
    (void)json_object_del(want, "file");
    for (int pipe = 0; pipe < 2; pipe++) {
        outcome o = command_run(&(command){.folder = folder,
                                           .args = (const char *const[]){"trace", "-m", MODEL, "--json", "-", NULL},
                                           .in = in_folder("a.wav"),
                                           .pipe = pipe == 1});
        exits(&o, 0);
        json_t *j = answers(&o);
        assert_string_equal(text_of(j, "file"), "-");
        (void)json_object_del(j, "file");
        assert_true(json_equal(j, want));
        json_decref(j);
        outcome_free(&o);
    }
    json_decref(want);
    outcome_free(&file);
    outcome o = trace("--json", "-", "-");
    exits(&o, 1);
    assert_string_equal(o.out, "");
    outcome_free(&o);
    o = command_run(&(command){.folder = folder,
                               .args = (const char *const[]){"trace", "-m", MODEL, "--json", "-", NULL},
                               .in = in_folder("a.wav"),
                               .env = (const char *const[]){"TMPDIR=/nowhere", NULL},
                               .pipe = true});
    exits(&o, 2);
    assert_non_null(strstr(o.err, "cannot make a temporary file for standard input"));
    outcome_free(&o);
    o = trace("--json", "-"); /* nothing there */
    exits(&o, 2);
    json_decref(answers(&o));
    outcome_free(&o);
}

static void a_report_is_there_whole_or_not_at_all(void **state) {
    (void)state;
    make_three();
    write_wav("<b>&\"'.wav", 1.0, 9);
    outcome o = trace("--html", "report.html", "a.wav", "b.flac", "missing.wav", "<b>&\"'.wav");
    exits(&o, 2); /* one failed; the others and the report are there */
    unsigned char *html;
    size_t size;
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    support_ok(io_read_file(ctx, in_folder("report.html"), 1 << 24, &html, &size, &err), &err);
    const char *text = (const char *)html;
    html_is_balanced(text);
    assert_non_null(strstr(text, "<h2>a.wav</h2>"));
    assert_non_null(strstr(text, "Not traced"));
    assert_non_null(strstr(text, "&lt;b&gt;&amp;&quot;"));
    assert_null(strstr(text, "<b>&"));
    assert_null(strstr(text, "http")); /* nothing is fetched */
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, " nan")); /* a number that is none */
    ctx_free(ctx, html);
    spoor_context_free(ctx);
    outcome_free(&o);

    o = trace("--html", "no/such/folder/report.html", "a.wav");
    exits(&o, 5);
    assert_string_equal(o.out, "");
    outcome_free(&o);
    o = command_run(
        &(command){.folder = folder,
                   .args = (const char *const[]){"trace", "-m", MODEL, "--html", "second.html", "a.wav", NULL},
                   .out = "/dev/full"});
    exits(&o, 5);
    assert_int_not_equal(access(in_folder("second.html"), F_OK), 0);
    outcome_free(&o);
    o = spoor("trace", "-m", "missing", "--html", "second.html", "a.wav");
    exits(&o, 3);
    assert_int_not_equal(access(in_folder("second.html"), F_OK), 0);
    outcome_free(&o);
    o = command_run(&(command){
        .folder = folder,
        .args = (const char *const[]){"trace", "-m", MODEL, "--json", "a.wav", "--html", "/dev/full/x", NULL}});
    exits(&o, 5);
    outcome_free(&o);
}

static void a_full_or_closed_output_is_an_error(void **state) {
    (void)state;
    write_wav("a.wav", 1.0, 1);
    const char *formats[] = {"--json", "--jsonl", "--top=3"};
    for (size_t i = 0; i < 3; i++) {
        outcome o = command_run(
            &(command){.folder = folder,
                       .args = (const char *const[]){"trace", "-m", MODEL, formats[i], "a.wav", "a.wav", NULL},
                       .out = "/dev/full"});
        exits(&o, 5);
        assert_non_null(strstr(o.err, "standard output"));
        outcome_free(&o);
    }
    outcome o =
        command_run(&(command){.folder = folder,
                               .args = (const char *const[]){"trace", "-m", MODEL, "--html", "r.html", "a.wav", NULL},
                               .out = ""}); /* closed: its number must not become the report's */
    exits(&o, 5);
    assert_int_not_equal(access(in_folder("r.html"), F_OK), 0);
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_is_for_people, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_file_is_an_object_and_several_an_array, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_lines_are_one_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_number_of_jobs_changes_no_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hop_gives_more_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_channel_can_be_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headerless_sound_needs_its_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(standard_input_is_a_recording, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_is_there_whole_or_not_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_or_closed_output_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
