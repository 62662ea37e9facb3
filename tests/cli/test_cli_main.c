/* test_cli_main.c: help, version, wrong options, missing models, and `spoor inspect`. */
#include "cli/cli_case.h"
#include <sys/stat.h>
#include "weights/safetensors.h"

static void help_and_version(void **state) {
    (void)state;
    const char *commands[] = {"trace", "train", "inspect", "eval", "embed"};
    outcome o = spoor("--version");
    exits(&o, 0);
    char want[64];
    snprintf(want, sizeof want, "spoor %s\n", spoor_version());
    assert_string_equal(o.out, want);
    outcome_free(&o);
    o = spoor("--help");
    exits(&o, 0);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[32];
        snprintf(line, sizeof line, "\n  %s ", commands[i]);
        assert_non_null(strstr(o.out, line));
        outcome help = spoor(commands[i], "--help");
        exits(&help, 0);
        snprintf(line, sizeof line, "Usage: spoor %s ", commands[i]);
        assert_memory_equal(help.out, line, strlen(line));
        outcome_free(&help);
    }
    outcome_free(&o);
    o = command_run(&(command){.folder = folder, .args = (const char *const[]){"--help", NULL}, .out = "/dev/full"});
    exits(&o, 5);
    outcome_free(&o);
}

static void a_wrong_command_line_is_refused(void **state) {
    (void)state;
    write_wav("a.wav", 0.7, 1);
    const char *lines[][4] = {
        {NULL},
        {"trase"},
        {""},
        {"trace"},
        {"trace", "--frobnicate", "a.wav"},
        {"trace", "a.wav", "--jobs"},
        {"inspect"},
        {"inspect", MODEL, MODEL},
        {"trace", "-j0", "a.wav"},
        {"trace", "-j1.5", "a.wav"},
        {"trace", "-j257", "a.wav"},
        {"trace", "-j99999999999999999999", "a.wav"},
        {"trace", "--channel=-1", "a.wav"},
        {"trace", "--channel=1024", "a.wav"},
        {"trace", "--channel=x", "a.wav"},
        {"trace", "--hop=0", "a.wav"},
        {"trace", "--hop=nan", "a.wav"},
        {"trace", "--hop=1e9", "a.wav"},
        {"trace", "--hop=1s", "a.wav"},
        {"trace", "--raw=3999", "a.wav"},
        {"trace", "--raw=16000:0", "a.wav"},
        {"trace", "--raw=16000:2x", "a.wav"},
        {"trace", "--raw=16000:1025", "a.wav"},
        {"trace", "--raw=", "a.wav"},
        {"trace", "--top=-1", "a.wav"},
        {"trace", "--top=", "a.wav"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        outcome o = command_run(
            &(command){.folder = folder, .args = lines[i], .env = (const char *const[]){"SPOOR_MODEL=" MODEL, NULL}});
        if (o.status != 1 || o.out_size != 0 || o.err[0] == '\0') {
            fail_msg("line %zu: exit code %d, stdout \"%.50s\", stderr \"%.200s\"", i, o.status, o.out, o.err);
        }
        outcome_free(&o);
    }
}

static void without_a_model_nothing_is_traced(void **state) {
    (void)state;
    write_wav("a.wav", 0.7, 1);
    write_string("garbage", "no model");
    const char *models[] = {"missing", "garbage", "a.wav", ".", "/dev/null"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        outcome o = spoor("trace", "--json", "-m", models[i], "a.wav");
        exits(&o, 3);
        assert_int_equal(o.out_size, 0);
        assert_non_null(strstr(o.err, models[i]));
        outcome_free(&o);
    }
    outcome o = command_run(&(command){.folder = folder,
                                       .args = (const char *const[]){"trace", "--json", "a.wav", NULL},
                                       .env = (const char *const[]){"SPOOR_MODEL=" MODEL, NULL}});
    exits(&o, 0);
    json_decref(answers(&o));
    outcome_free(&o);
    if (access(SPOOR_DATA_DIR "/default.safetensors", F_OK) != 0) {
        o = spoor("trace", "a.wav");
        exits(&o, 3);
        assert_non_null(strstr(o.err, "SPOOR_MODEL")); /* what to do */
        outcome_free(&o);
    }
}

static json_t *inspected(const outcome *o) {
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL) {
        fail_msg("no valid JSON: %.200s", o->out);
    }
    return j;
}

