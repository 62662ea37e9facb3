/* test_cli_eval.c: `spoor eval` on score files: options, thresholds from another file, and what is refused; `spoor
 * frechet`. */
#include "cli/cli_case.h"
#include "eval/npy.h"

static const char DEV[] =
    "# spoor scores 1 probabilities=1 decisions=0 llr=1\n"
    "id\tsource\tis_bonafide\tbonafide\tis_known\tknown\ttrue/source\tscore/source/a\tscore/source/b\n"
    "1\ta\t0\t-2\t1\t5\ta\t0.9\t0.1\n"
    "2\tb\t0\t-1\t1\t3\tb\t0.2\t0.8\n"
    "3\ta\t0\t-3\t1\t2\ta\t0.3\t0.7\n"
    "4\tx\t0\t1\t0\t1\t\t0.5\t0.5\n"
    "5\t\t1\t2\t\t\t\t\t\n";

static json_t *report_of(const outcome *o) {
    json_error_t where;
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, &where);
    if (j == NULL) {
        fail_msg("no valid JSON: %s in: %.300s; stderr: %s", where.text, o->out, o->err);
    }
    return j;
}

static json_t *all_of(json_t *report, const char *part) {
    return json_array_get(json_object_get(json_object_get(report, part), "groups"), 0);
}

static double value_of(json_t *group, const char *figure) {
    json_t *v = json_object_get(json_object_get(group, figure), "value");
    if (!json_is_number(v)) {
        fail_msg("no value of %s", figure);
    }
    return json_number_value(v);
}

static void own_files_and_thresholds(void **state) {
    (void)state;
    write_string("dev.tsv", DEV);
    outcome o = spoor("eval", "--scores", "dev.tsv", "--json", "--replicates", "20", "--by", "class", "--dcf",
                      "0.5,1,2", "--threshold-from", "dev.tsv", "--threshold", "accept:0.6");
    exits(&o, 0);
    json_t *report = report_of(&o), *known = all_of(report, "known"), *bonafide = all_of(report, "bonafide");
    support_close(value_of(known, "id_accuracy"), 2.0 / 3, 1e-9, "ID accuracy");
    support_close(value_of(known, "accuracy"), 3.0 / 4, 1e-9,
                  "OOD accuracy"); /* from 3 on: two of three, and no other */
    support_close(value_of(bonafide, "act_dcf"), 0.5, 1e-9,
                  "actDCF"); /* from ln 2 on: one other of four, 2 * .25 / 2 of .5 */
    assert_string_equal(text_of(json_object_get(json_object_get(report, "known"), "threshold"), "from"),
                        "accept:0.6 of dev.tsv");
    json_decref(report);
    outcome_free(&o);
    o = spoor("eval", "--scores", "dev.tsv", "--threshold", "-0.5", "--replicates", "0", "--html", "report.html");
    exits(&o, 0);
    assert_int_equal(access(in_folder("report.html"), F_OK), 0);
    assert_non_null(strstr(o.out, "accepted from the score -0.5 on (given)"));
    assert_non_null(strstr(o.out, "profile asvspoof5: prior of a target 0.95"));
    outcome_free(&o);
}

static void merged_labels(void **state) {
    (void)state;
    write_string("dev.tsv", DEV);
    write_string("merge.csv", "x,b\n");
    outcome o =
        spoor("eval", "--scores", "dev.tsv", "--replicates", "0", "--merge", "a=all", "--merge-file", "merge.csv");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "merged:  a"));
    assert_non_null(strstr(o.out, " as all\n"));
    assert_non_null(strstr(o.out, "labels of the recordings (2): all, b"));
    outcome_free(&o);
    o = spoor("eval", "--scores", "dev.tsv", "--merge", "a");
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("eval", "--scores", "dev.tsv", "--merge", "q=a");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "is called \"q\""));
    outcome_free(&o);
}

static void refused(const char *a, const char *b, const char *c, const char *d, int status, const char *says) {
    outcome o = spoor("eval", "--scores", "dev.tsv", a, b, c, d);
    exits(&o, status);
    if (strstr(o.err, says) == NULL) {
        fail_msg("stderr does not say \"%s\": %s", says, o.err);
    }
    outcome_free(&o);
}

