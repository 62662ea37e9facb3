/* heads.c: see heads.h. */
#include "train/heads.h"
#include "model/model.h"
#include "net/joint.h"
#include <string.h>

static spoor_status find_task(const dataset *d, const char *key, const char *name, const dataset_task **out,
                              spoor_error *err) {
    for (size_t i = 0; i < d->n_tasks; i++) {
        if (strcmp(d->task[i].from.name, name) == 0) {
            *out = &d->task[i];
            return SPOOR_OK;
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "%s: there is no task named %.60s in data.tasks", key, name);
}

/* network.task_heads.TASK = head (taken over) */
static spoor_status put(const recipe *r, const char *task, json_t *head, spoor_error *err) {
    json_t *network = json_object_get(r->resolved, "network"), *all = json_object_get(network, "task_heads");
    if (!json_is_object(all)) {
        all = json_object();
        if (json_object_set_new(network, "task_heads", all) != 0) {
            json_decref(head);
            return error_memory(err, "choosing heads");
        }
    }
    return json_object_set_new(all, task, head) == 0 ? SPOOR_OK : error_memory(err, "choosing heads");
}

static spoor_status choose_one_class(const recipe *r, const dataset *d, spoor_error *err) {
    const recipe_oc *oc = &r->oc;
    const dataset_task *t = NULL;
    TRY(find_task(d, "oc.task", oc->task, &t, err));
    json_int_t human = -1;
    for (size_t c = 0; c < t->n_classes; c++) {
        human = model_is_human(t->classes[c]) ? (json_int_t)c : human;
    }
    if (t->n_classes != 2 || human < 0) {
        return error_set(err, SPOOR_ERR_USAGE, "oc.task: the training clips of the task %.60s must be of two classes, "
                         "one of them bonafide", oc->task);
    }
    return put(r, oc->task,
               json_pack("{s:s,s:I,s:f,s:f,s:f,s:b,s:s}", "kind", "one-class", "human", human, "r_real", oc->r_real,
                         "r_fake", oc->r_fake, "alpha", oc->alpha, "linear", oc->linear, "judge",
                         oc->linear_judges ? "linear" : "centre"),
               err);
}

static spoor_status choose_centroids(const recipe *r, const dataset *d, spoor_error *err) {
    const dataset_task *t = NULL;
    const char *sampled = *r->sampler_task ? r->sampler_task : r->source_task;
    const char *kind = json_string_value(json_object_get(json_object_get(r->resolved, "network"), "kind"));
    TRY(find_task(d, "ge2e.task", r->ge2e.task, &t, err));
    if (strcmp(r->ge2e.task, sampled) != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "ge2e.task: batches are made of the classes of the task %.60s; set "
                                               "sampler.task to %.60s",
                         sampled, r->ge2e.task);
    }
    if (kind && strcmp(kind, "ensemble") == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "ge2e.weight: an ensemble has no centroids; train its members one by "
                                               "one");
    }
    return put(r, r->ge2e.task, json_pack("{s:s}", "kind", "centroids"), err);
}

/* The values of every class in parent `own`, a list of its classes' numbers; JOINT_NONE where nothing is known. */
static spoor_status values_of(const dataset *d, const dataset_task *task, const dataset_task *own, json_t *list,
                              bool *has, spoor_error *err) {
    int32_t *value = ctx_alloc(d->ctx, task->n_classes, sizeof *value);
    spoor_status status = value ? dataset_majority(d, task, own, value, err) : error_memory(err, "choosing heads");
    for (size_t c = 0; status == SPOOR_OK && c < task->n_classes; c++) {
        has[c] = has[c] || value[c] >= 0;
        if (json_array_append_new(list, json_integer(value[c] < 0 ? JOINT_NONE : value[c])) != 0) {
            status = error_memory(err, "choosing heads");
        }
    }
    ctx_free(d->ctx, value);
    return status;
}

/* What is missing of classes of which something else is known: any value, but human speech has none. */
static void open_values(const dataset_task *task, const bool *has, json_t *parents) {
    const char *name;
    json_t *list;
    json_object_foreach(parents, name, list) {
        for (size_t c = 0; c < task->n_classes; c++) {
            if (has[c] && !model_is_human(task->classes[c]) &&
                json_integer_value(json_array_get(list, c)) == JOINT_NONE) {
                (void)json_array_set_new(list, c, json_integer(JOINT_UNKNOWN));
            }
        }
    }
}

