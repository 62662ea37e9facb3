/* combine.c: which tasks, members and tensors of several models go into one; see combine.h. Parts of front ends and
 * columns are in combine_parts.c, what is written in combine_write.c. */
#include "model/combine_internal.h"
#include <string.h>

/* ---- opening ---- */

/* Which of its tasks an input keeps. */
static spoor_status choose_tasks(combine_source *s, spoor_error *err) {
    for (size_t k = 0; k < s->model->n_tasks; k++) {
        s->keeps[k] = s->in->n_tasks == 0;
    }
    for (size_t i = 0; i < s->in->n_tasks; i++) {
        size_t k = model_find_task(s->model, s->in->tasks[i]);
        if (k == SIZE_MAX) {
            return error_set(err, SPOOR_ERR_USAGE, "%.200s has no task %.64s; its first one is %.64s", s->in->path,
                             s->in->tasks[i], s->model->tasks[0].name);
        }
        s->keeps[k] = true;
    }
    bool all = true;
    for (size_t k = 0; k < s->model->n_tasks; k++) {
        all &= s->keeps[k];
    }
    return all || !net_has_backends(s->model->net)
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "%.200s has a back end for each task, whose embeddings belong "
                           "together: name all of its tasks", s->in->path);
}

static spoor_status open_source(combine_plan *p, combine_source *s, spoor_error *err) {
    TRY(model_open(p->ctx, s->in->path, NULL, &s->model, err));
    TRY(safetensors_map(p->ctx, s->in->path, &s->file, err));
    if (net_is_fused(s->model->net)) {
        return error_set(err, SPOOR_ERR_USAGE, "%.200s is a fusion itself; name the models that it was made of",
                         s->in->path);
    }
    if (!json_equal(json_object_get(s->model->meta, "silence"), json_object_get(p->source[0].model->meta, "silence")) &&
        s->model->cut + p->source[0].model->cut > 0) {
        return error_set(err, SPOOR_ERR_USAGE, "%.200s and %.200s were not trained with the same silences taken out",
                         s->in->path, p->source[0].in->path);
    }
    if (s->model->window != p->source[0].model->window) {
        return error_set(err, SPOOR_ERR_USAGE, "%.200s has another window than %.200s", s->in->path,
                         p->source[0].in->path);
    }
    s->frontend = frontend_describe(s->model->frontend);
    s->network = net_config(s->model->net);
    if (s->frontend == NULL || s->network == NULL) {
        return error_memory(err, "combining models");
    }
    s->n_members = net_members(s->model->net);
    return choose_tasks(s, err);
}

/* ---- tasks ---- */

static size_t find_class(const combine_task *t, const char *name) {
    size_t c = 0;
    while (c < t->n_classes && strcmp(t->classes[c], name) != 0) {
        c++;
    }
    return c;
}

static size_t find_task(const combine_plan *p, const char *name) {
    size_t k = 0;
    while (k < p->n_tasks && strcmp(p->source[p->task[k].owner].model->tasks[p->task[k].index].name, name) != 0) {
        k++;
    }
    return k;
}

/* The classes that task `index` of input s has and the new task lacks. */
static spoor_status add_classes(combine_plan *p, combine_task *to, const model_task *from, spoor_error *err) {
    size_t before = to->n_classes;
    for (size_t c = 0; c < from->n_classes; c++) {
        if (before > 0 && find_class(to, from->classes[c]) < to->n_classes) {
            continue;
        }
        if (to->n_classes == NET_MAX_CLASSES) {
            return error_set(err, SPOOR_ERR_LIMIT, "the models know more than %d classes of the task %.64s",
                             NET_MAX_CLASSES, from->name);
        }
        if (!ctx_grow(p->ctx, (void **)&to->classes, &to->capacity, to->n_classes + 1, sizeof *to->classes)) {
            return error_memory(err, "combining models");
        }
        to->classes[to->n_classes++] = from->classes[c];
    }
    return SPOOR_OK;
}