static void what_is_refused(void **state) {
    (void)state;
    write_string("dev.tsv", DEV);
    refused("--replicates", "1.5", NULL, NULL, 1, "1.5 is not a whole number from 0 to 1e+06");
    refused("--seed", "-1", NULL, NULL, 1, "-1 is not a whole number");
    refused("--folds", "2.5", NULL, NULL, 1, "2.5 is not a whole number from 2 to 1000");
    refused("--by", "word", NULL, NULL, 1, "file, page or class");
    refused("--dcf", "1,1,1", NULL, NULL, 1, "PRIOR,C_MISS,C_FA");
    refused("--dcf", "0.5,1", NULL, NULL, 1, "PRIOR,C_MISS,C_FA");
    refused("--threshold", "eer", NULL, NULL, 1, "needs --threshold-from");
    refused("--threshold", "accept:2", NULL, NULL, 1, "is no number");
    refused("--threshold", "1", "--threshold-from", "dev.tsv", 1, "nothing to fix");
    refused("--threshold-from", "none.tsv", NULL, NULL, 5, "none.tsv");
    refused("--html", "no/such/folder/r.html", NULL, NULL, 5, "no/such/folder");
    refused("--open-task", "vocoder", NULL, NULL, 1, "no task called");
}

/* Scores and labels apart, high scores for the target or low ones. */
static void foreign_files(void **state) {
    (void)state;
    write_string("scores.txt", "u1 -3\nu2 -1\nu3 0.5\nu4 -2\n");
    write_string("key.txt",
                 "S u1 - - bonafide\nS u2 - A07 spoof\nS u3 - A08 spoof\nS u4 - - bonafide\nS u5 - A07 spoof\n");
#define KEYED                                                                                                          \
    "eval", "--scores", "scores.txt", "--score-column", "2", "--key", "key.txt", "--key-id", "2", "--key-label", "5",  \
        "--key-source", "4", "--target", "bonafide", "--replicates", "0", "--json"
    outcome o = spoor(KEYED);
    exits(&o, 1);
    assert_non_null(strstr(o.err, "the AUROC is only 0.000; say which they are, --polarity lower"));
    outcome_free(&o);
    o = spoor(KEYED, "--polarity", "lower", "--llr");
    exits(&o, 0);
    json_t *report = report_of(&o), *all = all_of(report, "bonafide");
    support_close(value_of(all, "auroc"), 1, 0, "AUROC");
    assert_true(value_of(all, "cllr") < 1);
    assert_int_equal(json_integer_value(json_object_get(report, "not_evaluated")), 1);
    assert_int_equal(json_array_size(json_object_get(report, "warnings")), 0);
    json_decref(report);
    outcome_free(&o);
    o = spoor(KEYED, "--polarity", "higher"); /* stated: believed, with a warning */
    exits(&o, 0);
    report = report_of(&o);
    assert_int_equal(json_array_size(json_object_get(report, "warnings")), 1);
    json_decref(report);
    outcome_free(&o);
    o = spoor(KEYED, "--polarity", "sideways");
    exits(&o, 1);
    outcome_free(&o);
    write_string("probs.txt", "u1 REAL .7 .2 .1\nu2 Svq .25 .25 .5\nu3 Mvq .5 .25 .25\nu4 x .4 .3 .3\n");
    o = spoor("eval", "--scores", "probs.txt", "--id-column", "1", "--label-column", "2", "--probability-columns",
              "3-5", "--classes", "REAL,Mvq,Svq", "--known", "--replicates", "0", "--json");
    exits(&o, 0);
    report = report_of(&o);
    json_t *task = json_array_get(json_object_get(report, "tasks"), 0);
    assert_string_equal(text_of(task, "scores"), "probabilities");
    support_close(value_of(json_array_get(json_object_get(task, "groups"), 0), "accuracy"), 2.0 / 3, 1e-9, "accuracy");
    support_close(value_of(all_of(report, "known"), "oscr"), 2.0 / 3, 1e-9, "OSCR");
    json_decref(report);
    outcome_free(&o);
}

