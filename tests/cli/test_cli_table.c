/* test_cli_table.c: `spoor table`: score files in the forms they are published in, a model, guesses, against figures worked out by
 * hand on small lists of CodecFake+. */
#include "cli/cli_case.h"

/* Two speakers' re-syntheses (5 columns), and two systems whose pages have equal ids. */
static const char CORS[] = "p227 p227_001 - - bonafide\np227 p227_001_snac_24khz - - spoof\n"
                           "s5 s5_002_bigcodec - - spoofs\ns5 s5_002 - - bonafide\n";
static const char COSG[] = "VALLE x_gt - bonafide\nVALLE x_ours - - spoof\nNS3 x_gt - bonafide\nNS3 x_ours - - spoof\n";

/* vq: REAL MVQ SVQ SQ. Of CoRS all right but the bigcodec (SVQ), which is called MVQ. Of CoSG: VALLE's bona fide called MVQ. */
static const char VQ_CORS[] = "p227_001 0.9 0.1 0 0\np227_001_snac_24khz 0.25 0.5 0.25 0\n"
                              "s5_002_bigcodec 0.1 0.6 0.3 0\ns5_002 0.64 0.2 0.1 0.06\n";
static const char VQ_COSG[] = "VALLE/x_gt 0.16 0.8 0.04 0\nVALLE/x_ours 0.2 0.8 0 0\nNS3/x_gt 0.7 0.1 0.1 0.1\n./NS3/x_ours 0 1 0 0\n";
static const char BIN_CORS[] = "p227_001 2\np227_001_snac_24khz -1\ns5_002_bigcodec 1\ns5_002 0\n";

#define SETS "--format", "codecfake", "--set", "CoRS=cors.txt", "--set", "CoSG=cosg.txt"

static void write_lists(void) {
    write_string("cors.txt", CORS);
    write_string("cosg.txt", COSG);
    write_string("vq_cors.txt", VQ_CORS);
    write_string("vq_cosg.txt", VQ_COSG);
    write_string("bin_cors.txt", BIN_CORS);
}

static json_t *json_of(const outcome *o) {
    json_error_t where;
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, &where);
    if (j == NULL) {
        fail_msg("no valid JSON: %s in: %.300s; stderr: %s", where.text, o->out, o->err);
    }
    return j;
}

static json_t *report_at(json_t *all, size_t set) {
    return json_object_get(json_array_get(json_object_get(all, "sets"), set), "report");
}

static json_t *first_group(json_t *part) { return json_array_get(json_object_get(part, "groups"), 0); }

static double value_of(json_t *group, const char *figure) {
    json_t *v = json_object_get(json_object_get(group, figure), "value");
    if (!json_is_number(v)) {
        fail_msg("no value of %s", figure);
    }
    return json_number_value(v);
}

static void score_files_by_hand(void **state) {
    (void)state;
    write_lists();
    outcome o = spoor("table", SETS, "--scores", "bonafide=bin_cors.txt", "--scores", "vq=vq_cors.txt", "--scores", "vq=vq_cosg.txt",
                      "--replicates", "20", "--json");
    exits(&o, 0);
    json_t *all = json_of(&o), *cors = report_at(all, 0), *cosg = report_at(all, 1);
    /* bona fide 2 and 0, synthetic -1 and 1: at the threshold 1 both rates are 1/2 */
    support_close(value_of(first_group(json_object_get(cors, "bonafide")), "eer"), 0.5, 1e-12, "EER");
    assert_null(json_object_get(cosg, "bonafide")); /* its file has no CoSG */
    json_t *vq = first_group(json_array_get(json_object_get(cors, "tasks"), 0));
    /* real 2 of 2, precision 1: F1 1. MVQ 1 of 1, precision 1/2: F1 2/3. SVQ: 0. Supports 2, 1, 1 */
    support_close(value_of(vq, "weighted_f1"), (2 * 1 + 2.0 / 3 + 0) / 4, 1e-9, "weighted F1");
    support_close(value_of(vq, "macro_f1"), (1 + 2.0 / 3 + 0) / 3, 1e-9, "macro F1");
    vq = first_group(json_array_get(json_object_get(cosg, "tasks"), 0));
    /* real 1 of 2, precision 1: F1 2/3. MVQ 2 of 2, precision 2/3: F1 4/5 */
    support_close(value_of(vq, "weighted_f1"), (2.0 / 3 + 4.0 / 5) / 2, 1e-9, "weighted F1");
    support_close(value_of(vq, "accuracy"), 0.75, 1e-9, "accuracy");
    json_decref(all);
    outcome_free(&o);
    o = spoor("table", SETS, "--scores", "vq=vq_cors.txt", "--scores", "vq=vq_cosg.txt", "--replicates", "0", "--html", "t.html");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "  n SVQ                    1                     0"));
    assert_non_null(strstr(o.out, "CoSG, page by page"));
    assert_non_null(strstr(o.out, "  weighted F1 %            66.67                 73.33"));
    outcome_free(&o);
    assert_int_equal(access(in_folder("t.html"), F_OK), 0);
}

