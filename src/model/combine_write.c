/* combine_write.c: the metadata and the tensors of a combined model; a model file written again with changes; see
 * combine.h. */
#include "model/combine_internal.h"
#include "openset/statistics.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = SAFETENSORS_MAX_NAME + 64 };

/* ---- tasks ---- */

static const model_task *task_of(const combine_plan *p, size_t k) {
    return &p->source[p->task[k].owner].model->tasks[p->task[k].index];
}

static size_t class_of(const model_task *t, const char *name) {
    size_t c = 0;
    while (c < t->n_classes && strcmp(t->classes[c], name) != 0) {
        c++;
    }
    return c;
}

static size_t new_task(const combine_plan *p, const char *name) {
    size_t k = 0;
    while (k < p->n_tasks && strcmp(task_of(p, k)->name, name) != 0) {
        k++;
    }
    return k;
}

/* The name that a derived task gives a class of the task behind it, "" for none; NULL: the model does not know that
 * class. */
static const char *parent_name(const spoor_model *m, const model_task *t, const char *class) {
    size_t c = class_of(&m->tasks[t->from], class);
    return c == m->tasks[t->from].n_classes ? NULL : t->parent[c] < 0 ? "" : t->classes[t->parent[c]];
}

/* Where every model that answers task k derives it from the same task in the same way, and the new model has that one:
 * "from". A new reference, NULL: the task is not derived. */
static json_t *derived(const combine_plan *p, size_t k) {
    const char *name = task_of(p, k)->name, *from = NULL;
    for (size_t s = 0; s < p->n; s++) {
        const spoor_model *m = p->source[s].model;
        size_t own = model_find_task(m, name);
        if (own == SIZE_MAX || !p->source[s].keeps[own]) {
            continue;
        }
        const model_task *t = &m->tasks[own];
        if (t->parent == NULL || (from != NULL && strcmp(from, m->tasks[t->from].name) != 0)) {
            return NULL;
        }
        from = m->tasks[t->from].name;
    }
    size_t behind = from == NULL ? p->n_tasks : new_task(p, from);
    if (behind == p->n_tasks || task_of(p, behind)->parent != NULL) {
        return NULL;
    }
    json_t *list = json_array();
    for (size_t c = 0; c < p->task[behind].n_classes; c++) {
        const char *class = p->task[behind].classes[c], *parent = NULL;
        for (size_t s = 0; s < p->n; s++) {
            const spoor_model *m = p->source[s].model;
            size_t own = model_find_task(m, name);
            const char *says =
                own == SIZE_MAX || !p->source[s].keeps[own] ? NULL : parent_name(m, &m->tasks[own], class);
            if (says != NULL && parent != NULL && strcmp(says, parent) != 0) {
                json_decref(list);
                return NULL;
            }
            parent = parent == NULL ? says : parent;
        }
        if (parent == NULL) {
            json_decref(list);
            return NULL;
        }
        (void)json_array_append_new(list, *parent == '\0' ? json_null() : json_string(parent));
    }
    return json_pack("{s:s, s:o}", "task", from, "classes", list);
}

