/* test_joint_training.c: trainings with a joint head on made-up codecs: a tone says the quantiser, a hiss the decoder. Attributes agree
 * with codecs in every row, also over windows; the model file says the same when it is opened again; interruptions change no bit; and
 * of codecs that were held out the attributes come with doubt that holds on other codecs that were held out too. Where codecs are left
 * out of trainings in turn, each is heard by a network that does not know it. */
#include "train/runs.h"

typedef struct made_codec {
    const char *name, *vq, *dec, *split; /* split NULL: train and dev */
    double tone, hiss;
} made_codec;

static const made_codec CODECS[] = {
    {"bonafide", "real", "real", NULL, 0, 0},      {"a", "MVQ", "time", NULL, 300, 0.002},   {"b", "MVQ", "freq", NULL, 420, 0.1},
    {"c", "SVQ", "time", NULL, 3000, 0.002},       {"d", "SVQ", "freq", NULL, 2400, 0.1},    {"e", "MVQ", "", NULL, 360, 0.02},
    {"vocoder", "", "", NULL, 6000, 0.3},          {"", "SVQ", "time", "train", 2700, 0.002}, /* outside of the list */
    {"u1", "MVQ", "time", "dev", 560, 0.004},      {"u2", "SVQ", "freq", "dev", 1900, 0.06}, {"u3", "MVQ", "freq", "dev", 1300, 0.05},
    {"u4", "SVQ", "time", "dev", 900, 0.01},       {"u5", "SVQ", "time", "dev", 2100, 0.03}, {"u6", "MVQ", "freq", "dev", 700, 0.02},
    {"v1", "MVQ", "time", "test", 640, 0.005},     {"v2", "SVQ", "freq", "test", 1700, 0.05}, {"v3", "MVQ", "freq", "test", 1200, 0.04},
    {"v4", "SVQ", "time", "test", 800, 0.012},     {"v5", "SVQ", "freq", "test", 2200, 0.02}, {"v6", "MVQ", "time", "test", 1000, 0.03}};
enum { N_CODECS = sizeof CODECS / sizeof *CODECS, EACH = 8 };

static const char RECIPE[] =
    "name: joint\nseed: 3\nbatch: 16\ntaxonomy: codecfake_plus\n"
    "data: {manifests: [{path: m.csv}], crop: 3200,\n"
    "       tasks: {source: {}, bonafide: {column: label}, vq: {weight: 0.5}, dec: {weight: 0.5}}}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
    "network: {kind: pooled, pooling: stats, layers: [16, 8], pool_norm: true}\n"
    "joint: {task: source, parents: [vq, dec]}\n"
    "optimiser: {lr: 0.02}\nschedule: {epochs: 40, warmup: 1}\n"
    "openset: {scorers: [energy, mahalanobis]}\n"
    "dev: {every: 10, metrics: [{name: acc, task: source}, {name: vq, task: vq, kind: macro_f1}, {name: eer, task: vq, kind: eer}]}\n";

static void make_clip(spoor_context *ctx, const char *path, const made_codec *c, int number) {
    int16_t x[SYNTHETIC_SAMPLES];
    rng r = rng_make(31, (uint64_t)number);
    double tone = c->tone * (1 + 0.05 * rng_normal(&r)), hiss = c->hiss * exp(0.2 * rng_normal(&r)), last = 0;
    for (int k = 0; k < SYNTHETIC_SAMPLES; k++) {
        double noise = rng_normal(&r);
        last = 0.95 * last + 0.05 * noise;
        double v = c->tone > 0 ? 0.3 * sin(6.283185307 * tone * k / 16000) + hiss * noise : 0.4 * last;
        x[k] = (int16_t)(32767 * fmax(-1, fmin(1, v)));
    }
    synthetic_wav(ctx, path, x, SYNTHETIC_SAMPLES);
}

