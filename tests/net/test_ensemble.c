/* test_ensemble.c: networks that are several: columns, the product of experts, losses of the members, what is refused. */
#include "net/net.h"
#include "support/support.h"
#include "train/losses.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 3, FRAMES = 9, COLUMNS = 12 };

#define SMALL "\"kind\":\"conformer\",\"dim\":8,\"depth\":1,\"heads\":2,\"kernel\":3,\"ff_mult\":1,\"max_distance\":4,\"pooling\":\"stats\""
static const char ENSEMBLE[] = "{\"kind\":\"ensemble\",\"members\":["
                               "{" SMALL ",\"columns\":8,\"mix\":2,\"pool_norm\":true},"
                               "{" SMALL ",\"first\":8,\"weight\":0.5,\"embedding\":5},"
                               "{" SMALL "},"
                               "{\"kind\":\"pooled\",\"columns\":3,\"pool_norm\":true,\"weight\":0.25,\"crop\":0.5},"
                               "{\"kind\":\"pooled\",\"pooling\":\"attentive\",\"hidden\":4}]}";
enum { MEMBERS = 5 };

typedef struct fixture {
    spoor_context *ctx;
    compute *compute;
    tape *tape;
    net *net;
    float x[CLIPS * FRAMES * COLUMNS];
} fixture;

static net *make(spoor_context *ctx, const char *text, spoor_status want, const char *word) {
    static const net_task tasks[] = {{(char *)(uintptr_t) "source", 4}, {(char *)(uintptr_t) "bonafide", 2}};
    json_error_t where;
    json_t *config = json_loads(text, 0, &where);
    assert_non_null(config);
    spoor_error err = {0};
    net *n = NULL;
    spoor_status status = net_new(ctx, config, COLUMNS, tasks, 2, 7, &n, &err);
    json_decref(config);
    if (status != want || (word != NULL && strstr(err.message, word) == NULL)) {
        fail_msg("%s: %d \"%s\"", text, status, err.message);
    }
    return n;
}

static void begin(fixture *f, unsigned threads) {
    spoor_error err = {0};
    f->ctx = support_context();
    support_ok(compute_new(f->ctx, threads, &f->compute, &err), &err);
    support_ok(tape_new(f->ctx, f->compute, &f->tape, &err), &err);
    f->net = make(f->ctx, ENSEMBLE, SPOOR_OK, NULL);
    rng r = rng_make(3, 1);
    for (size_t i = 0; i < sizeof f->x / sizeof *f->x; i++) {
        f->x[i] = (float)rng_normal(&r);
    }
}

static void end(fixture *f) {
    net_free(f->net);
    tape_free(f->tape);
    compute_free(f->compute);
    spoor_context_free(f->ctx);
}

static tensor *features(fixture *f) {
    return tape_view(f->tape, 3, (int64_t[]){CLIPS, FRAMES, COLUMNS}, f->x);
}

static void members_see_their_columns_and_are_multiplied(void **state) {
    (void)state;
    static const double weights[MEMBERS] = {1, 0.5, 1, 0.25, 1};
    fixture f;
    begin(&f, 2);
    assert_int_equal(net_embedding_size(f.net), 16 + 5 + 16 + 6 + 24);
    net_output out;
    tape_begin(f.tape, false, false, 0);
    net_forward(f.net, f.tape, features(&f), &out);
    spoor_error err = {0};
    support_ok(tape_status(f.tape, &err), &err);
    assert_int_equal(out.n_members, MEMBERS);
    assert_int_equal(out.embedding->dim[1], 67);
    for (size_t k = 0; k < 2; k++) {
        int64_t classes = net_task_at(f.net, k)->classes;
        for (int64_t b = 0; b < CLIPS; b++) {
            for (int64_t c = 0; c < classes; c++) {
                double want = 0;
                for (size_t m = 0; m < MEMBERS; m++) {
                    const float *own = out.members[m].logits[k]->data + b * classes;
                    double sum = 0;
                    for (int64_t j = 0; j < classes; j++) {
                        sum += exp((double)own[j]);
                    }
                    want += weights[m] * ((double)own[c] - log(sum));
                }
                support_close((double)out.logits[k]->data[b * classes + c], want, 1e-5, "product of experts");
            }
        }
    }
    /* the second member reads columns 8 .. 11 alone */
    float before[4], whole[4];
    memcpy(before, out.members[1].logits[0]->data, sizeof before);
    memcpy(whole, out.members[2].logits[0]->data, sizeof whole);
    f.x[0] += 1;
    tape_begin(f.tape, false, false, 0);
    net_forward(f.net, f.tape, features(&f), &out);
    assert_memory_equal(before, out.members[1].logits[0]->data, sizeof before);
    assert_memory_not_equal(whole, out.members[2].logits[0]->data, sizeof whole);
    end(&f);
}

