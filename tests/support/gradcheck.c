/* gradcheck.c: see gradcheck.h. */
#define _GNU_SOURCE
#include "support/gradcheck.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SPOOR_DOUBLE
static const double FORWARD_TOLERANCE = 1e-12, GRADIENT_TOLERANCE = 1e-6;
#else
static const double FORWARD_TOLERANCE = 0, GRADIENT_TOLERANCE = 0; /* the case's own */
#endif
enum { SEED = 20250 };

/* ---- memory that starts as NaN ---- */

static void *nan_alloc(void *user, size_t size) {
    (void)user;
    void *p = malloc(size);
    if (p != NULL) {
        memset(p, 0xff, size);
    }
    return p;
}
static void *nan_realloc(void *user, void *block, size_t size) {
    (void)user;
    return realloc(block, size);
}
static void nan_free(void *user, void *block) {
    (void)user;
    free(block);
}

static spoor_context *nan_context(void) {
    spoor_context_options o;
    spoor_context_options_init(&o);
    o.allocator = (spoor_allocator){nan_alloc, nan_realloc, nan_free, NULL};
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    support_ok(spoor_context_new(&o, &ctx, &err), &err);
    return ctx;
}

/* ---- inputs ---- */

typedef struct inputs {
    size_t n;
    int64_t count[GRADCHECK_INPUTS];
    double *value[GRADCHECK_INPUTS];
} inputs;

static void *take(int64_t n, size_t size) {
    void *p = calloc((size_t)n + 1, size);
    if (p == NULL) {
        fail_msg("out of memory in a test");
    }
    return p;
}

static inputs inputs_make(const op_case *c) {
    inputs in = {0};
    for (; in.n < GRADCHECK_INPUTS && c->in[in.n].ndim != 0; in.n++) {
        const gradcheck_input *spec = &c->in[in.n];
        int64_t count = 1;
        for (int d = 0; d < spec->ndim; d++) {
            count *= spec->dim[d];
        }
        rng r = rng_make(SEED, in.n);
        double *v = take(count, sizeof *v);
        double scale = spec->scale == 0 ? 1 : spec->scale;
        for (int64_t i = 0; i < count; i++) {
            v[i] = (double)(real)(spec->values != NULL ? spec->values[i] : spec->shift + scale * rng_normal(&r));
        }
        in.count[in.n] = count;
        in.value[in.n] = v;
    }
    return in;
}

static void inputs_free(inputs *in) {
    for (size_t i = 0; i < in->n; i++) {
        free(in->value[i]);
    }
}

/* ---- running the op ---- */

typedef struct engine {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
} engine;

static engine engine_new(unsigned threads, const char *isa) {
    engine e = {.ctx = nan_context()};
    spoor_error err = {0};
    if (setenv("SPOOR_ISA", isa, 1) != 0) {
        fail_msg("setenv");
    }
    support_ok(compute_new(e.ctx, threads, &e.compute, &err), &err);
    unsetenv("SPOOR_ISA");
    assert_string_equal(compute_kernels(e.compute)->name, isa);
    support_ok(tape_new(e.ctx, e.compute, &e.tape, &err), &err);
    return e;
}

static void engine_free(engine *e) {
    tape_free(e->tape);
    compute_free(e->compute);
    spoor_context_free(e->ctx);
}

static void weights(int64_t n, real *w) {
    rng r = rng_make(SEED, 99);
    for (int64_t i = 0; i < n; i++) {
        w[i] = (real)rng_range(&r, -1, 1);
    }
}

typedef struct loss_saved {
    tensor *out;
} loss_saved;

static void loss_backward(tape *t, void *saved) {
    tensor *out = ((loss_saved *)saved)->out;
    int64_t n = tensor_count(out);
    real *g = tape_grad(t, out); /* holds something only where the op gave its input back */
    real *w = tape_scratch(t, n);
    if (g != NULL && w != NULL) {
        weights(n, w);
        for (int64_t i = 0; i < n; i++) {
            g[i] += w[i];
        }
    }
}

