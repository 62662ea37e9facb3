/* convert.c: `spoor convert IN -o OUT.safetensors`: any checkpoint that Spoor reads as one safetensors file.
 *
 * Of an encoder that is known (dialect.h) the encoder's own parameters are written, under Hugging Face's names and in
 * PyTorch's layout; weight norm stays as weight_g and weight_v, which is what transformers expects and loses no bit.
 * What lies beside the encoder (heads, a decoder, quantisers) is left out. AASIST on the waveform becomes a model file
 * (model/import.h). Any other checkpoint keeps its names and all its tensors. The metadata says what it was made from
 * and carries the configuration.
 *
 * Tensors are read one by one while the file is written, so memory is that of the largest of them. */
#include "base/io.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include "frontend/dialect.h"
#include "model/import.h"
#include "weights/weights.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_HALF = 256, KEY_JSON, KEY_CLASSES };

typedef struct options {
    const char *in, *out, *classes;
    bool half, json;
} options;

static const struct argp_option OPTIONS[] = {
    {"out", 'o', "FILE.safetensors", 0, "the file to write", 0},
    {"half", KEY_HALF, NULL, 0, "store floating point numbers in 16 bits (F16)", 0},
    {"classes", KEY_CLASSES, "NAME,...", 0, "of AASIST: the names of its classes in the order of its last layer "
     "(default: spoof, bonafide where there are two, else class-00, ...)", 0},
    {"json", KEY_JSON, NULL, 0, "say what was written as one JSON object (docs/json.md)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'o': o->out = arg; return 0;
    case KEY_HALF: o->half = true; return 0;
    case KEY_CLASSES: o->classes = arg; return 0;
    case KEY_JSON: o->json = true; return 0;
    case ARGP_KEY_ARG:
        if (o->in != NULL) {
            argp_error(state, "name one checkpoint");
        }
        o->in = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->in == NULL || o->out == NULL) {
            argp_error(state, "name a checkpoint, and with --out the file to write");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {
    OPTIONS, parse, "CHECKPOINT",
    "Write a checkpoint (safetensors, a Hugging Face folder, PyTorch, ggml Whisper) as one safetensors file. Of a "
    "wav2vec 2.0, HuBERT, WavLM or Whisper model this is the encoder under Hugging Face's names; AASIST on the "
    "waveform becomes a model file for spoor trace and spoor eval; anything else is written as it is.",
    NULL, NULL, NULL};

typedef struct conversion {
    spoor_context *ctx;
    const options *o;
    weights *w;
    dialect *d; /* NULL: no encoder that is known */
    safetensors_writer *out;
    const weights_tensor **source; /* of each tensor that is written */
    size_t n, capacity, numbers;
    uint64_t bytes, done; /* of data */
    char sha256[65];
    spoor_error no_encoder; /* why d is NULL */
    bool model;                     /* a model file was written */
    ui_progress progress;
} conversion;

/* ---- elements, when the writer asks for them ---- */

static bool is_float(safetensors_dtype dtype) {
    return dtype == SAFETENSORS_F32 || dtype == SAFETENSORS_F16 || dtype == SAFETENSORS_BF16 ||
           dtype == SAFETENSORS_F64;
}

static safetensors_dtype dtype_of(const conversion *c, const weights_tensor *t) {
    return c->o->half && is_float(t->dtype) ? SAFETENSORS_F16 : t->dtype;
}

static spoor_status read_halves(const conversion *c, const weights_tensor *t, uint16_t *out, spoor_error *err) {
    float *values = ctx_alloc(c->ctx, t->count, sizeof *values);
    if (values == NULL) {
        return error_memory(err, "reading a tensor");
    }
    spoor_status status = weights_read(c->w, t, values, err);
    for (size_t i = 0; i < t->count && status == SPOOR_OK; i++) {
        out[i] = safetensors_f32_to_f16(values[i]);
        if ((out[i] & 0x7fffu) == 0x7c00u && !isinf(values[i])) {
            status = error_set(err, SPOOR_ERR_USAGE, "%s holds %g, which is too large for F16; convert without --half",
                               t->name, (double)values[i]);
        }
    }
    ctx_free(c->ctx, values);
    return status;
}

static spoor_status read_elements(void *user, size_t number, void *elements, spoor_error *err) {
    conversion *c = user;
    const weights_tensor *t = c->source[number];
    TRY(ctx_check_cancel(c->ctx, err));
    safetensors_dtype to = dtype_of(c, t);
    TRY(to == t->dtype ? weights_read_raw(c->w, t, elements, err) : read_halves(c, t, elements, err));
    c->done += t->count * safetensors_dtype_size(to);
    ui_progress_show(&c->progress, c->done / 1000000, c->bytes / 1000000);
    return SPOOR_OK;
}

/* ---- which tensors ---- */

static spoor_status add(conversion *c, const char *name, int rank, const int64_t *shape, const weights_tensor *t,
                        spoor_error *err) {
    const char *refused = weights_refused(c->w, t);
    if (refused != NULL) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s cannot be read: %s", c->o->in, t->name, refused);
    }
    if (!ctx_grow(c->ctx, (void **)&c->source, &c->capacity, c->n + 1, sizeof *c->source)) {
        return error_memory(err, "converting a checkpoint");
    }
    c->source[c->n] = t;
    TRY(safetensors_writer_add_later(c->out, name, dtype_of(c, t), rank, shape, read_elements, c, c->n, err));
    c->n++;
    c->numbers += t->count;
    c->bytes += t->count * safetensors_dtype_size(dtype_of(c, t));
    return SPOOR_OK;
}

/* Parameter i of an encoder. Whisper's encoder is part of a larger model in transformers. */
static spoor_status add_parameter(conversion *c, size_t i, spoor_error *err) {
    const dialect_param *p = dialect_at(c->d, i);
    const char *prefix = dialect_sizes(c->d)->kind == ENCODER_WHISPER ? "model.encoder." : "";
    const weights_tensor *gain, *value = dialect_source(c->d, i, &gain);
    char *name = ctx_printf(c->ctx, "%s%s%s", prefix, p->name, gain == NULL ? "" : "_v");
    if (name == NULL) {
        return error_memory(err, "converting a checkpoint");
    }
    spoor_status status = add(c, name, p->rank, p->shape, value, err);
    if (status == SPOOR_OK && gain != NULL) {
        name[strlen(name) - 1] = 'g';
        status = add(c, name, gain->rank, gain->shape, gain, err);
    }
    ctx_free(c->ctx, name);
    return status;
}

static spoor_status add_tensors(conversion *c, spoor_error *err) {
    for (size_t i = 0; c->d != NULL && i < dialect_count(c->d); i++) {
        TRY(add_parameter(c, i, err));
    }
    for (size_t i = 0; c->d == NULL && i < weights_count(c->w); i++) {
        const weights_tensor *t = weights_at(c->w, i);
        TRY(add(c, t->name, t->rank, t->shape, t, err));
    }
    return SPOOR_OK;
}

/* ---- metadata ---- */

static const char *last_part(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    return path + n;
}

/* A path need not be UTF-8, metadata must be. */
static void make_plain(char *text) {
    for (unsigned char *p = (unsigned char *)text; p != NULL && *p != '\0'; p++) {
        *p = *p < 0x20 || *p >= 0x7f ? '?' : *p;
    }
}

static spoor_status add_config(conversion *c, spoor_error *err) {
    const json_t *config = weights_config(c->w);
    json_t *made = NULL;
    if (c->d != NULL && json_object_get(config, "model_type") == NULL) { /* not transformers' */
        config = made = encoder_describe(dialect_sizes(c->d));
    } else if (config == NULL || config == weights_metadata(c->w)) {
        return SPOOR_OK;
    }
    char *text = config == NULL ? NULL : json_dumps(config, JSON_COMPACT);
    json_decref(made);
    if (text == NULL) {
        return error_memory(err, "converting a checkpoint");
    }
    spoor_status status = safetensors_writer_meta(c->out, "config", text, err);
    free(text);
    return status;
}

/* What the file had itself comes first, without the keys that are set anew. */
static spoor_status add_metadata(conversion *c, spoor_error *err) {
    static const char *const ours[] = {"format", "config", "source", "source_format", "source_sha256"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weights_metadata(c->w), key, value) {
        bool keep = c->d == NULL || strcmp(key, "spoor") != 0;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
            keep = keep && strcmp(key, ours[i]) != 0;
        }
        if (keep) {
            TRY(safetensors_writer_meta(c->out, key, json_string_value(value), err));
        }
    }
    char *source = ctx_strdup(c->ctx, last_part(c->o->in));
    if (source == NULL) {
        return error_memory(err, "converting a checkpoint");
    }
    make_plain(source);
    spoor_status status = safetensors_writer_meta(c->out, "source", source, err);
    ctx_free(c->ctx, source);
    TRY(status);
    TRY(safetensors_writer_meta(c->out, "format", "pt", err)); /* transformers asks for it */
    TRY(safetensors_writer_meta(c->out, "source_format", c->d == NULL ? weights_format(c->w) : dialect_name(c->d),
                                err));
    TRY(safetensors_writer_meta(c->out, "source_sha256", c->sha256, err));
    return add_config(c, err);
}

