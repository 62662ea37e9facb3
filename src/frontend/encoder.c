/* encoder.c: see encoder.h: one handle for all encoders, and the values of their parameters. What depends on the sizes
 * alone is in encoder_sizes.c. */
#include "frontend/encoder.h"
#include "frontend/dialect.h"
#include "frontend/int8.h"
#include "frontend/wav2vec2.h"
#include "frontend/whisper.h"
#include <math.h>
#include <string.h>

/* The largest encoder that is made: 4 times XLS-R 2B. */
#define ENCODER_MAX_NUMEL INT64_C(0x200000000)

struct encoder {
    spoor_context *ctx;
    encoder_sizes sizes;
    int64_t last;
    size_t prefix; /* length of what stands before every name */
    params *params;
    wav2vec2 *wav2vec2; /* one of these two */
    whisper *whisper;
    const json_t *plan; /* of int8; NULL: none */
};

spoor_status encoder_new(spoor_context *ctx, const encoder_sizes *sizes, int64_t last, const char *prefix,
                         bool trainable, uint64_t seed, encoder **out, spoor_error *err) {
    *out = NULL;
    if (last < 0 || last > sizes->layers) {
        return error_set(err, SPOOR_ERR_USAGE, "hidden state %lld does not exist: the encoder has 0 to %lld",
                         (long long)last, (long long)sizes->layers);
    }
    encoder *e = ctx_calloc(ctx, 1, sizeof *e);
    if (e == NULL) {
        return error_memory(err, "making an encoder");
    }
    e->ctx = ctx;
    e->sizes = *sizes;
    e->last = last;
    e->prefix = strlen(prefix);
    spoor_status status = trainable ? params_new(ctx, seed, &e->params, err)
                                    : params_new_frozen(ctx, ENCODER_MAX_NUMEL, &e->params, err);
    if (status == SPOOR_OK && sizes->kind == ENCODER_WHISPER) {
        status = whisper_new(ctx, sizes, last, prefix, e->params, &e->whisper, err);
    } else if (status == SPOOR_OK) {
        status = wav2vec2_new(ctx, sizes, last, prefix, e->params, &e->wav2vec2, err);
    }
    if (status != SPOOR_OK) {
        encoder_free(e);
        return status;
    }
    *out = e;
    return SPOOR_OK;
}

void encoder_free(encoder *e) {
    if (e != NULL) {
        wav2vec2_free(e->wav2vec2);
        whisper_free(e->whisper);
        params_free(e->params);
        ctx_free(e->ctx, e);
    }
}

params *encoder_params(encoder *e) { return e->params; }
const encoder_sizes *encoder_get_sizes(const encoder *e) { return &e->sizes; }
int64_t encoder_last(const encoder *e) { return e->last; }

/* ---- values ---- */

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* The precision of one product. The first convolution sees raw samples, has only ten columns to a row and stays in
 * float; so do WavLM's gates, which go into an exponential. The projection feeds everything that follows: its error
 * would go through all layers, and it is a thousandth of the time. */
static compute_precision precision_of(const char *name, compute_precision asked) {
    if (begins(name, "feature_extractor.conv_layers.0.") || strstr(name, ".gru_rel_pos_linear.") != NULL) {
        return COMPUTE_F32;
    }
    bool sensitive = begins(name, "feature_projection.") || begins(name, "conv1.");
    return asked == COMPUTE_INT8 && sensitive ? COMPUTE_BF16 : asked;
}

const char *encoder_name(const encoder *e, const param *item) { return item->name + e->prefix; }

compute_precision encoder_precision(const encoder *e, const param *item, compute_precision asked) {
    compute_precision own = precision_of(encoder_name(e, item), asked);
    return own == COMPUTE_INT8 && item->groups > 0 ? COMPUTE_BF16 : own; /* as compute_weight_new_grouped has it */
}

void encoder_plan(encoder *e, const json_t *plan) { e->plan = plan; }

static spoor_status give(encoder *e, param *item, float *values, compute_precision asked, spoor_error *err) {
    int64_t n = tensor_count(&item->value);
    compute_precision precision = encoder_precision(e, item, asked);
    if (asked == COMPUTE_INT8 && e->plan != NULL) {
        TRY(int8_apply(e->plan, &e->sizes, encoder_name(e, item), item->product && precision == COMPUTE_INT8,
                       &item->value, values, &precision, err));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            return error_set(err, SPOOR_ERR_MODEL, "the weights of %s hold a value that is not a finite number; take "
                                                   "others, or get the file again",
                             item->name);
        }
    }
    if (item->value.data == NULL && item->product) {
        return params_pack(e->params, item, values, precision, err);
    }
    return params_give(e->params, item, values, err);
}

/* One parameter at a time through one buffer, so that a large checkpoint is never in memory twice. */
spoor_status encoder_load_from(encoder *e, encoder_read_fn read, void *user, compute_precision precision,
                               spoor_error *err) {
    int64_t most = 0;
    for (size_t i = 0; i < params_count(e->params); i++) {
        int64_t n = tensor_count(&params_at(e->params, i)->value);
        most = n > most ? n : most;
    }
    float *buffer = ctx_alloc(e->ctx, (size_t)most, sizeof *buffer);
    if (buffer == NULL) {
        return error_memory(err, "reading the weights of an encoder");
    }
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; i < params_count(e->params) && status == SPOOR_OK; i++) {
        param *item = params_at(e->params, i);
        status = read(user, item->name, item->value.ndim, item->value.dim, buffer, err);
        if (status == SPOOR_OK) {
            status = give(e, item, buffer, precision, err);
        }
    }
    ctx_free(e->ctx, buffer);
    return status;
}

typedef struct checkpoint {
    dialect *dialect;
    size_t prefix;
} checkpoint;

static spoor_status read_checkpoint(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                    spoor_error *err) {
    const checkpoint *c = user;
    return dialect_read(c->dialect, name + c->prefix, ndim, dim, out, err);
}

spoor_status encoder_load(encoder *e, const weights *w, compute_precision precision, spoor_error *err) {
    checkpoint c = {.prefix = e->prefix};
    TRY(dialect_find(e->ctx, w, &c.dialect, err));
    spoor_status status = encoder_load_from(e, read_checkpoint, &c, precision, err);
    dialect_free(c.dialect);
    return status;
}

/* ---- forward ---- */

void encoder_forward(const encoder *e, tape *t, tensor *input, int64_t first, const encoder_training *training,
                     tensor **hidden) {
    for (int64_t i = 0; i <= e->last; i++) {
        hidden[i] = NULL;
    }
    if (input == NULL) {
        return;
    }
    if (first < 0 || first > e->last) {
        tape_fail(t, SPOOR_ERR_USAGE, "encoder: hidden states from %lld on were asked for, of 0 to %lld",
                  (long long)first, (long long)e->last);
        return;
    }
    if (e->sizes.kind == ENCODER_WHISPER) {
        whisper_forward(e->whisper, t, input, first, training, hidden);
    } else {
        wav2vec2_forward(e->wav2vec2, t, input, first, training, hidden);
    }
}
