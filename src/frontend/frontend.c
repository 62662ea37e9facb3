/* frontend.c: one front end of any kind: hands on to spectral.h, neural.h or waveform.h, and puts several side by side;
 * see frontend.h. */
#include "frontend/frontend.h"
#include "base/checked.h"
#include "base/config.h"
#include "frontend/neural.h"
#include "frontend/spectral.h"
#include "frontend/waveform.h"
#include <stdio.h>
#include <string.h>

struct frontend {
    spoor_context *ctx;
    spectral *spectral; /* one of these three, or parts */
    neural *neural;
    waveform *waveform;
    frontend *part[FRONTEND_MAX_PARTS];
    size_t n_parts;
    bool own_rows;  /* each part has as many rows as it makes, followed by zeros; else the shortest decides */
    json_t *joined; /* configuration of a join */
    params *params; /* of a join's encoders; NULL where there is one or none */
};

struct frontend_scratch {
    spoor_context *ctx;
    spectral_scratch *spectral;
    neural_scratch *neural;
    frontend_scratch *part[FRONTEND_MAX_PARTS];
    bool skip[FRONTEND_MAX_PARTS];
    float *rows; /* of one part of a join */
    size_t capacity;
};

/* ---- making ---- */

static spoor_status new_part(spoor_context *ctx, const json_t *config, const frontend_options *options, size_t number,
                             frontend **out, spoor_error *err);

/* Rows of the parts must go together: about as many for any length. */
static spoor_status check_rates(const frontend *fe, spoor_error *err) {
    const size_t second = FRONTEND_RATE;
    for (size_t i = 1; i < fe->n_parts; i++) {
        double a = (double)frontend_frames(fe->part[0], 100 * second),
               b = (double)frontend_frames(fe->part[i], 100 * second);
        if (b > 1.04 * a + 4 || a > 1.04 * b + 4) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "front end.parts: part %zu has %.0f rows a second and part 1 has "
                             "%.0f; choose hop_length or stack so that they agree, or rows: own",
                             i + 1, b / 100, a / 100);
        }
    }
    return SPOOR_OK;
}

static spoor_status join_params(frontend *fe, spoor_error *err) {
    bool any = false;
    for (size_t i = 0; i < fe->n_parts; i++) {
        any |= fe->part[i]->neural != NULL;
    }
    if (!any) {
        return SPOOR_OK;
    }
    TRY(params_new(fe->ctx, 0, &fe->params, err));
    for (size_t i = 0; i < fe->n_parts; i++) {
        params *own = frontend_params(fe->part[i]);
        if (own != NULL) {
            TRY(params_adopt(fe->params, own, err));
        }
    }
    return SPOOR_OK;
}

static spoor_status join(frontend *fe, const json_t *config, const frontend_options *options, spoor_error *err) {
    static const char *const keys[] = {"kind", "parts", "rows", NULL}, *const rows[] = {"shortest", "own", NULL};
    int own;
    const json_t *parts = json_object_get(config, "parts");
    TRY(config_keys(config, "front end", keys, err));
    TRY(config_choice(config, "front end", "rows", rows, 0, &own, err));
    fe->own_rows = own == 1;
    size_t n = json_array_size(parts);
    if (n < 2 || n > FRONTEND_MAX_PARTS) {
        return error_set(err, SPOOR_ERR_USAGE, "front end.parts must be a list of 2 to %d front ends",
                         FRONTEND_MAX_PARTS);
    }
    json_t *list = json_array();
    fe->joined = json_pack("{s:s, s:o}", "kind", "join", "parts", list);
    size_t dim = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(new_part(fe->ctx, json_array_get(parts, i), options, i + 1, &fe->part[i], err));
        fe->n_parts = i + 1;
        dim += frontend_dim(fe->part[i]);
        if (fe->part[i]->n_parts > 0 || dim > FRONTEND_MAX_DIM) {
            return error_set(err, SPOOR_ERR_USAGE, "front end.parts: a join in a join, or more than %d columns in all",
                             FRONTEND_MAX_DIM);
        }
        if (json_array_append_new(list, json_deep_copy(frontend_config(fe->part[i]))) != 0) {
            return error_memory(err, "making a front end");
        }
    }
    if (fe->own_rows && json_object_set_new(fe->joined, "rows", json_string("own")) != 0) {
        return error_memory(err, "making a front end");
    }
    TRY(fe->own_rows ? SPOOR_OK : check_rates(fe, err));
    return join_params(fe, err);
}

