/* Trainings of the models of a codec taxonomy on generated audio: one question, bona fide and one, all four, the three about codecs.
 * What is stored of each; drawing by the taxonomy; class weights as given; task weights softmaxed and learned; the bona fide
 * score of a model without that head; a stage alone; threads and interruptions change no bit. */
#include "train/draw.h"
#include "train/runs.h"

static const char RECIPE[] =
    "name: codec\nseed: 5\nbatch: 8\n"
    "data:\n  manifests: [{path: m.csv}]\n  crop: 3200\n  source_task: vq\n  tasks:\n"
    "    bonafide: {column: label, class_weights: {bonafide: 0.9, spoof: 0.1}}\n"
    "    vq: {column: [vq, label], except: [spoof], class_weights: {bonafide: 0.1, MVQ: 0.3, SVQ: 0.3, SQ: 0.3}}\n"
    "    aux: {column: [aux, label], except: [spoof]}\n"
    "    dec: {column: [dec, label], except: [spoof], class_weights: {bonafide: 0.1, time: 0.45, freq: 0.45}}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
    "network: {kind: aasist, backends: task, project: 8, channels: [2, 3], graph: [4, 3], attention: 4, dropout: 0.1}\n"
    "sampler: {kind: taxonomy, by: vq}\n"
    "optimiser: {lr: 0.02, clip: 4}\nschedule: {epochs: 3, warmup: 1}\naverage: {kind: ema, decay: 0.5}\n"
    "model: {bonafide_score: task}\n"
    "dev: {metrics: [{name: eer, kind: eer}], select: [eer]}\n"
    "stages:\n"
    "  - {name: S, data: {tasks: {bonafide: null, aux: null, dec: null}}}\n"
    "  - {name: D, data: {tasks: {aux: null, dec: null, bonafide: {weight: 0.5}, vq: {weight: 0.5}}}}\n"
    "  - {name: M1, data: {tasks: {bonafide: {weight: 0.25}, vq: {weight: 0.25}, aux: {weight: 0.25}, dec: {weight: 0.25}}}}\n"
    "  - {name: M2, data: {tasks: {bonafide: null, vq: {weight: 0.3}, aux: {weight: 0.4}, dec: {weight: 0.3}}},\n"
    "     model: {bonafide_score: product}}\n";

/* The clips of synthetic.h: two codecs of the class MVQ, one of SVQ; noise that is bona fide. */
static void write_list(void) {
    static const char *const labels[] = {"spoof,low,MVQ,none,time", "spoof,high,SVQ,semantic,freq", "spoof,white,MVQ,none,time",
                                         "bonafide,bonafide,,,"};
    char csv[8192];
    size_t at = (size_t)snprintf(csv, sizeof csv, "path,split,label,source,vq,aux,dec,page\n");
    for (int i = 0; i < SYNTHETIC_CLIPS; i++) {
        at += (size_t)snprintf(csv + at, sizeof csv - at, "c%d.wav,%s,%s,page%d\n", i, i / 4 % 4 == 3 ? "dev" : "train", labels[i % 4],
                               i / 8);
    }
    folder_write("m.csv", csv);
}

static int setup(void **state) {
    runs_setup(state);
    write_list();
    folder_write("codec.yaml", RECIPE);
    recipe_file = "codec.yaml";
    return 0;
}

static char *inside(const char *out, const char *stage) {
    static char path[8][700];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", out, stage);
    return p;
}

static const char *text_of(const spoor_model *m, const char *key) { return json_string_value(json_object_get(m->meta, key)); }

static bool has(const spoor_model *m, const char *name) { return params_find(net_params(m->net), name) != NULL; }

