/* test_cli_openset.c: `spoor openset`: the table, the model that it writes, that every other command takes it, and what is
 * refused. */
#include "cli/cli_case.h"

/* Two known sources of the tiny model and two strangers on dev; human speech, which takes no part. */
static void write_corpus(void) {
    static const char *const sources[] = {"alpha", "beta", "alpha", "beta", "alpha", "beta", "stranger", "odd", "bonafide"};
    char csv[4000] = "path,split,source,page\n";
    for (unsigned i = 0; i < 36; i++) {
        char name[32], row[100];
        snprintf(name, sizeof name, "v%u.wav", i);
        write_wav(name, i % 5 == 0 ? 5.5 : 1.2, i + 1);
        const char *source = sources[i % 9];
        bool dev = i % 2 == 1 || i % 9 == 6 || i % 9 == 7;
        snprintf(row, sizeof row, "%s,%s,%s,p%u\n", name, dev ? "dev" : "train", source, i % 6);
        strcat(csv, row);
    }
    write_string("corpus.csv", csv);
}

static json_t *json_of(const outcome *o) {
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL) {
        fail_msg("no valid JSON: %.300s; stderr: %s", o->out, o->err);
    }
    return j;
}

static double value_of(const json_t *row, const char *figure) {
    const json_t *v = json_object_get(json_object_get(row, figure), "value");
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static void a_table_and_a_model(void **state) {
    (void)state;
    write_corpus();
    outcome o = spoor("openset", MODEL, "--manifest", "corpus.csv", "--json", "--replicates", "50", "-o", "new.safetensors",
                      "--threshold", "eer");
    exits(&o, 0);
    json_t *all = json_of(&o), *rows = json_object_get(json_object_get(all, "table"), "scorers"), *row;
    assert_int_equal(json_array_size(rows), 12);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "table"), "unknown")), 8);
    const char *best = "";
    double most = -1;
    size_t i;
    json_array_foreach(rows, i, row) {
        best = value_of(row, "auroc") > most ? text_of(row, "scorer") : best;
        most = value_of(row, "auroc") > most ? value_of(row, "auroc") : most;
        assert_true(value_of(row, "fpr95") >= 0 && value_of(row, "eer") <= 1);
    }
    const json_t *chosen = json_object_get(json_object_get(all, "known"), "openset");
    assert_string_equal(text_of(chosen, "scorer"), best);
    assert_string_equal(text_of(chosen, "rule"), "eer");
    outcome_free(&o);
    /* the commands use it and name it */
    o = spoor("trace", "--json", "--model", "new.safetensors", "v0.wav");
    exits(&o, 0);
    json_t *result = json_of(&o);
    assert_string_equal(text_of(json_object_get(result, "known"), "scorer"), best);
    json_decref(result);
    outcome_free(&o);
    o = spoor("eval", "new.safetensors", "--manifest", "corpus.csv", "--json", "--replicates", "0", "--folds", "5");
    exits(&o, 0);
    json_t *report = json_of(&o);
    const json_t *group = json_array_get(json_object_get(json_object_get(report, "known"), "groups"), 0);
    support_close(value_of(group, "auroc"), most, 1e-9, "AUROC as the table has it");
    json_decref(report);
    outcome_free(&o);
    json_decref(all);
}