static spoor_status build(frontend *fe, const json_t *config, const frontend_options *options, size_t number,
                          spoor_error *err) {
    static const char *const kinds[] = {"log-mel", "lfcc",    "linear-spectrogram", "wav2vec2", "hubert",
                                        "wavlm",   "whisper", "waveform",           "join",     NULL};
    int kind;
    if (!json_is_object(config) || json_object_get(config, "kind") == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "front end must be a mapping with at least a \"kind\": \"log-mel\", "
                         "\"lfcc\", \"linear-spectrogram\", \"wav2vec2\", \"hubert\", \"wavlm\", \"whisper\", "
                         "\"waveform\" or \"join\"");
    }
    TRY(config_choice(config, "front end", "kind", kinds, 0, &kind, err));
    if (strcmp(kinds[kind], "join") == 0) {
        return join(fe, config, options, err);
    }
    if (strcmp(kinds[kind], "waveform") == 0) {
        return waveform_new(fe->ctx, config, &fe->waveform, err);
    }
    if (neural_knows(kinds[kind])) {
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, number == 0 ? "frontend." : "frontend.%zu.", number);
        return neural_new(fe->ctx, config, options, prefix, &fe->neural, err);
    }
    return spectral_new(fe->ctx, config, &fe->spectral, err);
}

/* number: 0 alone, else the place in a join from 1. */
static spoor_status new_part(spoor_context *ctx, const json_t *config, const frontend_options *options, size_t number,
                             frontend **out, spoor_error *err) {
    *out = NULL;
    frontend *fe = ctx_calloc(ctx, 1, sizeof *fe);
    if (fe == NULL) {
        return error_memory(err, "making a front end");
    }
    fe->ctx = ctx;
    spoor_status status = build(fe, config, options, number, err);
    if (status != SPOOR_OK) {
        frontend_free(fe);
        return status;
    }
    *out = fe;
    return SPOOR_OK;
}

spoor_status frontend_new_with(spoor_context *ctx, const json_t *config, const frontend_options *options,
                               frontend **out, spoor_error *err) {
    static const frontend_options none = {0};
    return new_part(ctx, config, options == NULL ? &none : options, 0, out, err);
}

spoor_status frontend_new(spoor_context *ctx, const json_t *config, frontend **out, spoor_error *err) {
    return frontend_new_with(ctx, config, NULL, out, err);
}

void frontend_free(frontend *fe) {
    if (fe == NULL) {
        return;
    }
    params_free(fe->params);
    for (size_t i = 0; i < FRONTEND_MAX_PARTS; i++) {
        frontend_free(fe->part[i]);
    }
    spectral_free(fe->spectral);
    neural_free(fe->neural);
    waveform_free(fe->waveform);
    json_decref(fe->joined);
    ctx_free(fe->ctx, fe);
}

/* ---- what it is ---- */

size_t frontend_dim(const frontend *fe) {
    size_t dim = fe->spectral != NULL ? spectral_dim(fe->spectral) : fe->neural != NULL ? neural_dim(fe->neural)
                 : fe->waveform != NULL ? fe->waveform->hop : 0;
    for (size_t i = 0; i < fe->n_parts; i++) {
        dim += frontend_dim(fe->part[i]);
    }
    return dim;
}

size_t frontend_frames(const frontend *fe, size_t n_samples) {
    if (fe->n_parts == 0) {
        return fe->spectral != NULL   ? spectral_frames(fe->spectral, n_samples)
               : fe->waveform != NULL ? waveform_frames(fe->waveform, n_samples)
                                      : neural_frames(fe->neural, n_samples);
    }
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < fe->n_parts; i++) {
        size_t frames = frontend_frames(fe->part[i], n_samples);
        least = frames < least ? frames : least;
        most = frames > most ? frames : most;
    }
    return fe->own_rows ? most : least;
}

bool frontend_own_rows(const frontend *fe) { return fe->own_rows; }

void frontend_part_rows(const frontend *fe, size_t n_samples, int64_t *rows) {
    rows[0] = (int64_t)frontend_frames(fe, n_samples);
    for (size_t i = 0; i < fe->n_parts; i++) {
        rows[i] = (int64_t)frontend_frames(fe->own_rows ? fe->part[i] : fe, n_samples);
    }
}

const json_t *frontend_config(const frontend *fe) {
    return fe->n_parts > 0 ? fe->joined : fe->spectral != NULL ? fe->spectral->config
           : fe->waveform != NULL ? fe->waveform->config : neural_config(fe->neural);
}

static void forget_path(json_t *config) {
    if (json_is_true(json_object_get(config, "embed"))) {
        (void)json_object_del(config, "weights");
    }
}

