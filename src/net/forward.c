/* forward.c: a forward pass: what each member sees of the features, what it says, and what an ensemble makes of that;
 * see net.h. */
#include "net/net_internal.h"
#include <math.h>
#include <string.h>

/* ---- what a member sees ---- */

/* The columns [first, first + columns) of x[B,T,D]. */
static tensor *columns_of(tape *t, tensor *x, const net_span *p) {
    int64_t b = x->dim[0], frames = x->dim[1];
    if (p->first == 0 && p->columns == x->dim[2]) {
        return x;
    }
    tensor *y = op_slice_frames(t, op_reshape(t, x, 3, (int64_t[]){b * frames, x->dim[2], 1}), p->first, p->columns);
    return y == NULL ? NULL : op_reshape(t, y, 3, (int64_t[]){b, frames, p->columns});
}

static tensor *own_columns(const member *m, tape *t, tensor *x) {
    tensor *part[NET_MAX_SPANS];
    if (x == NULL || x->ndim != 3) {
        return x;
    }
    for (size_t i = 0; i < m->n_spans; i++) {
        part[i] = columns_of(t, x, &m->span[i]);
    }
    return m->n_spans == 1 ? part[0] : op_concat(t, part, m->n_spans, 2);
}

/* The rows that the shortest of its parts has; rows: of each part, or NULL. */
static tensor *own_rows(const member *m, tape *t, tensor *x, const int64_t *rows) {
    int64_t least = x == NULL ? 0 : x->dim[1];
    for (size_t p = 0; rows != NULL && p < FRONTEND_MAX_PARTS; p++) {
        if ((m->parts >> p & 1) != 0 && rows[p] < least) {
            least = rows[p];
        }
    }
    return x == NULL || x->ndim != 3 || least == x->dim[1] ? x : op_slice_frames(t, x, 0, least);
}

/* In training, a random stretch of the frames, the same of all clips. */
static tensor *own_frames(const member *m, tape *t, tensor *x) {
    if (x == NULL || x->ndim != 3 || m->crop >= 1 || !tape_training(t)) {
        return x;
    }
    int64_t frames = x->dim[1], kept = (int64_t)ceil(m->crop * (double)frames);
    rng r = tape_rng(t);
    return op_slice_frames(t, x, (int64_t)rng_below(&r, (uint64_t)(frames - kept) + 1), kept);
}

static tensor *member_input(const member *m, tape *t, tensor *features, const int64_t *rows) {
    tensor *x = own_frames(m, t, own_rows(m, t, own_columns(m, t, features), rows));
    x = m->mix > 0 ? op_mix_layers(t, x, m->mix_weights) : x;
    return m->feature_norm ? nn_batch_norm_forward(&m->feature, t, x) : x;
}

tensor *net_member_pool(const net *n, size_t i, tape *t, tensor *features, const int64_t *rows) {
    const member *m = &n->members[i];
    return body_forward(&m->body, t, member_input(m, t, features, rows));
}

/* ---- one member ---- */

/* Behind back end k. */
static tensor *way_forward(const member *m, size_t k, tape *t, tensor *x) {
    if (m->pool_norm) {
        x = nn_batch_norm_forward(&m->norm[k], t, x);
    }
    return m->embedding > 0 ? nn_linear_forward(&m->embed[k], t, x, OP_ACT_NONE) : x;
}

static void answer(const member *m, size_t k, tape *t, tensor *x, tensor *dropped, net_output *out) {
    head_output one;
    head_forward(&m->heads[k], t, x, dropped, &one);
    out->logits[k] = one.logits;
    out->linear[k] = one.linear;
    out->cosine[k] = one.cosine;
    out->scale[k] = one.scale;
    out->offset[k] = one.offset;
}

/* A back end for each task: the embedding is theirs side by side, a head sees that of its own. */
static void split_forward(const net *n, const member *m, tape *t, tensor *x, const net_step *step, net_output *out) {
    tensor *vector[NET_MAX_TASKS], *joined[NET_MAX_TASKS];
    size_t count = 0;
    body_forward_each(&m->body, t, x, m->answers, n->n_tasks, vector);
    for (size_t k = 0; k < n->n_tasks; k++) {
        if (m->answers[k]) {
            x = joined[count++] = way_forward(m, k, t, vector[k]);
            x = step->mix != NULL ? op_mix_rows(t, x, step->mix) : x;
            answer(m, k, t, x, op_dropout(t, x, m->embedding_dropout), out);
        }
    }
    out->embedding = tape_ok(t) ? op_concat(t, joined, count, 1) : NULL;
}

/* One vector that all heads see. */
static void single_forward(const net *n, const member *m, tape *t, tensor *x, const net_step *step, net_output *out) {
    x = out->embedding = way_forward(m, 0, t, body_forward(&m->body, t, x));
    x = step->mix != NULL ? op_mix_rows(t, x, step->mix) : x;
    tensor *y = op_dropout(t, x, m->embedding_dropout);
    for (size_t k = 0; k < n->n_tasks; k++) {
        if (m->answers[k]) {
            answer(m, k, t, x, y, out);
        }
    }
}

