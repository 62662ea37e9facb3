/* resynth.c: see resynth.h. */
#include "train/resynth.h"
#include <string.h>

void resynth_free(resynth *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; s->generator && i < s->n; i++) {
        augment_free(s->generator[i].chain);
        ctx_free(s->ctx, s->generator[i].target);
    }
    ctx_free(s->ctx, s->generator);
    ctx_free(s->ctx, s->content);
    ctx_free(s->ctx, s);
}

static spoor_status read_label(const dataset *d, size_t index, const char *task, const json_t *value, int64_t *target,
                               spoor_error *err) {
    const char *name = json_string_value(value);
    for (size_t k = 0; k < d->n_tasks; k++) {
        if (strcmp(d->task[k].from.name, task) == 0) {
            target[k] = name ? labels_find(d->task[k].classes, d->task[k].n_classes, name) : -1;
            return target[k] >= 0
                       ? SPOOR_OK
                       : error_set(err, SPOOR_ERR_USAGE, "sampler.resynth.generators[%zu].labels: %.60s is no class of "
                                   "the task %.60s", index, name ? name : "a value that is no text", task);
        }
    }
    return error_set(err, SPOOR_ERR_USAGE, "sampler.resynth.generators[%zu].labels: there is no task named %.60s",
                     index, task);
}

static spoor_status read_generator(resynth *s, size_t index, json_t *entry, const dataset *d, spoor_error *err) {
    resynth_generator *g = &s->generator[index];
    const json_t *steps = json_object_get(entry, "steps");
    spoor_error inner = {SPOOR_OK, ""};
    if (augment_new(s->ctx, steps, &g->chain, &inner) != SPOOR_OK) {
        return error_set(err, inner.status, "sampler.resynth.generators[%zu]: %s", index, inner.message);
    }
    if (augment_set_at(g->chain, 0) != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler.resynth.generators[%zu]: a step with \"files\" belongs into "
                                               "augment",
                         index);
    }
    g->original = json_array_size(steps) == 0;
    g->target = ctx_alloc(s->ctx, d->n_tasks, sizeof *g->target);
    if (!g->target || json_object_set_new(entry, "steps", json_deep_copy(augment_config(g->chain))) != 0) {
        return error_memory(err, "making pseudo-generators");
    }
    for (size_t k = 0; k < d->n_tasks; k++) {
        g->target[k] = -1;
    }
    const char *task;
    json_t *value;
    json_object_foreach(json_object_get(entry, "labels"), task, value) {
        TRY(read_label(d, index, task, value, g->target, err));
    }
    return SPOOR_OK;
}

static spoor_status fill(resynth *s, const recipe *r, const dataset *d, spoor_error *err) {
    s->generator = ctx_calloc(s->ctx, s->n, sizeof *s->generator);
    s->content = ctx_alloc(s->ctx, d->n_train, sizeof *s->content);
    if (!s->generator || !s->content) {
        return error_memory(err, "making pseudo-generators");
    }
    for (size_t i = 0; i < s->n; i++) {
        TRY(read_generator(s, i, json_array_get(r->resynth.generators, i), d, err));
    }
    for (size_t i = 0; i < d->n_train; i++) {
        bool takes = manifest_match(d->manifest, d->rows[i], r->resynth.where.item, r->resynth.where.n);
        s->content[i] = takes ? (int32_t)i : -1;
    }
    return SPOOR_OK;
}

spoor_status resynth_new(spoor_context *ctx, recipe *r, const dataset *d, resynth **out, spoor_error *err) {
    *out = NULL;
    if (!r->resynth.generators) {
        return SPOOR_OK;
    }
    resynth *s = ctx_calloc(ctx, 1, sizeof *s);
    if (!s) {
        return error_memory(err, "making pseudo-generators");
    }
    *s = (resynth){.ctx = ctx, .n = json_array_size(r->resynth.generators), .n_tasks = d->n_tasks};
    spoor_status status = fill(s, r, d, err);
    if (status != SPOOR_OK) {
        resynth_free(s);
        return status;
    }
    *out = s;
    return SPOOR_OK;
}

int64_t resynth_target(const resynth *s, size_t generator, size_t k, int64_t own) {
    const resynth_generator *g = &s->generator[generator];
    return g->target[k] >= 0 || !g->original ? g->target[k] : own;
}
