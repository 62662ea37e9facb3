/* bonafide.c: how human a recording is by the logits of all tasks; see model.h. */
#include "model/model.h"
#include "base/logsum.h"
#include <math.h>
#include <string.h>

const char *const MODEL_BONAFIDE_KINDS[] = {"mean", "task", "product", "spoof-product", NULL};

size_t model_bonafide_task(const model_task *tasks, size_t n) {
    size_t any = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (tasks[i].human < 0 || tasks[i].n_classes < 2) {
            continue;
        }
        if (strcmp(tasks[i].name, "bonafide") == 0) {
            return i;
        }
        any = any == SIZE_MAX ? i : any;
    }
    return any;
}

double model_human_log_odds(const model_task *task, const float *logits) {
    return (double)logits[task->human] - log_sum_exp(logits, task->n_classes, task->human, 1);
}

/* log sigmoid(z) */
static double log_sigmoid(double z) { return z < 0 ? z - log1p(exp(z)) : -log1p(exp(-z)); }

/* Log odds of a probability of which the logarithm is given. Where it is 1 to the last digit, the odds are as large as
 * a double can tell from that. */
static double odds_of_log(double l) {
    double most = -1e-300;
    l = l < most ? l : most;
    return l - log(-expm1(l));
}

double model_bonafide_score(const spoor_model *m, const float *logits) {
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < m->n_tasks; i++) {
        const model_task *task = &m->tasks[i];
        bool counts = task->human >= 0 && task->n_classes > 1 &&
                      (m->bonafide_kind != MODEL_BONAFIDE_TASK || i == m->bonafide_task);
        double z = counts ? model_human_log_odds(task, logits) : 0;
        sum += m->bonafide_kind == MODEL_BONAFIDE_PRODUCT         ? (counts ? log_sigmoid(z) : 0)
               : m->bonafide_kind == MODEL_BONAFIDE_SPOOF_PRODUCT ? (counts ? log_sigmoid(-z) : 0)
                                                                  : z;
        n += counts;
        logits += task->n_classes;
    }
    double mean = n == 0 ? NAN : sum / (double)n;
    return n == 0                                             ? NAN
           : m->bonafide_kind == MODEL_BONAFIDE_PRODUCT       ? odds_of_log(mean)
           : m->bonafide_kind == MODEL_BONAFIDE_SPOOF_PRODUCT ? -odds_of_log(mean)
                                                              : mean;
}

static bool find_kind(const char *name, model_bonafide_kind *out) {
    for (int i = 0; MODEL_BONAFIDE_KINDS[i] != NULL; i++) {
        if (strcmp(name, MODEL_BONAFIDE_KINDS[i]) == 0) {
            *out = (model_bonafide_kind)i;
            return true;
        }
    }
    return false;
}

spoor_status model_bonafide_kind_from_json(const json_t *json, model_bonafide_kind *out, spoor_error *err) {
    *out = MODEL_BONAFIDE_MEAN;
    return json == NULL || (json_is_string(json) && find_kind(json_string_value(json), out))
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "its bona fide score is none of mean, task, product, spoof-product");
}

spoor_status model_judge_as(spoor_model *m, const char *kind, spoor_error *err) {
    if (kind == NULL) {
        return SPOOR_OK;
    }
    m->bonafide = (calibrate_logistic){.scale = 1, .prior = m->bonafide.prior, .informative = true};
    return find_kind(kind, &m->bonafide_kind)
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "the bona fide score \"%.60s\" is none of mean, task, product, "
                                                 "spoof-product", kind);
}
