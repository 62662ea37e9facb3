/* test_cli_silence.c: recordings without their silences from the command line: a model that was trained so hears others so,
 * stored features are told apart; and `spoor eval --degrade`. */
#include "cli/cli_case.h"

enum { RATE = 16000 };

/* `lead` s of nothing, 1 s of voice, `gap` s, 1 s of voice, `lead` s. */
static void write_padded(const char *name, double lead, double gap, uint64_t seed) {
    SF_INFO info = {.samplerate = RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(in_folder(name), SFM_WRITE, &info);
    assert_non_null(f);
    static float nothing[4 * RATE], voice[RATE];
    rng r = rng_make(seed, 0);
    for (size_t i = 0; i < RATE; i++) {
        double t = (double)i / RATE;
        voice[i] = (float)(0.2 * sin(1000 * (1 + 0.3 * (double)seed) * t + 3 * sin(4 * t)) + 0.02 * rng_normal(&r));
    }
    const struct {
        const float *x;
        double seconds;
    } parts[] = {{nothing, lead}, {voice, 1}, {nothing, gap}, {voice, 1}, {nothing, lead}};
    for (size_t i = 0; i < 5; i++) {
        sf_count_t n = (sf_count_t)llround(parts[i].seconds * RATE);
        assert_int_equal(sf_writef_float(f, parts[i].x, n), n);
    }
    assert_int_equal(sf_close(f), 0);
}

static double number_of(const json_t *object, const char *a, const char *b) {
    const json_t *v = b ? json_object_get(json_object_get(object, a), b) : json_object_get(object, a);
    return json_is_number(v) ? json_number_value(v) : -1;
}

static json_t *traced(const char *model, const char *silence) {
    outcome o = silence ? spoor("trace", "-m", model, "--json", "padded.wav", "--silence", silence)
                        : spoor("trace", "-m", model, "--json", "padded.wav");
    exits(&o, 0);
    json_t *j = answers(&o);
    outcome_free(&o);
    return j;
}

/* 0.1 s stay on either side of a sound; blocks of 32 ms may reach over its edges. */
static void trace_says_what_was_removed(void **state) {
    (void)state;
    write_padded("padded.wav", 1, 2, 1);
    json_t *whole = traced(MODEL, NULL), *cut = traced(MODEL, "remove"), *kept = traced(MODEL, "keep");
    assert_true(number_of(whole, "seconds", NULL) == 6 && number_of(whole, "audio", "silence_removed") < 0);
    assert_true(json_equal(whole, kept));
    double left = number_of(cut, "seconds", NULL), removed = number_of(cut, "audio", "silence_removed");
    assert_true(fabs(left + removed - 6) < 1e-9);
    assert_true(left > 2.3 && left < 2.6);
    json_decref(whole);
    json_decref(cut);
    json_decref(kept);
    outcome o = trace("--silence", "remove", "padded.wav");
    exits(&o, 0);
    assert_non_null(strstr(o.out, " s of silence\n"));
    outcome_free(&o);
    o = trace("--silence", "some", "padded.wav");
    exits(&o, 1);
    assert_non_null(strstr(o.err, "--silence is remove or keep"));
    outcome_free(&o);
}

#define RECIPE                                                                                                         \
    "name: silent\nbatch: 4\ndata:\n  manifests: [{path: all.csv}]\n  crop: 16000\n"                                    \
    "  tasks: {source: {}, bonafide: {column: label}}\n%s"                                                              \
    "frontend: {kind: log-mel, n_mels: 16, hop_length: 512}\n"                                                          \
    "network: {kind: conformer, dim: 8, depth: 1, heads: 1, kernel: 3, ff_mult: 1, max_distance: 4, pooling: stats}\n"  \
    "schedule: {epochs: 2}\noptimiser: {lr: 0.01}\ndev: {every: 2}\n%s"

static void write_recipe(const char *name, const char *data, const char *more) {
    char text[2000];
    snprintf(text, sizeof text, RECIPE, data, more);
    write_string(name, text);
}

static void write_corpus(void) {
    char list[2000] = "path,split,label,bonafide,source,page\n";
    for (size_t i = 0; i < 12; i++) {
        char name[20], row[100];
        snprintf(name, sizeof name, "c%zu.wav", i);
        write_padded(name, 0.5 + 0.1 * (double)i, 0.6, i % 3);
        static const char *const rows[] = {"bonafide,bonafide,bonafide", "spoof,spoof,alpha", "spoof,spoof,beta"};
        snprintf(row, sizeof row, "%s,%s,%s,p%zu\n", name, i < 6 ? "train" : "dev", rows[i % 3], i / 3);
        strcat(list, row);
    }
    write_string("all.csv", list);
}

static char *file_text(const char *name) {
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    char *text = calloc(1, 100000);
    assert_non_null(text);
    assert_true(fread(text, 1, 99999, f) > 0);
    fclose(f);
    return text;
}

static void a_model_hears_as_it_was_trained(void **state) {
    (void)state;
    write_corpus();
    write_padded("padded.wav", 1, 2, 1);
    write_recipe("cut.yaml", "  silence: {margin: 0.05}\n", "");
    write_recipe("whole.yaml", "", "");
    outcome o = spoor("train", "cut.yaml", "--out", "cut", "--threads", "1");
    exits(&o, 0);
    outcome_free(&o);
    json_t *alone = traced("cut/model.safetensors", NULL), *keep = traced("cut/model.safetensors", "keep");
    double left = number_of(alone, "seconds", NULL);
    assert_true(left > 2.1 && left < 2.4); /* the recipe's margin, not the default */
    assert_true(number_of(keep, "seconds", NULL) == 6);
    json_decref(alone);
    json_decref(keep);
    /* what training measured on dev is what eval measures: the silences go once, not twice or never */
    o = spoor("eval", "cut/model.safetensors", "--manifest", "all.csv", "--folds", "5", "--out", "again.tsv");
    exits(&o, 0);
    outcome_free(&o);
    char *then = file_text("cut/dev-scores.tsv"), *again = file_text("again.tsv");
    assert_string_equal(then, again);
    free(then);
    free(again);
    o = spoor("train", "whole.yaml", "--out", "whole", "--threads", "1");
    exits(&o, 0);
    outcome_free(&o);
    o = spoor("fuse", "--tasks", "bonafide=cut/model.safetensors", "--tasks", "source=whole/model.safetensors", "-o", "two.safetensors");
    assert_int_not_equal(o.status, 0);
    outcome_free(&o);
    o = spoor("train", "whole.yaml", "--out", "bad", "--set", "data.silence.margin=0.2");
    exits(&o, 1);
    assert_non_null(strstr(o.err, "data.silence.inner must be at least twice the margin"));
    outcome_free(&o);
}

static void stored_features_are_told_apart(void **state) {
    (void)state;
    write_corpus();
    write_recipe("cut.yaml", "  silence: {}\n", "cache: {path: feats}\n");
    write_recipe("whole.yaml", "", "cache: {path: feats}\n");
    outcome o = spoor("extract", "--recipe", "cut.yaml");
    exits(&o, 0);
    outcome_free(&o);
    o = spoor("train", "whole.yaml", "--out", "w", "--threads", "1");
    exits(&o, 2);
    assert_non_null(strstr(o.err, "6 of 6 features"));
    outcome_free(&o);
    o = spoor("train", "cut.yaml", "--out", "c", "--threads", "1");
    exits(&o, 0);
    outcome_free(&o);
    /* the same rule from the options */
    o = spoor("extract", "all.csv", "--split", "train", "--frontend", "cut.yaml", "--silence", "remove", "--out", "feats", "--json");
    exits(&o, 0);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "new")), 0);
    json_decref(j);
    outcome_free(&o);
}

