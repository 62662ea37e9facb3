/* finish.c: the end of a training: final weights, calibration on dev, model file, dev scores and report. */
#include "train/trainer_state.h"
#include "train/centroids.h"
#include "base/io.h"
#include "eval/report_tables.h"
#include "eval/scores.h"
#include "trace/trace.h"
#include "train/known.h"
#include "weights/safetensors.h"
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5 };

/* ---- metadata ---- */

static json_t *task_list(const trainer *t) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < t->d->n_tasks; i++) {
        json_t *classes = json_array();
        for (size_t c = 0; c < t->d->task[i].n_classes; c++) {
            (void)json_array_append_new(classes, json_string(t->d->task[i].classes[c]));
        }
        json_t *task = json_pack("{s:s,s:o}", "name", t->d->task[i].from.name, "classes", classes);
        if (t->model.tasks[i].parent) {
            (void)json_object_set_new(task, "from", model_parent_to_json(t->model.tasks, i));
        }
        (void)json_array_append_new(list, task);
    }
    return list;
}

/* Where each label came from, so that `spoor eval` reads the same columns (score_labels_new). */
static json_t *label_spec(const trainer *t) {
    json_t *data = json_object_get(t->r->resolved, "data"), *tasks = json_object();
    const char *name;
    json_t *task;
    json_object_foreach(json_object_get(data, "tasks"), name, task) {
        json_t *entry = json_object();
        (void)json_object_set(entry, "column", json_object_get(task, "column"));
        if (json_object_get(task, "except")) {
            (void)json_object_set(entry, "except", json_object_get(task, "except"));
        }
        (void)json_object_set_new(tasks, name, entry);
    }
    return json_pack("{s:o,s:s,s:s}", "tasks", tasks, "page", t->r->page_column, "setting", t->r->setting_column);
}

static json_t *card(const trainer *t) {
    if (*t->r->card) {
        return json_string(t->r->card);
    }
    size_t known = 0;
    for (size_t i = 0; i < t->model.n_tasks; i++) {
        if (strcmp(t->model.tasks[i].name, t->r->source_task) == 0) {
            known = t->model.tasks[i].n_classes - (t->model.tasks[i].human >= 0);
        }
    }
    return json_sprintf("Trained on %zu clips; knows %zu sources; any other generator it can only call unknown.",
                        t->d->n_train, known);
}

json_t *trainer_meta(const trainer *t) {
    json_t *provenance = json_pack("{s:s,s:O,s:o,s:I,s:I}", "spoor", SPOOR_VERSION, "recipe", t->r->resolved, "labels",
                                   label_spec(t), "train_clips", (json_int_t)t->d->n_train, "dev_clips",
                                   (json_int_t)t->d->n_dev);
    json_t *meta =
        json_pack("{s:i,s:s,s:o,s:i,s:o,s:O,s:o,s:o,s:o*}", "format", 1, "name", t->r->name, "card", card(t), "window",
                  AUDIO_WINDOW, "frontend", frontend_describe(t->fe), "network", t->r->network, "tasks", task_list(t),
                  "provenance", provenance, "silence", t->r->cut ? audio_silence_to_json(&t->r->silence) : NULL);
    /* absent: the mean, as in files from before there was a choice */
    if (meta && t->r->bonafide_score != MODEL_BONAFIDE_MEAN) {
        (void)json_object_set_new(meta, "bonafide_score", json_string(MODEL_BONAFIDE_KINDS[t->r->bonafide_score]));
    }
    return meta;
}

static json_t *data_hashes(const trainer *t, spoor_error *err) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->r->n_manifests; i++) {
        char hex[65] = "", *path = recipe_path(t->ctx, t->r, t->r->manifest[i].path);
        const char *slash = strrchr(t->r->manifest[i].path, '/');
        spoor_status status = path ? io_sha256_file(path, hex, err) : error_memory(err, "writing a model");
        ctx_free(t->ctx, path);
        if (status != SPOOR_OK) {
            json_decref(list);
            return NULL;
        }
        (void)json_array_append_new(list, json_pack("{s:s,s:s}", "manifest", slash ? slash + 1 : t->r->manifest[i].path,
                                                    "sha256", hex));
    }
    return list;
}

