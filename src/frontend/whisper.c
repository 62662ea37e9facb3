/* whisper.c: Whisper's encoder over the tape; see whisper.h. Its input is made in whisper_mel.c. */
#include "frontend/whisper.h"
#include "nn/layers.h"
#include <math.h>
#include <stdio.h>

enum { WHISPER_TAPS = 3, WHISPER_NAME = 128 };

typedef struct whisper_layer {
    nn_layer_norm attention_norm, ff_norm;
    nn_linear q, k, v, out, up, down;
} whisper_layer;

typedef struct whisper_conv {
    tensor *w, *b;
    int64_t stride;
} whisper_conv;

struct whisper {
    spoor_context *ctx;
    encoder_sizes sizes;
    int64_t last;
    whisper_conv conv[2];
    tensor *positions;    /* [positions, width] */
    whisper_layer *layer; /* [last] */
    nn_layer_norm norm;   /* where last is the whole model's last */
};

/* ---- parameters ---- */

static spoor_status refuse_sizes(const encoder_sizes *s, int64_t last, spoor_error *err) {
    if (s->mels < 1 || s->width < 1 || s->ff < 1 || s->positions < 1) {
        return error_set(err, SPOOR_ERR_USAGE, "a Whisper encoder needs num_mel_bins, d_model, encoder_ffn_dim and "
                         "max_source_positions of at least 1, and has %lld, %lld, %lld and %lld", (long long)s->mels,
                         (long long)s->width, (long long)s->ff, (long long)s->positions);
    }
    if (s->heads < 1 || s->width % s->heads != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "d_model (%lld) must be a multiple of encoder_attention_heads (%lld)",
                         (long long)s->width, (long long)s->heads);
    }
    if (s->layers < 0 || s->layers > ENCODER_MAX_LAYERS || last < 0 || last > s->layers) {
        return error_set(err, SPOOR_ERR_USAGE, "hidden state %lld of a Whisper encoder with %lld layers is not there "
                         "(encoder_layers is at most %d)", (long long)last, (long long)s->layers, ENCODER_MAX_LAYERS);
    }
    return SPOOR_OK;
}

/* "PREFIX" "PART"; a name that does not fit becomes empty, and params_add refuses the second such one. */
static const char *named(char out[WHISPER_NAME], const char *prefix, const char *part) {
    if (snprintf(out, WHISPER_NAME, "%s%s", prefix, part) >= WHISPER_NAME) {
        out[0] = '\0';
    }
    return out;
}

static spoor_status add_conv(whisper_conv *c, params *p, const char *prefix, const char *name, int64_t in, int64_t out,
                             int64_t stride, spoor_error *err) {
    char full[WHISPER_NAME], part[16];
    int64_t fan_in = WHISPER_TAPS * in;
    c->stride = stride;
    (void)snprintf(part, sizeof part, "%s.weight", name);
    TRY(params_add(p, named(full, prefix, part), 3, (int64_t[]){out, WHISPER_TAPS, in}, PARAM_UNIFORM_FAN_IN, fan_in,
                   true, true, &c->w, err));
    params_find(p, full)->product = true;
    (void)snprintf(part, sizeof part, "%s.bias", name);
    return params_add(p, named(full, prefix, part), 1, &out, PARAM_UNIFORM_FAN_IN, fan_in, true, false, &c->b, err);
}

/* Sinusoids (never trained): sin and cos of t / 10000^(j / (half - 1)) side by side. A checkpoint brings its own. */
static void fill_positions(tensor *x) {
    int64_t half = x->dim[1] / 2;
    for (int64_t i = 0; x->data != NULL && i < x->dim[0]; i++) {
        for (int64_t j = 0; j < half; j++) {
            double angle = (double)i * exp(-log(10000.0) * (double)j / (double)(half > 1 ? half - 1 : 1));
            x->data[i * x->dim[1] + j] = (real)sin(angle);
            x->data[i * x->dim[1] + half + j] = (real)cos(angle);
        }
    }
}

