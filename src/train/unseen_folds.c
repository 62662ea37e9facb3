/* unseen_folds.c: trainings that leave sources out in turn, and what they say of these: see trainer_state.h. */
#include "train/leave.h"
#include "train/trainer_state.h"
#include "train/unseen.h"
#include "base/io.h"
#include "trace/trace.h"
#include <string.h>
#include <sys/stat.h>

/* ---- which sources ---- */

static spoor_status no_use(spoor_error *err, const char *why) {
    return error_set(err, SPOOR_ERR_USAGE, "unseen.folds: %s", why);
}

static spoor_status check_use(const trainer *t, spoor_error *err) {
    size_t attributes = 0;
    for (size_t k = 0; k < t->model.n_tasks; k++) {
        attributes += model_is_attribute(&t->model, k);
    }
    if (t->model.known_task == SIZE_MAX || attributes == 0) {
        return no_use(err, "there is nothing to learn of unseen sources without a task of sources (data.source_task) "
                           "and one of their attributes (taxonomy, joint.parents)");
    }
    if (t->r->unseen_folds == 1) {
        return no_use(err, "sources are left out of 2 trainings at least");
    }
    if (t->at->from || *t->r->from) {
        return no_use(err, "weights that a training starts from may know the sources that it is to be left without");
    }
    return t->d->n_dev > 0 ? SPOOR_OK : no_use(err, "there are no dev clips");
}

/* value[classes, attributes]: of most of each source's training clips. */
static spoor_status read_values(const trainer *t, int32_t *value, size_t attributes, spoor_error *err) {
    const dataset_task *source = &t->d->task[t->model.known_task];
    int32_t *of = ctx_alloc(t->ctx, source->n_classes, sizeof *of);
    spoor_status status = of ? SPOOR_OK : error_memory(err, "choosing sources to leave out");
    for (size_t k = 0, a = 0; status == SPOOR_OK && k < t->d->n_tasks; k++) {
        if (!model_is_attribute(&t->model, k)) {
            continue;
        }
        status = dataset_majority(t->d, source, &t->d->task[k], of, err);
        for (size_t s = 0; status == SPOOR_OK && s < source->n_classes; s++) {
            value[s * attributes + a] = of[s];
        }
        a++;
    }
    ctx_free(t->ctx, of);
    return status;
}

static spoor_status plan(trainer *t, size_t attributes, spoor_error *err) {
    const model_task *source = &t->model.tasks[t->model.known_task];
    int32_t *value = ctx_alloc(t->ctx, source->n_classes, attributes * sizeof *value);
    unsigned char *may = ctx_alloc(t->ctx, source->n_classes, 1);
    size_t left = 0;
    t->left_out = ctx_alloc(t->ctx, source->n_classes, sizeof *t->left_out);
    spoor_status status = value && may && t->left_out ? read_values(t, value, attributes, err)
                                                      : error_memory(err, "choosing sources to leave out");
    for (size_t s = 0; status == SPOOR_OK && s < source->n_classes; s++) {
        may[s] = (int64_t)s != source->human;
    }
    if (status == SPOOR_OK) {
        status = leave_choose(t->ctx, value, may, source->n_classes, attributes, (size_t)t->r->unseen_folds,
                              t->left_out, err);
    }
    for (size_t s = 0; status == SPOOR_OK && s < source->n_classes; s++) {
        left += t->left_out[s] >= 0;
    }
    if (status == SPOOR_OK && left < 2) {
        status = error_set(err, SPOOR_ERR_INPUT, "unseen.folds: %zu of the sources can be left out, and it takes 2: a "
                           "source that alone has a value of an attribute has to stay", left);
    }
    ctx_free(t->ctx, value);
    ctx_free(t->ctx, may);
    return status;
}

spoor_status trainer_plan_unseen(trainer *t, spoor_error *err) {
    size_t attributes = 0;
    if (!t->plain) {
        return SPOOR_OK;
    }
    TRY(check_use(t, err));
    for (size_t k = 0; k < t->model.n_tasks; k++) {
        attributes += model_is_attribute(&t->model, k);
    }
    return plan(t, attributes, err);
}

/* ---- a training without some sources ---- */

