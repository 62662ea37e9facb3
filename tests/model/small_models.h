/* small_models.h: model files with random weights from JSON, and what they say of a window of noise. */
#ifndef TESTS_SMALL_MODELS_H
#define TESTS_SMALL_MODELS_H
#include "base/rng.h"
#include "model/model.h"
#include "support/support.h"
#include "trace/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_SLOW "{\"kind\":\"log-mel\",\"n_mels\":6,\"n_fft\":1024,\"win_length\":1024,\"hop_length\":800}"
#define SMALL_FAST "{\"kind\":\"log-mel\",\"n_mels\":4,\"n_fft\":512,\"win_length\":400,\"hop_length\":400}"
#define SMALL_CONFORMER                                                                                                \
    "\"kind\":\"conformer\",\"dim\":8,\"depth\":1,\"heads\":2,\"kernel\":3,\"ff_mult\":1,\"max_distance\":4,"          \
    "\"pooling\":\"stats\""
#define SMALL_POOLED "\"kind\":\"pooled\",\"pool_norm\":true"
#define SMALL_SOURCE "{\"name\":\"source\",\"classes\":[\"a\",\"b\",\"c\"]}"
#define SMALL_BONAFIDE "{\"name\":\"bonafide\",\"classes\":[\"bonafide\",\"spoof\"]}"

/* A model file: every parameter and buffer random. `more` is "" or further members of the metadata, each with a comma
 * before. */
static inline void small_model(spoor_context *ctx, const char *path, const char *weights_folder,
                               const char *frontend_text, const char *network, const char *tasks, const char *more,
                               uint64_t seed) {
    char text[8192];
    spoor_error err = {0};
    snprintf(text, sizeof text,
             "{\"format\":1,\"name\":\"m%d\",\"window\":64600,\"frontend\":%s,\"network\":%s,\"tasks\":[%s]%s}",
             (int)seed, frontend_text, network, tasks, more);
    json_t *meta = json_loads(text, 0, NULL);
    assert_non_null(meta);
    frontend *fe = NULL;
    frontend_options o = {.folder = weights_folder};
    support_ok(frontend_new_with(ctx, json_object_get(meta, "frontend"), &o, &fe, &err), &err);
    net_task list[8];
    const json_t *all = json_object_get(meta, "tasks");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *t = json_array_get(all, i);
        list[i] = (net_task){(char *)(uintptr_t)json_string_value(json_object_get(t, "name")),
                             (int64_t)json_array_size(json_object_get(t, "classes"))};
    }
    net *n = NULL;
    support_ok(net_new(ctx, json_object_get(meta, "network"), (int64_t)frontend_dim(fe), list, json_array_size(all),
                       seed, &n, &err),
               &err);
    for (size_t i = 0; i < params_count(net_params(n)); i++) { /* norms too must not be what any other network has */
        tensor *x = &params_at(net_params(n), i)->value;
        rng r = rng_make(seed, i);
        for (int64_t k = 0; k < tensor_count(x); k++) {
            x->data[k] =
                (real)(strstr(params_at(net_params(n), i)->name, "var") ? 0.5 + rng_uniform(&r) : 0.4 * rng_normal(&r));
        }
    }
    json_object_set_new(meta, "frontend", frontend_describe(fe));
    support_ok(model_save(ctx, path, n, fe, NULL, meta, false, &err), &err);
    net_free(n);
    frontend_free(fe);
    json_decref(meta);
}

typedef struct small_answer {
    float logits[64], embedding[256];
    size_t n_logits, n_embedding;
} small_answer;

static inline void small_window(float *x, uint64_t seed) {
    rng r = rng_make(seed, 1);
    for (size_t i = 0; i < 64600; i++) {
        x[i] = (float)(0.1 * rng_normal(&r));
    }
}

/* What an open model says of a window. */
static inline void small_ask(spoor_model *m, uint64_t window, small_answer *out) {
    static float x[64600];
    spoor_session *s = NULL;
    spoor_error err = {0};
    small_window(x, window);
    out->n_logits = trace_logits_size(m);
    out->n_embedding = (size_t)net_embedding_size(m->net);
    assert_true(out->n_logits <= 64 && out->n_embedding <= 256);
    support_ok(spoor_session_new(m, &s, &err), &err);
    support_ok(trace_window_forward(s, x, out->logits, out->embedding, &err), &err);
    spoor_session_free(s);
}

static inline spoor_model *small_open(spoor_context *ctx, const char *path) {
    spoor_model *m = NULL;
    spoor_error err = {0};
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    return m;
}

static inline void small_ask_file(spoor_context *ctx, const char *path, uint64_t window, small_answer *out) {
    spoor_model *m = small_open(ctx, path);
    small_ask(m, window, out);
    spoor_model_free(m);
}

/* Where the logits of a task are. */
static inline const float *small_logits(const spoor_model *m, const small_answer *a, const char *task) {
    size_t at = 0;
    for (size_t i = 0; strcmp(m->tasks[i].name, task) != 0; i++) {
        at += m->tasks[i].n_classes;
    }
    return a->logits + at;
}
#endif
