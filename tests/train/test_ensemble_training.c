/* test_ensemble_training.c: a training over a pretrained encoder beside a spectrum, with members that learn and a member
 * that is fitted, and an answer derived from another: the model file stands alone, and neither threads nor an interruption
 * change a bit. */
#include "frontend/checkpoints.h"
#include "support/folder.h"
#include "train/synthetic.h"
#include "trace/trace.h"
#include "train/trainer.h"
#include <stdlib.h>

static const char RECIPE[] =
    "name: tiny\nseed: 5\nbatch: 8\n"
    "data:\n  manifests: [{path: m.csv, where: {page: [page0, page1]}}, {path: m.csv, where: {page: [page2, page3, page4]}}]\n  crop: 3200\n  tasks:\n    source: {smoothing: 0.05}\n"
    "    bonafide: {column: label, weight: 0.5}\n    kind: {column: label, from: source}\n"
    "frontend:\n  kind: join\n  parts:\n    - {kind: whisper, weights: checkpoint, layer: 1, positions: 202}\n"
    "    - {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 320}\n"
    "network:\n  kind: ensemble\n  members:\n"
    "    - {kind: conformer, first: 16, columns: 16, dim: 8, depth: 1, heads: 2, kernel: 3, ff_mult: 1, max_distance: 8,\n"
    "       pooling: stats, crop: 0.6, weight: 0.5}\n"
    "    - {kind: pooled, first: 16, columns: 16, pool_norm: true, embedding_dropout: 0.1, weight: 0.5}\n"
    "    - {kind: pooled, first: 0, columns: 16, pool_norm: true, logistic: 0.01, copies: 1, humans: 2}\n"
    "    - {kind: pooled, first: 16, columns: 16, pool_norm: true, logistic: 0.02, neighbours: 2, gate: true}\n"
    "augment: [{kind: gain, p: 0.5, db: [-3, 3]}]\n"
    "optimiser: {lr: 0.02}\nschedule: {epochs: 6, warmup: 1}\naverage: {kind: ema, decay: 0.9}\n"
    "dev: {every: 3, metrics: [{name: acc, task: source}, {name: auroc, task: bonafide, kind: auroc}], select: [acc, auroc]}\n"
    "model: {half: true}\n";

static int setup(void **state) {
    folder_new(state);
    synthetic_make(folder);
    checkpoint_whisper(folder_path("checkpoint"), 3);
    folder_write("e.yaml", RECIPE);
    return 0;
}

typedef struct watch {
    int batches, cancel_at;
    double accuracy;
} watch;

static void news(void *user, const trainer_news *n) {
    watch *w = user;
    w->batches += n->line == NULL;
    json_t *dev = json_object_get(n->line, "dev");
    w->accuracy = dev != NULL ? json_number_value(json_object_get(dev, "acc")) : w->accuracy;
}

static int cancel(void *user) {
    const watch *w = user;
    return w->cancel_at > 0 && w->batches >= w->cancel_at;
}

static spoor_status train(const char *name, unsigned threads, bool resume, watch *w, char hex[65]) {
    char recipe[400], out[400], model[500];
    spoor_error err = {0};
    snprintf(recipe, sizeof recipe, "%s/e.yaml", folder);
    snprintf(out, sizeof out, "%s/run-%s", folder, name);
    snprintf(model, sizeof model, "%s/model.safetensors", out);
    spoor_context_options c;
    spoor_context_options_init(&c);
    c.cancel = cancel;
    c.user = w;
    spoor_context *ctx;
    support_ok(spoor_context_new(&c, &ctx, &err), &err);
    trainer_options o = {.recipe = recipe, .out = out, .resume = resume, .threads = threads, .news = news, .user = w};
    spoor_status status = trainer_run(ctx, &o, &err);
    spoor_context_free(ctx);
    if (status == SPOOR_OK) {
        support_ok(io_sha256_file(model, hex, &err), &err);
    } else {
        support_ok(status == SPOOR_ERR_CANCELLED ? SPOOR_OK : status, &err);
    }
    return status;
}

static void threads_and_interruptions_change_nothing(void **state) {
    (void)state;
    char one[65], other[65];
    watch w = {0};
    assert_int_equal(train("one", 1, false, &w, one), SPOOR_OK);
    assert_true(w.accuracy > 0.5);
    assert_int_equal(train("eight", 8, false, &(watch){0}, other), SPOOR_OK);
    assert_string_equal(one, other);
    assert_int_equal(train("stopped", 2, false, &(watch){.cancel_at = 9}, other), SPOOR_ERR_CANCELLED);
    assert_int_equal(train("stopped", 2, true, &(watch){0}, other), SPOOR_OK);
    assert_string_equal(one, other);
}

static void as_many_kinds_of_human_speech_as_lists(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"humans: 3", "stand in 2 of data.manifests"}, {"humans: 0", "humans must be a whole number"},
        {"humans: 65", "humans must be a whole number"}, {"humans: two", "humans must be a whole number"}};
    char text[sizeof RECIPE + 20], recipe[400], out[400];
    snprintf(recipe, sizeof recipe, "%s/wrong.yaml", folder);
    snprintf(out, sizeof out, "%s/run-wrong", folder);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *at = strstr(RECIPE, "humans: 2");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - RECIPE), RECIPE, wrong[i][0], at + strlen("humans: 2"));
        folder_write("wrong.yaml", text);
        spoor_context *ctx = support_context();
        spoor_error err = {0};
        assert_int_equal(trainer_run(ctx, &(trainer_options){.recipe = recipe, .out = out, .threads = 1}, &err), SPOOR_ERR_USAGE);
        if (strstr(err.message, wrong[i][1]) == NULL) {
            fail_msg("%s: \"%s\"", wrong[i][0], err.message);
        }
        spoor_context_free(ctx);
    }
}