static void a_gate_scales_what_its_member_says(void **state) {
    (void)state;
    static const char text[] = "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"pooled\",\"columns\":3},"
                               "{\"kind\":\"pooled\",\"first\":4,\"pool_norm\":true,\"logistic\":0.1,\"gate\":true,\"weight\":0.5}]}";
    fixture f;
    begin(&f, 2);
    net *n = make(f.ctx, text, SPOOR_OK, NULL);
    json_t *config = net_config(n);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(config, "members"), 1), "gate")));
    json_decref(config);
    net_fit fit;
    assert_false(net_fit_at(n, 0, &fit));
    assert_null(fit.gate_weight);
    assert_true(net_fit_at(n, 1, &fit));
    assert_int_equal(fit.gate_weight->dim[1], 16);
    fit.gate_bias->data[0] = (real)-0.25;
    net_output out;
    tape_begin(f.tape, false, false, 0);
    net_forward(n, f.tape, features(&f), &out);
    spoor_error err = {0};
    support_ok(tape_status(f.tape, &err), &err);
    for (int64_t b = 0; b < CLIPS; b++) {
        double z = -0.25, sum[2] = {0, 0};
        for (int64_t e = 0; e < 16; e++) {
            z += (double)fit.gate_weight->data[e] * (double)out.members[1].embedding->data[b * 16 + e];
        }
        for (int m = 0; m < 2; m++) {
            for (int64_t c = 0; c < 4; c++) {
                sum[m] += exp((double)out.members[m].logits[0]->data[b * 4 + c]);
            }
        }
        for (int64_t c = 0; c < 4; c++) {
            double want = (double)out.members[0].logits[0]->data[b * 4 + c] - log(sum[0]) +
                          0.5 / (1 + exp(-z)) * ((double)out.members[1].logits[0]->data[b * 4 + c] - log(sum[1]));
            support_close((double)out.logits[0]->data[b * 4 + c], want, 1e-5, "product with a gate");
        }
    }
    net_free(n);
    end(&f);
}

static void a_member_learns_as_it_would_alone(void **state) {
    (void)state;
    fixture f;
    begin(&f, 1);
    int64_t source[CLIPS] = {0, 3, 2}, bonafide[CLIPS] = {0, 1, -1};
    losses_task tasks[2] = {{.weight = 1, .target = source}, {.weight = (real)0.5, .target = bonafide}};
    losses_options o = {.plain = CLIPS, .task = tasks, .plain_weight = 1};
    losses_parts parts, own[MEMBERS];
    net_output out;
    spoor_error err = {0};
    tape_begin(f.tape, true, true, 1);
    net_forward(f.net, f.tape, features(&f), &out);
    tensor *loss = losses_build(f.tape, f.net, &out, &o, &parts);
    support_ok(tape_status(f.tape, &err), &err);
    double mean = 0;
    for (size_t m = 0; m < MEMBERS; m++) {
        tensor *alone = losses_build(f.tape, f.net, &out.members[m], &o, &own[m]);
        assert_non_null(alone);
        mean += (double)own[m].total / MEMBERS;
    }
    support_close((double)loss->data[0], MEMBERS * mean, 1e-5, "loss of an ensemble");
    support_close((double)parts.total, mean, 1e-5, "what the log shows");
    params_zero_grad(net_params(f.net));
    support_ok(tape_backward(f.tape, loss, &err), &err);
    params *p = net_params(f.net);
    for (size_t i = 0; i < params_count(p); i++) {
        const param *item = params_at(p, i);
        double sum = 0;
        for (int64_t k = 0; item->trainable && k < tensor_count(&item->value); k++) {
            sum += fabs((double)item->value.grad[k]);
        }
        if (item->trainable && !(sum > 0)) {
            assert_non_null(strstr(item->name, "bias")); /* what a norm takes away has none */
        }
    }
    end(&f);
}

/* Members that leave tasks to others: a task that one answers alone has that member's bits. */
static const char SUBSETS[] = "{\"kind\":\"ensemble\",\"members\":["
                              "{" SMALL ",\"tasks\":[\"source\"]},"
                              "{" SMALL ",\"first\":8,\"embedding\":5,\"tasks\":[\"bonafide\"],\"embeds\":false},"
                              "{\"kind\":\"pooled\",\"columns\":3,\"tasks\":[\"source\"],\"weight\":0.5}]}";

