/* dialect.c: finding an encoder's parameters in a checkpoint, and reading them; see dialect.h. The tables of names are
 * in dialect_names.c, the architecture in dialect_sizes.c. */
#include "frontend/dialect_internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char POSITIONAL[] = "encoder.pos_conv_embed.conv.weight", TABLE[] = "embed_positions.weight";

/* ---- tensors by name ---- */

static const weights_tensor *look(const dialect *d, const char *theirs, const char *rest) {
    char name[SAFETENSORS_MAX_NAME + DIALECT_NAME];
    int n = snprintf(name, sizeof name, "%s%s%s", d->prefix, theirs, rest);
    return n > 0 && (size_t)n < sizeof name ? weights_find(d->w, name) : NULL;
}

/* The direction and the gain of weight norm, in its older and its newer form. */
static const weights_tensor *look_normed(const dialect *d, const char *theirs, const weights_tensor **gain) {
    static const char *const parts[][2] = {{"_v", "_g"}, {"", ""}};
    size_t n = strlen(theirs) - strlen("weight");
    char base[DIALECT_NAME];
    (void)snprintf(base, sizeof base, "%.*s", (int)n, theirs);
    const weights_tensor *v = look(d, theirs, parts[0][0]), *g = look(d, theirs, parts[0][1]);
    if (v == NULL || g == NULL) {
        v = look(d, base, "parametrizations.weight.original1");
        g = look(d, base, "parametrizations.weight.original0");
    }
    *gain = v == NULL ? NULL : g;
    return g == NULL ? NULL : v;
}

const weights_tensor *dialect_tensor(const dialect *d, const char *name, const weights_tensor **gain) {
    char theirs[DIALECT_NAME];
    const weights_tensor *unused, **g = gain == NULL ? &unused : gain;
    *g = NULL;
    if (!dialect_theirs(d->language, d->sizes.conv_layer_norm, name, theirs)) {
        return NULL;
    }
    const weights_tensor *t = look(d, theirs, "");
    return t == NULL && strcmp(name, POSITIONAL) == 0 ? look_normed(d, theirs, g) : t;
}

spoor_status dialect_missing(const dialect *d, const char *name, spoor_error *err) {
    char theirs[DIALECT_NAME];
    if (!dialect_theirs(d->language, d->sizes.conv_layer_norm, name, theirs)) {
        return error_set(err, SPOOR_ERR_MODEL, "the encoder in %s has no parameter %s", weights_path(d->w), name);
    }
    return error_set(err, SPOOR_ERR_MODEL, "%s has no tensor %s%s (parameter %s), so it is not complete or not this "
                     "encoder's: get it anew", weights_path(d->w), d->prefix, theirs, name);
}

/* ---- the list ---- */

/* "[2,3]" */
static const char *shape_text(int rank, const int64_t *shape, char out[128]) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < rank && n < 100; i++) {
        n += (size_t)snprintf(out + n, 128 - n, "%s%lld", i == 0 ? "[" : ",", (long long)shape[i]);
    }
    (void)snprintf(out + n, 128 - n, "%s", rank == 0 ? "[]" : "]");
    return out;
}

static spoor_status check_entry(const dialect *d, const dialect_entry *e, spoor_error *err) {
    const weights_tensor *both[2] = {e->value, e->gain};
    for (int i = 0; i < 2 && both[i] != NULL; i++) {
        const weights_tensor *t = both[i];
        float nothing;
        if (t->count == 0) { /* one that cannot be read at all has no shape: reading it says why */
            TRY(weights_read(d->w, t, &nothing, err));
            return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s (parameter %s) is empty", weights_path(d->w),
                             t->name, e->param.name);
        }
        if (t->dtype != SAFETENSORS_F32 && t->dtype != SAFETENSORS_F16 && t->dtype != SAFETENSORS_BF16 &&
            t->dtype != SAFETENSORS_F64) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s (parameter %s) is stored as %s: quantised "
                             "checkpoints are not read, get one in float16 or float32", weights_path(d->w), t->name,
                             e->param.name, safetensors_dtype_name(t->dtype));
        }
        if (t->count > (size_t)INT32_MAX) { /* as params_add */
            return error_set(err, SPOOR_ERR_LIMIT, "%s: the tensor %s is too large", weights_path(d->w), t->name);
        }
    }
    if (e->gain != NULL && (e->value->rank != 3 || e->gain->rank != 3 || e->gain->shape[0] != 1 ||
                            e->gain->shape[1] != 1 || e->gain->shape[2] != e->value->shape[2])) {
        char v[128], g[128];
        return error_set(err, SPOOR_ERR_MODEL, "%s: the weight norm %s must have the shape [1,1,K] for a kernel "
                         "[O,C,K], and they are %s and %s", weights_path(d->w), e->gain->name,
                         shape_text(e->gain->rank, e->gain->shape, g), shape_text(e->value->rank, e->value->shape, v));
    }
    return SPOOR_OK;
}

