/* fuse_average.c: weights of averages of scores, chosen on dev; see fuse.h. */
#include "train/fuse.h"
#include "trace/trace.h"
#include <math.h>
#include <string.h>

enum { MOST_STEPS = 20, MOST_CANDIDATES = 1000 };
#define FUSE_FLOOR (-1e3) /* of the logarithm of a probability that no model gives any chance */

void fuse_average_row(const fuse_averaging *a, size_t task, const double *weight, size_t row, double *out) {
    const fuse_scores *t = &a->task[task];
    const float *x = a->x + row * a->d;
    double all = 0;
    for (size_t g = 0; g < t->n_models; g++) {
        all += weight[t->model[g]];
    }
    for (size_t c = 0; c < t->classes; c++) {
        double sum = 0;
        for (size_t g = 0; g < t->n_models; g++) {
            double share = all > 0 ? weight[t->model[g]] / all : 1 / (double)t->n_models,
                   v = (double)x[t->first[g] + c];
            sum += share == 0 ? 0 : a->probabilities ? share * exp(v) : share * v;
        }
        out[c] = fmax(a->probabilities ? log(sum) : sum, FUSE_FLOOR);
    }
}

/* As log_sum_exp (base/logsum.h), of averages that are still in double. */
static double log_sum(const double *x, size_t n) {
    double top = -INFINITY, sum = 0;
    for (size_t c = 0; c < n; c++) {
        top = x[c] > top ? x[c] : top;
    }
    for (size_t c = 0; c < n; c++) {
        sum += exp(x[c] - top);
    }
    return top + log(sum);
}

/* Mean over the tasks with labels of mean cross-entropy and accuracy; false: there is no label. */
static bool judge(const fuse_averaging *a, const double *weight, double *scratch, double *nll, double *accuracy) {
    size_t tasks = 0;
    *nll = *accuracy = 0;
    for (size_t k = 0; k < a->n_tasks; k++) {
        double sum = 0;
        size_t n = 0, hits = 0, classes = a->task[k].classes;
        for (size_t i = 0; i < a->n; i++) {
            int32_t label = a->task[k].label[i];
            if (label < 0) {
                continue;
            }
            fuse_average_row(a, k, weight, i, scratch);
            size_t best = 0;
            for (size_t c = 1; c < classes; c++) {
                best = scratch[c] > scratch[best] ? c : best;
            }
            sum += log_sum(scratch, classes) - scratch[label];
            hits += best == (size_t)label;
            n++;
        }
        if (n > 0) {
            *nll += sum / (double)n;
            *accuracy += (double)hits / (double)n;
            tasks++;
        }
    }
    *nll /= tasks > 0 ? (double)tasks : 1;
    *accuracy /= tasks > 0 ? (double)tasks : 1;
    return tasks > 0;
}

/* Number of ways to part `steps` among n. */
static double candidates(size_t n, size_t steps) {
    double ways = 1;
    for (size_t i = 1; i < n; i++) {
        ways = ways * (double)(steps + i) / (double)i;
    }
    return round(ways);
}

/* The next way to part the steps, from (s,0,..,0) to (0,..,0,s); false: that was the last. */
static bool next(size_t *part, size_t n) {
    size_t last = part[n - 1];
    for (size_t i = n - 1; i-- > 0;) {
        if (part[i] > 0) {
            part[n - 1] = 0;
            part[i]--;
            part[i + 1] = last + 1;
            return true;
        }
    }
    return false;
}