/* One member that says nearly nothing, and one with a gate, so that the logits are log probabilities times the gate. */
static const char GATED[] =
    "name: gated\nseed: 5\nbatch: 8\n"
    "data: {manifests: [{path: m.csv}], crop: 3200, tasks: {source: {}}}\n"
    "frontend: {kind: log-mel, n_mels: 16, n_fft: 1024, win_length: 800, hop_length: 800}\n"
    "network: {kind: ensemble, members: [{kind: pooled, weight: 0.000001},\n"
    "  {kind: pooled, pool_norm: true, logistic: 0.001, gate: true}]}\n"
    "augment: [{kind: gain, p: 1, db: [10, 10]}]\n"
    "schedule: {epochs: 1, warmup: 0}\n";

/* The gate of a recording: of the sum of the probabilities, what the logits are short of. */
static double gate_of(spoor_session *s, const float *samples, double loudness) {
    static float window[64600];
    float logits[16], embedding[128];
    spoor_error err = {0};
    for (int i = 0; i < 64600; i++) {
        window[i] = (float)loudness * samples[i % SYNTHETIC_SAMPLES];
    }
    support_ok(trace_window_forward(s, window, logits, embedding, &err), &err);
    double sum = 0, least = 0;
    for (int c = 0; c < 4; c++) {
        sum += exp((double)logits[c]);
        least = fmin(least, (double)logits[c]);
    }
    return least > -0.5 ? 0 : log(sum) < 0.1 ? 1 : 0.5; /* shut: all logits near 0; open: probabilities */
}

static void a_gate_knows_clips_from_their_copies(void **state) {
    (void)state;
    char recipe[400], out[400], path[500];
    spoor_error err = {0};
    folder_write("gated.yaml", GATED);
    snprintf(recipe, sizeof recipe, "%s/gated.yaml", folder);
    snprintf(out, sizeof out, "%s/run-gated", folder);
    spoor_context *ctx = support_context();
    support_ok(trainer_run(ctx, &(trainer_options){.recipe = recipe, .out = out, .threads = 2}, &err), &err);
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    spoor_model *m;
    spoor_session *s;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    support_ok(spoor_session_new(m, &s, &err), &err);
    int open = 0, shut = 0, clips = 0;
    for (int i = 0; i < SYNTHETIC_CLIPS; i++) {
        unsigned char *file;
        size_t size;
        float samples[SYNTHETIC_SAMPLES];
        snprintf(path, sizeof path, "%s/c%d.wav", folder, i);
        support_ok(io_read_file(ctx, path, 1 << 20, &file, &size, &err), &err);
        for (int k = 0; k < SYNTHETIC_SAMPLES; k++) {
            samples[k] = (float)(int16_t)(file[44 + 2 * k] | file[45 + 2 * k] << 8) / 32768;
        }
        ctx_free(ctx, file);
        clips++;
        open += gate_of(s, samples, 1) > 0.9;
        shut += gate_of(s, samples, pow(10, 0.5)) < 0.1;
    }
    if (open < clips - 2 || shut < clips - 2) {
        fail_msg("of %d clips the gate is open for %d, and shut for %d of them 10 dB louder", clips, open, shut);
    }
    spoor_session_free(s);
    spoor_model_free(m);
    spoor_context_free(ctx);
}

/* The checkpoint is not needed any more; reduced precision changes little. */
static void the_model_stands_alone(void **state) {
    (void)state;
    char path[500], moved[500], hex[65];
    spoor_error err = {0};
    assert_int_equal(train("alone", 2, false, &(watch){0}, hex), SPOOR_OK);
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    snprintf(moved, sizeof moved, "%s/elsewhere", folder);
    assert_int_equal(rename(path, moved), 0);
    snprintf(path, sizeof path, "%s/run-alone/model.safetensors", folder);
    spoor_context *ctx = support_context();
    float samples[64600], logits[2][16], embedding[256];
    for (int i = 0; i < 64600; i++) {
        samples[i] = (float)(0.3 * sin(0.1 * i));
    }
    static const char *const precisions[2] = {NULL, "bf16"};
    for (int i = 0; i < 2; i++) {
        spoor_model *m;
        spoor_session *s;
        spoor_model_options o;
        spoor_model_options_init(&o);
        o.precision = precisions[i];
        support_ok(spoor_model_open_with(ctx, path, &o, &m, &err), &err);
        assert_null(json_object_get(json_array_get(json_object_get(json_object_get(m->meta, "frontend"), "parts"), 0), "weights"));
        assert_int_equal(m->n_tasks, 3);
        assert_true(net_embedding_size(m->net) <= 256);
        assert_null(m->tasks[0].parent);
        assert_non_null(m->tasks[2].parent);
        assert_string_equal(m->tasks[2].name, "kind");
        support_ok(spoor_session_new(m, &s, &err), &err);
        support_ok(trace_window_forward(s, samples, logits[i], embedding, &err), &err);
        spoor_session_free(s);
        spoor_model_free(m);
    }
    for (int k = 0; k < 8; k++) {
        assert_true(isfinite(logits[0][k]));
        support_close((double)logits[1][k], (double)logits[0][k], 0.05, "logits in bf16");
    }
    spoor_context_free(ctx);
    assert_int_equal(rename(moved, (snprintf(path, sizeof path, "%s/checkpoint", folder), path)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_interruptions_change_nothing),
        cmocka_unit_test(as_many_kinds_of_human_speech_as_lists),
        cmocka_unit_test(a_gate_knows_clips_from_their_copies),
        cmocka_unit_test(the_model_stands_alone),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