static int setup(void **state) {
    static char csv[32768];
    spoor_error err;
    spoor_context *ctx = support_context();
    folder_new(state);
    size_t at = (size_t)snprintf(csv, sizeof csv, "path,split,label,source,vq,dec,page,setting\n");
    for (int i = 0; i < N_CODECS * EACH; i++) {
        const made_codec *c = &CODECS[i / EACH];
        const char *split = c->split ? c->split : i % EACH < EACH - 2 ? "train" : "dev";
        char name[32];
        snprintf(name, sizeof name, "c%d.wav", i);
        make_clip(ctx, folder_path(name), c, i);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "c%d.wav,%s,%s,%s,%s,%s,page%d,%s\n", i, split,
                               i < EACH ? "bonafide" : "spoof", c->name, c->vq, c->dec, i / 2,
                               c->split && *c->name ? "unknown" : "same");
    }
    spoor_context_free(ctx);
    folder_write("m.csv", csv);
    folder_write("j.yaml", RECIPE);
    recipe_file = "j.yaml";
    watch w = {0};
    support_ok(train(run_folder("joint"), 2, false, &w, NULL, 0, &err), &err);
    return 0;
}

/* ---- a model and the clips of a split ---- */

typedef struct clips {
    spoor_context *ctx;
    spoor_model *model;
    manifest *list;
    score_labels *labels;
    size_t n, width;
    float *logits, *embedding;
} clips;

static spoor_status open_clip(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const clips *d = user;
    *owned = NULL;
    return spoor_audio_open(d->ctx, manifest_path(d->list, clip), NULL, audio, err);
}

static void open_clips(clips *d, const char *out, const char *split) {
    spoor_error err, errors[N_CODECS * EACH] = {{0}};
    char path[1400];
    size_t rows[N_CODECS * EACH];
    const manifest_where where = {"split", &split, 1};
    d->ctx = support_context();
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(spoor_model_open(d->ctx, path, &d->model, &err), &err);
    support_ok(manifest_new(d->ctx, &d->list, &err), &err);
    snprintf(path, sizeof path, "%s/m.csv", folder);
    support_ok(manifest_add(d->list, path, NULL, &where, 1, &err), &err);
    d->n = manifest_rows(d->list);
    d->width = trace_logits_size(d->model);
    for (size_t i = 0; i < d->n; i++) {
        rows[i] = i;
    }
    const json_t *spec = json_object_get(json_object_get(d->model->meta, "provenance"), "labels");
    support_ok(score_labels_new(d->ctx, d->model, d->list, rows, d->n, spec, &d->labels, &err), &err);
    d->logits = calloc(d->n, d->width * sizeof *d->logits);
    d->embedding = calloc(d->n, spoor_model_embedding_size(d->model) * sizeof *d->embedding);
    support_ok(score_all(d->ctx, d->model, 1, d->n, open_clip, d, 0, d->logits, d->embedding, errors, &err), &err);
}

static void close_clips(clips *d) {
    free(d->logits);
    free(d->embedding);
    score_labels_free(d->labels);
    manifest_free(d->list);
    spoor_model_free(d->model);
    spoor_context_free(d->ctx);
}

/* ---- tests ---- */

static const char *value_of(const char *source, const char *task) {
    for (size_t i = 0; i < N_CODECS; i++) {
        if (strcmp(CODECS[i].name, source) == 0) {
            return strcmp(task, "vq") == 0 ? CODECS[i].vq : CODECS[i].dec;
        }
    }
    return "";
}

/* P(value) is the sum of P(codec) over the codecs that have it, e by half, of what is no vocoder's; at the codecs' temperature. */
static void agree(const spoor_model *m, const float *row, const char *name) {
    size_t k = model_find_task(m, name), s = model_find_task(m, "source");
    const model_task *t = &m->tasks[k], *from = &m->tasks[s];
    double p[16], sum[16] = {0}, q[16], all = 0;
    calibrate_softmax(row + model_offset(m, s), from->n_classes, from->temperature, p);
    calibrate_softmax(row + model_offset(m, k), t->n_classes, t->temperature, q);
    for (size_t c = 0; c < from->n_classes; c++) {
        const char *own = value_of(from->classes[c], name);
        bool none = strcmp(from->classes[c], "vocoder") == 0;
        for (size_t v = 0; v < t->n_classes && !none; v++) {
            bool open = !*own && strcmp(t->classes[v], "real") != 0;
            sum[v] += strcmp(own, t->classes[v]) == 0 ? p[c] : open ? p[c] / (double)(t->n_classes - 1) : 0;
        }
        all += none ? 0 : p[c];
    }
    for (size_t v = 0; v < t->n_classes; v++) {
        support_close(q[v], sum[v] / all, 1e-5, name);
    }
}

