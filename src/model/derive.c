/* derive.c: tasks whose answer follows from another task's, such as the family from the source; see model.h. */
#include "model/model.h"
#include "base/logsum.h"
#include <math.h>
#include <string.h>

/* p[n_classes of task]: shares of its synthetic classes, summed over those of the other task. */
static void sum_shares(const model_task *task, const model_task *from, const float *logits, double *p) {
    double all = log_sum_exp(logits, from->n_classes, from->human, 1);
    for (size_t c = 0; c < task->n_classes; c++) {
        p[c] = 0;
    }
    for (size_t s = 0; s < from->n_classes; s++) {
        int32_t c = task->parent[s];
        if ((int64_t)s != from->human && c >= 0 && c != task->human) {
            p[c] += exp((double)logits[s] - all);
        }
    }
}

/* Of tasks that derive from tasks that do not: one pass in any order is enough. */
spoor_status model_derive(const spoor_model *m, float *logits, spoor_error *err) {
    for (size_t k = 0; k < m->n_tasks; k++) {
        const model_task *task = &m->tasks[k];
        if (task->parent == NULL) {
            continue;
        }
        double *p = ctx_alloc(m->ctx, task->n_classes, sizeof *p);
        if (p == NULL) {
            return error_memory(err, "deriving an answer");
        }
        float *own = logits + model_offset(m, k);
        double all = log_sum_exp(own, task->n_classes, task->human, 1);
        sum_shares(task, &m->tasks[task->from], logits + model_offset(m, task->from), p);
        for (size_t c = 0; c < task->n_classes; c++) {
            own[c] = (int64_t)c == task->human ? own[c] : (float)(all + log(p[c] + 1e-9));
        }
        ctx_free(m->ctx, p);
    }
    return SPOOR_OK;
}

json_t *model_parent_to_json(const model_task *tasks, size_t index) {
    const model_task *task = &tasks[index], *from = &tasks[task->from];
    json_t *list = json_array();
    for (size_t s = 0; s < from->n_classes; s++) {
        (void)json_array_append_new(list,
                                    task->parent[s] < 0 ? json_null() : json_string(task->classes[task->parent[s]]));
    }
    return json_pack("{s:s, s:o}", "task", from->name, "classes", list);
}

static int32_t class_named(const model_task *task, const char *name) {
    for (size_t i = 0; name != NULL && i < task->n_classes; i++) {
        if (strcmp(task->classes[i], name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

spoor_status model_parent_from_json(spoor_model *m, size_t index, const json_t *json, spoor_error *err) {
    model_task *task = &m->tasks[index];
    const char *name = json_string_value(json_object_get(json, "task"));
    const json_t *list = json_object_get(json, "classes");
    size_t from = name == NULL ? SIZE_MAX : model_find_task(m, name);
    bool good = from != SIZE_MAX && from != index && json_array_size(list) == m->tasks[from].n_classes &&
                m->tasks[from].n_classes > (m->tasks[from].human >= 0);
    if (!good) {
        return error_set(err, SPOOR_ERR_USAGE, "the task %.60s derives from no other task, or not from all of its "
                                               "classes",
                         task->name);
    }
    int32_t *parent = ctx_alloc(m->ctx, m->tasks[from].n_classes, sizeof *parent);
    if (parent == NULL) {
        return error_memory(err, "opening a model");
    }
    ctx_free(m->ctx, task->parent);
    task->parent = parent;
    task->from = from;
    for (size_t s = 0; s < m->tasks[from].n_classes; s++) {
        const json_t *item = json_array_get(list, s);
        parent[s] = class_named(task, json_string_value(item));
        if (parent[s] < 0 && !json_is_null(item)) {
            return error_set(err, SPOOR_ERR_USAGE, "the task %.60s derives a class that it does not have", task->name);
        }
    }
    return SPOOR_OK;
}

/* A derived task must not derive from one that is derived itself. */
spoor_status model_parents_check(const spoor_model *m, spoor_error *err) {
    for (size_t i = 0; i < m->n_tasks; i++) {
        if (m->tasks[i].parent != NULL && m->tasks[m->tasks[i].from].parent != NULL) {
            return error_set(err, SPOOR_ERR_USAGE, "the task %.60s derives from a task that is derived itself",
                             m->tasks[i].name);
        }
    }
    return SPOOR_OK;
}
