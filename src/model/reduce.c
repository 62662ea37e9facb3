/* reduce.c: see reduce.h. */
#include "model/reduce.h"
#include "frontend/dialect.h"
#include "frontend/int8.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

/* Also where the front end is one encoder. */
static size_t part_count(const json_t *config) {
    const json_t *parts = json_object_get(config, "parts");
    return parts == NULL ? 1 : json_array_size(parts);
}

static json_t *part(const json_t *config, size_t i) {
    json_t *parts = json_object_get(config, "parts");
    return parts == NULL ? (json_t *)(uintptr_t)config : json_array_get(parts, i);
}

static spoor_status list_plans(const json_t *config, json_t **plans, spoor_error *err) {
    json_t *list = json_array();
    for (size_t i = 0; i < part_count(config); i++) {
        json_t *plan = json_object_get(part(config, i), "int8");
        if (plan != NULL && json_array_append(list, plan) != 0) {
            json_decref(list);
            return error_memory(err, "calibrating int8");
        }
    }
    *plans = list;
    return SPOOR_OK;
}

/* The measured configuration's plans into the front end that a model's metadata describes. */
static spoor_status take_plans(json_t *config, const json_t *measured, spoor_error *err) {
    for (size_t i = 0; i < part_count(measured); i++) {
        json_t *plan = json_object_get(part(measured, i), "int8");
        if (plan != NULL && json_object_set(part(config, i), "int8", plan) != 0) {
            return error_memory(err, "calibrating int8");
        }
    }
    return SPOOR_OK;
}

static spoor_status save_text(spoor_context *ctx, safetensors *file, const char *to, const char *key,
                              const json_t *value, spoor_error *err) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);
    spoor_status status = text == NULL ? error_memory(err, "calibrating int8") : SPOOR_OK;
    if (status == SPOOR_OK && strlen(text) > MODEL_META_MAX) {
        status = error_set(err, SPOOR_ERR_LIMIT, "the calibration would make the metadata larger than %d bytes",
                           MODEL_META_MAX);
    }
    if (status == SPOOR_OK) {
        status = model_set_text(ctx, file, to, key, text, err);
    }
    free(text);
    return status;
}

static spoor_status open_model_frontend(spoor_context *ctx, model_source *s, const json_t *meta, int8_options *o,
                                        frontend **out, spoor_error *err) {
    char *folder = model_folder(ctx, s->path);
    if (folder == NULL) {
        return error_memory(err, "calibrating int8");
    }
    int64_t numel = 0;
    for (size_t i = 0; i < safetensors_count(s->file); i++) {
        numel += (int64_t)safetensors_at(s->file, i)->count;
    }
    o->read = model_read_tensor;
    o->read_user = s;
    frontend_options fo = {.folder = folder,
                           .holds_weights = true,
                           .read = model_read_tensor,
                           .user = s,
                           .max_numel = numel,
                           .precision = "f32"};
    spoor_status status = frontend_new_with(ctx, json_object_get(meta, "frontend"), &fo, out, err);
    ctx_free(ctx, folder);
    return status;
}

static spoor_status of_model(spoor_context *ctx, safetensors *file, const char *from, const char *to, int8_options *o,
                             json_t **measured, spoor_error *err) {
    const char *text = safetensors_meta(file, "spoor");
    json_t *meta = strlen(text) > MODEL_META_MAX ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(meta)) {
        json_decref(meta);
        return error_set(err, SPOOR_ERR_MODEL, "%.200s is no usable model: its metadata is no JSON object", from);
    }
    frontend *fe = NULL;
    model_source s = {from, file};
    spoor_status status = model_check_folder(&(spoor_model){.meta = meta}, from, to, err);
    if (status == SPOOR_OK) {
        status = open_model_frontend(ctx, &s, meta, o, &fe, err);
    }
    if (status == SPOOR_OK) {
        status = int8_measure(fe, o, measured, err);
    }
    if (status == SPOOR_OK) {
        status = take_plans(json_object_get(meta, "frontend"), *measured, err);
    }
    if (status == SPOOR_OK) {
        status = save_text(ctx, file, to, "spoor", meta, err);
    }
    frontend_free(fe);
    json_decref(meta);
    return status;
}

static spoor_status kind_of(spoor_context *ctx, const char *path, const char **kind, spoor_error *err) {
    weights *w;
    dialect *d = NULL;
    TRY(weights_open(ctx, path, &w, err));
    spoor_status status = dialect_find(ctx, w, &d, err);
    if (status == SPOOR_OK) {
        *kind = ENCODER_KINDS[dialect_sizes(d)->kind];
    }
    dialect_free(d);
    weights_free(w);
    return status;
}

static spoor_status of_checkpoint(spoor_context *ctx, safetensors *file, const char *from, const char *to,
                                  int8_options *o, json_t **measured, spoor_error *err) {
    const char *kind;
    TRY(kind_of(ctx, from, &kind, err));
    o->every_state = true;
    json_t *config = json_pack("{s:s, s:s}", "kind", kind, "weights", from);
    if (config == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the path %.200s is no UTF-8 text; rename the file", from);
    }
    frontend *fe = NULL;
    spoor_status status = frontend_new_with(ctx, config, &(frontend_options){.precision = "f32"}, &fe, err);
    if (status == SPOOR_OK) {
        status = int8_measure(fe, o, measured, err);
    }
    if (status == SPOOR_OK) {
        status = save_text(ctx, file, to, INT8_KEY, json_object_get(*measured, "int8"), err);
    }
    frontend_free(fe);
    json_decref(config);
    return status;
}

spoor_status reduce_calibrate(spoor_context *ctx, const char *from, const char *to, const int8_options *options,
                              json_t **plans, spoor_error *err) {
    safetensors *file;
    int8_options o = *options;
    json_t *measured = NULL;
    spoor_error why = {0};
    spoor_status status = safetensors_map(ctx, from, &file, &why);
    if (status == SPOOR_ERR_IO || status == SPOOR_ERR_MODEL) { /* a folder or another format, most likely */
        return error_set(err, SPOOR_ERR_MODEL,
                         "%.250s; a calibration goes into one safetensors file, which spoor convert makes of any "
                         "checkpoint",
                         why.message);
    }
    if (status != SPOOR_OK) {
        return error_set(err, status, "%s", why.message);
    }
    status = safetensors_meta(file, "spoor") != NULL ? of_model(ctx, file, from, to, &o, &measured, err)
                                                     : of_checkpoint(ctx, file, from, to, &o, &measured, err);
    if (status == SPOOR_OK && plans != NULL) {
        status = list_plans(measured, plans, err);
    }
    json_decref(measured);
    safetensors_free(file);
    return status;
}