static void consistent(void **state) {
    (void)state;
    clips d;
    open_clips(&d, run_folder("joint"), "dev");
    const spoor_model *m = d.model;
    assert_int_equal(m->tasks[model_find_task(m, "source")].n_classes, 7);
    assert_true(m->tasks[model_find_task(m, "source")].temperature != 1); /* else nothing would be shown of temperatures */
    size_t right = 0, n = 0, human = 0;
    for (size_t i = 0; i < d.n; i++) {
        const float *row = d.logits + i * d.width;
        agree(m, row, "vq");
        agree(m, row, "dec");
        size_t vq = model_find_task(m, "vq"), s = model_find_task(m, "source");
        int32_t truth = d.labels->clip[i].label[s];
        if (truth >= 0) {
            n++;
            right += d.labels->clip[i].truth[vq] < 0 || score_best(m, vq, row) == d.labels->clip[i].truth[vq];
            human += (model_human_log_odds(&m->tasks[s], row + model_offset(m, s)) > 0) == (d.labels->clip[i].is_bonafide == 1);
        }
    }
    assert_true(n == 14 && right >= 13 && human >= 13);
    close_clips(&d);
}

/* A recording of several windows: what is averaged is the codecs' logits, and the attributes follow. */
static void windows_agree(void **state) {
    (void)state;
    clips d;
    open_clips(&d, run_folder("joint"), "test");
    enum { LONG = 3 * 64600 };
    float *x = malloc(LONG * sizeof *x);
    rng r = rng_make(8, 0);
    for (int i = 0; i < LONG; i++) {
        x[i] = (float)(0.2 * sin(6.283185307 * (i < LONG / 2 ? 320 : 2800) * i / 16000) + 0.02 * rng_normal(&r));
    }
    spoor_error err;
    spoor_session *s;
    spoor_audio *audio;
    spoor_result *result;
    support_ok(spoor_session_new(d.model, &s, &err), &err);
    support_ok(spoor_audio_open_samples(d.ctx, x, LONG, 16000, &audio, &err), &err);
    support_ok(spoor_trace(s, audio, NULL, &result, &err), &err);
    assert_true(result->n_windows >= 3);
    agree(d.model, result->logits, "vq");
    agree(d.model, result->logits, "dec");
    spoor_result_free(result);
    spoor_audio_free(audio);
    spoor_session_free(s);
    free(x);
    close_clips(&d);
}

typedef struct judged {
    double accuracy, confidence, nll;
    size_t n;
} judged;

/* Of codecs that no training saw: how often the best value of the attributes is right, how sure it is, and the mean -ln p. */
static judged judge(const clips *d) {
    score_set *set;
    spoor_error err;
    judged j = {0};
    support_ok(score_set_new(d->ctx, d->model, d->labels, d->logits, d->embedding, NULL, 0, &set, &err), &err);
    for (size_t i = 0; i < d->n; i++) {
        for (int a = 0; a < 2; a++) {
            size_t k = model_find_task(d->model, a == 0 ? "vq" : "dec"), best = 0;
            const float *p = set->clips[i].scores + model_offset(d->model, k);
            int32_t truth = set->clips[i].truth[k];
            double sum = 0;
            for (size_t c = 0; c < d->model->tasks[k].n_classes; c++) {
                best = p[c] > p[best] ? c : best;
                sum += (double)p[c];
            }
            support_close(sum, 1, 1e-5, "probabilities");
            assert_true(truth >= 0);
            j.n++;
            j.accuracy += (int32_t)best == truth;
            j.confidence += (double)p[best];
            j.nll += -log(fmax((double)p[truth], 1e-9));
        }
    }
    score_set_free(set);
    j.accuracy /= (double)j.n;
    j.confidence /= (double)j.n;
    j.nll /= (double)j.n;
    return j;
}

