/* test_model.c: model files: what is written is read back; every wrong file is refused with a sentence. */
#include "base/io.h"
#include "base/rng.h"
#include "model/tiny_model.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *shared;

static void what_is_written_is_read_back(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    spoor_error err = {0};
    tiny_model_write(ctx, path, false);
    spoor_model *m = NULL;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    assert_string_equal(spoor_model_name(m), "tiny");
    assert_int_equal(strlen(spoor_model_sha256(m)), 64);
    assert_int_equal(spoor_model_embedding_size(m), 8);
    assert_int_equal(m->n_tasks, 3);
    assert_string_equal(m->tasks[0].classes[3], "gamma");
    assert_int_equal(m->tasks[0].human, 0);
    assert_int_equal(m->tasks[2].human, 0);
    assert_int_equal(m->bonafide_task, 1);
    assert_int_equal(m->known_task, 0);
    net *n = tiny_net(ctx, 5);
    params *a = net_params(n), *b = net_params(m->net);
    assert_int_equal(params_count(a), params_count(b));
    for (size_t i = 0; i < params_count(a); i++) {
        const tensor *x = &params_at(a, i)->value, *y = &params_find(b, params_at(a, i)->name)->value;
        assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof(float));
        assert_false(y->needs_grad);
    }
    net_free(n);
    spoor_model_free(m);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void half_precision_is_close(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    spoor_error err = {0};
    tiny_model_write(ctx, path, true);
    spoor_model *m = NULL;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    net *n = tiny_net(ctx, 5);
    for (size_t i = 0; i < params_count(net_params(n)); i++) {
        const tensor *x = &params_at(net_params(n), i)->value;
        const tensor *y = &params_find(net_params(m->net), params_at(net_params(n), i)->name)->value;
        for (int64_t k = 0; k < tensor_count(x); k++) {
            assert_true(fabsf(x->data[k] - y->data[k]) <= 5e-4f * fabsf(x->data[k]) + 1e-7f);
        }
    }
    net_free(n);
    spoor_model_free(m);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void the_human_class_is_left_out(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    model_task t;
    const char *names[] = {"a", "human", "b"};
    support_ok(model_task_init(ctx, &t, "family", names, 3, &err), &err);
    assert_int_equal(t.human, 1);
    float logits[] = {1, 5, 2}, kept[3];
    int32_t map[3];
    assert_int_equal(model_synthetic_logits(&t, logits, kept, map), 2);
    assert_true(kept[0] == 1 && kept[1] == 2 && map[1] == 2);
    support_close(model_human_log_odds(&t, logits), 5 - log(exp(1) + exp(2)), 1e-12, "log odds of human speech");
    model_task_clear(ctx, &t);
    spoor_context_free(ctx);
}

/* Writes the tiny model with its metadata changed by `edit`, and expects a refusal that mentions `word`. */
static void refused(const char *key, const char *value, const char *word) {
    spoor_context *ctx = support_context();
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    spoor_error err = {0};
    json_t *meta = tiny_meta();
    net *n = tiny_net(ctx, 5);
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    json_object_set_new(meta, key, v);
    support_ok(model_save(ctx, path, n, NULL, NULL, meta, false, &err), &err);
    spoor_model *m = NULL;
    spoor_status status = spoor_model_open(ctx, path, &m, &err);
    if (status != SPOOR_ERR_MODEL || strstr(err.message, word) == NULL) {
        fail_msg("%s = %s: status %d, \"%s\"", key, value, (int)status, err.message);
    }
    assert_null(m);
    json_decref(meta);
    net_free(n);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void wrong_metadata_is_refused(void **state) {
    (void)state;
    refused("format", "2", "format");
    refused("format", "\"1\"", "format");
    refused("window", "16000", "window");
    refused("window", "null", "window");
    refused("tasks", "[]", "tasks");
    refused("tasks", "[{\"name\":\"source\",\"classes\":[]}]", "classes");
    refused("tasks", "[{\"name\":\"source\",\"classes\":[1]}]", "class name");
    refused("tasks", "[{\"name\":\"a\",\"classes\":[\"x\"]},{\"name\":\"a\",\"classes\":[\"x\"]}]", "same name");
    refused("tasks", "[{\"name\":\"source\",\"classes\":[\"bonafide\"]}]", "synthetic");
    refused("tasks", "[{\"name\":\"source\",\"classes\":[\"x\",\"y\"]}]", "shape");
    refused("frontend", "{\"kind\":\"log-mel\",\"n_mels\":19,\"stack\":4}", "shape");
    refused("frontend", "{\"kind\":\"log-mel\",\"n_mels\":100000}", "n_mels");
    refused("frontend", "{}", "kind");
    refused("network", "{\"dim\":16,\"depth\":2,\"heads\":2}", "");
    refused("network", "{\"dim\":4096,\"depth\":64,\"ff_mult\":16}", "parameters");
    refused("network", "{\"dim\":16,\"depth\":0,\"pooling\":\"stats\",\"embedding\":8}", "no tensor");
    refused("network", "{\"kind\":\"resnet\"}", "resnet");
    refused("known", "{\"task\":\"nothing\"}", "names no task");
    refused("known", "{\"task\":\"source\",\"openset\":{\"scorer\":\"magic\"}}", "");
    refused("bonafide", "{\"scale\":\"x\"}", "");
    refused("name", "\"a\\u001b[31m\"", "control");
    refused("card", "\"two\\nlines\"", "control");
    refused("tasks", "[{\"name\":\"source\",\"classes\":[\"x\",\"y\\u009b\"]}]", "class name");
    refused("tasks", "[{\"name\":\"s\\u007f\",\"classes\":[\"x\",\"y\"]}]", "short name");
}

/* A tiny model with a gate over everything, or one scorer, on statistics of random embeddings. `known` may name another scorer
 * in the metadata than the file has tensors for. Returns the status of opening. */
static spoor_status open_with_statistics(openset_kind stored, openset_kind stated, const char *key, json_t *value,
                                         spoor_model **out, spoor_error *err) {
    enum { N = 12, E = 8, C = 3 };
    spoor_context *ctx = shared;
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    float f[N * E], z[N * C];
    int32_t y[N];
    rng r = rng_make(2, 0);
    for (size_t i = 0; i < N * E; i++) {
        f[i] = (float)rng_normal(&r);
        z[i % (N * C)] = (float)rng_normal(&r);
        y[i % N] = (int32_t)(i % N % C);
    }
    openset_fit_options fit;
    openset_fit_options_init(&fit);
    openset o, other;
    openset_stats *stats;
    openset_init(&o);
    support_ok(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, y, N, E, C}, &fit, &stats, err), err);
    o.stats = stats;
    o.gate.members = OPENSET_ALL & ~OPENSET_BIT(OPENSET_GATE);
    for (unsigned k = 0; k < OPENSET_GATE; k++) {
        o.gate.deviation[k] = 1;
        o.gate.weight[k] = 0.1;
    }
    other = o;
    o.kind = stored;
    other.kind = stated;
    json_t *meta = tiny_meta(), *described = openset_to_json(&other);
    assert_non_null(described);
    if (key != NULL) {
        json_object_set_new(json_object_get(described, "statistics"), key, value);
    }
    json_object_set_new(meta, "known", json_pack("{s:s, s:o}", "task", "source", "openset", described));
    net *n = tiny_net(ctx, 5);
    support_ok(model_save(ctx, path, n, NULL, &o, meta, false, err), err);
    spoor_status status = spoor_model_open(ctx, path, out, err);
    openset_stats_free(stats);
    net_free(n);
    json_decref(meta);
    support_remove(folder);
    free(folder);
    return status;
}

