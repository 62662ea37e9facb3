/* task_weights.c: see task_weights.h. */
#include "train/task_weights.h"
#include <math.h>

struct task_weights {
    spoor_context *ctx;
    const recipe *r;
    size_t n;
    float **classes; /* [tasks]; NULL entries: none */
    params *params;  /* NULL: not learned */
    tensor *learned;
};

void task_weights_free(task_weights *w) {
    if (!w) {
        return;
    }
    for (size_t k = 0; w->classes && k < w->n; k++) {
        ctx_free(w->ctx, w->classes[k]);
    }
    ctx_free(w->ctx, w->classes);
    params_free(w->params);
    ctx_free(w->ctx, w);
}

/* As scikit-learn's "balanced". */
static void balanced(const dataset_task *d, float *out) {
    size_t total = 0;
    for (size_t c = 0; c < d->n_classes; c++) {
        total += d->count[c];
    }
    for (size_t c = 0; c < d->n_classes; c++) {
        out[c] = (float)((double)total / ((double)d->n_classes * (double)d->count[c]));
    }
}

static spoor_status given(const dataset_task *d, const json_t *recipe_weights, float *out, spoor_error *err) {
    double most = 0;
    for (size_t c = 0; c < d->n_classes; c++) {
        const json_t *w = json_object_get(recipe_weights, d->classes[c]);
        if (!w) {
            return error_set(err, SPOOR_ERR_USAGE, "data.tasks.%.60s.class_weights has no weight for the class %.80s",
                             d->from.name, d->classes[c]);
        }
        out[c] = (float)json_number_value(w);
        most = json_number_value(w) > most ? json_number_value(w) : most;
    }
    return most > 0 ? SPOOR_OK
                    : error_set(err, SPOOR_ERR_USAGE, "data.tasks.%.60s.class_weights: no class that there is has a "
                                                      "weight above 0",
                                d->from.name);
}

static spoor_status weigh_classes(task_weights *w, const dataset *d, spoor_error *err) {
    w->classes = ctx_calloc(w->ctx, d->n_tasks, sizeof *w->classes);
    if (!w->classes) {
        return error_memory(err, "weighing classes");
    }
    w->n = d->n_tasks;
    for (size_t k = 0; k < d->n_tasks; k++) {
        const recipe_task *t = &w->r->task[k];
        if (!t->balanced && !t->class_weights) {
            continue;
        }
        w->classes[k] = ctx_alloc(w->ctx, d->task[k].n_classes, sizeof **w->classes);
        if (!w->classes[k]) {
            return error_memory(err, "weighing classes");
        }
        if (t->balanced) {
            balanced(&d->task[k], w->classes[k]);
        } else {
            TRY(given(&d->task[k], t->class_weights, w->classes[k], err));
        }
    }
    return SPOOR_OK;
}

static spoor_status learn(task_weights *w, spoor_error *err) {
    int64_t n = (int64_t)w->n;
    TRY(params_new(w->ctx, 0, &w->params, err));
    TRY(params_add(w->params, TASK_WEIGHTS_NAME, 1, &n, PARAM_ZEROS, 0, true, false, &w->learned, err));
    for (size_t k = 0; k < w->n; k++) {
        w->learned->data[k] = (real)w->r->task[k].weight;
    }
    return SPOOR_OK;
}

spoor_status task_weights_new(spoor_context *ctx, const recipe *r, const dataset *d, task_weights **out,
                              spoor_error *err) {
    *out = NULL;
    task_weights *w = ctx_calloc(ctx, 1, sizeof *w);
    if (!w) {
        return error_memory(err, "weighing tasks");
    }
    *w = (task_weights){.ctx = ctx, .r = r};
    spoor_status status = weigh_classes(w, d, err);
    if (status == SPOOR_OK && r->task_weights == RECIPE_WEIGHTS_LEARNED) {
        status = learn(w, err);
    }
    if (status != SPOOR_OK) {
        task_weights_free(w);
        return status;
    }
    *out = w;
    return SPOOR_OK;
}

const float *task_weights_classes(const task_weights *w, size_t k) { return w->classes[k]; }
params *task_weights_params(const task_weights *w) { return w->params; }
tensor *task_weights_learned(const task_weights *w) { return w->learned; }

double task_weights_of(const task_weights *w, size_t k) {
    if (w->r->task_weights == RECIPE_WEIGHTS_FIXED) {
        return w->r->task[k].weight;
    }
    double sum = 0, own = 0, top = -INFINITY;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < w->n; i++) {
            double x = w->learned ? (double)w->learned->data[i] : w->r->task[i].weight;
            top = pass == 0 && x > top ? x : top;
            sum += pass == 1 ? exp(x - top) : 0;
            own = i == k ? x : own;
        }
    }
    return exp(own - top) / sum;
}
