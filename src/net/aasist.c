/* aasist.c: see aasist.h. */
#include "net/aasist.h"
#include "base/config.h"
#include <math.h>
#include <stdio.h>

static const char *const INPUTS[] = {"features", "waveform", NULL};
static const char *const BACKENDS[] = {"shared", "task", NULL};

/* ---- settings ---- */

static spoor_status configure_encoder(aasist *c, const json_t *config, spoor_error *err) {
    const char *w = "network";
    int input;
    TRY(config_choice(config, w, "input", INPUTS, 0, &input, err));
    c->waveform = input == 1;
    if (c->waveform) {
        TRY(config_int(config, w, "sinc", 70, 1, 256, &c->project, err));
        TRY(config_int(config, w, "sinc_kernel", 129, 1, 4095, &c->sinc_kernel, err));
    } else {
        TRY(config_int(config, w, "project", 128, 1, 4096, &c->project, err));
    }
    if (json_object_get(config, c->waveform ? "project" : "sinc") != NULL ||
        (!c->waveform && json_object_get(config, "sinc_kernel") != NULL) || (c->waveform && c->sinc_kernel % 2 == 0)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "network: \"project\" goes with input: features, \"sinc\" and an odd "
                         "\"sinc_kernel\" with input: waveform");
    }
    TRY(config_int(config, w, "first_pool", 3, 1, 64, &c->first_pool, err));
    TRY(config_int(config, w, "block_pool", c->waveform ? 3 : 1, 1, 16, &c->block_pool, err));
    TRY(config_int(config, w, "attention", c->waveform ? 0 : 128, 0, 4096, &c->attention, err));
    TRY(config_bool(config, w, "preactivation", false, &c->preactivation, err));
    double channels[AASIST_MAX_BLOCKS] = {32, 32, 64, 64, 64, 64};
    size_t n = 6;
    TRY(config_numbers(config, w, "channels",
                       &(config_list){.most = AASIST_MAX_BLOCKS, .whole = true, .min = 1, .max = 1024}, channels, &n,
                       err));
    c->n_blocks = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        c->channels[i] = (int64_t)channels[i];
    }
    return SPOOR_OK;
}

spoor_status aasist_configure(aasist *c, const json_t *config, int64_t input_dim, spoor_error *err) {
    const char *w = "network";
    int backends;
    c->input_dim = input_dim;
    TRY(configure_encoder(c, config, err));
    TRY(config_choice(config, w, "backends", BACKENDS, 0, &backends, err));
    c->split = backends == 1;
    double graph[2] = {64, 32};
    size_t two = 2, three = 3;
    TRY(config_numbers(config, w, "graph",
                       &(config_list){.most = 2, .fixed = true, .whole = true, .min = 1, .max = 1024}, graph, &two,
                       err));
    c->graph[0] = (int64_t)graph[0];
    c->graph[1] = (int64_t)graph[1];
    for (int i = 0; i < 3; i++) {
        c->ratios[i] = 0.5;
        c->temperatures[i] = i < 2 ? 2 : 100;
    }
    TRY(config_numbers(config, w, "pool_ratios", &(config_list){.most = 3, .fixed = true, .min = 0.01, .max = 1},
                       c->ratios, &three, err));
    TRY(config_numbers(config, w, "temperatures", &(config_list){.most = 3, .fixed = true, .min = 0.01, .max = 1e4},
                       c->temperatures, &three, err));
    TRY(config_number(config, w, "dropout", 0.5, 0, 0.95, &c->dropout, err));
    TRY(config_number(config, w, "way_dropout", 0.2, 0, 0.95, &c->way_dropout, err));
    TRY(config_number(config, w, "graph_dropout", 0.2, 0, 0.95, &c->graph_dropout, err));
    TRY(config_number(config, w, "pool_dropout", 0.3, 0, 0.95, &c->pool_dropout, err));
    int64_t window = c->first_pool < c->project ? c->first_pool : c->project;
    c->bands = c->project / window;
    c->pooled = 5 * c->graph[1];
    return SPOOR_OK;
}

