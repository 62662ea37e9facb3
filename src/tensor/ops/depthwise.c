/* depthwise.c: op_depthwise; see ops.h.
 *
 * The work is done slab by slab: KERNELS_LANES channels of one clip are copied side by side with the zeros of the
 * padding around them ([frames][KERNELS_LANES], 15 kB for 4 s: they stay in the first-level cache), and then the
 * result, the gradient of the input and the gradient of the weights are all the same correlation y[i] = sum_j a[i+j]
 * b[j]:
 *   y[t]  = sum_k x[t - pad + k] w[k]         a = x with pad zeros before it, b = w
 *   dx[s] = sum_j dy[s + pad - K + 1 + j] w[K-1-j]
 *   dw[k] = sum_t x[t - pad + k] dy[t]        a as in y, b = dy
 * An item is a group of clips; its part of dw is summed over its clips in order, and the parts in order of the
 * items. */
#include "tensor/ops.h"
#include <string.h>

enum {
    DEPTHWISE_ITEMS = 16,   /* at most so many parts of dw */
    DEPTHWISE_PAD = 1 << 20 /* limit of pad_left and pad_right */
};

typedef struct depthwise {
    const kernels *k;
    tensor *x, *w, *b, *y;
    int64_t clips, frames, channels, taps, pad, out; /* out: frames of y */
    int64_t items, slabs;
    real *packed, *flipped; /* [slabs][taps][LANES]: w, and w with its taps reversed */
    int64_t x_rows, dy_rows, out_rows; /* of the slabs of x, dy and a result, with their zeros */
    real *scratch;                     /* the three, for each worker */
    real *dx;
    bool fresh;
    real *dw_parts; /* [items][slabs][round_up(taps)][LANES], NULL if w needs no gradient */
    real *db_parts; /* [items][channels], NULL if b needs none */
} depthwise;

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Zeros before dy in its slab, and rows left out at its start, so that row 0 is dy[pad - K + 1]. */
static int64_t dy_before(const depthwise *s) { return s->taps - 1 > s->pad ? s->taps - 1 - s->pad : 0; }
static int64_t dy_skip(const depthwise *s) { return s->pad > s->taps - 1 ? s->pad - s->taps + 1 : 0; }

static void plan_slabs(depthwise *s) {
    int64_t read = s->frames + s->taps + KERNELS_BLOCK; /* at most, of dy's slab after dy_skip */
    int64_t longest = s->out > s->frames ? s->out : s->frames;
    s->slabs = (s->channels + KERNELS_LANES - 1) / KERNELS_LANES;
    s->x_rows = s->out + s->taps + KERNELS_BLOCK;
    s->dy_rows = dy_before(s) + dy_skip(s) + (s->out > read ? s->out : read);
    s->out_rows = (longest > s->taps ? longest : s->taps) + KERNELS_BLOCK;
}

static size_t scratch_size(const depthwise *s) {
    return (size_t)((s->x_rows + s->dy_rows + s->out_rows) * KERNELS_LANES);
}

/* slab[before + r] = src[r][0..n), r < rows, all else of its `total` rows 0; n <= KERNELS_LANES. */
static void pack(real *slab, int64_t total, int64_t before, int64_t rows, const real *src, int64_t stride, int64_t n) {
    memset(slab, 0, (size_t)(before * KERNELS_LANES) * sizeof *slab);
    real *p = slab + before * KERNELS_LANES;
    for (int64_t r = 0; r < rows; r++, p += KERNELS_LANES, src += stride) {
        if (n == KERNELS_LANES) {
            memcpy(p, src, KERNELS_LANES * sizeof *p);
        } else {
            memcpy(p, src, (size_t)n * sizeof *p);
            memset(p + n, 0, (size_t)(KERNELS_LANES - n) * sizeof *p);
        }
    }
    memset(p, 0, (size_t)((total - before - rows) * KERNELS_LANES) * sizeof *p);
}

/* dst[r][c] (=|+=) slab[r][c] (+ bias[c]) */
static void unpack(const real *slab, int64_t rows, const real *bias, bool add, real *dst, int64_t stride, int64_t n) {
    real b[KERNELS_LANES] = {0};
    if (bias != NULL) {
        memcpy(b, bias, (size_t)n * sizeof *b);
    }
    for (int64_t r = 0; r < rows; r++, slab += KERNELS_LANES, dst += stride) {
        if (add) {
            for (int64_t c = 0; c < n; c++) {
                dst[c] += slab[c];
            }
        } else if (n == KERNELS_LANES) {
#pragma omp simd
            for (int64_t c = 0; c < KERNELS_LANES; c++) {
                dst[c] = slab[c] + b[c];
            }
        } else {
            for (int64_t c = 0; c < n; c++) {
                dst[c] = slab[c] + b[c];
            }
        }
    }
}