typedef struct run_result {
    int64_t n;
    real *out;
    real *grad[GRADCHECK_INPUTS]; /* NULL where the input wants none */
} run_result;

static void result_free(run_result *r) {
    free(r->out);
    for (int i = 0; i < GRADCHECK_INPUTS; i++) {
        free(r->grad[i]);
    }
}

enum { RECORD = 1, PARAMETERS = 2 };

/* want: bit i set = input i wants a gradient. With PARAMETERS the gradients start from 0.5, which is taken off again. */
static run_result run_op(const op_case *c, const inputs *in, engine *e, int flags, unsigned want) {
    tensor x[GRADCHECK_INPUTS];
    tensor *px[GRADCHECK_INPUTS] = {0};
    real *grads[GRADCHECK_INPUTS] = {0};
    run_result result = {0};
    for (size_t i = 0; i < in->n; i++) {
        x[i] = (tensor){.ndim = c->in[i].ndim};
        memcpy(x[i].dim, c->in[i].dim, sizeof x[i].dim);
        x[i].data = take(in->count[i], sizeof(real));
        for (int64_t j = 0; j < in->count[i]; j++) {
            x[i].data[j] = (real)in->value[i][j];
        }
        x[i].needs_grad = (flags & RECORD) != 0 && !c->in[i].constant && (want >> i & 1) != 0;
        if (x[i].needs_grad && (flags & PARAMETERS) != 0) {
            x[i].parameter = true;
            x[i].grad = grads[i] = take(in->count[i], sizeof(real));
            for (int64_t j = 0; j < in->count[i]; j++) {
                grads[i][j] = (real)0.5;
            }
        }
        px[i] = &x[i];
    }
    tape_begin(e->tape, (flags & RECORD) != 0, c->train, SEED);
    tensor *out = c->build(e->tape, px, c->arg);
    spoor_error err = {0};
    support_ok(tape_status(e->tape, &err), &err);
    if (out == NULL) {
        fail_msg("%s: no result and no error", c->name);
        return result;
    }
    result.n = tensor_count(out);
    result.out = take(result.n, sizeof(real));
    memcpy(result.out, out->data, (size_t)result.n * sizeof(real));
    if ((flags & RECORD) != 0 && out->needs_grad) {
        loss_saved saved = {out};
        int64_t one = 1;
        tensor *loss = tape_tensor(e->tape, 1, &one);
        assert_non_null(loss);
        loss->data[0] = 0;
        tape_record(e->tape, loss, loss_backward, &saved);
        support_ok(tape_backward(e->tape, loss, &err), &err);
    }
    for (size_t i = 0; i < in->n; i++) {
        if (x[i].needs_grad) {
            result.grad[i] = take(in->count[i], sizeof(real));
            for (int64_t j = 0; x[i].grad != NULL && j < in->count[i]; j++) {
                result.grad[i][j] = x[i].grad[j] - ((flags & PARAMETERS) != 0 ? (real)0.5 : 0);
            }
        }
        free(grads[i]);
        free(x[i].data);
    }
    return result;
}

static double relative(int64_t n, const real *got, const double *want) {
    double worst = 0, scale = 1e-3;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        if (!(d <= worst) && !isnan(worst)) { /* a NAN stays */
            worst = d;
        }
        scale = fmax(scale, fabs(want[i]));
    }
    return worst / scale;
}

static void same_bits(const char *name, const char *what, int64_t n, const real *a, const real *b) {
    if ((a == NULL) != (b == NULL) || (n > 0 && a != NULL && memcmp(a, b, (size_t)n * sizeof *a) != 0)) {
        fail_msg("%s: %s: other bits", name, what);
    }
}

/* ---- numerical gradients ---- */

typedef struct objective {
    const op_case *c;
    inputs *in;
    engine *e; /* NULL: the naive twin */
    int64_t n;
    real *w;
    double *out;
} objective;

