/* finetune.c: see finetune.h. */
#include "train/finetune.h"
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "frontend."; /* of an encoder's parameters */

struct finetune {
    spoor_context *ctx;
    const recipe_finetune *r;
    const frontend *fe;
    params *encoder, *all;
    frontend_scratch *scratch;
    optimiser_group *group;
    size_t n_groups;
    encoder_training training; /* of the step in progress */
};

void finetune_free(finetune *f) {
    if (!f) {
        return;
    }
    for (size_t i = 0; f->group && i < f->n_groups; i++) {
        ctx_free(f->ctx, (void *)(uintptr_t)f->group[i].prefix);
    }
    ctx_free(f->ctx, f->group);
    frontend_scratch_free(f->scratch);
    params_free(f->all);
    ctx_free(f->ctx, f);
}

/* ---- what is trained ---- */

static const char *own_name(const param *p) { return p->name + sizeof PREFIX - 1; }

/* Number of the transformer layer that a parameter belongs to ("encoder.layers.7.attention..."), -1: to none. */
static long layer_of(const char *name) {
    for (const char *at = name; at; at = strchr(at, '.')) {
        at += *at == '.';
        if (strncmp(at, "layers.", 7) == 0 && at[7] >= '0' && at[7] <= '9') {
            return strtol(at + 7, NULL, 10);
        }
    }
    return -1;
}

/* The norm behind the last layer: what lies below a layer never includes it. */
static bool is_last_norm(const finetune *f, const char *name) {
    const encoder *e = frontend_encoder(f->fe);
    bool norm = params_under(name, "encoder.layer_norm") || params_under(name, "layer_norm");
    const encoder_sizes *s = e ? encoder_get_sizes(e) : NULL;
    return norm && s && (s->kind == ENCODER_WHISPER || s->pre_norm);
}

static bool below(const finetune *f, const char *name) {
    long layer = layer_of(name);
    return f->r->freeze_layers > 0 && (layer < 0 ? !is_last_norm(f, name) : layer < f->r->freeze_layers);
}

static spoor_status unknown_name(const finetune *f, const char *setting, const char *name, spoor_error *err) {
    return error_set(err, SPOOR_ERR_USAGE, "finetune.%s: the front end has no parameters named %.80s; one of them is "
                                           "%.80s",
                     setting, name, own_name(params_at(f->encoder, params_count(f->encoder) - 1)));
}

static bool known_name(const finetune *f, const char *name) {
    for (size_t i = 0; i < params_count(f->encoder); i++) {
        if (params_under(own_name(params_at(f->encoder, i)), name)) {
            return true;
        }
    }
    return false;
}

static spoor_status freeze(finetune *f, spoor_error *err) {
    size_t trained = 0;
    for (size_t k = 0; k < f->r->n_freeze; k++) {
        if (!known_name(f, f->r->freeze[k])) {
            return unknown_name(f, "freeze", f->r->freeze[k], err);
        }
    }
    for (size_t i = 0; i < params_count(f->encoder); i++) {
        param *p = params_at(f->encoder, i);
        bool frozen = below(f, own_name(p));
        for (size_t k = 0; k < f->r->n_freeze; k++) {
            frozen = frozen || params_under(own_name(p), f->r->freeze[k]);
        }
        if (frozen) {
            params_fix(p);
        }
        trained += p->trainable && (f->r->freeze_layers == 0 || layer_of(own_name(p)) >= 0);
    }
    if (trained == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "finetune: with these freeze and freeze_layers nothing of the front end "
                         "is trained; leave the section out");
    }
    return SPOOR_OK;
}

static spoor_status add_group(finetune *f, const char *name, double factor, spoor_error *err) {
    char *prefix = ctx_printf(f->ctx, "%s%s", PREFIX, name);
    if (!prefix) {
        return error_memory(err, "starting a training");
    }
    size_t n = strlen(prefix);
    if (prefix[n - 1] == '.') { /* params_under has its own dot */
        prefix[n - 1] = '\0';
    }
    f->group[f->n_groups++] = (optimiser_group){prefix, factor, 0};
    return SPOOR_OK;
}