static spoor_status describe(trainer *t, const double *value, spoor_error *err) {
    json_t *provenance = json_object_get(t->model.meta, "provenance"), *hashes = data_hashes(t, err),
           *dev = json_object();
    if (!hashes || !dev) {
        json_decref(hashes);
        json_decref(dev);
        return err && err->status != SPOOR_OK ? err->status : error_memory(err, "writing a model");
    }
    for (size_t i = 0; t->d->n_dev > 0 && i < t->r->n_metrics; i++) {
        (void)json_object_set_new(dev, t->r->metric[i].name, value[i] == value[i] ? json_real(value[i]) : json_null());
    }
    if (task_weights_learned(t->weights)) {
        (void)json_object_set_new(provenance, "task_weights", trainer_weights(t));
    }
    (void)json_object_set_new(provenance, "data", hashes);
    (void)json_object_set_new(provenance, "dev", dev);
    (void)json_object_set_new(provenance, "epoch", json_integer((json_int_t)t->place.best_epoch + 1));
    return SPOOR_OK;
}

/* ---- dev scores and report ---- */

static spoor_status write_text(trainer *t, const char *name, const char *text, spoor_error *err) {
    char *path = trainer_path(t, name);
    spoor_status status = path && text ? io_write_file(t->ctx, path, text, strlen(text), err)
                                       : error_memory(err, "writing the dev report");
    ctx_free(t->ctx, path);
    return status;
}

