/* runs.h: trainings of the synthetic task (synthetic.h) for tests: run, cancel, hash what comes out, and open it again. */
#ifndef TESTS_TRAIN_RUNS_H
#define TESTS_TRAIN_RUNS_H
#include "data/manifest.h"
#include "eval/scores.h"
#include "support/folder.h"
#include "trace/trace.h"
#include "train/score.h"
#include "train/synthetic.h"
#include "train/trainer.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *recipe_file = "r.yaml"; /* in the folder */
static spoor_context *shared; /* of open_row */

typedef struct watch { /* cancel after some batches; the last epoch's line */
    int batches, cancel_at, epochs;
    double loss, accuracy;
} watch;

static inline void news(void *user, const trainer_news *n) {
    watch *w = user;
    w->batches += n->line == NULL;
    if (n->line != NULL) {
        w->epochs++;
        w->loss = n->loss;
        w->accuracy = json_number_value(json_object_get(json_object_get(n->line, "dev"), "acc"));
    }
}

static inline int cancel(void *user) {
    const watch *w = user;
    return w->cancel_at > 0 && w->batches >= w->cancel_at;
}

/* A group's setup: the synthetic task in a folder (folder.h) that folder_remove removes. */
static inline int runs_setup(void **state) {
    folder_new(state);
    synthetic_make(folder);
    return 0;
}

/* One stage of the recipe into OUT/STAGE; NULL: all of it into OUT. */
static inline spoor_status train_stage(const char *stage, const char *out, unsigned threads, bool resume, watch *w,
                                       const char *const *set, size_t n_set, spoor_error *err) {
    spoor_context_options c;
    spoor_context_options_init(&c);
    c.cancel = cancel;
    c.user = w;
    spoor_context *ctx;
    support_ok(spoor_context_new(&c, &ctx, err), err);
    trainer_options o = {.recipe = folder_path(recipe_file), .set = set, .n_set = n_set, .out = out, .stage = stage, .resume = resume,
                         .threads = threads, .news = news, .user = w};
    spoor_status status = trainer_run(ctx, &o, err);
    spoor_context_free(ctx);
    return status;
}

static inline spoor_status train(const char *out, unsigned threads, bool resume, watch *w, const char *const *set,
                                 size_t n_set, spoor_error *err) {
    return train_stage(NULL, out, threads, resume, w, set, n_set, err);
}

/* Bytes of FOLDER/OUT/NAME, hashed. */
static inline void hash(const char *out, const char *name, char hex[65]) {
    char path[1400];
    spoor_error err;
    snprintf(path, sizeof path, "%s/%s", out, name);
    support_ok(io_sha256_file(path, hex, &err), &err);
}

static inline char *run_folder(const char *name) {
    static char path[8][512];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/run-%s", folder, name);
    return p;
}

/* A training with these two settings is refused with a sentence that says `says`; returns its status. */
static inline spoor_status refused_with(const char *const set[2], const char *says) {
    spoor_error err;
    watch w = {0};
    spoor_status status = train(run_folder("refused"), 1, false, &w, set, 2, &err);
    assert_true(status != SPOOR_OK);
    if (strstr(err.message, says) == NULL) {
        fail_msg("%s %s says: %s", set[0], set[1], err.message);
    }
    return status;
}

/* SIGKILL at random moments of up to `longest` seconds, also while a checkpoint is written: a child trains, is killed,
 * another goes on; in the end the model has the bits of a training in one go. */
static inline void killed_gives_the_same(const char *name, const char *const *set, size_t n_set, int most, double longest) {
    spoor_error err;
    watch w = {0};
    char a[65], b[65], names[2][32];
    snprintf(names[0], sizeof names[0], "%s-whole", name);
    snprintf(names[1], sizeof names[1], "%s-killed", name);
    char *whole = run_folder(names[0]), *killed = run_folder(names[1]);
    support_ok(train(whole, 1, false, &w, set, n_set, &err), &err);
    rng r = rng_make((uint64_t)time(NULL), (uint64_t)getpid());
    int kills = 0, rounds = 0;
    for (bool done = false; !done; rounds++) {
        assert_true(rounds < 2000);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            watch own = {0};
            _exit(train(killed, 1 + (unsigned)rounds % 2, true, &own, set, n_set, &err) == SPOOR_OK ? 0 : 1);
        }
        if (kills < most) {
            double wait = 0.002 + longest * rng_uniform(&r);
            struct timespec t = {0, (long)(1e9 * wait)};
            nanosleep(&t, NULL);
            kill(child, SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) {
            kills++;
        } else {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            done = kills >= most;
            if (!done) { /* finished before all kills: once more from the beginning, the kills count on */
                support_remove(killed);
            }
        }
    }
    assert_int_equal(kills, most);
    hash(whole, "model.safetensors", a);
    hash(killed, "model.safetensors", b);
    assert_string_equal(a, b);
}