/* All four, one after the other: which back ends there are, what an embedding is, which score is the bona fide one. */
static void what_is_stored(void **state) {
    (void)state;
    static const struct {
        const char *stage;
        bool asks[4];
        const char *score;
    } cases[] = {{"S", {false, true, false, false}, "task"},
                 {"D", {true, true, false, false}, "task"},
                 {"M1", {true, true, true, true}, "task"},
                 {"M2", {false, true, true, true}, "product"}};
    static const char *const tasks[] = {"bonafide", "vq", "aux", "dec"};
    spoor_error err;
    watch w = {0};
    char *out = run_folder("all");
    support_ok(train(out, 2, false, &w, NULL, 0, &err), &err);
    assert_int_equal(w.epochs, 12);
    for (size_t i = 0; i < 4; i++) {
        char name[64], *own = inside(out, cases[i].stage);
        size_t asked = 0;
        same_dev_scores(own, true);
        dev_model d;
        open_dev(&d, own);
        for (size_t k = 0; k < 4; k++) {
            bool asks = cases[i].asks[k];
            asked += asks;
            assert_true((model_find_task(d.model, tasks[k]) != SIZE_MAX) == asks);
            snprintf(name, sizeof name, "backends.%s.positions", tasks[k]);
            assert_true(has(d.model, name) == asks);
            snprintf(name, sizeof name, "heads.%s.weight", tasks[k]);
            assert_true(has(d.model, name) == asks);
        }
        assert_true(has(d.model, "blocks.0.conv1.weight") && !has(d.model, "positions") && !has(d.model, "task_weights"));
        assert_int_equal(spoor_model_embedding_size(d.model), 15 * asked);
        assert_string_equal(json_string_value(json_object_get(json_object_get(d.model->meta, "network"), "backends")), "task");
        assert_string_equal(text_of(d.model, "bonafide_score"), cases[i].score);
        assert_string_equal(MODEL_BONAFIDE_KINDS[d.model->bonafide_kind], cases[i].score);
        assert_true(d.model->bonafide_task != SIZE_MAX && d.model->bonafide.informative);
        close_dev(&d);
    }
    char a[65], b[65];
    hash(out, "model.safetensors", a);
    hash(inside(out, "M2"), "model.safetensors", b);
    assert_string_equal(a, b); /* the last stage's model is the training's */
}

/* Learning at all: with more epochs, on windows as long as those of dev, the questions are answered on clips that were not seen. */
static void they_learn(void **state) {
    (void)state;
    static const char *const set[] = {"schedule.epochs=40", "dev.every=40", "data.crop=64600"};
    spoor_error err;
    watch w = {0};
    char *out = run_folder("learn");
    support_ok(train_stage("M2", out, 2, false, &w, set, 3, &err), &err);
    dev_model d;
    open_dev(&d, inside(out, "M2"));
    support_ok(score_all(d.ctx, d.model, 2, d.n, open_row, d.list, 0, d.logits, NULL, d.errors, &err), &err);
    size_t width = trace_logits_size(d.model), right = 0, all = 0;
    for (size_t i = 0; i < d.n; i++) {
        for (size_t k = 0; k < d.model->n_tasks; k++) {
            const float *x = d.logits + i * width + model_offset(d.model, k);
            size_t best = 0;
            for (size_t c = 1; c < d.model->tasks[k].n_classes; c++) {
                best = x[c] > x[best] ? c : best;
            }
            right += (int32_t)best == d.labels->clip[i].label[k];
            all++;
        }
    }
    assert_int_equal(all, 3 * d.n);
    support_close((double)right / (double)all, 1, 0.2, "share of right answers");
    close_dev(&d);
}

/* A stage alone has the bits that it has among all, on any number of threads; afterwards the rest goes on around it. */
static void a_stage_alone(void **state) {
    (void)state;
    spoor_error err;
    watch w = {0};
    char a[65], b[65], *all = run_folder("all"), *out = run_folder("alone");
    hash(inside(all, "M1"), "model.safetensors", a);
    for (unsigned threads = 1; threads <= 8; threads *= 8) {
        char name[16];
        snprintf(name, sizeof name, "alone%u", threads);
        out = run_folder(name);
        w = (watch){0};
        support_ok(train_stage("M1", out, threads, false, &w, NULL, 0, &err), &err);
        assert_int_equal(w.epochs, 3);
        hash(inside(out, "M1"), "model.safetensors", b);
        assert_string_equal(a, b);
    }
    assert_int_equal(train_stage("M1", out, 1, false, &w, NULL, 0, &err), SPOOR_ERR_USAGE); /* there already */
    w = (watch){0};
    support_ok(train_stage("S", out, 1, false, &w, NULL, 0, &err), &err); /* beside it */
    assert_int_equal(w.epochs, 3);
    w = (watch){0};
    support_ok(train(out, 2, true, &w, NULL, 0, &err), &err);
    assert_int_equal(w.epochs, 6); /* D and M2 were missing */
    hash(all, "model.safetensors", a);
    hash(out, "model.safetensors", b);
    assert_string_equal(a, b);
    assert_int_equal(train_stage("M3", run_folder("none"), 1, false, &w, NULL, 0, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "no stage named M3; the first one is S"));
}