static void statistics_are_checked(void **state) {
    (void)state;
    spoor_error err = {0};
    spoor_model *m;
    shared = support_context();
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        support_ok(open_with_statistics((openset_kind)k, (openset_kind)k, NULL, NULL, &m, &err), &err);
        assert_int_equal(m->openset.kind, k);
        assert_ptr_equal(m->openset.stats, m->openset_stats);
        spoor_model_free(m);
    }
    const struct {
        openset_kind stored, stated;
        const char *key, *says;
        json_t *value;
    } wrong[] = {
        {OPENSET_ENERGY, OPENSET_NSD, NULL, "openset.nsd is missing", NULL},
        {OPENSET_NSD, OPENSET_ENERGY, NULL, "no tensor named openset.nsd", NULL},
        {OPENSET_GATE, OPENSET_VIM, NULL, "no tensor named openset.", NULL},
        {OPENSET_KNN_COSINE, OPENSET_NNGUIDE, NULL, "openset.bank.confidence is missing", NULL},
        {OPENSET_NSD, OPENSET_NSD, "dim", "of embeddings of 9", json_integer(9)},
        {OPENSET_KNN_COSINE, OPENSET_KNN_COSINE, "bank", "openset.bank has another shape", json_integer(11)},
        {OPENSET_KNN_COSINE, OPENSET_KNN_COSINE, "bank", "bank is missing", json_integer(1 << 30)},
        {OPENSET_MAHALANOBIS, OPENSET_MAHALANOBIS, "means", "openset.means has another shape", json_integer(2)},
        {OPENSET_VIM, OPENSET_VIM, "vim_dim", "openset.basis has another shape", json_integer(3)},
        {OPENSET_VIM, OPENSET_VIM, "vim_dim", "vim_dim is missing", json_integer(8)},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        spoor_status status = open_with_statistics(wrong[i].stored, wrong[i].stated, wrong[i].key, wrong[i].value, &m, &err);
        if (status != SPOOR_ERR_MODEL || strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("case %zu: status %d, \"%s\"", i, (int)status, err.message);
        }
    }
    spoor_context_free(shared);
}

