/* test_cli_calibrate.c: `spoor calibrate`: an encoder's checkpoint and a model file get a calibration of int8, which is
 * then used, and is refused where its weights are others. */
#include "frontend/checkpoints.h" /* before what has a `folder` of its own */

#include "cli/cli_case.h"
#include "frontend/int8.h"

static void write_manifest(void) {
    static const char text[] = "path,split,source,label\na.wav,train,x,spoof\nb.wav,train,y,spoof\nc.wav,dev,x,spoof\n";
    write_wav("a.wav", 1.5, 1);
    write_wav("b.wav", 1.0, 2);
    write_wav("c.wav", 1.0, 3);
    write_bytes("m.csv", text, strlen(text));
}

/* "whisper.safetensors": an encoder as spoor convert writes it. */
static void write_encoder(void) {
    checkpoint_whisper(in_folder("whisper"), 3);
    outcome o = spoor("convert", "whisper", "-o", "whisper.safetensors");
    exits(&o, 0);
    outcome_free(&o);
}

/* A model over that encoder, which it holds. */
static void write_model(const char *name) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    json_t *meta = tiny_meta();
    json_t *config =
        json_pack("{s:s, s:s, s:i, s:i}", "kind", "whisper", "weights", "whisper", "layer", 1, "positions", 202);
    frontend *fe;
    net *n;
    net_task tasks[] = {
        {(char *)(size_t) "source", 4}, {(char *)(size_t) "bonafide", 2}, {(char *)(size_t) "family", 3}};
    support_ok(frontend_new_with(ctx, config, &(frontend_options){.folder = folder}, &fe, &err), &err);
    json_object_set_new(meta, "frontend", frontend_describe(fe));
    support_ok(net_new(ctx, json_object_get(meta, "network"), 16, tasks, 3, 5, &n, &err), &err);
    support_ok(model_save(ctx, in_folder(name), n, fe, NULL, meta, false, &err), &err);
    net_free(n);
    frontend_free(fe);
    json_decref(config);
    json_decref(meta);
    spoor_context_free(ctx);
}

static void says(const outcome *o, int status, const char *words) {
    exits(o, status);
    if (strstr(status == 0 ? o->out : o->err, words) == NULL) {
        fail_msg("\"%s%s\" does not say \"%s\"", o->out, o->err, words);
    }
}

static json_t *metadata(const char *name, const char *key) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    safetensors *f;
    support_ok(safetensors_open(ctx, in_folder(name), &f, &err), &err);
    const char *text = safetensors_meta(f, key);
    json_t *j = text == NULL ? NULL : json_loads(text, 0, NULL);
    safetensors_free(f);
    spoor_context_free(ctx);
    return j;
}

static void a_checkpoint_gets_one(void **state) {
    (void)state;
    outcome o = spoor("calibrate", "whisper.safetensors", "--manifest", "m.csv", "-o", "c.safetensors");
    says(&o, 0, "2 recordings");
    assert_non_null(strstr(o.out, "before"));
    outcome_free(&o);
    json_t *plan = metadata("c.safetensors", INT8_KEY);
    assert_int_equal(json_integer_value(json_object_get(plan, "clips")), 2);
    assert_int_equal(json_array_size(json_object_get(plan, "states")), 3); /* every hidden state */
    assert_int_equal(json_object_size(json_object_get(plan, "products")), 13);
    json_decref(plan);
    o = spoor("inspect", "c.safetensors");
    says(&o, 0, "int8       {\"clips\":2");
    assert_null(strstr(o.out, "factors"));
    outcome_free(&o);
    /* again gives the same file; as JSON, with named recordings, and all of it in bfloat16 */
    o = spoor("calibrate", "c.safetensors", "--manifest", "m.csv", "-o", "d.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    char a[65], b[65];
    spoor_error err = {0};
    support_ok(io_sha256_file(in_folder("c.safetensors"), a, &err), &err);
    support_ok(io_sha256_file(in_folder("d.safetensors"), b, &err), &err);
    assert_string_equal(a, b);
    o = spoor("calibrate", "whisper.safetensors", "a.wav", "c.wav", "b.wav", "--clips", "1", "--share", "1", "--json",
              "-o", "e.safetensors");
    exits(&o, 0);
    json_t *said = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL),
           *one = json_array_get(json_object_get(said, "encoders"), 0);
    assert_int_equal(json_integer_value(json_object_get(one, "clips")), 1);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(one, "products"), name, value) {
        assert_string_equal(json_string_value(json_object_get(value, "precision")), "bf16");
    }
    json_decref(said);
    outcome_free(&o);
}

/* Features in a precision, as one hash of the shard. */
static void shard_of(const char *weights_name, const char *precision, char hex[65]) {
    char what[300], path[300];
    static int number;
    spoor_error err = {0};
    snprintf(what, sizeof what, "{kind: whisper, weights: %s, precision: %s}", weights_name, precision);
    snprintf(path, sizeof path, "feats%d", number++);
    outcome o = spoor("extract", "m.csv", "--frontend", what, "--out", path);
    exits(&o, 0);
    outcome_free(&o);
    strcat(path, "/0000.bin");
    support_ok(io_sha256_file(in_folder(path), hex, &err), &err);
}

