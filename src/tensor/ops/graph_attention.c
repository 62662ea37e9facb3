/* graph_attention.c: attention weights between the nodes of a graph, paired by products; the formula is in ops.h.
 *
 * Pairs are taken in blocks: a panel of products y_i * x_j, one matrix product with W, tanh, one product with the
 * attention vectors. Where the nodes attend to one another, pair (j,i) has the value of (i,j) and is not computed
 * again. Forward, an item is a clip; backward, a group of clips, whose parts of the weights' gradients are added in
 * order. */
#include "tensor/ops/refuse.h"
#include <string.h>

enum { BLOCK_PAIRS = 256, KINDS = 3 };

typedef struct graph {
    const kernels *k;
    tensor *out, *y, *x, *w, *b, *a;
    bool same; /* y is x */
    int64_t clips, rows, nodes, in, hidden, kinds, first;
    int64_t pairs;     /* of a clip */
    real inverse;      /* 1 / temperature */
    real *h;           /* tanh [clips][pairs][hidden]; NULL: not kept */
    real *scratch;     /* scratch_size values for each worker */
    int64_t scratch_size;
    /* while backward runs */
    int64_t items;
    real *dy, *dx, *dw, *db, *da; /* parameters: of the first item, the others lie behind; NULL: not wanted */
} graph;

/* The next pair of a clip in order. */
typedef struct pair {
    int64_t i, j;
} pair;

static void pair_next(const graph *s, pair *p) {
    if (++p->j == s->nodes) {
        p->i++;
        p->j = s->same ? p->i : 0;
    }
}

static int64_t kind_of(const graph *s, pair p) {
    if (s->kinds == 1) {
        return 0;
    }
    return p.i < s->first && p.j < s->first ? 0 : p.i >= s->first && p.j >= s->first ? 1 : 2;
}

/* panel[n][in] of the n pairs from `at`. */
static void fill(const graph *s, int64_t clip, pair at, int64_t n, real *panel) {
    const real *y = s->y->data + clip * s->rows * s->in, *x = s->x->data + clip * s->nodes * s->in;
    for (int64_t p = 0; p < n; p++, pair_next(s, &at)) {
        s->k->mul(s->in, y + at.i * s->in, x + at.j * s->in, panel + p * s->in);
    }
}

static int64_t block_of(const graph *s, int64_t done) {
    return s->pairs - done < BLOCK_PAIRS ? s->pairs - done : BLOCK_PAIRS;
}

/* ---- forward ---- */

static void forward_item(void *arg, int64_t clip, unsigned worker) {
    const graph *s = arg;
    real *panel = s->scratch + (int64_t)worker * s->scratch_size, *score = panel + BLOCK_PAIRS * s->in;
    real *spare = score + BLOCK_PAIRS * KINDS, *out = s->out->data + clip * s->rows * s->nodes;
    pair at = {0, 0};
    for (int64_t done = 0, n; done < s->pairs; done += n) {
        n = block_of(s, done);
        real *h = s->h == NULL ? spare : s->h + (clip * s->pairs + done) * s->hidden;
        fill(s, clip, at, n, panel);
        compute_gemm(&(gemm){.tb = true, .m = n, .n = s->hidden, .k = s->in, .a = panel, .lda = s->in, .b = s->w->data,
                             .ldb = s->in, .c = h, .ldc = s->hidden, .bias = s->b->data});
        s->k->activate(OP_ACT_TANH, n * s->hidden, h, h);
        compute_gemm(&(gemm){.tb = true, .m = n, .n = s->kinds, .k = s->hidden, .a = h, .lda = s->hidden,
                             .b = s->a->data,
                             .ldb = s->hidden, .c = score, .ldc = s->kinds});
        for (int64_t p = 0; p < n; p++, pair_next(s, &at)) {
            real e = score[p * s->kinds + kind_of(s, at)];
            out[at.i * s->nodes + at.j] = e;
            if (s->same) {
                out[at.j * s->nodes + at.i] = e;
            }
        }
    }
    for (int64_t i = 0; i < s->rows; i++) {
        s->k->softmax_scaled(s->nodes, s->inverse, out + i * s->nodes, NULL, out + i * s->nodes);
    }
}

/* ---- backward ---- */