static void other_files_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    spoor_error err = {0};
    spoor_model *m = NULL;
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_int_equal(spoor_model_open(ctx, folder, &m, &err), SPOOR_ERR_MODEL);
    const char *texts[] = {"", "hello", "\x02\0\0\0\0\0\0\0{}", "RIFF....WAVEfmt "};
    const size_t sizes[] = {0, 5, 10, 16};
    for (size_t i = 0; i < 4; i++) {
        support_ok(io_write_file(ctx, path, texts[i], sizes[i], &err), &err);
        assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    }
    tiny_model_write(ctx, path, false);
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, path, 1 << 24, &data, &size, &err), &err);
    for (size_t cut = 1; cut < size; cut = cut * 3 / 2 + 1) {
        support_ok(io_write_file(ctx, path, data, size - cut, &err), &err);
        assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
        assert_null(m);
    }
    for (size_t i = size - 64; i < size; i++) { /* the last weights become NaN */
        data[i] = 0xff;
    }
    support_ok(io_write_file(ctx, path, data, size, &err), &err);
    assert_int_equal(spoor_model_open(ctx, path, &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "NaN"));
    ctx_free(ctx, data);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void failing_memory_leaves_nothing(void **state) {
    (void)state;
    spoor_context *plain = support_context();
    char *folder = support_temporary(), path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    tiny_model_write(plain, path, false);
    bool done = false;
    for (size_t n = 1; n < 400 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        spoor_model *m = NULL;
        spoor_error err = {0};
        spoor_status status = spoor_model_open(ctx, path, &m, &err);
        done = status == SPOOR_OK;
        if (!done) {
            assert_int_equal(status, SPOOR_ERR_LIMIT);
            assert_null(m);
        }
        spoor_model_free(m);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(ctx);
    }
    assert_true(done);
    support_remove(folder);
    free(folder);
    spoor_context_free(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back), cmocka_unit_test(half_precision_is_close),
        cmocka_unit_test(the_human_class_is_left_out),  cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(other_files_are_refused), cmocka_unit_test(statistics_are_checked),      cmocka_unit_test(failing_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