/* ggml stores the biases of convolutions as columns. */
static void set_shape(dialect_param *p, const weights_tensor *t) {
    size_t n = strlen(p->name);
    p->rank = t->rank;
    memcpy(p->shape, t->shape, sizeof p->shape);
    if (t->rank == 2 && (t->shape[0] == 1 || t->shape[1] == 1) && n > 5 && strcmp(p->name + n - 5, ".bias") == 0) {
        p->rank = 1;
        p->shape[0] = t->shape[0] * t->shape[1];
    }
}

static spoor_status add_entry(void *user, const char *name, spoor_error *err) {
    dialect *d = user;
    dialect_entry e = {0};
    e.value = dialect_tensor(d, name, &e.gain);
    if (e.value == NULL) {
        return dialect_missing(d, name, err);
    }
    char *copy = NULL;
    if (!ctx_grow(d->ctx, (void **)&d->entry, &d->capacity, d->n + 1, sizeof *d->entry) ||
        (copy = ctx_strdup(d->ctx, name)) == NULL) {
        return error_memory(err, "listing the parameters of a checkpoint");
    }
    e.param.name = copy;
    set_shape(&e.param, e.value);
    d->entry[d->n++] = e;
    return check_entry(d, &e, err);
}

static spoor_status unknown(const weights *w, spoor_error *err) {
    const char *first = weights_count(w) > 0 ? weights_at(w, 0)->name : "none";
    return error_set(err, SPOOR_ERR_MODEL, "%s is no wav2vec 2.0, HuBERT, WavLM or Whisper checkpoint that is known: "
                     "among its %zu tensors (the first is %.80s) there is no first convolution of such an encoder",
                     weights_path(w), weights_count(w), first);
}

spoor_status dialect_find(spoor_context *ctx, const weights *w, dialect **out, spoor_error *err) {
    *out = NULL;
    dialect_language language;
    const char *anchor;
    size_t prefix;
    if (!dialect_recognise(w, &language, &anchor, &prefix)) {
        return unknown(w, err);
    }
    dialect *d = ctx_calloc(ctx, 1, sizeof *d);
    if (d == NULL) {
        return error_memory(err, "reading a checkpoint");
    }
    *d = (dialect){.ctx = ctx, .w = w, .language = language};
    d->prefix = ctx_strndup(ctx, anchor, prefix);
    spoor_status status = d->prefix == NULL ? error_memory(err, "reading a checkpoint") : dialect_find_sizes(d, err);
    if (status == SPOOR_OK) {
        status = dialect_each_name(&d->sizes, add_entry, d, err);
    }
    if (status != SPOOR_OK) {
        dialect_free(d);
        return status;
    }
    *out = d;
    return SPOOR_OK;
}

void dialect_free(dialect *d) {
    if (d != NULL) {
        for (size_t i = 0; i < d->n; i++) {
            ctx_free(d->ctx, (void *)(uintptr_t)d->entry[i].param.name);
        }
        ctx_free(d->ctx, d->entry);
        ctx_free(d->ctx, d->prefix);
        ctx_free(d->ctx, d);
    }
}

const char *dialect_name(const dialect *d) {
    switch (d->language) {
    case DIALECT_TORCHAUDIO: return "torchaudio";
    case DIALECT_WAVLM: return "WavLM";
    case DIALECT_FAIRSEQ: return "fairseq";
    case DIALECT_OPENAI: return strcmp(weights_format(d->w), "ggml") == 0 ? "ggml" : "OpenAI";
    case DIALECT_HF:
    case DIALECT_HF_WHISPER: break;
    }
    return "Hugging Face";
}

const encoder_sizes *dialect_sizes(const dialect *d) { return &d->sizes; }
size_t dialect_count(const dialect *d) { return d->n; }
const dialect_param *dialect_at(const dialect *d, size_t i) { return &d->entry[i].param; }

const weights_tensor *dialect_source(const dialect *d, size_t i, const weights_tensor **gain) {
    *gain = d->entry[i].gain;
    return d->entry[i].value;
}

/* ---- reading ---- */

