/* recipe_stages.c: see recipe_stages.h. */
#include "train/recipe_stages.h"
#include "base/config.h"
#include "train/recipe_parts.h"
#include <string.h>

/* RFC 7396: `over` laid over the object `into`. */
static bool merge(json_t *into, const json_t *over) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)over, key, value) {
        if (json_is_null(value)) {
            (void)json_object_del(into, key);
            continue;
        }
        if (!json_is_object(value)) {
            if (json_object_set_new(into, key, json_deep_copy(value)) != 0) {
                return false;
            }
            continue;
        }
        json_t *own = json_object_get(into, key);
        if (!json_is_object(own)) {
            own = json_object();
            if (json_object_set_new(into, key, own) != 0) {
                return false;
            }
        }
        if (!merge(own, value)) {
            return false;
        }
    }
    return true;
}

static size_t find(const recipe_stages *s, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s->stage[i].name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* It becomes the name of a folder. */
static spoor_status read_name(recipe_stages *s, const json_t *stage, spoor_error *err) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *name = json_string_value(json_object_get(stage, "name"));
    if (!json_is_object(stage) || !name || !*name || strlen(name) > RECIPE_STAGE_NAME ||
        strspn(name, letters) != strlen(name)) {
        return error_set(err, SPOOR_ERR_USAGE, "stages: entry %zu must be a mapping with a name of letters, digits, - "
                                               "and _",
                         s->n + 1);
    }
    if (find(s, s->n, name) != SIZE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "stages: two are named %s", name);
    }
    s->stage[s->n].name = name;
    return SPOOR_OK;
}

static spoor_status read_stage(recipe_stages *s, const json_t *stage, const char *folder, spoor_error *err) {
    recipe_stage *to = &s->stage[s->n];
    TRY(read_name(s, stage, err));
    json_t *own = json_deep_copy(s->whole), *over = json_deep_copy(stage);
    (void)json_object_del(own, "stages");
    (void)json_object_del(own, "final");
    (void)json_object_del(over, "name"); /* the stage's, not the model's */
    spoor_error inner = {SPOOR_OK, ""};
    spoor_status status = own && over && merge(own, over) ? recipe_from_json(s->ctx, own, folder, &to->r, &inner)
                                                          : error_memory(&inner, "reading a recipe");
    json_decref(own);
    json_decref(over);
    if (status != SPOOR_OK) {
        return error_set(err, status, "stage %s: %s", to->name, inner.message);
    }
    to->from = find(s, s->n, to->r->from);
    s->n++;
    return SPOOR_OK;
}

/* A name of a later stage, or of its own, is no model file. */
static spoor_status check_from(const recipe_stages *s, spoor_error *err) {
    for (size_t i = 0; i < s->n; i++) {
        if (s->stage[i].from == SIZE_MAX && find(s, s->n, s->stage[i].r->from) != SIZE_MAX) {
            return error_set(err, SPOOR_ERR_USAGE, "stage %s cannot start from %s, which is not trained before it",
                             s->stage[i].name, s->stage[i].r->from);
        }
    }
    return SPOOR_OK;
}

/* {combine: {TASK: STAGE}} */
static spoor_status read_combine(recipe_stages *s, const json_t *final, spoor_error *err) {
    static const char *const KEYS[] = {"combine", NULL};
    const json_t *combine = json_object_get(final, "combine");
    TRY(config_keys(final, "final", KEYS, err));
    if (json_object_size(combine) == 0 || json_object_size(combine) > NET_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_USAGE, "final.combine must map tasks to the stages that answer them");
    }
    const char *task;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)combine, task, value) {
        size_t i = json_is_string(value) ? find(s, s->n, json_string_value(value)) : SIZE_MAX;
        bool has = false;
        for (size_t k = 0; i != SIZE_MAX && k < s->stage[i].r->n_tasks; k++) {
            has |= strcmp(s->stage[i].r->task[k].name, task) == 0;
        }
        if (!has) {
            return error_set(err, SPOOR_ERR_USAGE, "final.combine.%.60s must name a stage that has this task", task);
        }
        s->shared[s->n_shared].task = task;
        s->shared[s->n_shared++].stage = i;
    }
    s->final = s->n;
    return SPOOR_OK;
}

static spoor_status read_final(recipe_stages *s, spoor_error *err) {
    const char *name;
    if (json_is_object(json_object_get(s->whole, "final"))) {
        return read_combine(s, json_object_get(s->whole, "final"), err);
    }
    TRY(config_string(s->whole, "the recipe", "final", s->stage[s->n - 1].name, &name, err));
    s->final = find(s, s->n, name);
    return s->final == SIZE_MAX ? error_set(err, SPOOR_ERR_USAGE, "final: there is no stage named %.80s", name)
                                : SPOOR_OK;
}

static spoor_status read_stages(recipe_stages *s, const char *folder, spoor_error *err) {
    const json_t *list = json_object_get(s->whole, "stages");
    if (!list) {
        s->stage[0].from = SIZE_MAX;
        TRY(recipe_from_json(s->ctx, s->whole, folder, &s->stage[0].r, err));
        s->n = 1;
        return SPOOR_OK;
    }
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > RECIPE_MAX_STAGES) {
        return error_set(err, SPOOR_ERR_USAGE, "stages must be a list of 1 to %d entries with a name and settings",
                         RECIPE_MAX_STAGES);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(read_stage(s, json_array_get(list, i), folder, err));
    }
    TRY(check_from(s, err));
    return read_final(s, err);
}

spoor_status recipe_stages_from_json(spoor_context *ctx, const json_t *json, const char *folder, recipe_stages **out,
                                     spoor_error *err) {
    *out = NULL;
    recipe_stages *s = ctx_calloc(ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "reading a recipe");
    }
    s->ctx = ctx;
    s->whole = json_deep_copy(json);
    spoor_status status = s->whole ? read_stages(s, folder, err) : error_memory(err, "reading a recipe");
    if (status != SPOOR_OK) {
        recipe_stages_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

void recipe_stages_free(recipe_stages *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        recipe_free(s->ctx, s->stage[i].r);
    }
    json_decref(s->whole);
    ctx_free(s->ctx, s);
}

spoor_status recipe_stages_open(spoor_context *ctx, const char *path, const char *const *set, size_t n_set,
                                recipe_stages **out, spoor_error *err) {
    *out = NULL;
    json_t *json;
    char *folder;
    TRY(recipe_read_file(ctx, path, set, n_set, &json, &folder, err));
    spoor_error inner = {SPOOR_OK, ""};
    spoor_status status = recipe_stages_from_json(ctx, json, folder, out, &inner);
    json_decref(json);
    ctx_free(ctx, folder);
    return status == SPOOR_OK ? SPOOR_OK : error_set(err, status, "%s: %s", path, inner.message);
}