static json_t *describe_task(const combine_plan *p, size_t k) {
    const combine_task *t = &p->task[k];
    const json_t *list = json_object_get(p->source[t->owner].model->meta, "tasks");
    json_t *classes = json_array(), *from = derived(p, k);
    for (size_t c = 0; c < t->n_classes; c++) {
        (void)json_array_append_new(classes, json_string(t->classes[c]));
    }
    json_t *out = json_pack("{s:s, s:o}", "name", task_of(p, k)->name, "classes", classes);
    json_t *calibration = json_object_get(json_array_get(list, t->index), "calibration");
    json_t *unseen =
        p->options->fusion == NULL ? json_object_get(json_array_get(list, t->index), "calibration_unseen") : NULL;
    bool good =
        (unseen == NULL || json_object_set(out, "calibration_unseen", unseen) == 0) &&
        (from == NULL || json_object_set(out, "from", from) == 0) &&
        (p->options->fusion != NULL || calibration == NULL || json_object_set(out, "calibration", calibration) == 0);
    json_decref(from);
    if (!good) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *describe_tasks(const combine_plan *p) {
    json_t *list = json_array();
    for (size_t k = 0; k < p->n_tasks; k++) {
        if (json_array_append_new(list, describe_task(p, k)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- what carries over ---- */

/* The model that judges bona fide alone and with all that it has, whose calibration of that still holds; SIZE_MAX:
 * none. */
static size_t judge(const combine_plan *p) {
    size_t who = SIZE_MAX, humans = 0;
    for (size_t k = 0; k < p->n_tasks; k++) {
        if (task_of(p, k)->human >= 0 && task_of(p, k)->n_classes > 1) {
            if (who != SIZE_MAX && who != p->task[k].owner) {
                return SIZE_MAX;
            }
            who = p->task[k].owner;
            humans++;
        }
    }
    for (size_t k = 0; who != SIZE_MAX && k < p->source[who].model->n_tasks; k++) {
        const model_task *t = &p->source[who].model->tasks[k];
        humans -= t->human >= 0 && t->n_classes > 1;
    }
    return humans == 0 ? who : SIZE_MAX;
}

/* The first taxonomy that one of the models has. */
static bool carry_taxonomy(const combine_plan *p, json_t *meta) {
    json_t *tree = NULL;
    for (size_t s = 0; tree == NULL && s < p->n; s++) {
        tree = json_object_get(p->source[s].model->meta, "taxonomy");
    }
    return tree == NULL || json_object_set(meta, "taxonomy", tree) == 0;
}

static bool carry_over(const combine_plan *p, json_t *meta) {
    if (!carry_taxonomy(p, meta)) {
        return false;
    }
    const spoor_model *known = p->known == SIZE_MAX ? NULL : p->source[p->known].model;
    const json_t *fusion = p->options->fusion;
    if (fusion != NULL && known != NULL) { /* not the statistics of one of them */
        openset o;
        openset_init(&o);
        const char *method = json_string_value(json_object_get(fusion, "method"));
        o.kind = method != NULL && strcmp(method, "average") == 0
                     ? OPENSET_MSP
                     : o.kind; /* the energy of probabilities says nothing */
        json_t *section =
            json_pack("{s:s, s:o}", "task", known->tasks[known->known_task].name, "openset", openset_to_json(&o));
        return json_object_set_new(meta, "known", section) == 0;
    }
    json_t *section = known == NULL ? NULL : json_object_get(known->meta, "known");
    size_t who = judge(p);
    json_t *bonafide =
        who == SIZE_MAX || fusion != NULL ? NULL : json_object_get(p->source[who].model->meta, "bonafide");
    json_t *kind =
        who == SIZE_MAX || fusion != NULL ? NULL : json_object_get(p->source[who].model->meta, "bonafide_score");
    return (section == NULL || json_object_set(meta, "known", section) == 0) &&
           (kind == NULL || json_object_set(meta, "bonafide_score", kind) == 0) &&
           (bonafide == NULL || json_object_set(meta, "bonafide", bonafide) == 0);
}

/* Where each label comes from in a manifest: what the models' own provenance says. */
static json_t *describe_labels(const combine_plan *p) {
    json_t *tasks = json_object(), *out = json_object();
    for (size_t k = 0; k < p->n_tasks; k++) {
        const json_t *own =
            json_object_get(json_object_get(p->source[p->task[k].owner].model->meta, "provenance"), "labels");
        json_t *entry = json_object_get(json_object_get(own, "tasks"), task_of(p, k)->name);
        (void)(entry == NULL ? 0 : json_object_set(tasks, task_of(p, k)->name, entry));
        for (const char *const *key = (const char *const[]){"page", "setting", "split", NULL}; *key != NULL; key++) {
            json_t *column = json_object_get(own, *key);
            (void)(column == NULL || json_object_get(out, *key) != NULL ? 0 : json_object_set(out, *key, column));
        }
    }
    (void)json_object_set_new(out, "tasks", tasks);
    return out;
}

static json_t *describe_models(const combine_plan *p) {
    json_t *list = json_array();
    for (size_t s = 0; s < p->n; s++) {
        const combine_source *from = &p->source[s];
        json_t *tasks = json_array();
        for (size_t k = 0; k < from->model->n_tasks; k++) {
            if (from->keeps[k]) {
                (void)json_array_append_new(tasks, json_string(from->model->tasks[k].name));
            }
        }
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", from->model->name, "sha256",
                                                    from->model->sha256, "tasks", tasks));
    }
    return list;
}

/* ---- the metadata ---- */

static json_t *describe_network(const combine_plan *p) {
    json_t *network = json_pack("{s:s, s:O}", "kind", "ensemble", "members", p->members);
    if (p->options->fusion == NULL) {
        return network;
    }
    json_t *fusion = json_deep_copy(p->options->fusion), *groups = json_array();
    for (size_t s = 0; s < p->n; s++) {
        (void)json_array_append_new(groups, json_integer((json_int_t)p->source[s].kept));
    }
    (void)json_object_set_new(fusion, "groups", groups);
    (void)json_object_set_new(network, "fusion", fusion);
    return network;
}

/* The name of the new model, freed with ctx_free. */
static char *make_name(const combine_plan *p) {
    char *name = ctx_strdup(p->ctx, p->options->name != NULL ? p->options->name : p->source[0].model->name);
    for (size_t s = 1; name != NULL && p->options->name == NULL && s < p->n; s++) {
        char *longer = ctx_printf(p->ctx, "%s + %s", name, p->source[s].model->name);
        ctx_free(p->ctx, name);
        name = longer;
    }
    return name;
}

/* A new reference. */
static json_t *make_card(const combine_plan *p) {
    if (p->options->card != NULL) {
        return json_string(p->options->card);
    }
    const spoor_model *m = p->known == SIZE_MAX ? NULL : p->source[p->known].model;
    size_t k = m == NULL ? p->n_tasks : new_task(p, m->tasks[m->known_task].name);
    if (k == p->n_tasks) {
        return json_sprintf("%zu models in one.", p->n);
    }
    size_t sources = 0;
    for (size_t c = 0; c < p->task[k].n_classes; c++) {
        sources += !model_is_human(p->task[k].classes[c]);
    }
    return json_sprintf("%zu models in one; knows %zu sources; any other generator it can only call unknown.", p->n,
                        sources);
}

static spoor_status make_net(combine_plan *p, const json_t *network, spoor_error *err) {
    net_task tasks[NET_MAX_TASKS];
    for (size_t k = 0; k < p->n_tasks; k++) {
        tasks[k] = (net_task){task_of(p, k)->name, (int64_t)p->task[k].n_classes};
    }
    size_t dim = p->same ? frontend_dim(p->source[0].model->frontend) : p->dim;
    return net_new_for_weights(p->ctx, network, (int64_t)dim, tasks, p->n_tasks, INT64_MAX / 8, &p->net, err);
}

spoor_status combine_describe(combine_plan *p, spoor_error *err) {
    json_t *network = describe_network(p);
    char *name = make_name(p);
    spoor_status status =
        network == NULL || name == NULL ? error_memory(err, "combining models") : make_net(p, network, err);
    json_decref(network);
    if (status == SPOOR_OK) {
        json_t *card = make_card(p);
        json_t *provenance = json_pack("{s:s, s:o, s:o}", "spoor", SPOOR_VERSION, "models", describe_models(p),
                                       "labels", describe_labels(p));
        p->meta = json_pack("{s:i, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:O*}", "format", 1, "name", name, "card", card,
                            "window", (json_int_t)p->source[0].model->window, "frontend", combine_frontend(p),
                            "network", net_config(p->net), "tasks", describe_tasks(p), "provenance", provenance,
                            "silence", json_object_get(p->source[0].model->meta, "silence"));
        status = p->meta != NULL && carry_over(p, p->meta) ? SPOOR_OK : error_memory(err, "combining models");
    }
    ctx_free(p->ctx, name);
    return status;
}

/* ---- tensors ---- */

/* The task of "heads.TASK.weight" (or bias, centre) among the model's; SIZE_MAX: another tensor. */
static size_t task_of_head(const spoor_model *m, const char *name) {
    const char *dot = strrchr(name, '.');
    if (strncmp(name, "heads.", 6) != 0 || dot == NULL || dot < name + 6) {
        return SIZE_MAX;
    }
    for (size_t k = 0; k < m->n_tasks; k++) {
        size_t length = strlen(m->tasks[k].name);
        if (length == (size_t)(dot - name) - 6 && memcmp(m->tasks[k].name, name + 6, length) == 0) {
            return k;
        }
    }
    return SIZE_MAX;
}

/* Whether a tensor of a head has a row for each class. */
static bool has_rows(const char *end) {
    return strcmp(end, ".weight") == 0 || strcmp(end, ".bias") == 0 || strcmp(end, ".centroids") == 0;
}

typedef struct ordered { /* rows of a tensor in another order */
    const safetensors_tensor *from;
    const int32_t *order; /* [classes], NULL: as they are; rows behind them (further kinds of human speech) stay */
    size_t classes;
} ordered;

/* The new name of a tensor of input s's network, "" where it is left out; how its rows move. */
static void network_name(const combine_source *s, const char *name, char out[NAME_ROOM], ordered *how) {
    size_t member = 0;
    out[0] = '\0';
    if (json_object_get(s->network, "members") != NULL) {
        int length = 0;
        if (sscanf(name, "members.%zu.%n", &member, &length) != 1 || length == 0 || member >= s->n_members) {
            return;
        }
        name += length;
    }
    size_t task = task_of_head(s->model, name);
    if (s->place[member] < 0 || (task != SIZE_MAX && !s->keeps[task])) {
        return;
    }
    bool rows = task != SIZE_MAX && has_rows(strrchr(name, '.'));
    how->order = rows ? s->order[task] : NULL;
    how->classes = rows ? s->model->tasks[task].n_classes : 0;
    (void)snprintf(out, NAME_ROOM, "members.%lld.%s", (long long)s->place[member], name);
}

/* A safetensors_read_fn. */
static spoor_status read_source(void *user, size_t number, void *elements, spoor_error *err) {
    const ordered *o = (const ordered *)user + number;
    (void)err;
    if (o->order == NULL) {
        memcpy(elements, o->from->data, o->from->bytes);
        return SPOOR_OK;
    }
    size_t rows = (size_t)o->from->shape[0], row = o->from->bytes / rows;
    for (size_t i = 0; i < rows; i++) {
        size_t old = i < o->classes ? (size_t)o->order[i] : i;
        memcpy((unsigned char *)elements + i * row, o->from->data + old * row, row);
    }
    return SPOOR_OK;
}

static size_t count_tensors(const combine_plan *p) {
    size_t n = 0;
    for (size_t s = 0; s < p->n; s++) {
        n += safetensors_count(p->source[s].file);
    }
    return n;
}

/* All tensors of input s that have a place in the new file. */
static spoor_status add_source(combine_plan *p, size_t s, ordered *list, size_t *n, spoor_error *err) {
    const combine_source *from = &p->source[s];
    params *own = net_params(from->model->net);
    char name[NAME_ROOM];
    for (size_t i = 0; i < safetensors_count(from->file); i++) {
        const safetensors_tensor *t = safetensors_at(from->file, i);
        list[*n] = (ordered){.from = t};
        if (strncmp(t->name, "frontend.", 9) == 0) {
            combine_part_name(p, s, t->name, name, sizeof name);
        } else if (params_find(own, t->name) != NULL) {
            network_name(from, t->name, name, &list[*n]);
        } else { /* statistics of the known score */
            (void)snprintf(name, sizeof name, "%s", s == p->known && p->options->fusion == NULL ? t->name : "");
        }
        if (name[0] != '\0') {
            TRY(safetensors_writer_add_later(p->writer, name, t->dtype, t->rank, t->shape, read_source, list, *n, err));
            ++*n;
        }
    }
    return SPOOR_OK;
}

/* Heads that are not fitted yet: zeros. */
static spoor_status add_fusion(combine_plan *p, spoor_error *err) {
    for (size_t i = 0; i < params_count(net_params(p->net)); i++) {
        const param *item = params_at(net_params(p->net), i);
        if (strncmp(item->name, "fusion.", 7) == 0) {
            TRY(safetensors_writer_add(p->writer, item->name, SAFETENSORS_F32, item->value.ndim, item->value.dim,
                                       item->value.data, err));
        }
    }
    return SPOOR_OK;
}

static spoor_status begin(spoor_context *ctx, const json_t *meta, safetensors_writer **out, spoor_error *err) {
    char *text = json_dumps(meta, JSON_COMPACT | JSON_PRESERVE_ORDER);
    spoor_status status = text == NULL ? error_memory(err, "writing a model") : safetensors_writer_new(ctx, out, err);
    if (status == SPOOR_OK) {
        status = safetensors_writer_meta(*out, "format", "pt", err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_meta(*out, "spoor", text, err);
    }
    free(text);
    return status;
}

spoor_status combine_write(combine_plan *p, const char *path, spoor_error *err) {
    size_t n = 0;
    ordered *list = ctx_calloc(p->ctx, count_tensors(p), sizeof *list);
    spoor_status status =
        list == NULL ? error_memory(err, "combining models") : begin(p->ctx, p->meta, &p->writer, err);
    for (size_t s = 0; s < p->n && status == SPOOR_OK; s++) {
        status = add_source(p, s, list, &n, err);
    }
    if (status == SPOOR_OK) {
        status = add_fusion(p, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(p->writer, path, err);
    }
    ctx_free(p->ctx, list);
    return status;
}

/* ---- the same file with changes ---- */

static spoor_status add_unchanged(const safetensors *f, ordered *list, const model_tensor *changed, size_t n,
                                  safetensors_writer *w, spoor_error *err) {
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        size_t k = 0;
        while (k < n && strcmp(changed[k].name, t->name) != 0) {
            k++;
        }
        list[i] = (ordered){.from = t};
        TRY(k < n ? SPOOR_OK
                  : safetensors_writer_add_later(w, t->name, t->dtype, t->rank, t->shape, read_source, list, i, err));
    }
    return SPOOR_OK;
}

model_tensor model_tensor_of(const char *name, const tensor *value) {
    model_tensor t = {.name = name, .rank = value->ndim, .data = value->data};
    memcpy(t.shape, value->dim, (size_t)value->ndim * sizeof *t.shape);
    return t;
}

size_t model_tensors_of_known(const openset *o, model_tensor *out) {
    openset_tensor t[OPENSET_MAX_TENSORS];
    size_t n = o->stats == NULL ? 0 : openset_tensors(o->stats, openset_needs(o), t);
    for (size_t i = 0; i < n; i++) {
        out[i] = (model_tensor){.name = t[i].name, .rank = t[i].rank, .data = t[i].data, .half = t[i].half};
        memcpy(out[i].shape, t[i].shape, sizeof t[i].shape);
    }
    return n;
}

spoor_status model_rewrite(spoor_context *ctx, const char *from, const char *to, const json_t *meta,
                           const model_tensor *changed, size_t n, spoor_error *err) {
    safetensors *f;
    safetensors_writer *w = NULL;
    TRY(safetensors_map(ctx, from, &f, err));
    ordered *list = ctx_calloc(ctx, safetensors_count(f), sizeof *list);
    spoor_status status = list == NULL ? error_memory(err, "writing a model") : begin(ctx, meta, &w, err);
    if (status == SPOOR_OK) {
        status = add_unchanged(f, list, changed, n, w, err);
    }
    for (size_t i = 0; i < n && status == SPOOR_OK; i++) {
        const model_tensor *t = &changed[i];
        status = safetensors_writer_add(w, t->name, t->half ? SAFETENSORS_F16 : SAFETENSORS_F32, t->rank, t->shape,
                                        t->data, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, to, err);
    }
    safetensors_writer_free(w);
    ctx_free(ctx, list);
    safetensors_free(f);
    return status;
}
