/* losses.c: see losses.h. */
#include "train/losses_joint.h"
#include <math.h>

/* Rows [start, start + n) of x[B,C]. */
static tensor *rows(tape *t, tensor *x, int64_t start, int64_t n) {
    if (!x || (start == 0 && n == x->dim[0])) {
        return x;
    }
    int64_t c = x->dim[1];
    tensor *y = op_slice_frames(t, op_reshape(t, x, 3, (int64_t[]){1, x->dim[0], c}), start, n);
    return op_reshape(t, y, 2, (int64_t[]){n, c});
}

/* The distribution that cross-entropy with smoothing and class weights compares with, for mixed labels: with w the
 * class weights and s the smoothing, row = sum over both clips of share * ((1 - s) w_y at y + s/C w_c everywhere),
 * divided by the mean of the w_y so that a weighted mean results. A row of which one clip has no label is left out. */
static bool mixed_targets(tape *t, const losses_options *o, size_t task, int64_t classes, real **target,
                          real **weight) {
    const losses_task *k = &o->task[task];
    *target = tape_alloc(t, (size_t)(o->mixed * classes), sizeof(real));
    *weight = tape_alloc(t, (size_t)o->mixed, sizeof(real));
    if (!*target || !*weight) {
        return false;
    }
    for (int64_t i = 0; i < o->mixed; i++) {
        int64_t a = k->target[o->plain + i], b = o->partner[task][i];
        real *row = *target + i * classes, share = o->lambda[i];
        (*weight)[i] = 0;
        for (int64_t c = 0; c < classes; c++) {
            row[c] = 0;
        }
        if (a < 0 || b < 0) {
            continue;
        }
        real wa = k->class_weight ? k->class_weight[a] : 1, wb = k->class_weight ? k->class_weight[b] : 1;
        real sum = share * wa + (1 - share) * wb, even = k->smoothing / (real)classes;
        if (sum <= 0) {
            continue;
        }
        for (int64_t c = 0; c < classes; c++) {
            row[c] = even * (k->class_weight ? k->class_weight[c] : 1) / sum;
        }
        row[a] += (1 - k->smoothing) * share * wa / sum;
        row[b] += (1 - k->smoothing) * (1 - share) * wb / sum;
        (*weight)[i] = sum;
    }
    return true;
}

/* Of the linear layer's logits. */
static tensor *label_loss(tape *t, const losses_options *o, size_t task, tensor *logits) {
    const losses_task *k = &o->task[task];
    tensor *parts[2];
    real weights[2];
    size_t n = 0;
    if (o->plain > 0) {
        parts[n] = op_cross_entropy(t, rows(t, logits, 0, o->plain), k->target, k->class_weight, k->smoothing);
        weights[n++] = o->plain_weight;
    }
    if (o->mixed > 0 && logits) {
        real *target, *weight;
        if (!mixed_targets(t, o, task, logits->dim[1], &target, &weight)) {
            return NULL;
        }
        parts[n] = op_soft_cross_entropy(t, rows(t, logits, o->plain, o->mixed), target, weight);
        weights[n++] = o->mixed_weight;
    }
    return op_weighted_sum(t, parts, weights, n);
}

/* How human each row is, and how much it counts: as in mixed_targets, by the class weights of what is in it. */
static bool human_shares(tape *t, const losses_options *o, size_t task, real **share, real **weight) {
    const losses_task *k = &o->task[task];
    int64_t n = o->plain + o->mixed;
    *share = tape_alloc(t, (size_t)n, sizeof(real));
    *weight = tape_alloc(t, (size_t)n, sizeof(real));
    if (!*share || !*weight) {
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        bool mixed = i >= o->plain;
        int64_t a = k->target[i], b = mixed ? o->partner[task][i - o->plain] : a;
        real l = mixed ? o->lambda[i - o->plain] : 1;
        (*share)[i] = (*weight)[i] = 0;
        if (a < 0 || b < 0) {
            continue;
        }
        real wa = l * (k->class_weight ? k->class_weight[a] : 1),
             wb = (1 - l) * (k->class_weight ? k->class_weight[b] : 1);
        real human = (a == k->human ? wa : 0) + (b == k->human ? wb : 0);
        (*weight)[i] = wa + wb;
        (*share)[i] = wa + wb > 0 ? human / (wa + wb) : 0;
    }
    return true;
}

static tensor *oc_loss(tape *t, const losses_options *o, size_t task, tensor *cosine) {
    const op_margins *m = &o->task[task].oc;
    tensor *parts[2];
    real weights[2], *share, *weight;
    size_t n = 0;
    if (!human_shares(t, o, task, &share, &weight)) {
        return NULL;
    }
    if (o->plain > 0) {
        parts[n] = op_oc_softmax(t, rows(t, cosine, 0, o->plain), share, weight, m);
        weights[n++] = o->plain_weight;
    }
    if (o->mixed > 0) {
        parts[n] = op_oc_softmax(t, rows(t, cosine, o->plain, o->mixed), share + o->plain, weight + o->plain, m);
        weights[n++] = o->mixed_weight;
    }
    return op_weighted_sum(t, parts, weights, n);
}

/* On unit embeddings, as in the paper. */
static tensor *ge2e_loss(tape *t, const losses_options *o, size_t task, const net_output *out) {
    tensor *e = op_normalise(t, rows(t, out->embedding, 0, o->ge2e.classes * o->ge2e.clips), (real)1e-12);
    return op_scale(t, op_ge2e(t, e, out->scale[task], out->offset[task], &o->ge2e), o->ge2e_weight);
}

