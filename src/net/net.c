/* net.c: a body (body.h), an embedding layer and one linear head per task, once or as the members of an ensemble; see
 * net.h. */
#include "net/net.h"
#include "base/config.h"
#include "net/body.h"
#include "net/head.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct member {
    int64_t first, columns; /* of the features */
    double weight;
    int64_t mix;         /* layers side by side in a row of features, of which a learned weighted sum is taken; 0: none */
    tensor *mix_weights;
    double crop;         /* share of the frames that a training step sees */
    body body;
    double logistic;     /* > 0: fitted with this L2 penalty, not trained */
    int64_t copies;      /* augmented copies of each clip that it is fitted on besides */
    bool pool_norm;      /* batch norm on the pooled vector */
    nn_batch_norm norm;
    int64_t embedding;   /* 0: no layer of its own */
    nn_linear embed;
    double embedding_dropout;
    head heads[NET_MAX_TASKS];
} member;

struct net {
    spoor_context *ctx;
    params *params;
    int64_t input_dim;
    bool ensemble;
    member *members;
    size_t n_members;
    net_task tasks[NET_MAX_TASKS];
    head_options heads[NET_MAX_TASKS];
    size_t n_tasks;
};

/* ---- making ---- */

static const char *const KINDS[] = {BODY_NAMES, "ensemble", NULL};
enum { KIND_ENSEMBLE = BODY_KINDS };

static size_t add_keys(const char **list, size_t n, const char *const *keys) {
    while (*keys != NULL) {
        list[n++] = *keys++;
    }
    return n;
}

/* Which keys a network of a kind has, as a member of an ensemble or alone. */
static spoor_status check_keys(const json_t *config, const char *where, int kind, bool is_member, spoor_error *err) {
    static const char *const all[] = {"kind", "pool_norm", "embedding", "embedding_dropout", "mix", "crop", NULL};
    static const char *const member_of[] = {"first", "columns", "weight", NULL}, *const single[] = {"task_heads", NULL};
    static const char *const ensemble[] = {"kind", "task_heads", "members", NULL};
    const char *known[64] = {NULL}; /* room for the keys of any body */
    if (kind == KIND_ENSEMBLE) {
        return config_keys(config, where, ensemble, err);
    }
    size_t n = add_keys(known, 0, all);
    n = add_keys(known, n, is_member ? member_of : single);
    (void)add_keys(known, n, body_keys((body_kind)kind));
    return config_keys(config, where, known, err);
}

static spoor_status configure_member(member *m, const json_t *config, int kind, int64_t columns, spoor_error *err) {
    m->columns = columns;
    TRY(config_number(config, "network", "crop", 1, 0.01, 1, &m->crop, err));
    TRY(config_bool(config, "network", "pool_norm", false, &m->pool_norm, err));
    TRY(config_int(config, "network", "embedding", 0, 0, 65536, &m->embedding, err));
    TRY(config_number(config, "network", "embedding_dropout", 0, 0, 0.95, &m->embedding_dropout, err));
    TRY(config_int(config, "network", "mix", 0, 0, 128, &m->mix, err));
    if (m->mix > 0 && columns % m->mix != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "network.mix: %lld columns of features are not %lld layers side by side",
                         (long long)columns, (long long)m->mix);
    }
    columns = m->mix > 0 ? columns / m->mix : columns;
    TRY(config_number(config, "network", "logistic", 0, 0, 1e6, &m->logistic, err));
    TRY(config_int(config, "network", "copies", 0, 0, 16, &m->copies, err));
    const char *pooling = json_string_value(json_object_get(config, "pooling"));
    if (m->logistic > 0 && (!m->pool_norm || m->embedding > 0 || m->mix > 0 || (pooling != NULL && strcmp(pooling, "stats") != 0))) {
        return error_set(err, SPOOR_ERR_USAGE, "network.logistic goes with pooling: stats and pool_norm: true, without embedding "
                         "and mix");
    }
    return body_configure(&m->body, (body_kind)kind, config, columns, err);
}