/* P = (prod p)^(1/K) or 1 - (prod (1 - p))^(1/K); with one task both are p, with two they are not. */
static void bona_fide_scores_of_tasks(void **state) {
    (void)state;
    write_lists();
    write_string("dec.txt", "p227_001 0.1 0.9 0\np227_001_snac_24khz 0.7 0.3 0\ns5_002_bigcodec 0.05 0 0.95\ns5_002 0.5 0.5 0\n");
    static const char *const kinds[] = {"product", "spoof-product", "none"};
    /* product: sqrt(.09), sqrt(.175), sqrt(.005), sqrt(.32): bona fide .3, .566 against .418, .071: EER 1/2.
     * spoof-product: 1 - sqrt(.1 .9) = .7, 1 - sqrt(.75 .3) = .526, 1 - sqrt(.9 .95) = .075, 1 - sqrt(.36 .5) = .576: EER 0 */
    for (size_t i = 0; i < 3; i++) {
        outcome o = spoor("table", "--format", "codecfake", "--set", "CoRS=cors.txt", "--scores", "vq=vq_cors.txt", "--scores",
                          "dec=dec.txt", "--replicates", "0", "--json", "--bonafide-score", kinds[i]);
        exits(&o, 0);
        json_t *all = json_of(&o), *bonafide = json_object_get(report_at(all, 0), "bonafide");
        if (i < 2) {
            support_close(value_of(first_group(bonafide), "eer"), i == 0 ? 0.5 : 0, 1e-12, kinds[i]);
        } else {
            assert_null(bonafide);
        }
        json_decref(all);
        outcome_free(&o);
    }
}

static void refused(int status, const char *says, const char *task_file, const char *more, const char *value) {
    outcome o = more ? spoor("table", SETS, "--scores", task_file, more, value) : spoor("table", SETS, "--scores", task_file);
    exits(&o, status);
    if (strstr(o.err, says) == NULL) {
        fail_msg("stderr does not say \"%s\": %s", says, o.err);
    }
    outcome_free(&o);
}

