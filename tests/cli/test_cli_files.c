/* test_cli_files.c: which files `spoor trace` takes, and that one bad file never spoils the others. */
#include "cli/cli_case.h"
#include <sys/stat.h>

static void bad_files_are_told_and_the_others_traced(void **state) {
    (void)state;
    write_wav("good.wav", 1.0, 1);
    unsigned char *data;
    size_t size;
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    support_ok(io_read_file(ctx, in_folder("good.wav"), 1 << 20, &data, &size, &err), &err);
    write_bytes("cut.wav", data, size / 2);
    write_bytes("head.wav", data, 20);
    write_bytes("empty.wav", "", 0);
    write_string("text.wav", "this is no sound");
    ctx_free(ctx, data);
    spoor_context_free(ctx);
    assert_int_equal(mkdir(in_folder("bare"), 0777), 0);
    assert_int_equal(mkfifo(in_folder("pipe.wav"), 0666), 0);
    assert_int_equal(symlink("nowhere", in_folder("dead.wav")), 0);
    write_wav("locked.wav", 1.0, 1);
    assert_int_equal(chmod(in_folder("locked.wav"), 0), 0);
    const char *bad[] = {"cut.wav",
                         "head.wav",
                         "empty.wav",
                         "text.wav",
                         "bare",
                         "pipe.wav",
                         "dead.wav",
                         "missing.wav",
                         "",
                         "/dev/zero",
                         geteuid() == 0 ? "locked-as-root.wav" : "locked.wav"}; /* root may read everything */
    enum { N = sizeof bad / sizeof *bad };
    const char *args[N + 8] = {"trace", "-m", MODEL, "--json", "good.wav"};
    memcpy(args + 5, bad, sizeof bad);
    args[5 + N] = "good.wav";
    outcome o = command_run(&(command){.folder = folder, .args = args});
    exits(&o, 2);
    json_t *j = answers(&o);
    assert_int_equal(json_array_size(j), N + 2);
    for (size_t i = 0; i < N + 2; i++) {
        const json_t *a = json_array_get(j, i);
        bool good = i == 0 || i == N + 1;
        assert_string_equal(text_of(a, "file"), good ? "good.wav" : bad[i - 1]);
        if (good != (error_code(a)[0] == '\0')) {
            fail_msg("%s: error \"%s\"", text_of(a, "file"), error_code(a));
        }
        if (!good) {
            assert_string_equal(error_code(a), "input");
            const char *message = text_of(json_object_get(a, "error"), "message");
            assert_true(strlen(message) > 10);
            assert_non_null(strstr(o.err, message)); /* the person is told the same */
        }
    }
    json_decref(j);
    outcome_free(&o);
    o = trace("missing.wav");
    exits(&o, 2);
    assert_string_equal(o.out, "");
    outcome_free(&o);
}

static void names_may_be_anything(void **state) {
    (void)state;
    static const char *const names[] = {
        "with space.wav", "two\nlines.wav",          "quote\"'\\.wav",        "bad\xff\xc3(.wav", "-j.wav",
        "--json.wav",     "esc\x1b[31m\xc2\x9b.wav", "\xc3\xa9t\xc3\xa9.wav", "%s%n.wav"};
    static const char *const shown[] = {
        "with space.wav", "two\nlines.wav", "quote\"'\\.wav",          "bad\xef\xbf\xbd\xef\xbf\xbd(.wav",
        "-j.wav",         "--json.wav",     "esc\x1b[31m\xc2\x9b.wav", "\xc3\xa9t\xc3\xa9.wav",
        "%s%n.wav"};
    enum { N = sizeof names / sizeof *names };
    const char *json[N + 8] = {"trace", "-m", MODEL, "--json", "--html", "r.html", "--"};
    const char *text[N + 8] = {"trace", "-m", MODEL, "--"};
    for (size_t i = 0; i < N; i++) {
        write_wav(names[i], 0.7, i + 1);
        json[7 + i] = names[i];
        text[4 + i] = names[i];
    }
    outcome o = command_run(&(command){.folder = folder, .args = json});
    exits(&o, 0);
    json_t *j = answers(&o);
    assert_int_equal(json_array_size(j), N);
    for (size_t i = 0; i < N; i++) {
        assert_string_equal(text_of(json_array_get(j, i), "file"), shown[i]);
        assert_string_equal(error_code(json_array_get(j, i)), "");
    }
    json_decref(j);
    outcome_free(&o);
    o = command_run(&(command){.folder = folder, .args = text});
    exits(&o, 0);
    assert_null(strchr(o.out, '\x1b')); /* nothing that a terminal obeys */
    assert_null(strstr(o.out, "\xc2\x9b"));
    assert_null(strstr(o.out, "two\nlines"));
    outcome_free(&o);
    o = trace("gone\x1b[31m\n.wav");
    exits(&o, 2);
    assert_null(strchr(o.err, '\x1b'));
    outcome_free(&o);
}