static int64_t slab_width(const depthwise *s, int64_t slab) {
    int64_t left = s->channels - slab * KERNELS_LANES;
    return left < KERNELS_LANES ? left : KERNELS_LANES;
}

static void forward_item(void *arg, int64_t clip, unsigned worker) {
    depthwise *s = arg;
    real *in = s->scratch + worker * scratch_size(s), *out = in + s->x_rows * KERNELS_LANES;
    const real *x = s->x->data + clip * s->frames * s->channels;
    real *y = s->y->data + clip * s->out * s->channels;
    for (int64_t i = 0; i < s->slabs; i++) {
        int64_t at = i * KERNELS_LANES, n = slab_width(s, i);
        pack(in, s->x_rows, s->pad, s->frames, x + at, s->channels, n);
        s->k->correlate(round_up(s->out, KERNELS_BLOCK), s->taps, in, s->packed + at * s->taps, out);
        unpack(out, s->out, s->b != NULL ? s->b->data + at : NULL, false, y + at, s->channels, n);
    }
}

/* One slab of one clip: dx, and the parts of dw (dw: [round_up(taps)][LANES]). */
static void backward_slab(depthwise *s, int64_t clip, int64_t slab, real *in, real *dw) {
    int64_t at = slab * KERNELS_LANES, n = slab_width(s, slab), before = dy_before(s), skip = dy_skip(s);
    real *dy = in + s->x_rows * KERNELS_LANES, *out = dy + s->dy_rows * KERNELS_LANES;
    pack(dy, s->dy_rows, before, s->out, s->y->grad + clip * s->out * s->channels + at, s->channels, n);
    int64_t offset = clip * s->frames * s->channels + at;
    if (s->dx != NULL) {
        s->k->correlate(round_up(s->frames, KERNELS_BLOCK), s->taps, dy + skip * KERNELS_LANES,
                        s->flipped + at * s->taps, out);
        unpack(out, s->frames, NULL, !s->fresh, s->dx + offset, s->channels, n);
    }
    if (s->dw_parts != NULL) {
        int64_t taps = round_up(s->taps, KERNELS_BLOCK);
        pack(in, s->x_rows, s->pad, s->frames, s->x->data + offset, s->channels, n);
        s->k->correlate(taps, s->out, in, dy + before * KERNELS_LANES, out);
        s->k->axpy(taps * KERNELS_LANES, 1, out, dw);
    }
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    depthwise *s = arg;
    real *scratch = s->scratch + worker * scratch_size(s);
    int64_t part = round_up(s->taps, KERNELS_BLOCK) * KERNELS_LANES;
    real *dw = s->dw_parts, *db = s->db_parts;
    if (dw != NULL) {
        dw += item * s->slabs * part;
        memset(dw, 0, (size_t)(s->slabs * part) * sizeof *dw);
    }
    if (db != NULL) {
        db += item * s->channels;
        memset(db, 0, (size_t)s->channels * sizeof *db);
    }
    int64_t end = compute_split(s->clips, s->items, item + 1);
    for (int64_t clip = compute_split(s->clips, s->items, item); clip < end; clip++) {
        for (int64_t i = 0; i < s->slabs; i++) {
            backward_slab(s, clip, i, scratch, dw == NULL ? NULL : dw + i * part);
        }
        if (db != NULL) {
            s->k->sum_rows(s->out, s->channels, s->y->grad + clip * s->out * s->channels, db);
        }
    }
}

static void add_parts(depthwise *s, real *dw, real *db) {
    int64_t part = round_up(s->taps, KERNELS_BLOCK) * KERNELS_LANES;
    for (int64_t item = 0; item < s->items; item++) {
        if (db != NULL) {
            s->k->axpy(s->channels, 1, s->db_parts + item * s->channels, db);
        }
        for (int64_t c = 0; dw != NULL && c < s->channels; c++) {
            const real *p = s->dw_parts + (item * s->slabs + c / KERNELS_LANES) * part + c % KERNELS_LANES;
            for (int64_t k = 0; k < s->taps; k++) {
                dw[c * s->taps + k] += p[k * KERNELS_LANES];
            }
        }
    }
}

