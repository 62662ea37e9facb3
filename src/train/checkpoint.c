/* checkpoint.c: a safetensors file: KIND.NAME for every parameter and kind of value, the place and the recipe in its
 * metadata. */
#include "train/checkpoint.h"
#include "train/recipe.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 5, NAME_MAX_BYTES = 512 };
static const char *const KIND[KINDS] = {"weights", "moment1", "moment2", "average", "best"};

/* NULL where this kind does not exist for parameter i. */
static real *values(const checkpoint *c, int kind, size_t i) {
    switch (kind) {
    case 0: return params_at(c->params, i)->fixed ? NULL : params_at(c->params, i)->value.data;
    case 1: return optimiser_moment(c->optimiser, i, 0);
    case 2: return optimiser_moment(c->optimiser, i, 1);
    case 3: return c->average ? average_values(c->average, i) : NULL;
    default: return average_values(c->best, i);
    }
}

static json_t *place_json(const checkpoint *c) {
    const checkpoint_place *p = c->place;
    json_t *sums = json_array();
    for (int i = 0; sums && i < CHECKPOINT_SUMS; i++) {
        (void)json_array_append_new(sums, json_real(p->sums[i]));
    }
    json_t *j =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:I,s:I,s:o}", "epoch", (json_int_t)p->epoch, "step",
                  (json_int_t)p->step, "averaged", (json_int_t)p->averaged, "log_bytes", (json_int_t)p->log_bytes,
                  "waiting", (json_int_t)p->waiting, "has_best", p->has_best, "stopped", p->stopped, "best_epoch",
                  (json_int_t)p->best_epoch, "updates", (json_int_t)optimiser_steps(c->optimiser), "sums", sums);
    if (j && p->has_best) {
        (void)json_object_set_new(j, "best", json_real(p->best));
    }
    return j;
}

static spoor_status put_meta(safetensors_writer *w, const char *key, const json_t *json, spoor_error *err) {
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    spoor_status status = text ? safetensors_writer_meta(w, key, text, err) : error_memory(err, "writing a checkpoint");
    free(text);
    return status;
}

static spoor_status put_tensors(safetensors_writer *w, const checkpoint *c, spoor_error *err) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < params_count(c->params); i++) {
            const param *p = params_at(c->params, i);
            real *data = values(c, kind, i);
            char name[NAME_MAX_BYTES];
            snprintf(name, sizeof name, "%s.%s", KIND[kind], p->name);
            if (data) {
                TRY(safetensors_writer_add(w, name, SAFETENSORS_F32, p->value.ndim, p->value.dim, data, err));
            }
        }
    }
    return SPOOR_OK;
}

spoor_status checkpoint_save(spoor_context *ctx, const char *path, const checkpoint *c, spoor_error *err) {
    safetensors_writer *w;
    TRY(safetensors_writer_new(ctx, &w, err));
    json_t *place = place_json(c);
    spoor_status status = put_meta(w, "place", place, err);
    json_decref(place);
    if (status == SPOOR_OK) {
        status = put_meta(w, "recipe", c->recipe, err);
    }
    if (status == SPOOR_OK) {
        status = put_tensors(w, c, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, path, err);
    }
    safetensors_writer_free(w);
    return status;
}

/* ---- reading ---- */

static spoor_status damaged(const char *path, const char *what, spoor_error *err) {
    return error_set(err, SPOOR_ERR_MODEL, "%s is no usable checkpoint (%s); start anew with another --out", path,
                     what);
}

static uint64_t number(const json_t *j, const char *key) {
    json_int_t v = json_integer_value(json_object_get(j, key));
    return v < 0 ? 0 : (uint64_t)v;
}

static spoor_status read_place(const char *path, const safetensors *f, const checkpoint *c, spoor_error *err) {
    const char *text = safetensors_meta(f, "place");
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *sums = json_object_get(j, "sums");
    if (!json_is_object(j) || json_array_size(sums) != CHECKPOINT_SUMS) {
        json_decref(j);
        return damaged(path, "it does not say where it is", err);
    }
    checkpoint_place *p = c->place;
    *p = (checkpoint_place){.epoch = number(j, "epoch"), .step = number(j, "step"), .averaged = number(j, "averaged"),
                            .log_bytes = number(j, "log_bytes"), .waiting = number(j, "waiting"),
                            .best_epoch = number(j, "best_epoch"),
                            .has_best = json_is_true(json_object_get(j, "has_best")),
                            .stopped = json_is_true(json_object_get(j, "stopped")),
                            .best = json_number_value(json_object_get(j, "best"))};
    for (size_t i = 0; i < CHECKPOINT_SUMS; i++) {
        p->sums[i] = json_number_value(json_array_get(sums, i));
    }
    optimiser_set_steps(c->optimiser, number(j, "updates"));
    json_decref(j);
    return SPOOR_OK;
}

static spoor_status check_recipe(const char *path, const safetensors *f, const checkpoint *c, spoor_error *err) {
    const char *text = safetensors_meta(f, "recipe");
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    if (!json_is_object(j)) {
        json_decref(j);
        return damaged(path, "it lacks its recipe", err);
    }
    const char *differs = recipe_difference(c->recipe, j);
    spoor_status status = differs ? error_set(err, SPOOR_ERR_USAGE, "%s belongs to another recipe: %.60s differs; use "
                                              "the recipe and --set options that it was started with, or another "
                                              "--out", path,
                                              differs)
                                  : SPOOR_OK;
    json_decref(j);
    return status;
}

spoor_status checkpoint_load(spoor_context *ctx, const char *path, const checkpoint *c, spoor_error *err) {
    safetensors *f;
    TRY(safetensors_map(ctx, path, &f, err)); /* of a large encoder more than is read whole */
    spoor_status status = check_recipe(path, f, c, err);
    if (status == SPOOR_OK) {
        status = read_place(path, f, c, err);
    }
    for (int kind = 0; kind < KINDS && status == SPOOR_OK; kind++) {
        for (size_t i = 0; i < params_count(c->params) && status == SPOOR_OK; i++) {
            const param *p = params_at(c->params, i);
            real *data = values(c, kind, i);
            char name[NAME_MAX_BYTES];
            snprintf(name, sizeof name, "%s.%s", KIND[kind], p->name);
            const safetensors_tensor *t = data ? safetensors_find(f, name) : NULL;
            if (data && (!t || t->dtype != SAFETENSORS_F32 || t->count != (size_t)tensor_count(&p->value))) {
                status = damaged(path, "a tensor is missing or has another size", err);
            } else if (data) {
                safetensors_to_f32(t, (float *)data);
            }
        }
    }
    safetensors_free(f);
    return status;
}