/* The last line of a log. */
static json_t *last_line(const char *out) {
    spoor_context *ctx = support_context();
    spoor_error err;
    char path[800];
    unsigned char *text;
    size_t size;
    snprintf(path, sizeof path, "%s/log.jsonl", out);
    support_ok(io_read_file(ctx, path, 1 << 20, &text, &size, &err), &err);
    size_t at = size - 1;
    while (at > 0 && text[at - 1] != '\n') {
        at--;
    }
    json_t *line = json_loadb((const char *)text + at, size - at, 0, NULL);
    ctx_free(ctx, text);
    spoor_context_free(ctx);
    assert_non_null(line);
    return line;
}

/* Learned weights go to where the loss is small, sum to 1, are written down, and come back after an interruption. */
static void learned_weights(void **state) {
    (void)state;
    static const char *const set[] = {"task_weights=learned", "optimiser.lr=0.05"};
    spoor_error err;
    watch w = {0}, c = {.cancel_at = 5};
    char whole[65], parts[65], *one = run_folder("whole"), *two = run_folder("parts");
    support_ok(train_stage("M1", one, 2, false, &w, set, 2, &err), &err);
    assert_int_equal(train_stage("M1", two, 1, true, &c, set, 2, &err), SPOOR_ERR_CANCELLED);
    c = (watch){0};
    support_ok(train_stage("M1", two, 3, true, &c, set, 2, &err), &err);
    hash(inside(one, "M1"), "model.safetensors", whole);
    hash(inside(two, "M1"), "model.safetensors", parts);
    assert_string_equal(whole, parts);
    dev_model d;
    open_dev(&d, inside(one, "M1"));
    assert_false(has(d.model, "task_weights")); /* of the training, not of the model */
    json_t *stored = json_object_get(json_object_get(d.model->meta, "provenance"), "task_weights");
    json_t *line = last_line(inside(one, "M1")), *logged = json_object_get(line, "task_weights"), *losses = json_object_get(line, "tasks");
    const char *name;
    json_t *value;
    double sum[2] = {0}, least = 1, most = 0;
    const char *lightest = NULL, *heaviest = NULL;
    assert_int_equal(json_object_size(stored), 4);
    json_object_foreach(logged, name, value) {
        double x = json_number_value(value);
        sum[0] += x;
        sum[1] += json_number_value(json_object_get(stored, name));
        lightest = x < least ? name : lightest;
        least = x < least ? x : least;
        heaviest = x > most ? name : heaviest;
        most = x > most ? x : most;
    }
    support_close(sum[0], 1, 1e-6, "sum of the logged weights");
    support_close(sum[1], 1, 1e-6, "sum of the stored weights");
    assert_true(most - least > 0.02); /* they began equal */
    assert_true(json_number_value(json_object_get(losses, heaviest)) < json_number_value(json_object_get(losses, lightest)));
    json_decref(line);
    close_dev(&d);
}

/* Softmaxed weights of equal numbers are equal weights, to the bit of the seed's model; fixed ones of 0.3, 0.4, 0.3 are others. */
static void softmaxed_weights(void **state) {
    (void)state;
    static const char *const equal[] = {"task_weights=softmax", "stages.2.data.tasks.vq.weight=7", "stages.2.data.tasks.aux.weight=7",
                                        "stages.2.data.tasks.dec.weight=7", "stages.2.data.tasks.bonafide.weight=7"};
    spoor_error err;
    watch w = {0}, v = {0}, u = {0};
    support_ok(train_stage("M1", run_folder("softmax"), 1, false, &w, equal, 5, &err), &err);
    support_ok(train_stage("M1", run_folder("fixed"), 1, false, &v, NULL, 0, &err), &err);
    support_close(w.loss, v.loss, 0, "softmax of four equal weights is a quarter each");
    static const char *const other[] = {"task_weights=softmax", "stages.2.data.tasks.vq.weight=1"};
    support_ok(train_stage("M1", run_folder("other"), 1, false, &u, other, 2, &err), &err);
    assert_true(u.loss != v.loss);
}

static json_t *balance;
static size_t told;

static void drawn(void *user, const char *stage, const json_t *b) {
    (void)user;
    assert_non_null(stage);
    told++;
    json_decref(balance);
    balance = json_deep_copy(b);
}

