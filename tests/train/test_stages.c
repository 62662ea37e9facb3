/* Trainings in stages: what a stage's settings come to, weights that the next starts from, what is left in the run folder,
 * and interruptions, which change no bit. */
#include "train/recipe_stages.h"
#include "train/runs.h"
#include "weights/safetensors.h"
#include <sys/stat.h>

/* Real Emphasis on all clips, then Fake Dispersion on the synthetic ones. */
static const char RECIPE[] =
    "name: two\nseed: 5\nbatch: 8\n"
    "data: {manifests: [{path: m.csv}], crop: 3200, tasks: {source: {}}}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
    "network: {kind: conformer, dim: 8, depth: 1, heads: 2, kernel: 3, ff_mult: 1, max_distance: 8, pooling: stats,\n"
    "          pool_norm: true}\n"
    "optimiser: {lr: 0.02}\nschedule: {epochs: 6, warmup: 1}\n"
    "stages:\n"
    "  - name: re\n"
    "    data: {tasks: {source: null, bonafide: {column: label}}}\n"
    "    oc: {weight: 1}\n"
    "    dev: {metrics: [{name: acc, task: bonafide, kind: auroc}]}\n"
    "  - name: fd\n"
    "    from: re\n"
    "    data: {train: {split: train, label: spoof}}\n"
    "    mixup: {kind: regmixup}\n"
    "    sampler: {pairs: 2}\n"
    "    npair: {weight: 1}\n"
    "    schedule: {epochs: 8}\n"
    "    dev: {metrics: [{name: acc, task: source, where: {label: spoof}}]}\n";

static int setup(void **state) {
    runs_setup(state);
    spoor_context *ctx = support_context();
    folder_write("s.yaml", RECIPE);
    char *combined = ctx_printf(ctx, "%sfinal: {combine: {bonafide: re, source: fd}}\n", RECIPE);
    folder_write("c.yaml", combined);
    ctx_free(ctx, combined);
    recipe_file = "s.yaml";
    spoor_context_free(ctx);
    return 0;
}

static spoor_status read_stages(spoor_context *ctx, const char *const *set, size_t n, recipe_stages **out, spoor_error *err) {
    char path[512];
    snprintf(path, sizeof path, "%s/s.yaml", folder);
    return recipe_stages_open(ctx, path, set, n, out, err);
}

static void settings_of_stages(void **state) {
    (void)state;
    spoor_error err;
    spoor_context *ctx = support_context();
    recipe_stages *s;
    const char *const set[] = {"optimiser.lr=0.5", "stages.1.optimiser.beta1=0.8", "final=re"};
    support_ok(read_stages(ctx, set, 3, &s, &err), &err);
    assert_int_equal(s->n, 2);
    assert_int_equal(s->final, 0);
    const recipe *re = s->stage[0].r, *fd = s->stage[1].r;
    assert_string_equal(s->stage[0].name, "re");
    assert_true(s->stage[0].from == SIZE_MAX && s->stage[1].from == 0);
    assert_string_equal(re->name, "two"); /* the model's name is not the stage's */
    assert_true(re->n_tasks == 1 && strcmp(re->task[0].name, "bonafide") == 0);
    assert_true(fd->n_tasks == 1 && strcmp(fd->task[0].name, "source") == 0);
    assert_true(re->train.n == 1 && strcmp(re->train.item[0].column, "split") == 0);
    assert_true(fd->train.n == 2 && strcmp(fd->train.item[0].column, "split") == 0 && strcmp(fd->train.item[1].column, "label") == 0);
    assert_true(re->lr == 0.5 && fd->lr == 0.5 && re->beta1 == 0.9 && fd->beta1 == 0.8);
    assert_true(re->oc.weight == 1 && fd->oc.weight == 0 && re->epochs == 6 && fd->epochs == 8 && fd->warmup == 1);
    recipe_stages_free(s);
    recipe *alone;
    char path[512];
    snprintf(path, sizeof path, "%s/s.yaml", folder);
    assert_int_equal(recipe_open(ctx, path, NULL, 0, &alone, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "one stage"));
    snprintf(path, sizeof path, "%s/r.yaml", folder); /* a recipe without stages is one stage without a name */
    support_ok(recipe_stages_open(ctx, path, NULL, 0, &s, &err), &err);
    assert_true(s->n == 1 && s->stage[0].name == NULL && s->stage[0].from == SIZE_MAX && s->final == 0);
    recipe_stages_free(s);
    spoor_context_free(ctx);
}

/* REFD's decision: what is human from one stage, the source from the other, in one file; scores have the bits of the stages' own
 * models. */