static json_t *list_of(const double *values, size_t n, bool whole) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(list, whole ? json_integer((json_int_t)values[i]) : json_real(values[i]));
    }
    return list;
}

bool aasist_describe(const aasist *c, json_t *out) {
    double channels[AASIST_MAX_BLOCKS], graph[2] = {(double)c->graph[0], (double)c->graph[1]};
    for (int64_t i = 0; i < c->n_blocks; i++) {
        channels[i] = (double)c->channels[i];
    }
    json_t *all = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f}", "kind",
                            "aasist", "input", INPUTS[c->waveform], c->waveform ? "sinc" : "project",
                            (json_int_t)c->project, "first_pool", (json_int_t)c->first_pool, "block_pool",
                            (json_int_t)c->block_pool, "attention", (json_int_t)c->attention, "preactivation",
                            (int)c->preactivation, "channels", list_of(channels, (size_t)c->n_blocks, true), "graph",
                            list_of(graph, 2, true), "pool_ratios", list_of(c->ratios, 3, false), "temperatures",
                            list_of(c->temperatures, 3, false), "dropout", c->dropout, "way_dropout", c->way_dropout,
                            "graph_dropout", c->graph_dropout, "pool_dropout", c->pool_dropout);
    bool good =
        all != NULL && json_object_update(out, all) == 0 &&
        (!c->waveform || json_object_set_new(out, "sinc_kernel", json_integer((json_int_t)c->sinc_kernel)) == 0) &&
        (!c->split || json_object_set_new(out, "backends", json_string(BACKENDS[c->split])) == 0);
    json_decref(all);
    return good;
}

/* ---- parameters ---- */

/* Mel scale of O'Shaughnessy. */
static double hertz_at(double share) {
    double top = 2595 * log10(1 + 8000.0 / 700);
    return 700 * (pow(10, share * top / 2595) - 1);
}

/* Ideal low-pass filter at `cut` of the sampling rate, at distance x from its centre. */
static double low_pass(double cut, double x) {
    double a = 2 * cut * x * 3.14159265358979323846;
    return 2 * cut * (a == 0 ? 1 : sin(a) / a);
}

void aasist_sinc_filters(int64_t n, int64_t kernel, real *out) {
    for (int64_t i = 0; i < n; i++) {
        double from = hertz_at((double)i / (double)n) / 16000, to = hertz_at((double)(i + 1) / (double)n) / 16000;
        for (int64_t k = 0; k < kernel; k++) {
            double x = (double)k - (double)(kernel - 1) / 2;
            double hamming =
                kernel == 1 ? 1 : 0.54 - 0.46 * cos(2 * 3.14159265358979323846 * (double)k / (double)(kernel - 1));
            out[i * kernel + k] = (real)(hamming * (low_pass(to, x) - low_pass(from, x)));
        }
    }
}

enum { NAME = 128 };

static const char *named(char out[NAME], const char *prefix, const char *part) {
    (void)snprintf(out, NAME, "%s%s", prefix, part);
    return out;
}

static spoor_status init_input(aasist *c, params *p, const char *prefix, spoor_error *err) {
    char name[NAME];
    if (!c->waveform) {
        TRY(nn_linear_init(&c->input, p, named(name, prefix, "project"), c->input_dim, c->project, true, err));
    } else {
        TRY(params_add(p, named(name, prefix, "sinc.filters"), 3, (int64_t[]){c->project, c->sinc_kernel, 1},
                       PARAM_ZEROS, 0, false, false, &c->filters, err));
        if (c->filters->data != NULL) {
            aasist_sinc_filters(c->project, c->sinc_kernel, c->filters->data);
        }
    }
    return nn_batch_norm_init(&c->input_norm, p, named(name, prefix, "input_norm"), 1, err);
}

