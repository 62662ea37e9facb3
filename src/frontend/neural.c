/* neural.c: a pretrained encoder as a front end: its configuration, its weights, and features from samples; see
 * neural.h. Each recording is computed alone, at its own length: nothing is ever padded to the length of another
 * one. */
#include "frontend/neural.h"
#include "base/config.h"
#include "frontend/dialect.h"
#include "frontend/int8.h"
#include "frontend/rows.h"
#include "frontend/whisper.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NEURAL_EMBED_NUMEL = 32 << 20 /* weights up to here go into the model file unless told otherwise */ };

static const char WHERE[] = "front end";
static const char *const INPUTS[] = {"normalised", "raw", NULL};
static const char *const PRECISIONS[] = {"f32", "bf16", "int8", NULL}; /* compute_precision */
static const char *const SOURCES[] = {
    ("facebook/wav2vec2-xls-r-300m on the Hugging Face Hub (config.json with model.safetensors or pytorch_model.bin), "
     "or fairseq's xlsr2_300m.pt"),
    "facebook/hubert-base-ls960 on the Hugging Face Hub (config.json with model.safetensors or pytorch_model.bin)",
    "microsoft/wavlm-base-plus on the Hugging Face Hub (config.json with model.safetensors or pytorch_model.bin)",
    "openai/whisper-tiny on the Hugging Face Hub, or a ggml file of it (ggml-tiny.bin)"};

struct neural {
    spoor_context *ctx;
    json_t *config; /* resolved */
    int kind;
    encoder *encoder;
    encoder_sizes sizes;
    whisper_mel *mel; /* whisper */
    int64_t layers[ENCODER_MAX_LAYERS + 1];
    int64_t n_layers;
    bool raw, embed, trainable;
    rows_normalise normalise;
    compute_precision precision;
    json_t *plan;  /* of int8 (int8.h), also where it is not used; NULL: none */
    size_t prefix; /* length of the prefix of parameter names */
    weights *weights; /* the open checkpoint; NULL where the weights came from a model file */
    dialect *dialect;
    char sha256[65];
    const char *from, *path; /* in the configuration */
    char *resolved_path;
};

struct neural_scratch {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    whisper_mel_scratch *mel; /* whisper */
};

