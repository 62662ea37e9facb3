/* conformer.c: see conformer.h. */
#include "net/conformer.h"
#include "base/config.h"
#include <stdio.h>

static const char *const ATTENTIONS[] = {"relative", "tcm", NULL};
static const char *const POOLINGS[] = {"class-token", "stats", "attentive", NULL};

static spoor_status read_pair(const json_t *item, const char *key, int64_t fallback, int64_t max, int64_t out[2],
                              spoor_error *err) {
    const json_t *pair = json_object_get(item, key);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(pair, i);
        out[i] = pair == NULL ? fallback : json_integer_value(v);
        if (pair != NULL && (json_array_size(pair) != 2 || !json_is_integer(v) || out[i] < 1 || out[i] > max)) {
            return error_set(err, SPOOR_ERR_USAGE, "network.stem.%s must be two whole numbers from 1 to %lld", key,
                             (long long)max);
        }
    }
    return SPOOR_OK;
}

static spoor_status configure_stem(conformer *c, const json_t *stem, spoor_error *err) {
    static const char *const keys[] = {"channels", "kernel", "stride", NULL};
    c->n_stem = 0;
    if (stem == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_array(stem) || json_array_size(stem) > CONFORMER_MAX_STEM) {
        return error_set(err, SPOOR_ERR_USAGE, "network.stem must be a list of at most %d layers", CONFORMER_MAX_STEM);
    }
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)stem, i, item) {
        TRY(config_keys(item, "network.stem", keys, err));
        TRY(config_int(item, "network.stem", "channels", 32, 1, 4096, &c->stem_sizes[i].channels, err));
        TRY(read_pair(item, "kernel", 3, 31, c->stem_sizes[i].kernel, err));
        TRY(read_pair(item, "stride", 1, 16, c->stem_sizes[i].stride, err));
        c->n_stem++;
    }
    return SPOOR_OK;
}

spoor_status conformer_configure(conformer *c, const json_t *config, int64_t input_dim, spoor_error *err) {
    int pooling, attention;
    const char *w = "network";
    c->input_dim = input_dim;
    TRY(configure_stem(c, json_object_get(config, "stem"), err));
    TRY(config_int(config, w, "dim", 144, 1, 4096, &c->sizes.dim, err));
    TRY(config_int(config, w, "depth", 4, 0, CONFORMER_MAX_DEPTH, &c->depth, err));
    TRY(config_int(config, w, "heads", 4, 1, 64, &c->sizes.heads, err));
    TRY(config_int(config, w, "ff_mult", 4, 1, 16, &c->sizes.ff_mult, err));
    TRY(config_int(config, w, "conv_mult", 2, 1, 16, &c->sizes.conv_mult, err));
    TRY(config_int(config, w, "kernel", 31, 1, 255, &c->sizes.kernel, err));
    TRY(config_int(config, w, "max_distance", 512, 1, 4096, &c->sizes.max_distance, err));
    TRY(config_number(config, w, "dropout", 0, 0, 0.95, &c->sizes.dropout, err));
    TRY(config_choice(config, w, "pooling", POOLINGS, CONFORMER_CLASS_TOKEN, &pooling, err));
    TRY(config_choice(config, w, "attention", ATTENTIONS, 0, &attention, err));
    c->pooling = (conformer_pooling)pooling;
    c->sizes.tcm = attention == 1;
    if (c->sizes.tcm && c->pooling != CONFORMER_CLASS_TOKEN) {
        return error_set(err, SPOOR_ERR_USAGE, "network.attention: tcm gathers what it finds in a class token; "
                         "it needs network.pooling: class-token");
    }
    if (c->sizes.dim % c->sizes.heads != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "network.dim (%lld) must be a multiple of network.heads (%lld)",
                         (long long)c->sizes.dim, (long long)c->sizes.heads);
    }
    c->pooled = c->pooling == CONFORMER_CLASS_TOKEN ? c->sizes.dim : 2 * c->sizes.dim;
    return SPOOR_OK;
}

/* Bands that are left of `bands` after the stem. */
static int64_t stem_bands(const conformer *c, int64_t bands) {
    for (int64_t i = 0; i < c->n_stem; i++) {
        int64_t k = c->stem_sizes[i].kernel[1];
        bands = (bands + 2 * (k / 2) - k) / c->stem_sizes[i].stride[1] + 1;
    }
    return bands;
}

enum { NAME = 64 };

static const char *named(char out[NAME], const char *prefix, const char *part) {
    (void)snprintf(out, NAME, "%s%s", prefix, part);
    return out;
}

static const char *numbered(char out[NAME], const char *prefix, const char *part, int64_t i) {
    (void)snprintf(out, NAME, "%s%s.%d", prefix, part, (int)i);
    return out;
}

