/* tree.c: see tree.h. */
#include "trace/tree.h"
#include "net/joint.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "drawing the tree of a verdict"); }

/* ---- attributes ---- */

static int better_value(const void *a, const void *b) {
    const tree_value *x = a, *y = b;
    return x->p != y->p ? (x->p < y->p ? 1 : -1) : strcmp(x->name, y->name);
}

/* p[values of the taxonomy] from what the task says of its classes; false: no class is one of them. */
static bool by_value(const spoor_model *m, const tree_attribute *a, const double *class_p, double *p) {
    const model_task *t = &m->tasks[a->task];
    double sum = 0;
    for (size_t v = 0; v < TAXONOMY_MAX_VALUES; v++) {
        p[v] = 0;
    }
    for (size_t c = 0; c < t->n_classes; c++) {
        size_t v = taxonomy_value(m->taxonomy, a->attribute, t->classes[c]);
        if (v != SIZE_MAX && (int64_t)c != t->human) {
            p[v] += class_p[c];
            sum += class_p[c];
        }
    }
    for (size_t v = 0; v < TAXONOMY_MAX_VALUES && sum > 0; v++) {
        p[v] /= sum;
    }
    return sum > 0;
}

/* Is this value the one that a task's class of human speech has? */
static bool is_human(const spoor_model *m, size_t attribute, size_t value) {
    static const char *const WORDS[] = {"real", "bonafide", "human"};
    for (size_t i = 0; i < 3; i++) {
        if (taxonomy_value(m->taxonomy, attribute, WORDS[i]) == value) {
            return true;
        }
    }
    return false;
}

static spoor_status fill_attribute(const spoor_model *m, const float *row, double known, tree_attribute *a, bool *has,
                                   spoor_error *err) {
    size_t n = taxonomy_values(m->taxonomy, a->attribute);
    double *p = ctx_alloc(m->ctx, m->tasks[a->task].n_classes, sizeof *p);
    a->value = ctx_alloc(m->ctx, n, sizeof *a->value);
    if (p == NULL || a->value == NULL) {
        ctx_free(m->ctx, p);
        return no_memory(err);
    }
    model_attribute(m, a->task, row, known, p);
    *has = by_value(m, a, p, a->p);
    model_attribute(m, a->task, row, isnan(known) ? known : 0, p);
    (void)by_value(m, a, p, a->unseen);
    for (size_t v = 0; v < n; v++) {
        if (!is_human(m, a->attribute, v)) {
            a->value[a->n++] = (tree_value){taxonomy_value_name(m->taxonomy, a->attribute, v), a->p[v]};
        }
    }
    qsort(a->value, a->n, sizeof *a->value, better_value);
    ctx_free(m->ctx, p);
    return SPOOR_OK;
}

static spoor_status fill_attributes(const spoor_model *m, const float *row, trace_tree *t, spoor_error *err) {
    size_t n = taxonomy_attributes(m->taxonomy);
    t->attribute = ctx_calloc(m->ctx, n, sizeof *t->attribute);
    if (t->attribute == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        tree_attribute *a = &t->attribute[t->n_attributes];
        size_t task = model_find_task(m, taxonomy_attribute_name(m->taxonomy, i));
        bool has = false;
        if (task == SIZE_MAX) {
            continue;
        }
        *a = (tree_attribute){.attribute = i, .task = task, .name = taxonomy_attribute_name(m->taxonomy, i),
                              .title = taxonomy_attribute_title(m->taxonomy, i)};
        t->n_attributes++;
        TRY(fill_attribute(m, row, t->known, a, &has, err));
        if (!has || a->n == 0) { /* a task of that name that asks something else */
            ctx_free(m->ctx, a->value);
            t->n_attributes--;
        }
    }
    return SPOOR_OK;
}

/* ---- sources ---- */

typedef struct own_head { /* the task that names sources */
    const net_joint *joint; /* NULL: its head is another */
    size_t task;            /* SIZE_MAX: there is none */
    double *p;              /* [classes] given that the speech is synthetic */
} own_head;