static void expect_names(const outcome *o, const char *const *names, size_t n) {
    json_t *j = answers(o);
    assert_true(json_is_array(j));
    assert_int_equal(json_array_size(j), n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(text_of(json_array_get(j, i), "file"), names[i]);
    }
    json_decref(j);
}

static void a_folder_is_searched(void **state) {
    (void)state;
    assert_int_equal(mkdir(in_folder("d"), 0777), 0);
    assert_int_equal(mkdir(in_folder("d/sub"), 0777), 0);
    write_wav("d/b.wav", 0.7, 1);
    write_wav("d/a.WAV", 0.7, 2);
    write_wav("d/sub/c.wav", 0.7, 3);
    write_string("d/notes.txt", "no sound");
    assert_int_equal(symlink("b.wav", in_folder("d/z.wav")), 0);
    assert_int_equal(symlink("..", in_folder("d/sub/loop")), 0);
    assert_int_equal(symlink("d", in_folder("link")), 0);
    outcome o = trace("--json", "d");
    exits(&o, 0);
    expect_names(&o, (const char *const[]){"d/a.WAV", "d/b.wav", "d/sub/c.wav", "d/z.wav"}, 4);
    outcome_free(&o);
    o = trace("--json", "link");
    exits(&o, 0);
    expect_names(&o, (const char *const[]){"link/a.WAV", "link/b.wav", "link/sub/c.wav", "link/z.wav"}, 4);
    outcome_free(&o);
    o = trace("--json", "d/sub"); /* one file, but a folder was named: an array */
    exits(&o, 0);
    expect_names(&o, (const char *const[]){"d/sub/c.wav"}, 1);
    outcome_free(&o);
    assert_int_equal(mkdir(in_folder("d/none"), 0777), 0);
    o = trace("--json", "d/none", "d/b.wav"); /* nothing in it: said so, and the other file is traced */
    exits(&o, 2);
    expect_names(&o, (const char *const[]){"d/none", "d/b.wav"}, 2);
    assert_non_null(strstr(o.err, "the folder d/none holds no recording"));
    outcome_free(&o);
}

static void a_list_names_files(void **state) {
    (void)state;
    write_wav("a.wav", 0.7, 1);
    write_wav("b c.wav", 0.7, 2);
    write_string("list.txt", "a.wav\r\n\nmissing.wav\nb c.wav");
    outcome o = trace("--json", "--list", "list.txt", "b c.wav");
    exits(&o, 2);
    expect_names(&o, (const char *const[]){"b c.wav", "a.wav", "missing.wav", "b c.wav"}, 4);
    outcome_free(&o);
    for (int pipe = 0; pipe < 2; pipe++) {
        o = command_run(&(command){.folder = folder,
                                   .args = (const char *const[]){"trace", "-m", MODEL, "--json", "--list=-", NULL},
                                   .in = in_folder("list.txt"),
                                   .pipe = pipe == 1});
        exits(&o, 2);
        expect_names(&o, (const char *const[]){"a.wav", "missing.wav", "b c.wav"}, 3);
        outcome_free(&o);
    }
    write_string("none.txt", "\n\n");
    o = trace("--json", "--list", "none.txt");
    exits(&o, 0);
    expect_names(&o, NULL, 0);
    outcome_free(&o);
    o = trace("--jsonl", "--list", "none.txt");
    exits(&o, 0);
    assert_string_equal(o.out, "");
    outcome_free(&o);
    write_string("gone.txt", "x.wav\ny.wav\n");
    o = trace("--json", "--list", "gone.txt"); /* no file that can be decoded, and still JSON */
    exits(&o, 2);
    expect_names(&o, (const char *const[]){"x.wav", "y.wav"}, 2);
    outcome_free(&o);
    o = trace("--json", "--list", "no-such-list");
    exits(&o, 5);
    outcome_free(&o);
    o = trace("--json", "--list", "/dev/zero");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "line 1"));
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_files_are_told_and_the_others_traced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_may_be_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_is_searched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_names_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
