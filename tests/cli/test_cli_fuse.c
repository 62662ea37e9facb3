/* test_cli_fuse.c: `spoor fuse` as a user runs it: models into a model that every other command takes, tasks shared
 * out, the same bytes on any number of threads, what cannot be fused, score files into a score file. */
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
        write_voice(name, 0.4 + 0.2 * (i % 3), 16000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_16,
                    (uint64_t)(i % 3) * 100 + (uint64_t)i / 12);
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
    small_model(ctx, in_folder("one"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SOURCES "," SMALL_BONAFIDE, LABELS,
                1);
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
    says(&(outcome[]){spoor("eval", name, "--manifest", "m.csv", "--split", "eval", "--replicates", "0")}[0], 0,
         "Task source", "");
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
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "f", "-j", "1")}[0], 0,
         "source: 3 classes, 18 train clips, 9 dev clips", "");
    assert_false(exists("f.members"));
    usable("f", 16 + 5 + 3 + 2 + 3);
    says(&(outcome[]){spoor("fuse", "one", "two", "--train", "m.csv", "--dev", "m.csv", "-o", "g", "-j", "8")}[0], 0,
         "* ", "");
    same_bytes("f", "g");
    outcome o = spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "h", "--method", "embedding", "--l2", "0.01,1",
                      "--json", "--name", "the two");
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
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "k", "--method", "average")}[0], 0,
         "21 tried", "");
    usable("k", 21);
    says(&(outcome[]){spoor("fuse", "one", "two", "-o", "n", "--method", "average", "--weights", "1,3")}[0], 0,
         "weights: 1 3", "not calibrated");
    usable("n", 21);
}

static void tasks_are_shared_out(void **state) {
    (void)state;
    static const char *const fused[2] = {"t", "u"};
    says(&(outcome[]){spoor("fuse", "--tasks", "bonafide=one", "--tasks", "source=two", "-o", "t")}[0], 0,
         "t: 2 models", "");
    says(&(outcome[]){spoor("fuse", "--tasks", "bonafide=one", "--tasks", "source=two", "--manifest", "m.csv", "-o",
                            "u")}[0],
         0, "", "");
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
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--method", "magic")}[0], 1, "",
         "magic");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--l2", "0.1,x")}[0], 1, "",
         "0.1,x");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--split", "dev")}[0], 1, "",
         "--dev-split");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--weights", "1,2")}[0], 1, "",
         "--method average");
    says(&(outcome[]){spoor("fuse", "one", "--tasks", "source=two", "-o", "x")}[0], 1, "", "--tasks alone");
    says(&(outcome[]){spoor("fuse", "--tasks", "source", "-o", "x")}[0], 1, "", "NAMES=FILE");
    says(&(outcome[]){spoor("fuse", "--tasks", "vocoder=two", "-o", "x")}[0], 1, "", "no task vocoder");
    says(&(outcome[]){spoor("fuse", "one", "m.csv", "--manifest", "m.csv", "-o", "x")}[0], 3, "", "m.csv");
    says(&(outcome[]){spoor("fuse", "one", "other", "--manifest", "m.csv", "-o", "x", "--method", "average")}[0], 1, "",
         "cannot be averaged");
    says(&(outcome[]){spoor("fuse", "one", "two", "-o", "x", "--method", "average")}[0], 1, "", "--weights");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "m.csv", "-o", "x", "--train-split", "no")}[0], 2, "",
         "no row");
    assert_false(exists("x"));
    assert_false(exists("x.members"));
    write_string("broken.csv", "path,split,source,label,page\nc0.wav,train,a,spoof,p\nc1.wav,train,b,spoof,p\nc2.wav,"
                               "train,bonafide,bonafide,p\n"
                               "none.wav,train,a,spoof,p\nc6.wav,dev,a,spoof,p\n");
    says(&(outcome[]){spoor("fuse", "one", "two", "--manifest", "broken.csv", "-o", "y")}[0], 2, "y: 2 models",
         "1 of 5 recordings");
    assert_true(exists("y"));
}

