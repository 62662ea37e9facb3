/* test_cli_enroll.c: `spoor enroll` and traces beside a gallery: what is said, what is refused, and that nothing changes where
 * nothing is enrolled. */
#include "cli/cli_case.h"

#define GALLERY "model.gallery.safetensors" /* what lies beside MODEL */
#define enroll(...) spoor("enroll", "-m", MODEL, __VA_ARGS__)

static void make_voices(void) {
    char name[32];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "v%d.wav", i);
        write_wav(name, 1.5, (uint64_t)i + 1);
    }
    (void)unlink(in_folder(GALLERY));
}

static bool there(const char *name) { return access(in_folder(name), F_OK) == 0; }

static json_t *parsed(const outcome *o) {
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL) {
        fail_msg("no JSON: %.300s", o->out);
    }
    return j;
}

static json_int_t whole(const json_t *j, const char *key) { return json_integer_value(json_object_get(j, key)); }

static void said(const outcome *o, int status, const char *words) {
    exits(o, status);
    if (strstr(o->out, words) == NULL && strstr(o->err, words) == NULL) {
        fail_msg("\"%s\" is neither in \"%s\" nor in \"%s\"", words, o->out, o->err);
    }
}

static void a_source_is_enrolled_listed_and_removed(void **state) {
    (void)state;
    make_voices();
    outcome o = enroll("--list");
    said(&o, 0, "nothing is enrolled in model.gallery.safetensors");
    outcome_free(&o);
    assert_false(there(GALLERY)); /* looking makes no file */
    o = enroll("Größe 2", "v0.wav", "v1.wav");
    said(&o, 0, "Größe 2: 2 recordings added, 2 in all; 1 source in model.gallery.safetensors");
    said(&o, 0, "similarity within: ");
    outcome_free(&o);
    o = enroll("Größe 2", "v1.wav", "v2.wav");
    said(&o, 0, "Größe 2: 1 recording added, 3 in all");
    outcome_free(&o);
    o = enroll("--json", "beta-2", "v3.wav");
    exits(&o, 0);
    json_t *j = parsed(&o);
    assert_string_equal(text_of(j, "name"), "beta-2");
    assert_string_equal(text_of(j, "nearest"), "Größe 2");
    assert_string_equal(text_of(j, "gallery"), GALLERY);
    assert_true(whole(j, "added") == 1 && whole(j, "files") == 1 && whole(j, "sources") == 2);
    assert_true(json_is_null(json_object_get(j, "within"))); /* of one recording */
    json_decref(j);
    outcome_free(&o);
    o = enroll("--list", "--json");
    exits(&o, 0);
    j = parsed(&o);
    assert_int_equal(json_array_size(json_object_get(j, "sources")), 2);
    assert_int_equal(whole(json_array_get(json_object_get(j, "sources"), 0), "files"), 3);
    json_decref(j);
    outcome_free(&o);
    o = enroll("--remove", "Größe 2");
    said(&o, 0, "beta-2  1 recording\n");
    assert_null(strstr(o.out, "Größe"));
    outcome_free(&o);
    o = enroll("--remove", "Größe 2");
    said(&o, 1, "no source \"Größe 2\"");
    outcome_free(&o);
}

static json_t *traced(const char *gallery, const char *file) {
    outcome o = gallery ? trace("--json", "--gallery", gallery, file) : trace("--json", file);
    exits(&o, 0);
    json_t *j = answers(&o);
    outcome_free(&o);
    return j;
}

/* Of a recording that was enrolled itself the cosine is 1: it is named, unless the model calls it human. */
static void trace_names_what_was_enrolled(void **state) {
    (void)state;
    make_voices();
    json_t *before = traced(NULL, "v0.wav");
    assert_null(json_object_get(before, "enrolled"));
    outcome o = enroll("newcomer", "v0.wav", "--gallery", "other.gallery");
    exits(&o, 0);
    outcome_free(&o);
    o = enroll("newcomer", "v0.wav");
    exits(&o, 0);
    outcome_free(&o);
    o = enroll("another", "v5.wav", "v4.wav");
    exits(&o, 0);
    outcome_free(&o);
    json_t *j = traced(NULL, "v0.wav"), *e = json_object_get(j, "enrolled"), *ranked = json_object_get(e, "ranked");
    bool human = strcmp(text_of(before, "verdict"), "bonafide") == 0;
    assert_string_equal(text_of(j, "verdict"), human ? "bonafide" : "enrolled");
    assert_true(json_is_null(json_object_get(e, "name")) == human);
    assert_int_equal(json_array_size(ranked), 2);
    assert_string_equal(text_of(json_array_get(ranked, 0), "name"), "newcomer");
    support_close(json_number_value(json_object_get(e, "score")), 1, 1e-6, "score of the recording itself");
    support_close(json_number_value(json_object_get(e, "threshold")), 0.6, 1e-9, "documented default");
    assert_true(json_is_null(json_object_get(e, "llr")) && json_is_null(json_object_get(e, "known")));
    json_decref(j);
    j = traced("other.gallery", "v0.wav");
    assert_int_equal(json_array_size(json_object_get(json_object_get(j, "enrolled"), "ranked")), 1);
    json_decref(j);
    j = traced("none", "v0.wav"); /* and without, nothing is different */
    assert_true(json_equal(j, before));
    json_decref(j);
    json_decref(before);
    o = trace("v0.wav", "--html", "r.html");
    said(&o, 0, "nearest enrolled source newcomer: score 1.000, threshold 0.600");
    outcome_free(&o);
    unsigned char *html;
    size_t n;
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    support_ok(io_read_file(ctx, in_folder("r.html"), 1 << 24, &html, &n, &err), &err);
    assert_non_null(strstr((char *)html, "nearest enrolled source newcomer: score 1.000"));
    ctx_free(ctx, html);
    spoor_context_free(ctx);
}