static spoor_status add_task(combine_plan *p, size_t s, size_t index, spoor_error *err) {
    const model_task *own = &p->source[s].model->tasks[index];
    size_t k = find_task(p, own->name);
    if (k < p->n_tasks && p->options->fusion == NULL) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "%.150s and %.150s both answer the task %.64s; name one of them for it, or fuse them "
                         "with a method",
                         p->source[p->task[k].owner].in->path, p->source[s].in->path, own->name);
    }
    if (k == p->n_tasks) {
        if (k == NET_MAX_TASKS) {
            return error_set(err, SPOOR_ERR_USAGE, "the models have more than %d tasks in all", NET_MAX_TASKS);
        }
        p->task[p->n_tasks++] = (combine_task){.owner = s, .index = index};
    }
    return add_classes(p, &p->task[k], own, err);
}

static bool knows(const model_task *t, const char *class) {
    bool found = false;
    for (size_t c = 0; c < t->n_classes; c++) {
        found = found || strcmp(t->classes[c], class) == 0;
    }
    return found;
}

static bool averages(const combine_plan *p) {
    const char *method = json_string_value(json_object_get(p->options->fusion, "method"));
    return method != NULL && strcmp(method, "average") == 0;
}

/* Heads are brought into the order of the new classes. Averages add up scores class by class and need the same classes;
 * a logistic fusion takes the scores of a model that knows other classes as they are. */
static spoor_status order_classes(combine_plan *p, combine_source *s, size_t index, spoor_error *err) {
    const model_task *own = &s->model->tasks[index];
    const combine_task *to = &p->task[find_task(p, own->name)];
    bool moved = false, same = own->n_classes == to->n_classes;
    for (size_t c = 0; c < to->n_classes; c++) {
        same = same && knows(own, to->classes[c]);
        if (averages(p) && !knows(own, to->classes[c])) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "%.150s does not know the class %.80s of the task %.64s, which another model knows, "
                             "so that their scores cannot be averaged; use the logistic method",
                             s->in->path, to->classes[c], own->name);
        }
    }
    if (!same && !averages(p)) {
        return SPOOR_OK;
    }
    s->order[index] = ctx_alloc(p->ctx, to->n_classes, sizeof **s->order);
    if (s->order[index] == NULL) {
        return error_memory(err, "combining models");
    }
    memset(s->order[index], -1, to->n_classes * sizeof **s->order);
    for (size_t c = 0; c < own->n_classes; c++) {
        size_t at = find_class(to, own->classes[c]);
        if (s->order[index][at] >= 0 || own->n_classes != to->n_classes) {
            return error_set(err, SPOOR_ERR_USAGE, "%.150s or another model has a class of the task %.64s twice",
                             s->in->path, own->name);
        }
        s->order[index][at] = (int32_t)c;
        moved = moved || at != c;
    }
    if (!moved) {
        ctx_free(p->ctx, s->order[index]);
        s->order[index] = NULL;
    }
    return SPOOR_OK;
}

static spoor_status plan_tasks(combine_plan *p, spoor_error *err) {
    p->known = SIZE_MAX;
    for (size_t s = 0; s < p->n; s++) {
        combine_source *from = &p->source[s];
        for (size_t k = 0; k < from->model->n_tasks; k++) {
            TRY(from->keeps[k] ? add_task(p, s, k, err) : SPOOR_OK);
        }
        size_t known = from->model->known_task;
        if (p->known == SIZE_MAX && known != SIZE_MAX && from->keeps[known]) {
            p->known = s;
        }
    }
    for (size_t s = 0; s < p->n; s++) {
        combine_source *from = &p->source[s];
        from->embeds = p->options->fusion != NULL || p->known == SIZE_MAX || p->known == s;
        for (size_t k = 0; p->options->fusion != NULL && k < from->model->n_tasks; k++) {
            TRY(from->keeps[k] ? order_classes(p, from, k, err) : SPOOR_OK);
        }
    }
    return SPOOR_OK;
}

/* ---- members ---- */

