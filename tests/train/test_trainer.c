/* A tiny training from a manifest to a model file: it learns, its model traces, and neither threads nor interruptions
 * change a bit. */
#include "train/runs.h"
#include "data/labels.h"
#include <sys/stat.h>
#include <unistd.h>

static void it_learns(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const set[] = {"schedule.epochs=40", "average.decay=0.7"};
    char *out = run_folder("learn");
    support_ok(train(out, 2, false, &w, set, 2, &err), &err);
    assert_int_equal(w.epochs, 40);
    assert_true(w.loss < 1.0);
    assert_true(w.accuracy > 0.9);
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    spoor_context *ctx = support_context();
    spoor_model *m;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_int_equal(m->n_tasks, 2);
    assert_string_equal(m->tasks[0].classes[0], "bonafide");
    assert_true(m->bonafide.informative);
    spoor_session *s;
    support_ok(spoor_session_new(m, &s, &err), &err);
    spoor_session_free(s);
    spoor_model_free(m);
    spoor_context_free(ctx);
    for (size_t i = 0; i < 5; i++) {
        static const char *const files[] = {"recipe.json", "log.jsonl", "dev-scores.tsv", "dev-report.json", "dev-report.txt"};
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", out, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size > 0);
    }
    watch again = {0}; /* a finished run is not overwritten */
    assert_int_equal(train(out, 1, false, &again, set, 2, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "--resume"));
    const char *const other[] = {"schedule.epochs=41", "average.decay=0.7"};
    assert_int_equal(train(out, 1, true, &again, other, 2, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "schedule"));
}

static void threads_change_nothing(void **state) {
    (void)state;
    char one[65], other[65];
    const unsigned threads[] = {1, 2, 8};
    for (size_t i = 0; i < 3; i++) {
        spoor_error err;
        watch w = {0};
        char *out = run_folder(i == 0 ? "t1" : i == 1 ? "t2" : "t8");
        support_ok(train(out, threads[i], false, &w, NULL, 0, &err), &err);
        hash(out, "model.safetensors", i == 0 ? one : other);
        assert_true(i == 0 || strcmp(one, other) == 0);
    }
    spoor_error err;
    watch w = {0};
    const char *const seed[] = {"seed=6"};
    char *out = run_folder("seed");
    support_ok(train(out, 1, false, &w, seed, 1, &err), &err);
    hash(out, "model.safetensors", other);
    assert_string_not_equal(one, other);
}

static void dev_scores_come_again(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    char *out = run_folder("dev"), path[600];
    support_ok(train(out, 2, false, &w, NULL, 0, &err), &err);
    same_dev_scores(out, true);
    /* a file that went away: its row is not evaluated, the others are */
    dev_model d;
    open_dev(&d, out);
    score_set *set;
    snprintf(path, sizeof path, "%s/gone.wav", folder);
    assert_int_equal(rename(manifest_path(d.list, 2), path), 0);
    support_ok(score_all(d.ctx, d.model, 2, d.n, open_row, d.list, 0, d.logits, d.embedding, d.errors, &err), &err);
    assert_int_equal(rename(path, manifest_path(d.list, 2)), 0);
    assert_int_not_equal(d.errors[2].status, SPOOR_OK);
    assert_int_equal(d.errors[1].status, SPOOR_OK);
    support_ok(score_set_new(d.ctx, d.model, d.labels, d.logits, d.embedding, d.errors, 0, &set, &err), &err);
    assert_null(set->set.clips[2].scores);
    assert_non_null(set->set.clips[1].scores);
    score_set_free(set);
    close_dev(&d);
}

/* ---- figures on dev ---- */

static double reported(const char *out, const char *figure) {
    char path[600];
    snprintf(path, sizeof path, "%s/dev-report.json", out);
    json_t *report = json_load_file(path, 0, NULL);
    const json_t *task = json_array_get(json_object_get(report, "tasks"), 0);
    const json_t *all = json_array_get(json_object_get(task, "groups"), 0);
    assert_string_equal(json_string_value(json_object_get(task, "task")), "source");
    const json_t *value = json_object_get(json_object_get(all, figure), "value");
    assert_true(json_is_number(value));
    double v = json_number_value(value);
    json_decref(report);
    return v;
}