static tensor *task_loss(tape *t, const net *n, const losses_options *o, size_t task, const net_output *out,
                         losses_parts *values) {
    const net_joint *j = net_joint_head(n);
    if (j && j->task == task) {
        return losses_joint(t, o, j, rows(t, out->logits[task], 0, o->plain),
                            rows(t, out->logits[task], o->plain, o->mixed));
    }
    if (out->evidence[task]) { /* a parent of it: the evidence alone, which is to be right of other sources too */
        return label_loss(t, o, task, out->evidence[task]);
    }
    if (out->scale[task]) {
        return ge2e_loss(t, o, task, out);
    }
    if (!out->cosine[task]) {
        return label_loss(t, o, task, out->logits[task]);
    }
    tensor *parts[2] = {oc_loss(t, o, task, out->cosine[task]), NULL};
    real weights[2] = {o->task[task].oc_weight, 1};
    values->oc = parts[0] ? parts[0]->data[0] : 0;
    if (!out->linear[task]) {
        return op_weighted_sum(t, parts, weights, 1);
    }
    parts[1] = label_loss(t, o, task, out->linear[task]);
    return op_weighted_sum(t, parts, weights, 2);
}

static tensor *block_loss(tape *t, const losses_options *o, tensor *e, losses_block b) {
    return op_n_pair(t, rows(t, e, b.start, b.pairs), rows(t, e, b.start + b.pairs, b.pairs), o->pair_l2);
}

/* Multi-class N-pair: of each block, then their mean. */
static tensor *pair_loss(tape *t, const losses_options *o, tensor *embedding) {
    size_t count = 0, most = 1 + (size_t)o->n_blocks;
    tensor **part = tape_alloc(t, most, sizeof *part);
    real *weight = tape_alloc(t, most, sizeof *weight);
    if (!part || !weight) {
        return NULL;
    }
    int64_t all = 2 * o->pairs;
    for (int64_t i = 0; i < o->n_blocks; i++) {
        int64_t end = o->block[i].start + 2 * o->block[i].pairs;
        all = end > all ? end : all;
    }
    tensor *e = rows(t, embedding, 0, all);
    if (o->pair_normalise) {
        e = op_scale(t, op_normalise(t, e, (real)1e-12), (real)sqrt((double)o->pair_scale));
    }
    if (o->pairs > 0) {
        part[count++] = block_loss(t, o, e, (losses_block){0, o->pairs});
    }
    for (int64_t i = 0; i < o->n_blocks; i++) {
        part[count++] = block_loss(t, o, e, o->block[i]);
    }
    for (size_t i = 0; i < count; i++) {
        weight[i] = 1 / (real)count;
    }
    return count == 1 ? part[0] : op_weighted_sum(t, part, weight, count);
}

/* The loss of a task times its learned weight. */
static tensor *learned_part(tape *t, tensor *learned, size_t task, tensor *loss) {
    int64_t one = 1, n = tensor_count(learned);
    tensor *all = op_softmax(t, op_reshape(t, learned, 2, (int64_t[]){1, n}));
    tensor *own = op_slice_frames(t, op_reshape(t, all, 3, (int64_t[]){1, n, 1}), (int64_t)task, 1);
    return op_mul(t, op_reshape(t, own, 1, &one), op_reshape(t, loss, 1, &one));
}

static tensor *loss_of(tape *t, const net *n, const net_output *out, const losses_options *o, losses_parts *parts) {
    tensor *part[NET_MAX_TASKS + 1];
    real weight[NET_MAX_TASKS + 1];
    size_t tasks = net_tasks(n), count = 0;
    *parts = (losses_parts){0};
    if (!tape_ok(t)) {
        return NULL;
    }
    for (size_t i = 0; i < tasks; i++) {
        if (out->logits[i]) { /* a member of an ensemble may leave tasks to others */
            part[count] = task_loss(t, n, o, i, out, parts);
            parts->task[i] = part[count] ? part[count]->data[0] : 0;
            weight[count++] = o->learned ? 1 : o->task[i].weight;
            part[count - 1] = o->learned ? learned_part(t, o->learned, i, part[count - 1]) : part[count - 1];
        }
    }
    tasks = count;
    if ((o->pairs > 0 || o->n_blocks > 0) && o->pair_weight > 0) {
        part[count] = pair_loss(t, o, out->embedding);
        weight[count++] = o->pair_weight;
    }
    tensor *total = op_weighted_sum(t, part, weight, count);
    if (!total) {
        return NULL;
    }
    parts->pair = count > tasks ? part[tasks]->data[0] : 0;
    parts->total = total->data[0];
    return total;
}

tensor *losses_build(tape *t, const net *n, const net_output *out, const losses_options *o, losses_parts *parts) {
    if (out->n_members == 0) {
        return loss_of(t, n, out, o, parts);
    }
    tensor *total[NET_MAX_MEMBERS];
    real weight[NET_MAX_MEMBERS], share = 1 / (real)out->n_members;
    size_t answering[NET_MAX_TASKS] = {0};
    *parts = (losses_parts){0};
    for (size_t i = 0; i < out->n_members; i++) {
        losses_parts own;
        total[i] = loss_of(t, n, &out->members[i], o, &own);
        weight[i] = 1; /* a sum: each member learns as it would alone */
        parts->total += share * own.total;
        parts->pair += share * own.pair;
        parts->oc += share * own.oc;
        for (size_t k = 0; k < net_tasks(n); k++) {
            parts->task[k] += own.task[k];
            answering[k] += out->members[i].logits[k] != NULL;
        }
    }
    for (size_t k = 0; k < net_tasks(n); k++) {
        parts->task[k] /= answering[k] > 0 ? (real)answering[k] : 1;
    }
    return op_weighted_sum(t, total, weight, out->n_members);
}