static void what_is_refused(void **state) {
    (void)state;
    write_lists();
    write_string("short.txt", "p227_001 0.9 0.1\n");
    write_string("word.txt", "p227_001 0.9 0.1 x 0\n");
    write_string("twice.txt", "p227_001 1 0 0 0\np227_001 0 1 0 0\n");
    write_string("other.txt", "nobody 1 0 0 0\n");
    write_string("again.txt", "p227_001 0.9 0 0.1 0\n"); /* the first class has what vq_cors.txt says */
    write_string("logits.txt", "p227_001 5 0 0 -1\n");
    refused(2, "line 1: 3 fields; a line here is an id and 4 numbers", "vq=short.txt", NULL, NULL);
    refused(2, "\"x\" is no finite number", "vq=word.txt", NULL, NULL);
    refused(2, "two scores", "vq=twice.txt", NULL, NULL);
    refused(2, "has other scores in a file before", "vq=vq_cors.txt", "--scores", "vq=again.txt");
    refused(2, "none of its 1 ids is in the lists (nobody", "vq=other.txt", NULL, NULL);
    refused(1, "are no probabilities", "vq=logits.txt", NULL, NULL);
    refused(1, "no list has a column of that name", "vocoder=vq_cors.txt", NULL, NULL);
    refused(1, "it is product, spoof-product or none", "vq=vq_cors.txt", "--bonafide-score", "mean");
    refused(1, "goes with --random", "vq=vq_cors.txt", "--task", "vq");
    refused(1, "two sets are called CoRS", "vq=vq_cors.txt", "--set", "CoRS=cosg.txt");
    refused(1, "no list has the column codec, by which", "vq=vq_cors.txt", "--by", "codec");
    refused(1, "no list has the column codec of --each", "vq=vq_cors.txt", "--each", "codec");
    refused(1, "write NAME=LIST", "vq=vq_cors.txt", "--set", "cosg.txt");
    refused(5, "nofile.txt", "vq=nofile.txt", NULL, NULL);
    refused(1, "1.5 is not a whole number from 1 to 1e+06", "vq=vq_cors.txt", "--repetitions", "1.5");
    refused(1, "0 is not a whole number from 1 to", "vq=vq_cors.txt", "--repetitions", "0");
    refused(1, "0.5 is not a whole number", "vq=vq_cors.txt", "--seed", "0.5");
    refused(1, "10.25 is not a whole number", "vq=vq_cors.txt", "--replicates", "10.25");
    outcome o = spoor("table", SETS);
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("table", "--random", "dice", SETS);
    exits(&o, 1);
    outcome_free(&o);
}

static void guesses(void **state) {
    (void)state;
    write_lists();
    outcome o = spoor("table", "--random", "majority", SETS, "--repetitions", "50", "--seed", "3", "--task", "vq", "--json"),
            again = spoor("table", "--random", "majority", SETS, "--repetitions", "50", "--seed", "3", "--task", "vq", "--json");
    exits(&o, 0);
    assert_string_equal(o.out, again.out);
    json_t *all = json_of(&o), *cors = json_array_get(json_object_get(all, "sets"), 0),
           *vq = json_array_get(json_object_get(cors, "tasks"), 0);
    /* always real: 2 of 4: F1 2/3, of weight 1/2 */
    support_close(json_number_value(json_object_get(json_object_get(vq, "weighted_f1"), "mean")), 1.0 / 3, 1e-9, "weighted F1");
    assert_int_equal(json_integer_value(json_object_get(cors, "targets")), 2);
    json_t *counts = json_pack("[i, i, i, i]", 2, 1, 1, 0);
    assert_true(json_equal(json_object_get(vq, "counts"), counts));
    json_decref(counts);
    json_decref(all);
    outcome_free(&o);
    outcome_free(&again);
    o = spoor("table", "--random", "uniform", SETS, "--repetitions", "2e2");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "guesses (uniform), 200 repetitions"));
    outcome_free(&o);
}

