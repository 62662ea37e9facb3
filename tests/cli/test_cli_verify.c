/* test_cli_verify.c: `spoor verify`: two recordings, lists of pairs, the calibration of a model, and traces with a model that is
 * calibrated. */
#include "cli/cli_case.h"
#include "model/combine.h"
#include "model/compare.h"

#define CALIBRATED "cal.safetensors"
#define GALLERY "cal.gallery.safetensors"

static json_t *parsed(const outcome *o) {
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL) {
        fail_msg("no JSON: %.300s", o->out);
    }
    return j;
}

static double number_of(const json_t *j, const char *key) {
    const json_t *v = json_object_get(j, key);
    if (!json_is_number(v)) {
        fail_msg("%s is no number", key);
    }
    return json_number_value(v);
}

static void said(const outcome *o, int status, const char *words) {
    exits(o, status);
    if (strstr(o->out, words) == NULL && strstr(o->err, words) == NULL) {
        fail_msg("\"%s\" is neither in \"%s\" nor in \"%s\"", words, o->out, o->err);
    }
}

/* alpha and beta are classes of the model; delta and eps are not. Six recordings of each. */
static void make_corpus(void) {
    static const char *const sources[] = {"alpha", "beta", "delta", "eps"};
    char csv[4000] = "path,split,label,source,page\n";
    for (size_t s = 0; s < 4; s++) {
        for (size_t i = 0; i < 6; i++) {
            char name[32], row[100];
            snprintf(name, sizeof name, "%s%zu.wav", sources[s], i);
            write_wav(name, 1.0 + 0.5 * (double)s, 10 * s + i + 1);
            snprintf(row, sizeof row, "%s,%s,spoof,%s,p%zu\n", name, s < 2 && i < 3 ? "train" : "dev", sources[s], i % 2);
            strcat(csv, row);
        }
    }
    write_string("corpus.csv", csv);
}

static void calibrate(void) {
    if (access(in_folder(CALIBRATED), F_OK) == 0) {
        return;
    }
    make_corpus();
    outcome o = spoor("verify", "--calibrate", "-m", MODEL, "--manifest", "corpus.csv", "-o", CALIBRATED);
    said(&o, 0, "pairs: "); /* across pages: (3 x 3 of 6) twice, 2 x 1 of the 3 of alpha and beta */
    said(&o, 0, "pairs: 22 of one source, ");
    said(&o, 0, "enrolled by 5 files: 10 scores of the source");
    said(&o, 0, "(whitened)");
    outcome_free(&o);
}

static void two_recordings(void **state) {
    (void)state;
    calibrate();
    outcome o = spoor("verify", "-m", MODEL, "delta0.wav", "delta1.wav");
    said(&o, 0, "not calibrated: this model gives no log-likelihood ratio");
    said(&o, 0, "cosine 0.9");
    outcome_free(&o);
    o = spoor("verify", "-m", MODEL, "--json", "delta0.wav", "delta1.wav");
    exits(&o, 0);
    json_t *j = parsed(&o);
    assert_true(json_is_null(json_object_get(j, "llr")) && json_is_null(json_object_get(j, "p")));
    assert_true(json_is_false(json_object_get(j, "calibrated")) && json_is_false(json_object_get(j, "whitened")));
    json_decref(j);
    outcome_free(&o);
    o = spoor("verify", "-m", CALIBRATED, "delta0.wav", "delta1.wav");
    said(&o, 0, "same source: log-likelihood ratio ");
    said(&o, 0, " at a prior of 0.5\n");
    said(&o, 0, "(whitened)");
    outcome_free(&o);
    double cosine[2];
    for (size_t turn = 0; turn < 2; turn++) { /* either way round */
        o = spoor("verify", "-m", CALIBRATED, "--json", turn ? "eps0.wav" : "delta0.wav", turn ? "delta0.wav" : "eps0.wav");
        exits(&o, 0);
        j = parsed(&o);
        cosine[turn] = number_of(j, "cosine");
        support_close(number_of(j, "p"), 1 / (1 + exp(-number_of(j, "llr"))), 1e-6, "p at prior 0.5");
        assert_true(json_is_true(json_object_get(j, "calibrated")) && json_is_true(json_object_get(j, "whitened")));
        json_decref(j);
        outcome_free(&o);
    }
    assert_true(cosine[0] == cosine[1]);
    o = spoor("verify", "-m", CALIBRATED, "--json", "eps0.wav", "eps0.wav");
    j = parsed(&o);
    support_close(number_of(j, "cosine"), 1, 1e-9, "a recording and itself");
    json_decref(j);
    outcome_free(&o);
}