static void member_forward(const net *n, const member *m, tape *t, tensor *features, const net_step *step,
                           net_output *out) {
    tensor *x = member_input(m, t, features, step->rows);
    *out = (net_output){0};
    if (body_splits(&m->body)) {
        split_forward(n, m, t, x, step, out);
    } else {
        single_forward(n, m, t, x, step, out);
    }
    if (m->joint != NULL) {
        joint_forward(m->joint, t, out->logits, out->evidence);
    }
}

/* ---- ensembles ---- */

/* Members [first, first + size) of an ensemble, those that are there in this pass: one model. */
typedef struct group {
    size_t first, size, count;
    const member *who[NET_MAX_MEMBERS];
    tensor *gate[NET_MAX_MEMBERS]; /* [B,1]; NULL: none */
    net_output *said; /* [count] */
} group;

/* The logits (or the evidence) of task k: see net.h. NULL: none of them answers it (or has any). */
static tensor *product(const net *n, tape *t, size_t k, const group *g, bool evidence) {
    tensor *all = NULL;
    bool alone = member_answering(n, k, g->first, g->size) == 1;
    for (size_t i = 0; i < g->count; i++) {
        tensor *own = evidence ? g->said[i].evidence[k] : g->said[i].logits[k];
        real weight = (real)g->who[i]->weight;
        if (!g->who[i]->answers[k] || (evidence && own == NULL)) {
            continue;
        }
        own = alone ? own : op_log_softmax(t, own);
        own = g->gate[i] != NULL ? op_scale_rows(t, own, g->gate[i]) : own;
        if (alone) {
            return weight == 1 ? own : op_scale(t, own, weight);
        }
        all = all == NULL ? op_scale(t, own, weight) : op_add(t, all, own, weight);
    }
    return all;
}

/* What the members of a group say together; g->said has room for them. */
static void group_forward(const net *n, tape *t, tensor *features, const net_step *step, group *g, net_output *out) {
    tensor *joined[NET_MAX_MEMBERS];
    size_t embedded = 0;
    for (size_t i = g->first; i < g->first + g->size; i++) {
        const member *m = &n->members[i];
        if (tape_training(t) && m->logistic > 0) {
            continue;
        }
        member_forward(n, m, t, features, step, &g->said[g->count]);
        if (m->embeds) {
            joined[embedded++] = g->said[g->count].embedding;
        }
        g->gate[g->count] =
            m->gated ? nn_linear_forward(&m->gate, t, g->said[g->count].embedding, OP_ACT_SIGMOID) : NULL;
        g->who[g->count++] = m;
    }
    *out = (net_output){0};
    if (!tape_ok(t)) {
        return;
    }
    *out = (net_output){.embedding = embedded == 0 ? NULL : op_concat(t, joined, embedded, 1), .n_members = g->count,
                        .members = g->said};
    for (size_t k = 0; k < n->n_tasks; k++) {
        out->logits[k] = product(n, t, k, g, false);
        out->evidence[k] = product(n, t, k, g, true);
    }
}

static void ensemble_forward(const net *n, tape *t, tensor *features, const net_step *step, net_output *out) {
    net_output *members = tape_alloc(t, n->n_members, sizeof *members),
               *models = tape_alloc(t, n->n_members, sizeof *models);
    if (members == NULL || models == NULL) {
        return;
    }
    if (!n->fused) {
        group all = {.size = n->n_members, .said = members};
        group_forward(n, t, features, step, &all, out);
    }
    for (size_t i = 0, first = 0; n->fused && i < n->fusion.n_groups; first += (size_t)n->fusion.group[i++]) {
        group one = {.first = first, .size = (size_t)n->fusion.group[i], .said = members + first};
        group_forward(n, t, features, step, &one, &models[i]);
    }
    if (!tape_ok(t)) {
        return;
    }
    if (n->fused) {
        fusion_forward(&n->fusion, t, models, n->n_tasks, out);
        out->n_members = n->n_members;
        out->members = members;
    }
}

/* ---- the whole network ---- */

void net_forward(net *n, tape *t, tensor *features, net_output *out) { net_forward_rows(n, t, features, NULL, out); }

void net_forward_rows(net *n, tape *t, tensor *features, const int64_t *rows, net_output *out) {
    net_forward_step(n, t, features, &(net_step){rows, NULL}, out);
}

void net_forward_step(net *n, tape *t, tensor *features, const net_step *step, net_output *out) {
    memset(out, 0, sizeof *out);
    net_output result = {0};
    if (features != NULL && (features->ndim != 3 || features->dim[2] != n->input_dim)) {
        tape_fail(t, SPOOR_ERR_USAGE, "the network expects features [clips, frames, %lld]", (long long)n->input_dim);
    } else if (n->ensemble) {
        ensemble_forward(n, t, features, step, &result);
    } else {
        member_forward(n, n->members, t, features, step, &result);
    }
    if (tape_ok(t)) {
        *out = result;
    }
}