/* Share of pairs in which the target has the higher score, ties counted half: the AUROC by its definition. */
static double pairs_right(const double *score, const int *target, size_t n) {
    double right = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (target[i] == 1 && target[k] == 0) {
                pairs++;
                right += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0;
            }
        }
    }
    return right / pairs;
}

/* What a model with half-precision weights says of the dev clips after it was opened again: mean cross-entropy of the
 * source, and the AUROC of known against unknown sources. */
static void recompute(const char *out, const char *csv, double *loss, double *known) {
    spoor_error err;
    char path[600];
    spoor_context *ctx = shared = support_context();
    spoor_model *m;
    manifest *list;
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    support_ok(manifest_new(ctx, &list, &err), &err);
    const char *dev = "dev";
    const manifest_where where = {"split", &dev, 1};
    support_ok(manifest_add(list, csv, NULL, &where, 1, &err), &err);
    size_t n = manifest_rows(list), width = trace_logits_size(m), source = model_find_task(m, "source"), at = 0;
    float *logits = calloc(n * width, sizeof *logits);
    float *embedding = calloc(n * spoor_model_embedding_size(m), sizeof *embedding);
    spoor_error *errors = calloc(n, sizeof *errors);
    support_ok(score_all(ctx, m, 2, n, open_row, list, 0, logits, embedding, errors, &err), &err);
    double score[SYNTHETIC_CLIPS], sum = 0, labelled = 0;
    int target[SYNTHETIC_CLIPS];
    for (size_t i = 0; i < n; i++) {
        const char *name = manifest_cell(list, i, manifest_column(list, "source"));
        const float *x = logits + i * width + model_offset(m, source);
        double total = 0;
        size_t truth = SIZE_MAX;
        for (size_t k = 0; k < m->tasks[source].n_classes; k++) {
            total += exp((double)x[k]);
            truth = strcmp(m->tasks[source].classes[k], name) == 0 ? k : truth;
        }
        if (truth != SIZE_MAX) {
            sum += log(total) - (double)x[truth];
            labelled++;
        }
        if (strcmp(name, "bonafide") != 0) {
            support_ok(score_known(m, 1, logits + i * width,
                                   embedding + i * spoor_model_embedding_size(m), &score[at], &err), &err);
            target[at++] = truth != SIZE_MAX;
        }
    }
    *loss = sum / labelled;
    *known = pairs_right(score, target, at);
    free(logits);
    free(embedding);
    free(errors);
    manifest_free(list);
    spoor_model_free(m);
    spoor_context_free(ctx);
}

