/* net.c: what a network is: a body (body.h), an embedding layer and one head per task, once or as the members of an
 * ensemble; see net.h. How it runs is in forward.c. */
#include "net/net_internal.h"
#include "base/config.h"
#include <stdio.h>
#include <string.h>

/* ---- making ---- */

static bool answers_none(const net *n, const member *m) {
    size_t tasks = 0;
    for (size_t k = 0; k < n->n_tasks; k++) {
        tasks += m->answers[k];
    }
    return tasks == 0;
}

/* Every task has a member, and there is an embedding; the members of one model agree about its classes. */
static spoor_status check_members(const net *n, spoor_error *err) {
    bool embeds = false, agree = true;
    for (size_t i = 0; i < n->n_members; i++) {
        embeds |= n->members[i].embeds;
        if (!n->members[i].embeds && answers_none(n, &n->members[i])) {
            return error_set(err, SPOOR_ERR_USAGE, "network.members: member %zu answers no task and does not embed",
                             i + 1);
        }
    }
    for (size_t k = 0; k < n->n_tasks; k++) {
        if (member_answering(n, k, 0, n->n_members) == 0) {
            return error_set(err, SPOOR_ERR_USAGE, "network.members: none of them answers the task %.64s",
                             n->tasks[k].name);
        }
        for (size_t g = 0, first = 0; n->fused && g < n->fusion.n_groups; first += (size_t)n->fusion.group[g++]) {
            int64_t classes = 0;
            for (size_t i = first; i < first + (size_t)n->fusion.group[g]; i++) {
                const member *m = &n->members[i];
                agree &= !m->answers[k] || classes == 0 || m->classes[k] == classes;
                classes = m->answers[k] ? m->classes[k] : classes;
            }
        }
    }
    if (!agree) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: members of one model have different numbers of "
                                               "classes");
    }
    return embeds ? SPOOR_OK : error_set(err, SPOOR_ERR_USAGE, "network.members: embeds is false for all of them");
}

static spoor_status configure(net *n, const json_t *config, spoor_error *err) {
    int kind;
    TRY(config_choice(config, "network", "kind", NET_KINDS, 0, &kind, err));
    TRY(member_check_keys(config, "network", kind, false, err));
    n->ensemble = kind == NET_KIND_ENSEMBLE;
    TRY(head_configure(json_object_get(config, "task_heads"), n->tasks, n->n_tasks, n->heads, err));
    const json_t *list = json_object_get(config, "members");
    n->n_members = n->ensemble ? json_array_size(list) : 1;
    if (n->n_members < 1 || n->n_members > NET_MAX_MEMBERS) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members must be a list of 1 to %d networks", NET_MAX_MEMBERS);
    }
    n->members = ctx_calloc(n->ctx, n->n_members, sizeof *n->members);
    if (n->members == NULL) {
        return error_memory(err, "making a network");
    }
    if (!n->ensemble) {
        return member_configure_alone(n, config, kind, err);
    }
    n->fused = json_object_get(config, "fusion") != NULL;
    TRY(n->fused ? fusion_configure(&n->fusion, json_object_get(config, "fusion"), n->n_members, err) : SPOOR_OK);
    for (size_t i = 0; i < n->n_members; i++) {
        TRY(member_configure(n, &n->members[i], json_array_get(list, i), err));
    }
    return check_members(n, err);
}

/* What lies between a back end and the heads. */
static spoor_status init_way(net *n, member *m, size_t k, const char *prefix, spoor_error *err) {
    char name[128];
    if (m->pool_norm) {
        (void)snprintf(name, sizeof name, "%spool_norm", prefix);
        TRY(nn_batch_norm_init(&m->norm[k], n->params, name, body_pooled(&m->body), err));
    }
    (void)snprintf(name, sizeof name, "%sembed", prefix);
    return m->embedding > 0
               ? nn_linear_init(&m->embed[k], n->params, name, body_pooled(&m->body), m->embedding, true, err)
               : SPOOR_OK;
}

