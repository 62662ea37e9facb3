/* wav2vec2.c: see wav2vec2.h.
 *
 * The network is a chain of stages: the convolutions, the projection with the positional convolution, the transformer
 * layers. Without recording, each stage runs inside op_checkpoint around the stages before it, so that only a stage's
 * input, its result and what it needs between them are in memory at a time; that matters for the first convolutions,
 * whose results are a hundred times the input. */
#include "frontend/wav2vec2.h"
#include "nn/layers.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    W2V_NAME = 200,
    W2V_GATES = 8 /* WavLM: outputs of the gates' linear layer, two sums of four */
};

#define W2V_CONV_EPS ((real)1e-5) /* whatever the transformer's is */

typedef struct w2v_conv {
    tensor *w, *b; /* b may be NULL */
    nn_layer_norm norm; /* or of the group norm; none where g is NULL */
    int64_t stride;
} w2v_conv;

typedef struct w2v_layer {
    nn_linear q, k, v, out, up, down;
    nn_layer_norm attention_norm, final_norm;
    nn_linear gates;    /* WavLM */
    tensor *gate_const; /* WavLM: [1,H,1,1] */
} w2v_layer;

struct wav2vec2 {
    spoor_context *ctx;
    encoder_sizes s;
    int64_t last;
    w2v_conv convs[ENCODER_MAX_CONVS];
    nn_layer_norm projection_norm, norm; /* norm: before the layers, or with pre_norm after all of them */
    nn_linear projection;
    tensor *pos_w, *pos_b;
    tensor *distances; /* WavLM: [buckets, H] */
    w2v_layer *layers;
};

/* ---- parameters ---- */

typedef struct maker {
    params *p;
    const char *prefix;
    char name[W2V_NAME];
} maker;

/* prefix + "a" + number + "b"; a negative number is left out. Too long a name becomes empty: two such are refused. */
static const char *named(maker *k, const char *a, int64_t number, const char *b) {
    int n = number < 0 ? snprintf(k->name, W2V_NAME, "%s%s%s", k->prefix, a, b)
                       : snprintf(k->name, W2V_NAME, "%s%s%d%s", k->prefix, a, (int)number, b);
    if (n >= W2V_NAME) {
        k->name[0] = '\0';
    }
    return k->name;
}

static spoor_status add_convs(wav2vec2 *m, maker *k, spoor_error *err) {
    const encoder_sizes *s = &m->s;
    static const char layers[] = "feature_extractor.conv_layers.";
    int64_t channels = 1;
    for (int64_t i = 0; i < s->n_convs; i++) {
        w2v_conv *c = &m->convs[i];
        int64_t out = s->conv_dim[i], taps = s->conv_kernel[i];
        c->stride = s->conv_stride[i];
        TRY(params_add(k->p, named(k, layers, i, ".conv.weight"), 3, (int64_t[]){out, taps, channels},
                       PARAM_UNIFORM_FAN_IN, taps * channels, true, true, &c->w, err));
        params_find(k->p, k->name)->product = true;
        if (s->conv_bias) {
            TRY(params_add(k->p, named(k, layers, i, ".conv.bias"), 1, &out, PARAM_UNIFORM_FAN_IN, taps * channels,
                           true, false, &c->b, err));
        }
        if (s->conv_layer_norm || i == 0) {
            TRY(nn_layer_norm_init(&c->norm, k->p, named(k, layers, i, ".layer_norm"), out, err));
        }
        channels = out;
    }
    TRY(nn_layer_norm_init(&m->projection_norm, k->p, named(k, "feature_projection.layer_norm", -1, ""), channels,
                           err));
    return nn_linear_init(&m->projection, k->p, named(k, "feature_projection.projection", -1, ""), channels, s->width,
                          true, err);
}