json_t *frontend_describe(const frontend *fe) {
    json_t *config = json_deep_copy(frontend_config(fe)), *part;
    size_t i;
    forget_path(config);
    json_array_foreach(json_object_get(config, "parts"), i, part) {
        forget_path(part);
    }
    return config;
}

params *frontend_params(const frontend *fe) {
    return fe->neural != NULL ? encoder_params(neural_encoder(fe->neural)) : fe->params;
}

encoder *frontend_encoder(const frontend *fe) {
    encoder *found = fe->neural == NULL ? NULL : neural_encoder(fe->neural);
    for (size_t i = 0; i < fe->n_parts && found == NULL; i++) {
        found = frontend_encoder(fe->part[i]);
    }
    return found;
}

/* The encoder's front end that a parameter belongs to. */
static const neural *owner(const frontend *fe, const param *p) {
    if (fe->neural != NULL && p->owner == encoder_params(neural_encoder(fe->neural))) {
        return fe->neural;
    }
    const neural *found = NULL;
    for (size_t i = 0; i < fe->n_parts && found == NULL; i++) {
        found = owner(fe->part[i], p);
    }
    return found;
}

bool frontend_embeds(const frontend *fe, const param *p) {
    const neural *n = owner(fe, p);
    return n != NULL && neural_embeds(n);
}

spoor_status frontend_read_param(const frontend *fe, const param *p, float *out, spoor_error *err) {
    const neural *n = owner(fe, p);
    if (n == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the front end has no parameter %.100s", p->name);
    }
    return neural_read_param(n, p, out, err);
}

/* ---- calibration of int8 ---- */

spoor_status int8_measure(frontend *fe, const int8_options *o, json_t **out, spoor_error *err) {
    *out = NULL;
    if (frontend_encoder(fe) == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "there is no pretrained encoder in it, whose products int8 would be");
    }
    json_t *config = json_deep_copy(frontend_config(fe)), *parts = json_object_get(config, "parts");
    spoor_status status = config == NULL ? error_memory(err, "calibrating int8") : SPOOR_OK;
    for (size_t i = 0; i < frontend_parts(fe) && status == SPOOR_OK; i++) {
        neural *one = fe->n_parts == 0 ? fe->neural : fe->part[i]->neural;
        json_t *plan = NULL;
        if (one != NULL) {
            status = neural_measure(fe->ctx, one, o, &plan, err);
        }
        if (plan != NULL &&
            json_object_set_new(fe->n_parts == 0 ? config : json_array_get(parts, i), "int8", plan) != 0) {
            status = error_memory(err, "calibrating int8");
        }
    }
    if (status != SPOOR_OK) {
        json_decref(config);
        return status;
    }
    *out = config;
    return SPOOR_OK;
}

/* ---- computation ---- */