static void two_stages_one_model(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    recipe_file = "c.yaml";
    char *out = run_folder("combined"), path[700];
    support_ok(train(out, 2, false, &w, NULL, 0, &err), &err);
    const char *const stages[] = {"re", "fd"}, *const tasks[] = {"bonafide", "source"};
    dev_model whole;
    open_dev(&whole, out);
    assert_string_equal(spoor_model_name(whole.model), "two");
    assert_int_equal(whole.model->n_tasks, 2);
    assert_true(whole.model->bonafide.informative);
    support_ok(score_all(whole.ctx, whole.model, 2, whole.n, open_row, whole.list, 0, whole.logits, NULL, whole.errors, &err), &err);
    spoor_context *keep = shared;
    for (size_t i = 0; i < 2; i++) {
        dev_model one;
        snprintf(path, sizeof path, "%s/%s", out, stages[i]);
        open_dev(&one, path);
        support_ok(score_all(one.ctx, one.model, 1, one.n, open_row, one.list, 0, one.logits, NULL, one.errors, &err), &err);
        size_t task = model_find_task(whole.model, tasks[i]), classes = whole.model->tasks[task].n_classes;
        assert_int_equal(one.model->tasks[0].n_classes, classes);
        for (size_t k = 0; k < one.n; k++) {
            assert_memory_equal(whole.logits + k * trace_logits_size(whole.model) + model_offset(whole.model, task),
                                one.logits + k * classes, classes * sizeof(float));
        }
        close_dev(&one);
    }
    shared = keep;
    close_dev(&whole);
    support_ok(train(out, 2, true, &w, NULL, 0, &err), &err); /* a finished training is finished */
    recipe_file = "s.yaml";
}

static void bad_stages(void **state) {
    (void)state;
    static const struct {
        const char *set, *says;
    } cases[] = {{"stages=3", "list of 1 to 16"},
                 {"stages.0=3", "entry 1"},
                 {"stages.0.name=a/b", "entry 1"},
                 {"stages.0.name=..", "entry 1"},
                 {"stages.1.name=re", "two are named re"},
                 {"stages.0.from=fd", "cannot start from fd"},
                 {"stages.1.from=fd", "cannot start from fd"},
                 {"stages.1.optimiser.lt=1", "stage fd: optimiser"},
                 {"stages.0.stages=1", "stage re"},
                 {"final=xx", "no stage named xx"},
                 {"final=3", "final"},
                 {"final.combine=re", "final.combine must map"},
                 {"final.combine.bonafide=fd", "a stage that has this task"},
                 {"final.combine.bonafide=x", "a stage that has this task"},
                 {"final.combined.bonafide=re", "combine"}};
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err;
        recipe_stages *s;
        assert_int_equal(read_stages(ctx, &cases[i].set, 1, &s, &err), SPOOR_ERR_USAGE);
        assert_null(s);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("%s says: %s", cases[i].set, err.message);
        }
    }
    spoor_context_free(ctx);
}

static safetensors *open_tensors(spoor_context *ctx, const char *out, const char *stage) {
    char path[700];
    spoor_error err;
    safetensors *f;
    snprintf(path, sizeof path, "%s/%s/model.safetensors", out, stage);
    support_ok(safetensors_open(ctx, path, &f, &err), &err);
    return f;
}

/* fd with a learning rate of 0: its body is that of re to the bit, its head is new, and the run folder holds its results. */
static void the_next_starts_from_the_last(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    const char *const set[] = {"stages.1.optimiser.lr=0", "network.pool_norm=false"};
    char *out = run_folder("from"), path[700], hashes[2][65];
    support_ok(train(out, 2, false, &w, set, 2, &err), &err);
    assert_int_equal(w.epochs, 14);
    spoor_context *ctx = support_context();
    safetensors *re = open_tensors(ctx, out, "re"), *fd = open_tensors(ctx, out, "fd");
    size_t same = 0;
    for (size_t i = 0; i < safetensors_count(fd); i++) {
        const safetensors_tensor *b = safetensors_at(fd, i), *a = safetensors_find(re, b->name);
        bool statistics = strstr(b->name, "running") || strstr(b->name, ".mean") || strstr(b->name, ".var");
        if (strncmp(b->name, "heads.", 6) == 0) {
            assert_null(a);
        } else if (!statistics) { /* of the clips that were seen since */
            assert_memory_equal(a->data, b->data, a->bytes);
            same++;
        }
    }
    assert_true(same > 10);
    safetensors_free(re);
    safetensors_free(fd);
    static const char *const files[] = {"model.safetensors", "dev-scores.tsv", "dev-report.txt", "dev-report.json"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "fd/%s", files[i]);
        hash(out, files[i], hashes[0]);
        hash(out, path, hashes[1]);
        assert_string_equal(hashes[0], hashes[1]);
    }
    assert_int_equal(train(out, 1, false, &w, set, 2, &err), SPOOR_ERR_USAGE); /* what is there is not overwritten */
    assert_non_null(strstr(err.message, "--resume"));
    assert_int_equal(train(out, 1, true, &w, set, 1, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "network differs"));
    spoor_context_free(ctx);
}

