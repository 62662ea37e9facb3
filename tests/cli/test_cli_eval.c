/* test_cli_eval.c: `spoor eval` on score files: options, thresholds from another file, and what is refused. */
#include "cli/cli_case.h"

static const char DEV[] = "# spoor scores 1 probabilities=1 decisions=0 llr=1\n"
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
    outcome o = spoor("eval", "--scores", "dev.tsv", "--json", "--replicates", "20", "--by", "class", "--dcf", "0.5,1,2",
                      "--threshold-from", "dev.tsv", "--threshold", "accept:0.6");
    exits(&o, 0);
    json_t *report = report_of(&o), *known = all_of(report, "known"), *bonafide = all_of(report, "bonafide");
    support_close(value_of(known, "id_accuracy"), 2.0 / 3, 1e-9, "ID accuracy");
    support_close(value_of(known, "accuracy"), 3.0 / 4, 1e-9, "OOD accuracy"); /* from 3 on: two of three, and no other */
    support_close(value_of(bonafide, "act_dcf"), 0.5, 1e-9, "actDCF"); /* from ln 2 on: one other of four, 2 * .25 / 2 of .5 */
    assert_string_equal(text_of(json_object_get(json_object_get(report, "known"), "threshold"), "from"),
                        "accept:0.6 of dev.tsv");
    json_decref(report);
    outcome_free(&o);
    o = spoor("eval", "--scores", "dev.tsv", "--threshold", "-0.5", "--replicates", "0");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "accepted from the score -0.5 on (given)"));
    assert_non_null(strstr(o.out, "profile asvspoof5: prior of a target 0.95"));
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
    refused("--by", "word", NULL, NULL, 1, "file, page or class");
    refused("--dcf", "1,1,1", NULL, NULL, 1, "PRIOR,C_MISS,C_FA");
    refused("--dcf", "0.5,1", NULL, NULL, 1, "PRIOR,C_MISS,C_FA");
    refused("--threshold", "eer", NULL, NULL, 1, "needs --threshold-from");
    refused("--threshold", "accept:2", NULL, NULL, 1, "is no number");
    refused("--threshold", "1", "--threshold-from", "dev.tsv", 1, "nothing to fix");
    refused("--threshold-from", "none.tsv", NULL, NULL, 5, "none.tsv");
    refused("--open-task", "vocoder", NULL, NULL, 1, "no task called");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_files_and_thresholds),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
