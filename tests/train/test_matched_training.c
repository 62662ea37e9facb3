/* Content-matched pairs in a training: what stands in which place of a batch, through which generator and with which
 * labels; neither threads nor interruptions change a bit; what cannot work is refused with a sentence. */
#include "train/runs.h"
#include "frontend/frontend.h"
#include "train/batch.h"

static const char *const HEAD = /* two of each source on every page: the page is the "recording" of the corpus kind */
    "name: tiny\nseed: 5\nbatch: 24\n"
    "data:\n  manifests: [{path: m.csv}]\n  crop: 3200\n  groups: []\n  tasks:\n    source: {}\n    bonafide: {column: label}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800, normalise: none}\n"
    "network: {kind: conformer, dim: 8, depth: 1, heads: 2, kernel: 3, ff_mult: 1, max_distance: 8, pooling: stats}\n"
    "optimiser: {lr: 0.02}\nschedule: {epochs: 3, warmup: 1}\n"
    "dev: {metrics: [{name: acc, task: source}]}\nnpair: {weight: 0.1, normalise: true}\n";

static const char *const BOTH =
    "sampler:\n  pairs: 2\n  matched: {content: page, pairs: 3}\n  resynth:\n    pairs: 2\n    blocks: 2\n    where: {split: train}\n"
    "    generators: [original, {kind: lpc, order: 8, labels: {bonafide: spoof}}, griffin-lim, channel-vocoder]\n";

static void write_recipe(const char *name, const char *more) {
    spoor_context *ctx = support_context();
    char *text = ctx_printf(ctx, "%s%s", HEAD, more);
    folder_write(name, text);
    ctx_free(ctx, text);
    spoor_context_free(ctx);
}

static int setup(void **state) {
    runs_setup(state);
    write_recipe("both.yaml", BOTH);
    recipe_file = "both.yaml";
    return 0;
}

/* ---- a batch ---- */

typedef struct fixture {
    spoor_context *ctx;
    recipe *r;
    dataset *d;
    frontend *fe;
    augment *a;
    resynth *generators;
    loader *l;
    compute *c;
} fixture;

static void open_loader(fixture *f, const char *more, unsigned threads) {
    spoor_error err;
    char path[600];
    write_recipe("loader.yaml", more);
    snprintf(path, sizeof path, "%s/loader.yaml", folder);
    f->ctx = support_context();
    support_ok(recipe_open(f->ctx, path, NULL, 0, &f->r, &err), &err);
    support_ok(dataset_new(f->ctx, f->r, &f->d, &err), &err);
    support_ok(frontend_new(f->ctx, f->r->frontend, &f->fe, &err), &err);
    support_ok(augment_new(f->ctx, f->r->augment, &f->a, &err), &err);
    support_ok(resynth_new(f->ctx, f->r, f->d, &f->generators, &err), &err);
    support_ok(loader_new(f->ctx, f->r, f->d, f->fe, f->a, f->generators, threads, &f->l, &err), &err);
    support_ok(compute_new(f->ctx, threads, &f->c, &err), &err);
}

static void close_loader(fixture *f) {
    compute_free(f->c);
    loader_free(f->l);
    resynth_free(f->generators);
    augment_free(f->a);
    frontend_free(f->fe);
    dataset_free(f->d);
    recipe_free(f->ctx, f->r);
    spoor_context_free(f->ctx);
}

/* Transformed clips are the same stretch of the same two recordings: gains are seen in log mel as shifts. */
static void a_block_holds_two_recordings(void **state) {
    (void)state;
    fixture f;
    open_loader(&f, "sampler:\n  resynth:\n    generators: [original, {kind: gain, db: 10}, {steps: [{kind: gain, db: 20}], "
                    "labels: {source: low}}]\n    blocks: 2\n", 2);
    const batch *b;
    spoor_error err;
    int moved = 0, seen[3] = {0};
    for (uint64_t step = 0; step < 6; step++) {
        support_ok(loader_batch(f.l, f.c, 0, step, &b, &err), &err);
        assert_int_equal(b->n_blocks, 2);
        int64_t row = b->frames * b->dim;
        for (int64_t k = 0; k < 2; k++) {
            assert_int_equal(b->block[k].start, 6 * k);
            assert_int_equal(b->block[k].pairs, 3);
            const real *clip[6];
            int generator[6];
            int64_t original = -1;
            for (int64_t i = 0; i < 6; i++) { /* labels tell the generator; level tells it apart from the others */
                int64_t place = 6 * k + i, source = b->target[0][place], human = b->target[1][place];
                clip[i] = b->features + place * row;
                generator[i] = human >= 0 ? 0 : source >= 0 ? 2 : 1;
                assert_true(generator[i] != 0 || source >= 0);
                assert_true(generator[i] != 2 || strcmp(f.d->task[0].classes[source], "low") == 0);
                original = generator[i] == 0 ? i : original;
            }
            int64_t side = original % 3 % 2; /* even pairs stand straight, odd ones turned */
            for (int64_t i = 0; i < 3; i++) {
                assert_int_equal(generator[i], generator[3 + i]);
                seen[generator[i]]++;
                for (int64_t half = 0; half < 2; half++) {
                    int64_t at = 3 * half + i, same = (side + i + half + original / 3) % 2 == 0 ? original : (original + 3) % 6;
                    for (int64_t n = 0; n < row; n++) {
                        double shift = (double)generator[at] * log(10); /* of powers: 10 and 20 dB */
                        assert_true(fabs((double)clip[at][n] - (double)clip[same][n] - shift) < 2e-3);
                    }
                }
            }
            moved += memcmp(clip[original], clip[(original + 3) % 6], (size_t)row * sizeof(real)) != 0;
        }
    }
    assert_int_equal(moved, 12);
    assert_true(seen[0] == 12 && seen[1] == 12 && seen[2] == 12);
    close_loader(&f);
}