static void the_environment_names_a_gallery(void **state) {
    (void)state;
    make_voices();
    outcome o = enroll("newcomer", "v0.wav", "--gallery", "env.gallery");
    exits(&o, 0);
    outcome_free(&o);
    assert_int_equal(setenv("SPOOR_GALLERY", "env.gallery", 1), 0);
    json_t *j = traced(NULL, "v0.wav");
    assert_non_null(json_object_get(j, "enrolled"));
    json_decref(j);
    assert_int_equal(setenv("SPOOR_GALLERY", "gone.gallery", 1), 0);
    o = trace("v0.wav"); /* what is named must be there */
    said(&o, 5, "gone.gallery");
    outcome_free(&o);
    assert_int_equal(unsetenv("SPOOR_GALLERY"), 0);
}

static void what_cannot_be_used_is_named(void **state) {
    (void)state;
    make_voices();
    write_wav("short.wav", 0.2, 1);
    outcome o = enroll("some", "v0.wav", "short.wav", "missing.wav");
    said(&o, 2, "some: 1 recording added");
    said(&o, 2, "short.wav");
    said(&o, 2, "missing.wav");
    said(&o, 2, "2 of 3 recordings could not be used; the others were enrolled");
    outcome_free(&o);
    o = enroll("none", "short.wav");
    said(&o, 2, "nothing was enrolled");
    outcome_free(&o);
    o = enroll("--list");
    assert_null(strstr(o.out, "none"));
    outcome_free(&o);
    const char *many[60] = {"enroll", "-m", MODEL, "many"};
    for (int i = 0; i < 51; i++) {
        many[4 + i] = "v0.wav";
    }
    o = command_run(&(command){.folder = folder, .args = many});
    said(&o, 4, "51 recordings of many; a source has 1 to 50");
    outcome_free(&o);
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    make_voices();
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"", "1 to 200 bytes"}, {"red\x1b[31m", "control characters"}, {"human", "what human speech is called"}, {"\xff", "UTF-8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome o = enroll(cases[i].name, "v0.wav");
        said(&o, 1, cases[i].words);
        outcome_free(&o);
    }
    outcome o = enroll("alpha", "v0.wav"); /* a class of the model */
    said(&o, 2, "the model knows a source called alpha already");
    outcome_free(&o);
    assert_false(there(GALLERY));
    o = enroll("x");
    said(&o, 1, "name at least one recording of \"x\"");
    outcome_free(&o);
    o = enroll("x", "-");
    said(&o, 1, "not standard input");
    outcome_free(&o);
    o = spoor("enroll", "-m", MODEL);
    said(&o, 1, "give a name and recordings, or --list, or --remove");
    outcome_free(&o);
    o = enroll("--list", "--remove", "x");
    said(&o, 1, "give a name and recordings, or --list, or --remove");
    outcome_free(&o);
    o = enroll("--list", "--gallery", "gone");
    said(&o, 5, "there is no gallery gone");
    outcome_free(&o);
}

static void a_gallery_of_another_model_is_refused(void **state) {
    (void)state;
    make_voices();
    outcome o = enroll("newcomer", "v0.wav");
    exits(&o, 0);
    outcome_free(&o);
    spoor_context *ctx = support_context();
    tiny_model_write(ctx, in_folder("half.safetensors"), true);
    spoor_context_free(ctx);
    o = spoor("trace", "-m", "half.safetensors", "--gallery", GALLERY, "v0.wav");
    said(&o, 2, "the gallery model.gallery.safetensors was made by another model");
    assert_string_equal(o.out, "");
    outcome_free(&o);
    o = spoor("enroll", "-m", "half.safetensors", "--gallery", GALLERY, "x", "v0.wav");
    said(&o, 2, "was made by another model");
    outcome_free(&o);
    write_string("text", "no gallery");
    o = trace("--gallery", "text", "v0.wav");
    exits(&o, 2);
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_enrolled_listed_and_removed), cmocka_unit_test(trace_names_what_was_enrolled),
        cmocka_unit_test(the_environment_names_a_gallery),         cmocka_unit_test(what_cannot_be_used_is_named),
        cmocka_unit_test(wrong_arguments_are_refused),             cmocka_unit_test(a_gallery_of_another_model_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