static double objective_value(objective *o) {
    double sum = 0;
    if (o->e == NULL) {
        memset(o->out, 0xff, (size_t)o->n * sizeof *o->out);
        o->c->naive(o->c, (const double *const *)o->in->value, o->out);
        for (int64_t i = 0; i < o->n; i++) {
            sum += (double)o->w[i] * o->out[i];
        }
        return sum;
    }
    run_result r = run_op(o->c, o->in, o->e, 0, 0);
    for (int64_t i = 0; i < o->n; i++) {
        sum += (double)o->w[i] * (double)r.out[i];
    }
    result_free(&r);
    return sum;
}

static double slope(objective *o, double *x) {
    double at = *x, h = 1e-3;
    static const double step[4] = {2, 1, -1, -2}, factor[4] = {-1, 8, -8, 1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *x = at + step[i] * h;
        sum += factor[i] * objective_value(o);
    }
    *x = at;
    return sum / (12 * h);
}

/* Compares up to c->coordinates entries of every gradient with differences of the objective. */
static void check_gradients(objective *o, const run_result *r, double tolerance, const char *what) {
    int64_t most = o->c->coordinates == 0 ? 64 : o->c->coordinates;
    rng random = rng_make(SEED, 98);
    for (size_t i = 0; i < o->in->n; i++) {
        int64_t count = o->in->count[i];
        if (r->grad[i] == NULL || count == 0) {
            continue;
        }
        int64_t n = count < most ? count : most;
        real *got = take(n, sizeof *got);
        double *want = take(n, sizeof *want);
        for (int64_t j = 0; j < n; j++) {
            int64_t k = n == count ? j : (int64_t)rng_below(&random, (uint64_t)count);
            got[j] = r->grad[i][k];
            want[j] = slope(o, &o->in->value[i][k]);
        }
        double error = relative(n, got, want);
        if (!(error <= tolerance)) {
            fail_msg("%s: gradient of input %zu against %s: relative error %.3g > %.3g", o->c->name, i, what, error,
                     tolerance);
        }
        free(got);
        free(want);
    }
}

/* ---- the checks ---- */

static void check_values(const op_case *c, inputs *in, const run_result *r, engine *e) {
    double tolerance = c->tolerance == 0 ? 1e-5 : c->tolerance;
    objective o = {.c = c, .in = in, .n = r->n, .w = take(r->n, sizeof(real)), .out = take(r->n, sizeof(double))};
    weights(r->n, o.w);
    if (c->naive != NULL) {
        (void)objective_value(&o);
        double allowed = FORWARD_TOLERANCE > 0 ? FORWARD_TOLERANCE : tolerance;
        double error = relative(r->n, r->out, o.out);
        if (!(error <= allowed)) {
            fail_msg("%s (%s): result against the naive twin: relative error %.3g > %.3g", c->name,
                     compute_kernels(e->compute)->name, error, allowed);
        }
        check_gradients(&o, r, GRADIENT_TOLERANCE > 0 ? GRADIENT_TOLERANCE : tolerance, "the naive twin");
    }
    if (GRADIENT_TOLERANCE > 0) {
        o.e = e;
        check_gradients(&o, r, GRADIENT_TOLERANCE, "differences of the op");
    }
    free(o.w);
    free(o.out);
}

static void check_variants(const op_case *c, const inputs *in, engine *e, const run_result *base) {
    run_result plain = run_op(c, in, e, 0, 0);
    same_bits(c->name, "without recording", base->n, base->out, plain.out);
    result_free(&plain);
    run_result added = run_op(c, in, e, RECORD | PARAMETERS, ~0u);
    for (size_t i = 0; i < in->n; i++) {
        for (int64_t j = 0; base->grad[i] != NULL && j < in->count[i]; j++) {
            double want = (double)base->grad[i][j], slack = sizeof(real) == 8 ? 1e-12 : 1e-5;
            support_close((double)added.grad[i][j], want, slack, "gradient added to a parameter's");
        }
    }
    result_free(&added);
    for (size_t i = 0; i < in->n; i++) {
        if (base->grad[i] != NULL) {
            run_result alone = run_op(c, in, e, RECORD, 1u << i);
            same_bits(c->name, "one gradient alone", in->count[i], base->grad[i], alone.grad[i]);
            result_free(&alone);
        }
    }
}

