/* attributes.c: tasks that are attributes of sources: sums over the classes of a joint head, and what is said of
 * sources that the model does not know; see model.h. */
#include "model/model.h"
#include "net/joint.h"
#include <math.h>
#include <string.h>

size_t model_row_size(const spoor_model *m) {
    const net_joint *j = net_joint_head(m->net);
    size_t n = model_offset(m, m->n_tasks);
    for (size_t i = 0; j != NULL && i < j->n; i++) {
        n += (size_t)j->parent[i].values;
    }
    return n;
}

/* log sum_c share_c exp(z_c / t), where a share is above 0. */
static double log_mix(const float *z, const real *share, int64_t n, double t) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) {
        top = share[c] > 0 && (double)z[c] > top ? (double)z[c] : top;
    }
    for (int64_t c = 0; c < n; c++) {
        sum += share[c] > 0 ? (double)share[c] * exp(((double)z[c] - top) / t) : 0;
    }
    return top / t + log(sum);
}

void model_join(const spoor_model *m, float *row) {
    const net_joint *j = net_joint_head(m->net);
    if (j == NULL) {
        return;
    }
    const float *z = row + model_offset(m, j->task);
    double t = m->tasks[j->task].temperature;
    for (size_t i = 0; i < j->n; i++) {
        const joint_parent *p = &j->parent[i];
        float *to = row + model_offset(m, p->task);
        for (int64_t v = 0; v < p->values; v++) {
            to[v] = (float)(t * log_mix(z, p->mix + v * j->classes, j->classes, t));
        }
    }
}

bool model_is_parent(const spoor_model *m, size_t task) {
    const net_joint *j = net_joint_head(m->net);
    for (size_t i = 0; j != NULL && i < j->n; i++) {
        if (j->parent[i].task == task) {
            return true;
        }
    }
    return false;
}

bool model_is_attribute(const spoor_model *m, size_t task) {
    bool named = m->taxonomy != NULL && taxonomy_attribute(m->taxonomy, m->tasks[task].name) != SIZE_MAX;
    bool judges = task == m->bonafide_task && m->tasks[task].n_classes == 2;
    return task != m->known_task && !judges && (named || model_is_parent(m, task));
}

const float *model_evidence(const spoor_model *m, const float *row, size_t task) {
    const net_joint *j = net_joint_head(m->net);
    size_t at = model_offset(m, m->n_tasks);
    for (size_t i = 0; j != NULL && i < j->n; i++) {
        if (j->parent[i].task == task) {
            return row + at;
        }
        at += (size_t)j->parent[i].values;
    }
    return row + model_offset(m, task);
}

double model_known_probability(const spoor_model *m, double known) {
    if (isnan(known)) {
        return NAN;
    }
    if (m->has_odds) {
        return calibrate_logistic_p(&m->odds, known);
    }
    bool above = known >= m->openset.threshold;
    double a = above ? m->accepted.known : 1 - m->accepted.known,
           b = above ? m->accepted.unknown : 1 - m->accepted.unknown;
    return m->accepted.known > 0 && a + b > 0 ? a / (a + b) : above ? 1 : 0;
}

/* Adds share times softmax(x / temperature) over all classes but `without` to p. */
static void add_softmax(const float *x, size_t n, int64_t without, double temperature, double share, double *p) {
    double top = -INFINITY, sum = 0;
    for (size_t c = 0; c < n; c++) {
        top = (int64_t)c != without && (double)x[c] > top ? (double)x[c] : top;
    }
    for (size_t c = 0; c < n; c++) {
        sum += (int64_t)c == without ? 0 : exp(((double)x[c] - top) / temperature);
    }
    for (size_t c = 0; c < n; c++) {
        p[c] += (int64_t)c == without ? 0 : share * exp(((double)x[c] - top) / temperature) / sum;
    }
}

/* Adds share times what the evidence x is worth of an unseen source to p. */
static void add_evidence(const model_task *t, const float *x, double share, double *p) {
    float own[CALIBRATE_MAX_VALUES] = {0};
    double of[CALIBRATE_MAX_VALUES] = {0};
    int32_t map[CALIBRATE_MAX_VALUES];
    size_t n = 0;
    for (size_t c = 0; c < t->n_classes; c++) {
        if ((int64_t)c != t->human && n < t->evidence->values) {
            own[n] = x[c];
            map[n++] = (int32_t)c;
        }
    }
    calibrate_evidence_p(t->evidence, own, of);
    for (size_t k = 0; k < n; k++) {
        p[map[k]] += share * of[k];
    }
}

void model_attribute(const spoor_model *m, size_t task, const float *row, double w, double *p) {
    const model_task *t = &m->tasks[task];
    int64_t human = t->human;
    bool doubts = (t->unseen > 0 || t->evidence != NULL) && !isnan(w);
    for (size_t c = 0; c < t->n_classes; c++) {
        p[c] = 0;
    }
    add_softmax(row + model_offset(m, task), t->n_classes, human, t->temperature, doubts ? w : 1, p);
    if (doubts && t->evidence != NULL) {
        add_evidence(t, model_evidence(m, row, task), 1 - w, p);
    } else if (doubts) {
        add_softmax(model_evidence(m, row, task), t->n_classes, human, t->unseen, 1 - w, p);
    }
}

/* Does the model answer a question of this taxonomy, with at least two of its values? */
static bool fits(const spoor_model *m, const taxonomy *x) {
    for (size_t k = 0; k < m->n_tasks; k++) {
        size_t a = taxonomy_attribute(x, m->tasks[k].name), named = 0;
        for (size_t c = 0; a != SIZE_MAX && c < m->tasks[k].n_classes; c++) {
            named += taxonomy_value(x, a, m->tasks[k].classes[c]) != SIZE_MAX;
        }
        if (named >= 2) {
            return true;
        }
    }
    return false;
}

spoor_status model_take_taxonomy(spoor_model *m, const char *path, spoor_error *err) {
    const json_t *own = json_object_get(m->meta, "taxonomy");
    taxonomy *x = NULL;
    if (path != NULL && path[0] != '\0') {
        TRY(taxonomy_open(m->ctx, path, &x, err));
    } else if (own != NULL) {
        spoor_error inner = {SPOOR_OK, ""};
        spoor_status status = taxonomy_from_json(m->ctx, own, "its taxonomy", &x, &inner);
        if (status != SPOOR_OK) {
            return error_set(err, status == SPOOR_ERR_INPUT ? SPOOR_ERR_MODEL : status, "%.150s is no usable model: %s",
                             m->path == NULL ? "the file" : m->path, inner.message);
        }
    } else {
        TRY(taxonomy_open(m->ctx, NULL, &x, err));
    }
    if ((path == NULL || path[0] == '\0') && own == NULL && !fits(m, x)) {
        taxonomy_free(x);
        x = NULL;
    }
    taxonomy_free(m->taxonomy);
    m->taxonomy = x;
    return SPOOR_OK;
}
