/* checkpoint_cases.h: checks of checkpoint.c, run in the float and in the double build. */
#include "support/gradcheck.h"
#include <stdlib.h>
#include <string.h>

/* A residual block: x + dropout(w2 gelu(w1 norm(x))), of which only x is kept. */
typedef struct block {
    tensor *w1, *w2, *g, *b;
    bool stages; /* op_checkpoint, else a plain call */
} block;

static tensor *block_forward(tape *t, tensor *x, void *user) {
    const block *s = user;
    tensor *y = op_linear(t, op_layer_norm(t, x, s->g, s->b, (real)1e-5), s->w1, NULL, OP_ACT_GELU);
    y = op_dropout(t, op_linear(t, op_dropout(t, y, 0.25), s->w2, NULL, OP_ACT_NONE), 0.25);
    return y == NULL ? NULL : op_add(t, x, y, 1);
}

/* Two blocks that share their weights inside a stage of their own, then a product that loses x. */
static tensor *pair_forward(tape *t, tensor *x, void *user) {
    const block *s = user;
    for (int i = 0; i < 2; i++) {
        x = s->stages ? op_checkpoint(t, x, block_forward, user) : block_forward(t, x, user);
    }
    return op_linear(t, op_linear(t, x, s->w1, NULL, OP_ACT_TANH), s->w2, NULL, OP_ACT_NONE);
}

static tensor *same(tape *t, tensor *x, void *user) {
    (void)t;
    (void)user;
    return x;
}

static tensor *shaped(tape *t, tensor *x, void *user) {
    (void)user;
    int64_t dim[2] = {x == NULL ? 0 : tensor_count(x), 1};
    return op_reshape(t, x, 2, dim);
}

/* in: x, w1, w2, g, b. x goes into a stage twice and past it once. */
static tensor *build(tape *t, tensor *const *in, const void *arg) {
    block *s = tape_alloc(t, 1, sizeof *s); /* lives until backward is over */
    if (s == NULL) {
        return NULL;
    }
    *s = (block){in[1], in[2], in[3], in[4], *(const bool *)arg};
    for (int i = 1; tape_recording(t) && i < 5; i++) { /* as those of parameters, these must outlive the stages */
        (void)tape_grad(t, in[i]);
    }
    tensor *x = in[0], *y;
    if (s->stages) {
        y = op_checkpoint(t, op_checkpoint(t, op_checkpoint(t, x, block_forward, s), same, s), pair_forward, s);
        y = op_checkpoint(t, op_add(t, y, op_checkpoint(t, x, pair_forward, s), (real)0.5), shaped, s);
    } else {
        y = pair_forward(t, block_forward(t, x, s), s);
        y = shaped(t, op_add(t, y, pair_forward(t, x, s), (real)0.5), s);
    }
    return y == NULL ? NULL : op_add(t, y, shaped(t, x, s), (real)-0.25);
}

static const bool yes = true, no = false;

static op_case a_case(const char *name, bool stages, bool train, int64_t rows) {
    return (op_case){.name = name, .build = build, .arg = stages ? &yes : &no, .train = train, .coordinates = 24,
                     .in = {{3, {2, rows, 6}}, {2, {9, 6}, .scale = 0.4}, {2, {6, 9}, .scale = 0.4},
                            {1, {6}, .scale = 0.1, .shift = 1}, {1, {6}, .scale = 0.1}}};
}

static void gradients(void **state) {
    (void)state;
    op_case c = a_case("op_checkpoint", true, false, 3);
    gradcheck_op(&c);
    c = a_case("op_checkpoint with dropout", true, true, 5);
    gradcheck_op(&c);
    c = a_case("op_checkpoint of one row", true, true, 1);
    gradcheck_op(&c);
    c = a_case("op_checkpoint of nothing", true, true, 0);
    gradcheck_op(&c);
    c = a_case("op_checkpoint in memory", true, true, 3);
    gradcheck_memory(&c);
}

/* ---- against a plain call ---- */

enum { DEPTH = 12, WIDTH = 32, ROWS = sizeof(real) == 4 ? 1100 : 140 };

typedef struct net {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    tensor par[DEPTH][6], x; /* w1, w2, g, b of a block; running mean and variance */
    real *all;               /* values and gradients of the parameters, x and its gradient */
    size_t count;
} net;

typedef struct layer {
    block block;
    tensor *mean, *var;
    int blocks; /* how often the block is run: stages of different sizes, so that one's memory lies in another's */
} layer;

static tensor *layer_forward(tape *t, tensor *x, void *user) {
    layer *l = user;
    tensor *y = op_batch_norm(t, x, l->block.g, l->block.b, l->mean, l->var, (real)0.1, (real)1e-5);
    y = op_attention(t, y, x, y, NULL, 4, (real)0.35, 0.1);
    for (int i = 0; i < l->blocks; i++) {
        y = block_forward(t, y, &l->block);
    }
    return y;
}

