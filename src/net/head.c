/* head.c: see head.h. */
#include "net/head.h"
#include "base/config.h"
#include <stdio.h>
#include <string.h>

static const char *const KINDS[] = {"linear", "one-class", "centroids", "joint", NULL};
static const char *const JUDGES[] = {"centre", "linear", NULL};

/* ---- making ---- */

static spoor_status configure_one_class(const json_t *config, const net_task *task, head_options *o, spoor_error *err) {
    static const char *const KEYS[] = {"kind", "human", "r_real", "r_fake", "alpha", "linear", "judge", NULL};
    const char *w = "network.task_heads";
    int judge;
    TRY(config_keys(config, w, KEYS, err));
    if (task->classes != 2) {
        return error_set(err, SPOOR_ERR_USAGE, "network.task_heads: a one-class head tells two classes apart, but the "
                         "task %.64s has %lld", task->name, (long long)task->classes);
    }
    TRY(config_int(config, w, "human", 0, 0, 1, &o->human, err));
    TRY(config_number(config, w, "r_real", 0.9, -1, 1, &o->r_real, err));
    TRY(config_number(config, w, "r_fake", 0.2, -1, 1, &o->r_fake, err));
    TRY(config_number(config, w, "alpha", 20, 1e-3, 1000, &o->alpha, err));
    TRY(config_bool(config, w, "linear", false, &o->linear, err));
    TRY(config_choice(config, w, "judge", JUDGES, 0, &judge, err));
    o->linear_judges = judge == 1;
    return o->linear_judges && !o->linear
               ? error_set(err, SPOOR_ERR_USAGE, "network.task_heads: judge: linear needs linear: true")
               : SPOOR_OK;
}

spoor_status head_configure(const json_t *config, const net_task *tasks, size_t n_tasks, head_options *out,
                            spoor_error *err) {
    const char *names[NET_MAX_TASKS + 1] = {NULL};
    for (size_t i = 0; i < n_tasks; i++) {
        names[i] = tasks[i].name;
        out[i] = (head_options){.kind = HEAD_LINEAR, .kinds = 1};
    }
    if (config == NULL || n_tasks == 0) {
        return SPOOR_OK;
    }
    TRY(config_keys(config, "network.task_heads", names, err));
    for (size_t i = 0; i < n_tasks; i++) {
        const json_t *own = json_object_get(config, tasks[i].name);
        int kind;
        if (own == NULL) {
            continue;
        }
        if (!json_is_object(own)) {
            return error_set(err, SPOOR_ERR_USAGE, "network.task_heads.%.64s must be a mapping with a kind",
                             tasks[i].name);
        }
        TRY(config_choice(own, "network.task_heads", "kind", KINDS, 0, &kind, err));
        out[i].kind = (head_kind)kind;
        if (kind == HEAD_LINEAR) {
            static const char *const KEYS[] = {"kind", "human", "kinds", NULL};
            TRY(config_keys(own, "network.task_heads", KEYS, err));
            TRY(config_int(own, "network.task_heads", "human", 0, 0, tasks[i].classes - 1, &out[i].human, err));
            TRY(config_int(own, "network.task_heads", "kinds", 1, 1, NET_MAX_HUMANS, &out[i].kinds, err));
        } else if (kind != HEAD_ONE_CLASS) {
            static const char *const KEYS[] = {"kind", NULL}, *const JOINT[] = {"kind", "human", "parents", NULL};
            TRY(config_keys(own, "network.task_heads", kind == HEAD_JOINT ? JOINT : KEYS, err));
            out[i].joint = kind == HEAD_JOINT ? json_deep_copy(own) : NULL;
            if (kind == HEAD_JOINT && out[i].joint == NULL) {
                return error_memory(err, "making a network");
            }
        } else {
            TRY(configure_one_class(own, &tasks[i], &out[i], err));
        }
    }
    return SPOOR_OK;
}

void head_options_clear(head_options *heads, size_t n_tasks) {
    for (size_t i = 0; i < n_tasks; i++) {
        json_decref(heads[i].joint);
        heads[i].joint = NULL;
    }
}

bool head_describe(const head_options *heads, const net_task *tasks, size_t n_tasks, json_t **out) {
    *out = NULL;
    for (size_t i = 0; i < n_tasks; i++) {
        const head_options *o = &heads[i];
        if (o->kind == HEAD_LINEAR && o->kinds == 1) {
            continue;
        }
        *out = *out == NULL ? json_object() : *out;
        json_t *own = o->kind == HEAD_JOINT ? json_deep_copy(o->joint)
                      : o->kind == HEAD_LINEAR
                          ? json_pack("{s:s,s:I,s:I}", "kind", KINDS[o->kind], "human", (json_int_t)o->human, "kinds",
                                      (json_int_t)o->kinds)
                      : o->kind == HEAD_CENTROIDS
                          ? json_pack("{s:s}", "kind", KINDS[o->kind])
                          : json_pack("{s:s,s:I,s:f,s:f,s:f,s:b,s:s}", "kind", KINDS[o->kind], "human",
                                      (json_int_t)o->human, "r_real", o->r_real, "r_fake", o->r_fake, "alpha", o->alpha,
                                      "linear", o->linear, "judge", JUDGES[o->linear_judges]);
        if (json_object_set_new(*out, tasks[i].name, own) != 0) {
            json_decref(*out);
            *out = NULL;
            return false;
        }
    }
    return true;
}

