/* test_cli_schema.c: docs/result.schema.json takes what spoor writes and refuses what is broken, so that the checks of
 * the other tests can fail. */
#include "cli/cli_case.h"

static json_t *sample(const char *file) {
    outcome o = trace("--json", file);
    json_t *j = answers(&o);
    outcome_free(&o);
    return j;
}

static void must_be_refused(const json_t *good, const char *path, json_t *broken) {
    json_t *copy = json_deep_copy(good), *at = copy;
    char keys[200], *next = NULL;
    snprintf(keys, sizeof keys, "%s", path);
    char *key = strtok_r(keys, "/", &next);
    for (char *following; (following = strtok_r(NULL, "/", &next)) != NULL; key = following) {
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
        assert_non_null(at);
    }
    if (broken == NULL) {
        assert_int_equal(json_object_del(at, key), 0);
    } else {
        assert_int_equal(json_object_set_new(at, key, broken), 0);
    }
    char why[1200];
    if (schema_valid(schema, copy, why, sizeof why)) {
        fail_msg("%s broken, and yet it fits the schema", path);
    }
    assert_true(strlen(why) > 5);
    json_decref(copy);
}

static void broken_answers_are_refused(void **state) {
    (void)state;
    write_wav("a.wav", 5.0, 1);
    json_t *good = sample("a.wav");
    static const char *const needed[] = {"file",
                                         "sha256",
                                         "seconds",
                                         "verdict",
                                         "reason",
                                         "bonafide",
                                         "source",
                                         "family",
                                         "vocoder",
                                         "known",
                                         "agreement",
                                         "windows",
                                         "audio",
                                         "model",
                                         "version",
                                         "bonafide/llr",
                                         "source/ranked",
                                         "source/ranked/0/p",
                                         "windows/0/start",
                                         "model/sha256",
                                         "audio/rate",
                                         "known/threshold"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        must_be_refused(good, needed[i], NULL);
    }
    must_be_refused(good, "verdict", json_string("perhaps"));
    must_be_refused(good, "verdict", json_null());
    must_be_refused(good, "seconds", json_real(-1));
    must_be_refused(good, "seconds", json_string("5"));
    must_be_refused(good, "sha256", json_string("ABC"));
    must_be_refused(good, "sha256", json_string("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefa"));
    must_be_refused(good, "bonafide/p", json_real(1.01));
    must_be_refused(good, "source/ranked/1/p", json_null());
    must_be_refused(good, "source/ranked/1/name", json_integer(3));
    must_be_refused(good, "windows", json_object());
    must_be_refused(good, "windows/1/source", json_true());
    must_be_refused(good, "agreement", json_real(-0.1));
    must_be_refused(good, "model", json_null());
    must_be_refused(good, "audio/channels", json_real(1.5));
    must_be_refused(good, "audio/clipped", json_real(2));
    json_decref(good);
}

static void broken_errors_are_refused(void **state) {
    (void)state;
    json_t *good = sample("missing.wav");
    must_be_refused(good, "error", NULL);
    must_be_refused(good, "error/code", json_string("ok"));
    must_be_refused(good, "error/message", json_null());
    must_be_refused(good, "version", NULL);
    json_decref(good);
}

static bool fits(const char *rule, const char *value) {
    json_t *s = json_loads(rule, 0, NULL), *v = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_true(s != NULL && v != NULL);
    char why[200];
    bool good = schema_valid(s, v, why, sizeof why);
    json_decref(s);
    json_decref(v);
    return good;
}

static void the_validator_does_what_the_standard_says(void **state) {
    (void)state;
    assert_true(fits("{\"type\":\"integer\"}", "3"));
    assert_false(fits("{\"type\":\"integer\"}", "3.5"));
    assert_true(fits("{\"type\":[\"string\",\"null\"]}", "null"));
    assert_false(fits("{\"type\":[\"string\",\"null\"]}", "false"));
    assert_true(fits("{\"minimum\":0,\"maximum\":1}", "1"));
    assert_false(fits("{\"minimum\":0,\"maximum\":1}", "1.001"));
    assert_true(fits("{\"minimum\":0}", "\"text\"")); /* bounds are for numbers alone */
    assert_true(fits("{\"required\":[\"a\"]}", "[]"));
    assert_false(fits("{\"required\":[\"a\"]}", "{}"));
    assert_false(fits("{\"items\":{\"type\":\"string\"}}", "[\"a\",1]"));
    assert_true(fits("{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}", "1"));
    assert_false(fits("{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"number\"}]}", "1"));
    assert_false(fits("{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"null\"}]}", "\"x\""));
    assert_false(fits("{\"$ref\":\"#/$defs/none\"}", "1"));
    assert_false(fits("{\"const\":1}", "1")); /* a keyword that is not known is never passed over */
    assert_false(fits("{\"pattern\":\"^a$\"}", "\"ab\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(broken_answers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_errors_are_refused, set_up, tear_down),
        cmocka_unit_test(the_validator_does_what_the_standard_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