/* v[O,C,K] *= g[k] / |v[:,:,k]| */
static void apply_gain(const int64_t *shape, const float *gain, double *sums, float *v) {
    int64_t rows = shape[0] * shape[1], taps = shape[2];
    memset(sums, 0, (size_t)taps * sizeof *sums);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < taps; k++) {
            sums[k] += (double)v[i * taps + k] * (double)v[i * taps + k];
        }
    }
    for (int64_t k = 0; k < taps; k++) {
        sums[k] = sums[k] > 0 ? (double)gain[k] / sqrt(sums[k]) : 0;
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < taps; k++) {
            v[i * taps + k] = (float)((double)v[i * taps + k] * sums[k]);
        }
    }
}

spoor_status dialect_read_at(const dialect *d, size_t i, float *out, spoor_error *err) {
    const dialect_entry *e = &d->entry[i];
    TRY(weights_read(d->w, e->value, out, err));
    if (e->gain == NULL) {
        return SPOOR_OK;
    }
    float *gain = ctx_alloc(d->ctx, e->gain->count, sizeof *gain);
    double *sums = ctx_alloc(d->ctx, e->gain->count, sizeof *sums);
    spoor_status status = gain == NULL || sums == NULL ? error_memory(err, "reading a checkpoint")
                                                       : weights_read(d->w, e->gain, gain, err);
    if (status == SPOOR_OK) {
        apply_gain(e->value->shape, gain, sums, out);
    }
    ctx_free(d->ctx, sums);
    ctx_free(d->ctx, gain);
    return status;
}

/* [O,C,K] -> [O,K,C] */
static void turn(const int64_t *shape, const float *from, float *to) {
    int64_t channels = shape[1], taps = shape[2];
    for (int64_t o = 0; o < shape[0]; o++) {
        for (int64_t k = 0; k < taps; k++) {
            for (int64_t c = 0; c < channels; c++) {
                to[(o * taps + k) * channels + c] = from[(o * channels + c) * taps + k];
            }
        }
    }
}

/* Whether a parameter of these dimensions (our layout) can be had from the entry. Of a table of positions the first
 * rows may be asked for. */
static bool fits(const dialect_param *p, int ndim, const int64_t *want) {
    if (ndim != p->rank) {
        return false;
    }
    for (int i = 0; i < ndim; i++) {
        int64_t have = p->shape[ndim == 3 && i > 0 ? 3 - i : i]; /* a kernel is turned */
        bool rows = i == 0 && strcmp(p->name, TABLE) == 0 && want[0] > 0 && want[0] <= have;
        if (want[i] != have && !rows) {
            return false;
        }
    }
    return true;
}

static spoor_status wrong_shape(const dialect *d, const dialect_entry *e, int ndim, const int64_t *dim,
                                spoor_error *err) {
    char have[128], want[128];
    int64_t theirs[TENSOR_DIMS] = {0};
    for (int i = 0; i < ndim && i < TENSOR_DIMS; i++) {
        theirs[i] = dim[ndim == 3 && i > 0 ? 3 - i : i];
    }
    return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s (parameter %s) has the shape %s and must have %s",
                     weights_path(d->w), e->value->name, e->param.name,
                     shape_text(e->value->rank, e->value->shape, have), shape_text(ndim, theirs, want));
}

spoor_status dialect_read(const dialect *d, const char *name, int ndim, const int64_t *dim, float *out,
                          spoor_error *err) {
    size_t i = 0;
    while (i < d->n && strcmp(d->entry[i].param.name, name) != 0) {
        i++;
    }
    if (i == d->n) {
        return dialect_missing(d, name, err);
    }
    const dialect_entry *e = &d->entry[i];
    if (!fits(&e->param, ndim, dim)) {
        return wrong_shape(d, e, ndim, dim, err);
    }
    bool part = strcmp(name, TABLE) == 0 && dim[0] != e->param.shape[0];
    if (ndim != 3 && !part) {
        return dialect_read_at(d, i, out, err);
    }
    float *whole = ctx_alloc(d->ctx, e->value->count, sizeof *whole);
    spoor_status status =
        whole == NULL ? error_memory(err, "reading a checkpoint") : dialect_read_at(d, i, whole, err);
    if (status == SPOOR_OK && part) {
        memcpy(out, whole, (size_t)(dim[0] * dim[1]) * sizeof *out);
    } else if (status == SPOOR_OK) {
        turn(e->param.shape, whole, out);
    }
    ctx_free(d->ctx, whole);
    return status;
}