/* Where the front end is trained a batch holds waveforms: these go through the generators too. */
static void waveforms_go_through_generators(void **state) {
    (void)state;
    fixture f;
    open_loader(&f, "finetune: {}\nsampler: {crossed: false, resynth: {generators: [original, {kind: gain, db: 20}]}}\n", 1);
    const batch *b;
    spoor_error err;
    for (uint64_t step = 0; step < 4; step++) {
        support_ok(loader_batch(f.l, f.c, 0, step, &b, &err), &err);
        assert_null(b->features);
        assert_int_equal(b->n_blocks, 1);
        for (int64_t side = 0; side < 2; side++) {
            const real *x = b->waves + 2 * side * b->samples, *y = x + b->samples;
            bool first = b->target[0][2 * side] >= 0; /* the original is labelled */
            assert_true(first == (b->target[0][2 * side + 1] < 0));
            double power = 0;
            for (int64_t i = 0; i < b->samples; i++) {
                double original = (double)(first ? x : y)[i], louder = (double)(first ? y : x)[i];
                assert_true(fabs(louder - 10 * original) < 1e-4);
                power += original * original;
            }
            assert_true(power > 0);
        }
    }
    close_loader(&f);
}

/* All kinds of pairs at once; the batch of a step is the same whatever came before, on any number of threads. */
static void batches_have_no_state(void **state) {
    (void)state;
    fixture f, g;
    open_loader(&f, BOTH, 1);
    open_loader(&g, BOTH, 8);
    const batch *a, *b;
    spoor_error err;
    assert_int_equal(recipe_pair_rows(f.r), 18);
    support_ok(loader_batch(f.l, f.c, 0, 0, &a, &err), &err);
    support_ok(loader_batch(f.l, f.c, 1, 2, &a, &err), &err);
    support_ok(loader_batch(g.l, g.c, 1, 2, &b, &err), &err);
    size_t n = (size_t)(a->rows * a->frames * a->dim);
    assert_int_equal(a->rows, 24);
    assert_memory_equal(a->features, b->features, n * sizeof(real));
    assert_memory_equal(a->target[0], b->target[0], 24 * sizeof(int64_t));
    assert_int_equal(a->n_blocks, 3);
    assert_true(a->block[0].start == 4 && a->block[0].pairs == 3 && a->block[1].start == 10 && a->block[2].start == 14);
    for (int64_t i = 0; i < 2; i++) { /* classes, then sources through a corpus */
        assert_int_equal(a->target[0][i], a->target[0][2 + i]);
    }
    assert_true(a->target[0][0] != a->target[0][1]);
    for (int64_t i = 4; i < 7; i++) {
        assert_true(a->target[0][i] >= 0 && a->target[0][i] == a->target[0][i + 3]);
        assert_true(a->target[0][i] != a->target[0][i == 6 ? 4 : i + 1]);
    }
    int spoof = 0;
    for (uint64_t step = 0; step < 20; step++) { /* a label that the recipe gives counts; else there is none */
        support_ok(loader_batch(f.l, f.c, 3, step, &a, &err), &err);
        for (int64_t i = 10; i < 18; i++) {
            bool given = a->target[0][i] < 0 && a->target[1][i] >= 0;
            spoof += given;
            assert_true(!given || strcmp(f.d->task[1].classes[a->target[1][i]], "spoof") == 0);
        }
    }
    assert_true(spoof > 20);
    close_loader(&f);
    close_loader(&g);
}

/* Blocks of a corpus of which the losses of tasks hear nothing: the same clips, no targets. */
static void labels_can_be_left_out(void **state) {
    (void)state;
    fixture with, without;
    open_loader(&with, "sampler: {matched: {content: page, pairs: 3}}\n", 1);
    open_loader(&without, "sampler: {matched: {content: page, pairs: 3, labels: false}}\n", 1);
    const batch *a, *b;
    spoor_error err;
    support_ok(loader_batch(with.l, with.c, 0, 1, &a, &err), &err);
    support_ok(loader_batch(without.l, without.c, 0, 1, &b, &err), &err);
    assert_memory_equal(a->features, b->features, (size_t)(a->rows * a->frames * a->dim) * sizeof(real));
    for (int64_t task = 0; task < 2; task++) {
        for (int64_t i = 0; i < 24; i++) {
            assert_true(a->target[task][i] >= 0);
            assert_int_equal(b->target[task][i], i < 6 ? -1 : a->target[task][i]);
        }
    }
    close_loader(&with);
    close_loader(&without);
}