/* ---- score files ---- */

/* The lines of a file but the header in another order. */
static void shuffle(const char *from, const char *to) {
    unsigned char *data;
    size_t size, n = 0;
    support_ok(io_read_file(ctx, in_folder(from), 1 << 24, &data, &size, &err), &err);
    char *lines[100], *text = calloc(size + 1, 1), *out = calloc(size + 1, 1), *save = NULL;
    memcpy(text, data, size);
    for (char *line = strtok_r(text, "\n", &save); line != NULL && n < 100; line = strtok_r(NULL, "\n", &save)) {
        lines[n++] = line;
    }
    assert_int_equal(n, CLIPS + 2);
    for (size_t i = 0; i < n; i++) {
        strcat(out, lines[i < 2 ? i : n + 1 - i]);
        strcat(out, "\n");
    }
    write_string(to, out);
    free(text);
    free(out);
    ctx_free(ctx, data);
}

static void write_scores(void) {
    static const char *const names[2] = {"one", "two"};
    char tsv[20], npy[20];
    for (int i = 0; i < 2; i++) {
        snprintf(tsv, sizeof tsv, "%s.tsv", names[i]);
        snprintf(npy, sizeof npy, "%s.npy", names[i]);
        says(&(outcome[]){spoor("eval", names[i], "--manifest", "m.csv", "--split", "all", "--replicates", "0", "--out",
                                tsv)}[0],
             0, "", "");
        says(&(outcome[]){spoor("embed", "-m", names[i], "--manifest", "m.csv", "-o", npy)}[0], 0, "", "");
    }
}

static void score_files_become_one(void **state) {
    (void)state;
    write_scores();
    says(&(outcome[]){spoor("fuse", "--scores", "one.tsv", "two.tsv", "--embeddings", "one.npy", "two.npy", "-o",
                            "f.tsv", "--out-embeddings", "f.npy")}[0],
         0, "f.tsv: 2 score files, embedding of 31 numbers", "");
    shuffle("two.tsv", "mixed.tsv");
    says(&(outcome[]){spoor("fuse", "--scores", "one.tsv", "mixed.tsv", "--embeddings", "one.npy", "--embeddings",
                            "two.npy", "-o", "g.tsv", "-j", "7")}[0],
         0, "", "");
    same_bytes("f.tsv", "g.tsv");
    score_file *file;
    support_ok(score_file_read(ctx, in_folder("f.tsv"), &file, &err), &err);
    const eval_set *set = score_file_set(file);
    assert_int_equal(set->n, CLIPS / 2);
    assert_int_equal(set->task_count, 2);
    for (size_t i = 0; i < set->n; i++) {
        double sum = 0;
        for (size_t c = 0; c < set->tasks[0].classes; c++) {
            sum += (double)set->clips[i].scores[c];
        }
        support_close(sum, 1, 1e-5, "probabilities");
        assert_string_not_equal(set->clips[i].split, "train");
        assert_true(isfinite(set->clips[i].bonafide) && isfinite(set->clips[i].known));
    }
    float *x;
    size_t rows, cols;
    support_ok(npy_read_f32(ctx, in_folder("f.npy"), 1 << 20, &x, &rows, &cols, &err), &err);
    assert_int_equal(rows, CLIPS / 2);
    assert_int_equal(cols, 16 + 5 + 3 + 2 + 1 + 3 + 1);
    double length = 0;
    for (size_t i = 0; i < 16; i++) {
        length += (double)x[i] * (double)x[i];
    }
    support_close(length, 1, 1e-5, "unit embedding");
    ctx_free(ctx, x);
    score_file_free(file);
    says(&(outcome[]){spoor("eval", "--scores", "f.tsv", "--replicates", "0")}[0], 0, "Task source", "");
}

static double column(const char *name, const char *id, size_t score) {
    score_file *file;
    double v = NAN;
    support_ok(score_file_read(ctx, in_folder(name), &file, &err), &err);
    const eval_set *set = score_file_set(file);
    for (size_t i = 0; i < set->n; i++) {
        v = strcmp(set->clips[i].id, id) == 0 ? (double)set->clips[i].scores[score] : v;
    }
    score_file_free(file);
    return v;
}

