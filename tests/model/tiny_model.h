/* tiny_model.h: a model file with random weights, for tests that need a model but not its opinion. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H
#include "model/model.h"
#include "support/support.h"

static json_t *tiny_meta(void) {
    json_error_t where;
    json_t *meta = json_loads(
        "{\"format\":1,\"name\":\"tiny\",\"card\":\"random weights, for tests\",\"window\":64600,"
        "\"frontend\":{\"kind\":\"log-mel\",\"n_mels\":20,\"hop_length\":320,\"n_fft\":512,\"stack\":4},"
        "\"network\":{\"kind\":\"conformer\",\"dim\":16,\"depth\":1,\"heads\":2,\"kernel\":5,\"pooling\":\"stats\",\"embedding\":8},"
        "\"tasks\":[{\"name\":\"source\",\"classes\":[\"bonafide\",\"alpha\",\"beta\",\"gamma\"]},"
        "{\"name\":\"bonafide\",\"classes\":[\"bonafide\",\"spoof\"]},{\"name\":\"family\",\"classes\":[\"human\",\"vc\",\"tts\"]}],"
        "\"provenance\":{\"seed\":1}}",
        0, &where);
    assert_non_null(meta);
    return meta;
}

static net *tiny_net(spoor_context *ctx, uint64_t seed) {
    json_t *meta = tiny_meta();
    net_task tasks[] = {{(char *)"source", 4}, {(char *)"bonafide", 2}, {(char *)"family", 3}};
    net *n = NULL;
    spoor_error err = {0};
    support_ok(net_new(ctx, json_object_get(meta, "network"), 80, tasks, 3, seed, &n, &err), &err);
    json_decref(meta);
    return n;
}

static inline void tiny_model_write(spoor_context *ctx, const char *path, bool half) {
    spoor_error err = {0};
    json_t *meta = tiny_meta();
    net *n = tiny_net(ctx, 5);
    support_ok(model_save(ctx, path, n, NULL, NULL, meta, half, &err), &err);
    net_free(n);
    json_decref(meta);
}
#endif