/* The names of the tasks that a member keeps; *all: they are all of the new model's. A new reference. */
static json_t *kept_tasks(const combine_plan *p, const combine_source *s, const json_t *member, bool *all) {
    const json_t *own = json_object_get(member, "tasks");
    json_t *list = json_array();
    for (size_t k = 0; list != NULL && k < s->model->n_tasks; k++) {
        bool answers = own == NULL;
        for (size_t i = 0; i < json_array_size(own); i++) {
            answers = answers || strcmp(json_string_value(json_array_get(own, i)), s->model->tasks[k].name) == 0;
        }
        if (answers && s->keeps[k]) {
            (void)json_array_append_new(list, json_string(s->model->tasks[k].name));
        }
    }
    *all = json_array_size(list) == p->n_tasks;
    return list;
}

/* The new number of class `old`; order[new] = old, NULL: as it was. */
static json_int_t moved_to(const int32_t *order, size_t n, json_int_t old) {
    for (size_t c = 0; order != NULL && old >= 0 && c < n; c++) {
        if (order[c] == old) {
            return (json_int_t)c;
        }
    }
    return old;
}

/* The lists of a joint head in the new order of its classes, with the new numbers of the parents' classes. */
static bool move_joint(const combine_source *s, size_t task, json_t *head) {
    const int32_t *order = s->order[task];
    size_t n = s->model->tasks[task].n_classes;
    json_t *list, *human = json_object_get(head, "human");
    const char *name;
    bool good = human == NULL ||
                json_object_set_new(head, "human", json_integer(moved_to(order, n, json_integer_value(human)))) == 0;
    json_object_foreach(json_object_get(head, "parents"), name, list) {
        size_t parent = model_find_task(s->model, name);
        json_t *old = json_copy(list);
        for (size_t c = 0; old != NULL && c < n; c++) {
            json_int_t v = json_integer_value(json_array_get(old, order == NULL ? c : (size_t)order[c]));
            v = moved_to(s->order[parent], s->model->tasks[parent].n_classes, v);
            good = json_array_set_new(list, c, json_integer(v)) == 0 && good;
        }
        good = good && old != NULL;
        json_decref(old);
    }
    return good;
}

/* The settings of heads that a member has, without those of tasks that it leaves to others; the human class of a head
 * that names it moves with the order of the classes. */
static bool set_heads(const combine_source *s, const json_t *tasks, json_t *member) {
    const json_t *own = json_object_get(member, "task_heads");
    own = own == NULL ? json_object_get(s->network, "task_heads") : own;
    json_t *heads = json_object();
    bool good = heads != NULL;
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const char *name = json_string_value(json_array_get(tasks, i));
        json_t *head = json_deep_copy(json_object_get(own, name));
        size_t task = model_find_task(s->model, name);
        const int32_t *order = s->order[task];
        if (head != NULL && json_object_get(head, "parents") != NULL) {
            good = move_joint(s, task, head) && good;
        } else if (head != NULL && order != NULL && json_object_get(head, "human") != NULL) {
            json_int_t human = json_integer_value(json_object_get(head, "human"));
            human = moved_to(order, s->model->tasks[task].n_classes, human);
            good = json_object_set_new(head, "human", json_integer(human)) == 0 && good;
        }
        good = (head == NULL || json_object_set_new(heads, name, head) == 0) && good;
    }
    (void)json_object_del(member, "task_heads");
    good = good && (json_object_size(heads) == 0 || json_object_set(member, "task_heads", heads) == 0);
    json_decref(heads);
    return good;
}

/* A model's own number of classes, where the new task has more. */
static bool set_classes(const combine_plan *p, const combine_source *s, const json_t *tasks, json_t *member) {
    json_t *own = json_object();
    bool good = own != NULL;
    for (size_t i = 0; good && i < json_array_size(tasks); i++) {
        const char *name = json_string_value(json_array_get(tasks, i));
        size_t n = s->model->tasks[model_find_task(s->model, name)].n_classes;
        good = n == p->task[find_task(p, name)].n_classes ||
               json_object_set_new(own, name, json_integer((json_int_t)n)) == 0;
    }
    good = good && (json_object_size(own) == 0 || json_object_set(member, "classes", own) == 0);
    json_decref(own);
    return good;
}