/* The report, and after it how each open-set scorer does (table NULL: nothing is known of that). */
static spoor_status write_report(trainer *t, const eval_set *set, const json_t *table, spoor_error *err) {
    eval_options o;
    eval_options_init(&o);
    o.system = t->r->name;
    json_t *report = NULL;
    char *text = NULL, *scorers = table ? known_table_text(t->ctx, table) : NULL;
    spoor_status status = table && !scorers ? error_memory(err, "writing the dev report")
                                            : eval_report(t->ctx, set, &o, &report, err);
    if (status == SPOOR_OK) {
        status = eval_report_text(t->ctx, report, &text, err);
    }
    if (status == SPOOR_OK) {
        char *both = ctx_printf(t->ctx, "%s%s%s", text, scorers ? "\n" : "", scorers ? scorers : "");
        status = write_text(t, "dev-report.txt", both, err);
        ctx_free(t->ctx, both);
    }
    ctx_free(t->ctx, text);
    ctx_free(t->ctx, scorers);
    if (status == SPOOR_OK) {
        if (table) {
            (void)json_object_set(report, "scorers", (json_t *)(uintptr_t)table);
        }
        char *json = json_dumps(report, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        status = write_text(t, "dev-report.json", json, err);
        free(json);
    }
    json_decref(report);
    return status;
}

static spoor_status write_dev(trainer *t, const float *embedding, const json_t *table, spoor_error *err) {
    score_set *s;
    TRY(score_set_new(t->ctx, &t->model, t->labels, t->logits, embedding, NULL, FOLDS, &s, err));
    char *path = trainer_path(t, "dev-scores.tsv");
    spoor_status status = path ? score_file_write(t->ctx, path, &s->set, err) : error_memory(err, "writing dev scores");
    ctx_free(t->ctx, path);
    if (status == SPOOR_OK) {
        status = write_report(t, &s->set, table, err);
    }
    score_set_free(s);
    return status;
}

/* ---- the end ---- */

/* What the file will hold is what is calibrated: round before, not after. */
static void round_weights(params *p) {
    for (size_t i = 0; i < params_count(p); i++) {
        param *q = params_at(p, i);
        for (int64_t k = 0; q->decay && k < tensor_count(&q->value); k++) {
            q->value.data[k] = safetensors_f16_to_f32(safetensors_f32_to_f16(q->value.data[k]));
        }
    }
}

/* The known score: statistics of the train clips, the choice on dev (where there is one). */
static spoor_status choose_known(trainer *t, const float *embedding, json_t **table, spoor_error *err) {
    const recipe_openset *r = &t->r->openset;
    known_options o;
    known_options_init(&o);
    o.scorers = r->scorers;
    o.choose = r->choose;
    o.temperature = r->temperature;
    o.k = (size_t)r->k;
    o.fit = (openset_fit_options){r->shrinkage, (size_t)r->vim_dim, (size_t)r->bank_per_class};
    bool wanted =
        t->model.known_task != SIZE_MAX && known_needs_train(&o) && (t->d->n_dev > 0 || o.choose != KNOWN_BY_DEV);
    size_t width = trace_logits_size(&t->model), dim = (size_t)net_embedding_size(t->net),
           n = wanted ? t->d->n_train : 0;
    float *logits = ctx_alloc(t->ctx, n, width * sizeof *logits),
          *features = ctx_alloc(t->ctx, n, dim * sizeof *features);
    spoor_status status = logits && features ? SPOOR_OK : error_memory(err, "fitting open-set scorers");
    if (status == SPOOR_OK && wanted) {
        ctx_log(t->ctx, SPOOR_LOG_INFO, "open set: %zu train clips go through the model once", n);
        status = dev_forward_train(t->d, &t->model, t->threads, logits, features, err);
    }
    if (status == SPOOR_OK) {
        const int32_t *label = wanted ? t->d->task[t->model.known_task].label : NULL;
        known_train train = {logits, features, label, n};
        status = known_choose(&t->model, wanted ? &train : NULL, t->d->n_dev > 0 ? t->labels : NULL, t->logits,
                              embedding, &o, table, err);
    }
    ctx_free(t->ctx, logits);
    ctx_free(t->ctx, features);
    return status;
}

static spoor_status log_table(trainer *t, const json_t *table, spoor_error *err) {
    json_t *provenance = json_object_get(t->model.meta, "provenance");
    char *text = known_table_text(t->ctx, table);
    if (!text || json_object_set(provenance, "scorers", (json_t *)(uintptr_t)table) != 0) {
        ctx_free(t->ctx, text);
        return error_memory(err, "writing a model");
    }
    ctx_log(t->ctx, SPOOR_LOG_INFO, "%s", text);
    ctx_free(t->ctx, text);
    return SPOOR_OK;
}

/* Dev through the final weights: the known score, calibration, metrics, scores and report. */
static spoor_status use_dev(trainer *t, float *embedding, double *known, json_t **table, double *value,
                            spoor_error *err) {
    double select;
    TRY(dev_forward(t->d, &t->model, t->threads, t->logits, embedding, err));
    TRY(choose_known(t, embedding, table, err));
    TRY(*table ? log_table(t, *table, err) : SPOOR_OK);
    TRY(trainer_learn_unseen(t, err));
    TRY(score_calibrate(&t->model, t->labels, t->logits, embedding, t->r->openset.by_eer ? 0 : t->r->acceptance,
                        t->r->prior, err));
    TRY(score_known_crossed(&t->model, t->labels, t->logits, embedding, FOLDS, known, err));
    TRY(dev_metrics(t->r, t->d, &t->model, t->labels, t->logits, known, value, &select, err));
    return write_dev(t, embedding, *table, err);
}

static spoor_status calibrate_on_dev(trainer *t, double *value, spoor_error *err) {
    json_t *table = NULL;
    if (t->d->n_dev == 0) {
        ctx_log(t->ctx, SPOOR_LOG_WARN, "there are no dev clips: the model is not calibrated");
        TRY(choose_known(t, NULL, &table, err));
        return known_describe(&t->model, err);
    }
    float *embedding = ctx_alloc(t->ctx, t->d->n_dev, (size_t)net_embedding_size(t->net) * sizeof *embedding);
    double *known = ctx_alloc(t->ctx, t->d->n_dev, sizeof *known);
    spoor_status status = embedding && known ? use_dev(t, embedding, known, &table, value, err)
                                             : error_memory(err, "evaluating on dev");
    ctx_free(t->ctx, embedding);
    ctx_free(t->ctx, known);
    json_decref(table);
    return status;
}

spoor_status trainer_finish(trainer *t, spoor_error *err) {
    double value[RECIPE_MAX_METRICS];
    if (t->place.has_best) {
        average_swap(t->best);
    }
    if (t->r->half) {
        round_weights(t->params);
        TRY(centroids_fit(t->ctx, &t->model, t->d, t->threads, err)); /* of what the file will hold */
    }
    TRY(calibrate_on_dev(t, value, err));
    TRY(describe(t, value, err));
    char *path = trainer_path(t, "model.safetensors");
    spoor_status status = path ? model_save(t->ctx, path, t->net, t->fe, &t->model.openset, t->model.meta, t->r->half,
                                           err)
                               : error_memory(err, "writing a model");
    if (status == SPOOR_OK) {
        ctx_log(t->ctx, SPOOR_LOG_INFO, "the model is %s", path);
    }
    ctx_free(t->ctx, path);
    return status;
}
