/* test_known.c: the known score at the end of a training: statistics of train clips in the model file, the choice on dev, the
 * gate, thresholds; a model that was opened again says the same to the bit. */
#include "base/io.h"
#include "eval/metrics.h"
#include "train/known.h"
#include "train/runs.h"
#include <math.h>
#include <string.h>


static int set_up(void **state) {
    runs_setup(state);
    spoor_error err;
    unsigned char *text;
    size_t size;
    spoor_context *ctx = support_context();
    support_ok(io_read_file(ctx, folder_path("m.csv"), 1 << 16, &text, &size, &err), &err);
    char *more = ctx_printf(ctx, "%sc2.wav,dev,spoof,stranger,page9\nc4.wav,dev,spoof,stranger,page8\nc5.wav,dev,spoof,odd,page7\n"
                            "c9.wav,dev,spoof,odd,page7\n", (char *)text);
    folder_write("m.csv", more);
    ctx_free(ctx, text);
    ctx_free(ctx, more);
    spoor_context_free(ctx);
    return 0;
}

/* Known AUROC of dev by the model as it was opened again. */
static double auroc_again(const char *out) {
    spoor_error err;
    dev_model d;
    open_dev(&d, out);
    double *known = calloc(d.n, sizeof *known), *score = calloc(d.n, sizeof *score);
    unsigned char *target = calloc(d.n, 1);
    size_t n = 0;
    support_ok(score_all(d.ctx, d.model, 2, d.n, open_row, d.list, 0, d.logits, d.embedding, d.errors, &err), &err);
    support_ok(score_known_crossed(d.model, d.labels, d.logits, d.embedding, 5, known, &err), &err);
    for (size_t i = 0; i < d.n; i++) {
        if (d.labels->clip[i].is_known >= 0) {
            score[n] = known[i];
            target[n++] = d.labels->clip[i].is_known == 1;
        }
    }
    detection *c;
    support_ok(detection_new(d.ctx, score, target, n, &c, &err), &err);
    double auroc = detection_auroc(c, NULL).value;
    detection_free(c);
    free(known);
    free(score);
    free(target);
    close_dev(&d);
    return auroc;
}

static json_t *report_of(const char *out) {
    char path[600];
    snprintf(path, sizeof path, "%s/dev-report.json", out);
    json_t *report = json_load_file(path, 0, NULL);
    assert_non_null(report);
    return report;
}

static double auroc_in(const json_t *rows, const char *name, bool *chosen) {
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        if (strcmp(json_string_value(json_object_get(row, "scorer")), name) == 0) {
            *chosen = json_is_true(json_object_get(row, "chosen"));
            return json_number_value(json_object_get(json_object_get(row, "auroc"), "value"));
        }
    }
    fail_msg("no row for %s", name);
    return NAN;
}

/* Every scorer by name: what the report says of it is what the file says of dev; the file holds what it needs and opens. */
static void every_scorer_comes_again(void **state) {
    (void)state;
    spoor_error err;
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        char choose[64], a[65], b[65];
        snprintf(choose, sizeof choose, "openset.choose=%s", openset_kind_name((openset_kind)k));
        const char *const set[] = {"schedule.epochs=2", choose, "openset.k=2", "openset.bank_per_class=3", "openset.threshold=eer"};
        watch w = {0};
        char *out = run_folder(openset_kind_name((openset_kind)k)), *other = run_folder("eight");
        support_ok(train(out, 1, false, &w, set, 5, &err), &err);
        same_dev_scores(out, true);
        json_t *report = report_of(out);
        bool chosen;
        double stated = auroc_in(json_object_get(json_object_get(report, "scorers"), "scorers"),
                                 openset_kind_name((openset_kind)k), &chosen);
        assert_true(chosen);
        support_close(auroc_again(out), stated, 1e-9, openset_kind_name((openset_kind)k));
        json_decref(report);
        dev_model d;
        open_dev(&d, out);
        assert_int_equal(d.model->openset.kind, k);
        assert_true(d.model->openset.by_eer && isfinite(d.model->openset.threshold));
        assert_int_equal(d.model->openset_stats != NULL, (openset_needs(&d.model->openset) & OPENSET_OF_TRAIN) != 0);
        close_dev(&d);
        if (k == OPENSET_VIM || k == OPENSET_GATE) { /* the same bits on any number of threads */
            support_ok(train(other, 8, false, &w, set, 5, &err), &err);
            hash(out, "model.safetensors", a);
            hash(other, "model.safetensors", b);
            assert_string_equal(a, b);
            support_remove(other);
        }
    }
}

static void dev_chooses_the_best(void **state) {
    (void)state;
    spoor_error err;
    const char *const set[] = {"schedule.epochs=2", "dev.metrics.1.kind=known_auroc", "dev.metrics.1.task=source"};
    watch w = {0};
    char *out = run_folder("best");
    support_ok(train(out, 2, false, &w, set, 3, &err), &err);
    json_t *report = report_of(out);
    const json_t *table = json_object_get(report, "scorers");
    assert_int_equal(json_array_size(json_object_get(table, "scorers")), OPENSET_KINDS);
    assert_int_equal(json_integer_value(json_object_get(table, "unknown")), 4);
    double best = -1, own = -2;
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        bool chosen;
        double v = auroc_in(json_object_get(table, "scorers"), openset_kind_name((openset_kind)k), &chosen);
        own = chosen ? v : own;
        best = v > best ? v : best;
    }
    assert_true(own == best);
    dev_model d;
    open_dev(&d, out);
    const json_t *provenance = json_object_get(d.model->meta, "provenance");
    support_close(json_number_value(json_object_get(json_object_get(provenance, "dev"), "auroc")), own, 1e-9, "known AUROC");
    assert_true(json_is_object(json_object_get(provenance, "scorers")));
    char *text = known_table_text(d.ctx, table);
    assert_non_null(strstr(text, openset_kind_name(d.model->openset.kind)));
    assert_non_null(strstr(text, "  chosen\n"));
    ctx_free(d.ctx, text);
    close_dev(&d);
    json_decref(report);
}

static void narrow_choices_and_sets_that_cannot_judge(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const plain[] = {"schedule.epochs=1", "openset.scorers=energy"};
    const char *const no_dev[] = {"schedule.epochs=1", "data.dev.split=nothing", "openset.choose=knn_cosine"};
    const char *const gate[] = {"schedule.epochs=1", "data.dev.split=nothing", "openset.choose=gate"};
    dev_model d;
    char *out = run_folder("plain");
    support_ok(train(out, 1, false, &w, plain, 2, &err), &err);
    open_dev(&d, out);
    assert_true(d.model->openset.kind == OPENSET_ENERGY && d.model->openset_stats == NULL);
    assert_true(d.model->openset.acceptance == 0.95 && !d.model->openset.by_eer);
    close_dev(&d);
    out = run_folder("nodev");
    support_ok(train(out, 1, false, &w, no_dev, 3, &err), &err);
    open_dev(&d, out);
    assert_true(d.model->openset.kind == OPENSET_KNN_COSINE && d.model->openset_stats->bank > 0);
    assert_true(isinf(d.model->openset.threshold));
    close_dev(&d);
    assert_int_equal(train(run_folder("nogate"), 1, false, &w, gate, 3, &err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(err.message, "known and unknown sources of dev"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scorer_comes_again),
        cmocka_unit_test(dev_chooses_the_best),
        cmocka_unit_test(narrow_choices_and_sets_that_cannot_judge),
    };
    return cmocka_run_group_tests(tests, set_up, folder_remove);
}
