/* model.c: opening, checking and writing model files; see model.h. */
#include "model/compare.h"
#include "base/io.h"
#include "base/text.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SPOOR_DATA_DIR
#define SPOOR_DATA_DIR "/usr/local/share/spoor"
#endif

enum {
    MODEL_FORMAT = 1,
    MODEL_NAME_MAX = 200,     /* bytes of a class name */
    MODEL_TASK_MAX = 64       /* bytes of a task name, as in net.c */
};

/* ---- tasks -------------------------------------------------------------------------------------------- */

bool model_is_human(const char *name) {
    return strcmp(name, "bonafide") == 0 || strcmp(name, "human") == 0 || strcmp(name, "real") == 0;
}

spoor_status model_task_init(spoor_context *ctx, model_task *task, const char *name, const char *const *classes,
                             size_t n, spoor_error *err) {
    *task = (model_task){.human = -1, .temperature = 1.0};
    task->name = ctx_strdup(ctx, name);
    task->classes = ctx_calloc(ctx, n, sizeof *task->classes);
    if (task->name == NULL || task->classes == NULL) {
        model_task_clear(ctx, task);
        return error_memory(err, "naming the classes of a task");
    }
    task->n_classes = n;
    for (size_t i = 0; i < n; i++) {
        task->classes[i] = ctx_strdup(ctx, classes[i]);
        if (task->classes[i] == NULL) {
            model_task_clear(ctx, task);
            return error_memory(err, "naming the classes of a task");
        }
        if (model_is_human(classes[i])) {
            task->human = (int64_t)i;
        }
    }
    return SPOOR_OK;
}

void model_task_clear(spoor_context *ctx, model_task *task) {
    for (size_t i = 0; task->classes != NULL && i < task->n_classes; i++) {
        ctx_free(ctx, task->classes[i]);
    }
    ctx_free(ctx, task->classes);
    ctx_free(ctx, task->name);
    ctx_free(ctx, task->parent);
    ctx_free(ctx, task->evidence);
    *task = (model_task){0};
}