/* Gradients of the scores of n pairs, each in the column of its kind. */
static void score_slopes(const graph *s, const real *de, pair at, int64_t n, real *slopes) {
    memset(slopes, 0, (size_t)(n * s->kinds) * sizeof *slopes);
    for (int64_t p = 0; p < n; p++, pair_next(s, &at)) {
        real g = de[at.i * s->nodes + at.j];
        if (s->same && at.i != at.j) {
            g += de[at.j * s->nodes + at.i];
        }
        slopes[p * s->kinds + kind_of(s, at)] = g;
    }
}

static void add_to_nodes(const graph *s, int64_t clip, pair at, int64_t n, const real *dpanel) {
    int64_t row0 = clip * s->rows, node0 = clip * s->nodes;
    for (int64_t p = 0; p < n; p++, pair_next(s, &at)) {
        int64_t i = (row0 + at.i) * s->in, j = (node0 + at.j) * s->in;
        if (s->dy != NULL) {
            s->k->mul_add(s->in, dpanel + p * s->in, s->x->data + j, s->dy + i);
        }
        if (s->dx != NULL) {
            s->k->mul_add(s->in, dpanel + p * s->in, s->y->data + i, s->dx + j);
        }
    }
}

static void backward_block(const graph *s, int64_t clip, int64_t item, pair at, int64_t done, real *panel,
                           const real *de) {
    int64_t n = block_of(s, done), in = s->in, hidden = s->hidden;
    real *slopes = panel + BLOCK_PAIRS * in, *dz = slopes + BLOCK_PAIRS * KINDS;
    const real *h = s->h + (clip * s->pairs + done) * hidden;
    score_slopes(s, de, at, n, slopes);
    if (s->da != NULL) {
        compute_gemm(&(gemm){.ta = true, .m = s->kinds, .n = hidden, .k = n, .a = slopes, .lda = s->kinds, .b = h,
                             .ldb = hidden, .c = s->da + item * s->kinds * hidden, .ldc = hidden, .accumulate = true});
    }
    compute_gemm(&(gemm){.m = n, .n = hidden, .k = s->kinds, .a = slopes, .lda = s->kinds, .b = s->a->data,
                         .ldb = hidden,
                         .c = dz, .ldc = hidden});
    s->k->activate_backward(OP_ACT_TANH, n * hidden, NULL, h, dz, dz);
    if (s->db != NULL) {
        s->k->sum_rows(n, hidden, dz, s->db + item * hidden);
    }
    if (s->dw != NULL) {
        fill(s, clip, at, n, panel);
        compute_gemm(&(gemm){.ta = true, .m = hidden, .n = in, .k = n, .a = dz, .lda = hidden, .b = panel, .ldb = in,
                             .c = s->dw + item * hidden * in, .ldc = in, .accumulate = true});
    }
    if (s->dy != NULL || s->dx != NULL) {
        compute_gemm(&(gemm){
            .m = n, .n = in, .k = hidden, .a = dz, .lda = hidden, .b = s->w->data, .ldb = in, .c = panel, .ldc = in});
        add_to_nodes(s, clip, at, n, panel);
    }
}

static void backward_item(void *arg, int64_t item, unsigned worker) {
    const graph *s = arg;
    real *panel = s->scratch + (int64_t)worker * s->scratch_size;
    real *de = panel + BLOCK_PAIRS * (s->in + KINDS + s->hidden);
    int64_t end = compute_split(s->clips, s->items, item + 1), map = s->rows * s->nodes;
    for (int64_t clip = compute_split(s->clips, s->items, item); clip < end; clip++) {
        for (int64_t i = 0; i < s->rows; i++) {
            int64_t row = clip * map + i * s->nodes;
            s->k->softmax_slope(s->nodes, s->inverse, s->out->data + row, s->out->grad + row, de + i * s->nodes);
        }
        pair at = {0, 0};
        for (int64_t done = 0; done < s->pairs; done += BLOCK_PAIRS) {
            backward_block(s, clip, item, at, done, panel, de);
            for (int64_t p = block_of(s, done); p > 0; p--) {
                pair_next(s, &at);
            }
        }
    }
}

static real *parts(tape *t, const graph *s, const real *gradient, int64_t n) {
    real *p = gradient == NULL ? NULL : tape_scratch(t, s->items * n);
    if (p != NULL) {
        memset(p, 0, (size_t)(s->items * n) * sizeof *p);
    }
    return p;
}

static void add_parts(const graph *s, const real *p, real *gradient, int64_t n) {
    for (int64_t i = 0; p != NULL && i < s->items; i++) {
        s->k->axpy(n, 1, p + i * n, gradient);
    }
}