/* The class tables decide whether a head goes on: after fd with the same classes it does, with others of the same number not. */
static void heads_of_other_classes(void **state) {
    (void)state;
    spoor_error err;
    for (int other = 0; other < 2; other++) {
        watch w = {0};
        /* both stages know two sources; in the second variant not the same two */
        const char *const set[] = {"stages.0.data.tasks.source.except=high", "stages.0.data.tasks.bonafide.column=label",
                                   other ? "stages.1.data.tasks.source.except=low" : "stages.1.data.tasks.source.except=high",
                                   "stages.0.data.train.split=train", "stages.0.data.train.label=spoof", "stages.0.oc.weight=0",
                                   "stages.1.optimiser.lr=0",
                                   "stages.0.dev.metrics.0.task=source", "stages.0.dev.metrics.0.kind=accuracy"};
        char *out = run_folder(other ? "other" : "same");
        support_ok(train(out, 1, false, &w, set, sizeof set / sizeof *set, &err), &err);
        spoor_context *ctx = support_context();
        safetensors *re = open_tensors(ctx, out, "re"), *fd = open_tensors(ctx, out, "fd");
        const safetensors_tensor *a = safetensors_find(re, "heads.source.weight"), *b = safetensors_find(fd, "heads.source.weight");
        assert_int_equal(a->bytes, b->bytes);
        assert_true((memcmp(a->data, b->data, a->bytes) == 0) == !other);
        safetensors_free(re);
        safetensors_free(fd);
        spoor_context_free(ctx);
    }
}

/* A model file as the start: what does not fit is refused. */
static void from_a_file(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    char *out = run_folder("file"), *again = run_folder("file2"), set[700];
    support_ok(train(out, 1, false, &w, NULL, 0, &err), &err);
    recipe_file = "r.yaml";
    snprintf(set, sizeof set, "from=run-file/re/model.safetensors");
    const char *const sets[] = {set, "schedule.epochs=1", "network.dim=20", "data.tasks.bonafide.column=source"};
    support_ok(train(again, 1, false, &w, sets, 2, &err), &err);
    support_remove(again);
    assert_int_equal(train(again, 1, false, &w, sets, 4, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "no weights that fit"));
    snprintf(set, sizeof set, "from=nothing.safetensors");
    assert_int_equal(train(again, 1, false, &w, sets, 2, &err), SPOOR_ERR_IO);
    snprintf(set, sizeof set, "from=run-file/re/checkpoint.safetensors");
    assert_int_equal(train(again, 1, false, &w, sets, 2, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "no model file"));
    recipe_file = "s.yaml";
}

static void cancelled_and_resumed(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0}, c = {.cancel_at = 3};
    char whole[65], parts[65], *one = run_folder("whole"), *two = run_folder("parts");
    support_ok(train(one, 2, false, &w, NULL, 0, &err), &err);
    int rounds = 0, seen[2] = {0, 0};
    spoor_status status;
    while ((status = train(two, 1 + (unsigned)rounds % 3, true, &c, NULL, 0, &err)) == SPOOR_ERR_CANCELLED) {
        seen[strstr(err.message, "of stage fd") != NULL]++;
        c.batches = 0;
        c.cancel_at = 3 + ++rounds % 4;
        assert_true(rounds < 50);
    }
    support_ok(status, &err);
    assert_true(seen[0] > 1 && seen[1] > 1);
    static const char *const files[] = {"model.safetensors", "re/model.safetensors", "dev-scores.tsv", "fd/dev-scores.tsv"};
    for (size_t i = 0; i < 4; i++) {
        hash(one, files[i], whole);
        hash(two, files[i], parts);
        assert_string_equal(whole, parts);
    }
}

static void killed(void **state) {
    (void)state;
    const char *const set[] = {"checkpoint.steps=1", "schedule.epochs=20", "dev.every=20", "stages.1.schedule.epochs=20"};
    killed_gives_the_same("s", set, 4, 25, 0.08);
}

static void failing_memory(void **state) {
    (void)state;
    const char *const set[] = {"schedule.epochs=1", "stages.1.schedule.epochs=1"};
    failing_memory_is_refused(set, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_stages), cmocka_unit_test(two_stages_one_model), cmocka_unit_test(bad_stages), cmocka_unit_test(the_next_starts_from_the_last),
        cmocka_unit_test(heads_of_other_classes), cmocka_unit_test(from_a_file), cmocka_unit_test(cancelled_and_resumed),
        cmocka_unit_test(killed), cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
