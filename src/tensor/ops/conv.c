/* conv.c: see conv.h.
 *
 * A block of output positions at a time, the input under the kernel is copied into rows of a matrix (in the order of
 * the weights, so a row is one copy per row of the kernel), which stays in the cache for a matrix product with the
 * weights. With the kernel 1 x 1 the input is that matrix. (dnnl_sgemm refuses overlapping rows, lda < k, so frames
 * that overlap cannot be used in place; the copy costs one store for 2 x `out` operations.) Backward, the gradient of
 * the rows is added back into the input, and the rows are made again for the gradient of the weights.
 *
 * Where the shape allows it (conv_direct.h) no such matrix is made.
 *
 * Forward items are blocks; backward items are groups of clips, whose parts of dw and db are added in order. */
#include "tensor/ops/conv_direct.h"
#include "tensor/ops/refuse.h"
#include <string.h>

enum {
    CONV_ITEMS = 16,        /* at most so many parts of dw */
    CONV_VALUES = 1 << 16,  /* values of a block's matrix, about */
    CONV_ROWS_LEAST = 192,  /* rows of a block: products with fewer spend their time on packing the weights */
    CONV_ROWS_MOST = 2048
};

typedef struct conv {
    conv_shape s;
    const kernels *k;
    tensor *x, *w, *b, *y;
    compute_finish finish;  /* packed weights */
    int64_t places;         /* output positions of a clip */
    int64_t rows, blocks;   /* places of a block, blocks of a clip */
    int64_t depth;          /* columns of the matrix */
    bool direct;            /* x is the matrix */
    bool panels, panels_back; /* conv_direct.h serves: y and dw; dx */
    real *strips;           /* weights laid out for it */
    conv_shape turned;
    real *scratch;          /* [workers][rows * depth], none if direct */
    spoor_error *errors;    /* packed weights: one for each worker */
    compute *compute;
    int64_t items;
    real *dx;
    bool fresh;
    real *dw, *db;          /* of the first item; the others lie behind. NULL = not wanted */
} conv;