/* Every scorer by name; one after the other on the model that the last call wrote, in place. */
static void every_scorer_in_place(void **state) {
    (void)state;
    static const char *const names[] = {"nsd", "knn_cosine", "knn_euclidean", "mahalanobis", "nnguide", "vim", "gate", "entropy"};
    write_corpus();
    outcome o = spoor("openset", MODEL, "--train", "corpus.csv", "--dev", "corpus.csv", "--scorer", "energy", "-o", "in.safetensors",
                      "--replicates", "0", "-j", "8");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "energy: known where the score is at least "));
    assert_non_null(strstr(o.out, "chosen acceptance"));
    outcome_free(&o);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        o = spoor("openset", "in.safetensors", "--manifest", "corpus.csv", "--scorer", names[i], "-o", "in.safetensors",
                  "--replicates", "0", "-k", "3", "--bank", "4", "--threshold", "0.8");
        exits(&o, 0);
        char line[100];
        snprintf(line, sizeof line, "%s: known where the score is at least ", names[i]);
        assert_non_null(strstr(o.out, line));
        outcome_free(&o);
        o = spoor("trace", "--model", "in.safetensors", "v1.wav");
        exits(&o, 0);
        outcome_free(&o);
    }
    /* back to a scorer of the logits alone: no statistics are left; the network has the same bytes as ever */
    spoor_context *ctx = support_context();
    spoor_error err;
    spoor_model *old, *new;
    support_ok(spoor_model_open(ctx, in_folder(MODEL), &old, &err), &err);
    support_ok(spoor_model_open(ctx, in_folder("in.safetensors"), &new, &err), &err);
    assert_null(new->openset_stats);
    params *a = net_params(old->net), *b = net_params(new->net);
    for (size_t i = 0; i < params_count(a); i++) {
        const tensor *x = &params_at(a, i)->value, *y = &params_at(b, i)->value;
        assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof *x->data);
    }
    spoor_model_free(old);
    spoor_model_free(new);
    spoor_context_free(ctx);
}

static void refused(int status, const char *says, const char *a, const char *b, const char *c, const char *d) {
    outcome o = spoor("openset", a, b, c, d, "--replicates", "0");
    exits(&o, status);
    if (strstr(o.err, says) == NULL) {
        fail_msg("stderr does not say \"%s\": %s", says, o.err);
    }
    outcome_free(&o);
}

static void what_is_refused(void **state) {
    (void)state;
    write_corpus();
    write_string("human.csv", "path,split,source\nv8.wav,train,bonafide\nv8.wav,dev,bonafide\n");
    write_string("gone.csv", "path,split,source\nv0.wav,train,alpha\nv1.wav,dev,beta\nnone.wav,dev,odd\nv2.wav,dev,odd\n");
    refused(1, "give --manifest", MODEL, "--json", "--json", "--json");
    refused(1, "two splits", MODEL, "--manifest", "corpus.csv", "--split=dev");
    refused(1, "no open-set scorer called \"best\"", MODEL, "--manifest", "corpus.csv", "--scorer=best");
    refused(1, "besides the gate", MODEL, "--manifest", "corpus.csv", "--scorers=gate");
    refused(1, "not a number from", MODEL, "--manifest", "corpus.csv", "--threshold=2");
    refused(1, "not a whole number from", MODEL, "--manifest", "corpus.csv", "--neighbours=0");
    refused(1, "2.5 is not a whole number from", MODEL, "--manifest", "corpus.csv", "--neighbours=2.5");
    refused(2, "none of the 1 training recordings", MODEL, "--manifest", "human.csv", "--json");
    refused(2, "a gate is fitted on", MODEL, "--train=corpus.csv", "--dev=human.csv", "--scorer=gate");
    refused(3, "", "corpus.csv", "--manifest", "corpus.csv", "--json");
    refused(5, "none.csv", MODEL, "--manifest", "none.csv", "--json");
    /* a recording that is not there is named, the others are used */
    outcome o = spoor("openset", MODEL, "--manifest", "gone.csv", "--replicates", "0", "--scorers", "energy,nsd");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "none.wav"));
    assert_non_null(strstr(o.err, "1 of 4 recordings could not be used"));
    assert_non_null(strstr(o.out, "1 clips of known, 1 of unknown"));
    outcome_free(&o);
    /* dev that cannot judge: the first of the scorers, and no table */
    o = spoor("openset", MODEL, "--train", "corpus.csv", "--dev", "human.csv", "--scorers", "nsd,vim");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "nsd: known where"));
    assert_null(strstr(o.out, "AUROC"));
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_and_a_model),
        cmocka_unit_test(every_scorer_in_place),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
