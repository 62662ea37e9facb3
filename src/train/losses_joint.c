/* losses_joint.c: see losses_joint.h. */
#include "train/losses_joint.h"

/* Target of task k for the first clip of a row, or, of a mixed row, for its partner. */
static int64_t target_of(const losses_options *o, size_t k, int64_t row, bool partner) {
    return partner ? o->partner[k][row - o->plain] : o->task[k].target[row];
}

/* member[C] of one clip: 1 for its class; else the product over the parents of which its value v is known of M[v,c].
 * False: nothing is known. */
static bool fill_member(const losses_options *o, const net_joint *j, int64_t row, bool partner, real *member) {
    int64_t own = target_of(o, j->task, row, partner);
    bool any = own >= 0;
    for (int64_t c = 0; c < j->classes; c++) {
        member[c] = own < 0 || c == own ? 1 : 0;
    }
    for (size_t i = 0; own < 0 && i < j->n; i++) {
        const joint_parent *p = &j->parent[i];
        int64_t v = target_of(o, p->task, row, partner);
        any = any || v >= 0;
        for (int64_t c = 0; v >= 0 && c < j->classes; c++) {
            member[c] *= p->value[c] == v || p->value[c] == JOINT_UNKNOWN ? p->mix[v * j->classes + c] : 0;
        }
    }
    real sum = 0;
    for (int64_t c = 0; c < j->classes; c++) {
        sum += member[c];
    }
    return any && sum > 0;
}

static real weight_of(const losses_options *o, const net_joint *j, int64_t row, bool partner) {
    const losses_task *k = &o->task[j->task];
    int64_t own = target_of(o, j->task, row, partner);
    return own >= 0 && k->class_weight ? k->class_weight[own] : 1;
}

static tensor *plain_loss(tape *t, const losses_options *o, const net_joint *j, tensor *z) {
    real *member = tape_alloc(t, (size_t)(o->plain * j->classes), sizeof *member);
    real *weight = tape_alloc(t, (size_t)o->plain, sizeof *weight);
    if (!member || !weight) {
        return NULL;
    }
    for (int64_t i = 0; i < o->plain; i++) {
        weight[i] = fill_member(o, j, i, false, member + i * j->classes) ? weight_of(o, j, i, false) : 0;
    }
    return op_set_nll(t, z, member, weight);
}

/* lambda times the loss of one clip, 1 - lambda times that of the other. */
static tensor *mixed_loss(tape *t, const losses_options *o, const net_joint *j, tensor *z) {
    tensor *part[2];
    real *member[2], *weight[2], sum[2] = {0, 0}, share[2];
    for (int side = 0; side < 2; side++) {
        member[side] = tape_alloc(t, (size_t)(o->mixed * j->classes), sizeof **member);
        weight[side] = tape_alloc(t, (size_t)o->mixed, sizeof **weight);
        if (!member[side] || !weight[side]) {
            return NULL;
        }
    }
    for (int64_t i = 0; i < o->mixed; i++) {
        int64_t row = o->plain + i;
        bool a = fill_member(o, j, row, false, member[0] + i * j->classes);
        bool b = fill_member(o, j, row, true, member[1] + i * j->classes);
        weight[0][i] = a && b ? o->lambda[i] * weight_of(o, j, row, false) : 0;
        weight[1][i] = a && b ? (1 - o->lambda[i]) * weight_of(o, j, row, true) : 0;
        sum[0] += weight[0][i];
        sum[1] += weight[1][i];
    }
    for (int side = 0; side < 2; side++) {
        part[side] = op_set_nll(t, z, member[side], weight[side]);
        share[side] = sum[0] + sum[1] > 0 ? sum[side] / (sum[0] + sum[1]) : 0;
    }
    return op_weighted_sum(t, part, share, 2);
}

tensor *losses_joint(tape *t, const losses_options *o, const net_joint *j, tensor *plain, tensor *mixed) {
    tensor *parts[2];
    real weights[2];
    size_t n = 0;
    if (o->plain > 0) {
        parts[n] = plain_loss(t, o, j, plain);
        weights[n++] = o->plain_weight;
    }
    if (o->mixed > 0) {
        parts[n] = mixed_loss(t, o, j, mixed);
        weights[n++] = o->mixed_weight;
    }
    return op_weighted_sum(t, parts, weights, n);
}