static void backward(tape *t, void *saved) {
    graph *s = saved;
    int64_t threads = (int64_t)compute_threads(tape_compute(t)), nw = s->hidden * s->in, na = s->kinds * s->hidden;
    s->items = s->clips == 0 ? 0 : compute_items(s->clips);
    s->dy = tape_grad(t, s->y);
    s->dx = s->same ? s->dy : tape_grad(t, s->x);
    real *dw = tape_grad(t, s->w), *db = tape_grad(t, s->b), *da = tape_grad(t, s->a);
    s->dw = parts(t, s, dw, nw);
    s->db = parts(t, s, db, s->hidden);
    s->da = parts(t, s, da, na);
    s->scratch_size = BLOCK_PAIRS * (s->in + KINDS + s->hidden) + s->rows * s->nodes;
    s->scratch = tape_scratch(t, threads * s->scratch_size);
    if (!tape_ok(t)) {
        return;
    }
    compute_for(tape_compute(t), s->items, backward_item, s);
    add_parts(s, s->dw, dw, nw);
    add_parts(s, s->db, db, s->hidden);
    add_parts(s, s->da, da, na);
}

/* ---- the op ---- */

static bool fits(tape *t, const tensor *y, const tensor *x, const tensor *w, const tensor *b, const tensor *a,
                 int64_t first, real temperature) {
    if (y->ndim != 3 || x->ndim != 3 || y->dim[0] != x->dim[0] || y->dim[2] != x->dim[2]) {
        (void)op_refuse(t, "op_graph_attention", "queries and nodes must be [clips, nodes, channels]", y, x);
    } else if (w->ndim != 2 || w->dim[1] != x->dim[2] || tensor_count(b) != w->dim[0]) {
        (void)op_refuse(t, "op_graph_attention", "the projection must be [hidden, channels], its bias [hidden]", x, w);
    } else if (a->ndim != 2 || (a->dim[0] != 1 && a->dim[0] != KINDS) || a->dim[1] != w->dim[0]) {
        (void)op_refuse(t, "op_graph_attention", "the attention vectors must be [1 or 3, hidden]", w, a);
    } else if (a->dim[0] == KINDS && (y != x || first < 0 || first > x->dim[1])) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_graph_attention: two kinds of nodes need a graph that attends to itself, of "
                  "which %lld nodes cannot be the first kind", (long long)first);
    } else if (x->dim[1] == 0) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_graph_attention: a graph needs at least one node");
    } else if (!(temperature > 0)) {
        tape_fail(t, SPOOR_ERR_USAGE, "op_graph_attention: a temperature of %g is not above 0", (double)temperature);
    }
    return tape_ok(t);
}

tensor *op_graph_attention(tape *t, tensor *y, tensor *x, tensor *w, tensor *b, tensor *a, int64_t first,
                           real temperature) {
    if (y == NULL || x == NULL || w == NULL || b == NULL || a == NULL || !fits(t, y, x, w, b, a, first, temperature)) {
        return NULL;
    }
    bool record =
        tape_recording(t) && (y->needs_grad || x->needs_grad || w->needs_grad || b->needs_grad || a->needs_grad);
    graph *s = tape_alloc(t, 1, sizeof *s);
    tensor *out = tape_tensor(t, 3, (int64_t[]){x->dim[0], y->dim[1], x->dim[1]});
    if (s == NULL || out == NULL) {
        return NULL;
    }
    *s = (graph){.k = tape_kernels(t), .out = out, .y = y, .x = x, .w = w, .b = b, .a = a, .same = y == x,
                 .clips = x->dim[0], .rows = y->dim[1], .nodes = x->dim[1], .in = x->dim[2], .hidden = w->dim[0],
                 .kinds = a->dim[0], .first = first, .inverse = (real)1 / temperature};
    s->pairs = s->same ? s->nodes * (s->nodes + 1) / 2 : s->rows * s->nodes;
    s->scratch_size = BLOCK_PAIRS * (s->in + KINDS + s->hidden);
    s->scratch = tape_alloc(t, compute_threads(tape_compute(t)) * (size_t)s->scratch_size, sizeof *s->scratch);
    if (record) {
        tensor *h = tape_tensor(t, 3, (int64_t[]){s->clips, s->pairs, s->hidden});
        s->h = h == NULL ? NULL : h->data;
    }
    if (!tape_ok(t)) {
        return NULL;
    }
    compute_for(tape_compute(t), s->clips, forward_item, s);
    if (record) {
        tape_record(t, out, backward, s);
    }
    return out;
}
