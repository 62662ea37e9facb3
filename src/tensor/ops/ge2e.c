/* ge2e.c: generalised end-to-end loss (Wan et al. 2018). All sums in double: a batch is some dozen rows. The slopes by
 * the cosines are computed in the forward pass; the backward pass takes them through centroids and lengths. */
#include "tensor/ops/refuse.h"
#include <math.h>
#include <string.h>

#define EPS 1e-12        /* the least length */
#define MIN_SCALE 1e-6   /* of w, which the paper keeps above 0 */

typedef struct ge2e {
    tensor *out, *e, *w, *b;
    op_ge2e_shape shape;
    int64_t rows, dim;
    double *unit, *length;        /* [rows, dim], [rows]: rows made as long as 1 */
    double *centroid, *c_length;  /* [classes, dim], [classes]: likewise, of all clips of a class */
    double *others, *o_length;    /* [rows, dim], [rows]: likewise, of the class's clips but the row's own */
    double *cosine, *slope;       /* [rows, classes]; slope: of the loss by the score */
} ge2e;

static double dot(int64_t n, const double *a, const double *b) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void unit_length(int64_t n, double *x, double *length) {
    *length = fmax(sqrt(dot(n, x, x)), EPS);
    for (int64_t i = 0; i < n; i++) {
        x[i] /= *length;
    }
}

/* Row of clip m of class c: clip by clip, as the sampler lays them out. */
static int64_t row_of(const ge2e *s, int64_t c, int64_t m) { return m * s->shape.classes + c; }

/* Units, centroids, and what is left of a centroid without each row. */
static void directions(ge2e *s) {
    int64_t n = s->shape.classes, m = s->shape.clips, d = s->dim;
    const real *x = s->e->data;
    for (int64_t i = 0; i < s->rows * d; i++) {
        s->unit[i] = (double)x[i];
    }
    for (int64_t c = 0; c < n; c++) {
        double *sum = s->centroid + c * d;
        memset(sum, 0, (size_t)d * sizeof *sum);
        for (int64_t i = 0; i < m; i++) {
            for (int64_t k = 0; k < d; k++) {
                sum[k] += (double)x[row_of(s, c, i) * d + k];
            }
        }
        for (int64_t i = 0; i < m; i++) {
            int64_t r = row_of(s, c, i);
            for (int64_t k = 0; k < d; k++) {
                s->others[r * d + k] = (sum[k] - (double)x[r * d + k]) / (double)(m - 1);
            }
            unit_length(d, s->others + r * d, &s->o_length[r]);
            unit_length(d, s->unit + r * d, &s->length[r]);
        }
        for (int64_t k = 0; k < d; k++) {
            sum[k] /= (double)m;
        }
        unit_length(d, sum, &s->c_length[c]);
    }
}

/* -score_own + log sum exp(score), and its slope by the scores. */
static double softmax_row(int64_t n, const double *score, int64_t own, double *slope) {
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) {
        top = fmax(top, score[k]);
    }
    for (int64_t k = 0; k < n; k++) {
        sum += exp(score[k] - top);
    }
    for (int64_t k = 0; k < n; k++) {
        slope[k] = exp(score[k] - top) / sum - (k == own ? 1 : 0);
    }
    return top + log(sum) - score[own];
}

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

/* 1 - sigmoid(score_own) + the greatest sigmoid(score) of the other classes (of equals the first). */
static double contrast_row(int64_t n, const double *score, int64_t own, double *slope) {
    int64_t near = -1;
    for (int64_t k = 0; k < n; k++) {
        slope[k] = 0;
        near = k != own && (near < 0 || score[k] > score[near]) ? k : near;
    }
    double right = sigmoid(score[own]), wrong = near < 0 ? 0 : sigmoid(score[near]);
    slope[own] = -right * (1 - right);
    if (near >= 0) {
        slope[near] = wrong * (1 - wrong);
    }
    return 1 - right + wrong;
}

static double forward(ge2e *s, double w, double b) {
    int64_t n = s->shape.classes, d = s->dim;
    double loss = 0, score[OP_GE2E_CLASSES];
    directions(s);
    for (int64_t r = 0; r < s->rows; r++) {
        int64_t own = r % n;
        for (int64_t k = 0; k < n; k++) {
            const double *to = k == own ? s->others + r * d : s->centroid + k * d;
            s->cosine[r * n + k] = dot(d, s->unit + r * d, to);
            score[k] = w * s->cosine[r * n + k] + b;
        }
        loss += s->shape.contrast ? contrast_row(n, score, own, s->slope + r * n)
                                  : softmax_row(n, score, own, s->slope + r * n);
    }
    return loss / (double)s->rows;
}

/* g = (g - unit (unit . g)) / length: from the slope by a unit vector to that by the vector. */
static void through_length(int64_t n, double *g, const double *unit, double length) {
    double along = length > EPS ? dot(n, g, unit) : 0;
    for (int64_t i = 0; i < n; i++) {
        g[i] = (g[i] - along * unit[i]) / length;
    }
}

static void add(int64_t n, double factor, const double *x, double *to) {
    for (int64_t i = 0; i < n; i++) {
        to[i] += factor * x[i];
    }
}