static spoor_status find_head(const spoor_model *m, const float *row, own_head *h, spoor_error *err) {
    *h = (own_head){.joint = net_joint_head(m->net)};
    h->task = h->joint != NULL ? h->joint->task : model_find_task(m, "codec") != SIZE_MAX ? model_find_task(m, "codec")
                                                                                         : model_find_task(m, "source");
    if (h->task == SIZE_MAX) {
        return SPOOR_OK;
    }
    const model_task *t = &m->tasks[h->task];
    float *kept = ctx_alloc(m->ctx, t->n_classes, sizeof *kept);
    double *p = ctx_alloc(m->ctx, t->n_classes, sizeof *p);
    h->p = ctx_calloc(m->ctx, t->n_classes, sizeof *h->p);
    spoor_status status = kept != NULL && p != NULL && h->p != NULL ? SPOOR_OK : no_memory(err);
    size_t n = status == SPOOR_OK ? model_synthetic_logits(t, row + model_offset(m, h->task), kept, NULL) : 0;
    if (n > 0) {
        calibrate_softmax(kept, n, t->temperature, p);
    }
    for (size_t c = 0, k = 0; status == SPOOR_OK && c < t->n_classes; c++) {
        h->p[c] = (int64_t)c == t->human ? 0 : p[k++];
    }
    ctx_free(m->ctx, kept);
    ctx_free(m->ctx, p);
    return status;
}

/* The class has no value of any parent: no codec, as far as the training clips say. */
static bool no_codec(const net_joint *j, size_t class) {
    for (size_t i = 0; i < j->n; i++) {
        if (j->parent[i].value[class] != JOINT_NONE) {
            return false;
        }
    }
    return true;
}

/* Product over the attributes; unseen: of what is said if the model does not know the source. */
static double product(const trace_tree *t, const tree_source *s, bool unseen) {
    double all = 1;
    for (size_t i = 0; i < t->n_attributes; i++) {
        const tree_attribute *a = &t->attribute[i];
        size_t v = s->value[i] == NULL ? SIZE_MAX : taxonomy_value(t->taxonomy, a->attribute, s->value[i]);
        all *= v == SIZE_MAX ? 1 / (double)a->n : unseen ? a->unseen[v] : a->p[v];
    }
    return all;
}

/* Sources of the taxonomy, then classes of a joint head that it lacks; likelihood holds p of the class, NAN of no
 * class. */
static void list_sources(const spoor_model *m, const own_head *h, trace_tree *t) {
    for (size_t s = 0; s < taxonomy_sources(m->taxonomy); s++) {
        tree_source *to = &t->source[t->n_sources++];
        *to = (tree_source){.name = taxonomy_source_name(m->taxonomy, s),
                            .kind = taxonomy_source_kind(m->taxonomy, s),
                            .likelihood = NAN};
        for (size_t i = 0; i < t->n_attributes; i++) {
            size_t v = taxonomy_of(m->taxonomy, s, t->attribute[i].attribute);
            to->value[i] = v == SIZE_MAX ? NULL : taxonomy_value_name(m->taxonomy, t->attribute[i].attribute, v);
        }
    }
    for (size_t c = 0; h->task != SIZE_MAX && c < m->tasks[h->task].n_classes; c++) {
        size_t s = taxonomy_find(m->taxonomy, m->tasks[h->task].classes[c]);
        if ((int64_t)c == m->tasks[h->task].human || (s == SIZE_MAX && (h->joint == NULL || no_codec(h->joint, c)))) {
            continue;
        }
        tree_source *to = &t->source[s == SIZE_MAX ? t->n_sources++ : s];
        if (s == SIZE_MAX) {
            *to = (tree_source){.name = m->tasks[h->task].classes[c], .kind = "", .likelihood = NAN};
            for (size_t i = 0; i < t->n_attributes; i++) {
                for (size_t k = 0; k < h->joint->n; k++) {
                    const joint_parent *p = &h->joint->parent[k];
                    to->value[i] = p->task == t->attribute[i].task && p->value[c] >= 0
                                       ? m->tasks[p->task].classes[p->value[c]]
                                       : to->value[i];
                }
            }
        }
        to->likelihood = (isnan(to->likelihood) ? 0 : to->likelihood) + h->p[c]; /* two names of one source are one */
        to->known = true;
    }
}

