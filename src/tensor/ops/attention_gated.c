/* attention_gated.c: multi-head self-attention with a gated relative position bias (Chen et al. 2022, eq. 4); the
 * formula is in ops.h. For a fixed i the bias is read forwards in j, from column T-1-i of the head's row. An item is
 * one head of one clip, forward and backward; the clips' gradients of the bias are kept apart and added in the order of
 * the clips. */
#include "tensor/ops/refuse.h"
#include <string.h>

enum { BLOCK_ROWS = 64 }; /* at most, forward */

typedef struct gated {
    tensor *out, *q, *k, *v, *gate, *bias;
    int64_t clips, frames, heads, size, width; /* size: of a head; width = heads * size */
    int64_t reach;                             /* 2T - 1: columns of the bias */
    real scale;
    int64_t block; /* rows of a block */
    real *weights; /* softmax [clips, heads, T, T]; NULL where it is not kept */
    bool drop;
    uint64_t key;
    uint32_t threshold;
    real keep; /* 1 / (1 - p) */
    const kernels *kernels;
    real *scratch; /* scratch_size values for each worker */
    int64_t scratch_size;
    /* while backward runs */
    real *dq, *dk, *dv, *dgate, *dbias; /* dbias: [clips, heads, 2T-1] */
    bool dq_fresh, dk_fresh, dv_fresh;
} gated;

/* Where an item's columns begin in q, k, v and out. */
static int64_t start_of(const gated *s, int64_t item) {
    return item / s->heads * s->frames * s->width + item % s->heads * s->size;
}
/* The gate of row i, and the bias of its distances. */
static int64_t gate_at(const gated *s, int64_t item, int64_t i) {
    return (item / s->heads * s->frames + i) * s->heads + item % s->heads;
}
static int64_t bias_at(const gated *s, int64_t item, int64_t i) {
    return item % s->heads * s->reach + s->frames - 1 - i;
}

/* The mask of weights [first, first + n) of a head; from may be to. */
static void mask(const gated *s, int64_t item, int64_t first, int64_t n, const real *from, real *to) {
    uint32_t at = (uint32_t)(item * s->frames * s->frames + first);
    s->kernels->dropout(n, s->key, at, s->threshold, s->keep, from, to);
}

/* ---- forward ---- */

/* Softmax of rows [begin, begin + m) of one head into p. */
static void weights_block(const gated *s, int64_t item, int64_t begin, int64_t m, real *p) {
    int64_t frames = s->frames, at = start_of(s, item);
    compute_gemm(&(gemm){.tb = true,
                         .m = m,
                         .n = frames,
                         .k = s->size,
                         .a = s->q->data + at + begin * s->width,
                         .lda = s->width,
                         .b = s->k->data + at,
                         .ldb = s->width,
                         .c = p,
                         .ldc = frames});
    for (int64_t i = begin; i < begin + m; i++, p += frames) {
        s->kernels->scale(frames, s->scale, p, p);
        s->kernels->axpy(frames, s->gate->data[gate_at(s, item, i)], s->bias->data + bias_at(s, item, i), p);
        s->kernels->softmax(frames, p, p);
    }
}

static void forward(void *arg, int64_t item, unsigned worker) {
    const gated *s = arg;
    int64_t frames = s->frames, at = start_of(s, item);
    real *spare = s->scratch + (int64_t)worker * s->scratch_size;
    for (int64_t begin = 0; begin < frames; begin += s->block) {
        int64_t m = frames - begin < s->block ? frames - begin : s->block;
        real *p = s->weights == NULL ? spare : s->weights + (item * frames + begin) * frames;
        weights_block(s, item, begin, m, p);
        if (s->drop) {
            mask(s, item, begin * frames, m * frames, p, spare);
            p = spare;
        }
        compute_gemm(&(gemm){.m = m,
                             .n = s->size,
                             .k = frames,
                             .a = p,
                             .lda = frames,
                             .b = s->v->data + at,
                             .ldb = s->width,
                             .c = s->out->data + at + begin * s->width,
                             .ldc = s->width});
    }
}