/* The model file states what it reached on dev: those figures are the report's, and what the file itself gives. */
static void dev_figures_are_true(void **state) {
    (void)state;
    char csv[512], path[600], out[512];
    spoor_error err;
    snprintf(csv, sizeof csv, "%s/m2.csv", folder);
    snprintf(path, sizeof path, "%s/m.csv", folder);
    spoor_context *ctx = support_context();
    unsigned char *text;
    size_t size;
    support_ok(io_read_file(ctx, path, 1 << 16, &text, &size, &err), &err);
    char *more = ctx_printf(ctx, "%sc2.wav,dev,spoof,stranger,page9\nc4.wav,dev,spoof,stranger,page9\n", (char *)text);
    support_ok(io_write_file(ctx, csv, more, strlen(more), &err), &err);
    ctx_free(ctx, text);
    ctx_free(ctx, more);
    spoor_context_free(ctx);
    const char *const set[] = {"data.manifests.0.path=m2.csv", "model.half=true", "schedule.epochs=20", "dev.every=20",
                               "dev.metrics.0.kind=macro_f1", "dev.metrics.1.kind=known_auroc", "dev.metrics.1.task=source",
                               "dev.metrics.2.kind=loss"};
    const char *const other[] = {"data.manifests.0.path=m2.csv", "schedule.epochs=20", "dev.every=20",
                                 "dev.metrics.0.kind=top5", "dev.metrics.1.kind=eer", "dev.metrics.2.kind=accuracy",
                                 "dev.metrics.2.task=source"};
    for (int round = 0; round < 2; round++) {
        watch w = {0};
        snprintf(out, sizeof out, "%s", run_folder(round ? "figures2" : "figures"));
        support_ok(train(out, 2, false, &w, round ? other : set, round ? 7 : 8, &err), &err);
        snprintf(path, sizeof path, "%s/model.safetensors", out);
        ctx = support_context();
        spoor_model *m;
        support_ok(spoor_model_open(ctx, path, &m, &err), &err);
        const json_t *dev = json_object_get(json_object_get(m->meta, "provenance"), "dev");
        double first = json_number_value(json_object_get(dev, "acc")), second = json_number_value(json_object_get(dev, "auroc"));
        double third = json_number_value(json_object_get(dev, "loss"));
        if (round == 0) {
            double loss, known;
            recompute(out, csv, &loss, &known);
            support_close(first, reported(out, "macro_f1"), 1e-9, "macro F1");
            support_close(second, known, 1e-9, "known AUROC");
            support_close(third, loss, 1e-5, "cross-entropy");
        } else {
            support_close(first, reported(out, "top5"), 1e-9, "top 5");
            support_close(third, reported(out, "accuracy"), 1e-9, "accuracy");
            assert_true(json_is_real(json_object_get(dev, "auroc")) && second >= 0 && second <= 0.5);
        }
        spoor_model_free(m);
        spoor_context_free(ctx);
    }
}

