/* attention.c: multi-head self-attention with Shaw relative positions; the formula is in ops.h.
 *
 * The term q_i . e[clip(i-j)] is a product of Q with a table whose row w belongs to the distance i - j = T-1-w, so that
 * for a fixed i it is read forwards in j: column j + T-1-i. The table repeats the end rows of e beyond R, which is all
 * that clip() asks. Rows are taken in blocks: a block of m rows needs only T-1+m columns of that product. The table is
 * kept both ways round because oneDNN is a fifth slower at the transposed products of narrow matrices.
 * Forward, an item is one head of one clip; backward, one clip, whose gradient of the table is kept apart and added in
 * the order of the clips. */
#include "tensor/ops/refuse.h"
#include <string.h>

enum { BLOCK_ROWS = 64 }; /* at most */

typedef struct attention {
    tensor *out, *q, *k, *v, *e;
    int64_t clips, frames, heads, size, width; /* size: of a head; width = heads * size */
    real scale;
    real *table;   /* [2T-1, size]; NULL without positions */
    real *columns; /* the same transposed: [size, stride] */
    int64_t stride;
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
    real *dq, *dk, *dv, *dtable; /* dtable: [clips, size, stride], as columns */
    bool dq_fresh, dk_fresh, dv_fresh;
} attention;

static int64_t table_rows(const attention *s) { return 2 * s->frames - 1; }

/* Row of e for row w of the table. */
static int64_t table_source(const attention *s, int64_t w) {
    int64_t reach = (s->e->dim[0] - 1) / 2, distance = s->frames - 1 - w;
    distance = distance > reach ? reach : distance < -reach ? -reach : distance;
    return distance + reach;
}

static int64_t block_end(const attention *s, int64_t begin) {
    return s->frames - begin < s->block ? s->frames : begin + s->block;
}

/* The mask of weights [first, first + n) of a head; from may be to. */
static void mask(const attention *s, int64_t item, int64_t first, int64_t n, const real *from, real *to) {
    uint32_t at = (uint32_t)(item * s->frames * s->frames + first);
    s->kernels->dropout(n, s->key, at, s->threshold, s->keep, from, to);
}

/* ---- forward ---- */

/* Softmax of rows [begin, end) of one head into p; g: scratch for the positions. */
static void weights_block(const attention *s, int64_t at, int64_t begin, int64_t end, real *p, real *g) {
    int64_t frames = s->frames, columns = frames - 1 + end - begin;
    gemm product = {.tb = true,
                    .m = end - begin,
                    .n = frames,
                    .k = s->size,
                    .a = s->q->data + at + begin * s->width,
                    .lda = s->width,
                    .b = s->k->data + at,
                    .ldb = s->width,
                    .c = p,
                    .ldc = frames};
    compute_gemm(&product);
    if (s->table != NULL) {
        product.tb = false;
        product.b = s->columns + frames - end;
        product.ldb = s->stride;
        product.n = product.ldc = columns;
        product.c = g;
        compute_gemm(&product);
    }
    for (int64_t i = begin; i < end; i++) {
        real *row = p + (i - begin) * frames;
        const real *position = s->table == NULL ? NULL : g + (i - begin) * columns + (end - 1 - i);
        s->kernels->softmax_scaled(frames, s->scale, row, position, row);
    }
}

