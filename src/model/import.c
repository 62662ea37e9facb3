/* import.c: see import.h. */
#include "model/import.h"
#include "audio/audio.h"
#include "net/aasist.h"
#include <stdio.h>
#include <string.h>

enum { NAME = 200, MAX_BLOCKS = 16, SINC_FILTERS = 70, SINC_KERNEL = 129 };

typedef struct importer {
    spoor_context *ctx;
    const weights *w;
    const import_options *o;
    int64_t channels[MAX_BLOCKS], graph[2], classes;
    int n_blocks;
    bool preactivation;
    const char *task;
    char **class_names;
    frontend *fe;
    net *n;
    json_t *meta;
    bool *used; /* of the checkpoint's tensors */
    float *values;
} importer;

bool import_knows(const weights *w) {
    static const char *const signs[] = {"pos_S", "GAT_layer_S.att_weight", "HtrgGAT_layer_ST11.att_weight11",
                                        "encoder.0.0.conv1.weight", "out_layer.weight"};
    bool all = weights_find(w, "LL.weight") == NULL; /* W2VAASIST: its encoder is another file */
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        all = all && weights_find(w, signs[i]) != NULL;
    }
    return all;
}

static spoor_status refuse(const importer *m, const char *name, const char *why, spoor_error *err) {
    return error_set(err, SPOOR_ERR_MODEL, "%.200s is no AASIST that is known: the tensor %.150s %s",
                     weights_path(m->w), name, why);
}

/* ---- sizes ---- */

/* First dimension of a tensor of rank >= 1. */
static spoor_status first_size(const importer *m, const char *name, int64_t *out, spoor_error *err) {
    const weights_tensor *t = weights_find(m->w, name);
    if (t == NULL || t->rank < 1 || weights_refused(m->w, t) != NULL) {
        return refuse(m, name, "is missing or cannot be read", err);
    }
    *out = t->shape[0];
    return SPOOR_OK;
}

/* Whether a batch norm in front of a block was ever trained: its gradient was 0 where it is not applied. */
static spoor_status was_trained(importer *m, const char *name, float untrained, spoor_error *err) {
    const weights_tensor *t = weights_find(m->w, name);
    if (t == NULL) {
        return SPOOR_OK;
    }
    if (weights_refused(m->w, t) != NULL || t->count > 4096) {
        return refuse(m, name, "cannot be read", err);
    }
    float values[4096];
    TRY(weights_read(m->w, t, values, err));
    for (size_t i = 0; i < t->count; i++) {
        m->preactivation |= values[i] != untrained;
    }
    return SPOOR_OK;
}

static spoor_status read_sizes(importer *m, spoor_error *err) {
    char name[NAME];
    for (; m->n_blocks < MAX_BLOCKS; m->n_blocks++) {
        (void)snprintf(name, sizeof name, "encoder.%d.0.conv1.weight", m->n_blocks);
        if (weights_find(m->w, name) == NULL) {
            break;
        }
        TRY(first_size(m, name, &m->channels[m->n_blocks], err));
        (void)snprintf(name, sizeof name, "encoder.%d.0.bn1.weight", m->n_blocks);
        TRY(was_trained(m, name, 1, err));
        (void)snprintf(name, sizeof name, "encoder.%d.0.bn1.bias", m->n_blocks);
        TRY(was_trained(m, name, 0, err));
    }
    TRY(first_size(m, "GAT_layer_S.att_proj.weight", &m->graph[0], err));
    TRY(first_size(m, "HtrgGAT_layer_ST11.att_proj.weight", &m->graph[1], err));
    TRY(first_size(m, "out_layer.weight", &m->classes, err));
    if (m->classes < 1 || m->classes > NET_MAX_CLASSES) {
        return refuse(m, "out_layer.weight", "has an impossible number of classes", err);
    }
    m->task = m->classes == 2 ? "bonafide" : "source";
    return SPOOR_OK;
}

/* ---- the model ---- */