static spoor_status init_joint(net *n, member *m, spoor_error *err) {
    net_task own[NET_MAX_TASKS];
    for (size_t i = 0; i < n->n_tasks; i++) {
        own[i] = (net_task){n->tasks[i].name, m->classes[i]};
    }
    for (size_t i = 0; i < n->n_tasks; i++) {
        if (!m->answers[i] || m->head_options[i].kind != HEAD_JOINT) {
            continue;
        }
        if (m->joint != NULL) {
            return error_set(err, SPOOR_ERR_USAGE, "network.task_heads: one task can have a joint head, not two");
        }
        TRY(joint_new(n->ctx, m->head_options[i].joint, i, own, m->answers, n->n_tasks, &m->joint, err));
        for (size_t k = 0; k < m->joint->n; k++) {
            if (m->head_options[m->joint->parent[k].task].kind != HEAD_LINEAR) {
                return error_set(err, SPOOR_ERR_USAGE, "network.task_heads: the parents of a joint head have linear "
                                                       "heads");
            }
        }
    }
    return SPOOR_OK;
}

static spoor_status init_member(net *n, size_t index, spoor_error *err) {
    member *m = &n->members[index];
    char prefix[32] = "", name[128];
    if (n->ensemble) {
        (void)snprintf(prefix, sizeof prefix, "members.%zu.", index);
    }
    if (m->mix > 0) {
        (void)snprintf(name, sizeof name, "%smix", prefix);
        TRY(params_add(n->params, name, 1, &m->mix, PARAM_ZEROS, 0, true, false, &m->mix_weights, err));
    }
    if (m->feature_norm) {
        (void)snprintf(name, sizeof name, "%sfeature_norm", prefix);
        TRY(nn_batch_norm_init(&m->feature, n->params, name, m->width, err));
    }
    TRY(body_init(&m->body, n->params, prefix, err));
    TRY(body_splits(&m->body) ? SPOOR_OK : init_way(n, m, 0, prefix, err));
    if (m->gated) {
        (void)snprintf(name, sizeof name, "%sgate", prefix);
        TRY(nn_linear_init(&m->gate, n->params, name, body_pooled(&m->body), 1, true, err));
    }
    for (size_t i = 0; i < n->n_tasks; i++) {
        if (m->answers[i] && body_splits(&m->body)) {
            (void)snprintf(name, sizeof name, "%sbackends.%s.", prefix, n->tasks[i].name);
            TRY(body_init_back(&m->body, i, n->params, name, err));
            TRY(init_way(n, m, i, name, err));
        }
        if (m->answers[i]) {
            (void)snprintf(name, sizeof name, "%sheads.%s", prefix, n->tasks[i].name);
            TRY(head_init(&m->heads[i], &m->head_options[i], n->params, name, member_vector(m), m->classes[i], err));
        }
    }
    return init_joint(n, m, err);
}

static int64_t joined_embeddings(const net *n) {
    int64_t size = 0;
    for (size_t i = 0; i < n->n_members; i++) {
        size += n->members[i].embeds ? member_embedding(n, &n->members[i]) : 0;
    }
    return size;
}

/* How many classes of task k the members [first, first + count) know; 0: they do not answer it. */
static int64_t classes_of(const net *n, size_t k, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
        if (n->members[i].answers[k]) {
            return n->members[i].classes[k];
        }
    }
    return 0;
}

static spoor_status init_fusion(net *n, spoor_error *err) {
    int64_t embeddings = joined_embeddings(n), scores = 0;
    for (size_t g = 0, first = 0; g < n->fusion.n_groups; first += (size_t)n->fusion.group[g++]) {
        for (size_t k = 0; k < n->n_tasks; k++) {
            scores += classes_of(n, k, first, (size_t)n->fusion.group[g]);
        }
    }
    return fusion_init(&n->fusion, n->params, n->tasks, n->n_tasks, embeddings, scores, err);
}

/* The parameters that were added since entry `from` get no gradient. */
static void hold(params *p, size_t from) {
    for (size_t i = from; i < params_count(p); i++) {
        param *item = params_at(p, i);
        item->trainable = false;
        item->fixed = true;
        item->value.needs_grad = false;
        item->value.grad = NULL;
    }
}

static spoor_status copy_tasks(net *n, const net_task *tasks, size_t n_tasks, spoor_error *err) {
    if (n_tasks > NET_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_LIMIT, "a network can have %d tasks, not %zu", NET_MAX_TASKS, n_tasks);
    }
    for (size_t i = 0; i < n_tasks; i++) {
        if (tasks[i].classes < 1 || tasks[i].classes > NET_MAX_CLASSES || strlen(tasks[i].name) > 64) {
            return error_set(err, SPOOR_ERR_LIMIT, "the task \"%.64s\" must have 1 to %d classes and a name of at most "
                                                   "64 bytes",
                             tasks[i].name, NET_MAX_CLASSES);
        }
        n->tasks[i] = (net_task){ctx_strdup(n->ctx, tasks[i].name), tasks[i].classes};
        n->n_tasks = i + 1;
        if (n->tasks[i].name == NULL) {
            return error_memory(err, "making a network");
        }
    }
    return SPOOR_OK;
}