static spoor_status configure_one_of(net *n, member *m, const json_t *config, spoor_error *err) {
    int kind;
    int64_t columns;
    const char *w = "network.members";
    if (!json_is_object(config)) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members must be a list of networks");
    }
    TRY(config_choice(config, w, "kind", KINDS, 0, &kind, err));
    if (kind == KIND_ENSEMBLE) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: an ensemble in an ensemble");
    }
    TRY(check_keys(config, w, kind, true, err));
    TRY(config_int(config, w, "first", 0, 0, n->input_dim - 1, &m->first, err));
    TRY(config_int(config, w, "columns", 0, 0, n->input_dim - m->first, &columns, err));
    TRY(config_number(config, w, "weight", 1, 0, 100, &m->weight, err));
    return configure_member(m, config, kind, columns == 0 ? n->input_dim - m->first : columns, err);
}

static spoor_status configure(net *n, const json_t *config, spoor_error *err) {
    int kind;
    TRY(config_choice(config, "network", "kind", KINDS, 0, &kind, err));
    TRY(check_keys(config, "network", kind, false, err));
    n->ensemble = kind == KIND_ENSEMBLE;
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
        return configure_member(n->members, config, kind, n->input_dim, err);
    }
    for (size_t i = 0; i < n->n_members; i++) {
        TRY(configure_one_of(n, &n->members[i], json_array_get(list, i), err));
    }
    return SPOOR_OK;
}