static size_t count_left(const trainer *t, size_t fold) {
    size_t n = 0;
    for (size_t s = 0; s < t->model.tasks[t->model.known_task].n_classes; s++) {
        n += t->left_out[s] == (int32_t)fold;
    }
    return n;
}

/* The recipe without the fold's sources, with the open-set scorer that the model has; a new reference. */
static json_t *recipe_without(const trainer *t, size_t fold) {
    const model_task *source = &t->model.tasks[t->model.known_task];
    const char *scorer = openset_kind_name(t->model.openset.kind);
    json_t *out = json_deep_copy(t->plain), *data = json_object_get(out, "data"), *list = json_array();
    const json_t *before = json_object_get(data, "without");
    int bad = !out || !list;
    if (before && !json_is_null(before)) {
        bad |= json_is_array(before) ? json_array_extend(list, (json_t *)(uintptr_t)before)
                                     : json_array_append(list, (json_t *)(uintptr_t)before);
    }
    for (size_t s = 0; s < source->n_classes; s++) {
        bad |= t->left_out[s] == (int32_t)fold && json_array_append_new(list, json_string(source->classes[s])) != 0;
    }
    bad |= json_object_set_new(data, "without", list);
    bad |= json_object_set_new(json_object_get(out, "unseen"), "folds", json_integer(0));
    bad |= json_object_set_new(json_object_get(out, "openset"), "choose", json_string(scorer));
    if (t->model.openset.kind != OPENSET_GATE) {
        bad |= json_object_set_new(json_object_get(out, "openset"), "scorers", json_string(scorer));
    }
    if (bad) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static spoor_status train_without(const trainer *t, size_t fold, const char *folder, spoor_error *err) {
    char name[160];
    (void)snprintf(name, sizeof name, "%.100s%sunseen-%zu", t->at->stage ? t->at->stage : "", t->at->stage ? "/" : "",
                   fold + 1);
    json_t *json = recipe_without(t, fold);
    recipe *r = NULL;
    spoor_status status = json ? recipe_from_json(t->ctx, json, t->r->folder, &r, err)
                               : error_memory(err, "starting a training");
    json_decref(json);
    if (status == SPOOR_OK) {
        trainer_place place = {.folder = folder, .stage = name, .index = fold, .stages = (size_t)t->r->unseen_folds};
        ctx_log(t->ctx, SPOOR_LOG_INFO, "%s (of %lld): without %zu of the sources", name,
                (long long)t->r->unseen_folds, count_left(t, fold));
        status = trainer_one(t->ctx, t->options, r, &place, err);
    }
    recipe_free(t->ctx, r);
    return status;
}

/* ---- what it says ---- */

/* Clips of sources that the fold's network knows (dev's), and of those that were left out (train's and dev's). */
static size_t list_clips(const trainer *t, size_t fold, size_t *clip) {
    const model_task *task = &t->model.tasks[t->model.known_task];
    const int32_t *source = t->d->task[t->model.known_task].label;
    size_t n = 0;
    for (size_t i = 0; i < t->d->n_train + t->d->n_dev; i++) {
        bool left = source[i] >= 0 && t->left_out[source[i]] == (int32_t)fold;
        if (left || (i >= t->d->n_train && source[i] >= 0 && source[i] != task->human)) {
            clip[n++] = i;
        }
    }
    return n;
}

static bool same_classes(const model_task *a, const model_task *b) {
    bool same = a->n_classes == b->n_classes;
    for (size_t c = 0; same && c < a->n_classes; c++) {
        same = strcmp(a->classes[c], b->classes[c]) == 0;
    }
    return same;
}

/* The values among those of synthetic speech, and the evidence for them, of one clip. */
static spoor_status take_evidence(const trainer *t, const spoor_model *m, const float *row, size_t clip,
                                  unseen_rows *rows, spoor_error *err) {
    float *to = rows->evidence + rows->n * rows->width;
    int32_t *truth = rows->truth + rows->n * rows->attributes;
    for (size_t k = 0; k < t->model.n_tasks; k++) {
        if (!model_is_attribute(&t->model, k)) {
            continue;
        }
        const model_task *own = &t->model.tasks[k];
        size_t task = model_find_task(m, own->name);
        if (task == SIZE_MAX || !same_classes(own, &m->tasks[task])) {
            return error_set(err, SPOOR_ERR_MODEL, "a training without some sources has another task %.60s; remove the "
                             "folders unseen-* of the run and go on with --resume", own->name);
        }
        to += model_synthetic_logits(own, model_evidence(m, row, task), to, NULL);
        int32_t label = t->d->task[k].label[clip];
        *truth++ = label < 0 || label == own->human ? -1 : label - (own->human >= 0 && label > own->human);
    }
    return SPOOR_OK;
}

static spoor_status take_rows(const trainer *t, size_t fold, spoor_model *m, const size_t *clip, size_t n,
                              float *logits, float *embedding, double *known, unseen_rows *rows, spoor_error *err) {
    TRY(dev_forward_clips(t->d, m, t->threads, clip, n, logits, embedding, err));
    TRY(score_known(m, n, logits, embedding, known, err));
    for (size_t i = 0; i < n; i++) {
        int32_t source = t->d->task[t->model.known_task].label[clip[i]];
        TRY(take_evidence(t, m, logits + i * model_row_size(m), clip[i], rows, err));
        rows->source[rows->n] = source;
        rows->known[rows->n] = t->left_out[source] != (int32_t)fold;
        rows->score[rows->n++] = known[i];
    }
    return SPOOR_OK;
}

static spoor_status hear(const trainer *t, size_t fold, const char *path, unseen_rows *rows, spoor_error *err) {
    spoor_model *m;
    spoor_model_options o;
    spoor_model_options_init(&o);
    TRY(model_open(t->ctx, path, &o, &m, err));
    size_t *clip = ctx_alloc(t->ctx, t->d->n_train + t->d->n_dev, sizeof *clip);
    size_t n = clip ? list_clips(t, fold, clip) : 0;
    float *logits = ctx_alloc(t->ctx, n, model_row_size(m) * sizeof *logits),
          *embedding = ctx_alloc(t->ctx, n, (size_t)net_embedding_size(m->net) * sizeof *embedding);
    double *known = ctx_alloc(t->ctx, n, sizeof *known);
    spoor_status status = clip && logits && embedding && known
                              ? take_rows(t, fold, m, clip, n, logits, embedding, known, rows, err)
                              : error_memory(err, "learning of unseen sources");
    ctx_free(t->ctx, known);
    ctx_free(t->ctx, embedding);
    ctx_free(t->ctx, logits);
    ctx_free(t->ctx, clip);
    spoor_model_free(m);
    return status;
}

static spoor_status one_fold(const trainer *t, size_t fold, unseen_rows *rows, spoor_error *err) {
    struct stat st;
    char *folder = ctx_printf(t->ctx, "%s/unseen-%zu", t->folder, fold + 1),
         *model = ctx_printf(t->ctx, "%s/unseen-%zu/model.safetensors", t->folder, fold + 1);
    spoor_status status = folder && model ? SPOOR_OK : error_memory(err, "starting a training");
    if (status == SPOOR_OK && !(t->options->resume && stat(model, &st) == 0)) { /* the last thing that it writes */
        status = train_without(t, fold, folder, err);
    }
    if (status == SPOOR_OK) {
        status = hear(t, fold, model, rows, err);
    }
    ctx_free(t->ctx, folder);
    ctx_free(t->ctx, model);
    return status;
}

spoor_status trainer_learn_unseen(trainer *t, spoor_error *err) {
    if (!t->plain) {
        return SPOOR_OK;
    }
    unseen_rows rows;
    TRY(unseen_rows_new(&t->model, t->d->n_train + (size_t)t->r->unseen_folds * t->d->n_dev, &rows, err));
    spoor_status status = SPOOR_OK;
    for (size_t k = 0; status == SPOOR_OK && k < (size_t)t->r->unseen_folds; k++) {
        status = count_left(t, k) > 0 ? one_fold(t, k, &rows, err) : SPOOR_OK;
    }
    if (status == SPOOR_OK) {
        status = unseen_learn(&t->model, &rows, err);
    }
    unseen_rows_clear(&rows);
    return status;
}