/* ---- the command ---- */

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The output must not be what is read. In a folder that is read, nothing that is there is overwritten. */
static spoor_status check_output(const options *o, spoor_context *ctx, spoor_error *err) {
    struct stat in, out, folder;
    if (stat(o->in, &in) != 0 || stat(o->out, &out) != 0) {
        return SPOOR_OK; /* what is missing is said by who opens it */
    }
    if (!S_ISREG(out.st_mode)) {
        return error_set(err, SPOOR_ERR_USAGE, "cannot write %s: it is no file", o->out);
    }
    char *parent = ctx_printf(ctx, "%.*s.", (int)(last_part(o->out) - o->out), o->out);
    if (parent == NULL) {
        return error_memory(err, "converting a checkpoint");
    }
    bool inside = S_ISDIR(in.st_mode) && stat(parent, &folder) == 0 && same_file(&in, &folder);
    ctx_free(ctx, parent);
    if (inside || same_file(&in, &out)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s is what is read; choose another file for the output", o->out);
    }
    return SPOOR_OK;
}

static spoor_status say(const conversion *c, spoor_error *err) {
    const char *names = c->d == NULL ? NULL : dialect_name(c->d);
    json_t *sizes = c->d == NULL ? NULL : encoder_describe(dialect_sizes(c->d));
    if (!c->o->json) {
        printf("%zu tensors, %zu numbers, %.1f MB\n", c->n, c->numbers, (double)c->bytes / 1e6);
        if (c->model) {
            printf("AASIST, as a model file: spoor trace -m %s ...\n", c->o->out);
        } else if (sizes != NULL) {
            printf("the encoder of a %s model with %s names, under Hugging Face's names\n",
                   json_string_value(json_object_get(sizes, "model_type")), names);
        } else {
            printf("names as they are: %s\n", c->no_encoder.message);
        }
        json_decref(sizes);
        return ui_flush(err);
    }
    json_t *all =
        json_pack("{s:s, s:s, s:s?, s:o?, s:b, s:I, s:I, s:I}", "format", weights_format(c->w), "weights_sha256",
                  c->sha256, "dialect", names, "encoder", sizes, "model", (int)c->model, "tensors", (json_int_t)c->n,
                  "numbers", (json_int_t)c->numbers, "data_bytes", (json_int_t)c->bytes);
    spoor_status status = ui_json(all, JSON_INDENT(2), err);
    json_decref(all);
    return status;
}