/* The doubt was measured on codecs u1 .. u6, and is right of v1 .. v6; without it the model is too sure. */
static void held_out(void **state) {
    (void)state;
    clips d;
    open_clips(&d, run_folder("joint"), "test");
    assert_int_equal(d.n, 6 * EACH);
    size_t vq = model_find_task(d.model, "vq"), dec = model_find_task(d.model, "dec");
    assert_true(d.model->tasks[vq].unseen > 0 && d.model->tasks[dec].unseen > 0 && d.model->accepted.known > d.model->accepted.unknown);
    judged with = judge(&d);
    d.model->tasks[vq].unseen = d.model->tasks[dec].unseen = 0;
    judged without = judge(&d);
    print_message("held out: accuracy %.3f, confidence %.3f, nll %.3f; the joint head alone: %.3f, %.3f, %.3f\n", with.accuracy,
                  with.confidence, with.nll, without.accuracy, without.confidence, without.nll);
    assert_true(with.accuracy > 0.6);
    assert_true(fabs(with.confidence - with.accuracy) < 0.12);
    assert_true(without.confidence - without.accuracy > fabs(with.confidence - with.accuracy));
    assert_true(with.nll < without.nll);
    close_clips(&d);
}

/* ---- sources left out of trainings in turn ---- */

static const char *const LEFT_OUT[] = {"unseen.folds=3", "schedule.epochs=8", "openset.scorers=energy"};

/* Each of the five codecs and the vocoder is left out once; e has no decoder and the vocoder neither. Dev's unknown codecs are not looked
 * at, and the model file says the same when it is opened again. */
static void left_out(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    clips d;
    char *out = run_folder("left"), path[1400];
    support_ok(train(out, 2, false, &w, LEFT_OUT, 3, &err), &err);
    open_clips(&d, out, "dev");
    const spoor_model *m = d.model;
    const model_task *vq = &m->tasks[model_find_task(m, "vq")], *dec = &m->tasks[model_find_task(m, "dec")];
    assert_true(vq->unseen == 0 && vq->evidence != NULL && vq->evidence->values == 2);
    /* a, b and e are MVQ, c and d SVQ; classes are sorted */
    support_close(vq->evidence->share[0], 4.0 / 7, 1e-12, "share");
    const json_t *of = json_object_get(json_array_get(json_object_get(m->meta, "tasks"), model_find_task(m, "vq")), "calibration_unseen");
    assert_int_equal(json_integer_value(json_object_get(of, "sources")), 5);
    assert_int_equal(json_integer_value(json_object_get(of, "n")), 5 * EACH);
    double right = json_real_value(json_object_get(json_object_get(of, "left_out"), "accuracy"));
    assert_true(right >= 0.2 && right <= 1);
    of = json_object_get(json_array_get(json_object_get(m->meta, "tasks"), model_find_task(m, "dec")), "calibration_unseen");
    assert_int_equal(json_integer_value(json_object_get(of, "sources")), 4);
    assert_true(dec->evidence != NULL && m->has_odds && m->odds.others == 6 * EACH && m->odds.prior == 0.5);
    /* dev's clips of known codecs, each heard by the two networks that know it */
    assert_int_equal(m->odds.targets, 2 * 6 * 2);
    score_set *set;
    support_ok(score_set_new(d.ctx, m, d.labels, d.logits, d.embedding, NULL, 5, &set, &err), &err);
    snprintf(path, sizeof path, "%s/again.tsv", out);
    support_ok(score_file_write(d.ctx, path, &set->set, &err), &err);
    char want[65], got[65];
    hash(out, "dev-scores.tsv", want);
    hash(out, "again.tsv", got);
    assert_string_equal(want, got);
    score_set_free(set);
    close_clips(&d);
    size_t missing = 0; /* from the networks that were trained without */
    for (int k = 1; k <= 3; k++) {
        char fold[600];
        clips without;
        snprintf(fold, sizeof fold, "%s/unseen-%d", out, k);
        open_clips(&without, fold, "test");
        missing += 7 - without.model->tasks[model_find_task(without.model, "source")].n_classes;
        assert_int_equal(without.model->tasks[model_find_task(without.model, "vq")].n_classes, 3);
        close_clips(&without);
    }
    assert_int_equal(missing, 6);
}