static spoor_status name_classes(importer *m, spoor_error *err) {
    static const char *const two[] = {"spoof", "bonafide"};
    size_t n = (size_t)m->classes;
    if (m->o->classes != NULL && m->o->n_classes != n) {
        return error_set(err, SPOOR_ERR_USAGE, "%zu names of classes were given, but %s has %zu classes",
                         m->o->n_classes, weights_path(m->w), n);
    }
    m->class_names = ctx_calloc(m->ctx, n, sizeof *m->class_names);
    for (size_t i = 0; m->class_names != NULL && i < n; i++) {
        m->class_names[i] = m->o->classes != NULL ? ctx_strdup(m->ctx, m->o->classes[i])
                            : n == 2              ? ctx_strdup(m->ctx, two[i])
                                                  : ctx_printf(m->ctx, "class-%02zu", i);
        if (m->class_names[i] == NULL) {
            return error_memory(err, "converting a model");
        }
    }
    return m->class_names == NULL ? error_memory(err, "converting a model") : SPOOR_OK;
}

static spoor_status build(importer *m, spoor_error *err) {
    json_t *config = json_pack("{s:s, s:i}", "kind", "waveform", "hop", 200), *channels = json_array();
    spoor_status status = frontend_new(m->ctx, config, &m->fe, err);
    json_decref(config);
    for (int i = 0; i < m->n_blocks; i++) {
        (void)json_array_append_new(channels, json_integer((json_int_t)m->channels[i]));
    }
    bool light = m->graph[0] == 24;
    config = json_pack("{s:s, s:s, s:i, s:i, s:o, s:b, s:[I, I], s:[f, f, f]}", "kind", "aasist", "input", "waveform",
                       "sinc", SINC_FILTERS, "sinc_kernel", SINC_KERNEL, "channels", channels, "preactivation",
                       (int)m->preactivation, "graph", (json_int_t)m->graph[0], (json_int_t)m->graph[1], "pool_ratios",
                       light ? 0.4 : 0.5, light ? 0.5 : 0.7, light ? 0.7 : 0.5);
    int64_t numel = SINC_FILTERS * SINC_KERNEL;
    for (size_t i = 0; i < weights_count(m->w); i++) {
        const weights_tensor *t = weights_at(m->w, i);
        numel += weights_refused(m->w, t) == NULL && t->count <= INT32_MAX ? (int64_t)t->count : 0;
    }
    net_task task = {(char *)(uintptr_t)m->task, m->classes};
    if (status == SPOOR_OK) {
        status = config == NULL
                     ? error_memory(err, "converting a model")
                     : net_new_for_weights(m->ctx, config, (int64_t)frontend_dim(m->fe), &task, 1, numel, &m->n, err);
    }
    json_decref(config);
    return status == SPOOR_ERR_USAGE && err != NULL ? (err->status = SPOOR_ERR_MODEL) : status;
}

static spoor_status describe(importer *m, spoor_error *err) {
    json_t *classes = json_array();
    for (int64_t i = 0; i < m->classes; i++) {
        (void)json_array_append_new(classes, json_string(m->class_names[i]));
    }
    m->meta = json_pack("{s:i, s:s, s:s, s:i, s:o, s:o, s:[{s:s, s:o}], s:{s:s, s:s}}", "format", 1, "name", m->o->name,
                        "card", "AASIST on the waveform (Jung et al. 2022), converted; not calibrated", "window",
                        AUDIO_WINDOW, "frontend", frontend_describe(m->fe), "network", net_config(m->n), "tasks",
                        "name", m->task, "classes", classes, "provenance", "converted_from", m->o->source,
                        "weights_sha256", m->o->sha256);
    return m->meta == NULL ? error_memory(err, "converting a model") : SPOOR_OK;
}

/* ---- names ---- */

/* The last parts of names: ours and theirs. */
static bool layer_name(const char *rest, char out[NAME]) {
    static const char *const pairs[][2] = {{"pair", "att_proj"},
                                           {"aggregate", "proj_with_att"},
                                           {"self", "proj_without_att"},
                                           {"norm", "bn"},
                                           {"first", "proj_type1"},
                                           {"second", "proj_type2"},
                                           {"master.pair", "att_projM"},
                                           {"master.aggregate", "proj_with_attM"},
                                           {"master.self", "proj_without_attM"},
                                           {"conv1", "conv1"},
                                           {"conv2", "conv2"},
                                           {"norm1", "bn1"},
                                           {"norm2", "bn2"},
                                           {"shortcut", "conv_downsample"}};
    const char *dot = strrchr(rest, '.');
    if (strcmp(rest, "master.attention") == 0) {
        (void)snprintf(out, NAME, "att_weightM");
        return true;
    }
    for (size_t i = 0; dot != NULL && i < sizeof pairs / sizeof *pairs; i++) {
        if (strlen(pairs[i][0]) == (size_t)(dot - rest) && strncmp(rest, pairs[i][0], (size_t)(dot - rest)) == 0) {
            (void)snprintf(out, NAME, "%s%s", pairs[i][1], dot);
            return true;
        }
    }
    return false;
}