int64_t conv_places(int64_t n, int64_t taps, int64_t stride, int64_t dilation, int64_t pad_before, int64_t pad_after) {
    if (taps < 1 || stride < 1 || dilation < 1 || pad_before < 0 || pad_after < 0 || taps > INT32_MAX ||
        stride > CONV_LIMIT || dilation > CONV_LIMIT || pad_before > CONV_LIMIT || pad_after > CONV_LIMIT) {
        return 0;
    }
    int64_t room = n + pad_before + pad_after - dilation * (taps - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/* ---- the matrix of a block ---- */

/* An output position, and the input under its kernel: rows from `top`, columns from `left`, of which taps [first, end)
 * lie inside the width. */
typedef struct place_at {
    int64_t row, col, top, left, first, end;
} place_at;

static inline void place_look(const conv_shape *s, place_at *p) {
    int64_t d = s->dilation;
    p->top = p->row * s->stride_h - s->pad_top;
    p->left = p->col * s->stride_w - s->pad_left;
    p->first = 0;
    p->end = s->taps_w;
    if (p->left < 0) {
        p->first = (-p->left + d - 1) / d;
        p->first = p->first > s->taps_w ? s->taps_w : p->first;
    }
    if (p->left + d * (s->taps_w - 1) >= s->width) {
        p->end = s->width > p->left ? (s->width - p->left + d - 1) / d : 0;
        p->end = p->end < p->first ? p->first : p->end;
    }
}

static inline place_at place_first(const conv_shape *s, int64_t place) {
    place_at p = {.row = place / s->out_width, .col = place % s->out_width};
    place_look(s, &p);
    return p;
}

static inline void place_next(const conv_shape *s, place_at *p) {
    if (++p->col == s->out_width) {
        p->col = 0;
        p->row++;
    }
    place_look(s, p);
}

static inline void copy(real *dst, const real *src, int64_t n) {
    if (n < 4) { /* the first layer over one channel: a call would cost more than the copy */
        for (int64_t i = 0; i < n; i++) {
            dst[i] = src[i];
        }
    } else {
        memcpy(dst, src, (size_t)n * sizeof *dst);
    }
}

static inline void clear(real *dst, int64_t n) {
    if (n > 0) {
        memset(dst, 0, (size_t)n * sizeof *dst);
    }
}

/* rows[count][depth] of group g for the places from `place` of one clip's x. */
static void gather(const conv *c, const real *x, int64_t g, int64_t place, int64_t count, real *rows) {
    const conv_shape *s = &c->s;
    int64_t n = s->channels / s->groups, line = s->taps_w * n;
    bool whole = s->dilation == 1 && s->groups == 1;
    place_at p = place_first(s, place);
    for (int64_t i = 0; i < count; i++, place_next(s, &p)) {
        for (int64_t h = p.top; h < p.top + s->taps_h; h++, rows += line) {
            if (h < 0 || h >= s->height || p.first == p.end) {
                clear(rows, line);
                continue;
            }
            int64_t at = (h * s->width + p.left) * s->channels + g * n; /* of tap 0, maybe outside */
            clear(rows, p.first * n);
            if (whole) {
                copy(rows + p.first * n, x + (at + p.first * n), (p.end - p.first) * n);
            } else {
                for (int64_t k = p.first; k < p.end; k++) {
                    copy(rows + k * n, x + (at + k * s->dilation * s->channels), n);
                }
            }
            clear(rows + p.end * n, (s->taps_w - p.end) * n);
        }
    }
}

static inline void add(const conv *c, real *dst, const real *src, int64_t n) {
    if (n < 4) {
        for (int64_t i = 0; i < n; i++) {
            dst[i] += src[i];
        }
    } else {
        c->k->axpy(n, 1, src, dst);
    }
}

/* The reverse: adds the rows into dx. */
static void scatter(const conv *c, real *dx, int64_t g, int64_t place, int64_t count, const real *rows) {
    const conv_shape *s = &c->s;
    int64_t n = s->channels / s->groups, line = s->taps_w * n;
    bool whole = s->dilation == 1 && s->groups == 1;
    place_at p = place_first(s, place);
    for (int64_t i = 0; i < count; i++, place_next(s, &p)) {
        for (int64_t h = p.top; h < p.top + s->taps_h; h++, rows += line) {
            if (h < 0 || h >= s->height || p.first == p.end) {
                continue;
            }
            int64_t at = (h * s->width + p.left) * s->channels + g * n;
            if (whole) {
                add(c, dx + (at + p.first * n), rows + p.first * n, (p.end - p.first) * n);
            } else {
                for (int64_t k = p.first; k < p.end; k++) {
                    add(c, dx + (at + k * s->dilation * s->channels), rows + k * n, n);
                }
            }
        }
    }
}

/* ---- forward ---- */

static int64_t block_range(const conv *c, int64_t block, int64_t *place) {
    *place = block * c->rows;
    return c->places - *place < c->rows ? c->places - *place : c->rows;
}

/* Whether the block of places from `place` needs no zeros around x and no gaps between taps. */
static bool lies_inside(const conv *c, int64_t place, int64_t count) {
    const conv_shape *s = &c->s;
    int64_t first = place * s->stride_w - s->pad_left,
            last = (place + count - 1) * s->stride_w - s->pad_left + s->taps_w;
    return s->height == 1 && s->taps_h == 1 && s->dilation == 1 && first >= 0 && last <= s->width;
}

/* With frozen weights: the rows of the matrix are read where they lie, overlapping, or gathered at the ends of a
 * clip. */
static void packed_item(void *arg, int64_t item, unsigned worker) {
    conv *c = arg;
    const conv_shape *s = &c->s;
    int64_t clip = item / c->blocks, place, count = block_range(c, item % c->blocks, &place), stride = c->depth;
    const real *x = c->x->data + clip * s->height * s->width * s->channels, *rows = x + place * s->channels;
    spoor_error *err = &c->errors[worker];
    if (lies_inside(c, place, count)) {
        rows = x + (place * s->stride_w - s->pad_left) * s->channels;
        stride = s->stride_w * s->channels;
    } else if (!c->direct) {
        real *scratch = c->scratch + worker * c->rows * c->depth;
        gather(c, x, 0, place, count, scratch);
        rows = scratch;
    }
    if (err->status == SPOOR_OK) {
        (void)compute_weight_apply(c->compute, worker, c->w->packed, count, rows, stride, &c->finish,
                                   c->y->data + (clip * c->places + place) * s->out, s->out, err);
    }
}

static void packed_clip(void *arg, int64_t clip, unsigned worker) {
    conv *c = arg;
    const conv_shape *s = &c->s;
    spoor_error *err = &c->errors[worker];
    if (err->status == SPOOR_OK) {
        (void)compute_weight_convolve(c->compute, worker, c->w->packed, s->width,
                                      c->x->data + clip * s->width * s->channels, s->pad_left, c->places,
                                      c->b != NULL ? c->b->data : NULL, c->y->data + clip * c->places * s->out, err);
    }
}

static tensor *run_packed(tape *t, conv *c) {
    const conv_shape *s = &c->s;
    int64_t groups = compute_weight_groups(c->w->packed);
    bool fits =
        groups == 0 ? s->groups == 1 : groups == s->groups && s->stride_w == 1 && s->dilation == 1 && s->height == 1;
    if (!fits || (tape_recording(t) && c->x->needs_grad)) {
        tape_fail(t, SPOOR_ERR_USAGE, "convolution: a frozen weight lets no gradient flow, and serves its own number "
                  "of groups, with stride and dilation 1 where there are any");
        return NULL;
    }
    c->compute = tape_compute(t);
    c->errors = op_errors_new(t);
    if (c->errors == NULL) {
        return NULL;
    }
    compute_for(c->compute, groups == 0 ? s->clips * c->blocks : s->clips, groups == 0 ? packed_item : packed_clip, c);
    return op_errors_none(t, c->errors) ? c->y : NULL;
}

static void forward_item(void *arg, int64_t item, unsigned worker) {
    conv *c = arg;
    const conv_shape *s = &c->s;
    int64_t clip = item / c->blocks, place, count = block_range(c, item % c->blocks, &place);
    real *scratch = c->scratch + worker * c->rows * c->depth;
    const real *x = c->x->data + clip * s->height * s->width * s->channels;
    int64_t out = s->out / s->groups;
    for (int64_t g = 0; g < s->groups; g++) {
        if (!c->direct) {
            gather(c, x, g, place, count, scratch);
        }
        compute_gemm(&(gemm){.tb = true, .m = count, .n = out, .k = c->depth,
                             .a = c->direct ? x + place * s->channels : scratch, .lda = c->depth,
                             .b = c->w->data + g * out * c->depth, .ldb = c->depth,
                             .c = c->y->data + (clip * c->places + place) * s->out + g * out, .ldc = s->out,
                             .bias = c->b != NULL ? c->b->data + g * out : NULL});
    }
}

/* ---- without a matrix ---- */

static int64_t lines_of(const conv *c) {
    return c->s.out_width >= CONV_ROWS_LEAST ? 1 : CONV_ROWS_LEAST / c->s.out_width;
}

static int64_t line_blocks(const conv *c) { return (c->s.out_height + lines_of(c) - 1) / lines_of(c); }

static void panels_item(void *arg, int64_t item, unsigned worker) {
    (void)worker;
    conv *c = arg;
    const conv_shape *s = &c->s;
    int64_t clip = item / line_blocks(c), first = item % line_blocks(c) * lines_of(c), end = first + lines_of(c);
    end = end < s->out_height ? end : s->out_height;
    conv_direct_lines(c->k, s, c->x->data + clip * s->height * s->width * s->channels, c->strips,
                      c->b != NULL ? c->b->data : NULL, false, first, end, c->y->data + clip * c->places * s->out);
}

static void panels_forward(tape *t, conv *c) {
    c->strips = tape_alloc(t, (size_t)(c->s.out * c->depth), sizeof *c->strips);
    if (c->strips != NULL) {
        conv_direct_pack(&c->s, c->w->data, c->strips);
        compute_for(tape_compute(t), c->s.clips * line_blocks(c), panels_item, c);
    }
}

/* part[depth][out] of each item, added in order to dw[out][depth]. */
static void add_turned_parts(const conv *c, const real *part, real *dw) {
    int64_t n = c->s.out * c->depth;
    for (int64_t i = 1; i < c->items; i++) {
        c->k->axpy(n, 1, part + i * n, (real *)(uintptr_t)part);
    }
    for (int64_t o = 0; c->items > 0 && o < c->s.out; o++) {
        for (int64_t i = 0; i < c->depth; i++) {
            dw[o * c->depth + i] += part[i * c->s.out + o];
        }
    }
}

/* ---- backward ---- */

static void backward_input(conv *c, int64_t clip, int64_t g, int64_t place, int64_t count, real *rows) {
    const conv_shape *s = &c->s;
    int64_t out = s->out / s->groups;
    real *dx = c->dx + clip * s->height * s->width * s->channels;
    gemm product = {.m = count, .n = c->depth, .k = out,
                    .a = c->y->grad + (clip * c->places + place) * s->out + g * out, .lda = s->out,
                    .b = c->w->data + g * out * c->depth, .ldb = c->depth, .c = rows, .ldc = c->depth};
    if (c->direct) {
        product.c = dx + place * s->channels;
        product.accumulate = !c->fresh;
    }
    compute_gemm(&product);
    if (!c->direct) {
        scatter(c, dx, g, place, count, rows);
    }
}

static void backward_weights(conv *c, int64_t clip, int64_t g, int64_t place, int64_t count, real *rows, real *dw) {
    const conv_shape *s = &c->s;
    int64_t out = s->out / s->groups;
    const real *x = c->x->data + clip * s->height * s->width * s->channels;
    if (!c->direct) {
        gather(c, x, g, place, count, rows);
    }
    compute_gemm(&(gemm){.ta = true, .m = out, .n = c->depth, .k = count, .accumulate = true,
                         .a = c->y->grad + (clip * c->places + place) * s->out + g * out, .lda = s->out,
                         .b = c->direct ? x + place * s->channels : rows, .ldb = c->depth,
                         .c = dw + g * out * c->depth, .ldc = c->depth});
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    conv *c = arg;
    const conv_shape *s = &c->s;
    real *rows = c->scratch + worker * c->rows * c->depth;
    real *dw = c->dw == NULL ? NULL : c->dw + item * s->out * c->depth;
    real *db = c->db == NULL ? NULL : c->db + item * s->out;
    int64_t end = compute_split(s->clips, c->items, item + 1);
    for (int64_t clip = compute_split(s->clips, c->items, item); clip < end; clip++) {
        int64_t size = s->height * s->width * s->channels;
        const real *dy = c->y->grad + clip * c->places * s->out;
        if (c->dx != NULL && c->panels_back) {
            conv_direct_lines(c->k, &c->turned, dy, c->strips, NULL, !c->fresh, 0, s->height, c->dx + clip * size);
        } else if (c->dx != NULL && c->fresh && !c->direct) {
            memset(c->dx + clip * size, 0, (size_t)size * sizeof *c->dx);
        }
        if (dw != NULL && c->panels) {
            conv_direct_weights(c->k, s, c->x->data + clip * size, dy, dw);
        }
        for (int64_t i = 0; i < c->blocks * s->groups && !(c->panels && (c->dx == NULL || c->panels_back)); i++) {
            int64_t place, count = block_range(c, i / s->groups, &place), g = i % s->groups;
            if (dw != NULL && !c->panels) {
                backward_weights(c, clip, g, place, count, rows, dw);
            }
            if (c->dx != NULL && !c->panels_back) {
                backward_input(c, clip, g, place, count, rows);
            }
        }
        if (db != NULL) {
            c->k->sum_rows(c->places, s->out, dy, db);
        }
    }
}

/* Room for the parts of a gradient of n values: the gradient itself where there is one item. */
static real *parts(tape *t, const conv *c, real *gradient, int64_t n, bool always) {
    if (gradient == NULL || (c->items <= 1 && !always)) {
        return gradient;
    }
    real *p = tape_alloc(t, (size_t)(c->items * n), sizeof *p);
    if (p != NULL) {
        memset(p, 0, (size_t)(c->items * n) * sizeof *p);
    }
    return p;
}

static void add_parts(const conv *c, const real *p, real *gradient, int64_t n) {
    for (int64_t i = 0; p != gradient && i < c->items; i++) {
        c->k->axpy(n, 1, p + i * n, gradient);
    }
}

static real *take_scratch(tape *t, const conv *c) {
    size_t size = c->direct || (c->panels && c->panels_back) ? 0 : (size_t)(c->rows * c->depth);
    return tape_alloc(t, size * compute_threads(tape_compute(t)), sizeof(real));
}

static void backward(tape *t, void *saved) {
    conv *c = saved;
    real *dw = tape_grad(t, c->w), *db = c->b != NULL ? tape_grad(t, c->b) : NULL;
    c->dx = tape_grad_fresh(t, c->x, &c->fresh);
    c->items = c->s.clips < CONV_ITEMS ? c->s.clips : CONV_ITEMS;
    c->dw = parts(t, c, dw, c->s.out * c->depth, c->panels);
    c->db = parts(t, c, db, c->s.out, false);
    c->scratch = take_scratch(t, c);
    c->strips = c->panels_back && c->dx != NULL ? tape_scratch(t, c->s.out * c->depth) : NULL;
    if (!tape_ok(t)) {
        return;
    }
    if (c->strips != NULL) {
        conv_direct_pack_turned(&c->s, c->w->data, c->strips);
    }
    compute_for(tape_compute(t), c->items, backward_item, c);
    if (c->panels && dw != NULL) {
        add_turned_parts(c, c->dw, dw);
    } else {
        add_parts(c, c->dw, dw, c->s.out * c->depth);
    }
    add_parts(c, c->db, db, c->s.out);
}

tensor *conv_run(tape *t, const conv_shape *shape, tensor *x, tensor *w, tensor *b, const compute_finish *finish,
                 tensor *y) {
    conv *c = tape_alloc(t, 1, sizeof *c);
    if (c == NULL || y == NULL) {
        return NULL;
    }
    *c = (conv){.s = *shape, .k = tape_kernels(t), .x = x, .w = w, .b = b, .y = y,
                .finish = finish != NULL ? *finish : (compute_finish){.act = OP_ACT_NONE},
                .places = shape->out_height * shape->out_width,
                .depth = shape->taps_h * shape->taps_w * (shape->channels / shape->groups)};
    c->direct = shape->taps_h == 1 && shape->taps_w == 1 && shape->stride_h == 1 && shape->stride_w == 1 &&
                shape->groups == 1 && c->places == shape->height * shape->width;
    c->rows = c->depth > 0 ? CONV_VALUES / c->depth : CONV_ROWS_MOST;
    c->rows = c->rows < CONV_ROWS_LEAST ? CONV_ROWS_LEAST : c->rows > CONV_ROWS_MOST ? CONV_ROWS_MOST : c->rows;
    c->rows = c->rows < c->places ? c->rows : c->places;
    c->blocks = (c->places + c->rows - 1) / c->rows;
    c->panels = w->packed == NULL && conv_direct_fits(shape);
    c->turned = conv_direct_turned(shape);
    c->panels_back = w->packed == NULL && conv_direct_fits(&c->turned);
    c->scratch = take_scratch(t, c);
    if (c->scratch == NULL) {
        return NULL;
    }
    if (w->packed != NULL) {
        c->finish.bias = b != NULL ? b->data : NULL;
        return run_packed(t, c);
    }
    if (c->panels) {
        panels_forward(t, c);
    } else {
        compute_for(tape_compute(t), shape->clips * c->blocks, forward_item, c);
    }
    if (!tape_ok(t)) {
        return NULL;
    }
    if (tape_recording(t) && (x->needs_grad || w->needs_grad || (b != NULL && b->needs_grad))) {
        tape_record(t, y, backward, c);
    }
    return y;
}
