/* test_backends.c: AASIST with a back end for each task against PyTorch on committed vectors (tests/torch/make_backends.py):
 * outputs in both modes, loss, every gradient, running statistics; what an embedding is then; the same bits on any number of
 * threads; one task with its own back end is a network whose back end is shared. */
#include "net/net.h"
#include "support/vectors.h"
#include "tensor/ops.h"

#define TOLERANCE 1e-4
enum { MOST = 16, FRAMES = 9, WIDTH = 6, CLIPS = 4 };

typedef struct fixture {
    vectors v;
    net_task tasks[3];
} fixture;

static void open_case(fixture *f, const char *name, unsigned threads) {
    char path[100];
    snprintf(path, sizeof path, "tests/torch/backends_%s.safetensors", name);
    vectors_open(&f->v, path, threads);
    const json_t *tasks = json_object_get(f->v.meta, "tasks");
    for (size_t k = 0; k < 3; k++) {
        const json_t *one = json_array_get(tasks, k);
        f->tasks[k] = (net_task){(char *)(uintptr_t)json_string_value(json_array_get(one, 0)),
                                 json_integer_value(json_array_get(one, 1))};
    }
    vectors_network(&f->v, f->tasks, 3, NULL);
    size_t stored = 0;
    for (size_t i = 0; i < safetensors_count(f->v.file); i++) {
        stored += strncmp(safetensors_at(f->v.file, i)->name, "param.", 6) == 0;
    }
    assert_int_equal(params_count(net_params(f->v.net)), stored); /* the oracle has no parameter that the network lacks */
}

/* The task's cross-entropy with the class weights of the case. */
static tensor *task_loss(fixture *f, size_t k, tensor *logits, int64_t target[MOST], real class_weight[MOST]) {
    const json_t *weights = json_object_get(json_object_get(f->v.meta, "class_weights"), f->tasks[k].name);
    const safetensors_tensor *t = vectors_need(&f->v, "target.", f->tasks[k].name);
    assert_true(t->count <= MOST && json_array_size(weights) <= MOST);
    memcpy(target, t->data, t->bytes);
    for (size_t c = 0; c < json_array_size(weights); c++) {
        class_weight[c] = (real)json_number_value(json_array_get(weights, c));
    }
    return op_cross_entropy(f->v.tape, logits, target, class_weight, 0);
}

/* A bias before a batch norm, or before a softmax over frames, has no true gradient: only rounding is left of it. */
static double floor_of(const vectors *v, const char *name) {
    bool normed = json_is_true(json_object_get(json_object_get(v->meta, "network"), "pool_norm"));
    bool before_norm = strstr(name, "aggregate.bias") != NULL || strstr(name, "self.bias") != NULL;
    bool none = (before_norm && (normed || strstr(name, "master") == NULL)) || strstr(name, "conv1.bias") != NULL ||
                strcmp(name, "project.bias") == 0 || strcmp(name, "map_attention.out.bias") == 0;
    return none ? 1 : 1e-2;
}

static void train_step(fixture *f) {
    spoor_error err = {0};
    int64_t target[3][MOST];
    real class_weight[3][MOST], share[4] = {0, 0, 0, (real)0.1};
    float toward[1024];
    tensor *parts[4];
    tape_begin(f->v.tape, true, true, 7);
    tensor *x = vectors_features(&f->v);
    net_output out;
    net_forward(f->v.net, f->v.tape, x, &out);
    support_ok(tape_status(f->v.tape, &err), &err);
    for (size_t k = 0; k < 3; k++) {
        vectors_same(&f->v, "train.", f->tasks[k].name, out.logits[k]->data, 0, TOLERANCE);
        parts[k] = task_loss(f, k, out.logits[k], target[k], class_weight[k]);
        share[k] = (real)json_number_value(json_object_get(json_object_get(f->v.meta, "weights"), f->tasks[k].name));
    }
    assert_true(vectors_need(&f->v, "", "toward")->count <= 1024);
    safetensors_to_f32(vectors_need(&f->v, "", "toward"), toward);
    parts[3] = op_sum(f->v.tape, op_mul(f->v.tape, out.embedding, tape_view(f->v.tape, 2, out.embedding->dim, toward)), 1);
    tensor *loss = op_weighted_sum(f->v.tape, parts, share, 4);
    support_ok(tape_status(f->v.tape, &err), &err);
    vectors_same(&f->v, "train.", "loss", loss->data, 1, TOLERANCE);
    vectors_same(&f->v, "train.", "embedding", out.embedding->data, 0, TOLERANCE);
    support_ok(tape_backward(f->v.tape, loss, &err), &err);
    vectors_stepped(&f->v, floor_of, TOLERANCE);
    vectors_same(&f->v, "grad.", "features", x->grad, 0, TOLERANCE);
}