static void write_npy(const char *name, const float *x, size_t rows, size_t cols) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    support_ok(npy_write_f32(ctx, in_folder(name), x, rows, cols, &err), &err);
    spoor_context_free(ctx);
}

static void distances_of_matrices(void **state) {
    (void)state;
    const float narrow[] = {-2, 0, 2}, wide[] = {1, 5, 9}, two[] = {0, 1, 1, 0};
    write_npy("narrow.npy", narrow, 3, 1);
    write_npy("wide.npy", wide, 3, 1);
    write_npy("two.npy", two, 2, 2);
    outcome o = spoor("frechet", "narrow.npy", "wide.npy", "--json");
    exits(&o, 0);
    json_t *j = report_of(&o), *pair = json_array_get(json_object_get(j, "pairs"), 0);
    support_close(json_number_value(json_object_get(pair, "distance")), 29, 1e-9, "distance");
    support_close(json_number_value(json_object_get(pair, "of_means")), 25, 1e-9, "of means");
    assert_string_equal(text_of(pair, "name"), "wide.npy");
    assert_int_equal(json_array_size(json_object_get(j, "warnings")), 0);
    json_decref(j);
    outcome_free(&o);
    o = spoor("frechet", "two.npy", "two.npy");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "warning: two.npy: 2 recordings do not fill 2 dimensions"));
    assert_non_null(strstr(o.out, "compare sets of like size"));
    outcome_free(&o);
    o = spoor("frechet", "two.npy", "two.npy", "--shrinkage", "0.1");
    exits(&o, 0);
    assert_null(strstr(o.out, "warning"));
    outcome_free(&o);
    o = spoor("frechet", "two.npy", "wide.npy");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "two.npy has 2 columns, wide.npy 1"));
    outcome_free(&o);
    o = spoor("frechet", "two.npy");
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("frechet", "two.npy", "two.npy", "--shrinkage", "2");
    exits(&o, 1);
    outcome_free(&o);
}

static void distances_of_a_model(void **state) {
    (void)state;
    char csv[4096] = "path,split,setting,source,bonafide\n";
    for (int i = 0; i < 12; i++) {
        char name[32], line[96];
        snprintf(name, sizeof name, "v%d.wav", i);
        write_wav(name, 0.6, (uint64_t)i + 1);
        snprintf(line, sizeof line, "%s,%s,%s,%s,%s\n", name, i < 5 ? "train" : "dev",
                 i < 5   ? ""
                 : i < 8 ? "same"
                         : "cross",
                 i == 10   ? "never-heard"
                 : i == 11 ? "bonafide"
                           : "alpha",
                 i == 11 ? "bonafide" : "spoof");
        strcat(csv, line);
    }
    write_string("rows.csv", csv);
    outcome o = spoor("frechet", MODEL, "--manifest", "rows.csv", "--json", "--shrinkage", "ledoit-wolf");
    exits(&o, 0);
    json_t *j = report_of(&o), *pairs = json_object_get(j, "pairs"), *p;
    static const char *const names[] = {"dev known", "dev known, same", "dev known, cross", "dev unknown", "dev human"};
    static const int counts[] = {5, 3, 2, 1, 1};
    assert_string_equal(text_of(json_object_get(j, "reference"), "name"), "train known");
    assert_int_equal(json_array_size(pairs), 5);
    for (size_t i = 0; i < 5; i++) {
        p = json_array_get(pairs, i);
        assert_string_equal(text_of(p, "name"), names[i]);
        assert_int_equal(json_integer_value(json_object_get(p, "n")), counts[i]);
        assert_true(json_is_number(json_object_get(p, "distance")) == (counts[i] > 1));
    }
    json_decref(j);
    outcome_free(&o);
    o = spoor("frechet", MODEL, "--manifest", "rows.csv", "--reference", "eval");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "split eval has 0 recordings of known sources"));
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_files_and_thresholds),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(foreign_files),
        cmocka_unit_test(merged_labels),
        cmocka_unit_test(distances_of_matrices),
        cmocka_unit_test(distances_of_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