/* Fitted members have linear heads; those that learn have one kind of head for a task, and a training has no fusion. */
static spoor_status check_heads(const net *n, bool trains, spoor_error *err) {
    bool learns = false;
    for (size_t i = 0; i < n->n_members; i++) {
        const member *m = &n->members[i];
        learns |= m->logistic <= 0;
        for (size_t k = 0; k < n->n_tasks; k++) {
            if (m->answers[k] && m->head_options[k].kind != HEAD_LINEAR && m->logistic > 0) {
                return error_set(err, SPOOR_ERR_USAGE, "network.logistic fits linear heads alone: the task %.64s has "
                                                       "another",
                                 n->tasks[k].name);
            }
        }
        for (size_t k = 0; k < n->n_tasks && body_splits(&m->body); k++) {
            if (m->answers[k] && m->head_options[k].kind == HEAD_CENTROIDS) {
                return error_set(err, SPOOR_ERR_USAGE, "network.backends: the task %.64s has a head with centroids, "
                                 "which are of the whole embedding; that goes with backends: shared", n->tasks[k].name);
            }
        }
        if (body_splits(&m->body) && answers_none(n, m)) {
            return error_set(err, SPOOR_ERR_USAGE, "network.backends: member %zu answers no task, so that it has no "
                                                   "back end", i + 1);
        }
        if (trains && answers_none(n, m)) {
            return error_set(err, SPOOR_ERR_USAGE, "network.members: tasks of member %zu is empty, so that it learns "
                                                   "nothing", i + 1);
        }
        if (trains && m->own_heads && m->logistic <= 0) {
            return error_set(err, SPOOR_ERR_USAGE, "network.members: in a training task_heads belongs to the network, "
                                                   "not to a member that learns by gradients");
        }
    }
    if (!n->ensemble && n->members[0].gated) {
        return error_set(err, SPOOR_ERR_USAGE, "network.gate belongs to a member of an ensemble");
    }
    if (trains && n->ensemble && !learns) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: none learns by gradients (all are fitted: logistic), and "
                                               "a training needs one that does");
    }
    return trains && n->fused ? error_set(err, SPOOR_ERR_USAGE, "network.fusion is made by spoor fuse and cannot be "
                                                                "trained") : SPOOR_OK;
}

/* Takes over `set`, also on failure. */
static spoor_status build(spoor_context *ctx, params *set, bool trains, const json_t *config, int64_t input_dim,
                          const net_task *tasks, size_t n_tasks, net **out, spoor_error *err) {
    net *n = ctx_calloc(ctx, 1, sizeof *n);
    if (n == NULL) {
        params_free(set);
        return error_memory(err, "making a network");
    }
    n->ctx = ctx;
    n->params = set;
    n->input_dim = input_dim;
    spoor_status status = copy_tasks(n, tasks, n_tasks, err);
    if (status == SPOOR_OK) {
        status = configure(n, config, err);
    }
    if (status == SPOOR_OK) {
        status = check_heads(n, trains, err);
    }
    for (size_t i = 0; i < n->n_members && status == SPOOR_OK; i++) {
        size_t before = params_count(n->params);
        status = init_member(n, i, err);
        if (n->members[i].logistic > 0) {
            hold(n->params, before);
        }
    }
    if (status == SPOOR_OK && n->fused) {
        status = init_fusion(n, err);
    }
    if (status != SPOOR_OK) {
        net_free(n);
        return status;
    }
    *out = n;
    return SPOOR_OK;
}

spoor_status net_new(spoor_context *ctx, const json_t *config, int64_t input_dim, const net_task *tasks, size_t n_tasks,
                     uint64_t seed, net **out, spoor_error *err) {
    *out = NULL;
    params *set;
    TRY(params_new(ctx, seed, &set, err));
    return build(ctx, set, true, config, input_dim, tasks, n_tasks, out, err);
}

spoor_status net_new_for_weights(spoor_context *ctx, const json_t *config, int64_t input_dim, const net_task *tasks,
                                 size_t n_tasks, int64_t max_numel, net **out, spoor_error *err) {
    *out = NULL;
    params *set;
    TRY(params_new_for_weights(ctx, max_numel, &set, err));
    return build(ctx, set, false, config, input_dim, tasks, n_tasks, out, err);
}