/* ---- backward ---- */

/* x[T,size] (+)= op(a)[T,T] * y[T,size], the latter two columns of wide matrices */
static void square_times(const gated *s, bool transposed, const real *a, const real *y, real *x, bool fresh) {
    compute_gemm(&(gemm){.ta = transposed,
                         .m = s->frames,
                         .n = s->size,
                         .k = s->frames,
                         .a = a,
                         .lda = s->frames,
                         .b = y,
                         .ldb = s->width,
                         .c = x,
                         .ldc = s->width,
                         .accumulate = !fresh});
}

/* From the slopes of a head's logits those of its gates and its row of the bias; then the slopes of the products. */
static void backward_bias(const gated *s, int64_t item, real *ds) {
    int64_t frames = s->frames;
    real *dbias = s->dbias == NULL ? NULL : s->dbias + item * s->reach;
    if (dbias != NULL) {
        memset(dbias, 0, (size_t)s->reach * sizeof *dbias);
    }
    for (int64_t i = 0; i < frames; i++, ds += frames) {
        const real *bias = s->bias->data + bias_at(s, item, i);
        if (s->dgate != NULL) {
            real sum = 0;
            for (int64_t j = 0; j < frames; j++) {
                sum += ds[j] * bias[j];
            }
            s->dgate[gate_at(s, item, i)] += sum;
        }
        if (dbias != NULL) {
            s->kernels->axpy(frames, s->gate->data[gate_at(s, item, i)], ds, dbias + frames - 1 - i);
        }
        s->kernels->scale(frames, s->scale, ds, ds);
    }
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    const gated *s = arg;
    int64_t frames = s->frames, square = frames * frames, at = start_of(s, item);
    const real *weights = s->weights + item * square, *dout = s->out->grad + at;
    real *ds = s->scratch + (int64_t)worker * s->scratch_size;
    if (s->dv != NULL) {
        const real *p = weights;
        if (s->drop) {
            mask(s, item, 0, square, weights, ds);
            p = ds;
        }
        square_times(s, true, p, dout, s->dv + at, s->dv_fresh);
    }
    compute_gemm(&(gemm){.tb = true,
                         .m = frames,
                         .n = frames,
                         .k = s->size,
                         .a = dout,
                         .lda = s->width,
                         .b = s->v->data + at,
                         .ldb = s->width,
                         .c = ds,
                         .ldc = frames});
    if (s->drop) {
        mask(s, item, 0, square, ds, ds);
    }
    for (int64_t i = 0; i < frames; i++) {
        s->kernels->softmax_slope(frames, 1, weights + i * frames, ds + i * frames, ds + i * frames);
    }
    backward_bias(s, item, ds);
    if (s->dq != NULL) {
        square_times(s, false, ds, s->k->data + at, s->dq + at, s->dq_fresh);
    }
    if (s->dk != NULL) {
        square_times(s, true, ds, s->q->data + at, s->dk + at, s->dk_fresh);
    }
}

static void backward(tape *t, void *saved) {
    gated *s = saved;
    int64_t threads = (int64_t)compute_threads(tape_compute(t)), n = s->heads * s->reach;
    /* q, k and v may be one tensor: in this order a head's columns are assigned before they are added to. */
    s->dv = tape_grad_fresh(t, s->v, &s->dv_fresh);
    s->dq = tape_grad_fresh(t, s->q, &s->dq_fresh);
    s->dk = tape_grad_fresh(t, s->k, &s->dk_fresh);
    s->dgate = tape_grad(t, s->gate);
    real *dbias = tape_grad(t, s->bias);
    s->dbias = dbias == NULL ? NULL : tape_scratch(t, s->clips * n);
    s->scratch_size = s->frames * s->frames;
    s->scratch = tape_scratch(t, threads * s->scratch_size);
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->clips * s->heads, backward_item, s);
    for (int64_t b = 0; dbias != NULL && b < s->clips; b++) {
        s->kernels->axpy(n, 1, s->dbias + b * n, dbias);
    }
}