/* Slopes by rows into de[rows, dim], which is 0; one[dim] is scratch. */
static void backward_rows(const ge2e *s, double factor, double *de, double *one) {
    int64_t n = s->shape.classes, m = s->shape.clips, d = s->dim;
    for (int64_t r = 0; r < s->rows; r++) { /* by its own direction, and by the rest of its class */
        int64_t own = r % n;
        memset(one, 0, (size_t)d * sizeof *one);
        for (int64_t k = 0; k < n; k++) {
            add(d, factor * s->slope[r * n + k], k == own ? s->others + r * d : s->centroid + k * d, one);
        }
        through_length(d, one, s->unit + r * d, s->length[r]);
        add(d, 1, one, de + r * d);
        memset(one, 0, (size_t)d * sizeof *one);
        add(d, factor * s->slope[r * n + own], s->unit + r * d, one);
        through_length(d, one, s->others + r * d, s->o_length[r]);
        for (int64_t i = 0; i < m; i++) {
            int64_t other = row_of(s, own, i);
            add(d, other == r ? 0 : 1 / (double)(m - 1), one, de + other * d);
        }
    }
    for (int64_t c = 0; c < n; c++) { /* by centroids, which rows of other classes look at */
        memset(one, 0, (size_t)d * sizeof *one);
        for (int64_t r = 0; r < s->rows; r++) {
            add(d, r % n == c ? 0 : factor * s->slope[r * n + c], s->unit + r * d, one);
        }
        through_length(d, one, s->centroid + c * d, s->c_length[c]);
        for (int64_t i = 0; i < m; i++) {
            add(d, 1 / (double)m, one, de + row_of(s, c, i) * d);
        }
    }
}

static void backward(tape *t, void *saved) {
    ge2e *s = saved;
    double w = (double)s->w->data[0], scale = (double)s->out->grad[0] / (double)s->rows, dw = 0, db = 0;
    for (int64_t i = 0; i < s->rows * s->shape.classes; i++) {
        dw += s->slope[i] * s->cosine[i];
        db += s->slope[i];
    }
    real *ge = tape_grad(t, s->e), *gw = tape_grad(t, s->w), *gb = tape_grad(t, s->b);
    if (gw != NULL) {
        gw[0] += w > MIN_SCALE ? (real)(scale * dw) : 0;
    }
    if (gb != NULL) {
        gb[0] += (real)(scale * db);
    }
    double *de = ge == NULL ? NULL : tape_alloc(t, (size_t)(s->rows * s->dim), sizeof *de);
    double *one = ge == NULL ? NULL : tape_alloc(t, (size_t)s->dim, sizeof *one);
    if (de == NULL || one == NULL) {
        return;
    }
    memset(de, 0, (size_t)(s->rows * s->dim) * sizeof *de);
    backward_rows(s, scale * fmax(w, MIN_SCALE), de, one);
    for (int64_t i = 0; i < s->rows * s->dim; i++) {
        ge[i] += (real)de[i];
    }
}

static bool reserve(tape *t, ge2e *s) {
    size_t rows = (size_t)s->rows, n = (size_t)s->shape.classes, d = (size_t)s->dim;
    s->unit = tape_alloc(t, rows * d, sizeof *s->unit);
    s->others = tape_alloc(t, rows * d, sizeof *s->others);
    s->centroid = tape_alloc(t, n * d, sizeof *s->centroid);
    s->length = tape_alloc(t, rows, sizeof *s->length);
    s->o_length = tape_alloc(t, rows, sizeof *s->o_length);
    s->c_length = tape_alloc(t, n, sizeof *s->c_length);
    s->cosine = tape_alloc(t, rows * n, sizeof *s->cosine);
    s->slope = tape_alloc(t, rows * n, sizeof *s->slope);
    return tape_ok(t);
}

tensor *op_ge2e(tape *t, tensor *e, tensor *w, tensor *b, const op_ge2e_shape *shape) {
    if (e == NULL || w == NULL || b == NULL) {
        return NULL;
    }
    if (shape->classes < 1 || shape->classes > OP_GE2E_CLASSES || shape->clips < 2 || e->ndim != 2 ||
        e->dim[0] != shape->classes * shape->clips) {
        return op_refuse(t, "op_ge2e", "rows must be some classes, each with as many clips, two at least", e, NULL);
    }
    if (tensor_count(w) != 1 || tensor_count(b) != 1) {
        return op_refuse(t, "op_ge2e", "scale and offset are one number each", w, b);
    }
    int64_t one = 1;
    tensor *out = tape_tensor(t, 1, &one);
    ge2e *s = tape_alloc(t, 1, sizeof *s);
    if (!tape_ok(t)) {
        return NULL;
    }
    *s = (ge2e){.out = out, .e = e, .w = w, .b = b, .shape = *shape, .rows = e->dim[0], .dim = e->dim[1]};
    if (!reserve(t, s)) {
        return NULL;
    }
    out->data[0] = (real)forward(s, fmax((double)w->data[0], MIN_SCALE), (double)b->data[0]);
    if (tape_recording(t) && (e->needs_grad || w->needs_grad || b->needs_grad)) {
        tape_record(t, out, backward, s);
    }
    return out;
}