static spoor_status add_layer(wav2vec2 *m, maker *k, int64_t i, spoor_error *err) {
    const encoder_sizes *s = &m->s;
    w2v_layer *l = &m->layers[i];
    static const char layers[] = "encoder.layers.";
    int64_t d = s->width;
    TRY(nn_linear_init(&l->q, k->p, named(k, layers, i, ".attention.q_proj"), d, d, true, err));
    TRY(nn_linear_init(&l->k, k->p, named(k, layers, i, ".attention.k_proj"), d, d, true, err));
    TRY(nn_linear_init(&l->v, k->p, named(k, layers, i, ".attention.v_proj"), d, d, true, err));
    TRY(nn_linear_init(&l->out, k->p, named(k, layers, i, ".attention.out_proj"), d, d, true, err));
    if (s->kind == ENCODER_WAVLM) {
        TRY(params_add(k->p, named(k, layers, i, ".attention.gru_rel_pos_const"), 4, (int64_t[]){1, s->heads, 1, 1},
                       PARAM_ONES, 0, true, false, &l->gate_const, err));
        TRY(nn_linear_init(&l->gates, k->p, named(k, layers, i, ".attention.gru_rel_pos_linear"), d / s->heads,
                           W2V_GATES, true, err));
        if (i == 0) {
            TRY(params_add(k->p, named(k, layers, i, ".attention.rel_attn_embed.weight"), 2,
                           (int64_t[]){s->buckets, s->heads}, PARAM_NORMAL, 0, true, false, &m->distances, err));
        }
    }
    TRY(nn_layer_norm_init(&l->attention_norm, k->p, named(k, layers, i, ".layer_norm"), d, err));
    TRY(nn_linear_init(&l->up, k->p, named(k, layers, i, ".feed_forward.intermediate_dense"), d, s->ff, true, err));
    TRY(nn_linear_init(&l->down, k->p, named(k, layers, i, ".feed_forward.output_dense"), s->ff, d, true, err));
    return nn_layer_norm_init(&l->final_norm, k->p, named(k, layers, i, ".final_layer_norm"), d, err);
}

static spoor_status add_all(wav2vec2 *m, maker *k, spoor_error *err) {
    const encoder_sizes *s = &m->s;
    TRY(add_convs(m, k, err));
    int64_t n = s->width / s->pos_groups;
    TRY(params_add(k->p, named(k, "encoder.pos_conv_embed.conv.weight", -1, ""), 3,
                   (int64_t[]){s->width, s->pos_kernel, n}, PARAM_UNIFORM_FAN_IN, n * s->pos_kernel, true, true,
                   &m->pos_w, err));
    param *positions = params_find(k->p, k->name);
    positions->product = true;
    positions->groups = s->pos_groups;
    TRY(params_add(k->p, named(k, "encoder.pos_conv_embed.conv.bias", -1, ""), 1, &s->width, PARAM_UNIFORM_FAN_IN,
                   n * s->pos_kernel, true, false, &m->pos_b, err));
    if (!s->pre_norm || (m->last == s->layers && m->last > 0)) {
        TRY(nn_layer_norm_init(&m->norm, k->p, named(k, "encoder.layer_norm", -1, ""), s->width, err));
    }
    for (int64_t i = 0; i < m->last; i++) {
        TRY(add_layer(m, k, i, err));
    }
    return SPOOR_OK;
}