static void lists_of_pairs(void **state) {
    (void)state;
    calibrate();
    write_string("pairs.csv", "path_A,model_name_A,path_B,model_name_B,same_model\n"
                              "delta0.wav,delta,delta1.wav,delta,true\n"
                              "eps0.wav,eps,eps1.wav,eps,true\n"
                              "delta0.wav,delta,eps1.wav,eps,false\n"
                              "gone.wav,delta,eps1.wav,eps,false\n");
    outcome o = spoor("verify", "-m", CALIBRATED, "--pairs", "pairs.csv", "-o", "scores.tsv", "--json");
    said(&o, 2, "1 of 4 pairs could not be compared");
    json_t *j = parsed(&o);
    assert_int_equal(number_of(j, "same"), 2);
    assert_int_equal(number_of(j, "different"), 1);
    assert_int_equal(number_of(j, "recordings"), 5);
    assert_int_equal(number_of(j, "not_evaluated"), 1);
    (void)number_of(j, "eer");
    (void)number_of(j, "min_dcf");
    (void)number_of(j, "cllr");
    json_decref(j);
    outcome_free(&o);
    FILE *f = fopen(in_folder("scores.tsv"), "r");
    char line[5][300], a[100], b[100];
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(fgets(line[i], sizeof line[i], f));
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    assert_string_equal(line[0], "path_a\tpath_b\tsame\tcosine\tllr\n");
    assert_string_equal(line[4], "gone.wav\teps1.wav\t0\t\t\n");
    int same;
    double cosine, llr;
    assert_int_equal(sscanf(line[1], "%99s %99s %d %lf %lf", a, b, &same, &cosine, &llr), 5);
    o = spoor("verify", "-m", CALIBRATED, "--json", "delta0.wav", "delta1.wav");
    j = parsed(&o);
    support_close(cosine, number_of(j, "cosine"), 1e-6, "as of the two recordings");
    support_close(llr, number_of(j, "llr"), 1e-6, "as of the two recordings");
    assert_int_equal(same, 1);
    json_decref(j);
    outcome_free(&o);
    o = spoor("verify", "-m", MODEL, "--pairs", "pairs.csv");
    said(&o, 2, "scores are cosines, not log-likelihood ratios");
    said(&o, 2, "2 pairs of one source and 1 of two");
    outcome_free(&o);
    o = spoor("verify", "-m", MODEL, "--pairs", "corpus.csv", "--format", "csv", "--split", "train");
    said(&o, 1, "has no pairs");
    outcome_free(&o);
}

static void a_calibrated_model_scores_enrolled_sources(void **state) {
    (void)state;
    calibrate();
    (void)unlink(in_folder(GALLERY));
    outcome o = spoor("enroll", "-m", CALIBRATED, "delta", "delta0.wav", "delta1.wav", "delta2.wav");
    said(&o, 0, "whitened");
    outcome_free(&o);
    o = spoor("enroll", "-m", CALIBRATED, "eps", "eps0.wav");
    exits(&o, 0);
    outcome_free(&o);
    spoor_context *ctx = support_context();
    spoor_model *m = NULL;
    spoor_error err = {0};
    support_ok(spoor_model_open(ctx, in_folder(CALIBRATED), &m, &err), &err);
    o = spoor("trace", "-m", CALIBRATED, "--json", "delta0.wav");
    exits(&o, 0);
    json_t *j = answers(&o), *e = json_object_get(j, "enrolled"), *ranked = json_object_get(e, "ranked");
    assert_true(number_of(e, "known") <= 1 && number_of(e, "known") >= -1);
    for (size_t i = 0; i < 2; i++) {
        json_t *one = json_array_get(ranked, i);
        size_t files = strcmp(text_of(one, "name"), "delta") == 0 ? 3 : 1;
        support_close(number_of(one, "threshold"), verify_threshold(&m->verify, true, files, 2), 1e-6, "threshold");
        support_close(number_of(one, "llr"), verify_enrolled_llr(&m->verify, files, number_of(one, "score")), 1e-6, "llr");
    }
    assert_true(number_of(json_array_get(ranked, 0), "llr") >= number_of(json_array_get(ranked, 1), "llr"));
    json_decref(j);
    outcome_free(&o);
    spoor_model_free(m);
    spoor_context_free(ctx);
    o = spoor("inspect", CALIBRATED, "--tensors");
    said(&o, 0, "verify.factor");
    outcome_free(&o);
}