size_t model_find_task(const spoor_model *m, const char *name) {
    for (size_t i = 0; i < m->n_tasks; i++) {
        if (strcmp(m->tasks[i].name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

size_t model_offset(const spoor_model *m, size_t task) {
    size_t at = 0;
    for (size_t i = 0; i < task; i++) {
        at += m->tasks[i].n_classes;
    }
    return at;
}

size_t model_synthetic_logits(const model_task *task, const float *logits, float *out, int32_t *map) {
    size_t n = 0;
    for (size_t i = 0; i < task->n_classes; i++) {
        if ((int64_t)i == task->human) {
            continue;
        }
        out[n] = logits[i];
        if (map != NULL) {
            map[n] = (int32_t)i;
        }
        n++;
    }
    return n;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* A sentence of another folder about a wrong setting, as a sentence about this file. */
static spoor_status in_model(spoor_status status, const char *path, spoor_error *err) {
    if (status == SPOOR_ERR_USAGE && err != NULL) {
        char inner[300];
        (void)snprintf(inner, sizeof inner, "%.299s", err->message);
        return error_set(err, SPOOR_ERR_MODEL, "%.150s is no usable model: %s", path, inner);
    }
    return status == SPOOR_ERR_USAGE ? SPOOR_ERR_MODEL : status;
}

static spoor_status bad(const char *path, spoor_error *err, const char *why) {
    return error_set(err, SPOOR_ERR_MODEL, "%.200s is no usable model: %s", path, why);
}

static spoor_status read_task(spoor_model *m, const char *path, const json_t *item, spoor_error *err) {
    const char *name = json_string_value(json_object_get(item, "name"));
    const json_t *classes = json_object_get(item, "classes");
    size_t n = json_array_size(classes);
    if (name == NULL || strlen(name) > MODEL_TASK_MAX || !text_is_plain(name) || n < 1 || n > NET_MAX_CLASSES) {
        return bad(path, err, "a task lacks a short name or its classes");
    }
    if (model_find_task(m, name) != SIZE_MAX) {
        return bad(path, err, "two tasks have the same name");
    }
    const char **names = ctx_alloc(m->ctx, n, sizeof *names);
    if (names == NULL) {
        return error_memory(err, "opening a model");
    }
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; i < n && status == SPOOR_OK; i++) {
        const json_t *c = json_array_get(classes, i);
        names[i] = json_string_value(c);
        if (names[i] == NULL || strlen(names[i]) > MODEL_NAME_MAX || !text_is_plain(names[i])) {
            status = bad(path, err, "a class name is no short text");
        }
    }
    if (status == SPOOR_OK) {
        status = model_task_init(m->ctx, &m->tasks[m->n_tasks], name, names, n, err);
    }
    ctx_free(m->ctx, names);
    TRY(status);
    model_task *task = &m->tasks[m->n_tasks++];
    const json_t *calibration = json_object_get(item, "calibration");
    if (calibration != NULL) {
        calibrate_temperature t;
        TRY(calibrate_temperature_from_json(calibration, &t, err));
        task->temperature = t.temperature;
    }
    const json_t *unseen = json_object_get(item, "calibration_unseen");
    if (unseen != NULL && json_object_get(unseen, "shares") != NULL) {
        task->evidence = ctx_calloc(m->ctx, 1, sizeof *task->evidence);
        return task->evidence == NULL
                   ? error_memory(err, "opening a model")
                   : calibrate_evidence_from_json(unseen, n - (task->human >= 0), task->evidence, err);
    }
    if (unseen != NULL) {
        calibrate_temperature t;
        TRY(calibrate_temperature_from_json(unseen, &t, err));
        task->unseen = t.temperature;
    }
    return SPOOR_OK;
}

static spoor_status read_tasks(spoor_model *m, const char *path, spoor_error *err) {
    const json_t *tasks = json_object_get(m->meta, "tasks");
    size_t n = json_array_size(tasks);
    if (n < 1 || n > NET_MAX_TASKS) {
        return bad(path, err, "it must have 1 to 32 tasks");
    }
    m->tasks = ctx_calloc(m->ctx, n, sizeof *m->tasks);
    if (m->tasks == NULL) {
        return error_memory(err, "opening a model");
    }
    for (size_t i = 0; i < n; i++) {
        TRY(read_task(m, path, json_array_get(tasks, i), err));
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *from = json_object_get(json_array_get(tasks, i), "from");
        TRY(from == NULL ? SPOOR_OK : in_model(model_parent_from_json(m, i, from, err), path, err));
    }
    return in_model(model_parents_check(m, err), path, err);
}

static spoor_status read_decision(spoor_model *m, const char *path, spoor_error *err) {
    openset_init(&m->openset);
    m->known_task = SIZE_MAX;
    const json_t *known = json_object_get(m->meta, "known");
    if (known != NULL) {
        const char *task = json_string_value(json_object_get(known, "task"));
        m->known_task = task == NULL ? SIZE_MAX : model_find_task(m, task);
        if (m->known_task == SIZE_MAX) {
            return bad(path, err, "the known score names no task of the model");
        }
        TRY(openset_from_json(json_object_get(known, "openset"), &m->openset, err));
        const json_t *accepted = json_object_get(known, "accepted");
        m->accepted = (model_accepted){json_number_value(json_object_get(accepted, "known")),
                                       json_number_value(json_object_get(accepted, "unknown"))};
        if (!(m->accepted.known >= 0 && m->accepted.known <= 1 && m->accepted.unknown >= 0 &&
              m->accepted.unknown <= 1)) {
            return bad(path, err, "the shares that its threshold accepts are not between 0 and 1");
        }
        const json_t *odds = json_object_get(known, "odds");
        m->has_odds = odds != NULL;
        TRY(odds == NULL ? SPOOR_OK : calibrate_logistic_from_json(odds, &m->odds, err));
    } else {
        m->known_task = model_find_task(m, "source");
    }
    if (m->known_task != SIZE_MAX && m->tasks[m->known_task].n_classes == (m->tasks[m->known_task].human >= 0)) {
        return bad(path, err, "the task of the known score has no synthetic class");
    }
    m->bonafide_task = model_bonafide_task(m->tasks, m->n_tasks);
    m->bonafide = (calibrate_logistic){.scale = 1.0, .prior = 0.5, .informative = true};
    TRY(in_model(model_bonafide_kind_from_json(json_object_get(m->meta, "bonafide_score"), &m->bonafide_kind, err),
                 path, err));
    const json_t *bonafide = json_object_get(m->meta, "bonafide");
    return bonafide == NULL ? SPOOR_OK : calibrate_logistic_from_json(bonafide, &m->bonafide, err);
}

static spoor_status copy_text(spoor_model *m, const char *path, const char *key, const char *fallback, char **out,
                              spoor_error *err) {
    const char *s = json_string_value(json_object_get(m->meta, key));
    if (s != NULL && !text_is_plain(s)) {
        return bad(path, err, "its name or card holds control characters");
    }
    *out = ctx_strdup(m->ctx, s == NULL ? fallback : s);
    return *out == NULL ? error_memory(err, "opening a model") : SPOOR_OK;
}

static spoor_status read_silence(spoor_model *m, const char *path, spoor_error *err) {
    const json_t *silence = json_object_get(m->meta, "silence");
    m->cut = silence != NULL;
    if (m->cut && audio_silence_from_json(silence, "silence", &m->silence, err) != SPOOR_OK) {
        return bad(path, err, "what it says about silence is none of its settings");
    }
    return SPOOR_OK;
}

const audio_silence *model_silence(const spoor_model *m) { return m->cut ? &m->silence : NULL; }

static spoor_status read_meta(spoor_model *m, const char *path, const safetensors *f, spoor_error *err) {
    const char *text = safetensors_meta(f, "spoor");
    if (text == NULL) {
        return bad(path, err, "it is a safetensors file without Spoor's metadata; make one with spoor train");
    }
    json_error_t where;
    m->meta = strlen(text) > MODEL_META_MAX ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(m->meta)) {
        return bad(path, err, "its metadata is no JSON object");
    }
    const json_t *format = json_object_get(m->meta, "format");
    if (!json_is_integer(format) || json_integer_value(format) != MODEL_FORMAT) {
        return bad(path, err, "its format is not 1; it was written by another version of Spoor");
    }
    const json_t *window = json_object_get(m->meta, "window");
    m->window = json_integer_value(window);
    if (m->window != 64600) {
        return bad(path, err, "its window is not 64600 samples");
    }
    TRY(copy_text(m, path, "name", "unnamed", &m->name, err));
    TRY(copy_text(m, path, "card", "", &m->card, err));
    TRY(read_tasks(m, path, err));
    TRY(read_silence(m, path, err));
    return read_decision(m, path, err);
}

spoor_status model_read_tensor(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                               spoor_error *err) {
    const model_source *s = user;
    const safetensors_tensor *t = safetensors_find(s->file, name);
    if (t == NULL) {
        return error_set(err, SPOOR_ERR_MODEL, "%.200s is no usable model: the tensor %s is missing", s->path, name);
    }
    bool same = t->rank == ndim && (t->dtype == SAFETENSORS_F32 || t->dtype == SAFETENSORS_F16);
    for (int i = 0; same && i < ndim; i++) {
        same = t->shape[i] == dim[i];
    }
    if (!same) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%.200s is no usable model: the tensor %s has another shape or type than its network needs",
                         s->path, name);
    }
    safetensors_to_f32(t, out);
    for (size_t i = 0; i < t->count; i++) {
        if (!isfinite(out[i])) {
            return error_set(err, SPOOR_ERR_MODEL, "%.200s is no usable model: the tensor %s holds NaN or Inf", s->path,
                             name);
        }
    }
    return SPOOR_OK;
}

char *model_folder(spoor_context *ctx, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? ctx_strdup(ctx, ".") : ctx_strndup(ctx, path, (size_t)(slash - path) + 1);
}

static spoor_status open_frontend(spoor_model *m, const model_source *s, int64_t numel, const spoor_model_options *o,
                                  spoor_error *err) {
    char *folder = model_folder(m->ctx, s->path);
    if (folder == NULL) {
        return error_memory(err, "opening a model");
    }
    frontend_options options = {.folder = folder, .holds_weights = true, .read = model_read_tensor,
                                .user = (void *)(uintptr_t)s,
                                .max_numel = numel, .precision = o->precision};
    spoor_status status = frontend_new_with(m->ctx, json_object_get(m->meta, "frontend"), &options, &m->frontend, err);
    ctx_free(m->ctx, folder);
    return in_model(status, s->path, err);
}

/* What the known score remembers of the train set. */
static spoor_status read_statistics(spoor_model *m, const model_source *s, int64_t numel, spoor_error *err) {
    openset_kinds needs = openset_needs(&m->openset);
    if ((needs & OPENSET_OF_TRAIN) == 0) {
        return SPOOR_OK;
    }
    const json_t *json = json_object_get(json_object_get(json_object_get(m->meta, "known"), "openset"), "statistics");
    TRY(openset_stats_read(m->ctx, json, needs, (size_t)net_embedding_size(m->net), (size_t)numel, model_read_tensor,
                           (void *)(uintptr_t)s, &m->openset_stats, err));
    m->openset.stats = m->openset_stats;
    return SPOOR_OK;
}

static bool is_statistic(const spoor_model *m, const char *name) {
    openset_tensor t[OPENSET_MAX_TENSORS];
    size_t n = m->openset_stats == NULL ? 0 : openset_tensors(m->openset_stats, openset_needs(&m->openset), t);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(t[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Every tensor of the file must belong somewhere. */
static spoor_status check_leftover(const spoor_model *m, const model_source *s, spoor_error *err) {
    params *own = net_params(m->net), *theirs = frontend_params(m->frontend);
    for (size_t i = 0; i < safetensors_count(s->file); i++) {
        const char *name = safetensors_at(s->file, i)->name;
        param *p = theirs == NULL ? NULL : params_find(theirs, name);
        if (params_find(own, name) == NULL && (p == NULL || !frontend_embeds(m->frontend, p)) &&
            !is_statistic(m, name) && !model_is_verify_tensor(m, name)) {
            return error_set(err, SPOOR_ERR_MODEL, "%.200s is no usable model: its network has no tensor named %.150s",
                             s->path, name);
        }
    }
    return SPOOR_OK;
}

static spoor_status build_network(spoor_model *m, const model_source *s, const spoor_model_options *o,
                                  spoor_error *err) {
    net_task tasks[NET_MAX_TASKS];
    for (size_t i = 0; i < m->n_tasks; i++) {
        tasks[i] = (net_task){m->tasks[i].name, (int64_t)m->tasks[i].n_classes};
    }
    int64_t numel = 0; /* of what lies in the file, so this cannot overflow */
    for (size_t i = 0; i < safetensors_count(s->file); i++) {
        numel += (int64_t)safetensors_at(s->file, i)->count;
    }
    TRY(open_frontend(m, s, numel, o, err));
    TRY(in_model(net_new_for_weights(m->ctx, json_object_get(m->meta, "network"), (int64_t)frontend_dim(m->frontend),
                                     tasks, m->n_tasks, numel, &m->net, err),
                 s->path, err));
    TRY(in_model(net_bind(m->net, m->frontend, err), s->path, err));
    params *p = net_params(m->net);
    for (size_t i = 0; i < params_count(p); i++) {
        tensor *x = &params_at(p, i)->value;
        TRY(model_read_tensor((void *)(uintptr_t)s, params_at(p, i)->name, x->ndim, x->dim, x->data, err));
    }
    TRY(read_statistics(m, s, numel, err));
    TRY(model_read_verify(m, (size_t)numel, model_read_tensor, (void *)(uintptr_t)s, err));
    return check_leftover(m, s, err);
}

static spoor_status open_file(spoor_context *ctx, const char *path, const safetensors *f, const spoor_model_options *o,
                              spoor_model **out, spoor_error *err) {
    spoor_model_options options;
    spoor_model_options_init(&options);
    options = o == NULL ? options : *o;
    spoor_model *m = ctx_calloc(ctx, 1, sizeof *m);
    if (m == NULL) {
        return error_memory(err, "opening a model");
    }
    m->ctx = ctx;
    size_t size;
    const void *bytes = safetensors_bytes(f, &size);
    io_sha256(bytes, size, m->sha256);
    m->path = ctx_strdup(ctx, path);
    spoor_status status = m->path == NULL ? error_memory(err, "opening a model") : read_meta(m, path, f, err);
    if (status == SPOOR_OK) {
        status = build_network(m, &(model_source){path, f}, &options, err);
    }
    if (status == SPOOR_OK) {
        status = model_take_taxonomy(m, options.taxonomy, err);
    }
    if (status != SPOOR_OK) {
        spoor_model_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

spoor_status model_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, spoor_model **out,
                               spoor_error *err) {
    *out = NULL;
    safetensors *f;
    TRY(safetensors_open_memory(ctx, data, size, name, &f, err));
    spoor_status status = open_file(ctx, name, f, NULL, out, err);
    safetensors_free(f);
    return status;
}

spoor_status model_open(spoor_context *ctx, const char *path, const spoor_model_options *options, spoor_model **out,
                        spoor_error *err) {
    *out = NULL;
    safetensors *f;
    spoor_status status = safetensors_open(ctx, path, &f, err);
    if (status == SPOOR_ERR_IO) { /* for the caller a model that is not there is a model that cannot be used */
        status = SPOOR_ERR_MODEL;
        if (err != NULL) {
            err->status = status;
        }
    }
    TRY(status);
    status = open_file(ctx, path, f, options, out, err);
    safetensors_free(f);
    return status;
}

void spoor_model_options_init(spoor_model_options *options) { memset(options, 0, sizeof *options); }

spoor_status spoor_model_open_with(spoor_context *ctx, const char *path, const spoor_model_options *options,
                                   spoor_model **out, spoor_error *err) {
    static const char installed[] = SPOOR_DATA_DIR "/default.safetensors";
    const char *set = path == NULL ? getenv("SPOOR_MODEL") : path;
    if (path == NULL && (set == NULL || set[0] == '\0')) {
        if (access(installed, F_OK) != 0) {
            *out = NULL;
            return error_set(err, SPOOR_ERR_MODEL,
                             "there is no installed model (%s); name a model file, or set SPOOR_MODEL to one",
                             installed);
        }
        set = installed;
    }
    return model_open(ctx, set, options, out, err);
}

spoor_status spoor_model_open(spoor_context *ctx, const char *path, spoor_model **out, spoor_error *err) {
    return spoor_model_open_with(ctx, path, NULL, out, err);
}

void spoor_model_free(spoor_model *m) {
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n_tasks; i++) {
        model_task_clear(m->ctx, &m->tasks[i]);
    }
    ctx_free(m->ctx, m->tasks);
    ctx_free(m->ctx, m->name);
    ctx_free(m->ctx, m->card);
    openset_stats_free(m->openset_stats);
    openset_stats_free(m->verify_stats);
    taxonomy_free(m->taxonomy);
    ctx_free(m->ctx, m->path);
    net_free(m->net);
    frontend_free(m->frontend);
    json_decref(m->meta);
    ctx_free(m->ctx, m);
}

const char *spoor_model_name(const spoor_model *m) { return m->name; }
const char *spoor_model_sha256(const spoor_model *m) { return m->sha256; }
const char *spoor_model_card(const spoor_model *m) { return m->card; }
size_t spoor_model_embedding_size(const spoor_model *m) { return (size_t)net_embedding_size(m->net); }

/* ---- writing ------------------------------------------------------------------------------------------ */

/* The front end's tensors, read back one by one into values[count], which the writer borrows until it saves. */
static spoor_status add_frontend(spoor_context *ctx, safetensors_writer *w, const frontend *fe, bool half,
                                 float **values, spoor_error *err) {
    params *p = frontend_params(fe);
    for (size_t i = 0; i < params_count(p); i++) {
        param *item = params_at(p, i);
        if (!frontend_embeds(fe, item)) {
            continue;
        }
        size_t count = (size_t)tensor_count(&item->value);
        values[i] = ctx_alloc(ctx, count, sizeof **values);
        if (values[i] == NULL) {
            return error_memory(err, "writing a model");
        }
        TRY(frontend_read_param(fe, item, values[i], err));
        bool as_half = half && item->decay;
        for (size_t k = 0; as_half && item->value.grad == NULL && k < count; k++) { /* frozen */
            as_half = safetensors_f16_to_f32(safetensors_f32_to_f16(values[i][k])) == values[i][k];
        }
        TRY(safetensors_writer_add(w, item->name, as_half ? SAFETENSORS_F16 : SAFETENSORS_F32, item->value.ndim,
                                   item->value.dim, values[i], err));
    }
    return SPOOR_OK;
}

static spoor_status add_network(safetensors_writer *w, net *n, bool half, spoor_error *err) {
    params *p = net_params(n);
    for (size_t i = 0; i < params_count(p); i++) {
        const param *item = params_at(p, i);
        bool as_half = half && item->decay; /* matrices and kernels; norms, biases and statistics stay exact */
        TRY(safetensors_writer_add(w, item->name, as_half ? SAFETENSORS_F16 : SAFETENSORS_F32, item->value.ndim,
                                   item->value.dim, item->value.data, err));
    }
    return SPOOR_OK;
}

spoor_status model_add_statistics(safetensors_writer *w, const openset *known, spoor_error *err) {
    openset_tensor t[OPENSET_MAX_TENSORS];
    size_t count = known == NULL || known->stats == NULL ? 0 : openset_tensors(known->stats, openset_needs(known), t);
    for (size_t i = 0; i < count; i++) {
        TRY(safetensors_writer_add(w, t[i].name, t[i].half ? SAFETENSORS_F16 : SAFETENSORS_F32, t[i].rank, t[i].shape,
                                   t[i].data, err));
    }
    return SPOOR_OK;
}

spoor_status model_save(spoor_context *ctx, const char *path, net *n, const frontend *fe, const openset *known,
                        const json_t *meta, bool half, spoor_error *err) {
    char *text = json_dumps(meta, JSON_COMPACT | JSON_PRESERVE_ORDER);
    params *theirs = fe == NULL ? NULL : frontend_params(fe);
    size_t count = theirs == NULL ? 0 : params_count(theirs);
    float **values = ctx_calloc(ctx, count, sizeof *values);
    safetensors_writer *w = NULL;
    spoor_status status = text == NULL || values == NULL ? error_memory(err, "writing a model")
                                                         : safetensors_writer_new(ctx, &w, err);
    if (status == SPOOR_OK) {
        status = safetensors_writer_meta(w, "format", "pt", err); /* what other tools of the field expect to find */
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_meta(w, "spoor", text, err);
    }
    if (status == SPOOR_OK) {
        status = add_network(w, n, half, err);
    }
    if (status == SPOOR_OK && count > 0) {
        status = add_frontend(ctx, w, fe, half, values, err);
    }
    if (status == SPOOR_OK) {
        status = model_add_statistics(w, known, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, path, err);
    }
    safetensors_writer_free(w);
    for (size_t i = 0; values != NULL && i < count; i++) {
        ctx_free(ctx, values[i]);
    }
    ctx_free(ctx, values);
    free(text);
    return status;
}