static void members_may_leave_tasks_to_others(void **state) {
    (void)state;
    fixture f;
    begin(&f, 1);
    net_free(f.net);
    f.net = make(f.ctx, SUBSETS, SPOOR_OK, NULL);
    assert_null(params_find(net_params(f.net), "members.0.heads.bonafide.weight"));
    assert_non_null(params_find(net_params(f.net), "members.1.heads.bonafide.weight"));
    assert_int_equal(net_embedding_size(f.net), 16 + 6);
    int64_t source[CLIPS] = {0, 3, 2}, bonafide[CLIPS] = {0, 1, 1};
    losses_task tasks[2] = {{.weight = 1, .target = source}, {.weight = 2, .target = bonafide}};
    losses_options o = {.plain = CLIPS, .task = tasks, .plain_weight = 1};
    losses_parts parts, own[3];
    net_output out;
    spoor_error err = {0};
    tape_begin(f.tape, true, true, 1);
    net_forward(f.net, f.tape, features(&f), &out);
    tensor *loss = losses_build(f.tape, f.net, &out, &o, &parts);
    support_ok(tape_status(f.tape, &err), &err);
    assert_memory_equal(out.logits[1]->data, out.members[1].logits[1]->data, CLIPS * 2 * sizeof(real));
    assert_null(out.members[0].logits[1]);
    assert_null(out.members[1].logits[0]);
    assert_int_equal(out.embedding->dim[1], 22);
    assert_memory_equal(out.embedding->data, out.members[0].embedding->data, 16 * sizeof(real));
    double sum = 0;
    for (size_t m = 0; m < 3; m++) {
        assert_non_null(losses_build(f.tape, f.net, &out.members[m], &o, &own[m]));
        sum += (double)own[m].total;
    }
    support_close((double)loss->data[0], sum, 1e-5, "each learns its own tasks");
    support_close((double)parts.task[0], ((double)own[0].task[0] + (double)own[2].task[0]) / 2, 1e-5, "mean of those that answer");
    support_close((double)parts.task[1], (double)own[1].task[1], 1e-6, "the one that answers");
    json_t *config = net_config(f.net);
    char *text = json_dumps(config, 0);
    net *again = make(f.ctx, text, SPOOR_OK, NULL);
    json_t *second = net_config(again);
    assert_true(json_equal(config, second));
    json_decref(config);
    json_decref(second);
    free(text);
    net_free(again);
    end(&f);
}

static void its_description_makes_it_again(void **state) {
    (void)state;
    fixture f;
    begin(&f, 1);
    json_t *config = net_config(f.net);
    char *text = json_dumps(config, 0);
    net *again = make(f.ctx, text, SPOOR_OK, NULL);
    json_t *second = net_config(again);
    assert_true(json_equal(config, second));
    params *a = net_params(f.net), *b = net_params(again);
    assert_int_equal(params_count(a), params_count(b));
    for (size_t i = 0; i < params_count(a); i++) {
        const tensor *x = &params_at(a, i)->value;
        assert_int_equal(strncmp(params_at(a, i)->name, "members.", 8), 0);
        assert_memory_equal(x->data, params_find(b, params_at(a, i)->name)->value.data,
                            (size_t)tensor_count(x) * sizeof(real));
    }
    json_decref(config);
    json_decref(second);
    free(text);
    net_free(again);
    end(&f);
}

static void kinds_of_human_speech_are_one_class(void **state) {
    (void)state;
    static const int64_t humans[] = {0, 2, 3};
    fixture f;
    begin(&f, 1);
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        int64_t h = humans[i];
        snprintf(text, sizeof text, "{\"kind\":\"pooled\",\"pool_norm\":true,\"task_heads\":{\"source\":{\"kind\":\"linear\","
                 "\"human\":%d,\"kinds\":3}}}", (int)h);
        net *n = make(f.ctx, text, SPOOR_OK, NULL);
        json_t *config = net_config(n);
        char *described = json_dumps(config, JSON_COMPACT);
        net *again = make(f.ctx, described, SPOOR_OK, NULL);
        net_fit fit;
        (void)net_fit_at(again, 0, &fit);
        assert_int_equal(fit.human[0], h);
        assert_int_equal(fit.kinds[0], 3);
        assert_int_equal(fit.kinds[1], 1);
        assert_int_equal(fit.weight[0]->dim[0], 4 + 2);
        assert_int_equal(fit.weight[1]->dim[0], 2);
        net_free(again);
        free(described);
        json_decref(config);
        (void)net_fit_at(n, 0, &fit);
        for (int64_t c = 0; c < 6; c++) {
            fit.bias[0]->data[c] = (float)(0.3 * (double)c);
        }
        net_output out;
        tape_begin(f.tape, false, false, 0);
        net_forward(n, f.tape, features(&f), &out);
        spoor_error err = {0};
        support_ok(tape_status(f.tape, &err), &err);
        assert_int_equal(out.logits[0]->dim[1], 4);
        int64_t size = out.embedding->dim[1];
        for (int64_t b = 0; b < CLIPS; b++) {
            double z[6];
            for (int64_t c = 0; c < 6; c++) {
                z[c] = (double)fit.bias[0]->data[c];
                for (int64_t e = 0; e < size; e++) {
                    z[c] += (double)fit.weight[0]->data[c * size + e] * (double)out.embedding->data[b * size + e];
                }
            }
            for (int64_t c = 0; c < 4; c++) {
                double want = c == h ? log(exp(z[h]) + exp(z[4]) + exp(z[5])) : z[c];
                support_close((double)out.logits[0]->data[b * 4 + c], want, 1e-5, "logit");
            }
        }
        net_free(n);
    }
    end(&f);
}