/* ---- the op ---- */

static bool fits(tape *t, const gated *s, double p) {
    const tensor *q = s->q, *gate = s->gate, *bias = s->bias;
    if (q->ndim != 3 || !tensor_same_shape(q, s->k)) {
        (void)op_refuse(t, "op_attention_gated", "queries and keys must both be [clips, frames, channels]", q, s->k);
    } else if (!tensor_same_shape(q, s->v)) {
        (void)op_refuse(t, "op_attention_gated", "queries and values must be alike", q, s->v);
    } else if (s->heads < 1 || q->dim[2] % s->heads != 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_attention_gated: %lld channels cannot be shared by %lld heads",
                  (long long)q->dim[2], (long long)s->heads);
    } else if (gate->ndim != 3 || gate->dim[0] != q->dim[0] || gate->dim[1] != q->dim[1] || gate->dim[2] != s->heads) {
        (void)op_refuse(t, "op_attention_gated", "gates must be [clips, frames, heads]", q, gate);
    } else if (bias->ndim != 2 || bias->dim[0] != s->heads ||
               bias->dim[1] != (q->dim[1] == 0 ? bias->dim[1] : 2 * q->dim[1] - 1)) {
        (void)op_refuse(t, "op_attention_gated", "the bias must be [heads, 2 frames - 1]", q, bias);
    } else if (!(p >= 0 && p < 1)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_attention_gated: a dropout probability of %g is not in [0,1)", p);
    }
    return tape_ok(t);
}

/* What forward() needs besides the inputs. */
static bool prepare(tape *t, gated *s, bool record) {
    int64_t threads = (int64_t)compute_threads(tape_compute(t));
    int64_t blocks = (s->frames + BLOCK_ROWS - 1) / BLOCK_ROWS;
    s->block = (s->frames + blocks - 1) / blocks;
    s->kernels = tape_kernels(t);
    if (record) {
        tensor *weights = tape_tensor(t, 4, (int64_t[]){s->clips, s->heads, s->frames, s->frames});
        s->weights = weights == NULL ? NULL : weights->data;
    }
    s->scratch_size = s->block * s->frames;
    s->scratch = tape_alloc(t, (size_t)(threads * s->scratch_size), sizeof *s->scratch);
    return tape_ok(t);
}

tensor *op_attention_gated(tape *t, tensor *q, tensor *k, tensor *v, tensor *gate, tensor *bias, int64_t heads,
                           real scale, double p) {
    gated value = {.q = q, .k = k, .v = v, .gate = gate, .bias = bias, .heads = heads, .scale = scale};
    if (q == NULL || k == NULL || v == NULL || gate == NULL || bias == NULL || !fits(t, &value, p)) {
        return NULL;
    }
    tensor *out = tape_tensor(t, 3, q->dim);
    gated *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = value;
    s->out = out;
    s->clips = q->dim[0];
    s->frames = q->dim[1];
    s->width = q->dim[2];
    s->size = s->width / heads;
    s->reach = 2 * s->frames - 1;
    if (tape_training(t) && p > 0) {
        rng r = tape_rng(t);
        s->drop = true;
        s->key = rng_u64(&r);
        s->threshold = (uint32_t)(p * 4294967296.0);
        s->keep = (real)(1 / (1 - p));
    }
    if (tensor_count(out) == 0) {
        return out;
    }
    bool wanted = q->needs_grad || k->needs_grad || v->needs_grad || gate->needs_grad || bias->needs_grad;
    bool record = tape_recording(t) && wanted;
    if (!prepare(t, s, record)) {
        return NULL;
    }
    compute_for(tape_compute(t), s->clips * heads, forward, s);
    if (record) {
        tape_record(t, out, backward, s);
    }
    return out;
}