spoor_status fuse_choose_weights(spoor_context *ctx, const fuse_averaging *a, fuse_weights *out, spoor_error *err) {
    size_t steps = MOST_STEPS, part[FUSE_MAX_MODELS] = {0}, classes = 0;
    double weight[FUSE_MAX_MODELS], nll, accuracy;
    *out = (fuse_weights){.n = a->n_models, .nll = INFINITY};
    for (size_t k = 0; k < a->n_tasks; k++) {
        classes = a->task[k].classes > classes ? a->task[k].classes : classes;
    }
    double *scratch = ctx_alloc(ctx, classes, sizeof *scratch);
    if (scratch == NULL) {
        return error_memory(err, "choosing weights");
    }
    for (size_t g = 0; g < a->n_models; g++) {
        weight[g] = 1 / (double)a->n_models;
    }
    bool any = judge(a, weight, scratch, &out->equal_nll, &accuracy);
    for (; steps > 1 && candidates(a->n_models, steps) > MOST_CANDIDATES; steps--) {
    }
    part[0] = steps;
    spoor_status status = any ? SPOOR_OK
                              : error_set(err, SPOOR_ERR_INPUT,
                                          "no dev clip has a known class of any task, so that no "
                                          "weights can be chosen; give them with --weights");
    do {
        for (size_t g = 0; g < a->n_models; g++) {
            weight[g] = (double)part[g] / (double)steps;
        }
        if (status == SPOOR_OK && judge(a, weight, scratch, &nll, &accuracy) && nll < out->nll) {
            out->nll = nll;
            out->accuracy = accuracy;
            memcpy(out->weight, weight, a->n_models * sizeof *weight);
        }
        out->tried++;
        status = status == SPOOR_OK ? ctx_check_cancel(ctx, err) : status;
    } while (status == SPOOR_OK && next(part, a->n_models));
    ctx_free(ctx, scratch);
    return status;
}

/* ---- of models ---- */

spoor_status fuse_find_scores(const spoor_model *m, fuse_scores task[NET_MAX_TASKS], spoor_error *err) {
    for (size_t k = 0; k < m->n_tasks; k++) {
        task[k] = (fuse_scores){.classes = m->tasks[k].n_classes};
        for (size_t g = 0; g < net_fusion_models(m->net); g++) {
            size_t n = task[k].n_models, classes;
            if (!net_fusion_scores(m->net, g, k, &task[k].first[n], &classes)) {
                continue;
            }
            if (classes != task[k].classes) {
                return error_set(err, SPOOR_ERR_USAGE,
                                 "model %zu does not know all classes of the task %.64s that the others know, so that "
                                 "their scores cannot be averaged; use the logistic method",
                                 g + 1, m->tasks[k].name);
            }
            task[k].model[n] = g;
            task[k].n_models++;
        }
        if (task[k].n_models == 0) {
            return error_set(err, SPOOR_ERR_USAGE, "the combined model has no scores of the task %.64s to average",
                             m->tasks[k].name);
        }
    }
    return SPOOR_OK;
}

static spoor_status average_all(spoor_model *m, const fuse_averaging *a, const double *weight, float *logits,
                                spoor_error *err) {
    size_t width = trace_logits_size(m);
    double *row = ctx_alloc(m->ctx, width, sizeof *row);
    spoor_status status = row == NULL ? error_memory(err, "averaging scores") : SPOOR_OK;
    for (size_t i = 0; i < a->n && status == SPOOR_OK; i++) {
        for (size_t k = 0; k < m->n_tasks; k++) {
            fuse_average_row(a, k, weight, i, row);
            for (size_t c = 0; c < m->tasks[k].n_classes; c++) {
                logits[i * width + model_offset(m, k) + c] = (float)row[c];
            }
        }
        status = model_derive(m, logits + i * width, err);
    }
    ctx_free(m->ctx, row);
    return status;
}

spoor_status fuse_average_model(spoor_model *m, const fuse_clips *clips, bool probabilities, const double *weight,
                                fuse_weights *out, float *logits, spoor_error *err) {
    fuse_scores task[NET_MAX_TASKS];
    size_t n = clips->labels->n;
    fuse_averaging a = {.x = clips->embedding,
                        .n = n,
                        .d = (size_t)net_embedding_size(m->net),
                        .task = task,
                        .n_tasks = m->n_tasks,
                        .n_models = net_fusion_models(m->net),
                        .probabilities = probabilities};
    TRY(fuse_find_scores(m, task, err));
    int32_t *label = ctx_alloc(m->ctx, n, m->n_tasks * sizeof *label);
    if (label == NULL) {
        return error_memory(err, "averaging scores");
    }
    for (size_t k = 0; k < m->n_tasks; k++) {
        task[k].label = label + k * n;
        fuse_labels(clips, k, label + k * n);
    }
    spoor_status status = SPOOR_OK;
    if (weight == NULL) {
        status = fuse_choose_weights(m->ctx, &a, out, err);
        weight = out->weight;
    }
    if (status == SPOOR_OK) {
        status = average_all(m, &a, weight, logits, err);
    }
    ctx_free(m->ctx, label);
    return status;
}
