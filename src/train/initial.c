/* initial.c: see initial.h. */
#include "train/initial.h"
#include "model/model.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 400 /* bytes of names that the log lists */ };

typedef struct source {
    const initial_options *o;
    const safetensors *file;
    json_t *meta;
    char anew[SHOWN];
    size_t taken, left, matrices; /* of those taken; a scale of one number fits anywhere */
} source;

/* "members.3.heads.a.weight" -> "heads.a.weight" */
static const char *without_member(const char *name) {
    static const char members[] = "members.";
    if (strncmp(name, members, sizeof members - 1) == 0) {
        const char *at = name + sizeof members - 1;
        at += strspn(at, "0123456789");
        return *at == '.' ? at + 1 : name;
    }
    return name;
}

/* Whether the file's task of that name has the same classes in the same order. */
static bool same_classes(const source *s, const dataset_task *task) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(s->meta, "tasks"), i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        const json_t *classes = json_object_get(one, "classes");
        if (!name || strcmp(name, task->from.name) != 0) {
            continue;
        }
        bool same = json_array_size(classes) == task->n_classes;
        for (size_t c = 0; same && c < task->n_classes; c++) {
            const char *class = json_string_value(json_array_get(classes, c));
            same = class && strcmp(class, task->classes[c]) == 0;
        }
        return same;
    }
    return false;
}

/* What a head says is of its classes, so it fits those alone. */
static bool head_fits(const source *s, const char *name) {
    char prefix[128];
    for (size_t i = 0; i < s->o->d->n_tasks; i++) {
        snprintf(prefix, sizeof prefix, "heads.%.100s", s->o->d->task[i].from.name);
        if (params_under(without_member(name), prefix)) {
            return same_classes(s, &s->o->d->task[i]);
        }
    }
    return true;
}

static bool fits(const source *s, const param *p, const safetensors_tensor *t) {
    bool same = t && t->rank == p->value.ndim && (t->dtype == SAFETENSORS_F32 || t->dtype == SAFETENSORS_F16);
    for (int i = 0; same && i < t->rank; i++) {
        same = t->shape[i] == p->value.dim[i];
    }
    return same && head_fits(s, p->name);
}

static spoor_status take(source *s, param *p, spoor_error *err) {
    const safetensors_tensor *t = safetensors_find(s->file, p->name);
    if (!p->value.data) { /* frozen weights that are laid out for products */
        return SPOOR_OK;
    }
    if (!fits(s, p, t)) {
        size_t used = strlen(s->anew);
        snprintf(s->anew + used, sizeof s->anew - used, "%s%s", used ? ", " : "", p->name);
        s->left++;
        return SPOOR_OK;
    }
    safetensors_to_f32(t, (float *)p->value.data);
    for (size_t i = 0; i < t->count; i++) {
        if (!isfinite((double)p->value.data[i])) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %.150s holds NaN or Inf", s->o->path, p->name);
        }
    }
    s->taken++;
    s->matrices += p->decay;
    return SPOOR_OK;
}

static spoor_status check_frontend(spoor_context *ctx, const source *s, spoor_error *err) {
    const json_t *trained = json_object_get(json_object_get(s->meta, "provenance"), "recipe");
    if (json_is_object(json_object_get(trained, "finetune")) && !s->o->finetune) {
        return error_set(err, SPOOR_ERR_USAGE, "%s has a front end that was trained along; train it here too (a "
                         "section finetune), or start from another model", s->o->path);
    }
    json_t *own = frontend_describe(s->o->fe);
    if (!own) {
        return error_memory(err, "starting a training");
    }
    if (!json_equal(own, json_object_get(s->meta, "frontend"))) {
        ctx_log(ctx, SPOOR_LOG_WARN, "%s was trained on another front end", s->o->path);
    }
    json_decref(own);
    return SPOOR_OK;
}

static spoor_status load(spoor_context *ctx, params *p, source *s, spoor_error *err) {
    const char *text = safetensors_meta(s->file, "spoor"), *path = s->o->path;
    s->meta = text && strlen(text) <= MODEL_META_MAX ? json_loads(text, 0, NULL) : NULL;
    if (!json_is_object(s->meta)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s is no model file to start from", path);
    }
    TRY(check_frontend(ctx, s, err));
    for (size_t i = 0; i < params_count(p); i++) {
        TRY(take(s, params_at(p, i), err));
    }
    if (s->matrices == 0) {
        return error_set(err, SPOOR_ERR_MODEL, "%s has no weights that fit this network, so nothing can start from it",
                         path);
    }
    ctx_log(ctx, SPOOR_LOG_INFO, "weights of %s: %zu of %zu tensors%s%s", path, s->taken, s->taken + s->left,
            s->left ? "; these start anew: " : "", s->anew);
    return SPOOR_OK;
}

spoor_status initial_load(spoor_context *ctx, params *p, const initial_options *options, spoor_error *err) {
    safetensors *file;
    TRY(safetensors_map(ctx, options->path, &file, err));
    source s = {.o = options, .file = file};
    spoor_status status = load(ctx, p, &s, err);
    json_decref(s.meta);
    safetensors_free(file);
    return status;
}
