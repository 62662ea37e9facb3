/* test_cli_fuse.c: `spoor fuse` as a user runs it: models into a model that every other command takes, tasks shared out, the same
 * bytes on any number of threads, what cannot be fused, score files into a score file. */
#include "cli/cli_case.h"
#include "eval/npy.h"
#include "eval/scores.h"
#include "model/small_models.h"
#include <sys/stat.h>

enum { CLIPS = 36 };

static spoor_context *ctx;
static spoor_error err;

/* Three "sources" that differ in pitch and noise, a third of them by a person; splits in turn. */
static void write_corpus(void) {
    static const char *const SOURCES[] = {"a", "b", "bonafide"}, *const SPLITS[] = {"train", "train", "dev", "eval"};
    char csv[8192], name[32];
    size_t at = (size_t)snprintf(csv, sizeof csv, "path,split,source,label,page\n");
    for (int i = 0; i < CLIPS; i++) {
        snprintf(name, sizeof name, "c%d.wav", i);
        write_voice(name, 0.4 + 0.2 * (i % 3), 16000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_16, (uint64_t)(i % 3) * 100 + (uint64_t)i / 12);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "%s,%s,%s,%s,p%d\n", name, SPLITS[i % 4], SOURCES[i % 3],
                               i % 3 == 2 ? "bonafide" : "spoof", i / 6);
    }
    write_string("m.csv", csv);
}

#define LABELS ",\"provenance\":{\"labels\":{\"tasks\":{\"bonafide\":{\"column\":\"label\"}},\"page\":\"page\"}}"
#define SOURCES "{\"name\":\"source\",\"classes\":[\"a\",\"b\",\"bonafide\"]}"

static int make(void **state) {
    int status = set_up(state);
    ctx = support_context();
    write_corpus();
    small_model(ctx, in_folder("one"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SOURCES "," SMALL_BONAFIDE, LABELS, 1);
    small_model(ctx, in_folder("two"), NULL, SMALL_FAST, "{" SMALL_POOLED ",\"embedding\":5}", SOURCES, LABELS, 2);
    small_model(ctx, in_folder("other"), NULL, SMALL_FAST, "{" SMALL_POOLED "}", SMALL_SOURCE, LABELS, 3);
    return status;
}

static int unmake(void **state) {
    spoor_context_free(ctx);
    return tear_down(state);
}

static bool exists(const char *name) {
    struct stat st;
    return stat(in_folder(name), &st) == 0;
}

static void says(outcome *o, int status, const char *out, const char *talk) {
    exits(o, status);
    if (strstr(o->out, out) == NULL || strstr(o->err, talk) == NULL) {
        fail_msg("not \"%s\" and \"%s\" in: %s%s", out, talk, o->out, o->err);
    }
    outcome_free(o);
}

static void same_bytes(const char *a, const char *b) {
    char hex[2][65];
    support_ok(io_sha256_file(in_folder(a), hex[0], &err), &err);
    support_ok(io_sha256_file(in_folder(b), hex[1], &err), &err);
    assert_string_equal(hex[0], hex[1]);
}

/* The fused model is a model like any other. */
static void usable(const char *name, int dim) {
    spoor_context *c = support_context();
    float *x;
    size_t rows, cols;
    says(&(outcome[]){spoor("eval", name, "--manifest", "m.csv", "--split", "eval", "--replicates", "0")}[0], 0, "Task source", "");
    says(&(outcome[]){spoor("trace", "-m", name, "c3.wav", "c5.wav")}[0], 0, "c5.wav", "");
    says(&(outcome[]){spoor("embed", "-m", name, "-o", "e.npy", "c3.wav", "c4.wav")}[0], 0, "", "");
    support_ok(npy_read_f32(c, in_folder("e.npy"), 1 << 20, &x, &rows, &cols, &err), &err);
    assert_int_equal(rows, 2);
    assert_int_equal(cols, dim);
    ctx_free(c, x);
    spoor_context_free(c);
}

static void models_become_one(void **state) {
    (void)state;
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "f", "-j", "1")}[0], 0, "source: 3 classes, 18 train clips, 9 dev clips",
         "");
    assert_false(exists("f.members"));
    usable("f", 16 + 5 + 3 + 2 + 3);
    says(&(outcome[]){spoor("fuse", "one", "two", "--train", "m.csv", "--dev", "m.csv", "-o", "g", "-j", "8")}[0], 0, "* ", "");
    same_bytes("f", "g");
    outcome o = spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "h", "--method", "embedding", "--l2", "0.01,1", "--json", "--name",
                      "the two");
    exits(&o, 0);
    json_t *j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    const json_t *task = json_array_get(json_object_get(j, "tasks"), 0);
    assert_string_equal(text_of(task, "task"), "source");
    assert_int_equal(json_array_size(json_object_get(task, "tries")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "embedding")), 21);
    assert_int_equal(json_integer_value(json_object_get(j, "train_clips")), 18);
    json_decref(j);
    outcome_free(&o);
    usable("h", 21);
    says(&(outcome[]){spoor("inspect", "h")}[0], 0, "the two", "");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "k", "--method", "average")}[0], 0, "21 tried", "");
    usable("k", 21);
    says(&(outcome[]){spoor("fuse", "one", "two", "-o", "n", "--method", "average", "--weights", "1,3")}[0], 0, "weights: 1 3",
         "not calibrated");
    usable("n", 21);
}