/* Member i of input s as a member of the new model, where it has any part in it. */
static spoor_status add_member(combine_plan *p, size_t s, size_t i, spoor_error *err) {
    combine_source *from = &p->source[s];
    const json_t *list = json_object_get(from->network, "members");
    json_t *member = json_deep_copy(list == NULL ? from->network : json_array_get(list, i));
    bool all = false, embeds = from->embeds && !json_is_false(json_object_get(member, "embeds"));
    json_t *tasks = kept_tasks(p, from, member, &all);
    from->place[i] = -1;
    if (json_array_size(tasks) == 0 && !embeds) {
        json_decref(member);
        json_decref(tasks);
        return SPOOR_OK;
    }
    bool good = tasks != NULL && set_heads(from, tasks, member) && set_classes(p, from, tasks, member);
    (void)json_object_del(member, "tasks");
    good = good && (all || json_object_set(member, "tasks", tasks) == 0);
    good = good && (embeds || json_object_set_new(member, "embeds", json_false()) == 0);
    spoor_status status = good ? combine_columns(p, s, member, err) : error_memory(err, "combining models");
    if (status == SPOOR_OK && json_array_size(p->members) == NET_MAX_MEMBERS) {
        status = error_set(err, SPOOR_ERR_USAGE, "%.200s: the models have more than %d members in all", from->in->path,
                           NET_MAX_MEMBERS);
    }
    from->place[i] = (int64_t)json_array_size(p->members);
    from->kept++;
    if (status == SPOOR_OK && json_array_append(p->members, member) != 0) {
        status = error_memory(err, "combining models");
    }
    json_decref(member);
    json_decref(tasks);
    return status;
}

static spoor_status plan_members(combine_plan *p, spoor_error *err) {
    p->members = json_array();
    for (size_t s = 0; s < p->n; s++) {
        for (size_t i = 0; i < p->source[s].n_members; i++) {
            TRY(add_member(p, s, i, err));
        }
    }
    return p->members == NULL ? error_memory(err, "combining models") : SPOOR_OK;
}

/* ---- all of it ---- */

static void clear(combine_plan *p) {
    for (size_t s = 0; s < p->n; s++) {
        combine_source *from = &p->source[s];
        for (size_t k = 0; k < NET_MAX_TASKS; k++) {
            ctx_free(p->ctx, from->order[k]);
        }
        json_decref(from->frontend);
        json_decref(from->network);
        safetensors_free(from->file);
        spoor_model_free(from->model);
    }
    for (size_t i = 0; i < p->n_parts; i++) {
        json_decref(p->part[i].config);
    }
    for (size_t k = 0; k < p->n_tasks; k++) {
        ctx_free(p->ctx, p->task[k].classes);
    }
    json_decref(p->members);
    json_decref(p->meta);
    safetensors_writer_free(p->writer);
    net_free(p->net);
}

static spoor_status run(combine_plan *p, const combine_input *inputs, size_t n, const char *path, spoor_error *err) {
    for (size_t s = 0; s < n; s++) {
        p->source[s].in = &inputs[s];
        p->n = s + 1;
        TRY(open_source(p, &p->source[s], err));
    }
    TRY(plan_tasks(p, err));
    TRY(combine_parts(p, err));
    TRY(plan_members(p, err));
    TRY(combine_describe(p, err));
    return combine_write(p, path, err);
}

spoor_status model_combine(spoor_context *ctx, const combine_input *inputs, size_t n, const combine_options *options,
                           const char *path, spoor_error *err) {
    static const combine_options none = {0};
    if (n < 1 || n > COMBINE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "1 to %d models can be combined, not %zu", COMBINE_MAX, n);
    }
    combine_plan *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return error_memory(err, "combining models");
    }
    p->ctx = ctx;
    p->options = options == NULL ? &none : options;
    spoor_status status = run(p, inputs, n, path, err);
    clear(p);
    ctx_free(ctx, p);
    return status;
}