bool neural_knows(const char *kind) {
    for (size_t i = 0; ENCODER_KINDS[i] != NULL; i++) {
        if (strcmp(ENCODER_KINDS[i], kind) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the checkpoint ---- */

/* Where the configuration's path leads: as it is, in the folder, in $SPOOR_WEIGHTS. *out: freed with ctx_free. */
static spoor_status find_path(const neural *fe, const char *folder, char **out, spoor_error *err) {
    const char *extra = getenv("SPOOR_WEIGHTS");
    const char *base = fe->path[0] == '/' || folder == NULL ? "" : folder;
    *out = ctx_printf(fe->ctx, "%s%s%s", base, *base != '\0' && base[strlen(base) - 1] != '/' ? "/" : "", fe->path);
    if (*out != NULL && access(*out, F_OK) != 0 && extra != NULL && *extra != '\0' && fe->path[0] != '/') {
        char *other = ctx_printf(fe->ctx, "%s/%s", extra, fe->path);
        if (other != NULL && access(other, F_OK) == 0) {
            ctx_free(fe->ctx, *out);
            *out = other;
        } else {
            ctx_free(fe->ctx, other);
        }
    }
    if (*out == NULL) {
        return error_memory(err, "looking for a front end's weights");
    }
    if (access(*out, F_OK) != 0) {
        return error_set(err, SPOOR_ERR_MODEL, "the front end's weights %.200s are not there; download %.200s, and set "
                         "frontend.weights to its path", *out, *fe->from != '\0' ? fe->from : SOURCES[fe->kind]);
    }
    return SPOOR_OK;
}

static spoor_status check_kind(const neural *fe, const char *path, spoor_error *err) {
    int is = (int)dialect_sizes(fe->dialect)->kind;
    bool both_plain =
        is != ENCODER_WAVLM && is != ENCODER_WHISPER && fe->kind != ENCODER_WAVLM && fe->kind != ENCODER_WHISPER;
    if (is != fe->kind && !both_plain) { /* wav2vec 2.0 and HuBERT are the same network */
        return error_set(err, SPOOR_ERR_USAGE, "%s.kind is %s, but %.200s holds %s weights", WHERE,
                         ENCODER_KINDS[fe->kind], path, ENCODER_KINDS[is]);
    }
    return SPOOR_OK;
}

static spoor_status open_checkpoint(neural *fe, const json_t *config, const char *folder, spoor_error *err) {
    TRY(find_path(fe, folder, &fe->resolved_path, err));
    TRY(weights_open(fe->ctx, fe->resolved_path, &fe->weights, err));
    TRY(dialect_find(fe->ctx, fe->weights, &fe->dialect, err));
    TRY(check_kind(fe, fe->resolved_path, err));
    fe->sizes = *dialect_sizes(fe->dialect);
    TRY(weights_sha256(fe->weights, fe->sha256, err));
    const char *expected = json_string_value(json_object_get(config, "weights_sha256"));
    if (expected != NULL && strcmp(expected, fe->sha256) != 0) {
        return error_set(err, SPOOR_ERR_MODEL, "%.200s is not the checkpoint that this front end was made with: its "
                         "SHA-256 is %.12s..., not %.12s...", fe->resolved_path, fe->sha256, expected);
    }
    return SPOOR_OK;
}

/* ---- configuration ---- */

static spoor_status read_layers(neural *fe, const json_t *config, spoor_error *err) {
    const json_t *list = json_object_get(config, "layers");
    int64_t last = fe->sizes.layers;
    if (list == NULL) {
        fe->n_layers = 1;
        return config_int(config, WHERE, "layer", last, 0, last, &fe->layers[0], err);
    }
    if (json_object_get(config, "layer") != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "%s: say layer or layers, not both", WHERE);
    }
    fe->n_layers = (int64_t)json_array_size(list);
    bool good = json_is_array(list) && fe->n_layers >= 1 && fe->n_layers <= last + 1;
    for (int64_t i = 0; good && i < fe->n_layers; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        fe->layers[i] = json_integer_value(item);
        good = json_is_integer(item) && fe->layers[i] >= 0 && fe->layers[i] <= last &&
               (i == 0 || fe->layers[i] > fe->layers[i - 1]);
    }
    if (!good) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.layers must be a list of hidden states from 0 to %lld in ascending "
                                               "order",
                         WHERE, (long long)last);
    }
    return SPOOR_OK;
}

static spoor_status read_keys(neural *fe, const json_t *config, const frontend_options *o, spoor_error *err) {
    static const char *const keys[] = {"kind", "weights", "from", "layer", "layers", "input", "normalise", "precision",
                                       "positions", "embed", "architecture", "weights_sha256", "int8", NULL};
    int input, normalise, precision = 0;
    TRY(config_keys(config, WHERE, keys, err));
    TRY(config_choice(config, WHERE, "kind", ENCODER_KINDS, 0, &fe->kind, err));
    TRY(config_string(config, WHERE, "weights", "", &fe->path, err));
    TRY(config_string(config, WHERE, "from", "", &fe->from, err));
    TRY(config_choice(config, WHERE, "input", INPUTS, 0, &input, err));
    TRY(config_choice(config, WHERE, "normalise", ROWS_NORMALISES, NORMALISE_NONE, &normalise, err));
    TRY(config_choice(config, WHERE, "precision", PRECISIONS, 0, &precision, err));
    if (o->precision != NULL) {
        for (precision = 0; PRECISIONS[precision] != NULL && strcmp(PRECISIONS[precision], o->precision) != 0;
             precision++) {
        }
        if (PRECISIONS[precision] == NULL) {
            return error_set(err, SPOOR_ERR_USAGE, "the precision must be f32, bf16 or int8, not \"%.40s\"",
                             o->precision);
        }
    }
    fe->raw = input == 1;
    fe->normalise = (rows_normalise)normalise;
    fe->precision = (compute_precision)precision;
    fe->trainable = o->trainable;
    if (fe->trainable && fe->normalise == NORMALISE_MEAN) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.normalise: \"mean\" cannot be trained through; use \"mean-var\" or "
                                               "\"none\"",
                         WHERE);
    }
    return SPOOR_OK;
}