static void int8_uses_it_and_nothing_else_does(void **state) {
    (void)state;
    char with[65], without[65];
    outcome o = spoor("calibrate", "whisper.safetensors", "--manifest", "m.csv", "-o", "c.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    shard_of("c.safetensors", "int8", with);
    shard_of("whisper.safetensors", "int8", without);
    assert_string_not_equal(with, without);
    shard_of("c.safetensors", "f32", with);
    shard_of("whisper.safetensors", "f32", without);
    assert_string_equal(with, without);
    shard_of("c.safetensors", "bf16", with);
    shard_of("whisper.safetensors", "bf16", without);
    assert_string_equal(with, without);
}

static void a_model_gets_one(void **state) {
    (void)state;
    write_model("w.safetensors");
    outcome o = spoor("calibrate", "w.safetensors", "--manifest", "m.csv", "--split", "all", "-o", "x.safetensors");
    says(&o, 0, "3 recordings");
    outcome_free(&o);
    json_t *meta = metadata("x.safetensors", "spoor"),
           *plan = json_object_get(json_object_get(meta, "frontend"), "int8");
    assert_int_equal(json_object_size(json_object_get(plan, "products")), 7); /* of the one layer that it has */
    json_decref(meta);
    o = spoor("inspect", "x.safetensors");
    says(&o, 0, "\"int8\":{\"clips\":3");
    assert_null(strstr(o.out, "factors"));
    outcome_free(&o);
    static const char *const files[2] = {"w.safetensors", "x.safetensors"}, *const precisions[2] = {"f32", "int8"};
    char *said[2][2];
    for (int i = 0; i < 4; i++) { /* nothing changes in float32 */
        o = spoor("embed", "-m", files[i % 2], "--precision", precisions[i / 2], "-o", "e.npy", "a.wav");
        exits(&o, 0);
        outcome_free(&o);
        said[i / 2][i % 2] = malloc(65);
        spoor_error err = {0};
        support_ok(io_sha256_file(in_folder("e.npy"), said[i / 2][i % 2], &err), &err);
    }
    assert_string_equal(said[0][0], said[0][1]);
    assert_string_not_equal(said[1][0], said[1][1]);
    for (int i = 0; i < 4; i++) {
        free(said[i / 2][i % 2]);
    }
}

/* Other weights with the plan of the first: as if a file had been put together by hand. */
static void other_weights_are_refused(void **state) {
    (void)state;
    outcome o = spoor("calibrate", "whisper.safetensors", "a.wav", "-o", "c.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    checkpoint_whisper(in_folder("other"), 4);
    o = spoor("convert", "other", "-o", "other.safetensors");
    exits(&o, 0);
    outcome_free(&o);
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    safetensors *f;
    json_t *plan = metadata("c.safetensors", INT8_KEY);
    char *text = json_dumps(plan, 0);
    support_ok(safetensors_open(ctx, in_folder("other.safetensors"), &f, &err), &err);
    support_ok(model_set_text(ctx, f, in_folder("wrong.safetensors"), INT8_KEY, text, &err), &err);
    text[strlen(text) / 2] = '\0';
    support_ok(model_set_text(ctx, f, in_folder("torn.safetensors"), INT8_KEY, text, &err), &err);
    safetensors_free(f);
    spoor_context_free(ctx);
    json_decref(plan);
    free(text);
    o = spoor("extract", "m.csv", "--frontend", "{kind: whisper, weights: wrong.safetensors, precision: int8}", "--out",
              "refused");
    says(&o, SPOOR_ERR_MODEL, "made with other weights");
    outcome_free(&o);
    o = spoor("extract", "m.csv", "--frontend", "{kind: whisper, weights: torn.safetensors, precision: int8}", "--out",
              "refused");
    says(&o, SPOOR_ERR_USAGE, "spoor calibrate");
    outcome_free(&o);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *args[8];
        int status;
        const char *words;
    } cases[] = {
        {{"calibrate", "whisper.safetensors", "a.wav", NULL}, SPOOR_ERR_USAGE, "--out"},
        {{"calibrate", "whisper.safetensors", "-o", "y", NULL}, SPOOR_ERR_USAGE, "recordings"},
        {{"calibrate", "whisper.safetensors", "a.wav", "--clips", "0", "-o", "y", NULL}, SPOOR_ERR_USAGE, "--clips"},
        {{"calibrate", "whisper.safetensors", "a.wav", "--share", "1.5", "-o", "y", NULL}, SPOOR_ERR_USAGE, "--share"},
        {{"calibrate", MODEL, "a.wav", "-o", "y", NULL}, SPOOR_ERR_USAGE, "no pretrained encoder"},
        {{"calibrate", "whisper", "a.wav", "-o", "y", NULL}, SPOOR_ERR_MODEL, "spoor convert"},
        {{"calibrate", "nothing.safetensors", "a.wav", "-o", "y", NULL}, SPOOR_ERR_MODEL, "nothing.safetensors"},
        {{"calibrate", "whisper.safetensors", "nothing.wav", "-o", "y", NULL}, SPOOR_ERR_INPUT, "nothing.wav"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome o = command_run(&(command){.folder = folder, .args = cases[i].args});
        says(&o, cases[i].status, cases[i].words);
        assert_true(access(in_folder("y"), F_OK) != 0);
        outcome_free(&o);
    }
}

static int prepare(void **state) {
    int failed = set_up(state);
    write_manifest();
    write_encoder();
    return failed;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_gets_one),
        cmocka_unit_test(int8_uses_it_and_nothing_else_does),
        cmocka_unit_test(a_model_gets_one),
        cmocka_unit_test(other_weights_are_refused),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