/* Our name in theirs. Attention vectors keep their number open: theirs are three tensors where ours is one of three
 * rows. */
static bool their_name(const char *ours, char out[NAME]) {
    int a, b, n = 0;
    char kind[16], rest[NAME];
    const char *part = strrchr(ours, '.');
    part = part == NULL ? "" : part;
    if (sscanf(ours, "blocks.%d.%n", &a, &n) == 1 && n > 0) {
        return layer_name(ours + n, rest) && snprintf(out, NAME, "encoder.%d.0.%s", a, rest) < NAME;
    }
    if (sscanf(ours, "branches.%d.layer%d.%n", &a, &b, &n) == 2 && n > 0) {
        if (strcmp(ours + n, "attention") == 0) {
            return snprintf(out, NAME, "HtrgGAT_layer_ST%d%d.att_weight", a + 1, b) < NAME;
        }
        return layer_name(ours + n, rest) && snprintf(out, NAME, "HtrgGAT_layer_ST%d%d.%s", a + 1, b, rest) < NAME;
    }
    if (sscanf(ours, "branches.%d.%15[a-z]_pool.score%n", &a, kind, &n) == 2 && n > 0) {
        return snprintf(out, NAME, "pool_h%c%d.proj%s", kind[0] == 's' ? 'S' : 'T', a + 1, part) < NAME;
    }
    if (sscanf(ours, "branches.%d.maste%n", &a, &n) == 1 && n > 0) {
        return snprintf(out, NAME, "master%d", a + 1) < NAME;
    }
    bool spectral = strncmp(ours, "spectral", 8) == 0, temporal = strncmp(ours, "temporal", 8) == 0;
    if ((spectral || temporal) && strncmp(ours + 8, "_pool.score", 11) == 0) {
        return snprintf(out, NAME, "pool_%c.proj%s", spectral ? 'S' : 'T', part) < NAME;
    }
    if ((spectral || temporal) && ours[8] == '.') {
        bool vector = strcmp(ours + 9, "attention") == 0;
        return (vector || layer_name(ours + 9, rest)) &&
               snprintf(out, NAME, "GAT_layer_%c.%s", spectral ? 'S' : 'T', vector ? "att_weight" : rest) < NAME;
    }
    if (strncmp(ours, "input_norm.", 11) == 0) {
        return snprintf(out, NAME, "first_bn%s", part) < NAME;
    }
    if (strncmp(ours, "heads.", 6) == 0) {
        return snprintf(out, NAME, "out_layer%s", part) < NAME;
    }
    return strcmp(ours, "positions") == 0 && snprintf(out, NAME, "pos_S") < NAME;
}

/* ---- values ---- */

/* Kernels are [O,C,bands,frames] there and [O,frames,bands,C] here; of other tensors the sizes that are not 1 must be
 * the same in the same order. */
static bool same_shape(const weights_tensor *t, int ndim, const int64_t *dim) {
    if (ndim == 4) {
        return t->rank == 4 && t->shape[0] == dim[0] && t->shape[1] == dim[3] && t->shape[2] == dim[2] &&
               t->shape[3] == dim[1];
    }
    int k = 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] == 1) {
            continue;
        }
        while (k < ndim && dim[k] == 1) {
            k++;
        }
        if (k >= ndim || dim[k++] != t->shape[i]) {
            return false;
        }
    }
    while (k < ndim && dim[k] == 1) {
        k++;
    }
    return k == ndim;
}