/* Stopped in the model's own training, in that of the second network without some codecs, and killed anywhere. */
static void left_out_interrupted(void **state) {
    (void)state;
    spoor_error err;
    char whole[65], parts[65], *two = run_folder("left-parts");
    watch c = {.cancel_at = 11};
    assert_int_equal(train(two, 1, true, &c, LEFT_OUT, 3, &err), SPOOR_ERR_CANCELLED);
    c = (watch){.cancel_at = 50}; /* 32 and 24 are the model's and the first network's batches */
    assert_int_equal(train(two, 3, true, &c, LEFT_OUT, 3, &err), SPOOR_ERR_CANCELLED);
    c = (watch){0};
    support_ok(train(two, 2, true, &c, LEFT_OUT, 3, &err), &err);
    hash(run_folder("left"), "model.safetensors", whole);
    hash(two, "model.safetensors", parts);
    assert_string_equal(whole, parts);
    killed_gives_the_same("left-killed", LEFT_OUT, 3, 6, 0.15);
}

static void left_out_memory(void **state) {
    (void)state;
    static const char *const set[] = {"unseen.folds=2", "schedule.epochs=1", "openset.scorers=energy"};
    failing_memory_is_refused(set, 3);
}

static void left_out_refused(void **state) {
    (void)state;
    static const struct {
        const char *set[2], *says;
    } cases[] = {{{"unseen.folds=1", "batch=16"}, "2 trainings at least"},
                 {{"unseen.folds=3", "from=m.safetensors"}, "m.safetensors"},
                 {{"unseen.folds=3", "data.source_task=bonafide"}, "a source that alone has a value"},
                 {{"unseen.folds=3", "data.dev.split=none"}, "no dev clips"},
                 {{"unseen.folds=3", "data.source_task=none"}, "nothing to learn"},
                 {{"data.without=nobody", "batch=16"}, "data.without names nobody"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)refused_with(cases[i].set, cases[i].says);
    }
}

static void interrupted(void **state) {
    (void)state;
    spoor_error err;
    watch c = {.cancel_at = 11};
    char whole[65], parts[65], *two = run_folder("parts");
    assert_int_equal(train(two, 1, true, &c, NULL, 0, &err), SPOOR_ERR_CANCELLED);
    c = (watch){0};
    support_ok(train(two, 3, true, &c, NULL, 0, &err), &err);
    hash(run_folder("joint"), "model.safetensors", whole);
    hash(two, "model.safetensors", parts);
    assert_string_equal(whole, parts);
}

/* Mixed rows, class weights, half precision, a parent that is the bona fide task: they train, and the rows agree all the same. */
static void variants(void **state) {
    (void)state;
    static const char *const sets[][3] = {
        {"mixup.kind=regmixup", "mixup.level=embedding", "schedule.epochs=6"},
        {"mixup.kind=mixup", "data.tasks.source.class_weights=balanced", "schedule.epochs=6"},
        {"model.half=true", "data.tasks.vq.weight=0", "schedule.epochs=6"}};
    for (size_t i = 0; i < 3; i++) {
        spoor_error err;
        watch w = {0};
        char name[32];
        snprintf(name, sizeof name, "variant%zu", i);
        char *out = run_folder(name);
        support_ok(train(out, 2, false, &w, sets[i], 3, &err), &err);
        clips d;
        open_clips(&d, out, "dev");
        for (size_t k = 0; k < d.n; k++) {
            agree(d.model, d.logits + k * d.width, "vq");
        }
        close_clips(&d);
    }
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *set[2], *says;
    } cases[] = {{{"joint.task=x", "batch=16"}, "no task named x"},
                 {{"data.tasks.source.smoothing=0.1", "batch=16"}, "no smoothing"},
                 {{"data.tasks.vq.from=source", "batch=16"}, "another kind of head"},
                 {{"oc.weight=1", "joint.task=bonafide"}, "another kind of head"},
                 {{"joint.task=vq", "batch=16"}, "its own parent"},
                 {{"network.kind=pooled", "joint.of=x"}, "joint"},
                 {{"taxonomy=nowhere.json", "batch=16"}, "nowhere.json"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)refused_with(cases[i].set, cases[i].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(consistent), cmocka_unit_test(windows_agree), cmocka_unit_test(held_out),
                                       cmocka_unit_test(interrupted), cmocka_unit_test(variants), cmocka_unit_test(refused), cmocka_unit_test(left_out),
                                       cmocka_unit_test(left_out_interrupted), cmocka_unit_test(left_out_memory),
                                       cmocka_unit_test(left_out_refused)};
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