spoor_status wav2vec2_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix, params *p,
                          wav2vec2 **out, spoor_error *err) {
    *out = NULL;
    wav2vec2 *m = ctx_calloc(ctx, 1, sizeof *m);
    if (m == NULL) {
        return error_memory(err, "making an encoder");
    }
    m->ctx = ctx;
    m->s = *sizes;
    m->last = last;
    m->layers = ctx_calloc(ctx, (size_t)last + 1, sizeof *m->layers);
    maker k = {.p = p, .prefix = prefix};
    spoor_status status = m->layers == NULL ? error_memory(err, "making an encoder") : add_all(m, &k, err);
    if (status != SPOOR_OK) {
        wav2vec2_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

void wav2vec2_free(wav2vec2 *m) {
    if (m != NULL) {
        ctx_free(m->ctx, m->layers);
        ctx_free(m->ctx, m);
    }
}

/* ---- stages ---- */

typedef struct run {
    const wav2vec2 *m;
    double dropout;
    bool checkpoint;
    bool left_out[ENCODER_MAX_LAYERS]; /* by layer drop */
} run;

typedef struct stage {
    const run *r;
    int64_t index; /* convolutions, projection, layers */
} stage;

static tensor *norm(const wav2vec2 *m, tape *t, const nn_layer_norm *l, tensor *x) {
    return op_layer_norm(t, x, l->g, l->b, (real)m->s.eps);
}

static tensor *conv_stage(const wav2vec2 *m, tape *t, tensor *x, int64_t i) {
    const w2v_conv *c = &m->convs[i];
    if (i == 0 && !m->s.conv_layer_norm) { /* each channel over time */
        x = op_group_norm(t, op_conv1d(t, x, c->w, c->b, c->stride, 1, 0, 0, 1), c->norm.g, c->norm.b, m->s.conv_dim[0],
                          W2V_CONV_EPS);
        return op_activation(t, x, OP_ACT_GELU);
    }
    return op_conv1d_norm_act(t, x, c->w, c->b, c->stride, 0, c->norm.g, c->norm.b, W2V_CONV_EPS, OP_ACT_GELU);
}

/* What goes into the first layer. An even positional kernel with padding of half its length gives one frame too many,
 * of which the last is dropped: the padding on the right is one less. */
static tensor *projection_stage(const wav2vec2 *m, tape *t, tensor *x) {
    int64_t half = m->s.pos_kernel / 2;
    x = nn_linear_forward(&m->projection, t, norm(m, t, &m->projection_norm, x), OP_ACT_NONE);
    tensor *p = op_conv1d(t, x, m->pos_w, m->pos_b, 1, 1, half, m->s.pos_kernel - 1 - half, m->s.pos_groups);
    x = op_add(t, x, op_activation(t, p, OP_ACT_GELU), 1);
    return m->s.pre_norm ? x : norm(m, t, &m->norm, x);
}

/* The bucket of a distance j - i, as T5 has them (Raffel et al. 2020): half of them for each sign, of these half for
 * one distance each and the others on a logarithmic scale. In float, as all implementations of it compute. */
static int64_t bucket_of(const encoder_sizes *s, int64_t distance) {
    int64_t half = s->buckets / 2, exact = half / 2, d = distance < 0 ? -distance : distance;
    int64_t b = d;
    if (d >= exact) {
        float range = (float)log((double)s->max_distance / (double)exact);
        b = (int64_t)((float)exact + logf((float)d / (float)exact) / range * (float)(half - exact));
        b = b < half - 1 ? b : half - 1;
    }
    return b + (distance > 0 ? half : 0);
}

/* [H, 2T-1]: for each head and distance. */
static tensor *position_bias(const wav2vec2 *m, tape *t, int64_t frames) {
    int64_t n = 2 * frames - 1, h = m->s.heads, *index = tape_alloc(t, (size_t)n, sizeof *index);
    if (index == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        index[i] = bucket_of(&m->s, i - (frames - 1));
    }
    tensor *rows = op_gather(t, m->distances, index, n);
    rows = rows == NULL ? NULL : op_transpose(t, op_reshape(t, rows, 3, (int64_t[]){1, n, h}));
    return rows == NULL ? NULL : op_reshape(t, rows, 2, (int64_t[]){h, n});
}

/* n values on the tape without a gradient. */
static tensor *constant(tape *t, int ndim, const int64_t *dim, real value) {
    tensor *x = tape_tensor(t, ndim, dim);
    for (int64_t i = 0; x != NULL && i < tensor_count(x); i++) {
        x->data[i] = value;
    }
    return x;
}

/* WavLM's gates [B,T,H] from a layer's input: a (b c_h - 1) + 2 with a, b the sigmoids of two sums of four outputs of a
 * linear layer over a head's columns (Chen et al. 2022, eq. 5-8). */
static tensor *gates(const wav2vec2 *m, const w2v_layer *l, tape *t, tensor *x) {
    int64_t rows = x->dim[0] * x->dim[1], h = m->s.heads, n = rows * h;
    tensor *sums = constant(t, 2, (int64_t[]){2, W2V_GATES}, 0); /* which outputs belong to which sum */
    tensor *minus = constant(t, 1, &h, -1), *two = constant(t, 1, &h, 2);
    if (sums == NULL || minus == NULL || two == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < W2V_GATES; i++) {
        sums->data[(i < W2V_GATES / 2 ? 0 : W2V_GATES) + i] = 1;
    }
    tensor *g = op_reshape(t, x, 2, (int64_t[]){n, m->s.width / h});
    g = op_linear(t, nn_linear_forward(&l->gates, t, g, OP_ACT_NONE), sums, NULL, OP_ACT_SIGMOID);
    g = g == NULL ? NULL : op_transpose(t, op_reshape(t, g, 3, (int64_t[]){1, n, 2})); /* [1,2,n] */
    tensor *a = op_slice_frames(t, g, 0, 1), *b = op_slice_frames(t, g, 1, 1);
    if (a == NULL || b == NULL) {
        return NULL;
    }
    a = op_reshape(t, a, 3, (int64_t[]){x->dim[0], x->dim[1], h});
    b = op_reshape(t, b, 3, (int64_t[]){x->dim[0], x->dim[1], h});
    tensor *c = op_reshape(t, l->gate_const, 2, (int64_t[]){h, 1});
    return op_add_row(t, op_mul(t, a, op_depthwise(t, b, c, minus, 0, 0)), two);
}

static tensor *attend(const wav2vec2 *m, const w2v_layer *l, tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    real scale = (real)(1 / sqrt((double)(m->s.width / m->s.heads)));
    tensor *q = nn_linear_forward(&l->q, t, x, OP_ACT_NONE);
    tensor *k = nn_linear_forward(&l->k, t, x, OP_ACT_NONE);
    tensor *v = nn_linear_forward(&l->v, t, x, OP_ACT_NONE);
    if (m->s.kind == ENCODER_WAVLM) {
        tensor *g = gates(m, l, t, x), *bias = position_bias(m, t, x->dim[1]);
        v = op_attention_gated(t, q, k, v, g, bias, m->s.heads, scale, 0);
    } else {
        v = op_attention(t, q, k, v, NULL, m->s.heads, scale, 0);
    }
    return nn_linear_forward(&l->out, t, v, OP_ACT_NONE);
}

static tensor *feed_forward(const w2v_layer *l, tape *t, tensor *x, double dropout) {
    x = op_dropout(t, nn_linear_forward(&l->up, t, x, OP_ACT_GELU), dropout);
    return op_dropout(t, nn_linear_forward(&l->down, t, x, OP_ACT_NONE), dropout);
}

static tensor *layer_stage(const run *r, tape *t, tensor *x, int64_t i) {
    const wav2vec2 *m = r->m;
    const w2v_layer *l = &m->layers[i];
    if (m->s.pre_norm) {
        if (!r->left_out[i]) {
            tensor *a = attend(m, l, t, norm(m, t, &l->attention_norm, x));
            x = op_add(t, x, op_dropout(t, a, r->dropout), 1);
            x = op_add(t, x, feed_forward(l, t, norm(m, t, &l->final_norm, x), r->dropout), 1);
        }
        return i + 1 == m->s.layers ? norm(m, t, &m->norm, x) : x;
    }
    if (!r->left_out[i]) {
        x = norm(m, t, &l->attention_norm, op_add(t, x, op_dropout(t, attend(m, l, t, x), r->dropout), 1));
        x = norm(m, t, &l->final_norm, op_add(t, x, feed_forward(l, t, x, r->dropout), 1));
    }
    return x;
}

static tensor *run_stage(tape *t, tensor *x, void *user) {
    const stage *s = user;
    int64_t convs = s->r->m->s.n_convs;
    return s->index < convs    ? conv_stage(s->r->m, t, x, s->index)
           : s->index == convs ? projection_stage(s->r->m, t, x)
                               : layer_stage(s->r, t, x, s->index - convs - 1);
}

/* ---- forward ---- */

/* Stages 0 .. s->index, inside each other: what a stage was given is forgotten with it. */
static tensor *run_nested(tape *t, tensor *x, void *user) {
    stage *s = user, before = {s->r, s->index - 1};
    return run_stage(t, s->index > 0 ? op_checkpoint(t, x, run_nested, &before) : x, s);
}

static void decide(tape *t, const wav2vec2 *m, const encoder_training *training, run *r) {
    *r = (run){.m = m};
    if (training == NULL) {
        return;
    }
    r->dropout = training->dropout;
    r->checkpoint = training->checkpoint;
    for (int64_t i = 0; i < m->last && tape_training(t) && training->layer_drop > 0; i++) {
        rng g = tape_rng(t);
        r->left_out[i] = rng_uniform(&g) < training->layer_drop;
    }
}

static void forward(const wav2vec2 *m, tape *t, tensor *input, int64_t first, const encoder_training *training,
                    tensor **hidden) {
    int64_t begin = m->s.n_convs; /* the stage that gives hidden[0] */
    run *r = tape_alloc(t, 1, sizeof *r);
    stage *stages = tape_alloc(t, (size_t)(begin + 1 + m->last), sizeof *stages); /* they outlive this call */
    if (r == NULL || stages == NULL) {
        return;
    }
    decide(t, m, training, r);
    for (int64_t i = 0; i <= begin + m->last; i++) {
        stages[i] = (stage){r, i};
    }
    tensor *x = op_reshape(t, input, 3, (int64_t[]){input->dim[0], input->dim[1], 1});
    int64_t i = 0;
    if (!tape_recording(t)) {
        i = begin + first;
        x = hidden[first] = op_checkpoint(t, x, run_nested, &stages[i++]);
    }
    for (; i <= begin + m->last; i++) {
        bool keep = tape_recording(t) && !r->checkpoint;
        x = keep ? op_stage(t, x, run_stage, &stages[i]) : op_checkpoint(t, x, run_stage, &stages[i]);
        if (i >= begin + first) {
            hidden[i - begin] = x;
        }
    }
}

/* Clip by clip: a matrix product of other rows may round its rows in another way. */
static void forward_clips(const wav2vec2 *m, tape *t, const tensor *input, int64_t frames, int64_t first,
                          tensor **hidden) {
    int64_t clips = input->dim[0], samples = input->dim[1], n = frames * m->s.width;
    for (int64_t i = first; i <= m->last; i++) {
        hidden[i] = tape_tensor(t, 3, (int64_t[]){clips, frames, m->s.width});
    }
    for (int64_t b = 0; b < clips && tape_ok(t); b++) {
        tensor *one[ENCODER_MAX_LAYERS + 1];
        tape_mark mark = tape_mark_here(t);
        tensor *clip = tape_view(t, 2, (int64_t[]){1, samples}, input->data + b * samples);
        if (clip != NULL) {
            forward(m, t, clip, first, NULL, one);
        }
        for (int64_t i = first; i <= m->last && tape_ok(t); i++) {
            memcpy(hidden[i]->data + b * n, one[i]->data, (size_t)n * sizeof *one[i]->data);
        }
        tape_release(t, mark);
    }
}

void wav2vec2_forward(const wav2vec2 *m, tape *t, tensor *input, int64_t first, const encoder_training *training,
                      tensor **hidden) {
    if (input == NULL) {
        return;
    }
    if (input->ndim != 2) {
        tape_fail(t, SPOOR_ERR_USAGE, "wav2vec2: the input must be [clips, samples], not of %d dimensions",
                  input->ndim);
        return;
    }
    int64_t frames = encoder_frames(&m->s, input->dim[1]);
    if (tape_recording(t) || tape_training(t) || input->dim[0] < 2 || frames == 0) {
        forward(m, t, input, first, training, hidden);
    } else {
        forward_clips(m, t, input, frames, first, hidden);
    }
}