static int64_t embedding_of(const member *m) { return m->embedding > 0 ? m->embedding : body_pooled(&m->body); }

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
    TRY(body_init(&m->body, n->params, prefix, err));
    if (m->pool_norm) {
        (void)snprintf(name, sizeof name, "%spool_norm", prefix);
        TRY(nn_batch_norm_init(&m->norm, n->params, name, body_pooled(&m->body), err));
    }
    if (m->embedding > 0) {
        (void)snprintf(name, sizeof name, "%sembed", prefix);
        TRY(nn_linear_init(&m->embed, n->params, name, body_pooled(&m->body), m->embedding, true, err));
    }
    for (size_t i = 0; i < n->n_tasks; i++) {
        (void)snprintf(name, sizeof name, "%sheads.%s", prefix, n->tasks[i].name);
        TRY(head_init(&m->heads[i], &n->heads[i], n->params, name, embedding_of(m), n->tasks[i].classes, err));
    }
    return SPOOR_OK;
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
            return error_set(err, SPOOR_ERR_LIMIT, "the task \"%.64s\" must have 1 to %d classes and a name of at most 64 bytes",
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

static spoor_status configure_heads(net *n, const json_t *config, spoor_error *err) {
    TRY(head_configure(config, n->tasks, n->n_tasks, n->heads, err));
    for (size_t i = 0; i < n->n_tasks; i++) {
        if (n->heads[i].kind != HEAD_LINEAR && net_fits(n)) {
            return error_set(err, SPOOR_ERR_USAGE, "network.logistic fits linear heads alone: the task %.64s has another",
                             n->tasks[i].name);
        }
    }
    return SPOOR_OK;
}

/* Takes over `set`, also on failure. */
static spoor_status build(spoor_context *ctx, params *set, const json_t *config, int64_t input_dim,
                          const net_task *tasks, size_t n_tasks, net **out, spoor_error *err) {
    net *n = ctx_calloc(ctx, 1, sizeof *n);
    if (n == NULL) {
        params_free(set);
        return error_memory(err, "making a network");
    }
    n->ctx = ctx;
    n->params = set;
    n->input_dim = input_dim;
    spoor_status status = configure(n, config, err);
    if (status == SPOOR_OK) {
        status = copy_tasks(n, tasks, n_tasks, err);
    }
    if (status == SPOOR_OK) {
        status = configure_heads(n, json_object_get(config, "task_heads"), err);
    }
    for (size_t i = 0; i < n->n_members && status == SPOOR_OK; i++) {
        size_t before = params_count(n->params);
        status = init_member(n, i, err);
        if (n->members[i].logistic > 0) {
            hold(n->params, before);
        }
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
    return build(ctx, set, config, input_dim, tasks, n_tasks, out, err);
}

spoor_status net_new_for_weights(spoor_context *ctx, const json_t *config, int64_t input_dim, const net_task *tasks,
                                 size_t n_tasks, int64_t max_numel, net **out, spoor_error *err) {
    *out = NULL;
    params *set;
    TRY(params_new_for_weights(ctx, max_numel, &set, err));
    return build(ctx, set, config, input_dim, tasks, n_tasks, out, err);
}

void net_free(net *n) {
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < n->n_tasks; i++) {
        ctx_free(n->ctx, n->tasks[i].name);
    }
    params_free(n->params);
    ctx_free(n->ctx, n->members);
    ctx_free(n->ctx, n);
}

/* ---- running ---- */

/* The columns [first, first + columns) of x[B,T,D]. */
static tensor *own_columns(const member *m, tape *t, tensor *x) {
    if (x == NULL || x->ndim != 3 || (m->first == 0 && m->columns == x->dim[2])) {
        return x;
    }
    int64_t b = x->dim[0], frames = x->dim[1];
    x = op_slice_frames(t, op_reshape(t, x, 3, (int64_t[]){b * frames, x->dim[2], 1}), m->first, m->columns);
    return x == NULL ? NULL : op_reshape(t, x, 3, (int64_t[]){b, frames, m->columns});
}

/* In training, a random stretch of the frames, the same of all clips. */
static tensor *own_frames(const member *m, tape *t, tensor *x) {
    if (x == NULL || x->ndim != 3 || m->crop >= 1 || !tape_training(t)) {
        return x;
    }
    int64_t frames = x->dim[1], kept = (int64_t)ceil(m->crop * (double)frames);
    rng r = tape_rng(t);
    return op_slice_frames(t, x, (int64_t)rng_below(&r, (uint64_t)(frames - kept) + 1), kept);
}

static tensor *member_pool(const member *m, tape *t, tensor *features) {
    tensor *x = own_frames(m, t, own_columns(m, t, features));
    x = m->mix > 0 ? op_mix_layers(t, x, m->mix_weights) : x;
    return body_forward(&m->body, t, x);
}

static void member_forward(const net *n, const member *m, tape *t, tensor *features, net_output *out) {
    tensor *x = member_pool(m, t, features);
    if (m->pool_norm) {
        x = nn_batch_norm_forward(&m->norm, t, x);
    }
    if (m->embedding > 0) {
        x = nn_linear_forward(&m->embed, t, x, OP_ACT_NONE);
    }
    tensor *y = op_dropout(t, x, m->embedding_dropout);
    *out = (net_output){.embedding = x};
    for (size_t i = 0; i < n->n_tasks; i++) {
        head_output one;
        head_forward(&m->heads[i], t, x, y, &one);
        out->logits[i] = one.logits;
        out->linear[i] = one.linear;
        out->cosine[i] = one.cosine;
    }
}

/* A product of experts: see net.h. */
static void ensemble_forward(const net *n, tape *t, tensor *features, net_output *out) {
    net_output *members = tape_alloc(t, n->n_members, sizeof *members);
    tensor *joined[NET_MAX_MEMBERS];
    const member *who[NET_MAX_MEMBERS];
    size_t count = 0;
    for (size_t i = 0; members != NULL && i < n->n_members; i++) {
        if (tape_training(t) && n->members[i].logistic > 0) {
            continue;
        }
        member_forward(n, &n->members[i], t, features, &members[count]);
        joined[count] = members[count].embedding;
        who[count++] = &n->members[i];
    }
    if (!tape_ok(t)) {
        return;
    }
    if (count == 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "no member of the network learns by gradients; set schedule.epochs to 0");
        return;
    }
    *out = (net_output){.embedding = op_concat(t, joined, count, 1), .n_members = count, .members = members};
    for (size_t k = 0; k < n->n_tasks; k++) {
        for (size_t i = 0; i < count; i++) {
            tensor *own = op_log_softmax(t, members[i].logits[k]);
            real weight = (real)who[i]->weight;
            out->logits[k] = i == 0 ? op_scale(t, own, weight) : op_add(t, out->logits[k], own, weight);
        }
    }
}

