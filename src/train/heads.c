/* heads.c: see heads.h. */
#include "train/heads.h"
#include "model/model.h"
#include <string.h>

static spoor_status find_task(const dataset *d, const char *key, const char *name, const dataset_task **out, spoor_error *err) {
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
        return error_set(err, SPOOR_ERR_USAGE, "oc.task: the training clips of the task %.60s must be of two classes, one of "
                         "them bonafide", oc->task);
    }
    return put(r, oc->task,
               json_pack("{s:s,s:I,s:f,s:f,s:f,s:b,s:s}", "kind", "one-class", "human", human, "r_real", oc->r_real, "r_fake",
                         oc->r_fake, "alpha", oc->alpha, "linear", oc->linear, "judge", oc->linear_judges ? "linear" : "centre"),
               err);
}

static spoor_status choose_centroids(const recipe *r, const dataset *d, spoor_error *err) {
    const dataset_task *t = NULL;
    const char *sampled = *r->sampler_task ? r->sampler_task : r->source_task;
    const char *kind = json_string_value(json_object_get(json_object_get(r->resolved, "network"), "kind"));
    TRY(find_task(d, "ge2e.task", r->ge2e.task, &t, err));
    if (strcmp(r->ge2e.task, sampled) != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "ge2e.task: batches are made of the classes of the task %.60s; set sampler.task to %.60s",
                         sampled, r->ge2e.task);
    }
    if (kind && strcmp(kind, "ensemble") == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "ge2e.weight: an ensemble has no centroids; train its members one by one");
    }
    return put(r, r->ge2e.task, json_pack("{s:s}", "kind", "centroids"), err);
}

spoor_status heads_choose(const recipe *r, const dataset *d, spoor_error *err) {
    TRY(r->oc.weight > 0 ? choose_one_class(r, d, err) : SPOOR_OK);
    return r->ge2e.weight > 0 ? choose_centroids(r, d, err) : SPOOR_OK;
}