static spoor_status check_joint(const recipe *r, const dataset *d, const dataset_task *task, spoor_error *err) {
    for (size_t i = 0; i < d->n_tasks; i++) {
        bool own = &d->task[i] == task, parent = false;
        const char *name = d->task[i].from.name;
        for (size_t p = 0; p < r->joint.n_parents; p++) {
            parent = parent || strcmp(r->joint.parents[p], name) == 0;
        }
        if (own && (r->task[i].smoothing > 0 || parent)) {
            return error_set(err, SPOOR_ERR_USAGE, parent ? "joint.parents: the task %.60s cannot be its own parent"
                                                          : "data.tasks.%.60s.smoothing: a joint head has no "
                                                            "smoothing", name);
        }
        if ((own || parent) && (r->task[i].from || (r->oc.weight > 0 && strcmp(r->oc.task, name) == 0) ||
                                (r->ge2e.weight > 0 && strcmp(r->ge2e.task, name) == 0))) {
            return error_set(err, SPOOR_ERR_USAGE, "joint: the task %.60s has another kind of head, or its answer from "
                                                   "another task", name);
        }
    }
    return SPOOR_OK;
}

static spoor_status choose_joint(const recipe *r, const dataset *d, spoor_error *err) {
    const dataset_task *t = NULL, *own = NULL;
    TRY(find_task(d, "joint.task", r->joint.task, &t, err));
    TRY(check_joint(r, d, t, err));
    bool *has = ctx_calloc(d->ctx, t->n_classes, sizeof *has);
    json_t *parents = json_object();
    spoor_status status = has && parents ? SPOOR_OK : error_memory(err, "choosing heads");
    for (size_t i = 0; status == SPOOR_OK && i < r->joint.n_parents; i++) {
        json_t *list = json_array();
        status = find_task(d, "joint.parents", r->joint.parents[i], &own, err);
        status = status == SPOOR_OK ? values_of(d, t, own, list, has, err) : status;
        if (json_object_set_new(parents, r->joint.parents[i], list) != 0 && status == SPOOR_OK) {
            status = error_memory(err, "choosing heads");
        }
    }
    if (status == SPOOR_OK) {
        open_values(t, has, parents);
        json_t *head = json_pack("{s:s,s:O}", "kind", "joint", "parents", parents);
        for (size_t c = 0; head && c < t->n_classes; c++) {
            if (model_is_human(t->classes[c])) {
                (void)json_object_set_new(head, "human", json_integer((json_int_t)c));
            }
        }
        status = put(r, r->joint.task, head, err);
    }
    ctx_free(d->ctx, has);
    json_decref(parents);
    return status;
}

static bool answers(const json_t *network, const char *task) {
    const json_t *list = json_object_get(network, "tasks"), *name;
    size_t i;
    bool listed = list == NULL;
    json_array_foreach(list, i, name) {
        listed = listed || (json_string_value(name) && strcmp(json_string_value(name), task) == 0);
    }
    return listed;
}

/* "humans" of a network or a member becomes the heads that it stands for. */
static spoor_status choose_kinds(const dataset *d, json_t *network, spoor_error *err) {
    const json_t *kinds = json_object_get(network, "humans");
    if (kinds == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_integer(kinds) || json_integer_value(kinds) < 1 || json_integer_value(kinds) > NET_MAX_HUMANS ||
        json_object_get(network, "logistic") == NULL || json_object_get(network, "task_heads") != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "network: humans must be a whole number of 1 to %d, and goes with "
                         "logistic and without task_heads", NET_MAX_HUMANS);
    }
    json_t *heads = json_object();
    bool good = heads != NULL;
    for (size_t k = 0; k < d->n_tasks; k++) {
        for (size_t c = 0; c < d->task[k].n_classes && answers(network, d->task[k].from.name); c++) {
            if (model_is_human(d->task[k].classes[c])) {
                json_t *head = json_pack("{s:s,s:I,s:O}", "kind", "linear", "human", (json_int_t)c, "kinds", kinds);
                good = json_object_set_new(heads, d->task[k].from.name, head) == 0 && good;
            }
        }
    }
    good = good && json_object_set(network, "task_heads", heads) == 0 && json_object_del(network, "humans") == 0;
    json_decref(heads);
    return good ? SPOOR_OK : error_memory(err, "choosing heads");
}

static spoor_status choose_all_kinds(const recipe *r, const dataset *d, spoor_error *err) {
    json_t *network = json_object_get(r->resolved, "network"), *member;
    size_t i;
    TRY(choose_kinds(d, network, err));
    json_array_foreach(json_object_get(network, "members"), i, member) {
        TRY(choose_kinds(d, member, err));
    }
    return SPOOR_OK;
}

spoor_status heads_choose(const recipe *r, const dataset *d, spoor_error *err) {
    TRY(choose_all_kinds(r, d, err));
    TRY(r->joint.n_parents > 0 ? choose_joint(r, d, err) : SPOOR_OK);
    TRY(r->oc.weight > 0 ? choose_one_class(r, d, err) : SPOOR_OK);
    return r->ge2e.weight > 0 ? choose_centroids(r, d, err) : SPOOR_OK;
}