/* ---- a training ---- */

static void threads_change_nothing(void **state) {
    (void)state;
    char one[65], other[65];
    const unsigned threads[] = {1, 3};
    for (size_t i = 0; i < 2; i++) {
        spoor_error err;
        watch w = {0};
        char *out = run_folder(i == 0 ? "t1" : "t3");
        support_ok(train(out, threads[i], false, &w, NULL, 0, &err), &err);
        hash(out, "model.safetensors", i == 0 ? one : other);
    }
    assert_string_equal(one, other);
    spoor_error err;
    watch w = {0};
    const char *const set[] = {"sampler.crossed=false"};
    char *out = run_folder("straight");
    support_ok(train(out, 1, false, &w, set, 1, &err), &err);
    hash(out, "model.safetensors", other);
    assert_string_not_equal(one, other);
}

static void killed_trainings_come_to_the_same(void **state) {
    (void)state;
    const char *const set[] = {"checkpoint.steps=1"};
    killed_gives_the_same("m", set, 1, 12, 0.1);
}

/* What the run folder's recipe says is a recipe that gives the same again. */
static void the_resolved_recipe_is_one(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    char path[600];
    snprintf(path, sizeof path, "%s/run-t1/recipe.json", folder);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    const json_t *list = json_object_get(json_object_get(json_object_get(json, "sampler"), "resynth"), "generators");
    assert_int_equal(json_array_size(list), 4);
    const json_t *lpc = json_array_get(json_object_get(json_array_get(list, 1), "steps"), 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(lpc, "order"), 0)), 8);
    recipe *r;
    spoor_error err;
    support_ok(recipe_from_json(ctx, json, "", &r, &err), &err);
    assert_true(json_equal(json_object_get(r->resolved, "sampler"), json_object_get(json, "sampler")));
    recipe_free(ctx, r);
    json_decref(json);
    spoor_context_free(ctx);
}

static void what_cannot_work_is_refused(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"cache: {path: store}\nsampler: {resynth: {generators: [lpc, mel]}}\n", "from a cache"},
        {"sampler: {resynth: {generators: [lpc]}}\n", "2 to"},
        {"sampler: {resynth: {generators: [lpc, 7]}}\n", "generators[1] must be"},
        {"sampler: {resynth: {generators: [lpc, {steps: [], kind: lpc}]}}\n", "generators[1] must be"},
        {"sampler: {resynth: {generators: [lpc, vocoder]}}\n", "generators[1]: augment[0]"},
        {"sampler: {resynth: {generators: [lpc, {kind: mel, bands: 1}]}}\n", "bands"},
        {"sampler: {resynth: {generators: [lpc, {kind: mel, labels: {source: mel}}]}}\n", "mel is no class"},
        {"sampler: {resynth: {generators: [lpc, {kind: mel, labels: {sauce: low}}]}}\n", "no task named sauce"},
        {"sampler: {resynth: {generators: [lpc, mel], pairs: 3}}\n", "pairs"},
        {"sampler: {resynth: {generators: [lpc, mel], where: {page: nowhere}}}\n", "sampler.resynth: content-matched"},
        {"sampler: {resynth: {generators: [lpc, mel], blocks: 6}}\n", "whole batch of 24"},
        {"sampler: {resynth: {generators: [lpc, mel], blocks: 7}}\n", "do not fit"},
        {"sampler: {matched: {pairs: 3}}\n", "content"},
        {"sampler: {matched: {content: take}}\n", "column take"},
        {"sampler: {matched: {content: path, pairs: 2}}\n", "sampler.matched: content-matched"},
        {"sampler: {matched: {content: page, pairs: 5}}\n", "5 pairs"},
        {"sampler: {matched: {contents: page}}\n", "content"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoor_error err = {0};
        watch w = {0};
        write_recipe("bad.yaml", bad[i][0]);
        recipe_file = "bad.yaml";
        spoor_status status = train(run_folder("bad"), 1, false, &w, NULL, 0, &err);
        recipe_file = "both.yaml";
        if ((status != SPOOR_ERR_USAGE && status != SPOOR_ERR_INPUT) || strstr(err.message, bad[i][1]) == NULL) {
            fail_msg("%s: status %d, \"%s\" does not say %s", bad[i][0], (int)status, err.message, bad[i][1]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_holds_two_recordings), cmocka_unit_test(batches_have_no_state),
        cmocka_unit_test(labels_can_be_left_out),
        cmocka_unit_test(waveforms_go_through_generators),
        cmocka_unit_test(threads_change_nothing),       cmocka_unit_test(killed_trainings_come_to_the_same),
        cmocka_unit_test(the_resolved_recipe_is_one),   cmocka_unit_test(what_cannot_work_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