/* Without dev clips there is a model all the same; it is not calibrated. */
static void training_without_dev(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const set[] = {"schedule.epochs=1", "data.dev.split=nothing"};
    char *out = run_folder("no-dev"), path[600];
    support_ok(train(out, 1, false, &w, set, 2, &err), &err);
    spoor_context *ctx = support_context();
    spoor_model *m;
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_true(m->bonafide.targets == 0 && m->bonafide.scale == 1); /* no map was fitted */
    spoor_model_free(m);
    spoor_context_free(ctx);
    snprintf(path, sizeof path, "%s/dev-scores.tsv", out);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void failing_memory(void **state) {
    (void)state;
    const char *const set[] = {"schedule.epochs=1", "mixup.kind=regmixup"};
    failing_memory_is_refused(set, 2);
}

/* Every kind of mixing and averaging, cancelled in the middle and resumed, against the same in one go. */
static void cancelled_and_resumed(void **state) {
    (void)state;
    static const char *const variants[][4] = {
        {"mixup.kind=none", "average.kind=ema", "sampler.kind=shuffled", "checkpoint.steps=0"},
        {"mixup.kind=mixup", "average.kind=swa", "sampler.kind=balanced", "checkpoint.steps=1"},
        {"mixup.kind=regmixup", "average.kind=none", "sampler.kind=shuffled", "dev.every=5"}};
    for (size_t v = 0; v < 3; v++) {
        spoor_error err;
        watch w = {0}, c = {.cancel_at = 4}; /* also while dev is evaluated: four batches are an epoch */
        char whole[65], parts[65], a[16], b[16];
        snprintf(a, sizeof a, "whole%zu", v);
        snprintf(b, sizeof b, "parts%zu", v);
        char *one = run_folder(a), *two = run_folder(b);
        support_ok(train(one, 2, false, &w, variants[v], 4, &err), &err);
        int rounds = 0;
        spoor_status status;
        while ((status = train(two, 1 + (unsigned)rounds % 3, true, &c, variants[v], 4, &err)) == SPOOR_ERR_CANCELLED) {
            c.batches = 0;
            c.cancel_at = 3 + ++rounds % 3;
            assert_true(rounds < 50);
        }
        support_ok(status, &err);
        assert_true(rounds > 3);
        hash(one, "model.safetensors", whole);
        hash(two, "model.safetensors", parts);
        assert_string_equal(whole, parts);
        hash(one, "dev-scores.tsv", whole);
        hash(two, "dev-scores.tsv", parts);
        assert_string_equal(whole, parts);
    }
}

static void killed_fifty_times(void **state) {
    (void)state;
    const char *const set[] = {"checkpoint.steps=1", "schedule.epochs=30", "dev.every=30"};
    killed_gives_the_same("k", set, 3, 50, 0.06);
}

static void damaged_checkpoints(void **state) {
    (void)state;
    spoor_error err;
    watch w = {.cancel_at = 4};
    char *out = run_folder("damaged"), path[600];
    assert_int_equal(train(out, 1, false, &w, NULL, 0, &err), SPOOR_ERR_CANCELLED);
    assert_non_null(strstr(err.message, "epoch 1")); /* in its evaluation on dev: the fourth batch was its last */
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", out);
    spoor_context *ctx = support_context();
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, path, 1u << 24, &data, &size, &err), &err);
    /* cut off; without its place; a tensor under another name; nothing at all */
    for (int kind = 0; kind < 4; kind++) {
        unsigned char *copy = malloc(size);
        memcpy(copy, data, size);
        const char *find = kind == 1 ? "place" : "moment1.", *with = kind == 1 ? "plaza" : "nomemt1.";
        for (size_t i = 0, done = 0; (kind == 1 || kind == 2) && !done && i + 8 < size; i++) {
            if (memcmp(copy + i, find, strlen(find)) == 0) {
                memcpy(copy + i, with, strlen(with));
                done = 1;
            }
        }
        support_ok(io_write_file(ctx, path, copy, kind == 0 ? size / 2 : kind == 3 ? 0 : size, &err), &err);
        free(copy);
        watch again = {0};
        assert_int_equal(train(out, 1, true, &again, NULL, 0, &err), SPOOR_ERR_MODEL);
        assert_int_equal(again.batches, 0);
    }
    ctx_free(ctx, data);
    spoor_context_free(ctx);
}

static void bad_inputs(void **state) {
    (void)state;
    static const struct {
        const char *set, *says;
        spoor_status status;
    } cases[] = {
        {"data.manifests.0.path=none.csv", "none.csv", SPOOR_ERR_IO},
        {"data.manifests.0.root=/nowhere", "40 of 40 audio files", SPOOR_ERR_INPUT},
        {"data.tasks.source.column=sauce", "column sauce", SPOOR_ERR_INPUT},
        {"data.train.split=x", "nothing to train on", SPOOR_ERR_INPUT},
        {"data.tasks.source.min_clips=100", "stands often enough", SPOOR_ERR_INPUT},
        {"frontend.n_mels=0", "n_mels", SPOOR_ERR_USAGE},
        {"network.heads=3", "heads", SPOOR_ERR_USAGE},
        {"sampler.task=x", "no task named x", SPOOR_ERR_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err;
        watch w = {0};
        char name[16];
        snprintf(name, sizeof name, "bad%zu", i);
        assert_int_equal(train(run_folder(name), 1, false, &w, &cases[i].set, 1, &err), cases[i].status);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("%s says: %s", cases[i].set, err.message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_learns), cmocka_unit_test(threads_change_nothing),
                                       cmocka_unit_test(dev_scores_come_again),
                                       cmocka_unit_test(dev_figures_are_true), cmocka_unit_test(training_without_dev),
                                       cmocka_unit_test(failing_memory),
                                       cmocka_unit_test(cancelled_and_resumed), cmocka_unit_test(killed_fifty_times),
                                       cmocka_unit_test(damaged_checkpoints), cmocka_unit_test(bad_inputs)};
    return cmocka_run_group_tests(tests, runs_setup, folder_remove);
}