/* The configuration's plan of int8, else the one in the checkpoint. Weights that are trained outgrow it. */
static spoor_status read_plan(neural *fe, const json_t *config, spoor_error *err) {
    const json_t *plan = json_object_get(config, "int8");
    const char *text = fe->weights == NULL || plan != NULL
                           ? NULL : json_string_value(json_object_get(weights_metadata(fe->weights), INT8_KEY));
    if (fe->trainable || (plan == NULL && text == NULL)) {
        return SPOOR_OK;
    }
    TRY(plan != NULL ? int8_check(plan, &fe->sizes, err) : int8_parse(text, &fe->sizes, &fe->plan, err));
    fe->plan = plan != NULL ? json_deep_copy(plan) : fe->plan;
    return fe->plan == NULL ? error_memory(err, "reading the calibration of int8") : SPOOR_OK;
}

/* A front end made again from the configuration that it wrote must be the same. */
static spoor_status check_architecture(const neural *fe, const json_t *config, spoor_error *err) {
    const json_t *expected = json_object_get(config, "architecture");
    json_t *is = expected == NULL ? NULL : encoder_describe(&fe->sizes);
    bool same = expected == NULL || json_equal(expected, is);
    json_decref(is);
    return same ? SPOOR_OK : error_set(err, SPOOR_ERR_MODEL, "%.200s has another architecture than this front end was "
                                                             "made with",
                                       fe->resolved_path);
}

static spoor_status find_sizes(neural *fe, const json_t *config, const frontend_options *o, spoor_error *err) {
    bool embedded;
    int64_t positions;
    TRY(config_bool(config, WHERE, "embed", true, &embedded, err));
    if (o->holds_weights && embedded) {
        const json_t *architecture = json_object_get(config, "architecture");
        if (!json_is_object(architecture)) {
            return error_set(err, SPOOR_ERR_USAGE, "%s.architecture is missing", WHERE);
        }
        TRY(encoder_sizes_from_json(architecture, &fe->sizes, err));
        const char *hash = json_string_value(json_object_get(config, "weights_sha256"));
        (void)snprintf(fe->sha256, sizeof fe->sha256, "%s", hash == NULL ? "" : hash);
        return SPOOR_OK;
    }
    if (*fe->path == '\0') {
        return error_set(err, SPOOR_ERR_USAGE, "%s.weights is missing: the path of a checkpoint, such as %s", WHERE,
                         SOURCES[fe->kind]);
    }
    TRY(open_checkpoint(fe, config, o->folder, err));
    TRY(config_int(config, WHERE, "positions", fe->sizes.positions, 1,
                   fe->kind == ENCODER_WHISPER ? fe->sizes.positions : 1, &positions, err));
    fe->sizes.positions = fe->kind == ENCODER_WHISPER ? positions : fe->sizes.positions;
    return check_architecture(fe, config, err);
}

/* ---- weights ---- */

/* encoder_read_fn over the checkpoint: fewer positions than it has are its first ones. */
static spoor_status read_checkpoint(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                    spoor_error *err) {
    const neural *fe = user;
    const char *own = name + fe->prefix;
    int64_t all = dialect_sizes(fe->dialect)->positions;
    if (fe->kind != ENCODER_WHISPER || strcmp(own, "embed_positions.weight") != 0 || all == dim[0]) {
        return dialect_read(fe->dialect, own, ndim, dim, out, err);
    }
    float *whole = ctx_alloc(fe->ctx, (size_t)(all * dim[1]), sizeof *whole);
    if (whole == NULL) {
        return error_memory(err, "reading a front end's positions");
    }
    spoor_status status = dialect_read(fe->dialect, own, ndim, (int64_t[]){all, dim[1]}, whole, err);
    memcpy(out, whole, (size_t)(dim[0] * dim[1]) * sizeof *out);
    ctx_free(fe->ctx, whole);
    return status;
}

static int64_t all_numel(const neural *fe) {
    params *p = encoder_params(fe->encoder);
    int64_t n = 0;
    for (size_t i = 0; i < params_count(p); i++) {
        n += tensor_count(&params_at(p, i)->value);
    }
    return n;
}