static spoor_status add_layer(whisper_layer *l, params *p, const char *prefix, int64_t i, const encoder_sizes *s,
                              spoor_error *err) {
    char base[WHISPER_NAME / 2], name[WHISPER_NAME];
    if (snprintf(base, sizeof base, "%slayers.%d.", prefix, (int)i) >= (int)sizeof base) {
        return error_set(err, SPOOR_ERR_USAGE, "the prefix %s of an encoder's parameters is too long", prefix);
    }
    int64_t d = s->width;
    TRY(nn_layer_norm_init(&l->attention_norm, p, named(name, base, "self_attn_layer_norm"), d, err));
    TRY(nn_linear_init(&l->q, p, named(name, base, "self_attn.q_proj"), d, d, true, err));
    TRY(nn_linear_init(&l->k, p, named(name, base, "self_attn.k_proj"), d, d, false, err));
    TRY(nn_linear_init(&l->v, p, named(name, base, "self_attn.v_proj"), d, d, true, err));
    TRY(nn_linear_init(&l->out, p, named(name, base, "self_attn.out_proj"), d, d, true, err));
    TRY(nn_layer_norm_init(&l->ff_norm, p, named(name, base, "final_layer_norm"), d, err));
    TRY(nn_linear_init(&l->up, p, named(name, base, "fc1"), d, s->ff, true, err));
    return nn_linear_init(&l->down, p, named(name, base, "fc2"), s->ff, d, true, err);
}

static spoor_status add_all(whisper *m, params *p, const char *prefix, spoor_error *err) {
    const encoder_sizes *s = &m->sizes;
    char name[WHISPER_NAME];
    TRY(add_conv(&m->conv[0], p, prefix, "conv1", s->mels, s->width, 1, err));
    TRY(add_conv(&m->conv[1], p, prefix, "conv2", s->width, s->width, 2, err));
    TRY(params_add(p, named(name, prefix, "embed_positions.weight"), 2, (int64_t[]){s->positions, s->width},
                   PARAM_ZEROS, 0, false, false, &m->positions, err));
    fill_positions(m->positions);
    for (int64_t i = 0; i < m->last; i++) {
        TRY(add_layer(&m->layer[i], p, prefix, i, s, err));
    }
    return m->last < s->layers ? SPOOR_OK
                               : nn_layer_norm_init(&m->norm, p, named(name, prefix, "layer_norm"), s->width, err);
}

spoor_status whisper_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix, params *p,
                         whisper **out, spoor_error *err) {
    *out = NULL;
    TRY(refuse_sizes(sizes, last, err));
    whisper *m = ctx_calloc(ctx, 1, sizeof *m);
    if (m == NULL) {
        return error_memory(err, "making a Whisper encoder");
    }
    m->ctx = ctx;
    m->sizes = *sizes;
    m->last = last;
    m->layer = ctx_calloc(ctx, (size_t)last, sizeof *m->layer);
    spoor_status status = m->layer == NULL ? error_memory(err, "making a Whisper encoder") : add_all(m, p, prefix, err);
    if (status != SPOOR_OK) {
        whisper_free(m);
        return status;
    }
    *out = m;
    return SPOOR_OK;
}

void whisper_free(whisper *m) {
    if (m != NULL) {
        ctx_free(m->ctx, m->layer);
        ctx_free(m->ctx, m);
    }
}

/* ---- forward ---- */

static tensor *conv_stage(tape *t, tensor *x, void *user) {
    const whisper_conv *c = user;
    return op_conv1d_norm_act(t, x, c->w, c->b, c->stride, 1, NULL, NULL, 0, OP_ACT_GELU);
}

/* x[B,T,C] + the first T rows of the positions. */
static tensor *add_positions(const whisper *m, tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    int64_t shape[3] = {x->dim[0], x->dim[1], x->dim[2]}, numbers = shape[1] * shape[2];
    tensor *table = op_reshape(t, m->positions, 3, (int64_t[]){1, m->sizes.positions, m->sizes.width});
    tensor *rows = op_slice_frames(t, table, 0, shape[1]);
    rows = rows == NULL ? NULL : op_reshape(t, rows, 1, &numbers);
    x = op_add_row(t, op_reshape(t, x, 2, (int64_t[]){shape[0], numbers}), rows);
    return x == NULL ? NULL : op_reshape(t, x, 3, shape);
}