/* The calibrated model again with other metadata; what opening it says. */
static void reopened(spoor_context *ctx, const json_t *meta, const char *words) {
    spoor_error err = {0};
    spoor_model *m = NULL;
    support_ok(model_rewrite(ctx, in_folder(CALIBRATED), in_folder("bad.safetensors"), meta, NULL, 0, &err), &err);
    assert_int_equal(spoor_model_open(ctx, in_folder("bad.safetensors"), &m, &err), SPOOR_ERR_MODEL);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
}

static void wrong_calibrations_are_refused(void **state) {
    (void)state;
    calibrate();
    spoor_context *ctx = support_context();
    spoor_model *m = NULL;
    spoor_error err = {0};
    support_ok(spoor_model_open(ctx, in_folder(CALIBRATED), &m, &err), &err);
    assert_true(m->verify.calibrated && m->verify.space == VERIFY_OWN && model_space(m) == m->verify_stats);
    assert_true(model_is_verify_tensor(m, "verify.origin") && !model_is_verify_tensor(m, "openset.origin"));
    json_t *meta = json_deep_copy(m->meta), *v = json_object_get(meta, "verify"), *s = json_object_get(v, "statistics");
    (void)json_object_set_new(s, "means", json_integer(3)); /* there are two */
    reopened(ctx, meta, "verify.means");
    (void)json_object_set_new(s, "means", json_integer(1 << 30));
    reopened(ctx, meta, "statistics.means");
    (void)json_object_set_new(s, "means", json_integer(2));
    (void)json_object_set_new(s, "dim", json_integer(9));
    reopened(ctx, meta, "embeddings of 9 numbers");
    (void)json_object_set_new(v, "space", json_string("cosine"));
    reopened(ctx, meta, "no tensor named verify.");
    (void)json_object_set_new(v, "space", json_string("other"));
    reopened(ctx, meta, "\"space\"");
    (void)json_object_del(meta, "verify");
    reopened(ctx, meta, "no tensor named verify.");
    json_decref(meta);
    spoor_model_free(m);
    for (size_t at = 1;; at += at < 40 ? 1 : 11) { /* opening it without memory */
        support_failing f = {.fail_at = at};
        spoor_context *c = support_failing_context(&f);
        spoor_status status = spoor_model_open(c, in_folder(CALIBRATED), &m, &err);
        spoor_model_free(m);
        assert_int_equal(f.live, 0);
        spoor_context_free(c);
        if (status == SPOOR_OK) {
            break;
        }
        assert_int_equal(status, SPOOR_ERR_LIMIT);
    }
    spoor_context_free(ctx);
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    calibrate();
    write_wav("short.wav", 0.2, 1);
    static const struct {
        const char *args[8];
        int status;
        const char *words;
    } cases[] = {
        {{"delta0.wav"}, 1, "name two recordings"},
        {{"delta0.wav", "a", "b"}, 1, "name two recordings"},
        {{"--calibrate", "--manifest", "corpus.csv"}, 1, "--out"},
        {{"--calibrate", "delta0.wav", "delta1.wav"}, 1, "name two recordings, or give"},
        {{"--prior", "1", "delta0.wav", "delta1.wav"}, 1, "not a number between 0 and 1"},
        {{"delta0.wav", "gone.wav"}, 2, "gone.wav"},
        {{"delta0.wav", "short.wav"}, 2, "short.wav: not assessable"},
        {{"--calibrate", "--manifest", "corpus.csv", "-o", "x", "--where", "source=alpha"}, 2, "of different sources"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *args[12] = {"verify", "-m", MODEL};
        memcpy(args + 3, cases[i].args, sizeof cases[i].args);
        outcome o = command_run(&(command){.folder = folder, .args = args});
        said(&o, cases[i].status, cases[i].words);
        assert_string_equal(o.out, "");
        outcome_free(&o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_recordings),
        cmocka_unit_test(lists_of_pairs),
        cmocka_unit_test(a_calibrated_model_scores_enrolled_sources),
        cmocka_unit_test(wrong_calibrations_are_refused),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