static spoor_status make_groups(finetune *f, spoor_error *err) {
    f->group = ctx_calloc(f->ctx, f->r->n_lr_factors + 1, sizeof *f->group);
    if (!f->group) {
        return error_memory(err, "starting a training");
    }
    TRY(add_group(f, "", f->r->lr_factor, err));
    for (size_t i = 0; i < f->r->n_lr_factors; i++) {
        const recipe_factor *one = &f->r->lr_factors[i];
        if (!known_name(f, one->name)) {
            return unknown_name(f, "lr_factors", one->name, err);
        }
        TRY(add_group(f, one->name, f->r->lr_factor * one->factor, err));
    }
    return SPOOR_OK;
}

static spoor_status fill(finetune *f, params *network, spoor_error *err) {
    f->encoder = frontend_params(f->fe);
    if (!f->encoder || params_count(f->encoder) == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "finetune: the front end has no encoder to train; leave the section "
                         "out, or choose a pretrained front end");
    }
    TRY(freeze(f, err));
    TRY(params_new(f->ctx, 0, &f->all, err));
    TRY(params_adopt(f->all, network, err));
    TRY(params_adopt(f->all, f->encoder, err));
    TRY(frontend_scratch_new(f->fe, &f->scratch, err));
    return make_groups(f, err);
}

spoor_status finetune_new(spoor_context *ctx, const recipe *r, const frontend *fe, params *network, finetune **out,
                          spoor_error *err) {
    *out = NULL;
    finetune *f = ctx_calloc(ctx, 1, sizeof *f);
    if (!f) {
        return error_memory(err, "starting a training");
    }
    *f = (finetune){.ctx = ctx, .r = &r->finetune, .fe = fe};
    spoor_status status = fill(f, network, err);
    if (status != SPOOR_OK) {
        finetune_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}

params *finetune_params(const finetune *f) { return f->all; }

const optimiser_group *finetune_groups(finetune *f, size_t steps, size_t *n) {
    for (size_t i = 0; i < f->n_groups; i++) {
        f->group[i].start = (uint64_t)f->r->warm_epochs * steps;
    }
    *n = f->n_groups;
    return f->group;
}

/* ---- features over the tape ---- */

static tensor *stage(tape *t, tensor *wave, void *user) {
    finetune *f = user;
    return frontend_forward(f->fe, f->scratch, t, wave, &f->training);
}

/* Whether the encoders are trained in this step; sets which of their parameters get a gradient. */
static bool set_active(finetune *f, const optimiser *o) {
    bool active = optimiser_steps(o) >= f->group[0].start;
    for (size_t i = 0; i < params_count(f->encoder); i++) {
        param *p = params_at(f->encoder, i);
        p->value.needs_grad = p->trainable && active;
    }
    f->training = (encoder_training){.layer_drop = active ? f->r->layer_drop : 0,
                                     .checkpoint = active && f->r->checkpoint,
                                     .dropout = active ? f->r->dropout : 0};
    return active;
}

/* The clips' features, in pieces. A piece of several keeps its result alone and is computed again in backward
 * (gradients of large batches in the memory of small ones, Gao et al. 2021): losses and norms behind the front end see
 * the whole batch. An encoder that is not trained now keeps nothing either. */
static tensor *clip_features(finetune *f, tape *t, const batch *b, bool active) {
    int64_t n = f->r->accumulate;
    tensor **part = tape_alloc(t, (size_t)n, sizeof *part);
    for (int64_t i = 0; part && i < n; i++) {
        int64_t first = compute_split(b->inputs, n, i), rows = compute_split(b->inputs, n, i + 1) - first;
        tensor *wave = tape_view(t, 2, (int64_t[]){rows, b->samples}, b->waves + first * b->samples);
        part[i] = n > 1 || !active ? op_checkpoint(t, wave, stage, f) : stage(t, wave, f);
        if (!part[i]) {
            return NULL;
        }
    }
    return !part ? NULL : n == 1 ? part[0] : op_concat(t, part, (size_t)n, 0);
}

tensor *finetune_features(finetune *f, tape *t, const batch *b, const optimiser *o) {
    tensor *x = clip_features(f, t, b, set_active(f, o));
    if (x && (x->ndim != 3 || x->dim[0] != b->inputs || x->dim[1] != b->frames || x->dim[2] != b->dim)) {
        tape_fail(t, SPOOR_ERR_USAGE, "the front end gave features of another shape than it said");
        return NULL;
    }
    if (b->mask) {
        x = op_mul(t, x, tape_view(t, 3, (int64_t[]){b->inputs, b->frames, b->dim}, b->mask));
    }
    return b->mixed > 0 && b->level == RECIPE_MIX_FEATURES ? op_mix_rows(t, x, &b->mix) : x;
}
