/* pooled.c: see pooled.h. */
#include "net/pooled.h"
#include "base/config.h"
#include <stdio.h>

static const char *const POOLINGS[] = {"stats", "attentive", "mean", NULL};
enum { STATS, ATTENTIVE, MEAN };

static spoor_status configure_layers(pooled *c, const json_t *list, spoor_error *err) {
    if (list == NULL) {
        return SPOOR_OK;
    }
    for (size_t i = 0; i < json_array_size(list) && i < POOLED_MAX_LAYERS; i++) {
        const json_t *v = json_array_get(list, i);
        c->sizes[i] = json_is_integer(v) ? json_integer_value(v) : 0;
        if (c->sizes[i] < 1 || c->sizes[i] > 65536) {
            return error_set(err, SPOOR_ERR_USAGE, "network.layers must be whole numbers from 1 to 65536");
        }
        c->pooled = c->sizes[i];
    }
    c->n_layers = json_array_size(list);
    if (!json_is_array(list) || c->n_layers > POOLED_MAX_LAYERS) {
        return error_set(err, SPOOR_ERR_USAGE, "network.layers must be a list of at most %d sizes", POOLED_MAX_LAYERS);
    }
    return SPOOR_OK;
}

/* How many values come out of the pooling. */
static int64_t statistics(const pooled *c) {
    int64_t near = c->neighbours, moments = c->pooling == MEAN ? 1 : 2;
    return (moments + near) * c->input_dim - near * (near + 1) / 2;
}

spoor_status pooled_configure(pooled *c, const json_t *config, int64_t input_dim, spoor_error *err) {
    TRY(config_choice(config, "network", "pooling", POOLINGS, STATS, &c->pooling, err));
    TRY(config_int(config, "network", "hidden", 128, 1, 4096, &c->hidden, err));
    c->input_dim = input_dim;
    TRY(config_int(config, "network", "neighbours", 0, 0, 64, &c->neighbours, err));
    if (c->neighbours > 0 && (c->pooling != STATS || c->neighbours >= input_dim)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "network.neighbours: %lld needs pooling \"stats\" and more columns than that, not %lld",
                         (long long)c->neighbours, (long long)input_dim);
    }
    c->pooled = c->statistics = statistics(c);
    return configure_layers(c, json_object_get(config, "layers"), err);
}

spoor_status pooled_init(pooled *c, params *p, const char *prefix, spoor_error *err) {
    char name[64];
    int64_t from = c->statistics;
    (void)snprintf(name, sizeof name, "%spool", prefix);
    if (c->pooling == ATTENTIVE) {
        TRY(nn_attentive_pool_init(&c->attentive, p, name, c->input_dim, c->hidden, err));
    }
    for (size_t i = 0; i < c->n_layers; i++) {
        (void)snprintf(name, sizeof name, "%slayers.%zu", prefix, i);
        TRY(nn_linear_init(&c->layers[i], p, name, from, c->sizes[i], true, err));
        from = c->sizes[i];
    }
    return SPOOR_OK;
}

tensor *pooled_forward(const pooled *c, tape *t, tensor *features) {
    tensor *x = c->pooling == ATTENTIVE ? nn_attentive_pool_forward(&c->attentive, t, features)
                : c->pooling == MEAN    ? op_mean_pool(t, features)
                                        : op_stats_pool(t, features, (real)1e-5);
    if (c->neighbours > 0) {
        x = op_concat(t, (tensor *[]){x, op_correlation_pool(t, features, c->neighbours, (real)1e-5)}, 2, 1);
    }
    for (size_t i = 0; i < c->n_layers; i++) {
        x = nn_linear_forward(&c->layers[i], t, x, i + 1 < c->n_layers ? OP_ACT_RELU : OP_ACT_NONE);
    }
    return x;
}

bool pooled_describe(const pooled *c, json_t *out) {
    bool good = json_object_set_new(out, "kind", json_string("pooled")) == 0 &&
                json_object_set_new(out, "pooling", json_string(POOLINGS[c->pooling])) == 0 &&
                json_object_set_new(out, "hidden", json_integer(c->hidden)) == 0 &&
                (c->neighbours == 0 || json_object_set_new(out, "neighbours", json_integer(c->neighbours)) == 0);
    json_t *sizes = good && c->n_layers > 0 ? json_array() : NULL;
    for (size_t i = 0; i < c->n_layers; i++) {
        (void)json_array_append_new(sizes, json_integer(c->sizes[i]));
    }
    return good && (c->n_layers == 0 ||
                    (json_array_size(sizes) == c->n_layers && json_object_set_new(out, "layers", sizes) == 0));
}