/* The values of one of their tensors. */
static spoor_status read_one(importer *m, const char *name, int ndim, const int64_t *dim, float *out,
                             spoor_error *err) {
    const weights_tensor *t = weights_find(m->w, name);
    if (t == NULL || weights_refused(m->w, t) != NULL) {
        return refuse(m, name, "is missing or cannot be read", err);
    }
    size_t count = 1;
    for (int i = 0; i < ndim; i++) {
        count *= (size_t)dim[i];
    }
    if (t->count != count || !same_shape(t, ndim, dim)) {
        return refuse(m, name, "has another shape than its network needs", err);
    }
    float *values = ctx_alloc(m->ctx, count, sizeof *values);
    if (values == NULL) {
        return error_memory(err, "converting a model");
    }
    spoor_status status = weights_read(m->w, t, ndim == 4 ? values : out, err);
    for (int64_t i = 0; ndim == 4 && status == SPOOR_OK && i < (int64_t)count; i++) {
        int64_t c = i % dim[3], band = i / dim[3] % dim[2], frame = i / dim[3] / dim[2] % dim[1],
                o = i / dim[3] / dim[2] / dim[1];
        out[i] = values[((o * dim[3] + c) * dim[2] + band) * dim[1] + frame];
    }
    ctx_free(m->ctx, values);
    for (size_t i = 0; i < weights_count(m->w); i++) {
        m->used[i] |= weights_at(m->w, i) == t;
    }
    return status;
}

static spoor_status read_param(importer *m, const char *ours, const tensor *x, spoor_error *err) {
    static const char *const kinds[3] = {"11", "22", "12"};
    char name[NAME], one[NAME + 4];
    if (strcmp(ours, "sinc.filters") == 0) {
        aasist_sinc_filters(x->dim[0], x->dim[1], x->data);
        return SPOOR_OK;
    }
    if (!their_name(ours, name)) {
        return refuse(m, ours, "has no place in the release", err);
    }
    if (x->ndim == 2 && x->dim[0] == 3 && strncmp(name, "Htrg", 4) == 0 && strstr(name, ".att_weight") != NULL) {
        for (int i = 0; i < 3; i++) {
            (void)snprintf(one, sizeof one, "%s%s", name, kinds[i]);
            TRY(read_one(m, one, 1, &x->dim[1], x->data + i * x->dim[1], err));
        }
        return SPOOR_OK;
    }
    return read_one(m, name, x->ndim, x->dim, x->data, err);
}

static bool may_stay(const importer *m, const char *name) {
    return strstr(name, "num_batches_tracked") != NULL || (!m->preactivation && strstr(name, ".bn1.") != NULL);
}

static spoor_status read_weights(importer *m, spoor_error *err) {
    params *p = net_params(m->n);
    m->used = ctx_calloc(m->ctx, weights_count(m->w), sizeof *m->used);
    if (m->used == NULL) {
        return error_memory(err, "converting a model");
    }
    for (size_t i = 0; i < params_count(p); i++) {
        TRY(ctx_check_cancel(m->ctx, err));
        TRY(read_param(m, params_at(p, i)->name, &params_at(p, i)->value, err));
    }
    for (size_t i = 0; i < weights_count(m->w); i++) {
        const char *name = weights_at(m->w, i)->name;
        if (!m->used[i] && !may_stay(m, name)) {
            return refuse(m, name, "belongs to nothing in it", err);
        }
    }
    return SPOOR_OK;
}

spoor_status import_save(spoor_context *ctx, const weights *w, const char *path, const import_options *o,
                         spoor_error *err) {
    importer m = {.ctx = ctx, .w = w, .o = o};
    spoor_status status = read_sizes(&m, err);
    status = status == SPOOR_OK ? name_classes(&m, err) : status;
    status = status == SPOOR_OK ? build(&m, err) : status;
    status = status == SPOOR_OK ? read_weights(&m, err) : status;
    status = status == SPOOR_OK ? describe(&m, err) : status;
    status = status == SPOOR_OK ? model_save(ctx, path, m.n, m.fe, NULL, m.meta, o->half, err) : status;
    for (int64_t i = 0; m.class_names != NULL && i < m.classes; i++) {
        ctx_free(ctx, m.class_names[i]);
    }
    ctx_free(ctx, m.class_names);
    ctx_free(ctx, m.used);
    json_decref(m.meta);
    net_free(m.n);
    frontend_free(m.fe);
    return status;
}
