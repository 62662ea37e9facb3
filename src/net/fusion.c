/* fusion.c: see fusion.h. */
#include "net/fusion.h"
#include "base/config.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const METHODS[] = {"average", "logistic", NULL};
static const char *const SCORES[] = {"probabilities", "log-probabilities", "none", NULL}; /* net_scores */
static const char WHERE[] = "network.fusion";

static spoor_status configure_groups(fusion *f, const json_t *list, size_t n_members, spoor_error *err) {
    size_t covered = 0;
    f->n_groups = list == NULL ? n_members : json_array_size(list);
    bool good = f->n_groups >= 1 && f->n_groups <= NET_MAX_MEMBERS;
    for (size_t i = 0; good && i < f->n_groups; i++) {
        f->group[i] = list == NULL ? 1 : json_integer_value(json_array_get(list, i));
        good = f->group[i] >= 1 && f->group[i] <= NET_MAX_MEMBERS;
        covered += good ? (size_t)f->group[i] : 0;
    }
    return good && covered == n_members
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE,
                           "%s.groups must say how many of the %zu members each model has, in order", WHERE, n_members);
}

static spoor_status configure_weights(fusion *f, const json_t *list, spoor_error *err) {
    bool good = list == NULL || json_array_size(list) == f->n_groups;
    double sum = 0;
    for (size_t i = 0; good && i < f->n_groups; i++) {
        const json_t *item = json_array_get(list, i);
        f->weight[i] = list == NULL ? 1 / (double)f->n_groups : json_number_value(item);
        good = f->weight[i] >= 0 && f->weight[i] <= 1e6 && (list == NULL || json_is_number(item));
        sum += good ? f->weight[i] : 0;
    }
    return good && sum > 0 ? SPOOR_OK
                           : error_set(err, SPOOR_ERR_USAGE,
                                       "%s.weights must be a number from 0 on for each of the %zu models, not "
                                       "all of them 0",
                                       WHERE, f->n_groups);
}

spoor_status fusion_configure(fusion *f, const json_t *config, size_t n_members, spoor_error *err) {
    static const char *const average[] = {"method", "scores", "groups", "weights", NULL};
    static const char *const logistic[] = {"method", "scores", "groups", NULL};
    int method, scores;
    if (!json_is_object(config)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must be a mapping", WHERE);
    }
    TRY(config_choice(config, WHERE, "method", METHODS, 1, &method, err));
    f->logistic = method == 1;
    TRY(config_keys(config, WHERE, f->logistic ? logistic : average, err));
    TRY(config_choice(config, WHERE, "scores", SCORES, 0, &scores, err));
    f->scores = (net_scores)scores;
    if (!f->logistic && f->scores == NET_SCORES_NONE) {
        return error_set(err, SPOOR_ERR_USAGE, "%s: an average of scores needs scores", WHERE);
    }
    TRY(configure_groups(f, json_object_get(config, "groups"), n_members, err));
    return configure_weights(f, json_object_get(config, "weights"), err);
}

spoor_status fusion_init(fusion *f, params *p, const net_task *tasks, size_t n_tasks, int64_t embeddings,
                         int64_t scores, spoor_error *err) {
    char name[128];
    f->size = embeddings + (f->logistic && f->scores != NET_SCORES_NONE ? scores : 0);
    for (size_t k = 0; f->logistic && k < n_tasks; k++) {
        (void)snprintf(name, sizeof name, "fusion.heads.%s", tasks[k].name);
        TRY(nn_linear_init(&f->heads[k], p, name, f->size, tasks[k].classes, true, err));
    }
    return SPOOR_OK;
}

/* A model's scores for a task as the fusion takes them. */
static tensor *scores_of(const fusion *f, tape *t, tensor *logits) {
    return f->scores == NET_SCORES_PROBABILITIES ? op_softmax(t, logits) : op_log_softmax(t, logits);
}