static json_int_t count(const char *task, const char *class) {
    return json_integer_value(json_object_get(json_object_get(json_object_get(balance, "tasks"), task), class));
}

/* 32 training clips, 8 of them bona fide: an epoch of 16, MVQ as often as SVQ, low as often as white. No recording is needed. */
static void what_is_drawn(void **state) {
    (void)state;
    char yaml[512], path[512];
    spoor_error err;
    spoor_context *ctx = support_context();
    snprintf(yaml, sizeof yaml, "%s/codec.yaml", folder);
    snprintf(path, sizeof path, "%s/c1.wav", folder);
    char moved[520];
    snprintf(moved, sizeof moved, "%s.away", path);
    assert_int_equal(rename(path, moved), 0);
    trainer_options o = {.recipe = yaml};
    support_ok(trainer_draw(ctx, &o, drawn, &err), &err);
    assert_int_equal(told, 4);
    o.stage = "M1";
    support_ok(trainer_draw(ctx, &o, drawn, &err), &err);
    assert_int_equal(rename(moved, path), 0);
    assert_int_equal(told, 5);
    assert_int_equal(json_integer_value(json_object_get(balance, "clips")), 16);
    assert_int_equal(count("bonafide", "bonafide"), 8);
    assert_int_equal(count("vq", "bonafide"), 8);
    assert_int_equal(count("vq", "MVQ"), 4);
    assert_int_equal(count("vq", "SVQ"), 4);
    assert_int_equal(count("dec", "time"), 4);
    const json_t *within = json_object_get(json_object_get(balance, "within"), "values");
    assert_int_equal(json_integer_value(json_object_get(within, "low")), 2);
    assert_int_equal(json_integer_value(json_object_get(within, "white")), 2);
    assert_int_equal(json_integer_value(json_object_get(within, "high")), 4);
    char *text = draw_text(ctx, balance, 2);
    assert_non_null(strstr(text, "the first epoch draws 16 clips, "));
    assert_non_null(strstr(text, "\n  bonafide: bonafide 8, spoof 8"));
    assert_non_null(strstr(text, "\n  vq: 3 classes"));
    ctx_free(ctx, text);
    json_decref(balance);
    balance = NULL;
    spoor_context_free(ctx);
}

static void what_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *set, *says;
    } cases[] = {{"sampler.by=", "sampler.by must be a text"},
                 {"sampler.by=quantiser", "sampler.by names the column quantiser, which no manifest has"},
                 {"sampler.within=codec", "sampler.within names the column codec"},
                 {"sampler.kind=shuffled", "by and clips go with it"},
                 {"sampler.human=2", "sampler"},
                 {"stages.2.data.tasks.vq.class_weights.MVQ=-1", "class_weights.MVQ must be a number"},
                 {"stages.2.data.tasks.vq.class_weights.MVQ=much", "class_weights.MVQ must be a number"},
                 {"stages.2.data.tasks.aux.class_weights.none=1", "data.tasks.aux.class_weights has no weight for the class bonafide"},
                 {"stages.2.data.tasks.aux.class_weights.none=0", "at least one class a weight above 0"},
                 {"task_weights=learnt", "task_weights"},
                 {"model.bonafide_score=sum", "bonafide_score"},
                 {"network.kind=conformer", "backends"},
                 {"ge2e.weight=1", "ge2e"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err = {0};
        watch w = {0};
        spoor_status status = train_stage("M1", run_folder("refused"), 1, false, &w, &cases[i].set, 1, &err);
        assert_true(status == SPOOR_ERR_USAGE || status == SPOOR_ERR_INPUT);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("%s says: %s", cases[i].set, err.message);
        }
        support_remove(run_folder("refused"));
    }
    spoor_error err = {0};
    watch w = {0};
    recipe_file = "r.yaml"; /* of synthetic.h: balanced by a task */
    assert_int_equal(train(run_folder("refused"), 1, false, &w, (const char *[]){"sampler.kind=taxonomy"}, 1, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "kind: taxonomy needs by, the column of the classes"));
    assert_int_equal(train_stage("S", run_folder("refused"), 1, false, &w, NULL, 0, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "no stage named S"));
    recipe_file = "codec.yaml";
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_stored),    cmocka_unit_test(they_learn),
                                       cmocka_unit_test(a_stage_alone),     cmocka_unit_test(learned_weights),
                                       cmocka_unit_test(softmaxed_weights), cmocka_unit_test(what_is_drawn),
                                       cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