static void check_case(const char *name) {
    fixture f;
    open_case(&f, name, 2);
    train_step(&f);
    tape_begin(f.v.tape, false, false, 0);
    net_output out;
    net_forward(f.v.net, f.v.tape, vectors_features(&f.v), &out);
    assert_true(tape_ok(f.v.tape));
    vectors_same(&f.v, "eval.", "embedding", out.embedding->data, 0, TOLERANCE);
    for (size_t k = 0; k < 3; k++) {
        vectors_same(&f.v, "eval.", f.tasks[k].name, out.logits[k]->data, 0, TOLERANCE);
    }
    vectors_close(&f.v);
}

static void plain(void **state) {
    (void)state;
    check_case("plain");
}

static void a_norm_and_an_embedding_layer_of_each(void **state) {
    (void)state;
    check_case("layers");
}

static void threads_change_no_bit(void **state) {
    (void)state;
    fixture one, other;
    unsigned counts[] = {2, 8};
    for (size_t k = 0; k < 2; k++) {
        open_case(&one, "plain", 1);
        open_case(&other, "plain", counts[k]);
        train_step(&one);
        train_step(&other);
        vectors_same_bits(&one.v, &other.v);
        vectors_close(&one.v);
        vectors_close(&other.v);
    }
}

/* ---- without an oracle ---- */

static json_t *small(const char *backends) {
    json_t *c = json_pack("{s:s, s:[i,i], s:[i,i], s:i, s:i}", "kind", "aasist", "channels", 3, 4, "graph", 5, 3, "attention", 4,
                          "project", 8);
    if (backends != NULL) {
        json_object_set_new(c, "backends", json_string(backends));
    }
    return c;
}

static const net_task TASKS[] = {{(char *)(uintptr_t) "bonafide", 2}, {(char *)(uintptr_t) "vq", 4}, {(char *)(uintptr_t) "dec", 3}};

typedef struct bench {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    float x[CLIPS * FRAMES * WIDTH];
} bench;

static void open_bench(bench *b) {
    spoor_error err = {0};
    b->ctx = support_context();
    support_ok(compute_new(b->ctx, 2, &b->compute, &err), &err);
    support_ok(tape_new(b->ctx, b->compute, &b->tape, &err), &err);
    for (int i = 0; i < CLIPS * FRAMES * WIDTH; i++) {
        b->x[i] = (float)(i * 7919 % 613) / 300 - 1;
    }
}

static void close_bench(bench *b) {
    tape_free(b->tape);
    compute_free(b->compute);
    spoor_context_free(b->ctx);
}

static net *make(bench *b, json_t *config, size_t n_tasks) {
    spoor_error err = {0};
    net *n;
    support_ok(net_new(b->ctx, config, WIDTH, TASKS, n_tasks, 3, &n, &err), &err);
    json_decref(config);
    return n;
}

static void run(bench *b, net *n, int64_t first, int64_t clips, net_output *out) {
    spoor_error err = {0};
    tape_begin(b->tape, false, false, 0);
    net_forward(n, b->tape, tape_view(b->tape, 3, (int64_t[]){clips, FRAMES, WIDTH}, b->x + first * FRAMES * WIDTH), out);
    support_ok(tape_status(b->tape, &err), &err);
}

/* The back ends' embeddings side by side: 5 x 3 numbers each, and a head sees its own alone. */
static void the_embedding_is_theirs_side_by_side(void **state) {
    (void)state;
    bench b;
    open_bench(&b);
    net *n = make(&b, small("task"), 3);
    assert_int_equal(net_embedding_size(n), 45);
    net_output out;
    float before[45], logits[9], alone[45];
    run(&b, n, 2, 1, &out);
    memcpy(alone, out.embedding->data, sizeof alone);
    run(&b, n, 0, CLIPS, &out);
    for (int i = 0; i < 45; i++) { /* a clip says the same alone and in a batch */
        assert_true(fabsf(out.embedding->data[2 * 45 + i] - alone[i]) <= 1e-5f * (1 + fabsf(alone[i])));
    }
    run(&b, n, 0, 1, &out);
    memcpy(before, out.embedding->data, sizeof before);
    for (size_t k = 0, at = 0; k < 3; at += (size_t)TASKS[k++].classes) {
        memcpy(logits + at, out.logits[k]->data, (size_t)TASKS[k].classes * sizeof *logits);
    }
    params_find(net_params(n), "backends.vq.positions")->value.data[3] += 1;
    run(&b, n, 0, 1, &out);
    assert_memory_equal(out.embedding->data, before, 15 * sizeof *before);
    assert_memory_not_equal(out.embedding->data + 15, before + 15, 15 * sizeof *before);
    assert_memory_equal(out.embedding->data + 30, before + 30, 15 * sizeof *before);
    assert_memory_equal(out.logits[0]->data, logits, 2 * sizeof *logits);
    assert_memory_not_equal(out.logits[1]->data, logits + 2, 4 * sizeof *logits);
    assert_memory_equal(out.logits[2]->data, logits + 6, 3 * sizeof *logits);
    net_free(n);
    close_bench(&b);
}