spoor_status conformer_init(conformer *c, params *p, const char *prefix, spoor_error *err) {
    char name[NAME];
    int64_t channels = 1;
    for (int64_t i = 0; i < c->n_stem; i++) {
        TRY(nn_conv2d_block_init(&c->stem[i], p, numbered(name, prefix, "stem", i), channels, c->stem_sizes[i].channels,
                                 c->stem_sizes[i].kernel, c->stem_sizes[i].stride, err));
        channels = c->stem_sizes[i].channels;
    }
    int64_t bands = stem_bands(c, c->input_dim);
    if (bands < 1) {
        return error_set(err, SPOOR_ERR_USAGE, "network.stem leaves no band of the %lld features",
                         (long long)c->input_dim);
    }
    TRY(nn_linear_init(&c->project, p, named(name, prefix, "project"), bands * channels, c->sizes.dim, true, err));
    TRY(nn_batch_norm_init(&c->project_norm, p, named(name, prefix, "project_norm"), 1, err));
    if (c->pooling == CONFORMER_CLASS_TOKEN) {
        TRY(params_add(p, named(name, prefix, "class_token"), 1, &c->sizes.dim, PARAM_UNIFORM01, 0, true, false,
                       &c->token, err));
    }
    for (int64_t i = 0; i < c->depth; i++) {
        TRY(nn_conformer_block_init(&c->blocks[i], p, numbered(name, prefix, "blocks", i), &c->sizes, err));
    }
    if (c->pooling == CONFORMER_ATTENTIVE) {
        TRY(nn_attentive_pool_init(&c->attentive, p, named(name, prefix, "pool"), c->sizes.dim, c->sizes.dim, err));
    }
    return SPOOR_OK;
}

static tensor *stem_forward(const conformer *c, tape *t, tensor *x) {
    if (x == NULL || c->n_stem == 0) {
        return x;
    }
    x = op_reshape(t, x, 4, (int64_t[]){x->dim[0], x->dim[1], x->dim[2], 1});
    for (int64_t i = 0; i < c->n_stem; i++) {
        x = nn_conv2d_block_forward(&c->stem[i], t, x);
    }
    return x == NULL ? NULL : op_reshape(t, x, 3, (int64_t[]){x->dim[0], x->dim[1], x->dim[2] * x->dim[3]});
}

tensor *conformer_forward(const conformer *c, tape *t, tensor *features) {
    if (features == NULL) {
        return NULL;
    }
    if (features->ndim != 3 || features->dim[2] != c->input_dim) {
        tape_fail(t, SPOOR_ERR_USAGE, "the network expects features [clips, frames, %lld]", (long long)c->input_dim);
        return NULL;
    }
    tensor *x = stem_forward(c, t, features);
    x = nn_linear_forward(&c->project, t, x, OP_ACT_NONE);
    x = nn_batch_norm_forward_all_selu(&c->project_norm, t, x);
    x = op_dropout(t, x, c->sizes.dropout);
    x = c->sizes.tcm ? nn_add_sinusoids(t, x) : x;
    if (c->pooling == CONFORMER_CLASS_TOKEN) {
        x = op_prepend_token(t, x, c->token);
    }
    for (int64_t i = 0; i < c->depth; i++) {
        x = nn_conformer_block_forward(&c->blocks[i], t, x);
    }
    switch (c->pooling) {
    case CONFORMER_CLASS_TOKEN:
        x = op_slice_frames(t, x, 0, 1);
        return x == NULL ? NULL : op_reshape(t, x, 2, (int64_t[]){x->dim[0], c->sizes.dim});
    case CONFORMER_STATS: return op_stats_pool(t, x, (real)1e-5);
    case CONFORMER_ATTENTIVE: return nn_attentive_pool_forward(&c->attentive, t, x);
    }
    return NULL;
}

bool conformer_describe(const conformer *c, json_t *out) {
    json_t *stem = json_array();
    for (int64_t i = 0; i < c->n_stem; i++) {
        (void)json_array_append_new(
            stem, json_pack("{s:I, s:[I,I], s:[I,I]}", "channels", (json_int_t)c->stem_sizes[i].channels, "kernel",
                            (json_int_t)c->stem_sizes[i].kernel[0], (json_int_t)c->stem_sizes[i].kernel[1], "stride",
                            (json_int_t)c->stem_sizes[i].stride[0], (json_int_t)c->stem_sizes[i].stride[1]));
    }
    json_t *all =
        json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:s}", "kind", "conformer", "stem", stem,
                  "dim", (json_int_t)c->sizes.dim, "depth", (json_int_t)c->depth, "heads", (json_int_t)c->sizes.heads,
                  "ff_mult", (json_int_t)c->sizes.ff_mult, "conv_mult", (json_int_t)c->sizes.conv_mult, "kernel",
                  (json_int_t)c->sizes.kernel, "max_distance", (json_int_t)c->sizes.max_distance, "dropout",
                  c->sizes.dropout, "pooling", POOLINGS[c->pooling], "attention", ATTENTIONS[c->sizes.tcm]);
    bool good = all != NULL && json_object_update(out, all) == 0;
    json_decref(all);
    return good;
}