static void inspect_shows_a_model(void **state) {
    (void)state;
    outcome o = spoor("inspect", MODEL);
    exits(&o, 0);
    assert_non_null(strstr(o.out, "\"tiny\""));
    assert_non_null(strstr(o.out, "task       source, 4 classes: bonafide, alpha, beta, gamma\n"));
    outcome_free(&o);
    o = spoor("inspect", "--json", "--tensors", MODEL);
    exits(&o, 0);
    json_t *j = inspected(&o), *meta = json_object_get(j, "spoor"), *list = json_object_get(j, "tensor_list");
    char hex[65];
    spoor_error err = {0};
    support_ok(io_sha256_file(in_folder(MODEL), hex, &err), &err);
    assert_string_equal(text_of(j, "sha256"), hex);
    assert_string_equal(text_of(meta, "name"), "tiny");
    assert_int_equal(json_array_size(list), json_integer_value(json_object_get(j, "tensors")));
    json_int_t numbers = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t count = 1;
        const json_t *shape = json_object_get(json_array_get(list, i), "shape");
        for (size_t k = 0; k < json_array_size(shape); k++) {
            count *= json_integer_value(json_array_get(shape, k));
        }
        numbers += count;
    }
    assert_int_equal(numbers, json_integer_value(json_object_get(j, "numbers")));
    json_decref(j);
    outcome_free(&o);
    o = command_run(
        &(command){.folder = folder, .args = (const char *const[]){"inspect", MODEL, NULL}, .out = "/dev/full"});
    exits(&o, 5);
    outcome_free(&o);
}

static void inspect_shows_foreign_files_and_refuses_garbage(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    safetensors_writer *w;
    const float values[6] = {1, 2, 3, 4, 5, 6};
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    support_ok(safetensors_writer_meta(w, "spoor", "[1,", &err), &err); /* ours by its key, but no JSON */
    support_ok(
        safetensors_writer_add(w, "w\x1b[31m\xc2\x9b", SAFETENSORS_F32, 2, (const int64_t[]){2, 3}, values, &err),
        &err);
    support_ok(safetensors_writer_save(w, in_folder("foreign.safetensors"), &err), &err);
    safetensors_writer_free(w);
    spoor_context_free(ctx);
    outcome o = spoor("inspect", "--tensors", "foreign.safetensors");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "not a model file of Spoor"));
    assert_non_null(strstr(o.out, "F32  [2, 3] w?"));
    assert_null(strchr(o.out, '\x1b'));
    assert_null(strstr(o.out, "\xc2\x9b"));
    outcome_free(&o);
    o = spoor("inspect", "--json", "foreign.safetensors");
    exits(&o, 0);
    json_t *j = inspected(&o);
    assert_true(json_is_null(json_object_get(j, "spoor")));
    assert_int_equal(json_integer_value(json_object_get(j, "numbers")), 6);
    json_decref(j);
    outcome_free(&o);
    write_string("garbage", "GARBAGE! and more of it");
    assert_int_equal(mkdir(in_folder("bare"), 0700), 0);
    const char *bad[] = {"garbage", "missing", "bare", "/dev/null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = spoor("inspect", "--json", bad[i]);
        exits(&o, 3);
        assert_int_equal(o.out_size, 0);
        assert_non_null(strstr(o.err, bad[i]));
        outcome_free(&o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(help_and_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_command_line_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_model_nothing_is_traced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inspect_shows_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inspect_shows_foreign_files_and_refuses_garbage, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