/* ---- whole models ---- */

enum { MAX_NAMES = 1024 };

/* The parts of "a,b,c", which is changed. */
static size_t split_names(char *text, const char *names[MAX_NAMES]) {
    size_t n = 0;
    for (char *next = text; next != NULL && n < MAX_NAMES; n++) {
        names[n] = next;
        next = strchr(next, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
    }
    return n;
}

/* What was written, and that it can be used. */
static spoor_status check_model(conversion *c, spoor_error *err) {
    spoor_model *m;
    TRY(model_open(c->ctx, c->o->out, NULL, &m, err));
    params *p = net_params(m->net);
    c->n = params_count(p);
    for (size_t i = 0; i < c->n; i++) {
        size_t count = (size_t)tensor_count(&params_at(p, i)->value);
        c->numbers += count;
        c->bytes += count * (c->o->half && params_at(p, i)->decay ? 2 : 4);
    }
    spoor_model_free(m);
    return SPOOR_OK;
}

static spoor_status write_model(conversion *c, spoor_error *err) {
    const char *names[MAX_NAMES], *source = last_part(c->o->in), *dot = strrchr(source, '.');
    char *list = c->o->classes == NULL ? NULL : ctx_strdup(c->ctx, c->o->classes);
    char *name =
        ctx_printf(c->ctx, "%.*s", dot == NULL || dot == source ? (int)strlen(source) : (int)(dot - source), source);
    char *file = ctx_strdup(c->ctx, source);
    make_plain(name);
    make_plain(file);
    import_options o = {.name = name, .source = file, .sha256 = c->sha256, .half = c->o->half,
                        .classes = list == NULL ? NULL : names};
    spoor_status status = name == NULL || file == NULL || (c->o->classes != NULL && list == NULL)
                              ? error_memory(err, "converting a model") : weights_sha256(c->w, c->sha256, err);
    if (status == SPOOR_OK) {
        o.n_classes = list == NULL ? 0 : split_names(list, names);
        status = import_save(c->ctx, c->w, c->o->out, &o, err);
    }
    ctx_free(c->ctx, list);
    ctx_free(c->ctx, name);
    ctx_free(c->ctx, file);
    TRY(status);
    c->model = true;
    return check_model(c, err);
}

static spoor_status write_file(conversion *c, spoor_error *err) {
    TRY(safetensors_writer_new(c->ctx, &c->out, err));
    ui_progress_start(&c->progress, "converting", "MB");
    ui_progress_text(&c->progress, "hashing");
    TRY(weights_sha256(c->w, c->sha256, err));
    TRY(add_tensors(c, err));
    TRY(add_metadata(c, err));
    ui_progress_show(&c->progress, 0, c->bytes / 1000000);
    spoor_status status = safetensors_writer_save(c->out, c->o->out, err);
    ui_progress_clear(&c->progress);
    return status;
}

static spoor_status convert(void *user, spoor_context *ctx, spoor_error *err) {
    conversion c = {.ctx = ctx, .o = user};
    TRY(check_output(c.o, ctx, err));
    spoor_status status = weights_open(ctx, c.o->in, &c.w, err);
    if (status != SPOOR_OK) {
        return status == SPOOR_ERR_IO ? SPOOR_ERR_MODEL : status; /* as when it is opened as a model */
    }
    status = dialect_find(ctx, c.w, &c.d, &c.no_encoder);
    if (status == SPOOR_ERR_MODEL && import_knows(c.w)) {
        status = write_model(&c, err);
    } else if (c.o->classes != NULL && (status == SPOOR_ERR_MODEL || status == SPOOR_OK)) {
        status = error_set(err, SPOOR_ERR_USAGE, "--classes names those of AASIST on the waveform, which %s is not",
                           c.o->in);
    } else if (status == SPOOR_ERR_MODEL || status == SPOOR_OK) { /* no encoder, no names to change */
        status = write_file(&c, err);
    } else {
        *err = c.no_encoder;
    }
    if (status == SPOOR_OK) {
        status = say(&c, err);
    }
    ui_progress_clear(&c.progress);
    safetensors_writer_free(c.out);
    ctx_free(ctx, c.source);
    dialect_free(c.d);
    weights_free(c.w);
    return status;
}

int cli_convert(int argc, char **argv) {
    options o = {0};
    return ui_command(&ARGP, argc, argv, &o, convert);
}