static spoor_status init_encoder(aasist *c, params *p, const char *prefix, spoor_error *err) {
    char name[NAME];
    int64_t in = 1;
    for (int64_t i = 0; i < c->n_blocks; i++) {
        (void)snprintf(name, NAME, "%sblocks.%d", prefix, (int)i);
        TRY(nn_residual_block_init(&c->blocks[i], p, name, in, c->channels[i], c->preactivation && i > 0, c->block_pool,
                                   err));
        in = c->channels[i];
    }
    if (c->attention > 0) {
        TRY(nn_batch_norm_init(&c->map_norm, p, named(name, prefix, "map_norm"), in, err));
        TRY(nn_linear_init(&c->attention_in, p, named(name, prefix, "map_attention.in"), in, c->attention, true, err));
        TRY(nn_batch_norm_init(&c->attention_norm, p, named(name, prefix, "map_attention.norm"), c->attention, err));
        TRY(nn_linear_init(&c->attention_out, p, named(name, prefix, "map_attention.out"), c->attention, in, true,
                           err));
    }
    return SPOOR_OK;
}

static spoor_status init_branch(const aasist *c, aasist_branch *b, params *p, const char *name, spoor_error *err) {
    char s[NAME + 16];
    int64_t d = c->graph[0], o = c->graph[1];
    (void)snprintf(s, sizeof s, "%s.master", name);
    TRY(params_add(p, s, 1, &d, PARAM_STANDARD_NORMAL, 0, true, false, &b->master, err));
    (void)snprintf(s, sizeof s, "%s.layer1", name);
    TRY(nn_hetero_attention_init(&b->layer1, p, s, d, o, c->temperatures[2], c->graph_dropout, err));
    (void)snprintf(s, sizeof s, "%s.spectral_pool", name);
    TRY(nn_graph_pool_init(&b->spectral, p, s, o, c->ratios[2], c->pool_dropout, err));
    (void)snprintf(s, sizeof s, "%s.temporal_pool", name);
    TRY(nn_graph_pool_init(&b->temporal, p, s, o, c->ratios[2], c->pool_dropout, err));
    (void)snprintf(s, sizeof s, "%s.layer2", name);
    return nn_hetero_attention_init(&b->layer2, p, s, o, o, c->temperatures[2], c->graph_dropout, err);
}

spoor_status aasist_init_back(aasist *c, size_t k, params *p, const char *prefix, spoor_error *err) {
    char name[NAME];
    aasist_back *o = &c->back[k];
    int64_t in = c->channels[c->n_blocks - 1], d = c->graph[0];
    TRY(params_add(p, named(name, prefix, "positions"), 2, (int64_t[]){c->bands, in}, PARAM_STANDARD_NORMAL, 0, true,
                   false, &o->positions, err));
    TRY(nn_graph_attention_init(&o->spectral, p, named(name, prefix, "spectral"), in, d, c->temperatures[0],
                                c->graph_dropout, err));
    TRY(nn_graph_attention_init(&o->temporal, p, named(name, prefix, "temporal"), in, d, c->temperatures[1],
                                c->graph_dropout, err));
    TRY(nn_graph_pool_init(&o->spectral_pool, p, named(name, prefix, "spectral_pool"), d, c->ratios[0], c->pool_dropout,
                           err));
    TRY(nn_graph_pool_init(&o->temporal_pool, p, named(name, prefix, "temporal_pool"), d, c->ratios[1], c->pool_dropout,
                           err));
    for (int i = 0; i < 2; i++) {
        (void)snprintf(name, NAME, "%sbranches.%d", prefix, i);
        TRY(init_branch(c, &o->branch[i], p, name, err));
    }
    return SPOOR_OK;
}

spoor_status aasist_init(aasist *c, params *p, const char *prefix, spoor_error *err) {
    TRY(init_input(c, p, prefix, err));
    TRY(init_encoder(c, p, prefix, err));
    return c->split ? SPOOR_OK : aasist_init_back(c, 0, p, prefix, err);
}

/* ---- forward ---- */