static spoor_status init_centroids(head *h, params *p, const char *name, int64_t embedding, int64_t classes,
                                   spoor_error *err) {
    char part[192];
    int64_t dim[2] = {classes, embedding}, one = 1;
    (void)snprintf(part, sizeof part, "%s.centroids", name);
    TRY(params_add(p, part, 2, dim, PARAM_ZEROS, 0, false, false, &h->centroids, err));
    (void)snprintf(part, sizeof part, "%s.scale", name);
    TRY(params_add(p, part, 1, &one, PARAM_ONES, 0, true, false, &h->scale, err));
    (void)snprintf(part, sizeof part, "%s.offset", name);
    TRY(params_add(p, part, 1, &one, PARAM_ZEROS, 0, true, false, &h->offset, err));
    h->scale->data[0] = HEAD_SCALE; /* what they start from; weights of a file are read over it */
    h->offset->data[0] = HEAD_OFFSET;
    return SPOOR_OK;
}

spoor_status head_init(head *h, const head_options *o, params *p, const char *name, int64_t embedding, int64_t classes,
                       spoor_error *err) {
    char part[192];
    *h = (head){.o = *o};
    if (o->kind == HEAD_LINEAR || o->kind == HEAD_JOINT || o->linear) {
        int64_t more = o->kind == HEAD_LINEAR ? o->kinds - 1 : 0;
        TRY(nn_linear_init(&h->linear, p, name, embedding, classes + more, true, err));
    }
    if (o->kind == HEAD_ONE_CLASS) {
        int64_t dim[2] = {1, embedding};
        (void)snprintf(part, sizeof part, "%s.centre", name);
        TRY(params_add(p, part, 2, dim, PARAM_NORMAL, 0, true, false, &h->centre, err));
    }
    if (o->kind == HEAD_CENTROIDS) {
        TRY(init_centroids(h, p, name, embedding, classes, err));
    }
    return SPOOR_OK;
}

/* ---- running ---- */

/* [B,2]: alpha (cosine - middle) of the human class, 0 of the other. */
static tensor *one_class_logits(const head *h, tape *t, tensor *cosine) {
    int64_t one = 1;
    tensor *shift = tape_tensor(t, 1, &one), *zero = cosine == NULL ? NULL : tape_tensor(t, 2, cosine->dim);
    if (shift == NULL || zero == NULL) {
        return NULL;
    }
    shift->data[0] = (real)(-0.5 * (h->o.r_real + h->o.r_fake) * h->o.alpha);
    memset(zero->data, 0, (size_t)tensor_count(zero) * sizeof *zero->data);
    tensor *human = op_add_row(t, op_scale(t, cosine, (real)h->o.alpha), shift);
    tensor *both[2] = {h->o.human == 0 ? human : zero, h->o.human == 0 ? zero : human};
    return human == NULL ? NULL : op_concat(t, both, 2, 1);
}

/* [B,C]: scale * cosine + offset */
static tensor *centroid_logits(const head *h, tape *t, tensor *embedding) {
    tensor *cosine = op_matmul(t, op_normalise(t, embedding, (real)HEAD_EPS), h->centroids, true);
    if (cosine == NULL) {
        return NULL;
    }
    int64_t single[2] = {tensor_count(cosine), 1}, square[2] = {1, 1};
    tensor *scaled = op_matmul(t, op_reshape(t, cosine, 2, single), op_reshape(t, h->scale, 2, square), false);
    return op_reshape(t, op_add_row(t, scaled, h->offset), 2, cosine->dim);
}

/* Columns [first, first + count) of x[B,C]. */
static tensor *classes_of(tape *t, tensor *x, int64_t first, int64_t count) {
    tensor *y = x == NULL ? NULL : op_slice_frames(t, op_reshape(t, x, 3, (int64_t[]){x->dim[0], x->dim[1], 1}), first, count);
    return y == NULL ? NULL : op_reshape(t, y, 2, (int64_t[]){x->dim[0], count});
}

/* z[B, C + kinds - 1] -> [B,C]: log-sum-exp of the human class' kinds, as the first of them minus its log-softmax among
 * them. */
static tensor *join_kinds(const head_options *o, tape *t, tensor *z) {
    if (z == NULL) {
        return NULL;
    }
    int64_t classes = z->dim[1] - o->kinds + 1, after = classes - o->human - 1;
    tensor *first = classes_of(t, z, o->human, 1);
    tensor *both[2] = {first, classes_of(t, z, classes, o->kinds - 1)};
    tensor *share = classes_of(t, op_log_softmax(t, op_concat(t, both, 2, 1)), 0, 1);
    tensor *part[3];
    size_t n = 0;
    if (o->human > 0) {
        part[n++] = classes_of(t, z, 0, o->human);
    }
    part[n++] = op_add(t, first, share, -1);
    if (after > 0) {
        part[n++] = classes_of(t, z, o->human + 1, after);
    }
    return tape_ok(t) ? op_concat(t, part, n, 1) : NULL;
}

void head_forward(const head *h, tape *t, tensor *embedding, tensor *dropped, head_output *out) {
    *out = (head_output){.scale = h->scale, .offset = h->offset};
    if (h->centroids != NULL) {
        out->logits = centroid_logits(h, t, embedding);
    }
    if (h->linear.w != NULL) {
        out->linear = nn_linear_forward(&h->linear, t, dropped, OP_ACT_NONE);
        out->linear = h->o.kinds > 1 ? join_kinds(&h->o, t, out->linear) : out->linear;
        out->logits = out->linear;
    }
    if (h->centre != NULL) {
        tensor *unit = op_normalise(t, embedding, (real)HEAD_EPS), *centre = op_normalise(t, h->centre, (real)HEAD_EPS);
        out->cosine = op_matmul(t, unit, centre, true);
        out->logits = h->o.linear_judges ? out->linear : one_class_logits(h, t, out->cosine);
    }
}