static json_t *condition(json_t *root, size_t i, const char *name) {
    json_t *c = json_array_get(json_object_get(root, "conditions"), i);
    assert_string_equal(text_of(c, "name"), name);
    return json_object_get(c, "report");
}

static json_t *evaluated(const char *option, const char *value) {
    outcome o = spoor("eval", MODEL, "--manifest", "all.csv", "--split", "all", "--replicates", "20", "--json", option, value);
    exits(&o, 0);
    json_t *j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    outcome_free(&o);
    return j;
}

static void conditions_stand_side_by_side(void **state) {
    (void)state;
    write_corpus();
    json_t *all = evaluated("--degrade", "no-silence,noise-0,mp3-64"), *again = evaluated("--degrade", "no-silence,noise-0,mp3-64"),
           *clean = evaluated(NULL, NULL), *cut = evaluated("--silence", "remove");
    assert_int_equal(json_array_size(json_object_get(all, "conditions")), 4);
    assert_true(json_equal(all, again));
    assert_true(json_equal(condition(all, 0, "clean"), clean));
    assert_true(json_equal(condition(all, 1, "no-silence"), cut));
    assert_false(json_equal(condition(all, 2, "noise-0"), clean));
    assert_false(json_equal(condition(all, 3, "mp3-64"), condition(all, 2, "noise-0")));
    assert_string_equal(text_of(json_array_get(json_object_get(all, "conditions"), 1), "silence"), "removed");
    json_decref(all);
    json_decref(again);
    json_decref(clean);
    json_decref(cut);
    outcome o = spoor("eval", MODEL, "--manifest", "all.csv", "--degrade", "telephone,opus-16", "--replicates", "20");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "under 3 conditions"));
    assert_non_null(strstr(o.out, "telephone"));
    assert_non_null(strstr(o.out, "bona fide against synthetic, all: n 2 and 4"));
    outcome_free(&o);
    o = spoor("eval", MODEL, "--manifest", "all.csv", "--split", "all", "--replicates", "20", "--json", "--degrade", "band-200-3400",
              "--out", "scores-{condition}.tsv");
    exits(&o, 0);
    all = json_loads(o.out, 0, NULL);
    outcome_free(&o);
    static const char *const files[] = {"scores-clean.tsv", "scores-band-200-3400.tsv"};
    for (size_t i = 0; i < 2; i++) { /* the same figures from its file */
        o = spoor("eval", "--scores", files[i], "--replicates", "20", "--json");
        exits(&o, 0);
        again = json_loads(o.out, 0, NULL);
        outcome_free(&o);
        const json_t *whole = json_object_get(json_array_get(json_object_get(all, "conditions"), i), "report");
        assert_true(json_equal(json_object_get(whole, "bonafide"), json_object_get(again, "bonafide")));
        assert_true(json_equal(json_object_get(whole, "tasks"), json_object_get(again, "tasks")));
        json_decref(again);
    }
    json_decref(all);
    static const char *const bad[][3] = {{"--degrade", "mp3-1", "is no degradation"},
                                         {"--degrade", "mp3-0x40", "is no degradation"},
                                         {"--degrade", "noise-20,noise-20", "twice"},
                                         {"--degrade", "", "is no degradation"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = spoor("eval", MODEL, "--manifest", "all.csv", bad[i][0], bad[i][1]);
        exits(&o, 1);
        assert_non_null(strstr(o.err, bad[i][2]));
        outcome_free(&o);
    }
    o = spoor("eval", "--scores", "x.tsv", "--degrade", "all");
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("eval", MODEL, "--manifest", "all.csv", "--degrade", "all", "--out", "x.tsv");
    exits(&o, 1);
    assert_non_null(strstr(o.err, "{condition}"));
    outcome_free(&o);
}

static void a_recording_that_fails_is_counted_everywhere(void **state) {
    (void)state;
    write_corpus();
    write_string("c7.wav", "no sound");
    outcome o = spoor("eval", MODEL, "--manifest", "all.csv", "--degrade", "noise-20", "--replicates", "0", "--json");
    exits(&o, 2);
    json_t *j = json_loads(o.out, 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(j, "conditions"), i), "failed")), 1);
    }
    json_decref(j);
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_says_what_was_removed),
        cmocka_unit_test(a_model_hears_as_it_was_trained),
        cmocka_unit_test(stored_features_are_told_apart),
        cmocka_unit_test(conditions_stand_side_by_side),
        cmocka_unit_test(a_recording_that_fails_is_counted_everywhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