/* [B,T,D] -> the picture [B,T',F',1] that the first pooling sees. */
static tensor *input_forward(const aasist *c, tape *t, tensor *x) {
    if (!c->waveform) {
        x = nn_linear_forward(&c->input, t, x, OP_ACT_NONE);
    } else {
        int64_t samples = x->dim[1] * x->dim[2];
        if (samples < c->sinc_kernel) {
            tape_fail(t, SPOOR_ERR_USAGE,
                      "a waveform of %lld samples is shorter than the network's sinc filters (%lld)",
                      (long long)samples, (long long)c->sinc_kernel);
            return NULL;
        }
        x = op_conv1d(t, op_reshape(t, x, 3, (int64_t[]){x->dim[0], samples, 1}), c->filters, NULL, 1, 1, 0, 0, 1);
        x = op_abs(t, x);
    }
    return x == NULL ? NULL : op_reshape(t, x, 4, (int64_t[]){x->dim[0], x->dim[1], x->dim[2], 1});
}

/* How large the encoder's results become is decided by settings that cost no weights. */
static bool map_fits(const aasist *c, tape *t, int64_t frames) {
    int64_t widest = 1;
    for (int64_t i = 0; i < c->n_blocks; i++) {
        widest = c->channels[i] > widest ? c->channels[i] : widest;
    }
    if (frames > AASIST_MAX_MAP / ((c->bands + 1) * widest)) {
        tape_fail(t, SPOOR_ERR_LIMIT,
                  "%lld frames x %lld bands x %lld channels inside the network are beyond the limit of %d "
                  "numbers; give it shorter windows or more first_pool",
                  (long long)frames, (long long)c->bands, (long long)widest, AASIST_MAX_MAP);
        return false;
    }
    return true;
}

static tensor *block_forward(tape *t, tensor *x, void *block) { return nn_residual_block_forward(block, t, x); }

/* The picture -> the map [B,T,F,C]. */
static tensor *encoder_forward(const aasist *c, tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    int64_t h = c->first_pool < x->dim[1] ? c->first_pool : x->dim[1],
            w = c->first_pool < x->dim[2] ? c->first_pool : x->dim[2];
    x = op_max_pool2d(t, x, h, w, h, w);
    if (x == NULL || !map_fits(c, t, x->dim[1])) {
        return NULL;
    }
    x = nn_batch_norm_forward_all_selu(&c->input_norm, t, x);
    for (int64_t i = 0; i < c->n_blocks; i++) { /* where nothing is recorded, a block's memory serves the next */
        x = op_stage(t, x, block_forward, (void *)(uintptr_t)&c->blocks[i]);
    }
    return x;
}

/* The map -> nodes for bands [B,F,C], which have no positions yet, and for frames [B,T,C]. */
static void nodes_forward(const aasist *c, tape *t, tensor *x, tensor **spectral, tensor **temporal) {
    if (c->attention == 0) {
        *spectral = op_max_abs(t, x, 1);
        *temporal = op_max_abs(t, x, 2);
    } else {
        x = nn_batch_norm_forward_selu(&c->map_norm, t, x);
        tensor *w =
            nn_batch_norm_forward(&c->attention_norm, t, nn_linear_forward(&c->attention_in, t, x, OP_ACT_SELU));
        w = nn_linear_forward(&c->attention_out, t, w, OP_ACT_NONE);
        *spectral = op_softmax_pool(t, x, w, 1);
        *temporal = op_softmax_pool(t, x, w, 2);
    }
}

/* What a layer adds to its input's nodes. */
static nn_graph_nodes add_nodes(tape *t, nn_graph_nodes a, nn_graph_nodes b) {
    return (nn_graph_nodes){op_add(t, a.first, b.first, 1), op_add(t, a.second, b.second, 1),
                            op_add(t, a.master, b.master, 1)};
}

