/* tcm.c: self attention over time and channels: nn_tcm_attention of layers.h. */
#include "nn/layers.h"
#include <math.h>
#include <stdio.h>

enum { NAME = 160 };

spoor_status nn_tcm_attention_init(nn_tcm_attention *l, params *p, const char *name, int64_t dim, int64_t heads,
                                   double dropout, spoor_error *err) {
    static const char *const parts[] = {"norm", "query", "key", "value", "out", "head", "head_norm"};
    char names[7][NAME];
    l->heads = heads;
    l->dim = dim;
    l->dropout = dropout;
    for (size_t i = 0; i < 7; i++) {
        if (snprintf(names[i], NAME, "%s.%s", name, parts[i]) >= NAME) {
            names[i][0] = '\0'; /* two such names are refused by params_add */
        }
    }
    TRY(nn_layer_norm_init(&l->norm, p, names[0], dim, err));
    TRY(nn_linear_init(&l->q, p, names[1], dim, dim, false, err));
    TRY(nn_linear_init(&l->k, p, names[2], dim, dim, false, err));
    TRY(nn_linear_init(&l->v, p, names[3], dim, dim, false, err));
    TRY(nn_linear_init(&l->out, p, names[4], dim, dim, true, err));
    TRY(nn_linear_init(&l->head, p, names[5], dim / heads, dim, true, err));
    return nn_layer_norm_init(&l->head_norm, p, names[6], dim / heads, err);
}

tensor *nn_add_sinusoids(tape *t, tensor *x) {
    if (x == NULL) {
        return NULL;
    }
    int64_t clips = x->dim[0], rows = x->dim[1], dim = x->dim[2], all = rows * dim;
    tensor *pe = tape_tensor(t, 1, &all);
    if (pe == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < dim; i += 2) { /* every row is the one before, turned by the column's angle */
        double angle = pow(10000.0, -(double)i / (double)dim), s = 0, c = 1, turn_s = sin(angle), turn_c = cos(angle);
        for (int64_t p = 0; p < rows; p++) {
            pe->data[p * dim + i] = (real)s;
            if (i + 1 < dim) {
                pe->data[p * dim + i + 1] = (real)c;
            }
            double next = s * turn_c + c * turn_s;
            c = c * turn_c - s * turn_s;
            s = next;
        }
    }
    tensor *flat = op_add_row(t, op_reshape(t, x, 2, (int64_t[]){clips, all}), pe);
    return op_reshape(t, flat, 3, (int64_t[]){clips, rows, dim});
}

/* x[B,T,C] -> head tokens [B,H,C] */
static tensor *head_tokens(const nn_tcm_attention *l, tape *t, tensor *x) {
    tensor *mean = op_mean_pool(t, x);
    if (mean == NULL) {
        return NULL;
    }
    int64_t clips = mean->dim[0], size = l->dim / l->heads;
    tensor *y = op_reshape(t, mean, 2, (int64_t[]){clips * l->heads, size});
    y = nn_linear_forward(&l->head, t, y, OP_ACT_NONE);
    y = op_reshape(t, y, 2, (int64_t[]){clips * l->heads * l->heads, size});
    y = op_activation(t, nn_layer_norm_forward(&l->head_norm, t, y), OP_ACT_GELU);
    return nn_add_sinusoids(t, op_reshape(t, y, 3, (int64_t[]){clips, l->heads, l->dim}));
}

/* Mean over n frames from `start` on, as one frame: [B,1,C]. */
static tensor *mean_of(const nn_tcm_attention *l, tape *t, tensor *x, int64_t start, int64_t n) {
    tensor *mean = op_mean_pool(t, op_slice_frames(t, x, start, n));
    return mean == NULL ? NULL : op_reshape(t, mean, 3, (int64_t[]){mean->dim[0], 1, l->dim});
}

tensor *nn_tcm_attention_forward(const nn_tcm_attention *l, tape *t, tensor *x) {
    x = nn_layer_norm_forward(&l->norm, t, x);
    tensor *tokens = head_tokens(l, t, x);
    if (tokens == NULL) {
        return NULL;
    }
    int64_t frames = x->dim[1];
    x = op_concat(t, (tensor *[]){x, tokens}, 2, 1);
    tensor *q = nn_linear_forward(&l->q, t, x, OP_ACT_NONE);
    tensor *k = nn_linear_forward(&l->k, t, x, OP_ACT_NONE);
    tensor *v = nn_linear_forward(&l->v, t, x, OP_ACT_NONE);
    real scale = (real)(1.0 / sqrt((double)(l->dim / l->heads)));
    x = nn_linear_forward(&l->out, t, op_attention(t, q, k, v, NULL, l->heads, scale, 0.0), OP_ACT_NONE);
    tensor *token = op_add(t, op_slice_frames(t, x, 0, 1), mean_of(l, t, x, frames, l->heads), 1);
    token = op_add(t, token, mean_of(l, t, x, 1, frames - 1), 1);
    x = op_concat(t, (tensor *[]){token, op_slice_frames(t, x, 1, frames - 1)}, 2, 1);
    return op_dropout(t, x, l->dropout);
}