/* With one task both are the same network under two names, to the bit. */
static void of_one_task_it_is_the_shared_one(void **state) {
    (void)state;
    bench b;
    open_bench(&b);
    net *shared = make(&b, small(NULL), 1), *own = make(&b, small("task"), 1);
    params *p = net_params(own);
    assert_int_equal(params_count(p), params_count(net_params(shared)));
    for (size_t i = 0; i < params_count(p); i++) {
        tensor *to = &params_at(p, i)->value;
        const char *name = params_at(p, i)->name, *prefix = "backends.bonafide.";
        name += strncmp(name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        memcpy(to->data, params_find(net_params(shared), name)->value.data, (size_t)tensor_count(to) * sizeof(float));
    }
    net_output out;
    float want[CLIPS * 2], embedding[CLIPS * 15];
    run(&b, shared, 0, CLIPS, &out);
    memcpy(want, out.logits[0]->data, sizeof want);
    memcpy(embedding, out.embedding->data, sizeof embedding);
    run(&b, own, 0, CLIPS, &out);
    assert_memory_equal(out.logits[0]->data, want, sizeof want);
    assert_memory_equal(out.embedding->data, embedding, sizeof embedding);
    net_free(shared);
    net_free(own);
    close_bench(&b);
}

/* Shared is the default, and says nothing in the file, as before there was a choice. */
static void the_configuration_comes_back(void **state) {
    (void)state;
    bench b;
    open_bench(&b);
    net *n = make(&b, small("task"), 2);
    json_t *config = net_config(n);
    assert_string_equal(json_string_value(json_object_get(config, "backends")), "task");
    net *again = make(&b, config, 2);
    assert_int_equal(params_count(net_params(again)), params_count(net_params(n)));
    net_free(again);
    net_free(n);
    const char *said[] = {NULL, "shared"};
    for (size_t i = 0; i < 2; i++) {
        n = make(&b, small(said[i]), 2);
        config = net_config(n);
        assert_null(json_object_get(config, "backends"));
        assert_non_null(params_find(net_params(n), "positions"));
        json_decref(config);
        net_free(n);
    }
    close_bench(&b);
}

/* A member has back ends for the tasks that it answers, and no others. */
static void members_have_those_of_their_tasks(void **state) {
    (void)state;
    bench b;
    open_bench(&b);
    json_t *first = small("task"), *second = small("task");
    json_object_set_new(first, "tasks", json_pack("[s,s]", "bonafide", "vq"));
    json_object_set_new(second, "tasks", json_pack("[s]", "dec"));
    net *n = make(&b, json_pack("{s:s, s:[o,o]}", "kind", "ensemble", "members", first, second), 3);
    params *p = net_params(n);
    assert_non_null(params_find(p, "members.0.backends.vq.positions"));
    assert_null(params_find(p, "members.0.backends.dec.positions"));
    assert_non_null(params_find(p, "members.1.backends.dec.positions"));
    assert_null(params_find(p, "members.1.backends.vq.positions"));
    assert_int_equal(net_embedding_size(n), 45);
    net_output out;
    run(&b, n, 0, CLIPS, &out);
    assert_int_equal(out.embedding->dim[1], 45);
    assert_int_equal(out.logits[1]->dim[1], 4);
    net_free(n);
    close_bench(&b);
}

static void refuse(bench *b, json_t *config, bool trains, const char *sentence) {
    spoor_error err = {0};
    net *n = NULL;
    spoor_status status = trains ? net_new(b->ctx, config, WIDTH, TASKS, 2, 1, &n, &err)
                                 : net_new_for_weights(b->ctx, config, WIDTH, TASKS, 2, 1 << 20, &n, &err);
    assert_int_equal(status, SPOOR_ERR_USAGE);
    assert_null(n);
    if (strstr(err.message, sentence) == NULL) {
        fail_msg("%s: %s", sentence, err.message);
    }
    json_decref(config);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    bench b;
    open_bench(&b);
    refuse(&b, small("every"), true, "backends");
    refuse(&b, json_pack("{s:s, s:s}", "kind", "pooled", "backends", "task"), true, "backends");
    json_t *heads = small("task");
    json_object_set_new(heads, "task_heads", json_pack("{s:{s:s}}", "vq", "kind", "centroids"));
    refuse(&b, heads, true, "centroids");
    json_t *none = small("task"), *all = small(NULL);
    json_object_set_new(none, "tasks", json_array());
    refuse(&b, json_pack("{s:s, s:[o,o]}", "kind", "ensemble", "members", none, all), false, "no back end");
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(a_norm_and_an_embedding_layer_of_each),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(the_embedding_is_theirs_side_by_side),
        cmocka_unit_test(of_one_task_it_is_the_shared_one),
        cmocka_unit_test(the_configuration_comes_back),
        cmocka_unit_test(members_have_those_of_their_tasks),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