void net_free(net *n) {
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < n->n_tasks; i++) {
        ctx_free(n->ctx, n->tasks[i].name);
    }
    for (size_t i = 0; n->members != NULL && i < n->n_members; i++) {
        joint_free(n->members[i].joint);
        head_options_clear(n->members[i].head_options, n->members[i].own_heads ? n->n_tasks : 0);
    }
    head_options_clear(n->heads, n->n_tasks);
    params_free(n->params);
    ctx_free(n->ctx, n->members);
    ctx_free(n->ctx, n);
}

/* ---- what it is ---- */

params *net_params(net *n) { return n->params; }
size_t net_members(const net *n) { return n->n_members; }

bool net_fits(const net *n) {
    bool any = false;
    for (size_t i = 0; i < n->n_members; i++) {
        any |= n->members[i].logistic > 0;
    }
    return any;
}

bool net_fit_at(const net *n, size_t i, net_fit *out) {
    const member *m = &n->members[i];
    *out = (net_fit){.l2 = m->logistic, .copies = m->copies, .mean = m->norm[0].mean, .var = m->norm[0].var,
                     .gate_weight = m->gate.w, .gate_bias = m->gate.b};
    for (size_t k = 0; k < n->n_tasks; k++) {
        out->human[k] = m->head_options[k].human;
        out->kinds[k] = m->head_options[k].kinds;
        out->weight[k] = m->heads[k].linear.w;
        out->bias[k] = m->heads[k].linear.b;
    }
    return m->logistic > 0;
}

bool net_is_fused(const net *n) { return n->fused; }

bool net_has_backends(const net *n) {
    bool any = false;
    for (size_t i = 0; i < n->n_members; i++) {
        any |= body_splits(&n->members[i].body);
    }
    return any;
}

bool net_fusion_head(const net *n, size_t task, tensor **weight, tensor **bias) {
    bool has = n->fused && n->fusion.logistic;
    *weight = has ? n->fusion.heads[task].w : NULL;
    *bias = has ? n->fusion.heads[task].b : NULL;
    return has;
}

tensor *net_centroids(const net *n, size_t task) { return n->ensemble ? NULL : n->members[0].heads[task].centroids; }

const net_joint *net_joint_head(const net *n) {
    for (size_t i = 0; !n->fused && i < n->n_members; i++) {
        if (n->members[i].joint != NULL) {
            return n->members[i].joint;
        }
    }
    return NULL;
}

size_t net_fusion_models(const net *n) { return n->fused ? n->fusion.n_groups : 0; }

bool net_fusion_scores(const net *n, size_t model, size_t task, size_t *first, size_t *classes) {
    int64_t place = joined_embeddings(n);
    if (!n->fused || !n->fusion.logistic || n->fusion.scores == NET_SCORES_NONE) {
        return false;
    }
    for (size_t g = 0, at = 0; g < n->fusion.n_groups; at += (size_t)n->fusion.group[g++]) {
        for (size_t k = 0; k < n->n_tasks; k++) {
            int64_t own = classes_of(n, k, at, (size_t)n->fusion.group[g]);
            if (g == model && k == task) {
                *first = (size_t)place;
                *classes = (size_t)own;
                return own > 0;
            }
            place += own;
        }
    }
    return false;
}

int64_t net_embedding_size(const net *n) { return n->fused ? n->fusion.size : joined_embeddings(n); }

size_t net_tasks(const net *n) { return n->n_tasks; }
const net_task *net_task_at(const net *n, size_t i) { return &n->tasks[i]; }

/* Adds "task_heads" where there are others than linear ones. */
static json_t *with_heads(const net *n, json_t *out) {
    json_t *heads;
    bool good = out != NULL && head_describe(n->heads, n->tasks, n->n_tasks, &heads);
    if (!good || (heads != NULL && json_object_set_new(out, "task_heads", heads) != 0)) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *net_config(const net *n) {
    if (!n->ensemble) {
        return with_heads(n, member_describe(n, n->members));
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n->n_members; i++) {
        json_t *one = member_describe(n, &n->members[i]);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    json_t *out = json_pack("{s:s, s:o}", "kind", "ensemble", "members", list);
    if (n->fused && json_object_set_new(out, "fusion", fusion_describe(&n->fusion)) != 0) {
        json_decref(out);
        return NULL;
    }
    return with_heads(n, out);
}