static spoor_status load(neural *fe, const frontend_options *o, spoor_error *err) {
    if (fe->dialect != NULL) {
        return encoder_load_from(fe->encoder, read_checkpoint, fe, fe->precision, err);
    }
    if (all_numel(fe) > o->max_numel) {
        return error_set(err, SPOOR_ERR_USAGE, "its front end has more parameters than the file has numbers");
    }
    return encoder_load_from(fe->encoder, o->read, o->user, fe->precision, err);
}

/* ---- life ---- */

static spoor_status write_config(neural *fe, spoor_error *err) {
    json_t *layers = json_array(), *architecture = encoder_describe(&fe->sizes);
    for (int64_t i = 0; i < fe->n_layers; i++) {
        (void)json_array_append_new(layers, json_integer(fe->layers[i]));
    }
    fe->config = json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:b, s:o, s:s}", "kind", ENCODER_KINDS[fe->kind], "weights",
                           fe->path, "from", fe->from, "layers", layers, "normalise", ROWS_NORMALISES[fe->normalise],
                           "precision", PRECISIONS[fe->precision], "embed", fe->embed, "architecture", architecture,
                           "weights_sha256", fe->sha256);
    bool failed = fe->config == NULL;
    if (fe->kind == ENCODER_WHISPER) {
        failed |= json_object_set_new(fe->config, "positions", json_integer(fe->sizes.positions)) != 0;
    } else {
        failed |= json_object_set_new(fe->config, "input", json_string(INPUTS[fe->raw])) != 0;
    }
    if (*fe->path == '\0') {
        failed |= json_object_del(fe->config, "weights") != 0;
    }
    if (fe->plan != NULL) {
        failed |= json_object_set_new(fe->config, "int8", json_deep_copy(fe->plan)) != 0;
    }
    return failed ? error_memory(err, "making a front end") : SPOOR_OK;
}

static spoor_status build(neural *fe, const json_t *config, const frontend_options *o, const char *prefix,
                          spoor_error *err) {
    fe->prefix = strlen(prefix);
    TRY(read_keys(fe, config, o, err));
    TRY(find_sizes(fe, config, o, err));
    TRY(read_layers(fe, config, err));
    TRY(encoder_new(fe->ctx, &fe->sizes, fe->layers[fe->n_layers - 1], prefix, fe->trainable, 0, &fe->encoder, err));
    TRY(config_bool(config, WHERE, "embed", fe->trainable || all_numel(fe) <= NEURAL_EMBED_NUMEL, &fe->embed, err));
    fe->embed |= fe->trainable; /* trained weights are nowhere else */
    if (fe->kind == ENCODER_WHISPER) {
        TRY(whisper_mel_new(fe->ctx, fe->sizes.mels, &fe->mel, err));
    }
    if (fe->n_layers * fe->sizes.width > FRONTEND_MAX_DIM) {
        return error_set(err, SPOOR_ERR_USAGE, "%s: %lld columns are more than the limit of %d", WHERE,
                         (long long)(fe->n_layers * fe->sizes.width), FRONTEND_MAX_DIM);
    }
    TRY(read_plan(fe, config, err));
    encoder_plan(fe->encoder, fe->plan);
    TRY(load(fe, o, err));
    TRY(write_config(fe, err));
    fe->path = fe->from = ""; /* they were the caller's */
    return SPOOR_OK;
}

spoor_status neural_new(spoor_context *ctx, const json_t *config, const frontend_options *options, const char *prefix,
                        neural **out, spoor_error *err) {
    *out = NULL;
    neural *fe = ctx_calloc(ctx, 1, sizeof *fe);
    if (fe == NULL) {
        return error_memory(err, "making a front end");
    }
    fe->ctx = ctx;
    spoor_status status = build(fe, config, options, prefix, err);
    if (status != SPOOR_OK) {
        neural_free(fe);
        return status;
    }
    *out = fe;
    return SPOOR_OK;
}