/* One layer of one step; lies on the tape, since a stage may run again in backward. */
typedef struct layer_step {
    const whisper_layer *layer;
    int64_t heads;
    double dropout;
} layer_step;

static tensor *layer_stage(tape *t, tensor *x, void *user) {
    const layer_step *s = user;
    const whisper_layer *l = s->layer;
    if (x == NULL) {
        return NULL;
    }
    real scale = (real)(1 / sqrt((double)(x->dim[2] / s->heads)));
    tensor *y = nn_layer_norm_forward(&l->attention_norm, t, x);
    tensor *q = nn_linear_forward(&l->q, t, y, OP_ACT_NONE);
    tensor *k = nn_linear_forward(&l->k, t, y, OP_ACT_NONE);
    tensor *v = nn_linear_forward(&l->v, t, y, OP_ACT_NONE);
    y = nn_linear_forward(&l->out, t, op_attention(t, q, k, v, NULL, s->heads, scale, 0), OP_ACT_NONE);
    x = op_add(t, x, op_dropout(t, y, s->dropout), 1);
    y = nn_linear_forward(&l->up, t, nn_layer_norm_forward(&l->ff_norm, t, x), OP_ACT_GELU);
    y = nn_linear_forward(&l->down, t, op_dropout(t, y, s->dropout), OP_ACT_NONE);
    return op_add(t, x, op_dropout(t, y, s->dropout), 1);
}

static tensor *run_layer(const whisper *m, tape *t, tensor *x, int64_t i, const encoder_training *training) {
    if (training != NULL && tape_training(t) && training->layer_drop > 0) {
        rng r = tape_rng(t);
        if (rng_uniform(&r) < training->layer_drop) {
            return x;
        }
    }
    layer_step *s = tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (layer_step){&m->layer[i], m->sizes.heads, training == NULL ? 0 : training->dropout};
    bool forget = !tape_recording(t) || (training != NULL && training->checkpoint);
    return forget ? op_checkpoint(t, x, layer_stage, s) : layer_stage(t, x, s);
}

static bool fits(const whisper *m, tape *t, const tensor *input) {
    if (input->ndim != 3 || input->dim[2] != m->sizes.mels || input->dim[1] < 1) {
        tape_fail(t, SPOOR_ERR_USAGE, "the Whisper encoder expects [clips, frames, %lld mel bands]",
                  (long long)m->sizes.mels);
    } else if ((input->dim[1] - 1) / 2 >= m->sizes.positions) {
        tape_fail(t, SPOOR_ERR_LIMIT, "%.2f s of sound are too long for a Whisper encoder with %lld positions (%.2f s)"
                  ": cut it into windows", (double)input->dim[1] / 100, (long long)m->sizes.positions,
                  (double)m->sizes.positions / 50);
    }
    return tape_ok(t);
}

void whisper_forward(const whisper *m, tape *t, tensor *input, int64_t first, const encoder_training *training,
                     tensor **hidden) {
    for (int64_t i = 0; i <= m->last; i++) {
        hidden[i] = NULL;
    }
    if (input == NULL || !fits(m, t, input)) {
        return;
    }
    tensor *x = input;
    for (int i = 0; i < 2; i++) {
        void *conv = (void *)(uintptr_t)&m->conv[i]; /* read only: stages take a plain pointer */
        x = tape_recording(t) ? conv_stage(t, x, conv) : op_checkpoint(t, x, conv_stage, conv);
    }
    x = add_positions(m, t, x);
    hidden[0] = first <= 0 ? x : NULL;
    for (int64_t i = 1; i <= m->last; i++) {
        x = run_layer(m, t, x, i - 1, training);
        if (i == m->sizes.layers) {
            x = nn_layer_norm_forward(&m->norm, t, x);
        }
        hidden[i] = i >= first ? x : NULL;
    }
}