/* Unit embeddings, and with a head the scores behind them: [B,size]. */
static tensor *side_by_side(const fusion *f, tape *t, const net_output *model, size_t n_tasks) {
    tensor **part = tape_alloc(t, f->n_groups * (1 + n_tasks), sizeof(tensor *));
    size_t n = 0;
    for (size_t g = 0; part != NULL && g < f->n_groups; g++) {
        if (model[g].embedding != NULL) {
            part[n++] = op_normalise(t, model[g].embedding, (real)1e-12);
        }
    }
    for (size_t g = 0; part != NULL && f->logistic && f->scores != NET_SCORES_NONE && g < f->n_groups; g++) {
        for (size_t k = 0; k < n_tasks; k++) {
            if (model[g].logits[k] != NULL) {
                part[n++] = scores_of(f, t, model[g].logits[k]);
            }
        }
    }
    return part == NULL || !tape_ok(t) ? NULL : op_concat(t, part, n, 1);
}

/* log sum_g w_g p_g, or sum_g w_g log p_g, of the log probabilities of some models; the weights sum to 1. */
static void average_row(const fusion *f, const real *const *row, const double *w, size_t n, int64_t classes,
                        real *out) {
    for (int64_t c = 0; c < classes; c++) {
        double sum = 0, top = -INFINITY;
        for (size_t g = 0; g < n; g++) {
            top = w[g] > 0 && (double)row[g][c] > top ? (double)row[g][c] : top;
        }
        for (size_t g = 0; g < n; g++) {
            double x = (double)row[g][c];
            sum += w[g] == 0 ? 0 : f->scores == NET_SCORES_PROBABILITIES ? w[g] * exp(x - top) : w[g] * x;
        }
        out[c] = (real)(f->scores == NET_SCORES_PROBABILITIES ? top + log(sum) : sum);
    }
}

/* The average over the models that answer task k. */
static tensor *average(const fusion *f, tape *t, const net_output *model, size_t k) {
    tensor *own[NET_MAX_MEMBERS];
    double w[NET_MAX_MEMBERS], all = 0;
    size_t n = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        if (model[g].logits[k] != NULL) {
            own[n] = op_log_softmax(t, model[g].logits[k]);
            w[n] = f->weight[g];
            all += w[n++];
        }
    }
    if (n == 0 || !tape_ok(t)) {
        return NULL;
    }
    for (size_t g = 0; g < n; g++) {
        w[g] = all > 0 ? w[g] / all : 1 / (double)n;
    }
    tensor *out = tape_tensor(t, 2, own[0]->dim);
    for (int64_t b = 0; out != NULL && b < own[0]->dim[0]; b++) {
        const real *row[NET_MAX_MEMBERS];
        for (size_t g = 0; g < n; g++) {
            row[g] = own[g]->data + b * own[0]->dim[1];
        }
        average_row(f, row, w, n, own[0]->dim[1], out->data + b * own[0]->dim[1]);
    }
    return out;
}

void fusion_forward(const fusion *f, tape *t, const net_output *model, size_t n_tasks, net_output *out) {
    out->embedding = side_by_side(f, t, model, n_tasks);
    for (size_t k = 0; k < n_tasks; k++) {
        out->logits[k] =
            f->logistic ? nn_linear_forward(&f->heads[k], t, out->embedding, OP_ACT_NONE) : average(f, t, model, k);
    }
}

json_t *fusion_describe(const fusion *f) {
    json_t *groups = json_array(), *weights = json_array();
    bool good = true;
    for (size_t i = 0; i < f->n_groups; i++) {
        good = json_array_append_new(groups, json_integer(f->group[i])) == 0 &&
               json_array_append_new(weights, json_real(f->weight[i])) == 0 && good;
    }
    json_t *out =
        json_pack("{s:s, s:s, s:o}", "method", METHODS[f->logistic], "scores", SCORES[f->scores], "groups", groups);
    good = (f->logistic || json_object_set(out, "weights", weights) == 0) && good;
    json_decref(weights);
    if (!good) {
        json_decref(out);
        return NULL;
    }
    return out;
}