static void backward(tape *t, void *saved) {
    depthwise *s = saved;
    real *dw = tape_grad(t, s->w), *db = s->b != NULL ? tape_grad(t, s->b) : NULL;
    s->dx = tape_grad_fresh(t, s->x, &s->fresh);
    s->items = s->clips < DEPTHWISE_ITEMS ? s->clips : DEPTHWISE_ITEMS;
    int64_t part = round_up(s->taps, KERNELS_BLOCK) * KERNELS_LANES;
    s->dw_parts = dw != NULL ? tape_alloc(t, (size_t)(s->items * s->slabs * part), sizeof(real)) : NULL;
    s->db_parts = db != NULL ? tape_alloc(t, (size_t)(s->items * s->channels), sizeof(real)) : NULL;
    s->scratch = tape_alloc(t, scratch_size(s) * compute_threads(tape_compute(t)), sizeof(real));
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->items, backward_item, s);
    add_parts(s, dw, db);
}

/* The weights w[C][K] as slabs: packed[slab][k][lane], and with the taps reversed. */
static void pack_weights(depthwise *s) {
    memset(s->packed, 0, (size_t)(s->slabs * s->taps * KERNELS_LANES) * sizeof *s->packed);
    memset(s->flipped, 0, (size_t)(s->slabs * s->taps * KERNELS_LANES) * sizeof *s->flipped);
    for (int64_t c = 0; c < s->channels; c++) {
        int64_t at = c / KERNELS_LANES * s->taps * KERNELS_LANES + c % KERNELS_LANES;
        for (int64_t k = 0; k < s->taps; k++) {
            s->packed[at + k * KERNELS_LANES] = s->w->data[c * s->taps + k];
            s->flipped[at + k * KERNELS_LANES] = s->w->data[c * s->taps + s->taps - 1 - k];
        }
    }
}

static bool shapes_fit(tape *t, const tensor *x, const tensor *w, const tensor *b, int64_t left, int64_t right) {
    if (x->ndim != 3 || w->ndim != 2 || x->dim[2] != w->dim[0] || (b != NULL && tensor_count(b) != w->dim[0])) {
        tape_fail(t, SPOOR_ERR_USAGE,
                  "depthwise: input [B,T,C] with %d dimensions and %lld channels does not fit weights [C,K] with %d "
                  "dimensions and %lld channels and %lld biases",
                  x->ndim, (long long)tensor_cols(x), w->ndim, (long long)w->dim[0],
                  (long long)(b != NULL ? tensor_count(b) : 0));
        return false;
    }
    if (w->dim[1] < 1 || left < 0 || right < 0 || left > DEPTHWISE_PAD || right > DEPTHWISE_PAD ||
        x->dim[1] + left + right < w->dim[1]) {
        tape_fail(t, SPOOR_ERR_USAGE, "depthwise: %lld frames with padding %lld and %lld are too few for %lld taps",
                  (long long)x->dim[1], (long long)left, (long long)right, (long long)w->dim[1]);
        return false;
    }
    return true;
}

tensor *op_depthwise(tape *t, tensor *x, tensor *w, tensor *b, int64_t pad_left, int64_t pad_right) {
    if (x == NULL || w == NULL || !shapes_fit(t, x, w, b, pad_left, pad_right)) {
        return NULL;
    }
    int64_t out = x->dim[1] + pad_left + pad_right - w->dim[1] + 1;
    depthwise *s = tape_alloc(t, 1, sizeof *s);
    tensor *y = tape_tensor(t, 3, (int64_t[]){x->dim[0], out, x->dim[2]});
    if (s == NULL || y == NULL) {
        return NULL;
    }
    *s = (depthwise){.k = tape_kernels(t), .x = x, .w = w, .b = b, .y = y, .clips = x->dim[0], .frames = x->dim[1],
                     .channels = x->dim[2], .taps = w->dim[1], .pad = pad_left, .out = out};
    plan_slabs(s);
    s->packed = tape_alloc(t, (size_t)(s->slabs * s->taps), KERNELS_LANES * sizeof(real));
    s->flipped = tape_alloc(t, (size_t)(s->slabs * s->taps), KERNELS_LANES * sizeof(real));
    s->scratch = tape_alloc(t, scratch_size(s) * compute_threads(tape_compute(t)), sizeof(real));
    if (!tape_ok(t)) {
        return NULL;
    }
    pack_weights(s);
    compute_for(tape_compute(t), s->clips, forward_item, s);
    if (tape_recording(t) && (x->needs_grad || w->needs_grad || (b != NULL && b->needs_grad))) {
        tape_record(t, y, backward, s);
    }
    return y;
}