/* Temporal nodes are the first kind. */
static nn_graph_nodes branch_forward(const aasist *c, const aasist_branch *b, tape *t, tensor *temporal,
                                     tensor *spectral) {
    if (temporal == NULL || spectral == NULL) {
        return (nn_graph_nodes){NULL, NULL, NULL};
    }
    tensor *none = tape_tensor(t, 3, (int64_t[]){temporal->dim[0], 0, temporal->dim[2]});
    nn_graph_nodes x = {temporal, spectral, op_prepend_token(t, none, b->master)};
    x = nn_hetero_attention_forward(&b->layer1, t, x);
    x.second = nn_graph_pool_forward(&b->spectral, t, x.second);
    x.first = nn_graph_pool_forward(&b->temporal, t, x.first);
    x = add_nodes(t, x, nn_hetero_attention_forward(&b->layer2, t, x));
    return (nn_graph_nodes){op_dropout(t, x.first, c->way_dropout), op_dropout(t, x.second, c->way_dropout),
                            op_dropout(t, x.master, c->way_dropout)};
}

/* The largest or mean over nodes, of what a back end makes of the nodes: [B, c->pooled]. */
static tensor *read_forward(const aasist *c, const aasist_back *o, tape *t, tensor *spectral, tensor *temporal) {
    if (spectral == NULL || temporal == NULL) {
        return NULL;
    }
    int64_t flat[2] = {spectral->dim[0], spectral->dim[1] * spectral->dim[2]};
    tensor *at = op_reshape(t, o->positions, 1, &flat[1]);
    spectral = op_reshape(t, op_add_row(t, op_reshape(t, spectral, 2, flat), at), 3, spectral->dim);
    spectral = nn_graph_pool_forward(&o->spectral_pool, t, nn_graph_attention_forward(&o->spectral, t, spectral));
    temporal = nn_graph_pool_forward(&o->temporal_pool, t, nn_graph_attention_forward(&o->temporal, t, temporal));
    nn_graph_nodes a = branch_forward(c, &o->branch[0], t, temporal, spectral);
    nn_graph_nodes b = branch_forward(c, &o->branch[1], t, temporal, spectral);
    tensor *frames = op_max(t, a.first, b.first), *bands = op_max(t, a.second, b.second),
           *master = op_max(t, a.master, b.master);
    tensor *parts[5] = {op_max_abs(t, frames, 1), op_mean_pool(t, frames), op_max_abs(t, bands, 1),
                        op_mean_pool(t, bands), NULL};
    if (!tape_ok(t)) {
        return NULL;
    }
    parts[4] = op_reshape(t, master, 2, (int64_t[]){master->dim[0], master->dim[2]});
    return op_dropout(t, op_concat(t, parts, 5, 1), c->dropout);
}

/* features -> nodes; both NULL on failure */
static void encode(const aasist *c, tape *t, tensor *features, tensor **spectral, tensor **temporal) {
    *spectral = *temporal = NULL;
    if (features == NULL) {
        return;
    }
    if (features->ndim != 3 || features->dim[2] != c->input_dim || features->dim[1] < 1) {
        tape_fail(t, SPOOR_ERR_USAGE, "the network expects features [clips, frames, %lld], at least one frame of them",
                  (long long)c->input_dim);
        return;
    }
    tensor *x = encoder_forward(c, t, input_forward(c, t, features));
    if (x != NULL && x->dim[1] > AASIST_MAX_NODES) {
        tape_fail(t, SPOOR_ERR_LIMIT,
                  "a temporal graph of %lld nodes is beyond the limit of %d; give the network shorter windows",
                  (long long)x->dim[1], AASIST_MAX_NODES);
        return;
    }
    nodes_forward(c, t, x, spectral, temporal);
}

tensor *aasist_forward(const aasist *c, tape *t, tensor *features) {
    tensor *spectral, *temporal;
    encode(c, t, features, &spectral, &temporal);
    return read_forward(c, &c->back[0], t, spectral, temporal);
}

void aasist_forward_each(const aasist *c, tape *t, tensor *features, const bool *wanted, size_t n, tensor **out) {
    tensor *spectral, *temporal;
    encode(c, t, features, &spectral, &temporal);
    for (size_t k = 0; k < n; k++) {
        out[k] = wanted[k] ? read_forward(c, &c->back[k], t, spectral, temporal) : NULL;
    }
}
