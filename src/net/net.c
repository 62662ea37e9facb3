/* net.c: a body (conformer.c), an embedding layer and one linear head per task; see net.h. */
#include "net/net.h"
#include "base/config.h"
#include "net/conformer.h"
#include <stdio.h>
#include <string.h>

struct net {
    spoor_context *ctx;
    params *params;
    conformer body;
    bool pool_norm;    /* batch norm on the pooled vector */
    nn_batch_norm norm;
    int64_t embedding; /* 0: no layer of its own */
    nn_linear embed;
    double embedding_dropout;
    net_task tasks[NET_MAX_TASKS];
    nn_linear heads[NET_MAX_TASKS];
    size_t n_tasks;
};

static spoor_status configure(net *n, const json_t *config, int64_t input_dim, spoor_error *err) {
    static const char *const keys[] = {"kind",    "stem",   "dim",          "depth",   "heads",   "ff_mult",
                                       "conv_mult", "kernel", "max_distance", "dropout", "pooling", "pool_norm",
                                       "embedding", "embedding_dropout", NULL};
    static const char *const kinds[] = {"conformer", NULL};
    int kind;
    TRY(config_keys(config, "network", keys, err));
    TRY(config_choice(config, "network", "kind", kinds, 0, &kind, err));
    TRY(config_bool(config, "network", "pool_norm", false, &n->pool_norm, err));
    TRY(config_int(config, "network", "embedding", 0, 0, 65536, &n->embedding, err));
    TRY(config_number(config, "network", "embedding_dropout", 0, 0, 0.95, &n->embedding_dropout, err));
    return conformer_configure(&n->body, config, input_dim, err);
}

static spoor_status add_tasks(net *n, const net_task *tasks, size_t n_tasks, spoor_error *err) {
    if (n_tasks > NET_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_LIMIT, "a network can have %d tasks, not %zu", NET_MAX_TASKS, n_tasks);
    }
    for (size_t i = 0; i < n_tasks; i++) {
        if (tasks[i].classes < 1 || tasks[i].classes > NET_MAX_CLASSES || strlen(tasks[i].name) > 64) {
            return error_set(err, SPOOR_ERR_LIMIT, "the task \"%.64s\" must have 1 to %d classes and a name of at most 64 bytes",
                             tasks[i].name, NET_MAX_CLASSES);
        }
        char name[96];
        n->tasks[i] = (net_task){ctx_strdup(n->ctx, tasks[i].name), tasks[i].classes};
        n->n_tasks = i + 1;
        if (n->tasks[i].name == NULL) {
            return error_memory(err, "making a network");
        }
        (void)snprintf(name, sizeof name, "heads.%s", tasks[i].name);
        TRY(nn_linear_init(&n->heads[i], n->params, name, net_embedding_size(n), tasks[i].classes, true, err));
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
    spoor_status status = configure(n, config, input_dim, err);
    if (status == SPOOR_OK) {
        status = conformer_init(&n->body, n->params, err);
    }
    if (status == SPOOR_OK && n->pool_norm) {
        status = nn_batch_norm_init(&n->norm, n->params, "pool_norm", n->body.pooled, err);
    }
    if (status == SPOOR_OK && n->embedding > 0) {
        status = nn_linear_init(&n->embed, n->params, "embed", n->body.pooled, n->embedding, true, err);
    }
    if (status == SPOOR_OK) {
        status = add_tasks(n, tasks, n_tasks, err);
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
    ctx_free(n->ctx, n);
}

void net_forward(net *n, tape *t, tensor *features, net_output *out) {
    memset(out, 0, sizeof *out);
    tensor *x = conformer_forward(&n->body, t, features);
    if (n->pool_norm) {
        x = nn_batch_norm_forward(&n->norm, t, x);
    }
    if (n->embedding > 0) {
        x = nn_linear_forward(&n->embed, t, x, OP_ACT_NONE);
    }
    tensor *y = op_dropout(t, x, n->embedding_dropout);
    net_output result = {.embedding = x};
    for (size_t i = 0; i < n->n_tasks; i++) {
        result.logits[i] = nn_linear_forward(&n->heads[i], t, y, OP_ACT_NONE);
    }
    if (tape_ok(t)) {
        *out = result;
    }
}

params *net_params(net *n) { return n->params; }
int64_t net_embedding_size(const net *n) { return n->embedding > 0 ? n->embedding : n->body.pooled; }
size_t net_tasks(const net *n) { return n->n_tasks; }
const net_task *net_task_at(const net *n, size_t i) { return &n->tasks[i]; }

json_t *net_config(const net *n) {
    json_t *out = json_object();
    if (out == NULL || !conformer_describe(&n->body, out) ||
        json_object_set_new(out, "pool_norm", json_boolean(n->pool_norm)) != 0 ||
        json_object_set_new(out, "embedding", json_integer(n->embedding)) != 0 ||
        json_object_set_new(out, "embedding_dropout", json_real(n->embedding_dropout)) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}