/* Memory runs out somewhere in a training with these settings: a clean refusal, nothing leaked. */
static inline void failing_memory_is_refused(const char *const *set, size_t n_set) {
    char *out = run_folder("memory");
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n += 1 + n / 12) {
        assert_true(n < 1000000);
        support_failing fail = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&fail);
        spoor_error err;
        trainer_options o = {.recipe = folder_path(recipe_file), .set = set, .n_set = n_set, .out = out, .threads = 1};
        status = trainer_run(ctx, &o, &err);
        if (status != SPOOR_OK && status != SPOOR_ERR_LIMIT) {
            fail_msg("allocation %zu: %s", n, err.message);
        }
        assert_int_equal(fail.live, 0);
        spoor_context_free(ctx);
        support_remove(out);
    }
}

/* ---- a model file, opened again ---- */

static inline spoor_status open_row(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const manifest *m = user; /* dev alone */
    *owned = NULL;
    return spoor_audio_open(shared, manifest_path(m, clip), NULL, audio, err);
}

typedef struct dev_model {
    spoor_context *ctx;
    spoor_model *model;
    manifest *list;
    score_labels *labels;
    size_t n;
    float *logits, *embedding;
    spoor_error *errors;
} dev_model;

static inline void open_dev(dev_model *d, const char *out) {
    spoor_error err;
    char path[1400];
    d->ctx = shared = support_context();
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    support_ok(spoor_model_open(d->ctx, path, &d->model, &err), &err);
    support_ok(manifest_new(d->ctx, &d->list, &err), &err);
    snprintf(path, sizeof path, "%s/m.csv", folder);
    const char *dev = "dev";
    const manifest_where where = {"split", &dev, 1};
    support_ok(manifest_add(d->list, path, NULL, &where, 1, &err), &err);
    size_t rows[SYNTHETIC_CLIPS];
    d->n = manifest_rows(d->list);
    assert_true(d->n > 4 && d->n < SYNTHETIC_CLIPS);
    for (size_t i = 0; i < d->n; i++) {
        rows[i] = i;
    }
    const json_t *spec = json_object_get(json_object_get(d->model->meta, "provenance"), "labels");
    support_ok(score_labels_new(d->ctx, d->model, d->list, rows, d->n, spec, &d->labels, &err), &err);
    d->logits = calloc(d->n * trace_logits_size(d->model), sizeof *d->logits);
    d->embedding = calloc(d->n * spoor_model_embedding_size(d->model), sizeof *d->embedding);
    d->errors = calloc(d->n, sizeof *d->errors);
}

static inline void close_dev(dev_model *d) {
    free(d->logits);
    free(d->embedding);
    free(d->errors);
    score_labels_free(d->labels);
    manifest_free(d->list);
    spoor_model_free(d->model);
    spoor_context_free(d->ctx);
}

/* Two score files: the same words, and numbers that differ by at most 1e-3. */
static inline void close_scores(const char *out, const char *a, const char *b) {
    spoor_context *ctx = support_context();
    spoor_error err;
    char path[600], *at[2], *save[2] = {NULL, NULL};
    unsigned char *text[2];
    size_t size;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", out, i == 0 ? a : b);
        support_ok(io_read_file(ctx, path, 1 << 20, &text[i], &size, &err), &err);
        at[i] = strtok_r((char *)text[i], "\t\n", &save[i]);
    }
    int numbers = 0;
    for (; at[0] != NULL && at[1] != NULL; numbers++) {
        char *end;
        double x = strtod(at[0], &end);
        if (*end == '\0') {
            support_close(strtod(at[1], NULL), x, 1e-3, "score");
        } else {
            assert_string_equal(at[0], at[1]);
        }
        at[0] = strtok_r(NULL, "\t\n", &save[0]);
        at[1] = strtok_r(NULL, "\t\n", &save[1]);
    }
    assert_true(at[0] == NULL && at[1] == NULL && numbers > 20);
    ctx_free(ctx, text[0]);
    ctx_free(ctx, text[1]);
    spoor_context_free(ctx);
}

/* The model file, opened again, says of the dev files what the training wrote down, on any number of threads: to the bit, or
 * where an encoder was trained (its products are laid out another way in a model) but for rounding. */
static inline void same_dev_scores(const char *out, bool bits) {
    spoor_error err;
    char path[600], want[65], got[65];
    dev_model d;
    open_dev(&d, out);
    hash(out, "dev-scores.tsv", want);
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        score_set *set;
        support_ok(score_all(d.ctx, d.model, threads, d.n, open_row, d.list, 0, d.logits, d.embedding, d.errors, &err), &err);
        support_ok(score_set_new(d.ctx, d.model, d.labels, d.logits, d.embedding, d.errors, 5, &set, &err), &err);
        snprintf(path, sizeof path, "%s/again.tsv", out);
        support_ok(score_file_write(d.ctx, path, &set->set, &err), &err);
        hash(out, "again.tsv", got);
        if (!bits) {
            close_scores(out, "dev-scores.tsv", "again.tsv");
        } else {
            assert_string_equal(want, got);
        }
        score_set_free(set);
    }
    close_dev(&d);
}
#endif