void neural_free(neural *fe) {
    if (fe == NULL) {
        return;
    }
    encoder_free(fe->encoder);
    whisper_mel_free(fe->mel);
    dialect_free(fe->dialect);
    weights_free(fe->weights);
    json_decref(fe->config);
    json_decref(fe->plan);
    ctx_free(fe->ctx, fe->resolved_path);
    ctx_free(fe->ctx, fe);
}

size_t neural_dim(const neural *fe) { return (size_t)(fe->n_layers * fe->sizes.width); }
const json_t *neural_config(const neural *fe) { return fe->config; }
encoder *neural_encoder(const neural *fe) { return fe->encoder; }
bool neural_embeds(const neural *fe) { return fe->embed; }

int64_t neural_states(const neural *fe, const int64_t **layers) {
    *layers = fe->layers;
    return fe->n_layers;
}

bool neural_has_checkpoint(const neural *fe) { return fe->dialect != NULL; }

spoor_status neural_read_checkpoint(const neural *fe, const param *p, float *out, spoor_error *err) {
    if (fe->dialect == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the weights of a front end that came from a model file are packed and "
                         "cannot be read back");
    }
    return read_checkpoint((void *)(uintptr_t)fe, p->name, p->value.ndim, p->value.dim, out, err);
}

spoor_status neural_read_param(const neural *fe, const param *p, float *out, spoor_error *err) {
    bool folded = fe->plan != NULL && fe->precision == COMPUTE_INT8; /* what is in memory has the plan's factors in
                                                                      * it */
    if (p->value.data != NULL && !folded) {
        memcpy(out, p->value.data, (size_t)tensor_count(&p->value) * sizeof *out);
        return SPOOR_OK;
    }
    return neural_read_checkpoint(fe, p, out, err);
}

/* ---- computation ---- */

/* Samples that the encoder is given for n: very short recordings go round until there is a frame. */
static int64_t input_samples(const neural *fe, size_t n) {
    int64_t least = fe->kind == ENCODER_WHISPER ? WHISPER_HOP : encoder_least(&fe->sizes);
    return (int64_t)n < least ? least : (int64_t)n;
}

size_t neural_frames(const neural *fe, size_t n) {
    if (n == 0) {
        return 0;
    }
    int64_t in = input_samples(fe, n);
    return (size_t)encoder_frames(&fe->sizes, fe->kind == ENCODER_WHISPER ? whisper_mel_frames(in) : in);
}

static float held(float v) { return !isfinite(v) ? 0.0f : v > 1e6f ? 1e6f : v < -1e6f ? -1e6f : v; }

/* out[m]: samples going round; zero mean and unit variance where asked (Hugging Face: divided by sqrt(variance +
 * 1e-7)). */
static void prepare(const neural *fe, const float *samples, size_t n, real *out, int64_t m) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < m; i++) {
        out[i] = (real)held(samples[(size_t)i % n]);
        sum += (double)out[i];
    }
    if (fe->raw || fe->kind == ENCODER_WHISPER) {
        return;
    }
    double mean = sum / (double)m;
    for (int64_t i = 0; i < m; i++) {
        squares += ((double)out[i] - mean) * ((double)out[i] - mean);
    }
    double scale = 1 / sqrt(squares / (double)m + 1e-7);
    for (int64_t i = 0; i < m; i++) {
        out[i] = (real)(((double)out[i] - mean) * scale);
    }
}

/* What the encoder wants for B clips of n samples. */
static tensor *input_of(const neural *fe, neural_scratch *s, tape *t, const real *wave, int64_t clips, size_t n) {
    int64_t m = input_samples(fe, n), mels = fe->sizes.mels;
    bool mel = fe->kind == ENCODER_WHISPER;
    int64_t frames = mel ? whisper_mel_frames(m) : 0;
    tensor *samples = tape_tensor(t, 2, (int64_t[]){clips, m});
    tensor *x = mel ? tape_tensor(t, 3, (int64_t[]){clips, frames, mels}) : samples;
    for (int64_t b = 0; x != NULL && samples != NULL && b < clips; b++) {
        real *row = samples->data + b * m;
        prepare(fe, wave + (size_t)b * n, n, row, m);
        spoor_error err;
        if (mel && whisper_mel_compute(fe->mel, s->mel, row, m, x->data + b * frames * mels, &err) != SPOOR_OK) {
            tape_fail(t, err.status, "%s", err.message);
            return NULL;
        }
    }
    return tape_ok(t) ? x : NULL;
}