static void forward(void *arg, int64_t item, unsigned worker) {
    const attention *s = arg;
    int64_t frames = s->frames, at = item / s->heads * frames * s->width + item % s->heads * s->size;
    real *spare = s->scratch + (int64_t)worker * s->scratch_size, *g = spare + s->block * frames;
    for (int64_t begin = 0, end; begin < frames; begin = end) {
        end = block_end(s, begin);
        real *p = s->weights == NULL ? spare : s->weights + (item * frames + begin) * frames;
        weights_block(s, at, begin, end, p, g);
        if (s->drop) {
            mask(s, item, begin * frames, (end - begin) * frames, p, spare);
            p = spare;
        }
        compute_gemm(&(gemm){.m = end - begin,
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

/* ---- forward over what frozen weights made ---- */

typedef struct frozen {
    const attention *s;
    compute *c;
    compute_precision precision;
    spoor_error *errors; /* one for each worker */
} frozen;

static void frozen_clip(void *arg, int64_t clip, unsigned worker) {
    const frozen *f = arg;
    const attention *s = f->s;
    int64_t at = clip * s->frames * s->width;
    if (f->errors[worker].status == SPOOR_OK) {
        (void)compute_attention(f->c, worker, f->precision, s->frames, s->heads, s->size, s->scale, s->q->data + at,
                                s->k->data + at, s->v->data + at, s->out->data + at, &f->errors[worker]);
    }
}

/* Attention between frozen layers, where nothing is kept and nothing added, may round as these do. */
static bool may_round(const attention *s, bool record) {
    return s->q->products > 0 && s->k->products > 0 && s->v->products > 0 && s->e == NULL && !s->drop && !record &&
           compute_has_attention();
}

static tensor *forward_frozen(tape *t, const attention *s) {
    int least = s->q->products < s->k->products ? s->q->products : s->k->products;
    least = s->v->products < least ? s->v->products : least;
    frozen f = {s, tape_compute(t), (compute_precision)(least - 1), op_errors_new(t)};
    if (f.errors == NULL) {
        return NULL;
    }
    compute_for(f.c, s->clips, frozen_clip, &f);
    return op_errors_none(t, f.errors) ? s->out : NULL;
}

/* ---- backward ---- */

/* x[T,size] (+)= op(a)[T,T] * y[T,size], the latter two columns of wide matrices */
static void square_times(const attention *s, bool transposed, const real *a, const real *y, real *x, bool fresh) {
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

/* Slopes of the positions: rows of ds moved to where their distances are in the table, block by block. */
static void backward_positions(const attention *s, int64_t at, const real *ds, real *g, real *dtable) {
    int64_t frames = s->frames;
    for (int64_t begin = 0, end; begin < frames; begin = end) {
        end = block_end(s, begin);
        int64_t m = end - begin, columns = frames - 1 + m;
        for (int64_t i = begin; i < end; i++) {
            real *row = g + (i - begin) * columns;
            int64_t before = end - 1 - i;
            memset(row, 0, (size_t)before * sizeof *row);
            memcpy(row + before, ds + i * frames, (size_t)frames * sizeof *row);
            memset(row + before + frames, 0, (size_t)(columns - before - frames) * sizeof *row);
        }
        if (s->dq != NULL) {
            compute_gemm(&(gemm){.m = m,
                                 .n = s->size,
                                 .k = columns,
                                 .a = g,
                                 .lda = columns,
                                 .b = s->table + (frames - end) * s->size,
                                 .ldb = s->size,
                                 .c = s->dq + at + begin * s->width,
                                 .ldc = s->width,
                                 .accumulate = true});
        }
        if (dtable != NULL) {
            compute_gemm(&(gemm){.ta = true,
                                 .m = s->size,
                                 .n = columns,
                                 .k = m,
                                 .a = s->q->data + at + begin * s->width,
                                 .lda = s->width,
                                 .b = g,
                                 .ldb = columns,
                                 .c = dtable + frames - end,
                                 .ldc = s->stride,
                                 .accumulate = true});
        }
    }
}

static void backward_head(const attention *s, int64_t item, real *ds, real *g, real *dtable) {
    int64_t frames = s->frames, square = frames * frames;
    int64_t at = item / s->heads * frames * s->width + item % s->heads * s->size;
    const real *weights = s->weights + item * square, *dout = s->out->grad + at;
    if (s->dv != NULL) {
        const real *p = weights;
        if (s->drop) {
            mask(s, item, 0, square, weights, ds);
            p = ds;
        }
        square_times(s, true, p, dout, s->dv + at, s->dv_fresh);
    }
    if (s->dq == NULL && s->dk == NULL && dtable == NULL) {
        return;
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
        s->kernels->softmax_slope(frames, s->scale, weights + i * frames, ds + i * frames, ds + i * frames);
    }
    if (s->dq != NULL) {
        square_times(s, false, ds, s->k->data + at, s->dq + at, s->dq_fresh);
    }
    if (s->dk != NULL) {
        square_times(s, true, ds, s->q->data + at, s->dk + at, s->dk_fresh);
    }
    if (s->table != NULL && (s->dq != NULL || dtable != NULL)) {
        backward_positions(s, at, ds, g, dtable);
    }
}

static void backward_clip(void *arg, int64_t clip, unsigned worker) {
    const attention *s = arg;
    real *ds = s->scratch + (int64_t)worker * s->scratch_size, *dtable = NULL;
    if (s->dtable != NULL) {
        int64_t n = s->stride * s->size;
        dtable = s->dtable + clip * n;
        memset(dtable, 0, (size_t)n * sizeof *dtable);
    }
    for (int64_t h = 0; h < s->heads; h++) {
        backward_head(s, clip * s->heads + h, ds, ds + s->frames * s->frames, dtable);
    }
}

/* de += the clips' gradients of the table, summed in order into the first clip's. */
static void add_positions(const attention *s, real *de) {
    int64_t n = s->stride * s->size;
    for (int64_t b = 1; b < s->clips; b++) {
        s->kernels->axpy(n, 1, s->dtable + b * n, s->dtable);
    }
    for (int64_t w = 0; w < table_rows(s); w++) {
        real *row = de + table_source(s, w) * s->size;
        for (int64_t i = 0; i < s->size; i++) {
            row[i] += s->dtable[i * s->stride + w];
        }
    }
}

static void backward(tape *t, void *saved) {
    attention *s = saved;
    int64_t threads = (int64_t)compute_threads(tape_compute(t));
    /* q, k and v may be one tensor: in this order a head's columns are assigned before they are added to. */
    s->dv = tape_grad_fresh(t, s->v, &s->dv_fresh);
    s->dq = tape_grad_fresh(t, s->q, &s->dq_fresh);
    s->dk = tape_grad_fresh(t, s->k, &s->dk_fresh);
    real *de = s->e == NULL ? NULL : tape_grad(t, s->e);
    s->dtable = de == NULL ? NULL : tape_scratch(t, s->clips * s->stride * s->size);
    s->scratch_size = s->frames * s->frames + s->block * (s->frames + s->block);
    s->scratch = tape_scratch(t, threads * s->scratch_size);
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->clips, backward_clip, s);
    if (de != NULL) {
        add_positions(s, de);
    }
}

/* ---- the op ---- */

static bool fits(tape *t, const tensor *q, const tensor *k, const tensor *v, const tensor *e, int64_t heads, double p) {
    if (q->ndim != 3 || !tensor_same_shape(q, k)) {
        (void)op_refuse(t, "op_attention", "queries and keys must both be [clips, frames, channels]", q, k);
    } else if (!tensor_same_shape(q, v)) {
        (void)op_refuse(t, "op_attention", "queries and values must be alike", q, v);
    } else if (heads < 1 || q->dim[2] % heads != 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_attention: %lld channels cannot be shared by %lld heads",
                  (long long)q->dim[2], (long long)heads);
    } else if (e != NULL && (e->ndim != 2 || e->dim[0] % 2 != 1 || e->dim[1] != q->dim[2] / heads)) {
        (void)op_refuse(t, "op_attention", "positions must be [2R+1, channels of a head]", q, e);
    } else if (!(p >= 0 && p < 1)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_attention: a dropout probability of %g is not in [0,1)", p);
    }
    return tape_ok(t);
}

static void make_table(tape *t, attention *s) {
    s->stride = (table_rows(s) + 15) / 16 * 16;
    s->table = tape_alloc(t, (size_t)(table_rows(s) * s->size), sizeof *s->table);
    s->columns = tape_alloc(t, (size_t)(s->stride * s->size), sizeof *s->columns);
    if (!tape_ok(t)) {
        return;
    }
    for (int64_t w = 0; w < table_rows(s); w++) {
        const real *row = s->e->data + table_source(s, w) * s->size;
        for (int64_t i = 0; i < s->size; i++) {
            s->table[w * s->size + i] = row[i];
            s->columns[i * s->stride + w] = row[i];
        }
    }
}

/* What forward() needs besides the inputs. */
static bool prepare(tape *t, attention *s, bool record) {
    int64_t threads = (int64_t)compute_threads(tape_compute(t));
    int64_t blocks = (s->frames + BLOCK_ROWS - 1) / BLOCK_ROWS;
    s->block = (s->frames + blocks - 1) / blocks;
    s->kernels = tape_kernels(t);
    if (record) {
        int64_t dim[4] = {s->clips, s->heads, s->frames, s->frames};
        tensor *weights = tape_tensor(t, 4, dim);
        s->weights = weights == NULL ? NULL : weights->data;
    }
    if (s->e != NULL) {
        make_table(t, s);
    }
    s->scratch_size = s->block * (2 * s->frames + s->block);
    s->scratch = tape_alloc(t, (size_t)(threads * s->scratch_size), sizeof *s->scratch);
    return tape_ok(t);
}

tensor *op_attention(tape *t, tensor *q, tensor *k, tensor *v, tensor *e, int64_t heads, real scale, double p) {
    if (q == NULL || k == NULL || v == NULL || !fits(t, q, k, v, e, heads, p)) {
        return NULL;
    }
    tensor *out = tape_tensor(t, 3, q->dim);
    attention *s = out == NULL ? NULL : tape_alloc(t, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    *s = (attention){.out = out, .q = q, .k = k, .v = v, .e = e, .scale = scale};
    s->clips = q->dim[0];
    s->frames = q->dim[1];
    s->width = q->dim[2];
    s->heads = heads;
    s->size = s->width / heads;
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
    bool wanted = q->needs_grad || k->needs_grad || v->needs_grad || (e != NULL && e->needs_grad);
    bool record = tape_recording(t) && wanted;
    if (may_round(s, record)) {
        return forward_frozen(t, s);
    }
    if (!prepare(t, s, record)) {
        return NULL;
    }
    compute_for(tape_compute(t), s->clips * heads, forward, s);
    if (record) {
        tape_record(t, out, backward, s);
    }
    return out;
}