static void net_open(net *n, unsigned threads) {
    spoor_error err = {0};
    memset(n, 0, sizeof *n);
    n->ctx = support_context();
    support_ok(compute_new(n->ctx, threads, &n->compute, &err), &err);
    support_ok(tape_new(n->ctx, n->compute, &n->tape, &err), &err);
    static const int64_t dim[6][2] = {{2 * WIDTH, WIDTH}, {WIDTH, 2 * WIDTH}, {WIDTH, 0}, {WIDTH, 0}, {WIDTH, 0}, {WIDTH, 0}};
    n->count = DEPTH * (4 * WIDTH * WIDTH + 4 * WIDTH) + ROWS * WIDTH;
    n->all = calloc(2 * n->count, sizeof *n->all);
    assert_non_null(n->all);
    real *at = n->all;
    rng r = rng_make(5, 6);
    for (int i = 0; i <= DEPTH; i++) {
        for (int k = 0; k < (i < DEPTH ? 6 : 1); k++) {
            tensor *x = i < DEPTH ? &n->par[i][k] : &n->x;
            *x = (tensor){.ndim = dim[k][1] > 0 ? 2 : 1, .dim = {dim[k][0], dim[k][1]}, .data = at};
            if (i == DEPTH) {
                *x = (tensor){.ndim = 3, .dim = {2, ROWS / 2, WIDTH}, .data = at};
            }
            for (int64_t j = 0; j < tensor_count(x); j++) {
                x->data[j] = k == 2 || k == 5 ? 1 : (real)(0.2 * rng_normal(&r));
            }
            x->needs_grad = x->parameter = k < 4;
            x->grad = x->needs_grad ? x->data + n->count : NULL;
            at += tensor_count(x);
        }
    }
    assert_int_equal(at - n->all, n->count);
}

static void net_close(net *n) {
    free(n->all);
    tape_free(n->tape);
    compute_free(n->compute);
    spoor_context_free(n->ctx);
}

typedef enum how { PLAIN, CHECKPOINTS, STAGES } how;

/* One step. frozen: layers below it, and the input, have no gradient. */
static void net_step(net *n, how stages, int frozen, uint64_t seed, real *loss_out) {
    layer l[DEPTH];
    spoor_error err = {0};
    memset(n->all + n->count, 0, n->count * sizeof *n->all);
    for (int i = 0; i <= DEPTH; i++) {
        for (int k = 0; k < (i < DEPTH ? 4 : 1); k++) {
            (i < DEPTH ? &n->par[i][k] : &n->x)->needs_grad = frozen == 0 || (i < DEPTH && i >= frozen);
        }
    }
    tape_begin(n->tape, true, true, seed);
    tensor *x = &n->x;
    for (int i = 0; i < DEPTH; i++) {
        tensor *p = n->par[i];
        l[i] = (layer){{&p[0], &p[1], &p[2], &p[3], stages == CHECKPOINTS}, &p[4], &p[5], 1 + i * 7 % 4};
        x = stages == CHECKPOINTS ? op_checkpoint(n->tape, x, layer_forward, &l[i])
            : stages == STAGES    ? op_stage(n->tape, x, layer_forward, &l[i])
                                  : layer_forward(n->tape, x, &l[i]);
        assert_non_null(x);
        assert_int_equal(x->needs_grad, i >= frozen);
    }
    tensor *loss = op_sum(n->tape, op_mul(n->tape, x, x), (real)0.01);
    support_ok(tape_backward(n->tape, loss, &err), &err);
    *loss_out = loss->data[0];
}

/* The gradients of deep networks with dropout and batch norm have the bits of a plain call, on other numbers of threads
 * too; running statistics move once; memory is that of one layer, and of no frozen one. */
static void bits_and_memory(void **state) {
    (void)state;
    for (int frozen = 0; frozen <= DEPTH; frozen += DEPTH / 3) {
        net plain, again, kept;
        net_open(&plain, 1);
        net_open(&again, frozen == 0 ? 2 : 3);
        net_open(&kept, 2);
        size_t after_first = 0;
        for (uint64_t step = 0; step < 3; step++) {
            real a, b, c;
            net_step(&plain, PLAIN, frozen, step, &a);
            net_step(&again, CHECKPOINTS, frozen, step, &b);
            net_step(&kept, STAGES, frozen, step, &c);
            assert_memory_equal(&a, &b, sizeof a);
            assert_memory_equal(&a, &c, sizeof a);
            assert_memory_equal(plain.all, again.all, 2 * plain.count * sizeof *plain.all);
            assert_memory_equal(plain.all, kept.all, 2 * plain.count * sizeof *plain.all);
            after_first = step == 0 ? tape_bytes(again.tape) : after_first;
            assert_int_equal(tape_bytes(again.tape), after_first); /* every step takes the same */
        }
        assert_true(tape_bytes(again.tape) * (frozen == 0 ? 4 : 2) < tape_bytes(plain.tape));
        if (frozen == DEPTH) {
            assert_true(tape_bytes(kept.tape) * 4 < tape_bytes(plain.tape));
        }
        net_close(&plain);
        net_close(&again);
        net_close(&kept);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(bits_and_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
