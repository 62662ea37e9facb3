/* pooled.c: see pooled.h. */
#include "net/pooled.h"
#include "base/config.h"
#include <stdio.h>

static const char *const POOLINGS[] = {"stats", "attentive", NULL};

spoor_status pooled_configure(pooled *c, const json_t *config, int64_t input_dim, spoor_error *err) {
    int pooling;
    TRY(config_choice(config, "network", "pooling", POOLINGS, 0, &pooling, err));
    TRY(config_int(config, "network", "hidden", 128, 1, 4096, &c->hidden, err));
    c->attend = pooling == 1;
    c->input_dim = input_dim;
    c->pooled = 2 * input_dim;
    return SPOOR_OK;
}

spoor_status pooled_init(pooled *c, params *p, const char *prefix, spoor_error *err) {
    char name[64];
    (void)snprintf(name, sizeof name, "%spool", prefix);
    return c->attend ? nn_attentive_pool_init(&c->attentive, p, name, c->input_dim, c->hidden, err) : SPOOR_OK;
}

tensor *pooled_forward(const pooled *c, tape *t, tensor *features) {
    return c->attend ? nn_attentive_pool_forward(&c->attentive, t, features) : op_stats_pool(t, features, (real)1e-5);
}

bool pooled_describe(const pooled *c, json_t *out) {
    return json_object_set_new(out, "kind", json_string("pooled")) == 0 &&
           json_object_set_new(out, "pooling", json_string(POOLINGS[c->attend])) == 0 &&
           json_object_set_new(out, "hidden", json_integer(c->hidden)) == 0;
}