void net_forward(net *n, tape *t, tensor *features, net_output *out) {
    memset(out, 0, sizeof *out);
    net_output result = {0};
    if (features != NULL && (features->ndim != 3 || features->dim[2] != n->input_dim)) {
        tape_fail(t, SPOOR_ERR_USAGE, "the network expects features [clips, frames, %lld]", (long long)n->input_dim);
    } else if (n->ensemble) {
        ensemble_forward(n, t, features, &result);
    } else {
        member_forward(n, n->members, t, features, &result);
    }
    if (tape_ok(t)) {
        *out = result;
    }
}

/* ---- what it is ---- */

params *net_params(net *n) { return n->params; }
size_t net_members(const net *n) { return n->n_members; }

bool net_trains_on(const net *n, int64_t first, int64_t columns) {
    for (size_t i = 0; i < n->n_members; i++) {
        const member *m = &n->members[i];
        if (m->logistic <= 0 && m->first < first + columns && first < m->first + m->columns) {
            return true;
        }
    }
    return false;
}

bool net_fits(const net *n) {
    bool any = false;
    for (size_t i = 0; i < n->n_members; i++) {
        any |= n->members[i].logistic > 0;
    }
    return any;
}

bool net_fit_at(const net *n, size_t i, net_fit *out) {
    const member *m = &n->members[i];
    *out = (net_fit){.l2 = m->logistic, .copies = m->copies, .mean = m->norm.mean, .var = m->norm.var};
    for (size_t k = 0; k < n->n_tasks; k++) {
        out->weight[k] = m->heads[k].linear.w;
        out->bias[k] = m->heads[k].linear.b;
    }
    return m->logistic > 0;
}

tensor *net_member_pool(const net *n, size_t i, tape *t, tensor *features) {
    return member_pool(&n->members[i], t, features);
}

int64_t net_embedding_size(const net *n) {
    int64_t size = 0;
    for (size_t i = 0; i < n->n_members; i++) {
        size += embedding_of(&n->members[i]);
    }
    return size;
}

size_t net_tasks(const net *n) { return n->n_tasks; }
const net_task *net_task_at(const net *n, size_t i) { return &n->tasks[i]; }

static json_t *describe_member(const net *n, const member *m) {
    json_t *out = json_object();
    bool good = out != NULL &&
                body_describe(&m->body, out) &&
                (m->logistic <= 0 || json_object_set_new(out, "logistic", json_real(m->logistic)) == 0) &&
                (m->copies == 0 || json_object_set_new(out, "copies", json_integer(m->copies)) == 0) &&
                (m->crop >= 1 || json_object_set_new(out, "crop", json_real(m->crop)) == 0) &&
                json_object_set_new(out, "pool_norm", json_boolean(m->pool_norm)) == 0 &&
                (m->mix == 0 || json_object_set_new(out, "mix", json_integer(m->mix)) == 0) &&
                json_object_set_new(out, "embedding", json_integer(m->embedding)) == 0 &&
                json_object_set_new(out, "embedding_dropout", json_real(m->embedding_dropout)) == 0;
    if (n->ensemble) {
        good = good && json_object_set_new(out, "first", json_integer(m->first)) == 0 &&
               json_object_set_new(out, "columns", json_integer(m->columns)) == 0 &&
               json_object_set_new(out, "weight", json_real(m->weight)) == 0;
    }
    if (!good) {
        json_decref(out);
        return NULL;
    }
    return out;
}

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
        return with_heads(n, describe_member(n, n->members));
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n->n_members; i++) {
        json_t *one = describe_member(n, &n->members[i]);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return with_heads(n, json_pack("{s:s, s:o}", "kind", "ensemble", "members", list));
}