static void weigh_sources(const spoor_model *m, const own_head *h, trace_tree *t) {
    double out = 0, unseen = 0, w = t->known;
    for (size_t s = 0; s < t->n_sources; s++) {
        out += t->source[s].known ? 0 : 1;
        unseen += t->source[s].known ? 0 : product(t, &t->source[s], true);
    }
    for (size_t s = 0; s < t->n_sources; s++) {
        tree_source *x = &t->source[s];
        double all = product(t, x, false), share = isnan(w) ? 1 : w;
        if (h->task == SIZE_MAX) {
            x->likelihood = all;
        } else if (h->joint != NULL) {
            double rest = unseen > 0 ? (1 - share) * product(t, x, true) / unseen : 0;
            x->likelihood = x->known ? share * x->likelihood : rest;
        } else {
            double rest = isnan(w) ? 1 / (double)m->tasks[h->task].n_classes : out > 0 ? (1 - w) / out : 0;
            x->likelihood = all * (x->known ? share * x->likelihood : rest);
        }
    }
}

static int better_source(const void *a, const void *b) {
    const tree_source *x = a, *y = b;
    return x->likelihood != y->likelihood ? (x->likelihood < y->likelihood ? 1 : -1) : strcmp(x->name, y->name);
}

static spoor_status fill_sources(const spoor_model *m, const float *row, trace_tree *t, spoor_error *err) {
    own_head h;
    spoor_status status = find_head(m, row, &h, err);
    size_t room = taxonomy_sources(m->taxonomy) + (h.task == SIZE_MAX ? 0 : m->tasks[h.task].n_classes);
    t->source = status == SPOOR_OK ? ctx_calloc(m->ctx, room, sizeof *t->source) : NULL;
    if (status == SPOOR_OK && t->source == NULL) {
        status = no_memory(err);
    }
    if (status == SPOOR_OK) {
        double sum = 0;
        list_sources(m, &h, t);
        weigh_sources(m, &h, t);
        qsort(t->source, t->n_sources, sizeof *t->source, better_source);
        for (size_t s = 0; s < t->n_sources; s++) {
            sum += t->source[s].likelihood;
        }
        for (size_t s = 0; s < t->n_sources; s++) {
            t->source[s].p = sum > 0 ? t->source[s].likelihood / sum : 1 / (double)t->n_sources;
        }
        t->other = h.joint == NULL ? NAN : 0;
        for (size_t c = 0; h.joint != NULL && c < m->tasks[h.task].n_classes; c++) {
            t->other += (int64_t)c != m->tasks[h.task].human && no_codec(h.joint, c)
                            ? (isnan(t->known) ? 1 : t->known) * h.p[c]
                            : 0;
        }
    }
    ctx_free(m->ctx, h.p);
    return status;
}

/* ---- all of it ---- */

spoor_status tree_new(const spoor_model *m, const float *row, double known, double bonafide, trace_tree **out,
                      spoor_error *err) {
    *out = NULL;
    if (m->taxonomy == NULL) {
        return SPOOR_OK;
    }
    trace_tree *t = ctx_calloc(m->ctx, 1, sizeof *t);
    if (t == NULL) {
        return no_memory(err);
    }
    *t = (trace_tree){.ctx = m->ctx, .taxonomy = m->taxonomy, .bonafide = bonafide,
                      .known = model_known_probability(m, known),
                      .measured = !isnan(known) && (m->has_odds || m->accepted.known > 0)};
    spoor_status status = fill_attributes(m, row, t, err);
    if (status == SPOOR_OK && t->n_attributes > 0) {
        status = fill_sources(m, row, t, err);
    }
    if (status != SPOOR_OK || t->n_attributes == 0) {
        tree_free(t);
        return status;
    }
    *out = t;
    return SPOOR_OK;
}

void tree_free(trace_tree *t) {
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->n_attributes; i++) {
        ctx_free(t->ctx, t->attribute[i].value);
    }
    ctx_free(t->ctx, t->attribute);
    ctx_free(t->ctx, t->source);
    ctx_free(t->ctx, t);
}