spoor_status neural_scratch_new(const neural *fe, neural_scratch **out, spoor_error *err) {
    *out = NULL;
    neural_scratch *s = ctx_calloc(fe->ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "making a front end's scratch");
    }
    s->ctx = fe->ctx;
    spoor_status status = compute_new(fe->ctx, 1, &s->compute, err);
    if (status == SPOOR_OK) {
        status = tape_new(fe->ctx, s->compute, &s->tape, err);
    }
    if (status == SPOOR_OK && fe->mel != NULL) {
        status = whisper_mel_scratch_new(fe->ctx, &s->mel, err);
    }
    if (status != SPOOR_OK) {
        neural_scratch_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

void neural_scratch_free(neural_scratch *s) {
    if (s != NULL) {
        whisper_mel_scratch_free(s->mel);
        tape_free(s->tape);
        compute_free(s->compute);
        ctx_free(s->ctx, s);
    }
}

compute *neural_scratch_compute(neural_scratch *s) { return s->compute; }

static spoor_status check_finite(const float *x, size_t n, spoor_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return error_set(err, SPOOR_ERR_MODEL, "the front end gave features that are not finite; its weights are "
                                                   "unusable");
        }
    }
    return SPOOR_OK;
}

spoor_status neural_hidden(const neural *fe, neural_scratch *s, const float *samples, size_t n, int64_t first,
                           tensor **hidden, spoor_error *err) {
    tape_begin(s->tape, false, false, 0);
    tensor *x = input_of(fe, s, s->tape, samples, 1, n);
    encoder_forward(fe->encoder, s->tape, x, first, NULL, hidden);
    return tape_status(s->tape, err);
}

spoor_status neural_compute(const neural *fe, neural_scratch *s, const float *samples, size_t n, float *out,
                            spoor_error *err) {
    tensor *hidden[ENCODER_MAX_LAYERS + 1] = {NULL};
    int64_t frames = (int64_t)neural_frames(fe, n), width = fe->sizes.width;
    TRY(neural_hidden(fe, s, samples, n, fe->layers[0], hidden, err));
    for (int64_t l = 0; l < fe->n_layers; l++) {
        const real *from = hidden[fe->layers[l]]->data;
        for (int64_t i = 0; i < frames; i++) {
            memcpy(out + (i * fe->n_layers + l) * width, from + i * width, (size_t)width * sizeof *out);
        }
    }
    rows_normalise_columns(fe->normalise, out, (size_t)frames, neural_dim(fe));
    return check_finite(out, (size_t)frames * neural_dim(fe), err);
}

/* Per clip and column over time, as rows_normalise_columns. */
static tensor *normalise_columns(tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    int64_t width = tensor_cols(x);
    tensor *g = tape_tensor(t, 1, &width), *b = tape_tensor(t, 1, &width);
    if (g == NULL || b == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < width; i++) {
        g->data[i] = 1;
        b->data[i] = 0;
    }
    return op_group_norm(t, x, g, b, width, (real)1e-5);
}

tensor *neural_forward(const neural *fe, neural_scratch *s, tape *t, tensor *wave, const encoder_training *training) {
    if (wave == NULL || !tape_ok(t)) {
        return NULL;
    }
    tensor *hidden[ENCODER_MAX_LAYERS + 1] = {NULL}, *kept[ENCODER_MAX_LAYERS + 1];
    tensor *x = input_of(fe, s, t, wave->data, wave->dim[0], (size_t)wave->dim[1]);
    encoder_forward(fe->encoder, t, x, fe->layers[0], training, hidden);
    for (int64_t l = 0; l < fe->n_layers; l++) {
        kept[l] = hidden[fe->layers[l]];
    }
    x = !tape_ok(t) ? NULL : fe->n_layers == 1 ? kept[0] : op_concat(t, kept, (size_t)fe->n_layers, 2);
    return fe->normalise == NORMALISE_MEAN_VAR ? normalise_columns(t, x) : x;
}