/* Given weights and a dev split that no row has: nothing is fitted, so the scores are the averages of the files. */
static void averaged_files_are_averages(void **state) {
    (void)state;
    write_scores();
    says(&(outcome[]){spoor("fuse", "--scores", "one.tsv", "two.tsv", "-o", "a.tsv", "--method", "average", "--weights",
                            "1,3", "--dev-split", "none")}[0],
         0, "weights: 1 3", "");
    for (size_t c = 0; c < 3; c++) {
        double want = 0.25 * column("one.tsv", "c3.wav", c) + 0.75 * column("two.tsv", "c3.wav", c);
        support_close(column("a.tsv", "c3.wav", c), want, 1e-5, "mean of probabilities");
    }
}

static void files_that_do_not_match_are_named(void **state) {
    (void)state;
    write_string("a.tsv",
                 "id\tsplit\ttrue/source\tscore/source/a\tscore/source/b\nx\ttrain\ta\t1\t0\ny\tdev\tb\t0\t1\n");
    write_string("b.tsv",
                 "id\tsplit\ttrue/source\tscore/source/a\tscore/source/b\nx\ttrain\ta\t1\t0\nz\tdev\tb\t0\t1\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q")}[0], 2, "",
         "b.tsv lacks 1 of the 2 recordings of a.tsv, the first is y");
    write_string("b.tsv", "id\tsplit\ttrue/source\tscore/source/a\nx\ttrain\ta\t1\ny\tdev\tb\t0\ny\tdev\tb\t0\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q")}[0], 2, "",
         "b.tsv has the recording y twice");
    write_string("b.tsv",
                 "id\tsplit\ttrue/source\tscore/source/a\tscore/source/b\nx\ttrain\tb\t1\t0\ny\tdev\tb\t0\t1\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q")}[0], 2, "",
         "says that x is b (source), another file says a");
    write_string("b.tsv", "id\tsplit\nx\tdev\ny\tdev\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q")}[0], 2, "", "split");
    write_string("b.tsv", "id\nx\ny\nz\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q")}[0], 2, "",
         "1 recordings that a.tsv lacks");
    write_string("b.tsv", "id\ttrue/source\tscore/source/a\nx\ta\t1\ny\t\t0\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--method", "average", "--weights",
                            "1,1")}[0],
         2, "", "does not know all classes");
    write_string("b.tsv", "id\ttrue/source\tscore/source/b\tscore/source/a\nx\ta\t0\t1\ny\tb\t1\t0\n");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--method", "average", "--weights",
                            "1,1")}[0],
         2, "", "no probabilities");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--method", "embedding")}[0], 2, "",
         "nothing to fuse");
    float x[4] = {1, 2, 3, 4};
    static const char *const ids[] = {"x", "w"};
    support_ok(npy_write_f32(ctx, in_folder("a.npy"), x, 2, 2, &err), &err);
    support_ok(npy_write_ids(ctx, in_folder("a.npy"), ids, 2, &err), &err);
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--embeddings", "a.npy", "a.npy")}[0], 2,
         "", "a.npy lacks 1 of the 2 recordings of a.tsv, the first is y");
    write_string("a.ids.txt", "x\ny\nz");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--embeddings", "a.npy", "a.npy")}[0], 2,
         "", "2 rows");
    write_string("a.ids.txt", "x\ny");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--embeddings", "a.npy", "a.npy")}[0], 0,
         "q: 2 score files", "");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--embeddings", "a.npy")}[0], 1, "",
         "as many --embeddings");
    says(&(outcome[]){spoor("fuse", "--scores", "a.tsv", "b.tsv", "-o", "q", "--train-split", "none")}[0], 2, "",
         "no train clip");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_become_one),
        cmocka_unit_test(tasks_are_shared_out),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(score_files_become_one),
        cmocka_unit_test(averaged_files_are_averages),
        cmocka_unit_test(files_that_do_not_match_are_named),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