static void wrong_ensembles_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    make(ctx, "{\"kind\":\"ensemble\"}", SPOOR_ERR_USAGE, "members");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[]}", SPOOR_ERR_USAGE, "members");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[3]}", SPOOR_ERR_USAGE, "members");
    make(ctx, "{\"kind\":\"ensemble\",\"dim\":8,\"members\":[{}]}", SPOOR_ERR_USAGE, "dim");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"ensemble\"}]}", SPOOR_ERR_USAGE, "in an ensemble");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"first\":12}]}", SPOOR_ERR_USAGE, "first");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"first\":4,\"columns\":9}]}", SPOOR_ERR_USAGE, "columns");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"colums\":9}]}", SPOOR_ERR_USAGE, "columns");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"spans\":[]}]}", SPOOR_ERR_USAGE, "spans");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"spans\":[[0,13]]}]}", SPOOR_ERR_USAGE, "spans");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"spans\":[[0,4]],\"first\":4}]}", SPOOR_ERR_USAGE, "spans");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"rows\":[16]}]}", SPOOR_ERR_USAGE, "rows");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"rows\":[]}]}", SPOOR_ERR_USAGE, "rows");
    make(ctx, "{" SMALL ",\"mix\":5}", SPOOR_ERR_USAGE, "mix");
    make(ctx, "{\"kind\":\"pooled\",\"dim\":5}", SPOOR_ERR_USAGE, "dim");
    make(ctx, "{\"kind\":\"pooled\",\"crop\":0}", SPOOR_ERR_USAGE, "crop");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"pooled\",\"pool_norm\":true,\"logistic\":0.1}]}", SPOOR_ERR_USAGE, "none learns");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"pooled\",\"gate\":true}]}", SPOOR_ERR_USAGE, "gate goes with logistic");
    make(ctx, "{\"kind\":\"pooled\",\"pool_norm\":true,\"logistic\":0.1,\"gate\":true}", SPOOR_ERR_USAGE, "member of an ensemble");
    make(ctx, "{" SMALL ",\"weight\":5}", SPOOR_ERR_USAGE, "weight");
    make(ctx, "{" SMALL ",\"tasks\":[\"source\"]}", SPOOR_ERR_USAGE, "tasks");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"tasks\":[\"source\"]}]}", SPOOR_ERR_USAGE, "bonafide");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"tasks\":[\"vocoder\"]}]}", SPOOR_ERR_USAGE, "vocoder");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"tasks\":[\"source\",\"source\"]}]}", SPOOR_ERR_USAGE, "twice");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{},{" SMALL ",\"tasks\":[]}]}", SPOOR_ERR_USAGE, "empty");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{},{\"tasks\":[],\"embeds\":false}]}", SPOOR_ERR_USAGE, "answers no task");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{\"task_heads\":{}}]}", SPOOR_ERR_USAGE, "task_heads");
    make(ctx, "{" SMALL ",\"task_heads\":{\"source\":{\"human\":4,\"kinds\":2}}}", SPOOR_ERR_USAGE, "human");
    make(ctx, "{" SMALL ",\"task_heads\":{\"source\":{\"kinds\":65}}}", SPOOR_ERR_USAGE, "kinds");
    make(ctx, "{" SMALL ",\"task_heads\":{\"source\":{\"kinds\":0}}}", SPOOR_ERR_USAGE, "kinds");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{}],\"fusion\":{}}", SPOOR_ERR_USAGE, "spoor fuse");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"tasks\":[5]}]}", SPOOR_ERR_USAGE, "tasks");
    make(ctx, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"embeds\":false}]}", SPOOR_ERR_USAGE, "embeds");
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_see_their_columns_and_are_multiplied),
        cmocka_unit_test(a_gate_scales_what_its_member_says),
        cmocka_unit_test(a_member_learns_as_it_would_alone),
        cmocka_unit_test(members_may_leave_tasks_to_others),
        cmocka_unit_test(its_description_makes_it_again),
        cmocka_unit_test(kinds_of_human_speech_are_one_class),
        cmocka_unit_test(wrong_ensembles_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