spoor_status frontend_scratch_new(const frontend *fe, frontend_scratch **out, spoor_error *err) {
    *out = NULL;
    frontend_scratch *s = ctx_calloc(fe->ctx, 1, sizeof *s);
    if (s == NULL) {
        return error_memory(err, "making a front end's scratch");
    }
    s->ctx = fe->ctx;
    spoor_status status = SPOOR_OK;
    if (fe->spectral != NULL) {
        status = spectral_scratch_new(fe->spectral, &s->spectral, err);
    } else if (fe->neural != NULL) {
        status = neural_scratch_new(fe->neural, &s->neural, err);
    }
    for (size_t i = 0; i < fe->n_parts && status == SPOOR_OK; i++) {
        status = frontend_scratch_new(fe->part[i], &s->part[i], err);
    }
    if (status != SPOOR_OK) {
        frontend_scratch_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

void frontend_scratch_free(frontend_scratch *s) {
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < FRONTEND_MAX_PARTS; i++) {
        frontend_scratch_free(s->part[i]);
    }
    spectral_scratch_free(s->spectral);
    neural_scratch_free(s->neural);
    ctx_free(s->ctx, s->rows);
    ctx_free(s->ctx, s);
}

size_t frontend_parts(const frontend *fe) { return fe->n_parts == 0 ? 1 : fe->n_parts; }

void frontend_part_columns(const frontend *fe, size_t part, size_t *first, size_t *columns) {
    *first = 0;
    *columns = frontend_dim(fe->n_parts == 0 ? fe : fe->part[part]);
    for (size_t i = 0; i < part && fe->n_parts > 0; i++) {
        *first += frontend_dim(fe->part[i]);
    }
}

void frontend_scratch_skip(frontend_scratch *s, size_t part) { s->skip[part] = true; }

/* Zeros into `columns` columns of the rows [from, to). */
static void clear(float *out, size_t dim, size_t columns, size_t from, size_t to) {
    for (size_t t = from; t < to; t++) {
        memset(out + t * dim, 0, columns * sizeof *out);
    }
}

static spoor_status compute_join(const frontend *fe, frontend_scratch *s, const float *samples, size_t n, float *out,
                                 spoor_error *err) {
    size_t frames = frontend_frames(fe, n), dim = frontend_dim(fe), at = 0;
    for (size_t i = 0; i < fe->n_parts; i++) {
        size_t own = frontend_dim(fe->part[i]), rows = frontend_frames(fe->part[i], n), values;
        if (s->skip[i]) {
            clear(out + at, dim, own, 0, frames);
            at += own;
            continue;
        }
        if (!checked_mul(rows, own, &values) ||
            !ctx_grow(s->ctx, (void **)&s->rows, &s->capacity, values, sizeof *s->rows)) {
            return error_memory(err, "computing features");
        }
        TRY(frontend_compute(fe->part[i], s->part[i], samples, n, s->rows, err));
        rows = rows < frames ? rows : frames;
        for (size_t t = 0; t < rows; t++) {
            memcpy(out + t * dim + at, s->rows + t * own, own * sizeof *out);
        }
        clear(out + at, dim, own, rows, frames);
        at += own;
    }
    return SPOOR_OK;
}

spoor_status frontend_compute(const frontend *fe, frontend_scratch *s, const float *samples, size_t n, float *out,
                              spoor_error *err) {
    if (n == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "there is no sample to make features of");
    }
    if (n > FRONTEND_MAX_SAMPLES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%zu samples at once are more than the limit of %u", n,
                         FRONTEND_MAX_SAMPLES);
    }
    if (fe->n_parts > 0) {
        return compute_join(fe, s, samples, n, out, err);
    }
    if (fe->waveform != NULL) {
        waveform_compute(fe->waveform, samples, n, out);
        return SPOOR_OK;
    }
    return fe->spectral != NULL ? spectral_compute(fe->spectral, s->spectral, samples, n, out, err)
                                : neural_compute(fe->neural, s->neural, samples, n, out, err);
}

/* A part without parameters while training: computed clip by clip, without gradient. */
static tensor *fixed_rows_of(const frontend *fe, frontend_scratch *s, tape *t, const tensor *wave) {
    size_t n = (size_t)wave->dim[1], frames = frontend_frames(fe, n), dim = frontend_dim(fe);
    tensor *x = tape_tensor(t, 3, (int64_t[]){wave->dim[0], (int64_t)frames, (int64_t)dim});
    spoor_error err;
    for (size_t b = 0; x != NULL && b < (size_t)wave->dim[0]; b++) {
        if (frontend_compute(fe, s, wave->data + b * n, n, x->data + b * frames * dim, &err) != SPOOR_OK) {
            tape_fail(t, err.status, "%s", err.message);
            return NULL;
        }
    }
    return x;
}

/* x[B,T,D] cut to `frames` rows, or followed by zeros. */
static tensor *with_rows(tape *t, tensor *x, int64_t frames) {
    if (x == NULL || x->dim[1] == frames) {
        return x;
    }
    if (x->dim[1] > frames) {
        return op_slice_frames(t, x, 0, frames);
    }
    tensor *part[2] = {x, tape_tensor(t, 3, (int64_t[]){x->dim[0], frames - x->dim[1], x->dim[2]})};
    for (int64_t i = 0; part[1] != NULL && i < tensor_count(part[1]); i++) {
        part[1]->data[i] = 0;
    }
    return op_concat(t, part, 2, 1);
}

tensor *frontend_forward(const frontend *fe, frontend_scratch *s, tape *t, tensor *wave,
                         const encoder_training *training) {
    if (wave == NULL) {
        return NULL;
    }
    if (fe->n_parts == 0) {
        return fe->neural != NULL ? neural_forward(fe->neural, s->neural, t, wave, training)
                                  : fixed_rows_of(fe, s, t, wave);
    }
    tensor *x[FRONTEND_MAX_PARTS];
    int64_t frames = (int64_t)frontend_frames(fe, (size_t)wave->dim[1]);
    for (size_t i = 0; i < fe->n_parts; i++) {
        x[i] = with_rows(t, frontend_forward(fe->part[i], s->part[i], t, wave, training), frames);
    }
    return op_concat(t, x, fe->n_parts, 2);
}