static void tasks_are_shared_out(void **state) {
    (void)state;
    static const char *const fused[2] = {"t", "u"};
    says(&(outcome[]){spoor("fuse", "--tasks", "bonafide=one", "--tasks", "source=two", "-o", "t")}[0], 0, "t: 2 models", "");
    says(&(outcome[]){spoor("fuse", "--tasks", "bonafide=one", "--tasks", "source=two", "--manifest", "m.csv", "-o", "u")}[0], 0, "", "");
    spoor_model *one = small_open(ctx, in_folder("one")), *two = small_open(ctx, in_folder("two"));
    small_answer a, b, c;
    small_ask(one, 3, &a);
    small_ask(two, 3, &b);
    for (int i = 0; i < 2; i++) {
        spoor_model *t = small_open(ctx, in_folder(fused[i]));
        small_ask(t, 3, &c);
        assert_memory_equal(small_logits(t, &c, "bonafide"), small_logits(one, &a, "bonafide"), 2 * sizeof(float));
        assert_memory_equal(small_logits(t, &c, "source"), small_logits(two, &b, "source"), 3 * sizeof(float));
        spoor_model_free(t);
        usable(fused[i], 5);
    }
    spoor_model_free(one);
    spoor_model_free(two);
}

static void mistakes_are_named(void **state) {
    (void)state;
    says(&(outcome[]){spoor("fuse", "one", "-o", "x")}[0], 1, "", "at least two models");
    says(&(outcome[]){spoor("fuse", "one", "two", "-o", "x")}[0], 1, "", "--manifest or --train");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv")}[0], 1, "", "--out");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--method", "magic")}[0], 1, "", "magic");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--l2", "0.1,x")}[0], 1, "", "0.1,x");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--split", "dev")}[0], 1, "", "--dev-split");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--weights", "1,2")}[0], 1, "", "--method average");
    says(&(outcome[]){spoor("fuse", "one", "--tasks", "source=two", "-o", "x")}[0], 1, "", "--tasks alone");
    says(&(outcome[]){spoor("fuse", "--tasks", "source", "-o", "x")}[0], 1, "", "NAMES=FILE");
    says(&(outcome[]){spoor("fuse", "--tasks", "vocoder=two", "-o", "x")}[0], 1, "", "no task vocoder");
    says(&(outcome[]){spoor("fuse", "one", "m.csv", "--manifest", "m.csv", "-o", "x")}[0], 3, "", "m.csv");
    says(&(outcome[]){spoor("fuse", "one", "other", "--manifest", "m.csv", "-o", "x", "--method", "average")}[0], 1, "",
         "cannot be averaged");
    says(&(outcome[]){spoor("fuse", "one", "two", "-o", "x", "--method", "average")}[0], 1, "", "--weights");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--train-split", "no")}[0], 2, "", "no row");
    assert_false(exists("x"));
    assert_false(exists("x.members"));
    write_string("broken.csv", "path,split,source,label,page\nc0.wav,train,a,spoof,p\nc1.wav,train,b,spoof,p\nc2.wav,train,bonafide,bonafide,p\n"
                               "none.wav,train,a,spoof,p\nc6.wav,dev,a,spoof,p\n");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "broken.csv", "-o", "y")}[0], 2, "y: 2 models", "1 of 5 recordings");
    assert_true(exists("y"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_become_one),
        cmocka_unit_test(tasks_are_shared_out),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
