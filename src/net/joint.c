/* joint.c: see joint.h. */
#include "net/joint.h"
#include <string.h>

/* ---- making ---- */

static spoor_status refuse(const net_task *task, const char *parent, const char *why, spoor_error *err) {
    return error_set(err, SPOOR_ERR_USAGE, "network.task_heads.%.64s: the parent %.64s %s", task->name, parent, why);
}

static spoor_status read_values(net_joint *j, joint_parent *p, const json_t *list, const net_task *tasks,
                                spoor_error *err) {
    for (int64_t c = 0; c < j->classes; c++) {
        const json_t *item = json_array_get(list, (size_t)c);
        json_int_t v = json_integer_value(item);
        if (!json_is_integer(item) || v < JOINT_NONE || v >= p->values) {
            return refuse(&tasks[j->task], tasks[p->task].name,
                          "must list for each class a class of its own, -1 (not known) or -2 (none)", err);
        }
        p->value[c] = (int32_t)v;
    }
    p->human = j->human >= 0 ? p->value[j->human] : -1;
    return SPOOR_OK;
}

/* select and mix from the values. */
static void fill(const net_joint *j, joint_parent *p) {
    int64_t open = p->values - (p->human >= 0);
    for (int64_t v = 0; v < p->values; v++) {
        bool any = false;
        for (int64_t c = 0; c < j->classes; c++) {
            bool has = p->value[c] == v, may = p->value[c] == JOINT_UNKNOWN && v != p->human;
            p->select[c * p->values + v] = has ? 1 : 0;
            p->mix[v * j->classes + c] = has ? 1 : may ? 1 / (real)open : 0;
            any = any || has || may;
        }
        for (int64_t c = 0; !any && c < j->classes; c++) {
            p->mix[v * j->classes + c] = (real)JOINT_FLOOR;
        }
    }
}

static spoor_status add_parent(net_joint *j, const char *name, const json_t *list, const net_task *tasks,
                               const bool *answers, size_t n_tasks, spoor_error *err) {
    size_t k = 0;
    while (k < n_tasks && strcmp(tasks[k].name, name) != 0) {
        k++;
    }
    if (k == n_tasks || k == j->task || !answers[k]) {
        return refuse(&tasks[j->task], name, "is no other task that is answered with it", err);
    }
    if (json_array_size(list) != (size_t)j->classes) {
        return refuse(&tasks[j->task], name, "must list a value for each class", err);
    }
    j->cells += j->classes * tasks[k].classes; /* both at most NET_MAX_CLASSES */
    if (j->cells > JOINT_MAX_CELLS) {
        return refuse(&tasks[j->task], name, "has too many classes", err);
    }
    joint_parent *p = &j->parent[j->n++];
    size_t cells = (size_t)(j->classes * tasks[k].classes);
    *p = (joint_parent){.task = k, .values = tasks[k].classes, .human = -1};
    p->value = ctx_alloc(j->ctx, (size_t)j->classes, sizeof *p->value);
    p->select = ctx_alloc(j->ctx, cells, sizeof *p->select);
    p->mix = ctx_alloc(j->ctx, cells, sizeof *p->mix);
    if (p->value == NULL || p->select == NULL || p->mix == NULL) {
        return error_memory(err, "making a network");
    }
    TRY(read_values(j, p, list, tasks, err));
    fill(j, p);
    return SPOOR_OK;
}

static spoor_status add_parents(net_joint *j, const json_t *config, const net_task *tasks, const bool *answers,
                                size_t n_tasks, spoor_error *err) {
    json_t *parents = json_object_get(config, "parents"), *list;
    const char *name;
    size_t n = json_object_size(parents);
    if (n < 1 || n > NET_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_USAGE, "network.task_heads.%.64s: a joint head needs parents: {TASK: [value of "
                                               "each class]}",
                         tasks[j->task].name);
    }
    const json_t *human = json_object_get(config, "human");
    j->human = human == NULL ? -1 : json_integer_value(human);
    if (human != NULL && (!json_is_integer(human) || j->human < 0 || j->human >= j->classes)) {
        return error_set(err, SPOOR_ERR_USAGE, "network.task_heads.%.64s: human must be the number of a class",
                         tasks[j->task].name);
    }
    j->parent = ctx_calloc(j->ctx, n, sizeof *j->parent);
    if (j->parent == NULL) {
        return error_memory(err, "making a network");
    }
    json_object_foreach(parents, name, list) {
        TRY(add_parent(j, name, list, tasks, answers, n_tasks, err));
    }
    return SPOOR_OK;
}

spoor_status joint_new(spoor_context *ctx, const json_t *config, size_t task, const net_task *tasks,
                       const bool *answers, size_t n_tasks, net_joint **out, spoor_error *err) {
    *out = NULL;
    net_joint *j = ctx_calloc(ctx, 1, sizeof *j);
    if (j == NULL) {
        return error_memory(err, "making a network");
    }
    *j = (net_joint){.ctx = ctx, .task = task, .classes = tasks[task].classes};
    spoor_status status = add_parents(j, config, tasks, answers, n_tasks, err);
    if (status != SPOOR_OK) {
        joint_free(j);
        return status;
    }
    *out = j;
    return SPOOR_OK;
}

void joint_free(net_joint *j) {
    if (j == NULL) {
        return;
    }
    for (size_t i = 0; i < j->n; i++) {
        ctx_free(j->ctx, j->parent[i].value);
        ctx_free(j->ctx, j->parent[i].select);
        ctx_free(j->ctx, j->parent[i].mix);
    }
    ctx_free(j->ctx, j->parent);
    ctx_free(j->ctx, j);
}

/* ---- running ---- */

void joint_forward(const net_joint *j, tape *t, tensor **logits, tensor **evidence) {
    tensor *z = logits[j->task];
    for (size_t i = 0; i < j->n; i++) {
        const joint_parent *p = &j->parent[i];
        tensor *select = tape_view(t, 2, (int64_t[]){j->classes, p->values}, p->select);
        z = op_add(t, z, op_matmul(t, logits[p->task], select, true), 1);
    }
    logits[j->task] = z;
    for (size_t i = 0; i < j->n; i++) {
        const joint_parent *p = &j->parent[i];
        evidence[p->task] = logits[p->task];
        logits[p->task] = op_log_mix(t, z, p->mix, p->values);
    }
}