void gradcheck_op(const op_case *c) {
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    static const unsigned threads[] = {1, 2, 8};
    inputs in = inputs_make(c);
    for (size_t s = 0; s < 3; s++) {
        if (kernels_find(isas[s]) == NULL) {
            continue;
        }
        run_result base = {0};
        for (size_t k = 0; k < 3; k++) {
            engine e = engine_new(threads[k], isas[s]);
            run_result r = run_op(c, &in, &e, RECORD, ~0u);
            if (k == 0) {
                base = r;
                check_values(c, &in, &r, &e);
                check_variants(c, &in, &e, &r);
            } else {
                same_bits(c->name, "result on more threads", base.n, base.out, r.out);
                for (size_t i = 0; i < in.n; i++) {
                    same_bits(c->name, "gradient on more threads", in.count[i], base.grad[i], r.grad[i]);
                }
                result_free(&r);
            }
            engine_free(&e);
        }
        result_free(&base);
    }
    inputs_free(&in);
}

void gradcheck_refuses(const op_case *c, const char *word) {
    inputs in = inputs_make(c);
    engine e = engine_new(1, "portable");
    tensor x[GRADCHECK_INPUTS];
    tensor *px[GRADCHECK_INPUTS] = {0};
    for (size_t i = 0; i < in.n; i++) {
        x[i] = (tensor){.ndim = c->in[i].ndim, .data = take(in.count[i], sizeof(real))};
        memcpy(x[i].dim, c->in[i].dim, sizeof x[i].dim);
        px[i] = &x[i];
    }
    tape_begin(e.tape, false, c->train, SEED);
    tensor *out = c->build(e.tape, px, c->arg);
    spoor_error err = {0};
    if (out != NULL || tape_status(e.tape, &err) == SPOOR_OK) {
        fail_msg("%s: inputs that do not fit were accepted", c->name);
    }
    if (strstr(err.message, word) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", c->name, err.message, word);
    }
    for (size_t i = 0; i < in.n; i++) {
        free(x[i].data);
    }
    engine_free(&e);
    inputs_free(&in);
}

static bool run_failing(const op_case *c, const inputs *in, size_t fail_at) {
    support_failing state = {.fail_at = fail_at};
    spoor_context *ctx = support_failing_context(&state);
    compute *comp = NULL;
    tape *t = NULL;
    spoor_error err = {0};
    tensor x[GRADCHECK_INPUTS];
    tensor *px[GRADCHECK_INPUTS] = {0};
    for (size_t i = 0; i < in->n; i++) {
        x[i] = (tensor){.ndim = c->in[i].ndim, .needs_grad = !c->in[i].constant};
        memcpy(x[i].dim, c->in[i].dim, sizeof x[i].dim);
        x[i].data = take(in->count[i], sizeof(real));
        px[i] = &x[i];
    }
    spoor_status status = compute_new(ctx, 1, &comp, &err);
    status = status == SPOOR_OK ? tape_new(ctx, comp, &t, &err) : status;
    if (status == SPOOR_OK) {
        tape_begin(t, true, c->train, SEED);
        tensor *out = c->build(t, px, c->arg);
        loss_saved saved = {out};
        int64_t one = 1;
        tensor *loss = tape_tensor(t, 1, &one);
        if (out != NULL && out->needs_grad && loss != NULL) {
            tape_record(t, loss, loss_backward, &saved);
            (void)tape_backward(t, loss, &err);
        }
        status = tape_status(t, &err);
    }
    for (size_t i = 0; i < in->n; i++) {
        free(x[i].data);
    }
    tape_free(t);
    compute_free(comp);
    assert_int_equal(state.live, 0);
    spoor_context_free(ctx);
    if (status != SPOOR_OK) {
        assert_int_equal(status, SPOOR_ERR_LIMIT);
    }
    return status != SPOOR_OK;
}

void gradcheck_memory(const op_case *c) {
    inputs in = inputs_make(c);
    size_t n = 1;
    while (run_failing(c, &in, n)) {
        n++;
    }
    assert_true(n > 2); /* at least the tape's own allocations have failed once */
    inputs_free(&in);
}
