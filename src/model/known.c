/* known.c: a model file with other metadata and other open-set statistics; every other tensor keeps its bytes. */
#include "model/model.h"
#include "weights/safetensors.h"
#include <stdlib.h>
#include <string.h>

static bool is_statistic(const char *name) { return strncmp(name, "openset.", 8) == 0; }

/* A safetensors_read_fn: tensor `number` of the old file as it stands there. */
static spoor_status copy_tensor(void *user, size_t number, void *elements, spoor_error *err) {
    (void)err;
    const safetensors_tensor *t = safetensors_at(user, number);
    memcpy(elements, t->data, t->bytes);
    return SPOOR_OK;
}

/* With another text under `own` in the metadata, at its old place or at the end. */
static spoor_status copy_all(safetensors_writer *w, safetensors *old, const char *own, const char *text,
                             bool statistics, spoor_error *err) {
    for (size_t i = 0; i < safetensors_meta_count(old); i++) {
        const char *key, *value;
        safetensors_meta_at(old, i, &key, &value);
        TRY(safetensors_writer_meta(w, key, strcmp(key, own) == 0 ? text : value, err));
    }
    TRY(safetensors_meta(old, own) != NULL ? SPOOR_OK : safetensors_writer_meta(w, own, text, err));
    for (size_t i = 0; i < safetensors_count(old); i++) {
        const safetensors_tensor *t = safetensors_at(old, i);
        if (statistics || !is_statistic(t->name)) {
            TRY(safetensors_writer_add_later(w, t->name, t->dtype, t->rank, t->shape, copy_tensor, old, i, err));
        }
    }
    return SPOOR_OK;
}

spoor_status model_set_known(spoor_context *ctx, const char *from, const char *to, const spoor_model *m,
                             spoor_error *err) {
    safetensors *old;
    safetensors_writer *w = NULL;
    TRY(safetensors_open(ctx, from, &old, err));
    char *text = json_dumps(m->meta, JSON_COMPACT | JSON_PRESERVE_ORDER);
    spoor_status status = text == NULL ? error_memory(err, "writing a model") : safetensors_writer_new(ctx, &w, err);
    if (status == SPOOR_OK) {
        status = copy_all(w, old, "spoor", text, false, err);
    }
    if (status == SPOOR_OK) {
        status = model_add_statistics(w, &m->openset, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, to, err);
    }
    safetensors_writer_free(w);
    safetensors_free(old);
    free(text);
    return status;
}

spoor_status model_set_text(spoor_context *ctx, safetensors *old, const char *to, const char *key, const char *text,
                            spoor_error *err) {
    safetensors_writer *w;
    TRY(safetensors_writer_new(ctx, &w, err));
    spoor_status status = copy_all(w, old, key, text, true, err);
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, to, err);
    }
    safetensors_writer_free(w);
    return status;
}

/* Does the front end name a checkpoint by a path that counts from the model's folder? */
static bool has_relative_path(const json_t *j) {
    const char *key;
    json_t *value;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)j, i, value) {
        if (has_relative_path(value)) {
            return true;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        const char *text = json_string_value(value);
        if (text != NULL ? strcmp(key, "weights") == 0 && text[0] != '/' : has_relative_path(value)) {
            return true;
        }
    }
    return false;
}

spoor_status model_check_folder(const spoor_model *m, const char *from, const char *to, spoor_error *err) {
    const char *a = strrchr(from, '/'), *b = strrchr(to, '/');
    size_t n = a == NULL ? 0 : (size_t)(a - from), k = b == NULL ? 0 : (size_t)(b - to);
    bool same = n == k && memcmp(from, to, n) == 0;
    if (!same && has_relative_path(json_object_get(m->meta, "frontend"))) {
        return error_set(err, SPOOR_ERR_USAGE, "the model names its front end's weights by a path beside it: write the "
                         "new one into the same folder");
    }
    return SPOOR_OK;
}