/* The model's answers, bona fide speech among the classes; a recording in two sets is heard once; sets by a column. */
static void a_model_on_sets(void **state) {
    (void)state;
    char one[600] = "path,label,source,bonafide,family,setting\n", two[600];
    static const char *const rows[] = {"bonafide,bonafide,bonafide,human,s1", "spoof,alpha,spoof,vc,s1", "spoof,beta,spoof,tts,s2",
                                       "bonafide,bonafide,bonafide,human,s2"};
    for (size_t i = 0; i < 4; i++) {
        char name[20], row[100];
        snprintf(name, sizeof name, "v%zu.wav", i);
        write_wav(name, 1.5, i);
        snprintf(row, sizeof row, "%s,%s\n", name, rows[i]);
        strcat(one, row);
        if (i == 1) {
            strcpy(two, one);
        }
    }
    write_string("one.csv", one);
    write_string("two.csv", two);
    outcome o = spoor("table", MODEL, "--set", "all of it=one.csv", "--set", "part=two.csv", "--replicates", "10", "--json"),
            by = spoor("table", MODEL, "--manifest", "one.csv", "--by", "setting", "--replicates", "10", "--json");
    exits(&o, 0);
    exits(&by, 0);
    json_t *j = json_of(&o), *k = json_of(&by);
    assert_true(json_equal(report_at(j, 0), report_at(k, 2)));
    assert_true(json_equal(report_at(j, 1), report_at(k, 0))); /* s1 is what two.csv has */
    assert_int_equal(json_integer_value(json_object_get(first_group(json_array_get(json_object_get(report_at(j, 0), "tasks"), 0)), "n")),
                     4); /* bona fide recordings count in the task source */
    json_decref(j);
    json_decref(k);
    outcome_free(&o);
    outcome_free(&by);
    o = spoor("table", MODEL, "--manifest", "one.csv", "--bonafide-score", "spoof-product", "--each", "setting");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "one, one by one"));
    outcome_free(&o);
    o = spoor("table", MODEL, "--manifest", "one.csv", "--bonafide-score", "none");
    exits(&o, 1);
    outcome_free(&o);
    write_string("v2.wav", "nothing");
    o = spoor("table", MODEL, "--manifest", "one.csv", "--replicates", "0");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "1 of 4 recordings"));
    assert_non_null(strstr(o.out, "  not evaluated            1"));
    outcome_free(&o);
}

/* A value of an attribute that the model has no class for is a class that it never answers; what the taxonomy does not know is no label. */
static void values_that_the_model_lacks(void **state) {
    (void)state;
    static const char *const families[] = {"human", "vc", "tts", "voc", "strange"};
    char list[600] = "path,label,source,bonafide,family\n";
    for (size_t i = 0; i < 5; i++) {
        char name[20], row[100];
        snprintf(name, sizeof name, "f%zu.wav", i);
        write_wav(name, 1.5, i);
        snprintf(row, sizeof row, "%s,%s,alpha,%s,%s\n", name, i ? "spoof" : "bonafide", i ? "spoof" : "bonafide", families[i]);
        strcat(list, row);
    }
    write_string("families.csv", list);
    write_string("families.json", "{\"name\": \"families\", \"attributes\": {\"family\": {\"title\": \"Family\", \"values\": "
                                  "[\"real\", \"vc\", \"tts\", {\"name\": \"vocoder\", \"aliases\": [\"voc\"]}]}}, "
                                  "\"sources\": {\"alpha\": {\"kind\": \"system\"}}}");
    outcome without = spoor("table", MODEL, "--manifest", "families.csv", "--replicates", "0", "--json"),
            with = spoor("table", MODEL, "--manifest", "families.csv", "--replicates", "0", "--json", "--taxonomy", "families.json");
    exits(&without, 0);
    exits(&with, 0);
    json_t *j = json_of(&without), *k = json_of(&with);
    for (size_t i = 0; i < 3; i++) {
        json_t *was = json_array_get(json_object_get(report_at(j, 0), "tasks"), i),
               *is = json_array_get(json_object_get(report_at(k, 0), "tasks"), i);
        if (strcmp(json_string_value(json_object_get(is, "task")), "family") != 0) {
            assert_true(json_equal(was, is));
            continue;
        }
        json_t *classes = json_object_get(is, "per_class"), *last = json_array_get(classes, json_array_size(classes) - 1);
        assert_int_equal(json_integer_value(json_object_get(first_group(was), "n")), 3);
        assert_int_equal(json_integer_value(json_object_get(first_group(is), "n")), 4);
        support_close(value_of(first_group(is), "accuracy"), value_of(first_group(was), "accuracy") * 3 / 4, 1e-9, "accuracy");
        assert_string_equal(json_string_value(json_object_get(last, "class")), "vocoder");
        assert_int_equal(json_integer_value(json_object_get(last, "support")), 1);
        assert_int_equal(json_integer_value(json_object_get(last, "predicted")), 0);
    }
    json_decref(j);
    json_decref(k);
    outcome_free(&without);
    outcome_free(&with);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_files_by_hand), cmocka_unit_test(bona_fide_scores_of_tasks), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(guesses),             cmocka_unit_test(a_model_on_sets),
        cmocka_unit_test(values_that_the_model_lacks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
